/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties that follow from the table of operations alone: every reserved bit is refused with a
 * pointer to it, every operation outside the table is refused, and REPORT SUPPORTED OPERATION
 * CODES reports exactly the table.
 */
#include "scsi-fixture.h"

#include <scsi/optable.h>
#include <stdio.h>

static void table_make_cdb(const struct scsi_operation *operation, uint8_t *cdb)
{
	memset(cdb, 0, 16);
	cdb[0] = operation->opcode;
	cdb[1] = operation->action;
}

static void the_table_is_sorted_and_well_formed(void **state)
{
	const struct scsi_operation *operation, *before = NULL;

	(void) state;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		assert_non_null(operation->name);
		assert_int_equal(operation->cdb_length, scsi_fixture_cdb_length(operation->opcode));
		assert_int_equal(operation->usage[0], operation->opcode);
		if (operation->has_action)
			assert_int_equal(operation->usage[1] & 0x1f, operation->action);
		else
			assert_int_equal(operation->action, 0);
		assert_int_equal(operation->usage[operation->cdb_length - 1], 0); /* CONTROL */
		for (unsigned j = operation->cdb_length; j < sizeof(operation->usage); j++)
			assert_int_equal(operation->usage[j], 0);
		if (before && before->opcode == operation->opcode) {
			assert_true(before->has_action && operation->has_action);
			assert_true(before->action < operation->action);
		} else if (before) {
			assert_true(before->opcode < operation->opcode);
		}
		before = operation;
	}
	assert_non_null(before);
}

/* The bits that may be set, by the standards and the supported features. */
static const char *const usage[] = {
	"000000000000",
	"03010000ff00",
	"043f00000000",
	"081fffffff00",
	"0a1fffffff00",
	"1201ffffff00",
	"15110000ff00",
	"160000000000",
	"170000000000",
	"1a08ffffff00",
	"1b0100000500",
	"1c01ffffff00",
	"1d1700ffff00",
	"1e0000000100",
	"2500ffffffff00000100",
	"2818ffffffff1fffff00",
	"2a18ffffffff1fffff00",
	"2e12ffffffff1fffff00",
	"2f16ffffffff1fffff00",
	"3402ffffffff1fffff00",
	"3502ffffffff1fffff00",
	"37001f00000000ffff00",
	"4108ffffffff1fffff00",
	"4200000000001fffff00",
	"48a10000000000ffff00",
	"48a20000000000000000",
	"481f0000000000000000",
	"4d00ffff00ffffffff00",
	"55110000000000ffff00",
	"56000000000000ffff00",
	"57000000000000ffff00",
	"5a18ffff000000ffff00",
	"5e000000000000ffff00",
	"5e010000000000ffff00",
	"5e020000000000ffff00",
	"5e030000000000ffff00",
	"5f00ff0000ffffffff00",
	"5f01ff0000ffffffff00",
	"5f02ff0000ffffffff00",
	"5f03ff0000ffffffff00",
	"5f04ff0000ffffffff00",
	"5f05ff0000ffffffff00",
	"5f06ff0000ffffffff00",
	"5f07ff0000ffffffff00",
	"83000000000000000000ffffffff0000",
	"83010000000000000000ffffffff0000",
	"831cffffffff00000000000000000000",
	"8400ff00000000000000ffffffff0000",
	"8403ff00000000000000ffffffff0000",
	"8405ffffffff00000000ffffffff0000",
	"8818ffffffffffffffffffffffff1f00",
	"8918ffffffffffffffff000000ff1f00",
	"8a18ffffffffffffffffffffffff1f00",
	"8b18ffffffffffffffffffffffff1f00",
	"8e12ffffffffffffffffffffffff1f00",
	"8f16ffffffffffffffffffffffff1f00",
	"9002ffffffffffffffffffffffff1f00",
	"9102ffffffffffffffffffffffff1f00",
	"9309ffffffffffffffffffffffff1f00",
	"9c18ffffffffffffffff0000ffff1f00",
	"9e10ffffffffffffffffffffffff0100",
	"9e12ffffffffffffffffffffffff0000",
	"a000ff000000ffffffff0000",
	"a32a00000000ffffffff0000",
	"a30c87ffffffffffffff0000",
	"a30d80000000ffffffff0000",
	"a30f00000000ffffffff0000",
	"a40a00000000ffffffff0000",
	"a818ffffffffffffffff1f00",
	"aa18ffffffffffffffff1f00",
	"ae12ffffffffffffffff1f00",
	"af16ffffffffffffffff1f00",
	"b71fffffffffffffffff0000",
};

