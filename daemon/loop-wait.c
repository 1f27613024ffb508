/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's thread waits: for a while awake, where that pays (busy-poll.h), then in one epoll_wait over uio, the
 * engine and the wake-up of other threads; and how it is woken.
 */
#include "loop-private.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define LOOKS 64 /* before others get the processor */

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

void loop_waited(struct loop *loop, unsigned commands)
{
	if (poll_was_idle(&loop->poll))
		poll_busy(&loop->poll, monotonic_ns());
	poll_work(&loop->poll, commands);
}

static bool ring_has_more(struct loop *loop)
{
	bool more;

	pthread_mutex_lock(&loop->gate);
	more = loop->mode == LOOP_SERVING && loop->attached &&
		(loop->stale ? loop_is_empty(loop)
			     : command_available(&loop->pool) && tcmu_ring_pending(&loop->ring));
	pthread_mutex_unlock(&loop->gate);
	return more;
}

static bool has_work(struct loop *loop)
{
	return atomic_load(&loop->finished) || atomic_load(&loop->has_orders) || loop->ended.first ||
		peer_has_answers(loop->peer) ||
		(command_available(&loop->pool) && peer_has_requests(loop->peer)) || ring_has_more(loop);
}

/* Looks again and again for so many nanoseconds. What only epoll tells waits for no longer than that. */
static bool look(struct loop *loop, uint64_t begin, uint64_t duration)
{
	uint64_t now = begin;
	bool found = false;

	if (!poll_enter())
		return false;
	while (!found && now - begin < duration) {
		for (unsigned i = 0; i < LOOKS && !found; i++)
			found = has_work(loop) || (loop->engine && aio_ready(loop->engine));
		/* Whoever else wants this processor comes first. */
		if (!found)
			sched_yield();
		now = monotonic_ns();
	}
	poll_leave();
	poll_spend(&loop->poll, now - begin);
	return found;
}

static bool worth_looking(struct loop *loop)
{
	uint64_t now, duration;

	if (!loop->setup.busy_poll || loop->mode != LOOP_SERVING)
		return false;
	now = monotonic_ns();
	duration = poll_idle(&loop->poll, now);
	return duration && look(loop, now, duration);
}

void loop_wait(struct loop *loop)
{
	struct epoll_event events[4];
	int n;

	if (worth_looking(loop))
		return;
	atomic_store(&loop->asleep, true);
	if (has_work(loop)) {
		atomic_store(&loop->asleep, false);
		return;
	}
	n = epoll_wait(loop->epoll_fd, events, 4, -1);
	atomic_store(&loop->asleep, false);
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 == WAKE_UIO && tcmu_uio_revents_gone(events[i].events))
			loop_unregistered(loop);
}

void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	if (atomic_exchange(&loop->asleep, false)) {
		ssize_t r = write(loop->wake_fd, &one, sizeof(one));

		assert(r == (ssize_t) sizeof(one) || errno == EAGAIN);
	}
}
