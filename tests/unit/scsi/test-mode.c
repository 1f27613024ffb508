/* SPDX-License-Identifier: Apache-2.0 */
/* MODE SENSE and MODE SELECT (SPC-4 7.5, SBC-3 6.5). */
#include "scsi-fixture.h"

#define ERROR_RECOVERY    0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define CACHING(wce)      0x08, 0x12, (wce), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define CONTROL           0x0a, 0x0a, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 0
#define CONTROL_SET(d, s) 0x0a, 0x0a, 0x02 | (d), 0x10, (s), 0x40, 0, 0, 0xff, 0xff, 0, 0
#define EXTENSION \
	0x4a, 0x01, 0, 0x1c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
		0, 0, 0, 0, 0
#define EXCEPTIONS 0x1c, 0x0a, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0

/* Header and short block descriptor of 6 and 10 bytes, for `length` bytes of pages; FIXTURE_BLOCKS
 * of 512 bytes. */
#define SHORT_DESCRIPTOR             0, 0x02, 0, 0, 0, 0, 0x02, 0
#define HEADER_6(length, wp)         (length) + 11, 0, 0x10 | (wp), 8, SHORT_DESCRIPTOR
#define HEADER_10(length, wp)        0, (length) + 14, 0, 0x10 | (wp), 0, 0, 0, 8, SHORT_DESCRIPTOR

#define expect_6(fixture, cdb, ...)  scsi_fixture_expect_data(fixture, cdb, 4, 1, LIST(__VA_ARGS__))
#define expect_10(fixture, cdb, ...) scsi_fixture_expect_data(fixture, cdb, 7, 2, LIST(__VA_ARGS__))

static void each_page_can_be_read(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_6(&fixture, CDB(0x1a, 0, 0x01), HEADER_6(12, 0), ERROR_RECOVERY);
	expect_6(&fixture, CDB(0x1a, 0, 0x08), HEADER_6(20, 0), CACHING(4));
	expect_6(&fixture, CDB(0x1a, 0, 0x0a), HEADER_6(12, 0), CONTROL);
	expect_6(&fixture, CDB(0x1a, 0, 0x0a, 0x01), HEADER_6(32, 0), EXTENSION);
	expect_6(&fixture, CDB(0x1a, 0, 0x0a, 0xff), HEADER_6(44, 0), CONTROL, EXTENSION);
	expect_6(&fixture, CDB(0x1a, 0, 0x08, 0xff), HEADER_6(20, 0), CACHING(4));
	expect_6(&fixture, CDB(0x1a, 0, 0x1c), HEADER_6(12, 0), EXCEPTIONS);
	expect_10(&fixture, CDB(0x5a, 0, 0x08), HEADER_10(20, 0), CACHING(4));
}

static void all_pages_come_in_order(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_6(
		&fixture, CDB(0x1a, 0, 0x3f), HEADER_6(56, 0), ERROR_RECOVERY, CACHING(4), CONTROL,
		EXCEPTIONS);
	expect_6(
		&fixture, CDB(0x1a, 0, 0x3f, 0xff), HEADER_6(88, 0), ERROR_RECOVERY, CACHING(4),
		CONTROL, EXTENSION, EXCEPTIONS);
	expect_10(
		&fixture, CDB(0x5a, 0, 0x3f, 0xff), HEADER_10(88, 0), ERROR_RECOVERY, CACHING(4),
		CONTROL, EXTENSION, EXCEPTIONS);
}

