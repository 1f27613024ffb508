/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one clock for intervals: CLOCK_MONOTONIC, which the timers of the event loop use as well.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_US  UINT64_C(1000)
#define CLOCK_NS_PER_MS  UINT64_C(1000000)
#define CLOCK_NS_PER_SEC UINT64_C(1000000000)

/* Nanoseconds since some time before the process started. Any thread; no system call. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * CLOCK_NS_PER_SEC + (uint64_t) now.tv_nsec;
}

/* How long ago a time was. The clock may go back: on a machine whose CPUs do not agree, and under
 * an emulator that has stood still. Then the answer is 0, not centuries, and no assertion may rest
 * on the order of two readings. */
static inline uint64_t clock_since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* The same as clock_now_ns() in microseconds, the unit of sd-event. */
static inline uint64_t clock_now_us(void)
{
	return clock_now_ns() / CLOCK_NS_PER_US;
}
