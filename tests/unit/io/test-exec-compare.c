/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that compare or merge data: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE. Which
 * commands must not run beside them, and that concurrent ones lose nothing.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BLOCKS 512u

static const struct io_fixture_options defaults;

/* ------- VERIFY ------- */

static void verify_without_data_only_reads(void **state)
{
	struct io_fixture fixture;
	struct initiator_command verify = cmd_verify(BYTCHK_NONE, 7, CHUNK_BLOCKS + 1, NULL);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &verify), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_READ), 2);
	backend_fail_at(fixture.backend, TCMU_IO_READ, -EIO, 11 * FIXTURE_BLOCK);
	initiator_run_sense(&fixture, &verify, 0x03, 0x1100);
	assert_int_equal(cmd_sense_info(&verify), 11);
	io_fixture_stop(&fixture);
}

static void verify_reports_where_the_data_differs(void **state)
{
	const uint32_t blocks = CHUNK_BLOCKS + 8, length = blocks * FIXTURE_BLOCK;
	uint8_t *out = calloc(1, length);
	struct io_fixture fixture;
	struct initiator_command verify = cmd_verify(BYTCHK_DATA, 7, blocks, out);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	fill_pattern(out, length, 1);
	memcpy(io_fixture_store_at(&fixture, 7), out, length);
	assert_int_equal(initiator_run(&fixture, &verify), SCSI_GOOD);
	io_fixture_store_at(&fixture, 7)[length - 3] ^= 1;
	initiator_run_sense(&fixture, &verify, 0x0e, 0x1d00);
	assert_int_equal(cmd_sense_info(&verify), length - 3);
	io_fixture_stop(&fixture);
	free(out);
}

static void verify_with_one_block_compares_every_block(void **state)
{
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct io_fixture fixture;
	struct initiator_command verify = cmd_verify(BYTCHK_ONE, 7, 600, out);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	memset(out, 0x3c, sizeof(out));
	memset(io_fixture_store_at(&fixture, 7), 0x3c, 600 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &verify), SCSI_GOOD);
	io_fixture_store_at(&fixture, 7 + 590)[100] = 0;
	initiator_run_sense(&fixture, &verify, 0x0e, 0x1d00);
	assert_int_equal(cmd_sense_info(&verify), 100);
	io_fixture_stop(&fixture);
}

static void write_and_verify_reads_back_and_compares(void **state)
{
	struct io_fixture fixture;
	uint8_t out[4 * FIXTURE_BLOCK] = {0};
	struct initiator_command write = cmd_write_and_verify(BYTCHK_DATA, 7, 4, out);
	struct initiator_command plain = cmd_write_and_verify(BYTCHK_NONE, 7, 4, out);

	(void) state;
	fill_pattern(out, sizeof(out), 1);
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_memory_equal(io_fixture_store_at(&fixture, 7), out, sizeof(out));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_READ), 1);

	initiator_send_held(&fixture, &write, TCMU_IO_CAP(TCMU_IO_READ));
	io_fixture_store_at(
		&fixture, 7)[FIXTURE_BLOCK + 5] ^= 0xff; /* the medium has a wrong byte */
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait(&write);
	assert_sense(&write, 0x0e, 0x1d00);
	assert_int_equal(cmd_sense_info(&write), FIXTURE_BLOCK + 5);
	backend_hold(fixture.backend, 0);

	assert_int_equal(initiator_run(&fixture, &plain), SCSI_GOOD);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -EIO);
	initiator_run_sense(&fixture, &plain, 0x03, 0x0c00);
	io_fixture_stop(&fixture);
}

/* ------- COMPARE AND WRITE, ORWRITE ------- */

