/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands become for the handler: reads and writes, their durability, the operations it has
 * and those that are made of others.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BLOCKS 512u /* 256 KiB: the most that is moved at once for an emulated operation */

static const struct rig_options defaults;

static uint8_t *at(const struct rig *rig, uint64_t lba)
{
	return backend_store(rig->backend) + lba * RIG_BLOCK;
}

#define assert_record(rig, i, o, f, lba, blocks) \
	do { \
		struct backend_record got_ = backend_record((rig)->backend, i); \
		assert_int_equal(got_.op, o); \
		assert_int_equal(got_.flags, f); \
		assert_int_equal(got_.offset, (uint64_t) (lba) *RIG_BLOCK); \
		assert_int_equal(got_.length, (uint64_t) (blocks) *RIG_BLOCK); \
	} while (0)

#define assert_flush(rig, i) assert_int_equal(backend_record((rig)->backend, i).op, TCMU_IO_FLUSH)

/* ------- durability ------- */

static void a_forced_write_is_forced_by_the_handler_that_can(void **state)
{
	struct rig_options options = {.backend.info = {.volatile_cache = true, .fua = true}};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command forced = rig_write_fua(3, 1, out), plain = rig_write(4, 1, out);

	(void) state;
	rig_start(&rig, &options);
	assert_int_equal(rig_do(&rig, &forced), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &plain), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	assert_record(&rig, 0, TCMU_IO_WRITE, TCMU_IO_FUA, 3, 1);
	assert_record(&rig, 1, TCMU_IO_WRITE, 0, 4, 1);
	rig_stop(&rig);
}

static void a_forced_write_is_flushed_where_the_handler_cannot(void **state)
{
	struct rig_options options = {.backend.info.volatile_cache = true};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command forced = rig_write_fua(3, 1, out);

	(void) state;
	rig_start(&rig, &options);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_FLUSH));
	rig_send(&rig, &forced);
	assert_true(backend_wait_held(rig.backend, 1));
	assert_false(rig_is_done(&forced));
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&forced);
	assert_int_equal(forced.status, SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	assert_record(&rig, 0, TCMU_IO_WRITE, 0, 3, 1);
	assert_flush(&rig, 1);
	rig_stop(&rig);
}

static void nothing_is_forced_where_writes_are_stable(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command forced = rig_write_fua(3, 1, out);

	(void) state;
	rig_start(&rig, &(struct rig_options){.no_write_cache = true, .backend.info.fua = true});
	assert_int_equal(rig_do(&rig, &forced), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 1);
	assert_record(&rig, 0, TCMU_IO_WRITE, 0, 3, 1);
	rig_stop(&rig);
}

static void unmap_list(uint8_t *list, const struct scsi_extent *extents, unsigned cnt)
{
	memset(list, 0, 8 + 16 * cnt);
	list[1] = (uint8_t) (6 + 16 * cnt);
	list[0] = (uint8_t) ((6 + 16 * cnt) >> 8);
	list[3] = (uint8_t) (16 * cnt);
	list[2] = (uint8_t) ((16 * cnt) >> 8);
	for (unsigned i = 0; i < cnt; i++) {
		for (int j = 0; j < 8; j++)
			list[8 + 16 * i + j] = (uint8_t) (extents[i].lba >> (56 - 8 * j));
		for (int j = 0; j < 4; j++)
			list[16 + 16 * i + j] = (uint8_t) (extents[i].blocks >> (24 - 8 * j));
	}
}

static struct rig_command unmap(const uint8_t *list, unsigned cnt)
{
	uint32_t length = 8 + 16 * cnt;

	return (struct rig_command){
		.cdb = {0x42, 0, 0, 0, 0, 0, 0, (uint8_t) (length >> 8), (uint8_t) length},
		.cdb_length = 10,
		.out = list,
		.length = length,
	};
}

/* With WCE=0 the status of every command that writes says that it is on the medium. */
static void without_a_write_cache_everything_that_writes_is_flushed(void **state)
{
	struct rig_options options = {
		.no_write_cache = true,
		.backend.info = {
			.volatile_cache = true,
			.caps = RIG_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_UNMAP) |
				TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES)}};
	static const struct scsi_extent extents[] = {{1, 1}, {5, 2}};
	uint8_t out[2 * RIG_BLOCK] = {0}, pattern[RIG_BLOCK], list[64] = {0};
	struct rig_command commands[] = {
		rig_write(0, 1, out),
		rig_cdb16(0x8e, 0x02, 0, 1, out, RIG_BLOCK), /* WRITE AND VERIFY, BYTCHK */
		rig_cdb16(0x93, 0, 0, 8, pattern, RIG_BLOCK),
		rig_cdb16(0x93, 0, 0, 8, out, RIG_BLOCK),
		unmap(list, 2),
		rig_compare_and_write(0, 1, out),
		rig_cdb16(0x8b, 0, 0, 1, out, RIG_BLOCK), /* ORWRITE */
	};
	struct rig rig;

	(void) state;
	unmap_list(list, extents, 2);
	memset(pattern, 1, sizeof(pattern));
	rig_start(&rig, &options);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		backend_forget(rig.backend);
		assert_int_equal(rig_do(&rig, &commands[i]), SCSI_GOOD);
		assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 1);
		assert_flush(&rig, backend_count(rig.backend, 0) - 1);
	}
	rig_stop(&rig);
}

