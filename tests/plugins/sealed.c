/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in a file whose bytes are changed with a secret key: only the same key reads them again.
 * It refuses a short key, and the reason has the key: the daemon must hide it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/handler.h>

#define KEY_MIN 16
#define PIECE   4096

static const struct tcmu_option options[] = {
	{.name = "key", .type = TCMU_OPTION_SECRET, .help = "the file with the key"},
	{.name = NULL},
};

struct sealed {
	int fd;
	size_t length;
	char key[];
};

static int sealed_check(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	const char *key = config->values[0].string;

	if (!key || strlen(key) < KEY_MIN)
		return tcmu_refuse(reason, -EINVAL, "the key is too short: \"%s\"", key ? key : "");
	if (access(config->target, R_OK | W_OK) < 0)
		return tcmu_refuse(reason, -errno, "%s: %s", strerror(errno), config->target);
	return 0;
}

static int sealed_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	int r = sealed_check(config, reason);
	const char *key = config->values[0].string;
	struct sealed *self;

	(void) host;
	(void) dev;
	if (r < 0)
		return r;
	self = calloc(1, sizeof(*self) + strlen(key));
	if (!self)
		return -ENOMEM;
	self->length = strlen(key);
	memcpy(self->key, key, self->length);
	self->fd = open(config->target, O_RDWR | O_CLOEXEC);
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE);
	*backend = self;
	return 0;
}

static void sealed_close(void *backend)
{
	struct sealed *self = backend;

	(void) close(self->fd);
	explicit_bzero(self->key, self->length);
	free(self);
}

static void sealed_change(const struct sealed *self, char *bytes, size_t length, uint64_t offset)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] ^= self->key[(offset + i) % self->length];
}

/* Moves at most PIECE bytes. */
static int sealed_move(
	const struct sealed *self, enum tcmu_io_op op, char *data, size_t length, uint64_t offset)
{
	char bytes[PIECE];
	ssize_t r;

	if (op == TCMU_IO_WRITE) {
		memcpy(bytes, data, length);
		sealed_change(self, bytes, length, offset);
		r = pwrite(self->fd, bytes, length, (off_t) offset);
	} else {
		r = pread(self->fd, bytes, length, (off_t) offset);
		sealed_change(self, bytes, length, offset);
		memcpy(data, bytes, length);
	}
	return r == (ssize_t) length ? 0 : -EIO;
}

static void sealed_submit(void *backend, struct tcmu_io *io)
{
	uint64_t offset = io->offset;
	int r = 0;

	for (unsigned i = 0; i < io->iov_cnt; i++) {
		const struct iovec *iov = &io->iov[i];

		for (size_t at = 0; r == 0 && at < iov->iov_len; at += PIECE) {
			size_t rest = iov->iov_len - at;

			r = sealed_move(
				backend, io->op, (char *) iov->iov_base + at,
				rest < PIECE ? rest : PIECE, offset + at);
		}
		offset += iov->iov_len;
	}
	tcmu_io_complete(io, r);
}

TCMU_HANDLER(.subtype = "sealed", .name = "a file with a key, for tests",
	     .config_desc = "the path of a file; its size is that of the disk",
	     .threading = TCMU_HANDLER_SERIAL, .flags = TCMU_HANDLER_ESCAPED_CONFIG,
	     .options = options, .check_config = sealed_check, .open = sealed_open,
	     .close = sealed_close, .submit = sealed_submit);
