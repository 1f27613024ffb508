/* SPDX-License-Identifier: Apache-2.0 */
/* Options by getopt_long(), with numbers that are checked to their last character. */
#include "cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum cli_option {
	CLI_VOLATILE = 256,
	CLI_NO_DATA,
	CLI_SEED,
	CLI_TIMEOUT,
	CLI_THREADS,
	CLI_REFUSE,
	CLI_STALL,
	CLI_RESUME,
	CLI_LOAD,
	CLI_DEPTH,
	CLI_REQUEST_SIZE,
	CLI_READS,
	CLI_SEQUENTIAL,
	CLI_LIST,
	CLI_VERSION,
};

static const struct option cli_options[] = {
	{"size", required_argument, NULL, 's'},
	{"block-size", required_argument, NULL, 'b'},
	{"test", required_argument, NULL, 't'},
	{"skip", required_argument, NULL, 'x'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{"volatile", no_argument, NULL, CLI_VOLATILE},
	{"no-data", no_argument, NULL, CLI_NO_DATA},
	{"seed", required_argument, NULL, CLI_SEED},
	{"timeout", required_argument, NULL, CLI_TIMEOUT},
	{"threads", no_argument, NULL, CLI_THREADS},
	{"refuse", required_argument, NULL, CLI_REFUSE},
	{"stall", required_argument, NULL, CLI_STALL},
	{"resume", required_argument, NULL, CLI_RESUME},
	{"load", required_argument, NULL, CLI_LOAD},
	{"depth", required_argument, NULL, CLI_DEPTH},
	{"request-size", required_argument, NULL, CLI_REQUEST_SIZE},
	{"reads", required_argument, NULL, CLI_READS},
	{"sequential", no_argument, NULL, CLI_SEQUENTIAL},
	{"list", no_argument, NULL, CLI_LIST},
	{"version", no_argument, NULL, CLI_VERSION},
	{NULL, 0, NULL, 0},
};

static const char cli_usage[] =
	"Usage: tcmu-handler-test [OPTION]... PLUGIN CONFIG\n"
	"Tests a handler plugin of tcmud, without kernel and root. OVERWRITES the backing store.\n"
	"\n"
	"PLUGIN is a file, or the subtype of an installed handler. CONFIG is the config string "
	"without\n"
	"the subtype, as targetcli's cfgstring.\n"
	"\n"
	"  -s, --size=BYTES[K|M|G|T]   size of the disk (64M)\n"
	"  -b, --block-size=BYTES      logical block (512)\n"
	"  -t, --test=NAME             only this test; more than once\n"
	"  -x, --skip=NAME             not this test; more than once\n"
	"  -j, --json                  the report as JSON\n"
	"      --volatile              the data is lost when the disk is closed\n"
	"      --no-data               the handler keeps no data at all\n"
	"      --refuse=CONFIG         a config string that the handler must refuse; more than "
	"once\n"
	"      --stall=COMMAND         makes the backend hang, and\n"
	"      --resume=COMMAND        makes it work again\n"
	"      --seed=NUMBER           of all that is random (1)\n"
	"      --timeout=SECONDS       for each test (60)\n"
	"      --threads               system calls by threads, not by io_uring\n"
	"      --load=SECONDS          how long the load runs (1)\n"
	"      --depth=NUMBER          its requests in flight (32)\n"
	"      --request-size=BYTES    of its requests (4K)\n"
	"      --reads=PERCENT         of its requests (70)\n"
	"      --sequential            its requests follow each other\n"
	"      --list                  print the tests\n"
	"      --version               print the version\n"
	"  -h, --help                  print this\n"
	"\n"
	"Exit status: 0 all tests passed, 1 a test failed, 2 wrong command line, 3 unusable "
	"plugin.\n";

static bool cli_number(const char *text, uint64_t max, uint64_t *number)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (*end && (!unit || end[1]))
		return false;
	for (const char *u = units; unit && u <= unit; u++)
		*number *= 1024;
	return *number <= max;
}

static bool cli_add(const char **list, size_t size, const char *text)
{
	size_t cnt = 0;

	while (list[cnt])
		cnt++;
	if (cnt + 1 >= size)
		return false;
	list[cnt] = text;
	return true;
}

static bool cli_unsigned(const char *text, unsigned max, unsigned *value)
{
	uint64_t number;

	if (!cli_number(text, max, &number))
		return false;
	*value = (unsigned) number;
	return true;
}

