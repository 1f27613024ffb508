/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of images, and the events that the service map reports. The image thread reports
 * them later, because that may block.
 */
#include "status.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t counts_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static struct image_counts *all_counts;

static pthread_mutex_t reported_lock = PTHREAD_MUTEX_INITIALIZER; /* before an image's lock */
static struct image *all_reported; /* the images in the service map, under reported_lock */
static atomic_uint all_old;

struct image_counts *image_counts_get(const char *name)
{
	struct image_counts *counts;

	assert(name[0]);
	pthread_mutex_lock(&counts_lock);
	for (counts = all_counts; counts && strcmp(counts->name, name) != 0;)
		counts = counts->next;
	if (!counts)
		counts = calloc(1, sizeof(*counts) + strlen(name) + 1);
	if (counts && !counts->name[0]) {
		memcpy(counts->name, name, strlen(name) + 1);
		counts->next = all_counts;
		all_counts = counts;
	}
	pthread_mutex_unlock(&counts_lock);
	return counts;
}

/* Runs when the plugin is unloaded. */
__attribute__((destructor)) static void free_all_counts(void)
{
	struct image_counts *counts;

	while ((counts = all_counts)) {
		all_counts = counts->next;
		free(counts);
	}
}

/* ------- events ------- */

static void count_event(atomic_uint *counter)
{
	atomic_fetch_add(counter, 1);
}

static void report_soon(struct image *image)
{
	if (!atomic_exchange(&image->service.due, true))
		image_wake(image);
}

/* ------- old connections ------- */

/* A connection that was ended cannot report any more, so the others do. */
static void report_all(void)
{
	pthread_mutex_lock(&reported_lock);
	for (struct image *image = all_reported; image; image = image->next_reported)
		report_soon(image);
	pthread_mutex_unlock(&reported_lock);
}

void image_status_join(struct image *image)
{
	assert(image->service.registered);
	pthread_mutex_lock(&reported_lock);
	image->next_reported = all_reported;
	all_reported = image;
	pthread_mutex_unlock(&reported_lock);
}

void image_status_leave(struct image *image)
{
	struct image **link = &all_reported;

	pthread_mutex_lock(&reported_lock);
	while (*link && *link != image)
		link = &(*link)->next_reported;
	if (*link)
		*link = image->next_reported;
	pthread_mutex_unlock(&reported_lock);
	if (!atomic_load(&image->old))
		return;
	assert(atomic_load(&all_old) > 0);
	if (image->service.registered)
		atomic_fetch_sub(&image->service.counts->old, 1);
	atomic_fetch_sub(&all_old, 1);
	report_all();
}

void image_status_note_old(struct image *image)
{
	if (atomic_exchange(&image->old, true))
		return;
	if (image->service.registered)
		count_event(&image->service.counts->old);
	count_event(&all_old);
	report_all();
}

unsigned image_status_old(void)
{
	return atomic_load(&all_old);
}

/* ------- requests and the lock ------- */

void image_status_note(struct image *image, enum tcmu_io_op op, int error)
{
	struct image_service *service = &image->service;
	bool news = true;

	assert(error <= 0);
	if (!service->registered)
		return;
	if (error == -ETIMEDOUT)
		count_event(&service->counts->timed_out);
	else if (error == -EROFS && atomic_exchange(&service->locked, false))
		count_event(&service->counts->lock_lost);
	else
		news = !error && op != TCMU_IO_READ && op != TCMU_IO_MAP && op != TCMU_IO_FLUSH &&
			service->lockable && !atomic_load(&service->locked);
	if (news)
		report_soon(image);
}

void image_status_note_fence(struct image *image)
{
	struct image_service *service = &image->service;

	assert(atomic_load(&image->fenced));
	if (service->registered) {
		count_event(&service->counts->conn_lost);
		if (atomic_exchange(&service->locked, false))
			count_event(&service->counts->lock_lost);
	}
	image_status_note_old(image);
	if (service->registered)
		report_soon(image);
}

void image_status_note_lock(struct image *image, bool ours)
{
	assert(image->service.lockable);
	atomic_store(&image->service.locked, ours);
	if (image->service.registered)
		report_soon(image);
}
