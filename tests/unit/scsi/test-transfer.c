/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that read, write, verify and flush: ranges, flags, data-out, protection (SBC-3 5). */
#include "scsi-fixture.h"

/* A command with a range, and where its fields are. */
struct shape {
	uint8_t opcode;
	enum scsi_plan_op op;
	uint8_t flags; /* the bits DPO and FUA that CDB byte 1 may have */
	bool writes;
	bool data_out; /* as much as the range has */
};

static const struct shape shapes[] = {
	{0x08, SCSI_PLAN_READ, 0, false, false},
	{0x28, SCSI_PLAN_READ, 0x18, false, false},
	{0xa8, SCSI_PLAN_READ, 0x18, false, false},
	{0x88, SCSI_PLAN_READ, 0x18, false, false},
	{0x0a, SCSI_PLAN_WRITE, 0, true, true},
	{0x2a, SCSI_PLAN_WRITE, 0x18, true, true},
	{0xaa, SCSI_PLAN_WRITE, 0x18, true, true},
	{0x8a, SCSI_PLAN_WRITE, 0x18, true, true},
	{0x2e, SCSI_PLAN_WRITE_VERIFY, 0x10, true, true},
	{0xae, SCSI_PLAN_WRITE_VERIFY, 0x10, true, true},
	{0x8e, SCSI_PLAN_WRITE_VERIFY, 0x10, true, true},
	{0x2f, SCSI_PLAN_VERIFY, 0x10, false, false},
	{0xaf, SCSI_PLAN_VERIFY, 0x10, false, false},
	{0x8f, SCSI_PLAN_VERIFY, 0x10, false, false},
	{0x8b, SCSI_PLAN_ORWRITE, 0x18, true, true},
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void put_field(uint8_t *p, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t) (value >> (8 * (bytes - 1 - i)));
}

/* Says whether the fields have room for the values. */
static bool transfer_make_cdb(uint8_t *cdb, uint8_t opcode, uint64_t lba, uint64_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = opcode;
	switch (scsi_fixture_cdb_length(opcode)) {
	case 6:
		put_field(cdb + 1, 3, lba);
		cdb[4] = (uint8_t) blocks;
		return lba < 0x200000 && blocks >= 1 && blocks <= 256;
	case 10:
		put_field(cdb + 2, 4, lba);
		put_field(cdb + 7, 2, blocks);
		return lba <= UINT32_MAX && blocks <= UINT16_MAX;
	case 12:
		put_field(cdb + 2, 4, lba);
		put_field(cdb + 6, 4, blocks);
		return lba <= UINT32_MAX && blocks <= UINT32_MAX;
	default:
		put_field(cdb + 2, 8, lba);
		put_field(cdb + 10, 4, blocks);
		return blocks <= UINT32_MAX;
	}
}

static void try_range(
	struct scsi_fixture *fixture, const struct shape *shape, uint64_t lba, uint64_t blocks,
	bool inside)
{
	uint64_t data = blocks * fixture->lu.block_size;
	enum scsi_verdict verdict;
	uint8_t cdb[16];

	if (!transfer_make_cdb(cdb, shape->opcode, lba, blocks))
		return;
	verdict = scsi_fixture_run(fixture, cdb, data);
	if (!inside) {
		assert_int_equal(verdict, SCSI_ANSWERED);
		expect_sense(fixture, 0x05, 0x21, 0x00);
	} else if (blocks == 0) {
		assert_int_equal(verdict, SCSI_ANSWERED);
		expect_good(fixture);
	} else {
		assert_int_equal(verdict, SCSI_PLANNED);
		expect_plan(fixture, shape->op, 0, lba, blocks);
		assert_int_equal(fixture->result.plan.extent_cnt, 0);
	}
}

