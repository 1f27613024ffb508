/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness, REQUEST SENSE, and the answers of a fixed disk to START STOP UNIT and similar
 * commands. */
#include "scsi-fixture.h"

static void the_unit_is_always_ready(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x00), 0), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void request_sense_has_nothing_to_report(void **state)
{
	static const uint8_t fixed[18] = {0x70, [7] = 10};
	static const uint8_t descriptors[8] = {0x72};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned d_sense = 0; d_sense < 2; d_sense++) {
		fixture.lu.descriptor_sense = d_sense;
		scsi_fixture_expect_data(&fixture, CDB(0x03), 4, 1, fixed, sizeof(fixed));
		scsi_fixture_expect_data(
			&fixture, CDB(0x03, 0x01), 4, 1, descriptors, sizeof(descriptors));
	}
}

static void request_sense_reports_and_clears_unit_attentions(void **state)
{
	static const uint8_t first[18] = {0x70, 0, 0x06, [7] = 10, [12] = 0x2a, 0x01};
	static const uint8_t second[8] = {0x72, 0x06, 0x2a, 0x09};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.unit_attention = SCSI_UA_CAPACITY | SCSI_UA_MODE_PARAMETERS;
	scsi_fixture_run(&fixture, CDB(0x03, 0, 0, 0, 252), 252);
	assert_int_equal(fixture.result.status, SCSI_GOOD);
	assert_int_equal(fixture.result.data_length, sizeof(first));
	assert_memory_equal(fixture.data, first, sizeof(first));
	assert_int_equal(fixture.lu.unit_attention, SCSI_UA_CAPACITY);
	scsi_fixture_run(&fixture, CDB(0x03, 0x01, 0, 0, 252), 252);
	assert_memory_equal(fixture.data, second, sizeof(second));
	assert_int_equal(fixture.lu.unit_attention, 0);
}

static void starting_does_nothing(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0, 0x01), 0), SCSI_ANSWERED);
	expect_good(&fixture);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x1b, 1, 0, 0, 0x05), 0), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void stopping_makes_data_safe(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0, 0x00), 0), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_FLUSH, 0, 0, 0);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x1b, 1, 0, 0, 0x00), 0), SCSI_PLANNED);
	expect_plan(&fixture, SCSI_PLAN_FLUSH, SCSI_PLAN_IMMEDIATE, 0, 0);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0, 0x04), 0), SCSI_ANSWERED);
	expect_good(&fixture);
	/* other initiators continue */
	scsi_fixture_run(&fixture, CDB(0x00), 0);
	expect_good(&fixture);
}

static void a_fixed_disk_is_neither_ejected_nor_put_to_sleep(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0, 0x02), 0); /* LOEJ */
	expect_bad_cdb(&fixture, 4, 1);
	scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0, 0x30), 0); /* POWER CONDITION: STANDBY */
	expect_bad_cdb(&fixture, 4, 5);
	scsi_fixture_run(&fixture, CDB(0x1b, 0, 0, 0x01, 0), 0); /* POWER CONDITION MODIFIER */
	expect_bad_cdb(&fixture, 3, 0);
}

static void removal_can_be_prevented_and_allowed(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1e, 0, 0, 0, 1), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1e, 0, 0, 0, 0), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1e, 0, 0, 0, 2), 0);
	expect_bad_cdb(&fixture, 4, 1);
}

static void task_management_is_reported(void **state)
{
	static const uint8_t basic[4] = {0x88};
	static const uint8_t extended[16] = {0x88, 0, 0, 0x0c};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0xa3, 0x0d), 6, 4, basic, sizeof(basic));
	scsi_fixture_expect_data(&fixture, CDB(0xa3, 0x0d, 0x80), 6, 4, extended, sizeof(extended));
}

static void the_time_is_reported(void **state)
{
	static const uint8_t wanted[12] = {0,    10,   0x03, 0,    0x01, 0x23,
					   0x45, 0x67, 0x89, 0xab, 0,    0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0xa3, 0x0f), 6, 4, wanted, sizeof(wanted));
}

/* ------- diagnostics ------- */

static void the_self_test_passes(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1d, 0x04), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1d, 0x17), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1d), 0);
	expect_good(&fixture);
	scsi_fixture_run(&fixture, CDB(0x1d, 0x20), 0); /* SELF-TEST CODE */
	expect_bad_cdb(&fixture, 1, 5);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x14, 0, 0, 4), LIST(0, 0, 0, 0));
	expect_bad_cdb(&fixture, 3, -1);
}

static void diagnostic_pages_are_listed(void **state)
{
	static const uint8_t wanted[] = {0x00, 0, 0, 1, 0x00};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 4), LIST(0, 0, 0, 0));
	expect_good(&fixture);
	scsi_fixture_expect_data(&fixture, CDB(0x1c), 3, 2, wanted, sizeof(wanted));
	scsi_fixture_expect_data(&fixture, CDB(0x1c, 0x01), 3, 2, wanted, sizeof(wanted));
	scsi_fixture_run(&fixture, CDB(0x1c, 0x01, 0x40, 0, 255), 255);
	expect_bad_cdb(&fixture, 2, -1);
}

