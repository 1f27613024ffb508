/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Less than a huge page: the kernel may back an aligned 2 MiB of a larger stack by one at the first
 * touch. It would then stay resident for each thread, and in the C library's cache of stacks. */
#define STACK_SIZE    ((size_t) 1024 * 1024)

#define NICE_HIGHEST  (-20)
#define RESET_ON_FORK 0x01 /* of sched_setattr(2): what the thread starts is not raised */

/* Of sched_setattr(2). The headers of the C library and of the kernel declare it in different
 * versions, and together with other things twice. */
struct scheduling {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

/* Whether the calling thread was put on one CPU. */
static __thread bool pinned;

int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t detached;
	int r;

	/* The new thread would inherit the affinity. */
	if (pinned)
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
	/* Those of a crash come to the thread that crashes: blocked, they could not be handled. */
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigdelset(&all, crashes[i]);
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

/* The daemon never pins the main thread: all threads may run where it may. */
static bool thread_allowed_cpus(cpu_set_t *set)
{
	return sched_getaffinity(getpid(), sizeof(*set), set) == 0;
}

unsigned thread_cpus(void)
{
	cpu_set_t set;

	/* If setting our current mask fails, affinity is forbidden. */
	if (!thread_allowed_cpus(&set) || sched_setaffinity(getpid(), sizeof(set), &set) < 0)
		return 0;
	return (unsigned) CPU_COUNT(&set);
}

void thread_set_cpu(pid_t tid, int cpu)
{
	cpu_set_t all, one;
	int number = -1; /* the system's */

	if (tid == 0)
		pinned = cpu >= 0;
	if (!thread_allowed_cpus(&all))
		return;
	while (cpu >= 0 && ++number < CPU_SETSIZE)
		cpu -= CPU_ISSET(number, &all) ? 1 : 0;
	CPU_ZERO(&one);
	if (number >= 0 && number < CPU_SETSIZE)
		CPU_SET(number, &one);
	else
		one = all;
	/* Where the system forbids it, the thread is only slower. */
	(void) sched_setaffinity(tid, sizeof(one), &one);
}

/* The daemon never changes the main thread's priority. */
int thread_raise(pid_t tid, bool raised)
{
	struct scheduling attributes = {
		.size = sizeof(attributes), .policy = SCHED_OTHER, .flags = RESET_ON_FORK};

	if (sched_getscheduler(getpid()) != SCHED_OTHER)
		return -ENOTSUP;
	attributes.nice = getpriority(PRIO_PROCESS, (id_t) getpid());
	if (attributes.nice == NICE_HIGHEST)
		return -EALREADY;
	if (raised)
		attributes.nice = NICE_HIGHEST;
	return syscall(SYS_sched_setattr, tid, &attributes, 0) < 0 ? -errno : 0;
}
