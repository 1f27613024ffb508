/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management functions: which commands a device's I/O thread cancels, and how it answers them.
 */
#include "io-fixture.h"

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

/* The LU info comes when configfs answers. */
static void an_aborted_command_does_not_wait_for_lu_info(void **state)
{
	static const enum tcmu_tmr_type types[] = {
		TCMU_TMR_TYPE_ABORT_TASK, TCMU_TMR_TYPE_LUN_RESET};
	uint8_t in[64], other_in[64];
	struct initiator_command aborted = cmd_serial_page(in);
	struct initiator_command other = cmd_serial_page(other_in);
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &(struct io_fixture_options){.wait_serial = true});
	fixture.setup.lu.ports.reset_cancels = true;
	io_fixture_start_thread(&fixture);
	for (unsigned i = 0; i < 2; i++) {
		initiator_send(&fixture, &aborted);
		initiator_send(&fixture, &other);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
		initiator_abort(&fixture, types[i], &aborted);
		initiator_wait_status(&aborted, SCSI_TASK_ABORTED);
		assert_false(initiator_is_done(&other));
		io_fixture_set_serial(fixture.thread, "1");
		initiator_wait_status(&other, SCSI_GOOD);
		io_fixture_clear_signals(&fixture);
	}
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
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){.loopback = true, .backend.can_cancel = true});
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

/* ------- no free slot ------- */

#define SLOTS 2u

/* As many reads as there are slots are stuck, and another command is in the ring. */
struct full_fixture {
	struct io_fixture io;
	uint8_t in[SLOTS + 2][FIXTURE_BLOCK];
	struct initiator_command stuck[SLOTS];
	struct initiator_command unfetched;
	struct initiator_command last;
};

static void start_full(struct full_fixture *f, unsigned before, bool can_cancel)
{
	struct initiator_command ready = cmd_test_unit_ready();

	io_fixture_start(
		&f->io,
		&(struct io_fixture_options){.depth = SLOTS, .backend.can_cancel = can_cancel});
	for (unsigned i = 0; i < before; i++)
		assert_int_equal(initiator_run(&f->io, &ready), SCSI_GOOD);
	backend_hold(f->io.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < SLOTS; i++) {
		f->stuck[i] = cmd_read(i, 1, f->in[i]);
		initiator_send(&f->io, &f->stuck[i]);
	}
	assert_true(backend_wait_held(f->io.backend, SLOTS));
	f->unfetched = cmd_read(2, 1, f->in[SLOTS]);
	f->last = cmd_read(3, 1, f->in[SLOTS + 1]);
	initiator_send(&f->io, &f->unfetched);
	backend_forget(f->io.backend);
}

static void a_function_reaches_its_commands_without_a_free_slot(void **state)
{
	static const enum tcmu_tmr_type types[] = {
		TCMU_TMR_TYPE_ABORT_TASK, TCMU_TMR_TYPE_LUN_RESET};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct full_fixture f;

		start_full(&f, i, true);
		initiator_abort(&f.io, types[i], &f.stuck[1]);
		initiator_wait_status(&f.stuck[1], SCSI_TASK_ABORTED);
		assert_false(initiator_is_done(&f.stuck[0]));
		backend_hold(f.io.backend, 0);
		backend_release(f.io.backend, SLOTS, BACKEND_OLDEST);
		initiator_wait_status(&f.stuck[0], SCSI_GOOD);
		initiator_wait_status(&f.unfetched, SCSI_GOOD);
		io_fixture_stop(&f.io);
	}
}

static void a_command_that_is_not_fetched_yet_is_aborted(void **state)
{
	(void) state;
	/* So that the ring's end is passed in some of the rounds. */
	for (unsigned before = 0; before < 1000; before += 37) {
		struct full_fixture f;

		start_full(&f, before, false);
		initiator_abort(&f.io, TCMU_TMR_TYPE_LUN_RESET, &f.unfetched);
		io_fixture_wait_asleep();
		initiator_send(&f.io, &f.last);
		backend_hold(f.io.backend, 0);
		backend_release(f.io.backend, SLOTS, BACKEND_OLDEST);
		initiator_wait_status(&f.unfetched, SCSI_TASK_ABORTED);
		initiator_wait_status(&f.last, SCSI_GOOD);
		for (unsigned i = 0; i < SLOTS; i++)
			initiator_wait_status(&f.stuck[i], SCSI_GOOD);
		assert_int_equal(backend_count(f.io.backend, TCMU_IO_READ), 1); /* the last one */
		io_fixture_stop(&f.io);
	}
}

/* The kernel gives the number of a command that has ended to the next one at once. */
static void the_next_command_of_the_same_number_is_not_aborted(void **state)
{
	struct initiator_command other = cmd_test_unit_ready();
	struct full_fixture f;

	(void) state;
	start_full(&f, 0, true);
	initiator_abort(&f.io, TCMU_TMR_TYPE_LUN_RESET, &f.unfetched);
	initiator_abort(&f.io, TCMU_TMR_TYPE_ABORT_TASK, &f.stuck[0]);
	initiator_wait_status(&f.stuck[0], SCSI_TASK_ABORTED);
	initiator_wait_status(&f.unfetched, SCSI_TASK_ABORTED);
	backend_hold(f.io.backend, 0);
	initiator_push(&f.io, &other);
	initiator_push(&f.io, &f.last);
	assert_int_equal(f.last.id, f.unfetched.id);
	initiator_notify(&f.io);
	initiator_wait_status(&other, SCSI_GOOD);
	initiator_wait_status(&f.last, SCSI_GOOD);
	backend_release(f.io.backend, SLOTS, BACKEND_OLDEST);
	initiator_wait_status(&f.stuck[1], SCSI_GOOD);
	io_fixture_stop(&f.io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_aborted_command_is_cancelled),
		cmocka_unit_test(an_aborted_command_does_not_wait_for_lu_info),
		cmocka_unit_test(an_uncancellable_request_is_aborted_when_it_completes),
		cmocka_unit_test(with_tcm_loop_a_lun_reset_cancels_nothing),
		cmocka_unit_test(an_aborted_command_without_a_worker_ends_at_once),
		cmocka_unit_test(a_function_reaches_its_commands_without_a_free_slot),
		cmocka_unit_test(a_command_that_is_not_fetched_yet_is_aborted),
		cmocka_unit_test(the_next_command_of_the_same_number_is_not_aborted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
