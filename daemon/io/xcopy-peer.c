/* SPDX-License-Identifier: Apache-2.0 */
/* See io/xcopy-peer.h. */
#include "io/xcopy-peer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A list under its peer's lock, whose length is read by any thread. */
struct xcopy_queue {
	struct list list;
	atomic_uint length;
};

struct xcopy_peer {
	atomic_uint references;
	uint32_t block_size;

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
static struct list registry = {.end = &registry.first}; /* every known peer that is not closed */

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

/* ------- the peer and the registry ------- */

int xcopy_peer_new(struct wait *wait, uint32_t block_size, struct xcopy_peer **ret)
{
	struct xcopy_peer *peer = calloc(1, sizeof(*peer));

	assert(wait && block_size);
	if (!peer)
		return -ENOMEM;
	atomic_init(&peer->references, 1);
	peer->block_size = block_size;
	peer->wait = wait;
	list_init(&peer->requests.list);
	list_init(&peer->answers.list);
	list_init(&peer->taken);
	pthread_mutex_init(&peer->lock, NULL);
	*ret = peer;
	return 0;
}

struct xcopy_peer *xcopy_peer_ref(struct xcopy_peer *peer)
{
	unsigned before = atomic_fetch_add(&peer->references, 1);

	assert(before > 0);
	return peer;
}

void xcopy_peer_unref(struct xcopy_peer *peer)
{
	unsigned before;

	if (!peer)
		return;
	before = atomic_fetch_sub(&peer->references, 1);
	assert(before > 0);
	if (before > 1)
		return;
	assert(!peer->known && list_is_empty(&peer->taken));
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

static void xcopy_peer_forget(struct xcopy_peer *peer)
{
	pthread_mutex_lock(&registry_lock);
	if (peer->known)
		list_remove(&registry, &peer->node);
	peer->known = false;
	pthread_mutex_unlock(&registry_lock);
}

bool xcopy_peer_is_closed(struct xcopy_peer *peer)
{
	bool closed;

	pthread_mutex_lock(&peer->lock);
	closed = peer->closed;
	pthread_mutex_unlock(&peer->lock);
	return closed;
}

void xcopy_peer_set_naa(struct xcopy_peer *peer, const uint8_t naa[SCSI_NAA_LENGTH])
{
	pthread_mutex_lock(&registry_lock);
	if (!xcopy_peer_is_closed(peer)) {
		memcpy(peer->naa, naa, SCSI_NAA_LENGTH);
		if (!peer->known) {
			peer->known = true;
			list_append(&registry, &peer->node);
		}
	}
	pthread_mutex_unlock(&registry_lock);
}

struct xcopy_peer *xcopy_peer_find(const uint8_t naa[SCSI_NAA_LENGTH])
{
	struct xcopy_peer *found = NULL;
	unsigned cnt = 0;

	pthread_mutex_lock(&registry_lock);
	list_for_each (node, &registry) {
		struct xcopy_peer *peer = container_of(node, struct xcopy_peer, node);

		assert(peer->known);
		if (memcmp(peer->naa, naa, SCSI_NAA_LENGTH) != 0)
			continue;
		found = peer;
		cnt++;
	}
	if (cnt == 1)
		xcopy_peer_ref(found);
	pthread_mutex_unlock(&registry_lock);
	return cnt == 1 ? found : NULL;
}

uint32_t xcopy_peer_block_size(const struct xcopy_peer *peer)
{
	return peer->block_size;
}

/* ------- requests ------- */

static void xcopy_peer_deliver(struct xcopy_request *request)
{
	struct xcopy_peer *waiter = request->waiter;
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

void xcopy_peer_request(struct xcopy_request *request)
{
	struct xcopy_peer *performer = request->performer;
	bool closed;

	assert(request->waiter && request->answered && request->release && request->blocks);
	pthread_mutex_lock(&performer->lock);
	closed = performer->closed;
	request->state = XCOPY_REQUEST_QUEUED;
	if (!closed) {
		assert(performer->wait);
		xcopy_queue_append(&performer->requests, request);
		wait_wake(performer->wait);
	}
	pthread_mutex_unlock(&performer->lock);
	if (!closed)
		return;
	request->error = -ENODEV;
	xcopy_peer_deliver(request);
	request->release(request);
}

void xcopy_peer_withdraw(struct xcopy_request *request)
{
	struct xcopy_peer *performer = request->performer;
	bool queued;

	pthread_mutex_lock(&performer->lock);
	queued = request->state == XCOPY_REQUEST_QUEUED && !performer->closed;
	if (queued) {
		assert(atomic_load(&performer->requests.length) > 0);
		list_remove(&performer->requests.list, &request->node);
		atomic_fetch_sub(&performer->requests.length, 1);
		request->state = XCOPY_REQUEST_ANSWERED;
	}
	pthread_mutex_unlock(&performer->lock);
	if (!queued)
		return;
	request->release(request); /* that of the answer */
	request->release(request); /* that of the performer */
}

struct xcopy_request *xcopy_peer_take(struct xcopy_peer *peer)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	request = xcopy_queue_take(&peer->requests);
	if (request) {
		assert(request->state == XCOPY_REQUEST_QUEUED && request->performer == peer);
		request->state = XCOPY_REQUEST_TAKEN;
		list_append(&peer->taken, &request->node);
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void xcopy_peer_answer(struct xcopy_request *request, int error)
{
	struct xcopy_peer *peer = request->performer;
	bool first;

	pthread_mutex_lock(&peer->lock);
	assert(request->state != XCOPY_REQUEST_QUEUED);
	first = request->state == XCOPY_REQUEST_TAKEN;
	if (first) {
		list_remove(&peer->taken, &request->node);
		request->state = XCOPY_REQUEST_ANSWERED;
		request->error = error;
	}
	pthread_mutex_unlock(&peer->lock);
	if (first)
		xcopy_peer_deliver(request);
	request->release(request);
}

/* The first request that is not answered. taken: the performer still has a reference. */
static struct xcopy_request *xcopy_peer_give_up(struct xcopy_peer *peer, bool *taken)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	peer->closed = true;
	request = list_entry(list_take(&peer->taken), struct xcopy_request, node);
	*taken = request;
	if (!request)
		request = xcopy_queue_take(&peer->requests);
	if (request) {
		assert(request->state != XCOPY_REQUEST_ANSWERED);
		request->state = XCOPY_REQUEST_ANSWERED;
		request->error = -ENODEV;
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void xcopy_peer_close(struct xcopy_peer *peer)
{
	struct xcopy_request *request;
	bool taken;

	while ((request = xcopy_peer_give_up(peer, &taken))) {
		xcopy_peer_deliver(request);
		if (!taken)
			request->release(request);
	}
	xcopy_peer_forget(peer);
}

static struct xcopy_request *xcopy_peer_take_answer(struct xcopy_peer *peer, bool end)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	request = xcopy_queue_take(&peer->answers);
	if (end)
		peer->wait = NULL;
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void xcopy_peer_end(struct xcopy_peer *peer)
{
	struct xcopy_request *request;

	if (!peer)
		return;
	xcopy_peer_close(peer);
	while ((request = xcopy_peer_take_answer(peer, true)))
		request->release(request);
	assert(!xcopy_peer_has_requests(peer) && !xcopy_peer_has_answers(peer));
}

unsigned xcopy_peer_take_answers(struct xcopy_peer *peer)
{
	struct xcopy_request *request;
	unsigned cnt = 0;

	for (; xcopy_peer_has_answers(peer) && (request = xcopy_peer_take_answer(peer, false));
	     cnt++) {
		assert(request->waiter == peer);
		request->answered(request);
	}
	return cnt;
}

bool xcopy_peer_has_requests(const struct xcopy_peer *peer)
{
	return atomic_load(&peer->requests.length);
}

bool xcopy_peer_has_answers(const struct xcopy_peer *peer)
{
	return atomic_load(&peer->answers.length);
}
