/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks of clean stops and of formats, in a temporary directory. Saved mode parameters are tested
 * with configfs, which names their serial.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "device/marks.h"
#include "fake-root.h"
#include "io/thread.h"

static struct fake_root root;
static char run_dir[128];
static const struct tcmu_name disk = {.hba = 5, .name = "disk", .config = "file//srv/disk.img"};
static const struct tcmu_name other = {.hba = 5, .name = "disk", .config = "file//srv/new.img"};

static int setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	(void) snprintf(run_dir, sizeof(run_dir), "%s", fake_root_path(&root, "/run"));
	assert_int_equal(mkdir(run_dir, 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void a_clean_stop_is_known_once(void **state)
{
	(void) state;
	assert_false(marks_take_clean(run_dir, &disk, 3));
	assert_int_equal(marks_set_clean(run_dir, &disk, 3), 0);
	assert_false(marks_take_clean(run_dir, &disk, 4));
	assert_true(marks_take_clean(run_dir, &disk, 3));
	assert_false(marks_take_clean(run_dir, &disk, 3));
}

static void a_mark_means_nothing_for_another_device(void **state)
{
	(void) state;
	assert_int_equal(marks_set_clean(run_dir, &disk, 3), 0);
	assert_false(marks_take_clean(run_dir, &other, 3));
	assert_false(marks_take_clean(run_dir, &disk, 3));
	assert_int_equal(marks_set_format(run_dir, &disk, FORMAT_STATE_FORMAT), 0);
	assert_int_equal(marks_get_format(run_dir, &other), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), FORMAT_STATE_FORMAT);
}

static void a_format_is_known_until_it_has_ended(void **state)
{
	const unsigned format_state = FORMAT_STATE_SANITIZE | FORMAT_STATE_EXIT;

	(void) state;
	assert_int_equal(marks_get_format(run_dir, &disk), 0);
	assert_int_equal(marks_set_format(run_dir, &disk, format_state), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), format_state);
	assert_int_equal(marks_set_format(run_dir, &disk, 0), 0);
	assert_int_equal(marks_set_format(run_dir, &disk, 0), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), 0);
}

static void a_mark_that_cannot_be_written_is_an_error(void **state)
{
	(void) state;
	assert_true(marks_set_clean("/dev/null/run", &disk, 3) < 0);
	assert_true(marks_set_format("/dev/null/run", &disk, FORMAT_STATE_FORMAT) < 0);
}

static void a_store_is_known_until_the_boot(void **state)
{
	const struct marks_store known = {
		.write_cache_set = true, .write_cache = false, .claim = "file:8:1:12"};
	const struct tcmu_name limited = {
		.hba = 5, .name = "disk", .config = "file//srv/disk.img;iops=10"};
	struct marks_store store = {.deleted = true};

	(void) state;
	marks_get_store(run_dir, &disk, &store);
	assert_false(store.deleted || store.write_cache_set || store.claim[0]);
	assert_int_equal(marks_set_store(run_dir, &disk, &known), 0);
	marks_get_store(run_dir, &limited, &store);
	assert_true(store.write_cache_set);
	assert_false(store.write_cache || store.deleted);
	assert_string_equal(store.claim, "file:8:1:12");
	marks_get_store(run_dir, &other, &store);
	assert_false(store.write_cache_set || store.claim[0]);
	assert_int_equal(
		marks_set_store(run_dir, &disk, &(struct marks_store){.deleted = true}), 0);
	marks_get_store(run_dir, &disk, &store);
	assert_true(store.deleted);
	assert_false(store.write_cache_set || store.claim[0]);
}

static void a_backstore_that_was_served_is_known_for_good(void **state)
{
	const struct tcmu_name limited = {
		.hba = 5, .name = "disk", .config = "file//srv/disk.img;iops=10"};
	char state_dir[160];

	(void) state;
	(void) snprintf(state_dir, sizeof(state_dir), "%s/state", run_dir);
	assert_false(marks_was_served(state_dir, &disk));
	assert_int_equal(marks_set_served(state_dir, &disk), 0);
	assert_true(marks_was_served(state_dir, &disk));
	assert_true(marks_was_served(state_dir, &limited));
	assert_false(marks_was_served(state_dir, &other));
	assert_int_equal(marks_set_served(state_dir, &other), 0);
	assert_true(marks_was_served(state_dir, &other));
	assert_int_equal(marks_set_served("/proc/not-there", &disk), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_clean_stop_is_known_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mark_means_nothing_for_another_device, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_format_is_known_until_it_has_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mark_that_cannot_be_written_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_is_known_until_the_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_backstore_that_was_served_is_known_for_good, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
