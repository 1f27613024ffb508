/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libtcmu_common.h and scsi.h for CDBs (SPC-5, 4.2) and sense data. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "device.h"
#include <be_byteshift.h>
#include <libtcmu_common.h>
#include <scsi.h>

#define GROUP(opcode)          ((opcode) >> 5) /* SPC-5, 4.2.5.1 */
#define VARIABLE_LENGTH_OPCODE 0x7f

int tcmu_cdb_get_length(uint8_t *cdb)
{
	static const int lengths[] = {6, 10, 10, 0, 16, 12, 0, 0};

	if (cdb[0] == VARIABLE_LENGTH_OPCODE)
		return cdb[7] + 8;
	return lengths[GROUP(cdb[0])] ? lengths[GROUP(cdb[0])] : -EINVAL;
}

uint64_t tcmu_cdb_get_lba(uint8_t *cdb)
{
	switch (tcmu_cdb_get_length(cdb)) {
	case 6:
		return get_unaligned_be32(cdb) & 0x1fffff;
	case 16:
		return get_unaligned_be64(cdb + 2);
	default:
		return get_unaligned_be32(cdb + 2);
	}
}

uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb)
{
	switch (tcmu_cdb_get_length(cdb)) {
	case 6:
		return cdb[4];
	case 10:
		return get_unaligned_be16(cdb + 7);
	case 12:
		return get_unaligned_be32(cdb + 6);
	default:
		return get_unaligned_be32(cdb + 10);
	}
}

uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb)
{
	return tcmu_lba_to_byte(dev, tcmu_cdb_get_lba(cdb));
}

void __tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq)
{
	sense_buf[0] |= 0x70; /* fixed format, current */
	sense_buf[2] = key;
	sense_buf[7] = 0xa; /* bytes that follow */
	put_unaligned_be16(asc_ascq, sense_buf + 12);
}

int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq)
{
	memset(sense_buf, 0, 18);
	__tcmu_sense_set_data(sense_buf, key, asc_ascq);
	return TCMU_STS_PASSTHROUGH_ERR;
}

void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info)
{
	sense_buf[0] |= 0x80; /* VALID */
	put_unaligned_be32(info, sense_buf + 3);
}

void tcmu_sense_set_key_specific_info(uint8_t *sense_buf, uint16_t info)
{
	sense_buf[15] |= 0x80; /* SKSV */
	put_unaligned_be16(info, sense_buf + 16);
}

bool char_to_hex(unsigned char *value, char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = digit ? strchr(digits, tolower((unsigned char) digit)) : NULL;

	if (found)
		*value = (unsigned char) (found - digits);
	return found != NULL;
}
