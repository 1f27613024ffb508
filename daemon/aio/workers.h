/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for calls that may block: system calls of the threaded aio engine, and submit
 * of SERIAL and PARALLEL handlers. One pool a device, so that a stuck backend uses up only its own
 * threads. The first thread is there from the start; more start when there is work and none is
 * free, up to the limit, and end after some idle seconds, all but one: so work continues where no
 * more threads can be made.
 */
#pragma once

#include "base/list.h"

struct workers;

/* One piece of work, embedded in the caller's object, queued at most once at a time. */
struct work {
	void (*run)(struct work *work); /* on a worker thread */
	struct list_node node;          /* the pool's while it is queued */
};

/* limit: threads at most; 1 keeps the order of the queue. name: for thread names, at most 15
 * characters are used. -EINVAL: limit 0; -EAGAIN: not even one thread can be made; -ENOMEM. Any
 * thread. */
int workers_new(unsigned limit, const char *name, struct workers **workers);

/* Nothing may be queued; running work must be about to return. Joins the threads. Takes NULL. Not
 * on a worker. */
void workers_free(struct workers *workers);

/* Any thread. Allocates nothing; if no further thread can be started, the work waits for a running
 * one. */
void workers_queue(struct workers *workers, struct work *work);

/* Takes work back that has not been started. 0: it will not run. -EBUSY: it is running or has run.
 * Any thread. */
int workers_cancel(struct workers *workers, struct work *work);

/* How long a thread waits for work before it ends, 10 s if never set. Any thread; counts for waits
 * that begin later. */
void workers_set_idle_time(struct workers *workers, unsigned milliseconds);
