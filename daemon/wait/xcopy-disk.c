/* SPDX-License-Identifier: Apache-2.0 */
/* See wait/xcopy-disk.h. */
#include "wait/xcopy-disk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A list under its disk's lock, whose length is read by any thread. */
struct xcopy_queue {
	struct list list;
	atomic_uint length;
};

struct xcopy_disk {
	atomic_uint references;
	struct tcmu_name name;
	uint32_t block_size;
	atomic_uint generation;

	pthread_mutex_t lock;
	struct wait *wait; /* NULL: its I/O thread has ended */
	bool closed;
	struct xcopy_queue requests;
	struct xcopy_queue answers;
	struct list taken;

	/* under the registry's lock */
	bool known;
	uint8_t naa[SCSI_NAA_LENGTH];
	struct list_node node;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list registry = {.end = &registry.first}; /* every known disk that is not closed */

static void xcopy_queue_append(struct xcopy_queue *queue, struct xcopy_request *request)
{
	list_append(&queue->list, &request->node);
	atomic_fetch_add(&queue->length, 1);
}

static struct xcopy_request *xcopy_queue_take(struct xcopy_queue *queue)
{
	struct list_node *node = list_take(&queue->list);

	if (!node)
		return NULL;
	assert(atomic_load(&queue->length) > 0);
	atomic_fetch_sub(&queue->length, 1);
	return container_of(node, struct xcopy_request, node);
}

/* ------- the disk and the registry ------- */

int xcopy_disk_new(
	struct wait *wait, const struct tcmu_name *name, uint32_t block_size,
	struct xcopy_disk **ret)
{
	struct xcopy_disk *disk = calloc(1, sizeof(*disk));

	assert(wait && block_size);
	if (!disk)
		return -ENOMEM;
	atomic_init(&disk->references, 1);
	disk->name = *name;
	disk->block_size = block_size;
	disk->wait = wait;
	list_init(&disk->requests.list);
	list_init(&disk->answers.list);
	list_init(&disk->taken);
	pthread_mutex_init(&disk->lock, NULL);
	*ret = disk;
	return 0;
}

struct xcopy_disk *xcopy_disk_ref(struct xcopy_disk *disk)
{
	unsigned before = atomic_fetch_add(&disk->references, 1);

