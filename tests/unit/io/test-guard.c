/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that change something without data-out wait until the main thread has checked the
 * mappings and the reservation of the LUN; and on a read-only device no command reaches the backend
 * with a change.
 */
#include "io-fixture.h"

#include <errno.h>
#include <sched.h>
#include <scsi/optable.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"

#define SIZE 0x100000u

static const struct io_fixture_options by_hand = {
	.guard_by_hand = true, .backend.info = {.caps = FIXTURE_ALL_CAPS, .unmap_zeroes = true}};

static struct initiator_command cmd_format_unit(void)
{
	return (struct initiator_command){.cdb = {0x04}, .cdb_length = 6};
}

static struct initiator_command cmd_zero(void) /* WRITE SAME(16) with NDOB */
{
	return (struct initiator_command){.cdb = {0x93, 0x01, [13] = 8}, .cdb_length = 16};
}

/* Requests that change the medium. */
static unsigned guard_changes(const struct io_fixture *fixture)
{
	static const enum tcmu_io_op ops[] = {
		TCMU_IO_WRITE, TCMU_IO_UNMAP, TCMU_IO_WRITE_ZEROES, TCMU_IO_WRITE_SAME,
		TCMU_IO_COMPARE_AND_WRITE};
	unsigned cnt = 0;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		cnt += backend_count(fixture->backend, ops[i]);
	return cnt;
}

/* Sends a command that has to pass the guard; it waits for it. */
static void guard_send(struct io_fixture *fixture, struct initiator_command *command)
{
	struct deferred_request request;

	io_fixture_clear_signals(fixture);
	initiator_send(fixture, command);
	io_fixture_wait_signal(fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred(fixture->thread, &request);
	assert_int_equal(request.kind, DEFERRED_GUARD);
	assert_false(initiator_is_done(command));
	assert_int_equal(guard_changes(fixture), 0);
}

static void a_command_that_passes_is_carried_out(void **state)
{
	struct initiator_command format = cmd_format_unit(), zero = cmd_zero();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &zero);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&zero, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 1);
	io_fixture_clear_signals(&fixture);
	initiator_send(&fixture, &format);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&format, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 2);
	io_fixture_stop(&fixture);
}

static void a_command_that_does_not_pass_changes_nothing(void **state)
{
	struct io_fixture fixture;
	struct initiator_command ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	for (unsigned i = 0; i < 2; i++) {
		struct initiator_command command = i ? cmd_zero() : cmd_format_unit();
		struct initiator_command again = command;

		guard_send(&fixture, &command);
		io_thread_deferred_done(fixture.thread, -EROFS);
		initiator_wait(&command);
		assert_sense(&command, 0x07, 0x2700);
		command = again;
		guard_send(&fixture, &command);
		io_thread_deferred_done(fixture.thread, -EBUSY);
		initiator_wait_status(&command, SCSI_RESERVATION_CONFLICT);
		command = again;
		guard_send(&fixture, &command);
		io_thread_deferred_done(fixture.thread, -EACCES);
		initiator_wait(&command);
		assert_sense(&command, 0x07, 0x2700);
	}
	/* the medium is not busy */
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* Others are served meanwhile; one that needs the guard, too, is to come again. */
static void one_command_waits_at_a_time(void **state)
{
	struct initiator_command first = cmd_zero(), second = cmd_zero();
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, block);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &first);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &second), SCSI_BUSY);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&first, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* The initiator takes it for ended. */
static void a_command_that_is_aborted_before_the_guard_ends_does_not_begin(void **state)
{
	struct initiator_command format = cmd_format_unit();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &format);
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &format);
	initiator_wait_status(&format, SCSI_TASK_ABORTED);
	io_thread_deferred_done(fixture.thread, 0);
	io_fixture_wait_control(&fixture);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* The initiator is to send it again, to the next daemon. */
