/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler whose submit() does not return while the file in its config string exists. Then the
 * device's I/O thread is stuck, which a correct handler never causes.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/handler.h>

static int stuck_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) host;
	(void) dev;
	(void) reason;
	*backend = strdup(config->target);
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE);
	return *backend ? 0 : -ENOMEM;
}

static void stuck_submit(void *backend, struct tcmu_io *io)
{
	while (access(backend, F_OK) == 0)
		(void) poll(NULL, 0, 20);
	tcmu_io_complete(io, 0);
}

TCMU_HANDLER(.subtype = "stuck", .name = "gets stuck",
	     .config_desc = "the file: the handler is stuck while it exists",
	     .threading = TCMU_HANDLER_ASYNC, .open = stuck_open, .close = free,
	     .submit = stuck_submit);
