/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writes of initiators to each block of each store, and so the data that a block may hold.
 *
 * Every write has a tag, and each 512-byte block that it writes is filled with words of that tag.
 * A block may hold the data of a write unless a later write, which began after the first had been
 * answered, was answered GOOD before the block was read. A COMPARE AND WRITE is atomic: what has
 * begun after the data that it found had been written, and was GOOD, comes after it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define STORES       3
#define STORE_BLOCKS 64
#define BLOCK_SIZE   512

/* Tags that no write has. */
#define HISTORY_MIXED UINT64_MAX       /* the bytes of a block are of several writes */
#define HISTORY_ANY   (UINT64_MAX - 1) /* history_set_unknown() */

struct history_write {
	uint64_t tag;
	uint64_t begun;
	uint64_t ended; /* UINT64_MAX: not answered */
	bool good;
	bool cut;        /* what a power cut has left */
	bool again;      /* a COMPARE AND WRITE that the next daemon may carry out once more */
	bool taken;      /* a COMPARE AND WRITE that was GOOD has found it */
	uint64_t stable; /* since then it is on stable storage, by a promise; UINT64_MAX: not */
	uint64_t after;  /* nothing that began later came before it; UINT64_MAX: not known */
	uint64_t waited; /* then it was in a ring that no daemon had taken since; 0: it was not */
	unsigned store, block;
	bool copies;      /* what it writes is one of these, and not the tag above */
	uint64_t *copied; /* tags of the source that have landed */
	unsigned copied_cnt;
	unsigned from_store, from_block;
	struct history_write *next;
};

void history_reset(void);

/* A write begins. It is appended to the history of the block. */
struct history_write *history_begin(unsigned store, unsigned block, uint64_t tag);

/* The same for a block of EXTENDED COPY, which writes what its source holds. */
struct history_write *history_begin_copy(
	unsigned store, unsigned block, unsigned from_store, unsigned from_block);

/* The tag lands in the block now: it may be a copy's. */
void history_note_landing(unsigned store, unsigned block, uint64_t tag);

/* A COMPARE AND WRITE has found the tag, so it follows the write of it at once: a write that began
 * after that one had ended comes later than this one. Fails if another one, too, has found it and
 * replaced it. */
void history_compared(struct history_write *write, unsigned store, uint64_t tag);

/* The block got this data without an initiator. */
void history_set(unsigned store, unsigned block, uint64_t tag);

/* The same: a power cut has left it. */
void history_cut(unsigned store, unsigned block, uint64_t tag);

/* A write to the block is in flight whose data may be those of others by now. The block may hold
 * anything until a write that begins from now on is GOOD. */
void history_set_unknown(unsigned store, unsigned block);

/* The tag of 512 bytes, or HISTORY_MIXED. */
uint64_t history_tag(const void *data);

/* Every write that was GOOD before begun is on stable storage now. */
void history_flushed(unsigned store, uint64_t begun);

/* Fails unless stable storage may hold the tag for the block now. */
void history_check_stable(unsigned store, unsigned block, uint64_t tag, const char *who);

/* Fails unless the block may have held the tag between the times. */
void history_check(
	unsigned store, unsigned block, uint64_t tag, uint64_t begun, uint64_t ended,
	const char *who);

/* Fails unless the tag may land in the block now. */
void history_check_landing(unsigned store, unsigned block, uint64_t tag);

/* Before the number of requests to the stores changes: in_flight is that since the last call.
 * Returns how long there have been any in this life, ns. */
uint64_t history_count_busy(unsigned in_flight);
