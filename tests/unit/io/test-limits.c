/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The most that a backend takes at once: whatever a command asks for, and whatever it becomes, no
 * request is longer, and the data is the same.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

#define LBA    13u
#define BLOCKS 101u
#define BYTES  (BLOCKS * FIXTURE_BLOCK)
#define HALF   (BLOCKS / 2 * FIXTURE_BLOCK)
#define SIZE   (1024u * 1024)

static const struct backend_options ways[] = {
	{.threading = TCMU_HANDLER_ASYNC},
	{.threading = TCMU_HANDLER_ASYNC, .aio = true, .syscalls = true},
	{.threading = TCMU_HANDLER_ASYNC, .flags = TCMU_HANDLER_JOINED},
	{.threading = TCMU_HANDLER_ASYNC, .flags = TCMU_HANDLER_FLAT},
	{.threading = TCMU_HANDLER_PARALLEL, .workers = 4},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Of transfers; UNMAP has another. */
static const uint32_t limits[] = {512, 1536, 4096, 40448, BYTES - 512, BYTES};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

static void start(
	struct io_fixture *fixture, const struct backend_options *way, uint32_t limit,
	uint64_t caps)
{
	struct io_fixture_options options = {.backend = *way, .uio.ring.scatter = true};

	options.backend.info.caps = caps;
	options.backend.info.maximum_transfer = limit;
	options.backend.info.maximum_unmap = limit;
	io_fixture_start(fixture, &options);
}

/* Each is whole blocks, none is longer than the limit, and each has a buffer of its length. */
static void no_request_is_longer(struct io_fixture *fixture, uint32_t limit)
{
	unsigned cnt = backend_count(fixture->backend, 0);

	assert_in_range(cnt, 1, BACKEND_LOG_MAX);
	for (unsigned i = 0; i < cnt; i++) {
		struct backend_record record = backend_record(fixture->backend, i);
		bool moves = record.op == TCMU_IO_READ || record.op == TCMU_IO_WRITE;

		assert_int_equal(record.length % FIXTURE_BLOCK, 0);
		if (moves || record.op == TCMU_IO_UNMAP)
			assert_in_range(record.length, FIXTURE_BLOCK, limit);
		if (moves)
			assert_int_equal(record.iov_length, record.length);
	}
	backend_forget(fixture->backend);
}

/* The range holds these bytes, and its neighbours are as they were. */
static void range_is(struct io_fixture *fixture, const uint8_t *bytes)
{
	backend_sync(fixture->backend);
	assert_memory_equal(io_fixture_store_at(fixture, LBA), bytes, BYTES);
	assert_int_equal(io_fixture_store_at(fixture, LBA)[-1], 0xee);
	assert_int_equal(io_fixture_store_at(fixture, LBA)[BYTES], 0xee);
}

static void set_range(struct io_fixture *fixture, const uint8_t *bytes)
{
	memset(backend_store(fixture->backend), 0xee, SIZE);
	memcpy(io_fixture_store_at(fixture, LBA), bytes, BYTES);
	backend_sync(fixture->backend);
}

/* Runs a command on a range that holds `before`; afterwards it holds `after`. */
static void check(
	struct io_fixture *fixture, uint32_t limit, struct initiator_command command,
	const uint8_t *before, const uint8_t *after)
{
	set_range(fixture, before);
	assert_int_equal(initiator_run(fixture, &command), SCSI_GOOD);
	range_is(fixture, after);
	no_request_is_longer(fixture, limit);
}

static struct {
	uint8_t a[BYTES], b[BYTES], either[BYTES], same[BYTES], zeros[BYTES], in[BYTES],
		swap[2 * HALF], swapped[BYTES];
} data;

static struct initiator_command cmd_sanitize_overwrite(void)
{
	static const uint8_t list[] = {0x01, 0, 0, 1, 0x5a};

	return (struct initiator_command){
		.cdb = {0x48, 0x01, [8] = sizeof(list)},
		.cdb_length = 10,
		.out = list,
		.length = sizeof(list)};
}

static void check_all(struct io_fixture *fixture, uint32_t limit, uint64_t caps)
{
	static const struct scsi_extent extents[] = {{LBA, BLOCKS - 1}, {LBA + BLOCKS - 1, 1}};
	struct initiator_command short_read = cmd_read(LBA, BLOCKS, data.in);
	uint8_t list[UNMAP_LIST_LENGTH(2)];

	memset(data.in, 0, BYTES);
	check(fixture, limit, cmd_read(LBA, BLOCKS, data.in), data.a, data.a);
	assert_memory_equal(data.in, data.a, BYTES);
	/* Room for less than it asks for; the end lies within a block. */
	memset(data.in, 0, BYTES);
	short_read.length = BYTES - 700;
	check(fixture, limit, short_read, data.b, data.b);
	assert_memory_equal(data.in, data.b, BYTES - 700);

	check(fixture, limit, cmd_write(LBA, BLOCKS, data.a), data.b, data.a);
	check(fixture, limit, cmd_write_fua(LBA, BLOCKS, data.a), data.b, data.a);
	check(fixture, limit, cmd_verify(BYTCHK_NONE, LBA, BLOCKS, NULL), data.a, data.a);
	check(fixture, limit, cmd_verify(BYTCHK_DATA, LBA, BLOCKS, data.a), data.a, data.a);
	check(fixture, limit, cmd_verify(BYTCHK_ONE, LBA, BLOCKS, data.same), data.same, data.same);
	check(fixture, limit, cmd_write_and_verify(BYTCHK_NONE, LBA, BLOCKS, data.a), data.b,
	      data.a);
	check(fixture, limit, cmd_write_and_verify(BYTCHK_DATA, LBA, BLOCKS, data.a), data.b,
	      data.a);
	check(fixture, limit, cmd_orwrite(LBA, BLOCKS, data.a), data.b, data.either);
	check(fixture, limit, cmd_write_same(0, LBA, BLOCKS, data.same), data.a, data.same);
	check(fixture, limit, cmd_write_same(WRITE_SAME_NDOB, LBA, BLOCKS, NULL), data.a,
	      data.zeros);
	if (caps & TCMU_IO_CAP(TCMU_IO_UNMAP))
		check(fixture, limit, cmd_unmap(list, extents, 2), data.a, data.zeros);
	else
		check(fixture, limit, cmd_compare_and_write(LBA, BLOCKS / 2, data.swap), data.a,
		      data.swapped);
}

/* All commands that move data or unmap, by each kind of handler. */
static void no_request_is_longer_than_the_backend_takes(void **state)
{
	static const uint64_t caps[] = {FIXTURE_BASIC_CAPS, FIXTURE_ALL_CAPS};

	(void) state;
	for (size_t way = 0; way < WAYS; way++) {
		for (size_t i = 0; i < 2 * LIMITS; i++) {
			struct io_fixture fixture;
			struct initiator_command sanitize = cmd_sanitize_overwrite();
			uint32_t limit = limits[i / 2];

			start(&fixture, &ways[way], limit, caps[i % 2]);
			check_all(&fixture, limit, caps[i % 2]);
			assert_int_equal(initiator_run(&fixture, &sanitize), SCSI_GOOD);
			assert_int_equal(*io_fixture_store_at(&fixture, 0), 0x5a);
			no_request_is_longer(&fixture, limit);
			io_fixture_stop(&fixture);
		}
	}
}

/* Pieces are as long as they can be. */
static void a_command_makes_no_more_requests_than_needed(void **state)
{
	struct io_fixture fixture;
	struct initiator_command write = cmd_write(LBA, BLOCKS, data.a);

	(void) state;
	start(&fixture, &ways[0], 40 * FIXTURE_BLOCK + 3, FIXTURE_BASIC_CAPS);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 3);
	for (unsigned i = 0; i < 3; i++) {
		struct backend_record record = backend_record(fixture.backend, i);

		assert_int_equal(record.offset, (LBA + 40 * i) * FIXTURE_BLOCK);
		assert_int_equal(record.length, (i < 2 ? 40 : BLOCKS - 80) * FIXTURE_BLOCK);
	}
	io_fixture_stop(&fixture);
}

