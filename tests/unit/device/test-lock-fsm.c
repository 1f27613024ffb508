/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock's table, exhaustively: all sequences of events that a handler, an I/O thread and
 * initiators can produce. A small model beside it knows the truth (whether this host has the lock,
 * whether the backend is open, which call the handler has); the invariants are checked at each
 * step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/fsm.h"

#define DEPTH 9

enum call {
	CALL_NONE,
	CALL_LOCK,
	CALL_UNLOCK,
	CALL_CLOSE,
	CALL_OPEN,
};

struct world {
	enum lock_state state;
	enum call call;
	bool open;
	bool locked; /* by this host, as far as the handler has said */
	bool timer;
};

static bool entered[LOCK_STATE_COUNT];

static bool possible(const struct world *world, enum lock_event event)
{
	switch (event) {
	case LOCK_EV_LOCKED:
	case LOCK_EV_LOCK_FAILED:
		return world->call == CALL_LOCK;
	case LOCK_EV_UNLOCKED:
		return world->call == CALL_UNLOCK;
	case LOCK_EV_CLOSED:
	case LOCK_EV_CLOSED_SOON:
		return world->call == CALL_CLOSE;
	case LOCK_EV_OPENED:
	case LOCK_EV_OPEN_FAILED:
		return world->call == CALL_OPEN;
	case LOCK_EV_TIMER:
		return world->timer;
	default:
		return true;
	}
}

static void happen(struct world *world, enum lock_event event)
{
	if (lock_is_calling(world->state))
		assert_int_not_equal(world->call, CALL_NONE);
	switch (event) {
	case LOCK_EV_LOCKED:
		world->locked = true;
		world->call = CALL_NONE;
		break;
	case LOCK_EV_OPENED:
		world->open = true;
		world->call = CALL_NONE;
		break;
	case LOCK_EV_CLOSED:
	case LOCK_EV_CLOSED_SOON:
		world->open = false;
		world->call = CALL_NONE;
		break;
	case LOCK_EV_LOCK_FAILED:
	case LOCK_EV_UNLOCKED:
	case LOCK_EV_OPEN_FAILED:
		world->call = CALL_NONE;
		break;
	case LOCK_EV_LOST:
	case LOCK_EV_FENCED:
		world->locked = false;
		break;
	case LOCK_EV_TIMER:
		world->timer = false;
		break;
	default:
		break;
	}
}

static void start(struct world *world, enum call call)
{
	assert_int_equal(world->call, CALL_NONE);
	assert_int_equal(world->open, call != CALL_OPEN);
	world->call = call;
}

static void act(struct world *world, uint32_t actions)
{
	if (actions & LOCK_DO_LOCK)
		start(world, CALL_LOCK);
	if (actions & LOCK_DO_UNLOCK) {
		start(world, CALL_UNLOCK);
		world->locked = false;
	}
	if (actions & LOCK_DO_CLOSE)
		start(world, CALL_CLOSE);
	if (actions & LOCK_DO_OPEN)
		start(world, CALL_OPEN);
	if (actions & LOCK_DO_PAUSE)
		world->timer = true;
	if (actions & LOCK_DO_RETURN)
		assert_true(world->open);
	if (actions & LOCK_DO_FAULT)
		assert_int_equal(world->state, LOCK_FENCED);
}

static void check(const struct world *world)
{
	assert_int_equal(lock_is_calling(world->state), world->call != CALL_NONE);
	if (world->state == LOCK_LOCKED)
		assert_true(world->locked);
	if (lock_has_backend(world->state))
		assert_true(world->open);
	/* it goes on by itself */
	if (world->state == LOCK_RETRY_WAIT || world->state == LOCK_PAUSED ||
	    world->state == LOCK_ELSEWHERE)
		assert_true(world->timer);
}

static void explore(const struct world *before, unsigned depth)
{
	entered[before->state] = true;
	for (int event = 0; depth && event < LOCK_EVENT_COUNT; event++) {
		struct lock_transition transition = lock_fsm(before->state, event);
		struct world world = *before;

		/* a lock that is lost during a call is seen in the call's result */
		if (!possible(&world, event) ||
		    (event == LOCK_EV_LOST && lock_is_calling(world.state)))
			continue;
		happen(&world, event);
		if (!transition.defined) {
			assert_int_equal(transition.next, before->state);
			assert_int_equal(transition.actions, 0);
			continue;
		}
		world.state = transition.next;
		/* only the I/O thread knows that nothing is in the backend any more */
		if (transition.actions & LOCK_DO_CLOSE)
			assert_int_equal(event, LOCK_EV_IDLE);
		act(&world, transition.actions);
		check(&world);
		explore(&world, depth - 1);
	}
}

static void every_sequence_keeps_the_promises(void **state)
{
	const struct world world = {.state = LOCK_UNSHARED, .open = true};

	(void) state;
	explore(&world, DEPTH);
	for (int i = 0; i < LOCK_STATE_COUNT; i++) {
		if (!entered[i])
			fail_msg("%s is never entered", lock_state_name(i));
		assert_non_null(lock_state_name(i));
	}
}

static void a_fenced_backend_is_reopened(void **state)
{
	static const enum lock_state from[] = {
		LOCK_UNSHARED, LOCK_UNLOCKED, LOCK_LOCKED, LOCK_PAUSED, LOCK_ELSEWHERE};

	(void) state;
	for (unsigned i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		assert_int_equal(lock_fsm(from[i], LOCK_EV_FENCED).next, LOCK_FENCED);
	assert_int_equal(lock_fsm(LOCK_FENCED, LOCK_EV_IDLE).actions, LOCK_DO_CLOSE);
	assert_int_equal(lock_fsm(LOCK_CLOSING, LOCK_EV_CLOSED).actions, LOCK_DO_OPEN);
	assert_int_equal(lock_fsm(LOCK_CLOSING, LOCK_EV_CLOSED_SOON).actions, LOCK_DO_PAUSE);
	assert_int_equal(lock_fsm(LOCK_RETRY_WAIT, LOCK_EV_TIMER).actions, LOCK_DO_OPEN);
}

static void a_backend_that_is_fenced_during_a_call_is_reopened_after_it(void **state)
{
	static const struct {
		enum lock_state from;
		enum lock_event end;
	} calls[] = {
		{LOCK_LOCKING, LOCK_EV_LOCKED},
		{LOCK_LOCKING, LOCK_EV_LOCK_FAILED},
		{LOCK_UNLOCKING, LOCK_EV_UNLOCKED},
		{LOCK_OPENING, LOCK_EV_OPENED}};

	(void) state;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct lock_transition transition = lock_fsm(calls[i].from, LOCK_EV_FENCED);

		assert_true(lock_is_calling(transition.next));
		assert_int_equal(transition.actions, 0);
		transition = lock_fsm(transition.next, calls[i].end);
		assert_int_equal(transition.next, LOCK_FENCED);
		assert_int_equal(transition.actions, LOCK_DO_FAULT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sequence_keeps_the_promises),
		cmocka_unit_test(a_fenced_backend_is_reopened),
		cmocka_unit_test(a_backend_that_is_fenced_during_a_call_is_reopened_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