static void check_compare_and_write(struct io_fixture *fixture)
{
	uint8_t out[6 * FIXTURE_BLOCK] = {0};
	struct initiator_command command = cmd_compare_and_write(20, 3, out);

	memset(io_fixture_store_at(fixture, 20), 0x10, 3 * FIXTURE_BLOCK);
	memset(out, 0x10, 3 * FIXTURE_BLOCK);
	memset(out + 3 * FIXTURE_BLOCK, 0x20, 3 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(fixture, &command), SCSI_GOOD);
	assert_memory_equal(
		io_fixture_store_at(fixture, 20), out + 3 * FIXTURE_BLOCK, 3 * FIXTURE_BLOCK);

	memset(out, 0x20, 3 * FIXTURE_BLOCK);
	out[2 * FIXTURE_BLOCK + 9] = 0x21;
	memset(out + 3 * FIXTURE_BLOCK, 0x30, 3 * FIXTURE_BLOCK);
	initiator_run_sense(fixture, &command, 0x0e, 0x1d00);
	assert_int_equal(cmd_sense_info(&command), 2 * FIXTURE_BLOCK + 9);
	assert_int_equal(*io_fixture_store_at(fixture, 20), 0x20);
}

static void compare_and_write_is_emulated_by_read_and_write(void **state)
{
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &defaults);
	check_compare_and_write(&fixture);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_READ), 2);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 1);
	io_fixture_stop(&fixture);
}

static void compare_and_write_is_passed_to_a_capable_handler(void **state)
{
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(9, 1, out);

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	check_compare_and_write(&fixture);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	assert_int_equal(backend_record(fixture.backend, 0).op, TCMU_IO_COMPARE_AND_WRITE);
	assert_int_equal(backend_record(fixture.backend, 0).length, 3 * FIXTURE_BLOCK);
	assert_int_equal(backend_record(fixture.backend, 0).iov_length, 6 * FIXTURE_BLOCK);
	backend_fail(fixture.backend, TCMU_IO_COMPARE_AND_WRITE, 0, 1, -EIO);
	initiator_run_sense(&fixture, &compare, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&compare), 9);
	io_fixture_stop(&fixture);
}

/* A command's plan is made when the command arrives, not when it starts. */
static void a_waiting_compare_keeps_its_plan_when_the_handler_changes(void **state)
{
	struct tcmu_backend_info less = {.caps = FIXTURE_BASIC_CAPS};
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command merge = cmd_orwrite(0, 1, out);
	struct initiator_command compare = cmd_compare_and_write(0, 1, out);

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	initiator_send_held(&fixture, &merge, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &compare);
	io_fixture_wait_idle(&fixture); /* the compare waits for its range */
	io_thread_set_size(fixture.thread, 2048 * FIXTURE_BLOCK, &less);
	io_fixture_wait_control(&fixture);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&compare, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_COMPARE_AND_WRITE), 1);
	io_fixture_stop(&fixture);
}

static void a_compare_that_fails_to_read_writes_nothing(void **state)
{
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(9, 1, out);
	struct initiator_command merge = cmd_orwrite(10, 1, out);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	backend_fail(fixture.backend, TCMU_IO_READ, 0, 2, -EIO);
	initiator_run_sense(&fixture, &compare, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&compare), 9);
	initiator_run_sense(&fixture, &merge, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&merge), 10);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_stop(&fixture);
}

static void orwrite_merges_bits(void **state)
{
	struct io_fixture fixture;
	uint8_t out[3 * FIXTURE_BLOCK] = {0};
	struct initiator_command merge = cmd_orwrite(5, 3, out);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	memset(out, 0x0f, sizeof(out));
	memset(io_fixture_store_at(&fixture, 5), 0x81, sizeof(out));
	assert_int_equal(initiator_run(&fixture, &merge), SCSI_GOOD);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(io_fixture_store_at(&fixture, 5)[i], 0x8f);
	io_fixture_stop(&fixture);
}

/* ------- an answer that is lost ------- */

/* What the backend has done with the write whose answer is lost. */
enum lost {
	LOST_WRITTEN,
	LOST_NOTHING,
	LOST_OTHER, /* a part of it */
};

