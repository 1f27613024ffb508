/* SPDX-License-Identifier: Apache-2.0 */
/* See io/exec.h. */
#include "io/exec.h"

#include <assert.h>
#include <errno.h>
#include <scsi/pieces.h>
#include <string.h>

#include "base/memory.h"
#include "io/write-cache.h"

/* ------- READ, WRITE, FLUSH ------- */

static void exec_step_last(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		command_end(command, SCSI_GOOD, NULL);
}

static void exec_step_read(struct command *command, int error)
{
	uint64_t length = command->length;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	if (length > command->data_length)
		length = command->data_length;
	command->data_in = (uint32_t) length;
	command_end(command, SCSI_GOOD, NULL);
}

/* The initiator may have room for less than it asked for: the rest is not read. */
static uint64_t exec_read_length(const struct command *command)
{
	uint32_t block = command->block_size;
	uint64_t room = (command->data_length + block - 1) / block * block;

	assert(block);
	return command->length < room ? command->length : room;
}

/* The bytes in bounce for which the initiator has room. */
static uint64_t exec_answer_length(const struct command *command)
{
	return command->length < command->data_length ? command->length : command->data_length;
}

static void exec_step_read_copy(struct command *command, int error)
{
	assert(command->bounce);
	if (!error)
		command->answer_length = (uint32_t) exec_answer_length(command);
	exec_step_last(command, error);
}

static void exec_begin_read(struct command *command)
{
	uint64_t length = command->length;

	if (command->data_length < length)
		length = exec_read_length(command);
	if (length == 0)
		command_end(command, SCSI_GOOD, NULL);
	else if (command->bounce)
		submit_buffer(
			command, TCMU_IO_READ, 0, command->offset, command->bounce, length,
			exec_step_read_copy);
	else
		submit_ring(
			command, TCMU_IO_READ, 0, command->offset, length, length, exec_step_read);
}

/* Whether the data must be on stable storage before the status is sent (SBC-3 4.15, 5.32). To be
 * asked again at the end: the cache may have been switched off meanwhile. */
static bool exec_wants_stable(const struct command *command)
{
	const struct core *core = command->core;

	return core->info.volatile_cache &&
		((command->plan.flags & SCSI_PLAN_FUA) || !core->setup.lu.write_cache ||
		 core->setup.lu.write_cache_ends || core->cache_ending);
}

/* Of the request that is submitted next. */
static uint32_t exec_write_flags(struct command *command)
{
	uint32_t flags = command->plan.flags & SCSI_PLAN_ATOMIC ? TCMU_IO_ATOMIC : 0;

	if (command->core->info.fua && exec_wants_stable(command))
		flags |= TCMU_IO_FUA;
	else
		command->unstable = true;
	return flags;
}

static uint64_t exec_first_lba(const struct command *command)
{
	return command->plan.op == SCSI_PLAN_UNMAP ? command->plan.extents[0].lba
						   : command->plan.lba;
}

static void exec_step_compare_flushed(struct command *command, int error);

/* submit_io() ends such a command with TASK ABORTED, at which initiators repeat it. */
static bool exec_is_cancelled(const struct command *command)
{
	return command->core->service >= CORE_ABANDONED || command->aborted;
}

/* Ends a command that wrote: GOOD, after a flush where a request did not carry FUA. A flush that
 * fails is reported as of the command's first block. */
static void exec_finish_write(struct command *command)
{
	bool compares = command->plan.op == SCSI_PLAN_COMPARE_AND_WRITE;

	if (!command->unstable || !exec_wants_stable(command) ||
	    !submit_handler_can(command->core, TCMU_IO_FLUSH))
		command_end(command, SCSI_GOOD, NULL);
	else if (compares && exec_is_cancelled(command))
		exec_step_compare_flushed(command, -ECANCELED);
	else
		submit_io(
			command, TCMU_IO_FLUSH, 0, exec_first_lba(command) * command->block_size, 0,
			0, compares ? exec_step_compare_flushed : exec_step_last);
}

/* The same for a command that changed the medium by requests that cannot carry FUA. */
static void exec_finish_change(struct command *command)
{
	command->unstable = true;
	exec_finish_write(command);
}

static void exec_step_written(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		exec_finish_write(command);
}

