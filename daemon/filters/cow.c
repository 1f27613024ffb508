/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of the filter "cow". Each is a chain of system calls on the overlay. Above an ASYNC
 * handler the engine makes them, and all code here runs on the I/O thread, but for done. Above
 * others they are made where the request is submitted, on a worker.
 *
 * A request that changes the map owns it: one at a time. READ and a WRITE of blocks that the
 * overlay has already do not change it.
 *
 * A step notes in the runner what comes after it, and returns: neither the calls of a request nor
 * the requests that have waited for the map lie above one another on the stack.
 */
#include "filters/cow.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/container-of.h"
#include "base/list.h"
#include "base/reason.h"
#include "filters/cow-file.h"

enum cow_option {
	COW_FILE,
	COW_OPTIONS,
};

static const struct tcmu_option cow_options[COW_OPTIONS + 1] = {
	[COW_FILE] = {
		.name = "file",
		.type = TCMU_OPTION_STRING,
		.help = "the absolute path of the overlay; it is made if it is missing"}};

struct cow {
	struct cow_file file;
	pthread_mutex_t lock; /* of the next two */
	bool map_owned;
	struct list waiting; /* struct cow_request: for the map */
	int failed;          /* a flush has failed with it; 0: none has */
};

struct cow_request;

/* The next step of the thread; on its stack. */
struct cow_runner {
	struct cow_request *next; /* its resume is called; NULL: nothing */
};

typedef void cow_step(struct cow_runner *runner, struct cow_request *request, int64_t res);

struct cow_request {
	struct filter_layer *layer;
	struct tcmu_io *io;
	struct list_node node;
	cow_step *then;  /* what it does when it owns the map */
	cow_step *after; /* what follows the system calls */
	void (*resume)(struct cow_runner *runner, struct cow_request *request);
	bool owns_map;
	uint64_t at;         /* READ: the block of the next run; a flush: a page of the map */
	uint64_t run;        /* READ: blocks of the run that is read now */
	bool *had;           /* READ: which blocks the overlay had when it began */
	uint8_t *copy;       /* a part of the map on its way to the file */
	struct iovec *iov;   /* the pieces of a system call */
	struct iovec piece;  /* the same, where it is one */
	struct iovec *below; /* the pieces for the handler, while io->iov is replaced */
	struct iovec *own;   /* the request's pieces then */
	unsigned own_cnt;
	void *scratch; /* for bytes of the handler that the overlay has */
	struct tcmu_aio aio;
};

static struct cow *cow_of(const struct cow_request *request)
{
	return request->layer->state;
}

/* ------- system calls ------- */

static bool cow_is_async(const struct cow_request *request)
{
	return request->layer->chain->handler->threading == TCMU_HANDLER_ASYNC;
}