static void the_usage_masks_are_as_they_have_to_be(void **state)
{
	const struct scsi_operation *operation;
	unsigned i;

	(void) state;
	for (i = 0; (operation = scsi_operation_at(i)); i++) {
		char text[64] = "";

		for (unsigned byte = 0; byte < operation->cdb_length; byte++)
			snprintf(
				text + strlen(text), sizeof(text) - strlen(text), "%02x",
				operation->usage[byte]);
		assert_true(i < sizeof(usage) / sizeof(usage[0]));
		assert_string_equal(text, usage[i]);
	}
	assert_int_equal(i, sizeof(usage) / sizeof(usage[0]));
}

/* Flips each bit of the CDB, one after the other. */
static void sweep_operation(struct scsi_fixture *fixture, const struct scsi_operation *operation)
{
	for (unsigned byte = 1; byte < operation->cdb_length; byte++) {
		for (int bit = 0; bit < 8; bit++) {
			uint8_t cdb[16];

			table_make_cdb(operation, cdb);
			if (operation->has_action && byte == 1 && bit < 5)
				continue; /* another service action */
			if (operation->usage[byte] & (1u << bit))
				continue;
			cdb[byte] |= (uint8_t) (1u << bit);
			assert_int_equal(scsi_fixture_run(fixture, cdb, 0), SCSI_ANSWERED);
			expect_bad_cdb(fixture, byte, bit);
		}
	}
}

static void every_bit_outside_of_the_usage_mask_is_refused(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		if (!operation->by_target_core)
			sweep_operation(&fixture, operation);
}

static void of_several_bad_bits_the_first_is_pointed_to(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x00, 0, 0x31, 0xff), 0);
	expect_bad_cdb(&fixture, 2, 5);
}

/* Where the GROUP NUMBER is in CDBs of each length. */
static unsigned group_byte(const struct scsi_operation *operation)
{
	return operation->cdb_length == 10 ? 6 : operation->cdb_length - 2u;
}

static void group_numbers_are_let_pass(void **state)
{
	const struct scsi_operation *operation;
	unsigned groups = 0;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.max_write_same = 0;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		unsigned byte = group_byte(operation);
		enum scsi_verdict verdict;
		uint8_t cdb[16];

		if (operation->cdb_length < 10 || operation->usage[byte] != 0x1f)
			continue;
		groups++;
		table_make_cdb(operation, cdb);
		verdict = scsi_fixture_run(&fixture, cdb, 512);
		for (uint8_t group = 1; group < 0x20; group++) {
			uint8_t status = fixture.result.status;

			cdb[byte] = group;
			assert_int_equal(scsi_fixture_run(&fixture, cdb, 512), verdict);
			assert_int_equal(fixture.result.status, status);
		}
	}
	assert_int_equal(groups, 22);
}

static const struct scsi_operation *find_operation(uint8_t opcode, uint8_t action)
{
	const struct scsi_operation *operation;

	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		if (operation->opcode == opcode &&
		    (!operation->has_action || operation->action == action))
			return operation;
	return NULL;
}

static bool opcode_known(uint8_t opcode)
{
	for (unsigned action = 0; action < 32; action++)
		if (find_operation(opcode, (uint8_t) action))
			return true;
	return false;
}

static void expect_bad_opcode(const struct scsi_fixture *fixture)
{
	const struct scsi_sense *sense = &fixture->result.sense;

	assert_int_equal(fixture->result.status, SCSI_CHECK_CONDITION);
	assert_int_equal(sense->key << 16 | sense->asc << 8 | sense->ascq, 0x052000);
	assert_true(sense->field_valid && sense->field_in_cdb && !sense->bit_valid);
	assert_int_equal(sense->field, 0);
}