static void a_command_that_passes_while_the_thread_drains_does_not_begin(void **state)
{
	struct initiator_command format = cmd_format_unit();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &format);
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_control(&fixture);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&format, SCSI_BUSY);
	io_fixture_wait_end(&fixture);
}

/* The kernel answers the commands of the old ring with BUSY. */
static void a_reset_of_the_ring_ends_the_wait(void **state)
{
	struct initiator_command format = cmd_format_unit(), ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &format);
	io_fixture_reset_ring(&fixture);
	initiator_wait_status(&format, SCSI_BUSY);
	io_thread_deferred_done(fixture.thread, 0);
	io_fixture_wait_control(&fixture);
	assert_int_equal(initiator_run_while_busy(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* The thread stands in submit() while the test does something, so that it finds all of it at once.
 */
static void guard_stop_thread(struct io_fixture *fixture, struct initiator_command *read)
{
	backend_block(fixture->backend);
	initiator_send(fixture, read);
	assert_true(backend_wait_blocked(fixture->backend));
}

/* Its data-out is not there any more, and the kernel gets no answer. */
static void a_command_that_passes_after_the_ring_was_revoked_does_not_begin(void **state)
{
	struct io_fixture_options options = by_hand;
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command zero = cmd_zero(), read = cmd_read(0, 1, block);
	struct io_fixture fixture;

	(void) state;
	options.backend.syscalls = true;
	io_fixture_start(&fixture, &options);
	guard_send(&fixture, &zero);
	guard_stop_thread(&fixture, &read);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_thread_deferred_done(fixture.thread, 0);
	backend_unblock(fixture.backend);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_false(initiator_is_done(&zero));
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_wait_end(&fixture);
}

/* The thread has not noticed the reset. */
static void a_command_that_passes_after_a_reset_does_not_begin(void **state)
{
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command zero = cmd_zero(), read = cmd_read(0, 1, block);
	struct initiator_command ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &zero);
	guard_stop_thread(&fixture, &read);
	io_fixture_reset_ring(&fixture);
	io_thread_deferred_done(fixture.thread, 0);
	backend_unblock(fixture.backend);
	initiator_wait_status(&zero, SCSI_BUSY);
	assert_int_equal(initiator_run_while_busy(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

static atomic_bool tracing = true;
static struct initiator_command *traced; /* its fetch ends the guard */

static void end_guard_at_fetch(
	void *context, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	struct io_fixture *fixture = context;

	(void) cdb_length, (void) data_length;
	if (traced && cdb[0] == traced->cdb[0])
		io_thread_deferred_done(fixture->thread, 0);
}

/* The abort is fetched, the guard ends before the thread gets to cancel the command, and the end is
 * taken with the next command. */
static void a_command_that_passes_after_its_abort_was_fetched_does_not_begin(void **state)
{
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command format = cmd_format_unit(), read = cmd_read(0, 1, block);
	struct initiator_command flush = cmd_flush(), ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &by_hand);
	fixture.setup.tracing = &tracing;
	fixture.setup.trace = end_guard_at_fetch;
	traced = NULL;
	io_fixture_start_thread(&fixture);
	guard_send(&fixture, &format);
	guard_stop_thread(&fixture, &read);
	traced = &flush;
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &format);
	initiator_push(&fixture, &flush);
	initiator_send(&fixture, &ready);
	backend_unblock(fixture.backend);
	initiator_wait_status(&format, SCSI_TASK_ABORTED);
	initiator_wait_status(&flush, SCSI_GOOD);
	initiator_wait_status(&ready, SCSI_GOOD);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* The kernel may have given it up while the main thread was slow. */
static void a_command_that_waited_long_for_the_guard_does_not_begin(void **state)
{
	struct initiator_command zero = cmd_zero();
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_send(&fixture, &zero);
	io_fixture_wait_late();
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&zero, SCSI_BUSY);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* And while it waited in the ring. */
static void a_command_that_was_fetched_late_does_not_begin(void **state)
{
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command zero = cmd_zero(), read = cmd_read(0, 1, block);
	struct io_fixture fixture;
	uint64_t until;

	(void) state;
	io_fixture_start(&fixture, &by_hand);
	guard_stop_thread(&fixture, &read);
	io_fixture_clear_signals(&fixture);
	initiator_send(&fixture, &zero);
	until = clock_now_ns() + CLOCK_NS_PER_SEC;
	while (clock_now_ns() < until)
		sched_yield();
	backend_unblock(fixture.backend);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&zero, SCSI_BUSY);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* Nobody knows how long it was in the ring when the thread began. */
static void a_command_that_was_there_first_does_not_begin(void **state)
{
	struct initiator_command zero = cmd_zero();
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &by_hand);
	initiator_send(&fixture, &zero);
	io_fixture_start_thread(&fixture);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&zero, SCSI_BUSY);
	assert_int_equal(guard_changes(&fixture), 0);
	io_fixture_stop(&fixture);
}

/* ------- read-only ------- */

/* Sends each operation with data of zeros for one block, for two and without; and with every option
 * of byte 1 that it has. */
static void send_operation(struct io_fixture *fixture, const struct scsi_operation *operation)
{
	static const uint8_t zeros[2 * FIXTURE_BLOCK];
	static const uint8_t length_bytes[] = {[6] = 4, [10] = 8, [12] = 9, [16] = 13};

	for (unsigned n = 0; n < 3u * 256; n++) {
		uint8_t flags = (uint8_t) (n & 0xff);
		struct initiator_command command = {
			.cdb = {operation->opcode, flags},
			.cdb_length = operation->cdb_length,
			.length = n / 256 * FIXTURE_BLOCK,
			.out = n / 256 ? zeros : NULL,
		};

		if ((flags & operation->usage[1]) != flags ||
		    (operation->has_action && (flags & 0x1f) != operation->action))
			continue;
		command.cdb[length_bytes[operation->cdb_length]] = 1;
		(void) initiator_run(fixture, &command);
		assert_int_equal(guard_changes(fixture), 0);
	}
}

static void a_read_only_device_is_not_changed_by_any_operation(void **state)
{
	const struct scsi_operation *operation;
	struct io_fixture_options options = {
		.backend.info = {.caps = FIXTURE_ALL_CAPS, .unmap_zeroes = true}};
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &options);
	fixture.setup.lu.read_only = true;
	fixture.setup.lu.max_xcopies = 1;
	fixture.setup.lu.max_atomic = 8;
	fixture.setup.lu.has_port_groups = true;
	io_fixture_start_thread(&fixture);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		send_operation(&fixture, operation);
	assert_int_equal(io_fixture_signal_count(&fixture, IO_SIGNAL_DEFERRED), 0);
	backend_sync(fixture.backend);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(backend_store(fixture.backend)[i], 0xee);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_passes_is_carried_out),
		cmocka_unit_test(a_command_that_does_not_pass_changes_nothing),
		cmocka_unit_test(one_command_waits_at_a_time),
		cmocka_unit_test(a_command_that_is_aborted_before_the_guard_ends_does_not_begin),
		cmocka_unit_test(a_command_that_passes_while_the_thread_drains_does_not_begin),
		cmocka_unit_test(a_reset_of_the_ring_ends_the_wait),
		cmocka_unit_test(a_command_that_passes_after_the_ring_was_revoked_does_not_begin),
		cmocka_unit_test(a_command_that_passes_after_a_reset_does_not_begin),
		cmocka_unit_test(a_command_that_passes_after_its_abort_was_fetched_does_not_begin),
		cmocka_unit_test(a_command_that_waited_long_for_the_guard_does_not_begin),
		cmocka_unit_test(a_command_that_was_fetched_late_does_not_begin),
		cmocka_unit_test(a_command_that_was_there_first_does_not_begin),
		cmocka_unit_test(a_read_only_device_is_not_changed_by_any_operation),
	};

	return cmocka_run_group_tests_name("io-guard", tests, NULL, NULL);
}
