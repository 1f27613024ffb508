/* SPDX-License-Identifier: Apache-2.0 */
/* See io/order.h. */
#include "io/order.h"

#include <assert.h>

#include "base/clock.h"

void order_init(struct order *order, struct core *core)
{
	assert(core->setup.depth);
	order->core = core;
	list_init(&order->blocked);
	order_set_limits(order, &core->setup.limits);
}

void order_set_limits(struct order *order, const struct rate_limits *limits)
{
	rate_limit_set(&order->rate_limit, limits);
	order->core->rate_limited = rate_limit_is_on(&order->rate_limit);
	if (!order->core->rate_limited)
		order->limited_since = 0;
}

/* ------- ranges ------- */

static bool order_extents_overlap(const struct scsi_extent *a, const struct scsi_extent *b)
{
	return a->lba < b->lba + b->blocks && b->lba < a->lba + a->blocks;
}

static unsigned order_extents(
	const struct command *command, struct scsi_extent *single, const struct scsi_extent **all)
{
	assert(command->writes_range);
	if (command->plan.op == SCSI_PLAN_UNMAP) {
		*all = command->plan.extents;
		return command->plan.extent_cnt;
	}
	*single = (struct scsi_extent){.lba = command->plan.lba, .blocks = command->plan.blocks};
	*all = single;
	return 1;
}

/* Whether a command must not overlap another one that came before it. */
static bool order_conflicts(const struct command *a, const struct command *b)
{
	struct scsi_extent one_a, one_b;
	const struct scsi_extent *all_a, *all_b;
	unsigned cnt_a, cnt_b;

	assert(a != b);
	if (!a->writes_range || !b->writes_range || (!a->exclusive && !b->exclusive && !b->late))
		return false;
	cnt_a = order_extents(a, &one_a, &all_a);
	cnt_b = order_extents(b, &one_b, &all_b);
	for (unsigned i = 0; i < cnt_a; i++)
		for (unsigned j = 0; j < cnt_b; j++)
			if (order_extents_overlap(&all_a[i], &all_b[j]))
				return true;
	return false;
}

/* Whether a command that writes must wait for one that waits already, or for one that was started.
 */
static bool order_must_wait(const struct order *order, const struct command *command)
{
	const struct command_pool *pool = order->core->pool;

	assert(command->writes_range && !command->started);
	list_for_each (node, &order->blocked)
		if (order_conflicts(command, container_of(node, struct command, node)))
			return true;
	for (unsigned i = 0; i < pool->used; i++) {
		const struct command *other = command_at(pool, i);

		if (other != command && other->where != COMMAND_FREE && other->started &&
		    order_conflicts(command, other))
			return true;
	}
	return false;
}

/* ------- the rate ------- */

/* The bytes that the limits count: those that are read and those that are written. */
static uint64_t order_limited_bytes(const struct command *command)
{
	uint64_t left = command->length - command->done;

	assert(command->done <= command->length);
	if (command->plan.flags & SCSI_PLAN_LONG)
		return left < COMMAND_PIECE_MAX ? left : COMMAND_PIECE_MAX;
	switch (command->plan.op) {
	case SCSI_PLAN_UNMAP:
	case SCSI_PLAN_FLUSH:
	case SCSI_PLAN_MAP:
	case SCSI_PLAN_PREFETCH:
	case SCSI_PLAN_XCOPY:
		return 0;
	case SCSI_PLAN_WRITE_VERIFY:
	case SCSI_PLAN_COMPARE_AND_WRITE:
	case SCSI_PLAN_ORWRITE:
		return 2 * command->length;
	default:
		return command->length;
	}
}

/* The commands that the limits count. A WRITE SAME writes much more than other commands can. */
static uint64_t order_limited_commands(const struct command *command)
{
	if (command->plan.op != SCSI_PLAN_WRITE_SAME || command->length <= COMMAND_PIECE_MAX ||
	    (command->plan.flags & SCSI_PLAN_LONG))
		return 1;
	return (command->length + COMMAND_PIECE_MAX - 1) / COMMAND_PIECE_MAX;
}

/* How long the command has to wait, ns; 0: it may start. A command that is to end soon does not
 * wait. */
static uint64_t order_limit(struct order *order, const struct command *command, uint64_t now)
{
	assert(rate_limit_is_on(&order->rate_limit));
	if (order->core->service != CORE_SERVING || command->aborted)
		return 0;
	if (order->resume)
		return order->resume - now;
	return rate_limit_take(
		&order->rate_limit, now, order_limited_commands(command),
		order_limited_bytes(command));
}

/* Adds the time since the last scan, if a command waited for the limits then. */
static void order_count_limited(struct order *order, uint64_t now)
{
	assert(rate_limit_is_on(&order->rate_limit));
	if (order->limited_since)
		stats_limited(order->core->setup.stats, clock_since(now, order->limited_since));
	order->limited_since = order->resume ? now : 0;
}

/* ------- the start and the end ------- */

/* Blocked commands come first: they are older, and the limits have counted them. Those that must
 * still wait become the new list of blocked ones, in their order. */
unsigned order_start_ready(struct order *order)
{
	struct list waiting;
	struct list_node *node;
	uint64_t now = 0;
	unsigned cnt = 0;

	assert(core_current == order->core && !order->core->ring_locked);
	order->resume = 0;
	list_move(&order->blocked, &waiting);
	list_join(&order->core->ready, &waiting);
	if (rate_limit_is_on(&order->rate_limit))
		now = clock_now_ns();
	while ((node = list_take(&waiting))) {
		struct command *command = container_of(node, struct command, node);
		uint64_t delay = 0;

		assert(command->where == COMMAND_READY || command->where == COMMAND_BLOCKED);
		assert(!command->started || (command->plan.flags & SCSI_PLAN_LONG));
		if (now && command->where == COMMAND_READY)
			delay = order_limit(order, command, now);
		if (delay) {
			order->resume = now + delay;
			list_append(&order->core->ready, node);
		} else if (
			command->writes_range && !command->aborted && !command->started &&
			(command->exclusive || order->exclusive_cnt || order->core->late ||
			 !list_is_empty(&order->blocked)) &&
			order_must_wait(order, command)) {
			command->where = COMMAND_BLOCKED;
			list_append(&order->blocked, node);
		} else {
			command->where = COMMAND_HELD;
			order->exclusive_cnt += command->exclusive && !command->started;
			command->started = true;
			command->begin(command);
			cnt++;
		}
	}
	if (now)
		order_count_limited(order, now);
	return cnt;
}

void order_finish(struct order *order, const struct command *command)
{
	assert(command->started && command->exclusive && order->exclusive_cnt > 0);
	order->exclusive_cnt--;
}
