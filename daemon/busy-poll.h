/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's thread that has nothing to do waits for the next command: asleep; awake, looking again and again; or asleep
 * and, once it is woken, for a moment more.
 *
 * To be woken takes longer than what a command needs. So where the initiator waits for each command before it sends the
 * next, it pays to wait for that one awake. Where it keeps many under way, it pays to let some of them come together: to
 * be woken, and to wake the initiator, is then done once for all of them. Which it is cannot be seen from here, so it is
 * tried: a device that is in use is served now this way, now that way, for a few dozen commands each, and goes on for a
 * while with what served more of them in the same time. An initiator that is not kept up by us makes no difference
 * between the ways, and then it is the plain one.
 *
 * For how long it pays to look is learned from how long there usually is nothing to do. What that may cost is bounded by
 * a share of a processor, and for all devices together by half of the processors. A device that is idle looks for
 * nothing.
 *
 * Pure but for poll_enter() and poll_leave(): times are given, in nanoseconds of any clock that only grows and is never
 * 0. The device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum poll_way {
	POLL_SLEEP,
	POLL_LOOK,
	POLL_REST, /* for a moment more, when it was woken */
	POLL_WAYS,
};

/* What came in some time in which it waited in one of the ways. */
struct poll_tally {
	uint64_t commands;
	uint64_t duration;
};

struct poll {
	unsigned percent;                   /* of a processor; 0: never */
	uint64_t gap;                       /* how long it usually has nothing to do */
	uint64_t credit;                    /* what may still be spent */
	uint64_t counted;                   /* until when credit was given */
	uint64_t since;                     /* it has had nothing to do since then; 0: it has */
	unsigned turns;                     /* that the trial still has; 0: it is over */
	uint64_t settled;                   /* until when what was found last is gone by */
	uint64_t patience;                  /* for how long what was found is gone by */
	enum poll_way way;                  /* of this turn; when no trial is on: what was found */
	enum poll_way found;                /* by the last trial */
	uint64_t begin;                     /* of this turn; 0: with the next command */
	unsigned commands;                  /* since then */
	uint64_t rest;                      /* for how long, ns */
	struct poll_tally tally[POLL_WAYS]; /* of this trial */
};

void poll_init(struct poll *poll, unsigned percent);

/* So many commands have come. */
static inline void poll_work(struct poll *poll, unsigned commands)
{
	poll->commands += commands;
}

/* Whether it had nothing to do before poll_work(): then poll_busy() is to be called. */
static inline bool poll_was_idle(const struct poll *poll)
{
	return poll->since != 0;
}

/* There is nothing to do. Returns for how long to look again and again; 0: sleep. */
uint64_t poll_idle(struct poll *poll, uint64_t now);

/* A command has woken it. Returns for how long to let others come; 0: not at all. */
uint64_t poll_woken(const struct poll *poll);

/* It has looked for so long. */
void poll_spend(struct poll *poll, uint64_t spent);

/* There is something to do again. */
void poll_busy(struct poll *poll, uint64_t now);

/* Between these a thread looks again and again. False: enough others do. Any thread. */
bool poll_enter(void);
void poll_leave(void);
