/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for calls that may block: system calls of the threaded I/O engine, and submit of SERIAL and
 * PARALLEL handlers. One pool a device, so that a stuck backend uses up only its own threads. Threads start when there
 * is work and none is free, up to the limit, and end after some idle seconds.
 */
#pragma once

struct workers;

/* One piece of work, embedded in the caller's object, queued at most once at a time. */
struct work {
	void (*run)(struct work *work); /* on a worker thread */
	struct work *next;
};

/* limit: threads at most; 1 keeps the order of the queue. name: for thread names. */
int workers_new(unsigned limit, const char *name, struct workers **workers);

/* Nothing may be queued or running. Joins the threads. Takes NULL. */
void workers_free(struct workers *workers);

/* Any thread. Allocates nothing; if no thread can be started and none exists, the work waits for the next one. */
void workers_queue(struct workers *workers, struct work *work);

/* Takes work back that has not been started. 0: it will not run. -EBUSY: it is running or has run. */
int workers_cancel(struct workers *workers, struct work *work);
