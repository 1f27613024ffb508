/* SPDX-License-Identifier: Apache-2.0 */
/* See io/write-cache.h. */
#include "io/write-cache.h"

#include <assert.h>
#include <errno.h>

#include "io/exec.h"

void write_cache_init(struct write_cache *cache, struct core *core)
{
	assert(!cache->operation && !cache->ending);
	cache->core = core;
	/* The data of an earlier process may be in it. */
	if (core->setup.cache_is_off) {
		core->lu.write_cache = true;
		cache->ending = core->info.volatile_cache;
	}
}

int write_cache_result(const struct write_cache *cache)
{
	return atomic_load(&cache->result);
}

static void write_cache_report(struct write_cache *cache, int result)
{
	assert(result <= 0);
	atomic_store(&cache->result, result);
	core_signal(cache->core, IO_SIGNAL_WRITE_CACHE);
}

static void write_cache_switch(struct core *core, bool on)
{
	if (core->lu.write_cache != on)
		core->lu.unit_attention |= SCSI_UA_MODE_PARAMETERS;
	core->lu.write_cache = on;
}

/* ------- MODE SELECT ------- */

static void write_cache_flushed(struct command *command)
{
	struct core *core = command->core;

	assert(core->ring_locked && core->cache_ending > 0);
	core->cache_ending--;
	if (command->status == SCSI_GOOD)
		core->lu.write_cache = false;
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
	if (!cache->ending) /* it was wanted on meanwhile */
		return;
	cache->ending = false;
	if (command->status == SCSI_GOOD)
		write_cache_switch(core, false);
	write_cache_report(cache, command->status == SCSI_GOOD ? 0 : error);
}

void write_cache_continue(struct write_cache *cache)
{
	struct core *core = cache->core;
	struct command *command;

	assert(core->ring_locked);
	if (!cache->ending || cache->operation)
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
	if (on && cache->ending)
		write_cache_report(cache, -ECANCELED);
	cache->ending = !on && core->lu.write_cache && core->info.volatile_cache;
	if (cache->ending) {
		write_cache_continue(cache);
		return;
	}
	write_cache_switch(core, on);
	if (!on)
		write_cache_report(cache, 0);
}

void write_cache_restored(struct write_cache *cache, bool before)
{
	struct core *core = cache->core;

	assert(core->ring_locked);
	if (!before || core->lu.write_cache || !core->info.volatile_cache)
		return;
	core->lu.write_cache = true;
	write_cache_set(cache, false);
}
