/* SPDX-License-Identifier: Apache-2.0 */
/* See io/xcopy-peer.h. */
#include "io/xcopy-peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/thread-private.h"

struct queue {
	_Atomic(struct xcopy_request *) first;
	struct xcopy_request *last;
};

struct xcopy_peer {
	atomic_uint references;
	uint32_t block_size;

	pthread_mutex_t lock;
	struct io_thread *thread; /* NULL: it has ended */
	bool closed;
	struct queue queued;
	struct queue answers;
	struct xcopy_request *taken;

	/* under the registry's lock */
	bool known;
	uint8_t naa[SCSI_NAA_LENGTH];
	struct xcopy_peer *next;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct xcopy_peer *registry; /* every known peer that is not closed */

static void queue_add(struct queue *queue, struct xcopy_request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static struct xcopy_request *queue_take(struct queue *queue)
{
	struct xcopy_request *request = queue->first;

	if (request)
		queue->first = request->next;
	return request;
}

/* ------- the peer and the registry ------- */

int xcopy_peer_new(struct io_thread *thread, uint32_t block_size, struct xcopy_peer **ret)
{
	struct xcopy_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	atomic_init(&peer->references, 1);
	peer->block_size = block_size;
	peer->thread = thread;
	pthread_mutex_init(&peer->lock, NULL);
	*ret = peer;
	return 0;
}

struct xcopy_peer *xcopy_peer_ref(struct xcopy_peer *peer)
{
	atomic_fetch_add(&peer->references, 1);
	return peer;
}

void xcopy_peer_unref(struct xcopy_peer *peer)
{
	if (!peer || atomic_fetch_sub(&peer->references, 1) != 1)
		return;
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

static void forget(struct xcopy_peer *peer)
{
	struct xcopy_peer **at = &registry;

	pthread_mutex_lock(&registry_lock);
	while (*at && *at != peer)
		at = &(*at)->next;
	if (*at)
		*at = peer->next;
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
			peer->next = registry;
			registry = peer;
		}
	}
	pthread_mutex_unlock(&registry_lock);
}

struct xcopy_peer *xcopy_peer_find(const uint8_t naa[SCSI_NAA_LENGTH])
{
	struct xcopy_peer *found = NULL;
	unsigned cnt = 0;

	pthread_mutex_lock(&registry_lock);
	for (struct xcopy_peer *peer = registry; peer; peer = peer->next) {
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

static void deliver(struct xcopy_request *request)
{
	struct xcopy_peer *waiter = request->waiter;
	bool there;

	pthread_mutex_lock(&waiter->lock);
	there = waiter->thread;
	if (there) {
		queue_add(&waiter->answers, request);
		io_thread_wake(waiter->thread);
	}
	pthread_mutex_unlock(&waiter->lock);
	if (!there)
		request->release(request);
}

void xcopy_peer_ask(struct xcopy_request *request)
{
	struct xcopy_peer *performer = request->performer;
	bool closed;

	pthread_mutex_lock(&performer->lock);
	closed = performer->closed;
	request->state = XCOPY_PEER_QUEUED;
	if (!closed) {
		queue_add(&performer->queued, request);
		io_thread_wake(performer->thread);
	}
	pthread_mutex_unlock(&performer->lock);
	if (!closed)
		return;
	request->error = -ENODEV;
	deliver(request);
	request->release(request);
}

struct xcopy_request *xcopy_peer_take(struct xcopy_peer *peer)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	request = queue_take(&peer->queued);
	if (request) {
		request->state = XCOPY_PEER_TAKEN;
		request->next = peer->taken;
		peer->taken = request;
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

static void take_out(struct xcopy_peer *peer, const struct xcopy_request *request)
{
	struct xcopy_request **at = &peer->taken;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
}

void xcopy_peer_answer(struct xcopy_request *request, int error)
{
	struct xcopy_peer *peer = request->performer;
	bool first;

	pthread_mutex_lock(&peer->lock);
	first = request->state == XCOPY_PEER_TAKEN;
	if (first) {
		take_out(peer, request);
		request->state = XCOPY_PEER_ANSWERED;
		request->error = error;
	}
	pthread_mutex_unlock(&peer->lock);
	if (first)
		deliver(request);
	request->release(request);
}

/* The first request that is not answered. started: whoever carries it out still has a reference. */
static struct xcopy_request *give_up_one(struct xcopy_peer *peer, bool *started)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	peer->closed = true;
	request = peer->taken;
	*started = request;
	if (request)
		peer->taken = request->next;
	else
		request = queue_take(&peer->queued);
	if (request) {
		request->state = XCOPY_PEER_ANSWERED;
		request->error = -ENODEV;
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void xcopy_peer_close(struct xcopy_peer *peer)
{
	struct xcopy_request *request;
	bool started;

	while ((request = give_up_one(peer, &started))) {
		deliver(request);
		if (!started)
			request->release(request);
	}
	forget(peer);
}

static struct xcopy_request *take_answer(struct xcopy_peer *peer, bool end)
{
	struct xcopy_request *request;

	pthread_mutex_lock(&peer->lock);
	request = queue_take(&peer->answers);
	if (end)
		peer->thread = NULL;
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void xcopy_peer_end(struct xcopy_peer *peer)
{
	struct xcopy_request *request;

	xcopy_peer_close(peer);
	while ((request = take_answer(peer, true)))
		request->release(request);
}

unsigned xcopy_peer_take_answers(struct xcopy_peer *peer)
{
	struct xcopy_request *request;
	unsigned cnt = 0;

	for (; xcopy_peer_has_answers(peer) && (request = take_answer(peer, false)); cnt++)
		request->answered(request);
	return cnt;
}

bool xcopy_peer_has_requests(const struct xcopy_peer *peer)
{
	return atomic_load(&peer->queued.first);
}

bool xcopy_peer_has_answers(const struct xcopy_peer *peer)
{
	return atomic_load(&peer->answers.first);
}
