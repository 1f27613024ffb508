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

static void begin_trial(struct wait_tuner *tuner)
{
	tuner->round = 0;
	tuner->way = WAIT_SLEEP;
	tuner->begin = 0;
	tuner->rest = 0;
	memset(tuner->taken, 0, sizeof(tuner->taken));
}

void wait_tuner_init(struct wait_tuner *tuner, unsigned percent, unsigned cpus)
{
	*tuner = (struct wait_tuner){
		.percent = percent, .cpus = cpus, .gap = GAP_LONG, .patience = PATIENCE_MIN};
	begin_trial(tuner);
}

static void give_credit(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t passed = smaller(now - tuner->counted, CREDIT_MAX);

	if (tuner->counted)
		tuner->credit = smaller(
			tuner->credit + passed * tuner->percent / 100,
			CREDIT_MAX * tuner->percent / 100);
	tuner->counted = now;
}

/* ------- the trial ------- */

/* How long a command took: the middle one of the rounds, so that what else happens in one of them
 * counts for nothing. A place has to serve each time: of two processors the initiator may have been
 * on either. 0: it was not tried. */
static uint64_t usual_time(const struct wait_tuner *tuner, unsigned way)
{
	const uint64_t *taken = tuner->taken[way];
	uint64_t low = smaller(taken[0], taken[1]), high = taken[0] + taken[1] - low;

	/* Who is given up after the first round has no other. */
	if (!taken[1] || !taken[2])
		return taken[0] > taken[1] ? taken[0] : taken[1];
	if (way >= WAIT_CPU)
		return taken[1] > taken[2] ? taken[1] : taken[2];
	return taken[2] < low ? low : smaller(taken[2], high);
}

/* Whether this way serves so many percent of what that one serves, or more. */
static bool serves(const struct wait_tuner *tuner, unsigned way, unsigned other, unsigned percent)
{
	uint64_t a = usual_time(tuner, way), b = usual_time(tuner, other);

	return a && b * 100 >= a * percent;
}

/* Which processor a way means. The one that was found last is tried first, the others in their
 * turn: where there are more than a trial tries, some in each. */
static unsigned place_of(const struct wait_tuner *tuner, unsigned way)
{
	unsigned number = way - WAIT_CPU;

	return number == 0 ? tuner->cpu : (tuner->first + number - 1) % tuner->cpus;
}

static bool is_offered(const struct wait_tuner *tuner, unsigned way)
{
	if (way >= WAIT_CPU)
		/* All of them are there without the first. */
		return tuner->cpus > 1 && way - WAIT_CPU <= tuner->cpus &&
			(way == WAIT_CPU || place_of(tuner, way) != tuner->cpu);
	switch (way) {
	case WAIT_COALESCE:
		return tuner->rest != 0;
	case WAIT_COALESCE_LONG:
		return tuner->rest && tuner->rest * REST_LONG <= REST_MAX &&
			serves(tuner, WAIT_COALESCE, WAIT_SLEEP, REST_GAIN);
	case WAIT_SPIN:
		return tuner->percent &&
			!(tuner->rest && serves(tuner, WAIT_COALESCE, WAIT_SLEEP, DEEP));
	default:
		return true;
	}
}

static bool is_hopeless(const struct wait_tuner *tuner, unsigned way)
{
	uint64_t best = tuner->taken[WAIT_SLEEP][0];

	if (tuner->round == 0 || way == WAIT_SLEEP)
		return false;
	for (unsigned other = 0; other < WAIT_MODES; other++)
		if (tuner->taken[other][0])
			best = smaller(best, tuner->taken[other][0]);
	return tuner->taken[way][0] * 100 > best * HOPELESS;
}

static void settle(struct wait_tuner *tuner, uint64_t now)
{
	unsigned best = WAIT_SLEEP, before = tuner->found, cpu = WAIT_CPU;
	bool same;

	if (serves(tuner, WAIT_COALESCE, best, REST_GAIN))
		best = WAIT_COALESCE;
	if (best == WAIT_COALESCE && serves(tuner, WAIT_COALESCE_LONG, best, REST_GAIN))
		best = WAIT_COALESCE_LONG;
	for (unsigned way = WAIT_CPU + 1; way < WAIT_MODES; way++)
		if (serves(tuner, way, cpu, 100) || !usual_time(tuner, cpu))
			cpu = way;
	if (serves(tuner, cpu, best, PLACE_GAIN))
		best = cpu;
	if (serves(tuner, WAIT_SPIN, best, LOOK_GAIN))
		best = WAIT_SPIN;

	tuner->usual = usual_time(tuner, best);
	tuner->unusual = 0;
	same = best == before;
	if (best >= WAIT_CPU) {
		tuner->cpu = place_of(tuner, best);
		best = WAIT_CPU;
	}
	if (tuner->cpus)
		tuner->first = (tuner->first + WAIT_CPUS_MAX - 1) % tuner->cpus;
	/* What is found again and again is tried less often, once all has been tried. */
	tuner->untried = same
		? tuner->untried - (unsigned) smaller(tuner->untried, WAIT_CPUS_MAX - 1)
		: tuner->cpus;
	tuner->patience = same && !tuner->untried ? smaller(2 * tuner->patience, PATIENCE_MAX)
						  : PATIENCE_MIN;
	tuner->found = tuner->way = best;
	tuner->settled = now + tuner->patience;
}

