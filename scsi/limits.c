/* SPDX-License-Identifier: Apache-2.0 */
#include "limits.h"

#include <assert.h>

#include "lu.h"

#define PHYSICAL_EXPONENT_MAX 15u   /* READ CAPACITY(16) has 4 bits for it */
#define OPTIMAL_TRANSFER_MIN  4096u /* bytes; Linux ignores less than a page */

static uint32_t limits_clamp(uint64_t value, uint64_t max)
{
	return (uint32_t) (value < max ? value : max);
}

static uint32_t limits_round_down(uint32_t value, uint32_t unit)
{
	assert(unit);
	return value - value % unit;
}

/* ------- from the backend to the logical unit ------- */

static void limits_set_physical(struct scsi_lu *lu, const struct scsi_backend_limits *limits)
{
	lu->physical_exponent = 0;
	for (uint64_t size = lu->block_size;
	     size < limits->physical_block && lu->physical_exponent < PHYSICAL_EXPONENT_MAX;
	     size *= 2)
		lu->physical_exponent++;
	lu->optimal_granularity = 1u << lu->physical_exponent;
}

/* A maximum of 0 would mean that there is none. */
static void limits_set_transfer(struct scsi_lu *lu, const struct scsi_backend_limits *limits)
{
	uint32_t block = lu->block_size;

	lu->max_transfer = limits->max_blocks;
	if (limits->max_transfer)
		lu->max_transfer = limits_clamp(limits->max_transfer / block, lu->max_transfer);
	if (!lu->max_transfer)
		lu->max_transfer = 1;
	lu->optimal_transfer = limits_round_down(
		limits_clamp(limits->optimal_transfer / block, lu->max_transfer),
		lu->optimal_granularity);
	if ((uint64_t) lu->optimal_transfer * block < OPTIMAL_TRANSFER_MIN)
		lu->optimal_transfer = 0;
}

/* A granularity that exceeds the maximum would let initiators unmap nothing. */
static void limits_set_unmap(struct scsi_lu *lu, const struct scsi_backend_limits *limits)
{
	uint32_t block = lu->block_size;
	uint32_t max = limits_clamp(limits->max_unmap / block, UINT32_MAX);
	uint32_t granularity = limits->unmap_granularity / block;

	if (!max)
		max = 1;
	if (!granularity || granularity > max)
		granularity = 1;
	lu->max_unmap = limits_round_down(max, granularity);
	lu->unmap_granularity = granularity;
	lu->unmap_alignment = 0;
}

/* The largest power of two that divides it: an aligned write of that size does not cross a multiple
 * of the number. */
static uint32_t limits_power_of_two(uint32_t number)
{
	return number & (~number + 1);
}

/* A part of a physical block is written by reading and writing it whole. That may fail half-way. */
static void limits_set_atomic(struct scsi_lu *lu, const struct scsi_backend_limits *limits)
{
	uint32_t blocks = limits_power_of_two(limits->atomic_write / lu->block_size);

	while (blocks > lu->max_transfer)
		blocks /= 2;
	if (blocks < lu->optimal_granularity)
		blocks = 0;
	lu->max_atomic = lu->atomic_alignment = lu->atomic_granularity = blocks;
}

void scsi_lu_set_limits(struct scsi_lu *lu, const struct scsi_backend_limits *limits)
{
	uint32_t block = lu->block_size;

	assert(block);
	limits_set_physical(lu, limits);
	limits_set_transfer(lu, limits);
	limits_set_unmap(lu, limits);
	lu->max_write_same = limits->max_write_same / block ? limits->max_write_same / block : 1;
	lu->max_compare_and_write = (uint8_t) limits_clamp(lu->max_transfer / 2, UINT8_MAX);
	if (limits->max_compare_and_write)
		lu->max_compare_and_write = (uint8_t) limits_clamp(
			limits->max_compare_and_write / block, lu->max_compare_and_write);
	limits_set_atomic(lu, limits);
	assert(scsi_limits_agree(lu));
}

/* ------- relations ------- */

static bool transfer_agrees(const struct scsi_lu *lu)
{
	return lu->max_transfer && lu->optimal_granularity == 1u << lu->physical_exponent &&
		lu->optimal_transfer <= lu->max_transfer &&
		lu->optimal_transfer % lu->optimal_granularity == 0 &&
		2u * lu->max_compare_and_write <= lu->max_transfer;
}

static bool unmap_agrees(const struct scsi_lu *lu)
{
	return lu->unmap_granularity && lu->unmap_granularity <= lu->max_unmap &&
		lu->max_unmap % lu->unmap_granularity == 0 &&
		lu->unmap_alignment < lu->unmap_granularity;
}

/* SBC-4 6.6.4. */
static bool atomic_agrees(const struct scsi_lu *lu)
{
	uint32_t blocks = lu->max_atomic;

	if (!blocks)
		return true;
	return (blocks & (blocks - 1)) == 0 && blocks <= lu->max_transfer &&
		blocks % lu->optimal_granularity == 0 && lu->atomic_granularity &&
		blocks % lu->atomic_granularity == 0 && lu->atomic_alignment &&
		lu->atomic_granularity % lu->atomic_alignment == 0;
}

bool scsi_limits_agree(const struct scsi_lu *lu)
{
	assert(lu->physical_exponent <= PHYSICAL_EXPONENT_MAX);
	return lu->block_size && transfer_agrees(lu) && unmap_agrees(lu) && lu->max_write_same &&
		atomic_agrees(lu);
}
