/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory, whose data is lost when it is deleted: the smallest working handler. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/handler.h>

static int memory_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) host;
	(void) dev;
	*backend = calloc(1, config->size);
	if (!*backend) {
		snprintf(
			reason->text, sizeof(reason->text),
			"there is not enough memory for the disk");
		return -ENOMEM;
	}
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE);
	return 0;
}

static void memory_close(void *backend)
{
	free(backend);
}

static void memory_submit(void *backend, struct tcmu_io *io)
{
	char *at = (char *) backend + io->offset;

	for (unsigned i = 0; i < io->iov_cnt; at += io->iov[i++].iov_len) {
		if (io->op == TCMU_IO_READ)
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		else
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
	}
	tcmu_io_complete(io, 0);
}

TCMU_HANDLER(.subtype = "memory", .name = "disk in memory",
	     .config_desc = "any text; it has no meaning", .threading = TCMU_HANDLER_ASYNC,
	     .open = memory_open, .close = memory_close, .submit = memory_submit);
