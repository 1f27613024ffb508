/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command between its plan and its end: one request to the handler at a time, completed from any
 * thread, and the order of commands that must not run side by side.
 *
 * Everything runs on the device's thread, outside of the ring_lock, but for submit_complete(), and
 * command_copy_in(), which touches the ring's pages and runs under it.
 *
 * COMPARE AND WRITE and ORWRITE are atomic against every other write of this device: they are
 * exclusive for their range, and whoever overlaps waits in the order of arrival.
 */
#include "io/exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static __thread struct io_thread *this_thread;

/* ------- the end of a command ------- */

void command_end(struct command *command, uint8_t status, const struct scsi_sense *sense)
{
	struct io_thread *thread = command->thread;

	command->status = command->aborted ? SCSI_TASK_ABORTED : status;
	if (status == SCSI_CHECK_CONDITION && sense)
		scsi_sense_encode(&thread->lu, sense, command->sense);
	if (command->started && command->exclusive)
		thread->exclusive_cnt--;
	command->started = false;
	command_list_add(&thread->ended, command);
}

void command_end_good(struct command *command)
{
	command_end(command, SCSI_GOOD, NULL);
}

/* What an operator is to hear of: not what is tried again, nor what was compared and differs. */
static bool is_trouble(int error, const struct scsi_result *result)
{
	return error == -ETIMEDOUT || (result->status == SCSI_CHECK_CONDITION && error != -EILSEQ);
}

void command_end_failed_at(struct command *command, int error, uint64_t lba, uint64_t offset)
{
	struct scsi_result result = {.status = SCSI_CHECK_CONDITION};

	scsi_io_error(&command->plan, error, lba, offset, &result);
	if (is_trouble(error, &result))
		stats_failed(
			command->thread->setup.stats, command->cdb, -error, lba, &result.sense);
	command_end(command, result.status, &result.sense);
}

void command_end_failed(struct command *command, int error)
{
	command_end_failed_at(command, error, command->io.result / block_size(command), 0);
}

/* A length of 0 cannot be told: the kernel takes all of the buffer then, so nothing of others may
 * be in it. */
void command_copy_in(struct command *command, const uint8_t *data, uint32_t len)
{
	if (len == 0) {
		iov_zero(command->iov, command->iov_cnt);
		return;
	}
	command->has_read_len = true;
	command->read_len = (uint32_t) iov_copy_to(command->iov, command->iov_cnt, data, len);
}

/* ------- one request to the handler ------- */

static void run_blocking(struct work *work)
{
	struct command *command =
		(struct command *) ((char *) work - offsetof(struct command, work));

	command->thread->setup.handler->submit(command->thread->setup.backend, &command->io);
}

void submit_io(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, unsigned iov_cnt, submit_step *step)
{
	struct io_thread *thread = command->thread;

	if (thread->abandoned || command->aborted) {
		command_end_failed_at(command, -ECANCELED, command->plan.lba, 0);
		return;
	}
	if (thread->access != IO_PERMIT_ALL && !permission_allows(thread, op)) {
		step(command, -EBUSY);
		return;
	}
	command->step = step;
	command->io.op = op;
	command->io.flags = flags;
	command->io.offset = offset;
	command->io.length = length;
	command->io.iov = command->io_iov;
	command->io.iov_cnt = iov_cnt;
	command->io.result = offset;
	command->io.result_flags = 0;
	command->io.host = thread->setup.host;
	command->io.dev = thread->setup.host_device;
	command->io_error = 0;
	atomic_store_explicit(&command->phase, IO_SUBMITTED, memory_order_release);
	atomic_fetch_add_explicit(&thread->in_flight, 1, memory_order_relaxed);

	if (thread->workers) {
		command->work.run = run_blocking;
		workers_queue(thread->workers, &command->work);
	} else {
		thread->setup.handler->submit(thread->setup.backend, &command->io);
	}
}

