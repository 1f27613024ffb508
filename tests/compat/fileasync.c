/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file, in the style of tcmu-runner's handlers: asynchronous, by a thread for each device
 *
 * Config: an absolute path of a file. If a file PATH.gone is there, the connection to the store is
 * lost with the next request.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "darray.h"
#include "libtcmu.h"
#include "tcmu-runner.h"
#include "tcmur_device.h"

struct async_request {
	struct tcmur_cmd *cmd;
	struct iovec *iov;
	int iov_cnt;
	size_t len;
	off_t off;
	enum {
		ASYNC_READ,
		ASYNC_WRITE,
		ASYNC_FLUSH
	} op;
};

struct async_state {
	int fd;
	char *gone;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	darray(struct async_request) queue;
	bool stop;
};

static bool async_more(struct iovec **iov, int *iov_cnt, ssize_t done)
{
	size_t used = tcmu_iovec_seek(*iov, (size_t) done);

	*iov += used;
	*iov_cnt -= (int) used;
	return *iov_cnt > 0;
}

static int async_carry_out(struct async_state *state, struct async_request *request)
{
	ssize_t done = 0;

	if (request->op == ASYNC_FLUSH)
		return fdatasync(state->fd) < 0 ? TCMU_STS_WR_ERR : TCMU_STS_OK;
	do {
		done = request->op == ASYNC_READ
			? preadv(state->fd, request->iov, request->iov_cnt, request->off)
			: pwritev(state->fd, request->iov, request->iov_cnt, request->off);
		if (done <= 0)
			return request->op == ASYNC_READ ? TCMU_STS_RD_ERR : TCMU_STS_WR_ERR;
		request->off += done;
	} while (async_more(&request->iov, &request->iov_cnt, done));
	return TCMU_STS_OK;
}

static void *async_run(void *data)
{
	struct tcmu_device *dev = data;
	struct async_state *state = tcmur_dev_get_private(dev);

	tcmu_set_thread_name("fileasync", dev);
	for (;;) {
		struct async_request request;
		int sts;

		pthread_mutex_lock(&state->lock);
		while (state->queue.size == 0 && !state->stop)
			pthread_cond_wait(&state->changed, &state->lock);
		if (state->queue.size == 0) {
			pthread_mutex_unlock(&state->lock);
			return NULL;
		}
		request = darray_item(state->queue, 0);
		darray_remove(state->queue, 0);
		pthread_mutex_unlock(&state->lock);
		if (access(state->gone, F_OK) == 0) {
			tcmu_dev_warn(dev, "the store is gone\n");
			tcmu_notify_conn_lost(dev);
			sts = TCMU_STS_TIMEOUT;
		} else {
			sts = async_carry_out(state, &request);
		}
		tcmur_cmd_complete(dev, request.cmd, sts);
	}
}

static int async_queue(struct tcmu_device *dev, const struct async_request *request)
{
	struct async_state *state = tcmur_dev_get_private(dev);
	size_t before;
	int sts;

	pthread_mutex_lock(&state->lock);
	before = darray_size(state->queue);
	darray_append(state->queue, *request);
	sts = darray_size(state->queue) > before ? TCMU_STS_OK : TCMU_STS_NO_RESOURCE;
	pthread_cond_signal(&state->changed);
	pthread_mutex_unlock(&state->lock);
	return sts;
}

static int async_read(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	size_t len, off_t off)
{
	const struct async_request request = {cmd, iov, (int) iov_cnt, len, off, ASYNC_READ};

	return async_queue(dev, &request);
}

static int async_write(
	struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
	size_t len, off_t off)
{
	const struct async_request request = {cmd, iov, (int) iov_cnt, len, off, ASYNC_WRITE};

	return async_queue(dev, &request);
}

static int async_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd)
{
	const struct async_request request = {.cmd = cmd, .op = ASYNC_FLUSH};

	return async_queue(dev, &request);
}

static int async_open(struct tcmu_device *dev, bool reopen)
{
	struct async_state *state = calloc(1, sizeof(*state));
	const char *path = strchr(tcmu_dev_get_cfgstring(dev), '/') + 1;
	int ret = -EIO;

	if (!state)
		return -ENOMEM;
	if (asprintf(&state->gone, "%s.gone", path) < 0)
		goto free_state;
	if (access(state->gone, F_OK) == 0) {
		tcmu_dev_err(dev, "the store is still gone\n");
		goto free_name;
	}
	state->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->fd < 0 ||
	    ftruncate(
		    state->fd,
		    (off_t) (tcmu_dev_get_num_lbas(dev) * tcmu_dev_get_block_size(dev))) < 0) {
		ret = -errno;
		tcmu_dev_err(dev, "cannot open %s: %m\n", path);
		goto close_file;
	}
	pthread_mutex_init(&state->lock, NULL);
	pthread_cond_init(&state->changed, NULL);
	darray_init(state->queue);
	tcmur_dev_set_private(dev, state);
	tcmu_dev_info(dev, "open, reopen %d\n", reopen);
	if (pthread_create(&state->thread, NULL, async_run, dev) == 0)
		return 0;
close_file:
	if (state->fd >= 0)
		close(state->fd);
free_name:
	free(state->gone);
free_state:
	free(state);
	return ret;
}

static void async_close(struct tcmu_device *dev)
{
	struct async_state *state = tcmur_dev_get_private(dev);

	pthread_mutex_lock(&state->lock);
	state->stop = true;
	pthread_cond_signal(&state->changed);
	pthread_mutex_unlock(&state->lock);
	pthread_join(state->thread, NULL);
	fsync(state->fd);
	close(state->fd);
	darray_free(state->queue);
	free(state->gone);
	free(state);
}

static struct tcmur_handler async_handler = {
	.name = "File, asynchronous",
	.subtype = "fileasync",
	.cfg_desc = "an absolute path",
	.open = async_open,
	.close = async_close,
	.read = async_read,
	.write = async_write,
	.flush = async_flush,
};

int handler_init(void)
{
	return tcmur_register_handler(&async_handler);
}
