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

/* How many CPUs the daemon's threads may be pinned to. 0: pinning is forbidden, as a sandbox may
 * do. Any thread. */
unsigned thread_cpus(void);

/* Pins a thread to one of them, from 0, or lets it run on all with -1. Threads that it starts by
 * thread_start() are not pinned. tid: 0 is the calling thread. Best effort: a CPU may go away, or
 * others be allowed, at any time. Any thread. */
void thread_set_cpu(pid_t tid, int cpu);