static int64_t cow_call_here(const struct tcmu_aio *aio)
{
	ssize_t r;

	do {
		if (aio->op == TCMU_AIO_READV)
			r = preadv(aio->fd, aio->iov, (int) aio->iov_cnt, (off_t) aio->offset);
		else if (aio->op == TCMU_AIO_WRITEV)
			r = pwritev(aio->fd, aio->iov, (int) aio->iov_cnt, (off_t) aio->offset);
		else
			r = fdatasync(aio->fd);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void cow_set_next(
	struct cow_runner *runner, struct cow_request *request,
	void (*resume)(struct cow_runner *runner, struct cow_request *request))
{
	assert(!runner->next);
	request->resume = resume;
	runner->next = request;
}

static void cow_run_steps(struct cow_runner *runner)
{
	struct cow_request *request;

	while ((request = runner->next)) {
		runner->next = NULL;
		request->resume(runner, request);
	}
}

static void cow_call(struct cow_runner *runner, struct cow_request *request);

/* A transfer that was short goes on. */
static void cow_advance(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	struct tcmu_aio *aio = &request->aio;

	if (res == 0 && aio->op != TCMU_AIO_FDATASYNC)
		res = -EIO;
	if (res < 0 || aio->op == TCMU_AIO_FDATASYNC) {
		request->after(runner, request, res);
		return;
	}
	aio->offset += (uint64_t) res;
	while (res && aio->iov_cnt) {
		size_t part = aio->iov->iov_len < (size_t) res ? aio->iov->iov_len : (size_t) res;

		aio->iov->iov_base = (char *) aio->iov->iov_base + part;
		aio->iov->iov_len -= part;
		res -= (int64_t) part;
		if (aio->iov->iov_len)
			break;
		aio->iov++;
		aio->iov_cnt--;
	}
	if (aio->iov_cnt)
		cow_call(runner, request);
	else
		request->after(runner, request, 0);
}

/* From the engine. */
static void cow_called(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct cow_request *request = container_of(aio, struct cow_request, aio);
	struct cow_runner runner = {NULL};

	assert(request->io == io);
	cow_advance(&runner, request, res);
	cow_run_steps(&runner);
}

static void cow_resume_call(struct cow_runner *runner, struct cow_request *request)
{
	cow_advance(runner, request, cow_call_here(&request->aio));
}

static void cow_call(struct cow_runner *runner, struct cow_request *request)
{
	assert(request->aio.fd >= 0 && request->after);
	if (cow_is_async(request))
		request->layer->chain->outer->aio(request->io, &request->aio);
	else
		cow_set_next(runner, request, cow_resume_call);
}

static void cow_transfer(
	struct cow_runner *runner, struct cow_request *request, enum tcmu_aio_op op,
	struct iovec *iov, unsigned cnt, uint64_t offset, cow_step *after)
{
	request->after = after;
	request->aio = (struct tcmu_aio){
		.op = op,
		.fd = cow_of(request)->file.fd,
		.iov = iov,
		.iov_cnt = cnt,
		.offset = offset,
		.done = cow_called,
	};
	cow_call(runner, request);
}

/* ------- the map ------- */

static void cow_get_map(struct cow_runner *runner, struct cow_request *request, cow_step *then)
{
	struct cow *cow = cow_of(request);
	bool mine;

	assert(!request->owns_map);
	request->then = then;
	pthread_mutex_lock(&cow->lock);
	mine = !cow->map_owned;
	cow->map_owned = true;
	if (!mine)
		list_append(&cow->waiting, &request->node);
	pthread_mutex_unlock(&cow->lock);
	if (!mine)
		return;
	request->owns_map = true;
	then(runner, request, 0);
}

/* Gives the map to the request that has waited longest, and returns it. NULL: none waits. */
static struct cow_request *cow_pass_map(struct cow *cow)
{
	struct cow_request *next;

	pthread_mutex_lock(&cow->lock);
	assert(cow->map_owned);
	next = list_entry(list_take(&cow->waiting), struct cow_request, node);
	cow->map_owned = next != NULL;
	pthread_mutex_unlock(&cow->lock);
	if (next)
		next->owns_map = true;
	return next;
}

static void cow_resume_with_map(struct cow_runner *runner, struct cow_request *request)
{
	assert(request->owns_map);
	request->then(runner, request, 0);
}

/* With the last request's end the device may be closed: what the filter has is used before it. */
static void cow_end(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	struct filter_layer *layer = request->layer;
	struct tcmu_io *io = request->io;
	struct cow_request *next = request->owns_map ? cow_pass_map(cow_of(request)) : NULL;

	if (request->own) {
		io->iov = request->own;
		io->iov_cnt = request->own_cnt;
	}
	free(request->copy);
	free(request->iov);
	free(request->below);
	free(request->had);
	free(request->scratch);
	filter_end(layer, io, res < 0 ? (int) res : 0);
	if (next)
		cow_set_next(runner, next, cow_resume_with_map);
}

/* ------- READ ------- */

/* The pieces of the request's bytes [from, from + length) from offset io->offset on, into out.
 * Returns how many. */
static unsigned cow_slice(
	const struct tcmu_io *io, uint64_t from, uint64_t length, struct iovec *out)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < io->iov_cnt && length; i++) {
		uint64_t size = io->iov[i].iov_len, part;

		if (from >= size) {
			from -= size;
			continue;
		}
		part = size - from < length ? size - from : length;
		out[cnt++] = (struct iovec){
			.iov_base = (char *) io->iov[i].iov_base + from, .iov_len = part};
		length -= part;
		from = 0;
	}
	assert(length == 0);
	return cnt;
}

static uint64_t cow_first(const struct cow_request *request)
{
	return request->io->offset / cow_of(request)->file.block_size;
}

static uint64_t cow_count(const struct cow_request *request)
{
	return request->io->length / cow_of(request)->file.block_size;
}

/* Blocks from at on that are alike. */
static uint64_t cow_run(const struct cow_request *request, uint64_t at)
{
	uint64_t cnt = 1;

	assert(at < cow_count(request));
	while (at + cnt < cow_count(request) && request->had[at + cnt] == request->had[at])
		cnt++;
	return cnt;
}

/* The request below is the whole range. The blocks of the overlay were read already: those bytes of
 * the handler go to the scratch memory. */
static void cow_read_below(struct cow_runner *runner, struct cow_request *request)
{
	struct tcmu_io *io = request->io;
	uint32_t block_size = cow_of(request)->file.block_size;
	struct iovec *iov = calloc(io->iov_cnt + cow_count(request), sizeof(*iov));
	unsigned cnt = 0;
	uint64_t run;

	request->scratch = malloc(io->length);
	if (!iov || !request->scratch) {
		free(iov);
		cow_end(runner, request, -ENOMEM);
		return;
	}
	for (uint64_t at = 0; at < cow_count(request); at += run) {
		run = cow_run(request, at);
		if (request->had[at])
			iov[cnt++] = (struct iovec){
				.iov_base = request->scratch, .iov_len = run * block_size};
		else
			cnt += cow_slice(io, at * block_size, run * block_size, iov + cnt);
	}
	request->below = iov;
	request->own = io->iov;
	request->own_cnt = io->iov_cnt;
	io->iov = iov;
	io->iov_cnt = cnt;
	filter_pass(request->layer, io);
}

