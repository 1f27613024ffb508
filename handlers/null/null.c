/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend without storage: it forgets writes and reads zeros, at once. It serves to measure the
 * kernel and the daemon.
 *
 * A backend does not change after open; the I/O thread owns the rest.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/handler.h>

enum null_option {
	NULL_READS,
	NULL_OPTIONS,
};

enum null_reads {
	READS_ZERO,
	READS_UNTOUCHED,
};

static const char *const reads_choices[] = {
	[READS_ZERO] = "zero", [READS_UNTOUCHED] = "untouched", NULL};

static const struct tcmu_option null_options[NULL_OPTIONS + 1] = {
	[NULL_READS] = {
		.name = "reads",
		.type = TCMU_OPTION_CHOICE,
		.def = "zero",
		.choices = reads_choices,
		.help = "zero: reads are zeros; untouched: the buffer is left unchanged"}};

struct null_backend {
	enum null_reads reads;
};

static void null_describe(const struct tcmu_config *config, struct tcmu_backend_info *info)
{
	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	info->unmap_zeroes = true;
	if (config->read_only)
		return;
	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) |
		TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
	info->fua = true;
	info->thin = true;
}

static int null_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	(void) config;
	(void) reason;
	return 0;
}

static int null_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **ret,
	struct tcmu_reason *reason)
{
	struct null_backend *backend = malloc(sizeof(*backend));

	(void) host;
	(void) dev;
	if (!backend) {
		(void) snprintf(reason->text, sizeof(reason->text), "out of memory");
		return -ENOMEM;
	}
	backend->reads = (enum null_reads) config->values[NULL_READS].number;
	assert(backend->reads <= READS_UNTOUCHED);
	null_describe(config, info);
	*ret = backend;
	return 0;
}

static void null_close(void *backend)
{
	free(backend);
}

static void null_submit(void *backend, struct tcmu_io *io)
{
	const struct null_backend *self = backend;

	if (io->op == TCMU_IO_READ && self->reads == READS_ZERO)
		for (unsigned i = 0; i < io->iov_cnt; i++)
			memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
	tcmu_io_complete(io, 0);
}

static int null_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	(void) backend;
	(void) config;
	(void) info;
	(void) reason;
	return 0;
}

TCMU_HANDLER(.subtype = "null", .name = "nothing, for measurements",
	     .config_desc = "any name, or none, then options: name[;option=value]...; writes are "
			    "forgotten",
	     .threading = TCMU_HANDLER_ASYNC, .options = null_options,
	     .check_config = null_check_config, .open = null_open, .close = null_close,
	     .submit = null_submit, .resize = null_resize);
