/* SPDX-License-Identifier: Apache-2.0 */
/* READ CAPACITY (SBC-3 5.15, 5.16) and GET LBA STATUS (SBC-3 5.4). */
#include "scsi-fixture.h"

static void capacity_10_reports_the_last_block(void **state)
{
	static const struct {
		uint64_t blocks;
		uint8_t last[4];
	} cases[] = {
		{1, {0, 0, 0, 0}},
		{FIXTURE_BLOCKS, {0, 0x01, 0xff, 0xff}},
		{UINT64_C(0xffffffff), {0xff, 0xff, 0xff, 0xfe}},
		{UINT64_C(0x100000000), {0xff, 0xff, 0xff, 0xff}},
		{UINT64_C(0x100000001), {0xff, 0xff, 0xff, 0xff}},
		{0, {0, 0, 0, 0}},
	};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.block_size = 4096;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t wanted[8] = {[6] = 0x10};

		memcpy(wanted, cases[i].last, 4);
		fixture.lu.blocks = cases[i].blocks;
		assert_int_equal(scsi_fixture_run(&fixture, CDB(0x25), 8), SCSI_ANSWERED);
		assert_int_equal(fixture.result.status, SCSI_GOOD);
		assert_int_equal(fixture.result.data_length, 8);
		assert_memory_equal(fixture.data, wanted, 8);
	}
}

static void an_address_needs_pmi(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x25, 0, 0, 0, 0, 1), 8);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(&fixture, CDB(0x25, 0, 0, 0, 0, 1, 0, 0, 1), 8);
	assert_int_equal(fixture.result.data_length, 8);
	scsi_fixture_run(&fixture, CDB(0x25, 0, 1), 8);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(&fixture, CDB(0x9e, 0x10, [9] = 1, [13] = 32), 32);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(&fixture, CDB(0x9e, 0x10, 1, [13] = 32), 32);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(&fixture, CDB(0x9e, 0x10, [9] = 1, [13] = 32, [14] = 1), 32);
	assert_int_equal(fixture.result.data_length, 32);
}

static void capacity_16_reports_provisioning(void **state)
{
	uint8_t wanted[32] = {0, 0, 0, 0, 0, 0x01, 0xff, 0xff, 0, 0, 0x02, 0x00, 0, 0x03, 0xc0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0x9e, 0x10), 10, 4, wanted, sizeof(wanted));
	fixture.lu.unmap_zeroes = false;
	wanted[14] = 0x80;
	scsi_fixture_expect_data(&fixture, CDB(0x9e, 0x10), 10, 4, wanted, sizeof(wanted));
	fixture.lu.unmap = false;
	scsi_fixture_expect_data(&fixture, CDB(0x9e, 0x10), 10, 4, wanted, sizeof(wanted));
	fixture.lu.thin = false;
	fixture.lu.unmap_zeroes = true;
	fixture.lu.blocks = UINT64_C(0x0123456789abcdef);
	fixture.lu.physical_exponent = 0;
	wanted[13] = wanted[14] = 0;
	memcpy(wanted, (const uint8_t[]){0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xee}, 8);
	scsi_fixture_expect_data(&fixture, CDB(0x9e, 0x10), 10, 4, wanted, sizeof(wanted));
}

/* ------- READ DEFECT DATA ------- */

static void there_are_no_defects(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (uint8_t lists = 0; lists < 0x20; lists += 8) {
		for (uint8_t format = 0; format < 7; format++) {
			const uint8_t ten[4] = {0, lists | format}, twelve[8] = {0, lists | format};

			scsi_fixture_expect_data(
				&fixture, CDB(0x37, 0, lists | format), 7, 2, ten, sizeof(ten));
			scsi_fixture_expect_data(
				&fixture, CDB(0xb7, lists | format, 0, 0, 0, 9), 6, 4, twelve,
				sizeof(twelve));
		}
		scsi_fixture_run(&fixture, CDB(0x37, 0, lists | 7, [8] = 8), 8);
		expect_bad_cdb(&fixture, 2, 2);
		scsi_fixture_run(&fixture, CDB(0xb7, lists | 7, [9] = 8), 8);
		expect_bad_cdb(&fixture, 1, 2);
	}
}

/* ------- GET LBA STATUS ------- */

