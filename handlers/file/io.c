/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: each is a chain of system calls that the daemon makes; its state is at io->priv. All
 * code here runs on the I/O thread. It does not block, allocates nothing and accesses no buffer;
 * only system calls do.
 *
 * Direct I/O and the page cache: a request that does not fit direct I/O goes through the page
 * cache. The kernel keeps both coherent between calls. But if a buffered write dirties a page
 * while direct I/O writes other bytes of that page, the write-back restores their old bytes. So
 * such a request runs alone: it waits until all reads and writes in flight have ended, and later
 * ones wait for it.
 *
 * Flushes: one fdatasync() runs at a time, because the kernel reports a failed write-back to only
 * one of two concurrent calls. Flushes that arrive meanwhile share the next one. After a failure,
 * acknowledged data may be lost (the kernel marks the pages clean), and the backend fails until
 * it is reopened. A failed write with FUA has the same effect if the device has failed.
 */
#include "io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "backend.h"
#include "queue.h"
#include "request.h"

/* ------- the end of a request ------- */

static int space_error(int error)
{
	switch (error) {
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return error;
	}
}

static void complete_request(struct file_request *request, int error)
{
	request->io->result = request->io->offset + request->done;
	tcmu_io_complete(request->io, space_error(error));
}

static void start_call(
	struct file_request *request, enum tcmu_aio_op op, int fd,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	assert(fd >= 0 && done);
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

/* ------- FLUSH ------- */

static void start_flush(struct file_backend *backend);

static void begin_flush(struct file_request *request)
{
	file_queue_add(&request->backend->flush_waiting, request);
	start_flush(request->backend);
}

/* Only the request that made the call is cancelled; the others need a new fdatasync(). */
static void flush_cancelled(struct file_backend *backend, struct file_queue *others)
{
	struct file_queue later = file_queue_take_all(&backend->flush_waiting);
	struct file_request *request;

	while ((request = file_queue_take(others)))
		file_queue_add(&backend->flush_waiting, request);
	while ((request = file_queue_take(&later)))
		file_queue_add(&backend->flush_waiting, request);
}

static void flush_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;
	struct file_backend *backend = request->backend;
	struct file_queue running = file_queue_take_all(&backend->flush_running);

	assert(running.first == request);
	(void) aio;
	if (res == -ECANCELED) {
		complete_request(file_queue_take(&running), -ECANCELED);
		flush_cancelled(backend, &running);
	} else if (res < 0) {
		fail_backend(backend, (int) res);
	}
	/* -EIO whatever the error is: neither more space nor a retry restores lost data. */
	while ((request = file_queue_take(&running)))
		complete_request(request, res < 0 ? -EIO : 0);
	start_flush(backend);
}

static void start_flush(struct file_backend *backend)
{
	struct file_request *request;

	if (backend->flush_running.first)
		return;
	backend->flush_running = file_queue_take_all(&backend->flush_waiting);
	if (backend->failed) {
		while ((request = file_queue_take(&backend->flush_running)))
			complete_request(request, -EIO);
		return;
	}
	request = backend->flush_running.first;
	if (request)
		start_call(request, TCMU_AIO_FDATASYNC, backend->sync_fd, flush_done);
}

/* ------- READ, WRITE ------- */

static bool uses_direct(const struct file_backend *backend)
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

static void transfer_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res);

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
		aio->flags |= uses_direct(backend) || request->past_end ? 0 : TCMU_AIO_CACHED;
		start_call(request, TCMU_AIO_READV, fd, transfer_done);
	} else {
		/* A buffered write beside direct I/O must leave no dirty pages. */
		aio->flags |= (io->flags & TCMU_IO_FUA) || request->alone ? TCMU_AIO_DSYNC : 0;
		start_call(request, TCMU_AIO_WRITEV, fd, transfer_done);
	}
}

