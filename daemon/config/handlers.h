/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers by subtype: those that are loaded, and those that are known but not usable, with the
 * reason.
 *
 *	handlers = handlers_new();
 *	handlers_load(handlers, directory);
 *
 * A plugin that is not usable costs one log line, which names the file; the others are not
 * affected. Plugins stay loaded until the process ends, because a thread may be stuck in one.
 *
 * Filled by one thread before anything else runs; read by any thread afterwards. Running out
 * of memory aborts (glib).
 */
#pragma once

#include <stddef.h>

#include <tcmu/handler.h>

struct handlers;

/* Holds the handlers of packages that are not installed, each with that reason. */
struct handlers *handlers_new(void);

/* Calls each handler's fini, unless a check hangs in one of them. No other thread may use a handler
 * any more. Takes NULL. */
void handlers_free(struct handlers *handlers);

/* Loads every handler_*.so of the directory in the order of their names; of two with the same
 * subtype the first is used. Returns how many were loaded, or the -errno of the directory. Logs
 * both. */
int handlers_load(struct handlers *handlers, const char *directory);

/* Loads one plugin, whatever its name. 0; -EPERM: others than root and our user may change it;
 * -ELIBACC: the loader refuses it; or as handlers_add(), each with a reason. Logs no refusal. */
int handlers_load_file(struct handlers *handlers, const char *path, struct tcmu_reason *reason);

/* Adds one handler, checked like a plugin's. It is copied; the strings and functions that it points
 * to must outlive the handlers. origin: its name in messages, copied. Its init is called last.
 * -EINVAL, -EPROTO (another ABI), -EEXIST (the subtype has a handler), or the error of init, with a
 * reason. */
int handlers_add(
	struct handlers *handlers, const struct tcmu_handler *handler, const char *origin,
	struct tcmu_reason *reason);

/* The entries of the handler's table of counters. */
size_t handlers_counter_count(const struct tcmu_handler *handler);

/* The usable handler of exactly this subtype, or NULL. */
const struct tcmu_handler *handlers_find(const struct handlers *handlers, const char *subtype);

struct handlers_entry {
	const char *subtype;
	const struct tcmu_handler *handler; /* NULL: known, but not usable */
	const char *origin;                 /* the file; NULL: none */
	const char *problem;                /* why it is not usable, a sentence; NULL: it is */
};

/* All entries, ordered by subtype. NULL: index is beyond the last. Valid until the next change. */
const struct handlers_entry *handlers_entry(const struct handlers *handlers, size_t index);

/* How many backends the handlers have given up (tcmu/handler.h). */
unsigned handlers_given_up(const struct handlers *handlers);

/* The entry of this subtype, usable or not, or NULL. Valid until the next change. */
const struct handlers_entry *handlers_lookup(const struct handlers *handlers, const char *subtype);