static void next_turn(struct wait_tuner *tuner, uint64_t now)
{
	if (tuner->way == WAIT_SLEEP && tuner->round == 0) {
		tuner->rest = REST_COMMANDS * tuner->taken[WAIT_SLEEP][0] / FINE;
		if (tuner->rest > REST_MAX)
			tuner->rest = 0;
	}
	do {
		if (++tuner->way == WAIT_MODES) {
			tuner->way = WAIT_SLEEP;
			tuner->round++;
		}
	} while (!is_offered(tuner, tuner->way) || is_hopeless(tuner, tuner->way));
	if (tuner->round == WAIT_ROUNDS)
		settle(tuner, now);
}

/* Whether all that this turn can still tell is how much worse it is. */
static bool is_slow(const struct wait_tuner *tuner, uint64_t now)
{
	uint64_t usual = tuner->round < WAIT_ROUNDS && tuner->way != WAIT_SLEEP
		? tuner->taken[WAIT_SLEEP][tuner->round]
		: 0;

	return usual && tuner->commands &&
		FINE * (now - tuner->begin) > SLOW * usual * TURN_COMMANDS &&
		FINE * (now - tuner->begin) > SLOW * usual * tuner->commands;
}

/* What was found serves differently than it did: something else comes, or it comes from elsewhere.
 */
static bool is_unusual(struct wait_tuner *tuner, uint64_t taken)
{
	if (2 * taken > 3 * tuner->usual || 3 * taken < 2 * tuner->usual)
		tuner->unusual++;
	else
		tuner->unusual = 0;
	return tuner->unusual >= UNUSUAL_MAX;
}

static void take_turns(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t taken, duration = tuner->round == 0 ? TURN_MIN : TURN_LONG;

	tuner->waits++;
	if (tuner->begin && !is_slow(tuner, now) &&
	    (tuner->commands < TURN_COMMANDS || tuner->waits < TURN_WAITS ||
	     now - tuner->begin < duration))
		return;
	taken = tuner->begin ? FINE * (now - tuner->begin) / tuner->commands : 0;
	tuner->begin = now;
	tuner->commands = 0;
	tuner->waits = 0;
	if (!taken)
		return;
	if (tuner->round < WAIT_ROUNDS) {
		tuner->taken[tuner->way][tuner->round] = taken;
		next_turn(tuner, now);
	} else if (
		now >= tuner->settled ||
		(is_unusual(tuner, taken) &&
		 now >= tuner->settled - tuner->patience + PATIENCE_MIN)) {
		begin_trial(tuner);
		tuner->begin = now;
	}
}

/* ------- for the thread ------- */

uint64_t wait_tuner_idle(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t look;

	/* Woken for nothing. */
	if (tuner->since)
		return 0;
	tuner->since = now;
	tuner->streak = 0;
	take_turns(tuner, now);
	give_credit(tuner, now);
	if (tuner->way != WAIT_SPIN || tuner->gap > LOOK_MAX)
		return 0;
	look = smaller(2 * tuner->gap + LOOK_MORE, LOOK_MAX);
	return look <= tuner->credit ? look : 0;
}

void wait_tuner_pressed(struct wait_tuner *tuner, uint64_t now)
{
	tuner->streak = 0;
	tuner->begin = 0;
	if (tuner->way < WAIT_CPU)
		return;
	if (tuner->round == WAIT_ROUNDS) {
		begin_trial(tuner);
	} else {
		tuner->taken[tuner->way][tuner->round] = NEVER;
		next_turn(tuner, now);
	}
}

int wait_tuner_cpu(const struct wait_tuner *tuner)
{
	return tuner->way >= WAIT_CPU ? (int) place_of(tuner, tuner->way) : -1;
}

uint64_t wait_tuner_woken(const struct wait_tuner *tuner)
{
	switch (tuner->way) {
	case WAIT_COALESCE:
		return tuner->rest;
	case WAIT_COALESCE_LONG:
		return tuner->rest * REST_LONG;
	default:
		return 0;
	}
}

void wait_tuner_spend(struct wait_tuner *tuner, uint64_t spent)
{
	tuner->credit -= smaller(tuner->credit, spent);
}

/* Longer times are learned faster, so that little is spent on a device that falls idle. */
void wait_tuner_busy(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t pause = now - tuner->since, gap = smaller(pause, GAP_LONG);

	/* A turn has no pause in it. What was found before is the best guess of what will serve
	 * best now. */
	if (pause >= LULL)
		tuner->begin = 0;
	tuner->since = 0;
	if (gap > tuner->gap)
		tuner->gap += (gap - tuner->gap) / 2;
	else
		tuner->gap -= (tuner->gap - gap) / 4;
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

bool wait_tuner_enter(void)
{
	if (atomic_fetch_add_explicit(&looking, 1, memory_order_relaxed) < looking_max())
		return true;
	wait_tuner_leave();
	return false;
}

void wait_tuner_leave(void)
{
	atomic_fetch_sub_explicit(&looking, 1, memory_order_relaxed);
}
