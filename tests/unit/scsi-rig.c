/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an answer are looked at by the tests; here, that nothing is written behind the
 * buffer. */
#include "scsi-rig.h"

#include <stdio.h>

#define FILL 0xa5 /* what the data buffer holds before a command */

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->lu = (struct scsi_lu){
		.vendor = "LIO-ORG",
		.product = "TCMU device",
		.revision = "0002",
		.serial = "9ccc8d1a-4e66-4b6c-8e4f-0b2a5e0f1c3d",
		.identity_fresh = true,
		.config = "file//srv/disk.img",
		.blocks = RIG_BLOCKS,
		.block_size = RIG_BLOCK_SIZE,
		.physical_exponent = 3,
		.thin = true,
		.unmap = true,
		.unmap_zeroes = true,
		.max_transfer = 0x400,
		.optimal_transfer = 0x80,
		.optimal_granularity = 8,
		.max_unmap = 0x10000,
		.unmap_granularity = 8,
		.unmap_alignment = 0,
		.max_write_same = 0x8000,
		.max_compare_and_write = 32,
		.has_map = true,
		.max_atomic = 64,
		.atomic_alignment = 8,
		.atomic_granularity = 4,
		.can_erase = true,
		.max_copies = 4,
		.has_clock = true,
		.has_port_groups = true,
		.ports =
			{.group_cnt = 2,
			 .groups =
				 {{.id = 1,
				   .supported = 0x8f,
				   .status = 1,
				   .access = SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT,
				   .preferred = true,
				   .port_cnt = 2,
				   .ports = {1, 0x0203}},
				  {.id = 0x1234,
				   .state = SCSI_STANDBY,
				   .supported = 0x05,
				   .status = 2,
				   .access = SCSI_ACCESS_IMPLICIT,
				   .port_cnt = 1,
				   .ports = {3}}},
			 .transition_seconds = 45},
		.write_cache = true,
		.write_cache_changeable = true,
	};
}

uint8_t rig_cdb_length(uint8_t opcode)
{
	static const uint8_t lengths[8] = {6, 10, 10, 16, 16, 12, 10, 10};

	return lengths[opcode >> 5];
}

static enum scsi_verdict dispatch(struct rig *rig, const struct scsi_task *task)
{
	enum scsi_verdict verdict;

	memset(rig->data, FILL, sizeof(rig->data));
	memset(&rig->result, 0x01, sizeof(rig->result)); /* flags that are not set show as true */
	rig->result.data = rig->data;
	verdict = scsi_dispatch(&rig->lu, task, &rig->result);
	for (size_t i = SCSI_DATA_MAX; i < sizeof(rig->data); i++)
		assert_int_equal(rig->data[i], FILL);
	return verdict;
}

enum scsi_verdict rig_send(struct rig *rig, const uint8_t *cdb, const void *data_out, size_t length)
{
	/* In three pieces, none of them as long as a field. */
	size_t first = length < 3 ? length : 3, second = length - first < 5 ? length - first : 5;
	uint8_t *bytes = (uint8_t *) (uintptr_t) data_out;
	struct iovec iov[3] = {
		{.iov_base = bytes, .iov_len = first},
		{.iov_base = bytes + first, .iov_len = second},
		{.iov_base = bytes + first + second, .iov_len = length - first - second},
	};
	struct scsi_task task = {
		.cdb = cdb,
		.cdb_length = rig_cdb_length(cdb[0]),
		.iov = iov,
		.iov_cnt = 3,
		.data_length = length,
		.time_ms = RIG_TIME,
	};

	return dispatch(rig, &task);
}

enum scsi_verdict rig_run(struct rig *rig, const uint8_t *cdb, uint64_t data_length)
{
	struct scsi_task task = {
		.cdb = cdb,
		.cdb_length = rig_cdb_length(cdb[0]),
		.data_length = data_length,
		.time_ms = RIG_TIME,
	};

	return dispatch(rig, &task);
}

void rig_expect_data(
	struct rig *rig, const uint8_t *cdb, unsigned field, unsigned bytes, const uint8_t *data,
	size_t length)
{
	uint64_t most = length + 1;
	uint8_t sent[16];

	if (bytes == 1 && most > UINT8_MAX)
		most = UINT8_MAX;
	memcpy(sent, cdb, sizeof(sent));
	for (uint64_t allocation = 0; allocation <= most; allocation++) {
		size_t wanted = allocation < length ? allocation : length;

		for (unsigned i = 0; i < bytes; i++)
			sent[field + i] = (uint8_t) (allocation >> (8 * (bytes - 1 - i)));
		assert_int_equal(rig_run(rig, sent, allocation), SCSI_ANSWERED);
		assert_int_equal(rig->result.status, SCSI_GOOD);
		assert_int_equal(rig->result.data_length, wanted);
		assert_memory_equal(rig->data, data, wanted);
	}
}

void assert_rig_good(const struct rig *rig, const char *file, int line)
{
	_assert_int_equal(rig->result.status, SCSI_GOOD, file, line);
	_assert_int_equal(rig->result.data_length, 0, file, line);
}

static void assert_code(
	const struct rig *rig, uint8_t key, uint8_t asc, uint8_t ascq, const char *file, int line)
{
	const struct scsi_sense *sense = &rig->result.sense;

	_assert_int_equal(rig->result.status, SCSI_CHECK_CONDITION, file, line);
	_assert_int_equal(rig->result.data_length, 0, file, line);
	_assert_int_equal(
		sense->key << 16 | sense->asc << 8 | sense->ascq, key << 16 | asc << 8 | ascq, file,
		line);
	_assert_int_equal(sense->info_valid, false, file, line);
	_assert_int_equal(sense->progress_valid, false, file, line);
}

void assert_rig_sense(
	const struct rig *rig, uint8_t key, uint8_t asc, uint8_t ascq, const char *file, int line)
{
	assert_code(rig, key, asc, ascq, file, line);
	_assert_int_equal(rig->result.sense.field_valid, false, file, line);
}

void assert_rig_field(
	const struct rig *rig, bool in_cdb, unsigned byte, int bit, const char *file, int line)
{
	const struct scsi_sense *sense = &rig->result.sense;

	assert_code(rig, 0x05, in_cdb ? 0x24 : 0x26, 0x00, file, line);
	_assert_int_equal(sense->field_valid, true, file, line);
	_assert_int_equal(sense->field_in_cdb, in_cdb, file, line);
	_assert_int_equal(sense->field, byte, file, line);
	_assert_int_equal(sense->bit_valid, bit >= 0, file, line);
	if (bit >= 0)
		_assert_int_equal(sense->bit, bit, file, line);
}

void assert_rig_plan(
	const struct rig *rig, enum scsi_plan_op op, uint32_t flags, uint64_t lba, uint64_t blocks,
	const char *file, int line)
{
	const struct scsi_plan *plan = &rig->result.plan;

	_assert_int_equal(rig->result.status, SCSI_GOOD, file, line);
	_assert_int_equal(plan->op, op, file, line);
	_assert_int_equal(plan->flags, flags, file, line);
	_assert_int_equal(plan->lba, lba, file, line);
	_assert_int_equal(plan->blocks, blocks, file, line);
}
