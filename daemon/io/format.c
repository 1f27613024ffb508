/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT and SANITIZE: operations that overwrite the whole medium and take as long as that
 * takes.
 *
 * An operation has a slot of its own, which the kernel knows nothing of. Thus it goes on when the
 * command that asked for it has been answered (IMMED) or aborted, and when the kernel's ring is
 * reset. It is exclusive: whatever writes waits for its turn before it or is refused by the SCSI
 * code while it is under way.
 *
 * It ends early when the loop does, for a device that is deleted is not to wait for it. The owner
 * is told of what is under way or has failed, so that the next loop knows it.
 *
 * Everything runs on the device's thread.
 */
#include "io/exec.h"

#include <errno.h>

#define ZEROES_MAX (UINT64_C(16) * 1024 * 1024) /* at once: so often there is progress */

static void tell(struct io_thread *thread, unsigned erasure)
{
	if (atomic_exchange(&thread->format_state, erasure) != erasure)
		thread->setup.signal(thread->setup.owner, IO_SIGNAL_FORMAT);
}

void format_report(struct io_thread *thread)
{
	const struct scsi_lu *lu = &thread->lu;
	unsigned erasure = 0;

	if (lu->long_operation == SCSI_LONG_FORMAT || lu->format_failed)
		erasure |= FORMAT_STATE_FORMAT;
	if (lu->long_operation == SCSI_LONG_SANITIZE || lu->sanitize_failed)
		erasure |= FORMAT_STATE_SANITIZE | (lu->sanitize_exit ? FORMAT_STATE_EXIT : 0);
	if (erasure != atomic_load_explicit(&thread->format_state, memory_order_relaxed))
		tell(thread, erasure);
}

unsigned io_thread_format_state(const struct io_thread *thread)
{
	return atomic_load(&thread->format_state);
}

/* ------- the end ------- */

void format_leave(struct command *waiter)
{
	waiter->thread->format_waiter = NULL;
	command_end(waiter, SCSI_TASK_ABORTED, NULL);
}

static void end(struct command *erase, int error)
{
	struct io_thread *thread = erase->thread;
	struct command *waiter = thread->format_waiter;
	struct scsi_result result;

	scsi_long_end(&thread->lu, error, &result);
	thread->format = NULL;
	thread->format_waiter = NULL;
	/* Cut short, it is to be asked for again. */
	if (waiter && error == -ECANCELED)
		command_end(waiter, SCSI_BUSY, NULL);
	else if (waiter)
		command_end(waiter, result.status, &result.sense);
	command_end_good(erase);
}

/* ------- the work ------- */

static void step(struct command *erase, int error);

/* In 65536ths of all passes. */
static uint16_t progress_of(const struct command *erase)
{
	uint64_t share = erase->done / (plan_length(erase) / 65536 + 1);

	return (uint16_t) ((erase->extent * UINT64_C(65536) + share) / erase->plan.passes);
}

static void invert(struct command *erase)
{
	for (uint64_t i = 0; i < erase->bounce_length; i++)
		erase->bounce[i] = (uint8_t) ~erase->bounce[i];
}

static void submit_piece(struct command *erase, uint64_t left)
{
	uint32_t flags = erase->plan.flags & SCSI_PLAN_MAY_UNMAP ? TCMU_IO_MAY_UNMAP : 0;
	uint64_t max = erase->bounce ? erase->bounce_length : ZEROES_MAX;
	uint64_t length = left < max ? left : max;

	if (erase->bounce)
		submit_buffer(erase, TCMU_IO_WRITE, 0, erase->done, erase->bounce, length, step);
	else
		submit_io(erase, TCMU_IO_WRITE_ZEROES, flags, erase->done, length, 0, step);
}

static void step_flushed(struct command *erase, int error)
{
	end(erase, error);
}

static void go_on(struct command *erase)
{
	struct io_thread *thread = erase->thread;

	if (thread->abandoned || thread->mode != IO_THREAD_SERVING) {
		end(erase, -ECANCELED);
		return;
	}
	if (erase->done == plan_length(erase) && erase->extent + 1 < erase->plan.passes) {
		erase->extent++;
		erase->done = 0;
		if (erase->plan.flags & SCSI_PLAN_INVERT)
			invert(erase);
	}
	thread->lu.progress = progress_of(erase);
	if (erase->done < plan_length(erase))
		submit_piece(erase, plan_length(erase) - erase->done);
	else if (handler_can(erase, TCMU_IO_FLUSH))
		submit_io(erase, TCMU_IO_FLUSH, 0, 0, 0, 0, step_flushed);
	else
		end(erase, 0);
}

static void step(struct command *erase, int error)
{
	if (error == -EOPNOTSUPP && !erase->bounce)
		error = exec_fill_same(erase, NULL) ? 0 : -ENOMEM;
	else if (!error)
		erase->done += erase->io.length;
	if (error)
		end(erase, error);
	else
		go_on(erase);
}

void format_begin(struct command *erase)
{
	if (erase->thread->failed)
		end(erase, -EREMOTEIO);
	else
		go_on(erase);
}

/* ------- the beginning ------- */

static bool make(struct command *erase, const struct scsi_plan *plan)
{
	erase->internal = true;
	erase->cmd_id = 0;
	erase->cdb_length = 0;
	erase->iov_cnt = 0;
	erase->data_length = 0;
	erase->plan = *plan;
	erase->writes_range = true;
	erase->exclusive = true;
	if (plan->flags & SCSI_PLAN_DATA)
		return exec_fill_same(erase, erase->thread->data);
	return handler_can(erase, TCMU_IO_WRITE_ZEROES) || exec_fill_same(erase, NULL);
}

void format_prepare(struct command *waiter)
{
	struct io_thread *thread = waiter->thread;
	struct command *erase = command_get(&thread->pool);

	if (!erase || !make(erase, &waiter->plan)) {
		if (erase)
			command_put(&thread->pool, erase);
		thread->lu.long_operation = SCSI_LONG_NONE;
		command_end(waiter, SCSI_BUSY, NULL);
		return;
	}
	thread->format = erase;
	command_list_add(&thread->ready, erase);
	if (waiter->plan.flags & SCSI_PLAN_IMMEDIATE)
		command_end_good(waiter);
	else
		thread->format_waiter = waiter;
}
