/* SPDX-License-Identifier: Apache-2.0 */
/* See base/rate-limit.h. */
#include "base/rate-limit.h"

#define SECOND UINT64_C(1000000000)

/* At least this is saved, so that a thread that wakes late, by the clock's grain, keeps the rate.
 */
#define SAVED_MIN (SECOND / 50)
#define AHEAD_MAX (3600 * SECOND)

void rate_limit_set(struct rate_limit *rate_limit, const struct rate_limits *limits)
{
	rate_limit->limits = *limits;
}

/* The time that so much takes at a rate, at most an hour. Amounts beyond 17 GiB, which no command
 * transfers, count as that. */
static uint64_t time_of(uint64_t amount, uint64_t rate)
{
	uint64_t time;

	if (__builtin_mul_overflow(amount, SECOND, &time))
		return AHEAD_MAX;
	return time / rate < AHEAD_MAX ? time / rate : AHEAD_MAX;
}

/* Unused rate is lost once it is older than can be saved. */
static uint64_t not_before(uint64_t next, uint64_t now, uint64_t saved)
{
	uint64_t oldest = now > saved ? now - saved : 0;

	return next > oldest ? next : oldest;
}

uint64_t rate_limit_take(struct rate_limit *rate_limit, uint64_t now, uint64_t bytes)
{
	const struct rate_limits *limits = &rate_limit->limits;
	uint64_t saved = limits->burst < 3600 ? limits->burst * SECOND : AHEAD_MAX;
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
	if (limits->iops)
		rate_limit->next_command += time_of(1, limits->iops);
	if (limits->bps)
		rate_limit->next_byte += time_of(bytes, limits->bps);
	return 0;
}
