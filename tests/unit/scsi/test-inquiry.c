/* SPDX-License-Identifier: Apache-2.0 */
/* INQUIRY byte by byte: the standard data (SPC-4 6.6) and the vital product data pages (SPC-4 7.8,
 * SBC-3 6.6). */
#include "scsi-fixture.h"

#include <stdlib.h>

#define EVPD(page) CDB(0x12, 0x01, page)

static void expect_page(
	struct scsi_fixture *fixture, uint8_t page, const uint8_t *data, size_t length)
{
	scsi_fixture_expect_data(fixture, EVPD(page), 3, 2, data, length);
}

static void standard_data_names_the_device(void **state)
{
	uint8_t wanted[96] = {0x00, 0x00, 0x06, 0x02, 91, 0x38, 0, 0x02};
	static const uint8_t versions[] = {0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	memcpy(wanted + 8, "LIO-ORG TCMU device     0002", 28);
	memcpy(wanted + 58, versions, sizeof(versions));
	scsi_fixture_expect_data(&fixture, CDB(0x12), 3, 2, wanted, sizeof(wanted));

	/* The same by default. */
	fixture.lu.vendor[0] = fixture.lu.product[0] = fixture.lu.revision[0] = 0;
	scsi_fixture_expect_data(&fixture, CDB(0x12), 3, 2, wanted, sizeof(wanted));

	strcpy(fixture.lu.vendor, "EXAMPLE1");
	strcpy(fixture.lu.product, "sixteen letters!");
	strcpy(fixture.lu.revision, "1.0");
	memcpy(wanted + 8, "EXAMPLE1sixteen letters!1.0 ", 28);
	scsi_fixture_expect_data(&fixture, CDB(0x12), 3, 2, wanted, sizeof(wanted));
}

static void a_page_without_evpd_is_refused(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0x80, 0, 96), 96);
	expect_bad_cdb(&fixture, 2, -1);
}

static void pages_that_are_not_there_are_refused(void **state)
{
	static const uint8_t list[] = {0x00, 0x00, 0,    9,    0x00, 0x80, 0x83,
				       0x86, 0x87, 0x8f, 0xb0, 0xb1, 0xb2};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_page(&fixture, 0x00, list, sizeof(list));
	for (unsigned page = 0; page < 256; page++) {
		scsi_fixture_run(&fixture, CDB(0x12, 0x01, (uint8_t) page, 0xff, 0xff), 65535);
		if (memchr(list + 4, (int) page, sizeof(list) - 4)) {
			assert_int_equal(fixture.result.status, SCSI_GOOD);
			assert_int_equal(fixture.data[0], 0);
			assert_int_equal(fixture.data[1], page);
			assert_int_equal(
				fixture.result.data_length,
				4 + (fixture.data[2] << 8 | fixture.data[3]));
		} else {
			expect_bad_cdb(&fixture, 2, -1);
		}
	}
}

/* ------- identification ------- */

static void the_serial_is_reported_with_its_nul(void **state)
{
	uint8_t wanted[4 + 37] = {0x00, 0x80, 0, 37};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	memcpy(wanted + 4, "9ccc8d1a-4e66-4b6c-8e4f-0b2a5e0f1c3d", 37);
	expect_page(&fixture, 0x80, wanted, sizeof(wanted));
}

static void a_serial_that_is_not_set_is_blank(void **state)
{
	static const uint8_t serial[] = {0x00, 0x80, 0, 4, ' ', ' ', ' ', ' '};
	uint8_t identification[8 + 19] = {0x00, 0x83, 0, 4 + 19, 0x02, 0x00, 0, 19};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.serial[0] = 0;
	memcpy(identification + 8, "file//srv/disk.img", 19);
	expect_page(&fixture, 0x80, serial, sizeof(serial));
	expect_page(&fixture, 0x83, identification, sizeof(identification));
}

