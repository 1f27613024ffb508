/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management functions: which commands a device's I/O thread cancels, and how it answers them.
 */
#include "fake-root.h"
#include "io-fixture.h"

static struct fake_root root; /* for all tests, so that tcm_loop on this machine does not matter */

static int root_setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	return 0;
}

static int root_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void an_aborted_command_is_cancelled(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command stuck = cmd_read(0, 1, in), other = cmd_read(1, 1, in);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &other);
	initiator_send(&fixture, &stuck);
	assert_true(backend_wait_held(fixture.backend, 2));
	initiator_abort(&fixture, TCMU_TMR_TYPE_LUN_RESET, &stuck);
	initiator_wait_status(&stuck, SCSI_TASK_ABORTED);
	assert_false(initiator_is_done(&other));
	assert_int_equal(backend_cancels(fixture.backend), 1);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&other, SCSI_GOOD);
	backend_hold(fixture.backend, 0);
	initiator_push(&fixture, &other);
	assert_int_equal(
		initiator_run(&fixture, &stuck),
		SCSI_GOOD); /* the next command in its slot is not aborted */
	initiator_wait_status(&other, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void an_uncancellable_request_is_aborted_when_it_completes(void **state)
{
	static const enum tcmu_handler_threading kinds[] = {
		TCMU_HANDLER_ASYNC, TCMU_HANDLER_SERIAL};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct io_fixture fixture;
		uint8_t in[FIXTURE_BLOCK];
		struct initiator_command stuck = cmd_read(0, 1, in), queued = cmd_read(1, 1, in);
		struct initiator_command ready = cmd_test_unit_ready();

		io_fixture_start(
			&fixture, &(struct io_fixture_options){.backend.threading = kinds[i]});
		initiator_send_held(&fixture, &stuck, TCMU_IO_CAP(TCMU_IO_READ));
		initiator_send(&fixture, &queued);
		initiator_abort(&fixture, TCMU_TMR_TYPE_LUN_RESET, &stuck);
		assert_int_equal(
			initiator_run(&fixture, &ready),
			SCSI_GOOD); /* the thread has read the function */
		backend_hold(fixture.backend, 0);
		backend_release(fixture.backend, 1, BACKEND_OLDEST);
		initiator_wait_status(&stuck, SCSI_TASK_ABORTED);
		backend_release(fixture.backend, 1, BACKEND_OLDEST);
		initiator_wait_status(&queued, SCSI_GOOD);
		io_fixture_stop(&fixture);
	}
}

static void with_tcm_loop_a_lun_reset_cancels_nothing(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command stuck = cmd_read(0, 1, in), ready = cmd_test_unit_ready();

	(void) state;
	fake_root_directory(&root, "/sys/bus/tcm_loop_bus/devices/tcm_loop_adapter_0");
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	initiator_send_held(&fixture, &stuck, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_abort(&fixture, TCMU_TMR_TYPE_LUN_RESET, &stuck);
	assert_int_equal(
		initiator_run(&fixture, &ready), SCSI_GOOD); /* the thread has read the function */
	assert_int_equal(backend_cancels(fixture.backend), 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&stuck, SCSI_GOOD);
	/* An ABORT TASK cancels the command: tcm_loop has answered it already. */
	initiator_send(&fixture, &stuck);
	assert_true(backend_wait_held(fixture.backend, 1));
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &stuck);
	initiator_wait_status(&stuck, SCSI_TASK_ABORTED);
	io_fixture_stop(&fixture);
	fake_root_drop(&root, "/sys/bus/tcm_loop_bus/devices/tcm_loop_adapter_0");
}

/* The only worker is stuck: a command that has not started ends at once. */
static void an_aborted_command_without_a_worker_ends_at_once(void **state)
{
	struct io_fixture_options options = {.backend.threading = TCMU_HANDLER_SERIAL};
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command stuck = cmd_read(0, 1, in), queued = cmd_read(1, 1, in);

	(void) state;
	io_fixture_start(&fixture, &options);
	initiator_send_held(&fixture, &stuck, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &queued);
	initiator_abort(&fixture, TCMU_TMR_TYPE_LUN_RESET, &queued);
	initiator_wait_status(&queued, SCSI_TASK_ABORTED);
	assert_false(initiator_is_done(&stuck));
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&stuck, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_aborted_command_is_cancelled),
		cmocka_unit_test(an_uncancellable_request_is_aborted_when_it_completes),
		cmocka_unit_test(with_tcm_loop_a_lun_reset_cancels_nothing),
		cmocka_unit_test(an_aborted_command_without_a_worker_ends_at_once),
	};

	return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
