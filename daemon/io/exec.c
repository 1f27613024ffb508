/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the plans of the SCSI code with what the handler can do, and emulates what it cannot.
 *
 * A plan is a short program: each step submits one request to the handler and names the step that
 * follows when it has completed. Everything runs on the device's thread, outside of the ring_lock,
 * but for exec_prepare(), which touches the ring's pages and runs under it: what the core itself
 * must look at (data to compare, a block to repeat) is copied there, so that no later step depends
 * on the ring being there.
 */
#include "io/exec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define CHUNK_MAX (UINT64_C(256) * 1024)

/* ------- READ, WRITE, FLUSH ------- */

static void step_last(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		command_end_good(command);
}

static void step_read(struct command *command, int error)
{
	if (!error && plan_length(command) < command->data_length) {
		command->has_read_len = true;
		command->read_len = (uint32_t) plan_length(command);
	}
	step_last(command, error);
}

/* The initiator may have room for less than it asked for: the rest is not read. Where its room ends
 * within a block, the blocks go to bounce first. */
static bool read_needs_copy(const struct command *command)
{
	return command->data_length < plan_length(command) &&
		command->data_length % block_size(command);
}

static uint64_t read_length(const struct command *command)
{
	uint64_t block = block_size(command);
	uint64_t room = (command->data_length + block - 1) / block * block;

	return plan_length(command) < room ? plan_length(command) : room;
}

static void step_read_copy(struct command *command, int error)
{
	if (!error)
		command->answer_length = (uint32_t) command->data_length;
	step_last(command, error);
}

static void begin_read(struct command *command)
{
	uint64_t length = read_length(command);

	if (length == 0)
		command_end_good(command);
	else if (read_needs_copy(command))
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), command->bounce, length,
			step_read_copy);
	else
		submit_ring(
			command, TCMU_IO_READ, 0, plan_offset(command), length, length, step_read);
}

/* Whether what the command writes must be on stable storage before its status is sent
 * (SBC-3 4.15, 5.32). */
static bool wants_stable(const struct command *command)
{
	return command->thread->info.volatile_cache &&
		((command->plan.flags & SCSI_PLAN_FUA) || !command->thread->lu.write_cache);
}

static uint32_t write_flags(const struct command *command)
{
	return (wants_stable(command) && command->thread->info.fua ? TCMU_IO_FUA : 0) |
		(command->plan.flags & SCSI_PLAN_ATOMIC ? TCMU_IO_ATOMIC : 0);
}

static uint64_t first_lba(const struct command *command)
{
	return command->plan.op == SCSI_PLAN_UNMAP ? command->plan.extents[0].lba
						   : command->plan.lba;
}

/* The end of what changed the medium by requests that FUA does not go with. A flush that fails is
 * told as of the command's first block. */
static void finish_change(struct command *command)
{
	if (wants_stable(command) && handler_can(command, TCMU_IO_FLUSH))
		submit_io(
			command, TCMU_IO_FLUSH, 0, first_lba(command) * block_size(command), 0, 0,
			step_last);
	else
		command_end_good(command);
}

/* The end of what wrote: GOOD, after a flush where the handler has no FUA of its own. */
static void finish_write(struct command *command)
{
	if (command->thread->info.fua)
		command_end_good(command);
	else
		finish_change(command);
}

static void step_written(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		finish_write(command);
}

static void begin_write(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		command_end_good(command);
	else
		submit_ring(
			command, TCMU_IO_WRITE, write_flags(command), plan_offset(command), length,
			length, step_written);
}

static void begin_flush(struct command *command)
{
	if (handler_can(command, TCMU_IO_FLUSH))
		submit_io(command, TCMU_IO_FLUSH, 0, 0, 0, 0, step_last);
	else
		command_end_good(command);
}

/* ------- UNMAP, WRITE SAME ------- */

static void step_unmap(struct command *command, int error)
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
				command, TCMU_IO_UNMAP, 0, extent->lba * block_size(command),
				extent->blocks * block_size(command), 0, step_unmap);
			return;
		}
	}
	finish_change(command);
}

static void begin_unmap(struct command *command)
{
	step_unmap(command, 0);
}