static void diagnostic_pages_have_to_be_right(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x00, 0, 0, 4), LIST(0, 0, 0, 0)); /* without PF */
	expect_bad_cdb(&fixture, 1, 4);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 4), LIST(0x40, 0, 0, 0));
	expect_bad_list(&fixture, 0, -1);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 4), LIST(0, 1, 0, 0));
	expect_bad_list(&fixture, 1, -1);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 5), LIST(0, 0, 1, 0, 0));
	expect_bad_list(&fixture, 2, -1);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 5), LIST(0, 0, 0, 1, 0));
	expect_bad_list(&fixture, 2, -1);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 3), LIST(0, 0, 0, 0));
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 5), LIST(0, 0, 0, 0, 0));
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	scsi_fixture_send(&fixture, CDB(0x1d, 0x10, 0, 0, 4), LIST(0, 0, 0));
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	scsi_fixture_run(&fixture, CDB(0x1d, 0x10, 0, 0, 4), 4); /* promised, not there */
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
}

/* ------- LOG SENSE ------- */

static void log_pages_are_listed(void **state)
{
	static const uint8_t pages[] = {0x00, 0x00, 0, 3, 0x00, 0x10, 0x2f};
	static const uint8_t subpages[] = {0x40, 0xff, 0,    8,    0x00, 0x00,
					   0x00, 0xff, 0x10, 0x00, 0x2f, 0x00};
	static const uint8_t exceptions[] = {0x2f, 0x00, 0, 8, 0, 0, 0x23, 4, 0, 0, 0xff, 0};
	uint8_t self_tests[4 + 20 * 20] = {0x10, 0x00, 0x01, 0x90};
	struct scsi_fixture fixture;

	(void) state;
	for (uint8_t i = 0; i < 20; i++)
		memcpy(self_tests + 4 + i * 20,
		       (const uint8_t[4]){0, (uint8_t) (i + 1), 0x03, 0x10}, 4);
	scsi_fixture_init(&fixture);
	for (uint8_t control = 0; control < 4; control++) {
		uint8_t pc = (uint8_t) (control << 6);

		scsi_fixture_expect_data(&fixture, CDB(0x4d, 0, pc), 7, 2, pages, sizeof(pages));
		scsi_fixture_expect_data(
			&fixture, CDB(0x4d, 0, pc, 0xff), 7, 2, subpages, sizeof(subpages));
		scsi_fixture_expect_data(
			&fixture, CDB(0x4d, 0, pc | 0x2f), 7, 2, exceptions, sizeof(exceptions));
		scsi_fixture_expect_data(
			&fixture, CDB(0x4d, 0, pc | 0x10), 7, 2, self_tests, sizeof(self_tests));
	}
}

static void log_pages_that_are_not_there_are_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (uint8_t page = 0; page < 0x40; page++) {
		scsi_fixture_run(&fixture, CDB(0x4d, 0, page, 0x01, [8] = 255), 255);
		if (page == 0x00 || page == 0x10 || page == 0x2f)
			expect_bad_cdb(&fixture, 3, -1);
		else
			expect_bad_cdb(&fixture, 2, 5);
	}
	scsi_fixture_run(&fixture, CDB(0x4d, 0, 0x2f, 0xff, [8] = 255), 255);
	expect_bad_cdb(&fixture, 3, -1);
	scsi_fixture_run(
		&fixture, CDB(0x4d, 0, 0x2f, 0, 0, 0, 1, 0, 255), 255); /* PARAMETER POINTER */
	expect_bad_cdb(&fixture, 5, -1);
	scsi_fixture_run(&fixture, CDB(0x4d, 0, 0x2f, 0, 0, 1, 0, 0, 255), 255);
	expect_bad_cdb(&fixture, 5, -1);
	scsi_fixture_run(&fixture, CDB(0x4d, 0x01, 0x2f, 0, 0, 0, 0, 0, 255), 255); /* SP */
	expect_bad_cdb(&fixture, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_unit_is_always_ready),
		cmocka_unit_test(request_sense_has_nothing_to_report),
		cmocka_unit_test(request_sense_reports_and_clears_unit_attentions),
		cmocka_unit_test(starting_does_nothing),
		cmocka_unit_test(stopping_makes_data_safe),
		cmocka_unit_test(a_fixed_disk_is_neither_ejected_nor_put_to_sleep),
		cmocka_unit_test(removal_can_be_prevented_and_allowed),
		cmocka_unit_test(task_management_is_reported),
		cmocka_unit_test(the_time_is_reported),
		cmocka_unit_test(the_self_test_passes),
		cmocka_unit_test(diagnostic_pages_are_listed),
		cmocka_unit_test(diagnostic_pages_have_to_be_right),
		cmocka_unit_test(log_pages_are_listed),
		cmocka_unit_test(log_pages_that_are_not_there_are_refused),
	};

	return cmocka_run_group_tests_name("scsi-spc", tests, NULL, NULL);
}
