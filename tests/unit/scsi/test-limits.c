/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a logical unit do not contradict each other, whatever its backend says: they are
 * read as an initiator reads them, from READ CAPACITY(16) and VPD B0h and B2h, and held against
 * SBC-4 and against what Linux checks in sd and in its block layer.
 */
#include <stdlib.h>

#include "bytes.h"
#include "limits.h"
#include "scsi-fixture.h"

#define BACKENDS 200000u

/* The limits as an initiator knows them; all in logical blocks except block_size. */
struct seen {
	uint32_t block_size;
	uint32_t physical; /* blocks of a physical block */
	bool lbpme, lbprz;
	uint32_t max_compare_and_write;
	uint32_t granularity, max_transfer, optimal_transfer;
	uint32_t max_unmap, descriptors, unmap_granularity, unmap_alignment;
	uint64_t max_write_same;
	uint32_t max_atomic, atomic_alignment, atomic_granularity;
	uint8_t b2_flags, b2_type;
};

static struct seen see(struct scsi_fixture *fixture)
{
	const uint8_t *data = fixture->data;
	struct seen seen;

	scsi_fixture_run(fixture, CDB(0x9e, 0x10, [13] = 32), 32);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	seen.block_size = get_be32(data + 8);
	seen.physical = 1u << (data[13] & 0x0f);
	seen.lbpme = data[14] & 0x80;
	seen.lbprz = data[14] & 0x40;
	scsi_fixture_run(fixture, CDB(0x12, 0x01, 0xb0, [4] = 64), 64);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	seen.max_compare_and_write = data[5];
	seen.granularity = get_be16(data + 6);
	seen.max_transfer = get_be32(data + 8);
	seen.optimal_transfer = get_be32(data + 12);
	seen.max_unmap = get_be32(data + 20);
	seen.descriptors = get_be32(data + 24);
	seen.unmap_granularity = get_be32(data + 28);
	seen.unmap_alignment = get_be32(data + 32) & 0x7fffffff;
	seen.max_write_same = get_be64(data + 36);
	seen.max_atomic = get_be32(data + 44);
	seen.atomic_alignment = get_be32(data + 48);
	seen.atomic_granularity = get_be32(data + 52);
	scsi_fixture_run(fixture, CDB(0x12, 0x01, 0xb2, [4] = 8), 8);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	seen.b2_flags = data[5];
	seen.b2_type = data[6] & 0x07;
	return seen;
}

static bool is_power_of_two(uint32_t number)
{
	return number && !(number & (number - 1));
}

static uint32_t power_of_two_below(uint32_t number)
{
	while (!is_power_of_two(number))
		number &= number - 1;
	return number;
}

/* ------- what initiators check ------- */

/* sd ignores, with a line in the log, an optimal length that is less than a page or the
 * granularity, more than the maximum, or no multiple of the physical block. */
static void transfers_agree(const struct seen *seen)
{
	assert_in_range(seen->max_transfer, 1, UINT32_MAX);
	assert_int_equal(seen->granularity % seen->physical, 0);
	if (!seen->optimal_transfer)
		return;
	assert_in_range(seen->optimal_transfer, seen->granularity, seen->max_transfer);
	assert_int_equal(seen->optimal_transfer % seen->physical, 0);
	assert_true((uint64_t) seen->optimal_transfer * seen->block_size >= 4096);
}

static void provisioning_agrees(const struct seen *seen)
{
	bool unmaps = seen->b2_flags & 0x80;

	assert_int_equal(unmaps, seen->max_unmap && seen->descriptors);
	assert_int_equal(seen->lbprz, (seen->b2_flags & 0x04) != 0);
	assert_true(seen->lbpme || (!unmaps && !seen->b2_flags && !seen->b2_type));
	assert_true(seen->max_write_same > 0);
	assert_true(2 * seen->max_compare_and_write <= seen->max_transfer);
	if (!unmaps)
		return;
	assert_in_range(seen->unmap_granularity, 1, seen->max_unmap);
	assert_int_equal(seen->max_unmap % seen->unmap_granularity, 0);
	assert_true(seen->unmap_alignment < seen->unmap_granularity);
}

/* sd derives a smallest and a largest unit. The block layer warns, and may stop the kernel, if one
 * of them is no power of two, or if smallest, largest and maximum are not in this order. */
static void atomic_writes_agree(const struct seen *seen)
{
	uint32_t smallest, largest;

	if (!seen->max_atomic)
		return;
	smallest = power_of_two_below(
		seen->atomic_granularity ? seen->atomic_granularity : seen->physical);
	largest = power_of_two_below(seen->max_atomic);
	assert_true(smallest <= largest);
	assert_true(largest <= seen->max_atomic);
	assert_true(seen->max_atomic <= seen->max_transfer);
	if (seen->atomic_granularity > 1) {
		assert_int_equal(seen->max_atomic % seen->atomic_granularity, 0);
		assert_int_equal(smallest % seen->atomic_granularity, 0);
		assert_int_equal(largest % seen->atomic_granularity, 0);
	}
	if (seen->atomic_alignment > 1)
		assert_int_equal(smallest % seen->atomic_alignment, 0);
	/* Only whole physical blocks are written whole. */
	assert_int_equal(smallest % seen->physical, 0);
}

static void initiators_agree(struct scsi_fixture *fixture)
{
	struct seen seen = see(fixture);

	transfers_agree(&seen);
	provisioning_agrees(&seen);
	atomic_writes_agree(&seen);
}

/* ------- backends ------- */

