/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: each is a chain of system calls by the device's I/O engine, its state is at io->priv.
 * Everything here runs on the I/O thread; nothing blocks, nothing is allocated, and no buffer is
 * touched but by system calls.
 *
 * Direct I/O and the page cache: a request that does not fit direct I/O is made through the page
 * cache. The kernel keeps the two apart from one call to the next, but a page that is dirtied while
 * its neighbours in the same page go past it would bring back their old bytes. So such a request is
 * made alone: it waits until all reads and writes under way have ended, and those that come later
 * wait for it.
 *
 * Flushes: one fdatasync() at a time, as only one of two concurrent calls is told of a failed
 * write-back. Those that come meanwhile share the next one. Once one has failed, what was
 * acknowledged may be lost (the kernel marks the pages clean) and the backend fails for good: the
 * same for a write that was to be stable and met a failing device.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

/* ------- queues ------- */

static void queue_add(struct file_queue *queue, struct file_request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static struct file_request *queue_take(struct file_queue *queue)
{
	struct file_request *request = queue->first;

	if (request)
		queue->first = request->next;
	return request;
}

/* The whole queue; it is empty then. */
static struct file_queue queue_take_all(struct file_queue *queue)
{
	struct file_queue all = *queue;

	queue->first = NULL;
	return all;
}

/* False: it is not there. */
static bool queue_remove(struct file_queue *queue, struct file_request *request)
{
	struct file_queue all = queue_take_all(queue);
	struct file_request *other;
	bool found = false;

	while ((other = queue_take(&all))) {
		if (other == request)
			found = true;
		else
			queue_add(queue, other);
	}
	return found;
}

/* ------- the end of a request ------- */

static int io_error(int error)
{
	switch (error) {
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return error;
	}
}

static void complete(struct file_request *request, int error)
{
	request->io->result = request->io->offset + request->done;
	tcmu_io_complete(request->io, io_error(error));
}

static void call(
	struct file_request *request, enum tcmu_aio_op op, int fd,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	request->aio.op = op;
	request->aio.fd = fd;
	request->aio.done = done;
	tcmu_io_aio(request->io, &request->aio);
}

static void fail_backend(struct file_backend *backend, int error)
{
	if (backend->failed)
		return;
	backend->failed = true;
	backend->host->event(backend->dev, TCMU_BACKEND_FAILED, error);
}

/* ------- FLUSH, and the stable end of others ------- */

static void start_flush(struct file_backend *backend);

static void flush(struct file_request *request)
{
	queue_add(&request->backend->flush_waiting, request);
	start_flush(request->backend);
}

/* Only the one that made the call was given up: the others still want theirs. */
static void flush_cancelled(struct file_backend *backend, struct file_queue *others)
{
	struct file_queue later = queue_take_all(&backend->flush_waiting);
	struct file_request *request;

	while ((request = queue_take(others)))
		queue_add(&backend->flush_waiting, request);
	while ((request = queue_take(&later)))
		queue_add(&backend->flush_waiting, request);
}

static void flushed(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;
	struct file_backend *backend = request->backend;
	struct file_queue running = queue_take_all(&backend->flush_running);

	(void) aio;
	if (res == -ECANCELED) {
		complete(queue_take(&running), -ECANCELED);
		flush_cancelled(backend, &running);
	} else if (res < 0) {
		fail_backend(backend, (int) res);
	}
	/* Whatever the reason was, more space or another try would not bring back what is lost. */
	while ((request = queue_take(&running)))
		complete(request, res < 0 ? -EIO : 0);
	start_flush(backend);
}

static void start_flush(struct file_backend *backend)
{
	struct file_request *request;

	if (backend->flush_running.first)
		return;
	backend->flush_running = queue_take_all(&backend->flush_waiting);
	if (backend->failed) {
		while ((request = queue_take(&backend->flush_running)))
			complete(request, -EIO);
		return;
	}
	request = backend->flush_running.first;
	if (request)
		call(request, TCMU_AIO_FDATASYNC, backend->sync_fd, flushed);
}

/* ------- READ, WRITE ------- */

static bool is_direct(const struct file_backend *backend)
{
	return backend->buffered_fd >= 0;
}

static bool fits_direct(const struct file_request *request)
{
	const struct file_backend *backend = request->backend;

	if (request->not_direct || (request->io->offset + request->done) % backend->offset_align)
		return false;
	for (unsigned i = 0; i < request->iov_cnt; i++)
		if ((uintptr_t) request->iov[i].iov_base % backend->memory_align ||
		    request->iov[i].iov_len % backend->offset_align)
			return false;
	return true;
}

static void transferred(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res);

static void start_transfer(struct file_request *request)
{
	struct file_backend *backend = request->backend;
	struct tcmu_aio *aio = &request->aio;
	struct tcmu_io *io = request->io;
	int fd = request->past_end ? backend->zero_fd
		: request->alone   ? backend->buffered_fd
				   : backend->fd;

	aio->iov = request->iov;
	aio->iov_cnt = request->iov_cnt;
	aio->offset = io->offset + request->done;
	aio->flags = backend->memory || request->past_end ? TCMU_AIO_MEMORY : 0;
	if (io->op == TCMU_IO_READ) {
		aio->flags |= is_direct(backend) || request->past_end ? 0 : TCMU_AIO_CACHED;
		call(request, TCMU_AIO_READV, fd, transferred);
	} else {
		/* A write beside direct I/O leaves no dirty pages. */
		aio->flags |= (io->flags & TCMU_IO_FUA) || request->alone ? TCMU_AIO_DSYNC : 0;
		call(request, TCMU_AIO_WRITEV, fd, transferred);
	}
}

/* In the order they came, so that nobody waits for ever. */
static void give_turns(struct file_backend *backend)
{
	struct file_request *request;

	while ((request = backend->turns.first)) {
		if (backend->alone || (request->alone && backend->shared))
			return;
		(void) queue_take(&backend->turns);
		if (request->alone)
			backend->alone = true;
		else
			backend->shared++;
		start_transfer(request);
	}
}

static void begin_transfer(struct file_request *request)
{
	request->alone = is_direct(request->backend) && !fits_direct(request);
	/* The page cache may be written while it changes. */
	if (request->alone && (request->io->flags & TCMU_IO_ATOMIC)) {
		complete(request, -EINVAL);
		return;
	}
	queue_add(&request->backend->turns, request);
	give_turns(request->backend);
}

static void end_turn(struct file_request *request)
{
	if (request->alone)
		request->backend->alone = false;
	else
		request->backend->shared--;
}

static void end_transfer(struct file_request *request, int error)
{
	struct file_backend *backend = request->backend;

	end_turn(request);
	complete(request, error);
	give_turns(backend);
}

/* Whether a write that was to be stable may have lost what others wrote before. What has to do with
 * this request alone or with space does not: whatever else is lost, the next flush is told of it.
 */
static bool is_device_error(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
	case -EFAULT:
	case -ECANCELED:
	case -EINTR:
	case -EAGAIN:
	case -ENOMEM:
	case -EINVAL:
	case -EOPNOTSUPP:
		return false;
	default:
		return true;
	}
}

