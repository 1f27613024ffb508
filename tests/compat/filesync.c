/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file, in the style of tcmu-runner's handlers: synchronous, on several threads
 *
 * Config: an absolute path. The file is created, as sparse as the device is long.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libtcmu.h"
#include "tcmu-runner.h"
#include "tcmur_device.h"

struct sync_state {
	int fd;
	pthread_mutex_t caw_lock;
};

static const char *sync_path(const char *cfgstring)
{
	const char *slash = strchr(cfgstring, '/');

	return slash ? slash + 1 : NULL;
}

static bool sync_check_config(const char *cfgstring, char **reason)
{
	const char *path = sync_path(cfgstring);

	if (path && path[0] == '/')
		return true;
	if (asprintf(reason, "%s is no absolute path", path ? path : "it") < 0)
		*reason = NULL;
	return false;
}

static int sync_open(struct tcmu_device *dev, bool reopen)
{
	struct sync_state *state = calloc(1, sizeof(*state));
	uint64_t size = tcmu_lba_to_byte(dev, tcmu_dev_get_num_lbas(dev));
	int ret = -ENOMEM;

	if (!state)
		return ret;
	tcmur_dev_set_private(dev, state);
	state->fd = open(
		sync_path(tcmu_dev_get_cfgstring(dev)), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->fd < 0) {
		ret = -errno;
		tcmu_dev_err(
			dev, "cannot open %s: %s\n", tcmu_dev_get_cfgstring(dev), strerror(errno));
		goto free_state;
	}
	if (ftruncate(state->fd, (off_t) size) < 0) {
		ret = -errno;
		tcmu_err("cannot extend the file: %m\n");
		goto close_file;
	}
	pthread_mutex_init(&state->caw_lock, NULL);
	tcmu_dev_set_write_cache_enabled(dev, true);
	tcmu_dev_set_solid_state_media(dev, true);
	tcmu_dev_set_max_xfer_len(dev, (1024 * 1024) / tcmu_dev_get_block_size(dev));
	tcmu_dev_dbg(dev, "opened, reopen %d\n", reopen);
	return 0;

close_file:
	close(state->fd);
free_state:
	free(state);
	return ret;
}

static void sync_close(struct tcmu_device *dev)
{
	struct sync_state *state = tcmur_dev_get_private(dev);

	fsync(state->fd);
	close(state->fd);
	pthread_mutex_destroy(&state->caw_lock);
	free(state);
}

static int sync_read(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	size_t length, off_t offset)
{
	struct sync_state *state = tcmur_dev_get_private(dev);
	ssize_t ret;
	size_t used;

	(void) cmd;
	while (length) {
		ret = preadv(state->fd, iov, (int) iov_cnt, offset);
		if (ret < 0) {
			tcmu_err("read failed: %m\n");
			return TCMU_STS_RD_ERR;
		}
		if (ret == 0) { /* behind the end */
			tcmu_iovec_zero(iov, iov_cnt);
			break;
		}
		used = tcmu_iovec_seek(iov, (size_t) ret);
		iov += used;
		iov_cnt -= used;
		offset += ret;
		length -= (size_t) ret;
	}
	return TCMU_STS_OK;
}

static int sync_write(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	size_t length, off_t offset)
{
	struct sync_state *state = tcmur_dev_get_private(dev);
	ssize_t ret;
	size_t used;

	(void) cmd;
	while (length) {
		ret = pwritev(state->fd, iov, (int) iov_cnt, offset);
		if (ret < 0) {
			tcmu_err("write failed: %m\n");
			return errno == ENOSPC ? TCMU_STS_NO_RESOURCE : TCMU_STS_WR_ERR;
		}
		used = tcmu_iovec_seek(iov, (size_t) ret);
		iov += used;
		iov_cnt -= used;
		offset += ret;
		length -= (size_t) ret;
	}
	return TCMU_STS_OK;
}

static int sync_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	struct sync_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	return fdatasync(state->fd) < 0 ? TCMU_STS_WR_ERR : TCMU_STS_OK;
}

static int sync_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	struct sync_state *state = tcmur_dev_get_private(dev);

	(void) cmd;
	if (fallocate(
		    state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) off,
		    (off_t) len) < 0)
		return TCMU_STS_WR_ERR;
	return TCMU_STS_OK;
}

/* Zeros alone. */
static int sync_writesame(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
	struct iovec *iov, size_t iov_cnt)
{
	if (!tcmu_iovec_zeroed(iov, iov_cnt))
		return TCMU_STS_NOT_HANDLED;
	return sync_unmap(dev, cmd, off, len);
}

static int sync_caw(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
	struct iovec *iov, size_t iov_cnt)
{
	struct sync_state *state = tcmur_dev_get_private(dev);
	uint8_t *wanted = malloc(2 * len), *found = malloc(len);
	int ret = TCMU_STS_NO_RESOURCE;
	struct iovec iov_found = {found, len};
	off_t differs;

	if (!wanted || !found)
		goto free_buffers;
	tcmu_memcpy_from_iovec(wanted, 2 * len, iov, iov_cnt);
	pthread_mutex_lock(&state->caw_lock);
	ret = TCMU_STS_RD_ERR;
	if (pread(state->fd, found, len, (off_t) off) != (ssize_t) len)
		goto unlock;
	differs = tcmu_iovec_compare(wanted, &iov_found, len);
	ret = TCMU_STS_MISCOMPARE;
	if (differs >= 0) {
		tcmu_sense_set_info(cmd->lib_cmd->sense_buf, (uint32_t) differs);
		goto unlock;
	}
	ret = pwrite(state->fd, wanted + len, len, (off_t) off) == (ssize_t) len ? TCMU_STS_OK
										 : TCMU_STS_WR_ERR;
unlock:
	pthread_mutex_unlock(&state->caw_lock);
free_buffers:
	free(wanted);
	free(found);
	return ret;
}

static int sync_reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	struct sync_state *state = tcmur_dev_get_private(dev);

	switch (cfg->type) {
	case TCMULIB_CFG_DEV_SIZE:
		return ftruncate(state->fd, (off_t) cfg->data.dev_size) < 0 ? -errno : 0;
	case TCMULIB_CFG_DEV_CFGSTR:
	case TCMULIB_CFG_WRITE_CACHE:
	default:
		return -EOPNOTSUPP;
	}
}

static struct tcmur_handler sync_handler = {
	.name = "File, synchronous",
	.subtype = "filesync",
	.cfg_desc = "an absolute path",
	.check_config = sync_check_config,
	.reconfig = sync_reconfig,
	.open = sync_open,
	.close = sync_close,
	.read = sync_read,
	.write = sync_write,
	.flush = sync_flush,
	.unmap = sync_unmap,
	.writesame = sync_writesame,
	.caw = sync_caw,
	.nr_threads = 4,
};

int handler_init(void)
{
	return tcmur_register_handler(&sync_handler);
}
