/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of device/fsm.h. One row a state; an event that a row does not name cannot occur there.
 *
 * Three rules can be read off it and are tested over all sequences of events: REMOVED_DEVICE is
 * answered once, and only after the ring is gone; the handler is closed once for each open, and
 * never while something is in flight; GONE is final and holds nothing.
 */
#include "device/fsm.h"

#include <assert.h>
#include <stddef.h>

/* The words of both tables. OF is the prefix of the table's names. */
#define NAME(prefix, kind, name)        NAME_JOINED(prefix, kind, name)
#define NAME_JOINED(prefix, kind, name) prefix##kind##name
#define TO(state, ...) \
	{ \
		.next = NAME(OF, _, state), .actions = 0 __VA_ARGS__, .defined = true \
	}
#define DO(action) | NAME(OF, _DO_, action)
#define EV(event)  [NAME(OF, _EV_, event)]

/* One row a line, which the formatter would not keep. */
/* clang-format off */
#define OF DEVICE
static const struct device_transition table[DEVICE_STATE_COUNT][DEVICE_EVENT_COUNT] = {
	[DEVICE_OPENING] = {
		EV(OPENED) = TO(ATTACHING, DO(START)),
		EV(OPEN_REFUSED) = TO(GONE, DO(ANSWER_ADDED) DO(FORGET)),
		EV(OPEN_FAILED) = TO(FAILED, DO(ARM_RETRY)),
		EV(OPEN_TIMEOUT) = TO(ORPHANED, DO(ANSWER_ADDED)),
		EV(REMOVED) = TO(DETACHED, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DETACHED),
		EV(STOP) = TO(DETACHED, DO(ANSWER_ADDED)),
	},
	[DEVICE_ATTACHING] = {
		EV(OPEN_TIMEOUT) = TO(DRAINING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(ATTACHED) = TO(LIVE, DO(ANSWER_ADDED)),
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(BACKEND_FAILED) = TO(FAILING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(RING_RESET) = TO(RESETTING, DO(ANSWER_ADDED)),
	},
	[DEVICE_LIVE] = {
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN)),
		EV(BACKEND_FAILED) = TO(FAULTED, DO(FAIL)),
		EV(REOPEN) = TO(FAILING, DO(DRAIN)),
		EV(RING_RESET) = TO(RESETTING),
	},
	[DEVICE_RESETTING] = {
		EV(ATTACHED) = TO(LIVE),
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN)),
		EV(BACKEND_FAILED) = TO(FAILING, DO(DRAIN)),
	},
	[DEVICE_FAULTED] = {
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN)),
		EV(BACKEND_FAILED) = TO(FAULTED),
		EV(REOPEN) = TO(FAILING, DO(DRAIN)),
		EV(REOPENED) = TO(LIVE),
		EV(RING_RESET) = TO(FAILING, DO(DRAIN)),
	},
	[DEVICE_DRAINING] = {
		EV(ATTACHED) = TO(DRAINING),
		EV(REMOVED) = TO(DRAINING, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING),
		EV(STOP) = TO(DRAINING),
		EV(RING_BROKEN) = TO(DRAINING),
		EV(BACKEND_FAILED) = TO(DRAINING),
		EV(RELEASE_DEADLINE) = TO(DRAINING, DO(REVOKE)),
		EV(REVOKED) = TO(ORPHANED, DO(ANSWER_REMOVED)),
		EV(IO_ENDED) = TO(DETACHED, DO(CLOSE)),
		EV(REPLY_DEADLINE) = TO(DRAINING, DO(REVOKE) DO(ARM_REPLY)),
		EV(RING_RESET) = TO(DRAINING),
	},
	[DEVICE_DETACHED] = {
		EV(OPENED) = TO(DETACHED, DO(CLOSE)),
		EV(OPEN_FAILED) = TO(GONE, DO(ANSWER_REMOVED) DO(FORGET)),
		EV(ATTACHED) = TO(DETACHED),
		EV(REMOVED) = TO(DETACHED, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DETACHED),
		EV(STOP) = TO(DETACHED),
		EV(RING_BROKEN) = TO(DETACHED),
		EV(BACKEND_FAILED) = TO(DETACHED),
		EV(IO_ENDED) = TO(DETACHED, DO(CLOSE)),
		EV(CLOSED) = TO(GONE, DO(ANSWER_REMOVED) DO(FORGET)),
		EV(REPLY_DEADLINE) = TO(ORPHANED, DO(ANSWER_REMOVED)),
		EV(RING_RESET) = TO(DETACHED),
	},
	[DEVICE_ORPHANED] = {
		EV(OPENED) = TO(ORPHANED, DO(CLOSE)),
		EV(OPEN_FAILED) = TO(GONE, DO(FORGET)),
		EV(ATTACHED) = TO(ORPHANED),
		EV(REMOVED) = TO(ORPHANED, DO(ANSWER_REMOVED)),
		EV(UNREGISTERED) = TO(ORPHANED),
		EV(STOP) = TO(ORPHANED),
		EV(RING_BROKEN) = TO(ORPHANED),
		EV(BACKEND_FAILED) = TO(ORPHANED),
		EV(IO_ENDED) = TO(ORPHANED, DO(CLOSE)),
		EV(CLOSED) = TO(GONE, DO(FORGET)),
		EV(RING_RESET) = TO(ORPHANED),
	},
	[DEVICE_FAILING] = {
		EV(ATTACHED) = TO(FAILING),
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING),
		EV(BACKEND_FAILED) = TO(FAILING),
		EV(RELEASE_DEADLINE) = TO(FAILING, DO(REVOKE)),
		EV(REVOKED) = TO(CLOSING),
		EV(IO_ENDED) = TO(CLOSING, DO(CLOSE)),
		EV(RING_RESET) = TO(FAILING),
	},
	[DEVICE_CLOSING] = {
		EV(ATTACHED) = TO(CLOSING),
		EV(REMOVED) = TO(DETACHED, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DETACHED),
		EV(STOP) = TO(DETACHED),
		EV(RING_BROKEN) = TO(CLOSING),
		EV(BACKEND_FAILED) = TO(CLOSING),
		EV(IO_ENDED) = TO(CLOSING, DO(CLOSE)),
		EV(CLOSED) = TO(FAILED, DO(ARM_RETRY)),
		EV(RING_RESET) = TO(CLOSING),
	},
	[DEVICE_FAILED] = {
		EV(REMOVED) = TO(GONE, DO(ANSWER_REMOVED) DO(FORGET)),
		EV(UNREGISTERED) = TO(GONE, DO(FORGET)),
		EV(STOP) = TO(GONE, DO(FORGET)),
		EV(RETRY) = TO(OPENING, DO(OPEN)),
		EV(REOPEN) = TO(OPENING, DO(OPEN)),
	},
	[DEVICE_GONE] = {
		EV(REMOVED) = TO(GONE, DO(ANSWER_REMOVED)),
		EV(UNREGISTERED) = TO(GONE),
		EV(STOP) = TO(GONE),
	},
};
/* clang-format on */

