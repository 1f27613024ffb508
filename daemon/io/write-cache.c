/* SPDX-License-Identifier: Apache-2.0 */
/* See io/write-cache.h. */
#include "io/write-cache.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "io/exec.h"
#include "io/submit.h"

#define RETRY_NS CLOCK_NS_PER_SEC

/* The cache that was off before: the data of an earlier process may be in it. */
static void write_cache_set_old(struct write_cache *cache, bool old)
{
	struct core *core = cache->core;

	assert(!old || core->info.volatile_cache);
	core->setup.lu.write_cache_ends = old;
	core->setup.lu.write_cache |= old;
	cache->retry = 0;
	atomic_store(&cache->old, old);
}

void write_cache_init(struct write_cache *cache, struct core *core)
{
	assert(!cache->operation && !cache->wanted);
	cache->core = core;
	if (core->setup.cache_is_off)
		write_cache_set_old(cache, true);
}

int write_cache_result(const struct write_cache *cache)
{
	return atomic_load(&cache->result);
}

bool write_cache_is_old(const struct write_cache *cache)
{
	return atomic_load(&cache->old);
}

/* Without the permission, the flush would be refused, and the device be asked to take the lock from
 * another host. The administrator may do that. */
static bool write_cache_may_repeat(const struct write_cache *cache)
{
	const struct core *core = cache->core;

	return core->setup.lu.write_cache_ends && core->submit->permission == IO_PERMIT_ALL &&
		core->service == CORE_SERVING;
}

uint64_t write_cache_retry(const struct write_cache *cache)
{
	return write_cache_may_repeat(cache) && !cache->operation ? cache->retry : 0;
}

static void write_cache_report(struct write_cache *cache, int result)
{
	assert(result <= 0);
	atomic_store(&cache->result, result);
	core_signal(cache->core, IO_SIGNAL_WRITE_CACHE);
}

/* administrator: it has decided that; else what initiators may do stays as it is. */
static void write_cache_switch(struct write_cache *cache, bool on, bool administrator)
{
	struct core *core = cache->core;

	if (core->setup.lu.write_cache != on)
		core->setup.lu.unit_attention |= SCSI_UA_MODE_PARAMETERS;
	write_cache_set_old(cache, false);
	core->setup.lu.write_cache = on;
	if (administrator)
		core->setup.lu.write_cache_changeable = on;
}

/* ------- MODE SELECT ------- */

static void write_cache_flushed(struct command *command)
{
	struct core *core = command->core;

	assert(core->ring_locked && core->cache_ending > 0);
	core->cache_ending--;
	if (command->status == SCSI_GOOD)
		core->setup.lu.write_cache = core->setup.lu.write_cache_ends = false;
}

void write_cache_prepare_off(struct command *command)
{
	assert(command->core->ring_locked && !command->finished);
	command->core->cache_ending++;
	command->finished = write_cache_flushed;
}

/* ------- the administrator ------- */

static void write_cache_finished(struct command *command)
{
	struct write_cache *cache = command->context;
	struct core *core = cache->core;
	int error = command->io_error ? command->io_error : -EREMOTEIO;

	assert(cache->operation == command && core->cache_ending > 0);
	core->cache_ending--;
	cache->operation = NULL;
	if (command->status != SCSI_GOOD)
		cache->retry = clock_now_ns() + RETRY_NS;
	else if (cache->wanted || core->setup.lu.write_cache_ends) /* else it was wanted on
								      meanwhile */
		write_cache_switch(cache, false, cache->wanted);
	if (!cache->wanted)
		return;
	cache->wanted = false;
	write_cache_report(cache, command->status == SCSI_GOOD ? 0 : error);
}

static bool write_cache_needs_flush(const struct write_cache *cache)
{
	return cache->wanted ||
		(write_cache_may_repeat(cache) &&
		 (!cache->retry || clock_now_ns() >= cache->retry));
}

void write_cache_continue(struct write_cache *cache)
{
	struct core *core = cache->core;
	struct command *command;

	assert(core->ring_locked);
	if (!write_cache_goes_off(cache) || cache->operation || !write_cache_needs_flush(cache))
		return;
	command = command_get(core->pool, true);
	if (!command)
		return;
	cache->operation = command;
	core->cache_ending++;
	command->plan = (struct scsi_plan){.op = SCSI_PLAN_FLUSH, .passes = 1};
	command->context = cache;
	command->finished = write_cache_finished;
	if (exec_prepare(command))
		command_ready(command);
}

/* A flush that is in flight for an earlier request may be older than the last writes; but these
 * were made stable one by one. */
void write_cache_set(struct write_cache *cache, bool on)
{
	struct core *core = cache->core;

	assert(core->ring_locked);
	if (on && cache->wanted)
		write_cache_report(cache, -ECANCELED);
	cache->wanted = !on && core->setup.lu.write_cache && core->info.volatile_cache;
	if (cache->wanted) {
		write_cache_continue(cache);
		return;
	}
	write_cache_switch(cache, on && core->info.volatile_cache, true);
	if (!on)
		write_cache_report(cache, 0);
}

void write_cache_restored(struct write_cache *cache, bool before)
{
	struct core *core = cache->core;

	assert(core->ring_locked);
	if (before && !core->setup.lu.write_cache && core->info.volatile_cache)
		write_cache_set_old(cache, true);
}
