/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated daemon: its main thread with the real manager, its start, its stop and its death.
 */
#pragma once

#include <stdbool.h>

enum daemon_state {
	DAEMON_OFF,
	DAEMON_STARTS,
	DAEMON_SERVES,
	DAEMON_STOPS,
};

struct daemon_options {
	unsigned depth; /* of the queue */
	unsigned busy_poll;
	bool xcopy_all; /* EXTENDED COPY between any two disks */
};

/* Before the first life: what the static variables are at the start of a process. */
void daemon_remember_statics(void);

/* Nothing runs; no daemon has run before. */
void daemon_reset(const struct daemon_options *options);

/* From the world. */
void daemon_start(void);
void daemon_kill(void);
void daemon_stop(void);

/* The operator has the backend of a device reopened. The handler reports an event of a store. */
void daemon_reopen(const char *name);
void daemon_report(unsigned store, bool fenced);
void daemon_report_size(unsigned store);

enum daemon_state daemon_state(void);

/* Whether the thread that runs is its main thread. */
bool daemon_on_main_thread(void);

/* Whether it has no device. */
bool daemon_is_empty(void);
