/* SPDX-License-Identifier: Apache-2.0 */
/* See busy-poll.h. */
#include "busy-poll.h"

#include <sched.h>
#include <stdatomic.h>

#define LOOK_MAX      UINT64_C(2000000)    /* ns; who waits for longer sleeps */
#define LOOK_MORE     UINT64_C(10000)      /* than the usual, ns */
#define GAP_LONG      (4 * LOOK_MAX)       /* longer ones count as this */
#define CREDIT_MAX    UINT64_C(100000000)  /* ns of which the percentage can be saved */
#define LULL          UINT64_C(50000000)   /* ns; what was before says nothing about what comes after it */
#define TURNS         8u                   /* of a trial: every other one looks */
#define TURN_COMMANDS 32u                  /* of a turn, at least */
#define TURN_MIN      UINT64_C(2000000)    /* ns */
#define GAIN_PERCENT  115                  /* that make it worth a processor's time */
#define PATIENCE_MIN  UINT64_C(250000000)  /* ns */
#define PATIENCE_MAX  UINT64_C(8000000000) /* ns */

static atomic_uint looking;
static atomic_uint limit; /* 0: not known yet */

static void begin_trial(struct poll *poll)
{
	poll->turns = TURNS;
	poll->looks = false;
	poll->begin = 0;
	poll->tally[false] = poll->tally[true] = (struct poll_tally){0};
}

void poll_init(struct poll *poll, unsigned percent)
{
	*poll = (struct poll){.percent = percent, .gap = GAP_LONG, .patience = PATIENCE_MIN};
	begin_trial(poll);
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

static void settle(struct poll *poll, uint64_t now)
{
	const struct poll_tally *asleep = &poll->tally[false], *awake = &poll->tally[true];
	bool pays = awake->commands * asleep->duration * 100 >=
		asleep->commands * awake->duration * GAIN_PERCENT;

	/* What is found again and again is tried less often. */
	poll->patience = pays == poll->found ? smaller(2 * poll->patience, PATIENCE_MAX) : PATIENCE_MIN;
	poll->found = poll->looks = pays;
	poll->settled = now + poll->patience;
}

static void take_turns(struct poll *poll, uint64_t now)
{
	struct poll_tally *tally = &poll->tally[poll->looks];

	if (!poll->turns) {
		if (now >= poll->settled)
			begin_trial(poll);
		return;
	}
	if (!poll->begin) {
		poll->begin = now;
		poll->commands = 0;
		return;
	}
	if (poll->commands < TURN_COMMANDS || now - poll->begin < TURN_MIN)
		return;
	tally->commands += poll->commands;
	tally->duration += now - poll->begin;
	poll->begin = now;
	poll->commands = 0;
	poll->looks = !poll->looks;
	if (--poll->turns == 0)
		settle(poll, now);
}

uint64_t poll_idle(struct poll *poll, uint64_t now)
{
	uint64_t look;

	/* Woken for nothing. */
	if (poll->since)
		return 0;
	poll->since = now;
	take_turns(poll, now);
	give_credit(poll, now);
	if (!poll->looks || poll->gap > LOOK_MAX)
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
	uint64_t pause = now - poll->since, gap = smaller(pause, GAP_LONG);

	if (pause >= LULL)
		begin_trial(poll);
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
