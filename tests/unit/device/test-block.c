/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's block state over every path into and out of LIVE: at the end of each it is what the
 * state demands, and the ring was reset exactly where its last user did not end in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "device-world.h"

#define RETRY_MS 2000

static void assert_state(enum device_state state, bool blocked)
{
	world_run_jobs();
	assert_int_equal(device_state(world.device), state);
	if (world.blocked != blocked)
		fail_msg(
			"%s, and the kernel is %sblocked", device_state_name(state),
			world.blocked ? "" : "not ");
}

static void attach(void)
{
	world_run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_ATTACHING);
	world_signal(IO_SIGNAL_ATTACHED);
}

static void start_found(bool clean)
{
	world.attributes.configured = true;
	world_start(DEVICE_ORIGIN_FOUND, clean);
}

static void serve_created(void)
{
	world_start(DEVICE_ORIGIN_ADDED, false);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.added, 0);
	assert_int_equal(world.block_writes, 0);
}

static void end_thread(bool clean)
{
	fake_io_thread.ends_clean = clean;
	world_signal(IO_SIGNAL_ENDED);
}

static void delete_it(void)
{
	device_removed(world.device, 7);
	if (fake_io_thread.exists)
		end_thread(true);
	world_run_jobs();
	assert_int_equal(world.removed, 0);
	assert_true(world.forgotten);
}

/* ------- into LIVE ------- */

static void a_creation_is_never_blocked(void **state)
{
	(void) state;
	serve_created();
	delete_it();
	assert_int_equal(world.block_writes, 0);
	assert_int_equal(world.resets, 0);
}

static void a_clean_start_takes_back_what_the_last_daemon_has_written(void **state)
{
	(void) state;
	world.blocked = true;
	start_found(true);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.resets, 0);
	delete_it();
}

static void a_clean_start_keeps_commands_waiting(void **state)
{
	(void) state;
	start_found(true);
	attach();
	assert_int_equal(world.block_writes, 0);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

static void a_recovered_start_blocks_resets_and_unblocks(void **state)
{
	(void) state;
	start_found(false);
	world_run_job();
	assert_int_equal(world.resets, 0);
	attach();
	assert_int_equal(world.resets, 1);
	assert_true(world.blocked);
	assert_int_equal(fake_io_thread.setup.start, IO_THREAD_FRESH);
	world_run_jobs();
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

/* Its I/O thread does what the notes say, and then has the ring reset. */
static void notes_of_a_dead_daemon_come_before_the_reset(void **state)
{
	char path[] = "/tmp/block-notes-XXXXXX";
	struct iovec iov = {.iov_base = &iov, .iov_len = 512};
	struct notes *notes;
	int fd = mkstemp(path);

	(void) state;
	assert_true(fd >= 0);
	close(fd);
	world.notes_path = path;
	assert_int_equal(notes_open(path, world.claim, &notes), 0);
	assert_non_null(notes_begin(notes, 1, 0, 512, &iov, 1, 0, &iov, 0));
	notes_close(notes);
	start_found(false);
	world_run_jobs();
	assert_state(DEVICE_ATTACHING, true);
	assert_int_equal(world.resets, 0);
	assert_int_equal(fake_io_thread.setup.start, IO_THREAD_RECOVERED);
	assert_true(notes_left(fake_io_thread.setup.notes));
	notes_drop_all(fake_io_thread.setup.notes);
	world_signal(IO_SIGNAL_RING_RESET | IO_SIGNAL_RING_IDLE);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 1);
	assert_int_equal(fake_io_thread.reattached, 1);
	world_signal(IO_SIGNAL_ATTACHED);
	assert_state(DEVICE_LIVE, false);
	delete_it();
	(void) unlink(path);
}

static void a_failed_first_open_answers_busy_until_the_retry_succeeds(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start_found(true);
	assert_state(DEVICE_FAILED, true);
	world.open_result = 0;
	world_pass_time(RETRY_MS);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.resets, 0);
	delete_it();
}

/* Attributes that cannot be read say nothing: not that the device is being created, either. */
static void a_retry_that_cannot_read_configfs_forgets_nothing(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start_found(false);
	assert_state(DEVICE_FAILED, true);
	world.open_result = 0;
	world.read_result = -EIO;
	world_pass_time(RETRY_MS);
	assert_state(DEVICE_FAILED, true);
	world.read_result = 0;
	world_pass_time(2 * RETRY_MS);
	attach();
	assert_int_equal(world.resets, 1);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

static void a_failed_recovery_answers_busy_until_it_succeeds(void **state)
{
	(void) state;
	world.reset_result = -EIO;
	start_found(false);
	assert_state(DEVICE_FAILED, true);
	assert_int_equal(world.opens, 1);
	assert_int_equal(world.closes, 1);
	world.reset_result = 0;
	world_pass_time(RETRY_MS);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.resets, 1);
	delete_it();
}

