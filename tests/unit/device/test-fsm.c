/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine, exhaustively: every sequence of events that its surroundings can produce,
 * explored to the closure over a small model of those surroundings (handler, I/O thread, timers,
 * owed answers). The invariants of every reachable situation are checked at each step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/fsm.h"

enum handler_model {
	HANDLER_CLOSED,
	HANDLER_OPENING,
	HANDLER_OPEN,
	HANDLER_CLOSING,
};

enum io_thread_model {
	IO_THREAD_NONE,
	IO_THREAD_STARTING,
	IO_THREAD_RUNNING,
	IO_THREAD_RESET,  /* somebody else has reset the ring: it fetches nothing until it is
			     attached again */
	IO_THREAD_ENDING, /* it has been asked to end */
};

enum revoke_model {
	REVOKE_NO,
	REVOKE_RUNNING,
	REVOKE_DONE,
};

/* Everything around the state that decides which events can come next. Packed without padding:
 * compared as bytes. */
struct world {
	uint8_t state;
	uint8_t handler;
	uint8_t thread;
	uint8_t revoke;
	uint8_t waits_added; /* the answer to ADDED_DEVICE is owed */
	uint8_t waits_removed;
	uint8_t removed; /* REMOVED_DEVICE has come: it comes once */
	uint8_t unregistered;
	uint8_t release_armed;
	uint8_t reply_armed;
	uint8_t retry_armed;
	uint8_t open_armed;
	uint8_t forgotten;
};

#define WORLDS_MAX 200000

static struct world *worlds;
static size_t world_cnt;
static bool seen[DEVICE_STATE_COUNT][DEVICE_EVENT_COUNT];
static uint32_t *hash; /* index + 1 */
#define HASH_SIZE (1u << 20)

static void remember(const struct world *world)
{
	const uint8_t *bytes = (const uint8_t *) world;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*world); i++)
		h = (h ^ bytes[i]) * 16777619u;
	for (h %= HASH_SIZE; hash[h]; h = (h + 1) % HASH_SIZE)
		if (memcmp(&worlds[hash[h] - 1], world, sizeof(*world)) == 0)
			return;
	assert_true(world_cnt < WORLDS_MAX);
	worlds[world_cnt++] = *world;
	hash[h] = (uint32_t) world_cnt;
}

/* Whether the surroundings can produce this event now. */
static bool possible(const struct world *world, enum device_event event)
{
	bool ring = world->thread != IO_THREAD_NONE;

	switch (event) {
	case DEVICE_EV_OPENED:
		return world->handler == HANDLER_OPENING;
	case DEVICE_EV_OPEN_REFUSED:
		return world->handler == HANDLER_OPENING && world->waits_added;
	case DEVICE_EV_OPEN_FAILED:
		return world->handler == HANDLER_OPENING && !world->waits_added;
	case DEVICE_EV_OPEN_TIMEOUT:
		return world->open_armed && world->waits_added;
	case DEVICE_EV_ATTACHED:
		return world->thread == IO_THREAD_STARTING || world->thread == IO_THREAD_RESET ||
			world->thread == IO_THREAD_ENDING;
	case DEVICE_EV_RING_RESET:
		/* Starting: it was found as a daemon that died has left it. */
		return world->thread == IO_THREAD_STARTING || world->thread == IO_THREAD_RUNNING ||
			world->thread == IO_THREAD_ENDING;
	case DEVICE_EV_RING_BROKEN:
		return ring;
	case DEVICE_EV_IO_ENDED:
		return world->thread == IO_THREAD_ENDING;
	case DEVICE_EV_REMOVED:
		return !world->removed && !world->unregistered && !world->waits_added;
	case DEVICE_EV_UNREGISTERED:
		return !world->waits_removed;
	case DEVICE_EV_STOP:
		return true;
	case DEVICE_EV_BACKEND_FAILED:
		return world->handler == HANDLER_OPEN && world->thread != IO_THREAD_NONE;
	case DEVICE_EV_REOPENED:
		return world->state == DEVICE_FAULTED;
	case DEVICE_EV_RELEASE_DEADLINE:
		return world->release_armed;
	case DEVICE_EV_REVOKED:
		return world->revoke == REVOKE_RUNNING;
	case DEVICE_EV_CLOSED:
		return world->handler == HANDLER_CLOSING;
	case DEVICE_EV_REPLY_DEADLINE:
		return world->reply_armed && world->waits_removed;
	case DEVICE_EV_RETRY:
		return world->retry_armed && world->thread == IO_THREAD_NONE;
	case DEVICE_EV_REOPEN:
		return world->state == DEVICE_LIVE || world->state == DEVICE_FAULTED ||
			(world->state == DEVICE_FAILED && world->thread == IO_THREAD_NONE);
	default:
		fail_msg("event %d has no rule", event);
		return false;
	}
}

