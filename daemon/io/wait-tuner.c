/* SPDX-License-Identifier: Apache-2.0 */
/* See io/wait-tuner.h. */
#include "io/wait-tuner.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define LOOK_MAX      UINT64_C(2000000)   /* ns; who waits for longer sleeps */
#define LOOK_MORE     UINT64_C(10000)     /* than the usual, ns */
#define GAP_LONG      (4 * LOOK_MAX)      /* longer ones count as this */
#define CREDIT_MAX    UINT64_C(100000000) /* ns of which the percentage can be saved */
#define LULL          UINT64_C(50000000)  /* ns; is no part of a turn */
#define NEVER         (UINT64_MAX / 1000) /* parts of a ns; is slower than all */
#define TURN_COMMANDS 16u                 /* of a turn, at least */
#define TURN_WAITS    8u /* as often, at least: one large batch more or less decides nothing */
#define TURN_MIN      UINT64_C(2000000) /* ns, in the first round, which sorts out */
#define TURN_LONG \
	UINT64_C(6000000) /* ns; how a way serves shows only once its beginning is past \
			   */
#define UNUSUAL_MAX   3u  /* turns until what was found is gone by no longer */
#define FINE          16u /* parts of a ns in which a command's time is kept */
#define REST_COMMANDS 4u  /* that would come meanwhile */
#define REST_LONG     4u  /* times as long */
#define REST_MAX      UINT64_C(2000000) /* ns; whose commands come so seldom is not made to wait */
#define DEEP          90  /* percent that who is made to wait sends if many are under way */
#define REST_GAIN     105 /* percent that make it worth the delay of each command */
#define PLACE_GAIN    110 /* percent that make it worth the scheduler's freedom */
#define LOOK_GAIN     115 /* percent that make it worth a processor's time */
#define HOPELESS      200 /* percent of the best's time; is not tried again in this trial */
#define SLOW          2   /* times the best's time; a turn ends early */
#define PATIENCE_MIN  UINT64_C(250000000)  /* ns */
#define PATIENCE_MAX  UINT64_C(8000000000) /* ns */

static atomic_uint looking;
static atomic_uint limit; /* 0: not known yet */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void begin_trial(struct poll *poll)
{
	poll->round = 0;
	poll->way = POLL_SLEEP;
	poll->begin = 0;
	poll->rest = 0;
	memset(poll->taken, 0, sizeof(poll->taken));
}

void poll_init(struct poll *poll, unsigned percent, unsigned places)
{
	*poll = (struct poll){
		.percent = percent, .places = places, .gap = GAP_LONG, .patience = PATIENCE_MIN};
	begin_trial(poll);
}

static void give_credit(struct poll *poll, uint64_t now)
{
	uint64_t passed = smaller(now - poll->counted, CREDIT_MAX);

	if (poll->counted)
		poll->credit = smaller(
			poll->credit + passed * poll->percent / 100,
			CREDIT_MAX * poll->percent / 100);
	poll->counted = now;
}

/* ------- the trial ------- */

/* How long a command took: the middle one of the rounds, so that what else happens in one of them
 * counts for nothing. A place has to serve each time: of two processors the initiator may have been
 * on either. 0: it was not tried. */
static uint64_t usual_time(const struct poll *poll, unsigned way)
{
	const uint64_t *taken = poll->taken[way];
	uint64_t low = smaller(taken[0], taken[1]), high = taken[0] + taken[1] - low;

	/* Who is given up after the first round has no other. */
	if (!taken[1] || !taken[2])
		return taken[0] > taken[1] ? taken[0] : taken[1];
	if (way >= POLL_PLACE)
		return taken[1] > taken[2] ? taken[1] : taken[2];
	return taken[2] < low ? low : smaller(taken[2], high);
}

/* Whether this way serves so many percent of what that one serves, or more. */
static bool serves(const struct poll *poll, unsigned way, unsigned other, unsigned percent)
{
	uint64_t a = usual_time(poll, way), b = usual_time(poll, other);

	return a && b * 100 >= a * percent;
}

/* Which processor a way means. The one that was found last is tried first, the others in their
 * turn: where there are more than a trial tries, some in each. */
static unsigned place_of(const struct poll *poll, unsigned way)
{
	unsigned number = way - POLL_PLACE;

	return number == 0 ? poll->place : (poll->first + number - 1) % poll->places;
}

static bool is_offered(const struct poll *poll, unsigned way)
{
	if (way >= POLL_PLACE)
		/* All of them are there without the first. */
		return poll->places > 1 && way - POLL_PLACE <= poll->places &&
			(way == POLL_PLACE || place_of(poll, way) != poll->place);
	switch (way) {
	case POLL_REST:
		return poll->rest != 0;
	case POLL_REST_LONG:
		return poll->rest && poll->rest * REST_LONG <= REST_MAX &&
			serves(poll, POLL_REST, POLL_SLEEP, REST_GAIN);
	case POLL_LOOK:
		return poll->percent && !(poll->rest && serves(poll, POLL_REST, POLL_SLEEP, DEEP));
	default:
		return true;
	}
}

static bool is_hopeless(const struct poll *poll, unsigned way)
{
	uint64_t best = poll->taken[POLL_SLEEP][0];

	if (poll->round == 0 || way == POLL_SLEEP)
		return false;
	for (unsigned other = 0; other < POLL_WAYS; other++)
		if (poll->taken[other][0])
			best = smaller(best, poll->taken[other][0]);
	return poll->taken[way][0] * 100 > best * HOPELESS;
}

