/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <linux/prctl.h>
#include <signal.h>
#include <sys/prctl.h>

/* Less than a huge page: the kernel may back an aligned 2 MiB of a larger stack by one at the first touch, which then
 * stays resident for each thread, and in the C library's cache of stacks after its end. */
#define STACK_SIZE ((size_t) 1024 * 1024)

int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t detached;
	int r;

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
