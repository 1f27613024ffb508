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
	if (!service->registered)
		return;
	count_event(&service->counts->conn_lost);
	if (atomic_load(&service->locked))
		count_event(&service->counts->lock_lost);
	report_soon(image);
}

void image_status_note_lock(struct image *image, bool ours)
{
	assert(image->service.lockable);
	atomic_store(&image->service.locked, ours);
	if (image->service.registered)
		report_soon(image);
}
