/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, which worker threads carry out. They may block.
 */
#include "io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "inject.h"

#define PIECE ((size_t) 64 * 1024)

/* ------- bytes ------- */

/* Transfers a whole buffer by system calls. 0, or -errno; -ENODATA at the end of the file. */
static int transfer_range(int fd, bool write, uint8_t *memory, size_t length, uint64_t offset)
{
	while (length) {
		ssize_t n = write ? pwrite(fd, memory, length, (off_t) offset)
				  : pread(fd, memory, length, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		memory += n;
		length -= (size_t) n;
		offset += (uint64_t) n;
	}
	return 0;
}

/* The same, but this thread accesses the buffer, not the kernel. */
static int transfer_copy(int fd, bool write, uint8_t *memory, size_t length, uint64_t offset)
{
	uint8_t piece[PIECE];
	int r = 0;

	for (size_t done = 0; done < length && r == 0;) {
		size_t n = length - done < PIECE ? length - done : PIECE;

		if (write)
			memcpy(piece, memory + done, n);
		r = transfer_range(fd, write, piece, n, offset + done);
		if (r == 0 && !write)
			memcpy(memory + done, piece, n);
		assert(n <= sizeof(piece));
		done += n;
	}
	return r;
}

static int transfer_all(const struct fault_backend *backend, const struct tcmu_io *io, bool write)
{
	uint64_t offset = io->offset;
	int r = 0;

	for (unsigned i = 0; i < io->iov_cnt && r == 0; i++) {
		uint8_t *memory = io->iov[i].iov_base;
		size_t length = io->iov[i].iov_len;

		r = FAULT_COPIES ? transfer_copy(backend->fd, write, memory, length, offset)
				 : transfer_range(backend->fd, write, memory, length, offset);
		offset += length;
	}
	return r;
}

static int punch_hole(const struct fault_backend *backend, const struct tcmu_io *io)
{
	int r = fallocate(
		backend->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) io->offset,
		(off_t) io->length);

	return r < 0 ? -errno : 0;
}

static int make_stable(const struct fault_backend *backend)
{
	return fdatasync(backend->fd) < 0 ? -errno : 0;
}

static int carry_out(const struct fault_backend *backend, const struct tcmu_io *io)
{
	int r = -EOPNOTSUPP;

	switch (io->op) {
	case TCMU_IO_READ:
		return transfer_all(backend, io, false);
	case TCMU_IO_WRITE:
		r = transfer_all(backend, io, true);
		break;
	case TCMU_IO_FLUSH:
		return make_stable(backend);
	case TCMU_IO_UNMAP:
	case TCMU_IO_WRITE_ZEROES:
		r = punch_hole(backend, io);
		break;
	case TCMU_IO_COMPARE_AND_WRITE:
	case TCMU_IO_MAP:
	case TCMU_IO_WRITE_SAME:
	case TCMU_IO_COMMAND:
		break;
	}
	return r == 0 && (io->flags & TCMU_IO_FUA) ? make_stable(backend) : r;
}

/* ------- requests ------- */

/* Numbers the request. False: the backend has failed. */
static bool count_request(struct fault_backend *backend, const struct tcmu_io *io)
{
	struct fault_request *request = io->priv;
	uint64_t before = atomic_fetch_add(&backend->requests, 1);

	assert(io->op >= TCMU_IO_READ && io->op < FAULT_OP_CNT);
	request->nth = atomic_fetch_add(&backend->requests_of[io->op], 1) + 1;
	if (backend->fail_after == 0 || before < backend->fail_after)
		return true;
	if (before == backend->fail_after)
		backend->host->event(backend->dev, TCMU_BACKEND_FAILED, -EIO);
	return false;
}

static void set_cancelled(
	struct fault_backend *backend, struct fault_request *request, bool cancelled)
{
	pthread_mutex_lock(&backend->lock);
	request->cancelled = cancelled;
	if (cancelled)
		pthread_cond_broadcast(&backend->cancelled);
	pthread_mutex_unlock(&backend->lock);
}

void fault_submit(void *backend, struct tcmu_io *io)
{
	struct fault_backend *self = backend;
	int r = 0;

	set_cancelled(self, io->priv, false);
	if (!count_request(self, io)) {
		tcmu_io_complete(io, -EIO);
		return;
	}
	if (self->when == WHEN_BEFORE)
		r = fault_inject(self, io);
	if (r == 0)
		r = carry_out(self, io);
	if (r == 0 && self->when == WHEN_AFTER)
		r = fault_inject(self, io);
	tcmu_io_complete(io, r);
}

/* A cancellation before submit has started is lost: the request ends normally. */
void fault_cancel(void *backend, struct tcmu_io *io)
{
	struct fault_backend *self = backend;

	if (self->cancel)
		set_cancelled(self, io->priv, true);
}
