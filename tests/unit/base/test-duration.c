/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of tests that wait by the real clock.
 */
#include "duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void a_limit_grows_while_processes_wait(void **state)
{
	static const struct {
		double seconds, lasted, stalled, limit;
	} rows[] = {
		{10, 10, 0, 10},  /* an idle host */
		{10, 10, 10, 30}, /* all the time */
		{10, 10, 11, 30}, /* the kernel adds it up a little later */
		{10, 40, 20, 20}, /* half of the time */
		{10, 0, 0, 10},
	};

	(void) state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_float_equal(
			duration_limit(rows[i].seconds, rows[i].lasted, rows[i].stalled),
			rows[i].limit, 1e-9);
}

static void a_hang_fails_on_any_host(void **state)
{
	struct duration duration = duration_start();

	(void) state;
	assert_true(duration_holds(&duration, 60));
	duration.began -= 60 * CLOCK_NS_PER_SEC;
	assert_true(duration_seconds(&duration) >= 60);
	assert_false(duration_holds(&duration, 19));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_grows_while_processes_wait),
		cmocka_unit_test(a_hang_fails_on_any_host),
	};

	return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
