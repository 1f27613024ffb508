/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that see every SCSI command first. They answer it, or leave it to the SCSI code, which
 * then carries it out as usual; in every way that a request may end.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

#define VENDOR_READ  0xc1 /* 10 bytes of data-in */
#define VENDOR_WRITE 0xc2 /* data-out into received */
#define VENDOR_FAIL  0xc3 /* MEDIUM ERROR, 57h 00h */
#define VENDOR_LATER 0xc4 /* known to nobody */
#define INQUIRY      0x12

static const uint8_t inquiry[36] = {0x05, 0x80, 0x05, 0x02, 31};
static uint8_t received[700];
static uint32_t received_length;

static void copy_in(struct tcmu_io *io, const uint8_t *data, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < io->iov_cnt && done < length; i++) {
		size_t piece = io->iov[i].iov_len < length - done ? io->iov[i].iov_len
								  : length - done;

		memcpy(io->iov[i].iov_base, data + done, piece);
		done += piece;
	}
	io->result = done;
}

/* Called while the handler has a command that it leaves to the daemon. */
static void (*meanwhile)(void);

static int answer(struct tcmu_io *io)
{
	static const uint8_t ten[] = "0123456789";

	assert_true(io->cdb_length >= 6 && io->status == 0 && io->result == 0);
	switch (io->cdb[0]) {
	case INQUIRY:
		copy_in(io, inquiry, sizeof(inquiry));
		return 0;
	case VENDOR_READ:
		copy_in(io, ten, sizeof(ten) - 1);
		return 0;
	case VENDOR_WRITE:
		received_length = 0;
		for (unsigned i = 0; i < io->iov_cnt; i++) {
			memcpy(received + received_length, io->iov[i].iov_base, io->iov[i].iov_len);
			received_length += (uint32_t) io->iov[i].iov_len;
		}
		assert_int_equal(received_length, io->length);
		return 0;
	case VENDOR_FAIL:
		io->status = SCSI_CHECK_CONDITION;
		io->sense[0] = 0x70;
		io->sense[2] = 0x03;
		io->sense[7] = 10;
		io->sense[12] = 0x57;
		return 0;
	default:
		if (meanwhile)
			meanwhile();
		return -EOPNOTSUPP;
	}
}

static void start_with(
	struct io_fixture *fixture, enum tcmu_handler_threading threading, bool can_cancel)
{
	struct io_fixture_options options = {
		.backend = {
			.threading = threading,
			.can_cancel = can_cancel,
			.command = answer,
			.info = {.caps = FIXTURE_ALL_CAPS | TCMU_CAP_COMMANDS}}};

	io_fixture_start(fixture, &options);
}

static void start(struct io_fixture *fixture, enum tcmu_handler_threading threading)
{
	start_with(fixture, threading, true);
}

static struct initiator_command cmd_vendor(
	uint8_t opcode, const void *out, void *in, uint32_t length)
{
	struct initiator_command command = cmd_cdb16(opcode, 0, 0, 0, out, length);

	command.in = in;
	return command;
}

static void check_answers(enum tcmu_handler_threading threading)
{
	struct io_fixture fixture;
	struct initiator_command command;
	uint8_t in[700], out[700];

	start(&fixture, threading);
	command = cmd_vendor(VENDOR_READ, NULL, in, sizeof(in));
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(command.returned, 10);
	assert_memory_equal(in, "0123456789", 10);

	command = cmd_inquiry(in, sizeof(in));
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(command.returned, sizeof(inquiry));
	assert_memory_equal(in, inquiry, sizeof(inquiry));

	fill_pattern(out, sizeof(out), 7);
	command = cmd_vendor(VENDOR_WRITE, out, NULL, sizeof(out));
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(received_length, sizeof(out));
	assert_memory_equal(received, out, sizeof(out));

	command = cmd_vendor(VENDOR_FAIL, NULL, NULL, 0);
	initiator_run_sense(&fixture, &command, 0x03, 0x5700);
	io_fixture_stop(&fixture);
}

static void test_answers(void **state)
{
	(void) state;
	check_answers(TCMU_HANDLER_ASYNC);
	check_answers(TCMU_HANDLER_SERIAL);
	check_answers(TCMU_HANDLER_PARALLEL);
}

