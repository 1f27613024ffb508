/* SPDX-License-Identifier: Apache-2.0 */
/* Whether it pays to wait awake is learned, and what it costs is bounded. The clock is the test's.
 */
#include "io/wait-tuner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define US  UINT64_C(1000)
#define MS  (1000 * US)
#define SEC (1000 * MS)

static uint64_t now;
static unsigned rested; /* how often */

/* An initiator, seen from the thread that serves it. */
struct initiator {
	uint64_t awake, asleep; /* how long until there is something to do, if the thread looks, or
				   sleeps */
	unsigned few, many;     /* how many commands there are then */
	uint64_t each;   /* in which time one more comes, if the thread rests; 0: none does */
	int processor;   /* that it runs on */
	uint64_t beside; /* how long until there is something to do, if the thread sleeps there; 0:
			    as elsewhere */
};

/* It sends a command when it has the answer to the last; to be woken takes time. */
static const struct initiator alone = {20 * US, 70 * US, 1, 1, 0};
/* It sends many at once; who waits awake serves them one by one. */
static const struct initiator together = {5 * US, 80 * US, 1, 16, 0};
/* To be told of an end costs it as much as to send three commands. */
static const struct initiator deep = {80 * US, 80 * US, 1, 1, 20 * US};
/* Who is on its processor is there at once; to be woken elsewhere takes long. */
static const struct initiator neighbour = {100 * US, 120 * US, 1, 1, 0, 5, 20 * US};
static const struct initiator far_neighbour = {100 * US, 120 * US, 1, 1, 0, 61, 20 * US};
/* It takes its time; that the thread was awake is hardly noticed. */
static const struct initiator thoughtful = {1 * MS, 1 * MS + 50 * US, 1, 1, 0};
static const struct initiator late = {3 * MS, 3 * MS, 1, 1, 0};
static const struct initiator heartbeat = {SEC, SEC, 1, 1, 0};

static void begin(struct wait_tuner *tuner, unsigned percent)
{
	now = SEC;
	wait_tuner_init(tuner, percent, 64);
}

/* Nothing to do, then something, which takes a while. Returns what it has spent on looking. */
static uint64_t cycle(struct wait_tuner *tuner, const struct initiator *initiator)
{
	uint64_t look = wait_tuner_idle(tuner, now);
	bool seen = look >= initiator->awake;
	unsigned commands = seen ? initiator->few : initiator->many;
	uint64_t spent = seen ? initiator->awake : look;

	wait_tuner_spend(tuner, spent);
	if (seen)
		now += initiator->awake;
	else
		now += initiator->beside && wait_tuner_cpu(tuner) == initiator->processor
			? initiator->beside
			: initiator->asleep;
	if (!seen) {
		uint64_t rest = wait_tuner_woken(tuner);

		now += rest;
		rested += rest != 0;
		if (initiator->each)
			commands += (unsigned) (rest / initiator->each);
	}
	wait_tuner_busy(tuner, now);
	wait_tuner_work(tuner, commands);
	now += 3 * US + commands * 2 * US;
	return spent;
}

static uint64_t cycles(struct wait_tuner *tuner, unsigned cnt, const struct initiator *initiator)
{
	uint64_t spent = 0;

	while (cnt-- > 0)
		spent += cycle(tuner, initiator);
	return spent;
}

/* For so long. Returns what percentage of that it has looked. */
static unsigned looked(
	struct wait_tuner *tuner, uint64_t duration, const struct initiator *initiator)
{
	uint64_t start = now, spent = 0;

	while (now - start < duration)
		spent += cycle(tuner, initiator);
	return (unsigned) (100 * spent / (now - start));
}

static void at_first_it_sleeps(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	assert_int_equal(wait_tuner_idle(&tuner, now), 0);
}

static void commands_that_come_one_by_one_are_waited_for_awake(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	cycles(&tuner, 1000, &alone);
	/* But for trials, and with 5 of 25 µs it is at work. */
	assert_in_range(looked(&tuner, 10 * SEC, &alone), 72, 80);
}

static void commands_that_come_late_are_not(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	assert_int_equal(cycles(&tuner, 1000, &late), 0);
}

static void where_it_brings_nothing_it_is_tried_now_and_then(void **state)
{
	static const struct initiator *const initiators[] = {&together, &thoughtful};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct wait_tuner tuner;

		begin(&tuner, 100);
		looked(&tuner, 20 * SEC, initiators[i]);
		assert_in_range(looked(&tuner, 100 * SEC, initiators[i]), 0, 2);
	}
}