struct device_transition device_fsm(enum device_state state, enum device_event event)
{
	struct device_transition transition;

	assert(state < DEVICE_STATE_COUNT && event < DEVICE_EVENT_COUNT);
	transition = table[state][event];
	assert(transition.defined || !transition.actions);
	if (!transition.defined)
		transition.next = state;
	return transition;
}

#define IS(state) (1u << DEVICE_##state)

bool device_state_has_timer(enum device_state state, enum device_timer timer)
{
	static const uint32_t states[DEVICE_TIMER_COUNT] = {
		[DEVICE_TIMER_OPEN] = IS(OPENING) | IS(ATTACHING),
		[DEVICE_TIMER_RELEASE] = IS(DRAINING) | IS(FAILING),
		[DEVICE_TIMER_REPLY] = IS(DRAINING) | IS(DETACHED),
		[DEVICE_TIMER_RETRY] = IS(FAILED),
	};

	assert(state < DEVICE_STATE_COUNT && timer < DEVICE_TIMER_COUNT);
	return states[timer] & (1u << state);
}

bool device_state_holds_ring(enum device_state state)
{
	assert(state < DEVICE_STATE_COUNT);
	return (IS(ATTACHING) | IS(LIVE) | IS(FAULTED) | IS(RESETTING) | IS(DRAINING) |
		IS(FAILING)) &
		(1u << state);
}

