/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of all threads but the main one: signals are blocked, so that only the event loop gets
 * them. And the names and CPUs of threads.
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

/* The number of CPUs for thread_set_cpu(). 0: a sandbox forbids setting the affinity. Any thread.
 */
unsigned thread_cpus(void);

/* Binds a thread to one of those CPUs, counted from 0; -1: to all. tid: 0 is the calling thread.
 * Threads that it starts by thread_start() are not bound. Any thread. Best effort: a CPU may go
 * offline, and the allowed CPUs may change. */
void thread_set_cpu(pid_t tid, int cpu);
