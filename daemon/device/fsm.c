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

#define TO(state, ...) \
	{ \
		.next = DEVICE_##state, .actions = 0 __VA_ARGS__, .defined = true \
	}
#define DO(action) | DEVICE_DO_##action
#define EV(event)  [DEVICE_EV_##event]

/* One row a line, which the formatter would not keep. */
/* clang-format off */
static const struct device_transition table[DEVICE_STATE_COUNT][DEVICE_EVENT_COUNT] = {
	[DEVICE_OPENING] = {
		EV(OPENED) = TO(ATTACHING, DO(START)),
		EV(OPEN_REFUSED) = TO(GONE, DO(ANSWER_ADDED) DO(FORGET)),
		EV(OPEN_FAILED) = TO(FAILED, DO(ARM_RETRY)),
		EV(OPEN_TIMEOUT) = TO(ORPHANED, DO(ANSWER_ADDED)),
		EV(REMOVED) = TO(DETACHED, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DETACHED),
		EV(STOP) = TO(DETACHED),
	},
	[DEVICE_ATTACHING] = {
		EV(OPEN_TIMEOUT) = TO(DRAINING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(ATTACHED) = TO(LIVE, DO(ANSWER_ADDED)),
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN) DO(ANSWER_ADDED)),
		EV(BACKEND_FAILED) = TO(FAILING, DO(DRAIN) DO(ANSWER_ADDED)),
	},
	[DEVICE_LIVE] = {
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN)),
		EV(BACKEND_FAILED) = TO(FAULTED, DO(FAIL)),
		EV(REOPEN) = TO(FAILING, DO(DRAIN)),
	},
	[DEVICE_FAULTED] = {
		EV(REMOVED) = TO(DRAINING, DO(DRAIN) DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING, DO(DRAIN)),
		EV(STOP) = TO(DRAINING, DO(DRAIN)),
		EV(RING_BROKEN) = TO(FAILING, DO(DRAIN)),
		EV(BACKEND_FAILED) = TO(FAULTED),
		EV(REOPEN) = TO(FAILING, DO(DRAIN)),
		EV(REOPENED) = TO(LIVE),
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
	},
	[DEVICE_DETACHED] = {
		EV(OPENED) = TO(DETACHED, DO(CLOSE)),
		EV(OPEN_REFUSED) = TO(GONE, DO(ANSWER_REMOVED) DO(FORGET)),
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
	},
	[DEVICE_FAILING] = {
		EV(ATTACHED) = TO(FAILING),
		EV(REMOVED) = TO(DRAINING, DO(ARM_REPLY)),
		EV(UNREGISTERED) = TO(DRAINING),
		EV(STOP) = TO(DRAINING),
		EV(RING_BROKEN) = TO(FAILING),
		EV(BACKEND_FAILED) = TO(FAILING),
		EV(RELEASE_DEADLINE) = TO(FAILING, DO(REVOKE)),
		EV(REVOKED) = TO(CLOSING),
		EV(IO_ENDED) = TO(CLOSING, DO(CLOSE)),
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
	return (IS(ATTACHING) | IS(LIVE) | IS(FAULTED) | IS(DRAINING) | IS(FAILING)) &
		(1u << state);
}

bool device_state_kernel_has(enum device_state state)
{
	assert(state < DEVICE_STATE_COUNT);
	return (IS(OPENING) | IS(ATTACHING) | IS(LIVE) | IS(FAULTED) | IS(FAILING) | IS(CLOSING) |
		IS(FAILED)) &
		(1u << state);
}

const char *device_state_name(enum device_state state)
{
	static const char *const names[DEVICE_STATE_COUNT] = {
		"OPENING",  "ATTACHING", "LIVE",    "FAULTED", "DRAINING", "DETACHED",
		"ORPHANED", "FAILING",   "CLOSING", "FAILED",  "GONE",
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
	};

	assert(event < DEVICE_EVENT_COUNT);
	return names[event];
}
