/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser, the help and the test of the manual use one table of commands and one of options.
 */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET        "/run/tcmud/control"

#define OPTION_J      (1u << 0)
#define OPTION_I      (1u << 1)
#define OPTION_C      (1u << 2)
#define OPTION_O      (1u << 3)
#define OPTION_F      (1u << 4)
#define OPTION_FOLLOW (1u << 5)

/* Two options have the letter f: what getopt_long() returns for their names, and what it means
 * depends on the command. */
#define FOLLOW 256
#define FORMAT 257

static const struct {
	const char *name;
	enum ctl_argument argument; /* the first */
	enum ctl_argument more;     /* of those that may follow */
	bool needed;                /* the first argument */
	unsigned options;
	const char *synopsis; /* options and arguments after the name */
	const char *help;
} commands[CTL_COMMAND_COUNT] = {
	[CTL_CHECK] =
		{"check", CTL_ARGUMENT_CONFIG, CTL_ARGUMENT_NONE, true, OPTION_J, "CONFIG",
		 "check whether a device can be created with this config string"},
	[CTL_COMPLETE] =
		{"complete", CTL_ARGUMENT_WORD, CTL_ARGUMENT_WORD, false, 0, "[-- WORD...]",
		 "what may stand in the place of the last word, for the completion of shells"},
	[CTL_DUMP] =
		{"dump", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_J, "",
		 "everything, as JSON, for a bug report"},
	[CTL_EVENTS] =
		{"events", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_NONE, false,
		 OPTION_J | OPTION_C | OPTION_FOLLOW, "[-f] [-c COUNT] [DEV]",
		 "the last changes of states, warnings and errors, from the journal"},
	[CTL_FENCED] =
		{"fenced", CTL_ARGUMENT_SECONDS, CTL_ARGUMENT_NONE, false, OPTION_J, "[SECONDS]",
		 "the devices whose old connections to a shared store are not closed yet; wait "
		 "until there are none"},
	[CTL_HANDLERS] =
		{"handlers", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_J, "",
		 "the handlers, and the problem of each that is not usable"},
	[CTL_HEALTH] =
		{"health", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_J, "",
		 "what is wrong, since when, and what to do"},
	[CTL_INFLIGHT] =
		{"inflight", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_NONE, true, OPTION_J, "DEV",
		 "the commands in flight, the oldest first"},
	[CTL_LIMITS] =
		{"limits", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_LIMIT, true, OPTION_J,
		 "DEV [iops=N] [bps=N] [burst=N]",
		 "show the limits of a device, or change them at once; 0: none"},
	[CTL_LIST] =
		{"list", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_J, "", "all devices"},
	[CTL_LOG_LEVEL] =
		{"log-level", CTL_ARGUMENT_LEVEL, CTL_ARGUMENT_NONE, false, OPTION_J, "[LEVEL]",
		 "show the log level, or set it (0 to 5) until the settings change"},
	[CTL_METRICS] =
		{"metrics", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_O | OPTION_F,
		 "[-f FORMAT] [-o FILE]", "all counters, for monitoring"},
	[CTL_NAMES] =
		{"names", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, 0, "",
		 "the names of the devices, one a line, for scripts"},
	[CTL_REOPEN] =
		{"reopen", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_NONE, true, OPTION_J, "DEV",
		 "close and open the backend; initiators wait meanwhile"},
	[CTL_STATS] =
		{"stats", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_NONE, false,
		 OPTION_J | OPTION_I | OPTION_C, "[-i SECONDS [-c COUNT]] [DEV]",
		 "counters and times of devices, in total or for each interval"},
	[CTL_STATUS] =
		{"status", CTL_ARGUMENT_DEVICE, CTL_ARGUMENT_NONE, true, OPTION_J, "DEV",
		 "one device in detail"},
	[CTL_TOP] =
		{"top", CTL_ARGUMENT_NONE, CTL_ARGUMENT_NONE, false, OPTION_I | OPTION_C,
		 "[-i SECONDS] [-c COUNT]",
		 "the busiest devices, at each interval; on a terminal a screen with keys"},
};

static const struct ctl_option option_table[] = {
	{"json", NULL, "print JSON", OPTION_J, 'j'},
	{"interval", "SECONDS", "report after every interval", OPTION_I, 'i'},
	{"count", "COUNT", "end after this many reports; show this many events", OPTION_C, 'c'},
	{"follow", NULL, "go on with each new event (behind the word events)", OPTION_FOLLOW, 'f'},
	{"format", "FORMAT", "openmetrics, or prometheus (the default for a file)", OPTION_F, 'f'},
	{"output", "FILE", "write to this file, which is replaced in one step", OPTION_O, 'o'},
	{"socket", "PATH", "the socket of the daemon (" SOCKET ")", 0, 's'},
	{"help", NULL, "show this help", 0, 'h'},
	{"version", NULL, "show the version", 0, 'V'},
};

