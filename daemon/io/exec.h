/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What io/submit.c (requests and their order) and io/exec.c (what is requested) share. The device's
 * thread, outside of the ring_lock, where nothing else is said.
 */
#pragma once

#include "io/thread-private.h"

static inline uint32_t block_size(const struct command *command)
{
	return command->thread->lu.block_size;
}

static inline uint64_t plan_offset(const struct command *command)
{
	return command->plan.lba * block_size(command);
}

static inline uint64_t plan_length(const struct command *command)
{
	return command->plan.blocks * block_size(command);
}

static inline bool handler_can(const struct command *command, enum tcmu_io_op op)
{
	return command->thread->info.caps & TCMU_IO_CAP(op);
}

/* ------- io/submit.c ------- */

/* Where a step goes on when its request has ended. */
typedef void submit_step(struct command *command, int error);

/* Submits a request whose command->io_iov is filled. */
void submit_io(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, unsigned iov_cnt, submit_step *step);

/* A request whose buffer is the first data bytes of the command's pages in the ring. */
void submit_ring(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, submit_step *step);

void submit_buffer(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length, submit_step *step);

void command_end_good(struct command *command);

/* The command ends with the sense for -errno, told as of the block that the request failed at. */
void command_end_failed(struct command *command, int error);

/* offset: for a miscompare, of the first differing byte in the data-out. */
void command_end_failed_at(struct command *command, int error, uint64_t lba, uint64_t offset);

/* ------- io/exec.c ------- */

/* Starts the plan; the command ends now or later. */
void exec_begin(struct command *command);

/* The block, repeated: a buffer of many to write at once, at command->bounce. NULL: zeros. False:
 * out of memory. */
bool exec_fill_same(struct command *command, const uint8_t *data);

/* ------- io/format.c ------- */

/* Under the gate: a plan with SCSI_PLAN_LONG becomes an operation of its own. The command that asks
 * for it ends now, or with it. */
void format_prepare(struct command *waiter);

/* Starts the operation. */
void format_begin(struct command *erase);
