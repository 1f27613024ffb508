/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmuctl's command line.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define CTL_EXIT_FAILURE   1 /* the daemon refuses, or a check has found something wrong */
#define CTL_EXIT_USAGE     2
#define CTL_EXIT_DOWN      3 /* no daemon runs */
#define CTL_EXIT_NO_DEVICE 4

#define CTL_RUN            (-1) /* of ctl_parse(): not an exit status */

enum ctl_command {
	CTL_CHECK,
	CTL_DUMP,
	CTL_HANDLERS,
	CTL_INFLIGHT,
	CTL_LIST,
	CTL_LOG_LEVEL,
	CTL_METRICS,
	CTL_REOPEN,
	CTL_STATS,
	CTL_STATUS,
	CTL_TOP,
	CTL_COMMAND_COUNT,
};

struct ctl {
	enum ctl_command command;
	const char *argument; /* NULL: none */
	bool json;
	double interval; /* seconds; 0: none given */
	unsigned count;  /* of reports; 0: no end */
	const char *output;
	const char *socket;
};

/* CTL_RUN, or the exit status: help and version go to out, what is wrong to err. */
int ctl_parse(int argc, char **argv, struct ctl *ctl, FILE *out, FILE *err);

void ctl_help(FILE *out);

/* "log-level" */
const char *ctl_command_name(enum ctl_command command);
