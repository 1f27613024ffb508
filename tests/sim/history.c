/* SPDX-License-Identifier: Apache-2.0 */
/* See history.h. */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "threads.h"

struct history {
	struct history_write *blocks[STORES][STORE_BLOCKS]; /* the youngest first */
	uint64_t busy;                                      /* see history_count_busy() */
	uint64_t counted;
};

void history_reset(void)
{
	if (!sim->history)
		sim->history = calloc(1, sizeof(*sim->history));
	sim->history->busy = 0;
	sim->history->counted = sim_now();
	for (unsigned i = 0; i < STORES; i++) {
		for (unsigned j = 0; j < STORE_BLOCKS; j++) {
			struct history_write *write = sim->history->blocks[i][j];

			while (write) {
				struct history_write *next = write->next;

				free(write->copied);
				free(write);
				write = next;
			}
			sim->history->blocks[i][j] = NULL;
			history_set(i, j, 0);
		}
	}
}

struct history_write *history_begin(unsigned store, unsigned block, uint64_t tag)
{
	struct history_write *write = calloc(1, sizeof(*write));

	if (!write)
		abort();
	*write = (struct history_write){
		.tag = tag,
		.begun = sim_now(),
		.ended = UINT64_MAX,
		.stable = UINT64_MAX,
		.after = UINT64_MAX,
		.store = store,
		.block = block,
		.next = sim->history->blocks[store][block],
	};
	sim->history->blocks[store][block] = write;
	return write;
}

struct history_write *history_begin_copy(
	unsigned store, unsigned block, unsigned from_store, unsigned from_block)
{
	struct history_write *write = history_begin(store, block, 0);

	write->copies = true;
	write->from_store = from_store;
	write->from_block = from_block;
	return write;
}

static bool history_has(const struct history_write *write, uint64_t tag)
{
	for (unsigned i = 0; i < write->copied_cnt; i++)
		if (write->copied[i] == tag)
			return true;
	return !write->copies && write->tag == tag;
}

void history_set(unsigned store, unsigned block, uint64_t tag)
{
	struct history_write *write = history_begin(store, block, tag);

	write->ended = write->stable = sim_now();
	write->good = true;
}

void history_cut(unsigned store, unsigned block, uint64_t tag)
{
	history_set(store, block, tag);
	sim->history->blocks[store][block]->cut = true;
}

/* When a power cut has left the block's data first since the write began; UINT64_MAX: not yet. */
static uint64_t history_find_cut(const struct history_write *write)
{
	uint64_t cut = UINT64_MAX;

	for (const struct history_write *other = sim->history->blocks[write->store][write->block];
	     other; other = other->next)
		if (other->cut && other->begun > write->begun && other->begun < cut)
			cut = other->begun;
	return cut;
}

void history_compared(struct history_write *write, unsigned store, uint64_t tag)
{
	struct history_write *found = NULL;
	struct history_write *other = sim->history->blocks[store][write->block];
	/* One that is carried out again has compared before; it is written again, not compared. */
	uint64_t before = write->again ? history_find_cut(write) : UINT64_MAX;

	for (; other; other = other->next) {
		if (other->tag == HISTORY_ANY)
			return;
		if (!history_has(other, tag) || other->begun >= before)
			continue;
		if (found)
			return; /* it may have been either */
		found = other;
	}
	if (!found)
		return;
	write->after = found->ended;
	if (!found->good)
		return; /* it may land twice */
	if (found->taken)
		sim_fail(
			"two COMPARE AND WRITEs replaced %#llx in block %u of store %u",
			(unsigned long long) tag, write->block, store);
	found->taken = true;
}

void history_set_unknown(unsigned store, unsigned block)
{
	history_begin(store, block, HISTORY_ANY)->ended = sim_now();
}

uint64_t history_tag(const void *data)
{
	const uint8_t *bytes = data;
	uint64_t tag, word;

	memcpy(&tag, bytes, sizeof(tag));
	for (unsigned i = 0; i < BLOCK_SIZE; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		if (word != tag)
			return HISTORY_MIXED;
	}
	return tag;
}