static void where_commands_can_come_together_they_are_let(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	looked(&tuner, 20 * SEC, &deep);
	rested = 0;
	assert_in_range(looked(&tuner, 10 * SEC, &deep), 0, 2);
	/* Each time takes 1.5 ms. */
	assert_in_range(rested, 6000, 6700);
	/* But again when they come alone. */
	looked(&tuner, 20 * SEC, &alone);
	rested = 0;
	looked(&tuner, 10 * SEC, &alone);
	assert_in_range(rested, 0, 1000);
}

/* For so long. Returns what percentage of its commands it has served on that processor. */
static unsigned placed(
	struct wait_tuner *tuner, uint64_t duration, const struct initiator *initiator,
	int processor)
{
	uint64_t there = 0, all = 0;

	for (uint64_t start = now; now - start < duration; all++) {
		there += wait_tuner_cpu(tuner) == processor;
		cycle(tuner, initiator);
	}
	return (unsigned) (100 * there / all);
}

static void the_processor_that_sends_is_found(void **state)
{
	static const struct initiator *const initiators[] = {&neighbour, &far_neighbour};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct wait_tuner tuner;

		begin(&tuner, 0);
		placed(&tuner, 60 * SEC, initiators[i], initiators[i]->processor);
		assert_in_range(
			placed(&tuner, 10 * SEC, initiators[i], initiators[i]->processor), 95, 100);
	}
}

static void where_no_processor_is_better_it_may_be_on_any(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 0);
	placed(&tuner, 20 * SEC, &thoughtful, -1);
	assert_in_range(placed(&tuner, 100 * SEC, &thoughtful, -1), 90, 100);
}

static void an_initiator_that_moves_is_followed(void **state)
{
	struct initiator moved = neighbour;
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 0);
	placed(&tuner, 60 * SEC, &neighbour, 5);
	moved.processor = 3;
	/* Long before what was found is gone by no longer. */
	placed(&tuner, 4 * SEC, &moved, 3);
	assert_in_range(placed(&tuner, 2 * SEC, &moved, 3), 80, 100);
}

/* In one round of each trial it is elsewhere. */
static void a_processor_is_taken_only_where_it_serves_each_time(void **state)
{
	struct initiator away = neighbour;

	(void) state;
	away.beside = 0;
	for (unsigned round = 1; round < WAIT_ROUNDS; round++) {
		struct wait_tuner tuner;
		unsigned there = 0, all = 0;

		begin(&tuner, 0);
		for (uint64_t start = now; now - start < 20 * SEC;) {
			bool settled = tuner.round == WAIT_ROUNDS;

			there += settled && wait_tuner_cpu(&tuner) >= 0;
			all += settled;
			cycle(&tuner, tuner.round == round ? &away : &neighbour);
		}
		assert_int_equal(there, 0);
		assert_true(all > 1000);
	}
}

/* Commands are there all the time. Returns which percentage of them was served on that processor.
 */
static unsigned pressed(struct wait_tuner *tuner, uint64_t duration, int processor)
{
	uint64_t there = 0, all = 0;

	for (uint64_t start = now; now - start < duration; all++) {
		there += wait_tuner_cpu(tuner) == processor;
		now += 50 * US;
		if (wait_tuner_work(tuner, 1))
			wait_tuner_pressed(tuner, now);
	}
	return (unsigned) (100 * there / all);
}

static void who_never_sleeps_needs_no_place_to_sleep(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 0);
	placed(&tuner, 60 * SEC, &neighbour, 5);
	assert_int_equal(wait_tuner_cpu(&tuner), 5);
	wait_tuner_busy(&tuner, now);
	pressed(&tuner, WAIT_STREAK * 50 * US, 5);
	assert_int_equal(pressed(&tuner, 10 * SEC, 5), 0);
	/* And is back when it sleeps again. */
	placed(&tuner, 60 * SEC, &neighbour, 5);
	assert_in_range(placed(&tuner, 10 * SEC, &neighbour, 5), 95, 100);
}

/* Elsewhere it is just fast enough. */
static void where_it_cannot_keep_up_it_does_not_stay(void **state)
{
	uint64_t there = 0;
	struct wait_tuner tuner;

	(void) state;
	now = SEC;
	wait_tuner_init(&tuner, 0, 2);
	for (uint64_t start = now; now - start < 60 * SEC;) {
		uint64_t before = now;
		bool on_one = wait_tuner_cpu(&tuner) >= 0;

		if (!on_one)
			cycle(&tuner, &alone);
		else
			pressed(&tuner, 50 * US, -1);
		there += on_one ? now - before : 0;
	}
	assert_in_range(there, 0, 3 * SEC);
}

static void with_one_processor_there_is_no_choice(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	now = SEC;
	wait_tuner_init(&tuner, 0, 1);
	assert_int_equal(placed(&tuner, 10 * SEC, &alone, -1), 100);
}