static void exec_begin_write(struct command *command)
{
	uint64_t length = command->length;

	if (length == 0)
		command_end(command, SCSI_GOOD, NULL);
	else if (command->bounce)
		submit_buffer(
			command, TCMU_IO_WRITE, exec_write_flags(command), command->offset,
			command->bounce, length, exec_step_written);
	else
		submit_ring(
			command, TCMU_IO_WRITE, exec_write_flags(command), command->offset, length,
			length, exec_step_written);
}

static void exec_begin_flush(struct command *command)
{
	if (submit_handler_can(command->core, TCMU_IO_FLUSH))
		submit_io(command, TCMU_IO_FLUSH, 0, 0, 0, 0, exec_step_last);
	else
		command_end(command, SCSI_GOOD, NULL);
}

/* ------- UNMAP, WRITE SAME ------- */

static void exec_step_unmap(struct command *command, int error)
{
	const struct scsi_plan *plan = &command->plan;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	while (command->extent < plan->extent_cnt) {
		const struct scsi_extent *extent = &plan->extents[command->extent++];

		if (extent->blocks) {
			submit_io(
				command, TCMU_IO_UNMAP, 0, extent->lba * command->block_size,
				extent->blocks * command->block_size, 0, exec_step_unmap);
			return;
		}
	}
	exec_finish_change(command);
}

static void exec_begin_unmap(struct command *command)
{
	exec_step_unmap(command, 0);
}

static void exec_step_write_same(struct command *command, int error)
{
	uint64_t left;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	assert(command->bounce && command->done <= command->length);
	left = command->length - command->done;
	if (left == 0) {
		exec_finish_write(command);
		return;
	}
	if (left > command->bounce_length)
		left = command->bounce_length;
	submit_buffer(
		command, TCMU_IO_WRITE, exec_write_flags(command), command->offset + command->done,
		command->bounce, left, exec_step_write_same);
	command->done += left;
}

bool exec_fill_same(struct command *command, const uint8_t *data)
{
	uint32_t block = command->block_size;
	uint64_t length = command->length < COMMAND_PIECE_MAX ? command->length : COMMAND_PIECE_MAX;

	assert(block);
	length -= length % block;
	if (!command_alloc_bounce(command, length))
		return false;
	command->bounce_length = length;
	if (!data)
		memset(command->bounce, 0, length);
	for (uint64_t filled = 0; data && filled < length; filled += block)
		memcpy(command->bounce + filled, data, block);
	return true;
}

/* A handler that repeats a block needs it once. */
static bool exec_keep_block(struct command *command, const uint8_t *data)
{
	command->bounce_length = command->block_size;
	if (!command_alloc_bounce(command, command->bounce_length))
		return false;
	memcpy(command->bounce, data, command->bounce_length);
	return true;
}

/* A handler that writes zeros needs no buffer of them. Where it refuses (-EOPNOTSUPP), the buffer
 * is made then. */
static bool exec_prepare_write_same(struct command *command)
{
	uint8_t *data = command->core->data;

	if (!(command->plan.flags & SCSI_PLAN_ZEROES)) {
		scsi_pieces_copy(command->iov, command->iov_cnt, 0, data, command->block_size);
		if (memory_is_zero(data, command->block_size))
			command->plan.flags |= SCSI_PLAN_ZEROES;
	}
	if (!(command->plan.flags & SCSI_PLAN_ZEROES))
		return submit_handler_can(command->core, TCMU_IO_WRITE_SAME)
			? exec_keep_block(command, data)
			: exec_fill_same(command, data);
	return submit_handler_can(command->core, TCMU_IO_WRITE_ZEROES) ||
		exec_fill_same(command, NULL);
}

static void exec_write_zeroes_as_data(struct command *command)
{
	if (command->bounce || exec_fill_same(command, NULL))
		exec_step_write_same(command, 0);
	else
		command_end(command, SCSI_BUSY, NULL);
}

static void exec_step_write_zeroes(struct command *command, int error)
{
	if (error == -EOPNOTSUPP)
		exec_write_zeroes_as_data(command);
	else
		exec_step_written(command, error);
}

