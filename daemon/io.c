/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the plans of the SCSI code with what the handler can do, and emulates what it cannot.
 *
 * A plan is a short program: each step submits one request to the handler and names the step that follows
 * when it has completed. Everything runs on the device's thread, outside of the gate, but for io_prepare()
 * and io_copy_in(), which touch the ring's pages and run under it. What the core itself must look at (data
 * to compare, a block to repeat) is copied by io_prepare(), so that no later step depends on the ring being
 * there.
 *
 * COMPARE AND WRITE and ORWRITE are atomic against every other write of this device: they are exclusive for
 * their range, and whoever overlaps waits in the order of arrival.
 */
#include "loop-private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

#define CHUNK_MAX    (256u * 1024)
#define BOUNCE_ALIGN 4096u

static __thread struct loop *this_loop;

static uint32_t block_size(const struct command *command)
{
	return command->loop->lu.block_size;
}

static uint64_t plan_offset(const struct command *command)
{
	return command->plan.lba * block_size(command);
}

static uint64_t plan_length(const struct command *command)
{
	return command->plan.blocks * block_size(command);
}

static bool handler_can(const struct command *command, enum tcmu_io_op op)
{
	return command->loop->info.caps & TCMU_IO_CAP(op);
}

/* ------- the end of a command ------- */

void io_end(struct command *command, uint8_t status, const struct scsi_sense *sense)
{
	struct loop *loop = command->loop;

	command->status = command->aborted ? SCSI_TASK_ABORTED : status;
	if (status == SCSI_CHECK_CONDITION && sense)
		scsi_sense_encode(&loop->lu, sense, command->sense);
	if (command->started && command->exclusive)
		loop->exclusive_cnt--;
	command->started = false;
	command_list_add(&loop->ended, command);
}

static void end_good(struct command *command)
{
	io_end(command, SCSI_GOOD, NULL);
}

/* offset: for a miscompare, of the first differing byte in the data-out. */
static void end_failed_at(struct command *command, int error, uint64_t lba, uint64_t offset)
{
	struct scsi_result result = {.status = SCSI_CHECK_CONDITION};

	scsi_io_error(&command->plan, error, lba, offset, &result);
	io_end(command, result.status, &result.sense);
}

static void end_failed(struct command *command, int error)
{
	end_failed_at(command, error, command->io.result / block_size(command), 0);
}

/* A length of 0 cannot be told: the kernel takes all of the buffer then, so nothing of others may be in it. */
void io_copy_in(struct command *command, const uint8_t *data, uint32_t len)
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
	struct command *command = (struct command *) ((char *) work - offsetof(struct command, work));

	command->loop->setup.handler->submit(command->loop->setup.backend, &command->io);
}

static void submit(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t length,
	unsigned iov_cnt, void (*step)(struct command *, int))
{
	struct loop *loop = command->loop;

	if (loop->abandoned || command->aborted) {
		end_failed_at(command, -ECANCELED, command->plan.lba, 0);
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
	command->io.host = loop->setup.host;
	command->io.dev = loop->setup.host_device;
	command->io_error = 0;
	atomic_store_explicit(&command->phase, IO_SUBMITTED, memory_order_release);
	atomic_fetch_add_explicit(&loop->in_flight, 1, memory_order_relaxed);

	if (loop->workers) {
		command->work.run = run_blocking;
		workers_queue(loop->workers, &command->work);
	} else {
		loop->setup.handler->submit(loop->setup.backend, &command->io);
	}
}

/* A request whose buffer is length bytes of the ring's pages, from the start of the command's data. */
static void submit_ring(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, void (*step)(struct command *, int))
{
	unsigned cnt = iov_clip(command->iov, command->iov_cnt, data, command->io_iov);

	submit(command, op, flags, offset, length, cnt, step);
}

static void submit_buffer(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length, void (*step)(struct command *, int))
{
	command->io_iov[0] = (struct iovec){.iov_base = buffer, .iov_len = length};
	submit(command, op, flags, offset, length, 1, step);
}

void io_complete(struct tcmu_io *io, int error)
{
	struct command *command = command_of_io(io);
	struct loop *loop = command->loop;
	enum io_phase expected = IO_SUBMITTED;
	struct command *head;

	/* A second completion of the same request is the handler's mistake and changes nothing. */
	if (!atomic_compare_exchange_strong(&command->phase, &expected, IO_COMPLETED))
		return;
	command->io_error = error;
	head = atomic_load_explicit(&loop->finished, memory_order_relaxed);
	do {
		command->finished_next = head;
	} while (!atomic_compare_exchange_weak(&loop->finished, &head, command));
	if (this_loop != loop)
		loop_wake(loop);
}

void io_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	aio_queue(command_of_io(io)->loop->engine, io, aio);
}

