/* SPDX-License-Identifier: Apache-2.0 */
/* EXTENDED COPY (SPC-4 6.4, 6.5), COPY OPERATION ABORT (6.3), RECEIVE COPY (6.22, 6.24, 6.25),
 * third-party copy (7.8.17). */
#include "scsi-fixture.h"

#include <errno.h>

#define TARGETS 16
#define SEGMENT (16 + 32) /* where the first segment of make_list() is */
#define LENGTH  (SEGMENT + 28)
#define LIST_ID 7

/* A list with one target, the fixture's own, and one segment: 8 blocks from 0 to 100. */
static const uint8_t *make_list(struct scsi_fixture *fixture, uint8_t *p)
{
	memset(p, 0, LENGTH);
	p[0] = LIST_ID;
	p[3] = 32;
	p[11] = 28;
	p[TARGETS] = 0xe4;
	p[TARGETS + 4] = 0x01;
	p[TARGETS + 5] = 0x03;
	p[TARGETS + 7] = 16;
	assert_true(scsi_naa(&fixture->lu, p + TARGETS + 8));
	p[TARGETS + 30] = FIXTURE_BLOCK_SIZE >> 8;
	p[SEGMENT] = 0x02;
	p[SEGMENT + 3] = 0x18;
	p[SEGMENT + 11] = 8;
	p[SEGMENT + 27] = 100;
	return p;
}

static enum scsi_verdict send_copy(struct scsi_fixture *fixture, const uint8_t *p, uint16_t length)
{
	return scsi_fixture_send(
		fixture, CDB(0x83, [12] = (uint8_t) (length >> 8), (uint8_t) length),
		length ? p : NULL, length);
}

/* A list with one byte that is different. */
static enum scsi_verdict copy_with(struct scsi_fixture *fixture, unsigned byte, uint8_t value)
{
	uint8_t p[LENGTH];

	make_list(fixture, p);
	p[byte] = value;
	return send_copy(fixture, p, LENGTH);
}

static void begin_copy(struct scsi_fixture *fixture)
{
	scsi_fixture_init(fixture);
	fixture->lu.max_xcopies = 2;
}

static void expect_aborted(struct scsi_fixture *fixture, uint8_t asc, uint8_t ascq)
{
	assert_int_equal(fixture->result.status, SCSI_CHECK_CONDITION);
	assert_int_equal(fixture->result.sense.key, 0x0a);
	assert_int_equal(fixture->result.sense.asc, asc);
	assert_int_equal(fixture->result.sense.ascq, ascq);
	assert_true(fixture->result.sense.info_valid);
}

static void without_support_nothing_announces_it(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.max_xcopies = 0;
	scsi_fixture_run(&fixture, CDB(0x83), 0);
	assert_int_equal(fixture.result.sense.asc, 0x20);
	scsi_fixture_run(&fixture, CDB(0x84, 0x03, [13] = 255), 255);
	assert_int_equal(fixture.result.sense.asc, 0x20);
	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0x8f, 0, 255), 255);
	expect_bad_cdb(&fixture, 2, -1);
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 255), 255);
	assert_int_equal(fixture.data[5] & 0x08, 0);
}

