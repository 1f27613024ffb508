/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model backend from inside: the media and the requests (backend.c), the handlers
 * (backend-handler.c).
 */
#pragma once

#include "backend.h"
#include "history.h"

#define REQUESTS_MAX 512

struct store {
	uint8_t now[STORE_BLOCKS][BLOCK_SIZE];
	uint8_t stable[STORE_BLOCKS][BLOCK_SIZE];
	uint64_t dirty[STORE_BLOCKS]; /* since then the block is not stable; 0: it is */
	bool is_volatile, fua;
	uint64_t caps;
	unsigned limit; /* blocks of one READ or WRITE; 0: any */
	bool unmap_zeroes;
	bool shared;
	bool rival;             /* has the lock */
	uint64_t lock_lost;     /* this host had it until then, or has opened the store */
	struct backend *holder; /* has the lock; NULL: the rival, or nobody */
	uint16_t lock_tag;
	struct store_faults faults;
	unsigned changes;  /* of the faults */
	uint64_t activity; /* see backends_note_activity() */
	struct backend *open;
};

/* What a handler's open returns. */
struct backend {
	unsigned store;
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	bool fenced;
	bool fence_reported;
	bool lost; /* the lock; the daemon does not know yet */
	bool closed;
	bool resizing;
	bool late; /* its open has hung */
	unsigned in_flight;
};

struct request {
	struct tcmu_io *io; /* NULL: free */
	struct backend *backend;
	uint64_t begun;
	uint64_t due;
	int error;
	bool on_worker;
};

struct backends {
	bool once;
	bool copies; /* requests may be those of another store's commands */
	struct store stores[STORES];
	struct request requests[REQUESTS_MAX];
};

struct store *store_at(unsigned index);

/* Writes completed before it began are stable; of the others, none needs to be. */
void store_flush(struct store *store, uint64_t begun);

/* Once: the daemon reopens the backend. Where the world has fenced it, that has reported it. */
void backend_report_fence(struct backend *backend);

bool backend_changes_in_flight(const struct backend *backend);

/* Of the handlers. */
void backend_submit_async(void *opened, struct tcmu_io *io);
void backend_submit_parallel(void *opened, struct tcmu_io *io);
void backend_cancel(void *opened, struct tcmu_io *io);
