/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.
 *
 *	r = cli_parse(argc, argv, &cli, stdout, stderr);
 *	if (r != CLI_RUN)
 *		return r;	--help, --version, --check-config, or a mistake, which has been told
 *
 * Strings are argv's or constants. Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "config/settings.h"

/* What the process ends with. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILURE = 1,
	CLI_EXIT_USAGE = 2,
	CLI_EXIT_INSTANCE = 75, /* another daemon runs already (EX_TEMPFAIL) */
};

#define CLI_RUN (-1)

struct cli {
	const char *config; /* the file to read */
	bool config_given;
	const char *handler_path;
	const char *log_dir;   /* NULL: not given */
	int log_level;         /* -1: not given */
	const char *io_engine; /* NULL: not given; else a value that settings_set() takes */
	unsigned long nofile;  /* RLIMIT_NOFILE; 0: not given */
};

/* Returns CLI_RUN, or the exit code. */
int cli_parse(int argc, char **argv, struct cli *cli, FILE *out, FILE *err);

/* What was given on the command line wins over the file. */
void cli_override(const struct cli *cli, struct settings *settings);

/* The text of --help. */
void cli_help(FILE *out, const char *program);
