/* SPDX-License-Identifier: Apache-2.0 */
/* Whether it pays to wait awake is learned, and what it costs is bounded. The clock is the test's. */
#include "busy-poll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define US  UINT64_C(1000)
#define MS  (1000 * US)
#define SEC (1000 * MS)

static uint64_t now;

static void begin(struct poll *poll, unsigned percent)
{
	now = SEC;
	poll_init(poll, percent);
}

/* A command, then nothing for so long. Returns what it has spent on looking. */
static uint64_t cycle(struct poll *poll, unsigned commands, uint64_t gap)
{
	uint64_t look, spent;

	poll_work(poll, commands);
	now += 5 * US;
	look = poll_idle(poll, now);
	spent = look < gap ? look : gap;
	poll_spend(poll, spent);
	now += gap;
	poll_busy(poll, now);
	return spent;
}

static uint64_t cycles(struct poll *poll, unsigned cnt, unsigned commands, uint64_t gap)
{
	uint64_t spent = 0;

	while (cnt-- > 0)
		spent += cycle(poll, commands, gap);
	return spent;
}

static void at_first_it_sleeps(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 100);
	assert_int_equal(poll_idle(&poll, now), 0);
}

static void commands_that_come_soon_are_waited_for_awake(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 100);
	cycles(&poll, 50, 1, 20 * US);
	assert_int_equal(cycles(&poll, 100, 1, 20 * US), 100 * 20 * US);
}

static void commands_that_come_late_are_not(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 100);
	assert_int_equal(cycles(&poll, 1000, 1, 2 * MS), 0);
}

static void commands_that_come_together_are_not(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 100);
	cycles(&poll, 50, 16, 20 * US);
	assert_int_equal(cycles(&poll, 100, 16, 20 * US), 0);
	/* But again when they come alone. */
	cycles(&poll, 50, 1, 20 * US);
	assert_int_equal(cycles(&poll, 100, 1, 20 * US), 100 * 20 * US);
}

static void a_share_of_the_processor_is_not_exceeded(void **state)
{
	static const unsigned percents[] = {1, 10, 50};

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct poll poll;
		uint64_t start, spent;

		begin(&poll, percents[i]);
		cycles(&poll, 50, 1, 40 * US);
		start = now;
		spent = cycles(&poll, 100000, 1, 40 * US);
		assert_true(spent > 0);
		/* What was saved before may be spent, too. */
		assert_true(spent <= ((now - start) + 100 * MS) * percents[i] / 100);
	}
}

static void with_no_share_it_never_looks(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 0);
	assert_int_equal(cycles(&poll, 1000, 1, 10 * US), 0);
}

static void a_device_that_falls_idle_costs_little_more(void **state)
{
	struct poll poll;
	uint64_t spent;

	(void) state;
	begin(&poll, 100);
	cycles(&poll, 1000, 1, 100 * US);
	spent = cycle(&poll, 1, 10 * SEC);
	assert_in_range(spent, 1, 500 * US);
	/* A command from time to time, as of a cluster's heartbeat. */
	assert_int_equal(cycles(&poll, 100, 1, SEC), 0);
}

static void who_is_woken_for_nothing_does_not_look_again(void **state)
{
	struct poll poll;

	(void) state;
	begin(&poll, 100);
	cycles(&poll, 50, 1, 20 * US);
	poll_work(&poll, 1);
	assert_true(poll_idle(&poll, now) > 0);
	assert_true(poll_was_idle(&poll));
	assert_int_equal(poll_idle(&poll, now + 20 * US), 0);
	poll_busy(&poll, now + 40 * US);
	assert_false(poll_was_idle(&poll));
	assert_true(poll_idle(&poll, now + 50 * US) > 0);
}

static void not_all_processors_are_taken(void **state)
{
	unsigned cnt = 0;

	(void) state;
	while (cnt < 4096 && poll_enter())
		cnt++;
	assert_in_range(cnt, 0, 4095);
	if (cnt) {
		poll_leave();
		assert_true(poll_enter());
	}
	assert_false(poll_enter());
	while (cnt-- > 0)
		poll_leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_first_it_sleeps),
		cmocka_unit_test(commands_that_come_soon_are_waited_for_awake),
		cmocka_unit_test(commands_that_come_late_are_not),
		cmocka_unit_test(commands_that_come_together_are_not),
		cmocka_unit_test(a_share_of_the_processor_is_not_exceeded),
		cmocka_unit_test(with_no_share_it_never_looks),
		cmocka_unit_test(a_device_that_falls_idle_costs_little_more),
		cmocka_unit_test(who_is_woken_for_nothing_does_not_look_again),
		cmocka_unit_test(not_all_processors_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