static unsigned take_finished(struct loop *loop)
{
	struct command *command = atomic_exchange_explicit(&loop->finished, NULL, memory_order_acq_rel);
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
		atomic_fetch_sub_explicit(&loop->in_flight, 1, memory_order_relaxed);
		oldest->step(oldest, oldest->io_error);
		oldest = next;
		cnt++;
	}
	return cnt;
}

unsigned io_reap(struct loop *loop)
{
	unsigned cnt = 0;
	unsigned taken;

	this_loop = loop;
	do {
		taken = loop->engine ? aio_reap(loop->engine) : 0;
		taken += take_finished(loop);
		cnt += taken;
	} while (taken);
	return cnt;
}

void io_cancel(struct command *command)
{
	struct loop *loop = command->loop;
	const struct tcmu_handler *handler = loop->setup.handler;

	if (atomic_load_explicit(&command->phase, memory_order_acquire) != IO_SUBMITTED)
		return;
	if (loop->workers && workers_cancel(loop->workers, &command->work) == 0) {
		io_complete(&command->io, -ECANCELED);
		return;
	}
	if (loop->engine)
		aio_cancel(loop->engine, &command->io);
	if (handler->cancel)
		handler->cancel(loop->setup.backend, &command->io);
}

/* ------- READ, WRITE, FLUSH ------- */

static void step_last(struct command *command, int error)
{
	if (error)
		end_failed(command, error);
	else
		end_good(command);
}

static void step_read(struct command *command, int error)
{
	if (!error && plan_length(command) < command->data_length) {
		command->has_read_len = true;
		command->read_len = (uint32_t) plan_length(command);
	}
	step_last(command, error);
}

/* The initiator may have room for less than it asked for: the rest is not read. Where its room ends within a
 * block, the blocks go to bounce first. */
static bool read_needs_copy(const struct command *command)
{
	return command->data_length < plan_length(command) && command->data_length % block_size(command);
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
		end_good(command);
	else if (read_needs_copy(command))
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), command->bounce, length,
			step_read_copy);
	else
		submit_ring(command, TCMU_IO_READ, 0, plan_offset(command), length, length, step_read);
}

/* Whether what the command writes must be on stable storage before its status is sent (SBC-3 4.15, 5.32). */
static bool wants_stable(const struct command *command)
{
	return command->loop->info.volatile_cache &&
		((command->plan.flags & SCSI_PLAN_FUA) || !command->loop->lu.write_cache);
}

static uint32_t write_flags(const struct command *command)
{
	return wants_stable(command) && command->loop->info.fua ? TCMU_IO_FUA : 0;
}

/* The end of everything that wrote: GOOD, after a flush where the handler has no FUA of its own. */
static void finish_write(struct command *command)
{
	if (wants_stable(command) && !command->loop->info.fua)
		submit(command, TCMU_IO_FLUSH, 0, 0, 0, 0, step_last);
	else
		end_good(command);
}

static void step_written(struct command *command, int error)
{
	if (error)
		end_failed(command, error);
	else
		finish_write(command);
}

static void begin_write(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		end_good(command);
	else
		submit_ring(
			command, TCMU_IO_WRITE, write_flags(command), plan_offset(command), length, length,
			step_written);
}

static void begin_flush(struct command *command)
{
	if (handler_can(command, TCMU_IO_FLUSH))
		submit(command, TCMU_IO_FLUSH, 0, 0, 0, 0, step_last);
	else
		end_good(command);
}

/* ------- UNMAP, WRITE SAME ------- */

static void step_unmap(struct command *command, int error)
{
	const struct scsi_plan *plan = &command->plan;

	if (error) {
		end_failed(command, error);
		return;
	}
	while (command->extent < plan->extent_cnt) {
		const struct scsi_extent *extent = &plan->extents[command->extent++];

		if (extent->blocks) {
			submit(command, TCMU_IO_UNMAP, 0, extent->lba * block_size(command),
			       extent->blocks * block_size(command), 0, step_unmap);
			return;
		}
	}
	finish_write(command);
}