static void values_can_be_current_changeable_or_default(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.write_cache = false;
	fixture.lu.descriptor_sense = true;
	fixture.lu.software_write_protect = true;
	expect_6(&fixture, CDB(0x1a, 0x08, 0x08), 23, 0, 0x90, 0, CACHING(0));
	expect_6(&fixture, CDB(0x1a, 0x08, 0x48), 23, 0, 0x90, 0, CACHING(4));
	expect_6(&fixture, CDB(0x1a, 0x08, 0x88), 23, 0, 0x90, 0, CACHING(4));
	expect_6(&fixture, CDB(0x1a, 0x08, 0x0a), 15, 0, 0x90, 0, CONTROL_SET(4, 8));
	expect_6(
		&fixture, CDB(0x1a, 0x08, 0x4a), 15, 0, 0x90, 0, 0x0a, 0x0a, 0x04, 0, 0x08, 0, 0, 0,
		0, 0, 0, 0);
	expect_6(&fixture, CDB(0x1a, 0x08, 0x8a), 15, 0, 0x90, 0, CONTROL);
	expect_6(
		&fixture, CDB(0x1a, 0x08, 0x5c), 15, 0, 0x90, 0, 0x1c, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0);
	expect_6(&fixture, CDB(0x1a, 0x08, 0x9c), 15, 0, 0x90, 0, EXCEPTIONS);

	fixture.lu.write_cache_changeable = false;
	expect_6(&fixture, CDB(0x1a, 0x08, 0x48), 23, 0, 0x90, 0, CACHING(0));
	expect_6(&fixture, CDB(0x1a, 0x08, 0x88), 23, 0, 0x90, 0, CACHING(0));
	fixture.lu.write_cache = true;
	expect_6(&fixture, CDB(0x1a, 0x08, 0x88), 23, 0, 0x90, 0, CACHING(4));
}

static void nothing_is_saved(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1a, 0, 0xc8, 0, 255), 255);
	expect_sense(&fixture, 0x05, 0x39, 0x00);
	scsi_fixture_run(&fixture, CDB(0x5a, 0, 0xff, 0xff, 0, 0, 0, 0, 255), 255);
	expect_sense(&fixture, 0x05, 0x39, 0x00);
}

static void pages_that_are_not_there_are_refused(void **state)
{
	static const uint8_t there[] = {0x01, 0x08, 0x0a, 0x1c, 0x3f};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned page = 0; page < 0x40; page++) {
		scsi_fixture_run(&fixture, CDB(0x1a, 0, (uint8_t) page, 0, 255), 255);
		if (memchr(there, (int) page, sizeof(there)))
			assert_int_equal(fixture.result.status, SCSI_GOOD);
		else
			expect_bad_cdb(&fixture, 2, 5);
	}
	for (unsigned subpage = 2; subpage < 0xff; subpage++) {
		scsi_fixture_run(&fixture, CDB(0x1a, 0, 0x0a, (uint8_t) subpage, 255), 255);
		expect_bad_cdb(&fixture, 3, -1);
	}
	scsi_fixture_run(&fixture, CDB(0x1a, 0, 0x08, 0x01, 255), 255);
	expect_bad_cdb(&fixture, 3, -1);
	scsi_fixture_run(&fixture, CDB(0x1a, 0, 0x3f, 0x01, 255), 255);
	expect_bad_cdb(&fixture, 3, -1);
	scsi_fixture_run(&fixture, CDB(0x1a, 0, 0x02, 0xff, 255), 255);
	expect_bad_cdb(&fixture, 2, 5);
}

static void block_descriptors_come_short_long_or_not_at_all(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_10(&fixture, CDB(0x5a, 0x08, 0x0a), 0, 18, 0, 0x10, 0, 0, 0, 0, CONTROL);
	expect_10(&fixture, CDB(0x5a, 0x18, 0x0a), 0, 18, 0, 0x10, 0, 0, 0, 0, CONTROL);
	expect_10(
		&fixture, CDB(0x5a, 0x10, 0x0a), 0, 34, 0, 0x10, 0x01, 0, 0, 16, 0, 0, 0, 0, 0,
		0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, CONTROL);
	fixture.lu.blocks = UINT64_C(0x100000000);
	fixture.lu.block_size = 4096;
	expect_6(
		&fixture, CDB(0x1a, 0, 0x0a), 23, 0, 0x10, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0,
		CONTROL);
	expect_10(
		&fixture, CDB(0x5a, 0x10, 0x0a), 0, 34, 0, 0x10, 0x01, 0, 0, 16, 0, 0, 0, 1, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, CONTROL);
}