/* FUA goes with writes only. */
static void what_cannot_be_forced_is_flushed(void **state)
{
	struct rig_options options = {
		.no_write_cache = true,
		.backend.info = {.volatile_cache = true, .fua = true, .caps = RIG_ALL_CAPS}};
	static const struct scsi_extent extents[] = {{5, 2}};
	uint8_t out[2 * RIG_BLOCK] = {0}, list[24] = {0};
	struct rig_command commands[] = {unmap(list, 1), rig_compare_and_write(3, 1, out)};
	struct rig rig;

	(void) state;
	unmap_list(list, extents, 1);
	rig_start(&rig, &options);
	for (unsigned i = 0; i < 2; i++) {
		backend_forget(rig.backend);
		assert_int_equal(rig_do(&rig, &commands[i]), SCSI_GOOD);
		assert_int_equal(backend_count(rig.backend, 0), 2);
		assert_int_equal(backend_record(rig.backend, 0).flags, 0);
		assert_flush(&rig, 1);
		backend_fail(rig.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
		rig_do(&rig, &commands[i]);
		assert_sense(&commands[i], 0x03, 0x0c00);
		assert_int_equal(rig_sense_info(&commands[i]), i ? 3 : 5);
	}
	rig_stop(&rig);
}

static void a_flush_that_fails_after_a_write_fails_the_write(void **state)
{
	struct rig_options options = {.backend.info.volatile_cache = true};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command forced = rig_write_fua(33, 1, out), flush = rig_flush();

	(void) state;
	rig_start(&rig, &options);
	backend_fail(rig.backend, TCMU_IO_FLUSH, 0, 2, -EIO);
	rig_do(&rig, &forced);
	assert_sense(&forced, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&forced), 33);
	rig_do(&rig, &flush);
	assert_sense(&flush, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&flush), UINT64_MAX);
	assert_int_equal(rig_do(&rig, &flush), SCSI_GOOD);
	rig_stop(&rig);
}

static void a_handler_without_flush_is_not_asked_for_it(void **state)
{
	struct rig_options options = {
		.backend.info = {
			.volatile_cache = true,
			.caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE)}};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command flush = rig_flush(), forced = rig_write_fua(0, 1, out);

	(void) state;
	rig_start(&rig, &options);
	assert_int_equal(rig_do(&rig, &flush), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &forced), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 0);
	rig_stop(&rig);
}

/* ------- UNMAP ------- */

static const struct tcmu_backend_info can_unmap = {
	.caps = RIG_BASIC_CAPS | (UINT64_C(1) << TCMU_IO_UNMAP),
	.thin = true,
};

static void unmaps_each_extent_in_turn(void **state)
{
	struct scsi_extent extents[32];
	uint8_t list[8 + 16 * 32] = {0};
	struct rig rig;
	struct rig_command command = unmap(list, 32);

	(void) state;
	for (unsigned i = 0; i < 32; i++)
		extents[i] = (struct scsi_extent){.lba = 60 * i, .blocks = i == 7 ? 0 : i + 1};
	unmap_list(list, extents, 32);
	rig_start(&rig, &(struct rig_options){.backend.info = can_unmap});
	memset(at(&rig, 0), 0xee, 2048 * RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &command), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 31);
	for (unsigned i = 0; i < 31; i++) {
		const struct scsi_extent *extent = &extents[i < 7 ? i : i + 1];

		assert_record(&rig, i, TCMU_IO_UNMAP, 0, extent->lba, extent->blocks);
		assert_int_equal(*at(&rig, extent->lba), 0);
		assert_int_equal(*at(&rig, extent->lba + extent->blocks), 0xee);
	}
	assert_int_equal(backend_most_at_once(rig.backend), 1);
	rig_stop(&rig);
}