/* The changes around the state machine that the event itself means. */
static void happen(struct world *world, enum device_event event)
{
	switch (event) {
	case DEVICE_EV_OPENED:
		world->handler = HANDLER_OPEN;
		break;
	case DEVICE_EV_OPEN_REFUSED:
	case DEVICE_EV_OPEN_FAILED:
		world->handler = HANDLER_CLOSED;
		world->open_armed = 0;
		break;
	case DEVICE_EV_OPEN_TIMEOUT:
		world->open_armed = 0;
		break;
	case DEVICE_EV_ATTACHED:
		if (world->thread != IO_THREAD_ENDING)
			world->thread = IO_THREAD_RUNNING;
		break;
	case DEVICE_EV_RING_RESET:
		if (world->thread != IO_THREAD_ENDING)
			world->thread = IO_THREAD_RESET;
		break;
	case DEVICE_EV_RING_BROKEN:
		world->thread = IO_THREAD_ENDING;
		break;
	case DEVICE_EV_UNREGISTERED:
		world->unregistered = 1;
		world->waits_added = 0; /* the kernel drops the device: its creation has ended */
		if (world->thread != IO_THREAD_NONE)
			world->thread = IO_THREAD_ENDING;
		break;
	case DEVICE_EV_IO_ENDED:
		world->thread = IO_THREAD_NONE;
		if (world->revoke == REVOKE_RUNNING) /* it comes too late and reports nothing */
			world->revoke = REVOKE_NO;
		break;
	case DEVICE_EV_REMOVED:
		world->removed = 1;
		world->waits_removed = 1;
		break;
	case DEVICE_EV_RELEASE_DEADLINE:
		world->release_armed = 0;
		break;
	case DEVICE_EV_REVOKED:
		world->revoke = REVOKE_DONE;
		break;
	case DEVICE_EV_CLOSED:
		world->handler = HANDLER_CLOSED;
		break;
	case DEVICE_EV_REPLY_DEADLINE:
		world->reply_armed = 0;
		break;
	case DEVICE_EV_RETRY:
		world->retry_armed = 0;
		break;
	default:
		break;
	}
}

static void act(struct world *world, uint32_t actions)
{
	bool mapped = world->thread != IO_THREAD_NONE && world->revoke != REVOKE_DONE;

	if (actions & DEVICE_DO_START) {
		assert_int_equal(world->thread, IO_THREAD_NONE);
		assert_int_equal(world->handler, HANDLER_OPEN);
		world->thread = IO_THREAD_STARTING;
		world->revoke = REVOKE_NO;
		mapped = true;
	}
	if (actions & DEVICE_DO_FAIL)
		assert_int_not_equal(world->thread, IO_THREAD_NONE);
	if (actions & DEVICE_DO_DRAIN) {
		world->thread = IO_THREAD_ENDING;
		world->release_armed = 1;
	}
	if ((actions & DEVICE_DO_REVOKE) && world->thread != IO_THREAD_NONE &&
	    world->revoke == REVOKE_NO)
		world->revoke = REVOKE_RUNNING;
	if (actions & DEVICE_DO_ANSWER_ADDED)
		world->waits_added = 0;
	if (actions & DEVICE_DO_ANSWER_REMOVED) {
		/* the delete is answered only when the kernel can free the ring */
		assert_false(mapped);
		world->waits_removed = 0;
	}
	if (actions & DEVICE_DO_ARM_REPLY)
		world->reply_armed = 1;
	if (actions & DEVICE_DO_ARM_RETRY)
		world->retry_armed = 1;
	if (actions & DEVICE_DO_OPEN) {
		assert_int_equal(world->handler, HANDLER_CLOSED);
		world->handler = HANDLER_OPENING;
	}
	if (actions & DEVICE_DO_CLOSE) {
		/* closed once for each open, and never under a thread that may still use it */
		assert_int_equal(world->handler, HANDLER_OPEN);
		assert_int_equal(world->thread, IO_THREAD_NONE);
		world->handler = HANDLER_CLOSING;
	}
	if (actions & DEVICE_DO_FORGET)
		world->forgotten = 1;
}

