/* SPDX-License-Identifier: Apache-2.0 */
/* The wait tuner: it learns whether spinning pays, how long, and on which CPU, and bounds the cost.
 * The test simulates the clock. */
#include "wait/wait-tuner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define US  UINT64_C(1000)
#define MS  (1000 * US)
#define SEC (1000 * MS)

static uint64_t now;
static unsigned delay_cnt; /* coalescing delays so far */

/* An initiator as the I/O thread sees it. */
struct initiator {
	uint64_t awake, asleep; /* time until the next commands, if the thread spins or sleeps */
	unsigned few, many;     /* commands that are there then */
	uint64_t each;   /* during a coalescing delay one more command comes in each such time; 0:
			    none */
	int cpu;         /* the CPU of the initiator */
	uint64_t beside; /* time until the next commands, if the thread sleeps on that CPU; 0: no
			    difference */
};

/* Sends a command after the answer to the last one. Waking the thread takes time. */
static const struct initiator alone = {20 * US, 70 * US, 1, 1, 0};
/* Sends many at once. A spinning thread serves them one by one. */
static const struct initiator together = {5 * US, 80 * US, 1, 16, 0};
/* A completion costs it as much as sending three commands. */
static const struct initiator deep = {80 * US, 80 * US, 1, 1, 20 * US};
/* A thread on its CPU is woken at once, one on another CPU takes long. */
static const struct initiator neighbour = {100 * US, 120 * US, 1, 1, 0, 5, 20 * US};
static const struct initiator far_neighbour = {100 * US, 120 * US, 1, 1, 0, 61, 20 * US};
/* Slow: spinning makes hardly any difference. */
static const struct initiator thoughtful = {1 * MS, 1 * MS + 50 * US, 1, 1, 0};
static const struct initiator late = {3 * MS, 3 * MS, 1, 1, 0};
static const struct initiator heartbeat = {SEC, SEC, 1, 1, 0};

static void tuner_start(struct wait_tuner *tuner, unsigned percent)
{
	now = SEC;
	wait_tuner_init(tuner, percent, 64);
}

/* One cycle: nothing to do, then commands. Returns the time spent on spinning. */
static uint64_t tuner_cycle(struct wait_tuner *tuner, const struct initiator *initiator)
{
	uint64_t spin = wait_tuner_idle(tuner, now);
	bool seen = spin >= initiator->awake;
	unsigned commands = seen ? initiator->few : initiator->many;
	uint64_t spent = seen ? initiator->awake : spin;

	wait_tuner_spend(tuner, spent);
	if (seen)
		now += initiator->awake;
	else
		now += initiator->beside && wait_tuner_cpu(tuner) == initiator->cpu
			? initiator->beside
			: initiator->asleep;
	if (!seen) {
		uint64_t delay = wait_tuner_woken(tuner);

		now += delay;
		delay_cnt += delay != 0;
		if (initiator->each)
			commands += (unsigned) (delay / initiator->each);
	}
	wait_tuner_busy(tuner, now);
	wait_tuner_work(tuner, commands);
	now += 3 * US + commands * 2 * US;
	return spent;
}

static uint64_t tuner_cycles(
	struct wait_tuner *tuner, unsigned cnt, const struct initiator *initiator)
{
	uint64_t spent = 0;

	while (cnt-- > 0)
		spent += tuner_cycle(tuner, initiator);
	return spent;
}

/* Runs cycles for so long. Returns the percentage of that time that was spent on spinning. */
static unsigned spin_percent(
	struct wait_tuner *tuner, uint64_t duration, const struct initiator *initiator)
{
	uint64_t start = now, spent = 0;

	while (now - start < duration)
		spent += tuner_cycle(tuner, initiator);
	return (unsigned) (100 * spent / (now - start));
}

static void a_new_tuner_sleeps(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	assert_int_equal(wait_tuner_idle(&tuner, now), 0);
}

static void a_sequential_initiator_is_worth_spinning(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	tuner_cycles(&tuner, 1000, &alone);
	/* Without tuning; of each 25 µs it works for 5. */
	assert_in_range(spin_percent(&tuner, 10 * SEC, &alone), 72, 80);
}

