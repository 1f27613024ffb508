/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model backend: handlers whose stores are memory, and whose requests end at once, late, never,
 * with an error, from another thread or twice, as the world says.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/handlers.h"

enum store_mode {
	STORE_GOOD,
	STORE_SLOW,   /* requests take seconds */
	STORE_HANGS,  /* they end when it is good again, or are cancelled */
	STORE_FAILS,  /* they fail, and may have changed a part of the medium */
	STORE_FENCED, /* the same with ESHUTDOWN, until it is opened again */
};

struct store_faults {
	enum store_mode mode;
	unsigned blocks; /* that the store has been shortened to; 0: all are there */
	bool open_fails, open_hangs, close_hangs, resize_fails, resize_hangs, lock_hangs;
};

/* All stores are empty and good. once: a store must be open once even if an open came late. */
void backends_reset(bool once);

/* Adds the handlers to those of a daemon that starts. */
void backends_add(struct handlers *handlers);

/* The subtypes, e.g. "sima". NULL: index is beyond the last. The last one can lock. */
#define SUBTYPE_LOCKS 3
const char *backends_subtype(unsigned index);

/* Before the store is first opened. caps: operations beside READ, WRITE and FLUSH. */
void backends_set_cache(unsigned store, bool is_volatile, bool fua);
void backends_set_caps(unsigned store, uint64_t caps, bool unmap_zeroes);
void backends_set_limit(unsigned store, unsigned blocks); /* of one READ or WRITE */

/* The store is shared with a rival, another gateway: see rival.h. */
void backends_share(unsigned store);
bool backends_is_shared(unsigned store);

/* The rival takes the lock: fences this host, or waits for its writes. False: not now. */
bool backends_rival_takes(unsigned store, bool fence);
bool backends_rival_holds(unsigned store);
void backends_rival_releases(unsigned store);

/* A write of the rival, which holds the lock. */
void backends_rival_writes(unsigned store, unsigned block, const void *data);

bool backends_can(unsigned store, enum tcmu_io_op op);
bool backends_unmap_zeroes(unsigned store);

struct store_faults *backends_faults(unsigned store);

/* The daemon goes on with the commands of this store, or need not. */
void backends_note_activity(unsigned store);

/* EXTENDED COPY reads one store for the commands of another. */
void backends_copy(void);

/* After a change of the faults. */
void backends_changed(unsigned store);

/* How often they have changed. */
unsigned backends_changes(unsigned store);

/* The daemon's thread that ends requests: they are started on it by the daemon. */
void *backends_main(void *arg);

/* The handler reports that another host has fenced this one, or that the backend has failed. On a
 * thread of the daemon. */
void backends_report(unsigned store, bool fenced);

/* The handler reports the size that the store has now. Likewise. */
void backends_report_size(unsigned store);

/* SIGKILL: each write in flight lands now or never. */
void backends_killed(void);

/* Data that is not on stable storage may be lost. Nothing is in flight. */
void backends_cut_power(unsigned store);

/* How many backends are open, and how many requests are in flight. */
unsigned backends_open(void);
unsigned backends_in_flight(void);

/* The data of a block on the medium; and the data that it would have after a power cut. */
const void *backends_block(unsigned store, unsigned block);
const void *backends_stable(unsigned store, unsigned block);
