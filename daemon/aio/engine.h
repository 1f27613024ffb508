/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What aio/aio.c (queues, slots) shares with the ways of making system calls: aio/inline.c,
 * aio/uring.c and aio/threads.c. All of it is the device's I/O thread's, but for the part of a slot
 * that aio/threads.c hands over.
 *
 * A request is first on engine->queued, then, unless the I/O thread makes the call itself, on
 * engine->waiting until it owns a slot while it is under way; at last it is on engine->ended until
 * aio_reap() runs its done.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aio/aio.h"
#include "aio/workers.h"

/* Requests in the order they were added, linked through their own memory. */
struct aio_list {
	struct tcmu_aio *first;
	struct tcmu_aio *last;
};

/* A request under way. */
struct aio_slot {
	struct aio_engine *engine;
	struct tcmu_aio *aio; /* NULL: no request */
	struct aio_slot *next_free;

	/* aio/uring.c */
	unsigned cqes; /* entries that the kernel still owes: of the request, of its cancellation */
	unsigned retries;
	bool cancelled;
	bool by_thread;

	/* aio/threads.c; the thread's while it makes the call */
	struct work work;
	struct aio_threads *threads;
	struct aio_slot *next_finished;
	int64_t res;
};

/* One way of making system calls. */
struct aio_backend {
	/* Begins a request. False: not now, try again when others have ended. */
	bool (*start)(struct aio_slot *slot);
	/* Ends a batch of start() and cancel(). */
	void (*commit)(struct aio_engine *engine);
	/* Asks that a request under way ends early. */
	void (*cancel)(struct aio_slot *slot);
	/* Calls aio_slot_end() for each request that has ended. */
	void (*harvest)(struct aio_engine *engine);
	/* Whether harvest() would find something. */
	bool (*ready)(const struct aio_engine *engine);
	void (*free)(struct aio_engine *engine);
};

/* Whether reads are tried in the page cache first: after misses in a row, a number of them is not,
 * each time more. */
struct aio_cached {
	unsigned misses;
	unsigned skip;    /* reads still not to be tried */
	unsigned penalty; /* how many are skipped after the next miss; 0: the fewest */
};

/* What the I/O thread has made itself in one go. */
struct aio_batch {
	unsigned calls;
	uint64_t bytes;
};

struct aio_engine {
	enum aio_kind kind;
	const struct aio_backend *backend;
	int fd;
	unsigned depth;
	unsigned in_flight;
	bool reaping;
	struct aio_list queued;
	struct aio_list waiting; /* for the backend: cannot be made by the I/O thread */
	struct aio_list ended;
	struct aio_cached cached;
	struct aio_slot *free;
	unsigned used; /* slots that have been used; the others' memory is untouched */
	struct aio_threads *threads; /* the engine itself; of the io_uring engine for calls without
					opcode, NULL until needed */
	struct aio_uring *uring;
	char name[16];
	struct aio_slot *slots; /* depth */
};

/* The request of the slot has ended with res: it is on engine->ended. The slot is not free yet. */
void aio_slot_end(struct aio_slot *slot, int64_t res);

/* Nothing refers to the slot any more. */
void aio_slot_put(struct aio_slot *slot);

/* iov_cnt as far as a system call takes it; the rest is a short transfer. */
unsigned aio_iov_cnt(const struct tcmu_aio *aio);

/* ------- aio/inline.c ------- */

/* Whether the I/O thread is to make the call itself. Asked once for each request. */
bool aio_inline_wanted(struct aio_engine *engine, const struct tcmu_aio *aio);

/* False: it would have to wait, or fails; the backend will tell. */
bool aio_inline_try(struct aio_engine *engine, const struct tcmu_aio *aio, int64_t *res);

/* Accounts for one call. False: that is enough for now. */
bool aio_inline_spend(struct aio_batch *batch, int64_t bytes);

/* ------- aio/threads.c ------- */

/* A pool and the list of what it has finished, with an eventfd that is readable when there is
 * something on it. */
struct aio_threads;

int aio_threads_new(unsigned limit, const char *name, struct aio_threads **threads);
void aio_threads_free(struct aio_threads *threads);
int aio_threads_fd(const struct aio_threads *threads);
void aio_threads_start(struct aio_threads *threads, struct aio_slot *slot);
/* True: it had not begun, and has ended now. */
bool aio_threads_cancel(struct aio_slot *slot);

bool aio_threads_ready(const struct aio_threads *threads);

/* aio_slot_end() and aio_slot_put() for each that has ended. Returns how many. */
unsigned aio_threads_harvest(struct aio_threads *threads);

/* Makes the threads the engine's backend. */
int aio_threads_init(struct aio_engine *engine);

/* ------- aio/uring.c ------- */

/* Makes io_uring the engine's backend. -ENOSYS: it is not there, forbidden, or too old. */
int aio_uring_init(struct aio_engine *engine);