/* Leaving a state disarms what does not belong to the next one. */
static void disarm(struct world *world)
{
	world->open_armed &= device_state_has_timer(world->state, DEVICE_TIMER_OPEN);
	world->release_armed &= device_state_has_timer(world->state, DEVICE_TIMER_RELEASE);
	world->reply_armed &= device_state_has_timer(world->state, DEVICE_TIMER_REPLY);
	world->retry_armed &= device_state_has_timer(world->state, DEVICE_TIMER_RETRY);
}

static void check(const struct world *world)
{
	assert_int_equal(world->forgotten, world->state == DEVICE_GONE);
	if (world->state == DEVICE_GONE) {
		assert_int_equal(world->handler, HANDLER_CLOSED);
		assert_int_equal(world->thread, IO_THREAD_NONE);
		assert_int_equal(world->waits_removed, 0);
		assert_int_equal(world->waits_added, 0);
	}
	if (world->state == DEVICE_LIVE || world->state == DEVICE_FAULTED ||
	    world->state == DEVICE_RESETTING)
		assert_int_equal(world->handler, HANDLER_OPEN);
	/* commands are fetched in LIVE, and a ring that was reset is not LIVE */
	if (world->state == DEVICE_LIVE)
		assert_int_equal(world->thread, IO_THREAD_RUNNING);
	if (world->state == DEVICE_RESETTING)
		assert_int_equal(world->thread, IO_THREAD_RESET);
	if (world->state == DEVICE_ORPHANED)
		assert_int_equal(world->waits_removed, 0);
	/* a ring that is mapped is known to be so */
	if (world->thread != IO_THREAD_NONE && world->revoke != REVOKE_DONE)
		assert_true(device_state_holds_ring(world->state));
	/* a delete is answered within a bound: a timer or a revoke runs */
	if (world->waits_removed)
		assert_true(
			world->reply_armed || world->release_armed ||
			world->revoke == REVOKE_RUNNING);
	/* a thread that has to end is given a deadline */
	if (world->state == DEVICE_DRAINING || world->state == DEVICE_FAILING)
		assert_true(
			world->release_armed || world->revoke != REVOKE_NO ||
			world->thread == IO_THREAD_NONE);
}

static void explore(void)
{
	static const struct world starts[] = {
		{.state = DEVICE_OPENING,
		 .handler = HANDLER_OPENING,
		 .waits_added = 1,
		 .open_armed = 1},
		{.state = DEVICE_OPENING,
		 .handler = HANDLER_OPENING,
		 .waits_added = 0,
		 .open_armed = 1},
	};

	worlds = calloc(WORLDS_MAX, sizeof(*worlds));
	hash = calloc(HASH_SIZE, sizeof(*hash));
	assert_non_null(worlds);
	assert_non_null(hash);
	world_cnt = 0;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		remember(&starts[i]);
	for (size_t i = 0; i < world_cnt; i++) {
		for (int event = 0; event < DEVICE_EVENT_COUNT; event++) {
			struct world next = worlds[i];
			struct device_transition transition;

			if (next.forgotten || !possible(&next, event))
				continue;
			transition = device_fsm(next.state, event);
			if (!transition.defined)
				fail_msg(
					"%s while %s can happen and is not defined",
					device_event_name(event), device_state_name(next.state));
			seen[next.state][event] = true;
			happen(&next, event);
			next.state = (uint8_t) transition.next;
			disarm(&next);
			act(&next, transition.actions);
			check(&next);
			remember(&next);
		}
	}
}

static void forget(void)
{
	free(worlds);
	free(hash);
}

static void every_possible_sequence_keeps_the_promises(void **unused)
{
	(void) unused;
	explore();
	assert_true(world_cnt > DEVICE_STATE_COUNT);
	print_message("%zu situations\n", world_cnt);
	forget();
}

