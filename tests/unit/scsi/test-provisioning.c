/* SPDX-License-Identifier: Apache-2.0 */
/* UNMAP (SBC-3 5.28) and WRITE SAME (SBC-3 5.43, 5.44). */
#include "scsi-fixture.h"

/* ------- UNMAP ------- */

struct unmap_list {
	uint8_t bytes[8 + 64 * 16];
	size_t length;
};

static void list_add(struct unmap_list *list, uint64_t lba, uint32_t blocks)
{
	uint8_t *p;

	if (!list->length)
		list->length = 8;
	p = list->bytes + list->length;
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t) (lba >> (56 - 8 * i));
	for (unsigned i = 0; i < 4; i++)
		p[8 + i] = (uint8_t) (blocks >> (24 - 8 * i));
	list->length += 16;
	list->bytes[0] = (uint8_t) ((list->length - 2) >> 8);
	list->bytes[1] = (uint8_t) (list->length - 2);
	list->bytes[2] = (uint8_t) ((list->length - 8) >> 8);
	list->bytes[3] = (uint8_t) (list->length - 8);
}

static enum scsi_verdict send_unmap(struct scsi_fixture *fixture, const struct unmap_list *list)
{
	return scsi_fixture_send(
		fixture,
		CDB(0x42, 0, 0, 0, 0, 0, 0, (uint8_t) (list->length >> 8), (uint8_t) list->length),
		list->bytes, list->length);
}

static void extents_are_planned(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	list_add(&list, 0, 8);
	list_add(&list, 3, 0); /* of no blocks: nothing to do */
	list_add(&list, FIXTURE_BLOCKS, 0);
	list_add(&list, FIXTURE_BLOCKS - 1, 1);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_UNMAP, 0, 0, 0);
	assert_int_equal(fixture.result.plan.extent_cnt, 2);
	assert_int_equal(fixture.result.plan.extents[0].lba, 0);
	assert_int_equal(fixture.result.plan.extents[0].blocks, 8);
	assert_int_equal(fixture.result.plan.extents[1].lba, FIXTURE_BLOCKS - 1);
	assert_int_equal(fixture.result.plan.extents[1].blocks, 1);
}

static void a_list_without_blocks_is_good(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
	expect_good(&fixture);
	list.length = 8;
	assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
	expect_good(&fixture);
	list_add(&list, 5, 0);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void an_incomplete_descriptor_is_ignored(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	list_add(&list, 5, 1);
	list_add(&list, FIXTURE_BLOCKS, 1); /* would be refused */
	list.bytes[3]--;
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);
	assert_int_equal(fixture.result.plan.extent_cnt, 1);
}

static void extents_have_to_be_on_the_medium(void **state)
{
	static const struct scsi_extent outside[] = {
		{FIXTURE_BLOCKS, 1},    {FIXTURE_BLOCKS + 1, 0}, {FIXTURE_BLOCKS - 1, 2},
		{UINT64_MAX, 1},        {UINT64_MAX, 0},         {UINT64_MAX - 1, UINT32_MAX},
		{0, FIXTURE_BLOCKS + 1}};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.max_unmap = 0;
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		struct unmap_list list = {0};

		list_add(&list, 0, 1);
		list_add(&list, outside[i].lba, (uint32_t) outside[i].blocks);
		assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
		expect_sense(&fixture, 0x05, 0x21, 0x00);
	}
}

static void as_many_descriptors_as_announced_can_be_sent(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned i = 0; i < SCSI_UNMAP_DESCRIPTORS_MAX; i++)
		list_add(&list, i, 1);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);
	assert_int_equal(fixture.result.plan.extent_cnt, SCSI_UNMAP_DESCRIPTORS_MAX);
	list_add(&list, 40, 0);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
	expect_bad_list(&fixture, 2, -1);
}

static void no_more_blocks_than_announced_can_be_unmapped(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	list_add(&list, 0, 0x8000);
	list_add(&list, 0, 0x8000);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);
	list_add(&list, 0, 1);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_ANSWERED);
	expect_bad_list(&fixture, 8 + 2 * 16 + 8, -1);
	fixture.lu.max_unmap = 0;
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);

	/* No sum overflows. */
	fixture.lu.blocks = UINT64_MAX;
	memset(&list, 0, sizeof(list));
	list_add(&list, 0, UINT32_MAX);
	assert_int_equal(send_unmap(&fixture, &list), SCSI_PLANNED);
	list_add(&list, 0, 1);
	send_unmap(&fixture, &list);
	expect_bad_list(&fixture, 8 + 16 + 8, -1);
}

