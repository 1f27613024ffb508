/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's I/O thread serves commands: fetching, data-in, errors, handlers that block.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct io_fixture_options defaults;

static void reads_return_what_writes_stored(void **state)
{
	struct io_fixture fixture;
	uint8_t out[8 * FIXTURE_BLOCK] = {0}, in[8 * FIXTURE_BLOCK];
	struct initiator_command write = cmd_write(16, 8, out), read = cmd_read(16, 8, in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(out, sizeof(out), 1);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_memory_equal(backend_store(fixture.backend) + 16 * FIXTURE_BLOCK, out, sizeof(out));
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_memory_equal(in, out, sizeof(out));
	io_fixture_stop(&fixture);
}

static void a_batch_rings_the_doorbell_once(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command writes[16];

	(void) state;
	io_fixture_start(&fixture, &defaults);
	for (unsigned i = 0; i < 16; i++) {
		writes[i] = cmd_write(i, 1, out);
		initiator_push(&fixture, &writes[i]);
	}
	initiator_notify(&fixture);
	for (unsigned i = 0; i < 16; i++)
		initiator_wait_status(&writes[i], SCSI_GOOD);
	assert_int_equal(fake_uio_counts(fixture.uio).doorbells, 1);
	io_fixture_stop(&fixture);
}

static void answers_come_in_completion_order(void **state)
{
	struct io_fixture fixture;
	uint8_t in[3][FIXTURE_BLOCK];
	struct initiator_command reads[3];

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(backend_store(fixture.backend), sizeof(in), 2);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 3; i++) {
		reads[i] = cmd_read(i, 1, in[i]);
		initiator_send(&fixture, &reads[i]);
	}
	assert_true(backend_wait_held(fixture.backend, 3));
	for (unsigned i = 3; i-- > 0;) {
		assert_int_equal(backend_release(fixture.backend, 1, BACKEND_NEWEST), 1);
		initiator_wait_status(&reads[i], SCSI_GOOD);
		assert_int_equal(reads[i].position, 3 - i);
		assert_memory_equal(
			in[i], backend_store(fixture.backend) + i * FIXTURE_BLOCK, FIXTURE_BLOCK);
	}
	io_fixture_stop(&fixture);
}

static void more_commands_than_slots_are_all_served(void **state)
{
	struct io_fixture fixture;
	uint8_t out[20][FIXTURE_BLOCK];
	struct initiator_command writes[20];

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.depth = 4});
	fill_pattern(out, sizeof(out), 3);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	for (unsigned i = 0; i < 20; i++) {
		writes[i] = cmd_write(i, 1, out[i]);
		initiator_push(&fixture, &writes[i]);
	}
	initiator_notify(&fixture);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(backend_wait_held(fixture.backend, i < 17 ? 4 : 20 - i));
		assert_int_equal(
			backend_release(
				fixture.backend, 1, i % 2 ? BACKEND_NEWEST : BACKEND_OLDEST),
			1);
	}
	for (unsigned i = 0; i < 20; i++)
		initiator_wait_status(&writes[i], SCSI_GOOD);
	assert_int_equal(backend_most_at_once(fixture.backend), 4);
	assert_memory_equal(backend_store(fixture.backend), out, sizeof(out));
	io_fixture_stop(&fixture);
}

static void a_command_may_have_more_iovecs_than_a_slot(void **state)
{
	/* room for 3 iovecs; each page of data is an iovec */
	struct io_fixture_options options = {.max_transfer = 8, .uio.ring.scatter = true};
	const uint32_t blocks = 40 * 4096 / FIXTURE_BLOCK;
	uint8_t *out = malloc(40 * 4096), *in = malloc(40 * 4096);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t n = i % 3 == 0 ? blocks * (i + 1) / 20 : i + 1;
		struct initiator_command write = cmd_write(i, n, out), read = cmd_read(i, n, in);

		fill_pattern(out, n * FIXTURE_BLOCK, i);
		assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
		assert_memory_equal(in, out, n * FIXTURE_BLOCK);
	}
	assert_int_equal(backend_record(fixture.backend, 36).iov_cnt, 38);
	io_fixture_stop(&fixture);
	free(out);
	free(in);
}

/* ------- data-in ------- */

static void a_short_read_reports_its_length(void **state)
{
	struct io_fixture fixture;
	uint8_t in[4096];
	struct initiator_command read = cmd_read(0, 1, in), whole = read;

	(void) state;
	io_fixture_start(&fixture, &defaults);
	read.length = sizeof(in);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_true(read.has_read_len);
	assert_int_equal(read.read_len, FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &whole), SCSI_GOOD);
	assert_false(whole.has_read_len);
	io_fixture_stop(&fixture);
}

