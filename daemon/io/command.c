/* SPDX-License-Identifier: Apache-2.0 */
/* See io/command.h. */
#include "io/command.h"

#include <assert.h>
#include <errno.h>
#include <scsi/pieces.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t command_round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

struct command *command_at(const struct command_pool *pool, unsigned i)
{
	assert(i < pool->count);
	return (struct command *) ((char *) pool->memory + (size_t) i * pool->stride);
}

int command_pool_init(
	struct command_pool *pool, struct core *core, unsigned count, unsigned iov_max,
	size_t io_size, size_t priv_size)
{
	size_t io_end = offsetof(struct command, io) + io_size;
	size_t iov_offset = command_round_up(
		io_end > sizeof(struct command) ? io_end : sizeof(struct command), 64);
	size_t priv_offset = command_round_up(
		iov_offset + 2 * (size_t) iov_max * sizeof(struct iovec), 64);

	assert(count && iov_max);
	*pool = (struct command_pool){
		.core = core,
		.stride = command_round_up(priv_offset + priv_size, 64),
		.iov_offset = iov_offset,
		.priv_offset = priv_offset,
		.iov_max = iov_max,
		.count = count,
	};
	list_init(&pool->free);
	pool->memory = memory_map(pool->stride * count);
	return pool->memory ? 0 : -ENOMEM;
}

/* The memory is zero until then. */
static struct command *command_use_next(struct command_pool *pool)
{
	struct command *command = command_at(pool, pool->used);
	char *slot = (char *) command;

	assert(command->where == COMMAND_FREE && !command->core);
	pool->used++;
	command->core = pool->core;
	command->iov = (struct iovec *) (slot + pool->iov_offset);
	command->io_iov = command->iov + pool->iov_max;
	command->iov_max = pool->iov_max;
	command->io.priv = slot + pool->priv_offset;
	return command;
}

/* ------- buffers ------- */

#define BUFFER_ALIGN 4096u
#define BUFFERS_KEPT 4u /* of each class */
#define BUFFER_NONE  COMMAND_BUFFER_CLASSES

/* In the page before the buffer. */
struct command_buffer {
	struct command_buffer *next;
	unsigned class;
};

static size_t command_buffer_size(unsigned class)
{
	assert(class < COMMAND_BUFFER_CLASSES);
	return ((size_t) 4096 << (2 * class)) + BUFFER_ALIGN;
}

/* The smallest that will do. BUFFER_NONE: there is none, the buffer is allocated and freed as it
 * is. */
static unsigned command_buffer_class(uint64_t length)
{
	unsigned class = 0;

	while (class < COMMAND_BUFFER_CLASSES && command_buffer_size(class) < length)
		class ++;
	return class;
}

bool command_alloc_bounce(struct command *command, uint64_t length)
{
	struct command_pool *pool = command->core->pool;
	unsigned class = command_buffer_class(length);
	struct command_buffer *head;

	assert(!command->bounce && command->where != COMMAND_FREE);
	if (class != BUFFER_NONE && pool->buffers[class].first) {
		head = pool->buffers[class].first;
		assert(head->class == class && pool->buffers[class].kept > 0);
		pool->buffers[class].first = head->next;
		pool->buffers[class].kept--;
	} else {
		size_t size = class == BUFFER_NONE ? command_round_up(length, BUFFER_ALIGN)
						   : command_buffer_size(class);

		head = aligned_alloc(BUFFER_ALIGN, BUFFER_ALIGN + size);
		if (!head)
			return false;
		head->class = class;
	}
	command->bounce = (uint8_t *) head + BUFFER_ALIGN;
	return true;
}

static void command_free_bounce(struct command_pool *pool, struct command *command)
{
	struct command_buffer *head = (struct command_buffer *) (command->bounce - BUFFER_ALIGN);

	assert(head->class <= BUFFER_NONE);
	command->bounce = NULL;
	command->bounce_length = 0;
	if (head->class == BUFFER_NONE || pool->buffers[head->class].kept == BUFFERS_KEPT) {
		free(head);
		return;
	}
	head->next = pool->buffers[head->class].first;
	pool->buffers[head->class].first = head;
	pool->buffers[head->class].kept++;
}

static void command_free_buffers(struct command_pool *pool)
{
	for (unsigned class = 0; class < COMMAND_BUFFER_CLASSES; class ++) {
		struct command_buffer *head;

		assert(pool->buffers[class].kept <= BUFFERS_KEPT);
		while ((head = pool->buffers[class].first)) {
			pool->buffers[class].first = head->next;
			free(head);
		}
	}
}

/* ------- slots ------- */

static bool command_iov_is_usual(const struct command *command, const struct command_pool *pool)
{
	return (const char *) command->iov == (const char *) command + pool->iov_offset;
}

