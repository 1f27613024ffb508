/* SPDX-License-Identifier: Apache-2.0 */
/* See busy-poll.h. */
#include "busy-poll.h"

#include <sched.h>
#include <stdatomic.h>

#define LOOK_MAX   UINT64_C(500000)    /* ns; who waits for longer sleeps */
#define LOOK_MORE  UINT64_C(10000)     /* than the usual, ns */
#define GAP_LONG   (4 * LOOK_MAX)      /* longer ones count as this */
#define CREDIT_MAX UINT64_C(100000000) /* ns of which the percentage can be saved */
#define BATCH_ONE  8u
#define BATCH_MANY (4 * BATCH_ONE) /* a wake-up for so many is cheap enough */

static atomic_uint looking;
static atomic_uint limit; /* 0: not known yet */

void poll_init(struct poll *poll, unsigned percent)
{
	*poll = (struct poll){.percent = percent, .gap = GAP_LONG, .batch = BATCH_ONE};
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void give_credit(struct poll *poll, uint64_t now)
{
	uint64_t passed = smaller(now - poll->counted, CREDIT_MAX);

	if (poll->counted)
		poll->credit = smaller(
			poll->credit + passed * poll->percent / 100, CREDIT_MAX * poll->percent / 100);
	poll->counted = now;
}

uint64_t poll_idle(struct poll *poll, uint64_t now)
{
	uint64_t look;

	/* Woken for nothing. */
	if (poll->since)
		return 0;
	poll->since = now;
	poll->batch = (3 * poll->batch + BATCH_ONE * poll->work) / 4;
	poll->work = 0;
	give_credit(poll, now);
	if (poll->gap > LOOK_MAX || poll->batch >= BATCH_MANY)
		return 0;
	look = smaller(2 * poll->gap + LOOK_MORE, LOOK_MAX);
	return look <= poll->credit ? look : 0;
}

void poll_spend(struct poll *poll, uint64_t spent)
{
	poll->credit -= smaller(poll->credit, spent);
}

/* Longer times are learned faster, so that little is spent on a device that falls idle. */
void poll_busy(struct poll *poll, uint64_t now)
{
	uint64_t gap = smaller(now - poll->since, GAP_LONG);

	poll->since = 0;
	if (gap > poll->gap)
		poll->gap += (gap - poll->gap) / 2;
	else
		poll->gap -= (poll->gap - gap) / 4;
}

/* The processors may change; what was true when the first device was opened is near enough. */
static unsigned looking_max(void)
{
	unsigned max = atomic_load_explicit(&limit, memory_order_relaxed);
	cpu_set_t set;

	if (max)
		return max - 1;
	max = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned) CPU_COUNT(&set) / 2 : 1;
	atomic_store_explicit(&limit, max + 1, memory_order_relaxed);
	return max;
}

bool poll_enter(void)
{
	if (atomic_fetch_add_explicit(&looking, 1, memory_order_relaxed) < looking_max())
		return true;
	poll_leave();
	return false;
}

void poll_leave(void)
{
	atomic_fetch_sub_explicit(&looking, 1, memory_order_relaxed);
}
