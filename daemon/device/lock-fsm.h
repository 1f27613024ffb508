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
 *                    └─ PAUSED ◀─┘
 *
 *   any of them ──▶ FENCED ──▶ CLOSING ──▶ OPENING ◀──▶ RETRY_WAIT
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum lock_state {
	LOCK_UNSHARED, /* nobody else uses the store */
	LOCK_UNLOCKED, /* others may own it; we do not */
	LOCK_LOCKING,
	LOCK_LOCKED, /* we own it */
	LOCK_UNLOCKING,
	LOCK_PAUSED,     /* it could not be locked; that is not tried again at once */
	LOCK_FENCED,     /* the backend cannot be used any more; what it has under way ends */
	LOCK_CLOSING,    /* it is being closed */
	LOCK_OPENING,    /* it is being opened anew */
	LOCK_RETRY_WAIT, /* that has failed; tried again later */
	LOCK_STATE_COUNT,
};

enum lock_event {
	LOCK_EV_SHARED,      /* other hosts may serve the same store */
	LOCK_EV_WANTED,      /* a command needs the store */
	LOCK_EV_REQUESTED,   /* an initiator wants us to own it */
	LOCK_EV_RELEASED,    /* an initiator wants us not to own it */
	LOCK_EV_LOCKED,      /* the handler's lock has succeeded */
	LOCK_EV_LOCK_FAILED, /* it has not */
	LOCK_EV_UNLOCKED,    /* the handler's unlock has returned */
	LOCK_EV_LOST,        /* the handler says that we do not own it any more */
	LOCK_EV_FENCED,      /* the handler says that the backend must be opened anew */
	LOCK_EV_IDLE,        /* nothing is with the backend */
	LOCK_EV_CLOSED,
	LOCK_EV_OPENED,
	LOCK_EV_OPEN_FAILED,
	LOCK_EV_TIMER,
	LOCK_EVENT_COUNT,
};

#define LOCK_DO_LOCK   (1u << 0)
#define LOCK_DO_UNLOCK (1u << 1)
#define LOCK_DO_CLOSE  (1u << 2)
#define LOCK_DO_OPEN   (1u << 3)
#define LOCK_DO_PAUSE  (1u << 4) /* arm the timer */
#define LOCK_DO_RETURN (1u << 5) /* the backend is there again */

struct lock_transition {
	enum lock_state next;
	uint32_t actions;
	bool defined; /* false: the event means nothing in this state */
};

/* The table's entry. OPENED goes to UNSHARED: the caller feeds SHARED after it where that is so. */
struct lock_transition lock_fsm(enum lock_state state, enum lock_event event);

/* Whether a call of the handler is under way in this state. */
bool lock_is_calling(enum lock_state state);

const char *lock_state_name(enum lock_state state);
