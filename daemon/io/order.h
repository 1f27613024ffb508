/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a decided command starts: as fast as the rate limits allow, and not beside a command that it
 * must not overlap.
 *
 * The limits hold for all that is read from the medium and written to it, for whatever command: a
 * piece of an EXTENDED COPY counts as a whole command, on each of its devices, and so does each
 * piece of FORMAT UNIT and SANITIZE, which come here again for every piece.
 *
 * COMPARE AND WRITE and ORWRITE are atomic against every other write of this device: they are
 * exclusive for their range, and a command that overlaps waits in the order of arrival. So do
 * FORMAT UNIT and SANITIZE, for the whole medium. A write that the kernel may have given up
 * (io/late.h) keeps its range in the same way.
 *
 * Everything runs on the I/O thread, outside of the ring lock but for order_finish().
 */
#pragma once

#include "base/list.h"
#include "base/rate-limit.h"
#include "io/command.h"

struct order {
	struct core *core;
	struct list blocked;    /* commands that wait for another command's range */
	unsigned exclusive_cnt; /* started commands that are exclusive */
	struct rate_limit rate_limit;
	uint64_t resume; /* when the limits allow the first of core->ready, by clock_now_ns(); 0:
			    nothing waits */
	uint64_t limited_since; /* until when the wait for the limits is counted; 0: nothing waited
				   then */
};

/* Any thread, before the I/O thread starts. */
void order_init(struct order *order, struct core *core);

/* Sets or changes the rate limits; commands that have run still count. */
void order_set_limits(struct order *order, const struct rate_limits *limits);

/* Whether there are commands for order_start_ready(). */
static inline bool order_has_work(const struct order *order)
{
	return !list_is_empty(&order->core->ready) || !list_is_empty(&order->blocked);
}

/* Starts the blocked commands whose range has become free, and those of core->ready as fast as the
 * limits allow. One that was aborted waits for nothing and ends at once. Returns how many were
 * started. */
unsigned order_start_ready(struct order *order);

/* A command that was started and is exclusive has ended. */
void order_finish(struct order *order, const struct command *command);
