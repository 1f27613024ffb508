/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writes that the server has answered and not put on stable storage yet: a server that
 * restarts may lose them. After a reconnection they are repeated in their order, so that a restart
 * loses nothing that an initiator knows to be written.
 *
 * A ring of bytes with an entry for each write; positions only grow. The holder of
 * remote->client uses it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/handler.h>

struct journal {
	char *memory;
	uint64_t capacity; /* bytes; 0: there is no journal */
	uint64_t head;     /* the oldest entry */
	uint64_t tail;     /* the next entry */
	uint64_t reserved; /* bytes for writes in flight */
};

struct journal_entry {
	uint32_t size; /* bytes in the ring, with this header; the next entry follows */
	uint32_t op;   /* enum tcmu_io_op; 0: a gap at the end of the ring */
	uint32_t flags;
	uint32_t pad;
	uint64_t offset;
	uint64_t length;
	char data[];
};

/* capacity: bytes. Returns 0 or -ENOMEM. */
int journal_init(struct journal *journal, uint64_t capacity);
void journal_free(struct journal *journal);

/* The longest write that it takes, in bytes. */
uint64_t journal_longest(const struct journal *journal);

/* Reserves room for a write with so many bytes of data; 0: a range without data. Returns the bytes
 * that are reserved; 0: there is no room until a flush. */
uint64_t journal_reserve(struct journal *journal, uint64_t data);
void journal_unreserve(struct journal *journal, uint64_t reserved);

/* Appends a write for which room was reserved. data: NULL, or `length` bytes. */
void journal_add(
	struct journal *journal, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, const char *data);

static inline bool journal_is_empty(const struct journal *journal)
{
	return journal->head == journal->tail;
}

/* Whether it is time for a flush. */
bool journal_wants_flush(const struct journal *journal);

/* All entries before the position are stable. Does nothing for an earlier one. */
void journal_release(struct journal *journal, uint64_t position);

/* The entry at *position or the next one, and *position behind it. NULL: there is none. */
struct journal_entry *journal_next(const struct journal *journal, uint64_t *position);