/* The error is that of the piece, and no other piece follows. */
static void a_piece_that_fails_ends_the_command(void **state)
{
	struct initiator_command commands[] = {
		cmd_read(LBA, BLOCKS, data.in), cmd_write(LBA, BLOCKS, data.a)};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		enum tcmu_io_op op = i ? TCMU_IO_WRITE : TCMU_IO_READ;
		struct io_fixture fixture;

		start(&fixture, &ways[0], 30 * FIXTURE_BLOCK, FIXTURE_BASIC_CAPS);
		backend_fail(fixture.backend, op, 1, 1, -EIO);
		initiator_run_sense(&fixture, &commands[i], 0x03, i ? 0x0c00 : 0x1100);
		assert_int_equal(cmd_sense_info(&commands[i]), LBA + 30);
		assert_int_equal(backend_count(fixture.backend, op), 2);
		io_fixture_stop(&fixture);
	}
}

/* A WRITE that something stops while its first piece is with the backend: no other piece follows.
 */
static void check_stopped(
	void (*hinder)(struct io_fixture *fixture, const struct initiator_command *write),
	uint8_t status)
{
	struct io_fixture fixture;
	struct initiator_command write = cmd_write(LBA, BLOCKS, data.a);

	start(&fixture, &ways[0], 30 * FIXTURE_BLOCK, FIXTURE_BASIC_CAPS);
	initiator_send_held(&fixture, &write, TCMU_IO_CAP(TCMU_IO_WRITE));
	hinder(&fixture, &write);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&write, status);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 1);
	io_fixture_stop(&fixture);
}

