/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of all threads but the main one: signals are blocked, so that only the event loop gets
 * them; those of a crash are not. And the names, CPUs and priorities of threads.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

/* Whether the calling thread is the main thread. A system call: for the control side only. */
static inline bool thread_is_main(void)
{
	return gettid() == getpid();
}

/* Runs main(arg) on a new thread. *thread: its id, to be joined; NULL: it is detached. 0, or
 * -errno: -EAGAIN: no thread can be started. Any thread. */
int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg);

/* Sets the calling thread's name, as ps shows it; cut at 15 characters. */
void thread_set_name(const char *name);

/* Marks the calling thread, and the threads it starts, as I/O that the kernel may need to free
 * memory: a backing file system may need us to write back. Its allocations do not wait for such I/O
 * then. Without the permission nothing happens. */
void thread_set_io_flusher(void);

/* How many CPUs the daemon's threads may be pinned to. 0: pinning is forbidden, as a sandbox may
 * do. Any thread. */
unsigned thread_cpus(void);

/* Pins a thread to one of them, from 0, or lets it run on all with -1. Threads that it starts by
 * thread_start() are not pinned. tid: 0 is the calling thread. Best effort: a CPU may go away, or
 * others be allowed, at any time. Any thread. */
void thread_set_cpu(pid_t tid, int cpu);

/* Gives a thread the highest priority of the scheduler's normal policy (nice -20), or the one that
 * the daemon has. Threads that a raised one starts have nice 0. tid: 0 is the calling thread.
 * -errno: the system forbids it, the daemon has the highest one itself (-EALREADY), or another
 * policy (-ENOTSUP). Any thread. */
int thread_raise(pid_t tid, bool raised);
