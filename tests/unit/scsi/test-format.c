/* SPDX-License-Identifier: Apache-2.0 */
/* FORMAT UNIT (SBC-3 5.3), SANITIZE (SBC-3 5.24), and the answers to other commands meanwhile. */
#include "scsi-fixture.h"

#include <scsi/optable.h>

#define FORMAT_FLAGS (SCSI_PLAN_LONG | SCSI_PLAN_ZEROES | SCSI_PLAN_MAY_UNMAP)

/* Before a command that would else find the medium busy. */
static void is_idle(struct scsi_fixture *fixture)
{
	fixture->lu.long_operation = SCSI_LONG_NONE;
	fixture->lu.sanitize_failed = false;
}

static void expect_overwrite(
	struct scsi_fixture *fixture, enum scsi_long_operation operation, uint32_t flags,
	unsigned passes)
{
	expect_plan(fixture, SCSI_PLAN_WRITE_SAME, flags, 0, FIXTURE_BLOCKS);
	assert_int_equal(fixture->result.plan.passes, passes);
	assert_int_equal(fixture->lu.long_operation, operation);
	assert_int_equal(fixture->lu.progress, 0);
	is_idle(fixture);
}

/* ------- FORMAT UNIT ------- */

static void formatting_writes_zeros_everywhere(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.progress = 7;
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x04), 0), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
	/* the short and the long list, at once and later; options that change nothing here */
	assert_int_equal(
		scsi_fixture_send(&fixture, CDB(0x04, 0x10), LIST(0, 0, 0, 0)), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
	assert_int_equal(
		scsi_fixture_send(&fixture, CDB(0x04, 0x18), LIST(0, 0x02, 0, 0)), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_FORMAT, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_int_equal(
		scsi_fixture_send(&fixture, CDB(0x04, 0x10), LIST(0, 0xf2, 0, 0)), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_FORMAT, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_int_equal(
		scsi_fixture_send(&fixture, CDB(0x04, 0x30), LIST(0, 0x80, 0, 0, 0, 0, 0, 0)),
		SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
}

static void formats_that_are_not_there_are_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x04, 0x80), 0); /* FMTPINFO */
	expect_bad_cdb(&fixture, 1, 7);
	scsi_fixture_send(
		&fixture, CDB(0x04, 0x10), LIST(0x01, 0, 0, 0)); /* PROTECTION FIELD USAGE */
	expect_bad_list(&fixture, 0, 0);
	scsi_fixture_send(&fixture, CDB(0x04, 0x10), LIST(0, 0x40, 0, 0)); /* DPRY without FOV */
	expect_bad_list(&fixture, 1, 6);
	scsi_fixture_send(&fixture, CDB(0x04, 0x10), LIST(0, 0x88, 0, 0)); /* IP */
	expect_bad_list(&fixture, 1, 3);
	scsi_fixture_send(
		&fixture, CDB(0x04, 0x10), LIST(0, 0x80, 0, 4, 0, 0, 0, 0)); /* a list of defects */
	expect_bad_list(&fixture, 2, -1);
	scsi_fixture_send(&fixture, CDB(0x04, 0x30), LIST(0, 0, 1, 0, 0, 0, 0, 0));
	expect_bad_list(&fixture, 2, 0);
	scsi_fixture_send(&fixture, CDB(0x04, 0x30), LIST(0, 0, 0, 0x10, 0, 0, 0, 0));
	expect_bad_list(&fixture, 3, 4);
	scsi_fixture_send(&fixture, CDB(0x04, 0x30), LIST(0, 0, 0, 0, 0, 0, 0, 8));
	expect_bad_list(&fixture, 4, -1);
	for (size_t length = 0; length < 8; length++) {
		if (length < 4) {
			scsi_fixture_send(&fixture, CDB(0x04, 0x10), (uint8_t[8]){0}, length);
			expect_sense(&fixture, 0x05, 0x1a, 0x00);
		}
		scsi_fixture_send(&fixture, CDB(0x04, 0x30), (uint8_t[8]){0}, length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
	}
	fixture.lu.software_write_protect = true;
	scsi_fixture_run(&fixture, CDB(0x04), 0);
	expect_sense(&fixture, 0x07, 0x27, 0x02);
	assert_int_equal(fixture.lu.long_operation, SCSI_LONG_NONE);
}

/* ------- SANITIZE ------- */

static void block_erase_leaves_zeros(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x48, 0x02), 0), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_SANITIZE, FORMAT_FLAGS, 1);
	assert_false(fixture.lu.sanitize_exit);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x48, 0xa2), 0), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_SANITIZE, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_true(fixture.lu.sanitize_exit);
	scsi_fixture_run(&fixture, CDB(0x48, 0x42), 0); /* ZNR */
	expect_bad_cdb(&fixture, 1, 6);
	scsi_fixture_run(&fixture, CDB(0x48, 0x02, [8] = 4), 4);
	expect_bad_cdb(&fixture, 8, 2);
	scsi_fixture_run(&fixture, CDB(0x48, 0x03), 0); /* CRYPTOGRAPHIC ERASE */
	expect_bad_cdb(&fixture, 1, 4);
	fixture.lu.read_only = true;
	scsi_fixture_run(&fixture, CDB(0x48, 0x02), 0);
	expect_sense(&fixture, 0x07, 0x27, 0x00);
}

