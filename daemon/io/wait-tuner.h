/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's thread that has nothing to do waits for the next command: asleep; asleep and, once
 * it is woken, for a moment more; awake, looking again and again; or asleep on one certain
 * processor.
 *
 * To be woken takes longer than what a command needs, most of all on a processor that sleeps
 * itself. Where the initiator keeps many commands under way, it pays to let some of them come
 * together: to be woken, and to wake the initiator, is then done once for all of them. Where it
 * waits for each command before it sends the next, nothing is gained by working beside it: on the
 * processor that sends the commands no other has to be woken, neither for us nor for the initiator;
 * or it pays to wait for the next command awake. Which it is, and which processor sends, cannot be
 * seen from here, so it is tried: a device that is in use is served now this way, now that way, for
 * a few dozen commands each, and goes on with what served more of them in the same time, until that
 * serves differently, or a while has passed. An initiator that is not kept up by us makes no
 * difference between the ways, and then it is the plain one.
 *
 * For how long it pays to look is learned from how long there usually is nothing to do. What that
 * may cost is bounded by a share of a processor, and for all devices together by half of the
 * processors. A device that is idle looks for nothing.
 *
 * Pure but for wait_tuner_enter() and wait_tuner_leave(): times are given, in nanoseconds of any
 * clock that only grows and is never 0. The device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WAIT_CPUS_MAX 8  /* that a trial tries at most */
#define WAIT_ROUNDS   3  /* of a trial */
#define WAIT_STREAK   64 /* times in a row that there is something to do: then there always is */

/* In the order in which they are tried. */
enum wait_mode {
	WAIT_SLEEP,
	WAIT_COALESCE,      /* for a moment more, when it was woken */
	WAIT_COALESCE_LONG, /* for some moments more */
	WAIT_SPIN,
	WAIT_CPU, /* the first of the processors */
	WAIT_MODES = WAIT_CPU + WAIT_CPUS_MAX,
};

struct wait_tuner {
	unsigned percent;  /* of a processor; 0: never */
	uint64_t gap;      /* how long it usually has nothing to do */
	uint64_t credit;   /* what may still be spent */
	uint64_t counted;  /* until when credit was given */
	uint64_t since;    /* it has had nothing to do since then; 0: it has */
	unsigned round;    /* of the trial; WAIT_ROUNDS: it is over */
	uint64_t settled;  /* until when what was found last is gone by */
	uint64_t patience; /* for how long what was found is gone by */
	unsigned way;      /* of this turn; when no trial is on: what was found */
	unsigned found;    /* by the last trial */
	uint64_t usual;    /* time that a command took with what was found */
	unsigned unusual;  /* turns since then that were different, one after the other */
	uint64_t begin;    /* of this turn; 0: with the next command */
	unsigned commands; /* since then */
	unsigned waits;    /* since then */
	unsigned streak;   /* times in a row that there was something to do */
	uint64_t rest;     /* for how long, ns */
	unsigned cpus;     /* processors that there are */
	unsigned first;    /* of them that this trial tries */
	unsigned cpu;      /* that was found last */
	unsigned untried;  /* since something else was found */
	uint64_t taken[WAIT_MODES][WAIT_ROUNDS]; /* time that a command took; 0: not tried */
};

/* places: how many processors the thread may be put on; less than 2: it is not. */
void wait_tuner_init(struct wait_tuner *tuner, unsigned percent, unsigned cpus);

/* There was something to do, and so many commands have come. True: there was nothing else for long,
 * and wait_tuner_pressed() is to be called. */
static inline bool wait_tuner_work(struct wait_tuner *tuner, unsigned commands)
{
	tuner->commands += commands;
	return ++tuner->streak == WAIT_STREAK;
}

/* Whether it had nothing to do before wait_tuner_work(): then wait_tuner_busy() is to be called. */
static inline bool wait_tuner_was_idle(const struct wait_tuner *tuner)
{
	return tuner->since != 0;
}

/* There is nothing to do. Returns for how long to look again and again; 0: sleep. */
uint64_t wait_tuner_idle(struct wait_tuner *tuner, uint64_t now);

/* There always is something to do. Who never sleeps has no place to sleep on: what is tried there
 * is given up, and how else it waits makes no difference. */
void wait_tuner_pressed(struct wait_tuner *tuner, uint64_t now);

/* The processor to sleep on, from 0; -1: any. */
int wait_tuner_cpu(const struct wait_tuner *tuner);

/* A command has woken it. Returns for how long to let others come; 0: not at all. */
uint64_t wait_tuner_woken(const struct wait_tuner *tuner);

/* It has looked for so long. */
void wait_tuner_spend(struct wait_tuner *tuner, uint64_t spent);

/* There is something to do again. */
void wait_tuner_busy(struct wait_tuner *tuner, uint64_t now);

/* Between these a thread looks again and again. False: enough others do. Any thread. */
bool wait_tuner_enter(void);
void wait_tuner_leave(void);
