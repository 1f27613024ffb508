/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a device may be: commands and bytes a second, and how much of the unused rate may be
 * used later.
 *
 * Each limit is the time at which a device that was never faster than it would begin the next
 * command. A device that is ahead of that time waits. The saved rate is how far that time may lie
 * in the past. A command is never cut: a large one begins when there is nothing to wait for, and
 * the commands after it wait the longer.
 *
 * Pure: times are given, in nanoseconds of any clock that only grows. The device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* 0: no limit. */
struct rate_limits {
	uint64_t iops;  /* commands a second */
	uint64_t bps;   /* bytes a second */
	uint64_t burst; /* seconds of either that may be saved */
};

struct rate_limit {
	struct rate_limits limits;
	uint64_t next_command; /* ns */
	uint64_t next_byte;
};

/* Also for a change; the rate used until now still counts. */
void rate_limit_set(struct rate_limit *rate_limit, const struct rate_limits *limits);

static inline bool rate_limit_is_on(const struct rate_limit *rate_limit)
{
	return rate_limit->limits.iops || rate_limit->limits.bps;
}

/* Whether a command of so many bytes may begin; if so it is accounted for. 0: yes; else how long to
 * wait, in ns. */
uint64_t rate_limit_take(struct rate_limit *rate_limit, uint64_t now, uint64_t bytes);
