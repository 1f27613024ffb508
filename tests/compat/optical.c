/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An optical drive with a file as its disc, in the style of tcmu-runner's handlers: by raw CDBs
 * alone
 *
 * Config: an absolute path. The blocks have 2048 bytes, whatever the kernel's device has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <scsi/scsi.h>

#include "be_byteshift.h"
#include "libtcmu.h"
#include "scsi_defs.h"
#include "tcmu-runner.h"
#include "tcmur_device.h"

#define OPTICAL_BLOCK 2048

struct optical_state {
	int fd;
	uint64_t num_lbas;
};

static int optical_open(struct tcmu_device *dev, bool reopen)
{
	struct optical_state *state = calloc(1, sizeof(*state));
	struct stat st;
	int ret;

	(void) reopen;
	if (!state)
		return -ENOMEM;
	state->fd = open(strchr(tcmu_dev_get_cfgstring(dev), '/') + 1, O_RDONLY | O_CLOEXEC);
	if (state->fd < 0 || fstat(state->fd, &st) < 0) {
		ret = -errno;
		tcmu_err("cannot open the disc: %m\n");
		if (state->fd >= 0)
			close(state->fd);
		free(state);
		return ret;
	}
	state->num_lbas = (uint64_t) st.st_size / OPTICAL_BLOCK;
	tcmu_dev_set_block_size(dev, OPTICAL_BLOCK);
	tcmu_dev_set_num_lbas(dev, state->num_lbas);
	tcmu_dev_set_write_protect_enabled(dev, true);
	tcmur_dev_set_private(dev, state);
	return 0;
}

static void optical_close(struct tcmu_device *dev)
{
	struct optical_state *state = tcmur_dev_get_private(dev);

	close(state->fd);
	free(state);
}

static int optical_inquiry(struct tcmu_device *dev, struct tcmulib_cmd *cmd)
{
	uint8_t data[36] = {0x05, 0x80, 0x05, 0x02, 31};

	if (cmd->cdb[1] & 0x01)
		return tcmu_emulate_inquiry(dev, NULL, cmd->cdb, cmd->iovec, cmd->iov_cnt);
	memcpy(data + 8, "EXAMPLE A disc drive    1.00", 28);
	tcmu_memcpy_into_iovec(
		cmd->iovec, cmd->iov_cnt, data,
		min(sizeof(data), (size_t) get_unaligned_be16(cmd->cdb + 3)));
	return TCMU_STS_OK;
}

static int optical_read(struct optical_state *state, struct tcmulib_cmd *cmd)
{
	uint64_t lba = tcmu_cdb_get_lba(cmd->cdb);
	uint32_t cnt = tcmu_cdb_get_xfer_length(cmd->cdb);
	size_t length = tcmu_iovec_length(cmd->iovec, cmd->iov_cnt);

	if (lba + cnt > state->num_lbas)
		return TCMU_STS_RANGE;
	if (length != (size_t) cnt * OPTICAL_BLOCK)
		return TCMU_STS_INVALID_CDB;
	if (preadv(state->fd, cmd->iovec, (int) cmd->iov_cnt, (off_t) lba * OPTICAL_BLOCK) !=
	    (ssize_t) length) {
		tcmu_sense_set_info(cmd->sense_buf, (uint32_t) lba);
		return TCMU_STS_RD_ERR;
	}
	return TCMU_STS_OK;
}

/* One track, and the lead-out. */
static int optical_read_toc(struct optical_state *state, struct tcmulib_cmd *cmd)
{
	uint8_t toc[20] = {0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa};

	if (cmd->cdb[2] & 0x0f)
		return TCMU_STS_INVALID_CDB;
	put_unaligned_be32((uint32_t) state->num_lbas, toc + 16);
	tcmu_memcpy_into_iovec(
		cmd->iovec, cmd->iov_cnt, toc,
		min(sizeof(toc), (size_t) get_unaligned_be16(cmd->cdb + 7)));
	return TCMU_STS_OK;
}

static int optical_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *command)
{
	struct optical_state *state = tcmur_dev_get_private(dev);
	struct tcmulib_cmd *cmd = command->lib_cmd;

	switch (cmd->cdb[0]) {
	case INQUIRY:
		return optical_inquiry(dev, cmd);
	case TEST_UNIT_READY:
		return tcmu_emulate_test_unit_ready(cmd->cdb, cmd->iovec, cmd->iov_cnt);
	case START_STOP:
		return tcmu_emulate_start_stop(dev, cmd->cdb);
	case READ_CAPACITY:
		return tcmu_emulate_read_capacity_10(
			state->num_lbas, OPTICAL_BLOCK, cmd->cdb, cmd->iovec, cmd->iov_cnt);
	case MODE_SENSE:
	case MODE_SENSE_10:
		return tcmu_emulate_mode_sense(dev, cmd->cdb, cmd->iovec, cmd->iov_cnt);
	case READ_10:
	case READ_12:
		return optical_read(state, cmd);
	case READ_TOC:
		return optical_read_toc(state, cmd);
	case WRITE_10:
		/* WRITE PROTECTED */
		return tcmu_sense_set_data(cmd->sense_buf, DATA_PROTECT, 0x2700);
	default:
		return TCMU_STS_NOT_HANDLED;
	}
}

static struct tcmur_handler optical_handler = {
	.name = "Optical drive",
	.subtype = "optical",
	.cfg_desc = "an absolute path",
	.open = optical_open,
	.close = optical_close,
	.handle_cmd = optical_handle_cmd,
	.nr_threads = 1,
};

int handler_init(void)
{
	return tcmur_register_handler(&optical_handler);
}
