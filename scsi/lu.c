/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of a logical unit that follow from others. Pure functions of struct scsi_lu.
 */
#include "lu.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"

uint8_t scsi_lu_access(const struct scsi_lu *lu)
{
	uint8_t access = 0;

	assert(lu->ports.group_cnt <= SCSI_PORT_GROUPS_MAX);
	for (unsigned i = 0; lu->has_port_groups && i < lu->ports.group_cnt; i++)
		access |= lu->ports.groups[i].access;
	return access;
}

/* -1: not a hex digit. */
static int lu_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* NAA 6, company id 001405h, then the first 25 hex digits of the serial. */
bool scsi_naa(const struct scsi_lu *lu, uint8_t *naa)
{
	unsigned nibble = 7;

	assert(memchr(lu->serial, '\0', sizeof(lu->serial)));
	memset(naa, 0, SCSI_NAA_LENGTH);
	put_be32(naa, 0x60014050);
	for (const char *c = lu->serial; *c && nibble < 2 * SCSI_NAA_LENGTH; c++) {
		int digit = lu_hex_digit(*c);

		if (digit < 0)
			continue;
		naa[nibble / 2] |= (uint8_t) (nibble % 2 ? digit : digit << 4);
		nibble++;
	}
	return lu->serial[0];
}