/* An option that describes the load. */
static bool cli_take_load(struct cli *cli, int option, const char *text)
{
	uint64_t number;
	char *end;

	switch (option) {
	case CLI_LOAD:
		cli->load_seconds = strtod(text, &end);
		return end != text && !*end && cli->load_seconds >= 0 && cli->load_seconds < 1e6;
	case CLI_DEPTH:
		return cli_unsigned(text, 1024, &cli->depth) && cli->depth > 0;
	case CLI_REQUEST_SIZE:
		if (!cli_number(text, UINT64_C(16) << 20, &number) || number < 512)
			return false;
		cli->request_size = (uint32_t) number;
		return true;
	case CLI_READS:
		return cli_unsigned(text, 100, &cli->read_percent);
	default:
		return false;
	}
}

/* An option with a value. */
static bool cli_take_value(struct cli *cli, int option, const char *text)
{
	uint64_t number;

	switch (option) {
	case 's':
		return cli_number(text, UINT64_MAX / 2, &cli->size) && cli->size >= 1 << 20;
	case 'b':
		if (!cli_number(text, 65536, &number) || number < 512 || (number & (number - 1)))
			return false;
		cli->block_size = (uint32_t) number;
		return true;
	case 't':
		return cli_add(cli->only, CLI_NAMES, text);
	case 'x':
		return cli_add(cli->skipped, CLI_NAMES, text);
	case CLI_SEED:
		return cli_unsigned(text, UINT32_MAX, &cli->seed);
	case CLI_TIMEOUT:
		return cli_unsigned(text, 86400, &cli->timeout) && cli->timeout > 0;
	case CLI_REFUSE:
		return cli_add(cli->refusals, CLI_REFUSALS, text);
	case CLI_STALL:
		cli->stall = text;
		return true;
	case CLI_RESUME:
		cli->resume = text;
		return true;
	default:
		return cli_take_load(cli, option, text);
	}
}

/* False: the option has a value. */
static bool cli_take_flag(struct cli *cli, int option)
{
	switch (option) {
	case 'j':
		cli->json = true;
		return true;
	case CLI_VOLATILE:
		cli->keeps = CLI_KEEPS_OPEN;
		return true;
	case CLI_NO_DATA:
		cli->keeps = CLI_KEEPS_NOTHING;
		return true;
	case CLI_THREADS:
		cli->threads_only = true;
		return true;
	case CLI_SEQUENTIAL:
		cli->sequential = true;
		return true;
	default:
		return false;
	}
}

static int cli_print(FILE *out, int option)
{
	if (option == 'h')
		fputs(cli_usage, out);
	else
		fputs("tcmu-handler-test " TCMUD_VERSION "\n", out);
	return CLI_EXIT_PASSED;
}

static int cli_finish(int argc, char **argv, struct cli *cli, FILE *err)
{
	if (argc - optind != 2) {
		fputs("tcmu-handler-test: expected PLUGIN CONFIG; --help shows all options\n", err);
		return CLI_EXIT_USAGE;
	}
	if (!cli->stall != !cli->resume) {
		fputs("tcmu-handler-test: --stall and --resume belong together\n", err);
		return CLI_EXIT_USAGE;
	}
	if (cli->size % cli->block_size || cli->request_size % cli->block_size) {
		fputs("tcmu-handler-test: a size is not a multiple of the block size\n", err);
		return CLI_EXIT_USAGE;
	}
	cli->plugin = argv[optind];
	cli->config = argv[optind + 1];
	return CLI_RUN;
}

int cli_parse(int argc, char **argv, struct cli *cli, FILE *out, FILE *err)
{
	int option, index = 0;

	*cli = (struct cli){
		.size = UINT64_C(64) << 20,
		.block_size = 512,
		.seed = 1,
		.timeout = 60,
		.load_seconds = 1,
		.depth = 32,
		.request_size = 4096,
		.read_percent = 70,
	};
	while ((option = getopt_long(argc, argv, "s:b:t:x:jh", cli_options, &index)) != -1) {
		if (option == 'h' || option == CLI_VERSION)
			return cli_print(out, option);
		if (option == CLI_LIST)
			return CLI_LIST_TESTS;
		if (option == '?')
			return CLI_EXIT_USAGE;
		if (cli_take_flag(cli, option) || cli_take_value(cli, option, optarg))
			continue;
		fprintf(err, "tcmu-handler-test: not possible: %s\n", optarg);
		return CLI_EXIT_USAGE;
	}
	return cli_finish(argc, argv, cli, err);
}
