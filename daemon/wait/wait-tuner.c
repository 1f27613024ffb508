/* SPDX-License-Identifier: Apache-2.0 */
/* See wait/wait-tuner.h. */
#include "wait/wait-tuner.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"

#define SPIN_MAX        UINT64_C(2000000)   /* ns; with longer idle times the thread sleeps */
#define SPIN_MORE       UINT64_C(10000)     /* ns more than the usual idle time */
#define GAP_LONG        (4 * SPIN_MAX)      /* longer idle times count as this */
#define CREDIT_MAX      UINT64_C(100000000) /* ns of which the percentage can be saved */
#define LULL            UINT64_C(50000000)  /* ns; is no part of a sample */
#define LULL_LONG       (20 * LULL)         /* is no part of a tuning */
#define RESTARTS_MAX    8u                  /* of a tuning; then it goes on after a long lull */
#define NEVER           (UINT64_MAX / 1000) /* parts of a ns; is slower than all */
#define SAMPLE_COMMANDS 16u                 /* of a sample, at least */
#define SAMPLE_WAITS    8u /* at least: one large batch more or less decides nothing */
#define SAMPLE_MIN      UINT64_C(2000000) /* ns, in the first round, which sorts out */
#define SAMPLE_LONG     UINT64_C(6000000) /* ns; a mode shows its speed some time after it began */
#define UNUSUAL_MAX     3u  /* samples after which the mode that was found is no longer kept */
#define FINE            16u /* parts of a ns in which a command's time is kept */
#define DELAY_COMMANDS  4u  /* that would come within the coalescing delay */
#define DELAY_LONG      3u  /* times as long */
#define DELAY_MAX       UINT64_C(2000000) /* ns; commands that come more seldom are not delayed */
#define DEEP \
	90 /* percent of its speed that an initiator with many commands in flight keeps when \
	      delayed */
#define DELAY_GAIN 105 /* percent that make it worth the delay of each command */
#define LONG_GAIN  102 /* percent that make a longer one worth it, where a short one is */
#define CPU_GAIN   110 /* percent that make it worth the scheduler's freedom */
#define SPIN_GAIN  115 /* percent that make it worth a CPU's time */
#define HOPELESS \
	200 /* percent of the best time; such a mode is not measured again in this tuning */
#define SLOW         2                    /* times the best time; then a sample ends early */
#define PATIENCE_MIN UINT64_C(250000000)  /* ns */
#define PATIENCE_MAX UINT64_C(8000000000) /* ns */

static atomic_uint spinning;   /* threads */
static atomic_uint spin_limit; /* threads that may spin, and 1; 0: not known yet */

static uint64_t wait_tuner_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void wait_tuner_begin(struct wait_tuner *tuner)
{
	tuner->round = 0;
	tuner->mode = WAIT_SLEEP;
	tuner->begin = 0;
	tuner->delay = 0;
	memset(tuner->taken, 0, sizeof(tuner->taken));
}

void wait_tuner_init(struct wait_tuner *tuner, unsigned percent, unsigned cpus)
{
	*tuner = (struct wait_tuner){
		.percent = percent, .cpus = cpus, .gap = GAP_LONG, .patience = PATIENCE_MIN};
	wait_tuner_begin(tuner);
}

static void wait_tuner_give_credit(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t passed = wait_tuner_min(clock_since(now, tuner->counted), CREDIT_MAX);

	if (tuner->counted)
		tuner->credit = wait_tuner_min(
			tuner->credit + passed * tuner->percent / 100,
			CREDIT_MAX * tuner->percent / 100);
	tuner->counted = now;
}

/* ------- the tuning ------- */

/* How long a command took: the median of the rounds, so that a disturbance in one of them counts
 * for nothing. For a CPU it is the worse of the last two: the initiator may have moved. 0: the mode
 * was not measured. */
static uint64_t wait_tuner_usual_time(const struct wait_tuner *tuner, unsigned mode)
{
	const uint64_t *taken = tuner->taken[mode];
	uint64_t low = wait_tuner_min(taken[0], taken[1]), high = taken[0] + taken[1] - low;

	/* A mode that is given up after the first round has no others. */
	if (!taken[1] || !taken[2])
		return taken[0] > taken[1] ? taken[0] : taken[1];
	if (mode >= WAIT_CPU)
		return taken[1] > taken[2] ? taken[1] : taken[2];
	return taken[2] < low ? low : wait_tuner_min(taken[2], high);
}

/* Whether a mode serves so many percent of the commands that the other serves, or more. */
static bool wait_tuner_serves(
	const struct wait_tuner *tuner, unsigned mode, unsigned other, unsigned percent)
{
	uint64_t a = wait_tuner_usual_time(tuner, mode), b = wait_tuner_usual_time(tuner, other);

	return a && b * 100 >= a * percent;
}

/* Which CPU a mode means. The one that was found last is measured first, the others after it: where
 * there are more than a tuning measures, some in each. */
static unsigned wait_tuner_cpu_of(const struct wait_tuner *tuner, unsigned mode)
{
	unsigned number = mode - WAIT_CPU;

	assert(mode >= WAIT_CPU && mode < WAIT_MODES && tuner->cpus > 0);
	return number == 0 ? tuner->cpu : (tuner->first + number - 1) % tuner->cpus;
}