void submit_ring(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, submit_step *step)
{
	unsigned cnt = iov_clip(command->iov, command->iov_cnt, data, command->io_iov);

	submit_io(command, op, flags, offset, length, cnt, step);
}

void submit_buffer(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length, submit_step *step)
{
	command->io_iov[0] = (struct iovec){.iov_base = buffer, .iov_len = length};
	submit_io(command, op, flags, offset, length, 1, step);
}

static void push_finished(struct io_thread *thread, struct command *command)
{
	struct command *head = atomic_load_explicit(&thread->finished, memory_order_relaxed);

	do {
		command->finished_next = head;
	} while (!atomic_compare_exchange_weak(&thread->finished, &head, command));
}

void submit_complete(struct tcmu_io *io, int error)
{
	struct command *command = command_of_io(io);
	struct io_thread *thread = command->thread;
	enum io_phase expected = IO_SUBMITTED;

	/* A second completion of the same request is the handler's mistake and changes nothing. */
	if (!atomic_compare_exchange_strong(&command->phase, &expected, IO_COMPLETED))
		return;
	command->io_error = error;
	if (this_thread == thread) {
		push_finished(thread, command);
		return;
	}
	/* Once it is pushed the command may end, and the loop with it, but for this. */
	atomic_fetch_add(&thread->completing, 1);
	push_finished(thread, command);
	io_thread_wake(thread);
	atomic_fetch_sub(&thread->completing, 1);
}

void submit_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	aio_queue(command_of_io(io)->thread->engine, io, aio);
}

static unsigned take_finished(struct io_thread *thread)
{
	struct command *command = atomic_exchange_explicit(
		&thread->finished, NULL, memory_order_acq_rel);
	struct command *oldest = NULL;
	unsigned cnt = 0;

	while (command) {
		struct command *next = command->finished_next;

		command->finished_next = oldest;
		oldest = command;
		command = next;
	}
	while (oldest) {
		struct command *next = oldest->finished_next;

		atomic_store_explicit(&oldest->phase, IO_IDLE, memory_order_relaxed);
		atomic_fetch_sub_explicit(&thread->in_flight, 1, memory_order_relaxed);
		oldest->step(oldest, oldest->io_error);
		oldest = next;
		cnt++;
	}
	return cnt;
}

unsigned submit_reap(struct io_thread *thread)
{
	unsigned cnt = 0;
	unsigned taken;

	this_thread = thread;
	do {
		taken = thread->engine ? aio_reap(thread->engine) : 0;
		taken += take_finished(thread);
		cnt += taken;
	} while (taken);
	return cnt;
}

void submit_cancel(struct command *command)
{
	struct io_thread *thread = command->thread;
	const struct tcmu_handler *handler = thread->setup.handler;

	if (command == thread->format_waiter)
		format_leave(command);
	if (command == thread->deferred_waiter)
		deferred_leave(command);
	if (command->xcopy)
		xcopy_cancel(command);
	if (atomic_load_explicit(&command->phase, memory_order_acquire) != IO_SUBMITTED)
		return;
	if (thread->workers && workers_cancel(thread->workers, &command->work) == 0) {
		submit_complete(&command->io, -ECANCELED);
		return;
	}
	if (thread->engine)
		aio_cancel(thread->engine, &command->io);
	if (handler->cancel)
		handler->cancel(thread->setup.backend, &command->io);
}

/* ------- commands that wait for each other ------- */

static bool extents_overlap(const struct scsi_extent *a, const struct scsi_extent *b)
{
	return a->lba < b->lba + b->blocks && b->lba < a->lba + a->blocks;
}

static unsigned command_extents(
	const struct command *command, struct scsi_extent *single, const struct scsi_extent **all)
{
	if (command->plan.op == SCSI_PLAN_UNMAP) {
		*all = command->plan.extents;
		return command->plan.extent_cnt;
	}
	*single = (struct scsi_extent){.lba = command->plan.lba, .blocks = command->plan.blocks};
	*all = single;
	return 1;
}

