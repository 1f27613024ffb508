/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser, the help and the test of the manual use one table of commands and one of options.
 */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET "/run/tcmud/control"

enum argument {
	ARGUMENT_NONE,
	ARGUMENT_MAY,
	ARGUMENT_MUST,
};

#define OPTION_J (1u << 0)
#define OPTION_I (1u << 1)
#define OPTION_C (1u << 2)
#define OPTION_O (1u << 3)
#define OPTION_F (1u << 4)

static const struct {
	const char *name;
	enum argument argument;
	unsigned options;
	const char *synopsis; /* options and arguments after the name */
	const char *help;
} commands[CTL_COMMAND_COUNT] = {
	[CTL_CHECK] =
		{"check", ARGUMENT_MUST, OPTION_J, "CONFIG",
		 "check whether a device can be created with this config string"},
	[CTL_DUMP] = {"dump", ARGUMENT_NONE, OPTION_J, "", "everything, as JSON, for a bug report"},
	[CTL_FENCED] =
		{"fenced", ARGUMENT_MAY, OPTION_J, "[SECONDS]",
		 "the devices whose old connections to a shared store are not closed yet; wait "
		 "until there are none"},
	[CTL_HANDLERS] =
		{"handlers", ARGUMENT_NONE, OPTION_J, "",
		 "the handlers, and the problem of each that is not usable"},
	[CTL_HEALTH] =
		{"health", ARGUMENT_NONE, OPTION_J, "",
		 "what is wrong, since when, and what to do"},
	[CTL_INFLIGHT] =
		{"inflight", ARGUMENT_MUST, OPTION_J, "DEV",
		 "the commands in flight, the oldest first"},
	[CTL_LIST] = {"list", ARGUMENT_NONE, OPTION_J, "", "all devices"},
	[CTL_LOG_LEVEL] =
		{"log-level", ARGUMENT_MAY, OPTION_J, "[LEVEL]",
		 "show the log level, or set it (0 to 5) until the settings change"},
	[CTL_METRICS] =
		{"metrics", ARGUMENT_NONE, OPTION_O | OPTION_F, "[-f FORMAT] [-o FILE]",
		 "all counters, for monitoring"},
	[CTL_REOPEN] =
		{"reopen", ARGUMENT_MUST, OPTION_J, "DEV",
		 "close and open the backend; initiators wait meanwhile"},
	[CTL_STATS] =
		{"stats", ARGUMENT_MAY, OPTION_J | OPTION_I | OPTION_C,
		 "[-i SECONDS [-c COUNT]] [DEV]",
		 "counters and times of devices, in total or for each interval"},
	[CTL_STATUS] = {"status", ARGUMENT_MUST, OPTION_J, "DEV", "one device in detail"},
	[CTL_TOP] =
		{"top", ARGUMENT_NONE, OPTION_I | OPTION_C, "[-i SECONDS] [-c COUNT]",
		 "the busiest devices, at each interval; on a terminal a screen with keys"},
};