static void an_unmap_that_fails_goes_no_further(void **state)
{
	static const struct scsi_extent extents[] = {{8, 8}, {24, 8}, {40, 8}};
	uint8_t list[8 + 16 * 3] = {0};
	struct rig rig;
	struct rig_command command = unmap(list, 3);

	(void) state;
	unmap_list(list, extents, 3);
	rig_start(&rig, &(struct rig_options){.backend.info = can_unmap});
	backend_fail(rig.backend, TCMU_IO_UNMAP, 1, 1, -EIO);
	rig_do(&rig, &command);
	assert_sense(&command, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&command), 24);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	rig_stop(&rig);
}

/* ------- WRITE SAME ------- */

static void writes_a_block_many_times(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command same = rig_cdb16(0x93, 0, 10, 2 * CHUNK_BLOCKS + 100, out, RIG_BLOCK);

	(void) state;
	rig_pattern(out, sizeof(out), 9);
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &same), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 3);
	assert_record(&rig, 0, TCMU_IO_WRITE, 0, 10, CHUNK_BLOCKS);
	assert_record(&rig, 1, TCMU_IO_WRITE, 0, 10 + CHUNK_BLOCKS, CHUNK_BLOCKS);
	assert_record(&rig, 2, TCMU_IO_WRITE, 0, 10 + 2 * CHUNK_BLOCKS, 100);
	assert_int_equal(*(at(&rig, 10) - 1), 0);
	for (unsigned i = 0; i < 2 * CHUNK_BLOCKS + 100; i++)
		assert_memory_equal(at(&rig, 10 + i), out, RIG_BLOCK);
	assert_int_equal(*at(&rig, 10 + 2 * CHUNK_BLOCKS + 100), 0);
	rig_stop(&rig);
}

static void a_write_same_that_fails_tells_where(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command same = rig_cdb16(0x93, 0, 10, 2 * CHUNK_BLOCKS, out, RIG_BLOCK);

	(void) state;
	memset(out, 1, sizeof(out));
	rig_start(&rig, &defaults);
	backend_fail(rig.backend, TCMU_IO_WRITE, 1, 1, -EIO);
	rig_do(&rig, &same);
	assert_sense(&same, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&same), 10 + CHUNK_BLOCKS);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	rig_stop(&rig);
}

static const struct tcmu_backend_info can_zero = {
	.caps = RIG_BASIC_CAPS | (UINT64_C(1) << TCMU_IO_WRITE_ZEROES) |
		(UINT64_C(1) << TCMU_IO_UNMAP),
	.volatile_cache = true,
	.fua = true,
	.thin = true,
};

static void zeros_are_written_by_the_handler_that_can(void **state)
{
	static const uint8_t zeros[RIG_BLOCK];
	struct rig rig;
	uint8_t almost[RIG_BLOCK] = {0};
	struct rig_command same = rig_cdb16(0x93, 0, 0, 1000, zeros, RIG_BLOCK);
	struct rig_command may_unmap = rig_cdb16(0x93, 0x08, 8, 500, zeros, RIG_BLOCK);
	struct rig_command no_data = rig_cdb16(0x93, 0x01, 16, 100, NULL, 0);
	struct rig_command not_zero = rig_cdb16(0x93, 0x08, 0, 2, almost, RIG_BLOCK);

	(void) state;
	almost[RIG_BLOCK - 1] = 1;
	rig_start(&rig, &(struct rig_options){.backend.info = can_zero, .no_write_cache = true});
	assert_int_equal(rig_do(&rig, &same), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &may_unmap), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &no_data), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &not_zero), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 4);
	assert_record(&rig, 0, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA, 0, 1000);
	assert_record(&rig, 1, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA | TCMU_IO_MAY_UNMAP, 8, 500);
	assert_record(&rig, 2, TCMU_IO_WRITE_ZEROES, TCMU_IO_FUA, 16, 100);
	assert_record(&rig, 3, TCMU_IO_WRITE, TCMU_IO_FUA, 0, 2);
	rig_stop(&rig);
}