static void check_lost_answer(bool native, int error, enum lost lost, int read_error)
{
	struct io_fixture_options options = {
		.backend = {
			.info.caps = native ? FIXTURE_ALL_CAPS : FIXTURE_BASIC_CAPS,
			.lockable = true}};
	enum tcmu_io_op op = native ? TCMU_IO_COMPARE_AND_WRITE : TCMU_IO_WRITE;
	uint8_t out[4 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(20, 2, out);
	struct io_fixture fixture;

	memset(out, 0x10, 2 * FIXTURE_BLOCK);
	memset(out + 2 * FIXTURE_BLOCK, 0x20, 2 * FIXTURE_BLOCK);
	io_fixture_start(&fixture, &options);
	memset(io_fixture_store_at(&fixture, 20), 0x10, 2 * FIXTURE_BLOCK);
	backend_sync(fixture.backend);
	backend_fail(fixture.backend, op, 0, 1, error);
	if (read_error)
		backend_fail(fixture.backend, TCMU_IO_READ, !native, 1, read_error);
	initiator_send_held(&fixture, &compare, TCMU_IO_CAP(op));
	if (lost == LOST_WRITTEN)
		memset(io_fixture_store_at(&fixture, 20), 0x20, 2 * FIXTURE_BLOCK);
	else if (lost == LOST_OTHER)
		memset(io_fixture_store_at(&fixture, 20), 0x20, FIXTURE_BLOCK);
	backend_sync(fixture.backend);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait(&compare);
	if (lost == LOST_OTHER || read_error)
		assert_sense(&compare, 0x04, 0x4400);
	else
		assert_int_equal(compare.status, lost == LOST_WRITTEN ? SCSI_GOOD : SCSI_BUSY);
	io_fixture_stop(&fixture);
}

/* It is repeated only if it was not carried out: it would miscompare with what it has written. */
static void a_compare_and_write_whose_answer_is_lost_is_read_back(void **state)
{
	static const int errors[] = {-ETIMEDOUT, -ESHUTDOWN};

	(void) state;
	for (unsigned i = 0; i < 4; i++) {
		bool native = i % 2;

		for (enum lost lost = LOST_WRITTEN; lost <= LOST_OTHER; lost++)
			check_lost_answer(native, errors[i / 2], lost, 0);
		check_lost_answer(native, errors[i / 2], LOST_WRITTEN, -ETIMEDOUT);
		check_lost_answer(native, errors[i / 2], LOST_WRITTEN, -EBUSY);
	}
}

/* Of a handler without a lock, that carries it out itself, other writes may lie between. */
static void a_lost_answer_of_an_unlocked_store_is_unknown(void **state)
{
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(20, 1, out);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	backend_fail(fixture.backend, TCMU_IO_COMPARE_AND_WRITE, 0, 1, -ETIMEDOUT);
	initiator_run_sense(&fixture, &compare, 0x04, 0x4400);
	backend_fail(fixture.backend, TCMU_IO_COMPARE_AND_WRITE, 0, 1, -EBUSY);
	assert_int_equal(initiator_run(&fixture, &compare), SCSI_BUSY);
	io_fixture_stop(&fixture);
}

/* The write was carried out; only the flush after it has failed. */
static void a_compare_and_write_that_is_not_flushed_is_not_repeated(void **state)
{
	static const int errors[] = {-ETIMEDOUT, -ESHUTDOWN, -EBUSY,  -EAGAIN,
				     -EINTR,     -ENOMEM,    -ENOBUFS};
	struct io_fixture_options options = {
		.backend.info = {.caps = FIXTURE_ALL_CAPS, .volatile_cache = true},
		.no_write_cache = true};
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(20, 1, out);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 1, errors[i]);
		initiator_run_sense(&fixture, &compare, 0x04, 0x4400);
	}
	backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
	initiator_run_sense(&fixture, &compare, 0x03, 0x0c00);
	io_fixture_stop(&fixture);
}

/* ------- overlapping commands ------- */

