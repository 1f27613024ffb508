/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of the logical unit that follow from the config string, and the guard of commands that
 * act without data-out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device-world.h"
#include "fake-io-thread.h"

static void lu_info_serve(const char *config)
{
	world.config = config;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_jobs();
	world_signal(IO_SIGNAL_ATTACHED);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
}

static void lu_info_end(void)
{
	device_event(world.device, DEVICE_EV_STOP);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

static void commands_without_data_are_off(void **state)
{
	(void) state;
	lu_info_serve(NULL);
	assert_false(fake_io_thread.setup.lu.dataless);
	assert_false(fake_io_thread.setup.lu.guard_passed);
	assert_string_equal(fake_io_thread.setup.lu.config, "test/x");
	lu_info_end();
}

static void the_operator_turns_them_on(void **state)
{
	(void) state;
	lu_info_serve("test/x;sanitize=1");
	assert_true(fake_io_thread.setup.lu.dataless);
	assert_false(fake_io_thread.setup.lu.guard_passed);
	lu_info_end();
}

static void a_neutral_designator_has_no_config_string(void **state)
{
	(void) state;
	lu_info_serve("test/x;designator=serial");
	assert_string_equal(fake_io_thread.setup.lu.config, "");
	lu_info_end();
}

/* The mappings are read for each command, and not on the thread that asks. */
static void the_guard_reads_the_mappings_each_time(void **state)
{
	static const int results[] = {0, -EROFS, -EBUSY, -EACCES, 0};

	(void) state;
	lu_info_serve("test/x;sanitize=1");
	fake_io_thread.deferred.kind = DEFERRED_GUARD;
	for (unsigned i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		world.mappings_result = results[i];
		world_signal(IO_SIGNAL_DEFERRED);
		assert_int_equal(world.mapping_reads, i);
		assert_int_equal(fake_io_thread.deferred_answers, i);
		world_run_jobs();
		assert_int_equal(world.mapping_reads, i + 1);
		assert_int_equal(fake_io_thread.deferred_answers, i + 1);
		assert_int_equal(fake_io_thread.deferred_result, results[i]);
	}
	lu_info_end();
}

/* Each other disk of a copy must allow its part. */
static void the_guard_of_a_copy_checks_every_other_disk(void **state)
{
	struct deferred_request *request = &fake_io_thread.deferred;
	struct xcopy_other others[2] = {0};

	(void) state;
	lu_info_serve(NULL);
	request->kind = DEFERRED_COPY_GUARD;
	request->others = others;
	request->other_cnt = 2;
	strcpy(request->others[0].name.name, "protected");
	strcpy(request->others[1].name.name, "other");
	for (unsigned i = 0; i < 4; i++) {
		request->others[0].written = i & 1;
		request->others[1].written = i & 2;
		world_signal(IO_SIGNAL_DEFERRED);
		world_run_jobs();
		assert_int_equal(fake_io_thread.deferred_result, i & 1 ? -ENODEV : 0);
	}
	assert_int_equal(world.mapping_reads, 2 + 1 + 2 + 1);
	lu_info_end();
}

#define LU_INFO_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LU_INFO_TEST(commands_without_data_are_off),
		LU_INFO_TEST(the_operator_turns_them_on),
		LU_INFO_TEST(a_neutral_designator_has_no_config_string),
		LU_INFO_TEST(the_guard_reads_the_mappings_each_time),
		LU_INFO_TEST(the_guard_of_a_copy_checks_every_other_disk),
	};

	return cmocka_run_group_tests_name("lu-info", tests, NULL, NULL);
}
