/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host may use a device's backing store, as a table: (state, event) → (state,
 * actions). Pure: no clock, no memory, no handler.
 *
 * It is about two things that are one question for a command: which host owns a store that several
 * of them share, and whether the backend is open. device/lock.c owns each device's state,
 * feeds the events on the main thread and carries the actions out, one call of the handler at a
 * time.
 *
 *   UNSHARED ──▶ UNLOCKED ──▶ LOCKING ──▶ LOCKED ──▶ UNLOCKING
 *                    ▲           │
 *                    └─ PAUSED ◀─┘       any of them ──▶ FENCED ──▶ CLOSING ──▶ OPENING ◀──▶ AWAY
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum ownership_state {
	OWNERSHIP_UNSHARED, /* nobody else uses the store */
	OWNERSHIP_UNLOCKED, /* others may own it; we do not */
	OWNERSHIP_LOCKING,
	OWNERSHIP_LOCKED, /* we own it */
	OWNERSHIP_UNLOCKING,
	OWNERSHIP_PAUSED,  /* it could not be locked; that is not tried again at once */
	OWNERSHIP_FENCED,  /* the backend cannot be used any more; what it has under way ends */
	OWNERSHIP_CLOSING, /* it is being closed */
	OWNERSHIP_OPENING, /* it is being opened anew */
	OWNERSHIP_AWAY,    /* that has failed; tried again later */
	OWNERSHIP_STATE_COUNT,
};

enum ownership_event {
	OWNERSHIP_EV_SHARED,      /* other hosts may serve the same store */
	OWNERSHIP_EV_WANTED,      /* a command needs the store */
	OWNERSHIP_EV_ORDERED,     /* an initiator wants us to own it */
	OWNERSHIP_EV_RELEASED,    /* an initiator wants us not to own it */
	OWNERSHIP_EV_LOCKED,      /* the handler's lock has succeeded */
	OWNERSHIP_EV_LOCK_FAILED, /* it has not */
	OWNERSHIP_EV_UNLOCKED,    /* the handler's unlock has returned */
	OWNERSHIP_EV_LOST,        /* the handler says that we do not own it any more */
	OWNERSHIP_EV_FENCED,      /* the handler says that the backend must be opened anew */
	OWNERSHIP_EV_QUIET,       /* nothing is with the backend */
	OWNERSHIP_EV_CLOSED,
	OWNERSHIP_EV_OPENED,
	OWNERSHIP_EV_OPEN_FAILED,
	OWNERSHIP_EV_TIMER,
	OWNERSHIP_EVENT_COUNT,
};

#define OWNERSHIP_DO_LOCK   (1u << 0)
#define OWNERSHIP_DO_UNLOCK (1u << 1)
#define OWNERSHIP_DO_CLOSE  (1u << 2)
#define OWNERSHIP_DO_OPEN   (1u << 3)
#define OWNERSHIP_DO_PAUSE  (1u << 4) /* arm the timer */
#define OWNERSHIP_DO_RETURN (1u << 5) /* the backend is there again */

struct ownership_transition {
	enum ownership_state next;
	uint32_t actions;
	bool defined; /* false: the event means nothing in this state */
};

/* The table's entry. OPENED goes to UNSHARED: the caller feeds SHARED after it where that is so. */
struct ownership_transition ownership_fsm(enum ownership_state state, enum ownership_event event);

/* Whether a call of the handler is under way in this state. */
bool ownership_is_calling(enum ownership_state state);

const char *ownership_state_name(enum ownership_state state);
