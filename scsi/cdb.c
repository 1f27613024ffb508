/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a command: the fields that CDBs of one size have in common, ranges of blocks, and data-
 * out, which is always copied.
 */
#include "cdb.h"

#include <string.h>

#include "bytes.h"

/* SPC-4 4.2.2: all CDBs of one size have these fields at the same offsets, and SBC-3 uses no
 * others. */
struct scsi_range scsi_cdb_range(const uint8_t *cdb, unsigned cdb_length)
{
	switch (cdb_length) {
	case 6:
		return (struct scsi_range){
			.lba = get_be24(cdb + 1) & 0x1fffff,
			.blocks = cdb[4] ? cdb[4] : 256,
			.length_byte = 4,
		};
	case 10:
		return (struct scsi_range){
			.lba = get_be32(cdb + 2), .blocks = get_be16(cdb + 7), .length_byte = 7};
	case 12:
		return (struct scsi_range){
			.lba = get_be32(cdb + 2), .blocks = get_be32(cdb + 6), .length_byte = 6};
	default:
		return (struct scsi_range){
			.lba = get_be64(cdb + 2), .blocks = get_be32(cdb + 10), .length_byte = 10};
	}
}

bool scsi_range_ok(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks)
{
	return lba <= lu->blocks && blocks <= lu->blocks - lba;
}

bool scsi_data_out(const struct scsi_task *task, uint64_t offset, void *buffer, size_t length)
{
	uint8_t *to = buffer;

	if (offset > task->data_length || length > task->data_length - offset)
		return false;
	for (unsigned i = 0; i < task->iov_cnt && length; i++) {
		const struct iovec *iov = &task->iov[i];
		size_t n;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		n = iov->iov_len - offset < length ? iov->iov_len - offset : length;
		memcpy(to, (const uint8_t *) iov->iov_base + offset, n);
		to += n;
		length -= n;
		offset = 0;
	}
	return length == 0;
}
