/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with zones that are written in sequence, in memory, in the style of tcmu-runner's
 * handlers: it sees each CDB, and leaves what it does not answer to the daemon, which calls
 * read and write
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <scsi/scsi.h>

#include "be_byteshift.h"
#include "libtcmu.h"
#include "scsi_defs.h"
#include "tcmu-runner.h"
#include "tcmur_device.h"

#define ZONE_BLOCKS         64
#define ZONING_IN           0x95
#define ZONING_OUT          0x94
#define REPORT_ZONES        0x00
#define RESET_WRITE_POINTER 0x04

struct zoned_state {
	uint8_t *data;
	uint64_t *pointers; /* the next block of each zone */
	uint64_t zones;
};

static int zoned_open(struct tcmu_device *dev, bool reopen)
{
	struct zoned_state *state = calloc(1, sizeof(*state));
	uint64_t blocks = tcmu_dev_get_num_lbas(dev);

	(void) reopen;
	if (!state)
		return -ENOMEM;
	state->zones = blocks / ZONE_BLOCKS;
	state->data = calloc(blocks, tcmu_dev_get_block_size(dev));
	state->pointers = calloc(state->zones, sizeof(*state->pointers));
	if (!state->data || !state->pointers) {
		free(state->data);
		free(state->pointers);
		free(state);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < state->zones; i++)
		state->pointers[i] = i * ZONE_BLOCKS;
	tcmur_dev_set_private(dev, state);
	return 0;
}

static void zoned_close(struct tcmu_device *dev)
{
	struct zoned_state *state = tcmur_dev_get_private(dev);

	free(state->data);
	free(state->pointers);
	free(state);
}

static int zoned_report(struct zoned_state *state, struct tcmulib_cmd *cmd)
{
	uint8_t data[64 + 64] = {0};
	uint64_t zone = tcmu_cdb_get_lba(cmd->cdb) / ZONE_BLOCKS;

	if (zone >= state->zones)
		return TCMU_STS_RANGE;
	put_unaligned_be32((uint32_t) ((state->zones - zone) * 64), data);
	put_unaligned_be64(state->zones * ZONE_BLOCKS - 1, data + 8);
	data[64] = 0x02; /* sequential write required */
	put_unaligned_be64(ZONE_BLOCKS, data + 64 + 8);
	put_unaligned_be64(zone * ZONE_BLOCKS, data + 64 + 16);
	put_unaligned_be64(state->pointers[zone], data + 64 + 24);
	tcmu_memcpy_into_iovec(
		cmd->iovec, cmd->iov_cnt, data,
		min(sizeof(data), (size_t) get_unaligned_be32(cmd->cdb + 10)));
	return TCMU_STS_OK;
}

/* A write that is not at the pointer is refused; the daemon carries out the others. */
static int zoned_check_write(struct zoned_state *state, struct tcmulib_cmd *cmd)
{
	uint64_t lba = tcmu_cdb_get_lba(cmd->cdb), zone = lba / ZONE_BLOCKS;
	uint32_t cnt = tcmu_cdb_get_xfer_length(cmd->cdb);

	if (zone >= state->zones)
		return TCMU_STS_RANGE;
	if (lba != state->pointers[zone] || lba + cnt > (zone + 1) * ZONE_BLOCKS)
		return tcmu_sense_set_data(cmd->sense_buf, ILLEGAL_REQUEST, 0x2104);
	state->pointers[zone] += cnt;
	return TCMU_STS_NOT_HANDLED;
}

static int zoned_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *command)
{
	struct zoned_state *state = tcmur_dev_get_private(dev);
	struct tcmulib_cmd *cmd = command->lib_cmd;
	uint64_t zone = tcmu_cdb_get_lba(cmd->cdb) / ZONE_BLOCKS;

	switch (cmd->cdb[0]) {
	case ZONING_IN:
		return (cmd->cdb[1] & 0x1f) == REPORT_ZONES ? zoned_report(state, cmd)
							    : TCMU_STS_INVALID_CDB;
	case ZONING_OUT:
		if ((cmd->cdb[1] & 0x1f) != RESET_WRITE_POINTER || zone >= state->zones)
			return TCMU_STS_INVALID_CDB;
		state->pointers[zone] = zone * ZONE_BLOCKS;
		return TCMU_STS_OK;
	case WRITE_10:
	case WRITE_16:
		return zoned_check_write(state, cmd);
	default:
		return TCMU_STS_NOT_HANDLED;
	}
}

static int zoned_read(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
	size_t len, off_t off)
{
	struct zoned_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	tcmu_memcpy_into_iovec(iovec, iov_cnt, state->data + off, len);
	return TCMU_STS_OK;
}

static int zoned_write(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
	size_t len, off_t off)
{
	struct zoned_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	tcmu_memcpy_from_iovec(state->data + off, len, iovec, iov_cnt);
	return TCMU_STS_OK;
}

static struct tcmur_handler zoned_handler = {
	.name = "Zones in memory",
	.subtype = "zoned",
	.cfg_desc = "nothing",
	.open = zoned_open,
	.close = zoned_close,
	.handle_cmd = zoned_handle_cmd,
	.read = zoned_read,
	.write = zoned_write,
	.nr_threads = 1,
};

int handler_init(void)
{
	return tcmur_register_handler(&zoned_handler);
}
