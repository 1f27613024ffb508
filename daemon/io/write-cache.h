/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write cache is switched off, by MODE SELECT or by the LIO administrator. A change is visible
 * only when the data that were acknowledged before it are stable: from the request on every write
 * is made stable before it is acknowledged, then one flush makes earlier writes stable, and only
 * its success clears WCE. If it fails or is refused, the cache is still on, and a repetition
 * flushes again.
 *
 * Everything runs on the I/O thread under the ring lock, but for write_cache_result().
 */
#pragma once

#include <stdatomic.h>

#include "io/command.h"

struct write_cache {
	struct core *core;
	bool ending;               /* the administrator wants it off; it is still on */
	struct command *operation; /* the flush for that; or NULL: it waits for a slot */
	atomic_int result;         /* of the last request of the administrator */
};

/* Any thread, before the I/O thread starts. */
void write_cache_init(struct write_cache *cache, struct core *core);

/* The administrator's request. Off signals IO_SIGNAL_WRITE_CACHE when it is done or has failed. */
void write_cache_set(struct write_cache *cache, bool on);

/* Saved mode parameters have become the current ones. before: whether the cache was on. The data of
 * an earlier process may be in the cache: it goes off when that is on stable storage. */
void write_cache_restored(struct write_cache *cache, bool before);

/* Starts the flush that waits for a slot, if there is one now. */
void write_cache_continue(struct write_cache *cache);

/* The plan of a command is a flush with SCSI_PLAN_CACHE_OFF. */
void write_cache_prepare_off(struct command *command);

/* After IO_SIGNAL_WRITE_CACHE: 0 or -errno; -ECANCELED: it was wanted on meanwhile. Any thread. */
int write_cache_result(const struct write_cache *cache);
