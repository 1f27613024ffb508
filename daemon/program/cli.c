/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of options feeds getopt_long() and --help.
 */
#include "program/cli.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"

#define COMPAT_NAME  "tcmu-runner"
#define OWN_NAME     "tcmud"
#define CONFIG_FILE  TCMUD_SYSCONFDIR "/tcmu/tcmu.conf"
#define CONFIG_KNOWN "/etc/tcmu/tcmu.conf" /* the path that other programs use */
#define NOFILE_MIN   1024
#define NOFILE_MAX   1048576
#define HELP_COLUMN  28
#define OPTION_CNT   (sizeof(table) / sizeof(table[0]))

enum action {
	ACTION_CONFIG = 256,
	ACTION_HANDLER_PATH,
	ACTION_LOG_LEVEL,
	ACTION_CHECK_CONFIG,
	ACTION_IO_ENGINE,
};

static const struct {
	const char *name;
	int value; /* its letter, or an enum action */
	const char *argument;
	const char *help;
} table[] = {
	{"config", ACTION_CONFIG, "FILE", "read FILE instead of " CONFIG_FILE},
	{"handler-path", ACTION_HANDLER_PATH, "DIR",
	 "load handlers from DIR instead of " TCMUD_HANDLER_DIR},
	{"log-level", ACTION_LOG_LEVEL, "N",
	 "log messages up to level N, from 0 (critical) to 5 (every command)"},
	{"debug", 'd', NULL, "the same as --log-level 5"},
	{"tcmu-log-dir", 'l', "DIR", "write the log to DIR/tcmu-runner.log"},
	{"io-engine", ACTION_IO_ENGINE, "ENGINE",
	 "make system calls by ENGINE: auto, uring or threads"},
	{"nofile", 'f', "N", "set the limit of open files to N, 1024 to 1048576"},
	{"check-config", ACTION_CHECK_CONFIG, NULL,
	 "list the mistakes in the configuration file, and exit"},
	{"help", 'h', NULL, "show this help, and exit"},
	{"version", 'V', NULL, "show the version, and exit"},
};

/* Tools run us under the name of tcmu-runner and parse the output. */
static const char *program_name(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = argc > 0 ? argv[0] : OWN_NAME;

	return strcmp(slash ? slash + 1 : name, COMPAT_NAME) == 0 ? COMPAT_NAME : OWN_NAME;
}

void cli_help(FILE *out, const char *program)
{
	char left[64];

	fprintf(out, "Usage: %s [OPTION]...\n", program);
	fprintf(out,
		"Serves the kernel's TCMU devices in the foreground until SIGTERM. See "
		"tcmud(8).\n\n");
	for (size_t i = 0; i < OPTION_CNT; i++) {
		bool letter = table[i].value < ACTION_CONFIG;

		(void) snprintf(
			left, sizeof(left), "  %c%c%s--%s%s%s", letter ? '-' : ' ',
			letter ? table[i].value : ' ', letter ? ", " : "  ", table[i].name,
			table[i].argument ? " " : "", table[i].argument ? table[i].argument : "");
		fprintf(out, "%-*s %s\n", HELP_COLUMN, left, table[i].help);
	}
	fprintf(out,
		"\nExit status: 0 stopped by a signal, 1 failure, 2 mistake on the command line,\n"
		"%d another TCMU daemon runs already.\n",
		CLI_EXIT_INSTANCE);
}

/* The file below the prefix wins. */
static const char *default_config(void)
{
	return access(CONFIG_FILE, F_OK) < 0 && access(CONFIG_KNOWN, F_OK) == 0 ? CONFIG_KNOWN
										: CONFIG_FILE;
}

/* ------- mistakes ------- */

struct parser {
	struct cli *cli;
	const char *program;
	FILE *out;
	FILE *err;
	bool check_config;
};

static int usage_error(
	const struct parser *parser, const char *what, const char *value, const char *expected)
{
	fprintf(parser->err, "%s: %s \"%s\"%s%s (try --help)\n", parser->program, what, value,
		*expected ? ": " : "", expected);
	return CLI_EXIT_USAGE;
}

static bool is_known(int value)
{
	for (size_t i = 0; i < OPTION_CNT; i++)
		if (table[i].value == value)
			return true;
	return false;
}

/* For the results '?' and ':' of getopt_long(). optopt: the letter or the table's value; 0: the
 * word is no long option. */
static int unknown_option(const struct parser *parser, int result, char **argv)
{
	const char letter[] = {'-', (char) optopt, '\0'};
	const char *word = argv[optind - 1];

	assert(result == '?' || result == ':');
	if (optopt && !is_known(optopt))
		return usage_error(parser, "unknown option", letter, "");
	if (result == ':')
		return usage_error(
			parser, "option without its value:", strncmp(word, "--", 2) ? letter : word,
			"");
	return usage_error(
		parser, optopt ? "option that takes no value:" : "unknown option", word, "");
}

/* ------- --check-config ------- */

struct config_check {
	const struct parser *parser;
	unsigned warnings;
};

static void print_warning(void *userdata, unsigned line, const char *text)
{
	struct config_check *check = userdata;

	check->warnings++;
	if (line)
		fprintf(check->parser->out, "%s:%u: %s\n", check->parser->cli->config, line, text);
	else
		fprintf(check->parser->out, "%s: %s\n", check->parser->cli->config, text);
}

