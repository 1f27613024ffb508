/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes that an operation may make without data-out, and on a read-only logical unit. The
 * target core checks write-protected mappings and Write Exclusive reservations by the direction of
 * the data, so a change without data-out would get past both. The tests walk the whole table of
 * operations.
 */
#include "scsi-fixture.h"

#include <errno.h>

#include <scsi/optable.h>

#define RANDOM_CDBS  500u
#define DATA_MAX     2048u
#define RUNNING_LIST 9 /* the identifier of a copy that is in flight */

static uint32_t effects_seed;

/* The same numbers in each run. */
static uint8_t effects_random(void)
{
	effects_seed = effects_seed * 1103515245 + 12345;
	return (uint8_t) (effects_seed >> 16);
}

/* Every feature, a copy in flight, and a failed sanitize operation where the command is to exit
 * from that. */
static void effects_init(struct scsi_fixture *fixture, const uint8_t *cdb)
{
	scsi_fixture_init(fixture);
	fixture->lu.can_save = true;
	fixture->lu.guard_passed = false;
	fixture->lu.xcopies[1] = (struct scsi_xcopy_status){
		.used = true,
		.identified = true,
		.long_id = true,
		.running = true,
		.list_id = RUNNING_LIST};
	fixture->lu.sanitize_failed = fixture->lu.sanitize_exit = cdb[0] == 0x48 &&
		(cdb[1] & 0x1f) == 0x1f;
}

static bool plan_changes(const struct scsi_plan *plan)
{
	switch (plan->op) {
	case SCSI_PLAN_READ:
	case SCSI_PLAN_VERIFY:
	case SCSI_PLAN_MAP:
	case SCSI_PLAN_PREFETCH:
		return false;
	case SCSI_PLAN_FLUSH:
		return plan->flags & SCSI_PLAN_CACHE_OFF;
	default:
		return true;
	}
}

/* Whether a command changes anything. */
static bool effects_changes(
	struct scsi_fixture *fixture, const uint8_t *cdb, const void *data, size_t length)
{
	uint8_t before[sizeof(fixture->lu)];
	enum scsi_verdict verdict;

	memcpy(before, &fixture->lu, sizeof(before));
	verdict = scsi_fixture_send(fixture, cdb, data, length);
	return (verdict == SCSI_PLANNED && plan_changes(&fixture->result.plan)) ||
		fixture->result.save ||
		memcmp(before, (const void *) &fixture->lu, sizeof(before)) != 0;
}

/* Fields are zero, full or random; bits outside of the usage mask are zero. */
static void effects_random_cdb(const struct scsi_operation *operation, uint8_t *cdb)
{
	uint8_t fill = effects_random() & 3;

	memset(cdb, 0, 16);
	for (unsigned i = 1; i < operation->cdb_length; i++) {
		uint8_t value = effects_random();

		if (fill == 0)
			value &= effects_random() & effects_random();
		else if (fill == 1)
			value = i + 2 < operation->cdb_length ? 0 : value & 7;
		cdb[i] = value & operation->usage[i];
	}
	cdb[0] = operation->opcode;
	if (operation->has_action)
		cdb[1] = (uint8_t) ((cdb[1] & 0xe0) | operation->action);
}

/* ------- one command for each operation that changes something ------- */

struct example {
	uint8_t cdb[16];
	unsigned length;
	uint8_t data[DATA_MAX];
};

#define BLOCK   FIXTURE_BLOCK_SIZE
#define MODE_10 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff, 0, 0