static void step_write_same(struct command *command, int error)
{
	uint64_t left;

	if (error) {
		end_failed(command, error);
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

static void step_write_zeroes(struct command *command, int error)
{
	if (error == -EOPNOTSUPP)
		step_write_same(command, 0);
	else
		step_written(command, error);
}

static void begin_write_same(struct command *command)
{
	uint32_t flags = write_flags(command);

	if (command->plan.flags & SCSI_PLAN_MAY_UNMAP)
		flags |= TCMU_IO_MAY_UNMAP;
	if ((command->plan.flags & SCSI_PLAN_ZEROES) && handler_can(command, TCMU_IO_WRITE_ZEROES))
		submit(command, TCMU_IO_WRITE_ZEROES, flags, plan_offset(command), plan_length(command), 0,
		       step_write_zeroes);
	else
		step_write_same(command, 0);
}

/* Page aligned, so that direct I/O can use it. */
static uint8_t *bounce_new(uint64_t length)
{
	return aligned_alloc(BOUNCE_ALIGN, (length + BOUNCE_ALIGN) / BOUNCE_ALIGN * BOUNCE_ALIGN);
}

/* The block, repeated: a buffer of many to write at once. */
static bool prepare_write_same(struct command *command)
{
	uint32_t block = block_size(command);
	uint64_t length = plan_length(command) < CHUNK_MAX ? plan_length(command) : CHUNK_MAX;

	length -= length % block;
	command->bounce = bounce_new(length);
	if (!command->bounce)
		return false;
	memset(command->bounce, 0, length);
	command->bounce_length = length;
	if (command->plan.flags & SCSI_PLAN_ZEROES)
		return true;
	iov_copy_from(command->iov, command->iov_cnt, command->bounce, block);
	if (memory_is_zero(command->bounce, block))
		command->plan.flags |= SCSI_PLAN_ZEROES;
	for (uint64_t filled = block; filled < length; filled += block)
		memcpy(command->bounce + filled, command->bounce, block);
	return true;
}

/* ------- VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE ------- */

/* Behind the copy of the data-out there is room to read into. */
static uint8_t *read_buffer(struct command *command)
{
	return command->bounce + command->bounce_length;
}

static bool prepare_copy(struct command *command, uint64_t copy, uint64_t room)
{
	command->bounce = bounce_new(copy + room);
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

/* Compares what was read, the plan's bytes from done on, with the data-out. True: equal; false: the command
 * ended. */
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

			end_failed_at(
				command, -EILSEQ, command->plan.lba + at / block, (one ? 0 : at) + same);
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
			command, TCMU_IO_READ, 0, plan_offset(command) + command->done, read_buffer(command),
			verify_chunk(command), step_verify);
	else if (command->plan.op == SCSI_PLAN_WRITE_VERIFY)
		finish_write(command);
	else
		end_good(command);
}

static void step_verify(struct command *command, int error)
{
	if (error) {
		end_failed(command, error);
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
		end_failed(command, error);
	else
		verify_next(command);
}

static void begin_write_verify(struct command *command)
{
	if (plan_length(command) == 0)
		end_good(command);
	else
		submit_ring(
			command, TCMU_IO_WRITE, write_flags(command), plan_offset(command),
			plan_length(command), plan_length(command), step_write_verify);
}

static void step_compare_and_write(struct command *command, int error)
{
	uint64_t length = plan_length(command);

	if (error) {
		end_failed(command, error);
		return;
	}
	if (!compare_read(command, length))
		return;
	submit_buffer(
		command, TCMU_IO_WRITE, write_flags(command), plan_offset(command), command->bounce + length,
		length, step_written);
}

static void step_native_compare_and_write(struct command *command, int error)
{
	if (error == -EILSEQ)
		end_failed_at(command, error, command->plan.lba, command->io.result);
	else
		step_written(command, error);
}

static void begin_compare_and_write(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		end_good(command);
	else if (handler_can(command, TCMU_IO_COMPARE_AND_WRITE))
		submit_ring(
			command, TCMU_IO_COMPARE_AND_WRITE, write_flags(command), plan_offset(command),
			2 * length, length, step_native_compare_and_write);
	else
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), read_buffer(command), length,
			step_compare_and_write);
}