static void a_copy_within_the_disk_is_planned(void **state)
{
	const struct scsi_xcopy_segment *segment;
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	assert_int_equal(send_copy(&fixture, make_list(&fixture, p), LENGTH), SCSI_PLANNED);
	assert_int_equal(fixture.result.plan.op, SCSI_PLAN_XCOPY);
	assert_int_equal(fixture.result.xcopy.cscd_cnt, 1);
	assert_true(fixture.result.xcopy.cscds[0].self);
	assert_int_equal(fixture.result.xcopy.segment_cnt, 1);
	segment = &fixture.result.xcopy.segments[0];
	assert_int_equal(segment->source_lba, 0);
	assert_int_equal(segment->destination_lba, 100);
	assert_int_equal(segment->blocks, 8);
	/* nothing to do */
	assert_int_equal(send_copy(&fixture, p, 0), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void the_serial_is_asked_for_first(void **state)
{
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	fixture.lu.lu_info_fresh = false;
	assert_int_equal(send_copy(&fixture, make_list(&fixture, p), LENGTH), SCSI_NEEDS_LU_INFO);
}

static void other_disks_take_part_only_where_that_is_allowed(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	copy_with(&fixture, TARGETS + 8 + 15, 0xff);
	expect_aborted(&fixture, 0x0d, 0x02);
	fixture.lu.xcopy_to_others = true;
	/* and then only after the guard, which a copy within the disk does not need */
	fixture.lu.guard_passed = false;
	assert_int_equal(copy_with(&fixture, TARGETS + 8 + 15, 0xff), SCSI_NEEDS_COPY_GUARD);
	assert_false(fixture.lu.xcopies[0].used);
	assert_int_equal(copy_with(&fixture, 0, LIST_ID), SCSI_PLANNED);
	fixture.lu.guard_passed = true;
	assert_int_equal(copy_with(&fixture, TARGETS + 8 + 15, 0xff), SCSI_PLANNED);
	assert_false(fixture.result.xcopy.cscds[0].self);
}

static void lists_of_wrong_lengths_are_refused(void **state)
{
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	make_list(&fixture, p);
	for (int length = 1; length < LENGTH; length++) {
		send_copy(&fixture, p, (uint16_t) length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
	}
	copy_with(&fixture, 3, 31);
	expect_bad_list(&fixture, 2, -1);
	copy_with(&fixture, 8, 0xff); /* 4 GiB of segments */
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	copy_with(&fixture, 15, 1); /* inline data */
	expect_sense(&fixture, 0x05, 0x26, 0x0b);
}

static void too_many_descriptors_are_refused(void **state)
{
	uint8_t p[16 + 40 * 32] = {0};
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	p[2] = 17 * 32 >> 8;
	p[3] = 17 * 32 & 0xff;
	p[11] = 28;
	send_copy(&fixture, p, sizeof(p));
	expect_sense(&fixture, 0x05, 0x26, 0x06);
	p[2] = 0;
	p[3] = 32;
	p[10] = 33 * 28 >> 8;
	p[11] = 33 * 28 & 0xff;
	send_copy(&fixture, p, sizeof(p));
	expect_sense(&fixture, 0x05, 0x26, 0x08);
}

static void descriptors_that_are_not_there_are_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	copy_with(&fixture, TARGETS, 0xe0);
	expect_sense(&fixture, 0x05, 0x26, 0x07);
	copy_with(&fixture, SEGMENT, 0x03);
	expect_sense(&fixture, 0x05, 0x26, 0x09);
	assert_int_equal(copy_with(&fixture, TARGETS + 1, 0xc0), SCSI_PLANNED); /* LU ID TYPE */
	copy_with(&fixture, TARGETS + 1, 0x20);                                 /* NUL */
	expect_aborted(&fixture, 0x0d, 0x02);
	copy_with(&fixture, TARGETS + 1, 0x01); /* a tape */
	expect_aborted(&fixture, 0x0d, 0x03);
	copy_with(&fixture, TARGETS + 5, 0x02); /* EUI-64 */
	expect_bad_list(&fixture, TARGETS + 4, -1);
	copy_with(&fixture, TARGETS + 30, 0x10); /* blocks of 4 KiB */
	expect_bad_list(&fixture, TARGETS + 29, -1);
	copy_with(&fixture, SEGMENT + 3, 0x17);
	expect_bad_list(&fixture, SEGMENT + 2, -1);
}

static void segments_that_cannot_be_copied_end_it_before_it_begins(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	copy_with(&fixture, SEGMENT + 7, 1); /* there is only target 0 */
	expect_aborted(&fixture, 0x08, 0x04);
	copy_with(&fixture, SEGMENT + 16, 1); /* the source beyond the end */
	expect_aborted(&fixture, 0x00, 0x00);
	copy_with(&fixture, SEGMENT + 20, 0xff);
	expect_aborted(&fixture, 0x00, 0x00);
	assert_false(fixture.lu.xcopies[0].used);
}

/* ------- status ------- */

static void get_status(struct scsi_fixture *fixture)
{
	scsi_fixture_run(fixture, CDB(0x84, 0x00, LIST_ID, [13] = 12), 12);
}

static void the_status_is_reported_while_it_runs_and_once_afterwards(void **state)
{
	struct scsi_result result;
	struct scsi_xcopy xcopy;
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	get_status(&fixture);
	expect_bad_cdb(&fixture, 2, -1);
	send_copy(&fixture, make_list(&fixture, p), LENGTH);
	xcopy = fixture.result.xcopy;
	scsi_xcopy_progress(&fixture.lu, &xcopy, 0, 2048, 1);
	for (unsigned i = 0; i < 2; i++) {
		get_status(&fixture);
		assert_int_equal(fixture.result.status, SCSI_GOOD);
		assert_memory_equal(
			fixture.data, ((uint8_t[]){0, 0, 0, 8, 0x00, 0, 1, 1, 0, 0, 0, 2}), 12);
	}
	scsi_xcopy_progress(&fixture.lu, &xcopy, 1, 4096, 2);
	scsi_xcopy_end(&fixture.lu, &xcopy, 0, &result);
	assert_int_equal(result.status, SCSI_GOOD);
	get_status(&fixture);
	assert_memory_equal(fixture.data, ((uint8_t[]){0, 0, 0, 8, 0x01, 0, 1, 1, 0, 0, 0, 4}), 12);
	get_status(&fixture);
	expect_bad_cdb(&fixture, 2, -1);
}

static void the_next_list_of_that_name_discards_the_status(void **state)
{
	struct scsi_result result;
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	send_copy(&fixture, make_list(&fixture, p), LENGTH);
	scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, 0, &result);
	copy_with(&fixture, SEGMENT + 7, 1); /* which is refused */
	expect_aborted(&fixture, 0x08, 0x04);
	get_status(&fixture);
	expect_bad_cdb(&fixture, 2, -1);
}

static void no_status_is_held_where_the_list_says_so(void **state)
{
	struct scsi_result result;
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	for (unsigned usage = 0x10; usage <= 0x18; usage += 8) {
		assert_int_equal(copy_with(&fixture, 1, (uint8_t) usage), SCSI_PLANNED);
		scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, 0, &result);
		get_status(&fixture);
		expect_bad_cdb(&fixture, 2, -1);
	}
}