static void a_late_initiator_is_not_worth_spinning(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	assert_int_equal(tuner_cycles(&tuner, 1000, &late), 0);
}

static void useless_spinning_is_tried_seldom(void **state)
{
	static const struct initiator *const initiators[] = {&together, &thoughtful};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct wait_tuner tuner;

		tuner_start(&tuner, 100);
		spin_percent(&tuner, 20 * SEC, initiators[i]);
		assert_in_range(spin_percent(&tuner, 100 * SEC, initiators[i]), 0, 2);
	}
}

static void a_deep_queue_gets_a_coalescing_delay(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	spin_percent(&tuner, 20 * SEC, &deep);
	delay_cnt = 0;
	assert_in_range(spin_percent(&tuner, 10 * SEC, &deep), 0, 2);
	/* Each cycle takes 1.2 ms. */
	assert_in_range(delay_cnt, 8000, 8400);
	/* The delay ends when commands come alone again. */
	spin_percent(&tuner, 20 * SEC, &alone);
	delay_cnt = 0;
	spin_percent(&tuner, 10 * SEC, &alone);
	assert_in_range(delay_cnt, 0, 1000);
}

/* Runs cycles for so long. Returns the percentage of them in which the thread was bound to the CPU
 * (-1: not bound). */
static unsigned cpu_percent(
	struct wait_tuner *tuner, uint64_t duration, const struct initiator *initiator, int cpu)
{
	uint64_t there = 0, all = 0;

	for (uint64_t start = now; now - start < duration; all++) {
		there += wait_tuner_cpu(tuner) == cpu;
		tuner_cycle(tuner, initiator);
	}
	return (unsigned) (100 * there / all);
}

static void the_cpu_of_the_initiator_is_found(void **state)
{
	static const struct initiator *const initiators[] = {&neighbour, &far_neighbour};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct wait_tuner tuner;

		tuner_start(&tuner, 0);
		cpu_percent(&tuner, 60 * SEC, initiators[i], initiators[i]->cpu);
		assert_in_range(
			cpu_percent(&tuner, 10 * SEC, initiators[i], initiators[i]->cpu), 95, 100);
	}
}

static void without_a_better_cpu_the_thread_is_not_bound(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	cpu_percent(&tuner, 20 * SEC, &thoughtful, -1);
	assert_in_range(cpu_percent(&tuner, 100 * SEC, &thoughtful, -1), 90, 100);
}

static void an_initiator_that_changes_its_cpu_is_followed(void **state)
{
	struct initiator moved = neighbour;
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	cpu_percent(&tuner, 60 * SEC, &neighbour, 5);
	moved.cpu = 3;
	/* Long before the old result expires. */
	cpu_percent(&tuner, 4 * SEC, &moved, 3);
	assert_in_range(cpu_percent(&tuner, 2 * SEC, &moved, 3), 80, 100);
}

/* In one round of each measurement the initiator runs elsewhere. */
static void a_cpu_is_chosen_only_if_every_round_confirms_it(void **state)
{
	struct initiator away = neighbour;

	(void) state;
	away.beside = 0;
	for (unsigned round = 1; round < WAIT_ROUNDS; round++) {
		struct wait_tuner tuner;
		unsigned there = 0, all = 0;

		tuner_start(&tuner, 0);
		for (uint64_t start = now; now - start < 20 * SEC;) {
			bool settled = tuner.phase == WAIT_SETTLED;

			there += settled && wait_tuner_cpu(&tuner) >= 0;
			all += settled;
			tuner_cycle(&tuner, tuner.round == round ? &away : &neighbour);
		}
		assert_int_equal(there, 0);
		assert_true(all > 1000);
	}
}

/* There are always commands. Returns the percentage of them that were served on the CPU. */
static unsigned busy_cpu_percent(struct wait_tuner *tuner, uint64_t duration, int cpu)
{
	uint64_t there = 0, all = 0;

	for (uint64_t start = now; now - start < duration; all++) {
		there += wait_tuner_cpu(tuner) == cpu;
		now += 50 * US;
		if (wait_tuner_work(tuner, 1))
			wait_tuner_pressed(tuner, now);
	}
	return (unsigned) (100 * there / all);
}

