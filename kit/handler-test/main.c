/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu-handler-test: tests a handler plugin.
 */
#include <string.h>

#include "cases.h"
#include "cli.h"
#include "report.h"
#include "runner.h"

/* Without these two there is nothing to test. */
static bool is_needed(const struct test_case *test)
{
	return strcmp(test->name, "description") == 0 || strcmp(test->name, "open-close") == 0;
}

static int list_tests(void)
{
	for (size_t i = 0; i < case_count(); i++)
		printf("%-16s %s\n", case_at(i)->name, case_at(i)->title);
	return CLI_EXIT_PASSED;
}

static bool know_tests(const char *const *names)
{
	for (; *names; names++) {
		if (case_find(*names))
			continue;
		fprintf(stderr, "tcmu-handler-test: there is no test \"%s\"; --list shows all\n",
			*names);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct runner_result result;
	int status = CLI_EXIT_PASSED;
	struct report *report;
	struct cli cli;
	int r = cli_parse(argc, argv, &cli, stdout, stderr);

	if (r == CLI_LIST_TESTS)
		return list_tests();
	if (r != CLI_RUN)
		return r;
	if (!know_tests(cli.only) || !know_tests(cli.skipped))
		return CLI_EXIT_USAGE;
	report = report_new(&cli, stdout);
	for (size_t i = 0; i < case_count() && status != CLI_EXIT_UNUSABLE; i++) {
		const struct test_case *test = case_at(i);

		if (!runner_wants(&cli, test))
			continue;
		runner_run(&cli, test, &result);
		report_add(report, &result);
		if (result.outcome != RUNNER_FAILED)
			continue;
		status = CLI_EXIT_FAILED;
		if (is_needed(test) && strstr(result.text, "cannot be loaded"))
			status = CLI_EXIT_UNUSABLE;
		if (is_needed(test) && strncmp(result.text, "open fails", 10) == 0)
			status = CLI_EXIT_UNUSABLE;
	}
	if (report_end(report) < 0)
		return CLI_EXIT_FAILED;
	return status;
}