/* Starts waiting requests in their order of arrival, so that none starves. */
static void start_waiting(struct file_backend *backend)
{
	struct file_request *request;

	while ((request = backend->waiting.first)) {
		if (backend->alone || (request->alone && backend->shared))
			return;
		(void) file_queue_take(&backend->waiting);
		if (request->alone)
			backend->alone = true;
		else
			backend->shared++;
		start_transfer(request);
	}
}

static void begin_transfer(struct file_request *request)
{
	request->alone = uses_direct(request->backend) && !fits_direct(request);
	/* Write-back of a page may run while it changes, so a buffered write is not atomic. */
	if (request->alone && (request->io->flags & TCMU_IO_ATOMIC)) {
		complete_request(request, -EINVAL);
		return;
	}
	file_queue_add(&request->backend->waiting, request);
	start_waiting(request->backend);
}

static void release_transfer(struct file_request *request)
{
	assert(request->alone ? request->backend->alone : request->backend->shared > 0);
	if (request->alone)
		request->backend->alone = false;
	else
		request->backend->shared--;
}

static void end_transfer(struct file_request *request, int error)
{
	struct file_backend *backend = request->backend;

	release_transfer(request);
	complete_request(request, error);
	start_waiting(backend);
}

/* Whether the error of a write with FUA means that earlier writes may be lost. Errors of this
 * request alone and lack of space do not; the next flush reports any other loss. */
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
	assert(request->done <= request->io->length);
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

	assert(error < 0);
	if (error == -EINVAL && uses_direct(backend) && !request->alone && !request->cancelled) {
		/* The file demands more alignment than the kernel has reported. */
		request->not_direct = true;
		release_transfer(request);
		begin_transfer(request);
		return;
	}
	if (request->aio.op == TCMU_AIO_WRITEV && (request->aio.flags & TCMU_AIO_DSYNC) &&
	    is_device_error(error))
		fail_backend(backend, error);
	end_transfer(request, error);
}

/* The file ends here. A regular file shorter than the device reads as zeros past its end. */
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

static void transfer_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
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
		end_transfer(request, -EIO); /* the rest would be a second write */
	} else {
		release_transfer(request);
		begin_transfer(request);
	}
}

/* ------- UNMAP, WRITE_ZEROES ------- */

static void start_fallocate(
	struct file_request *request, int mode,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	request->aio.mode = mode | FALLOC_FL_KEEP_SIZE;
	request->aio.offset = request->io->offset;
	request->aio.length = request->io->length;
	start_call(request, TCMU_AIO_FALLOCATE, request->backend->fd, done);
}

static void unmap_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	(void) aio;
	/* A block device need not read as zeros afterwards, so doing nothing is correct. */
	if (res == -EOPNOTSUPP && request->backend->block)
		res = 0;
	complete_request(request, (int) res);
}

static void discard_blocks(struct file_request *request)
{
	uint64_t granularity = request->backend->granularity;
	uint64_t begin = (request->io->offset + granularity - 1) / granularity * granularity;
	uint64_t end = (request->io->offset + request->io->length) / granularity * granularity;

	assert(granularity > 0);
	if (begin >= end) {
		complete_request(request, 0);
		return;
	}
	request->aio.offset = begin;
	request->aio.length = end - begin;
	start_call(request, TCMU_AIO_BLKDISCARD, request->backend->fd, unmap_done);
}

static void begin_unmap(struct file_request *request)
{
	if (!request->backend->discard)
		complete_request(request, -EOPNOTSUPP);
	else if (request->backend->block)
		discard_blocks(request);
	else
		start_fallocate(request, FALLOC_FL_PUNCH_HOLE, unmap_done);
}

static void begin_write_zeroes(struct file_request *request);

static void write_zeroes_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	if (request->cancelled && (res == 0 || res == -EOPNOTSUPP)) {
		complete_request(request, -ECANCELED);
	} else if (res == -EOPNOTSUPP) {
		if (aio->mode & FALLOC_FL_PUNCH_HOLE)
			request->backend->no_punch = true;
		else
			request->backend->no_zeroing = true;
		begin_write_zeroes(request);
	} else if (res < 0 || !(io->flags & TCMU_IO_FUA)) {
		complete_request(request, (int) res);
	} else {
		begin_flush(request);
	}
}