static void a_thread_that_never_sleeps_is_not_bound(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	cpu_percent(&tuner, 60 * SEC, &neighbour, 5);
	assert_int_equal(wait_tuner_cpu(&tuner), 5);
	wait_tuner_busy(&tuner, now);
	busy_cpu_percent(&tuner, WAIT_STREAK * 50 * US, 5);
	assert_int_equal(busy_cpu_percent(&tuner, 10 * SEC, 5), 0);
	/* It is bound again when it sleeps again. */
	cpu_percent(&tuner, 60 * SEC, &neighbour, 5);
	assert_in_range(cpu_percent(&tuner, 10 * SEC, &neighbour, 5), 95, 100);
}

/* The thread keeps up if it is not bound, and does not if it is. */
static void an_overloaded_cpu_is_left(void **state)
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
			tuner_cycle(&tuner, &alone);
		else
			busy_cpu_percent(&tuner, 50 * US, -1);
		there += on_one ? now - before : 0;
	}
	assert_in_range(there, 0, 3 * SEC);
}

static void with_one_cpu_the_thread_is_not_bound(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	now = SEC;
	wait_tuner_init(&tuner, 0, 1);
	assert_int_equal(cpu_percent(&tuner, 10 * SEC, &alone, -1), 100);
}

static void large_batches_do_not_shorten_a_round(void **state)
{
	static const struct initiator batches = {5 * MS, 5 * MS, 64, 64, 0};
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	tuner_cycles(&tuner, 8, &batches);
	assert_int_equal(tuner.mode, WAIT_SLEEP);
	tuner_cycles(&tuner, 1, &batches);
	assert_int_not_equal(tuner.mode, WAIT_SLEEP);
}

static void a_useless_coalescing_delay_is_tried_seldom(void **state)
{
	static const struct initiator *const initiators[] = {&alone, &together, &thoughtful};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_tuner tuner;
		unsigned cnt = 0;

		tuner_start(&tuner, 100);
		spin_percent(&tuner, 20 * SEC, initiators[i]);
		delay_cnt = 0;
		for (uint64_t start = now; now - start < 100 * SEC; cnt++)
			tuner_cycle(&tuner, initiators[i]);
		assert_in_range(delay_cnt, 0, cnt / 50);
	}
}

/* As one that is alone, but has more commands in flight: the time of each is the same. */
static const struct initiator deeper = {20 * US, 70 * US, 1, 1, 10 * US};

static bool is_coalescing(const struct wait_tuner *tuner)
{
	return tuner->phase == WAIT_SETTLED &&
		(tuner->mode == WAIT_COALESCE || tuner->mode == WAIT_COALESCE_LONG);
}

/* The initiator sends a few commands when it finds the disk, and uses it later. */
static void the_first_commands_of_a_disk_decide_nothing(void **state)
{
	static const struct initiator scan = {450 * US, 450 * US, 1, 1, 0};

	(void) state;
	for (unsigned commands = 1; commands < 256; commands++) {
		struct wait_tuner tuner;

		tuner_start(&tuner, 100);
		tuner_cycles(&tuner, commands, &scan);
		(void) wait_tuner_idle(&tuner, now);
		now += 3 * SEC;
		wait_tuner_busy(&tuner, now);
		spin_percent(&tuner, 150 * MS, &deep);
		assert_true(is_coalescing(&tuner));
	}
}

/* How long until the tuner has settled on a coalescing delay, or on none. */
static uint64_t time_until_coalescing(
	struct wait_tuner *tuner, const struct initiator *initiator, bool coalescing)
{
	uint64_t start = now;

	while (tuner->phase != WAIT_SETTLED || is_coalescing(tuner) != coalescing) {
		tuner_cycle(tuner, initiator);
		assert_in_range(now - start, 0, 10 * SEC);
	}
	return now - start;
}

/* However long the mode that was found has served best. */
static void a_deeper_queue_is_noticed_within_a_second(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	wait_tuner_permit_raise(&tuner);
	for (unsigned i = 0; i < 3; i++) {
		spin_percent(&tuner, 60 * SEC, &alone);
		assert_false(is_coalescing(&tuner));
		assert_in_range(time_until_coalescing(&tuner, &deeper, true), 1, 1300 * MS);
		spin_percent(&tuner, 60 * SEC, &deeper);
		assert_true(is_coalescing(&tuner));
		assert_in_range(time_until_coalescing(&tuner, &alone, false), 1, 1300 * MS);
	}
}