static void step_write_same(struct command *command, int error)
{
	uint64_t left;

	if (error) {
		command_end_failed(command, error);
		return;
	}
	left = plan_length(command) - command->done;
	if (left == 0) {
		finish_write(command);
		return;
	}
	if (left > command->bounce_length)
		left = command->bounce_length;
	submit_buffer(
		command, TCMU_IO_WRITE, write_flags(command), plan_offset(command) + command->done,
		command->bounce, left, step_write_same);
	command->done += left;
}

bool exec_fill_same(struct command *command, const uint8_t *data)
{
	uint32_t block = block_size(command);
	uint64_t length = plan_length(command) < CHUNK_MAX ? plan_length(command) : CHUNK_MAX;

	length -= length % block;
	command->bounce = bounce_alloc(&command->thread->pool, length);
	if (!command->bounce)
		return false;
	command->bounce_length = length;
	if (!data)
		memset(command->bounce, 0, length);
	for (uint64_t filled = 0; data && filled < length; filled += block)
		memcpy(command->bounce + filled, data, block);
	return true;
}

/* Where the handler repeats a block, it needs it once. */
static bool keep_block(struct command *command, const uint8_t *data)
{
	command->bounce_length = block_size(command);
	command->bounce = bounce_alloc(&command->thread->pool, command->bounce_length);
	if (command->bounce)
		memcpy(command->bounce, data, command->bounce_length);
	return command->bounce;
}

/* Where the handler writes zeros, no buffer of them is needed, unless it cannot after all. */
static bool prepare_write_same(struct command *command)
{
	uint8_t *data = command->thread->data;

	if (!(command->plan.flags & SCSI_PLAN_ZEROES)) {
		iov_copy_from(command->iov, command->iov_cnt, data, block_size(command));
		if (memory_is_zero(data, block_size(command)))
			command->plan.flags |= SCSI_PLAN_ZEROES;
	}
	if (!(command->plan.flags & SCSI_PLAN_ZEROES))
		return handler_can(command, TCMU_IO_WRITE_SAME) ? keep_block(command, data)
								: exec_fill_same(command, data);
	return handler_can(command, TCMU_IO_WRITE_ZEROES) || exec_fill_same(command, NULL);
}

static void write_zeroes_as_data(struct command *command)
{
	if (command->bounce || exec_fill_same(command, NULL))
		step_write_same(command, 0);
	else
		command_end(command, SCSI_BUSY, NULL);
}

static void step_write_zeroes(struct command *command, int error)
{
	if (error == -EOPNOTSUPP)
		write_zeroes_as_data(command);
	else
		step_written(command, error);
}

static void begin_write_same(struct command *command)
{
	uint32_t flags = write_flags(command);

	if (command->plan.flags & SCSI_PLAN_MAY_UNMAP)
		flags |= TCMU_IO_MAY_UNMAP;
	if (!(command->plan.flags & SCSI_PLAN_ZEROES) && handler_can(command, TCMU_IO_WRITE_SAME)) {
		command->io_iov[0] = (struct iovec){
			.iov_base = command->bounce, .iov_len = command->bounce_length};
		submit_io(
			command, TCMU_IO_WRITE_SAME, flags, plan_offset(command),
			plan_length(command), 1, step_written);
	} else if (!(command->plan.flags & SCSI_PLAN_ZEROES))
		step_write_same(command, 0);
	else if (handler_can(command, TCMU_IO_WRITE_ZEROES))
		submit_io(
			command, TCMU_IO_WRITE_ZEROES, flags, plan_offset(command),
			plan_length(command), 0, step_write_zeroes);
	else
		write_zeroes_as_data(command);
}

/* ------- VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE ------- */

/* Behind the copy of the data-out there is room to read into. */
static uint8_t *read_buffer(struct command *command)
{
	return command->bounce + command->bounce_length;
}

static bool prepare_copy(struct command *command, uint64_t copy, uint64_t room)
{
	command->bounce = bounce_alloc(&command->thread->pool, copy + room);
	if (!command->bounce)
		return false;
	command->bounce_length = copy;
	if (copy)
		iov_copy_from(command->iov, command->iov_cnt, command->bounce, copy);
	return true;
}

