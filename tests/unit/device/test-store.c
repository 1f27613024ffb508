/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only a genuine creation may create a backing store: what a device allows its handler on every way
 * on which the handler's open is called, and what becomes of the device when the store is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "device-world.h"
#include "device/state.h"

#define RETRY_MS 2000

static void attach(void)
{
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_ATTACHING);
	world_signal(IO_SIGNAL_ATTACHED);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
}

static void end_thread(void)
{
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

static void delete_it(void)
{
	world.removed = UNANSWERED;
	device_removed(world.device, 7);
	if (fake_io_thread.exists)
		end_thread();
	world_run_jobs();
	assert_true(world.forgotten);
}

static void create(void)
{
	world.forgotten = false;
	world.added = UNANSWERED;
	world_start(DEVICE_ORIGIN_ADDED, false);
}

static void assert_problem(const char *words)
{
	struct device_status status;

	device_get_status(world.device, &status);
	assert_non_null(status.problem);
	if (!strstr(status.problem, words))
		fail_msg("%s", status.problem);
}

/* ------- what a handler reports ------- */

static void a_handler_says_how_its_backend_is_and_counts(void **state)
{
	struct device_status status;
	struct tcmu_host_device *dev;
	char long_text[300];
	uint64_t *counters;

	(void) state;
	create();
	dev = &world.device->host_device;
	assert_true(TCMU_HOST_HAS(&device_host, health) && TCMU_HOST_HAS(&device_host, counters));
	assert_true(TCMU_HOST_KNOWS(&device_host, config, raw));
	assert_string_equal(device_host.name(dev), "user_1/disk");
	device_host.health(dev, "of the last backend");
	attach();
	device_get_status(world.device, &status);
	assert_string_equal(status.health, "");
	device_host.health(dev, "waiting for\nOSD 12");
	counters = device_host.counters(dev);
	tcmu_counter_add(counters, 0, 2);
	tcmu_counter_add(counters, 0, 1);
	tcmu_counter_set(counters, 1, 9);
	tcmu_counter_set(counters, 1, 7);
	device_get_status(world.device, &status);
	assert_string_equal(status.health, "waiting for OSD 12");
	assert_string_equal(status.counters[1].name, "queued");
	assert_int_equal(status.counter_values[0], 3);
	assert_int_equal(status.counter_values[1], 7);
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	device_host.health(dev, long_text);
	device_get_status(world.device, &status);
	assert_int_equal(strlen(status.health), sizeof(status.health) - 1);
	device_host.health(dev, NULL);
	device_get_status(world.device, &status);
	assert_string_equal(status.health, "");
	log_set_level(TCMU_LOG_DEBUG);
	assert_true(device_host.debug(dev));
	log_set_level(TCMU_LOG_ERROR);
	assert_false(device_host.debug(dev));
	delete_it();
}

/* ------- creations ------- */

static void a_creation_creates(void **state)
{
	(void) state;
	world.missing = true;
	create();
	attach();
	assert_true(world.created && world.served);
	assert_string_equal(world.store.claim, "store");
	delete_it();
	assert_true(world.store.deleted);
}

/* Also where a daemon that has ended has left it waiting for an answer. */
static void a_creation_that_is_adopted_creates(void **state)
{
	(void) state;
	world.missing = true;
	world_start(DEVICE_ORIGIN_FOUND, false);
	attach();
	assert_true(world.created);
	delete_it();
}

static void a_creation_after_a_deletion_that_was_seen_creates(void **state)
{
	(void) state;
	create();
	attach();
	delete_it();
	world.missing = true;
	create();
	attach();
	assert_true(world.created);
	assert_false(world.store.deleted);
	delete_it();
}

/* The handler has created it, and the kernel drops the device. */
static void a_creation_after_one_that_has_failed_creates(void **state)
{
	(void) state;
	create();
	world_run_jobs();
	world_signal(IO_SIGNAL_RING_BROKEN);
	assert_int_equal(world.added, -EIO);
	end_thread();
	device_event(world.device, DEVICE_EV_UNREGISTERED);
	assert_true(world.served && world.store.deleted);
	world.missing = true;
	create();
	attach();
	assert_true(world.created);
	delete_it();
}

/* ------- what resumes a device ------- */

static void a_start_creates_nothing(void **state)
{
	(void) state;
	world.missing = true;
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	assert_problem("No such file");
	/* nor does a retry, until the store is there */
	world_pass_time(RETRY_MS);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	assert_false(world.created);
	world.missing = false;
	world_pass_time(2 * RETRY_MS);
	attach();
	assert_true(world.must_exist);
	delete_it();
}

static void a_reopen_creates_nothing(void **state)
{
	(void) state;
	create();
	attach();
	world.missing = true;
	world.served = false; /* the mark could not be written */
	assert_int_equal(device_reopen(world.device), 0);
	end_thread();
	world_pass_time(0);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	assert_false(world.created);
	assert_problem("No such file");
	delete_it();
}

/* ------- a restore ------- */

static void a_restore_waits_for_its_store(void **state)
{
	(void) state;
	world.missing = world.served = true; /* by a daemon before the boot */
	create();
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	assert_int_equal(world.added, UNANSWERED);
	assert_problem("No such file");
	world_pass_time(500);
	world_run_jobs();
	assert_int_equal(world.opens, 2);
	world.missing = false;
	world_pass_time(500);
	attach();
	assert_int_equal(world.added, 0);
	assert_false(world.created);
	delete_it();
}

static void a_restore_whose_store_does_not_come_is_refused_in_time(void **state)
{
	unsigned waited = 0;

	(void) state;
	world.missing = world.served = true;
	create();
	while (world.added == UNANSWERED) {
		world_run_jobs();
		world_pass_time(500);
		waited += 500;
	}
	assert_int_equal(waited, world.settings.open_timeout_ms);
	assert_int_equal(world.added, -ENOENT);
	assert_false(world.created);
}

static void a_restore_that_is_given_up_ends(void **state)
{
	(void) state;
	world.missing = world.served = true;
	create();
	world_run_jobs();
	device_event(world.device, DEVICE_EV_UNREGISTERED);
}

/* A directory that never was there is a mistake: its creator learns it at once. */
static void a_creation_does_not_wait(void **state)
{
	(void) state;
	world.open_result = -ENOENT;
	create();
	world_run_jobs();
	assert_int_equal(world.added, -ENOENT);
}

/* ------- another store in its place ------- */

static void another_store_is_served(void **state)
{
	(void) state;
	create();
	attach();
	strcpy(world.claim, "another");
	assert_int_equal(device_reopen(world.device), 0);
	end_thread();
	world_pass_time(0);
	attach();
	assert_string_equal(world.store.claim, "another");
	delete_it();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_handler_says_how_its_backend_is_and_counts),
		TEST(a_creation_creates),
		TEST(a_creation_that_is_adopted_creates),
		TEST(a_creation_after_a_deletion_that_was_seen_creates),
		TEST(a_creation_after_one_that_has_failed_creates),
		TEST(a_start_creates_nothing),
		TEST(a_reopen_creates_nothing),
		TEST(a_restore_waits_for_its_store),
		TEST(a_restore_whose_store_does_not_come_is_refused_in_time),
		TEST(a_restore_that_is_given_up_ends),
		TEST(a_creation_does_not_wait),
		TEST(another_store_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