bool device_state_kernel_has(enum device_state state)
{
	assert(state < DEVICE_STATE_COUNT);
	return (IS(OPENING) | IS(ATTACHING) | IS(LIVE) | IS(FAULTED) | IS(RESETTING) | IS(FAILING) |
		IS(CLOSING) | IS(FAILED)) &
		(1u << state);
}

/* A device that ends keeps what it has: it is gone in a moment, or the next daemon decides. */
enum device_block device_state_block(enum device_state state, bool interrupted)
{
	static const uint32_t on = IS(RESETTING);
	static const uint32_t off = IS(LIVE) | IS(FAULTED);
	static const uint32_t on_if_interrupted = IS(OPENING) | IS(ATTACHING) | IS(FAILING) |
		IS(CLOSING) | IS(FAILED);
	uint32_t bit;

	assert(state < DEVICE_STATE_COUNT);
	bit = 1u << state;
	if (bit & off)
		return DEVICE_BLOCK_OFF;
	return (bit & on) || (interrupted && (bit & on_if_interrupted)) ? DEVICE_BLOCK_ON
									: DEVICE_BLOCK_KEEP;
}

bool device_event_interrupts(enum device_event event)
{
	assert(event < DEVICE_EVENT_COUNT);
	return event == DEVICE_EV_OPEN_FAILED || event == DEVICE_EV_RING_BROKEN ||
		event == DEVICE_EV_BACKEND_FAILED || event == DEVICE_EV_RING_RESET;
}

const char *device_state_name(enum device_state state)
{
	static const char *const names[DEVICE_STATE_COUNT] = {
		"OPENING",  "ATTACHING", "LIVE",    "FAULTED", "RESETTING", "DRAINING",
		"DETACHED", "ORPHANED",  "FAILING", "CLOSING", "FAILED",    "GONE",
	};

	assert(state < DEVICE_STATE_COUNT);
	return names[state];
}

const char *device_event_name(enum device_event event)
{
	static const char *const names[DEVICE_EVENT_COUNT] = {
		"opened",           "open refused", "open failed",
		"open timeout",     "attached",     "removed",
		"unregistered",     "stop",         "ring broken",
		"backend failed",   "reopened",     "release deadline",
		"mapping replaced", "I/O ended",    "closed",
		"reply deadline",   "retry",        "reopen",
		"ring reset",
	};

	assert(event < DEVICE_EVENT_COUNT);
	return names[event];
}

/* ------- the lock ------- */

