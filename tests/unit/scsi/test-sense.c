/* SPDX-License-Identifier: Apache-2.0 */
/* The encoding of sense (SPC-4 4.5.2, 4.5.3), and the sense for each errno of the backend. */
#include "scsi-fixture.h"

#include <errno.h>
#include <glib.h>
#include <tcmu/handler.h>

static void check_sense(
	const struct scsi_sense *sense, bool descriptor, const uint8_t *wanted, size_t length)
{
	struct scsi_lu lu = {.descriptor_sense = descriptor};
	uint8_t buffer[SCSI_SENSE_MAX], rest[SCSI_SENSE_MAX] = {0};

	memset(buffer, 0xff, sizeof(buffer));
	assert_int_equal(scsi_sense_encode(&lu, sense, buffer), length);
	assert_memory_equal(buffer, wanted, length);
	assert_memory_equal(buffer + length, rest, sizeof(buffer) - length);
}

#define check_fixed(sense, ...)       check_sense(&(sense), false, LIST(__VA_ARGS__))
#define check_descriptors(sense, ...) check_sense(&(sense), true, LIST(__VA_ARGS__))

static void plain_sense_has_no_additions(void **state)
{
	struct scsi_sense sense = {.key = 0x06, .asc = 0x2a, .ascq = 0x09};

	(void) state;
	check_fixed(sense, 0x70, 0, 0x06, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 0x09, 0, 0, 0, 0);
	check_descriptors(sense, 0x72, 0x06, 0x2a, 0x09, 0, 0, 0, 0);
}

static void information_is_reported_if_it_fits(void **state)
{
	struct scsi_sense sense = {
		.key = 0x03, .asc = 0x11, .info_valid = true, .info = 0xffffffff};

	(void) state;
	check_fixed(
		sense, 0xf0, 0, 0x03, 0xff, 0xff, 0xff, 0xff, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0);
	check_descriptors(
		sense, 0x72, 0x03, 0x11, 0, 0, 0, 0, 12, 0x00, 0x0a, 0x80, 0, 0, 0, 0, 0, 0xff,
		0xff, 0xff, 0xff);

	sense.info = 0x0123456789abcdef;
	check_fixed(sense, 0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0);
	check_descriptors(
		sense, 0x72, 0x03, 0x11, 0, 0, 0, 0, 12, 0x00, 0x0a, 0x80, 0, 0x01, 0x23, 0x45,
		0x67, 0x89, 0xab, 0xcd, 0xef);
}

static void field_pointers_name_the_byte_and_the_bit(void **state)
{
	struct scsi_sense sense = {
		.key = 0x05,
		.asc = 0x24,
		.field_valid = true,
		.field_in_cdb = true,
		.field = 0x0102,
		.bit_valid = true,
		.bit = 5};

	(void) state;
	check_fixed(sense, 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcd, 0x01, 0x02);
	check_descriptors(
		sense, 0x72, 0x05, 0x24, 0, 0, 0, 0, 8, 0x02, 0x06, 0, 0, 0xcd, 0x01, 0x02, 0);

	sense.bit = 0;
	check_fixed(sense, 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xc8, 0x01, 0x02);
	sense.bit_valid = false;
	sense.field_in_cdb = false;
	sense.asc = 0x26;
	check_fixed(sense, 0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x26, 0, 0, 0x80, 0x01, 0x02);
}

static void progress_is_reported(void **state)
{
	struct scsi_sense sense = {
		.key = 0x02, .asc = 0x04, .ascq = 0x1b, .progress_valid = true, .progress = 0x8001};

	(void) state;
	check_fixed(
		sense, 0x70, 0, 0x02, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x1b, 0, 0x80, 0x80, 0x01);
	check_descriptors(
		sense, 0x72, 0x02, 0x04, 0x1b, 0, 0, 0, 8, 0x02, 0x06, 0, 0, 0x80, 0x80, 0x01, 0);
}

static void information_and_pointer_go_together(void **state)
{
	struct scsi_sense sense = {
		.key = 0x0e,
		.asc = 0x1d,
		.info_valid = true,
		.info = 7,
		.progress_valid = true,
		.progress = 1};

	(void) state;
	check_descriptors(
		sense, 0x72, 0x0e, 0x1d, 0, 0, 0, 0, 20, 0x00, 0x0a, 0x80, 0, 0, 0, 0, 0, 0, 0, 0,
		7, 0x02, 0x06, 0, 0, 0x80, 0, 1, 0);
}

/* ------- failed I/O ------- */

struct expectation {
	int error;
	uint8_t status;
	uint32_t read, write; /* key, asc, ascq */
	char info;            /* l: the LBA, o: the offset, blank: none */
};