static const struct example examples[] = {
	{{0x04}, 0, {0}},
	{{0x0a, [4] = 1}, BLOCK, {0}},
	{{0x15, 0x11, [4] = 16},
	 16,
	 {0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff, 0, 0}},
	{{0x15, 0x10, [4] = 16}, /* not saved */
	 16,
	 {0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff, 0, 0}},
	{{0x2a, [8] = 1}, BLOCK, {0}},
	{{0x2e, [8] = 1}, BLOCK, {0}},
	{{0x41, [8] = 1}, BLOCK, {0}},
	{{0x42, [8] = 24}, 24, {0, 22, 0, 16, [8 + 11] = 8}},
	{{0x48, 0x01, [8] = 5}, 5, {0x01, 0, 0, 1, 0xaa}},
	{{0x48, 0x02}, 0, {0}},
	{{0x48, 0x1f}, 0, {0}},
	{{0x55, 0x11, [8] = 20}, 20, {MODE_10}},
	{{0x83, 0x00, [13] = 16 + 32 + 28},
	 16 + 32 + 28,
	 {7, [3] = 32, [11] = 28, [16] = 0xe4, [20] = 1, [21] = 3, [23] = 16, [46] = BLOCK >> 8,
	  [48] = 0x02, [51] = 0x18, [59] = 8, [75] = 100}},
	{{0x83, 0x01, [13] = 48 + 32 + 28},
	 48 + 32 + 28,
	 {0x01, [3] = 0x20, [16] = 0xff, [23] = 7, [43] = 32, [45] = 28, [48] = 0xe4, [52] = 1,
	  [53] = 3, [55] = 16, [78] = BLOCK >> 8, [80] = 0x02, [83] = 0x18, [91] = 8, [107] = 100}},
	{{0x83, 0x1c, [5] = RUNNING_LIST}, 0, {0}},
	{{0x89, [13] = 1}, 2 * BLOCK, {0}},
	{{0x8a, [13] = 1}, BLOCK, {0}},
	{{0x8b, [13] = 1}, BLOCK, {0}},
	{{0x8e, [13] = 1}, BLOCK, {0}},
	{{0x93, [13] = 1}, BLOCK, {0}},
	{{0x93, 0x01, [13] = 1}, 0, {0}}, /* NDOB */
	{{0x9c, [13] = 4}, 4 * BLOCK, {0}},
	{{0xa4, 0x0a, [9] = 8}, 8, {0, 0, 0, 0, 0x02, 0, 0x00, 0x01}},
	{{0xaa, [9] = 1}, BLOCK, {0}},
	{{0xae, [9] = 1}, BLOCK, {0}},
};

#define EXAMPLE_CNT (sizeof(examples) / sizeof(examples[0]))

/* Copies the example with the designator of the fixture's logical unit. */
static void example_make(
	const struct example *from, const struct scsi_fixture *fixture, struct example *example)
{
	*example = *from;
	if (example->cdb[0] == 0x83 && example->length)
		assert_true(scsi_naa(
			&fixture->lu, example->data + (example->cdb[1] & 0x1f ? 48 : 16) + 8));
}

static bool example_is_of(const struct example *example, const struct scsi_operation *operation)
{
	return example->cdb[0] == operation->opcode &&
		(!operation->has_action || (example->cdb[1] & 0x1f) == operation->action);
}

static const struct scsi_operation *example_operation(const struct example *example)
{
	const struct scsi_operation *operation;

	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		if (example_is_of(example, operation))
			return operation;
	fail();
	return NULL;
}

/* Whether the example has to pass the guard. */
static bool example_is_guarded(const struct example *example)
{
	return example_operation(example)->effect == SCSI_EFFECT_GUARDED ||
		(example->cdb[0] == 0x93 && (example->cdb[1] & 0x01));
}

static void every_operation_that_changes_something_has_an_example(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;
	struct example example;

	(void) state;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		bool found = false,
		     wanted = operation->effect == SCSI_EFFECT_BY_DATA ||
			operation->effect == SCSI_EFFECT_GUARDED;

		assert_in_range(operation->effect, SCSI_EFFECT_NOTHING, SCSI_EFFECT_CORE);
		assert_int_equal(operation->by_target_core, operation->effect == SCSI_EFFECT_CORE);
		for (size_t j = 0; j < EXAMPLE_CNT; j++)
			found |= example_is_of(&examples[j], operation);
		if (found != wanted)
			fail_msg("%s: an example is there: %d", operation->name, found);
	}
	for (size_t i = 0; i < EXAMPLE_CNT; i++) {
		effects_init(&fixture, examples[i].cdb);
		fixture.lu.guard_passed = true;
		example_make(&examples[i], &fixture, &example);
		if (!effects_changes(&fixture, example.cdb, example.data, example.length))
			fail_msg("%s changes nothing", scsi_opcode_name(example.cdb));
	}
}

/* ------- without data-out ------- */

static void without_data_out_nothing_changes_before_the_guard(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	effects_seed = 1;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		for (unsigned n = 0; n < RANDOM_CDBS; n++) {
			uint8_t cdb[16];

			effects_random_cdb(operation, cdb);
			effects_init(&fixture, cdb);
			if (effects_changes(&fixture, cdb, NULL, 0))
				fail_msg("%s changes something without data", operation->name);
		}
	}
}