static void identifiers_are_those_that_initiators_know(void **state)
{
	static const uint8_t t10[] = {0x02, 0x01, 0,   8 + 37, 'L', 'I',
				      'O',  '-',  'O', 'R',    'G', ' '};
	static const uint8_t naa[] = {0x01, 0x03, 0,    16,   0x60, 0x01, 0x40, 0x59, 0xcc, 0xc8,
				      0xd1, 0xa4, 0xe6, 0x64, 0xb6, 0xc8, 0xe4, 0xf0, 0xb2, 0xa5};
	static const uint8_t vendor[] = {0x02, 0x00, 0, 19};
	uint8_t wanted[4 + 49 + 20 + 23] = {0x00, 0x83, 0, 49 + 20 + 23};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	memcpy(wanted + 4, t10, 12);
	memcpy(wanted + 16, "9ccc8d1a-4e66-4b6c-8e4f-0b2a5e0f1c3d", 37);
	memcpy(wanted + 53, naa, 20);
	memcpy(wanted + 73, vendor, 4);
	memcpy(wanted + 77, "file//srv/disk.img", 19);
	expect_page(&fixture, 0x83, wanted, sizeof(wanted));
	/* whatever vendor is configured */
	strcpy(fixture.lu.vendor, "EXAMPLE");
	expect_page(&fixture, 0x83, wanted, sizeof(wanted));
}

/* Sends a command that returns data, and searches all of it for a text. */
static bool answer_has(struct scsi_fixture *fixture, const uint8_t *cdb, const char *text)
{
	if (scsi_fixture_run(fixture, cdb, 65535) != SCSI_ANSWERED ||
	    fixture->result.status != SCSI_GOOD)
		return false;
	return memmem(fixture->data, fixture->result.data_length, text, strlen(text));
}

/* How many of the answers that describe the logical unit have the text. */
static unsigned answers_with(struct scsi_fixture *fixture, const char *text)
{
	unsigned cnt = answer_has(fixture, CDB(0x12, 0, 0, 0, 255), text) +
		answer_has(fixture, CDB(0xa3, 0x0a, [8] = 255), text) +
		answer_has(fixture, CDB(0xa3, 0x0c, [8] = 255, 255), text) +
		answer_has(fixture, CDB(0x84, 0x03, [12] = 255, 255), text) +
		answer_has(fixture, CDB(0x9e, 0x10, [13] = 255), text);

	for (unsigned page = 0; page < 256; page++) {
		uint8_t code = (uint8_t) page;

		cnt += answer_has(fixture, CDB(0x12, 1, code, 255, 255), text);
		cnt += answer_has(fixture, CDB(0x5a, 0, code, 0xff, [7] = 255, 255), text);
		cnt += answer_has(fixture, CDB(0x4d, 0, code, 0, [7] = 255, 255), text);
		cnt += answer_has(fixture, CDB(0x1c, 1, code, 255, 255), text);
	}
	return cnt;
}

/* The config string has the path on the host. */
static void only_the_vendor_specific_designator_has_the_config_string(void **state)
{
	static const uint8_t neutral[] = {0x02, 0x00, 0, 37};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(answers_with(&fixture, "srv"), 1);
	assert_true(answer_has(&fixture, CDB(0x12, 1, 0x83, 0, 255), "file//srv/disk.img"));
	/* without it, the designator is the serial; the others are as before */
	fixture.lu.config[0] = '\0';
	assert_int_equal(answers_with(&fixture, "srv"), 0);
	assert_int_equal(answers_with(&fixture, "disk"), 0);
	scsi_fixture_run(&fixture, CDB(0x12, 1, 0x83, 0, 255), 255);
	assert_int_equal(fixture.result.data_length, 4 + 49 + 20 + 4 + 37);
	assert_memory_equal(fixture.data + 73, neutral, sizeof(neutral));
	assert_string_equal((const char *) fixture.data + 77, fixture.lu.serial);
	/* nothing to say */
	fixture.lu.serial[0] = '\0';
	scsi_fixture_run(&fixture, CDB(0x12, 1, 0x83, 0, 255), 255);
	expect_page(&fixture, 0x83, (const uint8_t[]){0x00, 0x83, 0, 0}, 4);
}

