/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses how an idle I/O thread waits for the next command (enum wait_mode): asleep; asleep and,
 * once it is woken, for a coalescing delay more; awake, spinning; or asleep on one certain CPU.
 *
 * A wake-up takes longer than a command, most of all on a CPU that sleeps itself. An initiator that
 * keeps many commands in flight gains from a coalescing delay: one wake-up, of the thread and of
 * the initiator, then serves several commands. An initiator that waits for each command before it
 * sends the next gains nothing from a thread that works beside it: on the CPU that sends the
 * commands, no other CPU has to wake up; or the thread spins. Which kind of initiator it is, and
 * which CPU sends, cannot be seen from here. So it is measured: while a device is in use, the modes
 * serve a few dozen commands each, one after the other, and the fastest mode is kept until it
 * serves differently, or a while has passed. A comparison that a pause of a second interrupts
 * begins again. An initiator that does not wait for us makes no difference between the modes; then
 * plain sleep is kept. An initiator that waits for each command gets a thread with a raised
 * priority.
 *
 * How long spinning pays is learned from how long the idle times usually are. Its cost is bounded
 * by a share of a CPU, and for all devices together by half of the CPUs. A device without commands
 * never spins.
 *
 * Pure but for wait_tuner_enter() and wait_tuner_leave(): times are arguments, in nanoseconds of
 * any clock that only grows and is never 0. The I/O thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WAIT_CPUS_MAX 8  /* CPUs that a tuning measures at most */
#define WAIT_ROUNDS   3  /* of a tuning, at most */
#define WAIT_STREAK   64 /* iterations in a row with work: then the thread is never idle */

/* In the order in which they are measured. */
enum wait_mode {
	WAIT_SLEEP,
	WAIT_COALESCE,      /* once woken, for a short delay more */
	WAIT_COALESCE_LONG, /* for a longer one */
	WAIT_SPIN,
	WAIT_CPU, /* on the first of the CPUs; then one mode for each other CPU */
	WAIT_MODES = WAIT_CPU + WAIT_CPUS_MAX,
};

enum wait_phase {
	WAIT_TUNING, /* the modes serve in turn */
	WAIT_SETTLED,
	WAIT_PROBING, /* another mode than the one that was found serves a sample */
};

struct wait_tuner {
	enum wait_phase phase;
	unsigned percent;  /* of a CPU that spinning may cost; 0: it never spins */
	uint64_t gap;      /* how long the thread usually is idle, ns */
	uint64_t credit;   /* how long it may still spin, ns */
	uint64_t counted;  /* until when credit was given */
	uint64_t since;    /* it has been idle since then; 0: it is not idle */
	unsigned round;    /* of the tuning */
	unsigned restarts; /* of the tuning, after long pauses */
	uint64_t settled;  /* until when the mode that was found is kept */
	uint64_t patience; /* for how long it is kept, ns */
	uint64_t probed;   /* when another mode served last */
	bool may_raise;    /* the system permits a raised priority */
	bool raised;       /* the initiator waits for each command, and it is permitted */
	unsigned mode;     /* of this sample; while no tuning is on: the one that was found */
	unsigned found;    /* by the last tuning */
	uint64_t usual;    /* time of a command with the mode that was found */
	unsigned unusual;  /* samples since then that differed from it, in a row */
	uint64_t begin;    /* of this sample; 0: it begins with the next command */
	unsigned commands; /* of this sample */
	unsigned waits;    /* of this sample */
	unsigned streak;   /* iterations in a row with work */
	uint64_t delay;    /* the coalescing delay, ns */
	unsigned cpus;     /* how many CPUs there are */
	unsigned first;    /* the first of them that this tuning measures */
	unsigned cpu;      /* the one that was found last */
	unsigned untried;  /* CPUs not measured since another mode was found */
	uint64_t taken[WAIT_MODES][WAIT_ROUNDS]; /* time of a command; 0: not measured */
};

/* percent: of a CPU that spinning may cost. cpus: how many CPUs the thread may be put on; less than
 * 2: it is not. */
void wait_tuner_init(struct wait_tuner *tuner, unsigned percent, unsigned cpus);

/* The thread's priority may be raised. */
void wait_tuner_permit_raise(struct wait_tuner *tuner);

/* The iteration found work, so many commands among it. True: there was no idle time for long, and
 * wait_tuner_pressed() is to be called. */
static inline bool wait_tuner_work(struct wait_tuner *tuner, unsigned commands)
{
	tuner->commands += commands;
	return ++tuner->streak == WAIT_STREAK;
}

/* Whether it was idle before wait_tuner_work(): then wait_tuner_busy() is to be called. */
static inline bool wait_tuner_was_idle(const struct wait_tuner *tuner)
{
	return tuner->since != 0;
}

/* The thread is idle. Returns for how many ns to spin; 0: it sleeps. */
uint64_t wait_tuner_idle(struct wait_tuner *tuner, uint64_t now);

/* The thread is never idle. Then it has no raised priority, and never sleeps on a CPU of its
 * choice: measuring that is given up, and the other modes make no difference. */
void wait_tuner_pressed(struct wait_tuner *tuner, uint64_t now);

/* The CPU to sleep on, from 0; -1: any. */
int wait_tuner_cpu(const struct wait_tuner *tuner);

/* Whether the thread is to have a raised priority. */
bool wait_tuner_raised(const struct wait_tuner *tuner);

/* A command has woken the thread. Returns for how many ns to let more come; 0: not at all. */
uint64_t wait_tuner_woken(const struct wait_tuner *tuner);

/* The thread has spun for so many ns. */
void wait_tuner_spend(struct wait_tuner *tuner, uint64_t spent);

/* The thread is not idle any more. */
void wait_tuner_busy(struct wait_tuner *tuner, uint64_t now);

/* A thread spins between these two. False: enough others do, it must not. Any thread. */
bool wait_tuner_enter(void);
void wait_tuner_leave(void);
