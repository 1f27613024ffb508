/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Less than a huge page: the kernel may back an aligned 2 MiB of a larger stack by one at the first
 * touch, which then stays resident for each thread, and in the C library's cache of stacks after
 * its end. */
#define STACK_SIZE ((size_t) 1024 * 1024)

static __thread bool placed;

int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t detached;
	int r;

	/* It would be inherited. */
	if (placed)
		thread_set_cpu(0, -1);
	r = pthread_attr_init(&attributes);
	if (r)
		return -r;
	(void) pthread_attr_setstacksize(&attributes, STACK_SIZE);
	if (!thread) {
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		thread = &detached;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(thread, &attributes, main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

void thread_set_name(const char *name)
{
	(void) prctl(PR_SET_NAME, name, 0, 0, 0);
}

void thread_set_io_flusher(void)
{
	(void) prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

/* The main thread is never put anywhere by us: where it may run, all may. */
static bool all_places(cpu_set_t *set)
{
	return sched_getaffinity(getpid(), sizeof(*set), set) == 0;
}

unsigned thread_cpus(void)
{
	cpu_set_t set;

	/* Where a thread may not even be let stay where it is, none can be put anywhere. */
	if (!all_places(&set) || sched_setaffinity(getpid(), sizeof(set), &set) < 0)
		return 0;
	return (unsigned) CPU_COUNT(&set);
}

void thread_set_cpu(pid_t tid, int place)
{
	cpu_set_t all, one;
	int cpu = -1;

	if (tid == 0)
		placed = place >= 0;
	if (!all_places(&all))
		return;
	while (place >= 0 && ++cpu < CPU_SETSIZE)
		place -= CPU_ISSET(cpu, &all) ? 1 : 0;
	CPU_ZERO(&one);
	if (cpu >= 0 && cpu < CPU_SETSIZE)
		CPU_SET(cpu, &one);
	else
		one = all;
	/* Where the system does not want it, it is only slower. */
	(void) sched_setaffinity(tid, sizeof(one), &one);
}
