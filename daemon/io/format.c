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

static void tell(struct loop *loop, unsigned erasure)
{
	if (atomic_exchange(&loop->erasure, erasure) != erasure)
		loop->setup.signal(loop->setup.owner, LOOP_ERASING);
}

void erase_tell(struct loop *loop)
{
	const struct scsi_lu *lu = &loop->lu;
	unsigned erasure = 0;

	if (lu->long_operation == SCSI_LONG_FORMAT || lu->format_failed)
		erasure |= LOOP_ERASURE_FORMAT;
	if (lu->long_operation == SCSI_LONG_SANITIZE || lu->sanitize_failed)
		erasure |= LOOP_ERASURE_SANITIZE | (lu->sanitize_exit ? LOOP_ERASURE_EXIT : 0);
	if (erasure != atomic_load_explicit(&loop->erasure, memory_order_relaxed))
		tell(loop, erasure);
}

unsigned loop_erasure(const struct loop *loop)
{
	return atomic_load(&loop->erasure);
}

/* ------- the end ------- */

void erase_leave(struct command *asker)
{
	asker->loop->erase_asker = NULL;
	io_end(asker, SCSI_TASK_ABORTED, NULL);
}

static void end(struct command *erase, int error)
{
	struct loop *loop = erase->loop;
	struct command *asker = loop->erase_asker;
	struct scsi_result result;

	scsi_long_end(&loop->lu, error, &result);
	loop->erase = NULL;
	loop->erase_asker = NULL;
	/* Cut short, it is to be asked for again. */
	if (asker && error == -ECANCELED)
		io_end(asker, SCSI_BUSY, NULL);
	else if (asker)
		io_end(asker, result.status, &result.sense);
	io_end_good(erase);
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
		io_submit_buffer(erase, TCMU_IO_WRITE, 0, erase->done, erase->bounce, length, step);
	else
		io_submit(erase, TCMU_IO_WRITE_ZEROES, flags, erase->done, length, 0, step);
}

static void step_flushed(struct command *erase, int error)
{
	end(erase, error);
}

static void go_on(struct command *erase)
{
	struct loop *loop = erase->loop;

	if (loop->abandoned || loop->mode != LOOP_SERVING) {
		end(erase, -ECANCELED);
		return;
	}
	if (erase->done == plan_length(erase) && erase->extent + 1 < erase->plan.passes) {
		erase->extent++;
		erase->done = 0;
		if (erase->plan.flags & SCSI_PLAN_INVERT)
			invert(erase);
	}
	loop->lu.progress = progress_of(erase);
	if (erase->done < plan_length(erase))
		submit_piece(erase, plan_length(erase) - erase->done);
	else if (handler_can(erase, TCMU_IO_FLUSH))
		io_submit(erase, TCMU_IO_FLUSH, 0, 0, 0, 0, step_flushed);
	else
		end(erase, 0);
}

static void step(struct command *erase, int error)
{
	if (error == -EOPNOTSUPP && !erase->bounce)
		error = plan_fill_same(erase, NULL) ? 0 : -ENOMEM;
	else if (!error)
		erase->done += erase->io.length;
	if (error)
		end(erase, error);
	else
		go_on(erase);
}

void erase_begin(struct command *erase)
{
	if (erase->loop->sick)
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
		return plan_fill_same(erase, erase->loop->data);
	return handler_can(erase, TCMU_IO_WRITE_ZEROES) || plan_fill_same(erase, NULL);
}

void erase_prepare(struct command *asker)
{
	struct loop *loop = asker->loop;
	struct command *erase = command_get(&loop->pool);

	if (!erase || !make(erase, &asker->plan)) {
		if (erase)
			command_put(&loop->pool, erase);
		loop->lu.long_operation = SCSI_LONG_NONE;
		io_end(asker, SCSI_BUSY, NULL);
		return;
	}
	loop->erase = erase;
	command_list_add(&loop->ready, erase);
	if (asker->plan.flags & SCSI_PLAN_IMMEDIATE)
		io_end_good(asker);
	else
		loop->erase_asker = asker;
}
