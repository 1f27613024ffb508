/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a device as a table: (state, event) → (state, actions). Pure: no clock, no memory, no
 * kernel.
 *
 * device/device.c owns each device's state, feeds the events on the main thread and carries the
 * actions out. Everything that can end a device's service is an event here; nothing else decides.
 *
 *   OPENING ──▶ ATTACHING ──▶ LIVE ──▶ DRAINING ──▶ DETACHED ──▶ GONE
 *      ▲                       │           │            │          ▲
 *      │                    FAULTED       └──────▶ ORPHANED ──────┘
 *      └── FAILED ◀── CLOSING ◀── FAILING
 *
 * To reopen a backend is the way round at the left; the kernel keeps the device and its commands
 * meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum device_state {
	DEVICE_OPENING,   /* the handler is opening; nothing of the kernel's is held */
	DEVICE_ATTACHING, /* the device's thread maps the ring */
	DEVICE_LIVE,      /* commands are fetched and served */
	DEVICE_FAULTED,   /* the backend has failed; commands are fetched and refused, until it was
			  opened anew if it can be */
	DEVICE_DRAINING,  /* nothing is fetched, what is in flight ends; the ring is still mapped */
	DEVICE_DETACHED,  /* the ring is gone; the handler is closing */
	DEVICE_ORPHANED,  /* the ring is gone, the kernel waits for nothing; the backend has not let
			     go of us yet */
	DEVICE_FAILING, /* as DRAINING, for a ring that broke: the kernel keeps the device and so do
			   we */
	DEVICE_CLOSING, /* as DETACHED, on the way to FAILED */
	DEVICE_FAILED,  /* the kernel has the device, we could not open it; tried again later */
	DEVICE_GONE,    /* nothing is left */
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
	DEVICE_EV_OPENED,       /* the handler's open has succeeded */
	DEVICE_EV_OPEN_REFUSED, /* it has failed, and somebody waits for the answer to ADDED_DEVICE
				 */
	DEVICE_EV_OPEN_FAILED,  /* it has failed, and nobody waits */
	DEVICE_EV_OPEN_TIMEOUT, /* it takes too long, and somebody waits */
	DEVICE_EV_ATTACHED,     /* the ring is mapped */
	DEVICE_EV_REMOVED,      /* REMOVED_DEVICE came by netlink: an answer is owed */
	DEVICE_EV_UNREGISTERED, /* uio or sysfs say that the kernel's device is gone */
	DEVICE_EV_STOP,         /* the daemon stops */
	DEVICE_EV_RING_BROKEN,  /* the ring can not be used, or could not be mapped */
	DEVICE_EV_BACKEND_FAILED,   /* the handler says that its backend must be reopened */
	DEVICE_EV_REOPENED,         /* which was done */
	DEVICE_EV_RELEASE_DEADLINE, /* draining has lasted long enough */
	DEVICE_EV_REVOKED,  /* the mapping was replaced under I/O that is stuck, uio is closed */
	DEVICE_EV_IO_ENDED, /* nothing is in flight, the ring is unmapped, uio is closed, the
				 thread has ended */
	DEVICE_EV_CLOSED,   /* the handler's close has returned */
	DEVICE_EV_REPLY_DEADLINE, /* whoever deletes has waited long enough */
	DEVICE_EV_RETRY,          /* time to try again what failed */
	DEVICE_EV_REOPEN, /* somebody wants the handler to close and to open its backend again */
	DEVICE_EVENT_COUNT,
};

/* What is to be done with a transition, in this order. */
#define DEVICE_DO_START  (1u << 0) /* start the device's thread, which attaches the ring */
#define DEVICE_DO_FAIL   (1u << 1) /* have commands answered with an error */
#define DEVICE_DO_DRAIN  (1u << 2) /* stop fetching; arm the release deadline */
#define DEVICE_DO_REVOKE (1u << 3) /* replace the mapping, close uio */
#define DEVICE_DO_CLOSE  (1u << 4) /* close the handler */
#define DEVICE_DO_ANSWER_ADDED \
	(1u << 5) /* answer ADDED_DEVICE if that is owed: 0 in LIVE, else the error \
		   */
#define DEVICE_DO_ANSWER_REMOVED (1u << 6)  /* answer REMOVED_DEVICE if that is owed */
#define DEVICE_DO_ARM_REPLY      (1u << 7)  /* arm the reply deadline */
#define DEVICE_DO_ARM_RETRY      (1u << 8)  /* arm the retry timer */
#define DEVICE_DO_OPEN           (1u << 9)  /* open the handler */
#define DEVICE_DO_FORGET         (1u << 10) /* drop the device; the last action of its life */

struct device_transition {
	enum device_state next;
	uint32_t actions;
	bool defined; /* false: this event cannot occur in this state; it changes nothing and is
			 worth a log line */
};

/* The table's entry. */
struct device_transition device_fsm(enum device_state state, enum device_event event);

/* Whether the timer stays armed in this state. */
bool device_state_has_timer(enum device_state state, enum device_timer timer);

const char *device_state_name(enum device_state state);
const char *device_event_name(enum device_event event);

/* Whether the ring is, or may be, mapped in this state. */
bool device_state_holds_ring(enum device_state state);

/* Whether the kernel still has the device, as far as the state knows. */
bool device_state_kernel_has(enum device_state state);
