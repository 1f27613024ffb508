/* SPDX-License-Identifier: Apache-2.0 */
/* See raw.h. */
#include "raw.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <be_byteshift.h>
#include <libtcmu_common.h>
#include <scsi_defs.h>

/* Operation codes with data-out, of SPC, SBC, SSC, MMC and ZBC. */
static const uint8_t data_out[] = {
	0x04, 0x07, 0x0a, 0x15, 0x1d, 0x2a, 0x2e, 0x2f, 0x32, 0x3b, 0x3d, 0x3f, 0x41, 0x42, 0x4c,
	0x50, 0x51, 0x53, 0x54, 0x55, 0x5d, 0x5f, 0x83, 0x86, 0x89, 0x8a, 0x8b, 0x8d, 0x8e, 0x8f,
	0x93, 0x9c, 0x9d, 0x9f, 0xa2, 0xa3, 0xa4, 0xa9, 0xaa, 0xae, 0xaf, 0xb3, 0xb5, 0xb6, 0xbf,
};

/* Those among them that have data-in instead, with some service actions or in some command sets. */
static const uint8_t either[] = {0x51, 0xa2, 0xa3};

static bool raw_is_among(uint8_t opcode, const uint8_t *opcodes, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (opcodes[i] == opcode)
			return true;
	return false;
}

/* The bytes that the initiator gets: the handler does not say how many it has filled. */
static bool raw_has_data_in(uint8_t opcode)
{
	return !raw_is_among(opcode, data_out, sizeof(data_out)) ||
		raw_is_among(opcode, either, sizeof(either));
}

/* Vendor's commands, and those that are among both, may have data-out: it stays. */
static bool raw_may_have_data_out(uint8_t opcode)
{
	return opcode >= 0xc0 || raw_is_among(opcode, data_out, sizeof(data_out));
}

void raw_prepare(struct tcmu_io *io)
{
	assert(io->op == TCMU_IO_COMMAND && io->cdb_length);
	if (!raw_may_have_data_out(io->cdb[0]))
		tcmu_iovec_zero(io->iov, io->iov_cnt);
}

static const struct {
	int status;
	uint8_t key;
	uint16_t code; /* additional sense code and qualifier */
} senses[] = {
	{TCMU_STS_RD_ERR, 0x03, 0x1100},
	{TCMU_STS_WR_ERR, 0x03, 0x0c00},
	{TCMU_STS_WR_ERR_INCOMPAT_FRMT, 0x03, 0x3005},
	{TCMU_STS_MISCOMPARE, 0x0e, 0x1d00},
	{TCMU_STS_INVALID_CMD, 0x05, 0x2000},
	{TCMU_STS_NOT_HANDLED, 0x05, 0x2000},
	{TCMU_STS_INVALID_CDB, 0x05, 0x2400},
	{TCMU_STS_INVALID_PARAM_LIST, 0x05, 0x2600},
	{TCMU_STS_INVALID_PARAM_LIST_LEN, 0x05, 0x1a00},
	{TCMU_STS_RANGE, 0x05, 0x2100},
	{TCMU_STS_NOTSUPP_SAVE_PARAMS, 0x05, 0x3900},
	{TCMU_STS_FRMT_IN_PROGRESS, 0x02, 0x0404},
	{TCMU_STS_CAPACITY_CHANGED, 0x06, 0x2a09},
	{TCMU_STS_TRANSITION, 0x02, 0x040a},
	{TCMU_STS_NOTSUPP_SEG_DESC_TYPE, 0x05, 0x2609},
	{TCMU_STS_NOTSUPP_TGT_DESC_TYPE, 0x05, 0x2607},
	{TCMU_STS_CP_TGT_DEV_NOTCONN, 0x0a, 0x0d02},
	{TCMU_STS_INVALID_CP_TGT_DEV_TYPE, 0x0a, 0x0d03},
	{TCMU_STS_TOO_MANY_SEG_DESC, 0x05, 0x2608},
	{TCMU_STS_TOO_MANY_TGT_DESC, 0x05, 0x2606},
	{TCMU_STS_HW_ERR, 0x04, 0x4400}, /* the last one: also for all others */
};

#define SENSE_CNT (sizeof(senses) / sizeof(senses[0]))

static bool raw_is_busy(int status)
{
	return status == TCMU_STS_BUSY || status == TCMU_STS_TIMEOUT || status == TCMU_STS_FENCED;
}

int raw_answer(struct tcmu_io *io, int status, const uint8_t *sense, bool falls_back)
{
	size_t i = 0;

	assert(io->op == TCMU_IO_COMMAND);
	if (status == TCMU_STS_NOT_HANDLED && falls_back)
		return -EOPNOTSUPP;
	if (status == TCMU_STS_OK) {
		io->result = raw_has_data_in(io->cdb[0]) ? io->length : 0;
		return 0;
	}
	if (raw_is_busy(status)) {
		io->status = SAM_STAT_BUSY;
		return 0;
	}
	if (status == TCMU_STS_NO_RESOURCE) {
		io->status = SAM_STAT_TASK_SET_FULL;
		return 0;
	}
	io->status = SAM_STAT_CHECK_CONDITION;
	memcpy(io->sense, sense, SENSE_BUFFERSIZE);
	if (status == TCMU_STS_PASSTHROUGH_ERR)
		return 0;
	while (i < SENSE_CNT - 1 && senses[i].status != status)
		i++;
	/* Whatever the handler has set beside the code stays: INFORMATION, the progress. */
	__tcmu_sense_set_data(io->sense, senses[i].key, senses[i].code);
	return 0;
}
