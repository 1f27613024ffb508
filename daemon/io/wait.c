/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's thread waits: for a while awake, where that pays (io/wait-tuner.h), then in one
 * epoll_wait over uio, the engine and the wake-up of other threads; and how it is woken.
 */
#include "io/thread-private.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "io/xcopy-peer.h"

#define LOOKS      64              /* before the clock is read */
#define YIELD      UINT64_C(50000) /* ns; before others get the processor */
#define RESUME_MAX UINT64_C(60000000000)

/* Tells the processor that we only wait, so that its other half gets more done. */
#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ __volatile__("yield")
#else
#define relax() atomic_signal_fence(memory_order_seq_cst)
#endif

uint64_t loop_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
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
	return atomic_load(&loop->finished) || atomic_load(&loop->has_orders) ||
		loop->ended.first || peer_has_answers(loop->peer) ||
		(command_available(&loop->pool) && peer_has_requests(loop->peer)) ||
		ring_has_more(loop);
}

/* Looks again and again for so many nanoseconds. What only epoll tells waits for no longer than
 * that. */
static bool look(struct loop *loop, uint64_t begin, uint64_t duration)
{
	uint64_t now = begin, yielded = begin;
	bool found = false;

	if (!poll_enter())
		return false;
	while (!found && now - begin < duration) {
		for (unsigned i = 0; i < LOOKS && !found; i++) {
			found = has_work(loop) || (loop->engine && aio_ready(loop->engine));
			relax();
		}
		now = loop_clock();
		/* Whoever else wants this processor comes first. */
		if (!found && now - yielded >= YIELD) {
			sched_yield();
			yielded = now;
		}
	}
	poll_leave();
	poll_spend(&loop->poll, now - begin);
	return found;
}

/* Whether it waits as was found to pay; else it sleeps, wherever that is. */
static bool may_choose(const struct loop *loop)
{
	return loop->setup.busy_poll && loop->mode == LOOP_SERVING;
}

static bool worth_looking(struct loop *loop)
{
	uint64_t now, duration;

	if (!may_choose(loop) || loop->resume)
		return false;
	now = loop_clock();
	duration = poll_idle(&loop->poll, now);
	return duration && look(loop, now, duration);
}

/* Milliseconds until the limits allow more, rounded up; -1: nothing waits for that. */
static int time_to_resume(const struct loop *loop)
{
	uint64_t now;

	if (!loop->resume)
		return -1;
	now = loop_clock();
	if (loop->resume <= now)
		return 0;
	return loop->resume - now < RESUME_MAX ? (int) ((loop->resume - now + 999999) / 1000000)
					       : 60000;
}

/* Waits for so long, or until another thread wakes us. What it wrote to wake_fd before is nobody's
 * to read, and is read only when it keeps us from waiting. */
static void wait_for_others(struct loop *loop, uint64_t ns)
{
	struct timespec time = {.tv_nsec = (long) ns};
	struct pollfd wake = {.fd = loop->wake_fd, .events = POLLIN};
	uint64_t count;

	atomic_store(&loop->asleep, true);
	if (!atomic_load(&loop->has_orders) && !atomic_load(&loop->finished) &&
	    ppoll(&wake, 1, &time, NULL) > 0 && atomic_load(&loop->asleep) &&
	    read(loop->wake_fd, &count, sizeof(count)) > 0 && atomic_load(&loop->asleep))
		(void) ppoll(&wake, 1, &time, NULL);
	atomic_store(&loop->asleep, false);
}

/* Lets more commands come, where that was found to pay. */
static void rest(struct loop *loop)
{
	uint64_t ns = may_choose(loop) ? poll_woken(&loop->poll) : 0;

	if (ns)
		wait_for_others(loop, ns);
}

/* Sleeps on the processor that was found to pay, or may be on any. */
static void take_place(struct loop *loop)
{
	int place = may_choose(loop) ? poll_place(&loop->poll) : -1;

	if (place == atomic_load_explicit(&loop->place, memory_order_relaxed))
		return;
	atomic_store(&loop->place, place);
	thread_set_place(0, place);
}

void loop_waited(struct loop *loop, unsigned commands)
{
	if (poll_was_idle(&loop->poll))
		poll_busy(&loop->poll, loop_clock());
	if (poll_work(&loop->poll, commands) && may_choose(loop)) {
		poll_pressed(&loop->poll, loop_clock());
		take_place(loop);
	}
}

void loop_leave_place(struct loop *loop)
{
	if (atomic_load(&loop->place) >= 0)
		thread_set_place(atomic_load(&loop->tid), -1);
}

void loop_wait(struct loop *loop)
{
	struct epoll_event events[4];
	int n;

	if (worth_looking(loop))
		return;
	take_place(loop);
	atomic_store(&loop->asleep, true);
	if (has_work(loop)) {
		atomic_store(&loop->asleep, false);
		return;
	}
	n = epoll_wait(loop->epoll_fd, events, 4, time_to_resume(loop));
	atomic_store(&loop->asleep, false);
	if (n == 1 && events[0].data.u32 == WAKE_UIO && !tcmu_uio_revents_gone(events[0].events))
		rest(loop);
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
