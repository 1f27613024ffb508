/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands become requests to the handler: reads and writes, durability, native operations and
 * emulated ones.
 */
#include "io-fixture.h"
#include "io/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iovec.h"

#define CHUNK_BLOCKS 512u /* 256 KiB: the most that an emulated operation moves in one step */

static const struct io_fixture_options defaults;

#define assert_record(fixture, i, o, f, lba, blocks) \
	do { \
		struct backend_record got_ = backend_record((fixture)->backend, i); \
		assert_int_equal(got_.op, o); \
		assert_int_equal(got_.flags, f); \
		assert_int_equal(got_.offset, (uint64_t) (lba) *FIXTURE_BLOCK); \
		assert_int_equal(got_.length, (uint64_t) (blocks) *FIXTURE_BLOCK); \
	} while (0)

#define assert_flush(fixture, i) \
	assert_int_equal(backend_record((fixture)->backend, i).op, TCMU_IO_FLUSH)

/* ------- durability ------- */

static void fua_is_passed_to_a_capable_handler(void **state)
{
	struct io_fixture_options options = {.backend.info = {.volatile_cache = true, .fua = true}};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command forced = cmd_write_fua(3, 1, out), plain = cmd_write(4, 1, out);

	(void) state;
	io_fixture_start(&fixture, &options);
	assert_int_equal(initiator_run(&fixture, &forced), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &plain), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	assert_record(&fixture, 0, TCMU_IO_WRITE, TCMU_IO_FUA, 3, 1);
	assert_record(&fixture, 1, TCMU_IO_WRITE, 0, 4, 1);
	io_fixture_stop(&fixture);
}

static void fua_is_emulated_by_a_flush(void **state)
{
	struct io_fixture_options options = {.backend.info.volatile_cache = true};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command forced = cmd_write_fua(3, 1, out);

	(void) state;
	io_fixture_start(&fixture, &options);
	initiator_send_held(&fixture, &forced, TCMU_IO_CAP(TCMU_IO_FLUSH));
	assert_false(initiator_is_done(&forced));
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&forced, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	assert_record(&fixture, 0, TCMU_IO_WRITE, 0, 3, 1);
	assert_flush(&fixture, 1);
	io_fixture_stop(&fixture);
}

static void fua_costs_nothing_without_a_volatile_cache(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command forced = cmd_write_fua(3, 1, out);

	(void) state;
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){.no_write_cache = true, .backend.info.fua = true});
	assert_int_equal(initiator_run(&fixture, &forced), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 1);
	assert_record(&fixture, 0, TCMU_IO_WRITE, 0, 3, 1);
	io_fixture_stop(&fixture);
}

/* With WCE=0 GOOD means that the data is on the medium. */
static void without_a_write_cache_every_change_is_flushed(void **state)
{
	struct io_fixture_options options = {
		.no_write_cache = true,
		.backend.info = {
			.volatile_cache = true,
			.caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_UNMAP) |
				TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES)}};
	static const struct scsi_extent extents[] = {{1, 1}, {5, 2}};
	uint8_t out[2 * FIXTURE_BLOCK] = {0}, pattern[FIXTURE_BLOCK], list[UNMAP_LIST_LENGTH(2)];
	struct initiator_command commands[] = {
		cmd_write(0, 1, out),
		cmd_write_and_verify(BYTCHK_DATA, 0, 1, out),
		cmd_write_same(0, 0, 8, pattern),
		cmd_write_same(0, 0, 8, out),
		cmd_unmap(list, extents, 2),
		cmd_compare_and_write(0, 1, out),
		cmd_orwrite(0, 1, out),
	};
	struct io_fixture fixture;

	(void) state;
	memset(pattern, 1, sizeof(pattern));
	io_fixture_start(&fixture, &options);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		backend_forget(fixture.backend);
		assert_int_equal(initiator_run(&fixture, &commands[i]), SCSI_GOOD);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
		assert_flush(&fixture, backend_count(fixture.backend, 0) - 1);
	}
	io_fixture_stop(&fixture);
}

