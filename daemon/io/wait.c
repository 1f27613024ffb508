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

uint64_t wait_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static bool ring_has_more(struct io_thread *thread)
{
	bool more;

	pthread_mutex_lock(&thread->ring_lock);
	more = thread->mode == IO_THREAD_SERVING && thread->attached &&
		(thread->stale
			 ? io_thread_is_empty(thread)
			 : command_available(&thread->pool) && tcmu_ring_pending(&thread->ring));
	pthread_mutex_unlock(&thread->ring_lock);
	return more;
}

static bool has_work(struct io_thread *thread)
{
	return atomic_load(&thread->finished) || atomic_load(&thread->has_control) ||
		thread->ended.first || xcopy_peer_has_answers(thread->peer) ||
		(command_available(&thread->pool) && xcopy_peer_has_requests(thread->peer)) ||
		ring_has_more(thread);
}

/* Looks again and again for so many nanoseconds. What only epoll tells waits for no longer than
 * that. */
static bool look(struct io_thread *thread, uint64_t begin, uint64_t duration)
{
	uint64_t now = begin, yielded = begin;
	bool found = false;

	if (!wait_tuner_enter())
		return false;
	while (!found && now - begin < duration) {
		for (unsigned i = 0; i < LOOKS && !found; i++) {
			found = has_work(thread) || (thread->engine && aio_ready(thread->engine));
			relax();
		}
		now = wait_clock();
		/* Whoever else wants this processor comes first. */
		if (!found && now - yielded >= YIELD) {
			sched_yield();
			yielded = now;
		}
	}
	wait_tuner_leave();
	wait_tuner_spend(&thread->tuner, now - begin);
	return found;
}

/* Whether it waits as was found to pay; else it sleeps, wherever that is. */
static bool may_choose(const struct io_thread *thread)
{
	return thread->setup.busy_poll && thread->mode == IO_THREAD_SERVING;
}

static bool worth_looking(struct io_thread *thread)
{
	uint64_t now, duration;

	if (!may_choose(thread) || thread->resume)
		return false;
	now = wait_clock();
	duration = wait_tuner_idle(&thread->tuner, now);
	return duration && look(thread, now, duration);
}

/* Milliseconds until the limits allow more, rounded up; -1: nothing waits for that. */
static int time_to_resume(const struct io_thread *thread)
{
	uint64_t now;

	if (!thread->resume)
		return -1;
	now = wait_clock();
	if (thread->resume <= now)
		return 0;
	return thread->resume - now < RESUME_MAX ? (int) ((thread->resume - now + 999999) / 1000000)
						 : 60000;
}

/* Waits for so long, or until another thread wakes us. What it wrote to wake_fd before is nobody's
 * to read, and is read only when it keeps us from waiting. */
static void wait_for_others(struct io_thread *thread, uint64_t ns)
{
	struct timespec time = {.tv_nsec = (long) ns};
	struct pollfd wake = {.fd = thread->wake_fd, .events = POLLIN};
	uint64_t count;

	atomic_store(&thread->asleep, true);
	if (!atomic_load(&thread->has_control) && !atomic_load(&thread->finished) &&
	    ppoll(&wake, 1, &time, NULL) > 0 && atomic_load(&thread->asleep) &&
	    read(thread->wake_fd, &count, sizeof(count)) > 0 && atomic_load(&thread->asleep))
		(void) ppoll(&wake, 1, &time, NULL);
	atomic_store(&thread->asleep, false);
}

/* Lets more commands come, where that was found to pay. */
static void rest(struct io_thread *thread)
{
	uint64_t ns = may_choose(thread) ? wait_tuner_woken(&thread->tuner) : 0;

	if (ns)
		wait_for_others(thread, ns);
}

/* Sleeps on the processor that was found to pay, or may be on any. */
static void take_place(struct io_thread *thread)
{
	int cpu = may_choose(thread) ? wait_tuner_cpu(&thread->tuner) : -1;

	if (cpu == atomic_load_explicit(&thread->cpu, memory_order_relaxed))
		return;
	atomic_store(&thread->cpu, cpu);
	thread_set_cpu(0, cpu);
}

void wait_ended(struct io_thread *thread, unsigned commands)
{
	if (wait_tuner_was_idle(&thread->tuner))
		wait_tuner_busy(&thread->tuner, wait_clock());
	if (wait_tuner_work(&thread->tuner, commands) && may_choose(thread)) {
		wait_tuner_pressed(&thread->tuner, wait_clock());
		take_place(thread);
	}
}

void io_thread_leave_cpu(struct io_thread *thread)
{
	if (atomic_load(&thread->cpu) >= 0)
		thread_set_cpu(atomic_load(&thread->tid), -1);
}

void wait_for_work(struct io_thread *thread)
{
	struct epoll_event events[4];
	int n;

	if (worth_looking(thread))
		return;
	take_place(thread);
	atomic_store(&thread->asleep, true);
	if (has_work(thread)) {
		atomic_store(&thread->asleep, false);
		return;
	}
	n = epoll_wait(thread->epoll_fd, events, 4, time_to_resume(thread));
	atomic_store(&thread->asleep, false);
	if (n == 1 && events[0].data.u32 == WAKE_UIO && !tcmu_uio_revents_gone(events[0].events))
		rest(thread);
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 == WAKE_UIO && tcmu_uio_revents_gone(events[i].events))
			io_thread_unregistered(thread);
}

void io_thread_wake(struct io_thread *thread)
{
	uint64_t one = 1;

	if (atomic_exchange(&thread->asleep, false)) {
		ssize_t r = write(thread->wake_fd, &one, sizeof(one));

		assert(r == (ssize_t) sizeof(one) || errno == EAGAIN);
	}
}