/* Two rounds of three modes, and not three. A sample takes 2 ms or 6 ms, or eight waits. */
static void a_tuning_is_short_where_its_rounds_agree(void **state)
{
	static const struct initiator each = {66 * US, 66 * US, 1, 1, 50 * US};
	struct wait_tuner tuner;

	(void) state;
	now = SEC;
	wait_tuner_init(&tuner, 0, 1);
	while (tuner.phase != WAIT_SETTLED)
		tuner_cycle(&tuner, &each);
	assert_int_equal(tuner.found, WAIT_COALESCE_LONG);
	assert_in_range(now - SEC, 1, 36 * MS);
}

/* Percent of the cycles that have a raised priority. */
static unsigned raised_percent(
	struct wait_tuner *tuner, uint64_t duration, const struct initiator *initiator)
{
	uint64_t raised = 0, all = 0;

	for (uint64_t start = now; now - start < duration; all++) {
		raised += wait_tuner_raised(tuner);
		tuner_cycle(tuner, initiator);
	}
	return (unsigned) (100 * raised / all);
}

static void an_initiator_that_waits_gets_a_raised_priority(void **state)
{
	static const struct initiator two = {20 * US, 70 * US, 2, 2, 0};
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	assert_int_equal(raised_percent(&tuner, SEC, &alone), 0);
	wait_tuner_permit_raise(&tuner);
	spin_percent(&tuner, SEC, &alone);
	assert_int_equal(raised_percent(&tuner, 20 * SEC, &alone), 100);
	/* Another initiator: it has many commands in flight; it is slow. */
	spin_percent(&tuner, 2 * SEC, &deep);
	assert_int_equal(raised_percent(&tuner, 20 * SEC, &deep), 0);
	spin_percent(&tuner, 10 * SEC, &two);
	assert_int_equal(raised_percent(&tuner, 20 * SEC, &two), 100);
	spin_percent(&tuner, 10 * SEC, &thoughtful);
	assert_int_equal(raised_percent(&tuner, 20 * SEC, &thoughtful), 0);
}

static void a_thread_that_never_sleeps_has_no_raised_priority(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	wait_tuner_permit_raise(&tuner);
	spin_percent(&tuner, 10 * SEC, &alone);
	assert_true(wait_tuner_raised(&tuner));
	for (unsigned i = 0; i < WAIT_STREAK; i++)
		if (wait_tuner_work(&tuner, 1))
			wait_tuner_pressed(&tuner, now);
	assert_false(wait_tuner_raised(&tuner));
}

/* Other modes than the one that was found serve few commands, and take little time of it. */
static void what_was_found_is_served_nearly_always(void **state)
{
	static const struct initiator *const initiators[] = {&alone, &deep, &deeper};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_tuner tuner;
		uint64_t other = 0, start;
		unsigned found;

		now = SEC;
		wait_tuner_init(&tuner, 0, 1);
		spin_percent(&tuner, 60 * SEC, initiators[i]);
		found = tuner.found;
		for (start = now; now - start < 100 * SEC;) {
			uint64_t before = now;
			bool differs = tuner.mode != found;

			tuner_cycle(&tuner, initiators[i]);
			other += differs ? now - before : 0;
		}
		assert_true(other > 0);
		assert_in_range(1000 * other / (now - start), 0, 12);
	}
}

static void short_bursts_are_tuned_for_too(void **state)
{
	struct wait_tuner tuner;
	unsigned bursts = 0;

	(void) state;
	tuner_start(&tuner, 100);
	while (!is_coalescing(&tuner)) {
		spin_percent(&tuner, 10 * MS, &deep);
		(void) wait_tuner_idle(&tuner, now);
		now += 2 * SEC;
		wait_tuner_busy(&tuner, now);
		assert_in_range(++bursts, 1, 30);
	}
}