static const struct expectation expectations[] = {
	{EIO, SCSI_CHECK_CONDITION, 0x031100, 0x030c00, 'l'},
	{ENODATA, SCSI_CHECK_CONDITION, 0x031100, 0x030c00, 'l'},
	{EBADMSG, SCSI_CHECK_CONDITION, 0x031100, 0x030c00, 'l'},
	{EILSEQ, SCSI_CHECK_CONDITION, 0x0e1d00, 0x0e1d00, 'o'},
	{ENOSPC, SCSI_CHECK_CONDITION, 0x072707, 0x072707, ' '},
	{EDQUOT, SCSI_CHECK_CONDITION, 0x072707, 0x072707, ' '},
	{EROFS, SCSI_CHECK_CONDITION, 0x072700, 0x072700, ' '},
	{EINPROGRESS, SCSI_CHECK_CONDITION, 0x020401, 0x020401, ' '},
	{ENOMEDIUM, SCSI_CHECK_CONDITION, 0x023a00, 0x023a00, ' '},
	{EBADE, SCSI_RESERVATION_CONFLICT, 0, 0, ' '},
	{EBUSY, SCSI_BUSY, 0, 0, ' '},
	{EAGAIN, SCSI_BUSY, 0, 0, ' '},
	{EINTR, SCSI_BUSY, 0, 0, ' '},
	{ENOMEM, SCSI_BUSY, 0, 0, ' '},
	{ENOBUFS, SCSI_BUSY, 0, 0, ' '},
	{ETIMEDOUT, SCSI_BUSY, 0, 0, ' '},
	{ESHUTDOWN, SCSI_BUSY, 0, 0, ' '},
	{ECANCELED, SCSI_TASK_ABORTED, 0, 0, ' '},
	{ENOTRECOVERABLE, SCSI_CHECK_CONDITION, 0x044400, 0x044400, ' '},
	{EINVAL, SCSI_CHECK_CONDITION, 0x044400, 0x044400, ' '},
	{EREMOTEIO, SCSI_CHECK_CONDITION, 0x044400, 0x044400, ' '},
	{EOPNOTSUPP, SCSI_CHECK_CONDITION, 0x044400, 0x044400, ' '},
	{ENXIO, SCSI_CHECK_CONDITION, 0x044400, 0x044400, ' '},
};

static void check_error(enum scsi_plan_op op, const struct expectation *wanted, uint32_t code)
{
	struct scsi_plan plan = {.op = op};
	struct scsi_result result;

	memset(&result, 0xff, sizeof(result));
	scsi_io_error(&plan, -wanted->error, 0x1234567890, 77, &result);
	assert_int_equal(result.status, wanted->status);
	assert_int_equal(result.data_length, 0);
	assert_int_equal(result.sense.key << 16 | result.sense.asc << 8 | result.sense.ascq, code);
	assert_false(result.sense.field_valid);
	assert_int_equal(result.sense.info_valid, wanted->info != ' ' && op != SCSI_PLAN_FLUSH);
	if (result.sense.info_valid)
		assert_int_equal(result.sense.info, wanted->info == 'l' ? 0x1234567890 : 77);
}

static void errors_of_the_backend_become_sense(void **state)
{
	static const enum scsi_plan_op reading[] = {
		SCSI_PLAN_READ, SCSI_PLAN_VERIFY, SCSI_PLAN_MAP, SCSI_PLAN_PREFETCH};
	static const enum scsi_plan_op writing[] = {
		SCSI_PLAN_WRITE,      SCSI_PLAN_FLUSH,        SCSI_PLAN_UNMAP,
		SCSI_PLAN_WRITE_SAME, SCSI_PLAN_WRITE_VERIFY, SCSI_PLAN_COMPARE_AND_WRITE,
		SCSI_PLAN_ORWRITE};

	(void) state;
	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		for (size_t j = 0; j < sizeof(reading) / sizeof(reading[0]); j++)
			check_error(reading[j], &expectations[i], expectations[i].read);
		for (size_t j = 0; j < sizeof(writing) / sizeof(writing[0]); j++)
			check_error(writing[j], &expectations[i], expectations[i].write);
	}
}

/* ------- the handler guide ------- */

#define ERRNO_MAX 134 /* beyond the last errno of the system */
#define COLUMNS   7   /* the text before the first bar, five columns, the text after the last */

