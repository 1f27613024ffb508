/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces the C library's sendmsg(), by which librados sends. The lock protects the variables
 * below and is not held during a send.
 */
#include "delay-shim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#define PATIENCE_SECONDS 30

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool active;
static char wanted[DELAY_SHIM_BYTES];
static size_t wanted_length;
static unsigned held;
static bool cut;

void delay_shim_hold(int byte)
{
	pthread_mutex_lock(&lock);
	memset(wanted, byte, sizeof(wanted));
	wanted_length = sizeof(wanted);
	active = true;
	pthread_mutex_unlock(&lock);
}

void delay_shim_hold_text(const char *text)
{
	assert_true(strlen(text) < sizeof(wanted));
	pthread_mutex_lock(&lock);
	wanted_length = strlen(text);
	memcpy(wanted, text, wanted_length);
	active = true;
	pthread_mutex_unlock(&lock);
}

void delay_shim_wait(void)
{
	struct timespec until;
	bool found;

	(void) clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_SECONDS;
	pthread_mutex_lock(&lock);
	while (!held && pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until) == 0)
		;
	found = held > 0;
	pthread_mutex_unlock(&lock);
	if (!found)
		fail_msg("no message with these bytes was sent");
}

void delay_shim_release(void)
{
	pthread_mutex_lock(&lock);
	active = false;
	pthread_cond_broadcast(&changed);
	while (held)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void delay_shim_cut(bool off)
{
	pthread_mutex_lock(&lock);
	cut = off;
	pthread_mutex_unlock(&lock);
}

static bool delay_shim_matches(const struct msghdr *message)
{
	for (size_t i = 0; i < message->msg_iovlen; i++)
		if (memmem(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len, wanted,
			   wanted_length))
			return true;
	return false;
}

__attribute__((visibility("default"))) ssize_t sendmsg(
	int fd, const struct msghdr *message, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");

	pthread_mutex_lock(&lock);
	if (active && delay_shim_matches(message)) {
		held++;
		pthread_cond_broadcast(&changed);
		while (active)
			pthread_cond_wait(&changed, &lock);
		held--;
		pthread_cond_broadcast(&changed);
	}
	if (cut) {
		pthread_mutex_unlock(&lock);
		errno = EAGAIN;
		return -1;
	}
	pthread_mutex_unlock(&lock);
	return real(fd, message, flags);
}