static void a_failure_is_reported(void **state)
{
	static const struct {
		int error;
		uint8_t key, asc, ascq;
	} cases[] = {
		{-ENODEV, 0x0a, 0x0d, 0x02},    {-ERANGE, 0x0a, 0x00, 0x00},
		{-EIO, 0x0a, 0x0d, 0x01},       {-ENOSPC, 0x07, 0x27, 0x07},
		{-EREMOTEIO, 0x0a, 0x0d, 0x01},
	};
	struct scsi_result result;
	uint8_t p[LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_copy(&fixture, make_list(&fixture, p), LENGTH);
		scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, cases[i].error, &result);
		assert_int_equal(result.status, SCSI_CHECK_CONDITION);
		assert_int_equal(result.sense.key, cases[i].key);
		assert_int_equal(result.sense.asc, cases[i].asc);
		assert_int_equal(result.sense.ascq, cases[i].ascq);
		get_status(&fixture);
		assert_int_equal(fixture.data[4], 0x02);
	}
	send_copy(&fixture, make_list(&fixture, p), LENGTH);
	scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, -EBUSY, &result);
	assert_int_equal(result.status, SCSI_BUSY);
}

static void too_many_copies_are_busy(void **state)
{
	struct scsi_result result;
	uint8_t p[LENGTH];
	struct scsi_xcopy first;
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	send_copy(&fixture, make_list(&fixture, p), LENGTH);
	first = fixture.result.xcopy;
	assert_int_equal(send_copy(&fixture, p, LENGTH), SCSI_PLANNED);
	assert_int_equal(send_copy(&fixture, p, LENGTH), SCSI_ANSWERED);
	assert_int_equal(fixture.result.status, SCSI_BUSY);
	scsi_xcopy_end(&fixture.lu, &first, 0, &result);
	/* its status gives way */
	assert_int_equal(send_copy(&fixture, p, LENGTH), SCSI_PLANNED);
}

