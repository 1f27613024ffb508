/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for calls that may block: system calls of the threaded I/O engine, and submit
 * of SERIAL and PARALLEL handlers. One pool a device, so that a stuck backend uses up only its own
 * threads. The first thread is there from the start; more start when there is work and none is
 * free, up to the limit, and end after some idle seconds, all but one: work goes on where no thread
 * can be made any more.
 */
#pragma once

struct workers;

/* One piece of work, embedded in the caller's object, queued at most once at a time. */
struct work {
	void (*run)(struct work *work); /* on a worker thread */
	struct work *next;
};

/* limit: threads at most; 1 keeps the order of the queue. name: for thread names, at most 15
 * characters are used. -EAGAIN: not even one thread can be made; -ENOMEM. */
int workers_new(unsigned limit, const char *name, struct workers **workers);

/* Nothing may be queued; what is running must be about to return. Joins the threads. Takes NULL. */
void workers_free(struct workers *workers);

/* Any thread. Allocates nothing; if no further thread can be started, the work waits for one that
 * there is. */
void workers_queue(struct workers *workers, struct work *work);

/* Takes work back that has not been started. 0: it will not run. -EBUSY: it is running or has run.
 */
int workers_cancel(struct workers *workers, struct work *work);

/* How long a thread waits for work before it ends, 10 s if never set. Any thread; counts for waits
 * that begin later. */
void workers_set_idle_time(struct workers *workers, unsigned milliseconds);