/* A command that the handler leaves is carried out as for any handler. */
static void check_left(enum tcmu_handler_threading threading)
{
	static uint8_t out[8 * FIXTURE_BLOCK], in[8 * FIXTURE_BLOCK], both[2 * FIXTURE_BLOCK];
	struct io_fixture fixture;
	struct initiator_command command;

	start(&fixture, threading);
	command = cmd_test_unit_ready();
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	fill_pattern(out, sizeof(out), 3);
	command = cmd_write_fua(5, 8, out);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_read(5, 8, in);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(command.returned, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	memcpy(both, out, FIXTURE_BLOCK);
	memset(both + FIXTURE_BLOCK, 0x33, FIXTURE_BLOCK);
	command = cmd_compare_and_write(5, 1, both);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(io_fixture_store_at(&fixture, 5)[0], 0x33);
	command = cmd_write_same(WRITE_SAME_NDOB, 0, 4, NULL);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_serial_page(NULL);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_vendor(VENDOR_LATER, NULL, NULL, 0);
	initiator_run_sense(&fixture, &command, 0x05, 0x2000);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_COMMAND), 7);
	io_fixture_stop(&fixture);
}

static void test_left(void **state)
{
	(void) state;
	check_left(TCMU_HANDLER_ASYNC);
	check_left(TCMU_HANDLER_SERIAL);
}

/* Each error of a request is the command's. */
static void test_errors(void **state)
{
	static const struct {
		int error;
		uint8_t status;
	} errors[] = {
		{-EBUSY, SCSI_BUSY},
		{-EIO, SCSI_CHECK_CONDITION},
		{-ECANCELED, SCSI_TASK_ABORTED},
		{-EREMOTEIO, SCSI_CHECK_CONDITION},
	};
	struct io_fixture fixture;

	(void) state;
	start(&fixture, TCMU_HANDLER_ASYNC);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct initiator_command command = cmd_vendor(VENDOR_READ, NULL, NULL, 64);

		backend_fail(fixture.backend, TCMU_IO_COMMAND, 0, 1, errors[i].error);
		assert_int_equal(initiator_run(&fixture, &command), errors[i].status);
		assert_true(command.returned <= 1);
	}
	io_fixture_stop(&fixture);
}

static void test_abort(void **state)
{
	struct initiator_command command = cmd_vendor(VENDOR_READ, NULL, NULL, 64);
	struct io_fixture fixture;

	(void) state;
	start(&fixture, TCMU_HANDLER_ASYNC);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(TCMU_IO_COMMAND));
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &command);
	initiator_wait_status(&command, SCSI_TASK_ABORTED);
	backend_hold(fixture.backend, 0);
	io_fixture_stop(&fixture);
}

/* A command that was with the handler while the ring was reset is not carried out afterwards. */
static void test_reset(void **state)
{
	static uint8_t out[FIXTURE_BLOCK];
	struct initiator_command command = cmd_write(3, 1, out);
	struct initiator_command later = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	memset(out, 0x77, sizeof(out));
	start_with(&fixture, TCMU_HANDLER_ASYNC, false);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(TCMU_IO_COMMAND));
	io_fixture_reset_ring(&fixture);
	initiator_wait_status(&command, SCSI_BUSY);
	backend_hold(fixture.backend, 0);
	(void) backend_release(fixture.backend, 1, BACKEND_OLDEST);
	assert_int_equal(initiator_run_while_busy(&fixture, &later), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_stop(&fixture);
}

/* A command that the handler leaves to the daemon after the ring was revoked is not decoded: its
 * data-out is not there any more. */
static void test_revoke(void **state)
{
	uint8_t list[64];
	static const struct scsi_extent extent = {.lba = 4, .blocks = 2};
	struct initiator_command command = cmd_unmap(list, &extent, 1);
	struct io_fixture fixture;
	struct io_fixture_options options = {
		.backend = {
			.threading = TCMU_HANDLER_ASYNC,
			.syscalls = true,
			.command = answer,
			.info = {.caps = FIXTURE_ALL_CAPS | TCMU_CAP_COMMANDS}}};

	(void) state;
	io_fixture_start(&fixture, &options);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(TCMU_IO_COMMAND));
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_assert_released(&fixture);
	backend_hold(fixture.backend, 0);
	assert_int_equal(backend_release(fixture.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_UNMAP), 0);
	assert_false(initiator_is_done(&command));
	io_fixture_wait_end(&fixture);
}

