/* SPDX-License-Identifier: Apache-2.0 */
/* A device is as fast as its limits, and after a pause faster by its saved rate. The test supplies
 * the clock. */
#include "base/rate-limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)

/* How many commands a device with always more to do begins within a time, sleeping in steps of a
 * grain. */
static unsigned commands_started(
	struct rate_limit *rate_limit, uint64_t *now, uint64_t time, uint64_t grain, uint64_t bytes)
{
	uint64_t end = *now + time;
	unsigned cnt = 0;

	while (*now < end) {
		uint64_t wait = rate_limit_take(rate_limit, *now, 1, bytes);

		if (wait == 0)
			cnt++;
		else
			*now += (wait + grain - 1) / grain * grain;
	}
	return cnt;
}

static struct rate_limit make_limits(uint64_t iops, uint64_t bps, uint64_t burst)
{
	struct rate_limit rate_limit = {0};

	rate_limit_set(
		&rate_limit, &(struct rate_limits){.iops = iops, .bps = bps, .burst = burst});
	return rate_limit;
}

static void without_limits_nothing_waits(void **state)
{
	struct rate_limit rate_limit = make_limits(0, 0, 0);

	(void) state;
	assert_false(rate_limit_is_on(&rate_limit));
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(rate_limit_take(&rate_limit, START, 1, 1 << 20), 0);
}

static void the_command_rate_holds(void **state)
{
	static const uint64_t rates[] = {1, 7, 100, 1000, 33333};

	(void) state;
	for (unsigned i = 0; i < 5; i++) {
		struct rate_limit rate_limit = make_limits(rates[i], 0, 0);
		uint64_t now = START;

		assert_true(rate_limit_is_on(&rate_limit));
		commands_started(&rate_limit, &now, 10 * SECOND, 1, 4096);
		assert_in_range(
			commands_started(&rate_limit, &now, 100 * SECOND, 1, 4096),
			100 * rates[i] - 1, 100 * rates[i] + 1 + rates[i] / 10);
	}
}

static void a_sleep_in_whole_milliseconds_keeps_the_rate(void **state)
{
	struct rate_limit rate_limit = make_limits(33333, 0, 0);
	uint64_t now = START;

	(void) state;
	commands_started(&rate_limit, &now, SECOND, 1000000, 4096);
	assert_in_range(
		commands_started(&rate_limit, &now, 10 * SECOND, 1000000, 4096), 332600, 334000);
}

static void the_byte_rate_holds_for_all_command_sizes(void **state)
{
	static const uint64_t sizes[] = {512, 4096, 1 << 20, 16 << 20};

	(void) state;
	for (unsigned i = 0; i < 4; i++) {
		struct rate_limit rate_limit = make_limits(0, 8 << 20, 0);
		uint64_t now = START, cnt;

		commands_started(&rate_limit, &now, 10 * SECOND, 1, sizes[i]);
		cnt = commands_started(&rate_limit, &now, 100 * SECOND, 1, sizes[i]);
		assert_in_range(
			cnt * sizes[i], (800 << 20) - sizes[i], (800 << 20) + sizes[i] + 8192);
	}
}

static void the_stricter_limit_counts(void **state)
{
	struct rate_limit rate_limit = make_limits(100, 1 << 20, 0);
	uint64_t now = START;

	(void) state;
	commands_started(&rate_limit, &now, SECOND, 1, 4096);
	assert_in_range(commands_started(&rate_limit, &now, 10 * SECOND, 1, 4096), 999, 1001);
	commands_started(&rate_limit, &now, SECOND, 1, 1 << 20);
	assert_in_range(commands_started(&rate_limit, &now, 10 * SECOND, 1, 1 << 20), 9, 11);
}

static void unused_rate_is_saved_up_to_the_burst(void **state)
{
	struct rate_limit rate_limit = make_limits(100, 0, 5);
	uint64_t now = START;

	(void) state;
	commands_started(&rate_limit, &now, 100 * SECOND, 1, 4096);
	now += 3600 * SECOND;
	assert_in_range(commands_started(&rate_limit, &now, SECOND, 1, 4096), 598, 602);
	assert_in_range(commands_started(&rate_limit, &now, SECOND, 1, 4096), 99, 101);
	now += 2 * SECOND;
	assert_in_range(commands_started(&rate_limit, &now, SECOND, 1, 4096), 298, 302);
}

static void a_change_counts_at_once(void **state)
{
	struct rate_limit rate_limit = make_limits(100, 0, 0);
	uint64_t now = START;

	(void) state;
	commands_started(&rate_limit, &now, SECOND, 1, 4096);
	rate_limit_set(&rate_limit, &(struct rate_limits){.iops = 1000});
	assert_in_range(commands_started(&rate_limit, &now, 10 * SECOND, 1, 4096), 9980, 10030);
	rate_limit_set(&rate_limit, &(struct rate_limits){0});
	assert_int_equal(rate_limit_take(&rate_limit, now, 1, 4096), 0);
}

static void the_largest_numbers_do_no_harm(void **state)
{
	struct rate_limit rate_limit = make_limits(UINT64_MAX, 1, UINT64_MAX);

	(void) state;
	assert_int_equal(rate_limit_take(&rate_limit, 0, 1, UINT32_MAX), 0);
	assert_in_range(rate_limit_take(&rate_limit, SECOND, 1, 1), 1, 3600 * SECOND);
	assert_int_equal(rate_limit_take(&rate_limit, 2 * 3600 * SECOND, 1, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_nothing_waits),
		cmocka_unit_test(the_command_rate_holds),
		cmocka_unit_test(a_sleep_in_whole_milliseconds_keeps_the_rate),
		cmocka_unit_test(the_byte_rate_holds_for_all_command_sizes),
		cmocka_unit_test(the_stricter_limit_counts),
		cmocka_unit_test(unused_rate_is_saved_up_to_the_burst),
		cmocka_unit_test(a_change_counts_at_once),
		cmocka_unit_test(the_largest_numbers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
