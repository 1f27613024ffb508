/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How every thread of the daemon but the main one is started: with all signals blocked, so that
 * they are the main loop's alone.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

/* Runs main(arg) on a new thread. thread: where its id goes, to be joined; NULL: it is detached.
 * Returns 0 or the negative errno, -EAGAIN when no thread can be made. */
int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg);

/* The calling thread's name as the system shows it; at most 15 characters are used. */
void thread_set_name(const char *name);

/* The calling thread does I/O that the kernel may need in order to find memory (a backing file
 * system that writes back through us): its allocations must not wait for such I/O. Not permitted:
 * nothing is lost but that. */
void thread_set_io_flusher(void);

/* How many processors the daemon's threads may be put on; 0: on none, which a sandbox may forbid.
 */
unsigned thread_cpus(void);

/* Puts a thread on one of them, from 0, or with -1 on all; those that it starts by thread_start()
 * are not put there. tid: 0 is the calling one. Best effort: a processor may go away, or others be
 * allowed, at any time. */
void thread_set_cpu(pid_t tid, int place);
