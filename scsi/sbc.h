/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block commands, for the table of operations; ranges of blocks, and plans of I/O. The clauses are
 * at the functions in sbc.c.
 */
#pragma once

#include "call.h"

scsi_function scsi_read_capacity_10, scsi_read_capacity_16;
scsi_function scsi_read, scsi_prefetch, scsi_verify, scsi_get_lba_status, scsi_read_defect_data;
scsi_function scsi_write, scsi_write_same, scsi_write_and_verify, scsi_write_atomic, scsi_orwrite,
	scsi_compare_and_write, scsi_unmap, scsi_synchronize_cache;

/* The LOGICAL BLOCK ADDRESS and the length field of a READ-like CDB, the byte at which the length
 * field begins, and DPO and FUA as SCSI_PLAN_ flags. */
struct scsi_range {
	uint64_t lba;
	uint64_t blocks;
	unsigned length_byte;
	uint32_t flags;
};

/* Decodes a READ-like CDB of 6, 10, 12 or 16 bytes (SPC-4 4.2.2). A length of 0 in a CDB of 6 bytes
 * means 256. */
struct scsi_range scsi_cdb_range(const uint8_t *cdb, unsigned cdb_length);

/* Whether the medium has the blocks lba to lba + blocks - 1. With 0 blocks, lba may also be the
 * first one past the end. */
bool scsi_range_ok(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks);

/* Plans one pass over a range, without extents. */
enum scsi_verdict scsi_plan(
	struct scsi_call *call, enum scsi_plan_op op, uint32_t flags, uint64_t lba,
	uint64_t blocks);