static enum scsi_verdict send_overwrite(
	struct scsi_fixture *fixture, const uint8_t *list, size_t length)
{
	return scsi_fixture_send(
		fixture, CDB(0x48, 0x01, [7] = (uint8_t) (length >> 8), (uint8_t) length), list,
		length);
}

static void overwriting_repeats_the_pattern_in_each_block(void **state)
{
	uint8_t whole[4 + FIXTURE_BLOCK_SIZE] = {0x01, 0, 0x02, 0x00};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(
		send_overwrite(&fixture, LIST(0x9f, 0, 0, 3, 'a', 'b', 'c', 'd')), SCSI_PLANNED);
	expect_overwrite(
		&fixture, SCSI_LONG_SANITIZE, SCSI_PLAN_LONG | SCSI_PLAN_DATA | SCSI_PLAN_INVERT,
		31);
	for (unsigned i = 0; i < FIXTURE_BLOCK_SIZE; i++)
		assert_int_equal(fixture.data[i], "abc"[i % 3]);

	for (unsigned i = 4; i < sizeof(whole); i++)
		whole[i] = (uint8_t) i;
	assert_int_equal(send_overwrite(&fixture, whole, sizeof(whole)), SCSI_PLANNED);
	expect_overwrite(&fixture, SCSI_LONG_SANITIZE, SCSI_PLAN_LONG | SCSI_PLAN_DATA, 1);
	assert_memory_equal(fixture.data, whole + 4, FIXTURE_BLOCK_SIZE);
}

