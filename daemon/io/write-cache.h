/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write cache is switched off, by MODE SELECT or by the LIO administrator. A change is visible
 * only when the data that were acknowledged before it are stable: from the request on every write
 * is made stable before it is acknowledged, then one flush makes earlier writes stable, and only
 * its success clears WCE. If it fails or is refused, the cache is still on, and a repetition
 * flushes again.
 *
 * Where the cache was off before this thread began (lu.write_cache_ends), data of an earlier
 * process may still be in it. The same happens, but the flush is repeated until it succeeds, while
 * this host may write: nobody else repeats it.
 *
 * While the administrator has it off, no initiator can turn it on: WCE is not changeable.
 *
 * Everything runs on the I/O thread under the ring lock, but for write_cache_result().
 */
#pragma once

#include <stdatomic.h>

#include "io/command.h"

struct write_cache {
	struct core *core;
	bool wanted;               /* the administrator waits for it to go off */
	struct command *operation; /* the flush in flight, or NULL */
	uint64_t retry;            /* no flush before this time, by clock_now_ns(); 0: at once */
	atomic_int result;         /* of the last request of the administrator */
	atomic_bool old;           /* lu.write_cache_ends as the I/O thread has set it */
};

/* Any thread, before the I/O thread starts. */
void write_cache_init(struct write_cache *cache, struct core *core);

/* The administrator's request. Off signals IO_SIGNAL_WRITE_CACHE when it is done or has failed. */
void write_cache_set(struct write_cache *cache, bool on);

/* Saved mode parameters have become the current ones. before: whether the cache was on. The data of
 * an earlier process may be in the cache: it goes off when that is on stable storage. */
void write_cache_restored(struct write_cache *cache, bool before);

/* Whether the cache has to go off, so that write_cache_continue() may have something to do. */
static inline bool write_cache_goes_off(const struct write_cache *cache)
{
	return cache->wanted || cache->core->setup.lu.write_cache_ends;
}

/* Starts the flush if one is needed, its time has come, and there is a slot. */
void write_cache_continue(struct write_cache *cache);

/* When the next flush is to start, by clock_now_ns(), for a thread that goes to sleep; 0: none has
 * failed. */
uint64_t write_cache_retry(const struct write_cache *cache);

/* Whether the cache is still on that was off before this thread began. Any thread. */
bool write_cache_is_old(const struct write_cache *cache);

/* The plan of a command is a flush with SCSI_PLAN_CACHE_OFF. */
void write_cache_prepare_off(struct command *command);

/* After IO_SIGNAL_WRITE_CACHE: 0 or -errno; -ECANCELED: it was wanted on meanwhile. Any thread. */
int write_cache_result(const struct write_cache *cache);