static void a_kernel_that_cannot_be_blocked_is_not_recovered(void **state)
{
	struct device_status status;

	(void) state;
	world.block_result = -EACCES;
	start_found(false);
	assert_state(DEVICE_FAILED, false);
	device_get_status(world.device, &status);
	assert_non_null(status.problem);
	assert_int_equal(world.resets, 0);
	world.block_result = 0;
	world_pass_time(100);
	assert_state(DEVICE_FAILED, true);
	world_pass_time(RETRY_MS);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.resets, 1);
	delete_it();
}

static void an_adopted_creation_is_not_blocked_before_it_is_answered(void **state)
{
	(void) state;
	world_start(DEVICE_ORIGIN_FOUND, false);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.added, 0);
	assert_int_equal(world.block_writes, 0);
	assert_int_equal(world.resets, 0);
	delete_it();
}

/* The kernel does not wait for an answer there. */
static void a_creation_without_replies_is_known_to_be_configured(void **state)
{
	(void) state;
	world.attributes.replies = false;
	world_start(DEVICE_ORIGIN_ADDED, false);
	attach();
	assert_state(DEVICE_LIVE, false);
	world.configured = true;
	world_signal(IO_SIGNAL_RING_BROKEN);
	assert_state(DEVICE_FAILING, true);
	end_thread(false);
	assert_state(DEVICE_FAILED, true);
	device_event(world.device, DEVICE_EV_UNREGISTERED);
}

/* ------- out of LIVE and back ------- */

static void a_reopen_that_succeeds_is_never_blocked(void **state)
{
	(void) state;
	serve_created();
	assert_int_equal(device_reopen(world.device), 0);
	end_thread(true);
	world_run_jobs();
	world_pass_time(0);
	attach();
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(world.block_writes, 0);
	assert_int_equal(world.resets, 0);
	delete_it();
}

static void a_created_device_whose_reopen_fails_answers_busy_until_it_succeeds(void **state)
{
	(void) state;
	serve_created();
	assert_int_equal(device_reopen(world.device), 0);
	end_thread(true);
	world.open_result = -EIO;
	world_run_jobs();
	world_pass_time(0);
	assert_state(DEVICE_FAILED, true);
	world.open_result = 0;
	world_pass_time(RETRY_MS);
	attach();
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

static void a_ring_that_breaks_is_reset_before_it_is_served_again(void **state)
{
	(void) state;
	serve_created();
	world_signal(IO_SIGNAL_RING_BROKEN);
	assert_state(DEVICE_FAILING, true);
	end_thread(false);
	assert_state(DEVICE_FAILED, true);
	world_pass_time(RETRY_MS);
	attach();
	assert_int_equal(world.resets, 1);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

static void a_reopen_that_leaves_commands_behind_resets_the_ring(void **state)
{
	(void) state;
	serve_created();
	assert_int_equal(device_reopen(world.device), 0);
	end_thread(false);
	world_run_jobs();
	world_pass_time(0);
	attach();
	assert_int_equal(world.resets, 1);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

/* ------- somebody else resets the ring ------- */

static void a_reset_by_somebody_else_is_repeated_when_nothing_is_in_flight(void **state)
{
	(void) state;
	serve_created();
	world_signal(IO_SIGNAL_RING_RESET);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 0);
	world_signal(IO_SIGNAL_RING_IDLE);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 1);
	assert_int_equal(fake_io_thread.reattached, 1);
	world_signal(IO_SIGNAL_ATTACHED);
	assert_state(DEVICE_LIVE, false);
	/* and again, all at once */
	world_signal(IO_SIGNAL_RING_RESET | IO_SIGNAL_RING_IDLE);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 2);
	world_signal(IO_SIGNAL_ATTACHED | IO_SIGNAL_RING_RESET);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 2);
	world_signal(IO_SIGNAL_RING_IDLE);
	assert_state(DEVICE_RESETTING, true);
	world_signal(IO_SIGNAL_ATTACHED);
	assert_state(DEVICE_LIVE, false);
	assert_int_equal(fake_io_thread.reattached, 3);
	delete_it();
}

static void the_ring_is_not_reset_before_the_kernel_is_blocked(void **state)
{
	(void) state;
	serve_created();
	world.block_result = -EIO;
	world_signal(IO_SIGNAL_RING_RESET | IO_SIGNAL_RING_IDLE);
	assert_state(DEVICE_RESETTING, false);
	world.block_result = 0;
	world.reset_result = -EIO;
	world_pass_time(100);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 0);
	world.reset_result = 0;
	world_pass_time(200);
	assert_state(DEVICE_RESETTING, true);
	assert_int_equal(world.resets, 1);
	world_signal(IO_SIGNAL_ATTACHED);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