static void writes_wait_for_an_overlapping_compare(void **state)
{
	struct io_fixture fixture;
	uint8_t out[4 * FIXTURE_BLOCK] = {0}, in[FIXTURE_BLOCK];
	struct initiator_command compare = cmd_compare_and_write(10, 2, out);
	struct initiator_command inside = cmd_write(11, 1, out), beside = cmd_write(12, 1, out);
	struct initiator_command second = cmd_compare_and_write(9, 2, out),
				 read = cmd_read(10, 1, in);

	(void) state;
	memset(out + 2 * FIXTURE_BLOCK, 1, 2 * FIXTURE_BLOCK);
	io_fixture_start(&fixture, &defaults);
	initiator_send_held(&fixture, &compare, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &inside);
	initiator_send(&fixture, &second);
	assert_int_equal(initiator_run(&fixture, &beside), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 1);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_READ), 1);
	initiator_send(&fixture, &read); /* a read does not wait */
	assert_true(backend_wait_held(fixture.backend, 2));
	backend_release(fixture.backend, 1, BACKEND_NEWEST);
	initiator_wait_status(&read, SCSI_GOOD);
	assert_false(initiator_is_done(&inside));
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait(&second);
	/* in the order of arrival */
	assert_true(compare.position < inside.position && inside.position < second.position);
	assert_int_equal(inside.status, SCSI_GOOD);
	assert_sense(&second, 0x0e, 0x1d00); /* the first compare has changed block 10 */
	io_fixture_stop(&fixture);
}

/* Otherwise a compare could wait forever, and later commands would be done before it. */
static void waiting_commands_are_not_overtaken(void **state)
{
	struct io_fixture fixture;
	uint8_t out[4 * FIXTURE_BLOCK] = {0};
	struct initiator_command first = cmd_compare_and_write(10, 2, out);
	struct initiator_command second = cmd_compare_and_write(11, 2, out),
				 third = cmd_write(12, 1, out);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	initiator_send_held(&fixture, &first, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &second);
	initiator_send(&fixture, &third); /* overlaps with the second only */
	for (unsigned i = 0; i < 3; i++)
		io_fixture_wait_idle(&fixture);
	assert_int_equal(backend_count(fixture.backend, 0), 1);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&first, SCSI_GOOD);
	assert_true(backend_wait_held(fixture.backend, 1)); /* the second has started */
	io_fixture_wait_idle(&fixture);
	assert_false(initiator_is_done(&third));
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&third, SCSI_GOOD);
	assert_true(second.position < third.position);
	io_fixture_stop(&fixture);
}

static void a_compare_waits_for_writes_in_flight(void **state)
{
	static const struct scsi_extent extent = {.lba = 11, .blocks = 4};
	uint8_t list[UNMAP_LIST_LENGTH(1)];
	struct io_fixture_options options = {
		.backend.info.caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_UNMAP)};
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command write = cmd_write(8, 2, out),
				 compare = cmd_compare_and_write(9, 1, out);
	struct initiator_command unmap = cmd_unmap(list, &extent, 1);
	struct initiator_command other = cmd_compare_and_write(14, 1, out);

	(void) state;
	io_fixture_start(&fixture, &options);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_UNMAP));
	initiator_send(&fixture, &write);
	initiator_send(&fixture, &unmap);
	assert_true(backend_wait_held(fixture.backend, 2));
	initiator_send(&fixture, &compare);
	initiator_send(&fixture, &other);
	io_fixture_wait_idle(&fixture);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_READ), 0);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&compare, SCSI_GOOD);
	assert_false(initiator_is_done(&other));
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&other, SCSI_GOOD);
	assert_true(write.position < compare.position && unmap.position < other.position);
	io_fixture_stop(&fixture);
}

static void an_aborted_command_stops_waiting_for_its_range(void **state)
{
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command first = cmd_compare_and_write(0, 1, out), second = first,
				 third = first;

	(void) state;
	io_fixture_start(&fixture, &defaults);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &first);
	initiator_send(&fixture, &second);
	initiator_send(&fixture, &third);
	assert_true(backend_wait_held(fixture.backend, 1));
	io_fixture_wait_idle(&fixture);
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &second);
	initiator_wait_status(&second, SCSI_TASK_ABORTED);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&third, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* ------- concurrent initiators ------- */

#define INITIATORS 4
#define TIMES      100

struct initiator {
	struct io_fixture *fixture;
	unsigned number;
};