static bool wait_tuner_is_offered(const struct wait_tuner *tuner, unsigned mode)
{
	if (mode >= WAIT_CPU)
		/* The first one is one of the others, too. */
		return tuner->cpus > 1 && mode - WAIT_CPU <= tuner->cpus &&
			(mode == WAIT_CPU || wait_tuner_cpu_of(tuner, mode) != tuner->cpu);
	switch (mode) {
	case WAIT_COALESCE:
		return tuner->delay != 0;
	case WAIT_COALESCE_LONG:
		return tuner->delay && tuner->delay * DELAY_LONG <= DELAY_MAX &&
			wait_tuner_serves(tuner, WAIT_COALESCE, WAIT_SLEEP, DELAY_GAIN);
	case WAIT_SPIN:
		return tuner->percent &&
			!(tuner->delay &&
			  wait_tuner_serves(tuner, WAIT_COALESCE, WAIT_SLEEP, DEEP));
	default:
		return true;
	}
}

static bool wait_tuner_is_hopeless(const struct wait_tuner *tuner, unsigned mode)
{
	uint64_t best = tuner->taken[WAIT_SLEEP][0];

	if (tuner->round == 0 || mode == WAIT_SLEEP)
		return false;
	for (unsigned other = 0; other < WAIT_MODES; other++)
		if (tuner->taken[other][0])
			best = wait_tuner_min(best, tuner->taken[other][0]);
	return tuner->taken[mode][0] * 100 > best * HOPELESS;
}

static void wait_tuner_settle(struct wait_tuner *tuner, uint64_t now)
{
	unsigned best = WAIT_SLEEP, before = tuner->found, cpu = WAIT_CPU;
	bool same;

	assert(tuner->round == WAIT_ROUNDS);
	tuner->restarts = 0;
	if (wait_tuner_serves(tuner, WAIT_COALESCE, best, DELAY_GAIN))
		best = WAIT_COALESCE;
	if (best == WAIT_COALESCE && wait_tuner_serves(tuner, WAIT_COALESCE_LONG, best, LONG_GAIN))
		best = WAIT_COALESCE_LONG;
	for (unsigned mode = WAIT_CPU + 1; mode < WAIT_MODES; mode++)
		if (wait_tuner_serves(tuner, mode, cpu, 100) || !wait_tuner_usual_time(tuner, cpu))
			cpu = mode;
	if (wait_tuner_serves(tuner, cpu, best, CPU_GAIN))
		best = cpu;
	if (wait_tuner_serves(tuner, WAIT_SPIN, best, SPIN_GAIN))
		best = WAIT_SPIN;

	tuner->usual = wait_tuner_usual_time(tuner, best);
	tuner->unusual = 0;
	same = best == before;
	if (best >= WAIT_CPU) {
		tuner->cpu = wait_tuner_cpu_of(tuner, best);
		best = WAIT_CPU;
	}
	if (tuner->cpus)
		tuner->first = (tuner->first + WAIT_CPUS_MAX - 1) % tuner->cpus;
	/* A mode that is found again and again is measured less often, once all CPUs have been. */
	tuner->untried = same
		? tuner->untried - (unsigned) wait_tuner_min(tuner->untried, WAIT_CPUS_MAX - 1)
		: tuner->cpus;
	tuner->patience = same && !tuner->untried
		? wait_tuner_min(2 * tuner->patience, PATIENCE_MAX)
		: PATIENCE_MIN;
	tuner->found = tuner->mode = best;
	tuner->settled = now + tuner->patience;
}

static void wait_tuner_next(struct wait_tuner *tuner, uint64_t now)
{
	assert(tuner->round < WAIT_ROUNDS && tuner->mode < WAIT_MODES);
	if (tuner->mode == WAIT_SLEEP && tuner->round == 0) {
		tuner->delay = DELAY_COMMANDS * tuner->taken[WAIT_SLEEP][0] / FINE;
		if (tuner->delay > DELAY_MAX)
			tuner->delay = 0;
	}
	do {
		if (++tuner->mode == WAIT_MODES) {
			tuner->mode = WAIT_SLEEP;
			tuner->round++;
		}
	} while (!wait_tuner_is_offered(tuner, tuner->mode) ||
		 wait_tuner_is_hopeless(tuner, tuner->mode));
	if (tuner->round == WAIT_ROUNDS)
		wait_tuner_settle(tuner, now);
}

/* Whether the sample can only show how much slower the mode is. */
static bool wait_tuner_is_slow(const struct wait_tuner *tuner, uint64_t now)
{
	uint64_t usual = tuner->round < WAIT_ROUNDS && tuner->mode != WAIT_SLEEP
		? tuner->taken[WAIT_SLEEP][tuner->round]
		: 0;

	return usual && tuner->commands &&
		FINE * clock_since(now, tuner->begin) > SLOW * usual * SAMPLE_COMMANDS &&
		FINE * clock_since(now, tuner->begin) > SLOW * usual * tuner->commands;
}