static void a_list_that_is_cut_off_is_refused(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	list_add(&list, 0, 1);
	list_add(&list, 4, 1);
	for (size_t length = 1; length < list.length; length++) {
		/* the CDB says so */
		scsi_fixture_send(
			&fixture, CDB(0x42, [8] = (uint8_t) length), list.bytes, list.length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
		/* there is no more of it */
		scsi_fixture_send(
			&fixture, CDB(0x42, [8] = (uint8_t) list.length), list.bytes, length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
	}
	/* data-out that is promised but not there */
	scsi_fixture_run(&fixture, CDB(0x42, [8] = (uint8_t) list.length), list.length);
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
}

static void a_protected_medium_is_not_unmapped(void **state)
{
	struct unmap_list list = {0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.read_only = true;
	list_add(&list, 0, 1);
	send_unmap(&fixture, &list);
	expect_sense(&fixture, 0x07, 0x27, 0x00);
}

/* The iovecs end in the middle of a descriptor, although the command's length says otherwise. */
static void data_out_that_ends_early_is_refused(void **state)
{
	struct unmap_list list = {0};
	struct iovec iov = {.iov_base = list.bytes, .iov_len = 30};
	struct scsi_task task = {
		.cdb = CDB(0x42, [8] = 40),
		.cdb_length = 10,
		.iov = &iov,
		.iov_cnt = 1,
		.data_length = 40};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.result.data = fixture.data;
	list_add(&list, 0, 1);
	list_add(&list, 4, 1);
	assert_int_equal(scsi_dispatch(&fixture.lu, &task, &fixture.result), SCSI_ANSWERED);
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
}

/* ------- WRITE SAME ------- */

static void write_same_repeats_one_block(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x41, 0, 0, 0, 0, 9, 0, 0x80, 0), 512),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, 0, 9, 0x8000);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x93, 0, [9] = 9, [12] = 0x80), 512), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, 0, 9, 0x8000);
}

static void write_same_may_unmap(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x41, 0x08, 0, 0, 0, 9, 0, 0, 1), 512),
		SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, SCSI_PLAN_MAY_UNMAP, 9, 1);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x93, 0x08, [9] = 9, [13] = 1), 512), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, SCSI_PLAN_MAY_UNMAP, 9, 1);
	scsi_fixture_run(&fixture, CDB(0x93, 0x18, [9] = 9, [13] = 1), 512);
	expect_bad_cdb(&fixture, 1, 4); /* ANCHOR */
}

static void write_same_needs_no_data_for_zeros(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x93, 0x01, [9] = 9, [13] = 1), 0), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, SCSI_PLAN_ZEROES, 9, 1);
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x93, 0x09, [9] = 9, [13] = 1), 0), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, SCSI_PLAN_ZEROES | SCSI_PLAN_MAY_UNMAP, 9, 1);
	scsi_fixture_run(&fixture, CDB(0x41, 0x01, [8] = 1), 0);
	expect_bad_cdb(&fixture, 1, 0);
}

static void write_same_needs_exactly_one_block_of_data(void **state)
{
	static const uint64_t wrong[] = {0, 256, 511, 513, 1024};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		scsi_fixture_run(&fixture, CDB(0x41, 0x08, [8] = 2), wrong[i]);
		expect_sense(&fixture, 0x05, 0x0e, 0x03);
		scsi_fixture_run(&fixture, CDB(0x93, 0x00, [13] = 2), wrong[i]);
		expect_sense(&fixture, 0x05, 0x0e, 0x03);
	}
}

static void write_same_has_limits(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x41), 512); /* no blocks */
	expect_bad_cdb(&fixture, 7, -1);
	scsi_fixture_run(&fixture, CDB(0x93), 512);
	expect_bad_cdb(&fixture, 10, -1);
	scsi_fixture_run(&fixture, CDB(0x41, [7] = 0x80, 1), 512); /* too many */
	expect_bad_cdb(&fixture, 7, -1);
	scsi_fixture_run(&fixture, CDB(0x93, [12] = 0x80, 1), 512);
	expect_bad_cdb(&fixture, 10, -1);
	scsi_fixture_run(
		&fixture, CDB(0x93, [7] = 0x02, [13] = 1),
		512); /* beyond the end, in spite of all else */
	expect_sense(&fixture, 0x05, 0x21, 0x00);
	scsi_fixture_run(&fixture, CDB(0x93, [7] = 0x02, 0, 1), 512);
	expect_sense(&fixture, 0x05, 0x21, 0x00);
	scsi_fixture_run(&fixture, CDB(0x93, 0xff, 0xff), 512);
	expect_bad_cdb(&fixture, 1, 7);
	fixture.lu.max_write_same = 0;
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x93, [11] = 0x02), 512), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_WRITE_SAME, 0, 0, FIXTURE_BLOCKS);
	fixture.lu.read_only = true;
	scsi_fixture_run(&fixture, CDB(0x93, [13] = 1), 512);
	expect_sense(&fixture, 0x07, 0x27, 0x00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extents_are_planned),
		cmocka_unit_test(a_list_without_blocks_is_good),
		cmocka_unit_test(an_incomplete_descriptor_is_ignored),
		cmocka_unit_test(extents_have_to_be_on_the_medium),
		cmocka_unit_test(as_many_descriptors_as_announced_can_be_sent),
		cmocka_unit_test(no_more_blocks_than_announced_can_be_unmapped),
		cmocka_unit_test(a_list_that_is_cut_off_is_refused),
		cmocka_unit_test(a_protected_medium_is_not_unmapped),
		cmocka_unit_test(data_out_that_ends_early_is_refused),
		cmocka_unit_test(write_same_repeats_one_block),
		cmocka_unit_test(write_same_may_unmap),
		cmocka_unit_test(write_same_needs_no_data_for_zeros),
		cmocka_unit_test(write_same_needs_exactly_one_block_of_data),
		cmocka_unit_test(write_same_has_limits),
	};

	return cmocka_run_group_tests_name("scsi-provisioning", tests, NULL, NULL);
}
