/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors, threads and memory of this process, for monitoring.
 */
#pragma once

#include <stdint.h>

/* A number is 0 where it cannot be read. */
struct process_figures {
	uint64_t open_fds; /* file descriptors */
	uint64_t max_fds;  /* how many may be open */
	uint64_t threads;
	uint64_t resident; /* bytes of memory */
};

/* Reads /proc/self. Takes as many steps as descriptors are open. Any thread. */
void process_get_figures(struct process_figures *figures);

/* When this process started, in seconds since the epoch; 0: unknown. It is computed from clocks
 * that are adjusted: ask once. Any thread. */
double process_start_time(void);