/* One row a line, which the formatter would not keep. */
/* clang-format off */
#undef OF
#define OF LOCK
static const struct lock_transition lock_table[LOCK_STATE_COUNT][LOCK_EVENT_COUNT] = {
	[LOCK_UNSHARED] = {
		EV(SHARED) = TO(UNLOCKED),
		EV(LOST) = TO(ELSEWHERE, DO(PAUSE)),
		EV(FENCED) = TO(FENCED),
	},
	[LOCK_UNLOCKED] = {
		EV(WANTED) = TO(LOCKING, DO(LOCK)),
		EV(REQUESTED) = TO(LOCKING, DO(LOCK)),
		EV(FENCED) = TO(FENCED),
	},
	[LOCK_LOCKING] = {
		EV(LOCKED) = TO(LOCKED),
		EV(LOCK_FAILED) = TO(PAUSED, DO(PAUSE)),
		EV(FENCED) = TO(CALL_FENCED),
	},
	[LOCK_LOCKED] = {
		EV(RELEASED) = TO(RELEASING),
		EV(LOST) = TO(UNLOCKED),
		EV(FENCED) = TO(FENCED),
	},
	[LOCK_RELEASING] = {
		EV(IDLE) = TO(UNLOCKING, DO(UNLOCK)),
		EV(FENCED) = TO(FENCED),
	},
	[LOCK_UNLOCKING] = {
		EV(UNLOCKED) = TO(UNLOCKED),
		EV(FENCED) = TO(CALL_FENCED),
	},
	[LOCK_PAUSED] = {
		EV(REQUESTED) = TO(LOCKING, DO(LOCK)),
		EV(FENCED) = TO(FENCED),
		EV(TIMER) = TO(UNLOCKED),
	},
	[LOCK_ELSEWHERE] = {
		EV(SHARED) = TO(UNLOCKED),
		EV(LOST) = TO(ELSEWHERE, DO(PAUSE)),
		EV(FENCED) = TO(FENCED),
		EV(TIMER) = TO(UNSHARED),
	},
	[LOCK_CALL_FENCED] = {
		EV(LOCKED) = TO(FENCED, DO(FAULT)),
		EV(LOCK_FAILED) = TO(FENCED, DO(FAULT)),
		EV(UNLOCKED) = TO(FENCED, DO(FAULT)),
	},
	[LOCK_FENCED] = {
		EV(IDLE) = TO(CLOSING, DO(CLOSE)),
	},
	[LOCK_CLOSING] = {
		EV(CLOSED) = TO(OPENING, DO(OPEN)),
		EV(CLOSED_SOON) = TO(RETRY_WAIT, DO(PAUSE)),
	},
	[LOCK_OPENING] = {
		EV(OPENED) = TO(UNSHARED, DO(RETURN)),
		EV(OPEN_FAILED) = TO(RETRY_WAIT, DO(PAUSE)),
		EV(FENCED) = TO(OPEN_FENCED),
	},
	[LOCK_OPEN_FENCED] = {
		EV(OPENED) = TO(FENCED, DO(FAULT)),
		EV(OPEN_FAILED) = TO(RETRY_WAIT, DO(PAUSE)),
	},
	[LOCK_RETRY_WAIT] = {
		EV(TIMER) = TO(OPENING, DO(OPEN)),
	},
};
/* clang-format on */

struct lock_transition lock_fsm(enum lock_state state, enum lock_event event)
{
	struct lock_transition transition;

	assert(state < LOCK_STATE_COUNT && event < LOCK_EVENT_COUNT);
	transition = lock_table[state][event];
	assert(transition.defined || !transition.actions);
	if (!transition.defined)
		transition.next = state;
	return transition;
}

bool lock_is_calling(enum lock_state state)
{
	assert(state < LOCK_STATE_COUNT);
	return state == LOCK_LOCKING || state == LOCK_UNLOCKING || state == LOCK_CALL_FENCED ||
		state == LOCK_CLOSING || state == LOCK_OPENING || state == LOCK_OPEN_FENCED;
}

bool lock_has_backend(enum lock_state state)
{
	assert(state < LOCK_STATE_COUNT);
	return state < LOCK_CALL_FENCED;
}

const char *lock_state_name(enum lock_state state)
{
	static const char *const names[LOCK_STATE_COUNT] = {
		"not shared",
		"unlocked",
		"locking",
		"locked",
		"releasing",
		"unlocking",
		"paused",
		"locked elsewhere",
		"fenced while locking",
		"fenced",
		"closing",
		"opening",
		"fenced while opening",
		"waiting to retry",
	};

	assert(state < LOCK_STATE_COUNT);
	return names[state];
}