static bool commands_conflict(const struct command *a, const struct command *b)
{
	struct scsi_extent one_a, one_b;
	const struct scsi_extent *all_a, *all_b;
	unsigned cnt_a = command_extents(a, &one_a, &all_a);
	unsigned cnt_b = command_extents(b, &one_b, &all_b);

	if (!a->writes_range || !b->writes_range || (!a->exclusive && !b->exclusive))
		return false;
	for (unsigned i = 0; i < cnt_a; i++)
		for (unsigned j = 0; j < cnt_b; j++)
			if (extents_overlap(&all_a[i], &all_b[j]))
				return true;
	return false;
}

/* Whether a command must wait for one that is under way, or for one that waits before it. */
static bool must_wait(const struct command *command)
{
	const struct io_thread *thread = command->thread;

	if (!command->writes_range ||
	    (!command->exclusive && !thread->exclusive_cnt && !thread->blocked.first))
		return false;
	for (const struct command *other = thread->blocked.first; other && other != command;
	     other = other->next)
		if (commands_conflict(command, other))
			return true;
	for (unsigned i = 0; i < thread->pool.used; i++) {
		const struct command *other = command_at(&thread->pool, i);

		if (other != command && other->in_use && other->started &&
		    commands_conflict(command, other))
			return true;
	}
	return false;
}

static void begin(struct command *command)
{
	this_thread = command->thread;
	command->started = true;
	if (command->exclusive)
		command->thread->exclusive_cnt++;
	exec_begin(command);
}

void order_start(struct command *command)
{
	if (must_wait(command))
		command_list_add(&command->thread->blocked, command);
	else
		begin(command);
}

/* What the limits count of a command. */
static uint64_t limited_bytes(const struct command *command)
{
	switch (command->plan.op) {
	case SCSI_PLAN_UNMAP:
	case SCSI_PLAN_FLUSH:
	case SCSI_PLAN_MAP:
	case SCSI_PLAN_PREFETCH:
	case SCSI_PLAN_XCOPY:
		return 0;
	default:
		return plan_length(command);
	}
}

/* 0: the command may begin; else how long it has to wait. Who is to end soon does not wait, nor
 * does what the daemon carries out for another command. */
static uint64_t limited(struct command *command, uint64_t now)
{
	struct io_thread *thread = command->thread;

	if (!rate_limit_is_on(&thread->rate_limit) || thread->mode == IO_THREAD_DRAINING ||
	    command->aborted || command->internal)
		return 0;
	return rate_limit_take(&thread->rate_limit, now, limited_bytes(command));
}

unsigned order_start_ready(struct io_thread *thread)
{
	struct command_list ready = thread->ready;
	uint64_t now = rate_limit_is_on(&thread->rate_limit) && ready.first ? wait_clock() : 0;
	struct command *command;
	unsigned cnt = 0;

	thread->resume = 0;
	if (!ready.first)
		return 0;
	command_list_init(&thread->ready);
	while ((command = ready.first)) {
		uint64_t wait = thread->resume && !command->aborted ? 1 : limited(command, now);

		ready.first = command->next;
		command->next = NULL;
		if (wait) {
			if (!thread->resume)
				thread->resume = now + wait;
			command_list_add(&thread->ready, command);
		} else {
			order_start(command);
			cnt++;
		}
	}
	return cnt;
}

void order_unblock(struct io_thread *thread)
{
	struct command *command = thread->blocked.first;
	struct command_list still;

	if (!command)
		return;
	command_list_init(&still);
	while ((command = thread->blocked.first)) {
		bool waits = !command->aborted && must_wait(command);

		for (struct command *other = still.first; other && !command->aborted && !waits;
		     other = other->next)
			waits = commands_conflict(command, other);
		command_list_take(&thread->blocked);
		if (waits)
			command_list_add(&still, command);
		else
			begin(command);
	}
	if (still.first)
		thread->blocked = still;
}
