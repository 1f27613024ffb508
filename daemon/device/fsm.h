/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tables, (state, event) → (state, actions), for the life of a device and, below, for its lock.
 * Pure: no clock, no memory, no kernel, no handler.
 *
 * device.c owns each device's state, takes its events from a queue on the main thread and carries
 * the actions out. Everything that can end a device's service is an event; nothing else decides.
 *
 *   OPENING ──▶ ATTACHING ──▶ LIVE ──▶ DRAINING ──▶ DETACHED ──▶ GONE
 *      ▲                       │           │            │          ▲
 *      │                    FAULTED       └──────▶ ORPHANED ──────┘
 *      └── FAILED ◀── CLOSING ◀── FAILING
 *
 * LIVE and RESETTING alternate where somebody else resets the ring. A device whose last daemon died
 * with a COMPARE AND WRITE in flight comes from ATTACHING to RESETTING.
 *
 * A backend is reopened by the round at the left; meanwhile the kernel keeps the device and its
 * commands.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum device_state {
	DEVICE_OPENING,   /* the handler is opening; nothing of the kernel's is held */
	DEVICE_ATTACHING, /* the I/O thread maps the ring */
	DEVICE_LIVE,      /* commands are fetched and served */
	DEVICE_FAULTED,   /* the backend has failed; commands are fetched and refused until it is
			     reopened */
	DEVICE_RESETTING, /* somebody else has reset the ring: nothing is fetched until what was
			     fetched before has ended, and the ring was reset again. Or its last
			     user has died, and its notes (notes/notes.h) are done */
	DEVICE_DRAINING,  /* nothing is fetched, commands in flight end; the ring is still mapped */
	DEVICE_DETACHED,  /* the ring is gone; the handler is closing */
	DEVICE_ORPHANED,  /* the ring is gone, the kernel waits for nothing; the backend has not
			     returned yet */
	DEVICE_FAILING,   /* as DRAINING, for a ring that broke: the kernel keeps the device */
	DEVICE_CLOSING,   /* as DETACHED, on the way to FAILED */
	DEVICE_FAILED,    /* the kernel has the device, its backend is not open; retried later */
	DEVICE_GONE,      /* nothing is left */
	DEVICE_STATE_COUNT,
};

/* The deadlines of a device. Each belongs to some states and is disarmed when they are left. */
enum device_timer {
	DEVICE_TIMER_OPEN,    /* DEVICE_EV_OPEN_TIMEOUT */
	DEVICE_TIMER_RELEASE, /* DEVICE_EV_RELEASE_DEADLINE */
	DEVICE_TIMER_REPLY,   /* DEVICE_EV_REPLY_DEADLINE */
	DEVICE_TIMER_RETRY,   /* DEVICE_EV_RETRY */
	DEVICE_TIMER_COUNT,
};

enum device_event {
	DEVICE_EV_OPENED,           /* the handler's open has succeeded */
	DEVICE_EV_OPEN_REFUSED,     /* it has failed; the answer to ADDED_DEVICE is owed */
	DEVICE_EV_OPEN_FAILED,      /* it has failed; no answer is owed */
	DEVICE_EV_OPEN_TIMEOUT,     /* it takes too long; the answer is owed */
	DEVICE_EV_ATTACHED,         /* the ring is mapped */
	DEVICE_EV_REMOVED,          /* REMOVED_DEVICE by netlink: an answer is owed */
	DEVICE_EV_UNREGISTERED,     /* the kernel's device is gone, say uio or sysfs */
	DEVICE_EV_STOP,             /* the daemon stops */
	DEVICE_EV_RING_BROKEN,      /* the ring cannot be used, or cannot be mapped */
	DEVICE_EV_BACKEND_FAILED,   /* the handler says that its backend must be reopened */
	DEVICE_EV_REOPENED,         /* the handler's backend is open again, under the same ring */
	DEVICE_EV_RELEASE_DEADLINE, /* draining has lasted long enough */
	DEVICE_EV_REVOKED,          /* the mapping was replaced under stuck I/O, uio is closed */
	DEVICE_EV_IO_ENDED, /* nothing is in flight, the ring is unmapped, uio is closed, the I/O
			       thread has ended */
	DEVICE_EV_CLOSED,   /* the handler's close has returned, or nothing was open */
	DEVICE_EV_REPLY_DEADLINE, /* the deleting process has waited long enough */
	DEVICE_EV_RETRY,          /* time to open the backend again */
	DEVICE_EV_REOPEN,         /* an administrator wants the backend closed and opened */
	DEVICE_EV_RING_RESET,     /* somebody else has reset the ring, or its last user has died */
	DEVICE_EVENT_COUNT,
};