static void step_orwrite(struct command *command, int error)
{
	uint64_t length = plan_length(command);

	if (error) {
		end_failed(command, error);
		return;
	}
	for (uint64_t i = 0; i < length; i++)
		command->bounce[i] |= read_buffer(command)[i];
	submit_buffer(
		command, TCMU_IO_WRITE, write_flags(command), plan_offset(command), command->bounce, length,
		step_written);
}

static void begin_orwrite(struct command *command)
{
	uint64_t length = plan_length(command);

	if (length == 0)
		end_good(command);
	else
		submit_buffer(
			command, TCMU_IO_READ, 0, plan_offset(command), read_buffer(command), length,
			step_orwrite);
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
	io_end(command, result.status, &result.sense);
}

static void step_map(struct command *command, int error)
{
	struct scsi_lba_status *status = (struct scsi_lba_status *) command->bounce;
	uint64_t blocks = command->io.result / block_size(command);
	bool mapped = command->io.result_flags & TCMU_IO_MAPPED;

	if (error || blocks == 0) {
		end_failed(command, error ? error : -EIO);
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
		submit(command, TCMU_IO_MAP, 0, plan_offset(command) + command->done,
		       plan_length(command) - command->done, 0, step_map);
}

static void begin_map(struct command *command)
{
	submit(command, TCMU_IO_MAP, 0, plan_offset(command), plan_length(command), 0, step_map);
}

/* ------- the start of a plan ------- */

bool io_prepare(struct command *command)
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
			command, 0, MAP_DESCRIPTORS_MAX * sizeof(struct scsi_lba_status) + SCSI_DATA_MAX);
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
		break;
	}
	if (!ready)
		io_end(command, SCSI_BUSY, NULL);
	return ready;
}

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
	const struct loop *loop = command->loop;

	if (!command->writes_range || (!command->exclusive && !loop->exclusive_cnt && !loop->blocked.first))
		return false;
	for (const struct command *other = loop->blocked.first; other && other != command;
	     other = other->next)
		if (commands_conflict(command, other))
			return true;
	for (unsigned i = 0; i < loop->pool.count; i++) {
		const struct command *other = command_at(&loop->pool, i);

		if (other != command && other->in_use && other->started && commands_conflict(command, other))
			return true;
	}
	return false;
}

static void begin(struct command *command)
{
	static void (*const begins[])(struct command *) = {
		[SCSI_PLAN_READ] = begin_read,
		[SCSI_PLAN_WRITE] = begin_write,
		[SCSI_PLAN_FLUSH] = begin_flush,
		[SCSI_PLAN_WRITE_SAME] = begin_write_same,
		[SCSI_PLAN_VERIFY] = verify_next,
		[SCSI_PLAN_WRITE_VERIFY] = begin_write_verify,
		[SCSI_PLAN_COMPARE_AND_WRITE] = begin_compare_and_write,
		[SCSI_PLAN_ORWRITE] = begin_orwrite,
		[SCSI_PLAN_MAP] = begin_map,
		[SCSI_PLAN_PREFETCH] = end_good,
	};

	this_loop = command->loop;
	command->started = true;
	if (command->exclusive)
		command->loop->exclusive_cnt++;
	if (command->loop->sick)
		end_failed_at(command, -EREMOTEIO, command->plan.lba, 0);
	else if (command->plan.op == SCSI_PLAN_UNMAP)
		step_unmap(command, 0);
	else
		begins[command->plan.op](command);
}

void io_start(struct command *command)
{
	if (must_wait(command))
		command_list_add(&command->loop->blocked, command);
	else
		begin(command);
}

void io_unblock(struct loop *loop)
{
	struct command *command = loop->blocked.first;
	struct command_list still;

	if (!command)
		return;
	command_list_init(&still);
	while ((command = loop->blocked.first)) {
		bool waits = must_wait(command);

		for (struct command *other = still.first; other && !waits; other = other->next)
			waits = commands_conflict(command, other);
		command_list_take(&loop->blocked);
		if (waits)
			command_list_add(&still, command);
		else
			begin(command);
	}
	if (still.first)
		loop->blocked = still;
}