static void a_block_is_repeated_by_the_handler_that_can(void **state)
{
	static const uint64_t caps = RIG_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_WRITE_SAME);
	struct rig rig;
	uint8_t data[RIG_BLOCK] = {0};
	struct rig_command same = rig_cdb16(0x93, 0, 3, CHUNK_BLOCKS + 5, data, RIG_BLOCK);
	struct rig_command fails = rig_cdb16(0x93, 0, 3, 5, data, RIG_BLOCK);

	(void) state;
	rig_pattern(data, sizeof(data), 9);
	rig_start(
		&rig,
		&(struct rig_options){
			.backend.info = {.caps = caps, .volatile_cache = true, .fua = true},
			.no_write_cache = true});
	memset(at(&rig, 0), 0xdd, 2048 * RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &same), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 1);
	assert_record(&rig, 0, TCMU_IO_WRITE_SAME, TCMU_IO_FUA, 3, CHUNK_BLOCKS + 5);
	assert_int_equal(*(at(&rig, 3) - 1), 0xdd);
	for (uint64_t i = 0; i < CHUNK_BLOCKS + 5; i++)
		assert_memory_equal(at(&rig, 3 + i), data, RIG_BLOCK);
	assert_int_equal(*at(&rig, 3 + CHUNK_BLOCKS + 5), 0xdd);

	backend_fail(rig.backend, TCMU_IO_WRITE_SAME, 0, 1, -ENOSPC);
	rig_do(&rig, &fails);
	assert_sense(&fails, 0x07, 0x2707);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 0);
	rig_stop(&rig);
}

static void zeros_are_written_as_data_where_the_handler_cannot(void **state)
{
	struct rig rig;
	struct rig_command no_data = rig_cdb16(0x93, 0x01, 16, CHUNK_BLOCKS + 1, NULL, 0);

	(void) state;
	for (int native = 0; native < 2; native++) {
		rig_start(
			&rig,
			&(struct rig_options){
				.backend.info = native ? can_zero : defaults.backend.info});
		memset(at(&rig, 0), 0xdd, 2048 * RIG_BLOCK);
		backend_fail(rig.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -EOPNOTSUPP);
		assert_int_equal(rig_do(&rig, &no_data), SCSI_GOOD);
		assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE_ZEROES), native);
		assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 2);
		assert_int_equal(*(at(&rig, 16) - 1), 0xdd);
		for (uint64_t i = 0; i < (uint64_t) (CHUNK_BLOCKS + 1) * RIG_BLOCK; i++)
			assert_int_equal(at(&rig, 16)[i], 0);
		assert_int_equal(*at(&rig, 16 + CHUNK_BLOCKS + 1), 0xdd);
		rig_stop(&rig);
	}
}

static void zeros_that_fail_are_not_written_as_data(void **state)
{
	struct rig rig;
	struct rig_command no_data = rig_cdb16(0x93, 0x01, 16, 8, NULL, 0);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info = can_zero});
	backend_fail(rig.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -ENOSPC);
	rig_do(&rig, &no_data);
	assert_sense(&no_data, 0x07, 0x2707);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 0);
	rig_stop(&rig);
}

/* ------- GET LBA STATUS ------- */

static struct rig_command lba_status(uint64_t lba, void *in, uint32_t length)
{
	struct rig_command command = rig_cdb16(0x9e, 0x12, lba, length, NULL, length);

	command.in = in;
	return command;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static void tells_what_is_allocated(void **state)
{
	struct rig rig;
	uint8_t in[512];
	struct rig_command status = lba_status(4, in, sizeof(in));

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info.caps = RIG_ALL_CAPS});
	memset(at(&rig, 10), 1, 20 * RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 3 * 16);
	assert_int_equal(get32(in), 4 + 3 * 16);
	assert_int_equal(get32(in + 8 + 4), 4);
	assert_int_equal(get32(in + 8 + 8), 6);
	assert_int_equal(in[8 + 12], 1); /* deallocated */
	assert_int_equal(get32(in + 24 + 4), 10);
	assert_int_equal(get32(in + 24 + 8), 20);
	assert_int_equal(in[24 + 12], 0);
	assert_int_equal(get32(in + 40 + 4), 30);
	assert_int_equal(get32(in + 40 + 8), 2048 - 30);
	rig_stop(&rig);
}

static void neighbours_that_are_alike_are_told_as_one(void **state)
{
	struct rig_options options = {
		.backend = {.map_max = 7 * RIG_BLOCK, .info.caps = RIG_ALL_CAPS}};
	struct rig rig;
	uint8_t in[512];
	struct rig_command status = lba_status(0, in, sizeof(in));

	(void) state;
	rig_start(&rig, &options);
	memset(at(&rig, 0), 1, 100 * RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 2 * 16);
	assert_int_equal(get32(in + 8 + 8), 100);
	assert_int_equal(get32(in + 24 + 8), 2048 - 100);
	rig_stop(&rig);
}