static void ranges_end_with_the_medium(void **state)
{
	static const uint64_t sizes[] = {
		1,         256,        0x10000,           FIXTURE_BLOCKS,
		0x1fffff,  0xffffffff, UINT64_C(1) << 32, UINT64_C(1) << 40,
		UINT64_MAX};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < SHAPES; i++) {
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			uint64_t n = fixture.lu.blocks = sizes[j];

			try_range(&fixture, &shapes[i], 0, 0, true);
			try_range(&fixture, &shapes[i], 0, 1, true);
			try_range(&fixture, &shapes[i], 0, n, true);
			try_range(&fixture, &shapes[i], n - 1, 1, true);
			try_range(&fixture, &shapes[i], n - 1, 0, true);
			try_range(&fixture, &shapes[i], n, 0, true);
			try_range(&fixture, &shapes[i], n, 1, false);
			try_range(&fixture, &shapes[i], n - 1, 2, false);
			if (n == UINT64_MAX)
				continue;
			try_range(&fixture, &shapes[i], n + 1, 0, false);
			try_range(&fixture, &shapes[i], 0, n + 1, false);
			try_range(&fixture, &shapes[i], UINT64_MAX, 0, false);
			try_range(&fixture, &shapes[i], UINT64_MAX, 1, false);
			try_range(&fixture, &shapes[i], UINT64_MAX, UINT32_MAX, false);
			try_range(
				&fixture, &shapes[i], UINT64_MAX - UINT32_MAX + 1, UINT32_MAX,
				false);
			try_range(&fixture, &shapes[i], UINT32_MAX, 0, n >= UINT32_MAX);
		}
	}
}

static void a_short_cdb_without_length_means_256_blocks(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x08, 0x01, 0x02, 0x03, 0), 256 * 512),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_READ, 0, 0x10203, 256);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x0a, 0x01, 0x02, 0x03, 0), 256 * 512),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE, 0, 0x10203, 256);
	/* These bits are DPO and FUA in longer CDBs. */
	fixture.lu.blocks = 0x200000;
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x08, 0x1f, 0xff, 0xff, 1), 512), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_READ, 0, 0x1fffff, 1);
}

static void dpo_and_fua_are_passed_on(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < SHAPES; i++) {
		for (uint8_t flags = 0x08; flags <= 0x18; flags += 0x08) {
			uint8_t cdb[16];

			transfer_make_cdb(cdb, shapes[i].opcode, 1, 1);
			if (scsi_fixture_cdb_length(shapes[i].opcode) == 6 ||
			    (flags & ~shapes[i].flags))
				continue;
			cdb[1] |= flags;
			assert_int_equal(scsi_fixture_run(&fixture, cdb, 512), SCSI_PLANNED);
			expect_plan(
				&fixture, shapes[i].op,
				(flags & 0x10 ? SCSI_PLAN_DPO : 0) |
					(flags & 0x08 ? SCSI_PLAN_FUA : 0),
				1, 1);
		}
	}
}

static void protection_information_is_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < SHAPES; i++) {
		for (unsigned protect = 1; protect < 8; protect++) {
			uint8_t cdb[16];

			transfer_make_cdb(cdb, shapes[i].opcode, 1, 1);
			if (scsi_fixture_cdb_length(shapes[i].opcode) == 6)
				continue;
			cdb[1] |= (uint8_t) (protect << 5);
			scsi_fixture_run(&fixture, cdb, 512);
			expect_bad_cdb(&fixture, 1, protect >= 4 ? 7 : protect >= 2 ? 6 : 5);
		}
	}
}

static void data_out_has_to_have_the_size_that_the_cdb_says(void **state)
{
	static const uint64_t wrong[] = {0, 1, 511, 512, 1023, 1025, 1536, UINT64_C(1) << 40};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < SHAPES; i++) {
		for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
			uint8_t cdb[16];

			transfer_make_cdb(cdb, shapes[i].opcode, 5, 2);
			if (shapes[i].data_out) {
				assert_int_equal(
					scsi_fixture_run(&fixture, cdb, wrong[j]), SCSI_ANSWERED);
				expect_sense(&fixture, 0x05, 0x0e, 0x03);
			} else {
				/* A read goes as far as the initiator has room. */
				assert_int_equal(
					scsi_fixture_run(&fixture, cdb, wrong[j]), SCSI_PLANNED);
				expect_plan(&fixture, shapes[i].op, 0, 5, 2);
			}
		}
	}
}