static void operation_codes_that_are_not_there_are_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		const struct scsi_operation *operation = find_operation((uint8_t) opcode, 0);

		if (opcode_known((uint8_t) opcode) && !(operation && operation->by_target_core))
			continue;
		assert_int_equal(
			scsi_fixture_run(&fixture, CDB((uint8_t) opcode, 0xff, 0xff), 0),
			SCSI_ANSWERED);
		expect_bad_opcode(&fixture);
	}
}

static void service_actions_that_are_not_there_are_refused(void **state)
{
	static const uint8_t opcodes[] = {0x48, 0x83, 0x84, 0x9e, 0xa3, 0xa4};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		for (unsigned action = 0; action < 32; action++) {
			if (find_operation(opcodes[i], (uint8_t) action))
				continue;
			scsi_fixture_run(&fixture, CDB(opcodes[i], (uint8_t) action), 0);
			expect_bad_cdb(&fixture, 1, 4);
		}
	}
}

static void operations_depend_on_the_features_of_the_unit(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.unmap = false;
	fixture.lu.max_compare_and_write = 0;
	scsi_fixture_run(&fixture, CDB(0x42), 0);
	expect_bad_opcode(&fixture);
	scsi_fixture_run(&fixture, CDB(0x89), 0);
	expect_bad_opcode(&fixture);
	fixture.lu.dataless = fixture.lu.has_clock = false;
	fixture.lu.max_atomic = 0;
	scsi_fixture_run(&fixture, CDB(0x04), 0);
	expect_bad_opcode(&fixture);
	scsi_fixture_run(&fixture, CDB(0x48, 0x02), 0);
	expect_bad_opcode(&fixture);
	scsi_fixture_run(&fixture, CDB(0x9c), 0);
	expect_bad_opcode(&fixture);
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0f), 0);
	expect_bad_cdb(&fixture, 1, 4);
	fixture.lu.ports.groups[0].access = SCSI_ACCESS_IMPLICIT;
	scsi_fixture_run(&fixture, CDB(0xa4, 0x0a), 0);
	expect_bad_opcode(&fixture);
	fixture.lu.has_port_groups = false;
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0a), 0);
	expect_bad_cdb(&fixture, 1, 4);
	scsi_fixture_run(&fixture, CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 1), 512);
	expect_bad_cdb(&fixture, 1, 3);
	scsi_fixture_run(&fixture, CDB(0x93, 0x08, [13] = 1), 512);
	expect_bad_cdb(&fixture, 1, 3);
}

static void a_cdb_that_is_cut_off_is_refused(void **state)
{
	static const uint8_t read_10[10] = {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0};
	static const uint8_t capacity_16[16] = {0x9e, 0x10};
	struct scsi_fixture fixture;
	struct scsi_task task = {.cdb = read_10, .data_length = 512};

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.result.data = fixture.data;
	assert_int_equal(scsi_dispatch(&fixture.lu, &task, &fixture.result), SCSI_ANSWERED);
	expect_bad_opcode(&fixture);
	for (task.cdb_length = 1; task.cdb_length < 10; task.cdb_length++) {
		assert_int_equal(scsi_dispatch(&fixture.lu, &task, &fixture.result), SCSI_ANSWERED);
		expect_bad_cdb(&fixture, task.cdb_length, -1);
	}
	assert_int_equal(scsi_dispatch(&fixture.lu, &task, &fixture.result), SCSI_PLANNED);
	task = (struct scsi_task){.cdb = capacity_16, .cdb_length = 1};
	assert_int_equal(scsi_dispatch(&fixture.lu, &task, &fixture.result), SCSI_ANSWERED);
	expect_bad_cdb(&fixture, 1, 4);
}

static void operations_have_names(void **state)
{
	const struct scsi_operation *operation;

	(void) state;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16];

		table_make_cdb(operation, cdb);
		cdb[1] |= 0xe0;
		assert_ptr_equal(scsi_opcode_name(cdb), operation->name);
	}
	assert_string_equal(scsi_opcode_name(CDB(0x28)), "READ(10)");
	assert_string_equal(scsi_opcode_name(CDB(0x9e, 0x12)), "GET LBA STATUS");
	assert_string_equal(scsi_opcode_name(CDB(0x9e, 0x13)), "unknown");
	assert_string_equal(scsi_opcode_name(CDB(0xff)), "unknown");
}