static void expect_naa(struct scsi_fixture *fixture, const char *serial, const uint8_t naa[16])
{
	strcpy(fixture->lu.serial, serial);
	scsi_fixture_run(fixture, CDB(0x12, 0x01, 0x83, 0xff, 0xff), 65535);
	assert_memory_equal(fixture->data + 4 + 12 + strlen(serial) + 1 + 4, naa, 16);
}

static void the_naa_name_is_made_of_the_hex_digits_of_the_serial(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_naa(&fixture, "1", (const uint8_t[16]){0x60, 0x01, 0x40, 0x51});
	expect_naa(&fixture, "xyz-A/b:Cg@`G", (const uint8_t[16]){0x60, 0x01, 0x40, 0x5a, 0xbc});
	expect_naa(&fixture, "no such", (const uint8_t[16]){0x60, 0x01, 0x40, 0x5c});
	expect_naa(&fixture, "fFaA0", (const uint8_t[16]){0x60, 0x01, 0x40, 0x5f, 0xfa, 0xa0});
	expect_naa(&fixture, "uvwzyx", (const uint8_t[16]){0x60, 0x01, 0x40, 0x50});
	expect_naa(
		&fixture, "1234567890123456789012345",
		(const uint8_t[16]){
			0x60, 0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23, 0x45, 0x67,
			0x89, 0x01, 0x23, 0x45});
	expect_naa(
		&fixture, "1234567890123456789012345fff",
		(const uint8_t[16]){
			0x60, 0x01, 0x40, 0x51, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23, 0x45, 0x67,
			0x89, 0x01, 0x23, 0x45});
}

static void identifiers_that_are_too_long_are_cut(void **state)
{
	struct scsi_fixture fixture;
	const uint8_t *p;

	(void) state;
	scsi_fixture_init(&fixture);
	memset(fixture.lu.serial, '7', sizeof(fixture.lu.serial) - 1);
	memset(fixture.lu.config, 'c', sizeof(fixture.lu.config) - 1);
	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0x80, 0xff, 0xff), 65535);
	assert_int_equal(fixture.result.data_length, 4 + 256);
	assert_int_equal(fixture.data[4 + 254], '7');
	assert_int_equal(fixture.data[4 + 255], 0);

	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0x83, 0xff, 0xff), 65535);
	p = fixture.data + 4;
	assert_int_equal(p[3], 255); /* T10 */
	assert_int_equal(p[4 + 253], '7');
	assert_int_equal(p[4 + 254], 0);
	p += 4 + 255 + 20;
	assert_int_equal(p[3], 255); /* vendor specific */
	assert_int_equal(p[4 + 253], 'c');
	assert_int_equal(p[4 + 254], 0);
	assert_int_equal(fixture.result.data_length, 4 + 259 + 20 + 259);
}

static void lu_info_is_refreshed_before_it_is_reported(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.lu_info_fresh = false;
	for (unsigned page = 0; page < 256; page++) {
		enum scsi_verdict wanted = page == 0x80 || page == 0x83 ? SCSI_NEEDS_LU_INFO
									: SCSI_ANSWERED;

		assert_int_equal(
			scsi_fixture_run(&fixture, CDB(0x12, 0x01, (uint8_t) page, 0, 0xff), 255),
			wanted);
	}
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 0xff), 255), SCSI_NEEDS_LU_INFO);
	/* The command is refused first. */
	assert_int_equal(
		scsi_fixture_run(&fixture, CDB(0x12, 0x03, 0x80, 0, 0xff), 255), SCSI_ANSWERED);
	expect_bad_cdb(&fixture, 1, 1);
}

/* ------- abilities ------- */

static void extended_inquiry_reports_the_cache(void **state)
{
	uint8_t wanted[64] = {0x00, 0x86, 0, 60, 0, 0x01, 0x01};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_page(&fixture, 0x86, wanted, sizeof(wanted));
	fixture.lu.write_cache = false;
	expect_page(&fixture, 0x86, wanted, sizeof(wanted));
	fixture.lu.write_cache_changeable = false;
	wanted[6] = 0;
	expect_page(&fixture, 0x86, wanted, sizeof(wanted));
	fixture.lu.write_cache = true;
	wanted[6] = 1;
	expect_page(&fixture, 0x86, wanted, sizeof(wanted));
}

