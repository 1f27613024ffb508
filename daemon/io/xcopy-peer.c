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
	_Atomic(struct peer_request *) first;
	struct peer_request *last;
};

struct peer {
	atomic_uint references;
	uint32_t block_size;

	pthread_mutex_t lock;
	struct loop *loop; /* NULL: it has ended */
	bool closed;
	struct queue queued;
	struct queue answers;
	struct peer_request *taken;

	/* under the registry's lock */
	bool known;
	uint8_t naa[SCSI_NAA_LENGTH];
	struct peer *next;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct peer *registry; /* every known peer that is not closed */

static void queue_add(struct queue *queue, struct peer_request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static struct peer_request *queue_take(struct queue *queue)
{
	struct peer_request *request = queue->first;

	if (request)
		queue->first = request->next;
	return request;
}

/* ------- the peer and the registry ------- */

int peer_new(struct loop *loop, uint32_t block_size, struct peer **ret)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	atomic_init(&peer->references, 1);
	peer->block_size = block_size;
	peer->loop = loop;
	pthread_mutex_init(&peer->lock, NULL);
	*ret = peer;
	return 0;
}

struct peer *peer_ref(struct peer *peer)
{
	atomic_fetch_add(&peer->references, 1);
	return peer;
}

void peer_unref(struct peer *peer)
{
	if (!peer || atomic_fetch_sub(&peer->references, 1) != 1)
		return;
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

static void forget(struct peer *peer)
{
	struct peer **at = &registry;

	pthread_mutex_lock(&registry_lock);
	while (*at && *at != peer)
		at = &(*at)->next;
	if (*at)
		*at = peer->next;
	peer->known = false;
	pthread_mutex_unlock(&registry_lock);
}

bool peer_is_closed(struct peer *peer)
{
	bool closed;

	pthread_mutex_lock(&peer->lock);
	closed = peer->closed;
	pthread_mutex_unlock(&peer->lock);
	return closed;
}

void peer_identify(struct peer *peer, const uint8_t naa[SCSI_NAA_LENGTH])
{
	pthread_mutex_lock(&registry_lock);
	if (!peer_is_closed(peer)) {
		memcpy(peer->naa, naa, SCSI_NAA_LENGTH);
		if (!peer->known) {
			peer->known = true;
			peer->next = registry;
			registry = peer;
		}
	}
	pthread_mutex_unlock(&registry_lock);
}

struct peer *peer_find(const uint8_t naa[SCSI_NAA_LENGTH])
{
	struct peer *found = NULL;
	unsigned cnt = 0;

	pthread_mutex_lock(&registry_lock);
	for (struct peer *peer = registry; peer; peer = peer->next) {
		if (memcmp(peer->naa, naa, SCSI_NAA_LENGTH) != 0)
			continue;
		found = peer;
		cnt++;
	}
	if (cnt == 1)
		peer_ref(found);
	pthread_mutex_unlock(&registry_lock);
	return cnt == 1 ? found : NULL;
}

uint32_t peer_block_size(const struct peer *peer)
{
	return peer->block_size;
}

/* ------- requests ------- */

static void deliver(struct peer_request *request)
{
	struct peer *asker = request->asker;
	bool there;

	pthread_mutex_lock(&asker->lock);
	there = asker->loop;
	if (there) {
		queue_add(&asker->answers, request);
		loop_wake(asker->loop);
	}
	pthread_mutex_unlock(&asker->lock);
	if (!there)
		request->release(request);
}

void peer_ask(struct peer_request *request)
{
	struct peer *performer = request->performer;
	bool closed;

	pthread_mutex_lock(&performer->lock);
	closed = performer->closed;
	request->state = PEER_QUEUED;
	if (!closed) {
		queue_add(&performer->queued, request);
		loop_wake(performer->loop);
	}
	pthread_mutex_unlock(&performer->lock);
	if (!closed)
		return;
	request->error = -ENODEV;
	deliver(request);
	request->release(request);
}

struct peer_request *peer_take(struct peer *peer)
{
	struct peer_request *request;

	pthread_mutex_lock(&peer->lock);
	request = queue_take(&peer->queued);
	if (request) {
		request->state = PEER_TAKEN;
		request->next = peer->taken;
		peer->taken = request;
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

static void take_out(struct peer *peer, const struct peer_request *request)
{
	struct peer_request **at = &peer->taken;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
}

void peer_answer(struct peer_request *request, int error)
{
	struct peer *peer = request->performer;
	bool first;

	pthread_mutex_lock(&peer->lock);
	first = request->state == PEER_TAKEN;
	if (first) {
		take_out(peer, request);
		request->state = PEER_ANSWERED;
		request->error = error;
	}
	pthread_mutex_unlock(&peer->lock);
	if (first)
		deliver(request);
	request->release(request);
}

/* The first request that is not answered. started: whoever carries it out still has a reference. */
static struct peer_request *give_up_one(struct peer *peer, bool *started)
{
	struct peer_request *request;

	pthread_mutex_lock(&peer->lock);
	peer->closed = true;
	request = peer->taken;
	*started = request;
	if (request)
		peer->taken = request->next;
	else
		request = queue_take(&peer->queued);
	if (request) {
		request->state = PEER_ANSWERED;
		request->error = -ENODEV;
	}
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void peer_close(struct peer *peer)
{
	struct peer_request *request;
	bool started;

	while ((request = give_up_one(peer, &started))) {
		deliver(request);
		if (!started)
			request->release(request);
	}
	forget(peer);
}

static struct peer_request *take_answer(struct peer *peer, bool end)
{
	struct peer_request *request;

	pthread_mutex_lock(&peer->lock);
	request = queue_take(&peer->answers);
	if (end)
		peer->loop = NULL;
	pthread_mutex_unlock(&peer->lock);
	return request;
}

void peer_end(struct peer *peer)
{
	struct peer_request *request;

	peer_close(peer);
	while ((request = take_answer(peer, true)))
		request->release(request);
}

unsigned peer_take_answers(struct peer *peer)
{
	struct peer_request *request;
	unsigned cnt = 0;

	for (; peer_has_answers(peer) && (request = take_answer(peer, false)); cnt++)
		request->answered(request);
	return cnt;
}

bool peer_has_requests(const struct peer *peer)
{
	return atomic_load(&peer->queued.first);
}

bool peer_has_answers(const struct peer *peer)
{
	return atomic_load(&peer->answers.first);
}
