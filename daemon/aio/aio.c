/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is first queued. Then the I/O thread makes the call itself, or the request waits for
 * the backend until it owns a slot while it is in flight. At last it is ended until aio_reap() runs
 * its done.
 */
#include "aio/aio.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "aio/inline.h"
#include "aio/slots.h"
#include "aio/threads.h"
#include "aio/uring.h"

#define THREADS_MAX 16u

struct aio_engine {
	enum aio_kind kind;
	const struct aio_backend *backend;
	void *state; /* the backend's */
	int fd;
	unsigned in_flight;
	bool reaping;
	struct list queued;
	struct list waiting; /* for the backend: the I/O thread cannot make the call */
	struct aio_inline inlined;
	struct aio_slots slots;
	char name[16];
};

/* ------- the beginning and the end ------- */

static int aio_init_uring(struct aio_engine *engine)
{
	struct aio_uring *uring;
	int r = aio_uring_new(engine->slots.depth, engine->name, &uring);

	if (r < 0)
		return r;
	engine->kind = AIO_URING;
	engine->backend = &aio_uring_backend;
	engine->state = uring;
	engine->fd = aio_uring_fd(uring);
	return 0;
}

static int aio_init_threads(struct aio_engine *engine)
{
	unsigned limit = engine->slots.depth < THREADS_MAX ? engine->slots.depth : THREADS_MAX;
	struct aio_threads *threads;
	int r = aio_threads_new(limit, engine->name, &threads);

	if (r < 0)
		return r;
	engine->kind = AIO_THREADS;
	engine->backend = &aio_threads_backend;
	engine->state = threads;
	engine->fd = aio_threads_fd(threads);
	return 0;
}

static int aio_init_backend(struct aio_engine *engine, enum aio_kind kind)
{
	int r = -ENOSYS;

	assert(kind <= AIO_THREADS);
	if (kind != AIO_THREADS)
		r = aio_init_uring(engine);
	if (r < 0 && kind != AIO_URING)
		r = aio_init_threads(engine);
	return r;
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
	list_init(&engine->queued);
	list_init(&engine->waiting);
	(void) snprintf(engine->name, sizeof(engine->name), "%s", name);
	r = aio_slots_init(&engine->slots, depth);
	if (r >= 0)
		r = aio_init_backend(engine, kind);
	if (r < 0) {
		aio_slots_destroy(&engine->slots);
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
	assert(engine->in_flight == 0 && !engine->reaping);
	assert(list_is_empty(&engine->queued) && list_is_empty(&engine->waiting));
	engine->backend->free(engine->state);
	aio_slots_destroy(&engine->slots);
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

/* ------- requests ------- */

void aio_queue(struct aio_engine *engine, struct tcmu_io *io, struct tcmu_aio *aio)
{
	aio->io = io;
	list_append(&engine->queued, &aio_node(aio)->node);
	engine->in_flight++;
}

/* There is a slot. False: not now. */
static bool aio_start(struct aio_engine *engine, struct tcmu_aio *aio)
{
	struct aio_slot *slot = aio_slot_get(&engine->slots, aio);

	if (engine->backend->start(engine->state, slot))
		return true;
	slot->aio = NULL;
	aio_slot_put(slot);
	return false;
}

/* As far as there are slots. */
static void aio_start_waiting(struct aio_engine *engine)
{
	struct tcmu_aio *aio;

	while (aio_slots_available(&engine->slots) && (aio = aio_list_take(&engine->waiting))) {
		if (!aio_start(engine, aio)) {
			list_push(&engine->waiting, &aio_node(aio)->node);
			break;
		}
	}
	engine->backend->commit(engine->state);
}

void aio_flush(struct aio_engine *engine)
{
	struct aio_batch batch = {.in_flight = engine->in_flight};
	struct tcmu_aio *aio;
	bool more = true;

	while (more && (aio = aio_list_take(&engine->queued))) {
		int64_t res;

		if (aio_inline_wanted(&engine->inlined, aio) &&
		    aio_inline_try(&engine->inlined, aio, &res)) {
			aio_slots_end_request(&engine->slots, aio, res);
			more = aio_inline_spend(&batch, res);
		} else {
			list_append(&engine->waiting, &aio_node(aio)->node);
		}
	}
	if (!list_is_empty(&engine->waiting))
		aio_start_waiting(engine);
}

static unsigned aio_run_ended(struct aio_engine *engine)
{
	struct list ended;
	struct tcmu_aio *aio;
	unsigned cnt = 0;

	list_move(&engine->slots.ended, &ended);
	while ((aio = aio_list_take(&ended))) {
		assert(engine->in_flight > 0);
		engine->in_flight--;
		aio->done(aio->io, aio, (intptr_t) aio_node(aio)->res);
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
	engine->backend->harvest(engine->state);
	cnt = aio_run_ended(engine);
	/* A slot may have become free without a done, after which nobody would use it. Queued
	 * requests wait for the next aio_flush(), so that ended ones are reported first. */
	if (cnt == 0 && !list_is_empty(&engine->waiting) && aio_slots_available(&engine->slots)) {
		aio_start_waiting(engine);
		cnt = aio_run_ended(engine);
	}
	engine->reaping = false;
	return cnt;
}

bool aio_ready(const struct aio_engine *engine)
{
	return !list_is_empty(&engine->slots.ended) || engine->backend->ready(engine->state);
}

static void aio_cancel_listed(
	struct aio_engine *engine, struct list *list, const struct tcmu_io *io)
{
	struct list all;
	struct tcmu_aio *aio;

	list_move(list, &all);
	while ((aio = aio_list_take(&all))) {
		if (aio->io == io)
			aio_slots_end_request(&engine->slots, aio, -ECANCELED);
		else
			list_append(list, &aio_node(aio)->node);
	}
}

void aio_cancel(struct aio_engine *engine, struct tcmu_io *io)
{
	assert(io);
	aio_cancel_listed(engine, &engine->queued, io);
	aio_cancel_listed(engine, &engine->waiting, io);
	for (unsigned i = 0; i < engine->slots.used; i++) {
		struct aio_slot *slot = &engine->slots.memory[i];

		if (slot->aio && slot->aio->io == io)
			engine->backend->cancel(engine->state, slot);
	}
	engine->backend->commit(engine->state);
}
