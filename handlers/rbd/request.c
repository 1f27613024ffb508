/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of requests, and fencing.
 */
#include "request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "status.h"

/* ------- for the daemon ------- */

void image_log(struct image *image, enum tcmu_log_level level, const char *text)
{
	pthread_mutex_lock(&image->log_lock);
	if (!image->left)
		image->host->log(image->dev, level, text);
	pthread_mutex_unlock(&image->log_lock);
}

void image_event(struct image *image, enum tcmu_backend_event event, int64_t value)
{
	pthread_mutex_lock(&image->event_lock);
	if (!image->left)
		image->host->event(image->dev, event, value);
	pthread_mutex_unlock(&image->event_lock);
}

void image_leave_host(struct image *image)
{
	pthread_mutex_lock(&image->log_lock);
	pthread_mutex_lock(&image->event_lock);
	image->left = true;
	pthread_mutex_unlock(&image->event_lock);
	pthread_mutex_unlock(&image->log_lock);
}

/* The daemon reopens the image; until then nothing is served. */
void image_fence(struct image *image)
{
	if (atomic_exchange(&image->fenced, true))
		return;
	image_status_note_fence(image);
	image_event(image, TCMU_BACKEND_FENCED, -ESHUTDOWN);
}

/* ------- requests ------- */

void image_end(struct image_request *request, int64_t result)
{
	struct image *image = request->image;
	struct tcmu_io *io = request->io;
	int error = result < 0 ? (int) result : 0;

	assert(io && request->image);
	free(request->copy);
	if (error == -ETIMEDOUT && io->op != TCMU_IO_READ && io->op != TCMU_IO_MAP)
		atomic_store(&image->unanswered, true);
	/* librbd answers some requests from its memory, even if another client has the lock. */
	if (lease_is_over(&image->lease))
		error = -ESHUTDOWN;
	image_status_note(image, io->op, error);
	if (error == -ESHUTDOWN) {
		image_fence(image);
	} else if (error == -EROFS && !image->read_only) {
		/* Another client holds the lock of the image, and does not pass it on to one whose
		 * librbd asks for it. */
		error = -EBUSY;
		image_event(image, TCMU_BACKEND_LOCK_LOST, 0);
	} else if (error == -EILSEQ) {
		/* The compared range is aligned to its length. So the modulo is right both where
		 * librbd reports an offset in the image and where it reports one in the object
		 * without the start of the block (as 16.2 does). */
		io->result = request->mismatch % io->length;
	} else if (io->op == TCMU_IO_READ && !error && (uint64_t) result < io->length) {
		io->result = io->offset + (uint64_t) result; /* the image has been shortened */
		error = -EIO;
	}
	tcmu_io_complete(io, error);
}
