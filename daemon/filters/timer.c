/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/timer.h. */
#include "filters/timer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "filters/filter.h"

struct filter_timer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct filter_hold *first; /* by due */
	bool stop;
};

/* Takes the hold at *link off the list. The caller has the lock. */
static struct filter_hold *hold_take(struct filter_hold **link)
{
	struct filter_hold *hold = *link;

	assert(hold);
	*link = hold->next;
	hold->next = NULL;
	return hold;
}

/* Under the lock, which is released while the thread waits. NULL: stop. */
static struct filter_hold *timer_next(struct filter_timer *timer)
{
	for (;;) {
		uint64_t due = timer->first ? timer->first->due : FILTER_HOLD_FOR_EVER;
		struct timespec at = {
			.tv_sec = (time_t) (due / CLOCK_NS_PER_SEC),
			.tv_nsec = (long) (due % CLOCK_NS_PER_SEC)};

		if (due != FILTER_HOLD_FOR_EVER && clock_now_ns() >= due)
			return hold_take(&timer->first);
		if (timer->stop)
			return NULL;
		if (due == FILTER_HOLD_FOR_EVER)
			pthread_cond_wait(&timer->changed, &timer->lock);
		else
			(void) pthread_cond_clockwait(
				&timer->changed, &timer->lock, CLOCK_MONOTONIC, &at);
	}
}

static void *timer_main(void *arg)
{
	struct filter_timer *timer = arg;
	struct filter_hold *hold;

	thread_set_name("filter-timer");
	pthread_mutex_lock(&timer->lock);
	while ((hold = timer_next(timer))) {
		pthread_mutex_unlock(&timer->lock);
		filter_end(hold->layer, hold->io, hold->error);
		pthread_mutex_lock(&timer->lock);
	}
	pthread_mutex_unlock(&timer->lock);
	return NULL;
}

int filter_timer_new(struct filter_timer **ret)
{
	struct filter_timer *timer = calloc(1, sizeof(*timer));
	int r;

	if (!timer)
		return -ENOMEM;
	pthread_mutex_init(&timer->lock, NULL);
	pthread_cond_init(&timer->changed, NULL);
	r = thread_start(&timer->thread, timer_main, timer);
	if (r < 0) {
		pthread_cond_destroy(&timer->changed);
		pthread_mutex_destroy(&timer->lock);
		free(timer);
		return r;
	}
	*ret = timer;
	return 0;
}

void filter_timer_free(struct filter_timer *timer)
{
	if (!timer)
		return;
	pthread_mutex_lock(&timer->lock);
	assert(!timer->first);
	timer->stop = true;
	pthread_cond_signal(&timer->changed);
	pthread_mutex_unlock(&timer->lock);
	pthread_join(timer->thread, NULL);
	pthread_cond_destroy(&timer->changed);
	pthread_mutex_destroy(&timer->lock);
	free(timer);
}

/* The mark of the cancellation is set before the list is searched, so one of both sees the other.
 */
void filter_hold_start(struct filter_timer *timer, struct filter_hold *hold)
{
	struct filter_hold **link = &timer->first;
	bool cancelled;

	assert(hold->layer && hold->io);
	pthread_mutex_lock(&timer->lock);
	cancelled = filter_is_cancelled(hold->layer, hold->io);
	if (!cancelled) {
		while (*link && (*link)->due <= hold->due)
			link = &(*link)->next;
		hold->next = *link;
		*link = hold;
		if (timer->first == hold)
			pthread_cond_signal(&timer->changed);
	}
	pthread_mutex_unlock(&timer->lock);
	if (cancelled)
		filter_end(hold->layer, hold->io, hold->cancelled_error);
}

void filter_hold_cancel(
	struct filter_timer *timer, const struct filter_layer *layer, const struct tcmu_io *io)
{
	struct filter_hold **link = &timer->first, *hold = NULL;

	pthread_mutex_lock(&timer->lock);
	while (*link && ((*link)->io != io || (*link)->layer != layer))
		link = &(*link)->next;
	if (*link)
		hold = hold_take(link);
	pthread_mutex_unlock(&timer->lock);
	if (hold)
		filter_end(hold->layer, hold->io, hold->cancelled_error);
}
