/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the block command set (SBC-3). This file checks them and plans their I/O.
 *
 * If the initiator's buffer and the CDB differ in length, a read transfers the smaller of the two
 * (SAM-5 5.1: the data-in buffer is filled as far as possible, and the transport reports the
 * residual). Data-out of the wrong length is refused before anything is written, as the target
 * core does for its own backends: the ring cannot report a residual in that direction, so the
 * initiator would assume that all its data is written. A CDB longer than MAXIMUM TRANSFER LENGTH
 * is carried out: a refusal helps no initiator. A backend that takes less at once gets several
 * requests.
 */
#include "sbc.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "lu.h"
#include "sense.h"

/* ------- common parts ------- */

/* SPC-4 4.2.2: all CDBs of one size have these fields at the same offsets, and SBC-3 uses no
 * others. */
struct cdb_6 {
	uint8_t opcode;
	uint8_t lba[3]; /* 21 bits */
	uint8_t length;
	uint8_t control;
} __attribute__((packed));

struct cdb_10 {
	uint8_t opcode;
	uint8_t flags;
	uint32_t lba;
	uint8_t group;
	uint16_t length;
	uint8_t control;
} __attribute__((packed));

struct cdb_12 {
	uint8_t opcode;
	uint8_t flags;
	uint32_t lba;
	uint32_t length;
	uint8_t group;
	uint8_t control;
} __attribute__((packed));

struct cdb_16 {
	uint8_t opcode;
	uint8_t flags;
	uint64_t lba;
	uint32_t length;
	uint8_t group;
	uint8_t control;
} __attribute__((packed));

struct scsi_range scsi_cdb_range(const uint8_t *cdb, unsigned cdb_length)
{
	const struct cdb_6 *cdb_6 = (const struct cdb_6 *) cdb;
	const struct cdb_10 *cdb_10 = (const struct cdb_10 *) cdb;
	const struct cdb_12 *cdb_12 = (const struct cdb_12 *) cdb;
	const struct cdb_16 *cdb_16 = (const struct cdb_16 *) cdb;
	/* Byte 1 of a CDB of 6 bytes holds a part of the address. */
	uint32_t flags = (cdb[1] & 0x10 ? SCSI_PLAN_DPO : 0) | (cdb[1] & 0x08 ? SCSI_PLAN_FUA : 0);

	switch (cdb_length) {
	case 6:
		return (struct scsi_range){
			.lba = get_be24(cdb_6->lba) & 0x1fffff,
			.blocks = cdb_6->length ? cdb_6->length : 256,
			.length_byte = offsetof(struct cdb_6, length),
		};
	case 10:
		return (struct scsi_range){
			.lba = be32toh(cdb_10->lba),
			.blocks = be16toh(cdb_10->length),
			.length_byte = offsetof(struct cdb_10, length),
			.flags = flags,
		};
	case 12:
		return (struct scsi_range){
			.lba = be32toh(cdb_12->lba),
			.blocks = be32toh(cdb_12->length),
			.length_byte = offsetof(struct cdb_12, length),
			.flags = flags,
		};
	default:
		return (struct scsi_range){
			.lba = be64toh(cdb_16->lba),
			.blocks = be32toh(cdb_16->length),
			.length_byte = offsetof(struct cdb_16, length),
			.flags = flags,
		};
	}
}

bool scsi_range_ok(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks)
{
	return lba <= lu->blocks && blocks <= lu->blocks - lba;
}

enum scsi_verdict scsi_plan(
	struct scsi_call *call, enum scsi_plan_op op, uint32_t flags, uint64_t lba, uint64_t blocks)
{
	struct scsi_plan *plan = &call->result->plan;

	assert(op >= SCSI_PLAN_READ && op <= SCSI_PLAN_SET_GROUPS);
	plan->op = op;
	plan->flags = flags;
	plan->lba = lba;
	plan->blocks = blocks;
	plan->passes = 1;
	plan->extent_cnt = 0;
	return SCSI_PLANNED;
}

/* Plans I/O for the CDB's range; GOOD for 0 blocks. data_out: the required number of blocks of
 * data-out. */
