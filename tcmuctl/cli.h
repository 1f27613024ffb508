/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmuctl's command line.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define CTL_EXIT_FAILURE   1 /* the daemon refused, or the config string is invalid */
#define CTL_EXIT_USAGE     2 /* a mistake on the command line */
#define CTL_EXIT_DOWN      3 /* no daemon runs */
#define CTL_EXIT_NO_DEVICE 4
#define CTL_EXIT_ATTENTION 5 /* of health: all devices are served, but something is wrong */
#define CTL_EXIT_OUTAGE    6 /* of health: a device is not served */

#define CTL_RUN            (-1) /* of ctl_parse(): not an exit status */

enum ctl_command {
	CTL_CHECK,
	CTL_COMPLETE,
	CTL_DUMP,
	CTL_EVENTS,
	CTL_FENCED,
	CTL_HANDLERS,
	CTL_HEALTH,
	CTL_INFLIGHT,
	CTL_LIMITS,
	CTL_LIST,
	CTL_LOG_LEVEL,
	CTL_METRICS,
	CTL_NAMES,
	CTL_REOPEN,
	CTL_STATS,
	CTL_STATUS,
	CTL_TOP,
	CTL_COMMAND_COUNT,
};

/* The kinds of arguments. */
enum ctl_argument {
	CTL_ARGUMENT_NONE,
	CTL_ARGUMENT_CONFIG,
	CTL_ARGUMENT_DEVICE,
	CTL_ARGUMENT_LEVEL,
	CTL_ARGUMENT_LIMIT,
	CTL_ARGUMENT_SECONDS,
	CTL_ARGUMENT_WORD, /* of a line that is completed */
};

struct ctl_option {
	const char *name;
	const char *value; /* what follows it; NULL: nothing */
	const char *help;
	unsigned bit; /* 0: every command has it */
	char letter;
};

struct ctl {
	enum ctl_command command;
	const char *argument; /* NULL: none */
	char **more;          /* the arguments behind that; of "complete" all */
	int more_cnt;
	bool follow;
	bool json;
	double interval; /* seconds; 0: none given */
	unsigned count;  /* of reports; 0: no limit */
	const char *output;
	const char *format; /* NULL: none given */
	const char *socket;
};

/* Parses the command line. Returns CTL_RUN, or the exit status: for --help and --version, which are
 * printed to out, and for a mistake, which is printed to err. Strings are argv's or constants. */
int ctl_parse(int argc, char **argv, struct ctl *ctl, FILE *out, FILE *err);

/* Prints the text of --help. */
void ctl_help(FILE *out);

/* The word on the command line, like "log-level", and what it does. Constants. */
const char *ctl_command_name(enum ctl_command command);
const char *ctl_command_help(enum ctl_command command);

/* The command with this name; CTL_COMMAND_COUNT: there is none. */
enum ctl_command ctl_command_find(const char *name);

/* The kind of the argument at this place, from 0. */
enum ctl_argument ctl_command_argument(enum ctl_command command, unsigned place);

/* Whether the option stands behind this command. CTL_COMMAND_COUNT: before any. */
bool ctl_command_takes(enum ctl_command command, const struct ctl_option *option);

/* The options, from 0; NULL: that was the last. */
const struct ctl_option *ctl_option_at(size_t i);
