/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests. librbd accepts them without blocking and calls back on one of its threads.
 *
 * UNMAP uses librbd's write_zeroes, not its discard: discard leaves bytes at the edges of its
 * granularity unchanged, and unmapped bytes must read as zeros.
 *
 * When the cluster has blocklisted the connection, or the lease of the lock holder has passed, that
 * is final: no request goes to librbd any more, so that no late write overwrites the data of the
 * new lock holder.
 */
#include "io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image-thread.h"
#include "image.h"
#include "request.h"

static void on_request_done(rbd_completion_t completion, void *arg)
{
	int64_t result = rbd_aio_get_return_value(completion);

	rbd_aio_release(completion);
	image_end(arg, result);
}

/* ------- data in one piece ------- */

/* Returns the request's data as one piece, or NULL: no memory. length: all of its bytes. */
static const char *joined(struct image_request *request, size_t length)
{
	const struct tcmu_io *io = request->io;
	char *at;

	if (io->iov_cnt == 1)
		return io->iov[0].iov_base;
	request->copy = malloc(length);
	if (!request->copy)
		return NULL;
	at = request->copy;
	for (unsigned i = 0; i < io->iov_cnt; i++) {
		memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	return request->copy;
}

static int64_t compare_and_write(struct image_request *request, rbd_completion_t completion)
{
	struct tcmu_io *io = request->io;
	const char *data = joined(request, 2 * io->length);

	if (!data)
		return -ENOMEM;
	return rbd_aio_compare_and_write(
		request->image->rbd, io->offset, io->length, data, data + io->length, completion,
		&request->mismatch, 0);
}

static int64_t write_same(struct image_request *request, rbd_completion_t completion)
{
	struct tcmu_io *io = request->io;
	size_t block = request->image->block_size;
	const char *data = joined(request, block);

	if (!data)
		return -ENOMEM;
	return rbd_aio_writesame(
		request->image->rbd, io->offset, io->length, data, block, completion, 0);
}

/* ------- submit ------- */

static int64_t start_request(struct image_request *request, rbd_completion_t completion)
{
	rbd_image_t rbd = request->image->rbd;
	struct tcmu_io *io = request->io;

	switch (io->op) {
	case TCMU_IO_READ:
		return rbd_aio_readv(rbd, io->iov, (int) io->iov_cnt, io->offset, completion);
	case TCMU_IO_WRITE:
		return rbd_aio_writev(rbd, io->iov, (int) io->iov_cnt, io->offset, completion);
	case TCMU_IO_FLUSH:
		return rbd_aio_flush(rbd, completion);
	case TCMU_IO_UNMAP:
		return rbd_aio_write_zeroes(rbd, io->offset, io->length, completion, 0, 0);
	case TCMU_IO_WRITE_ZEROES:
		return rbd_aio_write_zeroes(
			rbd, io->offset, io->length, completion,
			io->flags & TCMU_IO_MAY_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION,
			0);
	case TCMU_IO_COMPARE_AND_WRITE:
		return compare_and_write(request, completion);
	case TCMU_IO_WRITE_SAME:
		return write_same(request, completion);
	default:
		return -EOPNOTSUPP;
	}
}

/* librbd silently cuts requests at the end of the image, so they are checked here. */
static bool is_past_end(const struct image *image, const struct tcmu_io *io)
{
	return io->op != TCMU_IO_FLUSH && io->offset + io->length > atomic_load(&image->size);
}

void image_submit(void *backend, struct tcmu_io *io)
{
	struct image *image = backend;
	struct image_request *request = io->priv;
	rbd_completion_t completion;
	int64_t r;

	*request = (struct image_request){.io = io, .image = image};
	if (lease_is_over(&image->lease))
		image_fence(image);
	if (atomic_load(&image->fenced)) {
		tcmu_io_complete(io, -EBUSY); /* not -ESHUTDOWN: it was not carried out */
		return;
	}
	if (is_past_end(image, io)) {
		io->result = io->offset;
		tcmu_io_complete(io, -EIO);
		return;
	}
	if (io->op == TCMU_IO_MAP) {
		image_thread_map(request);
		return;
	}
	r = rbd_aio_create_completion(request, on_request_done, &completion);
	if (r < 0) {
		image_end(request, r);
		return;
	}
	r = start_request(request, completion);
	if (r < 0) {
		rbd_aio_release(completion);
		image_end(request, r);
	}
}
