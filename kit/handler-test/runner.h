/* SPDX-License-Identifier: Apache-2.0 */
/* Runs each test in a separate process, and collects its results. */
#pragma once

#include "cases.h"
#include "cli.h"

#define RUNNER_LINES 24
#define RUNNER_TEXT  1024

enum runner_outcome {
	RUNNER_PASSED,
	RUNNER_FAILED,
	RUNNER_SKIPPED,
};

struct runner_line {
	char letter; /* N: a figure, name=value; W: a warning */
	char text[RUNNER_TEXT];
};

struct runner_result {
	const struct test_case *test;
	enum runner_outcome outcome;
	bool finished; /* the test has come to its end */
	double seconds;
	char text[RUNNER_TEXT]; /* why it failed or was skipped */
	struct runner_line lines[RUNNER_LINES];
	unsigned line_cnt;
};

/* Whether the command line wants this test. */
bool runner_wants(const struct cli *cli, const struct test_case *test);

/* Waits for the end of the test, or ends it some seconds after its time. */
void runner_run(const struct cli *cli, const struct test_case *test, struct runner_result *result);