/* ------- with a list identifier of four bytes ------- */

#define LONG_LENGTH (48 + 32 + 28)

static const uint8_t *long_list(struct scsi_fixture *fixture, uint8_t *p)
{
	uint8_t short_list[LENGTH];

	make_list(fixture, short_list);
	memset(p, 0, 48);
	p[0] = 0x01;
	p[3] = 0x20;
	p[16] = 0xff;
	p[20] = 0x80;
	p[23] = LIST_ID;
	p[43] = 32;
	p[45] = 28;
	memcpy(p + 48, short_list + TARGETS, 32 + 28);
	return p;
}

static enum scsi_verdict long_copy(struct scsi_fixture *fixture, const uint8_t *p, uint8_t length)
{
	return scsi_fixture_send(
		fixture, CDB(0x83, 0x01, [13] = length), length ? p : NULL, length);
}

static enum scsi_verdict long_copy_with(struct scsi_fixture *fixture, unsigned byte, uint8_t value)
{
	uint8_t p[LONG_LENGTH];

	long_list(fixture, p);
	p[byte] = value;
	return long_copy(fixture, p, LONG_LENGTH);
}

static void a_list_with_a_long_identifier_is_the_same_copy(void **state)
{
	uint8_t p[LONG_LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	assert_int_equal(long_copy(&fixture, long_list(&fixture, p), LONG_LENGTH), SCSI_PLANNED);
	assert_int_equal(fixture.result.xcopy.list_id, 0x80000000u | LIST_ID);
	assert_true(
		fixture.result.xcopy.long_id && fixture.result.xcopy.held &&
		!fixture.result.xcopy.immediate);
	assert_int_equal(fixture.result.xcopy.segments[0].destination_lba, 100);
	assert_int_equal(fixture.result.xcopy.segments[0].blocks, 8);
	assert_int_equal(long_copy_with(&fixture, 15, 0x01), SCSI_PLANNED);
	assert_true(fixture.result.xcopy.immediate);
	assert_int_equal(long_copy(&fixture, p, 0), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void errors_in_a_long_header_have_a_pointer(void **state)
{
	uint8_t p[LONG_LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	long_list(&fixture, p);
	for (unsigned length = 1; length < LONG_LENGTH; length++) {
		long_copy(&fixture, p, (uint8_t) length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
	}
	long_copy_with(&fixture, 0, 0x00);
	expect_bad_list(&fixture, 0, -1);
	long_copy_with(&fixture, 3, 0x00);
	expect_bad_list(&fixture, 2, -1);
	long_copy_with(&fixture, 15, 0x02); /* G_SENSE */
	expect_bad_list(&fixture, 15, 1);
	long_copy_with(&fixture, 16, 0xe4);
	expect_bad_list(&fixture, 16, -1);
	long_copy_with(&fixture, 43, 31);
	expect_bad_list(&fixture, 42, -1);
	long_copy_with(&fixture, 45, 27);
	expect_bad_list(&fixture, 44, -1);
	long_copy_with(&fixture, 46, 1); /* inline data */
	expect_sense(&fixture, 0x05, 0x26, 0x0b);
	/* in the background, without a name to ask for it by */
	long_list(&fixture, p);
	p[1] = 0x18;
	p[15] = 0x01;
	long_copy(&fixture, p, LONG_LENGTH);
	expect_bad_list(&fixture, 15, 0);
}

#define LONG_STATUS CDB(0x84, 0x05, 0x80, 0, 0, LIST_ID, [13] = 255)

static void a_long_status_can_be_read_repeatedly(void **state)
{
	static const uint8_t running[32] = {0,    0,    0,    28,   0x01,     0x11,     0,       3,
					    0xff, 0xff, 0xff, 0xff, [15] = 1, [23] = 2, [25] = 1};
	static const uint8_t ended[32] = {0,    0,    0,    28,   0x01,     0x01,     0,       4,
					  0xff, 0xff, 0xff, 0xfe, [15] = 1, [23] = 4, [25] = 1};
	struct scsi_result result;
	struct scsi_xcopy xcopy;
	uint8_t p[LONG_LENGTH];
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	scsi_fixture_run(&fixture, LONG_STATUS, 255);
	expect_bad_cdb(&fixture, 2, -1);
	long_copy(&fixture, long_list(&fixture, p), LONG_LENGTH);
	xcopy = fixture.result.xcopy;
	scsi_xcopy_progress(&fixture.lu, &xcopy, 0, 2048, 65536 + 3);
	scsi_fixture_expect_data(
		&fixture, CDB(0x84, 0x05, 0x80, 0, 0, LIST_ID), 10, 4, running, sizeof(running));
	scsi_xcopy_progress(&fixture.lu, &xcopy, 1, 4096, 4);
	scsi_xcopy_end(&fixture.lu, &xcopy, 0, &result);
	scsi_fixture_expect_data(
		&fixture, CDB(0x84, 0x05, 0x80, 0, 0, LIST_ID), 10, 4, ended, sizeof(ended));
	/* the next of that name */
	long_copy_with(&fixture, 0x30, 0x00);
	scsi_fixture_run(&fixture, LONG_STATUS, 255);
	expect_bad_cdb(&fixture, 2, -1);
}

static void a_long_status_has_the_sense(void **state)
{
	static const size_t lengths[] = {18, 20};
	struct scsi_result result;
	uint8_t p[LONG_LENGTH], sense[SCSI_SENSE_MAX];
	struct scsi_fixture fixture;

	(void) state;
	for (unsigned descriptor = 0; descriptor < 2; descriptor++) {
		begin_copy(&fixture);
		fixture.lu.descriptor_sense = descriptor;
		long_copy(&fixture, long_list(&fixture, p), LONG_LENGTH);
		scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, -EIO, &result);
		scsi_fixture_run(&fixture, LONG_STATUS, 255);
		assert_int_equal(fixture.data[5], 0x02);
		assert_int_equal(fixture.data[12], SCSI_CHECK_CONDITION);
		assert_int_equal(fixture.data[13], 20);
		assert_int_equal(fixture.data[14], lengths[descriptor]);
		assert_int_equal(fixture.result.data_length, 32 + 20);
		assert_int_equal(
			scsi_sense_encode(&fixture.lu, &result.sense, sense), lengths[descriptor]);
		assert_memory_equal(fixture.data + 32, sense, lengths[descriptor]);
		assert_int_equal(fixture.data[32 + 19] * (descriptor == 0), 0);
	}
	/* One that was aborted has none. */
	long_copy(&fixture, p, LONG_LENGTH);
	scsi_xcopy_end(&fixture.lu, &fixture.result.xcopy, -ECANCELED, &result);
	scsi_fixture_run(&fixture, LONG_STATUS, 255);
	assert_int_equal(fixture.data[5], 0x60);
	assert_int_equal(fixture.data[12], SCSI_TASK_ABORTED);
	assert_int_equal(fixture.data[13] | fixture.data[14], 0);
}

static void the_copy_that_is_to_end_is_found_by_its_name(void **state)
{
	struct scsi_result result;
	uint8_t p[LONG_LENGTH];
	struct scsi_xcopy xcopy;
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	copy_with(&fixture, 0, LIST_ID + 1);
	long_copy(&fixture, long_list(&fixture, p), LONG_LENGTH);
	xcopy = fixture.result.xcopy;
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x83, 0x1c, 0x80, 0, 0, LIST_ID), 0), SCSI_PLANNED);
	assert_int_equal(fixture.result.plan.op, SCSI_PLAN_ABORT_XCOPY);
	assert_int_equal(fixture.result.plan.lba, xcopy.slot);
	scsi_fixture_run(&fixture, CDB(0x83, 0x1c, 0, 0, 0, LIST_ID), 0);
	expect_bad_cdb(&fixture, 2, -1);
	/* of one byte, too */
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x83, 0x1c, 0, 0, 0, LIST_ID + 1), 0), SCSI_PLANNED);
	scsi_xcopy_end(&fixture.lu, &xcopy, -ECANCELED, &result);
	assert_int_equal(result.status, SCSI_TASK_ABORTED);
	scsi_fixture_run(&fixture, CDB(0x83, 0x1c, 0x80, 0, 0, LIST_ID), 0);
	expect_bad_cdb(&fixture, 2, -1);
}