/* Only writes can have FUA. */
static void operations_without_fua_are_flushed(void **state)
{
	struct io_fixture_options options = {
		.no_write_cache = true,
		.backend.info = {.volatile_cache = true, .fua = true, .caps = FIXTURE_ALL_CAPS}};
	static const struct scsi_extent extents[] = {{5, 2}};
	uint8_t out[2 * FIXTURE_BLOCK] = {0}, list[UNMAP_LIST_LENGTH(1)];
	struct initiator_command commands[] = {
		cmd_unmap(list, extents, 1), cmd_compare_and_write(3, 1, out)};
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	for (unsigned i = 0; i < 2; i++) {
		backend_forget(fixture.backend);
		assert_int_equal(initiator_run(&fixture, &commands[i]), SCSI_GOOD);
		assert_int_equal(backend_count(fixture.backend, 0), 2);
		assert_int_equal(backend_record(fixture.backend, 0).flags, 0);
		assert_flush(&fixture, 1);
		backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
		initiator_run_sense(&fixture, &commands[i], 0x03, 0x0c00);
		assert_int_equal(cmd_sense_info(&commands[i]), i ? 3 : 5);
	}
	io_fixture_stop(&fixture);
}

static void a_failed_flush_fails_its_write(void **state)
{
	struct io_fixture_options options = {.backend.info.volatile_cache = true};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command forced = cmd_write_fua(33, 1, out), flush = cmd_flush();

	(void) state;
	io_fixture_start(&fixture, &options);
	backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 2, -EIO);
	initiator_run_sense(&fixture, &forced, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&forced), 33);
	initiator_run_sense(&fixture, &flush, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&flush), UINT64_MAX);
	assert_int_equal(initiator_run(&fixture, &flush), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_handler_without_flush_gets_none(void **state)
{
	struct io_fixture_options options = {
		.backend.info = {
			.volatile_cache = true,
			.caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE)}};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command flush = cmd_flush(), forced = cmd_write_fua(0, 1, out);

	(void) state;
	io_fixture_start(&fixture, &options);
	assert_int_equal(initiator_run(&fixture, &flush), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &forced), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 0);
	io_fixture_stop(&fixture);
}

/* ------- UNMAP ------- */

static const struct tcmu_backend_info can_unmap = {
	.caps = FIXTURE_BASIC_CAPS | (UINT64_C(1) << TCMU_IO_UNMAP),
	.thin = true,
};

static void unmap_submits_one_extent_after_another(void **state)
{
	struct scsi_extent extents[32];
	uint8_t list[UNMAP_LIST_LENGTH(32)];
	struct io_fixture fixture;
	struct initiator_command command;

	(void) state;
	for (unsigned i = 0; i < 32; i++)
		extents[i] = (struct scsi_extent){.lba = 60 * i, .blocks = i == 7 ? 0 : i + 1};
	command = cmd_unmap(list, extents, 32);
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.info = can_unmap});
	memset(io_fixture_store_at(&fixture, 0), 0xee, 2048 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 31);
	for (unsigned i = 0; i < 31; i++) {
		const struct scsi_extent *extent = &extents[i < 7 ? i : i + 1];

		assert_record(&fixture, i, TCMU_IO_UNMAP, 0, extent->lba, extent->blocks);
		assert_int_equal(*io_fixture_store_at(&fixture, extent->lba), 0);
		assert_int_equal(
			*io_fixture_store_at(&fixture, extent->lba + extent->blocks), 0xee);
	}
	assert_int_equal(backend_most_at_once(fixture.backend), 1);
	io_fixture_stop(&fixture);
}

static void a_failed_unmap_stops(void **state)
{
	static const struct scsi_extent extents[] = {{8, 8}, {24, 8}, {40, 8}};
	uint8_t list[UNMAP_LIST_LENGTH(3)];
	struct io_fixture fixture;
	struct initiator_command command = cmd_unmap(list, extents, 3);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.info = can_unmap});
	backend_fail(fixture.backend, TCMU_IO_UNMAP, 1, 1, -EIO);
	initiator_run_sense(&fixture, &command, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&command), 24);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	io_fixture_stop(&fixture);
}

/* ------- WRITE SAME ------- */

static void write_same_repeats_its_block(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command same = cmd_write_same(0, 10, 2 * CHUNK_BLOCKS + 100, out);

	(void) state;
	fill_pattern(out, sizeof(out), 9);
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &same), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 3);
	assert_record(&fixture, 0, TCMU_IO_WRITE, 0, 10, CHUNK_BLOCKS);
	assert_record(&fixture, 1, TCMU_IO_WRITE, 0, 10 + CHUNK_BLOCKS, CHUNK_BLOCKS);
	assert_record(&fixture, 2, TCMU_IO_WRITE, 0, 10 + 2 * CHUNK_BLOCKS, 100);
	assert_int_equal(*(io_fixture_store_at(&fixture, 10) - 1), 0);
	for (unsigned i = 0; i < 2 * CHUNK_BLOCKS + 100; i++)
		assert_memory_equal(io_fixture_store_at(&fixture, 10 + i), out, FIXTURE_BLOCK);
	assert_int_equal(*io_fixture_store_at(&fixture, 10 + 2 * CHUNK_BLOCKS + 100), 0);
	io_fixture_stop(&fixture);
}