static void mode_pages_are_shared(void **state)
{
	static const uint8_t wanted[] = {0x00, 0x87, 0, 4, 0x3f, 0xff, 0x00, 0x00};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_page(&fixture, 0x87, wanted, sizeof(wanted));
}

static void block_limits_are_reported(void **state)
{
	uint8_t wanted[64] = {0x00, 0xb0, 0, 60, 0x01, 32, 0, 8,    0, 0, 0x04, 0, 0, 0,
			      0,    0x80, 0, 0,  0,    0,  0, 0x01, 0, 0, 0,    0, 0, 32,
			      0,    0,    0, 8,  0x80, 0,  0, 0,    0, 0, 0,    0, 0, 0,
			      0x80, 0,    0, 0,  0,    64, 0, 0,    0, 8, 0,    0, 0, 4};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_page(&fixture, 0xb0, wanted, sizeof(wanted));

	fixture.lu.unmap_alignment = 0xffffffff;
	fixture.lu.max_unmap = 0;
	fixture.lu.optimal_granularity = 0x12345;
	memset(wanted + 32, 0xff, 4);
	memset(wanted + 20, 0xff, 4);
	memset(wanted + 6, 0xff, 2);
	expect_page(&fixture, 0xb0, wanted, sizeof(wanted));

	fixture.lu.unmap = false;
	memset(wanted + 20, 0, 16);
	expect_page(&fixture, 0xb0, wanted, sizeof(wanted));

	fixture.lu.max_atomic = 0;
	memset(wanted + 44, 0, 12);
	expect_page(&fixture, 0xb0, wanted, sizeof(wanted));
}

static void characteristics_say_whether_it_rotates(void **state)
{
	uint8_t wanted[64] = {0x00, 0xb1, 0, 60, 0, 0x01, 0, 0x40, 0x03};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_page(&fixture, 0xb1, wanted, sizeof(wanted));
	fixture.lu.rotational = true;
	wanted[5] = 0;
	expect_page(&fixture, 0xb1, wanted, sizeof(wanted));
}

static void provisioning_is_reported(void **state)
{
	static const struct {
		bool thin, unmap, zeroes;
		uint8_t flags, type;
	} cases[] = {
		{true, true, true, 0xe4, 2},   {true, true, false, 0xe0, 2},
		{true, false, true, 0x04, 2},  {true, false, false, 0x00, 2},
		{false, true, true, 0xe4, 1},  {false, true, false, 0xe0, 1},
		{false, false, true, 0x00, 0}, {false, false, false, 0x00, 0},
	};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t wanted[8] = {0x00, 0xb2, 0, 4, 0, cases[i].flags, cases[i].type, 0};

		fixture.lu.thin = cases[i].thin;
		fixture.lu.unmap = cases[i].unmap;
		fixture.lu.unmap_zeroes = cases[i].zeroes;
		expect_page(&fixture, 0xb2, wanted, sizeof(wanted));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_data_names_the_device),
		cmocka_unit_test(a_page_without_evpd_is_refused),
		cmocka_unit_test(pages_that_are_not_there_are_refused),
		cmocka_unit_test(the_serial_is_reported_with_its_nul),
		cmocka_unit_test(a_serial_that_is_not_set_is_blank),
		cmocka_unit_test(identifiers_are_those_that_initiators_know),
		cmocka_unit_test(only_the_vendor_specific_designator_has_the_config_string),
		cmocka_unit_test(the_naa_name_is_made_of_the_hex_digits_of_the_serial),
		cmocka_unit_test(identifiers_that_are_too_long_are_cut),
		cmocka_unit_test(lu_info_is_refreshed_before_it_is_reported),
		cmocka_unit_test(extended_inquiry_reports_the_cache),
		cmocka_unit_test(mode_pages_are_shared),
		cmocka_unit_test(block_limits_are_reported),
		cmocka_unit_test(characteristics_say_whether_it_rotates),
		cmocka_unit_test(provisioning_is_reported),
	};

	return cmocka_run_group_tests_name("scsi-inquiry", tests, NULL, NULL);
}
