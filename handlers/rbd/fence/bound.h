/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that may block for ever, and a caller that must not. librados and librbd bound most of
 * their calls by the time limits of requests, but not the wait for the newest map of the cluster
 * (rados_wait_for_latest_osdmap(), and rbd_lock_break(), rbd_lock_acquire()
 * and rados_ioctx_create() that use it), nor the watch of an image's header (rbd_open()). Once a
 * client instance has been ended, such a call never returns.
 *
 * So the call runs on another thread. A call that has not returned at its limit is left: its
 * thread goes on, and what it uses must stay until it has returned.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* A call in a hurry gets so much time. */
#define BOUND_HURRY_MS 8000u

struct bound_call {
	/* set by the caller */
	unsigned limit_ms;
	void (*work)(struct bound_call *call); /* the call, on its thread */
	/* Optional: whether the call is in a hurry, as nothing will answer it any more. */
	bool (*hurries)(struct bound_call *call);
	/* The limit has passed; work may be running, and has not returned. Must not block. */
	void (*leave)(struct bound_call *call);
	/* After leave, work has returned. Frees the call. The call's thread. */
	void (*ended)(struct bound_call *call);

	/* private */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, left; /* under lock */
};

/* The length of a step in which limits are counted: time during which the process stands still
 * counts for one step. Tests shorten the steps, and with them all limits. */
extern unsigned bound_step_ms;

/* Runs the call. True: it has returned. False: it was left, and must not be used any more. */
bool bound_run(struct bound_call *call);