/* On -EOPNOTSUPP the daemon writes the zeros. */
static void begin_write_zeroes(struct file_request *request)
{
	struct file_backend *backend = request->backend;
	const struct tcmu_io *io = request->io;

	if ((io->offset | io->length) % backend->granularity)
		complete_request(request, -EOPNOTSUPP);
	else if ((io->flags & TCMU_IO_MAY_UNMAP) && backend->discard && !backend->no_punch)
		start_fallocate(request, FALLOC_FL_PUNCH_HOLE, write_zeroes_done);
	else if (!backend->no_zeroing)
		start_fallocate(request, FALLOC_FL_ZERO_RANGE, write_zeroes_done);
	else
		complete_request(request, -EOPNOTSUPP);
}

/* ------- MAP ------- */

static void complete_map(struct file_request *request, uint64_t bytes, uint32_t flags)
{
	struct tcmu_io *io = request->io;

	io->result = bytes < io->length ? bytes : io->length;
	io->result_flags = flags;
	tcmu_io_complete(io, 0);
}

static void start_seek(
	struct file_request *request, enum tcmu_aio_op op, uint64_t offset,
	void (*done)(struct tcmu_io *, struct tcmu_aio *, int64_t))
{
	request->aio.offset = offset;
	start_call(request, op, request->backend->fd, done);
}

/* Bytes from the request's offset to an offset of the file, in whole blocks. begun: count a
 * partial block. */
static uint64_t blocks_until(const struct file_request *request, uint64_t offset, bool begun)
{
	uint32_t block_size = request->backend->block_size;
	uint64_t bytes = offset - request->io->offset;

	return (bytes + (begun ? block_size - 1 : 0)) / block_size * block_size;
}

static void seek_hole_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;

	(void) aio;
	if (res < 0)
		complete_request(request, (int) res);
	else
		complete_map(request, blocks_until(request, (uint64_t) res, true), TCMU_IO_MAPPED);
}

/* A block that is partly data is allocated. */
static void seek_data_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct file_request *request = io->priv;
	uint64_t hole = res < 0 ? io->length : blocks_until(request, (uint64_t) res, false);

	(void) aio;
	if (res < 0 && res != -ENXIO)
		complete_request(request, (int) res);
	else if (request->cancelled)
		complete_request(request, -ECANCELED);
	else if (hole)
		complete_map(request, hole, 0);
	else
		start_seek(request, TCMU_AIO_SEEK_HOLE, (uint64_t) res, seek_hole_done);
}

/* ------- the handler's functions ------- */

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
		complete_request(request, -EIO);
		return;
	}
	switch (io->op) {
	case TCMU_IO_READ:
	case TCMU_IO_WRITE:
		begin_transfer(request);
		break;
	case TCMU_IO_FLUSH:
		begin_flush(request);
		break;
	case TCMU_IO_UNMAP:
		begin_unmap(request);
		break;
	case TCMU_IO_WRITE_ZEROES:
		begin_write_zeroes(request);
		break;
	case TCMU_IO_MAP:
		start_seek(request, TCMU_AIO_SEEK_DATA, io->offset, seek_data_done);
		break;
	default:
		complete_request(request, -EOPNOTSUPP);
		break;
	}
}

/* A waiting request ends at once. The daemon cancels a system call in flight, and the request
 * makes no further one. */
void file_cancel(void *self, struct tcmu_io *io)
{
	struct file_backend *backend = self;
	struct file_request *request = io->priv;
	bool made_flush = request == backend->flush_running.first;

	request->cancelled = true;
	if (file_queue_remove(&backend->waiting, request)) {
		complete_request(request, -ECANCELED);
		start_waiting(backend);
	} else if (
		file_queue_remove(&backend->flush_waiting, request) ||
		(!made_flush && file_queue_remove(&backend->flush_running, request))) {
		complete_request(request, -ECANCELED);
	}
}