static struct scsi_backend_limits plain(void)
{
	return (struct scsi_backend_limits){
		.max_blocks = 2048, .max_unmap = 1 << 29, .max_write_same = 1 << 26};
}

static void a_unit_of_atomic_writes_is_a_physical_block_at_least(void **state)
{
	static const struct {
		uint32_t block, physical, unit, blocks;
	} cases[] = {
		{512, 512, 512, 1},    {512, 4096, 512, 0},     {512, 4096, 4096, 8},
		{512, 512, 4096, 8},   {4096, 4096, 4096, 1},   {512, 512, 12288, 8},
		{512, 4096, 6144, 0},  {512, 512, 0, 0},        {4096, 512, 4096, 1},
		{512, 512, 1536, 1},   {4096, 4096, 65536, 16}, {512, 512, 1u << 31, 2048},
		{4096, 4096, 2048, 0},
	};
	struct scsi_backend_limits limits = plain();
	struct scsi_fixture fixture;
	struct seen seen;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture.lu.block_size = cases[i].block;
		limits.physical_block = cases[i].physical;
		limits.atomic_write = cases[i].unit;
		scsi_lu_set_limits(&fixture.lu, &limits);
		seen = see(&fixture);
		assert_int_equal(seen.max_atomic, cases[i].blocks);
		assert_int_equal(seen.atomic_granularity, cases[i].blocks);
		initiators_agree(&fixture);
	}
}

static void limits_of_no_block_are_one_block(void **state)
{
	struct scsi_backend_limits limits = {
		.max_blocks = 128,
		.max_transfer = 100,
		.max_unmap = 100,
		.max_write_same = 100,
		.max_compare_and_write = 100};
	struct scsi_fixture fixture;
	struct seen seen;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_lu_set_limits(&fixture.lu, &limits);
	seen = see(&fixture);
	assert_int_equal(seen.max_transfer, 1);
	assert_int_equal(seen.max_unmap, 1);
	assert_int_equal(seen.max_write_same, 1);
	assert_int_equal(seen.max_compare_and_write, 0);
	initiators_agree(&fixture);
}

/* Often a power of two, often a neighbour of one, sometimes 0. */
static uint64_t random_limit(unsigned bits)
{
	uint64_t value = UINT64_C(1) << (unsigned) random() % bits;

	switch (random() % 5) {
	case 0:
		return value - 1;
	case 1:
		return value + 1;
	case 2:
		return value * 3;
	case 3:
		return value | (uint64_t) random() % value;
	default:
		return value;
	}
}

static void limits_of_any_backend_agree(void **state)
{
	struct scsi_fixture fixture;
	unsigned atomic = 0;

	(void) state;
	scsi_fixture_init(&fixture);
	srandom(1);
	for (unsigned i = 0; i < BACKENDS; i++) {
		struct scsi_backend_limits limits = {
			.physical_block = (uint32_t) random_limit(28),
			.max_blocks = (uint32_t) random_limit(20) + 1,
			.max_transfer = random_limit(36),
			.optimal_transfer = random_limit(36),
			.max_unmap = random_limit(36) + 1,
			.unmap_granularity = (uint32_t) random_limit(30),
			.max_write_same = random_limit(36) + 1,
			.max_compare_and_write = (uint32_t) random_limit(20),
			.atomic_write = (uint32_t) random_limit(24),
		};

		fixture.lu.block_size = random() % 2 ? 512 : 4096;
		fixture.lu.thin = random() % 2;
		fixture.lu.unmap = random() % 2;
		fixture.lu.unmap_zeroes = random() % 2;
		scsi_lu_set_limits(&fixture.lu, &limits);
		initiators_agree(&fixture);
		atomic += fixture.lu.max_atomic != 0;
	}
	assert_in_range(atomic, BACKENDS / 20, BACKENDS);
}

/* The check itself: each relation alone is enough to break it. */
static void a_contradiction_is_seen(void **state)
{
	struct scsi_backend_limits limits = plain();
	struct scsi_lu good, lu;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	limits.physical_block = limits.atomic_write = 4096;
	limits.optimal_transfer = 65536;
	limits.unmap_granularity = 4096;
	scsi_lu_set_limits(&fixture.lu, &limits);
	good = fixture.lu;
	assert_true(scsi_limits_agree(&good));
#define CONTRADICTION(change) (lu = good, lu.change, assert_false(scsi_limits_agree(&lu)))
	CONTRADICTION(max_transfer = 0);
	CONTRADICTION(optimal_granularity = 1);
	CONTRADICTION(optimal_transfer = 4096);
	CONTRADICTION(optimal_transfer = 12);
	CONTRADICTION(max_transfer = 500);
	CONTRADICTION(unmap_granularity = 0);
	CONTRADICTION(unmap_granularity = UINT32_MAX);
	CONTRADICTION(max_unmap++);
	CONTRADICTION(unmap_alignment = 8);
	CONTRADICTION(max_write_same = 0);
	CONTRADICTION(max_atomic = 1);
	CONTRADICTION(max_atomic = 24);
	CONTRADICTION(max_atomic = 4096);
	CONTRADICTION(atomic_granularity = 0);
	CONTRADICTION(atomic_granularity = 16);
	CONTRADICTION(atomic_alignment = 0);
	CONTRADICTION(atomic_alignment = 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_of_atomic_writes_is_a_physical_block_at_least),
		cmocka_unit_test(limits_of_no_block_are_one_block),
		cmocka_unit_test(limits_of_any_backend_agree),
		cmocka_unit_test(a_contradiction_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