static enum scsi_verdict plan_range(
	struct scsi_call *call, enum scsi_plan_op op, uint32_t flags,
	const struct scsi_range *range, uint64_t data_out)
{
	if (!scsi_range_ok(call->lu, range->lba, range->blocks))
		return scsi_refuse(call, SENSE_LBA_OUT_OF_RANGE);
	if (data_out && call->task->data_length != data_out * call->lu->block_size)
		return scsi_refuse(call, SENSE_INVALID_FIELD_IN_COMMAND_IU);
	if (range->blocks == 0)
		return scsi_good(call);
	return scsi_plan(call, op, flags, range->lba, range->blocks);
}

/* ------- capacity ------- */

/* SBC-3 5.15. The address and PMI are obsolete; as SBC-2 demands, an address without PMI is
 * refused. */
enum scsi_verdict scsi_read_capacity_10(struct scsi_call *call)
{
	const struct scsi_lu *lu = call->lu;
	uint64_t last = scsi_lu_last_lba(lu);
	uint8_t *data = call->result->data;

	if (!(call->cdb[8] & 0x01) && get_be32(call->cdb + 2))
		return scsi_refuse_cdb(call, 2, NO_BIT);
	put_be32(data, last < UINT32_MAX ? (uint32_t) last : UINT32_MAX);
	put_be32(data + 4, lu->block_size);
	return scsi_good_data(call, 8, 8);
}

/* SBC-3 5.16. */
enum scsi_verdict scsi_read_capacity_16(struct scsi_call *call)
{
	const struct scsi_lu *lu = call->lu;
	uint8_t *data = call->result->data;

	if (!(call->cdb[14] & 0x01) && get_be64(call->cdb + 2))
		return scsi_refuse_cdb(call, 2, NO_BIT);
	memset(data, 0, 32);
	put_be64(data, scsi_lu_last_lba(lu));
	put_be32(data + 8, lu->block_size);
	data[13] = lu->physical_exponent & 0x0f;
	if (scsi_lu_provisioned(lu))
		data[14] = 0x80 | (lu->unmap_zeroes ? 0x40 : 0); /* LBPME, LBPRZ */
	return scsi_good_data(call, 32, get_be32(call->cdb + 10));
}

/* ------- reading ------- */

/* SBC-3 5.11 to 5.13; READ(6): SBC-2. */
enum scsi_verdict scsi_read(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	return plan_range(call, SCSI_PLAN_READ, range.flags, &range, 0);
}

/* SBC-3 5.7, 5.8: a length of 0 means to the end of the medium. */
enum scsi_verdict scsi_prefetch(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	if (range.blocks == 0 && range.lba <= call->lu->blocks)
		range.blocks = call->lu->blocks - range.lba;
	return plan_range(
		call, SCSI_PLAN_PREFETCH, call->cdb[1] & 0x02 ? SCSI_PLAN_IMMEDIATE : 0, &range, 0);
}

/* SBC-3 5.29 to 5.31. BYTCHK 0: read. 1: compare with data-out. 3: compare every block with the
 * one block of data-out. */
enum scsi_verdict scsi_verify(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);
	uint32_t flags = range.flags;
	uint64_t data_out = 0;

	switch (call->cdb[1] >> 1 & 0x03) {
	case 0:
		break;
	case 1:
		flags |= SCSI_PLAN_COMPARE;
		data_out = range.blocks;
		break;
	case 3:
		flags |= SCSI_PLAN_COMPARE | SCSI_PLAN_ONE_BLOCK;
		data_out = range.blocks ? 1 : 0;
		break;
	default:
		return scsi_refuse_cdb(call, 1, 2);
	}
	return plan_range(call, SCSI_PLAN_VERIFY, flags, &range, data_out);
}

/* ------- writing ------- */

/* SBC-3 5.33 to 5.35; WRITE(6): SBC-2. */
enum scsi_verdict scsi_write(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	return plan_range(call, SCSI_PLAN_WRITE, range.flags, &range, range.blocks);
}

/* SBC-4 5.48. The usage mask refuses atomic boundaries inside a write. */
enum scsi_verdict scsi_write_atomic(struct scsi_call *call)
{
	const struct scsi_lu *lu = call->lu;
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	assert(lu->max_atomic);
	range.blocks = get_be16(call->cdb + 12);
	if (scsi_range_ok(call->lu, range.lba, range.blocks)) {
		if (lu->atomic_alignment && range.lba % lu->atomic_alignment)
			return scsi_refuse_cdb(call, 2, NO_BIT);
		if (range.blocks > lu->max_atomic ||
		    (lu->atomic_granularity && range.blocks % lu->atomic_granularity))
			return scsi_refuse_cdb(call, 12, NO_BIT);
	}
	return plan_range(
		call, SCSI_PLAN_WRITE, range.flags | SCSI_PLAN_ATOMIC, &range, range.blocks);
}

