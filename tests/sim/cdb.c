/* SPDX-License-Identifier: Apache-2.0 */
/* See cdb.h. */
#include "cdb.h"

#include <string.h>

#include "sim.h"
#include "threads.h"

void cdb_put_be(uint8_t *at, uint64_t value, unsigned bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t) value;
		value >>= 8;
	}
}

/* SBC-3 5.28 */
static void cdb_make_unmap(struct kcommand *command)
{
	uint8_t *list = command->data;
	unsigned descriptors = command->blocks_2 ? 2 : 1;

	command->data_out = 8 + 16 * descriptors;
	memset(list, 0, command->data_out);
	cdb_put_be(list, command->data_out - 2, 2);
	cdb_put_be(list + 2, UINT64_C(16) * descriptors, 2);
	cdb_put_be(list + 8, command->lba, 8);
	cdb_put_be(list + 16, command->blocks, 4);
	if (descriptors == 1)
		return;
	cdb_put_be(list + 24, command->lba_2, 8);
	cdb_put_be(list + 32, command->blocks_2, 4);
}

/* SPC-4 6.45: this host's group becomes active or standby. */
static void cdb_make_groups(struct kcommand *command)
{
	command->data_out = 8;
	memset(command->data, 0, command->data_out);
	command->data[4] = command->state;
	command->data[7] = PORT_GROUP;
}

/* SPC-4 6.4.5: a device by its NAA designator, which follows from its serial (kernel-files.c). */
static void cdb_put_cscd(uint8_t *at, unsigned slot)
{
	static const uint8_t head[] = {0xe4, 0, 0, 0, 0x01, 0x03, 0, 16, 0x60, 0x01, 0x40, 0x50};

	memcpy(at, head, sizeof(head));
	at[12] = 0;
	at[13] = (uint8_t) slot;
	cdb_put_be(at + 29, BLOCK_SIZE, 3);
}

#define CSCDS_END 80u
#define SEGMENT   28u

/* SPC-4 6.6.6.2: from block device to block device. */
static void cdb_put_segment(uint8_t *at, const struct ksegment *segment)
{
	at[0] = 0x02;
	cdb_put_be(at + 2, SEGMENT - 4, 2);
	cdb_put_be(at + 4, segment->within, 2);
	cdb_put_be(at + 6, 1, 2);
	cdb_put_be(at + 10, segment->blocks, 2);
	cdb_put_be(at + 12, segment->lba, 8);
	cdb_put_be(at + 20, segment->lba_2, 8);
}

/* SPC-4 6.5: two devices, and the segments. */
static void cdb_make_xcopy(struct kcommand *command)
{
	struct ksegment first = {
		.lba = command->lba, .lba_2 = command->lba_2, .blocks = command->blocks};
	uint8_t *list = command->data;

	command->data_out = CSCDS_END + SEGMENT * (1 + command->segment_cnt);
	memset(list, 0, command->data_out);
	list[1] = 0x18;
	cdb_put_be(list + 2, 64, 2);
	cdb_put_be(list + 8, command->data_out - CSCDS_END, 4);
	cdb_put_cscd(list + 16, command->from);
	cdb_put_cscd(list + 48, command->to);
	cdb_put_segment(list + CSCDS_END, &first);
	for (unsigned i = 0; i < command->segment_cnt; i++)
		cdb_put_segment(
			list + CSCDS_END + (size_t) SEGMENT * (1 + i), &command->segments[i]);
}

/* SBC-3 5.3 */
static void cdb_make_format(struct kcommand *command)
{
	command->data_out = command->immediate ? 4 : 0;
	memset(command->data, 0, 4);
	command->data[1] = 0x02;
}

/* SBC-3 5.24.2.2: one pass of a pattern of eight bytes. BLOCK ERASE has no list. */
static void cdb_make_sanitize(struct kcommand *command)
{
	command->data_out = command->no_data ? 0 : 4 + sizeof(command->tag);
	memset(command->data, 0, 4);
	command->data[0] = 1;
	command->data[3] = sizeof(command->tag);
	memcpy(command->data + 4, &command->tag, sizeof(command->tag));
}

/* SBC-3 6.5.5, with the header of MODE SELECT(6). */
static void cdb_make_caching_page(struct kcommand *command)
{
	command->data_out = 4 + 20;
	memset(command->data, 0, command->data_out);
	command->data[4] = 0x08;
	command->data[5] = 18;
	command->data[6] = command->cache_on ? 0x04 : 0;
}

void cdb_make_list(struct kcommand *command)
{
	if (command->op == KCOMMAND_FORMAT)
		cdb_make_format(command);
	else if (command->op == KCOMMAND_SANITIZE)
		cdb_make_sanitize(command);
	else if (command->op == KCOMMAND_MODE_SELECT)
		cdb_make_caching_page(command);
	else if (command->op == KCOMMAND_SET_GROUPS)
		cdb_make_groups(command);
	else if (command->op == KCOMMAND_XCOPY)
		cdb_make_xcopy(command);
	else if (command->op == KCOMMAND_UNMAP)
		cdb_make_unmap(command);
	else if (command->op == KCOMMAND_WRITE_SAME)
		command->data_out = command->no_data ? 0 : BLOCK_SIZE;
}

/* SBC-3 5.43, 5.44 */
static unsigned cdb_fill_write_same(const struct kcommand *command, uint8_t *cdb)
{
	cdb[1] = command->unmap ? 0x08 : 0;
	if (!command->no_data && command->blocks % 2) {
		cdb[0] = 0x41;
		cdb_put_be(cdb + 2, command->lba, 4);
		cdb_put_be(cdb + 7, command->blocks, 2);
		return 10;
	}
	cdb[0] = 0x93;
	cdb[1] |= command->no_data;
	cdb_put_be(cdb + 2, command->lba, 8);
	cdb_put_be(cdb + 10, command->blocks, 4);
	return 16;
}

unsigned cdb_fill(const struct kcommand *command, uint8_t *cdb)
{
	switch (command->op) {
	case KCOMMAND_UNMAP:
		cdb[0] = 0x42;
		cdb_put_be(cdb + 7, command->data_out, 2);
		return 10;
	case KCOMMAND_WRITE_SAME:
		return cdb_fill_write_same(command, cdb);
	case KCOMMAND_SET_GROUPS:
		cdb[0] = 0xa4;
		cdb[1] = 0x0a;
		cdb_put_be(cdb + 6, command->data_out, 4);
		return 12;
	case KCOMMAND_XCOPY:
		cdb[0] = 0x83;
		cdb_put_be(cdb + 10, command->data_out, 4);
		return 16;
	case KCOMMAND_FORMAT:
		cdb[0] = 0x04;
		cdb[1] = command->immediate ? 0x10 : 0;
		return 6;
	case KCOMMAND_SANITIZE:
		cdb[0] = 0x48;
		cdb[1] = (command->immediate ? 0x80 : 0) | (command->no_data ? 0x02 : 0x01);
		cdb_put_be(cdb + 7, command->data_out, 2);
		return 10;
	case KCOMMAND_MODE_SELECT:
		cdb[0] = 0x15;
		cdb[1] = command->save ? 0x11 : 0x10;
		cdb[4] = (uint8_t) command->data_out;
		return 6;
	default:
		sim_fail("a command has no CDB: the model is wrong");
	}
}