static void overwriting_needs_a_pattern_and_a_count(void **state)
{
	uint8_t list[5 + FIXTURE_BLOCK_SIZE] = {0x01, 0, 0, 1};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t length = 0; length <= 4; length++) {
		send_overwrite(&fixture, list, length);
		expect_bad_cdb(&fixture, 7, -1);
	}
	send_overwrite(&fixture, list, sizeof(list)); /* more than a block */
	expect_bad_cdb(&fixture, 7, -1);
	send_overwrite(&fixture, LIST(0x00, 0, 0, 1, 0xaa));
	expect_bad_cdb(&fixture, 7, -1);
	send_overwrite(&fixture, LIST(0x01, 0, 0, 0, 0xaa));
	expect_bad_cdb(&fixture, 7, -1);
	send_overwrite(&fixture, LIST(0x01, 0, 0, 2, 0xaa));
	expect_bad_cdb(&fixture, 7, -1);
	send_overwrite(&fixture, LIST(0x21, 0, 0, 1, 0xaa)); /* TEST */
	expect_bad_list(&fixture, 0, 6);
	send_overwrite(&fixture, LIST(0x01, 1, 0, 1, 0xaa));
	expect_bad_list(&fixture, 1, -1);
	scsi_fixture_send(&fixture, CDB(0x48, 0x01, [8] = 8), LIST(0x01, 0, 0));
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	scsi_fixture_send(
		&fixture, CDB(0x48, 0x01, [8] = 8), LIST(0x01, 0, 0, 4, 0xaa, 0xbb, 0xcc));
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	assert_int_equal(fixture.lu.long_operation, SCSI_LONG_NONE);
	fixture.lu.block_size = 0x20000; /* would not fit into the answer's buffer */
	send_overwrite(&fixture, LIST(0x01, 0, 0, 1, 0xaa));
	expect_bad_cdb(&fixture, 7, -1);
}

/* ------- meanwhile ------- */

/* Commands about the logical unit itself are answered at any time. */
static bool at_any_time(const struct scsi_operation *operation)
{
	switch (operation->opcode << 8 | operation->action) {
	case 0x0300:
	case 0x1200:
	case 0x1a00:
	case 0x2500:
	case 0x4d00:
	case 0x5a00:
	case 0x8403:
	case 0x9e10:
	case 0xa30a:
	case 0xa30c:
	case 0xa30d:
	case 0xa30f:
	case 0xa40a:
		return true;
	default:
		return false;
	}
}

static void expect_not_ready(const struct scsi_fixture *fixture, uint8_t ascq, uint16_t progress)
{
	const struct scsi_sense *sense = &fixture->result.sense;

	assert_int_equal(fixture->result.status, SCSI_CHECK_CONDITION);
	assert_int_equal(sense->key << 16 | sense->asc << 8 | sense->ascq, 0x020400 | ascq);
	assert_true(sense->progress_valid);
	assert_int_equal(sense->progress, progress);
}

static void commands_wait_for_a_long_operation(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.progress = 0x8000;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action};

		if (operation->by_target_core)
			continue;
		if (operation->opcode == 0x1a || operation->opcode == 0x5a)
			cdb[2] = 0x3f;
		for (unsigned running = SCSI_LONG_FORMAT; running <= SCSI_LONG_SANITIZE;
		     running++) {
			fixture.lu.long_operation = running;
			assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_ANSWERED);
			if (at_any_time(operation))
				assert_int_equal(fixture.result.status, SCSI_GOOD);
			else
				expect_not_ready(
					&fixture, running == SCSI_LONG_FORMAT ? 0x04 : 0x1b,
					0x8000);
		}
	}
	scsi_fixture_run(&fixture, CDB(0x00, 1), 0);
	expect_not_ready(&fixture, 0x1b, 0x8000); /* reported before a wrong CDB */
	scsi_fixture_run(&fixture, CDB(0x12, 2), 0);
	expect_bad_cdb(&fixture, 1, 1);
}

static void request_sense_reports_the_progress(void **state)
{
	static const uint8_t wanted[18] = {0x70, 0, 0x02, [7] = 10, [12] = 0x04,
					   0x04, 0, 0x80, 0x12,     0x34};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.long_operation = SCSI_LONG_FORMAT;
	fixture.lu.progress = 0x1234;
	scsi_fixture_expect_data(&fixture, CDB(0x03), 4, 1, wanted, sizeof(wanted));
	fixture.lu.unit_attention = SCSI_UA_CAPACITY; /* reported first */
	scsi_fixture_run(&fixture, CDB(0x03, 0, 0, 0, 18), 18);
	assert_int_equal(fixture.data[2], 0x06);
	scsi_fixture_run(&fixture, CDB(0x03, 0, 0, 0, 18), 18);
	assert_int_equal(fixture.data[2], 0x02);
}

