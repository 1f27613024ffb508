/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same for handlers that leave system calls to the daemon: a file, whose requests end after one
 * system call or are continued, as the option break says. With break=none it is a good handler.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/handler.h>

enum brokenaio_break {
	NONE,
	IGNORES_ERROR,
	IGNORES_SHORT,
	IGNORES_FLUSH_ERROR,
	FLUSH_SUCCEEDS_LATER,
	FLUSH_NOT_REPORTED,
	ONE_AT_A_TIME,
	AFTER_COMPLETION,
	ANSWERS_CANCEL_WRONG,
	COPIES_IN_USER_SPACE,
	BREAKS,
};

static const char *const brokenaio_names[] = {
	[NONE] = "none",
	[IGNORES_ERROR] = "ignores_error",
	[IGNORES_SHORT] = "ignores_short",
	[IGNORES_FLUSH_ERROR] = "ignores_flush_error",
	[FLUSH_SUCCEEDS_LATER] = "flush_succeeds_later",
	[FLUSH_NOT_REPORTED] = "flush_not_reported",
	[ONE_AT_A_TIME] = "one_at_a_time",
	[AFTER_COMPLETION] = "after_completion",
	[ANSWERS_CANCEL_WRONG] = "answers_cancel_wrong",
	[COPIES_IN_USER_SPACE] = "copies_in_user_space",
	[BREAKS] = NULL,
};

static const struct tcmu_option brokenaio_options[] = {
	{.name = "break",
	 .type = TCMU_OPTION_CHOICE,
	 .def = "none",
	 .choices = brokenaio_names,
	 .help = "what is broken"},
	{.name = NULL}};

struct brokenaio_request {
	struct tcmu_aio aio;
	struct brokenaio_request *next;
	struct tcmu_io *io;
	uint64_t done;
};

struct brokenaio_backend {
	enum brokenaio_break what;
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;
	bool failed;
	bool busy;
	struct brokenaio_request *first, **end; /* for ONE_AT_A_TIME */
};

/* The request finds its backend by this; a test has one at a time. */
static struct brokenaio_backend *brokenaio_only;

static void brokenaio_start(struct brokenaio_request *request);

static void brokenaio_end(struct brokenaio_request *request, int r)
{
	struct brokenaio_backend *self = brokenaio_only;
	struct tcmu_io *io = request->io;
	struct brokenaio_request *next;

	if (self->what == IGNORES_ERROR)
		r = 0;
	if (self->what == ANSWERS_CANCEL_WRONG && r == -ECANCELED)
		r = -EPERM;
	tcmu_io_complete(io, r);
	if (self->what == AFTER_COMPLETION)
		tcmu_io_aio(io, &request->aio);
	self->busy = false;
	next = self->first;
	if (self->what != ONE_AT_A_TIME || !next)
		return;
	self->first = next->next;
	if (!self->first)
		self->end = &self->first;
	brokenaio_start(next);
}

/* Removes so many bytes from the pieces. */
static void brokenaio_advance(struct tcmu_aio *aio, uint64_t bytes)
{
	aio->offset += bytes;
	while (bytes && bytes >= aio->iov->iov_len) {
		bytes -= aio->iov->iov_len;
		aio->iov++;
		aio->iov_cnt--;
	}
	if (bytes) {
		aio->iov->iov_base = (char *) aio->iov->iov_base + bytes;
		aio->iov->iov_len -= bytes;
	}
}

static void brokenaio_flushed(struct brokenaio_request *request, int64_t res)
{
	struct brokenaio_backend *self = brokenaio_only;

	if (res == -ECANCELED) {
		brokenaio_end(request, -ECANCELED);
		return;
	}
	if (res < 0 && self->what != FLUSH_NOT_REPORTED)
		self->host->event(self->dev, TCMU_BACKEND_FAILED, res);
	if (res < 0 && self->what != FLUSH_SUCCEEDS_LATER)
		self->failed = true;
	brokenaio_end(request, self->what == IGNORES_FLUSH_ERROR ? 0 : (int) res);
}

static void brokenaio_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct brokenaio_request *request = io->priv;

	if (io->op == TCMU_IO_FLUSH) {
		brokenaio_flushed(request, res);
		return;
	}
	if (res == -EINTR || res == -EAGAIN) {
		tcmu_io_aio(io, aio);
		return;
	}
	if (res <= 0) {
		brokenaio_end(request, res ? (int) res : -EIO);
		return;
	}
	request->done += (uint64_t) res;
	if (request->done == io->length || brokenaio_only->what == IGNORES_SHORT) {
		brokenaio_end(request, 0);
		return;
	}
	brokenaio_advance(aio, (uint64_t) res);
	tcmu_io_aio(io, aio);
}

static void brokenaio_start(struct brokenaio_request *request)
{
	brokenaio_only->busy = true;
	tcmu_io_aio(request->io, &request->aio);
}

static void brokenaio_submit(void *backend, struct tcmu_io *io)
{
	struct brokenaio_backend *self = backend;
	struct brokenaio_request *request = io->priv;

	*request = (struct brokenaio_request){
		.io = io,
		.aio = {.op = io->op == TCMU_IO_READ      ? TCMU_AIO_READV
				: io->op == TCMU_IO_WRITE ? TCMU_AIO_WRITEV
							  : TCMU_AIO_FDATASYNC,
			.fd = self->fd,
			.iov = io->iov,
			.iov_cnt = io->iov_cnt,
			.offset = io->offset,
			.length = io->length,
			.done = brokenaio_done}};
	if (io->op == TCMU_IO_FLUSH && self->failed) {
		tcmu_io_complete(io, -EIO);
		return;
	}
	if (self->what == COPIES_IN_USER_SPACE && io->op == TCMU_IO_READ)
		*(volatile char *) io->iov[0].iov_base = 0;
	if (self->what == ONE_AT_A_TIME && self->busy) {
		*self->end = request;
		self->end = &request->next;
	} else {
		brokenaio_start(request);
	}
}

static int brokenaio_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	struct brokenaio_backend *self = calloc(1, sizeof(*self));

	if (!self) {
		(void) snprintf(reason->text, sizeof(reason->text), "out of memory");
		return -ENOMEM;
	}
	self->fd = open(config->target, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (self->fd < 0 || ftruncate(self->fd, (off_t) config->size) < 0) {
		(void) snprintf(
			reason->text, sizeof(reason->text), "cannot open the file: %s",
			strerror(errno));
		free(self);
		return -EIO;
	}
	self->what = (enum brokenaio_break) config->values[0].number;
	self->host = host;
	self->dev = dev;
	self->end = &self->first;
	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	if (!config->read_only)
		info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH);
	info->volatile_cache = !config->read_only;
	(void) snprintf(info->claim, sizeof(info->claim), "%.100s", config->target);
	brokenaio_only = self;
	*backend = self;
	return 0;
}

static void brokenaio_close(void *backend)
{
	struct brokenaio_backend *self = backend;

	(void) close(self->fd);
	free(self);
}

TCMU_HANDLER(.subtype = "brokenaio", .name = "broken", .config_desc = "the path of a file",
	     .threading = TCMU_HANDLER_ASYNC, .flags = TCMU_HANDLER_SYSCALLS_ONLY,
	     .io_priv_size = sizeof(struct brokenaio_request), .options = brokenaio_options,
	     .open = brokenaio_open, .close = brokenaio_close, .submit = brokenaio_submit);