static void write_protection_is_reported(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.read_only = true;
	expect_6(&fixture, CDB(0x1a, 0, 0x1c), HEADER_6(12, 0x80), EXCEPTIONS);
	expect_10(&fixture, CDB(0x5a, 0, 0x1c), HEADER_10(12, 0x80), EXCEPTIONS);
}

/* ------- MODE SELECT ------- */

static enum scsi_verdict select_6(struct scsi_fixture *fixture, const uint8_t *list, size_t length)
{
	return scsi_fixture_send(fixture, CDB(0x15, 0x10, 0, 0, (uint8_t) length), list, length);
}

static enum scsi_verdict select_10(struct scsi_fixture *fixture, const uint8_t *list, size_t length)
{
	return scsi_fixture_send(
		fixture, CDB(0x55, 0x10, 0, 0, 0, 0, 0, (uint8_t) (length >> 8), (uint8_t) length),
		list, length);
}

static void an_empty_list_changes_nothing(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, NULL, 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x15), 0); /* without PF */
	expect_good(&fixture);
	select_6(&fixture, LIST(0, 0, 0, 0));
	expect_good(&fixture);
	select_10(&fixture, LIST(0, 0, 0, 0, 0, 0, 0, 0));
	expect_good(&fixture);
}

static void the_write_cache_is_switched(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	/* Off: the cache is flushed first. */
	assert_int_equal(select_6(&fixture, LIST(0, 0, 0, 0, CACHING(0))), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_FLUSH, 0, 0, 0);
	assert_false(fixture.lu.write_cache);
	assert_int_equal(select_6(&fixture, LIST(0, 0, 0, 0, CACHING(0))), SCSI_ANSWERED);
	expect_good(&fixture);
	assert_int_equal(
		select_10(&fixture, LIST(0, 0, 0, 0, 0, 0, 0, 0, CACHING(4))), SCSI_ANSWERED);
	expect_good(&fixture);
	assert_true(fixture.lu.write_cache);

	fixture.lu.write_cache_changeable = false;
	select_6(&fixture, LIST(0, 0, 0, 0, CACHING(0)));
	expect_bad_list(&fixture, 6, 2);
	assert_true(fixture.lu.write_cache);
}

static void sense_format_and_write_protection_are_switched(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, LIST(0, 0, 0, 0, CONTROL_SET(4, 8)));
	expect_good(&fixture);
	assert_true(fixture.lu.descriptor_sense && fixture.lu.software_write_protect);
	scsi_fixture_run(&fixture, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), 512);
	expect_sense(&fixture, 0x07, 0x27, 0x02);
	select_6(&fixture, LIST(0, 0, 0, 0, CONTROL_SET(0, 0)));
	expect_good(&fixture);
	assert_false(fixture.lu.descriptor_sense || fixture.lu.software_write_protect);
}

static void several_pages_are_taken_or_none(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		select_10(
			&fixture,
			LIST(0, 0, 0, 0, 0, 0, 0, 0, ERROR_RECOVERY, CACHING(0), CONTROL_SET(4, 0),
			     EXTENSION, EXCEPTIONS)),
		SCSI_PLANNED);
	assert_false(fixture.lu.write_cache);
	assert_true(fixture.lu.descriptor_sense);

	scsi_fixture_init(&fixture);
	select_6(
		&fixture,
		LIST(0, 0, 0, 0, CACHING(0), CONTROL_SET(4, 0), 0x1c, 0x0a, 0x00, 0, 0, 0, 0, 0, 0,
		     0, 0, 0));
	expect_bad_list(&fixture, 4 + 20 + 12 + 2, 3);
	assert_true(fixture.lu.write_cache);
	assert_false(fixture.lu.descriptor_sense);
}