/* ------- unit attentions ------- */

static void a_unit_attention_is_reported_first(void **state)
{
	const struct scsi_operation *operation;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t cdb[16];
		bool exempt = operation->opcode == 0x12 || operation->opcode == 0x03 ||
			operation->opcode == 0xa0;

		table_make_cdb(operation, cdb);
		fixture.lu.unit_attention = SCSI_UA_CAPACITY;
		assert_int_equal(scsi_fixture_run(&fixture, cdb, 0), SCSI_ANSWERED);
		if (exempt) {
			assert_int_equal(
				fixture.lu.unit_attention,
				operation->opcode == 0x03 ? 0 : SCSI_UA_CAPACITY);
			continue;
		}
		expect_sense(&fixture, 0x06, 0x2a, 0x09);
		assert_int_equal(fixture.lu.unit_attention, 0);
	}
	fixture.lu.unit_attention = SCSI_UA_CAPACITY;
	scsi_fixture_run(&fixture, CDB(0xff), 0);
	expect_sense(&fixture, 0x06, 0x2a, 0x09);
}

static void unit_attentions_are_reported_one_by_one(void **state)
{
	static const uint16_t codes[] = {0x2900, 0x2a01, 0x2a09, 0x3f03, 0x3807};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.unit_attention = SCSI_UA_RESET | SCSI_UA_MODE_PARAMETERS | SCSI_UA_CAPACITY |
		SCSI_UA_INQUIRY_DATA | SCSI_UA_THIN_THRESHOLD;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		scsi_fixture_run(&fixture, CDB(0x00), 0);
		expect_sense(&fixture, 0x06, codes[i] >> 8, codes[i] & 0xff);
	}
	assert_int_equal(fixture.lu.unit_attention, 0);
	scsi_fixture_run(&fixture, CDB(0x00), 0);
	expect_good(&fixture);

	/* A bit that means nothing holds no command up. */
	fixture.lu.unit_attention = 1u << 31;
	scsi_fixture_run(&fixture, CDB(0x00), 0);
	expect_good(&fixture);
}

/* ------- REPORT SUPPORTED OPERATION CODES ------- */

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

/* The expected report of all commands. */
static size_t expected_list(const struct scsi_lu *lu, bool timeouts, uint8_t *p)
{
	const struct scsi_operation *operation;
	size_t length = 4;

	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		uint8_t descriptor[20] = {
			operation->opcode,
			0,
			0,
			operation->action,
			0,
			(timeouts ? 2 : 0) | (operation->has_action ? 1 : 0),
			0,
			operation->cdb_length,
			0,
			0x0a};

		if (!scsi_operation_supported(lu, operation))
			continue;
		memcpy(p + length, descriptor, timeouts ? 20 : 8);
		length += timeouts ? 20 : 8;
	}
	p[0] = p[1] = 0;
	p[2] = (uint8_t) ((length - 4) >> 8);
	p[3] = (uint8_t) (length - 4);
	return length;
}

static void all_operations_are_reported(void **state)
{
	static uint8_t wanted[4096];
	struct scsi_fixture fixture;
	size_t length;

	(void) state;
	scsi_fixture_init(&fixture);
	length = expected_list(&fixture.lu, false, wanted);
	scsi_fixture_expect_data(&fixture, CDB(0xa3, 0x0c), 6, 4, wanted, length);
	length = expected_list(&fixture.lu, true, wanted);
	scsi_fixture_expect_data(&fixture, CDB(0xa3, 0x0c, 0x80), 6, 4, wanted, length);
}

