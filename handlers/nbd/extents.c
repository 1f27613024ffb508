/* SPDX-License-Identifier: Apache-2.0 */
/* See extents.h. */
#include "extents.h"

#include <assert.h>

void remote_extents_begin(struct remote_extents *extents, uint32_t block_size, uint64_t length)
{
	assert(block_size && length && length % block_size == 0);
	*extents = (struct remote_extents){.block_size = block_size, .length = length};
}

static uint64_t extents_round_down(const struct remote_extents *extents, uint64_t bytes)
{
	return bytes / extents->block_size * extents->block_size;
}

static uint64_t extents_round_up(const struct remote_extents *extents, uint64_t bytes)
{
	return extents_round_down(extents, bytes + extents->block_size - 1);
}

static void extents_finish(struct remote_extents *extents, uint64_t run, bool mapped)
{
	extents->run = run < extents->length ? run : extents->length;
	extents->mapped = mapped;
	extents->ended = true;
}

/* A hole ends. One at the start that has a whole block is the answer; one behind allocated blocks
 * that has a whole block ends these. */
static void extents_end_hole(struct remote_extents *extents)
{
	uint64_t begin = extents_round_up(extents, extents->hole);
	uint64_t end = extents_round_down(extents, extents->end);

	assert(extents->in_hole);
	extents->in_hole = false;
	if (end <= begin)
		return;
	if (begin == 0)
		extents_finish(extents, end, false);
	else
		extents_finish(extents, begin, true);
}

void remote_extents_add(struct remote_extents *extents, uint64_t length, uint32_t state)
{
	bool hole = (state & REMOTE_STATE_HOLE) != 0;
	uint64_t rest = extents->length - extents->end;

	if (extents->ended || !rest)
		return;
	if (extents->in_hole && !hole)
		extents_end_hole(extents);
	else if (!extents->in_hole && hole)
		extents->hole = extents->end;
	extents->in_hole = hole;
	extents->end += length < rest ? length : rest;
}

uint64_t remote_extents_end(struct remote_extents *extents, bool *mapped)
{
	if (!extents->ended && extents->in_hole)
		extents_end_hole(extents);
	/* A part of the last block does not count, unless it is the first. */
	if (!extents->ended && extents->end) {
		uint64_t run = extents_round_down(extents, extents->end);

		extents_finish(extents, run ? run : extents->block_size, true);
	}
	*mapped = extents->mapped;
	return extents->run;
}
