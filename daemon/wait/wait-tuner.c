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
#define SLOW         2                    /* times the usual time; then a sample ends early */
#define ALONE        300                  /* percent of the time without a coalescing delay */
#define PROBE_GAIN   110                  /* percent that make a coalescing delay worth a tuning */
#define PROBE_NS     UINT64_C(1000000000) /* between two probes */
#define PROBE_SHORT  4u /* commands in whose time a probe can show that it is slow */
#define PATIENCE_MIN UINT64_C(250000000)  /* ns */
#define PATIENCE_MAX UINT64_C(8000000000) /* ns */
#define ALL_ROUNDS   WAIT_ROUNDS

static atomic_uint spinning;   /* threads */
static atomic_uint spin_limit; /* threads that may spin, and 1; 0: not known yet */

static uint64_t wait_tuner_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void wait_tuner_begin(struct wait_tuner *tuner)
{
	tuner->phase = WAIT_TUNING;
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

void wait_tuner_permit_raise(struct wait_tuner *tuner)
{
	tuner->may_raise = true;
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

/* How long a command took in a round, or in all: the median of the rounds, so that a disturbance in
 * one of them counts for nothing. For a CPU it is the worse of the last two: the initiator may have
 * moved. 0: the mode was not measured. */
static uint64_t wait_tuner_time(const struct wait_tuner *tuner, unsigned mode, unsigned round)
{
	const uint64_t *taken = tuner->taken[mode];
	uint64_t low = wait_tuner_min(taken[0], taken[1]), high = taken[0] + taken[1] - low;

	if (round != ALL_ROUNDS)
		return taken[round];
	/* A mode that is given up after the first round has no others. */
	if (!taken[1] || !taken[2])
		return taken[0] > taken[1] ? taken[0] : taken[1];
	if (mode >= WAIT_CPU)
		return taken[1] > taken[2] ? taken[1] : taken[2];
	return taken[2] < low ? low : wait_tuner_min(taken[2], high);
}

/* Whether one serves so many percent of the commands that the other serves, or more, by the times
 * of a command. */
static bool wait_tuner_is_better(uint64_t time, uint64_t other, unsigned percent)
{
	return time && other * 100 >= time * percent;
}

static bool wait_tuner_serves(
	const struct wait_tuner *tuner, unsigned mode, unsigned other, unsigned percent,
	unsigned round)
{
	return wait_tuner_is_better(
		wait_tuner_time(tuner, mode, round), wait_tuner_time(tuner, other, round), percent);
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
			wait_tuner_serves(tuner, WAIT_COALESCE, WAIT_SLEEP, DELAY_GAIN, ALL_ROUNDS);
	case WAIT_SPIN:
		return tuner->percent &&
			!(tuner->delay &&
			  wait_tuner_serves(tuner, WAIT_COALESCE, WAIT_SLEEP, DEEP, ALL_ROUNDS));
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

/* The mode that serves the most, of those that are worth their cost. */
static unsigned wait_tuner_best(const struct wait_tuner *tuner, unsigned round)
{
	unsigned best = WAIT_SLEEP, cpu = WAIT_CPU;

	if (wait_tuner_serves(tuner, WAIT_COALESCE, best, DELAY_GAIN, round))
		best = WAIT_COALESCE;
	if (best == WAIT_COALESCE &&
	    wait_tuner_serves(tuner, WAIT_COALESCE_LONG, best, LONG_GAIN, round))
		best = WAIT_COALESCE_LONG;
	for (unsigned mode = WAIT_CPU + 1; mode < WAIT_MODES; mode++)
		if (wait_tuner_serves(tuner, mode, cpu, 100, round) ||
		    !wait_tuner_time(tuner, cpu, round))
			cpu = mode;
	if (wait_tuner_serves(tuner, cpu, best, CPU_GAIN, round))
		best = cpu;
	if (wait_tuner_serves(tuner, WAIT_SPIN, best, SPIN_GAIN, round))
		best = WAIT_SPIN;
	return best;
}

/* Two rounds are enough where they agree. A mode that costs a CPU's time or the scheduler's freedom
 * needs all. */
static bool wait_tuner_is_decided(const struct wait_tuner *tuner)
{
	unsigned best = wait_tuner_best(tuner, 0);

	return tuner->round == WAIT_ROUNDS ||
		(tuner->round == 2 && best < WAIT_SPIN && best == wait_tuner_best(tuner, 1));
}

static void wait_tuner_find(struct wait_tuner *tuner, uint64_t now)
{
	unsigned best = wait_tuner_best(tuner, ALL_ROUNDS), before = tuner->found;
	bool same = best == before;

	assert(tuner->phase == WAIT_TUNING);
	tuner->restarts = 0;
	tuner->usual = wait_tuner_time(tuner, best, ALL_ROUNDS);
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
	tuner->phase = WAIT_SETTLED;
	tuner->unusual = 0;
	tuner->probed = now;
	tuner->settled = now + tuner->patience;
}

/* An initiator that waits for each command makes a coalescing delay very slow. It is served with a
 * raised priority. Else the scheduler often runs the kernel's work that a doorbell has woken at
 * once, and the thread after that only to fall asleep; a raised thread falls asleep first. Where
 * more commands are in flight, a raised thread would serve them one by one. The gain of the
 * priority is not measured: it shows too slowly, because the scheduler also counts what the threads
 * have run before. */
static void wait_tuner_note_alone(struct wait_tuner *tuner)
{
	assert(tuner->mode == WAIT_COALESCE && tuner->taken[WAIT_COALESCE][0]);
	tuner->raised = tuner->may_raise &&
		tuner->taken[WAIT_COALESCE][0] * 100 >= tuner->taken[WAIT_SLEEP][0] * ALONE;
}

static void wait_tuner_next(struct wait_tuner *tuner, uint64_t now)
{
	assert(tuner->phase == WAIT_TUNING && tuner->round < WAIT_ROUNDS);
	assert(tuner->mode < WAIT_MODES);
	if (tuner->mode == WAIT_SLEEP && tuner->round == 0) {
		tuner->delay = DELAY_COMMANDS * tuner->taken[WAIT_SLEEP][0] / FINE;
		if (tuner->delay > DELAY_MAX) {
			tuner->delay = 0;
			tuner->raised = false;
		}
	}
	do {
		if (++tuner->mode == WAIT_MODES) {
			tuner->mode = WAIT_SLEEP;
			tuner->round++;
		}
	} while (!wait_tuner_is_offered(tuner, tuner->mode) ||
		 wait_tuner_is_hopeless(tuner, tuner->mode));
	if (tuner->mode == WAIT_SLEEP && wait_tuner_is_decided(tuner))
		wait_tuner_find(tuner, now);
}

/* Whether the sample can only show how much slower the mode is. */
static bool wait_tuner_is_slow(const struct wait_tuner *tuner, uint64_t now)
{
	unsigned least = SAMPLE_COMMANDS;
	uint64_t usual = 0;

	if (tuner->phase == WAIT_PROBING) {
		usual = tuner->usual;
		least = PROBE_SHORT;
	} else if (tuner->phase == WAIT_TUNING && tuner->mode != WAIT_SLEEP) {
		usual = tuner->taken[WAIT_SLEEP][tuner->round];
	}
	return usual && tuner->commands &&
		FINE * clock_since(now, tuner->begin) > SLOW * usual * least &&
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

/* Whether the mode that was found need not be the best one any more. */
static bool wait_tuner_is_outdated(struct wait_tuner *tuner, uint64_t taken, uint64_t now)
{
	assert(tuner->phase == WAIT_SETTLED);
	return now >= tuner->settled ||
		(wait_tuner_is_unusual(tuner, taken) &&
		 now >= tuner->settled - tuner->patience + PATIENCE_MIN);
}

static bool wait_tuner_found_delay(const struct wait_tuner *tuner)
{
	return tuner->found == WAIT_COALESCE || tuner->found == WAIT_COALESCE_LONG;
}

/* The initiator may have got a deeper or a shallower queue, which the time of a command with the
 * mode that was found need not show. So from time to time another mode serves a sample: where a
 * coalescing delay was found to pay, none; else one. */
static void wait_tuner_probe(struct wait_tuner *tuner, uint64_t now)
{
	if (clock_since(now, tuner->probed) < PROBE_NS)
		return;
	tuner->probed = now;
	if (!wait_tuner_found_delay(tuner)) {
		tuner->delay = DELAY_COMMANDS * tuner->usual / FINE;
		if (tuner->delay > DELAY_MAX)
			return;
	}
	tuner->mode = wait_tuner_found_delay(tuner) ? WAIT_SLEEP : WAIT_COALESCE;
	tuner->phase = WAIT_PROBING;
}

/* Whether the other mode serves more. It has to be clear, so that two modes that are nearly alike
 * are not compared again and again. */
static bool wait_tuner_is_surprised(const struct wait_tuner *tuner, uint64_t taken)
{
	assert(tuner->phase == WAIT_PROBING && tuner->mode != tuner->found);
	return wait_tuner_is_better(
		taken, tuner->usual, tuner->mode == WAIT_SLEEP ? 100 : PROBE_GAIN);
}

/* A command of this sample took so long. */
static void wait_tuner_take(struct wait_tuner *tuner, uint64_t taken, uint64_t now)
{
	switch (tuner->phase) {
	case WAIT_TUNING:
		tuner->taken[tuner->mode][tuner->round] = taken;
		if (tuner->mode == WAIT_COALESCE && tuner->round == 0)
			wait_tuner_note_alone(tuner);
		wait_tuner_next(tuner, now);
		return;
	case WAIT_SETTLED:
		if (!wait_tuner_is_outdated(tuner, taken, now)) {
			wait_tuner_probe(tuner, now);
			return;
		}
		break;
	case WAIT_PROBING:
		if (!wait_tuner_is_surprised(tuner, taken)) {
			tuner->mode = tuner->found;
			tuner->phase = WAIT_SETTLED;
			return;
		}
		break;
	}
	wait_tuner_begin(tuner);
	tuner->begin = now;
}

static uint64_t wait_tuner_duration(const struct wait_tuner *tuner)
{
	return tuner->phase == WAIT_PROBING || (tuner->phase == WAIT_TUNING && tuner->round == 0)
		? SAMPLE_MIN
		: SAMPLE_LONG;
}

static void wait_tuner_sample(struct wait_tuner *tuner, uint64_t now)
{
	uint64_t taken, duration = wait_tuner_duration(tuner);

	tuner->waits++;
	if (tuner->begin && !wait_tuner_is_slow(tuner, now) &&
	    (tuner->commands < SAMPLE_COMMANDS || tuner->waits < SAMPLE_WAITS ||
	     clock_since(now, tuner->begin) < duration))
		return;
	taken = tuner->begin ? FINE * clock_since(now, tuner->begin) / tuner->commands : 0;
	tuner->begin = now;
	tuner->commands = 0;
	tuner->waits = 0;
	if (taken)
		wait_tuner_take(tuner, taken, now);
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
	tuner->raised = false;
	if (tuner->mode < WAIT_CPU)
		return;
	if (tuner->phase == WAIT_TUNING) {
		tuner->taken[tuner->mode][tuner->round] = NEVER;
		wait_tuner_next(tuner, now);
	} else {
		wait_tuner_begin(tuner);
	}
}

int wait_tuner_cpu(const struct wait_tuner *tuner)
{
	return tuner->mode >= WAIT_CPU ? (int) wait_tuner_cpu_of(tuner, tuner->mode) : -1;
}

bool wait_tuner_raised(const struct wait_tuner *tuner)
{
	assert(!tuner->raised || tuner->may_raise);
	return tuner->raised;
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
	if (pause >= LULL_LONG && tuner->phase == WAIT_TUNING && tuner->restarts < RESTARTS_MAX) {
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
