/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block status: from the server's extents to a run of blocks that are all allocated or all not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The flag of a hole in the context "base:allocation". */
#define REMOTE_STATE_HOLE 1u

struct remote_extents {
	uint32_t block_size; /* bytes */
	uint64_t length;     /* bytes that were asked for */
	uint64_t end;        /* bytes from the start that the extents cover */
	uint64_t hole;       /* where the last hole begins, if in_hole */
	uint64_t run;        /* bytes from the start that are alike, once `ended` */
	bool in_hole;
	bool ended; /* further extents do not matter */
	bool mapped;
};

void remote_extents_begin(struct remote_extents *extents, uint32_t block_size, uint64_t length);

/* The next extent, of the server: length may be anything. */
void remote_extents_add(struct remote_extents *extents, uint64_t length, uint32_t state);

/* After the last extent. Returns the bytes, at least a block, that are alike: allocated if *mapped.
 * A block that is partly allocated is allocated. 0: the server has answered nothing. */
uint64_t remote_extents_end(struct remote_extents *extents, bool *mapped);
