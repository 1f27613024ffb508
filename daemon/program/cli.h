/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.
 *
 *	r = cli_parse(argc, argv, &cli, stdout, stderr);
 *	if (r != CLI_RUN)
 *		return r;
 *
 * Strings are argv's or constants. Main thread. Nothing here allocates memory but what
 * --check-config reads the file into, which aborts (glib).
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "config/settings.h"

/* The exit status of the process. */
enum cli_exit {
	CLI_EXIT_OK = 0, /* stopped by a signal; or --help and the like */
	CLI_EXIT_FAILURE = 1,
	CLI_EXIT_USAGE = 2,     /* a mistake on the command line */
	CLI_EXIT_INSTANCE = 75, /* another TCMU daemon runs (EX_TEMPFAIL) */
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

/* Parses the command line. Returns CLI_RUN, or the exit status: for --help, --version and
 * --check-config, which print to out, and for a mistake, which is printed to err. */
int cli_parse(int argc, char **argv, struct cli *cli, FILE *out, FILE *err);

/* Replaces settings of the file by those of the command line. */
void cli_override(const struct cli *cli, struct settings *settings);

/* Prints the text of --help. program: the name to show. */
void cli_help(FILE *out, const char *program);
