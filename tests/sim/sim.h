/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All state of the simulation is below one pointer. A SIGKILL of the daemon sets the product's
 * static variables back to what they were before the first life; the pointer is among them and does
 * not change.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct threads;
struct fds;
struct event_loop;
struct kernel;
struct backends;
struct caches;
struct history;
struct rivals;
struct world;
struct life;

struct sim {
	struct threads *threads;
	struct fds *fds;
	struct event_loop *event_loop;
	struct kernel *kernel;
	struct backends *backends;
	struct caches *caches;
	struct history *history;
	struct rivals *rivals;
	struct world *world;
	struct life *life;
	/* Shared with the process that started this one. */
	struct sim_report *report;
	bool tracing;
};

struct sim_report {
	uint64_t seed; /* of the life that runs */
	uint64_t lives;
	uint64_t devices;  /* created in the kernel */
	uint64_t commands; /* of initiators */
	uint64_t good;     /* of them */
	uint64_t kills;
	uint64_t resets;
	uint64_t unloads; /* of the module */
	uint64_t steps;
	uint32_t transitions[32]; /* of devices: a bit for each state that followed */
	char failure[512];        /* empty: none */
};

extern struct sim *sim;
