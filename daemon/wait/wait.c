/* SPDX-License-Identifier: Apache-2.0 */
/* See wait/wait.h. */
#include "wait/wait.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <tcmu/uio.h>

#include "base/clock.h"
#include "base/thread.h"

#define CHECKS        64                      /* before the clock is read */
#define YIELD_NS      (50 * CLOCK_NS_PER_US)  /* before other threads get the CPU */
#define RESUME_MAX_NS (60 * CLOCK_NS_PER_SEC) /* of one sleep */

/* A hint to the CPU that we only wait: its other half gets more done. */
#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ __volatile__("yield")
#else
#define cpu_relax() atomic_signal_fence(memory_order_seq_cst)
#endif

int wait_init(
	struct wait *wait, unsigned busy_poll, unsigned cpus, wait_has_work *has_work,
	void *userdata)
{
	assert(has_work);
	wait_tuner_init(&wait->tuner, busy_poll, cpus);
	wait->has_work = has_work;
	wait->userdata = userdata;
	atomic_init(&wait->cpu, -1);
	wait->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	wait->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wait->epoll_fd < 0 || wait->wake_fd < 0)
		return -errno;
	return wait_watch(wait, wait->wake_fd, WAIT_SOURCE_WAKE);
}

void wait_destroy(struct wait *wait)
{
	assert(!atomic_load(&wait->asleep));
	if (wait->epoll_fd >= 0)
		close(wait->epoll_fd);
	if (wait->wake_fd >= 0)
		close(wait->wake_fd);
}

void wait_begin(struct wait *wait)
{
	assert(atomic_load(&wait->tid) == 0);
	atomic_store(&wait->tid, gettid());
	/* A thread that may not be put on a CPU is left alone. */
	if (wait->tuner.cpus && thread_raise(0, true) == 0 && thread_raise(0, false) == 0)
		wait_tuner_permit_raise(&wait->tuner);
}