static void abort_command(struct io_fixture *fixture, const struct initiator_command *write)
{
	struct initiator_command ready = cmd_test_unit_ready();

	initiator_abort(fixture, TCMU_TMR_TYPE_LUN_RESET, write);
	/* The thread has read the function. */
	assert_int_equal(initiator_run(fixture, &ready), SCSI_GOOD);
}

static void an_aborted_command_submits_no_more_pieces(void **state)
{
	(void) state;
	check_stopped(abort_command, SCSI_TASK_ABORTED);
}

static void lose_lock(struct io_fixture *fixture, const struct initiator_command *write)
{
	(void) write;
	io_thread_set_permission(fixture->thread, IO_PERMIT_READS, 0);
	io_fixture_wait_control(fixture);
}

static void a_piece_needs_the_permission_as_a_request_does(void **state)
{
	(void) state;
	check_stopped(lose_lock, SCSI_BUSY);
}

/* All or nothing cannot be had in pieces. */
static void an_atomic_write_is_not_cut(void **state)
{
	struct initiator_command atomic = cmd_cdb16(0x9c, 0, LBA, 0, data.a, 4 * FIXTURE_BLOCK);
	struct io_fixture fixture;

	(void) state;
	atomic.cdb[13] = 4;
	io_fixture_init(
		&fixture,
		&(struct io_fixture_options){.backend.info.maximum_transfer = 3 * FIXTURE_BLOCK});
	fixture.setup.lu.max_atomic = 4;
	io_fixture_start_thread(&fixture);
	initiator_run_sense(&fixture, &atomic, 0x03, 0x0c00);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_request_is_longer_than_the_backend_takes),
		cmocka_unit_test(a_command_makes_no_more_requests_than_needed),
		cmocka_unit_test(a_piece_that_fails_ends_the_command),
		cmocka_unit_test(an_aborted_command_submits_no_more_pieces),
		cmocka_unit_test(a_piece_needs_the_permission_as_a_request_does),
		cmocka_unit_test(an_atomic_write_is_not_cut),
	};

	fill_pattern(data.a, BYTES, 1);
	fill_pattern(data.b, BYTES, 2);
	fill_pattern(data.same, FIXTURE_BLOCK, 3);
	for (size_t i = 0; i < BYTES; i++) {
		data.either[i] = data.a[i] | data.b[i];
		data.same[i] = data.same[i % FIXTURE_BLOCK];
	}
	/* The first half of a, then what replaces it. */
	memcpy(data.swap, data.a, HALF);
	memcpy(data.swap + HALF, data.b, HALF);
	memcpy(data.swapped, data.a, BYTES);
	memcpy(data.swapped, data.b, HALF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