/* A medium in many pieces: the answer is a beginning, and the initiator asks for more. */
static void tells_of_many_pieces_as_far_as_it_goes(void **state)
{
	struct rig rig;
	uint8_t in[4096];
	struct rig_command status = lba_status(0, in, sizeof(in)), few = lba_status(0, in, 40);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info.caps = RIG_ALL_CAPS});
	for (unsigned i = 0; i < 1000; i += 2)
		*at(&rig, i) = 1;
	assert_int_equal(rig_do(&rig, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 8 + 64 * 16);
	assert_int_equal(get32(in), 4 + 64 * 16);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(get32(in + 8 + 16 * i + 4), i);
		assert_int_equal(get32(in + 8 + 16 * i + 8), 1);
		assert_int_equal(in[8 + 16 * i + 12], i % 2);
	}
	assert_int_equal(rig_do(&rig, &few), SCSI_GOOD);
	assert_int_equal(few.read_len, 40);
	rig_stop(&rig);
}

static void a_map_that_fails_or_leads_nowhere_is_an_error(void **state)
{
	struct rig rig;
	uint8_t in[64];
	struct rig_command status = lba_status(5, in, sizeof(in));

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info.caps = RIG_ALL_CAPS});
	backend_fail(rig.backend, TCMU_IO_MAP, 0, 1, -EIO);
	rig_do(&rig, &status);
	assert_sense(&status, 0x03, 0x1100);
	assert_int_equal(rig_sense_info(&status), 5);
	rig_stop(&rig);
}

static void without_a_map_everything_is_allocated(void **state)
{
	struct rig rig;
	uint8_t in[64];
	struct rig_command status = lba_status(5, in, sizeof(in));

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &status), SCSI_GOOD);
	assert_int_equal(status.read_len, 24);
	assert_int_equal(get32(in + 8 + 8), 2048 - 5);
	assert_int_equal(in[8 + 12], 0);
	rig_stop(&rig);
}

static void an_atomic_write_is_asked_for_as_one(void **state)
{
	uint8_t out[RIG_BLOCK] = {0};
	struct rig rig;
	struct rig_command atomic = rig_cdb16(0x9c, 0, 3, 0, out, sizeof(out));

	(void) state;
	rig_pattern(out, sizeof(out), 1);
	atomic.cdb[13] = 1;
	rig_make(&rig, &(struct rig_options){0});
	rig.setup.lu.max_atomic = 1;
	assert_int_equal(io_thread_new(&rig.setup, &rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ATTACHED);
	assert_int_equal(rig_do(&rig, &atomic), SCSI_GOOD);
	assert_int_equal(backend_record(rig.backend, 0).op, TCMU_IO_WRITE);
	assert_int_equal(backend_record(rig.backend, 0).flags, TCMU_IO_ATOMIC);
	backend_sync(rig.backend);
	assert_memory_equal(backend_store(rig.backend) + 3 * RIG_BLOCK, out, sizeof(out));
	rig_stop(&rig);
}

static void what_asks_for_nothing_is_good_at_once(void **state)
{
	struct rig rig;
	struct rig_command prefetch = rig_cdb16(0x90, 0, 0, 8, NULL, 0);
	struct rig_command nothing[] = {rig_read(0, 0, NULL), rig_write(0, 0, NULL)};

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &prefetch), SCSI_GOOD);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_do(&rig, &nothing[i]), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forced_write_is_forced_by_the_handler_that_can),
		cmocka_unit_test(a_forced_write_is_flushed_where_the_handler_cannot),
		cmocka_unit_test(nothing_is_forced_where_writes_are_stable),
		cmocka_unit_test(without_a_write_cache_everything_that_writes_is_flushed),
		cmocka_unit_test(what_cannot_be_forced_is_flushed),
		cmocka_unit_test(a_flush_that_fails_after_a_write_fails_the_write),
		cmocka_unit_test(a_handler_without_flush_is_not_asked_for_it),
		cmocka_unit_test(unmaps_each_extent_in_turn),
		cmocka_unit_test(an_unmap_that_fails_goes_no_further),
		cmocka_unit_test(writes_a_block_many_times),
		cmocka_unit_test(a_write_same_that_fails_tells_where),
		cmocka_unit_test(zeros_are_written_by_the_handler_that_can),
		cmocka_unit_test(a_block_is_repeated_by_the_handler_that_can),
		cmocka_unit_test(zeros_are_written_as_data_where_the_handler_cannot),
		cmocka_unit_test(zeros_that_fail_are_not_written_as_data),
		cmocka_unit_test(tells_what_is_allocated),
		cmocka_unit_test(neighbours_that_are_alike_are_told_as_one),
		cmocka_unit_test(tells_of_many_pieces_as_far_as_it_goes),
		cmocka_unit_test(a_map_that_fails_or_leads_nowhere_is_an_error),
		cmocka_unit_test(without_a_map_everything_is_allocated),
		cmocka_unit_test(an_atomic_write_is_asked_for_as_one),
		cmocka_unit_test(what_asks_for_nothing_is_good_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
