/* SPDX-License-Identifier: Apache-2.0 */
/* See gather.h. */
#include "gather.h"

#include <assert.h>

#define SAMPLES        (2 * GATHER_ROUNDS)
#define SAMPLE_ANSWERS 256u               /* at least */
#define SHARE          8u                 /* a pause is this part of the time of all in flight */
#define PAUSE_MAX      UINT64_C(400000)   /* ns; answers that come more seldom do not gather */
#define LULL           UINT64_C(50000000) /* ns without an answer: the sample begins again */
#define WORTH          97                 /* percent of the time without pauses */
#define PATIENCE_MIN   UINT64_C(500000000)
#define PATIENCE_MAX   UINT64_C(8000000000)

/* A disturbance in one or two of the rounds counts for nothing. */
static uint64_t gather_median(const uint64_t taken[GATHER_ROUNDS])
{
	uint64_t sorted[GATHER_ROUNDS] = {0};

	for (unsigned i = 0; i < GATHER_ROUNDS; i++) {
		unsigned at = i;

		for (; at > 0 && sorted[at - 1] > taken[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = taken[i];
	}
	return sorted[GATHER_ROUNDS / 2];
}

/* The tuning is over. A result that comes again is kept for longer. */
static void gather_settle(struct gather *gather, uint64_t now)
{
	uint64_t without = gather_median(gather->taken[0]), with = gather_median(gather->taken[1]);
	bool worth = with * 100 <= without * WORTH;

	if (!gather->patience || worth != gather->found)
		gather->patience = PATIENCE_MIN;
	else if (gather->patience < PATIENCE_MAX)
		gather->patience *= 2;
	gather->found = gather->on = worth;
	gather->until = now + gather->patience;
}

static void gather_begin_sample(struct gather *gather, uint64_t now)
{
	gather->begin = now;
	gather->answers = 0;
	gather->depths = 0;
}

static void gather_begin_tuning(struct gather *gather)
{
	gather->sample = 0;
	gather->on = false;
}

/* A sample is over: `each` ns from one answer to the next. */
static void gather_next_sample(struct gather *gather, uint64_t each, uint64_t now)
{
	if (!gather->on)
		gather->each = each;
	gather->taken[gather->on][gather->sample / 2] = each;
	gather->sample++;
	gather->on = gather->sample % 2;
	if (gather->sample == SAMPLES)
		gather_settle(gather, now);
}

void gather_note(struct gather *gather, unsigned answers, unsigned in_flight, uint64_t now)
{
	bool lull = now - gather->last >= LULL;

	assert(now > 0 && gather->sample <= SAMPLES);
	gather->last = now;
	if (gather->sample == SAMPLES && now >= gather->until)
		gather_begin_tuning(gather);
	if (gather->sample == SAMPLES)
		return;
	if (lull) {
		gather_begin_sample(gather, now);
		return;
	}
	gather->answers += answers;
	gather->depths += (uint64_t) answers * in_flight;
	if (gather->answers < SAMPLE_ANSWERS)
		return;
	if (gather->depths < (uint64_t) gather->answers * GATHER_DEPTH)
		gather_begin_tuning(gather);
	else
		gather_next_sample(gather, (now - gather->begin) / gather->answers, now);
	gather_begin_sample(gather, now);
}

uint64_t gather_pause(const struct gather *gather, unsigned in_flight)
{
	uint64_t pause = gather->each * in_flight / SHARE;

	if (!gather->on || in_flight < GATHER_DEPTH || gather->each > PAUSE_MAX)
		return 0;
	return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}
