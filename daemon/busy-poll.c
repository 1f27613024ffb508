/* SPDX-License-Identifier: Apache-2.0 */
/* See busy-poll.h. */
#include "busy-poll.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define LOOK_MAX      UINT64_C(2000000)    /* ns; who waits for longer sleeps */
#define LOOK_MORE     UINT64_C(10000)      /* than the usual, ns */
#define GAP_LONG      (4 * LOOK_MAX)       /* longer ones count as this */
#define CREDIT_MAX    UINT64_C(100000000)  /* ns of which the percentage can be saved */
#define LULL          UINT64_C(50000000)   /* ns; what was before says nothing about what comes after it */
#define TURNS         (3 * POLL_WAYS)      /* of a trial */
#define TURN_COMMANDS 40u                  /* of a turn, at least */
#define TURN_MIN      UINT64_C(2000000)    /* ns */
#define REST_COMMANDS 4u                   /* that would come meanwhile */
#define REST_MAX      UINT64_C(2000000)    /* ns; whose commands come so seldom is not made to wait */
#define LOOK_GAIN     115                  /* percent that make it worth a processor's time */
#define REST_GAIN     108                  /* percent that make it worth the delay of each command */
#define PATIENCE_MIN  UINT64_C(250000000)  /* ns */
#define PATIENCE_MAX  UINT64_C(8000000000) /* ns */

static atomic_uint looking;
static atomic_uint limit; /* 0: not known yet */

static void begin_trial(struct poll *poll)
{
	poll->turns = TURNS;
	poll->way = POLL_SLEEP;
	poll->begin = 0;
	memset(poll->tally, 0, sizeof(poll->tally));
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

/* Whether this way serves so many percent of what that one serves, or more. */
static bool serves(const struct poll *poll, enum poll_way way, enum poll_way other, unsigned percent)
{
	const struct poll_tally *a = &poll->tally[way], *b = &poll->tally[other];

	return a->commands * b->duration * 100 >= b->commands * a->duration * percent;
}

static void settle(struct poll *poll, uint64_t now)
{
	enum poll_way way = POLL_SLEEP;

	if (poll->rest && serves(poll, POLL_REST, POLL_SLEEP, REST_GAIN))
		way = POLL_REST;
	if (serves(poll, POLL_LOOK, way, LOOK_GAIN))
		way = POLL_LOOK;
	/* What is found again and again is tried less often. */
	poll->patience = way == poll->found ? smaller(2 * poll->patience, PATIENCE_MAX) : PATIENCE_MIN;
	poll->found = poll->way = way;
	poll->settled = now + poll->patience;
}

static void next_turn(struct poll *poll, uint64_t now)
{
	const struct poll_tally *asleep = &poll->tally[POLL_SLEEP];

	poll->begin = now;
	poll->commands = 0;
	poll->way = (poll->way + 1) % POLL_WAYS;
	poll->rest = REST_COMMANDS * asleep->duration / asleep->commands;
	if (poll->rest > REST_MAX)
		poll->rest = 0;
}

static void take_turns(struct poll *poll, uint64_t now)
{
	struct poll_tally *tally = &poll->tally[poll->way];

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
	next_turn(poll, now);
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
	if (poll->way != POLL_LOOK || poll->gap > LOOK_MAX)
		return 0;
	look = smaller(2 * poll->gap + LOOK_MORE, LOOK_MAX);
	return look <= poll->credit ? look : 0;
}

uint64_t poll_woken(const struct poll *poll)
{
	return poll->way == POLL_REST ? poll->rest : 0;
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