static void a_failed_write_same_reports_the_block(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command same = cmd_write_same(0, 10, 2 * CHUNK_BLOCKS, out);

	(void) state;
	memset(out, 1, sizeof(out));
	io_fixture_start(&fixture, &defaults);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 1, 1, -EIO);
	initiator_run_sense(&fixture, &same, 0x03, 0x0c00);
	assert_int_equal(cmd_sense_info(&same), 10 + CHUNK_BLOCKS);
	assert_int_equal(backend_count(fixture.backend, 0), 2);
	io_fixture_stop(&fixture);
}

static const struct tcmu_backend_info can_zero = {
	.caps = FIXTURE_BASIC_CAPS | (UINT64_C(1) << TCMU_IO_WRITE_ZEROES) |
		(UINT64_C(1) << TCMU_IO_UNMAP),
	.volatile_cache = true,
	.fua = true,
	.thin = true,
};

static void write_same_of_zeros_becomes_write_zeroes(void **state)
{
	static const uint8_t zeros[FIXTURE_BLOCK];
	struct io_fixture fixture;
	uint8_t almost[FIXTURE_BLOCK] = {0};
	struct initiator_command same = cmd_write_same(0, 0, 1000, zeros);
	struct initiator_command may_unmap = cmd_write_same(WRITE_SAME_UNMAP, 8, 500, zeros);
	struct initiator_command no_data = cmd_write_same(WRITE_SAME_NDOB, 16, 100, NULL);
	struct initiator_command not_zero = cmd_write_same(WRITE_SAME_UNMAP, 0, 2, almost);

	(void) state;
	almost[FIXTURE_BLOCK - 1] = 1;
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){.backend.info = can_zero, .no_write_cache = true});
	assert_int_equal(initiator_run(&fixture, &same), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &may_unmap), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &no_data), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &not_zero), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 4);
	assert_record(&fixture, 0, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA, 0, 1000);
	assert_record(&fixture, 1, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA | TCMU_IO_MAY_UNMAP, 8, 500);
	assert_record(&fixture, 2, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA, 16, 100);
	assert_record(&fixture, 3, TCMU_IO_WRITE, TCMU_IO_FUA, 0, 2);
	io_fixture_stop(&fixture);
}

static void write_same_is_passed_to_a_capable_handler(void **state)
{
	static const uint64_t caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_WRITE_SAME);
	struct io_fixture fixture;
	uint8_t data[FIXTURE_BLOCK] = {0};
	struct initiator_command same = cmd_write_same(0, 3, CHUNK_BLOCKS + 5, data);
	struct initiator_command fails = cmd_write_same(0, 3, 5, data);

	(void) state;
	fill_pattern(data, sizeof(data), 9);
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){
			.backend.info = {.caps = caps, .volatile_cache = true, .fua = true},
			.no_write_cache = true});
	memset(io_fixture_store_at(&fixture, 0), 0xdd, 2048 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &same), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 1);
	assert_record(&fixture, 0, TCMU_IO_WRITE_SAME, TCMU_IO_FUA, 3, CHUNK_BLOCKS + 5);
	assert_int_equal(*(io_fixture_store_at(&fixture, 3) - 1), 0xdd);
	for (uint64_t i = 0; i < CHUNK_BLOCKS + 5; i++)
		assert_memory_equal(io_fixture_store_at(&fixture, 3 + i), data, FIXTURE_BLOCK);
	assert_int_equal(*io_fixture_store_at(&fixture, 3 + CHUNK_BLOCKS + 5), 0xdd);

	backend_fail(fixture.backend, TCMU_IO_WRITE_SAME, 0, 1, -ENOSPC);
	initiator_run_sense(&fixture, &fails, 0x07, 0x2707);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_stop(&fixture);
}