static void lba_status_is_planned_for_a_backend_with_a_map(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x9e, 0x12, [8] = 0x10, [13] = 24), 24),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_MAP, 0, 0x1000, FIXTURE_BLOCKS - 0x1000);
}

static void without_a_map_everything_is_mapped(void **state)
{
	static const uint8_t wanted[] = {0, 0,    0,    20,   0, 0, 0, 0, 0, 0, 0, 0,
					 0, 0x01, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.has_map = false;
	scsi_fixture_expect_data(
		&fixture, CDB(0x9e, 0x12, [7] = 0x01, [8] = 0xff, [9] = 0xff), 10, 4, wanted,
		sizeof(wanted));
}

static void lba_status_ends_with_the_medium(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned map = 0; map < 2; map++) {
		fixture.lu.has_map = map;
		scsi_fixture_run(&fixture, CDB(0x9e, 0x12, [7] = 0x02, [13] = 24), 24);
		expect_sense(&fixture, 0x05, 0x21, 0x00);
		scsi_fixture_run(
			&fixture,
			CDB(0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0,
			    24),
			24);
		expect_sense(&fixture, 0x05, 0x21, 0x00);
	}
}

static void extents_become_descriptors(void **state)
{
	static const struct scsi_lba_status status[] = {
		{.lba = 0x10, .blocks = 8, .mapped = true},
		{.lba = 0x18, .blocks = UINT64_C(0x100000001), .mapped = false},
		{.lba = UINT64_C(0x100000019), .blocks = 0, .mapped = true},
	};
	static const uint8_t wanted[] = {
		0, 0,    0, 52, 0, 0, 0, 0, 0, 0,    0, 0, 0,    0,    0,    0x10, 0,    0,    0,
		8, 0x00, 0, 0,  0, 0, 0, 0, 0, 0,    0, 0, 0x18, 0xff, 0xff, 0xff, 0xff, 0x01, 0,
		0, 0,    0, 0,  0, 1, 0, 0, 0, 0x17, 0, 0, 0,    2,    0x01, 0,    0,    0,
	};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned allocation = 0; allocation <= sizeof(wanted) + 1; allocation++) {
		struct scsi_task task = {
			.cdb = CDB(0x9e, 0x12, [13] = (uint8_t) allocation), .cdb_length = 16};
		size_t length = allocation < sizeof(wanted) ? allocation : sizeof(wanted);

		memset(fixture.data, 0xff, sizeof(wanted));
		fixture.result = (struct scsi_result){.status = 0xff, .data = fixture.data};
		scsi_answer_lba_status(&task, status, 3, &fixture.result);
		assert_int_equal(fixture.result.status, SCSI_GOOD);
		assert_int_equal(fixture.result.data_length, length);
		assert_memory_equal(fixture.data, wanted, length);
	}
}

static void descriptors_never_leave_the_buffer(void **state)
{
	struct scsi_lba_status status = {.lba = 0, .blocks = UINT64_MAX, .mapped = true};
	struct scsi_task task = {
		.cdb = CDB(0x9e, 0x12, [10] = 0xff, 0xff, 0xff, 0xff), .cdb_length = 16};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	memset(fixture.data, 0xff, sizeof(fixture.data));
	fixture.result.data = fixture.data;
	scsi_answer_lba_status(&task, &status, 1, &fixture.result);
	assert_int_equal(fixture.result.data_length, 8 + 4095 * 16);
	assert_true(fixture.result.data_length <= SCSI_DATA_MAX);
	assert_int_equal(fixture.data[fixture.result.data_length], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_10_reports_the_last_block),
		cmocka_unit_test(an_address_needs_pmi),
		cmocka_unit_test(capacity_16_reports_provisioning),
		cmocka_unit_test(there_are_no_defects),
		cmocka_unit_test(lba_status_is_planned_for_a_backend_with_a_map),
		cmocka_unit_test(without_a_map_everything_is_mapped),
		cmocka_unit_test(lba_status_ends_with_the_medium),
		cmocka_unit_test(extents_become_descriptors),
		cmocka_unit_test(descriptors_never_leave_the_buffer),
	};

	return cmocka_run_group_tests_name("scsi-capacity", tests, NULL, NULL);
}