static void a_protected_medium_is_not_written(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < SHAPES; i++) {
		uint8_t cdb[16];

		transfer_make_cdb(cdb, shapes[i].opcode, 5, 1);
		for (unsigned how = 1; how < 4; how++) {
			fixture.lu.read_only = how & 1;
			fixture.lu.software_write_protect = how & 2;
			if (shapes[i].writes) {
				assert_int_equal(
					scsi_fixture_run(&fixture, cdb, 512), SCSI_ANSWERED);
				expect_sense(&fixture, 0x07, 0x27, how == 2 ? 0x02 : 0x00);
			} else {
				assert_int_equal(
					scsi_fixture_run(&fixture, cdb, 512), SCSI_PLANNED);
			}
		}
		/* Even if another field of a command that writes is wrong. */
		cdb[scsi_fixture_cdb_length(cdb[0]) - 1] = 1;
		scsi_fixture_run(&fixture, cdb, 512);
		if (shapes[i].writes)
			expect_sense(&fixture, 0x07, 0x27, 0x00);
		else
			expect_bad_cdb(&fixture, scsi_fixture_cdb_length(cdb[0]) - 1, 0);
	}
}

/* ------- BYTCHK ------- */

static void verify_compares_when_asked(void **state)
{
	static const uint8_t opcodes[] = {0x2f, 0xaf, 0x8f};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		uint8_t cdb[16];

		transfer_make_cdb(cdb, opcodes[i], 7, 3);
		cdb[1] = 0x02;
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 3 * 512), SCSI_PLANNED);
		expect_plan(&fixture, SCSI_PLAN_VERIFY, SCSI_PLAN_COMPARE, 7, 3);
		scsi_fixture_run(&fixture, cdb, 512);
		expect_sense(&fixture, 0x05, 0x0e, 0x03);
		cdb[1] = 0x06;
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 512), SCSI_PLANNED);
		expect_plan(
			&fixture, SCSI_PLAN_VERIFY, SCSI_PLAN_COMPARE | SCSI_PLAN_ONE_BLOCK, 7, 3);
		scsi_fixture_run(&fixture, cdb, 3 * 512);
		expect_sense(&fixture, 0x05, 0x0e, 0x03);
		cdb[1] = 0x04;
		scsi_fixture_run(&fixture, cdb, 512);
		expect_bad_cdb(&fixture, 1, 2);

		/* nothing to compare */
		transfer_make_cdb(cdb, opcodes[i], 7, 0);
		for (cdb[1] = 0x02; cdb[1] <= 0x06; cdb[1] += 4) {
			assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_ANSWERED);
			expect_good(&fixture);
		}
	}
}

static void write_and_verify_compares_when_asked(void **state)
{
	static const uint8_t opcodes[] = {0x2e, 0xae, 0x8e};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		uint8_t cdb[16];

		transfer_make_cdb(cdb, opcodes[i], 7, 3);
		cdb[1] = 0x12;
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 3 * 512), SCSI_PLANNED);
		expect_plan(
			&fixture, SCSI_PLAN_WRITE_VERIFY, SCSI_PLAN_COMPARE | SCSI_PLAN_DPO, 7, 3);
		cdb[1] = 0x04;
		scsi_fixture_run(&fixture, cdb, 3 * 512);
		expect_bad_cdb(&fixture, 1, 2);
	}
}

/* ------- COMPARE AND WRITE ------- */

static void compare_and_write_takes_two_lots_of_data(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x89, 0x18, [9] = 5, [13] = 32), 64 * 512),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_COMPARE_AND_WRITE, SCSI_PLAN_DPO | SCSI_PLAN_FUA, 5, 32);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 0), 0), SCSI_ANSWERED);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 1), 512);
	expect_sense(&fixture, 0x05, 0x0e, 0x03);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 1), 4 * 512);
	expect_sense(&fixture, 0x05, 0x0e, 0x03);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 33), 66 * 512);
	expect_bad_cdb(&fixture, 13, -1);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 0), 512 * 512);
	expect_bad_cdb(&fixture, 13, -1);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [7] = 0x02, [13] = 1), 2 * 512);
	expect_sense(&fixture, 0x05, 0x21, 0x00);
	scsi_fixture_run(&fixture, CDB(0x89, 0, [7] = 0x02, [13] = 33), 66 * 512);
	expect_sense(&fixture, 0x05, 0x21, 0x00);
	fixture.lu.software_write_protect = true;
	scsi_fixture_run(&fixture, CDB(0x89, 0, [9] = 5, [13] = 1), 2 * 512);
	expect_sense(&fixture, 0x07, 0x27, 0x02);
}

/* ------- WRITE ATOMIC ------- */