/* Reads the next run of the overlay, or what the handler has after the last one. */
static void cow_read_run(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	struct cow *cow = cow_of(request);
	uint64_t cnt = cow_count(request);

	if (res < 0) {
		cow_end(runner, request, res);
		return;
	}
	request->at += request->run;
	while (request->at < cnt && !request->had[request->at])
		request->at++;
	if (request->at < cnt) {
		request->run = cow_run(request, request->at);
		cow_transfer(
			runner, request, TCMU_AIO_READV, request->iov,
			cow_slice(
				request->io, request->at * cow->file.block_size,
				request->run * cow->file.block_size, request->iov),
			cow_file_data_offset(&cow->file) +
				(cow_first(request) + request->at) * cow->file.block_size,
			cow_read_run);
	} else if (memchr(request->had, 0, cnt)) {
		cow_read_below(runner, request);
	} else {
		cow_end(runner, request, 0);
	}
}

static void cow_read_begin(struct cow_runner *runner, struct cow_request *request)
{
	const struct cow_file *file = &cow_of(request)->file;
	uint64_t first = cow_first(request), cnt = cow_count(request);
	bool any = false;

	request->had = calloc(cnt, sizeof(*request->had));
	request->iov = calloc(request->io->iov_cnt, sizeof(*request->iov));
	if (!request->had || !request->iov) {
		cow_end(runner, request, -ENOMEM);
		return;
	}
	for (uint64_t i = 0; i < cnt; i++)
		any |= request->had[i] = cow_file_has(file, first + i);
	if (any)
		cow_read_run(runner, request, 0);
	else
		filter_pass(request->layer, request->io);
}

/* ------- FLUSH ------- */

static void cow_flushed(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	struct cow *cow = cow_of(request);
	struct filter_chain *chain = request->layer->chain;

	assert(request->owns_map);
	if (res >= 0) {
		cow_file_clean(&cow->file);
	} else if (res != -ECANCELED && !cow->failed) {
		cow->failed = (int) res;
		chain->outer->event(chain->dev, TCMU_BACKEND_FAILED, res);
	}
	cow_end(runner, request, res);
}

static void cow_flush_page(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	struct cow_file *file = &cow_of(request)->file;

	if (res < 0) {
		cow_flushed(runner, request, res);
		return;
	}
	if (!cow_file_dirty(file, &request->at)) {
		cow_transfer(runner, request, TCMU_AIO_FDATASYNC, NULL, 0, 0, cow_flushed);
		return;
	}
	request->piece = (struct iovec){
		.iov_base = file->map + request->at * COW_PAGE, .iov_len = COW_PAGE};
	cow_transfer(
		runner, request, TCMU_AIO_WRITEV, &request->piece, 1,
		cow_file_stable_offset() + request->at++ * COW_PAGE, cow_flush_page);
}

/* It owns the map: no bit is set meanwhile, and those that are set have their data in the file. */
static void cow_flush(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	assert(request->owns_map && res >= 0);
	request->at = 0;
	if (cow_of(request)->failed)
		cow_end(runner, request, cow_of(request)->failed);
	else
		cow_transfer(runner, request, TCMU_AIO_FDATASYNC, NULL, 0, 0, cow_flush_page);
}

/* ------- WRITE ------- */

static void cow_noted(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	if (res < 0) {
		cow_end(runner, request, res);
		return;
	}
	cow_file_set(&cow_of(request)->file, cow_first(request), cow_count(request));
	if (request->io->flags & TCMU_IO_FUA)
		cow_flush(runner, request, 0);
	else
		cow_end(runner, request, 0);
}

/* It owns the map, and notes the blocks in the file before they count, so that no WRITE is answered
 * whose bits another one has not written yet. */
static void cow_note(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	const struct cow_file *file = &cow_of(request)->file;
	uint64_t offset;

	assert(request->owns_map && res >= 0);
	request->copy = malloc(cow_file_bytes(cow_count(request)));
	if (!request->copy) {
		cow_end(runner, request, -ENOMEM);
		return;
	}
	request->piece = (struct iovec){
		.iov_base = request->copy,
		.iov_len = cow_file_copy(
			file, cow_first(request), cow_count(request), request->copy, &offset)};
	cow_transfer(
		runner, request, TCMU_AIO_WRITEV, &request->piece, 1,
		cow_file_recent_offset(file) + offset, cow_noted);
}