static void mode_sense_data_may_be_sent_back(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, LIST(HEADER_6(20, 0), CACHING(4)));
	expect_good(&fixture);
	select_10(&fixture, LIST(HEADER_10(20, 0), CACHING(4)));
	expect_good(&fixture);
	/* long LBA */
	select_10(
		&fixture,
		LIST(0, 34, 0, 0x10, 0x01, 0, 0, 16, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 0,
		     0x02, 0, CONTROL));
	expect_good(&fixture);
	/* number of blocks 0: unchanged */
	select_6(&fixture, LIST(0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0x02, 0, CONTROL));
	expect_good(&fixture);
}

static void the_capacity_cannot_be_changed(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, LIST(0, 0, 0, 8, 0, 0x01, 0, 0, 0, 0, 0x02, 0, CONTROL));
	expect_bad_list(&fixture, 5, 1);
	select_6(&fixture, LIST(0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0x10, 0, CONTROL));
	expect_bad_list(&fixture, 10, 4);
	select_10(
		&fixture,
		LIST(0, 0, 0, 0, 0x01, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02,
		     0x01));
	expect_bad_list(&fixture, 23, 0);
}

static void values_can_be_saved(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.can_save = true;
	fixture.lu.saved = (struct scsi_mode_values){.write_cache = true, .descriptor_sense = true};
	expect_6(&fixture, CDB(0x1a, 0x08, 0xc8), 23, 0, 0x10, 0, 0x80 | CACHING(4));
	expect_6(&fixture, CDB(0x1a, 0x08, 0xca), 15, 0, 0x10, 0, 0x80 | CONTROL_SET(4, 0));
	expect_6(&fixture, CDB(0x1a, 0x08, 0x0a), 15, 0, 0x10, 0, 0x80 | CONTROL_SET(0, 0));
	expect_6(
		&fixture, CDB(0x1a, 0x08, 0xdc), 15, 0, 0x10, 0,
		EXCEPTIONS); /* has nothing to save */

	/* for now only */
	assert_int_equal(select_6(&fixture, LIST(0, 0, 0, 0, CACHING(0))), SCSI_PLANNED);
	assert_false(fixture.result.save);
	assert_true(fixture.lu.saved.write_cache);
	/* for good, with all that was changed before */
	scsi_fixture_send(&fixture, CDB(0x15, 0x11, 0, 0, 16), LIST(0, 0, 0, 0, CONTROL_SET(0, 8)));
	expect_good(&fixture);
	assert_true(fixture.result.save);
	assert_false(fixture.lu.saved.write_cache || fixture.lu.saved.descriptor_sense);
	assert_true(fixture.lu.saved.software_write_protect && fixture.lu.software_write_protect);
	/* not if refused */
	scsi_fixture_send(&fixture, CDB(0x15, 0x11, 0, 0, 16), LIST(0, 0, 0, 0, CONTROL_SET(0, 1)));
	expect_bad_list(&fixture, 8, 0);
	assert_false(fixture.result.save);
	scsi_fixture_send(
		&fixture, CDB(0x55, 0x11, 0, 0, 0, 0, 0, 0, 28),
		LIST(0, 0, 0, 0, 0, 0, 0, 0, CACHING(4)));
	expect_good(&fixture);
	assert_true(
		fixture.result.save && fixture.lu.saved.write_cache &&
		fixture.lu.saved.software_write_protect);
}

static void headers_have_to_be_right(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, LIST(0, 1, 0, 0));
	expect_bad_list(&fixture, 1, -1); /* MEDIUM TYPE */
	select_10(&fixture, LIST(0, 0, 1, 0, 0, 0, 0, 0));
	expect_bad_list(&fixture, 2, -1);
	select_6(&fixture, LIST(0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0));
	expect_bad_list(&fixture, 3, -1); /* BLOCK DESCRIPTOR LENGTH */
	select_10(&fixture, LIST(0, 0, 0, 0, 0x01, 0, 0, 8, SHORT_DESCRIPTOR));
	expect_bad_list(&fixture, 6, -1);
	scsi_fixture_send(&fixture, CDB(0x15, 0, 0, 0, 4), LIST(0, 0, 0, 0));
	expect_bad_cdb(&fixture, 1, 4); /* PF */
	scsi_fixture_send(&fixture, CDB(0x15, 0x11, 0, 0, 4), LIST(0, 0, 0, 0));
	expect_bad_cdb(&fixture, 1, 0); /* SP */
}