static bool is_reported(struct scsi_fixture *fixture, uint8_t opcode)
{
	scsi_fixture_run(fixture, CDB(0xa3, 0x0c, 0x01, opcode, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture->result.status, SCSI_GOOD);
	return (fixture->data[1] & 0x07) == 3;
}

static void unsupported_operations_are_not_reported(void **state)
{
	struct scsi_fixture fixture;
	size_t all;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 65535);
	all = read_be32(fixture.data) / 8;
	assert_true(
		is_reported(&fixture, 0x42) && is_reported(&fixture, 0x89) &&
		is_reported(&fixture, 0x16));

	fixture.lu.unmap = false;
	fixture.lu.max_compare_and_write = 0;
	fixture.lu.no_reservations = true;
	fixture.lu.dataless = fixture.lu.has_clock = false;
	fixture.lu.max_atomic = 0;
	fixture.lu.has_port_groups = false;
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(read_be32(fixture.data) / 8, all - 2 - 4 - 12 - 5 - 2 - 2);
	assert_false(
		is_reported(&fixture, 0x42) || is_reported(&fixture, 0x89) ||
		is_reported(&fixture, 0x16));

	/* WRITE SAME without UNMAP and NDOB, and with NDOB */
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x01, 0x93, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture.data[5], 0x00);
	fixture.lu.dataless = true;
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x01, 0x93, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture.data[5], 0x01);
	/* MODE SELECT without SP, and with it */
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x01, 0x15, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture.data[5], 0x10);
	fixture.lu.can_save = true;
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x01, 0x15, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture.data[5], 0x11);
}

static void one_operation_is_reported_with_its_usage_data(void **state)
{
	static const uint8_t read_10[] = {0,    0x03, 0,    10,   0x28, 0x18, 0xff,
					  0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0};
	static const uint8_t with_timeouts[] = {0,    0x83, 0, 6, 0x00, 0, 0, 0, 0, 0, 0,
						0x0a, 0,    0, 0, 0,    0, 0, 0, 0, 0, 0};
	static const uint8_t capacity[] = {0,    0x03, 0,    16,   0x9e, 0x10, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0x01, 0};
	static const uint8_t nothing[] = {0, 0x01, 0, 0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x01, 0x28), 6, 4, read_10, sizeof(read_10));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x03, 0x28), 6, 4, read_10, sizeof(read_10));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x81, 0x00), 6, 4, with_timeouts, sizeof(with_timeouts));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x02, 0x9e, 0, 0x10), 6, 4, capacity, sizeof(capacity));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x03, 0x9e, 0, 0x10), 6, 4, capacity, sizeof(capacity));
	/* no such operation code, no such service action */
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x01, 0xff), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x02, 0xff), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x03, 0xff), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x02, 0x9e, 0, 0x11), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x02, 0x9e, 1, 0x10), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x03, 0x28, 0, 1), 6, 4, nothing, sizeof(nothing));
	scsi_fixture_expect_data(
		&fixture, CDB(0xa3, 0x0c, 0x03, 0xb7, 0, 1), 6, 4, nothing, sizeof(nothing));
}

static void reporting_options_have_to_suit_the_operation(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x01, 0x9e, 0, 0x10, 0, 0, 0xff), 255);
	expect_bad_cdb(&fixture, 3, -1);
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, 0x02, 0x28, 0, 0, 0, 0, 0xff), 255);
	expect_bad_cdb(&fixture, 3, -1);
	for (unsigned option = 4; option < 8; option++) {
		scsi_fixture_run(&fixture, CDB(0xa3, 0x0c, (uint8_t) option), 255);
		expect_bad_cdb(&fixture, 2, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sorted_and_well_formed),
		cmocka_unit_test(the_usage_masks_are_as_they_have_to_be),
		cmocka_unit_test(every_bit_outside_of_the_usage_mask_is_refused),
		cmocka_unit_test(of_several_bad_bits_the_first_is_pointed_to),
		cmocka_unit_test(group_numbers_are_let_pass),
		cmocka_unit_test(operation_codes_that_are_not_there_are_refused),
		cmocka_unit_test(service_actions_that_are_not_there_are_refused),
		cmocka_unit_test(operations_depend_on_the_features_of_the_unit),
		cmocka_unit_test(a_cdb_that_is_cut_off_is_refused),
		cmocka_unit_test(operations_have_names),
		cmocka_unit_test(a_unit_attention_is_reported_first),
		cmocka_unit_test(unit_attentions_are_reported_one_by_one),
		cmocka_unit_test(all_operations_are_reported),
		cmocka_unit_test(unsupported_operations_are_not_reported),
		cmocka_unit_test(one_operation_is_reported_with_its_usage_data),
		cmocka_unit_test(reporting_options_have_to_suit_the_operation),
	};

	return cmocka_run_group_tests_name("scsi-table", tests, NULL, NULL);
}