	assert(before > 0);
	return disk;
}

void xcopy_disk_unref(struct xcopy_disk *disk)
{
	unsigned before;

	if (!disk)
		return;
	before = atomic_fetch_sub(&disk->references, 1);
	assert(before > 0);
	if (before > 1)
		return;
	assert(!disk->known && list_is_empty(&disk->taken));
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static void xcopy_disk_forget(struct xcopy_disk *disk)
{
	pthread_mutex_lock(&registry_lock);
	if (disk->known)
		list_remove(&registry, &disk->node);
	disk->known = false;
	pthread_mutex_unlock(&registry_lock);
}

bool xcopy_disk_is_closed(struct xcopy_disk *disk)
{
	bool closed;

	pthread_mutex_lock(&disk->lock);
	closed = disk->closed;
	pthread_mutex_unlock(&disk->lock);
	return closed;
}

void xcopy_disk_set_generation(struct xcopy_disk *disk, unsigned generation)
{
	assert(generation != atomic_load(&disk->generation));
	atomic_store(&disk->generation, generation);
}

unsigned xcopy_disk_generation(struct xcopy_disk *disk)
{
	return atomic_load(&disk->generation);
}

void xcopy_disk_set_naa(struct xcopy_disk *disk, const uint8_t naa[SCSI_NAA_LENGTH])
{
	pthread_mutex_lock(&registry_lock);
	if (!xcopy_disk_is_closed(disk)) {
		memcpy(disk->naa, naa, SCSI_NAA_LENGTH);
		if (!disk->known) {
			disk->known = true;
			list_append(&registry, &disk->node);
		}
	}
	pthread_mutex_unlock(&registry_lock);
}

struct xcopy_disk *xcopy_disk_find(const uint8_t naa[SCSI_NAA_LENGTH])
{
	struct xcopy_disk *found = NULL;
	unsigned cnt = 0;

	pthread_mutex_lock(&registry_lock);
	list_for_each (node, &registry) {
		struct xcopy_disk *disk = container_of(node, struct xcopy_disk, node);

		assert(disk->known);
		if (memcmp(disk->naa, naa, SCSI_NAA_LENGTH) != 0)
			continue;
		found = disk;
		cnt++;
	}
	if (cnt == 1)
		xcopy_disk_ref(found);
	pthread_mutex_unlock(&registry_lock);
	return cnt == 1 ? found : NULL;
}

const struct tcmu_name *xcopy_disk_name(const struct xcopy_disk *disk)
{
	assert(atomic_load(&disk->references) > 0);
	return &disk->name;
}

uint32_t xcopy_disk_block_size(const struct xcopy_disk *disk)
{
	return disk->block_size;
}

/* ------- requests ------- */

static void xcopy_disk_deliver(struct xcopy_request *request)
{
	struct xcopy_disk *waiter = request->waiter;
	bool waits;

	pthread_mutex_lock(&waiter->lock);
	waits = waiter->wait;
	if (waits) {
		xcopy_queue_append(&waiter->answers, request);
		wait_wake(waiter->wait);
	}
	pthread_mutex_unlock(&waiter->lock);
	if (!waits)
		request->release(request);
}

void xcopy_disk_request(struct xcopy_request *request)
{
	struct xcopy_disk *performer = request->performer;
	bool closed;

	assert(request->waiter && request->answered && request->release && request->blocks);
	pthread_mutex_lock(&performer->lock);
	closed = performer->closed;
	request->state = XCOPY_REQUEST_QUEUED;
	request->begun = request->withdrawn = request->waits = false;
	if (!closed) {
		assert(performer->wait);
		xcopy_queue_append(&performer->requests, request);
		wait_wake(performer->wait);
	}
	pthread_mutex_unlock(&performer->lock);
	if (!closed)
		return;
	request->error = -ENODEV;
	xcopy_disk_deliver(request);
	request->release(request);
}

bool xcopy_disk_withdraw(struct xcopy_request *request)
{
	struct xcopy_disk *performer = request->performer;
	bool queued, taken;

	pthread_mutex_lock(&performer->lock);
	queued = request->state == XCOPY_REQUEST_QUEUED && !performer->closed;
	if (queued) {
		assert(atomic_load(&performer->requests.length) > 0);
		list_remove(&performer->requests.list, &request->node);
		atomic_fetch_sub(&performer->requests.length, 1);
		request->state = XCOPY_REQUEST_ANSWERED;
	}
	taken = !queued && request->state == XCOPY_REQUEST_TAKEN && !request->begun;
	request->withdrawn |= taken;
	pthread_mutex_unlock(&performer->lock);
	if (queued) {
		request->release(request); /* that of the answer */
		request->release(request); /* that of the performer */
	}
	return queued || taken;
}

bool xcopy_disk_begin(struct xcopy_request *request)
{
	struct xcopy_disk *performer = request->performer;
	bool begins;

	pthread_mutex_lock(&performer->lock);
	assert(request->state != XCOPY_REQUEST_QUEUED && !request->begun);
	begins = request->state == XCOPY_REQUEST_TAKEN && !request->withdrawn;
	request->begun = begins;
	pthread_mutex_unlock(&performer->lock);
	return begins;
}

/* Its lock is held. */
static bool xcopy_disk_is_ready(struct xcopy_disk *disk, uint64_t read, uint64_t end)
{
	struct list_node *node = disk->requests.list.first;
	struct xcopy_request *request = list_entry(node, struct xcopy_request, node);

	assert(read <= end);
	if (!request || request->waiter == disk || read == end)
		return request;
	if (!request->waits) {
		request->waits = true;
		request->position = end;
	}
	return read >= request->position;
}

struct xcopy_request *xcopy_disk_take(struct xcopy_disk *disk, uint64_t read, uint64_t end)
{
	struct xcopy_request *request = NULL;

	pthread_mutex_lock(&disk->lock);
	if (xcopy_disk_is_ready(disk, read, end))
		request = xcopy_queue_take(&disk->requests);
	if (request) {
		assert(request->state == XCOPY_REQUEST_QUEUED && request->performer == disk);
		request->state = XCOPY_REQUEST_TAKEN;
		list_append(&disk->taken, &request->node);
	}
	pthread_mutex_unlock(&disk->lock);
	return request;
}

void xcopy_disk_answer(struct xcopy_request *request, int error)
{
	struct xcopy_disk *disk = request->performer;
	bool first;

	pthread_mutex_lock(&disk->lock);
	assert(request->state != XCOPY_REQUEST_QUEUED);
	first = request->state == XCOPY_REQUEST_TAKEN;
	if (first) {
		list_remove(&disk->taken, &request->node);
		request->state = XCOPY_REQUEST_ANSWERED;
		request->error = error;
	}
	pthread_mutex_unlock(&disk->lock);
	if (first)
		xcopy_disk_deliver(request);
	request->release(request);
}

/* The first request that is not answered. taken: the performer still has a reference. */
static struct xcopy_request *xcopy_disk_give_up(struct xcopy_disk *disk, bool *taken)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&disk->lock);
	disk->closed = true;
	request = list_entry(list_take(&disk->taken), struct xcopy_request, node);
	*taken = request;
	if (!request)
		request = xcopy_queue_take(&disk->requests);
	if (request) {
		assert(request->state != XCOPY_REQUEST_ANSWERED);
		request->state = XCOPY_REQUEST_ANSWERED;
		request->error = -ENODEV;
	}
	pthread_mutex_unlock(&disk->lock);
	return request;
}

void xcopy_disk_close(struct xcopy_disk *disk)
{
	struct xcopy_request *request;
	bool taken;

	while ((request = xcopy_disk_give_up(disk, &taken))) {
		xcopy_disk_deliver(request);
		if (!taken)
			request->release(request);
	}
	xcopy_disk_forget(disk);
}

static struct xcopy_request *xcopy_disk_take_answer(struct xcopy_disk *disk, bool end)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&disk->lock);
	request = xcopy_queue_take(&disk->answers);
	if (end)
		disk->wait = NULL;
	pthread_mutex_unlock(&disk->lock);
	return request;
}

void xcopy_disk_end(struct xcopy_disk *disk)
{
	struct xcopy_request *request;

	if (!disk)
		return;
	xcopy_disk_close(disk);
	while ((request = xcopy_disk_take_answer(disk, true)))
		request->release(request);
	assert(!xcopy_disk_has_requests(disk) && !xcopy_disk_has_answers(disk));
}

unsigned xcopy_disk_take_answers(struct xcopy_disk *disk)
{
	struct xcopy_request *request;
	unsigned cnt = 0;

	for (; xcopy_disk_has_answers(disk) && (request = xcopy_disk_take_answer(disk, false));
	     cnt++) {
		assert(request->waiter == disk);
		request->answered(request);
	}
	return cnt;
}

bool xcopy_disk_has_requests(const struct xcopy_disk *disk)
{
	return atomic_load(&disk->requests.length);
}

bool xcopy_disk_has_answers(const struct xcopy_disk *disk)
{
	return atomic_load(&disk->answers.length);
}
