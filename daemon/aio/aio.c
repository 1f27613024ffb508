/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: the queue of requests, the slots of those under way, and the list of those that have
 * ended.
 */
#include "aio/engine.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* What the engine keeps in a request, while it is on a list. */
struct aio_node {
	struct tcmu_aio *next;
	uintptr_t res; /* an intptr_t */
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

static void engine_free(struct aio_engine *engine)
{
	memory_unmap(engine->slots, engine->depth * sizeof(engine->slots[0]));
	free(engine);
}

int aio_engine_new(enum aio_kind kind, unsigned depth, const char *name, struct aio_engine **ret)
{
	struct aio_engine *engine;
	int r;

	if (depth == 0)
		return -EINVAL;
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	engine->slots = memory_map(depth * sizeof(engine->slots[0]));
	if (!engine->slots) {
		free(engine);
		return -ENOMEM;
	}
	engine->depth = depth;
	(void) snprintf(engine->name, sizeof(engine->name), "%s", name);
	r = init_backend(engine, kind);
	if (r < 0) {
		engine_free(engine);
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
	engine_free(engine);
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

/* ------- requests ------- */

void aio_queue(struct aio_engine *engine, struct tcmu_io *io, struct tcmu_aio *aio)
{
	aio->io = io;
	list_add(&engine->queued, aio);
	engine->in_flight++;
}

static bool slot_available(const struct aio_engine *engine)
{
	return engine->free || engine->used < engine->depth;
}

static struct aio_slot *slot_get(struct aio_engine *engine)
{
	struct aio_slot *slot = engine->free;

	if (slot) {
		engine->free = slot->next_free;
		return slot;
	}
	slot = &engine->slots[engine->used++];
	slot->engine = engine;
	return slot;
}

/* There is a slot. False: not now. */
static bool start(struct aio_engine *engine, struct tcmu_aio *aio)
{
	struct aio_slot *slot = slot_get(engine);

	slot->aio = aio;
	if (engine->backend->start(slot))
		return true;
	slot->aio = NULL;
	aio_slot_put(slot);
	return false;
}

/* As far as there are slots. */
static void start_waiting(struct aio_engine *engine)
{
	struct tcmu_aio *aio;

	while (slot_available(engine) && (aio = list_take(&engine->waiting))) {
		if (!start(engine, aio)) {
			list_put_back(&engine->waiting, aio);
			break;
		}
	}
	engine->backend->commit(engine);
}

void aio_flush(struct aio_engine *engine)
{
	struct aio_batch batch = {0};
	struct tcmu_aio *aio;
	bool more = true;

	while (more && (aio = list_take(&engine->queued))) {
		int64_t res;

		if (aio_inline_wanted(engine, aio) && aio_inline_try(engine, aio, &res)) {
			end_request(engine, aio, res);
			more = aio_inline_spend(&batch, res);
		} else {
			list_add(&engine->waiting, aio);
		}
	}
	start_waiting(engine);
}

static unsigned run_ended(struct aio_engine *engine)
{
	struct aio_list ended = engine->ended;
	struct tcmu_aio *aio;
	unsigned cnt = 0;

	engine->ended.first = NULL;
	while ((aio = list_take(&ended))) {
		engine->in_flight--;
		aio->done(aio->io, aio, (intptr_t) node(aio)->res);
		cnt++;
	}
	return cnt;
}

unsigned aio_reap(struct aio_engine *engine)
{
	unsigned cnt;

	if (engine->reaping)
		return 0;
	engine->reaping = true;
	engine->backend->harvest(engine);
	cnt = run_ended(engine);
	/* What became free without a done to tell it, nobody else would use. What is queued is the
	 * next aio_flush()'s, so that what has ended is told first. */
	if (cnt == 0 && slot_available(engine) && engine->waiting.first) {
		start_waiting(engine);
		cnt = run_ended(engine);
	}
	engine->reaping = false;
	return cnt;
}

bool aio_ready(const struct aio_engine *engine)
{
	return engine->ended.first || engine->backend->ready(engine);
}

static void cancel_listed(
	struct aio_engine *engine, struct aio_list *list, const struct tcmu_io *io)
{
	struct aio_list all = *list;
	struct tcmu_aio *aio;

	list->first = NULL;
	while ((aio = list_take(&all))) {
		if (aio->io == io)
			end_request(engine, aio, -ECANCELED);
		else
			list_add(list, aio);
	}
}

void aio_cancel(struct aio_engine *engine, struct tcmu_io *io)
{
	cancel_listed(engine, &engine->queued, io);
	cancel_listed(engine, &engine->waiting, io);
	for (unsigned i = 0; i < engine->used; i++)
		if (engine->slots[i].aio && engine->slots[i].aio->io == io)
			engine->backend->cancel(&engine->slots[i]);
	engine->backend->commit(engine);
}