/* Also with data-out: where the CDB asks for more, the rest is not made up. */
static void data_out_that_is_too_short_changes_nothing(void **state)
{
	struct scsi_fixture fixture;
	struct example example;

	(void) state;
	for (size_t i = 0; i < EXAMPLE_CNT; i++) {
		for (unsigned length = 0; length < examples[i].length; length++) {
			effects_init(&fixture, examples[i].cdb);
			fixture.lu.guard_passed = true;
			example_make(&examples[i], &fixture, &example);
			if (effects_changes(&fixture, example.cdb, example.data, length))
				fail_msg(
					"%s of %u bytes changes something with %u",
					scsi_opcode_name(example.cdb), example.length, length);
		}
	}
}

static void a_guarded_command_asks_for_the_guard(void **state)
{
	struct scsi_fixture fixture;
	struct example example;

	(void) state;
	for (size_t i = 0; i < EXAMPLE_CNT; i++) {
		bool guarded = example_is_guarded(&examples[i]);

		effects_init(&fixture, examples[i].cdb);
		example_make(&examples[i], &fixture, &example);
		assert_int_equal(
			effects_changes(&fixture, example.cdb, example.data, example.length),
			!guarded);
		if (guarded)
			assert_int_equal(
				scsi_fixture_send(
					&fixture, example.cdb, example.data, example.length),
				SCSI_NEEDS_GUARD);
	}
}

static void the_guard_refuses_with_the_sense_of_what_is_in_force(void **state)
{
	struct scsi_result result = {0};

	(void) state;
	scsi_guard_end(0, &result);
	assert_int_equal(result.status, SCSI_GOOD);
	scsi_guard_end(-EBUSY, &result);
	assert_int_equal(result.status, SCSI_RESERVATION_CONFLICT);
	scsi_guard_end(-EAGAIN, &result);
	assert_int_equal(result.status, SCSI_BUSY);
	scsi_guard_end(-ESHUTDOWN, &result);
	assert_int_equal(result.status, SCSI_BUSY);
	scsi_guard_end(-ENODEV, &result);
	assert_int_equal(
		result.sense.key << 16 | result.sense.asc << 8 | result.sense.ascq, 0x0a0d02);
	for (int error = 1; error < 134; error++) {
		if (error == EBUSY || error == EAGAIN || error == ESHUTDOWN || error == ENODEV)
			continue;
		scsi_guard_end(-error, &result);
		assert_int_equal(result.status, SCSI_CHECK_CONDITION);
		assert_int_equal(
			result.sense.key << 16 | result.sense.asc << 8 | result.sense.ascq,
			0x072700);
	}
}

/* ------- without the option ------- */

static bool effects_reported(struct scsi_fixture *fixture, const struct example *example)
{
	scsi_fixture_run(
		fixture,
		CDB(0xa3, 0x0c, 0x03, example->cdb[0], 0, example_operation(example)->action, 0, 0,
		    0xff, 0xff),
		65535);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	return (fixture->data[1] & 0x07) == 3;
}

static void without_the_option_they_are_neither_supported_nor_reported(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	for (size_t i = 0; i < EXAMPLE_CNT; i++) {
		const struct example *example = &examples[i];

		effects_init(&fixture, example->cdb);
		fixture.lu.dataless = false;
		if (!example_is_guarded(example)) {
			assert_true(effects_reported(&fixture, example));
			continue;
		}
		fixture.lu.guard_passed = true;
		assert_int_equal(
			scsi_fixture_send(&fixture, example->cdb, example->data, example->length),
			SCSI_ANSWERED);
		assert_int_equal(fixture.result.status, SCSI_CHECK_CONDITION);
		assert_int_equal(fixture.result.sense.key, 0x05);
		assert_int_equal(effects_reported(&fixture, example), example->cdb[0] == 0x93);
		if (example->cdb[0] == 0x93) /* NDOB in the usage data */
			assert_int_equal(fixture.data[5] & 0x01, 0);
	}
	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0x8f, 0, 255), 255);
	assert_int_equal(fixture.data[8], 9); /* two actions of 83h, and three of 84h */
	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0xb1, 0, 255), 255);
	assert_int_equal(fixture.data[7], 0); /* WABEREQ */
}

/* ------- with any data-out ------- */