static void exec_begin_write_same(struct command *command)
{
	uint32_t flags = exec_write_flags(command);

	if (command->plan.flags & SCSI_PLAN_MAY_UNMAP)
		flags |= TCMU_IO_MAY_UNMAP;
	if (!(command->plan.flags & SCSI_PLAN_ZEROES) &&
	    submit_handler_can(command->core, TCMU_IO_WRITE_SAME)) {
		command->io_iov[0] = (struct iovec){
			.iov_base = command->bounce, .iov_len = command->bounce_length};
		submit_io(
			command, TCMU_IO_WRITE_SAME, flags, command->offset, command->length, 1,
			exec_step_written);
	} else if (!(command->plan.flags & SCSI_PLAN_ZEROES))
		exec_step_write_same(command, 0);
	else if (submit_handler_can(command->core, TCMU_IO_WRITE_ZEROES))
		submit_io(
			command, TCMU_IO_WRITE_ZEROES, flags, command->offset, command->length, 0,
			exec_step_write_zeroes);
	else
		exec_write_zeroes_as_data(command);
}

/* ------- VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE ------- */

/* The room to read into, behind the copy of the data-out. */
static uint8_t *exec_read_buffer(struct command *command)
{
	assert(command->bounce);
	return command->bounce + command->bounce_length;
}

static bool exec_prepare_copy(struct command *command, uint64_t copy, uint64_t room)
{
	assert(command->core->ring_locked);
	if (!command_alloc_bounce(command, copy + room))
		return false;
	command->bounce_length = copy;
	if (copy)
		scsi_pieces_copy(command->iov, command->iov_cnt, 0, command->bounce, copy);
	return true;
}

/* Whether the handler takes one piece, and the data lies in several places. */
static bool exec_wants_flat(const struct command *command)
{
	const struct iovec *iov = command->iov;

	if (!command->core->flat)
		return false;
	for (unsigned i = 1; i < command->iov_cnt; i++)
		if ((char *) iov[i - 1].iov_base + iov[i - 1].iov_len != iov[i].iov_base)
			return true;
	return false;
}

static uint64_t exec_verify_chunk(const struct command *command)
{
	uint64_t left = command->length - command->done;

	assert(command->done < command->length);
	return left < COMMAND_PIECE_MAX ? left : COMMAND_PIECE_MAX;
}

/* Compares the bytes that were read, which begin at `done` of the plan, with the data-out. True:
 * they are equal; false: the command has ended. */
static bool exec_compare_read(struct command *command, uint64_t length)
{
	uint32_t block = command->block_size;
	const uint8_t *got = exec_read_buffer(command);

	assert(length % block == 0 && command->done + length <= command->length);
	for (uint64_t i = 0; i < length; i += block) {
		bool one = command->plan.flags & SCSI_PLAN_ONE_BLOCK;
		const uint8_t *want = command->bounce + (one ? 0 : command->done + i);
		size_t same = memory_equal_prefix(want, got + i, block);

		if (same < block) {
			uint64_t at = command->done + i;

			command_end_failed_at(
				command, -EILSEQ, command->plan.lba + at / block,
				(one ? 0 : at) + same);
			return false;
		}
	}
	return true;
}

static void exec_step_verify(struct command *command, int error);

static void exec_verify_next(struct command *command)
{
	if (command->done < command->length)
		submit_buffer(
			command, TCMU_IO_READ, 0, command->offset + command->done,
			exec_read_buffer(command), exec_verify_chunk(command), exec_step_verify);
	else if (command->plan.op == SCSI_PLAN_WRITE_VERIFY)
		exec_finish_write(command);
	else
		command_end(command, SCSI_GOOD, NULL);
}

static void exec_step_verify(struct command *command, int error)
{
	if (error) {
		command_end_failed(command, error);
		return;
	}
	if ((command->plan.flags & SCSI_PLAN_COMPARE) &&
	    !exec_compare_read(command, command->io.length))
		return;
	command->done += command->io.length;
	exec_verify_next(command);
}

static void exec_step_write_verify(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		exec_verify_next(command);
}

static void exec_begin_write_verify(struct command *command)
{
	if (command->length == 0)
		command_end(command, SCSI_GOOD, NULL);
	else if (command->bounce_length >= command->length)
		submit_buffer(
			command, TCMU_IO_WRITE, exec_write_flags(command), command->offset,
			command->bounce, command->length, exec_step_write_verify);
	else
		submit_ring(
			command, TCMU_IO_WRITE, exec_write_flags(command), command->offset,
			command->length, command->length, exec_step_write_verify);
}

/* Only while nothing but this device writes to the range: see notes/notes.h. False: the ring is
 * gone. Without a note, nothing would be known of the command any more. */
