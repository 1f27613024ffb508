/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: the queue of requests, the slots of those under way, the list of those that have ended, and reads that
 * the page cache answers at once.
 *
 * A hand-over to another thread costs more than a cached read: a read that is likely cached is tried first without
 * waiting (RWF_NOWAIT). Where that fails again and again, it is left off for a while.
 */
#include "aio-private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define CACHED_MISSES_MAX  4u
#define CACHED_PENALTY_MIN 16u
#define CACHED_PENALTY_MAX 1024u

/* What the engine keeps in a request, while it is on a list. */
struct aio_node {
	struct tcmu_aio *next;
	uintptr_t res;   /* an intptr_t */
	uintptr_t tried; /* in the page cache, in vain */
};
_Static_assert(sizeof(struct aio_node) <= sizeof(((struct tcmu_aio *) NULL)->engine), "fits");

static struct aio_node *node(struct tcmu_aio *aio)
{
	return (struct aio_node *) aio->engine;
}

static void list_add(struct aio_list *list, struct tcmu_aio *aio)
{
	node(aio)->next = NULL;
	if (list->first)
		node(list->last)->next = aio;
	else
		list->first = aio;
	list->last = aio;
}

static void list_put_back(struct aio_list *list, struct tcmu_aio *aio)
{
	node(aio)->next = list->first;
	if (!list->first)
		list->last = aio;
	list->first = aio;
}

static struct tcmu_aio *list_take(struct aio_list *list)
{
	struct tcmu_aio *aio = list->first;

	if (aio)
		list->first = node(aio)->next;
	return aio;
}

static void end_request(struct aio_engine *engine, struct tcmu_aio *aio, int64_t res)
{
	node(aio)->res = (uintptr_t) (intptr_t) res;
	list_add(&engine->ended, aio);
}

void aio_slot_end(struct aio_slot *slot, int64_t res)
{
	end_request(slot->engine, slot->aio, res);
	slot->aio = NULL;
}

void aio_slot_put(struct aio_slot *slot)
{
	slot->next_free = slot->engine->free;
	slot->engine->free = slot;
}

unsigned aio_iov_cnt(const struct tcmu_aio *aio)
{
	return aio->iov_cnt < IOV_MAX ? aio->iov_cnt : IOV_MAX;
}

/* ------- the beginning and the end ------- */

static int init_backend(struct aio_engine *engine, enum aio_kind kind)
{
	int r = -ENOSYS;

	if (kind != AIO_THREADS) {
		engine->kind = AIO_URING;
		r = aio_uring_init(engine);
		if (r >= 0 || kind == AIO_URING)
			return r;
	}
	engine->kind = AIO_THREADS;
	return aio_threads_init(engine);
}

int aio_engine_new(enum aio_kind kind, unsigned depth, const char *name, struct aio_engine **ret)
{
	struct aio_engine *engine;
	int r;

	if (depth == 0)
		return -EINVAL;
	engine = calloc(1, sizeof(*engine) + depth * sizeof(engine->slots[0]));
	if (!engine)
		return -ENOMEM;
	engine->depth = depth;
	engine->cached.penalty = CACHED_PENALTY_MIN;
	(void) snprintf(engine->name, sizeof(engine->name), "%s", name);
	for (unsigned i = depth; i-- > 0;) {
		engine->slots[i].engine = engine;
		aio_slot_put(&engine->slots[i]);
	}
	r = init_backend(engine, kind);
	if (r < 0) {
		free(engine);
		return r;
	}
	*ret = engine;
	return 0;
}

void aio_engine_free(struct aio_engine *engine)
{
	if (!engine)
		return;
	assert(engine->in_flight == 0);
	engine->backend->free(engine);
	free(engine);
}

enum aio_kind aio_engine_kind(const struct aio_engine *engine)
{
	return engine->kind;
}

int aio_engine_fd(const struct aio_engine *engine)
{
	return engine->fd;
}

unsigned aio_in_flight(const struct aio_engine *engine)
{
	return engine->in_flight;
}

