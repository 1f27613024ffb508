/* SPDX-License-Identifier: Apache-2.0 */
/* FORMAT UNIT (SBC-3 5.3), SANITIZE (SBC-3 5.24), and what other commands are told meanwhile. */
#include "scsi-fixture.h"

#define FORMAT_FLAGS (SCSI_PLAN_LONG | SCSI_PLAN_ZEROES | SCSI_PLAN_MAY_UNMAP)

/* Before a command that would else find the medium busy. */
static void is_idle(struct rig *rig)
{
	rig->lu.long_operation = SCSI_LONG_NONE;
	rig->lu.sanitize_failed = false;
}

static void expect_erase(
	struct rig *rig, enum scsi_long_operation operation, uint32_t flags, unsigned passes)
{
	expect_plan(rig, SCSI_PLAN_WRITE_SAME, flags, 0, RIG_BLOCKS);
	assert_int_equal(rig->result.plan.passes, passes);
	assert_int_equal(rig->lu.long_operation, operation);
	assert_int_equal(rig->lu.progress, 0);
	is_idle(rig);
}

/* ------- FORMAT UNIT ------- */

static void formatting_writes_zeros_everywhere(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig.lu.progress = 7;
	assert_int_equal(rig_run(&rig, CDB(0x04), 0), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
	/* the short and the long list, at once and later; options that change nothing here */
	assert_int_equal(rig_send(&rig, CDB(0x04, 0x10), LIST(0, 0, 0, 0)), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
	assert_int_equal(rig_send(&rig, CDB(0x04, 0x18), LIST(0, 0x02, 0, 0)), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_FORMAT, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_int_equal(rig_send(&rig, CDB(0x04, 0x10), LIST(0, 0xf2, 0, 0)), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_FORMAT, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_int_equal(
		rig_send(&rig, CDB(0x04, 0x30), LIST(0, 0x80, 0, 0, 0, 0, 0, 0)), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_FORMAT, FORMAT_FLAGS, 1);
}

static void formats_that_are_not_there_are_refused(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig_run(&rig, CDB(0x04, 0x80), 0); /* FMTPINFO */
	expect_bad_cdb(&rig, 1, 7);
	rig_send(&rig, CDB(0x04, 0x10), LIST(0x01, 0, 0, 0)); /* PROTECTION FIELD USAGE */
	expect_bad_list(&rig, 0, 0);
	rig_send(&rig, CDB(0x04, 0x10), LIST(0, 0x40, 0, 0)); /* DPRY without FOV */
	expect_bad_list(&rig, 1, 6);
	rig_send(&rig, CDB(0x04, 0x10), LIST(0, 0x88, 0, 0)); /* IP */
	expect_bad_list(&rig, 1, 3);
	rig_send(&rig, CDB(0x04, 0x10), LIST(0, 0x80, 0, 4, 0, 0, 0, 0)); /* a list of defects */
	expect_bad_list(&rig, 2, -1);
	rig_send(&rig, CDB(0x04, 0x30), LIST(0, 0, 1, 0, 0, 0, 0, 0));
	expect_bad_list(&rig, 2, 0);
	rig_send(&rig, CDB(0x04, 0x30), LIST(0, 0, 0, 0x10, 0, 0, 0, 0));
	expect_bad_list(&rig, 3, 4);
	rig_send(&rig, CDB(0x04, 0x30), LIST(0, 0, 0, 0, 0, 0, 0, 8));
	expect_bad_list(&rig, 4, -1);
	for (size_t length = 0; length < 8; length++) {
		if (length < 4) {
			rig_send(&rig, CDB(0x04, 0x10), (uint8_t[8]){0}, length);
			expect_sense(&rig, 0x05, 0x1a, 0x00);
		}
		rig_send(&rig, CDB(0x04, 0x30), (uint8_t[8]){0}, length);
		expect_sense(&rig, 0x05, 0x1a, 0x00);
	}
	rig.lu.software_write_protect = true;
	rig_run(&rig, CDB(0x04), 0);
	expect_sense(&rig, 0x07, 0x27, 0x02);
	assert_int_equal(rig.lu.long_operation, SCSI_LONG_NONE);
}

/* ------- SANITIZE ------- */

static void block_erase_leaves_zeros(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	assert_int_equal(rig_run(&rig, CDB(0x48, 0x02), 0), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_SANITIZE, FORMAT_FLAGS, 1);
	assert_false(rig.lu.sanitize_exit);
	assert_int_equal(rig_run(&rig, CDB(0x48, 0xa2), 0), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_SANITIZE, FORMAT_FLAGS | SCSI_PLAN_IMMEDIATE, 1);
	assert_true(rig.lu.sanitize_exit);
	rig_run(&rig, CDB(0x48, 0x42), 0); /* ZNR */
	expect_bad_cdb(&rig, 1, 6);
	rig_run(&rig, CDB(0x48, 0x02, [8] = 4), 4);
	expect_bad_cdb(&rig, 8, 2);
	rig_run(&rig, CDB(0x48, 0x03), 0); /* CRYPTOGRAPHIC ERASE */
	expect_bad_cdb(&rig, 1, 4);
	rig.lu.read_only = true;
	rig_run(&rig, CDB(0x48, 0x02), 0);
	expect_sense(&rig, 0x07, 0x27, 0x00);
}

static enum scsi_verdict overwrite(struct rig *rig, const uint8_t *list, size_t length)
{
	return rig_send(
		rig, CDB(0x48, 0x01, [7] = (uint8_t) (length >> 8), (uint8_t) length), list,
		length);
}

static void overwriting_repeats_the_pattern_in_each_block(void **state)
{
	uint8_t whole[4 + RIG_BLOCK_SIZE] = {0x01, 0, 0x02, 0x00};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	assert_int_equal(overwrite(&rig, LIST(0x9f, 0, 0, 3, 'a', 'b', 'c', 'd')), SCSI_PLANNED);
	expect_erase(
		&rig, SCSI_LONG_SANITIZE, SCSI_PLAN_LONG | SCSI_PLAN_DATA | SCSI_PLAN_INVERT, 31);
	for (unsigned i = 0; i < RIG_BLOCK_SIZE; i++)
		assert_int_equal(rig.data[i], "abc"[i % 3]);

	for (unsigned i = 4; i < sizeof(whole); i++)
		whole[i] = (uint8_t) i;
	assert_int_equal(overwrite(&rig, whole, sizeof(whole)), SCSI_PLANNED);
	expect_erase(&rig, SCSI_LONG_SANITIZE, SCSI_PLAN_LONG | SCSI_PLAN_DATA, 1);
	assert_memory_equal(rig.data, whole + 4, RIG_BLOCK_SIZE);
}

static void overwriting_needs_a_pattern_and_a_count(void **state)
{
	uint8_t list[5 + RIG_BLOCK_SIZE] = {0x01, 0, 0, 1};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	for (size_t length = 0; length <= 4; length++) {
		overwrite(&rig, list, length);
		expect_bad_cdb(&rig, 7, -1);
	}
	overwrite(&rig, list, sizeof(list)); /* more than a block */
	expect_bad_cdb(&rig, 7, -1);
	overwrite(&rig, LIST(0x00, 0, 0, 1, 0xaa));
	expect_bad_cdb(&rig, 7, -1);
	overwrite(&rig, LIST(0x01, 0, 0, 0, 0xaa));
	expect_bad_cdb(&rig, 7, -1);
	overwrite(&rig, LIST(0x01, 0, 0, 2, 0xaa));
	expect_bad_cdb(&rig, 7, -1);
	overwrite(&rig, LIST(0x21, 0, 0, 1, 0xaa)); /* TEST */
	expect_bad_list(&rig, 0, 6);
	overwrite(&rig, LIST(0x01, 1, 0, 1, 0xaa));
	expect_bad_list(&rig, 1, -1);
	rig_send(&rig, CDB(0x48, 0x01, [8] = 8), LIST(0x01, 0, 0));
	expect_sense(&rig, 0x05, 0x1a, 0x00);
	rig_send(&rig, CDB(0x48, 0x01, [8] = 8), LIST(0x01, 0, 0, 4, 0xaa, 0xbb, 0xcc));
	expect_sense(&rig, 0x05, 0x1a, 0x00);
	assert_int_equal(rig.lu.long_operation, SCSI_LONG_NONE);
	rig.lu.block_size = 0x20000; /* would not fit into the answer's buffer */
	overwrite(&rig, LIST(0x01, 0, 0, 1, 0xaa));
	expect_bad_cdb(&rig, 7, -1);
}

/* ------- meanwhile ------- */

/* What is asked of the logical unit itself is told at any time. */
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

static void expect_not_ready(const struct rig *rig, uint8_t ascq, uint16_t progress)
{
	const struct scsi_sense *sense = &rig->result.sense;

	assert_int_equal(rig->result.status, SCSI_CHECK_CONDITION);
	assert_int_equal(sense->key << 16 | sense->asc << 8 | sense->ascq, 0x020400 | ascq);
	assert_true(sense->progress_valid);
	assert_int_equal(sense->progress, progress);
}

static void commands_wait_for_a_long_operation(void **state)
{
	const struct scsi_operation *operation;
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig.lu.progress = 0x8000;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action};

		if (operation->by_target_core)
			continue;
		if (operation->opcode == 0x1a || operation->opcode == 0x5a)
			cdb[2] = 0x3f;
		for (unsigned what = SCSI_LONG_FORMAT; what <= SCSI_LONG_SANITIZE; what++) {
			rig.lu.long_operation = what;
			assert_int_equal(rig_run(&rig, cdb, 0), SCSI_ANSWERED);
			if (at_any_time(operation))
				assert_int_equal(rig.result.status, SCSI_GOOD);
			else
				expect_not_ready(
					&rig, what == SCSI_LONG_FORMAT ? 0x04 : 0x1b, 0x8000);
		}
	}
	rig_run(&rig, CDB(0x00, 1), 0);
	expect_not_ready(&rig, 0x1b, 0x8000); /* told before a wrong CDB */
	rig_run(&rig, CDB(0x12, 2), 0);
	expect_bad_cdb(&rig, 1, 1);
}

static void request_sense_tells_the_progress(void **state)
{
	static const uint8_t wanted[18] = {0x70, 0, 0x02, [7] = 10, [12] = 0x04,
					   0x04, 0, 0x80, 0x12,     0x34};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig.lu.long_operation = SCSI_LONG_FORMAT;
	rig.lu.progress = 0x1234;
	rig_expect_data(&rig, CDB(0x03), 4, 1, wanted, sizeof(wanted));
	rig.lu.unit_attention = SCSI_UA_CAPACITY; /* told first */
	rig_run(&rig, CDB(0x03, 0, 0, 0, 18), 18);
	assert_int_equal(rig.data[2], 0x06);
	rig_run(&rig, CDB(0x03, 0, 0, 0, 18), 18);
	assert_int_equal(rig.data[2], 0x02);
}

/* ------- after a failure ------- */

static void a_failed_sanitize_keeps_the_medium(void **state)
{
	const struct scsi_operation *operation;
	struct rig rig;

	(void) state;
	rig_init(&rig);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action, 0x3f};

		rig.lu.sanitize_failed = true;
		if (operation->by_target_core || at_any_time(operation) ||
		    operation->opcode == 0x48)
			continue;
		cdb[2] = 0;
		rig_run(&rig, cdb, 0);
		expect_sense(&rig, 0x03, 0x31, 0x03);
	}
	assert_int_equal(rig_run(&rig, CDB(0x48, 0x02), 0), SCSI_PLANNED); /* another try */
	assert_false(rig.lu.sanitize_failed);
}

