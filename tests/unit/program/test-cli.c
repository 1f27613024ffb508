/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: the options of tcmu-runner are understood, and a mistake is one clear line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "log-fixture.h"
#include "program/cli.h"

#define ARGS_MAX 8

static struct cli cli;
static char *out, *err;

static int teardown(void **state)
{
	(void) state;
	free(out);
	free(err);
	out = err = NULL;
	fixture_remove_directory();
	return 0;
}

/* Parses the words up to a NULL. */
static int run_as(const char *program, ...)
{
	char *argv[ARGS_MAX + 1] = {(char *) program};
	size_t out_size, err_size;
	FILE *out_file, *err_file;
	va_list args;
	int argc = 1, r;

	va_start(args, program);
	while ((argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	free(out);
	free(err);
	out_file = open_memstream(&out, &out_size);
	err_file = open_memstream(&err, &err_size);
	assert_true(out_file && err_file);
	r = cli_parse(argc, argv, &cli, out_file, err_file);
	assert_int_equal(fclose(out_file), 0);
	assert_int_equal(fclose(err_file), 0);
	return r;
}

#define run(...) run_as("/usr/sbin/tcmud", __VA_ARGS__)

static void assert_runs(int r)
{
	assert_string_equal(err, "");
	assert_string_equal(out, "");
	assert_int_equal(r, CLI_RUN);
}

static void no_argument_is_needed(void **state)
{
	struct settings settings;

	(void) state;
	assert_runs(run(NULL));
	assert_non_null(strstr(cli.config, "/tcmu/tcmu.conf"));
	assert_false(cli.config_given);
	assert_true(cli.handler_path[0] == '/');
	settings_defaults(&settings);
	settings.log_level = 1;
	cli_override(&cli, &settings);
	assert_int_equal(settings.log_level, 1);
	assert_string_equal(settings.log_dir, "auto");
	assert_int_equal(settings.io_engine, AIO_AUTO);
}

static void the_command_line_wins_over_the_file(void **state)
{
	struct settings settings;

	(void) state;
	assert_runs(run("--log-level", "5", "--io-engine=threads", "-l", "/var/x", NULL));
	settings_defaults(&settings);
	cli_override(&cli, &settings);
	assert_int_equal(settings.log_level, 5);
	assert_string_equal(settings.log_dir, "/var/x");
	assert_int_equal(settings.io_engine, AIO_THREADS);
}

static void paths_are_accepted(void **state)
{
	(void) state;
	assert_runs(run("--config", "/a", "--handler-path", "/b", NULL));
	assert_string_equal(cli.config, "/a");
	assert_true(cli.config_given);
	assert_string_equal(cli.handler_path, "/b");
}

static void the_options_of_tcmu_runner_are_understood(void **state)
{
	(void) state;
	assert_runs(run("-d", NULL));
	assert_int_equal(cli.log_level, 5);
	assert_runs(run("--debug", NULL));
	assert_int_equal(cli.log_level, 5);
	assert_runs(run("-f", "65536", NULL));
	assert_int_equal(cli.nofile, 65536);
	assert_runs(run("--nofile=1048576", NULL));
	assert_int_equal(cli.nofile, 1048576);
	assert_runs(run("--tcmu-log-dir", "/l", NULL));
	assert_string_equal(cli.log_dir, "/l");
	assert_runs(run("--handler-path=/h", NULL));
	assert_string_equal(cli.handler_path, "/h");
}

static void the_version_is_one_line_that_ends_with_the_number(void **state)
{
	(void) state;
	assert_int_equal(run("--version", NULL), 0);
	assert_string_equal(out, "tcmud 2.0.0\n");
	assert_string_equal(err, "");
	assert_int_equal(run("-V", NULL), 0);
	assert_string_equal(out, "tcmud 2.0.0\n");
	assert_int_equal(run_as("/usr/bin/tcmu-runner", "--version", NULL), 0);
	assert_string_equal(out, "tcmu-runner 2.0.0\n");
	assert_int_equal(run_as("tcmu-runner", "-V", NULL), 0);
	assert_string_equal(out, "tcmu-runner 2.0.0\n");
	assert_string_equal(version_string(), "2.0.0");
}

static void help_names_every_option(void **state)
{
	static const char *const options[] = {
		"--config FILE",  "--handler-path DIR",     "--log-level N",
		"-d, --debug",    "-l, --tcmu-log-dir DIR", "--io-engine ENGINE",
		"-f, --nofile N", "--check-config",         "-h, --help",
		"-V, --version"};

	(void) state;
	assert_int_equal(run("--help", NULL), 0);
	assert_string_equal(err, "");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		assert_int_equal(fixture_count(out, options[i]), 1);
	assert_int_equal(run("-h", NULL), 0);
	assert_non_null(strstr(out, "Usage: tcmud "));
}

static void assert_mistake(int r, const char *line)
{
	assert_int_equal(r, CLI_EXIT_USAGE);
	assert_string_equal(err, line);
	assert_string_equal(out, "");
}

static void a_mistake_is_one_line(void **state)
{
	(void) state;
	assert_mistake(run("--colour", NULL), "tcmud: unknown option \"--colour\" (try --help)\n");
	assert_mistake(
		run("--colour=red", NULL), "tcmud: unknown option \"--colour=red\" (try --help)\n");
	assert_mistake(run("-d", "-x", NULL), "tcmud: unknown option \"-x\" (try --help)\n");
	assert_mistake(run("-dx", NULL), "tcmud: unknown option \"-x\" (try --help)\n");
	assert_mistake(run("--debug", "-xd", NULL), "tcmud: unknown option \"-x\" (try --help)\n");
	assert_mistake(run("--h", NULL), "tcmud: unknown option \"--h\" (try --help)\n");
	assert_mistake(
		run("--config", NULL),
		"tcmud: option without its value: \"--config\" (try --help)\n");
	assert_mistake(run("-f", NULL), "tcmud: option without its value: \"-f\" (try --help)\n");
	assert_mistake(
		run("--help=me", NULL),
		"tcmud: option that takes no value: \"--help=me\" (try --help)\n");
	assert_mistake(
		run("--debug=1", NULL),
		"tcmud: option that takes no value: \"--debug=1\" (try --help)\n");
	assert_mistake(run("start", NULL), "tcmud: unexpected argument \"start\" (try --help)\n");
	assert_mistake(
		run("--check-config", "x", NULL),
		"tcmud: unexpected argument \"x\" (try --help)\n");
}

static void a_bad_value_is_reported_with_the_expected_values(void **state)
{
	static const char *const levels[] = {"6", "-1", "debug", "", "3x", "99999999999999999999"};
	char line[256];

	(void) state;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		(void) snprintf(
			line, sizeof(line),
			"tcmud: invalid log level \"%s\": expected 0 to 5 (try --help)\n",
			levels[i]);
		assert_mistake(run("--log-level", levels[i], NULL), line);
	}
	assert_mistake(
		run("--io-engine", "aio", NULL),
		"tcmud: invalid I/O engine \"aio\": expected auto, uring or threads (try "
		"--help)\n");
	assert_mistake(
		run("--nofile", "10", NULL),
		"tcmud: invalid limit of open files \"10\": expected 1024 to 1048576 (try "
		"--help)\n");
	assert_mistake(
		run("-l", "", NULL),
		"tcmud: invalid directory \"\": it is empty or too long (try --help)\n");
}

/* Checks a file and compares what is printed: path, and the rest of each line. */
static void assert_check_prints(const char *name, int code, const char *expected)
{
	const char *path = fixture_path(name);
	char text[1024] = "";

	for (const char *line = expected; *line;) {
		int len = (int) (strchr(line, '\n') - line) + 1;
		size_t used = strlen(text);

		(void) snprintf(text + used, sizeof(text) - used, "%s%.*s", path, len, line);
		line += len;
	}
	assert_int_equal(run("--check-config", "--config", path, NULL), code);
	assert_string_equal(out, text);
	assert_string_equal(err, "");
}

static void a_good_file_has_no_mistakes(void **state)
{
	(void) state;
	fixture_write("good.conf", "log_level = 3\n");
	assert_check_prints("good.conf", CLI_EXIT_OK, ": no mistakes\n");
}

static void a_mistake_in_the_file_is_reported_with_its_line(void **state)
{
	(void) state;
	fixture_write("bad.conf", "log_level = high\n\ncolour = red\n");
	assert_check_prints(
		"bad.conf", CLI_EXIT_FAILURE,
		":1: log_level is \"high\", expected 0 to 5; it stays \"3\"\n"
		":3: unknown setting \"colour\"; the line is ignored\n");
	assert_check_prints(".", CLI_EXIT_FAILURE, ": cannot read it: Is a directory\n");
	assert_check_prints("none.conf", CLI_EXIT_FAILURE, ": the file does not exist\n");
}

static void the_default_file_may_be_missing(void **state)
{
	(void) state;
	assert_int_equal(run("--check-config", NULL), CLI_EXIT_OK);
	assert_non_null(strstr(out, "the file does not exist; all settings have their defaults\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_argument_is_needed, teardown),
		cmocka_unit_test_teardown(the_command_line_wins_over_the_file, teardown),
		cmocka_unit_test_teardown(paths_are_accepted, teardown),
		cmocka_unit_test_teardown(the_options_of_tcmu_runner_are_understood, teardown),
		cmocka_unit_test_teardown(
			the_version_is_one_line_that_ends_with_the_number, teardown),
		cmocka_unit_test_teardown(help_names_every_option, teardown),
		cmocka_unit_test_teardown(a_mistake_is_one_line, teardown),
		cmocka_unit_test_teardown(
			a_bad_value_is_reported_with_the_expected_values, teardown),
		cmocka_unit_test_teardown(a_good_file_has_no_mistakes, teardown),
		cmocka_unit_test_teardown(
			a_mistake_in_the_file_is_reported_with_its_line, teardown),
		cmocka_unit_test_teardown(the_default_file_may_be_missing, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
