/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests. librbd takes them without waiting and calls back on a thread of its own.
 *
 * UNMAP is done as librbd's write_zeroes, not as its discard: that one leaves the bytes at the
 * edges of its granularity as they were, and what is unmapped is to read as zeros.
 *
 * What the cluster tells a client that it has shut out is final for that connection: nothing is
 * passed to librbd any more, so that no late write can land on top of those of whoever has taken
 * over.
 */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The daemon opens the image anew; until then nothing is served. */
void image_fence(struct image *image)
{
	if (atomic_exchange(&image->fenced, true))
		return;
	image_service_note_fence(image);
	image->host->event(image->dev, TCMU_BACKEND_FENCED, -ESHUTDOWN);
}

void image_end(struct image_request *request, int64_t result)
{
	struct image *image = request->image;
	struct tcmu_io *io = request->io;
	int error = result < 0 ? (int) result : 0;

	free(request->copy);
	image_service_note(image, io->op, error);
	if (error == -ESHUTDOWN) {
		image_fence(image);
	} else if (error == -EROFS && !image->read_only) {
		error = -EBUSY; /* another client has the lock of the image, for now */
		if (atomic_load(&image->on_demand))
			image->host->event(image->dev, TCMU_BACKEND_LOCK_LOST, 0);
	} else if (error == -EILSEQ) {
		/* What is compared is aligned to its length. That holds for librbd's offset too,
		 * where it is in the image as where it leaves out how far the block is from the
		 * beginning of its object (as 16.2 does). */
		io->result = request->mismatch % io->length;
	} else if (io->op == TCMU_IO_READ && !error && (uint64_t) result < io->length) {
		io->result = io->offset + (uint64_t) result; /* the image has become shorter */
		error = -EIO;
	}
	tcmu_io_complete(io, error);
}

static void on_done(rbd_completion_t completion, void *arg)
{
	int64_t result = rbd_aio_get_return_value(completion);

	rbd_aio_release(completion);
	image_end(arg, result);
}

/* ------- COMPARE AND WRITE ------- */

static void gather(const struct tcmu_io *io, char *copy)
{
	for (unsigned i = 0; i < io->iov_cnt; i++) {
		memcpy(copy, io->iov[i].iov_base, io->iov[i].iov_len);
		copy += io->iov[i].iov_len;
	}
}

static int64_t compare_and_write(struct image_request *request, rbd_completion_t completion)
{
	struct tcmu_io *io = request->io;
	const char *data = io->iov[0].iov_base;

	if (io->iov_cnt > 1) {
		request->copy = malloc(2 * io->length);
		if (!request->copy)
			return -ENOMEM;
		gather(io, request->copy);
		data = request->copy;
	}
	return rbd_aio_compare_and_write(
		request->image->rbd, io->offset, io->length, data, data + io->length, completion,
		&request->mismatch, 0);
}

/* ------- WRITE SAME ------- */

static int64_t write_same(struct image_request *request, rbd_completion_t completion)
{
	struct tcmu_io *io = request->io;

	return rbd_aio_writesame(
		request->image->rbd, io->offset, io->length, io->iov[0].iov_base,
		io->iov[0].iov_len, completion, 0);
}

/* ------- submit ------- */

static int64_t start(struct image_request *request, rbd_completion_t completion)
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

/* librbd cuts off what lies behind the end of the image, and says nothing. */
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
	if (atomic_load(&image->fenced)) {
		tcmu_io_complete(io, -ESHUTDOWN);
		return;
	}
	if (is_past_end(image, io)) {
		io->result = io->offset;
		tcmu_io_complete(io, -EIO);
		return;
	}
	if (io->op == TCMU_IO_MAP) {
		image_helper_map(request);
		return;
	}
	r = rbd_aio_create_completion(request, on_done, &completion);
	if (r < 0) {
		image_end(request, r);
		return;
	}
	r = start(request, completion);
	if (r < 0) {
		rbd_aio_release(completion);
		image_end(request, r);
	}
}