static void a_reset_under_a_failed_backend_reopens_it(void **state)
{
	(void) state;
	serve_created();
	device_event(world.device, DEVICE_EV_BACKEND_FAILED);
	assert_state(DEVICE_FAULTED, false);
	world_signal(IO_SIGNAL_RING_RESET);
	assert_state(DEVICE_FAILING, true);
	end_thread(false);
	assert_state(DEVICE_FAILED, true);
	world_pass_time(RETRY_MS);
	attach();
	assert_int_equal(world.resets, 1);
	assert_state(DEVICE_LIVE, false);
	delete_it();
}

/* ------- the end ------- */

static void a_delete_while_blocked_is_answered(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start_found(true);
	assert_state(DEVICE_FAILED, true);
	delete_it();
	assert_true(world.blocked);
}

static void a_delete_while_resetting_is_answered(void **state)
{
	(void) state;
	serve_created();
	world_signal(IO_SIGNAL_RING_RESET | IO_SIGNAL_RING_IDLE);
	assert_int_equal(world.system.job_cnt, 1);
	delete_it();
	assert_int_equal(world.resets, 0);
}

/* A delete between the two: the reset is in flight, and nothing is attached after it. */
static void a_delete_during_the_reset_attaches_nothing(void **state)
{
	(void) state;
	serve_created();
	world_signal(IO_SIGNAL_RING_RESET | IO_SIGNAL_RING_IDLE);
	world_run_job();
	device_removed(world.device, 7);
	world_run_jobs();
	assert_int_equal(fake_io_thread.reattached, 0);
	end_thread(false);
	world_run_jobs();
	assert_int_equal(world.removed, 0);
}

static void a_delete_while_the_recovery_waits_closes_the_backend(void **state)
{
	(void) state;
	world.block_result = -EIO;
	start_found(false);
	world_run_job();
	device_removed(world.device, 7);
	world_run_jobs();
	assert_int_equal(world.removed, 0);
	assert_int_equal(world.opens, world.closes);
	assert_int_equal(world.resets, 0);
}

static void a_stop_leaves_a_served_device_unblocked(void **state)
{
	(void) state;
	serve_created();
	device_event(world.device, DEVICE_EV_STOP);
	end_thread(true);
	world_run_jobs();
	assert_true(world.forgotten && world.marked_clean);
	assert_false(world.blocked);
}

static void a_stop_leaves_a_failed_device_blocked(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start_found(true);
	assert_state(DEVICE_FAILED, true);
	device_event(world.device, DEVICE_EV_STOP);
	assert_true(world.forgotten && !world.marked_clean);
	assert_true(world.blocked);
}

/* ------- the mechanism ------- */

/* The state changes while a write is in flight: the other value follows. */
static void the_kernel_gets_the_newest_value(void **state)
{
	(void) state;
	world.blocked = true;
	start_found(true);
	attach();
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
	assert_int_equal(world.system.job_cnt, 1);
	world_signal(IO_SIGNAL_RING_BROKEN);
	assert_int_equal(world.system.job_cnt, 1);
	world_run_job();
	assert_false(world.blocked);
	assert_state(DEVICE_FAILING, true);
	device_removed(world.device, 7);
	end_thread(false);
	world_run_jobs();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_creation_is_never_blocked),
		TEST(a_clean_start_takes_back_what_the_last_daemon_has_written),
		TEST(a_clean_start_keeps_commands_waiting),
		TEST(a_recovered_start_blocks_resets_and_unblocks),
		TEST(notes_of_a_dead_daemon_come_before_the_reset),
		TEST(a_failed_first_open_answers_busy_until_the_retry_succeeds),
		TEST(a_failed_recovery_answers_busy_until_it_succeeds),
		TEST(a_kernel_that_cannot_be_blocked_is_not_recovered),
		TEST(an_adopted_creation_is_not_blocked_before_it_is_answered),
		TEST(a_creation_without_replies_is_known_to_be_configured),
		TEST(a_retry_that_cannot_read_configfs_forgets_nothing),
		TEST(a_reopen_that_succeeds_is_never_blocked),
		TEST(a_created_device_whose_reopen_fails_answers_busy_until_it_succeeds),
		TEST(a_ring_that_breaks_is_reset_before_it_is_served_again),
		TEST(a_reopen_that_leaves_commands_behind_resets_the_ring),
		TEST(a_reset_by_somebody_else_is_repeated_when_nothing_is_in_flight),
		TEST(the_ring_is_not_reset_before_the_kernel_is_blocked),
		TEST(a_reset_under_a_failed_backend_reopens_it),
		TEST(a_delete_while_blocked_is_answered),
		TEST(a_delete_while_resetting_is_answered),
		TEST(a_delete_during_the_reset_attaches_nothing),
		TEST(a_delete_while_the_recovery_waits_closes_the_backend),
		TEST(a_stop_leaves_a_served_device_unblocked),
		TEST(a_stop_leaves_a_failed_device_blocked),
		TEST(the_kernel_gets_the_newest_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