static void without_write_zeroes_zeros_are_written_as_data(void **state)
{
	struct io_fixture fixture;
	struct initiator_command no_data = cmd_write_same(
		WRITE_SAME_NDOB, 16, CHUNK_BLOCKS + 1, NULL);

	(void) state;
	for (int native = 0; native < 2; native++) {
		io_fixture_start(
			&fixture,
			&(struct io_fixture_options){
				.backend.info = native ? can_zero : defaults.backend.info});
		memset(io_fixture_store_at(&fixture, 0), 0xdd, 2048 * FIXTURE_BLOCK);
		backend_fail(fixture.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -EOPNOTSUPP);
		assert_int_equal(initiator_run(&fixture, &no_data), SCSI_GOOD);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), native);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 2);
		assert_int_equal(*(io_fixture_store_at(&fixture, 16) - 1), 0xdd);
		for (uint64_t i = 0; i < (uint64_t) (CHUNK_BLOCKS + 1) * FIXTURE_BLOCK; i++)
			assert_int_equal(io_fixture_store_at(&fixture, 16)[i], 0);
		assert_int_equal(*io_fixture_store_at(&fixture, 16 + CHUNK_BLOCKS + 1), 0xdd);
		io_fixture_stop(&fixture);
	}
}

static void failed_write_zeroes_are_not_written_as_data(void **state)
{
	struct io_fixture fixture;
	struct initiator_command no_data = cmd_write_same(WRITE_SAME_NDOB, 16, 8, NULL);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.info = can_zero});
	backend_fail(fixture.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -ENOSPC);
	initiator_run_sense(&fixture, &no_data, 0x07, 0x2707);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_stop(&fixture);
}

/* ------- GET LBA STATUS ------- */

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static void get_lba_status_reports_what_is_allocated(void **state)
{
	struct io_fixture fixture;
	uint8_t in[512];
	struct initiator_command status = cmd_get_lba_status(4, in, sizeof(in));

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	memset(io_fixture_store_at(&fixture, 10), 1, 20 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 3 * 16);
	assert_int_equal(get_be32(in), 4 + 3 * 16);
	assert_int_equal(get_be32(in + 8 + 4), 4);
	assert_int_equal(get_be32(in + 8 + 8), 6);
	assert_int_equal(in[8 + 12], 1); /* deallocated */
	assert_int_equal(get_be32(in + 24 + 4), 10);
	assert_int_equal(get_be32(in + 24 + 8), 20);
	assert_int_equal(in[24 + 12], 0);
	assert_int_equal(get_be32(in + 40 + 4), 30);
	assert_int_equal(get_be32(in + 40 + 8), 2048 - 30);
	io_fixture_stop(&fixture);
}

static void get_lba_status_merges_equal_neighbours(void **state)
{
	struct io_fixture_options options = {
		.backend = {.map_max = 7 * FIXTURE_BLOCK, .info.caps = FIXTURE_ALL_CAPS}};
	struct io_fixture fixture;
	uint8_t in[512];
	struct initiator_command status = cmd_get_lba_status(0, in, sizeof(in));

	(void) state;
	io_fixture_start(&fixture, &options);
	memset(io_fixture_store_at(&fixture, 0), 1, 100 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 2 * 16);
	assert_int_equal(get_be32(in + 8 + 8), 100);
	assert_int_equal(get_be32(in + 24 + 8), 2048 - 100);
	io_fixture_stop(&fixture);
}

/* A fragmented medium: the answer covers its beginning, and the initiator asks again. */
static void get_lba_status_is_limited_in_length(void **state)
{
	struct io_fixture fixture;
	uint8_t in[4096];
	struct initiator_command status = cmd_get_lba_status(0, in, sizeof(in)),
				 few = cmd_get_lba_status(0, in, 40);

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	for (unsigned i = 0; i < 1000; i += 2)
		*io_fixture_store_at(&fixture, i) = 1;
	assert_int_equal(initiator_run(&fixture, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 64 * 16);
	assert_int_equal(get_be32(in), 4 + 64 * 16);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(get_be32(in + 8 + 16 * i + 4), i);
		assert_int_equal(get_be32(in + 8 + 16 * i + 8), 1);
		assert_int_equal(in[8 + 16 * i + 12], i % 2);
	}
	assert_int_equal(initiator_run(&fixture, &few), SCSI_GOOD);
	assert_int_equal(few.returned, 40);
	io_fixture_stop(&fixture);
}