/* SBC-3 5.37 to 5.39. BYTCHK: compare the blocks that are read back with data-out. */
enum scsi_verdict scsi_write_and_verify(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);
	uint32_t flags = range.flags | (call->cdb[1] & 0x02 ? SCSI_PLAN_COMPARE : 0);

	return plan_range(call, SCSI_PLAN_WRITE_VERIFY, flags, &range, range.blocks);
}

/* SBC-3 5.5. */
enum scsi_verdict scsi_orwrite(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	return plan_range(call, SCSI_PLAN_ORWRITE, range.flags, &range, range.blocks);
}

/* SBC-3 5.2. Data-out is the expected blocks, then the new ones. The length field has one byte, so
 * 256 blocks become 0; the length of data-out reveals that. */
enum scsi_verdict scsi_compare_and_write(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);
	bool wrapped = call->cdb[13] == 0 && call->task->data_length;

	assert(call->lu->max_compare_and_write);
	range.blocks = call->cdb[13];
	if (scsi_range_ok(call->lu, range.lba, range.blocks) &&
	    (wrapped || range.blocks > call->lu->max_compare_and_write))
		return scsi_refuse_cdb(call, 13, NO_BIT);
	return plan_range(call, SCSI_PLAN_COMPARE_AND_WRITE, range.flags, &range, 2 * range.blocks);
}

/*
 * SBC-3 5.43, 5.44. Data-out is one block, or nothing with NDOB. A length of 0 is refused (WSNZ),
 * as TCMU has always done: a field that an initiator left at 0 must not wipe the disk. UNMAP
 * never loses data: a block that is not all zeros is written as it is.
 */
enum scsi_verdict scsi_write_same(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);
	uint64_t limit = call->lu->max_write_same;
	bool no_data = call->cdb[1] & 0x01;
	uint32_t flags = (no_data ? SCSI_PLAN_ZEROES : 0) |
		(call->cdb[1] & 0x08 ? SCSI_PLAN_MAY_UNMAP : 0);

	if (scsi_range_ok(call->lu, range.lba, range.blocks) &&
	    (range.blocks == 0 || (limit && range.blocks > limit)))
		return scsi_refuse_cdb(call, range.length_byte, NO_BIT);
	return plan_range(call, SCSI_PLAN_WRITE_SAME, flags, &range, no_data ? 0 : 1);
}

/* SBC-3 5.26, 5.27: a length of 0 means to the end of the medium. */
enum scsi_verdict scsi_synchronize_cache(struct scsi_call *call)
{
	struct scsi_range range = scsi_cdb_range(call->cdb, call->cdb_length);

	if (!scsi_range_ok(call->lu, range.lba, range.blocks))
		return scsi_refuse(call, SENSE_LBA_OUT_OF_RANGE);
	if (range.blocks == 0)
		range.blocks = call->lu->blocks - range.lba;
	return scsi_plan(
		call, SCSI_PLAN_FLUSH, call->cdb[1] & 0x02 ? SCSI_PLAN_IMMEDIATE : 0, range.lba,
		range.blocks);
}

/* ------- UNMAP (SBC-3 5.28) ------- */

#define UNMAP_HEADER     8u
#define UNMAP_DESCRIPTOR 16u

/* Counts the descriptors of the list, without an incomplete one at its end. False: refused. */
static bool unmap_count(struct scsi_call *call, unsigned list_length, unsigned *cnt)
{
	uint8_t header[UNMAP_HEADER];
	unsigned length;

	if (list_length < UNMAP_HEADER || call->task->data_length < list_length ||
	    !scsi_data_out(call->task, 0, header, sizeof(header))) {
		scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
		return false;
	}
	length = get_be16(header + 2);
	if (length > list_length - UNMAP_HEADER) {
		scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
		return false;
	}
	*cnt = length / UNMAP_DESCRIPTOR;
	if (*cnt > SCSI_UNMAP_DESCRIPTORS_MAX) {
		scsi_refuse_list(call, 2, NO_BIT);
		return false;
	}
	return true;
}

enum scsi_verdict scsi_unmap(struct scsi_call *call)
{
	unsigned list_length = get_be16(call->cdb + 7);
	struct scsi_plan *plan = &call->result->plan;
	uint64_t total = 0;
	unsigned cnt;