/* What a transition does, in this order. An action never feeds an event in: it may queue one. */
#define DEVICE_DO_START  (1u << 0) /* start the I/O thread, which attaches the ring */
#define DEVICE_DO_FAIL   (1u << 1) /* answer commands with an error */
#define DEVICE_DO_DRAIN  (1u << 2) /* stop fetching; arm the release deadline */
#define DEVICE_DO_REVOKE (1u << 3) /* replace the mapping, close uio */
/* answer ADDED_DEVICE if that is owed: 0 in LIVE, else the error */
#define DEVICE_DO_ANSWER_ADDED   (1u << 4)
#define DEVICE_DO_ANSWER_REMOVED (1u << 5)  /* answer REMOVED_DEVICE if that is owed */
#define DEVICE_DO_ARM_REPLY      (1u << 6)  /* arm the reply deadline */
#define DEVICE_DO_ARM_RETRY      (1u << 7)  /* arm the retry timer */
#define DEVICE_DO_OPEN           (1u << 8)  /* open the handler */
#define DEVICE_DO_CLOSE          (1u << 9)  /* close the handler's backend */
#define DEVICE_DO_FORGET         (1u << 10) /* drop the device; the last action of its life */

struct device_transition {
	enum device_state next;
	uint32_t actions;
	bool defined; /* false: this event cannot occur in this state: it changes nothing, and is
			 logged */
};

/* The table's entry. A transition that is not defined stays in the state, without actions. */
struct device_transition device_fsm(enum device_state state, enum device_event event);

/* Whether the timer stays armed in this state. */
bool device_state_has_timer(enum device_state state, enum device_timer timer);

/* How the kernel answers new commands of a device (action/block_dev). */
enum device_block {
	DEVICE_BLOCK_KEEP, /* as it is */
	DEVICE_BLOCK_OFF,  /* they go into the ring */
	DEVICE_BLOCK_ON,   /* they are answered BUSY, because nobody serves them for now */
};

/* How the kernel shall answer in this state. interrupted: since the device was last served, its
 * opening or its ring has failed, or its ring has to be reset before it is served. */
enum device_block device_state_block(enum device_state state, bool interrupted);

/* Whether service is interrupted from this event on, until the device is LIVE. */
bool device_event_interrupts(enum device_event event);

/* "LIVE", "reply deadline": for logs. */
const char *device_state_name(enum device_state state);
const char *device_event_name(enum device_event event);

/* Whether the ring is, or may be, mapped in this state. */
bool device_state_holds_ring(enum device_state state);

/* Whether the kernel still has the device, as far as the state knows. */
bool device_state_kernel_has(enum device_state state);

/* ------- the lock ------- */

/*
 * Whether this host may use a device's backing store, as a table: (state, event) → (state,
 * actions). Pure: no clock, no memory, no handler.
 *
 * Two questions are one for a command: which of several hosts that share a store has its lock, and
 * whether the backend is open. lock.c owns each device's state, feeds the events on the main thread
 * and carries the actions out, one call of the handler at a time.
 *
 *   UNSHARED ──▶ UNLOCKED ──▶ LOCKING ──▶ LOCKED ──▶ RELEASING ──▶ UNLOCKING
 *                    ▲           │
 *                    └─ PAUSED ◀─┘
 *   UNSHARED ◀──▶ ELSEWHERE ──▶ UNLOCKED
 *
 *   any of them ──▶ (CALL_FENCED ──▶) FENCED ──▶ CLOSING ──▶ OPENING ◀──▶ RETRY_WAIT
 */

enum lock_state {
	LOCK_UNSHARED, /* no other host uses the store */
	LOCK_UNLOCKED, /* another host may have the lock; this one has not */
	LOCK_LOCKING,
	LOCK_LOCKED,    /* this host has the lock */
	LOCK_RELEASING, /* it is to be unlocked; requests in flight end, and none begins */
	LOCK_UNLOCKING,
	LOCK_PAUSED,    /* locking failed; it is not retried at once */
	LOCK_ELSEWHERE, /* nothing says that the store is shared, but another host has its lock */
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
	LOCK_EV_LOST,        /* another host has the lock, says the handler */
	LOCK_EV_FENCED,      /* the backend must be reopened, says the handler */
	LOCK_EV_IDLE,        /* the backend has no request and no call */
	LOCK_EV_CLOSED,
	LOCK_EV_CLOSED_SOON, /* and the backend had not been open for long */
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
