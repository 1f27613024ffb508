/* SPDX-License-Identifier: Apache-2.0 */
/* A table of buffers that must not be touched, which a signal handler reads without a lock. */
#include "buffers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE      ((size_t) 4096)
#define BLOCK     512u
#define FILL      0xEE
#define SHIFT     16u
#define FORBIDDEN 1024u

/* Lengths first to become valid, and first to become invalid. */
static struct {
	_Atomic(uint8_t *) memory;
	_Atomic size_t size;
	_Atomic(enum buffer_use) use;
} forbidden[FORBIDDEN];
static unsigned forbidden_next;
static pthread_mutex_t forbidden_lock = PTHREAD_MUTEX_INITIALIZER;

static void *buffer_checked(void *memory)
{
	if (!memory || memory == MAP_FAILED)
		abort();
	return memory;
}

/* The bytes of one piece, and of the hole before it. */
static void buffer_piece(enum buffer_shape shape, unsigned i, size_t *piece, size_t *gap)
{
	*gap = 0;
	switch (shape) {
	case BUFFER_PAGES:
		*piece = PAGE;
		return;
	case BUFFER_SPLIT:
		*piece = PAGE;
		*gap = PAGE;
		return;
	case BUFFER_BLOCKS:
		*piece = BLOCK;
		*gap = i % 3 == 2 ? BLOCK : 0;
		return;
	case BUFFER_SHIFTED:
		*piece = SIZE_MAX;
		*gap = SHIFT;
		return;
	default:
		*piece = SIZE_MAX;
	}
}

void buffer_init(struct buffer *buffer, size_t length, enum buffer_shape shape)
{
	size_t most = length / BLOCK + 1, left = length;
	uint8_t *next;

	*buffer = (struct buffer){.length = length};
	buffer->memory_size = (2 * length + 4 * PAGE) / PAGE * PAGE;
	buffer->memory = buffer_checked(
		mmap(NULL, buffer->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0));
	buffer->iov = calloc(most, sizeof(*buffer->iov));
	if (!buffer->iov)
		abort();
	next = buffer->memory;
	for (; left; buffer->iov_cnt++) {
		size_t piece, gap;

		buffer_piece(shape, buffer->iov_cnt, &piece, &gap);
		piece = piece < left ? piece : left;
		next += gap;
		buffer->iov[buffer->iov_cnt] = (struct iovec){.iov_base = next, .iov_len = piece};
		memset(next, FILL, piece);
		next += piece;
		left -= piece;
	}
}

static void buffer_forbid(uint8_t *memory, size_t size, enum buffer_use use)
{
	uint8_t *before;

	pthread_mutex_lock(&forbidden_lock);
	before = atomic_load(&forbidden[forbidden_next].memory);
	if (before && atomic_load(&forbidden[forbidden_next].use) == BUFFER_RELEASED)
		munmap(before, atomic_load(&forbidden[forbidden_next].size));
	atomic_store(&forbidden[forbidden_next].use, use);
	atomic_store(&forbidden[forbidden_next].size, size);
	atomic_store(&forbidden[forbidden_next].memory, memory);
	forbidden_next = (forbidden_next + 1) % FORBIDDEN;
	pthread_mutex_unlock(&forbidden_lock);
}

/* It was sealed, and is not any more. */
static void buffer_allow(const uint8_t *memory)
{
	pthread_mutex_lock(&forbidden_lock);
	for (unsigned i = 0; i < FORBIDDEN; i++)
		if (atomic_load(&forbidden[i].memory) == memory)
			atomic_store(&forbidden[i].memory, NULL);
	pthread_mutex_unlock(&forbidden_lock);
}

void buffer_release(struct buffer *buffer)
{
	if (!buffer->memory)
		return;
	(void) mprotect(buffer->memory, buffer->memory_size, PROT_NONE);
	buffer_forbid(buffer->memory, buffer->memory_size, BUFFER_RELEASED);
	free(buffer->iov);
	*buffer = (struct buffer){.memory = NULL};
}

void buffer_seal(struct buffer *buffer, bool sealed)
{
	(void) mprotect(
		buffer->memory, buffer->memory_size, sealed ? PROT_NONE : PROT_READ | PROT_WRITE);
	if (sealed)
		buffer_forbid(buffer->memory, buffer->memory_size, BUFFER_SEALED);
	else
		buffer_allow(buffer->memory);
}

static void buffer_copy(
	const struct buffer *buffer, size_t offset, uint8_t *data, size_t length, bool out)
{
	for (unsigned i = 0; i < buffer->iov_cnt && length; i++) {
		const struct iovec *iov = &buffer->iov[i];
		size_t part;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		part = iov->iov_len - offset < length ? iov->iov_len - offset : length;
		if (out)
			memcpy(data, (uint8_t *) iov->iov_base + offset, part);
		else
			memcpy((uint8_t *) iov->iov_base + offset, data, part);
		offset = 0;
		data += part;
		length -= part;
	}
}

void buffer_put(struct buffer *buffer, size_t offset, const void *data, size_t length)
{
	buffer_copy(buffer, offset, (uint8_t *) data, length, false);
}

void buffer_get(const struct buffer *buffer, size_t offset, void *data, size_t length)
{
	buffer_copy(buffer, offset, data, length, true);
}

enum buffer_use buffer_at(const void *address)
{
	for (unsigned i = 0; i < FORBIDDEN; i++) {
		const uint8_t *memory = atomic_load(&forbidden[i].memory);

		if (memory && (const uint8_t *) address >= memory &&
		    (const uint8_t *) address < memory + atomic_load(&forbidden[i].size))
			return atomic_load(&forbidden[i].use);
	}
	return BUFFER_UNKNOWN;
}
