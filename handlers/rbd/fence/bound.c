/* SPDX-License-Identifier: Apache-2.0 */
/* See bound.h. */
#include "bound.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define STEP_MS 250u

unsigned bound_step_ms = STEP_MS;

static void *bound_main(void *arg)
{
	struct bound_call *call = arg;
	bool left;

	call->work(call);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	left = call->left;
	pthread_cond_signal(&call->changed);
	pthread_mutex_unlock(&call->lock);
	if (left) {
		pthread_cond_destroy(&call->changed);
		pthread_mutex_destroy(&call->lock);
		call->ended(call);
	}
	return NULL;
}

/* call->lock is held. Whether a whole step has passed. */
static bool bound_wait_step(struct bound_call *call)
{
	struct timespec until;

	(void) clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long) bound_step_ms * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	return pthread_cond_clockwait(&call->changed, &call->lock, CLOCK_MONOTONIC, &until) ==
		ETIMEDOUT;
}

/* call->lock is held. */
static void bound_wait(struct bound_call *call)
{
	unsigned waited = 0, hurried = 0;

	while (!call->done && waited < call->limit_ms && hurried < BOUND_HURRY_MS) {
		if (!bound_wait_step(call))
			continue;
		waited += STEP_MS;
		if (call->hurries && call->hurries(call))
			hurried += STEP_MS;
	}
}

bool bound_run(struct bound_call *call)
{
	pthread_t thread;
	bool done;

	assert(call->work && call->leave && call->ended && call->limit_ms);
	call->done = call->left = false;
	pthread_mutex_init(&call->lock, NULL);
	pthread_cond_init(&call->changed, NULL);
	/* Without a thread nothing bounds it. */
	if (pthread_create(&thread, NULL, bound_main, call) != 0) {
		call->work(call);
		return true;
	}
	pthread_mutex_lock(&call->lock);
	bound_wait(call);
	done = call->done;
	if (!done) {
		call->leave(call);
		call->left = true;
	}
	pthread_mutex_unlock(&call->lock);
	if (!done) {
		(void) pthread_detach(thread);
		return false;
	}
	(void) pthread_join(thread, NULL);
	pthread_cond_destroy(&call->changed);
	pthread_mutex_destroy(&call->lock);
	return true;
}