static void pages_have_to_be_right(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	select_6(&fixture, LIST(0, 0, 0, 0, 0x88, 0x12));
	expect_bad_list(&fixture, 4, 7); /* PS */
	select_6(&fixture, LIST(0, 0, 0, 0, 0x02, 0x0e));
	expect_bad_list(&fixture, 4, 5); /* no such page */
	select_6(&fixture, LIST(0, 0, 0, 0, 0x4a, 0x02, 0, 0x1c));
	expect_bad_list(&fixture, 4, 5); /* no such subpage */
	select_6(&fixture, LIST(0, 0, 0, 0, 0x48, 0x00, 0, 0x10));
	expect_bad_list(&fixture, 4, 5); /* a page that has no subpage format */
	select_6(&fixture, LIST(0, 0, 0, 0, 0x08, 0x0a));
	expect_bad_list(&fixture, 5, -1); /* PAGE LENGTH */
	select_6(&fixture, LIST(0, 0, 0, 0, 0x4a, 0x01, 0x01, 0x1c));
	expect_bad_list(&fixture, 6, -1);
	select_6(
		&fixture,
		LIST(0, 0, 0, 0, 0x0a, 0x0a, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 1));
	expect_bad_list(&fixture, 15, 0); /* not changeable */
}

static void a_list_that_is_cut_off_is_refused(void **state)
{
	static const uint8_t whole[] = {0,          0,        0, 0, 0, 0, 0, 8, SHORT_DESCRIPTOR,
					CACHING(0), EXTENSION};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t length = 1; length < sizeof(whole); length++) {
		select_10(&fixture, whole, length);
		if (length == 16) {
			expect_good(&fixture); /* a list without pages */
			continue;
		}
		if (length == 36) {
			/* The caching page alone is a whole list. */
			assert_false(fixture.lu.write_cache);
			fixture.lu.write_cache = true;
			continue;
		}
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
		assert_true(fixture.lu.write_cache);
	}
	assert_int_equal(select_10(&fixture, whole, sizeof(whole)), SCSI_PLANNED);

	/* less data-out than the CDB says; a list longer than any */
	scsi_fixture_send(&fixture, CDB(0x15, 0x10, 0, 0, 24), whole, 23);
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	scsi_fixture_run(&fixture, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0x80, 0), 0x8000);
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_can_be_read),
		cmocka_unit_test(all_pages_come_in_order),
		cmocka_unit_test(values_can_be_current_changeable_or_default),
		cmocka_unit_test(nothing_is_saved),
		cmocka_unit_test(pages_that_are_not_there_are_refused),
		cmocka_unit_test(block_descriptors_come_short_long_or_not_at_all),
		cmocka_unit_test(write_protection_is_reported),
		cmocka_unit_test(an_empty_list_changes_nothing),
		cmocka_unit_test(the_write_cache_is_switched),
		cmocka_unit_test(sense_format_and_write_protection_are_switched),
		cmocka_unit_test(several_pages_are_taken_or_none),
		cmocka_unit_test(mode_sense_data_may_be_sent_back),
		cmocka_unit_test(the_capacity_cannot_be_changed),
		cmocka_unit_test(values_can_be_saved),
		cmocka_unit_test(headers_have_to_be_right),
		cmocka_unit_test(pages_have_to_be_right),
		cmocka_unit_test(a_list_that_is_cut_off_is_refused),
	};

	return cmocka_run_group_tests_name("scsi-mode", tests, NULL, NULL);
}