/* ------- support ------- */

static void the_limits_are_reported(void **state)
{
	static const uint8_t expected[46] = {
		0,    0,    0,    42,   0x01, [9] = 16, 0, 32, 0,        0,    0x05,
		0x80, 0x01, 0xff, 0xfe, 0x00, [35] = 2, 2, 9,  [43] = 2, 0x02, 0xe4};
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0x84, 0x03), 10, 4, expected, sizeof(expected));
}

static void the_page_lists_commands_and_limits(void **state)
{
	static const uint8_t expected[] = {
		0x00, 0x8f, 0x00, 0x64, 0x00, 0x01, 0x00, 0x0c, 10,   0x83, 3,    0x00, 0x01,
		0x1c, 0x84, 3,    0x00, 0x03, 0x05, 0x00, 0x00, 0x04, 0x00, 0x1c, 0,    0,
		0,    0,    0,    16,   0,    32,   0,    0,    0x05, 0x80, 0,    0,    0,
		0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
		0x00, 0x08, 0x00, 0x04, 2,    0x02, 0xe4, 0,    0x00, 0x0c, 0x00, 0x04, 0,
		0,    0,    0,    0x80, 0x01, 0x00, 0x20, 0,    0,    0,    2,    0,    0,
		0,    2,    0x01, 0xff, 0xfe, 0x00, 9,    0,    0,    0,    0,    0,    0,
		0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
	struct scsi_fixture fixture;

	(void) state;
	begin_copy(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0x12, 0x01, 0x8f), 3, 2, expected, sizeof(expected));
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 255), 255);
	assert_int_equal(fixture.data[5] & 0x08, 0x08); /* 3PC */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_support_nothing_announces_it),
		cmocka_unit_test(a_copy_within_the_disk_is_planned),
		cmocka_unit_test(the_serial_is_asked_for_first),
		cmocka_unit_test(other_disks_take_part_only_where_that_is_allowed),
		cmocka_unit_test(lists_of_wrong_lengths_are_refused),
		cmocka_unit_test(too_many_descriptors_are_refused),
		cmocka_unit_test(descriptors_that_are_not_there_are_refused),
		cmocka_unit_test(segments_that_cannot_be_copied_end_it_before_it_begins),
		cmocka_unit_test(the_status_is_reported_while_it_runs_and_once_afterwards),
		cmocka_unit_test(the_next_list_of_that_name_discards_the_status),
		cmocka_unit_test(no_status_is_held_where_the_list_says_so),
		cmocka_unit_test(a_failure_is_reported),
		cmocka_unit_test(too_many_copies_are_busy),
		cmocka_unit_test(a_list_with_a_long_identifier_is_the_same_copy),
		cmocka_unit_test(errors_in_a_long_header_have_a_pointer),
		cmocka_unit_test(a_long_status_can_be_read_repeatedly),
		cmocka_unit_test(a_long_status_has_the_sense),
		cmocka_unit_test(the_copy_that_is_to_end_is_found_by_its_name),
		cmocka_unit_test(the_limits_are_reported),
		cmocka_unit_test(the_page_lists_commands_and_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
