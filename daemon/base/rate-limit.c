/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rate-limit.h"

#include <assert.h>

#include "base/clock.h"

/* At least this is saved, so that a thread that a coarse clock wakes late keeps the rate. */
#define SAVED_MIN (CLOCK_NS_PER_SEC / 50)
#define AHEAD_MAX (3600 * CLOCK_NS_PER_SEC)

void rate_limit_set(struct rate_limit *rate_limit, const struct rate_limits *limits)
{
	rate_limit->limits = *limits;
}

/* The time in ns that an amount takes at a rate, at most an hour. Amounts beyond 17 GiB, which no
 * command transfers, count as an hour. */
static uint64_t time_of_amount(uint64_t amount, uint64_t rate)
{
	uint64_t time;

	assert(rate > 0);
	if (__builtin_mul_overflow(amount, CLOCK_NS_PER_SEC, &time))
		return AHEAD_MAX;
	return time / rate < AHEAD_MAX ? time / rate : AHEAD_MAX;
}

/* Drops unused rate that is older than can be saved. */
static uint64_t not_before(uint64_t next, uint64_t now, uint64_t saved)
{
	uint64_t oldest = now > saved ? now - saved : 0;

	return next > oldest ? next : oldest;
}

uint64_t rate_limit_take(
	struct rate_limit *rate_limit, uint64_t now, uint64_t commands, uint64_t bytes)
{
	const struct rate_limits *limits = &rate_limit->limits;
	uint64_t saved = limits->burst < 3600 ? limits->burst * CLOCK_NS_PER_SEC : AHEAD_MAX;
	uint64_t wait = 0;

	if (saved < SAVED_MIN)
		saved = SAVED_MIN;
	rate_limit->next_command = not_before(rate_limit->next_command, now, saved);
	rate_limit->next_byte = not_before(rate_limit->next_byte, now, saved);
	if (limits->iops && rate_limit->next_command > now)
		wait = rate_limit->next_command - now;
	if (limits->bps && rate_limit->next_byte > now + wait)
		wait = rate_limit->next_byte - now;
	if (wait)
		return wait;
	assert(!limits->iops || rate_limit->next_command <= now);
	assert(!limits->bps || rate_limit->next_byte <= now);
	if (limits->iops)
		rate_limit->next_command += time_of_amount(commands, limits->iops);
	if (limits->bps)
		rate_limit->next_byte += time_of_amount(bytes, limits->bps);
	return 0;
}