/* Whether a write comes after what a power cut has left: it began later, or the next daemon writes
 * once more what a COMPARE AND WRITE had begun to write before the cut. That has compared already.
 * Or it waited in a ring that no daemon had. This holds also where the kernel has given up the
 * command: as for any late write, only a successor that is GOOD forbids it. */
static bool history_outlives(const struct history_write *write, const struct history_write *cut)
{
	if (!cut->cut)
		return false;
	return cut->begun < write->begun || cut->begun <= write->waited ||
		(write->again && (!write->good || cut->begun < write->ended));
}

/* Whether a write has been replaced for certain before the time; stable: on stable storage. */
static bool history_is_replaced(
	unsigned store, unsigned block, const struct history_write *write, uint64_t before,
	bool stable)
{
	uint64_t after = write->after < write->ended ? write->after : write->ended;

	for (const struct history_write *other = sim->history->blocks[store][block]; other;
	     other = other->next)
		if (other != write && other->good && other->begun > after &&
		    !history_outlives(write, other) &&
		    (stable ? other->stable : other->ended) < before)
			return true;
	return false;
}

/* Whether the block may have held the tag; *known: it was written there once. */
static bool history_permits(
	unsigned store, unsigned block, uint64_t tag, uint64_t begun, uint64_t ended, bool stable,
	bool *known)
{
	*known = false;
	for (const struct history_write *write = sim->history->blocks[store][block]; write;
	     write = write->next) {
		if (!history_has(write, tag) && write->tag != HISTORY_ANY)
			continue;
		*known |= write->tag != HISTORY_ANY;
		if (write->begun <= ended &&
		    !history_is_replaced(store, block, write, begun, stable))
			return true;
	}
	return false;
}

static void history_check_any(
	unsigned store, unsigned block, uint64_t tag, uint64_t begun, uint64_t ended,
	const char *who, bool stable)
{
	bool known;

	if (history_permits(store, block, tag, begun, ended, stable, &known))
		return;
	sim_fail(
		"%s: block %u of store %u has %s data, of write %#llx", who, block, store,
		tag == HISTORY_MIXED ? "mixed"
			: known      ? "old"
				     : "wrong",
		(unsigned long long) tag);
}

static void history_add_copied(struct history_write *write, uint64_t tag)
{
	write->copied = realloc(write->copied, (write->copied_cnt + 1) * sizeof(tag));
	if (!write->copied)
		abort();
	write->copied[write->copied_cnt++] = tag;
}

void history_note_landing(unsigned store, unsigned block, uint64_t tag)
{
	bool known;

	for (struct history_write *write = sim->history->blocks[store][block]; write;
	     write = write->next)
		if (write->copies && !write->good && !history_has(write, tag) &&
		    history_permits(
			    write->from_store, write->from_block, tag, write->begun, sim_now(),
			    false, &known))
			history_add_copied(write, tag);
}

void history_check(
	unsigned store, unsigned block, uint64_t tag, uint64_t begun, uint64_t ended,
	const char *who)
{
	history_check_any(store, block, tag, begun, ended, who, false);
}

void history_check_stable(unsigned store, unsigned block, uint64_t tag, const char *who)
{
	history_check_any(store, block, tag, sim_now() + 1, sim_now(), who, true);
}

void history_flushed(unsigned store, uint64_t begun)
{
	for (unsigned i = 0; i < STORE_BLOCKS; i++)
		for (struct history_write *write = sim->history->blocks[store][i]; write;
		     write = write->next)
			if (write->good && write->ended < begun && write->stable == UINT64_MAX)
				write->stable = sim_now();
}

void history_check_landing(unsigned store, unsigned block, uint64_t tag)
{
	history_check(store, block, tag, sim_now(), sim_now(), "a late write landed");
}

uint64_t history_count_busy(unsigned in_flight)
{
	if (in_flight)
		sim->history->busy += sim_now() - sim->history->counted;
	sim->history->counted = sim_now();
	return sim->history->busy;
}
