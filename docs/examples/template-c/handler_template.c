/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler to begin with, in C. Its backend is a file, read and written by calls that block; put
 * the calls of another storage in their place. It is PARALLEL: submit runs on several threads at
 * once, and may wait.
 *
 * Its name is in three places: the name of this file, CMakeLists.txt, and subtype below.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tcmu/handler.h>

/* The options of the config string, in the order of the table. */
enum template_option {
	TEMPLATE_CREATE,
	TEMPLATE_OPTIONS,
};

static const struct tcmu_option template_options[TEMPLATE_OPTIONS + 1] = {
	[TEMPLATE_CREATE] = {
		.name = "create",
		.type = TCMU_OPTION_BOOL,
		.def = "yes",
		.help = "create a file that is missing"}};

/* An open disk. */
struct template_backend {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;
};

/* Every refusal has one sentence for a person. Returns error. */
__attribute__((format(printf, 3, 4))) static int template_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
	return error;
}

/* Whether the config string is good. Changes nothing. */
static int template_check(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	if (config->target[0] != '/')
		return template_refuse(
			reason, -EINVAL, "the path is not absolute: %s", config->target);
	return 0;
}

/* What the disk can do. */
static void template_describe(
	const struct template_backend *self, const struct tcmu_config *config,
	struct tcmu_backend_info *info)
{
	struct stat st;

	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	if (!config->read_only)
		info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH);
	/* A write may be in a cache until FLUSH. */
	info->volatile_cache = !config->read_only;
	/* Names the store, however its path is spelled: no two disks may use it. */
	if (fstat(self->fd, &st) == 0)
		snprintf(
			info->claim, sizeof(info->claim), "template:%llu:%llu",
			(unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
}

static int template_open_file(
	struct template_backend *self, const struct tcmu_config *config,
	struct tcmu_reason *reason)
{
	int flags = (config->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat st;

	/* A store that was served before is neither created nor extended. */
	if (config->values[TEMPLATE_CREATE].number && !config->must_exist && !config->read_only)
		flags |= O_CREAT;
	self->fd = open(config->target, flags, 0600);
	if (self->fd < 0 || fstat(self->fd, &st) < 0)
		return template_refuse(
			reason, -errno, "cannot open the file: %s: %s", strerror(errno),
			config->target);
	if ((uint64_t) st.st_size >= config->size)
		return 0;
	if (config->must_exist || config->read_only)
		return template_refuse(
			reason, -EINVAL, "the file is shorter than the disk: %s", config->target);
	if (ftruncate(self->fd, (off_t) config->size) < 0)
		return template_refuse(
			reason, -errno, "cannot extend the file: %s: %s", strerror(errno),
			config->target);
	return 0;
}

/* 0, or -errno with a reason; then nothing is left. */
static int template_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	struct template_backend *self;
	int r = template_check(config, reason);

	if (r < 0)
		return r;
	self = calloc(1, sizeof(*self));
	if (!self)
		return template_refuse(reason, -ENOMEM, "out of memory");
	self->host = host;
	self->dev = dev;
	r = template_open_file(self, config, reason);
	if (r < 0) {
		if (self->fd >= 0)
			close(self->fd);
		free(self);
		return r;
	}
	template_describe(self, config, info);
	*backend = self;
	return 0;
}

/* Nothing is in flight. */
static void template_close(void *backend)
{
	struct template_backend *self = backend;

	fdatasync(self->fd);
	close(self->fd);
	free(self);
}

/* Removes so many bytes from the pieces, which the handler may change. */
static void template_advance(struct tcmu_io *io, uint64_t bytes)
{
	while (io->iov_cnt && bytes >= io->iov->iov_len) {
		bytes -= io->iov->iov_len;
		io->iov++;
		io->iov_cnt--;
	}
	if (bytes) {
		io->iov->iov_base = (char *) io->iov->iov_base + bytes;
		io->iov->iov_len -= bytes;
	}
}

/* All bytes of a READ or WRITE: one call may transfer fewer. */
static int template_transfer(const struct template_backend *self, struct tcmu_io *io)
{
	uint64_t done = 0;

	while (done < io->length) {
		int cnt = io->iov_cnt < 1024 ? (int) io->iov_cnt : 1024;
		off_t at = (off_t) (io->offset + done);
		ssize_t r = io->op == TCMU_IO_READ ? preadv(self->fd, io->iov, cnt, at)
						   : pwritev(self->fd, io->iov, cnt, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (uint64_t) r;
		template_advance(io, (uint64_t) r);
	}
	return 0;
}

static int template_flush(const struct template_backend *self)
{
	if (fdatasync(self->fd) == 0)
		return 0;
	/* Acknowledged data may be lost: nothing is served until the disk is opened again. */
	self->host->event(self->dev, TCMU_BACKEND_FAILED, -errno);
	return -errno;
}

/* One request, which is completed once. */
static void template_submit(void *backend, struct tcmu_io *io)
{
	const struct template_backend *self = backend;

	tcmu_io_complete(
		io, io->op == TCMU_IO_FLUSH ? template_flush(self) : template_transfer(self, io));
}

/* Another size, while requests are in flight. */
static int template_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	const struct template_backend *self = backend;
	struct stat st;

	(void) info;
	if (fstat(self->fd, &st) == 0 && (uint64_t) st.st_size < config->size &&
	    ftruncate(self->fd, (off_t) config->size) < 0)
		return template_refuse(
			reason, -errno, "cannot extend the file: %s", strerror(errno));
	return 0;
}

TCMU_HANDLER(.subtype = "template", .name = "a file, by calls that block",
	     .config_desc = "the absolute path of a file, then options",
	     .threading = TCMU_HANDLER_PARALLEL, .options = template_options,
	     .check_config = template_check, .open = template_open, .close = template_close,
	     .submit = template_submit, .resize = template_resize);