static void settle(struct poll *poll, uint64_t now)
{
	unsigned best = POLL_SLEEP, before = poll->found, place = POLL_PLACE;
	bool same;

	if (serves(poll, POLL_REST, best, REST_GAIN))
		best = POLL_REST;
	if (best == POLL_REST && serves(poll, POLL_REST_LONG, best, REST_GAIN))
		best = POLL_REST_LONG;
	for (unsigned way = POLL_PLACE + 1; way < POLL_WAYS; way++)
		if (serves(poll, way, place, 100) || !usual_time(poll, place))
			place = way;
	if (serves(poll, place, best, PLACE_GAIN))
		best = place;
	if (serves(poll, POLL_LOOK, best, LOOK_GAIN))
		best = POLL_LOOK;

	poll->usual = usual_time(poll, best);
	poll->unusual = 0;
	same = best == before;
	if (best >= POLL_PLACE) {
		poll->place = place_of(poll, best);
		best = POLL_PLACE;
	}
	if (poll->places)
		poll->first = (poll->first + POLL_PLACES - 1) % poll->places;
	/* What is found again and again is tried less often, once all has been tried. */
	poll->untried = same ? poll->untried - (unsigned) smaller(poll->untried, POLL_PLACES - 1)
			     : poll->places;
	poll->patience = same && !poll->untried ? smaller(2 * poll->patience, PATIENCE_MAX)
						: PATIENCE_MIN;
	poll->found = poll->way = best;
	poll->settled = now + poll->patience;
}

static void next_turn(struct poll *poll, uint64_t now)
{
	if (poll->way == POLL_SLEEP && poll->round == 0) {
		poll->rest = REST_COMMANDS * poll->taken[POLL_SLEEP][0] / FINE;
		if (poll->rest > REST_MAX)
			poll->rest = 0;
	}
	do {
		if (++poll->way == POLL_WAYS) {
			poll->way = POLL_SLEEP;
			poll->round++;
		}
	} while (!is_offered(poll, poll->way) || is_hopeless(poll, poll->way));
	if (poll->round == POLL_ROUNDS)
		settle(poll, now);
}

/* Whether all that this turn can still tell is how much worse it is. */
static bool is_slow(const struct poll *poll, uint64_t now)
{
	uint64_t usual = poll->round < POLL_ROUNDS && poll->way != POLL_SLEEP
		? poll->taken[POLL_SLEEP][poll->round]
		: 0;

	return usual && poll->commands &&
		FINE * (now - poll->begin) > SLOW * usual * TURN_COMMANDS &&
		FINE * (now - poll->begin) > SLOW * usual * poll->commands;
}

/* What was found serves differently than it did: something else comes, or it comes from elsewhere.
 */
static bool is_unusual(struct poll *poll, uint64_t taken)
{
	if (2 * taken > 3 * poll->usual || 3 * taken < 2 * poll->usual)
		poll->unusual++;
	else
		poll->unusual = 0;
	return poll->unusual >= UNUSUAL_MAX;
}

static void take_turns(struct poll *poll, uint64_t now)
{
	uint64_t taken, duration = poll->round == 0 ? TURN_MIN : TURN_LONG;

	poll->waits++;
	if (poll->begin && !is_slow(poll, now) &&
	    (poll->commands < TURN_COMMANDS || poll->waits < TURN_WAITS ||
	     now - poll->begin < duration))
		return;
	taken = poll->begin ? FINE * (now - poll->begin) / poll->commands : 0;
	poll->begin = now;
	poll->commands = 0;
	poll->waits = 0;
	if (!taken)
		return;
	if (poll->round < POLL_ROUNDS) {
		poll->taken[poll->way][poll->round] = taken;
		next_turn(poll, now);
	} else if (
		now >= poll->settled ||
		(is_unusual(poll, taken) && now >= poll->settled - poll->patience + PATIENCE_MIN)) {
		begin_trial(poll);
		poll->begin = now;
	}
}

/* ------- for the thread ------- */

uint64_t poll_idle(struct poll *poll, uint64_t now)
{
	uint64_t look;

	/* Woken for nothing. */
	if (poll->since)
		return 0;
	poll->since = now;
	poll->streak = 0;
	take_turns(poll, now);
	give_credit(poll, now);
	if (poll->way != POLL_LOOK || poll->gap > LOOK_MAX)
		return 0;
	look = smaller(2 * poll->gap + LOOK_MORE, LOOK_MAX);
	return look <= poll->credit ? look : 0;
}

void poll_pressed(struct poll *poll, uint64_t now)
{
	poll->streak = 0;
	poll->begin = 0;
	if (poll->way < POLL_PLACE)
		return;
	if (poll->round == POLL_ROUNDS) {
		begin_trial(poll);
	} else {
		poll->taken[poll->way][poll->round] = NEVER;
		next_turn(poll, now);
	}
}

int poll_place(const struct poll *poll)
{
	return poll->way >= POLL_PLACE ? (int) place_of(poll, poll->way) : -1;
}

uint64_t poll_woken(const struct poll *poll)
{
	switch (poll->way) {
	case POLL_REST:
		return poll->rest;
	case POLL_REST_LONG:
		return poll->rest * REST_LONG;
	default:
		return 0;
	}
}

void poll_spend(struct poll *poll, uint64_t spent)
{
	poll->credit -= smaller(poll->credit, spent);
}

/* Longer times are learned faster, so that little is spent on a device that falls idle. */
void poll_busy(struct poll *poll, uint64_t now)
{
	uint64_t pause = now - poll->since, gap = smaller(pause, GAP_LONG);

	/* A turn has no pause in it. What was found before is the best guess of what will serve
	 * best now. */
	if (pause >= LULL)
		poll->begin = 0;
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