static void skip_transferred(struct file_request *request, uint64_t bytes)
{
	request->done += bytes;
	while (request->iov_cnt && bytes >= request->iov->iov_len) {
		bytes -= request->iov->iov_len;
		request->iov++;
		request->iov_cnt--;
	}
	if (request->iov_cnt) {
		request->iov->iov_base = (char *) request->iov->iov_base + bytes;
		request->iov->iov_len -= bytes;
	}
}

static void transfer_failed(struct file_request *request, int error)
{
	struct file_backend *backend = request->backend;

	if (error == -EINVAL && is_direct(backend) && !request->alone && !request->cancelled) {
		/* It needs more than the kernel has told. */
		request->not_direct = true;
		end_turn(request);
		begin_transfer(request);
		return;
	}
	if (request->aio.op == TCMU_AIO_WRITEV && (request->aio.flags & TCMU_AIO_DSYNC) &&
	    is_device_error(error))
		fail_backend(backend, error);
	end_transfer(request, error);
}

/* Nothing more was transferred. A regular file that ends before the device does reads as zeros
 * there. */
static void transfer_ended_early(struct file_request *request)
{
	if (request->io->op == TCMU_IO_READ && request->backend->zero_fd >= 0 &&
	    !request->past_end) {
		request->past_end = true;
		start_transfer(request);
	} else {
		end_transfer(request, -EIO);
	}
}

static void transferred(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	(void) aio;
	if (res < 0) {
		transfer_failed(request, (int) res);
		return;
	}
	skip_transferred(request, (uint64_t) res);
	if (request->done == io->length) {
		end_transfer(request, 0);
	} else if (request->cancelled) {
		end_transfer(request, -ECANCELED);
	} else if (res == 0) {
		transfer_ended_early(request);
	} else if (io->flags & TCMU_IO_ATOMIC) {
		end_transfer(request, -EIO); /* the rest would be another write */
	} else {
		end_turn(request);
		begin_transfer(request);
	}
}

/* ------- UNMAP, WRITE_ZEROES ------- */

static void allocate(
	struct file_request *request, int mode,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	request->aio.mode = mode | FALLOC_FL_KEEP_SIZE;
	request->aio.offset = request->io->offset;
	request->aio.length = request->io->length;
	call(request, TCMU_AIO_FALLOCATE, request->backend->fd, done);
}

static void unmapped(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	(void) aio;
	/* A block device promises nothing of what it then reads as. */
	if (res == -EOPNOTSUPP && request->backend->block)
		res = 0;
	complete(request, (int) res);
}

static void discard_blocks(struct file_request *request)
{
	uint64_t granularity = request->backend->granularity;
	uint64_t begin = (request->io->offset + granularity - 1) / granularity * granularity;
	uint64_t end = (request->io->offset + request->io->length) / granularity * granularity;

	if (begin >= end) {
		complete(request, 0);
		return;
	}
	request->aio.offset = begin;
	request->aio.length = end - begin;
	call(request, TCMU_AIO_BLKDISCARD, request->backend->fd, unmapped);
}

