/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin as somebody else writes it, outside of the tree: a disk in memory. It is built with nothing but the installed
 * header and pkg-config's word.
 */
#include <tcmu/handler.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ram {
	unsigned char *bytes;
};

static int ram_open(
	const struct tcmu_config *config, const struct tcmu_host *host, struct tcmu_host_device *dev,
	struct tcmu_backend_info *info, void **backend, struct tcmu_reason *reason)
{
	struct ram *ram = calloc(1, sizeof(*ram));

	(void) host;
	(void) dev;
	if (ram)
		ram->bytes = calloc(1, config->size);
	if (!ram || !ram->bytes) {
		free(ram);
		strcpy(reason->text, "not enough memory");
		return -ENOMEM;
	}
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH);
	*backend = ram;
	return 0;
}

static void ram_close(void *backend)
{
	struct ram *ram = backend;

	free(ram->bytes);
	free(ram);
}

static void ram_submit(void *backend, struct tcmu_io *io)
{
	struct ram *ram = backend;
	unsigned char *at = ram->bytes + io->offset;

	for (unsigned i = 0; io->op != TCMU_IO_FLUSH && i < io->iov_cnt; i++) {
		if (io->op == TCMU_IO_READ)
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		else
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	tcmu_io_complete(io, 0);
}

TCMU_HANDLER(.subtype = "ram", .name = "a disk in memory",
	     .config_desc = "anything: the text is not looked at", .threading = TCMU_HANDLER_ASYNC,
	     .open = ram_open, .close = ram_close, .submit = ram_submit);