static void what_changes_nothing_changes_nothing_with_data_either(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	effects_seed = 2;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		for (unsigned n = 0; operation->effect == SCSI_EFFECT_NOTHING && n < RANDOM_CDBS;
		     n++) {
			uint8_t cdb[16], data[DATA_MAX];

			effects_random_cdb(operation, cdb);
			effects_init(&fixture, cdb);
			fixture.lu.guard_passed = true;
			for (unsigned j = 0; j < sizeof(data); j++)
				data[j] = n & 1 ? effects_random() : 0;
			if (effects_changes(&fixture, cdb, data, n & 2 ? BLOCK : sizeof(data)))
				fail_msg("%s changes something", operation->name);
		}
	}
}

/* ------- read-only ------- */

/* Not refused: the states of port groups are those of the paths; the copy may go to another disk,
 * and io/xcopy.h refuses to write this one; an abort changes no medium. */
static bool effects_beside_the_medium(const struct scsi_plan *plan)
{
	return plan->op == SCSI_PLAN_SET_GROUPS || plan->op == SCSI_PLAN_XCOPY ||
		plan->op == SCSI_PLAN_ABORT_XCOPY;
}

static void expect_nothing_on_read_only(
	const uint8_t *cdb, const uint8_t *data, unsigned length, const struct example *example)
{
	struct scsi_fixture fixture;
	struct example made;

	effects_init(&fixture, cdb);
	fixture.lu.guard_passed = true;
	fixture.lu.read_only = true;
	if (example) {
		example_make(example, &fixture, &made);
		data = made.data;
	}
	if (!effects_changes(&fixture, cdb, data, length))
		return;
	if (fixture.result.save || !effects_beside_the_medium(&fixture.result.plan))
		fail_msg("%s changes a read-only disk", scsi_opcode_name(cdb));
}

static void a_read_only_disk_is_not_changed_by_any_operation(void **state)
{
	const struct scsi_operation *operation;

	(void) state;
	effects_seed = 3;
	for (size_t i = 0; i < EXAMPLE_CNT; i++)
		expect_nothing_on_read_only(
			examples[i].cdb, NULL, examples[i].length, &examples[i]);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		for (unsigned n = 0; n < RANDOM_CDBS; n++) {
			uint8_t cdb[16], data[DATA_MAX];
			unsigned length = n % 3 * BLOCK;

			effects_random_cdb(operation, cdb);
			for (unsigned j = 0; j < sizeof(data); j++)
				data[j] = n & 1 ? effects_random() : 0;
			expect_nothing_on_read_only(cdb, length ? data : NULL, length, NULL);
		}
	}
}

static void the_mode_pages_of_a_read_only_disk_are_as_they_are(void **state)
{
	static const uint8_t same[] = {0, 0,    0, 0, 0x0a, 0x0a, 0x02, 0x10,
				       0, 0x40, 0, 0, 0xff, 0xff, 0,    0};
	struct scsi_fixture fixture;

	(void) state;
	effects_init(&fixture, CDB(0));
	fixture.lu.read_only = true;
	fixture.lu.descriptor_sense = false;
	/* the current values are accepted, but not to be saved */
	scsi_fixture_send(&fixture, CDB(0x15, 0x10, 0, 0, sizeof(same)), same, sizeof(same));
	expect_good(&fixture);
	scsi_fixture_send(&fixture, CDB(0x15, 0x11, 0, 0, sizeof(same)), same, sizeof(same));
	expect_bad_cdb(&fixture, 1, 0);
	/* neither PS nor a changeable bit is reported */
	scsi_fixture_run(&fixture, CDB(0x1a, 0x08, 0x4a, 0, 255), 255);
	assert_int_equal(fixture.result.status, SCSI_GOOD);
	assert_int_equal(fixture.data[4], 0x0a);
	for (unsigned i = 6; i < 16; i++)
		assert_int_equal(fixture.data[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_that_changes_something_has_an_example),
		cmocka_unit_test(without_data_out_nothing_changes_before_the_guard),
		cmocka_unit_test(data_out_that_is_too_short_changes_nothing),
		cmocka_unit_test(a_guarded_command_asks_for_the_guard),
		cmocka_unit_test(the_guard_refuses_with_the_sense_of_what_is_in_force),
		cmocka_unit_test(without_the_option_they_are_neither_supported_nor_reported),
		cmocka_unit_test(what_changes_nothing_changes_nothing_with_data_either),
		cmocka_unit_test(a_read_only_disk_is_not_changed_by_any_operation),
		cmocka_unit_test(the_mode_pages_of_a_read_only_disk_are_as_they_are),
	};

	return cmocka_run_group_tests_name("scsi-effects", tests, NULL, NULL);
}
