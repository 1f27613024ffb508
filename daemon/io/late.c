/* SPDX-License-Identifier: Apache-2.0 */
/* See io/late.h. */
#include "io/late.h"

#include <assert.h>

#include "base/clock.h"
#include "io/xcopy.h"

/* Half of the shortest cmd_time_out that there is: the attribute has whole seconds. */
#define LATE_NS     (CLOCK_NS_PER_SEC / 2)
#define INTERVAL_NS (LATE_NS / 4) /* the thread sleeps so long, and scans no sooner */
/* The longest time between two scans, and so the error of an age: a thread that is woken just
 * before a scan is due may sleep for another interval. */
#define ERROR_NS (2 * INTERVAL_NS)
/* So long before its time is over an EXTENDED COPY is cancelled. */
#define MARGIN_MIN ERROR_NS
#define MARGIN_MAX (2 * CLOCK_NS_PER_SEC)

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
}

int late_interval_ms(struct late *late)
{
	if (late->core->pool->in_use)
		return (int) (INTERVAL_NS / CLOCK_NS_PER_MS);
	late->rested = true;
	return -1;
}

/* How long the command may have been in flight: it was fetched after the scan before the one that
 * saw it first. */
static uint64_t late_age(const struct command *command, uint64_t now)
{
	return clock_since(now, command->seen_at) + ERROR_NS;
}

/* Whether an EXTENDED COPY of this age is to be cancelled. */
static bool late_is_nearly_over(const struct late *late, uint64_t age)
{
	uint64_t margin = late->limit / 8;

	if (!late->limit)
		return false;
	if (margin > MARGIN_MAX)
		margin = MARGIN_MAX;
	if (margin < MARGIN_MIN)
		margin = MARGIN_MIN;
	return age + margin >= late->limit;
}

/* since: when a command that the last scan has not seen may have been sent. */
static void late_scan_command(
	struct late *late, struct command *command, uint64_t now, uint64_t since)
{
	struct core *core = late->core;
	uint64_t age;

	if (!command->seen_at || command->seen_at > since)
		command->seen_at = since;
	age = late_age(command, now);
	if (command->writes_range && age >= LATE_NS)
		command->late = true;
	core->late |= command->late;
	if (xcopy_is_waiter(command) && !command->aborted && late_is_nearly_over(late, age)) {
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
	return clock_since(now, late->full_since) + ERROR_NS >= LATE_NS;
}

/* Whether the thread was stuck since the last scan, in the backend: commands have waited in the
 * ring meanwhile. */
static bool late_was_stuck(const struct late *late, uint64_t now)
{
	return late->scanned && !late->rested && clock_since(now, late->scanned) >= LATE_NS;
}

void late_check(struct late *late, uint64_t now)
{
	struct core *core = late->core;
	uint64_t since = now;

	assert(core->ring_locked && now);
	if (late->scanned && now >= late->scanned && now < late->scanned + INTERVAL_NS)
		return;
	if (late_was_stuck(late, now)) {
		since = late->scanned;
		core->ring_late = true;
	}
	late->scanned = now;
	late->rested = false;
	core->late = core->ring_late |= late_scan_ring(late, now);
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *command = command_at(core->pool, i);

		if (command->where != COMMAND_FREE && command->where != COMMAND_ENDED &&
		    !command->internal)
			late_scan_command(late, command, now, since);
		else if (command->where != COMMAND_FREE)
			core->late |= command->late;
	}
}

/* Those that were fetched have the number of their permission. */
void late_permission_changed(struct late *late)
{
	struct core *core = late->core;

	assert(core->ring_locked && core_current == core);
	core->ring_late |= late_was_stuck(late, clock_now_ns());
	core->ring_refused |= core->ring_late;
}

void late_end(const struct late *late, const struct command *command, uint64_t now)
{
	uint64_t age = command->seen_at ? clock_since(now, command->seen_at) : 0;

	assert(command->late);
	if (late->limit && age >= late->limit)
		stats_expired(
			late->core->setup.stats, command->cdb, command->plan.lba,
			age / CLOCK_NS_PER_SEC);
}
