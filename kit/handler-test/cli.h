/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_NAMES    32
#define CLI_REFUSALS 8

enum cli_exit {
	CLI_EXIT_PASSED = 0,
	CLI_EXIT_FAILED = 1,   /* a test has failed */
	CLI_EXIT_USAGE = 2,    /* the command line is wrong */
	CLI_EXIT_UNUSABLE = 3, /* the plugin cannot be loaded, or the disk not be opened */
	CLI_RUN = -1,          /* go on */
	CLI_LIST_TESTS = -2,   /* print the tests */
};

/* What a handler keeps. */
enum cli_keeps {
	CLI_KEEPS_STORE, /* everything */
	CLI_KEEPS_OPEN,  /* data until close */
	CLI_KEEPS_NOTHING,
};

struct cli {
	const char *plugin;
	const char *config;
	uint64_t size;
	uint32_t block_size;
	enum cli_keeps keeps;
	unsigned seed;
	unsigned timeout; /* seconds for a test */
	bool json;
	bool threads_only;
	const char *only[CLI_NAMES]; /* names of tests; NULL: the end */
	const char *skipped[CLI_NAMES];
	const char *refusals[CLI_REFUSALS]; /* config strings that the handler must refuse */
	const char *stall;                  /* commands of the shell, or NULL */
	const char *resume;

	/* load */
	double load_seconds;
	unsigned depth;
	uint32_t request_size;
	unsigned read_percent;
	bool sequential;
};

/* Reads the command line; the names of tests are not checked. CLI_RUN, CLI_LIST_TESTS, or what the
 * program is to exit with; messages are written. */
int cli_parse(int argc, char **argv, struct cli *cli, FILE *out, FILE *err);