static void a_failed_map_is_an_error(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command status = cmd_get_lba_status(5, in, sizeof(in));

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.backend.info.caps = FIXTURE_ALL_CAPS});
	backend_fail(fixture.backend, TCMU_IO_MAP, 0, 1, -EIO);
	initiator_run_sense(&fixture, &status, 0x03, 0x1100);
	assert_int_equal(cmd_sense_info(&status), 5);
	io_fixture_stop(&fixture);
}

static void without_map_everything_is_allocated(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command status = cmd_get_lba_status(5, in, sizeof(in));

	(void) state;
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 24);
	assert_int_equal(get_be32(in + 8 + 8), 2048 - 5);
	assert_int_equal(in[8 + 12], 0);
	io_fixture_stop(&fixture);
}

static void an_atomic_write_is_one_request(void **state)
{
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct io_fixture fixture;
	struct initiator_command atomic = cmd_cdb16(0x9c, 0, 3, 0, out, sizeof(out));

	(void) state;
	fill_pattern(out, sizeof(out), 1);
	atomic.cdb[13] = 1;
	io_fixture_init(&fixture, &(struct io_fixture_options){0});
	fixture.setup.lu.max_atomic = 1;
	io_fixture_start_thread(&fixture);
	assert_int_equal(initiator_run(&fixture, &atomic), SCSI_GOOD);
	assert_int_equal(backend_record(fixture.backend, 0).op, TCMU_IO_WRITE);
	assert_int_equal(backend_record(fixture.backend, 0).flags, TCMU_IO_ATOMIC);
	backend_sync(fixture.backend);
	assert_memory_equal(backend_store(fixture.backend) + 3 * FIXTURE_BLOCK, out, sizeof(out));
	io_fixture_stop(&fixture);
}

/* ------- pieces ------- */

static void neighbouring_pieces_are_joined(void **state)
{
	static const unsigned lengths[] = {1, 2, 5, 9};
	struct iovec iov[9];
	char memory[64];

	(void) state;
	assert_int_equal(iovec_join(iov, 0), 0);
	for (unsigned skips = 0; skips < 1u << 8; skips++) {
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			unsigned wanted = 1, joined;
			char *at = memory;
			size_t bytes = 0;

			for (unsigned k = 0; k < lengths[i]; k++, at += 4) {
				bool skip = k && (skips >> (k - 1) & 1);

				at += skip ? 1 : 0;
				wanted += skip ? 1 : 0;
				iov[k] = (struct iovec){at, 4};
			}
			joined = iovec_join(iov, lengths[i]);
			assert_int_equal(joined, wanted);
			assert_ptr_equal(iov[0].iov_base, memory);
			for (unsigned k = 0; k < joined; k++) {
				bytes += iov[k].iov_len;
				assert_true(
					k == 0 ||
					(char *) iov[k].iov_base ==
						(char *) iov[k - 1].iov_base + iov[k - 1].iov_len +
							1);
			}
			assert_int_equal(bytes, 4 * lengths[i]);
		}
	}
}

#define FLAT_BLOCKS 40u /* five pages */

/* Every command whose data is in the ring, with data in several places. flags: the handler's. Each
 * request that has more pieces than one is counted. */
