/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes and names of commands, for counters and logs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <scsi/describe.h>
#include <scsi/optable.h>
#include <scsi/scsi.h>

static void every_operation_has_the_class_of_its_name(void **state)
{
	const struct scsi_operation *operation;

	(void) state;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		enum scsi_class wanted = SCSI_CLASS_OTHER;

		if (strncmp(operation->name, "READ(", 5) == 0)
			wanted = SCSI_CLASS_READ;
		else if (
			strncmp(operation->name, "WRITE", 5) == 0 &&
			!strstr(operation->name, "BUFFER"))
			wanted = SCSI_CLASS_WRITE;
		else if (
			strstr(operation->name, "COMPARE AND WRITE") ||
			strstr(operation->name, "ORWRITE"))
			wanted = SCSI_CLASS_WRITE;
		else if (strstr(operation->name, "SYNCHRONIZE"))
			wanted = SCSI_CLASS_FLUSH;
		else if (strcmp(operation->name, "UNMAP") == 0)
			wanted = SCSI_CLASS_UNMAP;
		if (scsi_cdb_class(&operation->opcode) != wanted)
			fail_msg(
				"%s is a %s", operation->name,
				scsi_class_name(scsi_cdb_class(&operation->opcode)));
	}
}

static void blocks_of(const uint8_t *cdb, uint8_t length, uint64_t lba, uint32_t blocks)
{
	uint64_t got_lba = 0;
	uint32_t got_blocks = 0;

	assert_true(scsi_cdb_blocks(cdb, length, &got_lba, &got_blocks));
	assert_int_equal(got_lba, lba);
	assert_int_equal(got_blocks, blocks);
}

static void blocks_are_read_from_every_size_of_cdb(void **state)
{
	(void) state;
	blocks_of((const uint8_t[6]){0x08, 0xff, 0x02, 0x03, 0x04}, 6, 0x1f0203, 4);
	blocks_of((const uint8_t[6]){0x0a, 0, 0, 0, 0}, 6, 0, 256);
	blocks_of((const uint8_t[10]){0x28, 0, 1, 2, 3, 4, 0, 5, 6}, 10, 0x01020304, 0x0506);
	blocks_of((const uint8_t[12]){0xaa, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 12, 0x01020304, 0x05060708);
	blocks_of(
		(const uint8_t[16]){0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 16,
		0x0102030405060708, 0x090a0b0c);
	blocks_of((const uint8_t[16]){0x89, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3}, 16, 8, 3);
	blocks_of((const uint8_t[16]){0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 9, 9, 1, 2}, 16, 8, 0x0102);
	blocks_of((const uint8_t[16]){0x91, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2}, 16, 8, 2);
	blocks_of((const uint8_t[10]){0x2f, 0, 0, 0, 0, 9, 0, 0, 1}, 10, 9, 1);
	blocks_of((const uint8_t[10]){0x34, 0, 0, 0, 0, 9, 0, 0, 1}, 10, 9, 1);
	blocks_of((const uint8_t[10]){0x35, 0, 0, 0, 0, 9, 0, 0, 1}, 10, 9, 1);
	blocks_of((const uint8_t[16]){0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2}, 16, 8, 2);
	blocks_of((const uint8_t[16]){0x90, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2}, 16, 8, 2);
	blocks_of((const uint8_t[12]){0xaf, 0, 0, 0, 0, 9, 0, 0, 0, 1}, 12, 9, 1);
}

static void no_blocks_are_made_up(void **state)
{
	uint64_t lba;
	uint32_t blocks;

	(void) state;
	assert_false(scsi_cdb_blocks((const uint8_t[6]){0x12, 1, 2, 3, 4}, 6, &lba, &blocks));
	assert_false(scsi_cdb_blocks((const uint8_t[10]){0x42, 1, 2, 3, 4}, 10, &lba, &blocks));
}

static void sense_is_read_in_both_formats(void **state)
{
	static const struct scsi_sense sense = {
		.key = 3, .asc = 0x11, .ascq = 2, .info_valid = true, .info = 7};
	uint8_t buffer[SCSI_SENSE_MAX];
	struct scsi_sense read;
	struct scsi_lu lu = {0};

	(void) state;
	for (int i = 0; i < 2; i++) {
		lu.descriptor_sense = i;
		(void) scsi_sense_encode(&lu, &sense, buffer);
		scsi_sense_decode(buffer, &read);
		assert_int_equal(read.key, 3);
		assert_int_equal(read.asc, 0x11);
		assert_int_equal(read.ascq, 2);
	}
	assert_string_equal(scsi_sense_key_name(3), "medium_error");
	assert_string_equal(scsi_sense_key_name(0xf), "completed");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_has_the_class_of_its_name),
		cmocka_unit_test(blocks_are_read_from_every_size_of_cdb),
		cmocka_unit_test(no_blocks_are_made_up),
		cmocka_unit_test(sense_is_read_in_both_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