static void atomic_writes_keep_to_the_limits_of_the_backend(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x9c, 0x18, [9] = 16, [13] = 64), 64 * 512),
		SCSI_PLANNED);
	expect_plan(
		&fixture, SCSI_PLAN_WRITE, SCSI_PLAN_ATOMIC | SCSI_PLAN_DPO | SCSI_PLAN_FUA, 16,
		64);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 16), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 16, [13] = 68), 68 * 512);
	expect_bad_cdb(&fixture, 12, -1);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 16, [13] = 2), 2 * 512);
	expect_bad_cdb(&fixture, 12, -1);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 12, [13] = 4), 4 * 512);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(
		&fixture, CDB(0x9c, 0, [9] = 16, [11] = 4, [13] = 4),
		4 * 512); /* ATOMIC BOUNDARY */
	expect_bad_cdb(&fixture, 11, 2);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [7] = 0x02, [9] = 1, [13] = 1), 512);
	expect_sense(&fixture, 0x05, 0x21, 0x00);
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 16, [13] = 4), 512);
	expect_sense(&fixture, 0x05, 0x0e, 0x03);

	fixture.lu.atomic_alignment = fixture.lu.atomic_granularity = 0;
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 1, [13] = 1), 512), SCSI_PLANNED);
	fixture.lu.read_only = true;
	scsi_fixture_run(&fixture, CDB(0x9c, 0, [9] = 16, [13] = 4), 4 * 512);
	expect_sense(&fixture, 0x07, 0x27, 0x00);
}

/* ------- SYNCHRONIZE CACHE, PRE-FETCH ------- */

static void commands_without_a_length_go_to_the_end(void **state)
{
	static const struct {
		uint8_t opcode;
		enum scsi_plan_op op;
	} commands[] = {
		{0x35, SCSI_PLAN_FLUSH},
		{0x91, SCSI_PLAN_FLUSH},
		{0x34, SCSI_PLAN_PREFETCH},
		{0x90, SCSI_PLAN_PREFETCH}};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint8_t cdb[16];

		transfer_make_cdb(cdb, commands[i].opcode, 0, 0);
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_PLANNED);
		expect_plan(&fixture, commands[i].op, 0, 0, FIXTURE_BLOCKS);
		transfer_make_cdb(cdb, commands[i].opcode, FIXTURE_BLOCKS - 3, 0);
		cdb[1] = 0x02;
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_PLANNED);
		expect_plan(&fixture, commands[i].op, SCSI_PLAN_IMMEDIATE, FIXTURE_BLOCKS - 3, 3);
		transfer_make_cdb(cdb, commands[i].opcode, FIXTURE_BLOCKS - 3, 2);
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_PLANNED);
		expect_plan(&fixture, commands[i].op, 0, FIXTURE_BLOCKS - 3, 2);
		transfer_make_cdb(cdb, commands[i].opcode, FIXTURE_BLOCKS, 0);
		scsi_fixture_run(&fixture, cdb, 0);
		assert_int_equal(fixture.result.status, SCSI_GOOD);
		transfer_make_cdb(cdb, commands[i].opcode, FIXTURE_BLOCKS + 1, 0);
		scsi_fixture_run(&fixture, cdb, 0);
		expect_sense(&fixture, 0x05, 0x21, 0x00);
		transfer_make_cdb(cdb, commands[i].opcode, FIXTURE_BLOCKS - 3, 4);
		scsi_fixture_run(&fixture, cdb, 0);
		expect_sense(&fixture, 0x05, 0x21, 0x00);
	}
}

static void a_protected_medium_can_be_flushed(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.read_only = true;
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x35), 0), SCSI_PLANNED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_end_with_the_medium),
		cmocka_unit_test(a_short_cdb_without_length_means_256_blocks),
		cmocka_unit_test(dpo_and_fua_are_passed_on),
		cmocka_unit_test(protection_information_is_refused),
		cmocka_unit_test(data_out_has_to_have_the_size_that_the_cdb_says),
		cmocka_unit_test(a_protected_medium_is_not_written),
		cmocka_unit_test(verify_compares_when_asked),
		cmocka_unit_test(write_and_verify_compares_when_asked),
		cmocka_unit_test(compare_and_write_takes_two_lots_of_data),
		cmocka_unit_test(atomic_writes_keep_to_the_limits_of_the_backend),
		cmocka_unit_test(commands_without_a_length_go_to_the_end),
		cmocka_unit_test(a_protected_medium_can_be_flushed),
	};

	return cmocka_run_group_tests_name("scsi-transfer", tests, NULL, NULL);
}
