/* SPDX-License-Identifier: Apache-2.0 */
/* See command.h. */
#include "command.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

struct command *command_at(const struct command_pool *pool, unsigned i)
{
	return (struct command *) ((char *) pool->memory + (size_t) i * pool->stride);
}

int command_pool_init(
	struct command_pool *pool, struct loop *loop, unsigned count, unsigned iov_max, size_t priv_size)
{
	size_t iov_offset = round_up(sizeof(struct command), 64);
	size_t priv_offset = round_up(iov_offset + 2 * (size_t) iov_max * sizeof(struct iovec), 64);

	*pool = (struct command_pool){.stride = round_up(priv_offset + priv_size, 64), .count = count};
	pool->memory = mmap(
		NULL, pool->stride * count, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->memory == MAP_FAILED) {
		pool->memory = NULL;
		return -ENOMEM;
	}

	for (unsigned i = count; i-- > 0;) {
		struct command *command = command_at(pool, i);
		char *slot = (char *) command;

		command->loop = loop;
		command->iov = (struct iovec *) (slot + iov_offset);
		command->io_iov = command->iov + iov_max;
		command->iov_max = iov_max;
		command->io.priv = slot + priv_offset;
		command->next = pool->free;
		pool->free = command;
	}
	return 0;
}

static bool iov_is_own(const struct command_pool *pool, const struct command *command)
{
	const char *slot = (const char *) command;
	const char *iov = (const char *) command->iov;

	return iov >= slot && iov < slot + pool->stride;
}

void command_pool_destroy(struct command_pool *pool)
{
	if (!pool->memory)
		return;
	assert(pool->in_use == 0);
	for (unsigned i = 0; i < pool->count; i++) {
		struct command *command = command_at(pool, i);

		if (!iov_is_own(pool, command))
			free(command->iov);
	}
	munmap(pool->memory, pool->stride * pool->count);
	*pool = (struct command_pool){0};
}

struct command *command_get(struct command_pool *pool)
{
	struct command *command = pool->free;

	if (!command)
		return NULL;
	pool->free = command->next;
	pool->in_use++;
	command->next = NULL;
	command->status = SCSI_GOOD;
	command->has_read_len = false;
	command->step = NULL;
	command->extent = 0;
	command->done = 0;
	command->in_use = true;
	command->internal = false;
	command->copy = NULL;
	command->request = NULL;
	command->answer_length = 0;
	command->started = false;
	command->exclusive = false;
	command->writes_range = false;
	command->aborted = false;
	atomic_store_explicit(&command->phase, IO_IDLE, memory_order_relaxed);
	return command;
}

void command_put(struct command_pool *pool, struct command *command)
{
	assert(command->in_use);
	free(command->bounce);
	command->bounce = NULL;
	command->bounce_length = 0;
	command->in_use = false;
	command->next = pool->free;
	pool->free = command;
	pool->in_use--;
}

int command_grow_iov(struct command *command, uint32_t iov_max)
{
	struct iovec *iov = calloc(2 * (size_t) iov_max, sizeof(*iov));
	size_t slot_end = (size_t) command->io.priv;

	if (!iov)
		return -ENOMEM;
	if ((size_t) command->iov < (size_t) command || (size_t) command->iov >= slot_end)
		free(command->iov);
	command->iov = iov;
	command->io_iov = iov + iov_max;
	command->iov_max = iov_max;
	return 0;
}
