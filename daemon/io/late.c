/* SPDX-License-Identifier: Apache-2.0 */
/* See io/late.h. */
#include "io/late.h"

#include <assert.h>

#include "base/clock.h"
#include "io/xcopy.h"

#define INTERVAL_MAX CLOCK_NS_PER_SEC

void late_init(struct late *late, struct core *core, uint64_t limit)
{
	assert(!late->core && !core->late);
	late->core = core;
	late->limit = limit;
}

void late_set_limit(struct late *late, uint64_t limit)
{
	assert(core_current == late->core);
	late->limit = limit;
	late->next_scan = 0;
}

/* Between two scans, and so the error of an age. */
static uint64_t late_interval(const struct late *late)
{
	uint64_t interval = late->limit / 8;

	assert(late->limit);
	return interval < INTERVAL_MAX ? interval : INTERVAL_MAX;
}

int late_interval_ms(const struct late *late)
{
	if (!late->limit || !late->core->pool->in_use)
		return -1;
	return (int) (late_interval(late) / CLOCK_NS_PER_MS) + 1;
}

/* How long the command may have been in flight: it was fetched after the scan before the one that
 * saw it first. */
static uint64_t late_age(const struct late *late, const struct command *command, uint64_t now)
{
	return now - command->seen_at + late_interval(late);
}

static void late_scan_command(struct late *late, struct command *command, uint64_t now)
{
	struct core *core = late->core;
	uint64_t age;

	if (!command->seen_at)
		command->seen_at = now;
	age = late_age(late, command, now);
	if (command->writes_range && age >= late->limit / 2)
		command->late = true;
	core->late |= command->late;
	if (xcopy_is_waiter(command) && !command->aborted &&
	    age >= late->limit - 2 * late_interval(late)) {
		command->aborted = true;
		core->cancel_wanted = true;
	}
}

/* Whether commands have waited in the ring for a slot for so long that they may be late. */
static bool late_scan_ring(struct late *late, uint64_t now)
{
	const struct core *core = late->core;

	if (core->ring_state != CORE_RING_ATTACHED || command_available(core->pool) ||
	    !tcmu_ring_pending(&core->ring)) {
		late->full_since = 0;
		return false;
	}
	if (!late->full_since)
		late->full_since = now;
	return now - late->full_since + late_interval(late) >= late->limit / 2;
}

void late_check(struct late *late, uint64_t now)
{
	struct core *core = late->core;

	assert(core->ring_locked && now);
	if (!late->limit || now < late->next_scan)
		return;
	late->next_scan = now + late_interval(late);
	core->late = core->ring_late |= late_scan_ring(late, now);
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *command = command_at(core->pool, i);

		if (command->where != COMMAND_FREE && command->where != COMMAND_ENDED &&
		    !command->internal)
			late_scan_command(late, command, now);
		else if (command->where != COMMAND_FREE)
			core->late |= command->late;
	}
}

void late_end(const struct late *late, const struct command *command, uint64_t now)
{
	uint64_t age = command->seen_at && now ? now - command->seen_at : 0;

	assert(command->late);
	if (late->limit && age >= late->limit)
		stats_expired(
			late->core->setup.stats, command->cdb, command->plan.lba,
			age / CLOCK_NS_PER_SEC);
}
