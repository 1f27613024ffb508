/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit that contradicts another one is lowered, or not reported; never raised above what the
 * backend can do. Pure functions.
 */
#include <scsi/limits.h>

#include <assert.h>

#define WRITE_SAME_BYTES      (64u * 1024 * 1024)
#define UNMAP_BYTES           (UINT64_C(512) * 1024 * 1024)
#define COMPARE_AND_WRITE_MAX 255u
#define PHYSICAL_EXPONENT_MAX 15u /* four bits of READ CAPACITY(16) */

static uint32_t limits_min(uint64_t a, uint64_t b)
{
	uint64_t min = a < b ? a : b;

	return min < UINT32_MAX ? (uint32_t) min : UINT32_MAX;
}

static uint32_t limits_physical(const struct scsi_lu *lu)
{
	assert(lu->physical_exponent <= PHYSICAL_EXPONENT_MAX);
	return 1u << lu->physical_exponent;
}

/* Initiators ignore an optimal length that is above the maximum or no multiple of the granularity.
 * A physical block that no command can write whole is not reported. */
static void limits_set_transfer(struct scsi_lu *lu, const struct scsi_backend_limits *from)
{
	uint32_t block = lu->block_size;

	lu->max_transfer = from->max_blocks;
	if (from->max_transfer)
		lu->max_transfer = limits_min(from->max_transfer / block, lu->max_transfer);
	if (!lu->max_transfer) /* it would mean that there is no limit */
		lu->max_transfer = 1;
	lu->physical_exponent = 0;
	for (uint64_t size = block;
	     size < from->physical_block && lu->physical_exponent < PHYSICAL_EXPONENT_MAX &&
	     limits_physical(lu) <= lu->max_transfer / 2;
	     size *= 2)
		lu->physical_exponent++;
	lu->optimal_granularity = limits_physical(lu);
	lu->optimal_transfer = limits_min(from->optimal_transfer / block, lu->max_transfer);
	lu->optimal_transfer -= lu->optimal_transfer % lu->optimal_granularity;
	lu->max_write_same = WRITE_SAME_BYTES / block;
	lu->max_compare_and_write = (uint8_t) limits_min(
		lu->max_transfer / 2, COMPARE_AND_WRITE_MAX);
	if (from->max_compare_and_write)
		lu->max_compare_and_write = (uint8_t) limits_min(
			from->max_compare_and_write / block, lu->max_compare_and_write);
}

/* Linux takes the physical block for a smaller granularity, rounds the maximum down to the
 * granularity, and sends commands without a limit if that gives 0. */
static void limits_set_unmap(struct scsi_lu *lu, const struct scsi_backend_limits *from)
{
	uint64_t most = from->max_unmap && from->max_unmap < UNMAP_BYTES ? from->max_unmap
									 : UNMAP_BYTES;
	uint64_t granularity = from->unmap_granularity / lu->block_size;
	uint32_t physical = limits_physical(lu);

	lu->unmap_alignment = 0;
	lu->max_unmap = limits_min(most / lu->block_size, UINT32_MAX);
	if (lu->max_unmap < physical)
		lu->unmap = false;
	if (!granularity)
		granularity = 1;
	while (granularity % physical)
		granularity *= 2;
	if (granularity > lu->max_unmap)
		granularity = physical;
	lu->unmap_granularity = (uint32_t) granularity;
	if (lu->unmap)
		lu->max_unmap -= lu->max_unmap % lu->unmap_granularity;
}

/* The backend's unit holds for writes of so many bytes at a multiple of them. Initiators use powers
 * of two, and take the physical block for a granularity of 0, which may be above the maximum: so
 * it is never 0. A logical block alone is written whole. */
static void limits_set_atomic(struct scsi_lu *lu, const struct scsi_backend_limits *from)
{
	uint32_t unit = from->atomic_write & -from->atomic_write; /* the power of two in it */
	uint32_t blocks = unit > lu->block_size ? unit / lu->block_size : 1;

	lu->max_atomic = lu->atomic_alignment = lu->atomic_granularity = 0;
	if (!from->atomic || blocks > lu->max_transfer)
		return;
	lu->max_atomic = lu->atomic_granularity = blocks;
	lu->atomic_alignment = blocks > 1 ? blocks : 0;
}

/* The relations between the limits: SBC-4 6.6.4, and what initiators check. */
static bool limits_agree(const struct scsi_lu *lu)
{
	uint32_t physical = limits_physical(lu);

	return lu->max_transfer && lu->optimal_granularity == physical &&
		physical <= lu->max_transfer && lu->optimal_transfer <= lu->max_transfer &&
		lu->optimal_transfer % physical == 0 &&
		lu->max_compare_and_write <= lu->max_transfer &&
		lu->unmap_granularity % physical == 0 &&
		(!lu->unmap ||
		 (lu->max_unmap >= lu->unmap_granularity &&
		  lu->max_unmap % lu->unmap_granularity == 0)) &&
		lu->max_atomic <= lu->max_transfer &&
		(lu->max_atomic == 0) == (lu->atomic_granularity == 0) &&
		(!lu->max_atomic || lu->max_atomic % lu->atomic_granularity == 0);
}

void scsi_limits_set(struct scsi_lu *lu, const struct scsi_backend_limits *from)
{
	assert(lu->block_size);
	limits_set_transfer(lu, from);
	limits_set_unmap(lu, from);
	limits_set_atomic(lu, from);
	assert(limits_agree(lu));
}
