/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits that initiators see, for backends of random properties. The test reads them from
 * the answers, as an initiator does, and judges them by a model of what initiators check: SBC-4,
 * the block layer of Linux 6.12 to 7.x (sd's reading of the pages and the checks that make it
 * warn), and what Windows and ESXi want for UNMAP.
 */
#include <scsi/limits.h>

#include "scsi-fixture.h"

#define ROUNDS 20000

/* The answers, as an initiator reads them. */
struct seen {
	uint32_t block, physical; /* bytes */
	uint32_t granularity, max_transfer, optimal, max_caw;
	uint32_t max_unmap, unmap_granularity, unmap_alignment;
	uint32_t max_atomic, atomic_alignment, atomic_granularity;
	uint64_t max_write_same;
	bool lbpme, lbprz, lbpu, page_lbprz;
	uint8_t provisioning;
};

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t) (random_state >> 33) % limit;
}

/* 0, a power of two, or a number near one. */
static uint32_t random_bytes(unsigned exponent)
{
	uint32_t value = UINT32_C(1) << random_below(exponent + 1);

	switch (random_below(6)) {
	case 0:
		return 0;
	case 1:
		return value * 3;
	case 2:
		return value - 1 + random_below(3);
	default:
		return value;
	}
}

static uint32_t be(const uint8_t *p, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | *p++;
	return value;
}

static void see(struct scsi_fixture *fixture, struct seen *seen)
{
	const uint8_t *p;

	scsi_fixture_run(fixture, CDB(0x9e, 0x10, [13] = 32), 32);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	p = fixture->result.data;
	seen->block = be(p + 8, 4);
	seen->physical = seen->block << (p[13] & 0x0f);
	seen->lbpme = p[14] & 0x80;
	seen->lbprz = p[14] & 0x40;

	scsi_fixture_run(fixture, CDB(0x12, 1, 0xb0, 0, 64), 64);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	p = fixture->result.data;
	seen->max_caw = p[5];
	seen->granularity = be(p + 6, 2);
	seen->max_transfer = be(p + 8, 4);
	seen->optimal = be(p + 12, 4);
	seen->max_unmap = be(p + 20, 4);
	seen->unmap_granularity = be(p + 28, 4);
	seen->unmap_alignment = be(p + 32, 4) & 0x7fffffff;
	seen->max_write_same = (uint64_t) be(p + 36, 4) << 32 | be(p + 40, 4);
	seen->max_atomic = be(p + 44, 4);
	seen->atomic_alignment = be(p + 48, 4);
	seen->atomic_granularity = be(p + 52, 4);

	scsi_fixture_run(fixture, CDB(0x12, 1, 0xb2, 0, 8), 8);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	p = fixture->result.data;
	seen->lbpu = p[5] & 0x80;
	seen->page_lbprz = p[5] & 0x1c;
	seen->provisioning = p[6] & 0x07;
}

/* ------- the model: NULL, or the rule that is broken ------- */

static uint64_t floor_power(uint64_t value)
{
	while (value & (value - 1))
		value &= value - 1;
	return value;
}

/* Linux computes its units from the page; it warns if they contradict each other. */
static const char *judge_atomic(const struct seen *seen)
{
	uint32_t physical = seen->physical / seen->block;
	uint64_t min = floor_power(seen->atomic_granularity ? seen->atomic_granularity : physical);
	uint64_t max = floor_power(seen->max_atomic);

	if (!seen->max_atomic)
		return seen->atomic_alignment || seen->atomic_granularity
			? "atomic: a unit without a maximum"
			: NULL;
	if (min > max)
		return "atomic: the smallest unit is above the largest";
	if (seen->max_atomic > seen->max_transfer)
		return "atomic: above the maximum transfer";
	if (seen->atomic_granularity && seen->max_atomic % seen->atomic_granularity)
		return "atomic: the maximum is no multiple of the granularity";
	if ((seen->atomic_granularity > 1 &&
	     (min % seen->atomic_granularity || max % seen->atomic_granularity)) ||
	    (seen->atomic_alignment > 1 &&
	     (min % seen->atomic_alignment || max % seen->atomic_alignment)))
		return "atomic: Linux does not use it";
	return NULL;
}

static const char *judge_transfer(const struct seen *seen)
{
	uint64_t physical = seen->physical / seen->block;

	if (seen->physical < seen->block || (seen->physical & (seen->physical - 1)))
		return "the physical block is no power of two";
	if (!seen->max_transfer)
		return "no maximum transfer";
	if (seen->granularity % physical)
		return "the granularity is no multiple of the physical block";
	if (seen->granularity > seen->max_transfer || physical > seen->max_transfer)
		return "the granularity is above the maximum transfer";
	if (seen->optimal > seen->max_transfer)
		return "the optimal transfer is above the maximum";
	if (seen->optimal % physical || (seen->granularity && seen->optimal % seen->granularity))
		return "the optimal transfer is no multiple of the granularity";
	if (seen->max_caw > seen->max_transfer)
		return "COMPARE AND WRITE is above the maximum transfer";
	if (!seen->max_write_same || seen->max_write_same > UINT32_MAX)
		return "WRITE SAME has no usable limit";
	return NULL;
}