/* ------- after a failure ------- */

static void a_failed_sanitize_keeps_the_medium(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action, 0x3f};

		fixture.lu.sanitize_failed = true;
		if (operation->by_target_core || at_any_time(operation) ||
		    operation->opcode == 0x48)
			continue;
		cdb[2] = 0;
		scsi_fixture_run(&fixture, cdb, 0);
		expect_sense(&fixture, 0x03, 0x31, 0x03);
	}
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x48, 0x02), 0), SCSI_PLANNED); /* another try */
	assert_false(fixture.lu.sanitize_failed);
}

/* MEDIUM FORMAT CORRUPTED until it is formatted or sanitized. */
static void a_failed_format_keeps_the_medium(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.format_failed = true;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action};

		if (operation->by_target_core || at_any_time(operation) ||
		    operation->opcode == 0x48 || operation->opcode == 0x04)
			continue;
		scsi_fixture_run(&fixture, cdb, 0);
		expect_sense(&fixture, 0x03, 0x31, 0x00);
	}
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x48, 0x02), 0), SCSI_PLANNED);
	assert_false(fixture.lu.format_failed);
	is_idle(&fixture);
	fixture.lu.format_failed = true;
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0x04), 0), SCSI_PLANNED);
	assert_false(fixture.lu.format_failed);
}

static void the_end_gives_the_medium_back_or_keeps_it(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned operation = SCSI_LONG_FORMAT; operation <= SCSI_LONG_SANITIZE; operation++) {
		bool sanitize = operation == SCSI_LONG_SANITIZE;

		fixture.lu.long_operation = operation;
		scsi_long_end(&fixture.lu, 0, &fixture.result);
		expect_good(&fixture);
		scsi_fixture_run(&fixture, CDB(0x00), 0);
		expect_good(&fixture);

		fixture.lu.long_operation = operation;
		scsi_long_end(&fixture.lu, -5, &fixture.result);
		expect_sense(&fixture, 0x03, 0x31, sanitize ? 0x03 : 0x01);
		assert_int_equal(fixture.lu.long_operation, SCSI_LONG_NONE);
		assert_int_equal(fixture.lu.sanitize_failed, sanitize);
		assert_int_equal(fixture.lu.format_failed, !sanitize);
		fixture.lu.sanitize_failed = fixture.lu.format_failed = false;
	}
}

static void failure_mode_is_left_if_that_was_allowed(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x48, 0x1f), 0); /* nothing has failed */
	expect_good(&fixture);
	fixture.lu.sanitize_failed = true;
	scsi_fixture_run(&fixture, CDB(0x48, 0x1f), 0);
	expect_bad_cdb(&fixture, 1, 4);
	assert_true(fixture.lu.sanitize_failed);
	fixture.lu.sanitize_exit = true;
	scsi_fixture_run(&fixture, CDB(0x48, 0x1f), 0);
	expect_good(&fixture);
	assert_false(fixture.lu.sanitize_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formatting_writes_zeros_everywhere),
		cmocka_unit_test(formats_that_are_not_there_are_refused),
		cmocka_unit_test(block_erase_leaves_zeros),
		cmocka_unit_test(overwriting_repeats_the_pattern_in_each_block),
		cmocka_unit_test(overwriting_needs_a_pattern_and_a_count),
		cmocka_unit_test(commands_wait_for_a_long_operation),
		cmocka_unit_test(request_sense_reports_the_progress),
		cmocka_unit_test(a_failed_sanitize_keeps_the_medium),
		cmocka_unit_test(a_failed_format_keeps_the_medium),
		cmocka_unit_test(the_end_gives_the_medium_back_or_keeps_it),
		cmocka_unit_test(failure_mode_is_left_if_that_was_allowed),
	};

	return cmocka_run_group_tests_name("scsi-format", tests, NULL, NULL);
}
