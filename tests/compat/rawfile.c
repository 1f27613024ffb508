/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file, in the style of tcmu-runner's handlers that see each CDB: it answers READ and WRITE by
 * itself, and leaves the rest to the daemon, which calls read, write and flush
 *
 * Config: an absolute path. The file is created, as sparse as the device is long.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <scsi/scsi.h>

#include "libtcmu.h"
#include "scsi_defs.h"
#include "tcmu-runner.h"
#include "tcmur_device.h"

struct raw_state {
	int fd;
};

static int raw_open(struct tcmu_device *dev, bool reopen)
{
	struct raw_state *state = calloc(1, sizeof(*state));
	const char *path = strchr(tcmu_dev_get_cfgstring(dev), '/');
	uint64_t size = tcmu_lba_to_byte(dev, tcmu_dev_get_num_lbas(dev));
	int ret;

	(void) reopen;
	if (!state || !path) {
		free(state);
		return -ENOMEM;
	}
	state->fd = open(path + 1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->fd < 0 || ftruncate(state->fd, (off_t) size) < 0) {
		ret = -errno;
		tcmu_dev_err(dev, "cannot open %s: %m\n", path + 1);
		if (state->fd >= 0)
			close(state->fd);
		free(state);
		return ret;
	}
	tcmu_dev_set_write_cache_enabled(dev, true);
	tcmur_dev_set_private(dev, state);
	return 0;
}

static void raw_close(struct tcmu_device *dev)
{
	struct raw_state *state = tcmur_dev_get_private(dev);

	fsync(state->fd);
	close(state->fd);
	free(state);
}

static int raw_read(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
	size_t len, off_t off)
{
	struct raw_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	return preadv(state->fd, iovec, (int) iov_cnt, off) == (ssize_t) len ? TCMU_STS_OK
									     : TCMU_STS_RD_ERR;
}

static int raw_write(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
	size_t len, off_t off)
{
	struct raw_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	return pwritev(state->fd, iovec, (int) iov_cnt, off) == (ssize_t) len ? TCMU_STS_OK
									      : TCMU_STS_WR_ERR;
}

static int raw_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct raw_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	return fdatasync(state->fd) < 0 ? TCMU_STS_WR_ERR : TCMU_STS_OK;
}

/* READ and WRITE of a range that exists, without FUA, whose data fits. */
static int raw_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *command)
{
	struct tcmulib_cmd *cmd = command->lib_cmd;
	uint64_t lba = tcmu_cdb_get_lba(cmd->cdb);
	size_t len = (size_t) tcmu_cdb_get_xfer_length(cmd->cdb) * tcmu_dev_get_block_size(dev);
	off_t off = (off_t) tcmu_lba_to_byte(dev, lba);

	switch (cmd->cdb[0]) {
	case READ_10:
	case READ_16:
	case WRITE_10:
	case WRITE_16:
		break;
	default:
		return TCMU_STS_NOT_HANDLED;
	}
	if (cmd->cdb[1] || lba + len / tcmu_dev_get_block_size(dev) > tcmu_dev_get_num_lbas(dev) ||
	    len != tcmu_iovec_length(cmd->iovec, cmd->iov_cnt))
		return TCMU_STS_NOT_HANDLED;
	if (cmd->cdb[0] == READ_10 || cmd->cdb[0] == READ_16)
		return raw_read(dev, command, cmd->iovec, cmd->iov_cnt, len, off);
	return raw_write(dev, command, cmd->iovec, cmd->iov_cnt, len, off);
}

static struct tcmur_handler raw_handler = {
	.name = "File, by its CDBs",
	.subtype = "rawfile",
	.cfg_desc = "an absolute path",
	.open = raw_open,
	.close = raw_close,
	.handle_cmd = raw_handle_cmd,
	.read = raw_read,
	.write = raw_write,
	.flush = raw_flush,
	.nr_threads = 2,
};

int handler_init(void)
{
	return tcmur_register_handler(&raw_handler);
}