	assert(call->lu->unmap);
	if (list_length == 0)
		return scsi_good(call);
	if (!unmap_count(call, list_length, &cnt))
		return SCSI_ANSWERED;
	scsi_plan(call, SCSI_PLAN_UNMAP, 0, 0, 0);
	for (unsigned i = 0; i < cnt; i++) {
		unsigned at = UNMAP_HEADER + i * UNMAP_DESCRIPTOR;
		uint8_t descriptor[UNMAP_DESCRIPTOR];
		struct scsi_extent extent;

		if (!scsi_data_out(call->task, at, descriptor, sizeof(descriptor)))
			return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
		extent = (struct scsi_extent){
			.lba = get_be64(descriptor), .blocks = get_be32(descriptor + 8)};
		if (!scsi_range_ok(call->lu, extent.lba, extent.blocks))
			return scsi_refuse(call, SENSE_LBA_OUT_OF_RANGE);
		total += extent.blocks;
		if (total > scsi_lu_max_unmap(call->lu))
			return scsi_refuse_list(call, at + 8, NO_BIT);
		assert(plan->extent_cnt < SCSI_UNMAP_DESCRIPTORS_MAX);
		if (extent.blocks)
			plan->extents[plan->extent_cnt++] = extent;
	}
	return plan->extent_cnt ? SCSI_PLANNED : scsi_good(call);
}

/* ------- READ DEFECT DATA (SBC-3 5.17, 5.18) ------- */

/* There are no defects in any list and format. */
enum scsi_verdict scsi_read_defect_data(struct scsi_call *call)
{
	bool twelve = call->cdb_length == 12;
	unsigned byte = twelve ? 1 : 2;
	unsigned length = twelve ? 8 : 4;
	uint8_t *data = call->result->data;

	if ((call->cdb[byte] & 0x07) == 0x07) /* the reserved format */
		return scsi_refuse_cdb(call, byte, 2);
	memset(data, 0, length);
	data[1] = call->cdb[byte];
	return scsi_good_data(
		call, length, twelve ? get_be32(call->cdb + 6) : get_be16(call->cdb + 7));
}

/* ------- GET LBA STATUS (SBC-3 5.4) ------- */

#define LBA_STATUS_HEADER     8u
#define LBA_STATUS_DESCRIPTOR 16u

/* The length of a descriptor has 32 bits: a longer extent becomes several descriptors. */
void scsi_answer_lba_status(
	const struct scsi_task *task, const struct scsi_lba_status *status, unsigned cnt,
	struct scsi_result *result)
{
	uint32_t allocation = get_be32(task->cdb + 10);
	uint8_t *data = result->data;
	uint32_t length = LBA_STATUS_HEADER;

	memset(data, 0, LBA_STATUS_HEADER);
	for (unsigned i = 0; i < cnt; i++) {
		uint64_t lba = status[i].lba, left = status[i].blocks;

		while (left && length + LBA_STATUS_DESCRIPTOR <= SCSI_DATA_MAX) {
			uint32_t blocks = left < UINT32_MAX ? (uint32_t) left : UINT32_MAX;
			uint8_t *p = data + length;

			memset(p, 0, LBA_STATUS_DESCRIPTOR);
			put_be64(p, lba);
			put_be32(p + 8, blocks);
			p[12] = status[i].mapped ? 0x00 : 0x01; /* deallocated */
			lba += blocks;
			left -= blocks;
			length += LBA_STATUS_DESCRIPTOR;
		}
	}
	assert(length <= SCSI_DATA_MAX);
	put_be32(data, length - 4);
	result->status = SCSI_GOOD;
	result->data_length = length < allocation ? length : allocation;
}

enum scsi_verdict scsi_get_lba_status(struct scsi_call *call)
{
	struct scsi_lba_status all = {.lba = get_be64(call->cdb + 2), .mapped = true};

	if (all.lba >= call->lu->blocks)
		return scsi_refuse(call, SENSE_LBA_OUT_OF_RANGE);
	all.blocks = call->lu->blocks - all.lba;
	if (call->lu->has_map)
		return scsi_plan(call, SCSI_PLAN_MAP, 0, all.lba, all.blocks);
	scsi_answer_lba_status(call->task, &all, 1, call->result);
	return SCSI_ANSWERED;
}
