/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a config string to a backend, and its end. Each call runs on its own thread and may block.
 */
#include "open.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "inject.h"
#include "options.h"

static int fault_check_size(
	const struct tcmu_config *config, const struct stat *st, struct tcmu_reason *reason)
{
	if (!S_ISREG(st->st_mode))
		return tcmu_refuse(
			reason, -EINVAL, "a regular file is expected: %s", config->target);
	if ((uint64_t) st->st_size < config->size)
		return tcmu_refuse(
			reason, -EINVAL,
			"the file is shorter than the disk, %llu of %llu bytes: %s",
			(unsigned long long) st->st_size, (unsigned long long) config->size,
			config->target);
	return 0;
}

/* The error that an option names, with a reason. 0: the option is not given. */
static int error_option(
	const struct tcmu_config *config, enum fault_option option, struct tcmu_reason *reason)
{
	const char *name = config->values[option].string;
	int error = name ? fault_errno(name, strlen(name)) : 0;

	assert(option < FAULT_OPTIONS);
	if (!name)
		return 0;
	if (!error)
		return tcmu_refuse(
			reason, -EINVAL, "%s=%s is not the name of an errno",
			fault_options[option].name, name);
	return tcmu_refuse(reason, error, "%s is set", fault_options[option].name);
}

static int parse_errors(
	const struct tcmu_config *config, struct fault_error *errors, struct tcmu_reason *reason)
{
	const char *text = config->values[FAULT_ERROR].string;
	int cnt = text ? fault_parse_errors(text, errors) : 0;

	if (cnt < 0)
		return tcmu_refuse(
			reason, cnt,
			"error=OP:ERRNO[:NTH][+...] is expected, at most %d of them: %s",
			FAULT_ERRORS_MAX, text);
	return cnt;
}

int fault_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct fault_hang hang = fault_hang_of(config, FAULT_CHECK_HANG, FAULT_CHECK_HANG_FILE);
	struct fault_error errors[FAULT_ERRORS_MAX];
	struct stat st;
	int r;

	fault_hang(&hang);
	if (stat(config->target, &st) < 0)
		return tcmu_refuse(
			reason, -errno, "cannot find the file: %s: %s", strerror(errno),
			config->target);
	r = parse_errors(config, errors, reason);
	return r < 0 ? r : fault_check_size(config, &st, reason);
}

static void fault_describe(
	const struct tcmu_config *config, const struct stat *st, struct tcmu_backend_info *info)
{
	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	info->unmap_zeroes = true;
	(void) snprintf(
		info->claim, sizeof(info->claim), "file:%u:%u:%llu", major(st->st_dev),
		minor(st->st_dev), (unsigned long long) st->st_ino);
	if (config->read_only)
		return;
	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) |
		TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
	info->fua = true;
	info->volatile_cache = true;
	info->thin = true;
}

static void init_waiting(struct fault_backend *backend)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&backend->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&backend->cancelled, &attributes);
	pthread_condattr_destroy(&attributes);
}

static int fault_configure(
	struct fault_backend *backend, const struct tcmu_config *config, struct tcmu_reason *reason)
{
	int r = parse_errors(config, backend->errors, reason);

	if (r < 0)
		return r;
	backend->error_cnt = (unsigned) r;
	backend->close_hang = fault_hang_of(config, FAULT_CLOSE_HANG, FAULT_CLOSE_HANG_FILE);
	if (config->values[FAULT_HOLD_FILE].string)
		strncpy(backend->hold.file, config->values[FAULT_HOLD_FILE].string,
			sizeof(backend->hold.file) - 1);
	backend->delay_ms = config->values[FAULT_DELAY_MS].number;
	backend->ops = (enum fault_ops) config->values[FAULT_OPS].number;
	backend->when = (enum fault_when) config->values[FAULT_WHEN].number;
	backend->cancel = config->values[FAULT_CANCEL].number != 0;
	backend->fail_after = config->values[FAULT_FAIL_AFTER].number;
	return 0;
}

static int fault_open_file(
	struct fault_backend *backend, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	struct stat st;
	int r;

	backend->fd = open(config->target, (config->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (backend->fd < 0 || fstat(backend->fd, &st) < 0)
		return tcmu_refuse(
			reason, -errno, "cannot open the file: %s: %s", strerror(errno),
			config->target);
	r = fault_check_size(config, &st, reason);
	if (r >= 0)
		fault_describe(config, &st, info);
	return r;
}

static void fault_free(struct fault_backend *backend)
{
	if (backend->fd >= 0)
		close(backend->fd);
	pthread_cond_destroy(&backend->cancelled);
	pthread_mutex_destroy(&backend->lock);
	free(backend);
}

int fault_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **ret,
	struct tcmu_reason *reason)
{
	struct fault_hang hang = fault_hang_of(config, FAULT_OPEN_HANG, FAULT_OPEN_HANG_FILE);
	struct fault_backend *backend;
	int r;

	fault_delay(config->values[FAULT_OPEN_DELAY_MS].number);
	fault_hang(&hang);
	r = error_option(config, FAULT_OPEN_ERROR, reason);
	if (r < 0)
		return r;
	backend = calloc(1, sizeof(*backend));
	if (!backend)
		return tcmu_refuse(reason, -ENOMEM, "out of memory");
	backend->host = host;
	backend->dev = dev;
	backend->fd = -1;
	init_waiting(backend);
	r = fault_configure(backend, config, reason);
	if (r >= 0)
		r = fault_open_file(backend, config, info, reason);
	if (r < 0) {
		fault_free(backend);
		return r;
	}
	*ret = backend;
	return 0;
}

void fault_close(void *backend)
{
	struct fault_backend *self = backend;

	assert(self->fd >= 0);
	fault_hang(&self->close_hang);
	(void) fdatasync(self->fd);
	fault_free(self);
}

int fault_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct fault_hang hang = fault_hang_of(config, FAULT_RESIZE_HANG, FAULT_RESIZE_HANG_FILE);
	struct fault_backend *self = backend;
	struct stat st;
	int r;

	assert(self->fd >= 0);
	(void) info;
	fault_hang(&hang);
	r = error_option(config, FAULT_RESIZE_ERROR, reason);
	if (r < 0)
		return r;
	if (fstat(self->fd, &st) < 0)
		return tcmu_refuse(
			reason, -errno, "cannot read the size of the file: %s", strerror(errno));
	if ((uint64_t) st.st_size < config->size && ftruncate(self->fd, (off_t) config->size) < 0)
		return tcmu_refuse(
			reason, -errno, "cannot extend the file to %llu bytes: %s",
			(unsigned long long) config->size, strerror(errno));
	return 0;
}