static bool exec_note_write(struct command *command)
{
	struct core *core = command->core;
	bool attached;

	assert(command->exclusive && !command->internal && !command->note);
	if (!core->setup.notes || command->aborted)
		return true;
	core_lock_ring(core);
	attached = core->ring_state == CORE_RING_ATTACHED;
	if (attached && tcmu_ring_mark(&core->ring) == 0)
		command->note = notes_begin(
			core->setup.notes, command->cmd_id, command->offset, command->length,
			command->iov, command->iov_cnt, command->length, core->ring.base,
			core->ring.published);
	core_unlock_ring(core);
	return attached;
}

/* ------- a COMPARE AND WRITE whose outcome is unknown ------- */

/* To write the same again changes nothing, so an initiator may repeat other commands without
 * knowing whether they were carried out. A COMPARE AND WRITE that was carried out miscompares when
 * it is repeated, and its initiator takes its own lock for another host's. So it must never end
 * with a status at which initiators repeat it, once its write may have reached the medium. */

static void exec_step_compare_flushed(struct command *command, int error)
{
	assert(command->plan.op == SCSI_PLAN_COMPARE_AND_WRITE);
	if (error && (error == -ECANCELED || scsi_error_is_busy(error)))
		error = -ENOTRECOVERABLE;
	exec_step_last(command, error);
}

/* The range has been held since before the write, and submit_io() has checked that the lock was
 * held for as long. So the blocks are as this command has found or left them. */
static void exec_step_read_back(struct command *command, int error)
{
	const uint8_t *got = exec_read_buffer(command);
	uint64_t length = command->length;

	assert(command->exclusive && command->bounce_length == 2 * length);
	if (!error && memcmp(got, command->bounce + length, length) == 0)
		exec_finish_change(command);
	else if (!error && memcmp(got, command->bounce, length) == 0)
		command_end_failed(command, -EBUSY);
	else
		command_end_failed_at(command, -ENOTRECOVERABLE, command->plan.lba, 0);
}

/* A handler's own COMPARE AND WRITE needs no copy of the data before. */
static bool exec_copy_compared(struct command *command)
{
	struct core *core = command->core;
	bool ready = command->bounce;

	if (ready)
		return true;
	core_lock_ring(core);
	if (core->ring_state == CORE_RING_ATTACHED)
		ready = exec_prepare_copy(command, 2 * command->length, command->length);
	core_unlock_ring(core);
	return ready;
}

static void exec_read_back(struct command *command)
{
	if (command->exclusive && !exec_is_cancelled(command) && exec_copy_compared(command))
		submit_buffer(
			command, TCMU_IO_READ, 0, command->offset, exec_read_buffer(command),
			command->length, exec_step_read_back);
	else
		command_end_failed_at(command, -ENOTRECOVERABLE, command->plan.lba, 0);
}

static void exec_step_compare_written(struct command *command, int error)
{
	assert(command->plan.op == SCSI_PLAN_COMPARE_AND_WRITE);
	if (error == -ETIMEDOUT)
		core_signal(command->core, IO_SIGNAL_TIMED_OUT);
	if (error == -ETIMEDOUT || error == -ESHUTDOWN || error == -ECANCELED)
		exec_read_back(command);
	else if (error)
		command_end_failed(command, error);
	else if (command->bounce)
		exec_finish_write(command);
	else
		exec_finish_change(command);
}

static void exec_step_compare_and_write(struct command *command, int error)
{
	uint64_t length = command->length;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	assert(command->exclusive && command->started);
	if (!exec_compare_read(command, length))
		return;
	if (!exec_note_write(command)) {
		command_end_failed(command, -EBUSY);
		return;
	}
	submit_buffer(
		command, TCMU_IO_WRITE, exec_write_flags(command), command->offset,
		command->bounce + length, length, exec_step_compare_written);
}

static void exec_step_native_compare_and_write(struct command *command, int error)
{
	if (error == -EILSEQ)
		command_end_failed_at(command, error, command->plan.lba, command->io.result);
	else
		exec_step_compare_written(command, error);
}

