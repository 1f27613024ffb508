/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's own thread, for calls of librbd that block: the allocated extents, the size of the
 * image, the holder of its lock. No other request waits for it.
 *
 * image->lock guards the list and the flags; it is not held during a call of librbd or of the
 * host.
 */
#include "image-thread.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "lock.h"
#include "request.h"
#include "service.h"

/* The most objects that one request queries: without the feature fast-diff, librbd queries every
 * object. */
#define MAP_OBJECTS 256u

/* The period of the status reports, and of the check of former lock holders' entries. */
#define LOCK_SECONDS 3

/* ------- allocated extents ------- */

/* The run of bytes from `start` that are all allocated or all not. */
struct map_run {
	uint64_t start;
	uint64_t end; /* as far as is known */
	bool begun;
	bool mapped;
	bool ended; /* further extents do not matter */
};

/* librbd's callback: the allocated extents, in ascending order. */
static int on_extent(uint64_t offset, size_t length, int exists, void *arg)
{
	struct map_run *run = arg;

	if (!exists)
		return 0;
	if (!run->begun) {
		run->begun = true;
		run->mapped = offset <= run->start;
		run->end = run->mapped ? offset + length : offset;
		run->ended = !run->mapped;
	} else if (offset <= run->end) {
		run->end = offset + length;
	} else {
		run->ended = true;
	}
	return run->ended ? -ECANCELED : 0;
}

static void map_extent(struct image_request *request)
{
	const struct image *image = request->image;
	struct tcmu_io *io = request->io;
	uint64_t limit = MAP_OBJECTS * image->object_size - io->offset % image->object_size;
	uint64_t length = io->length < limit ? io->length : limit;
	struct map_run run = {.start = io->offset};
	int r;

	r = rbd_diff_iterate2(image->rbd, NULL, io->offset, length, 1, 1, on_extent, &run);
	if (r < 0 && !run.ended) {
		image_end(request, r);
		return;
	}
	if (!run.begun || run.end > run.start + length)
		run.end = run.start + length;
	assert(run.end >= run.start && run.end - run.start <= length);
	io->result = run.end - run.start;
	io->result_flags = run.mapped ? TCMU_IO_MAPPED : 0;
	image_end(request, 0);
}

/* ------- size ------- */

static void query_size(struct image *image)
{
	uint64_t size;

	if (rbd_get_size(image->rbd, &size) < 0 || atomic_exchange(&image->size, size) == size)
		return;
	image_event(image, TCMU_BACKEND_RESIZED, (int64_t) size);
}

void image_thread_update(void *arg)
{
	struct image *image = arg;

	pthread_mutex_lock(&image->lock);
	image->updated = true;
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
}

/* ------- the thread ------- */

void image_thread_map(struct image_request *request)
{
	struct image *image = request->image;

	assert(image->has_thread && !image->ending);
	request->next = NULL;
	pthread_mutex_lock(&image->lock);
	if (image->first)
		image->last->next = request;
	else
		image->first = request;
	image->last = request;
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
}

/* Waits for a request or a report; image->lock is held. While this host holds the image's lock, a
 * report becomes due periodically, to check that it still does. */
static void wait_for_work(struct image *image)
{
	struct timespec until;

	if (!atomic_load(&image->service.locked)) {
		pthread_cond_wait(&image->wake, &image->lock);
		return;
	}
	/* A step of the wall clock must neither delay the report nor make it due at once. */
	(void) clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOCK_SECONDS;
	if (pthread_cond_clockwait(&image->wake, &image->lock, CLOCK_MONOTONIC, &until) ==
	    ETIMEDOUT)
		atomic_store(&image->service.due, true);
}

static void *thread_main(void *arg)
{
	struct image *image = arg;
	struct image_request *request;
	bool updated, due;

	pthread_mutex_lock(&image->lock);
	while (!image->ending) {
		request = image->first;
		updated = image->updated;
		due = atomic_exchange(&image->service.due, false);
		if (!request && !updated && !due) {
			wait_for_work(image);
			continue;
		}
		if (request)
			image->first = request->next;
		image->updated = false;
		pthread_mutex_unlock(&image->lock);
		if (updated)
			query_size(image);
		if (request)
			map_extent(request);
		if (due) {
			image_service_report(image);
			image_lock_check(image);
		}
		pthread_mutex_lock(&image->lock);
	}
	pthread_mutex_unlock(&image->lock);
	return NULL;
}

int image_thread_start(struct image *image)
{
	int r = pthread_create(&image->thread, NULL, thread_main, image);

	assert(!image->has_thread);
	image->has_thread = r == 0;
	return -r;
}

void image_thread_stop(struct image *image)
{
	if (!image->has_thread)
		return;
	pthread_mutex_lock(&image->lock);
	image->ending = true;
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
	pthread_join(image->thread, NULL);
	assert(!image->first);
	image->has_thread = false;
}
