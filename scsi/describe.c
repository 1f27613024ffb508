/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes and names of commands and sense, for counters and logs. They do not influence the
 * answer to a command.
 */
#include <scsi/describe.h>

#include <assert.h>
#include <scsi/scsi.h>

#include "bytes.h"
#include "sbc.h"

const char *scsi_class_name(enum scsi_class class)
{
	static const char *const names[SCSI_CLASS_COUNT] = {
		"read", "write", "flush", "unmap", "other"};

	assert(class < SCSI_CLASS_COUNT);
	return names[class];
}

/* VERIFY and PRE-FETCH (SBC-3 5.30, 5.9) address blocks and transfer none of them. */
static bool names_blocks(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x2f:
	case 0x34:
	case 0x8f:
	case 0x90:
	case 0xaf:
		return true;
	default:
		return scsi_cdb_class(cdb) == SCSI_CLASS_READ ||
			scsi_cdb_class(cdb) == SCSI_CLASS_WRITE ||
			scsi_cdb_class(cdb) == SCSI_CLASS_FLUSH;
	}
}

bool scsi_cdb_blocks(const uint8_t *cdb, uint8_t cdb_length, uint64_t *lba, uint32_t *blocks)
{
	struct scsi_range range;

	if (!names_blocks(cdb))
		return false;
	range = scsi_cdb_range(cdb, cdb_length);
	*lba = range.lba;
	/* SBC-3 5.2, and WRITE ATOMIC(16) of SBC-4: their length fields are shorter. */
	if (cdb[0] == 0x89)
		*blocks = cdb[13];
	else if (cdb[0] == 0x9c)
		*blocks = get_be16(cdb + 12);
	else
		*blocks = range.blocks;
	return true;
}

const char *scsi_sense_key_name(uint8_t key)
{
	/* SPC-4 table 48 */
	static const char *const names[16] = {
		"no_sense",       "recovered_error", "not_ready",      "medium_error",
		"hardware_error", "illegal_request", "unit_attention", "data_protect",
		"blank_check",    "vendor_specific", "copy_aborted",   "aborted_command",
		"reserved",       "volume_overflow", "miscompare",     "completed",
	};

	return names[key & 0xf];
}

void scsi_sense_decode(const uint8_t *buffer, struct scsi_sense *sense)
{
	bool descriptor = (buffer[0] & 0x7e) == 0x72;

	*sense = (struct scsi_sense){
		.key = buffer[descriptor ? 1 : 2] & 0xf,
		.asc = buffer[descriptor ? 2 : 12],
		.ascq = buffer[descriptor ? 3 : 13],
	};
}