static const struct option options[] = {
	{"count", required_argument, NULL, 'c'},     {"follow", no_argument, NULL, FOLLOW},
	{"format", required_argument, NULL, FORMAT}, {"help", no_argument, NULL, 'h'},
	{"interval", required_argument, NULL, 'i'},  {"json", no_argument, NULL, 'j'},
	{"output", required_argument, NULL, 'o'},    {"socket", required_argument, NULL, 's'},
	{"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0},
};

const char *ctl_command_name(enum ctl_command command)
{
	return commands[command].name;
}

const char *ctl_command_help(enum ctl_command command)
{
	return commands[command].help;
}

enum ctl_command ctl_command_find(const char *name)
{
	size_t i = 0;

	while (i < CTL_COMMAND_COUNT && strcmp(commands[i].name, name) != 0)
		i++;
	return (enum ctl_command) i;
}

enum ctl_argument ctl_command_argument(enum ctl_command command, unsigned place)
{
	return place == 0 ? commands[command].argument : commands[command].more;
}

bool ctl_command_takes(enum ctl_command command, const struct ctl_option *option)
{
	if (option->bit == 0)
		return true;
	return command == CTL_COMMAND_COUNT ? option->bit != OPTION_FOLLOW
					    : commands[command].options & option->bit;
}

const struct ctl_option *ctl_option_at(size_t i)
{
	return i < sizeof(option_table) / sizeof(option_table[0]) ? &option_table[i] : NULL;
}

void ctl_help(FILE *out)
{
	const struct ctl_option *option;
	char name[32];

	fputs("Usage: tcmuctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
	      "Shows the state of tcmud. DEV is a device: user_0/disk, disk or "
	      "uio0.\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < CTL_COMMAND_COUNT; i++)
		fprintf(out, "  %s%s%s\n        %s\n", commands[i].name,
			*commands[i].synopsis ? " " : "", commands[i].synopsis, commands[i].help);
	fputs("\nOptions:\n", out);
	for (size_t i = 0; (option = ctl_option_at(i)); i++) {
		(void) snprintf(
			name, sizeof(name), "%s%s%s", option->name, option->value ? "=" : "",
			option->value ? option->value : "");
		fprintf(out, "  -%c, --%-16s  %s\n", option->letter, name, option->help);
	}
	fputs("\nExit status: 0 success, 1 refused or failed, 2 mistake on the command line,\n"
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
	case FORMAT:
		return OPTION_F;
	case FOLLOW:
		return OPTION_FOLLOW;
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
	case FOLLOW:
		ctl->follow = true;
		return CTL_RUN;
	case FORMAT:
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

/* The arguments behind the command. */
static int ctl_take_arguments(struct ctl *ctl, char **words, int cnt, unsigned given, FILE *err)
{
	enum ctl_command command = ctl->command;
	const char *name = commands[command].name;
	int most = commands[command].argument == CTL_ARGUMENT_NONE ? 0
		: commands[command].more == CTL_ARGUMENT_NONE      ? 1
								   : cnt;

	if (cnt > most)
		return ctl_usage_error(err, "too many arguments", name);
	if (cnt == 0 && commands[command].needed)
		return ctl_usage_error(err, commands[command].synopsis, "is missing");
	if (given & ~commands[command].options)
		return ctl_usage_error(err, "an option is not possible with this command", name);
	if (command == CTL_STATS && ctl->count && ctl->interval == 0)
		return ctl_usage_error(err, "--count needs --interval", NULL);
	ctl->argument = cnt > 0 ? words[0] : NULL;
	ctl->more = cnt > 0 ? words + 1 : words;
	ctl->more_cnt = cnt > 0 ? cnt - 1 : 0;
	return CTL_RUN;
}

/* Takes the options up to the first word, or all where letters do not begin with '+'. */
static int ctl_take_options(
	struct ctl *ctl, int argc, char **argv, const char *letters, unsigned *given, FILE *out,
	FILE *err)
{
	int letter, r = CTL_RUN;

	optind = 0;
	opterr = 0;
	while (r == CTL_RUN && (letter = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
		if (letter == 'f')
			letter = strstr(letters, "f:") ? FORMAT : FOLLOW;
		*given |= option_bit(letter);
		r = ctl_take_option(ctl, letter, out, err);
	}
	return r;
}

int ctl_parse(int argc, char **argv, struct ctl *ctl, FILE *out, FILE *err)
{
	unsigned given = 0;
	int first, r;

	*ctl = (struct ctl){.socket = SOCKET};
	r = ctl_take_options(ctl, argc, argv, "+:c:f:hi:jo:s:V", &given, out, err);
	if (r != CTL_RUN)
		return r;
	first = optind;
	if (first >= argc)
		return ctl_usage_error(err, "there is no command", NULL);
	ctl->command = ctl_command_find(argv[first]);
	if (ctl->command == CTL_COMMAND_COUNT)
		return ctl_usage_error(err, "unknown command", argv[first]);
	if (ctl->command == CTL_COMPLETE) {
		/* The words of another line, whose options are not ours. */
		first += first + 1 < argc && strcmp(argv[first + 1], "--") == 0 ? 2 : 1;
		ctl->more = argv + first;
		ctl->more_cnt = argc - first;
		return CTL_RUN;
	}
	r = ctl_take_options(
		ctl, argc - first, argv + first,
		ctl->command == CTL_EVENTS ? ":c:fhi:jo:s:V" : ":c:f:hi:jo:s:V", &given, out, err);
	if (r != CTL_RUN)
		return r;
	return ctl_take_arguments(ctl, argv + first + optind, argc - first - optind, given, err);
}