static void exec_begin_compare_and_write(struct command *command)
{
	uint64_t length = command->length;

	if (length == 0)
		command_end(command, SCSI_GOOD, NULL);
	else if (!command->bounce)
		submit_ring(
			command, TCMU_IO_COMPARE_AND_WRITE, 0, command->offset, 2 * length, length,
			exec_step_native_compare_and_write);
	else if (submit_handler_can(command->core, TCMU_IO_COMPARE_AND_WRITE)) {
		command->io_iov[0] = (struct iovec){
			.iov_base = command->bounce, .iov_len = 2 * length};
		submit_io(
			command, TCMU_IO_COMPARE_AND_WRITE, 0, command->offset, length, 1,
			exec_step_native_compare_and_write);
	} else
		submit_buffer(
			command, TCMU_IO_READ, 0, command->offset, exec_read_buffer(command),
			length, exec_step_compare_and_write);
}

static void exec_step_orwrite(struct command *command, int error)
{
	uint64_t length = command->length;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	assert(command->exclusive && command->bounce_length == length);
	for (uint64_t i = 0; i < length; i++)
		command->bounce[i] |= exec_read_buffer(command)[i];
	submit_buffer(
		command, TCMU_IO_WRITE, exec_write_flags(command), command->offset, command->bounce,
		length, exec_step_written);
}

static void exec_begin_orwrite(struct command *command)
{
	uint64_t length = command->length;

	if (length == 0)
		command_end(command, SCSI_GOOD, NULL);
	else
		submit_buffer(
			command, TCMU_IO_READ, 0, command->offset, exec_read_buffer(command),
			length, exec_step_orwrite);
}

/* PRE-FETCH: the medium's cache is the kernel's. */
static void exec_begin_prefetch(struct command *command)
{
	command_end(command, SCSI_GOOD, NULL);
}

/* ------- GET LBA STATUS ------- */

#define MAP_DESCRIPTORS_MAX 64

/* The descriptors are collected at the start of bounce; the answer is composed behind them. */
static void exec_end_map(struct command *command)
{
	struct scsi_lba_status *status = (struct scsi_lba_status *) command->bounce;
	struct scsi_result result = {.data = exec_read_buffer(command)};
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.data_length = command->data_length,
	};

	assert(command->extent <= MAP_DESCRIPTORS_MAX);
	scsi_answer_lba_status(&task, status, command->extent, &result);
	memmove(command->bounce, result.data, result.data_length);
	command->answer_length = result.data_length;
	command_end(command, result.status, &result.sense);
}

static void exec_step_map(struct command *command, int error)
{
	struct scsi_lba_status *status = (struct scsi_lba_status *) command->bounce;
	uint64_t blocks = command->io.result / command->block_size;
	bool mapped = command->io.result_flags & TCMU_IO_MAPPED;

	if (error || blocks == 0) {
		command_end_failed(command, error ? error : -EIO);
		return;
	}
	assert(command->extent < MAP_DESCRIPTORS_MAX);
	if (command->extent && status[command->extent - 1].mapped == mapped)
		status[command->extent - 1].blocks += blocks;
	else
		status[command->extent++] = (struct scsi_lba_status){
			.lba = command->plan.lba + command->done / command->block_size,
			.blocks = blocks,
			.mapped = mapped,
		};
	command->done += blocks * command->block_size;
	if (command->done >= command->length || command->extent == MAP_DESCRIPTORS_MAX)
		exec_end_map(command);
	else
		submit_io(
			command, TCMU_IO_MAP, 0, command->offset + command->done,
			command->length - command->done, 0, exec_step_map);
}

static void exec_begin_map(struct command *command)
{
	submit_io(command, TCMU_IO_MAP, 0, command->offset, command->length, 0, exec_step_map);
}

/* ------- the start of a plan ------- */

static bool exec_prepare_verify(struct command *command, uint64_t room)
{
	uint32_t flags = command->plan.flags;

	if (!(flags & SCSI_PLAN_COMPARE))
		return exec_prepare_copy(command, 0, room);
	return exec_prepare_copy(
		command, flags & SCSI_PLAN_ONE_BLOCK ? command->block_size : command->length, room);
}

/* A handler that carries it out itself needs no exclusive range, but reading back does. */
static bool exec_prepare_compare_and_write(struct command *command)
{
	bool native = submit_handler_can(command->core, TCMU_IO_COMPARE_AND_WRITE);

	command->exclusive = !native || command->core->setup.handler->lock;
	if (!native)
		return exec_prepare_copy(command, 2 * command->length, command->length);
	return !exec_wants_flat(command) || exec_prepare_copy(command, 2 * command->length, 0);
}

