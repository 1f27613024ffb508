/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of device/lock-fsm.h. One row a state; an event that a row does not name changes
 * nothing there.
 *
 * Tested over all sequences of events: the handler has one call at a time; a backend is closed only
 * after it is idle, and opened only after it is closed; it is locked only after the handler's lock
 * has succeeded.
 */
#include "device/lock-fsm.h"

#include <assert.h>
#include <stddef.h>

#define TO(state, ...) \
	{ \
		.next = LOCK_##state, .actions = 0 __VA_ARGS__, .defined = true \
	}
#define DO(action) | LOCK_DO_##action
#define EV(event)  [LOCK_EV_##event]

/* One row a line, which the formatter would not keep. */
/* clang-format off */
static const struct lock_transition table[LOCK_STATE_COUNT][LOCK_EVENT_COUNT] = {
	[LOCK_UNSHARED] = {
		EV(SHARED) = TO(UNLOCKED),
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
		EV(RELEASED) = TO(UNLOCKING, DO(UNLOCK)),
		EV(LOST) = TO(UNLOCKED),
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
	transition = table[state][event];
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
		"unlocking",
		"paused",
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