/* The next event when nothing comes from outside, except that the kernel drops its device. */
static enum device_event next_internal(const struct world *world)
{
	static const enum device_event own[] = {
		DEVICE_EV_RELEASE_DEADLINE, DEVICE_EV_REVOKED, DEVICE_EV_IO_ENDED,
		DEVICE_EV_OPENED,           DEVICE_EV_CLOSED,
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (possible(world, own[i]))
			return own[i];
	if (world->unregistered)
		fail_msg("nothing can happen while %s", device_state_name(world->state));
	return DEVICE_EV_UNREGISTERED;
}

/* From everywhere the device can end, by itself once the kernel's device is gone. */
static void every_situation_can_end(void **unused)
{
	(void) unused;
	explore();
	for (size_t i = 0; i < world_cnt; i++) {
		struct world world = worlds[i];
		int steps;

		for (steps = 0; steps < 20 && !world.forgotten; steps++) {
			enum device_event event = next_internal(&world);
			struct device_transition transition = device_fsm(world.state, event);

			happen(&world, event);
			world.state = (uint8_t) transition.next;
			disarm(&world);
			act(&world, transition.actions);
		}
		assert_true(world.forgotten);
	}
	forget();
}

static void every_row_of_the_table_can_be_reached(void **unused)
{
	(void) unused;
	explore();
	for (int state = 0; state < DEVICE_GONE; state++)
		for (int event = 0; event < DEVICE_EVENT_COUNT; event++)
			if (device_fsm(state, event).defined && !seen[state][event])
				fail_msg(
					"%s while %s is defined and cannot happen",
					device_event_name(event), device_state_name(state));
	forget();
}

static void an_event_that_cannot_happen_changes_nothing(void **unused)
{
	(void) unused;
	for (int state = 0; state < DEVICE_STATE_COUNT; state++)
		for (int event = 0; event < DEVICE_EVENT_COUNT; event++) {
			struct device_transition transition = device_fsm(state, event);

			if (!transition.defined) {
				assert_int_equal(transition.next, state);
				assert_int_equal(transition.actions, 0);
			}
		}
}

/* The answers of the predicates follow from the table. */
static void predicates_agree_with_the_table(void **unused)
{
	(void) unused;
	explore();
	for (size_t i = 0; i < world_cnt; i++) {
		const struct world *world = &worlds[i];

		if (world->thread == IO_THREAD_RUNNING)
			assert_true(device_state_holds_ring(world->state));
		if (device_state_holds_ring(world->state))
			assert_int_equal(world->handler, HANDLER_OPEN);
		if (world->removed || world->unregistered)
			assert_false(device_state_kernel_has(world->state));
	}
	forget();
	assert_true(device_state_kernel_has(DEVICE_FAILED));
	assert_false(device_state_holds_ring(DEVICE_FAILED));
	assert_false(device_state_kernel_has(DEVICE_GONE));
	for (int timer = 0; timer < DEVICE_TIMER_COUNT; timer++)
		assert_false(device_state_has_timer(DEVICE_GONE, timer));
}

/* A state in which commands are served leaves the kernel unblocked, whatever was before; every
 * other state that the kernel knows answers BUSY once service is interrupted. */
static void the_block_state_follows_from_the_state(void **unused)
{
	(void) unused;
	for (int state = 0; state < DEVICE_STATE_COUNT; state++) {
		bool served = state == DEVICE_LIVE || state == DEVICE_FAULTED;
		enum device_block interrupted = device_state_block(state, true);
		enum device_block otherwise = device_state_block(state, false);

		if (served) {
			assert_int_equal(interrupted, DEVICE_BLOCK_OFF);
			assert_int_equal(otherwise, DEVICE_BLOCK_OFF);
		} else if (device_state_kernel_has(state)) {
			assert_int_equal(interrupted, DEVICE_BLOCK_ON);
			assert_int_equal(
				otherwise,
				state == DEVICE_RESETTING ? DEVICE_BLOCK_ON : DEVICE_BLOCK_KEEP);
		} else {
			assert_int_equal(interrupted, DEVICE_BLOCK_KEEP);
			assert_int_equal(otherwise, DEVICE_BLOCK_KEEP);
		}
	}
}

static void states_and_events_have_distinct_names(void **unused)
{
	(void) unused;
	for (int i = 0; i < DEVICE_STATE_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(device_state_name(i), device_state_name(j));
	for (int i = 0; i < DEVICE_EVENT_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(device_event_name(i), device_event_name(j));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_possible_sequence_keeps_the_promises),
		cmocka_unit_test(every_situation_can_end),
		cmocka_unit_test(every_row_of_the_table_can_be_reached),
		cmocka_unit_test(an_event_that_cannot_happen_changes_nothing),
		cmocka_unit_test(predicates_agree_with_the_table),
		cmocka_unit_test(the_block_state_follows_from_the_state),
		cmocka_unit_test(states_and_events_have_distinct_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