/* ------- reads from the page cache ------- */

static bool cached_wanted(struct aio_engine *engine, struct tcmu_aio *aio)
{
	if (aio->op != TCMU_AIO_READV || !(aio->flags & TCMU_AIO_CACHED) || node(aio)->tried)
		return false;
	node(aio)->tried = true;
	if (engine->cached.skip == 0)
		return true;
	engine->cached.skip--;
	return false;
}

static void cached_learn(struct aio_cached *cached, bool hit)
{
	if (hit) {
		*cached = (struct aio_cached){.penalty = CACHED_PENALTY_MIN};
		return;
	}
	if (++cached->misses < CACHED_MISSES_MAX)
		return;
	cached->skip = cached->penalty;
	if (cached->penalty < CACHED_PENALTY_MAX)
		cached->penalty *= 2;
}

/* True: the request has ended. What fails here is started as usual, which then tells why. */
static bool read_cached(struct aio_engine *engine, struct tcmu_aio *aio)
{
	ssize_t n = preadv2(aio->fd, aio->iov, (int) aio_iov_cnt(aio), (off_t) aio->offset, RWF_NOWAIT);

	cached_learn(&engine->cached, n >= 0);
	if (n < 0)
		return false;
	end_request(engine, aio, n);
	return true;
}

/* Takes out of the queue what the page cache answers. */
static void read_all_cached(struct aio_engine *engine)
{
	struct aio_list queued = engine->queued;
	struct tcmu_aio *aio;

	engine->queued.first = NULL;
	while ((aio = list_take(&queued)))
		if (!cached_wanted(engine, aio) || !read_cached(engine, aio))
			list_add(&engine->queued, aio);
}

/* ------- requests ------- */

void aio_queue(struct aio_engine *engine, struct tcmu_io *io, struct tcmu_aio *aio)
{
	aio->io = io;
	node(aio)->tried = false;
	list_add(&engine->queued, aio);
	engine->in_flight++;
}

/* False: not now. */
static bool start(struct aio_engine *engine, struct tcmu_aio *aio)
{
	struct aio_slot *slot = engine->free;

	engine->free = slot->next_free;
	slot->aio = aio;
	if (engine->backend->start(slot))
		return true;
	slot->aio = NULL;
	aio_slot_put(slot);
	return false;
}

void aio_flush(struct aio_engine *engine)
{
	struct tcmu_aio *aio;

	read_all_cached(engine);
	while (engine->free && (aio = list_take(&engine->queued))) {
		if (!start(engine, aio)) {
			list_put_back(&engine->queued, aio);
			break;
		}
	}
	engine->backend->commit(engine);
}

unsigned aio_reap(struct aio_engine *engine)
{
	struct tcmu_aio *aio;
	struct aio_list ended;
	unsigned cnt = 0;

	if (engine->reaping)
		return 0;
	engine->reaping = true;
	engine->backend->harvest(engine);
	ended = engine->ended;
	engine->ended.first = NULL;
	while ((aio = list_take(&ended))) {
		engine->in_flight--;
		aio->done(aio->io, aio, (intptr_t) node(aio)->res);
		cnt++;
	}
	engine->reaping = false;
	/* What became free without a done to tell it, nobody else would use. */
	if (cnt == 0 && engine->queued.first && engine->free)
		aio_flush(engine);
	return cnt;
}

void aio_cancel(struct aio_engine *engine, struct tcmu_io *io)
{
	struct aio_list queued = engine->queued;
	struct tcmu_aio *aio;

	engine->queued.first = NULL;
	while ((aio = list_take(&queued))) {
		if (aio->io == io)
			end_request(engine, aio, -ECANCELED);
		else
			list_add(&engine->queued, aio);
	}
	for (unsigned i = 0; i < engine->depth; i++)
		if (engine->slots[i].aio && engine->slots[i].aio->io == io)
			engine->backend->cancel(&engine->slots[i]);
	engine->backend->commit(engine);
}