/* ------- commands that must not begin any more when the handler leaves them ------- */

/* The control mode page with D_SENSE: the daemon changes its mode parameters without a request. */
static const uint8_t control_page[] = {0, 0,    0, 0, 0x0a, 0x0a, 0x06, 0x10,
				       0, 0x40, 0, 0, 0xff, 0xff, 0,    0};

static struct initiator_command cmd_mode_select(void)
{
	return (struct initiator_command){
		.cdb = {0x15, 0x10, 0, 0, sizeof(control_page)},
		.cdb_length = 6,
		.out = control_page,
		.length = sizeof(control_page)};
}

/* Sense data show the parameter. */
static void assert_mode_is_kept(struct io_fixture *fixture)
{
	struct initiator_command unknown = cmd_vendor(VENDOR_LATER, NULL, NULL, 0);

	assert_int_equal(initiator_run_while_busy(fixture, &unknown), SCSI_CHECK_CONDITION);
	assert_int_equal(unknown.sense[0] & 0x7f, 0x70);
}

static void test_select(void **state)
{
	struct initiator_command select = cmd_mode_select();
	struct initiator_command unknown = cmd_vendor(VENDOR_LATER, NULL, NULL, 0);
	struct io_fixture fixture;

	(void) state;
	start(&fixture, TCMU_HANDLER_ASYNC);
	assert_int_equal(initiator_run(&fixture, &select), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &unknown), SCSI_CHECK_CONDITION);
	assert_int_equal(
		unknown.sense[0] & 0x7f, 0x72); /* otherwise the tests below show nothing */
	io_fixture_stop(&fixture);
}

static void test_left_after_abort(void **state)
{
	struct initiator_command select = cmd_mode_select(), ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	start_with(&fixture, TCMU_HANDLER_ASYNC, false);
	initiator_send_held(&fixture, &select, TCMU_IO_CAP(TCMU_IO_COMMAND));
	backend_hold(fixture.backend, 0);
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &select);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(backend_release(fixture.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&select, SCSI_TASK_ABORTED);
	assert_mode_is_kept(&fixture);
	io_fixture_stop(&fixture);
}

/* The initiator sends it again, to the next daemon. */
static void test_left_while_draining(void **state)
{
	static uint8_t out[FIXTURE_BLOCK];
	struct initiator_command command = cmd_write(3, 1, out);
	struct io_fixture fixture;

	(void) state;
	start(&fixture, TCMU_HANDLER_ASYNC);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(TCMU_IO_COMMAND));
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_control(&fixture);
	assert_int_equal(backend_release(fixture.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&command, SCSI_BUSY);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_wait_end(&fixture);
}

/* The kernel may have given the write up, and a later one may be on the disk. */
static void test_left_late(void **state)
{
	static uint8_t out[FIXTURE_BLOCK];
	struct initiator_command command = cmd_write(3, 1, out);
	struct io_fixture fixture;

	(void) state;
	start(&fixture, TCMU_HANDLER_ASYNC);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(TCMU_IO_COMMAND));
	io_fixture_wait_late();
	assert_int_equal(backend_release(fixture.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&command, SCSI_BUSY);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	backend_hold(fixture.backend, 0);
	io_fixture_stop(&fixture);
}

static struct io_fixture *reset_fixture;

static void reset_once(void)
{
	if (reset_fixture)
		io_fixture_reset_ring(reset_fixture);
	reset_fixture = NULL;
}

/* Nobody has noticed the reset yet: the thread is within submit(). The list in the ring's pages may
 * be another command's. */
static void test_left_after_reset(void **state)
{
	struct initiator_command select = cmd_mode_select();
	struct io_fixture fixture;

	(void) state;
	start_with(&fixture, TCMU_HANDLER_ASYNC, false);
	reset_fixture = &fixture;
	meanwhile = reset_once;
	initiator_send(&fixture, &select);
	initiator_wait_status(&select, SCSI_BUSY);
	assert_mode_is_kept(&fixture);
	meanwhile = NULL;
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_left_after_abort),
		cmocka_unit_test(test_left_while_draining),
		cmocka_unit_test(test_left_late),
		cmocka_unit_test(test_left_after_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
