/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host may use a device's backing store, as a table: (state, event) → (state,
 * actions). Pure: no clock, no memory, no handler.
 *
 * Two questions are one for a command: which of several hosts that share a store has its lock, and
 * whether the backend is open. lock.c owns each device's state, feeds the events on the main thread
 * and carries the actions out, one call of the handler at a time.
 *
 *   UNSHARED ──▶ UNLOCKED ──▶ LOCKING ──▶ LOCKED ──▶ UNLOCKING
 *                    ▲           │
 *                    └─ PAUSED ◀─┘
 *
 *   any of them ──▶ (CALL_FENCED ──▶) FENCED ──▶ CLOSING ──▶ OPENING ◀──▶ RETRY_WAIT
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum lock_state {
	LOCK_UNSHARED, /* no other host uses the store */
	LOCK_UNLOCKED, /* another host may have the lock; this one has not */
	LOCK_LOCKING,
	LOCK_LOCKED, /* this host has the lock */
	LOCK_UNLOCKING,
	LOCK_PAUSED, /* locking failed; it is not retried at once */
	/* From here on the backend cannot be used. */
	LOCK_CALL_FENCED, /* it was fenced while the handler locks or unlocks */
	LOCK_FENCED,      /* it was fenced; requests in flight end */
	LOCK_CLOSING,     /* the handler closes it */
	LOCK_OPENING,     /* the handler opens it again */
	LOCK_OPEN_FENCED, /* likewise, and it has been fenced again already */
	LOCK_RETRY_WAIT,  /* opening failed; it is retried later */
	LOCK_STATE_COUNT,
};

enum lock_event {
	LOCK_EV_SHARED,      /* other hosts may serve the same store */
	LOCK_EV_WANTED,      /* a command needs the store */
	LOCK_EV_REQUESTED,   /* an initiator activates this host's paths */
	LOCK_EV_RELEASED,    /* an initiator deactivates them */
	LOCK_EV_LOCKED,      /* the handler's lock has succeeded */
	LOCK_EV_LOCK_FAILED, /* it has failed */
	LOCK_EV_UNLOCKED,    /* the handler's unlock has returned */
	LOCK_EV_LOST,        /* another host has taken the lock, says the handler */
	LOCK_EV_FENCED,      /* the backend must be reopened, says the handler */
	LOCK_EV_IDLE,        /* the backend has no request and no call */
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
#define LOCK_DO_RETURN (1u << 5) /* report that the backend is open again */
#define LOCK_DO_FAULT  (1u << 6) /* report that the backend was fenced during the call */

struct lock_transition {
	enum lock_state next;
	uint32_t actions;
	bool defined; /* false: the event means nothing in this state */
};

/* The table's entry. OPENED goes to UNSHARED: the caller feeds SHARED after it where that is so. */
struct lock_transition lock_fsm(enum lock_state state, enum lock_event event);

/* Whether a call of the handler is in flight in this state. */
bool lock_is_calling(enum lock_state state);

/* Whether the backend can be used in this state, given the lock. */
bool lock_has_backend(enum lock_state state);

/* "unlocked": for logs. */
const char *lock_state_name(enum lock_state state);