static int check_config_file(const struct parser *parser)
{
	struct config_check check = {.parser = parser};
	struct settings settings;
	int r;

	assert(parser->cli->config);
	settings_defaults(&settings);
	r = settings_load(parser->cli->config, &settings, print_warning, &check);
	if (r == -ENOENT && parser->cli->config_given)
		print_warning(&check, 0, "the file does not exist");
	else if (r == -ENOENT)
		fprintf(parser->out,
			"%s: the file does not exist; all settings have their defaults\n",
			parser->cli->config);
	else if (r == 0)
		fprintf(parser->out, "%s: no mistakes\n", parser->cli->config);
	return check.warnings ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
}

/* ------- options ------- */

static bool parse_argument_number(
	const char *text, unsigned long minimum, unsigned long maximum, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char) *text))
		return false;
	errno = 0;
	*number = strtoul(text, &end, 10);
	return errno == 0 && !*end && *number >= minimum && *number <= maximum;
}

static int take_log_level(struct parser *parser, const char *value)
{
	unsigned long level;

	if (!parse_argument_number(value, 0, LOG_LEVEL_MAX, &level))
		return usage_error(parser, "invalid log level", value, "expected 0 to 5");
	parser->cli->log_level = (int) level;
	return CLI_RUN;
}

static int take_engine(struct parser *parser, const char *value)
{
	struct settings settings;

	if (settings_set(&settings, "io_engine", value) < 0)
		return usage_error(
			parser, "invalid I/O engine", value, "expected auto, uring or threads");
	parser->cli->io_engine = value;
	return CLI_RUN;
}

static int take_nofile(struct parser *parser, const char *value)
{
	if (!parse_argument_number(value, NOFILE_MIN, NOFILE_MAX, &parser->cli->nofile))
		return usage_error(
			parser, "invalid limit of open files", value, "expected 1024 to 1048576");
	return CLI_RUN;
}

static int take_directory(const struct parser *parser, const char **directory, const char *value)
{
	if (!*value || strlen(value) >= SETTINGS_PATH_MAX)
		return usage_error(parser, "invalid directory", value, "it is empty or too long");
	*directory = value;
	return CLI_RUN;
}

/* Returns CLI_RUN to continue, or the exit status. */
static int take_option(struct parser *parser, int option, const char *value)
{
	switch (option) {
	case ACTION_CONFIG:
		parser->cli->config = value;
		parser->cli->config_given = true;
		return CLI_RUN;
	case ACTION_HANDLER_PATH:
		return take_directory(parser, &parser->cli->handler_path, value);
	case ACTION_LOG_LEVEL:
		return take_log_level(parser, value);
	case ACTION_IO_ENGINE:
		return take_engine(parser, value);
	case ACTION_CHECK_CONFIG:
		parser->check_config = true;
		return CLI_RUN;
	case 'd':
		parser->cli->log_level = LOG_LEVEL_MAX;
		return CLI_RUN;
	case 'l':
		return take_directory(parser, &parser->cli->log_dir, value);
	case 'f':
		return take_nofile(parser, value);
	case 'h':
		cli_help(parser->out, parser->program);
		return CLI_EXIT_OK;
	default:
		assert(option == 'V');
		fprintf(parser->out, "%s %s\n", parser->program, version_string());
		return CLI_EXIT_OK;
	}
}

static void make_getopt_tables(
	struct option options[OPTION_CNT + 1], char letters[2 * OPTION_CNT + 2])
{
	const char *end = letters + 2 * OPTION_CNT + 2;

	memset(options, 0, (OPTION_CNT + 1) * sizeof(*options));
	*letters++ = ':';
	for (size_t i = 0; i < OPTION_CNT; i++) {
		options[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].argument ? required_argument : no_argument,
			.val = table[i].value,
		};
		if (table[i].value >= ACTION_CONFIG)
			continue;
		*letters++ = (char) table[i].value;
		if (table[i].argument)
			*letters++ = ':';
	}
	assert(letters < end);
	*letters = '\0';
}

int cli_parse(int argc, char **argv, struct cli *cli, FILE *out, FILE *err)
{
	struct parser parser = {
		.cli = cli, .program = program_name(argc, argv), .out = out, .err = err};
	struct option options[OPTION_CNT + 1];
	char letters[2 * OPTION_CNT + 2];
	int option, r = CLI_RUN;

	*cli = (struct cli){
		.config = default_config(), .handler_path = TCMUD_HANDLER_DIR, .log_level = -1};
	make_getopt_tables(options, letters);
	opterr = 0;
	optind = 0; /* restarts getopt, for a second call */
	while (r == CLI_RUN && (option = getopt_long(argc, argv, letters, options, NULL)) != -1)
		r = option == '?' || option == ':' ? unknown_option(&parser, option, argv)
						   : take_option(&parser, option, optarg);
	if (r == CLI_RUN && optind < argc)
		return usage_error(&parser, "unexpected argument", argv[optind], "");
	if (r == CLI_RUN && parser.check_config)
		return check_config_file(&parser);
	return r;
}

void cli_override(const struct cli *cli, struct settings *settings)
{
	assert(cli->log_level <= LOG_LEVEL_MAX);
	if (cli->log_level >= 0)
		settings->log_level = cli->log_level;
	if (cli->io_engine) {
		int r = settings_set(settings, "io_engine", cli->io_engine);

		assert(r == 0); /* cli_parse() has checked it */
	}
	if (cli->log_dir)
		(void) snprintf(settings->log_dir, sizeof(settings->log_dir), "%s", cli->log_dir);
}
