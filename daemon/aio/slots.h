/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of one engine: those in flight, each with a slot, and the list of those that have
 * ended. And the interface of a backend, which is one way of making system calls (aio/uring.h,
 * aio/threads.h).
 *
 * Everything belongs to the device's I/O thread, but for the part of a slot that aio/threads.c
 * hands over to a worker.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "aio/workers.h"
#include "base/list.h"
#include "base/mpsc.h"

struct aio_slots;
struct aio_threads;

/* A request in flight. */
struct aio_slot {
	struct aio_slots *slots;
	struct tcmu_aio *aio;  /* NULL: no request */
	struct list_node node; /* of the free slots */

	/* aio/uring.c */
	unsigned cqes; /* entries that the kernel still owes: of the request, of its cancellation */
	unsigned retries;
	bool cancelled;
	bool by_thread;

	/* aio/threads.c; the worker's while it makes the call */
	struct work work;
	struct aio_threads *threads;
	struct mpsc_node finished_node;
	int64_t res; /* the call's result, or -errno */
};

struct aio_slots {
	struct aio_slot *memory; /* depth slots */
	unsigned depth;
	unsigned used; /* slots that have been used; the others' memory is untouched */
	struct list free;
	struct list ended; /* requests whose done has not run */
};

/* One way of making system calls. state: the backend's own. */
struct aio_backend {
	/* Begins a request. False: not now, try again when others have ended. */
	bool (*start)(void *state, struct aio_slot *slot);
	/* Ends a batch of start() and cancel(). */
	void (*commit)(void *state);
	/* Asks that a request in flight ends early. */
	void (*cancel)(void *state, struct aio_slot *slot);
	/* Calls aio_slot_end() for each request that has ended. */
	void (*harvest)(void *state);
	/* Whether harvest() would find something. */
	bool (*ready)(const void *state);
	/* Nothing is in flight. */
	void (*free)(void *state);
};

/* depth: how many slots there are. -ENOMEM. Any thread. */
int aio_slots_init(struct aio_slots *slots, unsigned depth);

/* No slot is in use. Any thread. */
void aio_slots_destroy(struct aio_slots *slots);

/* Whether aio_slot_get() may be called. */
bool aio_slots_available(const struct aio_slots *slots);

/* A slot for the request; there is one. */
struct aio_slot *aio_slot_get(struct aio_slots *slots, struct tcmu_aio *aio);

/* The request of the slot has ended with res. The slot is not free yet. */
void aio_slot_end(struct aio_slot *slot, int64_t res);

/* Nothing refers to the slot any more; its request has ended, or was taken back. */
void aio_slot_put(struct aio_slot *slot);

/* ------- lists of requests, linked through the requests' own memory; a request is on one at most
 * ------- */

/* The engine's part of a request. */
struct aio_node {
	struct list_node node;
	uintptr_t res; /* an intptr_t */
};
/* Plugins of the first header have room for so many words; later ones, for eight. */
_Static_assert(sizeof(struct aio_node) <= 4 * sizeof(uintptr_t), "fits");

static inline struct aio_node *aio_node(struct tcmu_aio *aio)
{
	return (struct aio_node *) aio->engine;
}

/* The oldest request of the list. NULL: there is none. */
static inline struct tcmu_aio *aio_list_take(struct list *list)
{
	struct list_node *node = list_take(list);

	return node ? container_of((void *) node, struct tcmu_aio, engine) : NULL;
}

/* A request has ended with res: a byte count or offset, or -errno. */
static inline void aio_slots_end_request(struct aio_slots *slots, struct tcmu_aio *aio, int64_t res)
{
	aio_node(aio)->res = (uintptr_t) (intptr_t) res;
	list_append(&slots->ended, &aio_node(aio)->node);
}

/* How many of the request's iovecs a system call takes; with more, the transfer is a short one. */
static inline unsigned aio_iov_cnt(const struct tcmu_aio *aio)
{
	return aio->iov_cnt < IOV_MAX ? aio->iov_cnt : IOV_MAX;
}
