/* SPDX-License-Identifier: Apache-2.0 */
/* See io/command.h. */
#include "io/command.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t round_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

struct command *command_at(const struct command_pool *pool, unsigned i)
{
	return (struct command *) ((char *) pool->memory + (size_t) i * pool->stride);
}

int command_pool_init(
	struct command_pool *pool, struct io_thread *thread, unsigned count, unsigned iov_max,
	size_t priv_size)
{
	size_t iov_offset = round_up(sizeof(struct command), 64);
	size_t priv_offset = round_up(iov_offset + 2 * (size_t) iov_max * sizeof(struct iovec), 64);

	*pool = (struct command_pool){
		.thread = thread,
		.stride = round_up(priv_offset + priv_size, 64),
		.iov_offset = iov_offset,
		.priv_offset = priv_offset,
		.iov_max = iov_max,
		.count = count,
	};
	pool->memory = memory_map(pool->stride * count);
	return pool->memory ? 0 : -ENOMEM;
}

/* The memory is zero until then. */
static struct command *use_next(struct command_pool *pool)
{
	struct command *command = command_at(pool, pool->used);
	char *slot = (char *) command;

	pool->used++;
	command->thread = pool->thread;
	command->iov = (struct iovec *) (slot + pool->iov_offset);
	command->io_iov = command->iov + pool->iov_max;
	command->iov_max = pool->iov_max;
	command->io.priv = slot + pool->priv_offset;
	return command;
}

static bool iov_is_own(const struct command_pool *pool, const struct command *command)
{
	const char *slot = (const char *) command;
	const char *iov = (const char *) command->iov;

	return iov >= slot && iov < slot + pool->stride;
}

/* ------- buffers ------- */

#define BOUNCE_ALIGN 4096u
#define BOUNCE_KEPT  4u /* of each class */
#define BOUNCE_NONE  BOUNCE_CLASSES

/* In the page before the buffer. */
struct bounce_free {
	struct bounce_free *next;
	unsigned class;
};

static size_t class_size(unsigned class)
{
	return ((size_t) 4096 << (2 * class)) + BOUNCE_ALIGN;
}

/* The smallest that will do. BOUNCE_NONE: there is none, it is allocated and freed as it is. */
static unsigned class_of(uint64_t length)
{
	unsigned class = 0;

	while (class < BOUNCE_CLASSES && class_size(class) < length)
		class ++;
	return class;
}

void *bounce_alloc(struct command_pool *pool, uint64_t length)
{
	unsigned class = class_of(length);
	struct bounce_class *kept = &pool->bounces[class];
	struct bounce_free *head;

	if (class != BOUNCE_NONE && kept->first) {
		head = kept->first;
		kept->first = head->next;
		kept->kept--;
	} else {
		size_t size = class == BOUNCE_NONE ? round_up(length, BOUNCE_ALIGN)
						   : class_size(class);

		head = aligned_alloc(BOUNCE_ALIGN, BOUNCE_ALIGN + size);
		if (!head)
			return NULL;
		head->class = class;
	}
	return (char *) head + BOUNCE_ALIGN;
}

void bounce_free_buffer(struct command_pool *pool, void *bounce)
{
	struct bounce_free *head;

	if (!bounce)
		return;
	head = (struct bounce_free *) ((char *) bounce - BOUNCE_ALIGN);
	if (head->class == BOUNCE_NONE || pool->bounces[head->class].kept == BOUNCE_KEPT) {
		free(head);
		return;
	}
	head->next = pool->bounces[head->class].first;
	pool->bounces[head->class].first = head;
	pool->bounces[head->class].kept++;
}

static void bounces_free(struct command_pool *pool)
{
	for (unsigned class = 0; class < BOUNCE_CLASSES; class ++) {
		struct bounce_free *head;

		while ((head = pool->bounces[class].first)) {
			pool->bounces[class].first = head->next;
			free(head);
		}
	}
}

/* ------- slots ------- */

void command_pool_destroy(struct command_pool *pool)
{
	if (!pool->memory)
		return;
	assert(pool->in_use == 0);
	for (unsigned i = 0; i < pool->used; i++) {
		struct command *command = command_at(pool, i);

		if (!iov_is_own(pool, command))
			free(command->iov);
	}
	bounces_free(pool);
	memory_unmap(pool->memory, pool->stride * pool->count);
	*pool = (struct command_pool){0};
}

struct command *command_get(struct command_pool *pool)
{
	struct command *command = pool->free;

	if (command)
		pool->free = command->next;
	else if (pool->used < pool->count)
		command = use_next(pool);
	else
		return NULL;
	pool->in_use++;
	command->next = NULL;
	command->status = SCSI_GOOD;
	command->has_read_len = false;
	command->step = NULL;
	command->extent = 0;
	command->done = 0;
	command->in_use = true;
	command->internal = false;
	command->xcopy = NULL;
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
	bounce_free_buffer(pool, command->bounce);
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