static void a_change_of_the_initiator_is_noticed(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	spin_percent(&tuner, 100 * SEC, &together);
	spin_percent(&tuner, 10 * SEC, &alone);
	assert_in_range(spin_percent(&tuner, 10 * SEC, &alone), 72, 80);
	spin_percent(&tuner, 100 * SEC, &alone);
	spin_percent(&tuner, 10 * SEC, &together);
	assert_in_range(spin_percent(&tuner, 10 * SEC, &together), 0, 2);
}

static void the_spinning_share_is_not_exceeded(void **state)
{
	static const unsigned percents[] = {1, 10, 50};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_tuner tuner;
		uint64_t start, spent;

		tuner_start(&tuner, percents[i]);
		tuner_cycles(&tuner, 1000, &alone);
		start = now;
		spent = tuner_cycles(&tuner, 1000000, &alone);
		assert_true(spent > 0);
		/* Time saved before may be spent, too. */
		assert_true(spent <= ((now - start) + 100 * MS) * percents[i] / 100);
	}
}

static void without_a_share_it_never_spins(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 0);
	assert_int_equal(tuner_cycles(&tuner, 1000, &alone), 0);
}

static void an_idle_device_stops_spinning(void **state)
{
	struct wait_tuner tuner;
	uint64_t spent;

	(void) state;
	tuner_start(&tuner, 100);
	tuner_cycles(&tuner, 1000, &alone);
	spent = tuner_cycle(&tuner, &heartbeat);
	assert_in_range(spent, 1, 2 * MS);
	assert_int_equal(tuner_cycles(&tuner, 1000, &heartbeat), 0);
}

static void a_spurious_wakeup_restarts_no_spinning(void **state)
{
	struct wait_tuner tuner;

	(void) state;
	tuner_start(&tuner, 100);
	tuner_cycles(&tuner, 1000, &alone);
	assert_true(wait_tuner_idle(&tuner, now) > 0);
	assert_true(wait_tuner_was_idle(&tuner));
	assert_int_equal(wait_tuner_idle(&tuner, now + 20 * US), 0);
	wait_tuner_busy(&tuner, now + 40 * US);
	assert_false(wait_tuner_was_idle(&tuner));
	assert_true(wait_tuner_idle(&tuner, now + 50 * US) > 0);
}

static void not_all_cpus_may_spin(void **state)
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
		cmocka_unit_test(a_new_tuner_sleeps),
		cmocka_unit_test(a_sequential_initiator_is_worth_spinning),
		cmocka_unit_test(a_late_initiator_is_not_worth_spinning),
		cmocka_unit_test(useless_spinning_is_tried_seldom),
		cmocka_unit_test(a_deep_queue_gets_a_coalescing_delay),
		cmocka_unit_test(the_cpu_of_the_initiator_is_found),
		cmocka_unit_test(without_a_better_cpu_the_thread_is_not_bound),
		cmocka_unit_test(an_initiator_that_changes_its_cpu_is_followed),
		cmocka_unit_test(a_cpu_is_chosen_only_if_every_round_confirms_it),
		cmocka_unit_test(a_thread_that_never_sleeps_is_not_bound),
		cmocka_unit_test(an_overloaded_cpu_is_left),
		cmocka_unit_test(with_one_cpu_the_thread_is_not_bound),
		cmocka_unit_test(large_batches_do_not_shorten_a_round),
		cmocka_unit_test(a_useless_coalescing_delay_is_tried_seldom),
		cmocka_unit_test(the_first_commands_of_a_disk_decide_nothing),
		cmocka_unit_test(a_deeper_queue_is_noticed_within_a_second),
		cmocka_unit_test(a_tuning_is_short_where_its_rounds_agree),
		cmocka_unit_test(an_initiator_that_waits_gets_a_raised_priority),
		cmocka_unit_test(a_thread_that_never_sleeps_has_no_raised_priority),
		cmocka_unit_test(what_was_found_is_served_nearly_always),
		cmocka_unit_test(short_bursts_are_tuned_for_too),
		cmocka_unit_test(a_change_of_the_initiator_is_noticed),
		cmocka_unit_test(the_spinning_share_is_not_exceeded),
		cmocka_unit_test(without_a_share_it_never_spins),
		cmocka_unit_test(an_idle_device_stops_spinning),
		cmocka_unit_test(a_spurious_wakeup_restarts_no_spinning),
		cmocka_unit_test(not_all_cpus_may_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