static bool exec_prepare_map(struct command *command)
{
	uint64_t descriptors = MAP_DESCRIPTORS_MAX * sizeof(struct scsi_lba_status);
	bool ready = exec_prepare_copy(command, 0, descriptors + SCSI_DATA_MAX);

	command->bounce_length = descriptors;
	return ready;
}

/* Where the initiator's room ends within a block, or the handler takes one piece and there are
 * several, the blocks go to bounce first. */
static bool exec_prepare_read(struct command *command)
{
	uint64_t length = exec_read_length(command);
	bool partial = command->data_length < length;

	assert(length % command->block_size == 0);
	return !length || (!partial && !exec_wants_flat(command)) ||
		exec_prepare_copy(command, 0, length);
}

static bool exec_prepare_write(struct command *command)
{
	return !command->length || !exec_wants_flat(command) ||
		exec_prepare_copy(command, command->length, 0);
}

/* Copies of data and room to read into, which most plans do not need. */
static bool exec_prepare_data(struct command *command)
{
	uint64_t room = command->length < COMMAND_PIECE_MAX ? command->length : COMMAND_PIECE_MAX;

	switch (command->plan.op) {
	case SCSI_PLAN_WRITE_SAME:
		return exec_prepare_write_same(command);
	case SCSI_PLAN_VERIFY:
		return exec_prepare_verify(command, room);
	case SCSI_PLAN_WRITE_VERIFY:
		return exec_prepare_copy(
			command,
			(command->plan.flags & SCSI_PLAN_COMPARE) || exec_wants_flat(command)
				? command->length
				: 0,
			room);
	case SCSI_PLAN_COMPARE_AND_WRITE:
		return exec_prepare_compare_and_write(command);
	case SCSI_PLAN_ORWRITE:
		command->exclusive = true;
		return exec_prepare_copy(command, command->length, command->length);
	case SCSI_PLAN_MAP:
		return exec_prepare_map(command);
	default:
		return true;
	}
}

static const struct {
	void (*begin)(struct command *command); /* NULL: not a plan of this module */
	bool writes_range;
} exec_plans[] = {
	[SCSI_PLAN_READ] = {exec_begin_read, false},
	[SCSI_PLAN_WRITE] = {exec_begin_write, true},
	[SCSI_PLAN_FLUSH] = {exec_begin_flush, false},
	[SCSI_PLAN_UNMAP] = {exec_begin_unmap, true},
	[SCSI_PLAN_WRITE_SAME] = {exec_begin_write_same, true},
	[SCSI_PLAN_VERIFY] = {exec_verify_next, false},
	[SCSI_PLAN_WRITE_VERIFY] = {exec_begin_write_verify, true},
	[SCSI_PLAN_COMPARE_AND_WRITE] = {exec_begin_compare_and_write, true},
	[SCSI_PLAN_ORWRITE] = {exec_begin_orwrite, true},
	[SCSI_PLAN_MAP] = {exec_begin_map, false},
	[SCSI_PLAN_PREFETCH] = {exec_begin_prefetch, false},
};

void exec_begin(struct command *command)
{
	if (command->core->faulted)
		command_end_failed_at(command, -EREMOTEIO, command->plan.lba, 0);
	else
		exec_plans[command->plan.op].begin(command);
}

bool exec_prepare(struct command *command)
{
	enum scsi_plan_op op = command->plan.op;
	bool ready = true;

	assert(command->core->ring_locked);
	assert(op < sizeof(exec_plans) / sizeof(exec_plans[0]) && exec_plans[op].begin);
	command->block_size = command->core->setup.lu.block_size;
	command->offset = command->plan.lba * command->block_size;
	command->length = command->plan.blocks * command->block_size;
	command->writes_range = exec_plans[op].writes_range;
	assert(!command->writes_range || !command->core->setup.lu.read_only);
	command->begin = exec_begin;
	command->cancel = submit_cancel;
	if (command->plan.flags & SCSI_PLAN_CACHE_OFF)
		write_cache_prepare_off(command);
	if (op == SCSI_PLAN_READ)
		ready = (command->data_length >= command->length && !command->core->flat) ||
			exec_prepare_read(command);
	else if (op != SCSI_PLAN_WRITE)
		ready = exec_prepare_data(command);
	else if (command->core->flat)
		ready = exec_prepare_write(command);
	if (!ready)
		command_end(command, SCSI_BUSY, NULL);
	return ready;
}
