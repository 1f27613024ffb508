/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a command: the fields that CDBs of one size have in common, ranges of blocks, data-out.
 */
#pragma once

#include <scsi/scsi.h>

/* The LOGICAL BLOCK ADDRESS and the length field of a READ-like CDB, and the byte at which the
 * length field begins. */
struct scsi_range {
	uint64_t lba;
	uint64_t blocks;
	unsigned length_byte;
};

/* Decodes a READ-like CDB of 6, 10, 12 or 16 bytes (SPC-4 4.2.2). A length of 0 in a CDB of 6 bytes
 * means 256. */
struct scsi_range scsi_cdb_range(const uint8_t *cdb, unsigned cdb_length);

/* Whether the medium has the blocks lba to lba + blocks - 1. With 0 blocks, lba may also be the
 * first one past the end. */
bool scsi_range_ok(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks);

/* Copies length bytes of data-out, from offset on. False: there are fewer; the buffer is then
 * unspecified. */
bool scsi_data_out(const struct scsi_task *task, uint64_t offset, void *buffer, size_t length);