static const struct option options[] = {
	{"count", required_argument, NULL, 'c'},
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{"interval", required_argument, NULL, 'i'},
	{"json", no_argument, NULL, 'j'},
	{"output", required_argument, NULL, 'o'},
	{"socket", required_argument, NULL, 's'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

const char *ctl_command_name(enum ctl_command command)
{
	return commands[command].name;
}

void ctl_help(FILE *out)
{
	fputs("Usage: tcmuctl [OPTION...] COMMAND [ARGUMENT]\n\n"
	      "Shows the state of tcmud. DEV is a device: user_0/disk, disk or "
	      "uio0.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < CTL_COMMAND_COUNT; i++)
		fprintf(out, "  %s%s%s\n        %s\n", commands[i].name,
			*commands[i].synopsis ? " " : "", commands[i].synopsis, commands[i].help);
	fputs("\nOptions:\n"
	      "  -j, --json              print JSON\n"
	      "  -i, --interval=SECONDS  report after every interval\n"
	      "  -c, --count=COUNT       end after this many reports\n"
	      "  -f, --format=FORMAT     openmetrics, or prometheus (the default for a file)\n"
	      "  -o, --output=FILE       write to this file, which is replaced in one step\n"
	      "  -s, --socket=PATH       the socket of the daemon (" SOCKET ")\n"
	      "  -h, --help              show this help\n"
	      "  -V, --version           show the version\n\n"
	      "Exit status: 0 success, 1 refused or failed, 2 mistake on the command line,\n"
	      "3 the daemon does not run, 4 there is no such device, 5 something needs\n"
	      "attention (health), 6 a device is not served (health).\n",
	      out);
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	return end != text && !*end && !errno && *seconds >= 0.1 && *seconds <= 86400;
}

static bool parse_count(const char *text, unsigned *count)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	*count = (unsigned) n;
	return *text >= '0' && *text <= '9' && !*end && !errno && n >= 1 && n <= 1000000000;
}

/* The bit of an option that only some commands have; 0: all commands have it. */
static unsigned option_bit(int letter)
{
	switch (letter) {
	case 'j':
		return OPTION_J;
	case 'i':
		return OPTION_I;
	case 'c':
		return OPTION_C;
	case 'o':
		return OPTION_O;
	case 'f':
		return OPTION_F;
	default:
		return 0;
	}
}

static int ctl_usage_error(FILE *err, const char *what, const char *which)
{
	fprintf(err, "tcmuctl: %s%s%s (see tcmuctl --help)\n", what, which ? ": " : "",
		which ? which : "");
	return CTL_EXIT_USAGE;
}

static int ctl_take_option(struct ctl *ctl, int letter, FILE *out, FILE *err)
{
	switch (letter) {
	case 'j':
		ctl->json = true;
		return CTL_RUN;
	case 'i':
		return parse_seconds(optarg, &ctl->interval)
			? CTL_RUN
			: ctl_usage_error(
				  err, "invalid interval, expected 0.1 to 86400 seconds", optarg);
	case 'c':
		return parse_count(optarg, &ctl->count)
			? CTL_RUN
			: ctl_usage_error(err, "invalid count, expected a number from 1", optarg);
	case 'f':
		ctl->format = optarg;
		return strcmp(optarg, "openmetrics") == 0 || strcmp(optarg, "prometheus") == 0
			? CTL_RUN
			: ctl_usage_error(
				  err, "invalid format, expected openmetrics or prometheus",
				  optarg);
	case 'o':
		ctl->output = optarg;
		return CTL_RUN;
	case 's':
		ctl->socket = optarg;
		return CTL_RUN;
	case 'h':
		ctl_help(out);
		return 0;
	case 'V':
		fprintf(out, "tcmuctl %s\n", TCMUD_VERSION);
		return 0;
	default:
		return ctl_usage_error(
			err, letter == ':' ? "an option without its value" : "unknown option",
			NULL);
	}
}

static int ctl_take_command(struct ctl *ctl, char **words, int cnt, unsigned given, FILE *err)
{
	size_t i = 0;

	if (cnt == 0)
		return ctl_usage_error(err, "there is no command", NULL);
	while (i < CTL_COMMAND_COUNT && strcmp(commands[i].name, words[0]) != 0)
		i++;
	if (i == CTL_COMMAND_COUNT)
		return ctl_usage_error(err, "unknown command", words[0]);
	ctl->command = (enum ctl_command) i;
	ctl->argument = cnt > 1 ? words[1] : NULL;
	if (cnt > 2 || (cnt > 1 && commands[i].argument == ARGUMENT_NONE))
		return ctl_usage_error(err, "too many arguments", words[0]);
	if (cnt == 1 && commands[i].argument == ARGUMENT_MUST)
		return ctl_usage_error(err, commands[i].synopsis, "is missing");
	if (given & ~commands[i].options)
		return ctl_usage_error(
			err, "an option is not possible with this command", words[0]);
	if (i == CTL_STATS && ctl->count && ctl->interval == 0)
		return ctl_usage_error(err, "--count needs --interval", NULL);
	return CTL_RUN;
}

int ctl_parse(int argc, char **argv, struct ctl *ctl, FILE *out, FILE *err)
{
	unsigned given = 0;
	int letter, r;

	*ctl = (struct ctl){.socket = SOCKET};
	optind = 0;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, ":c:f:hi:jo:s:V", options, NULL)) >= 0) {
		given |= option_bit(letter);
		r = ctl_take_option(ctl, letter, out, err);
		if (r != CTL_RUN)
			return r;
	}
	return ctl_take_command(ctl, argv + optind, argc - optind, given, err);
}