static void cow_written(struct cow_runner *runner, struct cow_request *request, int64_t res)
{
	const struct cow_file *file = &cow_of(request)->file;

	if (res < 0)
		cow_end(runner, request, res);
	else if (!cow_file_has_all(file, cow_first(request), cow_count(request)))
		cow_get_map(runner, request, cow_note);
	else if (request->io->flags & TCMU_IO_FUA)
		cow_get_map(runner, request, cow_flush);
	else
		cow_end(runner, request, 0);
}

static void cow_write_begin(struct cow_runner *runner, struct cow_request *request)
{
	struct tcmu_io *io = request->io;

	request->iov = calloc(io->iov_cnt, sizeof(*request->iov));
	if (!request->iov) {
		cow_end(runner, request, -ENOMEM);
		return;
	}
	memcpy(request->iov, io->iov, io->iov_cnt * sizeof(*io->iov));
	cow_transfer(
		runner, request, TCMU_AIO_WRITEV, request->iov, io->iov_cnt,
		cow_file_data_offset(&cow_of(request)->file) + io->offset, cow_written);
}

/* ------- the filter ------- */

static void cow_submit(struct filter_layer *layer, struct tcmu_io *io)
{
	struct cow_request *request = filter_request(layer, io);
	struct cow_runner runner = {NULL};

	*request = (struct cow_request){.layer = layer, .io = io};
	switch (io->op) {
	case TCMU_IO_READ:
		cow_read_begin(&runner, request);
		break;
	case TCMU_IO_WRITE:
		cow_write_begin(&runner, request);
		break;
	case TCMU_IO_FLUSH:
		cow_get_map(&runner, request, cow_flush);
		break;
	default:
		cow_end(&runner, request, -EOPNOTSUPP);
	}
	cow_run_steps(&runner);
}

/* Of a READ that the handler had a part of. Any thread. */
static void cow_done(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	struct cow_runner runner = {NULL};

	cow_end(&runner, filter_request(layer, io), error);
	cow_run_steps(&runner);
}

static int cow_check(const struct tcmu_option_value *values, struct tcmu_reason *reason)
{
	const char *path = values[COW_FILE].string;

	if (!path || path[0] != '/')
		return reason_refuse(
			reason, -EINVAL,
			"the option \"file\" of the filter cow is %s%.40s%s: expected an absolute "
			"path",
			path ? "\"" : "", path ? path : "not given", path ? "\"" : "");
	return 0;
}

static int cow_claim(
	const struct tcmu_option_value *values, char *claim, size_t size,
	struct tcmu_reason *reason)
{
	return cow_file_claim(values[COW_FILE].string, claim, size, reason);
}

static void cow_describe(const struct tcmu_config *config, struct tcmu_backend_info *info)
{
	struct tcmu_backend_info below = *info;

	*info = (struct tcmu_backend_info){
		.caps = TCMU_IO_CAP(TCMU_IO_READ),
		.rotational = below.rotational,
		.physical_block = below.physical_block,
		.optimal_transfer = below.optimal_transfer,
		.maximum_transfer = below.maximum_transfer,
	};
	if (config->read_only)
		return;
	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH);
	info->fua = true;
	info->volatile_cache = true;
}

static int cow_open(
	struct filter_layer *layer, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	const char *path = layer->values[COW_FILE].string;
	struct cow *cow;
	int r;

	if (layer->chain->handler->flags & TCMU_HANDLER_FLAT)
		return reason_refuse(
			reason, -EINVAL,
			"the filter cow cannot lie above a handler that takes one piece only");
	cow = calloc(1, sizeof(*cow));
	if (!cow)
		return reason_refuse(reason, -ENOMEM, "no memory for the filter cow");
	r = cow_file_open(&cow->file, path, config, reason);
	if (r < 0) {
		free(cow);
		return r;
	}
	pthread_mutex_init(&cow->lock, NULL);
	list_init(&cow->waiting);
	cow_describe(config, info);
	cow_file_name(cow->file.fd, info->claim, sizeof(info->claim));
	layer->state = cow;
	return 0;
}

static void cow_close(struct filter_layer *layer)
{
	struct cow *cow = layer->state;

	assert(!cow->map_owned);
	if (!cow->failed && cow->file.writable)
		(void) cow_file_flush(&cow->file);
	cow_file_close(&cow->file);
	pthread_mutex_destroy(&cow->lock);
	free(cow);
	layer->state = NULL;
}

const struct filter filter_cow = {
	.name = "cow",
	.help = "writes go to an overlay file",
	.flags = FILTER_STORES,
	.request_size = sizeof(struct cow_request),
	.options = cow_options,
	.check = cow_check,
	.claim = cow_claim,
	.open = cow_open,
	.close = cow_close,
	.submit = cow_submit,
	.done = cow_done,
};