static uint64_t verify_chunk(const struct command *command)
{
	uint64_t left = plan_length(command) - command->done;

	return left < CHUNK_MAX ? left : CHUNK_MAX;
}

/* Compares what was read, the plan's bytes from done on, with the data-out. True: equal; false: the
 * command ended. */
static bool compare_read(struct command *command, uint64_t length)
{
	uint32_t block = block_size(command);
	const uint8_t *got = read_buffer(command);

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

static void step_verify(struct command *command, int error);

static void verify_next(struct command *command)
{
	if (command->done < plan_length(command))
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command) + command->done,
			read_buffer(command), verify_chunk(command), step_verify);
	else if (command->plan.op == SCSI_PLAN_WRITE_VERIFY)
		finish_write(command);
	else
		command_end_good(command);
}

static void step_verify(struct command *command, int error)
{
	if (error) {
		command_end_failed(command, error);
		return;
	}
	if ((command->plan.flags & SCSI_PLAN_COMPARE) && !compare_read(command, command->io.length))
		return;
	command->done += command->io.length;
	verify_next(command);
}

static void step_write_verify(struct command *command, int error)
{
	if (error)
		command_end_failed(command, error);
	else
		verify_next(command);
}

static void begin_write_verify(struct command *command)
{
	if (plan_length(command) == 0)
		command_end_good(command);
	else
		submit_ring(
			command, TCMU_IO_WRITE, write_flags(command), plan_offset(command),
			plan_length(command), plan_length(command), step_write_verify);
}

static void step_compare_and_write(struct command *command, int error)
{
	uint64_t length = plan_length(command);

	if (error) {
		command_end_failed(command, error);
		return;
	}
	if (!compare_read(command, length))
		return;
	submit_buffer(
		command, TCMU_IO_WRITE, write_flags(command), plan_offset(command),
		command->bounce + length, length, step_written);
}

static void step_native_compare_and_write(struct command *command, int error)
{
	if (error == -EILSEQ)
		command_end_failed_at(command, error, command->plan.lba, command->io.result);
	else if (error)
		command_end_failed(command, error);
	else
		finish_change(command);
}

static void begin_compare_and_write(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		command_end_good(command);
	else if (!command->exclusive)
		submit_ring(
			command, TCMU_IO_COMPARE_AND_WRITE, 0, plan_offset(command), 2 * length,
			length, step_native_compare_and_write);
	else
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), read_buffer(command),
			length, step_compare_and_write);
}

static void step_orwrite(struct command *command, int error)
{
	uint64_t length = plan_length(command);

	if (error) {
		command_end_failed(command, error);
		return;
	}
	for (uint64_t i = 0; i < length; i++)
		command->bounce[i] |= read_buffer(command)[i];
	submit_buffer(
		command, TCMU_IO_WRITE, write_flags(command), plan_offset(command), command->bounce,
		length, step_written);
}

static void begin_orwrite(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		command_end_good(command);
	else
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), read_buffer(command),
			length, step_orwrite);
}

/* ------- GET LBA STATUS ------- */

#define MAP_DESCRIPTORS_MAX 64

/* The descriptors are collected at the start of bounce, the answer is composed behind them. */
static void end_map(struct command *command)
{
	struct scsi_lba_status *status = (struct scsi_lba_status *) command->bounce;
	struct scsi_result result = {.data = read_buffer(command)};
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.data_length = command->data_length,
	};

	scsi_answer_lba_status(&task, status, command->extent, &result);
	memmove(command->bounce, result.data, result.data_length);
	command->answer_length = result.data_length;
	command_end(command, result.status, &result.sense);
}

static void step_map(struct command *command, int error)
{
	struct scsi_lba_status *status = (struct scsi_lba_status *) command->bounce;
	uint64_t blocks = command->io.result / block_size(command);
	bool mapped = command->io.result_flags & TCMU_IO_MAPPED;

	if (error || blocks == 0) {
		command_end_failed(command, error ? error : -EIO);
		return;
	}
	if (command->extent && status[command->extent - 1].mapped == mapped)
		status[command->extent - 1].blocks += blocks;
	else
		status[command->extent++] = (struct scsi_lba_status){
			.lba = command->plan.lba + command->done / block_size(command),
			.blocks = blocks,
			.mapped = mapped,
		};
	command->done += blocks * block_size(command);
	if (command->done >= plan_length(command) || command->extent == MAP_DESCRIPTORS_MAX)
		end_map(command);
	else
		submit_io(
			command, TCMU_IO_MAP, 0, plan_offset(command) + command->done,
			plan_length(command) - command->done, 0, step_map);
}