static void begin_unmap(struct file_request *request)
{
	if (!request->backend->discard)
		complete(request, -EOPNOTSUPP);
	else if (request->backend->block)
		discard_blocks(request);
	else
		allocate(request, FALLOC_FL_PUNCH_HOLE, unmapped);
}

static void begin_write_zeroes(struct file_request *request);

static void zeroed(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	if (request->cancelled && (res == 0 || res == -EOPNOTSUPP)) {
		complete(request, -ECANCELED);
	} else if (res == -EOPNOTSUPP) {
		if (aio->mode & FALLOC_FL_PUNCH_HOLE)
			request->backend->no_punch = true;
		else
			request->backend->no_zeroing = true;
		begin_write_zeroes(request);
	} else if (res < 0 || !(io->flags & TCMU_IO_FUA)) {
		complete(request, (int) res);
	} else {
		flush(request);
	}
}

/* -EOPNOTSUPP makes the daemon write the zeros. */
static void begin_write_zeroes(struct file_request *request)
{
	struct file_backend *backend = request->backend;
	const struct tcmu_io *io = request->io;

	if ((io->offset | io->length) % backend->granularity)
		complete(request, -EOPNOTSUPP);
	else if ((io->flags & TCMU_IO_MAY_UNMAP) && backend->discard && !backend->no_punch)
		allocate(request, FALLOC_FL_PUNCH_HOLE, zeroed);
	else if (!backend->no_zeroing)
		allocate(request, FALLOC_FL_ZERO_RANGE, zeroed);
	else
		complete(request, -EOPNOTSUPP);
}

/* ------- MAP ------- */

static void complete_map(struct file_request *request, uint64_t bytes, uint32_t flags)
{
	struct tcmu_io *io = request->io;

	io->result = bytes < io->length ? bytes : io->length;
	io->result_flags = flags;
	tcmu_io_complete(io, 0);
}

static void seek(
	struct file_request *request, enum tcmu_aio_op op, uint64_t offset,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	request->aio.offset = offset;
	call(request, op, request->backend->fd, done);
}

/* Bytes from the request's offset to the file's, in whole blocks. */
static uint64_t blocks_until(const struct file_request *request, uint64_t offset, bool begun)
{
	uint32_t block_size = request->backend->block_size;
	uint64_t bytes = offset - request->io->offset;

	return (bytes + (begun ? block_size - 1 : 0)) / block_size * block_size;
}

static void found_hole(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	(void) aio;
	if (res < 0)
		complete(request, (int) res);
	else
		complete_map(request, blocks_until(request, (uint64_t) res, true), TCMU_IO_MAPPED);
}

/* A block that is data in part is allocated. */
static void found_data(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;
	uint64_t hole = res < 0 ? io->length : blocks_until(request, (uint64_t) res, false);

	(void) aio;
	if (res < 0 && res != -ENXIO)
		complete(request, (int) res);
	else if (request->cancelled)
		complete(request, -ECANCELED);
	else if (hole)
		complete_map(request, hole, 0);
	else
		seek(request, TCMU_AIO_SEEK_HOLE, (uint64_t) res, found_hole);
}

/* ------- what the daemon calls ------- */

static bool changes_nothing(enum tcmu_io_op op)
{
	return op == TCMU_IO_READ || op == TCMU_IO_MAP;
}

void file_submit(void *self, struct tcmu_io *io)
{
	struct file_backend *backend = self;
	struct file_request *request = io->priv;

	*request = (struct file_request){
		.io = io, .backend = backend, .iov = io->iov, .iov_cnt = io->iov_cnt};
	if (backend->failed && !changes_nothing(io->op)) {
		complete(request, -EIO);
		return;
	}
	switch (io->op) {
	case TCMU_IO_READ:
	case TCMU_IO_WRITE:
		begin_transfer(request);
		break;
	case TCMU_IO_FLUSH:
		flush(request);
		break;
	case TCMU_IO_UNMAP:
		begin_unmap(request);
		break;
	case TCMU_IO_WRITE_ZEROES:
		begin_write_zeroes(request);
		break;
	case TCMU_IO_MAP:
		seek(request, TCMU_AIO_SEEK_DATA, io->offset, found_data);
		break;
	default:
		complete(request, -EOPNOTSUPP);
		break;
	}
}

/* What waits here ends here; what is under way is cancelled by the daemon, and goes no further. */
void file_cancel(void *self, struct tcmu_io *io)
{
	struct file_backend *backend = self;
	struct file_request *request = io->priv;
	bool made_flush = request == backend->flush_running.first;

	request->cancelled = true;
	if (queue_remove(&backend->turns, request)) {
		complete(request, -ECANCELED);
		give_turns(backend);
	} else if (
		queue_remove(&backend->flush_waiting, request) ||
		(!made_flush && queue_remove(&backend->flush_running, request))) {
		complete(request, -ECANCELED);
	}
}
