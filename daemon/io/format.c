/* SPDX-License-Identifier: Apache-2.0 */
/* See io/format.h. */
#include "io/format.h"

#include <assert.h>
#include <errno.h>

#include "io/exec.h"
#include "io/submit.h"

#define ZEROES_MAX (UINT64_C(16) * 1024 * 1024) /* bytes at once: so often the progress changes */

void format_init(struct format *format, struct core *core)
{
	assert(!format->operation && !format->waiter);
	format->core = core;
}

void format_report(struct format *format)
{
	const struct scsi_lu *lu = &format->core->setup.lu;
	unsigned state = 0;

	assert(!format->waiter || format->operation);
	if (lu->long_operation == SCSI_LONG_FORMAT || lu->format_failed)
		state |= FORMAT_STATE_FORMAT;
	if (lu->long_operation == SCSI_LONG_SANITIZE || lu->sanitize_failed)
		state |= FORMAT_STATE_SANITIZE | (lu->sanitize_exit ? FORMAT_STATE_EXIT : 0);
	if (state == atomic_load_explicit(&format->state, memory_order_relaxed))
		return;
	atomic_store(&format->state, state);
	core_signal(format->core, IO_SIGNAL_FORMAT);
}

/* ------- the end ------- */

/* The waiter was aborted, or the service ends; the operation goes on without it. */
static void format_cancel_waiter(struct command *waiter)
{
	struct format *format = waiter->context;

	assert(format->waiter == waiter);
	format->waiter = NULL;
	command_end(waiter, SCSI_TASK_ABORTED, NULL);
}

static void format_end(struct command *operation, int error)
{
	struct format *format = operation->context;
	struct command *waiter = format->waiter;
	struct scsi_result result;

	assert(format->operation == operation && operation->exclusive);
	scsi_long_end(&format->core->setup.lu, error, &result);
	format->operation = NULL;
	format->waiter = NULL;
	/* Cut short, it is to be requested again. */
	if (waiter && error == -ECANCELED)
		command_end(waiter, SCSI_BUSY, NULL);
	else if (waiter)
		command_end(waiter, result.status, &result.sense);
	command_end(operation, SCSI_GOOD, NULL);
}

/* ------- the work ------- */

static void format_step(struct command *operation, int error);

/* In 65536ths of all passes. */
static uint16_t format_progress(const struct command *operation)
{
	uint64_t share = operation->done / (operation->length / 65536 + 1);

	assert(operation->extent < operation->plan.passes && operation->done <= operation->length);
	return (uint16_t) ((operation->extent * UINT64_C(65536) + share) / operation->plan.passes);
}

static void format_invert(struct command *operation)
{
	assert(operation->bounce);
	for (uint64_t i = 0; i < operation->bounce_length; i++)
		operation->bounce[i] = (uint8_t) ~operation->bounce[i];
}

static void format_submit(struct command *operation)
{
	uint32_t flags = operation->plan.flags & SCSI_PLAN_MAY_UNMAP ? TCMU_IO_MAY_UNMAP : 0;
	uint64_t max = operation->bounce        ? operation->bounce_length
		: operation->core->rate_limited ? COMMAND_PIECE_MAX
						: ZEROES_MAX;
	uint64_t length = operation->length - operation->done;

	assert(length > 0);
	if (length > max)
		length = max;
	if (operation->bounce)
		submit_buffer(
			operation, TCMU_IO_WRITE, 0, operation->done, operation->bounce, length,
			format_step);
	else
		submit_io(
			operation, TCMU_IO_WRITE_ZEROES, flags, operation->done, length, 0,
			format_step);
}

static void format_continue(struct command *operation)
{
	struct core *core = operation->core;

	assert(operation->started);
	if (core->service != CORE_SERVING) {
		format_end(operation, -ECANCELED);
		return;
	}
	if (operation->done == operation->length &&
	    operation->extent + 1 < operation->plan.passes) {
		operation->extent++;
		operation->done = 0;
		if (operation->plan.flags & SCSI_PLAN_INVERT)
			format_invert(operation);
	}
	core->setup.lu.progress = format_progress(operation);
	if (operation->done < operation->length && operation->core->rate_limited)
		command_ready(operation);
	else if (operation->done < operation->length)
		format_submit(operation);
	else if (submit_handler_can(core, TCMU_IO_FLUSH))
		submit_io(operation, TCMU_IO_FLUSH, 0, 0, 0, 0, format_end);
	else
		format_end(operation, 0);
}

/* A handler that refuses to write zeros is given a buffer of them. */
static void format_step(struct command *operation, int error)
{
	if (error == -EOPNOTSUPP && !operation->bounce && exec_fill_same(operation, NULL)) {
		format_submit(operation);
		return;
	}
	if (!error)
		operation->done += operation->io.length;
	else if (error == -EOPNOTSUPP && !operation->bounce)
		error = -ENOMEM;
	if (error)
		format_end(operation, error);
	else
		format_continue(operation);
}

/* Begins the operation and, where the device has rate limits, each piece that they have allowed. */
static void format_begin(struct command *operation)
{
	assert(operation->where == COMMAND_HELD && operation->done < operation->length);
	if (operation->core->faulted)
		format_end(operation, -EREMOTEIO);
	else if (operation->core->service != CORE_SERVING)
		format_end(operation, -ECANCELED);
	else
		format_submit(operation);
}

/* ------- the beginning ------- */

/* False: no memory. */
static bool format_prepare_operation(struct format *format, struct command *operation)
{
	const struct scsi_plan *plan = &operation->plan;

	assert(plan->passes >= 1);
	operation->begin = format_begin;
	operation->cancel = submit_cancel;
	operation->context = format;
	operation->block_size = format->core->setup.lu.block_size;
	operation->length = plan->blocks * operation->block_size;
	operation->writes_range = true;
	operation->exclusive = true;
	if (plan->flags & SCSI_PLAN_DATA)
		return exec_fill_same(operation, format->core->data);
	return submit_handler_can(format->core, TCMU_IO_WRITE_ZEROES) ||
		exec_fill_same(operation, NULL);
}

void format_prepare(struct format *format, struct command *waiter)
{
	struct core *core = format->core;
	struct command *operation = command_get(core->pool, true);

	assert(core->ring_locked && !format->operation && !format->waiter);
	assert(core->setup.lu.guard_passed && !core->setup.lu.read_only);
	if (operation) {
		operation->plan = waiter->plan;
		operation->generation = waiter->generation;
	}
	if (!operation || !format_prepare_operation(format, operation)) {
		if (operation)
			command_put(core->pool, operation);
		core->setup.lu.long_operation = SCSI_LONG_NONE;
		command_end(waiter, SCSI_BUSY, NULL);
		return;
	}
	format->operation = operation;
	command_ready(operation);
	if (waiter->plan.flags & SCSI_PLAN_IMMEDIATE) {
		command_end(waiter, SCSI_GOOD, NULL);
		return;
	}
	format->waiter = waiter;
	waiter->context = format;
	waiter->cancel = format_cancel_waiter;
}
