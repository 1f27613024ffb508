/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content that the blocks of a disk must have. A block is filled from a number, its seed, which
 * is its first word; so a wrong block says where it comes from. A model belongs to one thread at a
 * time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_ZERO    UINT64_C(0)
#define MODEL_UNKNOWN UINT64_MAX

struct model {
	uint64_t first; /* block */
	uint64_t blocks;
	uint32_t block_size;
	bool trusts; /* the handler keeps no data: nothing is compared */
	uint64_t serial;
	uint64_t *seeds;
	uint64_t *others; /* a block may as well hold this; MODEL_UNKNOWN: it may not */
};

/* The blocks from first on; their content is unknown. */
void model_init(struct model *model, uint64_t first, uint64_t blocks, uint32_t block_size);
void model_free(struct model *model);

/* A new seed, and cnt - 1 that follow it. */
uint64_t model_seeds(struct model *model, uint64_t cnt);

/* Fills a block. */
void model_fill(const struct model *model, uint64_t seed, void *block);

/* The block holds the seed now. */
void model_set(struct model *model, uint64_t block, uint64_t seed);

/* The block holds what it held, or the seed. */
void model_set_either(struct model *model, uint64_t block, uint64_t seed);

/* Nothing is known of the block. */
void model_forget(struct model *model, uint64_t block);

uint64_t model_get(const struct model *model, uint64_t block);

/* Compares a block that was read. False with a description of what is wrong. */
bool model_check(struct model *model, uint64_t block, const void *data, char *text, size_t size);
