/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device until its I/O thread would start (device-world.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device-world.h"

/* ------- tests ------- */

static void a_refused_open_is_the_answer_to_the_creation(void **state)
{
	(void) state;
	world.open_result = -EACCES;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	assert_int_equal(world.added, UNANSWERED);
	world_run_job();
	assert_int_equal(world.added, -EACCES);
	assert_int_equal(world.closes, 0);
}

/* The call ends from the event loop, as one that has failed: never within the action. */
static void a_job_without_a_thread_ends_as_a_failed_one(void **state)
{
	(void) state;
	world.system.no_threads = true;
	world_start(DEVICE_ORIGIN_ADDED, true);
	assert_int_equal(world.added, UNANSWERED);
	world_run_post();
	assert_int_equal(world.added, -EAGAIN);
	assert_int_equal(world.opens, 0);
}

static void a_late_open_is_answered_in_time_and_closed(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	world_pass_time(world.settings.open_timeout_ms);
	assert_int_equal(world.added, -ETIMEDOUT);
	assert_int_equal(device_state(world.device), DEVICE_ORPHANED);
	world_run_job();
	assert_int_equal(world.opens, 1);
	assert_false(world.forgotten);
	world_run_job();
	assert_int_equal(world.closes, 1);
}

/* A thread for the close is missing for a while. */
static void a_close_is_retried_until_it_has_a_thread(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	device_removed(world.device, 7);
	world.system.no_threads = true;
	world_run_job();
	for (int i = 0; i < 3; i++) {
		world_run_post();
		assert_false(world.forgotten);
		world_pass_time(100);
	}
	world_run_post();
	world.system.no_threads = false;
	world_pass_time(100);
	assert_int_equal(world.removed, UNANSWERED);
	world_run_job();
	assert_int_equal(world.closes, 1);
	assert_int_equal(world.removed, 0);
}

static void a_delete_while_opening_is_answered_within_the_deadline(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	device_removed(world.device, 7);
	assert_int_equal(device_state(world.device), DEVICE_DETACHED);
	world_pass_time(world.settings.reply_timeout_ms);
	assert_int_equal(world.removed, 0);
	assert_int_equal(device_state(world.device), DEVICE_ORPHANED);
	world_run_job();
	world_run_job();
	assert_int_equal(world.closes, 1);
}

static void a_failed_device_is_retried_and_deleted(void **state)
{
	(void) state;
	world.attributes.configured = true;
	world.open_result = -EIO;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	world_pass_time(2000);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	world_run_jobs();
	assert_int_equal(world.opens, 2);
	assert_int_equal(device_reopen(world.device), 0);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	assert_int_equal(device_reopen(world.device), -EBUSY);
	world_run_jobs();
	assert_int_equal(world.opens, 3);
	device_removed(world.device, 7);
	assert_int_equal(world.removed, 0);
	assert_int_equal(world.added, UNANSWERED);
}

/* Another device that the kernel does not have any more: DETACHED, its open is in flight. */
static struct device *ending_device(struct job **opens)
{
	struct device *other = world_new_device(DEVICE_ORIGIN_FOUND, true);

	world.device = other;
	device_open(other);
	device_event(other, DEVICE_EV_UNREGISTERED);
	assert_int_equal(device_state(other), DEVICE_DETACHED);
	*opens = virtual_env_take_job(&world.system);
	return other;
}

static void end_device(struct job *opens)
{
	opens->work(opens);
	opens->done(opens);
	assert_true(world.forgotten);
	world.forgotten = false;
}

static void a_claim_that_is_given_up_is_waited_for(void **state)
{
	struct device_status status;
	struct job *opens;

	(void) state;
	world.claimant = ending_device(&opens);
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	device_get_status(world.device, &status);
	assert_string_equal(status.problem, "another device still uses its backing store");
	device_claim_changed(world.device);
	assert_int_equal(world.system.job_cnt, 0);
	end_device(opens);
	world.claimant = NULL;
	world.open_result = -EIO;
	device_claim_changed(world.device);
	world_run_job();
	assert_int_equal(world.opens, 1);
	assert_int_equal(world.added, -EIO);
}

static void a_delete_does_not_wait_for_a_claim(void **state)
{
	struct job *opens;

	(void) state;
	world.claimant = ending_device(&opens);
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	device_removed(world.device, 7);
	assert_int_equal(world.removed, 0);
	assert_true(world.forgotten);
	world.forgotten = false;
	end_device(opens);
	world.forgotten = true;
}

static void an_early_change_is_answered_when_the_device_is_not_served(void **state)
{
	struct tcmu_event event = {
		.kind = TCMU_EVENT_RECONFIG,
		.device_id = 7,
		.reconfig = TCMU_RECONFIG_SIZE,
		.size = 1 << 20};

	(void) state;
	world.open_result = -EIO;
	world_start(DEVICE_ORIGIN_ADDED, true);
	device_reconfig(world.device, &event);
	assert_int_equal(world.reconfigured, UNANSWERED);
	world_run_job();
	world_run_job();
	assert_int_equal(world.reconfigured, -ENODEV);
}

/* Also where the open never ends; and it is answered once. */
static void an_early_change_is_answered_within_the_deadline(void **state)
{
	struct tcmu_event event = {
		.kind = TCMU_EVENT_RECONFIG,
		.device_id = 7,
		.reconfig = TCMU_RECONFIG_SIZE,
		.size = 1 << 20};

	(void) state;
	world.open_result = -EIO;
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_job();
	world_pass_time(1000);
	device_reconfig(world.device, &event);
	world_pass_time(world.settings.open_timeout_ms - 1);
	assert_int_equal(world.reconfigured, UNANSWERED);
	world_pass_time(1);
	assert_int_equal(world.reconfigured, -ETIMEDOUT);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	device_removed(world.device, 7);
}

/* The next change is independent of one that was given up. */
static void a_change_after_a_late_one_is_answered(void **state)
{
	struct tcmu_event event = {
		.kind = TCMU_EVENT_RECONFIG,
		.device_id = 7,
		.reconfig = TCMU_RECONFIG_SIZE,
		.size = 1 << 20};

	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	device_reconfig(world.device, &event);
	world_run_jobs();
	assert_int_equal(world.reconfigured, UNANSWERED);
	world_signal(IO_SIGNAL_ATTACHED);
	assert_int_equal(world.reconfigured, 0);
	world_pass_time(world.settings.open_timeout_ms);
	device_removed(world.device, 7);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

/* ------- the write cache ------- */

static void change_write_cache(bool on)
{
	struct tcmu_event event = {
		.kind = TCMU_EVENT_RECONFIG,
		.device_id = 7,
		.reconfig = TCMU_RECONFIG_WRITE_CACHE,
		.write_cache = on};

	world.reconfigured = UNANSWERED;
	device_reconfig(world.device, &event);
}

static void serve(void)
{
	world_run_jobs();
	world_signal(IO_SIGNAL_ATTACHED);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
}

static void reopen(void)
{
	assert_int_equal(device_reopen(world.device), 0);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	world_pass_time(0);
	serve();
}

static void delete_it(void)
{
	device_removed(world.device, 7);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

/* The kernel announces no change: it is read again for each command that needs LU info, and while
 * commands are slow. */
static void a_new_command_timeout_is_noticed(void **state)
{
	(void) state;
	world.attributes.command_timeout = 30;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	assert_int_equal(fake_io_thread.setup.command_timeout, 30);
	world.attributes.command_timeout = 2;
	world_signal(IO_SIGNAL_NEEDS_LU_INFO);
	world_run_jobs();
	assert_int_equal(fake_io_thread.setup.command_timeout, 2);
	world.attributes.command_timeout = 60;
	device_refresh(world.device);
	world_run_jobs();
	assert_int_equal(fake_io_thread.setup.command_timeout, 60);
	delete_it();
}

/* The daemon ends, and the next one finds the device. attribute: what the kernel has meanwhile. */
static void restart(bool attribute)
{
	struct marks_store marked;

	device_event(world.device, DEVICE_EV_STOP);
	marked = world.store;
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	world.forgotten = false;
	world.attributes.configured = true;
	world.attributes.write_cache = attribute;
	world.attributes.write_cache_shown = false;
	world.store = marked;
	world_start(DEVICE_ORIGIN_FOUND, true);
	serve();
}

static void turn_write_cache_off(void)
{
	change_write_cache(false);
	assert_true(fake_io_thread.write_cache_set && !fake_io_thread.write_cache);
	assert_int_equal(world.reconfigured, UNANSWERED); /* it is not flushed yet */
	world_signal(IO_SIGNAL_WRITE_CACHE);
	assert_int_equal(world.reconfigured, 0);
	fake_io_thread.write_cache_set = false;
}

static void a_write_cache_that_was_turned_off_stays_off(void **state)
{
	(void) state;
	world.volatile_cache = true;
	world.attributes.write_cache = world.attributes.write_cache_shown = true;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	world.attributes.write_cache_shown = false;
	assert_true(fake_io_thread.setup.lu.write_cache);
	assert_true(world.store.write_cache_set && world.store.write_cache);
	change_write_cache(true); /* as a restore does */
	assert_int_equal(world.reconfigured, 0);
	assert_false(fake_io_thread.write_cache_set);
	turn_write_cache_off();
	change_write_cache(false); /* once more */
	assert_int_equal(world.reconfigured, 0);
	/* the kernel has not stored it yet */
	reopen();
	assert_false(
		fake_io_thread.setup.lu.write_cache ||
		fake_io_thread.setup.lu.write_cache_changeable);
	restart(true);
	assert_false(fake_io_thread.setup.lu.write_cache);
	fake_io_thread.write_cache_is_old = true; /* a flush has failed */
	turn_write_cache_off();
	fake_io_thread.write_cache_is_old = false;
	change_write_cache(true);
	reopen();
	assert_true(
		fake_io_thread.setup.lu.write_cache &&
		fake_io_thread.setup.lu.write_cache_changeable);
	/* forgotten with the delete */
	delete_it();
	assert_false(world.store.write_cache_set);
}

/* A 0 means "off" where the creation has made it 1, and nothing where nobody has written it. */
static void a_write_cache_that_a_restart_finds_off_is_off_if_it_was_on(void **state)
{
	(void) state;
	world.volatile_cache = true;
	world.attributes.write_cache = world.attributes.write_cache_shown = true;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	restart(false);
	assert_false(fake_io_thread.setup.lu.write_cache);
	change_write_cache(true);
	assert_true(fake_io_thread.write_cache_set && fake_io_thread.write_cache);
	delete_it();
	assert_false(world.store.write_cache_set);
}

static void a_write_cache_that_nobody_has_written_is_on(void **state)
{
	(void) state;
	world.volatile_cache = true;
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, true);
	serve();
	assert_true(fake_io_thread.setup.lu.write_cache);
	assert_false(world.store.write_cache_set);
	turn_write_cache_off(); /* the attribute is 0, and stays so */
	restart(false);
	assert_false(fake_io_thread.setup.lu.write_cache);
	delete_it();
}

/* Earlier writes can be flushed only then. */
static void a_write_cache_goes_off_when_the_device_is_served(void **state)
{
	(void) state;
	world.volatile_cache = true;
	world.attributes.write_cache = world.attributes.write_cache_shown = true;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	world.attributes.write_cache_shown = false;
	assert_int_equal(device_reopen(world.device), 0);
	change_write_cache(false);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	world_pass_time(0);
	assert_int_equal(world.reconfigured, UNANSWERED);
	serve();
	assert_true(fake_io_thread.setup.lu.write_cache);
	assert_true(fake_io_thread.write_cache_set && !fake_io_thread.write_cache);
	assert_int_equal(world.reconfigured, UNANSWERED);
	world_signal(IO_SIGNAL_WRITE_CACHE);
	assert_int_equal(world.reconfigured, 0);
	/* on needs no flush */
	assert_int_equal(device_reopen(world.device), 0);
	change_write_cache(true);
	assert_int_equal(world.reconfigured, 0);
	/* a change that nobody waits for any more is replaced */
	change_write_cache(false);
	change_write_cache(true);
	assert_int_equal(world.reconfigured, 0);
	delete_it();
}

static void a_write_cache_that_is_not_flushed_stays_on(void **state)
{
	(void) state;
	world.attributes.write_cache = true;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	change_write_cache(false);
	world_pass_time(world.settings.reply_timeout_ms - 1);
	assert_int_equal(world.reconfigured, UNANSWERED);
	world_pass_time(1);
	assert_int_equal(world.reconfigured, -ETIMEDOUT);
	assert_false(world.store.write_cache_set);
	world_signal(IO_SIGNAL_WRITE_CACHE); /* too late, and answered */
	change_write_cache(false);
	device_removed(world.device, 7);
	assert_int_equal(world.reconfigured, -ENODEV);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

/* Its removal was not seen, and the next device of its name is created while it is opened again. */
static void a_successor_is_not_taken_for_a_device_that_is_reopened(void **state)
{
	(void) state;
	world.attributes.configured = true;
	world.attributes.id = 7;
	world_start(DEVICE_ORIGIN_FOUND, true);
	serve();
	assert_int_equal(device_reopen(world.device), 0);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	world_pass_time(0);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	assert_false(device_added_again(world.device, device_minor(world.device), 8));
	serve();
	delete_it();
}

/* Its requests may hang: a reopen waits for them longer than a deletion. */
static void a_deletion_during_a_reopen_has_its_own_deadline(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	serve();
	assert_int_equal(device_reopen(world.device), 0);
	device_event(world.device, DEVICE_EV_UNREGISTERED);
	world_pass_time(world.settings.release_deadline_ms);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_ORPHANED);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

/* The creator must not wait for a daemon that may never come. */
static void a_stop_while_opening_is_the_answer_to_the_creation(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_job();
	device_event(world.device, DEVICE_EV_STOP);
	assert_int_equal(world.added, -ESHUTDOWN);
	world_run_jobs();
	assert_int_equal(world.opens, world.closes);
}

static void a_stop_while_attaching_is_the_answer_to_the_creation(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_ADDED, true);
	world_run_jobs();
	device_event(world.device, DEVICE_EV_STOP);
	assert_int_equal(world.added, -ESHUTDOWN);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

static void a_creation_that_a_scan_finds_during_a_stop_is_refused(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_FOUND, true);
	device_event(world.device, DEVICE_EV_STOP);
	assert_int_equal(world.added, UNANSWERED);
	world_run_jobs();
	assert_int_equal(world.added, -ESHUTDOWN);
}

static void a_creation_that_a_scan_has_found_is_adopted(void **state)
{
	(void) state;
	world.open_result = -EIO;
	world_start(DEVICE_ORIGIN_FOUND, true);
	assert_false(device_is_known(world.device));
	world_run_job();
	assert_true(device_is_known(world.device));
	assert_true(device_owes_answer(world.device));
	world_run_job();
	assert_int_equal(world.added, -EIO);
}

/* ------- ADDED_DEVICE for a device that a scan has found before ------- */

/* As after a retry or two: the next one is far away. */
static void fail_found_device(void)
{
	world.attributes.configured = true;
	world.open_result = -EIO;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	assert_true(device_added_again(world.device, device_minor(world.device), 7));
	assert_int_equal(world.added, UNANSWERED);
	world_pass_time(0);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
}

static void a_creation_of_a_failed_device_does_not_wait_for_a_retry(void **state)
{
	(void) state;
	fail_found_device();
	world_run_jobs();
	assert_int_equal(world.opens, 2);
	assert_int_equal(world.added, -EIO);
}

static void a_creation_of_a_failed_device_succeeds_with_its_retry(void **state)
{
	(void) state;
	fail_found_device();
	world.open_result = 0;
	world_run_jobs();
	world_signal(IO_SIGNAL_ATTACHED);
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
	assert_int_equal(world.added, 0);
	device_removed(world.device, 7);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	assert_int_equal(world.removed, 0);
}

/* The time limit of a device that was found is over; the one of its creation begins. */
static void a_late_creation_has_its_own_deadline(void **state)
{
	(void) state;
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_job();
	world_pass_time(world.settings.open_timeout_ms);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	assert_true(device_added_again(world.device, device_minor(world.device), 7));
	world_pass_time(world.settings.open_timeout_ms - 1);
	assert_int_equal(world.added, UNANSWERED);
	world_pass_time(1);
	assert_int_equal(world.added, -ETIMEDOUT);
	world_run_jobs();
	assert_int_equal(world.closes, 1);
}

static void a_creation_of_a_device_that_is_failing_is_refused_at_once(void **state)
{
	(void) state;
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, true);
	world_run_jobs();
	world_signal(IO_SIGNAL_ATTACHED);
	world_signal(IO_SIGNAL_RING_BROKEN);
	assert_int_equal(device_state(world.device), DEVICE_FAILING);
	assert_true(device_added_again(world.device, device_minor(world.device), 7));
	assert_int_equal(world.added, -EIO);
	device_event(world.device, DEVICE_EV_UNREGISTERED);
	world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_refused_open_is_the_answer_to_the_creation),
		TEST(a_job_without_a_thread_ends_as_a_failed_one),
		TEST(a_late_open_is_answered_in_time_and_closed),
		TEST(a_close_is_retried_until_it_has_a_thread),
		TEST(a_delete_while_opening_is_answered_within_the_deadline),
		TEST(a_failed_device_is_retried_and_deleted),
		TEST(a_claim_that_is_given_up_is_waited_for),
		TEST(a_delete_does_not_wait_for_a_claim),
		TEST(an_early_change_is_answered_when_the_device_is_not_served),
		TEST(an_early_change_is_answered_within_the_deadline),
		TEST(a_change_after_a_late_one_is_answered),
		TEST(a_new_command_timeout_is_noticed),
		TEST(a_write_cache_that_was_turned_off_stays_off),
		TEST(a_write_cache_that_a_restart_finds_off_is_off_if_it_was_on),
		TEST(a_write_cache_that_nobody_has_written_is_on),
		TEST(a_write_cache_goes_off_when_the_device_is_served),
		TEST(a_write_cache_that_is_not_flushed_stays_on),
		TEST(a_successor_is_not_taken_for_a_device_that_is_reopened),
		TEST(a_deletion_during_a_reopen_has_its_own_deadline),
		TEST(a_stop_while_opening_is_the_answer_to_the_creation),
		TEST(a_stop_while_attaching_is_the_answer_to_the_creation),
		TEST(a_creation_that_a_scan_finds_during_a_stop_is_refused),
		TEST(a_creation_that_a_scan_has_found_is_adopted),
		TEST(a_creation_of_a_failed_device_does_not_wait_for_a_retry),
		TEST(a_creation_of_a_failed_device_succeeds_with_its_retry),
		TEST(a_late_creation_has_its_own_deadline),
		TEST(a_creation_of_a_device_that_is_failing_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