static void begin_map(struct command *command)
{
	submit_io(command, TCMU_IO_MAP, 0, plan_offset(command), plan_length(command), 0, step_map);
}

/* ------- the start of a plan ------- */

static bool prepare(struct command *command)
{
	uint64_t length = plan_length(command);
	uint32_t flags = command->plan.flags;
	uint64_t room = length < CHUNK_MAX ? length : CHUNK_MAX;
	bool ready = true;

	switch (command->plan.op) {
	case SCSI_PLAN_WRITE_SAME:
		command->writes_range = true;
		ready = prepare_write_same(command);
		break;
	case SCSI_PLAN_VERIFY:
		ready = prepare_copy(
			command,
			!(flags & SCSI_PLAN_COMPARE)            ? 0
				: (flags & SCSI_PLAN_ONE_BLOCK) ? block_size(command)
								: length,
			room);
		break;
	case SCSI_PLAN_WRITE_VERIFY:
		command->writes_range = true;
		ready = prepare_copy(command, flags & SCSI_PLAN_COMPARE ? length : 0, room);
		break;
	case SCSI_PLAN_COMPARE_AND_WRITE:
		command->writes_range = true;
		command->exclusive = !handler_can(command, TCMU_IO_COMPARE_AND_WRITE);
		ready = !command->exclusive || prepare_copy(command, 2 * length, length);
		break;
	case SCSI_PLAN_ORWRITE:
		command->writes_range = true;
		command->exclusive = true;
		ready = prepare_copy(command, length, length);
		break;
	case SCSI_PLAN_MAP:
		ready = prepare_copy(
			command, 0,
			MAP_DESCRIPTORS_MAX * sizeof(struct scsi_lba_status) + SCSI_DATA_MAX);
		command->bounce_length = MAP_DESCRIPTORS_MAX * sizeof(struct scsi_lba_status);
		break;
	case SCSI_PLAN_WRITE:
	case SCSI_PLAN_UNMAP:
		command->writes_range = true;
		break;
	case SCSI_PLAN_READ:
		ready = !read_needs_copy(command) || prepare_copy(command, 0, read_length(command));
		break;
	case SCSI_PLAN_FLUSH:
	case SCSI_PLAN_PREFETCH:
	case SCSI_PLAN_XCOPY:
	case SCSI_PLAN_ABORT_XCOPY:
	case SCSI_PLAN_SET_GROUPS:
		break;
	}
	if (!ready)
		command_end(command, SCSI_BUSY, NULL);
	return ready;
}

bool exec_prepare(struct command *command)
{
	if (!(command->plan.flags & SCSI_PLAN_LONG))
		return prepare(command);
	format_prepare(command);
	return false;
}

void exec_begin(struct command *command)
{
	static void (*const begins[])(struct command *) = {
		[SCSI_PLAN_READ] = begin_read,
		[SCSI_PLAN_WRITE] = begin_write,
		[SCSI_PLAN_FLUSH] = begin_flush,
		[SCSI_PLAN_UNMAP] = begin_unmap,
		[SCSI_PLAN_WRITE_SAME] = begin_write_same,
		[SCSI_PLAN_VERIFY] = verify_next,
		[SCSI_PLAN_WRITE_VERIFY] = begin_write_verify,
		[SCSI_PLAN_COMPARE_AND_WRITE] = begin_compare_and_write,
		[SCSI_PLAN_ORWRITE] = begin_orwrite,
		[SCSI_PLAN_MAP] = begin_map,
		[SCSI_PLAN_PREFETCH] = command_end_good,
	};

	if (command == command->thread->format)
		format_begin(command);
	else if (command->thread->failed)
		command_end_failed_at(command, -EREMOTEIO, command->plan.lba, 0);
	else
		begins[command->plan.op](command);
}
