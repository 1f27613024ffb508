/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h. */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64u

static uint64_t entry_size(uint64_t data)
{
	return (sizeof(struct journal_entry) + data + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int journal_init(struct journal *journal, uint64_t capacity)
{
	*journal = (struct journal){.capacity = capacity / ALIGNMENT * ALIGNMENT};
	if (!journal->capacity)
		return 0;
	journal->memory = mmap(
		NULL, journal->capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (journal->memory != MAP_FAILED)
		return 0;
	journal->memory = NULL;
	return -ENOMEM;
}

void journal_free(struct journal *journal)
{
	if (journal->memory)
		(void) munmap(journal->memory, journal->capacity);
	*journal = (struct journal){.capacity = 0};
}

uint64_t journal_longest(const struct journal *journal)
{
	return journal->capacity / 4 - ALIGNMENT;
}

uint64_t journal_reserve(struct journal *journal, uint64_t data)
{
	uint64_t size = entry_size(data), used = journal->tail - journal->head;

	assert(data <= journal_longest(journal));
	/* The end of the ring may leave a gap, once, that is shorter than the longest entry. */
	if (used + journal->reserved + size + journal->capacity / 4 > journal->capacity)
		return 0;
	journal->reserved += size;
	return size;
}

void journal_unreserve(struct journal *journal, uint64_t reserved)
{
	assert(reserved <= journal->reserved);
	journal->reserved -= reserved;
}

static struct journal_entry *entry_at(const struct journal *journal, uint64_t position)
{
	return (struct journal_entry *) (journal->memory + position % journal->capacity);
}

void journal_add(
	struct journal *journal, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, const char *data)
{
	uint64_t size = entry_size(data ? length : 0);
	uint64_t room = journal->capacity - journal->tail % journal->capacity;
	struct journal_entry *entry = entry_at(journal, journal->tail);

	assert(op);
	if (room < size) {
		/* Only the size and the op of a gap: there may be no room for more. */
		entry->size = (uint32_t) room;
		entry->op = 0;
		journal->tail += room;
		entry = entry_at(journal, journal->tail);
	}
	*entry = (struct journal_entry){
		.size = (uint32_t) size,
		.op = (uint32_t) op,
		.flags = flags,
		.offset = offset,
		.length = length};
	if (data)
		memcpy(entry->data, data, length);
	journal->tail += size;
	assert(journal->tail - journal->head <= journal->capacity);
}

bool journal_wants_flush(const struct journal *journal)
{
	return journal->tail - journal->head > journal->capacity / 4;
}

void journal_release(struct journal *journal, uint64_t position)
{
	assert(position <= journal->tail);
	if (position > journal->head)
		journal->head = position;
}

struct journal_entry *journal_next(const struct journal *journal, uint64_t *position)
{
	if (*position < journal->head)
		*position = journal->head;
	while (*position < journal->tail) {
		struct journal_entry *entry = entry_at(journal, *position);

		*position += entry->size;
		if (entry->op)
			return entry;
	}
	return NULL;
}
