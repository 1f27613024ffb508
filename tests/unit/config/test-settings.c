/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu.conf: established files are understood, and no content of a file can do harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include "log-fixture.h"

static struct settings settings;
static unsigned warned, last_line;
static char last_warning[512];

static void on_warning(void *userdata, unsigned line, const char *text)
{
	assert_ptr_equal(userdata, &settings);
	warned++;
	last_line = line;
	(void) snprintf(last_warning, sizeof(last_warning), "%s", text);
}

static int setup(void **state)
{
	(void) state;
	settings_defaults(&settings);
	warned = last_line = 0;
	last_warning[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	fixture_remove_directory();
	return 0;
}

static unsigned parse_text(const char *text)
{
	unsigned r = settings_parse(text, strlen(text), &settings, on_warning, &settings);

	assert_int_equal(r, warned);
	return r;
}

static void check_warning(const char *text, unsigned line, const char *word)
{
	warned = 0;
	if (parse_text(text) != 1 || last_line != line || !strstr(last_warning, word))
		fail_msg("\"%s\": %u warnings, line %u: %s", text, warned, last_line, last_warning);
}

static void the_defaults_are_the_documented_ones(void **state)
{
	(void) state;
	assert_int_equal(settings.log_level, 3);
	assert_string_equal(settings.log_dir, "auto");
	assert_int_equal(settings.io_engine, AIO_AUTO);
	assert_int_equal(settings.queue_depth, 256);
	assert_int_equal(settings.extended_copy, XCOPY_SELF);
	assert_int_equal(settings.reservations, RESERVATIONS_ALL);
	assert_int_equal(settings.release_deadline_ms, 1000);
	assert_int_equal(settings.reply_timeout_ms, 2000);
	assert_int_equal(settings.open_timeout_ms, 10000);
	assert_int_equal(settings.stop_timeout_ms, 10000);
	assert_int_equal(settings.check_timeout_ms, 20000);
}

static void established_lines_are_understood(void **state)
{
	(void) state;
	assert_int_equal(
		parse_text("# tcmu-runner's file\n"
			   "\n"
			   "log_level = 5\n"
			   "  # indented\n"
			   "log_dir = \"/var/log\"\n"),
		0);
	assert_int_equal(settings.log_level, 5);
	assert_string_equal(settings.log_dir, "/var/log");
}

static void spelling_may_vary(void **state)
{
	static const char *const same[] = {
		"log_dir=/a/b",
		"log_dir = /a/b",
		"\tlog_dir\t=\t/a/b \t\r\n",
		"log_dir = '/a/b'",
		"log_dir = \"/a/b\" # why",
		"log_dir = /a/b # why\n",
		"log_dir = /a/b\n#log_dir",
		"log_dir = /x\nlog_dir = /a/b",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		settings_defaults(&settings);
		assert_int_equal(parse_text(same[i]), 0);
		assert_string_equal(settings.log_dir, "/a/b");
	}
}

static void quotes_protect_their_content(void **state)
{
	(void) state;
	assert_int_equal(parse_text("log_dir = \"/a b #c 'd'\""), 0);
	assert_string_equal(settings.log_dir, "/a b #c 'd'");
	assert_int_equal(parse_text("log_dir ="), 0);
	assert_string_equal(settings.log_dir, "");
	assert_int_equal(parse_text("log_dir = /a#b"), 0);
	assert_string_equal(settings.log_dir, "/a#b");
}

static void every_key_can_be_set(void **state)
{
	(void) state;
	assert_int_equal(
		parse_text("log_level = 0\nlog_dir = /l\nio_engine = threads\nqueue_depth = "
			   "7\nrelease_deadline_ms = 11\n"
			   "reply_timeout_ms = 12\nopen_timeout_ms = 113\nstop_timeout_ms = "
			   "14\ncheck_timeout_ms "
			   "= 115\n"),
		0);
	assert_int_equal(settings.log_level, 0);
	assert_string_equal(settings.log_dir, "/l");
	assert_int_equal(settings.io_engine, AIO_THREADS);
	assert_int_equal(settings.queue_depth, 7);
	assert_int_equal(settings.release_deadline_ms, 11);
	assert_int_equal(settings.reply_timeout_ms, 12);
	assert_int_equal(settings.open_timeout_ms, 113);
	assert_int_equal(settings.stop_timeout_ms, 14);
	assert_int_equal(settings.check_timeout_ms, 115);
	assert_int_equal(parse_text("io_engine = uring"), 0);
	assert_int_equal(settings.io_engine, AIO_URING);
}

static void a_removed_key_has_its_default_again(void **state)
{
	(void) state;
	assert_int_equal(parse_text("log_level = 5\nqueue_depth = 9"), 0);
	assert_int_equal(parse_text("queue_depth = 10"), 0);
	assert_int_equal(settings.log_level, 3);
	assert_int_equal(settings.queue_depth, 10);
}

static void an_unknown_key_warns_with_its_line(void **state)
{
	(void) state;
	check_warning("\n\nlog_lvel = 4\n", 3, "\"log_lvel\"");
	check_warning("LOG_LEVEL = 4", 1, "\"LOG_LEVEL\"");
	assert_int_equal(settings.log_level, 3);
}

static void a_bad_value_warns_with_the_range_and_keeps_the_old_one(void **state)
{
	static const char *const bad[] = {
		"debug", "", "-1", "6", "3.0", "0x3", "99999999999999999999", "3 4", "\"3"};
	char text[64];

	(void) state;
	assert_int_equal(parse_text("log_level = 4"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void) snprintf(
			text, sizeof(text), "# one\nlog_level = %s\nqueue_depth = 5", bad[i]);
		check_warning(text, 2, "0 to 5");
		assert_int_equal(settings.log_level, 4);
		assert_int_equal(settings.queue_depth, 5);
	}
	check_warning("queue_depth = 0", 1, "1 to 4096");
	check_warning("queue_depth = 4097", 1, "1 to 4096");
	check_warning("io_engine = aio", 1, "auto, uring or threads");
	check_warning("log_dir = 5", 1, "an absolute path");
	check_warning("log_dir = automatic", 1, "an absolute path");
	check_warning("log_dir = \"/a", 1, "an absolute path");
	check_warning("log_dir = \"/a\" b", 1, "an absolute path");
}

static void a_line_without_key_and_value_warns(void **state)
{
	(void) state;
	check_warning("[section]", 1, "key = value");
	check_warning("=3", 1, "key = value");
	check_warning("_x=1", 1, "\"_x\"");
	check_warning("log_level", 1, "key = value");
	check_warning("log_level\v5", 1, "log_level?5");
}

static void bytes_that_are_no_text_warn_and_are_shown_escaped(void **state)
{
	static const char zero[] = "log_level = 4\n\0\0\nqueue_depth = 8\n";
	char line[8192];

	(void) state;
	assert_int_equal(
		settings_parse(zero, sizeof(zero) - 1, &settings, on_warning, &settings), 1);
	assert_int_equal(last_line, 2);
	assert_int_equal(settings.log_level, 4);
	assert_int_equal(settings.queue_depth, 8);
	check_warning("\xff\x1b[2J = 1", 1, "\"??[2J\"");
	memset(line, 'x', sizeof(line));
	warned = 0;
	assert_int_equal(settings_parse(line, sizeof(line), &settings, on_warning, &settings), 1);
	line[5000] = '\0';
	check_warning(line, 1, "too long");
	line[1000] = '\0';
	check_warning(line, 1, "xxx...");
}

static void the_longest_directory_fits(void **state)
{
	char text[SETTINGS_PATH_MAX + 32] = "log_dir = /";
	size_t begin = strlen(text);

	(void) state;
	memset(text + begin, 'd', SETTINGS_PATH_MAX - 2);
	assert_int_equal(parse_text(text), 0);
	assert_int_equal(strlen(settings.log_dir), SETTINGS_PATH_MAX - 1);
	memset(text + begin, 'd', SETTINGS_PATH_MAX - 1);
	check_warning(text, 1, "an absolute path");
}

static void warnings_need_no_listener(void **state)
{
	(void) state;
	assert_int_equal(settings_parse("a\nb\nc", 5, &settings, NULL, NULL), 3);
}

/* ------- files ------- */

static void a_file_is_read(void **state)
{
	(void) state;
	fixture_write("tcmu.conf", "log_level = 2\nnonsense = 1\n");
	assert_int_equal(
		settings_load(fixture_path("tcmu.conf"), &settings, on_warning, &settings), 1);
	assert_int_equal(settings.log_level, 2);
}

static void a_missing_file_means_defaults(void **state)
{
	(void) state;
	settings.log_level = 5;
	assert_int_equal(
		settings_load(fixture_path("none"), &settings, on_warning, &settings), -ENOENT);
	assert_int_equal(
		settings_load(fixture_path("none/none"), &settings, on_warning, &settings),
		-ENOENT);
	assert_int_equal(settings.log_level, 3);
	assert_int_equal(warned, 0);
}

static void a_file_that_cannot_be_read_changes_nothing(void **state)
{
	(void) state;
	settings.log_level = 5;
	assert_int_equal(
		settings_load(fixture_directory(), &settings, on_warning, &settings), -EISDIR);
	assert_int_equal(settings.log_level, 5);
	assert_int_equal(warned, 1);
	assert_int_equal(last_line, 0);
	assert_non_null(strstr(last_warning, "Is a directory"));
}

static void a_huge_file_changes_nothing(void **state)
{
	(void) state;
	fixture_write("huge", "");
	assert_int_equal(truncate(fixture_path("huge"), SETTINGS_FILE_MAX + 1), 0);
	settings.log_level = 5;
	assert_int_equal(
		settings_load(fixture_path("huge"), &settings, on_warning, &settings), -EFBIG);
	assert_int_equal(settings.log_level, 5);
	assert_int_equal(warned, 1);
}

static void a_fifo_does_not_hang(void **state)
{
	(void) state;
	assert_int_equal(mkfifo(fixture_path("fifo"), 0600), 0);
	assert_int_equal(settings_load(fixture_path("fifo"), &settings, on_warning, &settings), 0);
}

/* ------- changes ------- */

static unsigned changes;

static void on_setting_changed(
	void *userdata, const char *key, const char *before, const char *after)
{
	char *text = userdata;

	changes++;
	(void) snprintf(text + strlen(text), 256 - strlen(text), "%s:%s:%s ", key, before, after);
}

static void only_changed_keys_are_reported(void **state)
{
	struct settings after = settings;
	char text[256] = "";

	(void) state;
	changes = 0;
	settings_compare(&settings, &after, on_setting_changed, text);
	assert_int_equal(changes, 0);
	assert_int_equal(settings_set(&after, "log_level", "5"), 0);
	assert_int_equal(settings_set(&after, "io_engine", "threads"), 0);
	assert_int_equal(settings_set(&after, "log_dir", "/x"), 0);
	settings_compare(&settings, &after, on_setting_changed, text);
	assert_int_equal(changes, 3);
	assert_string_equal(text, "log_level:3:5 log_dir:auto:/x io_engine:auto:threads ");
}

static void one_key_can_be_set_by_name(void **state)
{
	(void) state;
	assert_int_equal(settings_set(&settings, "queue_depth", "3"), 0);
	assert_int_equal(settings.queue_depth, 3);
	assert_int_equal(settings_set(&settings, "queue_depth", "x"), -EINVAL);
	assert_int_equal(settings_set(&settings, "depth", "3"), -ENOENT);
	assert_int_equal(settings.queue_depth, 3);
}

static void every_row_of_the_table_has_a_valid_default_and_words(void **state)
{
	struct settings_key key;
	size_t cnt = 0;

	(void) state;
	for (; settings_key(cnt, &key); cnt++) {
		assert_int_equal(settings_set(&settings, key.name, key.def), 0);
		assert_true(strlen(key.help) > 20 && strlen(key.values) > 3);
	}
	assert_int_equal(cnt, 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_defaults_are_the_documented_ones, setup),
		cmocka_unit_test_setup(established_lines_are_understood, setup),
		cmocka_unit_test_setup(spelling_may_vary, setup),
		cmocka_unit_test_setup(quotes_protect_their_content, setup),
		cmocka_unit_test_setup(every_key_can_be_set, setup),
		cmocka_unit_test_setup(a_removed_key_has_its_default_again, setup),
		cmocka_unit_test_setup(an_unknown_key_warns_with_its_line, setup),
		cmocka_unit_test_setup(
			a_bad_value_warns_with_the_range_and_keeps_the_old_one, setup),
		cmocka_unit_test_setup(a_line_without_key_and_value_warns, setup),
		cmocka_unit_test_setup(bytes_that_are_no_text_warn_and_are_shown_escaped, setup),
		cmocka_unit_test_setup(the_longest_directory_fits, setup),
		cmocka_unit_test_setup(warnings_need_no_listener, setup),
		cmocka_unit_test_setup_teardown(a_file_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_missing_file_means_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_that_cannot_be_read_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_huge_file_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fifo_does_not_hang, setup, teardown),
		cmocka_unit_test_setup(only_changed_keys_are_reported, setup),
		cmocka_unit_test_setup(one_key_can_be_set_by_name, setup),
		cmocka_unit_test_setup(every_row_of_the_table_has_a_valid_default_and_words, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
