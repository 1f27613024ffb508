/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of device/lock-fsm.h. One row a state; an event that a row does not name changes
 * nothing there.
 *
 * What can be read off it and is tested: the lock is asked for only while nobody else has been
 * asked for anything; a backend is closed only after it is quiet, and opened only after it is
 * closed; nothing but LOCKED comes of a lock.
 */
#include "device/lock-fsm.h"

#include <stddef.h>

#define TO(state, ...) \
	{ \
		.next = OWNERSHIP_##state, .actions = 0 __VA_ARGS__, .defined = true \
	}
#define DO(action) | OWNERSHIP_DO_##action
#define EV(event)  [OWNERSHIP_EV_##event]

/* One row a line, which the formatter would not keep. */
/* clang-format off */
static const struct ownership_transition table[OWNERSHIP_STATE_COUNT][OWNERSHIP_EVENT_COUNT] = {
	[OWNERSHIP_UNSHARED] = {
		EV(SHARED) = TO(UNLOCKED),
		EV(FENCED) = TO(FENCED),
	},
	[OWNERSHIP_UNLOCKED] = {
		EV(WANTED) = TO(LOCKING, DO(LOCK)),
		EV(ORDERED) = TO(LOCKING, DO(LOCK)),
		EV(FENCED) = TO(FENCED),
	},
	[OWNERSHIP_LOCKING] = {
		EV(LOCKED) = TO(LOCKED),
		EV(LOCK_FAILED) = TO(PAUSED, DO(PAUSE)),
	},
	[OWNERSHIP_LOCKED] = {
		EV(RELEASED) = TO(UNLOCKING, DO(UNLOCK)),
		EV(LOST) = TO(UNLOCKED),
		EV(FENCED) = TO(FENCED),
	},
	[OWNERSHIP_UNLOCKING] = {
		EV(UNLOCKED) = TO(UNLOCKED),
	},
	[OWNERSHIP_PAUSED] = {
		EV(ORDERED) = TO(LOCKING, DO(LOCK)),
		EV(FENCED) = TO(FENCED),
		EV(TIMER) = TO(UNLOCKED),
	},
	[OWNERSHIP_FENCED] = {
		EV(QUIET) = TO(CLOSING, DO(CLOSE)),
	},
	[OWNERSHIP_CLOSING] = {
		EV(CLOSED) = TO(OPENING, DO(OPEN)),
	},
	[OWNERSHIP_OPENING] = {
		EV(OPENED) = TO(UNSHARED, DO(RETURN)),
		EV(OPEN_FAILED) = TO(AWAY, DO(PAUSE)),
	},
	[OWNERSHIP_AWAY] = {
		EV(TIMER) = TO(OPENING, DO(OPEN)),
	},
};
/* clang-format on */

struct ownership_transition ownership_fsm(enum ownership_state state, enum ownership_event event)
{
	struct ownership_transition transition = table[state][event];

	if (!transition.defined)
		transition.next = state;
	return transition;
}

bool ownership_is_calling(enum ownership_state state)
{
	return state == OWNERSHIP_LOCKING || state == OWNERSHIP_UNLOCKING ||
		state == OWNERSHIP_CLOSING || state == OWNERSHIP_OPENING;
}

const char *ownership_state_name(enum ownership_state state)
{
	static const char *const names[OWNERSHIP_STATE_COUNT] = {
		"not shared", "unlocked", "locking", "locked",  "unlocking",
		"paused",     "fenced",   "closing", "opening", "away",
	};

	return names[state];
}
