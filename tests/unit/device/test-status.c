/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When late commands, errors and advice are logged, and how often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device/state.h"
#include "device/status.h"

#define SECOND UINT64_C(1000000000)
#define NOW    (1000 * SECOND)

static void a_command_in_time_is_not_logged(void **state)
{
	struct health health = {0};

	(void) state;
	assert_int_equal(health_late(&health, 0, NOW, 30), LATE_NOTHING);
	assert_int_equal(health_late(&health, NOW - 30 * SECOND + 1, NOW, 30), LATE_NOTHING);
	assert_int_equal(health_late(&health, NOW + 1, NOW, 30), LATE_NOTHING);
}

static void a_late_command_is_logged_once_and_its_end_too(void **state)
{
	struct health health = {0};

	(void) state;
	assert_int_equal(health_late(&health, NOW - 30 * SECOND, NOW, 30), LATE_BEGINS);
	assert_int_equal(
		health_late(&health, NOW - 30 * SECOND, NOW + 5 * SECOND, 30), LATE_NOTHING);
	assert_int_equal(
		health_late(&health, NOW - 10 * SECOND, NOW + 20 * SECOND, 30), LATE_NOTHING);
	assert_int_equal(health_late(&health, NOW + 10 * SECOND, NOW + 25 * SECOND, 30), LATE_ENDS);
	assert_int_equal(health_late(&health, 0, NOW + 30 * SECOND, 30), LATE_NOTHING);
}

static void without_a_timeout_nothing_is_late(void **state)
{
	struct health health = {0};

	(void) state;
	assert_int_equal(health_late(&health, 1, NOW, 0), LATE_NOTHING);
	assert_int_equal(health_late(&health, 1, UINT64_MAX, UINT32_MAX), LATE_BEGINS);
	assert_int_equal(health_late(&health, 1, UINT64_MAX, 0), LATE_ENDS);
}

static void a_backend_that_is_late_again_and_again_does_not_fill_the_log(void **state)
{
	struct health health = {0};
	unsigned logged = 0;

	(void) state;
	for (uint64_t now = NOW; now < NOW + 600 * SECOND; now += 5 * SECOND) {
		uint64_t begun = now / SECOND % 2 ? now - 40 * SECOND : now;

		logged += health_late(&health, begun, now, 30) == LATE_BEGINS;
	}
	assert_in_range(logged, 9, 10);
}

static void errors_are_counted_and_logged_once_a_minute(void **state)
{
	struct health health = {0};

	(void) state;
	assert_int_equal(health_errors(&health, 0, NOW), 0);
	assert_int_equal(health_errors(&health, 3, NOW + SECOND), 3);
	assert_int_equal(health_errors(&health, 3, NOW + 2 * SECOND), 0);
	assert_int_equal(health_errors(&health, 5, NOW + 60 * SECOND), 0);
	assert_int_equal(health_errors(&health, 9, NOW + 61 * SECOND), 6);
	assert_int_equal(health_errors(&health, 9, NOW + 600 * SECOND), 0);
}

static void large_commands_are_logged_once(void **state)
{
	struct health health = {0};
	uint64_t kib = 1024;

	(void) state;
	assert_int_equal(health_large(&health, 9999, 9999 * 256 * kib), 0);
	assert_int_equal(health_large(&health, 10000, 10000 * 256 * kib), 256);
	assert_int_equal(health_large(&health, 30000, 30000 * 256 * kib), 0);
}

/* What a device did long ago says nothing about the commands of now. */
static void the_size_of_commands_is_that_of_the_last_ones(void **state)
{
	struct health health = {0};
	uint64_t kib = 1024, small = 1000000 * 4 * kib;

	(void) state;
	assert_int_equal(health_large(&health, 1000000, small), 0);
	assert_int_equal(health_large(&health, 1010000, small + 10000 * 127 * kib), 0);
	assert_int_equal(health_large(&health, 1015000, small + 20000 * 512 * kib), 0);
	assert_int_equal(health_large(&health, 1020000, small + 10000 * 255 * kib), 128);
}

static void every_error_has_advice(void **state)
{
	(void) state;
	assert_non_null(strstr(health_advice(ENOSPC), "make room"));
	assert_non_null(strstr(health_advice(EDQUOT), "make room"));
	assert_non_null(strstr(health_advice(EROFS), "read-only"));
	assert_non_null(strstr(health_advice(ETIMEDOUT), "in time"));
	assert_non_null(strstr(health_advice(EIO), "check"));
	assert_non_null(strstr(health_advice(0), "check"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_in_time_is_not_logged),
		cmocka_unit_test(a_late_command_is_logged_once_and_its_end_too),
		cmocka_unit_test(without_a_timeout_nothing_is_late),
		cmocka_unit_test(errors_are_counted_and_logged_once_a_minute),
		cmocka_unit_test(large_commands_are_logged_once),
		cmocka_unit_test(the_size_of_commands_is_that_of_the_last_ones),
		cmocka_unit_test(every_error_has_advice),
		cmocka_unit_test(a_backend_that_is_late_again_and_again_does_not_fill_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
