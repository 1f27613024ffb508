/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an I/O thread waits: for a while awake, where that pays (wait/wait-tuner.h), then in one
 * epoll_wait over uio, the aio engine and the wake-ups of other threads; and how other threads wake
 * it.
 *
 * Everything belongs to the I/O thread but for wait_wake() and wait_interrupt().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "wait/wait-tuner.h"

/* The descriptors that epoll watches. */
enum wait_source {
	WAIT_SOURCE_UIO,
	WAIT_SOURCE_AIO,
	WAIT_SOURCE_WAKE,
};

/* Whether there is something to do. others_only: only whether other threads have left something for
 * this one, not the ring. */
typedef bool wait_has_work(void *userdata, bool others_only);

struct wait {
	int epoll_fd;
	int wake_fd; /* eventfd */
	struct wait_tuner tuner;
	bool timed_out; /* the last sleep */
	wait_has_work *has_work;
	void *userdata;

	/* any thread */
	atomic_bool asleep;
	atomic_int cpu;     /* where the thread is kept, see thread_set_cpu(); -1: anywhere */
	atomic_bool raised; /* the thread's priority, see thread_raise() */
	atomic_int tid;     /* the thread's; valid while it is kept on a CPU or raised */
};

/* busy_poll: percent of a CPU; cpus: how many CPUs the thread may be put on. -errno: wait_destroy()
 * may be called. */
int wait_init(
	struct wait *wait, unsigned busy_poll, unsigned cpus, wait_has_work *has_work,
	void *userdata);

/* Any thread, after the I/O thread has ended. */
void wait_destroy(struct wait *wait);

/* The calling thread is the I/O thread from now on. */
void wait_begin(struct wait *wait);

/* Returns from wait_for_work() when the descriptor is readable. Edge-triggered; the descriptor is
 * never read. -errno. */
int wait_watch(struct wait *wait, int fd, enum wait_source source);

/* Returns when there may be something to do. tuned: waits as was found to pay; else it sleeps, on
 * any CPU and with the daemon's priority. resume: a time by clock_now_ns() at which there is
 * something to do; 0: none. max_ms: how long to sleep at most; -1: any time. Returns true when the
 * kernel's uio device is gone. */
bool wait_for_work(struct wait *wait, bool tuned, uint64_t resume, int max_ms);

/* There was something to do since now, by clock_now_ns(); so many commands were fetched. tuned: as
 * above. */
void wait_note_work(struct wait *wait, bool tuned, unsigned commands, uint64_t now);

/* Wakes the I/O thread if it sleeps. Any thread. */
void wait_wake(struct wait *wait);

/* The same, and the I/O thread may run on any CPU, with the daemon's priority: another user of its
 * CPU must not delay a control request, and a thread that is stuck must not delay others. Any
 * thread. */
void wait_interrupt(struct wait *wait);

/* The I/O thread may run on any CPU again, with the daemon's priority. */
void wait_leave(struct wait *wait);
