/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a device: commands and bytes a second, and how much unused rate it may use later.
 *
 * Each limit keeps the time at which a device that always ran at the limit would start its next
 * command. A device that is ahead of that time waits. The unused rate that is saved is how far the
 * time may lie in the past. A command is never split: a large one starts when there is nothing to
 * wait for, and the following commands wait longer.
 *
 * Pure functions; the caller gives the time, in nanoseconds of any clock that never goes back. One
 * thread at a time: the device's I/O thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The limits; 0: none. */
struct rate_limits {
	uint64_t iops;  /* commands a second */
	uint64_t bps;   /* bytes a second */
	uint64_t burst; /* seconds of unused rate that may be used later */
};

struct rate_limit {
	struct rate_limits limits;
	uint64_t next_command; /* ns: when a command at the rate would start */
	uint64_t next_byte;    /* the same for bytes */
};

/* Sets or changes the limits; commands that have run still count. */
void rate_limit_set(struct rate_limit *rate_limit, const struct rate_limits *limits);

/* Whether there is a limit at all. */
static inline bool rate_limit_is_on(const struct rate_limit *rate_limit)
{
	return rate_limit->limits.iops || rate_limit->limits.bps;
}

/* Asks for the start of a command at the time now that counts as so many commands and bytes. 0: it
 * may start, and is counted; else the time to wait, in ns. */
uint64_t rate_limit_take(
	struct rate_limit *rate_limit, uint64_t now, uint64_t commands, uint64_t bytes);