/* How I/O that failed with this errno ends, in the words of the guide. */
static char *guide_outcome(int error, enum scsi_plan_op op, const char **information)
{
	struct scsi_plan plan = {.op = op};
	struct scsi_result result = {.status = 0};

	scsi_io_error(&plan, -error, 1, 2, &result);
	*information = !result.sense.info_valid ? "" : result.sense.info == 1 ? "block" : "offset";
	if (result.status == SCSI_BUSY)
		return g_strdup("BUSY");
	if (result.status == SCSI_TASK_ABORTED)
		return g_strdup("TASK ABORTED");
	if (result.status == SCSI_RESERVATION_CONFLICT)
		return g_strdup("RESERVATION CONFLICT");
	assert_int_equal(result.status, SCSI_CHECK_CONDITION);
	return g_strdup_printf(
		"%02X/%02X/%02X", result.sense.key, result.sense.asc, result.sense.ascq);
}

/* The row of the guide's table that begins with a cell that has this text. */
static char **guide_row(const char *guide, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(guide, "\n", -1);

	for (size_t i = 0; lines[i]; i++) {
		char **cells = g_strsplit(lines[i], "|", -1);

		if (g_strv_length(cells) == COLUMNS && strstr(cells[1], text)) {
			for (size_t j = 0; cells[j]; j++)
				g_strstrip(cells[j]);
			return cells;
		}
		g_strfreev(cells);
	}
	return NULL;
}

static void check_guide_row(char **row, int error)
{
	const char *information, *of_write;
	g_autofree char *read = guide_outcome(error, SCSI_PLAN_READ, &information);
	g_autofree char *write = guide_outcome(error, SCSI_PLAN_WRITE, &of_write);

	assert_string_equal(row[2], scsi_outcome_word(scsi_outcome_of(-error)));
	assert_string_equal(information, of_write);
	if (strcmp(row[3], read) != 0 || strcmp(row[4], write) != 0 ||
	    strcmp(row[5], information) != 0)
		fail_msg(
			"%s in the handler guide: %s, %s, %s; expected %s, %s, %s",
			strerrorname_np(error), row[3], row[4], row[5], read, write, information);
}

static void the_handler_guide_has_the_outcome_of_every_errno(void **state)
{
	g_autofree char *guide = NULL;
	unsigned named = 0;

	(void) state;
	assert_true(g_file_get_contents(GUIDE, &guide, NULL, NULL));
	for (int error = 1; error < ERRNO_MAX; error++) {
		const char *name = strerrorname_np(error);
		g_autofree char *text = g_strdup_printf("`-%s`", name);
		g_auto(GStrv) row = name ? guide_row(guide, text) : NULL;
		g_auto(GStrv) rest = guide_row(guide, "any other");

		assert_non_null(rest);
		named += row ? 1 : 0;
		check_guide_row(row ? row : rest, error);
	}
	assert_int_equal(named, 19);
}

static void each_outcome_has_its_name_in_the_header(void **state)
{
	static const struct {
		enum tcmu_error error;
		const char *word;
	} names[] = {
		{TCMU_ERROR_FAILED, "internal failure"},
		{TCMU_ERROR_MEDIUM, "medium error"},
		{TCMU_ERROR_MISCOMPARE, "miscompare"},
		{TCMU_ERROR_SPACE_EXHAUSTED, "space exhausted"},
		{TCMU_ERROR_WRITE_PROTECTED, "write protected"},
		{TCMU_ERROR_BECOMING_READY, "becoming ready"},
		{TCMU_ERROR_NO_MEDIUM, "no medium"},
		{TCMU_ERROR_CONFLICT, "reservation conflict"},
		{TCMU_ERROR_BUSY, "busy"},
		{TCMU_ERROR_TIMED_OUT, "timed out"},
		{TCMU_ERROR_FENCED, "fenced"},
		{TCMU_ERROR_CANCELLED, "cancelled"},
		{TCMU_ERROR_UNKNOWN, "outcome unknown"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(scsi_outcome_of(names[i].error), i);
		assert_string_equal(scsi_outcome_word((enum scsi_outcome) i), names[i].word);
	}
	assert_int_equal(sizeof(names) / sizeof(names[0]), SCSI_OUTCOME_UNKNOWN + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_sense_has_no_additions),
		cmocka_unit_test(information_is_reported_if_it_fits),
		cmocka_unit_test(field_pointers_name_the_byte_and_the_bit),
		cmocka_unit_test(progress_is_reported),
		cmocka_unit_test(information_and_pointer_go_together),
		cmocka_unit_test(errors_of_the_backend_become_sense),
		cmocka_unit_test(the_handler_guide_has_the_outcome_of_every_errno),
		cmocka_unit_test(each_outcome_has_its_name_in_the_header),
	};

	return cmocka_run_group_tests_name("scsi-sense", tests, NULL, NULL);
}