/* Adds to a counter as cluster file systems do: reads it, then compares and writes. */
static void *count_up(void *arg)
{
	struct initiator *self = arg;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};

	for (unsigned i = 0; i < TIMES;) {
		struct initiator_command read = cmd_read(0, 1, out);
		struct initiator_command compare = cmd_compare_and_write(0, 1, out);
		uint32_t value;

		initiator_run(self->fixture, &read);
		memcpy(&value, out, sizeof(value));
		value++;
		memcpy(out + FIXTURE_BLOCK, out, FIXTURE_BLOCK);
		memcpy(out + FIXTURE_BLOCK, &value, sizeof(value));
		if (initiator_run(self->fixture, &compare) == SCSI_GOOD)
			i++;
	}
	return NULL;
}

/* Each initiator sets its own bits, in blocks that all of them use. */
static void *set_bits(void *arg)
{
	struct initiator *self = arg;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};

	for (unsigned i = 0; i < TIMES; i++) {
		struct initiator_command merge = cmd_orwrite(8 + i % 2, 1, out);
		unsigned bit = self->number * TIMES + i;

		memset(out, 0, sizeof(out));
		out[bit / 8] = (uint8_t) (1u << bit % 8);
		initiator_run(self->fixture, &merge);
	}
	return NULL;
}

static void run_initiators(struct io_fixture *fixture, void *(*main_of)(void *) )
{
	struct initiator initiators[INITIATORS];
	pthread_t threads[INITIATORS];

	for (unsigned i = 0; i < INITIATORS; i++) {
		initiators[i] = (struct initiator){.fixture = fixture, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, main_of, &initiators[i]), 0);
	}
	for (unsigned i = 0; i < INITIATORS; i++)
		pthread_join(threads[i], NULL);
}

static void concurrent_increments_are_not_lost(void **state)
{
	static const struct io_fixture_options kinds[] = {
		{.backend.info.caps = FIXTURE_BASIC_CAPS},
		{.backend = {.threading = TCMU_HANDLER_PARALLEL, .workers = 4, .syscalls = true}},
		{.backend = {.aio = true}},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct io_fixture fixture;
		uint32_t value;

		io_fixture_start(&fixture, &kinds[i]);
		if (i == 0)
			backend_later(fixture.backend, 20);
		run_initiators(&fixture, count_up);
		backend_sync(fixture.backend);
		memcpy(&value, io_fixture_store_at(&fixture, 0), sizeof(value));
		assert_int_equal(value, INITIATORS * TIMES);
		io_fixture_stop(&fixture);
	}
}

static void concurrent_orwrites_are_not_lost(void **state)
{
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &defaults);
	backend_later(fixture.backend, 20);
	run_initiators(&fixture, set_bits);
	backend_sync(fixture.backend);
	for (unsigned bit = 0; bit < INITIATORS * TIMES; bit++)
		assert_true(io_fixture_store_at(&fixture, 8 + bit % 2)[bit / 8] & 1u << bit % 8);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_without_data_only_reads),
		cmocka_unit_test(verify_reports_where_the_data_differs),
		cmocka_unit_test(verify_with_one_block_compares_every_block),
		cmocka_unit_test(write_and_verify_reads_back_and_compares),
		cmocka_unit_test(compare_and_write_is_emulated_by_read_and_write),
		cmocka_unit_test(compare_and_write_is_passed_to_a_capable_handler),
		cmocka_unit_test(a_waiting_compare_keeps_its_plan_when_the_handler_changes),
		cmocka_unit_test(a_compare_that_fails_to_read_writes_nothing),
		cmocka_unit_test(orwrite_merges_bits),
		cmocka_unit_test(a_compare_and_write_whose_answer_is_lost_is_read_back),
		cmocka_unit_test(a_lost_answer_of_an_unlocked_store_is_unknown),
		cmocka_unit_test(a_compare_and_write_that_is_not_flushed_is_not_repeated),
		cmocka_unit_test(writes_wait_for_an_overlapping_compare),
		cmocka_unit_test(waiting_commands_are_not_overtaken),
		cmocka_unit_test(a_compare_waits_for_writes_in_flight),
		cmocka_unit_test(an_aborted_command_stops_waiting_for_its_range),
		cmocka_unit_test(concurrent_increments_are_not_lost),
		cmocka_unit_test(concurrent_orwrites_are_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