static unsigned run_scattered(uint32_t flags, uint64_t caps, unsigned *requests)
{
	static uint8_t out[2 * FLAT_BLOCKS * FIXTURE_BLOCK], in[(FLAT_BLOCKS + 8) * FIXTURE_BLOCK];
	struct io_fixture_options options = {
		.backend = {.flags = flags, .info = {.caps = caps, .volatile_cache = true}},
		.uio.ring.scatter = true};
	struct initiator_command commands[] = {
		cmd_write(8, FLAT_BLOCKS, out),
		cmd_write_fua(8, FLAT_BLOCKS, out),
		cmd_write_and_verify(BYTCHK_NONE, 8, FLAT_BLOCKS, out),
		cmd_write_and_verify(BYTCHK_DATA, 8, FLAT_BLOCKS, out),
		cmd_verify(BYTCHK_DATA, 8, FLAT_BLOCKS, out),
		cmd_orwrite(8, FLAT_BLOCKS, out),
		cmd_write_same(0, 8, FLAT_BLOCKS, out),
		cmd_compare_and_write(8, FLAT_BLOCKS, out),
	};
	struct initiator_command read = cmd_read(8, FLAT_BLOCKS, in);
	struct io_fixture fixture;
	size_t length = FLAT_BLOCKS * FIXTURE_BLOCK;
	unsigned split = 0;

	io_fixture_start(&fixture, &options);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		bool compares = i + 1 == sizeof(commands) / sizeof(commands[0]);
		bool same = i + 2 == sizeof(commands) / sizeof(commands[0]);

		fill_pattern(out, sizeof(out), (uint32_t) i);
		if (i == 4 || compares) /* what is compared is there */
			memcpy(backend_store(fixture.backend) + 8 * FIXTURE_BLOCK, out, length);
		if (i == 5)
			memset(backend_store(fixture.backend) + 8 * FIXTURE_BLOCK, 0, length);
		backend_sync(fixture.backend);
		assert_int_equal(initiator_run(&fixture, &commands[i]), SCSI_GOOD);
		backend_sync(fixture.backend);
		assert_memory_equal(
			backend_store(fixture.backend) + 8 * FIXTURE_BLOCK,
			out + (compares ? length : 0), same ? FIXTURE_BLOCK : length);
	}
	/* As many blocks as there is room, fewer, and more room than blocks. */
	for (unsigned room = FLAT_BLOCKS - 8; room <= FLAT_BLOCKS + 8; room += 8) {
		unsigned blocks = room < FLAT_BLOCKS ? room : FLAT_BLOCKS;

		memset(in, FIXTURE_POISON, sizeof(in));
		read.length = room * FIXTURE_BLOCK;
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
		assert_memory_equal(in, out + length, blocks * FIXTURE_BLOCK);
	}
	*requests = backend_count(fixture.backend, 0);
	for (unsigned i = 0; i < *requests; i++)
		split += backend_record(fixture.backend, i).iov_cnt > 1;
	io_fixture_stop(&fixture);
	return split;
}

static void a_handler_gets_one_piece_if_it_asks_for_that(void **state)
{
	static const uint64_t caps[] = {FIXTURE_BASIC_CAPS, FIXTURE_ALL_CAPS};

	(void) state;
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		unsigned requests, flat_requests;

		assert_true(run_scattered(0, caps[i], &requests) >= 6);
		assert_true(run_scattered(TCMU_HANDLER_JOINED, caps[i], &requests) >= 6);
		assert_int_equal(run_scattered(TCMU_HANDLER_FLAT, caps[i], &flat_requests), 0);
		assert_int_equal(flat_requests, requests);
	}
}

static void commands_without_blocks_succeed_at_once(void **state)
{
	struct io_fixture fixture;
	struct initiator_command prefetch = cmd_cdb16(0x90, 0, 0, 8, NULL, 0);
	struct initiator_command nothing[] = {cmd_read(0, 0, NULL), cmd_write(0, 0, NULL)};

	(void) state;
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(initiator_run(&fixture, &prefetch), SCSI_GOOD);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(initiator_run(&fixture, &nothing[i]), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fua_is_passed_to_a_capable_handler),
		cmocka_unit_test(fua_is_emulated_by_a_flush),
		cmocka_unit_test(fua_costs_nothing_without_a_volatile_cache),
		cmocka_unit_test(without_a_write_cache_every_change_is_flushed),
		cmocka_unit_test(operations_without_fua_are_flushed),
		cmocka_unit_test(a_failed_flush_fails_its_write),
		cmocka_unit_test(a_handler_without_flush_gets_none),
		cmocka_unit_test(unmap_submits_one_extent_after_another),
		cmocka_unit_test(a_failed_unmap_stops),
		cmocka_unit_test(write_same_repeats_its_block),
		cmocka_unit_test(a_failed_write_same_reports_the_block),
		cmocka_unit_test(write_same_of_zeros_becomes_write_zeroes),
		cmocka_unit_test(write_same_is_passed_to_a_capable_handler),
		cmocka_unit_test(without_write_zeroes_zeros_are_written_as_data),
		cmocka_unit_test(failed_write_zeroes_are_not_written_as_data),
		cmocka_unit_test(get_lba_status_reports_what_is_allocated),
		cmocka_unit_test(get_lba_status_merges_equal_neighbours),
		cmocka_unit_test(get_lba_status_is_limited_in_length),
		cmocka_unit_test(a_failed_map_is_an_error),
		cmocka_unit_test(without_map_everything_is_allocated),
		cmocka_unit_test(an_atomic_write_is_one_request),
		cmocka_unit_test(neighbouring_pieces_are_joined),
		cmocka_unit_test(a_handler_gets_one_piece_if_it_asks_for_that),
		cmocka_unit_test(commands_without_blocks_succeed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
