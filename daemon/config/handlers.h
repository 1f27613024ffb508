/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers that there are, by subtype: those that were loaded, and those that are known but
 *cannot be used, with the reason.
 *
 *	registry_new(&registry);
 *	registry_load(registry, dir);
 *
 * A plugin that cannot be used is one line in the log, which names the file; the others are not
 *affected. Plugins stay loaded until the process ends, as a thread may be stuck in one.
 *
 * Filled on the main thread before anything else runs, read by any thread afterwards.
 */
#pragma once

#include <stddef.h>

#include <tcmu/handler.h>

struct registry;

int registry_new(struct registry **registry);
void registry_free(struct registry *registry); /* takes NULL */

/* Loads every handler_*.so of the folder, in the order of their names; the first of two with the
 * same subtype is taken. Returns how many were loaded, or the -errno of the folder. Both are
 * logged. */
int registry_load(struct registry *registry, const char *dir);

/* Adds one handler, checked as a plugin's is. origin: what to call it in messages. -EINVAL, -EPROTO
 * (another ABI), -EEXIST (the subtype is taken) with a reason. */
int registry_add(
	struct registry *registry, const struct tcmu_handler *handler, const char *origin,
	struct tcmu_reason *reason);

/* The usable handler of exactly this subtype, or NULL. */
const struct tcmu_handler *registry_find(const struct registry *registry, const char *subtype);

struct registry_entry {
	const char *subtype;
	const struct tcmu_handler *handler; /* NULL: known, but not usable */
	const char *origin;                 /* the file; NULL: none */
	const char *problem;                /* why it is not usable, a sentence; NULL: it is */
};

/* All entries, by subtype. NULL: index is beyond the last. Valid until the next change. */
const struct registry_entry *registry_entry(const struct registry *registry, size_t index);

/* The entry of this subtype, usable or not, or NULL. */
const struct registry_entry *registry_lookup(const struct registry *registry, const char *subtype);
