/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the simulated main thread. It defines the functions of sd-event that the
 * product uses.
 */
#pragma once

#include <stdbool.h>

/* No source is left; nothing is called. */
void event_loop_reset(void);

/* Runs one source that is ready, or waits for one. On the main thread. */
void event_loop_run(void);

/* Something may have become ready. */
void event_loop_wake(void);

/* How many sources there are, timers that are armed included. */
unsigned event_loop_sources(void);

/* A node of /dev is deleted: the inotify source gets it. */
void event_loop_node_deleted(const char *name);