int wait_watch(struct wait *wait, int fd, enum wait_source source)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = source};

	assert(fd >= 0);
	return epoll_ctl(wait->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ------- awake ------- */

/* Checks again and again for so many nanoseconds. The kernel's device may go meanwhile: epoll
 * reports that afterwards. */
static bool wait_spin(struct wait *wait, uint64_t begin, uint64_t duration)
{
	uint64_t now = begin, yielded = begin;
	bool found = false;

	assert(duration);
	if (!wait_tuner_enter())
		return false;
	while (!found && now >= begin && now - begin < duration) {
		for (unsigned i = 0; i < CHECKS && !found; i++) {
			found = wait->has_work(wait->userdata, false);
			cpu_relax();
		}
		now = clock_now_ns();
		if (!found && clock_since(now, yielded) >= YIELD_NS) {
			sched_yield();
			yielded = now;
		}
	}
	wait_tuner_leave();
	wait_tuner_spend(&wait->tuner, clock_since(now, begin));
	return found;
}

static bool wait_spin_if_it_pays(struct wait *wait)
{
	uint64_t now = clock_now_ns();
	uint64_t duration = wait_tuner_idle(&wait->tuner, now);

	return duration && wait_spin(wait, now, duration);
}

/* ------- asleep ------- */

/* Milliseconds until the time, rounded up; -1: there is none. */
static int wait_timeout(uint64_t resume)
{
	uint64_t now, left;

	if (!resume)
		return -1;
	now = clock_now_ns();
	left = resume > now ? resume - now : 0;
	if (left > RESUME_MAX_NS)
		left = RESUME_MAX_NS;
	return (int) ((left + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS);
}

/* Waits for so long, or until another thread wakes us. A count that an earlier wake-up left in
 * wake_fd is read only when it keeps us from waiting. */
static void wait_coalesce(struct wait *wait, uint64_t ns)
{
	struct timespec time = {.tv_nsec = (long) ns};
	struct pollfd wake = {.fd = wait->wake_fd, .events = POLLIN};
	uint64_t count;

	assert(ns < CLOCK_NS_PER_SEC);
	atomic_store(&wait->asleep, true);
	if (!wait->has_work(wait->userdata, true) && ppoll(&wake, 1, &time, NULL) > 0 &&
	    atomic_load(&wait->asleep) && read(wait->wake_fd, &count, sizeof(count)) > 0 &&
	    atomic_load(&wait->asleep))
		(void) ppoll(&wake, 1, &time, NULL);
	atomic_store(&wait->asleep, false);
}

/* On the CPU that was found to pay, or on any; and with the priority that was. */
static void wait_apply_tuning(struct wait *wait, bool tuned)
{
	int cpu = tuned ? wait_tuner_cpu(&wait->tuner) : -1;
	bool raised = tuned && wait_tuner_raised(&wait->tuner);

	if (cpu != atomic_load_explicit(&wait->cpu, memory_order_relaxed)) {
		atomic_store(&wait->cpu, cpu);
		thread_set_cpu(0, cpu);
	}
	if (raised != atomic_load_explicit(&wait->raised, memory_order_relaxed)) {
		atomic_store(&wait->raised, raised);
		(void) thread_raise(0, raised);
	}
}

bool wait_for_work(struct wait *wait, bool tuned, uint64_t resume, int max_ms)
{
	struct epoll_event events[4];
	uint64_t delay = 0;
	int ms, n;

	assert(!atomic_load_explicit(&wait->asleep, memory_order_relaxed));
	if (tuned && !resume && wait_spin_if_it_pays(wait))
		return false;
	wait_apply_tuning(wait, tuned);
	atomic_store(&wait->asleep, true);
	if (wait->has_work(wait->userdata, false)) {
		atomic_store(&wait->asleep, false);
		return false;
	}
	ms = wait_timeout(resume);
	if (max_ms >= 0 && (ms < 0 || ms > max_ms))
		ms = max_ms;
	n = epoll_wait(wait->epoll_fd, events, 4, ms);
	wait->timed_out = n == 0;
	atomic_store(&wait->asleep, false);
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 == WAIT_SOURCE_UIO &&
		    tcmu_uio_revents_gone(events[i].events))
			return true;
	/* Only the ring has something: more commands may come together with these. */
	if (tuned && n == 1 && events[0].data.u32 == WAIT_SOURCE_UIO)
		delay = wait_tuner_woken(&wait->tuner);
	if (delay)
		wait_coalesce(wait, delay);
	return false;
}

void wait_note_work(struct wait *wait, bool tuned, unsigned commands, uint64_t now)
{
	if (wait_tuner_was_idle(&wait->tuner))
		wait_tuner_busy(&wait->tuner, now);
	if (wait_tuner_work(&wait->tuner, commands) && tuned) {
		wait_tuner_pressed(&wait->tuner, now);
		wait_apply_tuning(wait, tuned);
	}
}

/* ------- any thread ------- */

void wait_wake(struct wait *wait)
{
	uint64_t one = 1;

	if (atomic_exchange(&wait->asleep, false)) {
		ssize_t r = write(wait->wake_fd, &one, sizeof(one));

		assert(r == (ssize_t) sizeof(one) || errno == EAGAIN);
	}
}

void wait_interrupt(struct wait *wait)
{
	if (atomic_load(&wait->cpu) >= 0)
		thread_set_cpu(atomic_load(&wait->tid), -1);
	if (atomic_load(&wait->raised))
		(void) thread_raise(atomic_load(&wait->tid), false);
	wait_wake(wait);
}

/* Another thread may have done so already. */
void wait_leave(struct wait *wait)
{
	assert(atomic_load(&wait->tid) == gettid());
	if (atomic_exchange(&wait->cpu, -1) >= 0)
		thread_set_cpu(0, -1);
	if (atomic_exchange(&wait->raised, false))
		(void) thread_raise(0, false);
}