static void a_turn_is_not_over_after_one_large_batch(void **state)
{
	static const struct initiator batches = {5 * MS, 5 * MS, 64, 64, 0};
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 0);
	cycles(&tuner, 8, &batches);
	assert_int_equal(tuner.mode, WAIT_SLEEP);
	cycles(&tuner, 1, &batches);
	assert_int_not_equal(tuner.mode, WAIT_SLEEP);
}

static void nobody_is_made_to_wait_for_nothing(void **state)
{
	static const struct initiator *const initiators[] = {&alone, &together, &thoughtful};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_tuner tuner;
		unsigned cnt = 0;

		begin(&tuner, 100);
		looked(&tuner, 20 * SEC, initiators[i]);
		rested = 0;
		for (uint64_t start = now; now - start < 100 * SEC; cnt++)
			cycle(&tuner, initiators[i]);
		assert_in_range(rested, 0, cnt / 50);
	}
}

static void who_changes_is_found_out(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	looked(&tuner, 100 * SEC, &together);
	looked(&tuner, 10 * SEC, &alone);
	assert_in_range(looked(&tuner, 10 * SEC, &alone), 72, 80);
	looked(&tuner, 100 * SEC, &alone);
	looked(&tuner, 10 * SEC, &together);
	assert_in_range(looked(&tuner, 10 * SEC, &together), 0, 2);
}

static void a_share_of_the_processor_is_not_exceeded(void **state)
{
	static const unsigned percents[] = {1, 10, 50};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_tuner tuner;
		uint64_t start, spent;

		begin(&tuner, percents[i]);
		cycles(&tuner, 1000, &alone);
		start = now;
		spent = cycles(&tuner, 1000000, &alone);
		assert_true(spent > 0);
		/* What was saved before may be spent, too. */
		assert_true(spent <= ((now - start) + 100 * MS) * percents[i] / 100);
	}
}

static void with_no_share_it_never_looks(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 0);
	assert_int_equal(cycles(&tuner, 1000, &alone), 0);
}

static void a_device_that_falls_idle_costs_little_more(void **state)
{
	struct wait_tuner tuner;
	uint64_t spent;

	(void) state;
	begin(&tuner, 100);
	cycles(&tuner, 1000, &alone);
	spent = cycle(&tuner, &heartbeat);
	assert_in_range(spent, 1, 2 * MS);
	assert_int_equal(cycles(&tuner, 1000, &heartbeat), 0);
}

static void who_is_woken_for_nothing_does_not_look_again(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	begin(&tuner, 100);
	cycles(&tuner, 1000, &alone);
	assert_true(wait_tuner_idle(&tuner, now) > 0);
	assert_true(wait_tuner_was_idle(&tuner));
	assert_int_equal(wait_tuner_idle(&tuner, now + 20 * US), 0);
	wait_tuner_busy(&tuner, now + 40 * US);
	assert_false(wait_tuner_was_idle(&tuner));
	assert_true(wait_tuner_idle(&tuner, now + 50 * US) > 0);
}

static void not_all_processors_are_taken(void **state)
{
	unsigned cnt = 0;

	(void) state;
	while (cnt < 4096 && wait_tuner_enter())
		cnt++;
	assert_in_range(cnt, 0, 4095);
	if (cnt) {
		wait_tuner_leave();
		assert_true(wait_tuner_enter());
	}
	assert_false(wait_tuner_enter());
	while (cnt-- > 0)
		wait_tuner_leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_first_it_sleeps),
		cmocka_unit_test(commands_that_come_one_by_one_are_waited_for_awake),
		cmocka_unit_test(commands_that_come_late_are_not),
		cmocka_unit_test(where_it_brings_nothing_it_is_tried_now_and_then),
		cmocka_unit_test(where_commands_can_come_together_they_are_let),
		cmocka_unit_test(the_processor_that_sends_is_found),
		cmocka_unit_test(where_no_processor_is_better_it_may_be_on_any),
		cmocka_unit_test(an_initiator_that_moves_is_followed),
		cmocka_unit_test(a_processor_is_taken_only_where_it_serves_each_time),
		cmocka_unit_test(who_never_sleeps_needs_no_place_to_sleep),
		cmocka_unit_test(where_it_cannot_keep_up_it_does_not_stay),
		cmocka_unit_test(with_one_processor_there_is_no_choice),
		cmocka_unit_test(a_turn_is_not_over_after_one_large_batch),
		cmocka_unit_test(nobody_is_made_to_wait_for_nothing),
		cmocka_unit_test(who_changes_is_found_out),
		cmocka_unit_test(a_share_of_the_processor_is_not_exceeded),
		cmocka_unit_test(with_no_share_it_never_looks),
		cmocka_unit_test(a_device_that_falls_idle_costs_little_more),
		cmocka_unit_test(who_is_woken_for_nothing_does_not_look_again),
		cmocka_unit_test(not_all_processors_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
