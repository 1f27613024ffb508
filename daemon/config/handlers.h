/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers that there are, by subtype: those that were loaded, and those that are known but
 *cannot be used, with the reason.
 *
 *	handlers_new(&registry);
 *	handlers_load(registry, dir);
 *
 * A plugin that cannot be used is one line in the log, which names the file; the others are not
 *affected. Plugins stay loaded until the process ends, as a thread may be stuck in one.
 *
 * Filled on the main thread before anything else runs, read by any thread afterwards.
 */
#pragma once

#include <stddef.h>

#include <tcmu/handler.h>

struct handlers;

int handlers_new(struct handlers **handlers);
void handlers_free(struct handlers *handlers); /* takes NULL */

/* Loads every handler_*.so of the folder, in the order of their names; the first of two with the
 * same subtype is taken. Returns how many were loaded, or the -errno of the folder. Both are
 * logged. */
int handlers_load(struct handlers *handlers, const char *dir);

/* Adds one handler, checked as a plugin's is. origin: what to call it in messages. -EINVAL, -EPROTO
 * (another ABI), -EEXIST (the subtype is taken) with a reason. */
int handlers_add(
	struct handlers *handlers, const struct tcmu_handler *handler, const char *origin,
	struct tcmu_reason *reason);

/* The usable handler of exactly this subtype, or NULL. */
const struct tcmu_handler *handlers_find(const struct handlers *handlers, const char *subtype);

struct handlers_entry {
	const char *subtype;
	const struct tcmu_handler *handler; /* NULL: known, but not usable */
	const char *origin;                 /* the file; NULL: none */
	const char *problem;                /* why it is not usable, a sentence; NULL: it is */
};

/* All entries, by subtype. NULL: index is beyond the last. Valid until the next change. */
const struct handlers_entry *handlers_entry(const struct handlers *handlers, size_t index);

/* The entry of this subtype, usable or not, or NULL. */
const struct handlers_entry *handlers_lookup(const struct handlers *handlers, const char *subtype);