static const char *judge_unmap(const struct seen *seen)
{
	uint64_t used = (uint64_t) seen->unmap_granularity * seen->block;

	if (seen->lbpu != (seen->max_unmap != 0))
		return "UNMAP and its limit contradict";
	if ((seen->lbpu || seen->provisioning) && !seen->lbpme)
		return "provisioning without LBPME";
	if (seen->lbprz != seen->page_lbprz || (seen->lbprz && !seen->lbpme))
		return "LBPRZ of the page and of READ CAPACITY(16) differ";
	if (!seen->lbpu)
		return NULL;
	if (used % seen->physical)
		return "the unmap granularity is no multiple of the physical block";
	if (seen->unmap_granularity > seen->max_unmap)
		return "the unmap granularity is above the maximum";
	if (seen->max_unmap % seen->unmap_granularity)
		return "the maximum unmap is no multiple of the granularity";
	if (seen->unmap_alignment >= seen->unmap_granularity)
		return "the unmap alignment is not below the granularity";
	return NULL;
}

static const char *judge(const struct seen *seen)
{
	const char *broken = judge_transfer(seen);

	if (!broken)
		broken = judge_unmap(seen);
	return broken ? broken : judge_atomic(seen);
}

/* ------- tests ------- */

static void prepare(
	struct scsi_fixture *fixture, uint32_t block, const struct scsi_backend_limits *from)
{
	fixture->lu.block_size = block;
	scsi_limits_set(&fixture->lu, from);
}

static void limits_of_random_backends_agree(void **state)
{
	struct scsi_fixture fixture;
	struct seen seen;
	const char *broken;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct scsi_backend_limits from = {
			.max_blocks = 1 + random_bytes(17),
			.physical_block = random_bytes(26),
			.max_transfer = random_bytes(26),
			.optimal_transfer = random_bytes(26),
			.max_unmap = (uint64_t) random_bytes(30) << random_below(8),
			.unmap_granularity = random_bytes(29),
			.max_compare_and_write = random_bytes(20),
			.atomic = random_below(4),
			.atomic_write = random_bytes(20),
		};
		uint32_t block = 512u << random_below(4);

		fixture.lu.unmap = random_below(4);
		fixture.lu.thin = random_below(2);
		fixture.lu.unmap_zeroes = random_below(2);
		prepare(&fixture, block, &from);
		see(&fixture, &seen);
		broken = judge(&seen);
		if (broken)
			fail_msg(
				"round %u, block %u, physical %u: %s", i, block,
				from.physical_block, broken);
	}
}

/* ext4 with direct I/O: blocks of 512 bytes, of which 8 are a physical block. */
static void the_unit_of_a_single_block_is_said(void **state)
{
	static const struct scsi_backend_limits from = {
		.max_blocks = 2048,
		.physical_block = 4096,
		.unmap_granularity = 4096,
		.atomic = true,
		.atomic_write = 512};
	struct scsi_fixture fixture;
	struct seen seen;

	(void) state;
	scsi_fixture_init(&fixture);
	prepare(&fixture, 512, &from);
	see(&fixture, &seen);
	assert_int_equal(seen.physical, 4096);
	assert_int_equal(seen.max_atomic, 1);
	assert_int_equal(seen.atomic_granularity, 1);
	assert_null(judge(&seen));
	seen.atomic_granularity = 0;
	assert_non_null(judge(&seen));
}

static void limits_of_a_backend_are_not_exceeded(void **state)
{
	static const struct scsi_backend_limits from = {
		.max_blocks = 65536,
		.physical_block = 4096,
		.max_transfer = 1 << 20,
		.optimal_transfer = 4 << 20,
		.max_unmap = 10 << 20,
		.unmap_granularity = 4 << 20,
		.max_compare_and_write = 4096,
		.atomic = true,
		.atomic_write = 16384};
	struct scsi_fixture fixture;
	struct seen seen;

	(void) state;
	scsi_fixture_init(&fixture);
	prepare(&fixture, 512, &from);
	see(&fixture, &seen);
	assert_int_equal(seen.max_transfer, 2048);
	assert_int_equal(seen.optimal, 2048);
	assert_int_equal(seen.max_caw, 8);
	assert_int_equal(seen.unmap_granularity, 8192);
	assert_int_equal(seen.max_unmap, 16384);
	assert_int_equal(seen.max_atomic, 32);
	assert_int_equal(seen.atomic_granularity, 32);
	assert_int_equal(seen.atomic_alignment, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_of_random_backends_agree),
		cmocka_unit_test(the_unit_of_a_single_block_is_said),
		cmocka_unit_test(limits_of_a_backend_are_not_exceeded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