static void a_read_is_limited_to_the_data_buffer(void **state)
{
	struct io_fixture fixture;
	uint8_t in[8 * FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(4, 8, in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(backend_store(fixture.backend), 16 * FIXTURE_BLOCK, 4);
	read.length = 2 * FIXTURE_BLOCK;
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(backend_record(fixture.backend, 0).length, 2 * FIXTURE_BLOCK);
	assert_memory_equal(
		in, backend_store(fixture.backend) + 4 * FIXTURE_BLOCK, 2 * FIXTURE_BLOCK);
	io_fixture_stop(&fixture);
}

static void a_data_buffer_may_end_within_a_block(void **state)
{
	struct io_fixture fixture;
	uint8_t in[8 * FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(4, 8, in), tiny = cmd_read(4, 8, in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(backend_store(fixture.backend), 16 * FIXTURE_BLOCK, 4);
	read.length = 2 * FIXTURE_BLOCK + 100;
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_memory_equal(
		in, backend_store(fixture.backend) + 4 * FIXTURE_BLOCK, 2 * FIXTURE_BLOCK + 100);
	tiny.length = 1;
	assert_int_equal(initiator_run(&fixture, &tiny), SCSI_GOOD);
	assert_int_equal(in[0], backend_store(fixture.backend)[4 * FIXTURE_BLOCK]);
	tiny.length = 0;
	assert_int_equal(initiator_run(&fixture, &tiny), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	backend_fail(fixture.backend, TCMU_IO_READ, 0, 1, -EIO);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_CHECK_CONDITION);
	io_fixture_stop(&fixture);
}

static void an_emulated_answer_reports_its_length(void **state)
{
	struct io_fixture fixture;
	uint8_t in[512];
	struct initiator_command inquiry = cmd_inquiry(in, sizeof(in));

	(void) state;
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &inquiry), SCSI_GOOD);
	assert_true(inquiry.has_read_len);
	assert_int_equal(inquiry.read_len, 96);
	assert_memory_equal(in + 8, "LIO-ORG TCMU device     ", 24);
	io_fixture_stop(&fixture);
}

/* For a read length of 0 the kernel would copy the whole buffer to the initiator. */
static void no_data_of_earlier_commands_leaks(void **state)
{
	struct io_fixture fixture;
	uint8_t in[4096], secret[4096] = {0};
	struct initiator_command write = cmd_write(0, 8, secret);
	struct initiator_command ready = cmd_test_unit_ready(), nothing = cmd_read(0, 0, in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(secret, sizeof(secret), 5);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	ready.in = in;
	ready.length = sizeof(in);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(ready.returned, 1);
	assert_int_equal(in[0], 0);
	nothing.length = sizeof(in);
	assert_int_equal(initiator_run(&fixture, &nothing), SCSI_GOOD);
	assert_int_equal(nothing.returned, 1);
	assert_int_equal(in[0], 0);
	io_fixture_stop(&fixture);
}

/* ------- refusals and errors ------- */

static void a_refusal_points_at_the_field(void **state)
{
	struct io_fixture fixture;
	struct initiator_command beyond = cmd_read(2047, 2, NULL), reserved = cmd_read(0, 1, NULL);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	initiator_run_sense(&fixture, &beyond, 0x05, 0x2100);
	reserved.cdb[15] = 0x04;
	initiator_run_sense(&fixture, &reserved, 0x05, 0x2400);
	assert_int_equal(reserved.sense[15], 0xca); /* valid, in the CDB, bit 2 */
	assert_int_equal(reserved.sense[17], 15);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

static void a_backend_error_reports_the_block(void **state)
{
	struct io_fixture fixture;
	uint8_t data[8 * FIXTURE_BLOCK] = {0};
	struct initiator_command read = cmd_read(16, 8, data), write = cmd_write(16, 8, data);
	struct initiator_command full = cmd_write(0, 1, data);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	backend_fail_at(fixture.backend, TCMU_IO_READ, -EIO, 19 * FIXTURE_BLOCK + 7);
	initiator_run_sense(&fixture, &read, 0x03, 0x1100);
	assert_int_equal(cmd_sense_info(&read), 19);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -EIO);
	initiator_run_sense(&fixture, &write, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&write), 16);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	initiator_run_sense(&fixture, &full, 0x07, 0x2707);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -EBUSY);
	assert_int_equal(initiator_run(&fixture, &full), SCSI_BUSY);
	assert_int_equal(initiator_run(&fixture, &full), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void an_entry_of_an_unknown_kind_is_skipped(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command before = cmd_read(0, 1, in), after = cmd_read(1, 1, in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	initiator_push(&fixture, &before);
	assert_true(fake_ring_push_unknown(fake_uio_lock(fixture.uio), 5) > 0);
	fake_uio_unlock(fixture.uio);
	initiator_push(&fixture, &after);
	initiator_notify(&fixture);
	initiator_wait_status(&before, SCSI_GOOD);
	initiator_wait_status(&after, SCSI_GOOD);
	assert_int_equal(fake_ring_outstanding(fake_uio_lock(fixture.uio)), 0);
	fake_uio_unlock(fixture.uio);
	io_fixture_stop(&fixture);
}

static void a_second_completion_is_ignored(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0}, in[FIXTURE_BLOCK];

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.depth = 2});
	backend_complete_times(fixture.backend, 2);
	for (unsigned i = 0; i < 50; i++) {
		struct initiator_command write = cmd_write(i, 1, out), read = cmd_read(i, 1, in);

		fill_pattern(out, sizeof(out), i);
		assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
		assert_memory_equal(in, out, sizeof(out));
	}
	assert_int_equal(io_thread_in_flight(fixture.thread), 0);
	io_fixture_stop(&fixture);
}

/* ------- handlers that block ------- */

static void a_serial_handler_gets_one_request_at_a_time(void **state)
{
	struct io_fixture_options options = {.backend.threading = TCMU_HANDLER_SERIAL};
	struct io_fixture fixture;
	uint8_t out[8][FIXTURE_BLOCK] = {0};
	struct initiator_command writes[8];

	(void) state;
	io_fixture_start(&fixture, &options);
	for (unsigned i = 0; i < 8; i++) {
		writes[i] = cmd_write(7 - i, 1, out[i]);
		initiator_push(&fixture, &writes[i]);
	}
	initiator_notify(&fixture);
	for (unsigned i = 0; i < 8; i++) {
		initiator_wait_status(&writes[i], SCSI_GOOD);
		assert_int_equal(
			backend_record(fixture.backend, i).offset, (7 - i) * FIXTURE_BLOCK);
	}
	assert_int_equal(backend_most_at_once(fixture.backend), 1);
	io_fixture_stop(&fixture);
}

static void a_parallel_handler_gets_one_request_per_worker(void **state)
{
	struct io_fixture_options options = {
		.backend = {.threading = TCMU_HANDLER_PARALLEL, .workers = 3}};
	struct io_fixture fixture;
	uint8_t in[8][FIXTURE_BLOCK];
	struct initiator_command reads[8];

	(void) state;
	io_fixture_start(&fixture, &options);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 8; i++) {
		reads[i] = cmd_read(i, 1, in[i]);
		initiator_push(&fixture, &reads[i]);
	}
	initiator_notify(&fixture);
	assert_true(backend_wait_held(fixture.backend, 3));
	backend_hold(fixture.backend, 0);
	assert_int_equal(backend_release(fixture.backend, 8, BACKEND_OLDEST), 3);
	for (unsigned i = 0; i < 8; i++)
		initiator_wait_status(&reads[i], SCSI_GOOD);
	assert_int_equal(backend_most_at_once(fixture.backend), 3);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_return_what_writes_stored),
		cmocka_unit_test(a_batch_rings_the_doorbell_once),
		cmocka_unit_test(answers_come_in_completion_order),
		cmocka_unit_test(more_commands_than_slots_are_all_served),
		cmocka_unit_test(a_command_may_have_more_iovecs_than_a_slot),
		cmocka_unit_test(a_short_read_reports_its_length),
		cmocka_unit_test(a_read_is_limited_to_the_data_buffer),
		cmocka_unit_test(a_data_buffer_may_end_within_a_block),
		cmocka_unit_test(an_emulated_answer_reports_its_length),
		cmocka_unit_test(no_data_of_earlier_commands_leaks),
		cmocka_unit_test(a_refusal_points_at_the_field),
		cmocka_unit_test(a_backend_error_reports_the_block),
		cmocka_unit_test(an_entry_of_an_unknown_kind_is_skipped),
		cmocka_unit_test(a_second_completion_is_ignored),
		cmocka_unit_test(a_serial_handler_gets_one_request_at_a_time),
		cmocka_unit_test(a_parallel_handler_gets_one_request_per_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