/* The mode that was found serves differently than it did: the commands are others, or come from
 * elsewhere. */
static bool wait_tuner_is_unusual(struct wait_tuner *tuner, uint64_t taken)
{
	if (2 * taken > 3 * tuner->usual || 3 * taken < 2 * tuner->usual)
		tuner->unusual++;
	else
		tuner->unusual = 0;
	return tuner->unusual >= UNUSUAL_MAX;
}

static void wait_tuner_sample(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t taken, duration = tuner->round == 0 ? SAMPLE_MIN : SAMPLE_LONG;

	tuner->waits++;
	if (tuner->begin && !wait_tuner_is_slow(tuner, now) &&
	    (tuner->commands < SAMPLE_COMMANDS || tuner->waits < SAMPLE_WAITS ||
	     clock_since(now, tuner->begin) < duration))
		return;
	taken = tuner->begin ? FINE * clock_since(now, tuner->begin) / tuner->commands : 0;
	tuner->begin = now;
	tuner->commands = 0;
	tuner->waits = 0;
	if (!taken)
		return;
	if (tuner->round < WAIT_ROUNDS) {
		assert(tuner->mode < WAIT_MODES);
		tuner->taken[tuner->mode][tuner->round] = taken;
		wait_tuner_next(tuner, now);
	} else if (
		now >= tuner->settled ||
		(wait_tuner_is_unusual(tuner, taken) &&
		 now >= tuner->settled - tuner->patience + PATIENCE_MIN)) {
		wait_tuner_begin(tuner);
		tuner->begin = now;
	}
}

/* ------- for the I/O thread ------- */

uint64_t wait_tuner_idle(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t spin;

	/* Woken for nothing. */
	if (tuner->since)
		return 0;
	tuner->since = now;
	tuner->streak = 0;
	wait_tuner_sample(tuner, now);
	wait_tuner_give_credit(tuner, now);
	if (tuner->mode != WAIT_SPIN || tuner->gap > SPIN_MAX)
		return 0;
	spin = wait_tuner_min(2 * tuner->gap + SPIN_MORE, SPIN_MAX);
	return spin <= tuner->credit ? spin : 0;
}

void wait_tuner_pressed(struct wait_tuner *tuner, uint64_t now)
{
	assert(tuner->streak == WAIT_STREAK && tuner->mode < WAIT_MODES);
	tuner->streak = 0;
	tuner->begin = 0;
	if (tuner->mode < WAIT_CPU)
		return;
	if (tuner->round == WAIT_ROUNDS) {
		wait_tuner_begin(tuner);
	} else {
		tuner->taken[tuner->mode][tuner->round] = NEVER;
		wait_tuner_next(tuner, now);
	}
}

int wait_tuner_cpu(const struct wait_tuner *tuner)
{
	return tuner->mode >= WAIT_CPU ? (int) wait_tuner_cpu_of(tuner, tuner->mode) : -1;
}

uint64_t wait_tuner_woken(const struct wait_tuner *tuner)
{
	switch (tuner->mode) {
	case WAIT_COALESCE:
		return tuner->delay;
	case WAIT_COALESCE_LONG:
		return tuner->delay * DELAY_LONG;
	default:
		return 0;
	}
}

void wait_tuner_spend(struct wait_tuner *tuner, uint64_t spent)
{
	tuner->credit -= wait_tuner_min(tuner->credit, spent);
}

/* Longer times are learned faster, so that little is spent on a device that falls idle. */
void wait_tuner_busy(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t pause = clock_since(now, tuner->since);
	uint64_t gap = wait_tuner_min(pause, GAP_LONG);

	/* A sample has no pause in it. After a pause the mode that was found is the best guess. */
	if (pause >= LULL)
		tuner->begin = 0;
	/* The commands before it, such as those of an initiator that has found a new disk, say
	 * nothing about those that come now. Where they always come in short bursts, several make a
	 * tuning. */
	if (pause >= LULL_LONG && tuner->round < WAIT_ROUNDS && tuner->restarts < RESTARTS_MAX) {
		wait_tuner_begin(tuner);
		tuner->restarts++;
	}
	tuner->since = 0;
	if (gap > tuner->gap)
		tuner->gap += (gap - tuner->gap) / 2;
	else
		tuner->gap -= (tuner->gap - gap) / 4;
}

/* The CPUs may change; their number when the first device was opened is near enough. */
static unsigned wait_tuner_spin_max(void)
{
	unsigned max = atomic_load_explicit(&spin_limit, memory_order_relaxed);
	cpu_set_t set;

	if (max)
		return max - 1;
	max = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned) CPU_COUNT(&set) / 2 : 1;
	atomic_store_explicit(&spin_limit, max + 1, memory_order_relaxed);
	return max;
}

bool wait_tuner_enter(void)
{
	if (atomic_fetch_add_explicit(&spinning, 1, memory_order_relaxed) < wait_tuner_spin_max())
		return true;
	wait_tuner_leave();
	return false;
}

void wait_tuner_leave(void)
{
	unsigned before = atomic_fetch_sub_explicit(&spinning, 1, memory_order_relaxed);

	assert(before > 0);
}
