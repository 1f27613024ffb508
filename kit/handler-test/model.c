/* SPDX-License-Identifier: Apache-2.0 */
/* See model.h. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX 65536u

void model_init(struct model *model, uint64_t first, uint64_t blocks, uint32_t block_size)
{
	*model = (struct model){.first = first, .blocks = blocks, .block_size = block_size};
	model->seeds = malloc(blocks * sizeof(uint64_t));
	model->others = malloc(blocks * sizeof(uint64_t));
	if (!model->seeds || !model->others || block_size > BLOCK_MAX)
		abort();
	for (uint64_t i = 0; i < blocks; i++)
		model->seeds[i] = model->others[i] = MODEL_UNKNOWN;
}

void model_free(struct model *model)
{
	free(model->seeds);
	free(model->others);
	*model = (struct model){.first = 0};
}

uint64_t model_seeds(struct model *model, uint64_t cnt)
{
	uint64_t seed = model->serial + 1;

	model->serial += cnt;
	return seed;
}

void model_fill(const struct model *model, uint64_t seed, void *block)
{
	uint64_t *word = block;

	for (uint32_t i = 0; i < model->block_size / sizeof(*word); i++)
		word[i] = seed && i ? (seed + i) * UINT64_C(0x9E3779B97F4A7C15) : seed;
}

void model_set(struct model *model, uint64_t block, uint64_t seed)
{
	model->seeds[block - model->first] = seed;
	model->others[block - model->first] = MODEL_UNKNOWN;
}

void model_set_either(struct model *model, uint64_t block, uint64_t seed)
{
	uint64_t i = block - model->first;

	if (model->others[i] != MODEL_UNKNOWN || model->seeds[i] == MODEL_UNKNOWN)
		model_forget(model, block);
	else
		model->others[i] = seed;
}

void model_forget(struct model *model, uint64_t block)
{
	model_set(model, block, MODEL_UNKNOWN);
}

uint64_t model_get(const struct model *model, uint64_t block)
{
	uint64_t i = block - model->first;

	return model->others[i] == MODEL_UNKNOWN ? model->seeds[i] : MODEL_UNKNOWN;
}

static bool model_block_is(const struct model *model, uint64_t seed, const void *data)
{
	static __thread uint64_t expected[BLOCK_MAX / sizeof(uint64_t)];

	model_fill(model, seed, expected);
	return memcmp(expected, data, model->block_size) == 0;
}

bool model_check(struct model *model, uint64_t block, const void *data, char *text, size_t size)
{
	uint64_t i = block - model->first, word;

	if (model->trusts || model->seeds[i] == MODEL_UNKNOWN)
		return true;
	if (model_block_is(model, model->seeds[i], data))
		return true;
	if (model->others[i] != MODEL_UNKNOWN && model_block_is(model, model->others[i], data)) {
		model_set(model, block, model->others[i]);
		return true;
	}
	memcpy(&word, data, sizeof(word));
	if (model_block_is(model, word, data))
		(void) snprintf(
			text, size,
			"block %" PRIu64 " holds the data of write %" PRIu64
			" instead of that of write %" PRIu64 " (0: zeros)",
			block, word, model->seeds[i]);
	else
		(void) snprintf(
			text, size,
			"block %" PRIu64 " holds no whole block that was written; it begins with "
			"%016" PRIx64 ", expected write %" PRIu64 " (0: zeros)",
			block, word, model->seeds[i]);
	return false;
}