/* MEDIUM FORMAT CORRUPTED until it is formatted or sanitized. */
static void a_failed_format_keeps_the_medium(void **state)
{
	const struct scsi_operation *operation;
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig.lu.format_failed = true;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16] = {operation->opcode, operation->action};

		if (operation->by_target_core || at_any_time(operation) ||
		    operation->opcode == 0x48 || operation->opcode == 0x04)
			continue;
		rig_run(&rig, cdb, 0);
		expect_sense(&rig, 0x03, 0x31, 0x00);
	}
	assert_int_equal(rig_run(&rig, CDB(0x48, 0x02), 0), SCSI_PLANNED);
	assert_false(rig.lu.format_failed);
	is_idle(&rig);
	rig.lu.format_failed = true;
	assert_int_equal(rig_run(&rig, CDB(0x04), 0), SCSI_PLANNED);
	assert_false(rig.lu.format_failed);
}

static void the_end_gives_the_medium_back_or_keeps_it(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	for (unsigned what = SCSI_LONG_FORMAT; what <= SCSI_LONG_SANITIZE; what++) {
		bool sanitize = what == SCSI_LONG_SANITIZE;

		rig.lu.long_operation = what;
		scsi_long_end(&rig.lu, 0, &rig.result);
		expect_good(&rig);
		rig_run(&rig, CDB(0x00), 0);
		expect_good(&rig);

		rig.lu.long_operation = what;
		scsi_long_end(&rig.lu, -5, &rig.result);
		expect_sense(&rig, 0x03, 0x31, sanitize ? 0x03 : 0x01);
		assert_int_equal(rig.lu.long_operation, SCSI_LONG_NONE);
		assert_int_equal(rig.lu.sanitize_failed, sanitize);
		assert_int_equal(rig.lu.format_failed, !sanitize);
		rig.lu.sanitize_failed = rig.lu.format_failed = false;
	}
}

static void failure_mode_is_left_if_that_was_allowed(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig_run(&rig, CDB(0x48, 0x1f), 0); /* nothing has failed */
	expect_good(&rig);
	rig.lu.sanitize_failed = true;
	rig_run(&rig, CDB(0x48, 0x1f), 0);
	expect_bad_cdb(&rig, 1, 4);
	assert_true(rig.lu.sanitize_failed);
	rig.lu.sanitize_exit = true;
	rig_run(&rig, CDB(0x48, 0x1f), 0);
	expect_good(&rig);
	assert_false(rig.lu.sanitize_failed);
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
		cmocka_unit_test(request_sense_tells_the_progress),
		cmocka_unit_test(a_failed_sanitize_keeps_the_medium),
		cmocka_unit_test(a_failed_format_keeps_the_medium),
		cmocka_unit_test(the_end_gives_the_medium_back_or_keeps_it),
		cmocka_unit_test(failure_mode_is_left_if_that_was_allowed),
	};

	return cmocka_run_group_tests_name("scsi-erase", tests, NULL, NULL);
}
