/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's own thread, for what librbd does only while its caller waits: which parts are
 * allocated, how large the image is now, and who has its lock. It is not on the way of any other
 * request.
 *
 * image->lock is held for the list and the flags, never during a call of librbd or of the host.
 */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* So much is looked at for one request, at most: without the feature fast-diff every object has to
 * be asked. */
#define MAP_OBJECTS 256u

/* Managers hear of a daemon's status as often. */
#define LOCK_SECONDS 5

/* ------- which parts are allocated ------- */

/* The run of like bytes at `start`. */
struct run {
	uint64_t start;
	uint64_t end; /* as far as is known */
	bool begun;
	bool mapped;
	bool ended; /* nothing more needs to be told */
};

/* librbd's: allocated bytes, one extent after the other. */
static int on_extent(uint64_t offset, size_t length, int exists, void *arg)
{
	struct run *run = arg;

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

static void map(struct image_request *request)
{
	const struct image *image = request->image;
	struct tcmu_io *io = request->io;
	uint64_t limit = MAP_OBJECTS * image->object_size - io->offset % image->object_size;
	uint64_t length = io->length < limit ? io->length : limit;
	struct run run = {.start = io->offset};
	int r;

	r = rbd_diff_iterate2(image->rbd, NULL, io->offset, length, 1, 1, on_extent, &run);
	if (r < 0 && !run.ended) {
		image_end(request, r);
		return;
	}
	if (!run.begun || run.end > run.start + length)
		run.end = run.start + length;
	io->result = run.end - run.start;
	io->result_flags = run.mapped ? TCMU_IO_MAPPED : 0;
	image_end(request, 0);
}

/* ------- how large it is ------- */

static void look_at_size(struct image *image)
{
	uint64_t size;

	if (rbd_get_size(image->rbd, &size) < 0 || atomic_exchange(&image->size, size) == size)
		return;
	image->host->event(image->dev, TCMU_BACKEND_RESIZED, (int64_t) size);
}

void image_helper_update(void *arg)
{
	struct image *image = arg;

	pthread_mutex_lock(&image->lock);
	image->updated = true;
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
}

/* ------- the thread ------- */

void image_helper_map(struct image_request *request)
{
	struct image *image = request->image;

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

void image_helper_wake(struct image *image)
{
	pthread_mutex_lock(&image->lock);
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
}

/* Under the lock. Whoever has the image's lock looks after a while whether it still has. */
static void sleep_well(struct image *image)
{
	struct timespec until;

	if (!atomic_load(&image->service.owner)) {
		pthread_cond_wait(&image->wake, &image->lock);
		return;
	}
	(void) clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOCK_SECONDS;
	if (pthread_cond_timedwait(&image->wake, &image->lock, &until) == ETIMEDOUT)
		atomic_store(&image->service.due, true);
}

static void *help(void *arg)
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
			sleep_well(image);
			continue;
		}
		if (request)
			image->first = request->next;
		image->updated = false;
		pthread_mutex_unlock(&image->lock);
		if (updated)
			look_at_size(image);
		if (request)
			map(request);
		if (due)
			image_service_report(image);
		pthread_mutex_lock(&image->lock);
	}
	pthread_mutex_unlock(&image->lock);
	return NULL;
}

int image_helper_start(struct image *image)
{
	int r = pthread_create(&image->helper, NULL, help, image);

	image->has_helper = r == 0;
	return -r;
}

void image_helper_stop(struct image *image)
{
	if (!image->has_helper)
		return;
	pthread_mutex_lock(&image->lock);
	image->ending = true;
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
	pthread_join(image->helper, NULL);
	image->has_helper = false;
}