void command_pool_destroy(struct command_pool *pool)
{
	if (!pool->memory)
		return;
	assert(pool->in_use == 0 && pool->internal == 0);
	for (unsigned i = 0; i < pool->used; i++) {
		struct command *command = command_at(pool, i);

		assert(command->where == COMMAND_FREE);
		if (!command_iov_is_usual(command, pool))
			free(command->iov);
	}
	command_free_buffers(pool);
	memory_unmap(pool->memory, pool->stride * pool->count);
	*pool = (struct command_pool){0};
}

struct command *command_get(struct command_pool *pool, bool internal)
{
	struct list_node *node = list_take(&pool->free);
	struct command *command;

	if (node)
		command = container_of(node, struct command, node);
	else if (pool->used < pool->count)
		command = command_use_next(pool);
	else
		return NULL;
	assert(command->where == COMMAND_FREE && !command->aborted);
	command->where = COMMAND_HELD;
	pool->in_use++;
	if (internal) {
		command->internal = true;
		command->data_length = 0;
		command->generation = pool->core->permission_generation;
		command->io_error = 0;
		pool->internal++;
	}
	return command;
}

void command_put_unused(struct command_pool *pool, struct command *command)
{
	assert(command->where == COMMAND_HELD && !command->internal);
	command->where = COMMAND_FREE;
	list_push(&pool->free, &command->node);
	pool->in_use--;
}

/* A free slot is reset, as memory is that was never used. */
void command_put(struct command_pool *pool, struct command *command)
{
	assert(command->where == COMMAND_HELD && pool->in_use > 0);
	assert(pool->internal >= command->internal && !command->note);
	if (command->bounce)
		command_free_bounce(pool, command);
	pool->in_use--;
	pool->internal -= command->internal;
	command->where = COMMAND_FREE;
	command->iov_cnt = 0;
	command->data_in = 0;
	command->answer_length = 0;
	command->status = SCSI_GOOD;
	command->internal = false;
	command->started = false;
	command->exclusive = false;
	command->writes_range = false;
	command->unstable = false;
	command->late = false;
	command->seen_at = 0;
	command->aborted = false;
	command->shown = false;
	command->begin = NULL;
	command->cancel = NULL;
	command->finished = NULL;
	command->context = NULL;
	command->done = 0;
	command->extent = 0;
	list_push(&pool->free, &command->node);
}

int command_grow_iov(struct command *command, uint32_t iov_max)
{
	struct iovec *iov = calloc(2 * (size_t) iov_max, sizeof(*iov));

	assert(command->where == COMMAND_HELD && iov_max > command->iov_max);
	if (!iov)
		return -ENOMEM;
	if (!command_iov_is_usual(command, command->core->pool))
		free(command->iov);
	command->iov = iov;
	command->io_iov = iov + iov_max;
	command->iov_max = iov_max;
	return 0;
}

/* ------- its way ------- */

void command_ready(struct command *command)
{
	assert(command->where == COMMAND_HELD && command->begin);
	command->where = COMMAND_READY;
	list_append(&command->core->ready, &command->node);
}

void command_end(struct command *command, uint8_t status, const struct scsi_sense *sense)
{
	assert(core_current == command->core && command->where == COMMAND_HELD);
	assert(atomic_load_explicit(&command->phase, memory_order_relaxed) == COMMAND_IDLE);
	command->status = command->aborted ? SCSI_TASK_ABORTED : status;
	if (status == SCSI_CHECK_CONDITION && sense)
		scsi_sense_encode(&command->core->setup.lu, sense, command->sense);
	command->where = COMMAND_ENDED;
	list_append(&command->core->ended, &command->node);
}

/* Whether an operator is to see the error: not if the initiator tries again, nor a miscompare. */
static bool command_error_counts(int error, const struct scsi_result *result)
{
	return error == -ETIMEDOUT || (result->status == SCSI_CHECK_CONDITION && error != -EILSEQ);
}

void command_end_failed_at(struct command *command, int error, uint64_t lba, uint64_t offset)
{
	struct scsi_result result = {.status = SCSI_CHECK_CONDITION};

	assert(error);
	command->io_error = error;
	if (error == -ETIMEDOUT)
		core_signal(command->core, IO_SIGNAL_TIMED_OUT);
	scsi_io_error(&command->plan, error, lba, offset, &result);
	if (command_error_counts(error, &result))
		stats_failed(command->core->setup.stats, command->cdb, -error, lba, &result.sense);
	command_end(command, result.status, &result.sense);
}

void command_end_failed(struct command *command, int error)
{
	assert(command->core->setup.lu.block_size);
	command_end_failed_at(
		command, error, command->io.result / command->core->setup.lu.block_size, 0);
}

void command_copy_in(struct command *command, const uint8_t *data, uint32_t len)
{
	assert(command->core->ring_locked);
	command->data_in = (uint32_t) scsi_pieces_fill(command->iov, command->iov_cnt, data, len);
}
