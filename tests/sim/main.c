/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmud-sim: simulated lives. See the help text below, and docs/reliability.md.
 *
 * Lives run in child processes, some of them in each, so that a life that breaks an assertion ends
 * its child alone.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "shrink.h"
#include "sim.h"
#include "world.h"

#define WORKERS_MAX  16
#define BATCH        64
#define FAILURES_MAX 10
#define LIFE_SECONDS 30

static const char help[] =
	"tcmud-sim [--lives N | --minutes N] [--from SEED] [--jobs N] [--failures N]\n"
	"          [--with KIND,...] [--without KIND,...] [--no-shrink]\n"
	"tcmud-sim --seed SEED [--schedule SEED] [--events N,...] [--mask HEX] [--trace] "
	"[--shrink]\n"
	"\n"
	"The first form runs lives, and ends with status 1 if a promise was broken. The second "
	"form\n"
	"repeats one. KIND: a kind of events; see --kinds.\n";

struct options {
	uint64_t lives;
	uint64_t seconds;
	uint64_t from;
	unsigned jobs;
	unsigned failures;
	uint64_t kinds;
	bool no_shrink;
	bool single, shrink;
	struct world_options life;
};

struct worker {
	pid_t pid; /* 0: none */
	uint64_t first, last;
	struct sim_report *report;
};

static struct sim_report *report_new(void)
{
	struct sim_report *report = mmap(
		NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (report == MAP_FAILED)
		abort();
	return report;
}

/* ------- options ------- */

static uint64_t kinds_parse(const char *text)
{
	uint64_t kinds = 0;
	char *names = strdup(text), *rest = names, *name;

	while ((name = strsep(&rest, ","))) {
		enum world_kind kind = 0;

		while (kind < WORLD_KINDS && strcmp(world_kind_name(kind), name) != 0)
			kind++;
		if (kind == WORLD_KINDS) {
			(void) fprintf(stderr, "tcmud-sim: no kind \"%s\"\n", name);
			exit(2);
		}
		kinds |= UINT64_C(1) << kind;
	}
	free(names);
	return kinds;
}

static uint64_t events_parse(const char *text)
{
	uint64_t events = 0;
	char *end;

	while (*text) {
		events |= UINT64_C(1) << (strtoul(text, &end, 10) % EVENTS_OF_LIFE);
		text = *end ? end + 1 : end;
	}
	return events;
}

static void options_show_kinds(const struct options *options)
{
	for (enum world_kind kind = 0; kind < WORLD_KINDS; kind++)
		printf("%s%s\n", world_kind_name(kind),
		       options->kinds & (UINT64_C(1) << kind) ? "" : " (left out)");
	exit(0);
}

static void options_take(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'l':
		options->lives = strtoull(value, NULL, 10);
		break;
	case 'm':
		options->seconds = strtoull(value, NULL, 10) * 60;
		options->lives = UINT64_MAX;
		break;
	case 'f':
		options->from = strtoull(value, NULL, 10);
		break;
	case 'j':
		options->jobs = (unsigned) strtoul(value, NULL, 10);
		break;
	case 'F':
		options->failures = (unsigned) strtoul(value, NULL, 10);
		break;
	case 'w':
		options->kinds |= kinds_parse(value);
		break;
	case 'W':
		options->kinds &= ~kinds_parse(value);
		break;
	case 'M':
		options->kinds = strtoull(value, NULL, 16);
		break;
	case 'N':
		options->no_shrink = true;
		break;
	case 's':
		options->single = true;
		options->life.seed = options->life.schedule = strtoull(value, NULL, 10);
		break;
	case 'S':
		options->life.schedule = strtoull(value, NULL, 10);
		break;
	case 'e':
		options->life.events = events_parse(value);
		break;
	case 't':
		sim->tracing = true;
		setvbuf(stdout, NULL, _IOLBF, 0);
		break;
	case 'r':
		options->shrink = true;
		break;
	case 'k':
		options_show_kinds(options);
		break;
	default:
		(void) fputs(help, stderr);
		exit(option == 'h' ? 0 : 2);
	}
}

static void options_parse_all(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"lives", 1, NULL, 'l'},
		{"minutes", 1, NULL, 'm'},
		{"from", 1, NULL, 'f'},
		{"jobs", 1, NULL, 'j'},
		{"failures", 1, NULL, 'F'},
		{"with", 1, NULL, 'w'},
		{"without", 1, NULL, 'W'},
		{"mask", 1, NULL, 'M'},
		{"no-shrink", 0, NULL, 'N'},
		{"seed", 1, NULL, 's'},
		{"schedule", 1, NULL, 'S'},
		{"events", 1, NULL, 'e'},
		{"trace", 0, NULL, 't'},
		{"shrink", 0, NULL, 'r'},
		{"kinds", 0, NULL, 'k'},
		{"help", 0, NULL, 'h'},
		{0}};
	int option;

	*options = (struct options){
		.lives = 1000,
		.from = 1,
		.jobs = (unsigned) sysconf(_SC_NPROCESSORS_ONLN),
		.failures = FAILURES_MAX,
		.kinds = (UINT64_C(1) << WORLD_KINDS) - 1,
		.life.events = UINT64_MAX,
	};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		options_take(options, option, optarg);
	if (options->jobs > WORKERS_MAX)
		options->jobs = WORKERS_MAX;
	options->life.kinds = options->kinds;
}

/* ------- one life ------- */

static void life_show(const struct world_options *life)
{
	const char *separator = " --events ";

	printf("  tests/sim/run --seed %llu --schedule %llu", (unsigned long long) life->seed,
	       (unsigned long long) life->schedule);
	for (unsigned i = 0; life->events != UINT64_MAX && i < EVENTS_OF_LIFE; i++) {
		if (!(life->events & (UINT64_C(1) << i)))
			continue;
		printf("%s%u", separator, i);
		separator = ",";
	}
	printf(" --mask %#llx", (unsigned long long) life->kinds);
	printf(" --trace\n");
}

static int life_run_single(struct options *options)
{
	char failure[sizeof(sim->report->failure)];

	if (options->shrink) {
		if (!shrink_try(&options->life, failure))
			return 0;
		shrink_life(&options->life, failure);
		life_show(&options->life);
	}
	if (!shrink_try(&options->life, failure)) {
		printf("it breaks no promise\n");
		return 0;
	}
	printf("FAIL seed %llu: %s\n", (unsigned long long) options->life.seed, failure);
	return 1;
}

/* ------- many lives ------- */

static void worker_run(struct worker *worker, const struct options *options)
{
	struct world_options life = options->life;

	sim->report = worker->report;
	for (uint64_t seed = worker->first; seed <= worker->last; seed++) {
		worker->report->seed = life.seed = life.schedule = seed;
		alarm(LIFE_SECONDS);
		world_run(&life);
	}
	_exit(0);
}

static void worker_start(struct worker *worker, const struct options *options)
{
	(void) fflush(stdout);
	worker->report->failure[0] = '\0';
	worker->pid = fork();
	if (worker->pid == 0)
		worker_run(worker, options);
	if (worker->pid < 0)
		abort();
}

struct run {
	const struct options *options;
	struct worker workers[WORKERS_MAX];
	uint64_t next; /* seed */
	uint64_t last;
	time_t end;
	unsigned failures;
};

static bool run_goes_on(const struct run *run)
{
	return run->failures < run->options->failures && (!run->end || time(NULL) < run->end);
}

static void run_give(struct run *run, struct worker *worker)
{
	worker->first = run->next;
	worker->last = run->next + BATCH - 1;
	if (worker->last > run->last)
		worker->last = run->last;
	run->next = worker->last + 1;
	worker_start(worker, run->options);
}

static void run_report_failure(struct run *run, struct worker *worker, int status)
{
	struct world_options life = run->options->life;
	char failure[sizeof(worker->report->failure)];

	if (!worker->report->failure[0])
		(void) snprintf(
			worker->report->failure, sizeof(worker->report->failure), "signal %d",
			WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	(void) snprintf(failure, sizeof(failure), "%s", worker->report->failure);
	run->failures++;
	life.seed = life.schedule = worker->report->seed;
	printf("FAIL seed %llu: %s\n", (unsigned long long) life.seed, failure);
	if (!run->options->no_shrink && run->failures == 1)
		shrink_life(&life, failure);
	life_show(&life);
	(void) fflush(stdout);
}

static void run_take(struct run *run, struct worker *worker, int status)
{
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	worker->pid = 0;
	if (!good)
		run_report_failure(run, worker, status);
	if (!good && worker->report->seed < worker->last && run_goes_on(run)) {
		worker->first = worker->report->seed + 1;
		worker_start(worker, run->options);
	} else if (run->next <= run->last && run_goes_on(run)) {
		run_give(run, worker);
	}
}

static void run_sum(const struct run *run, struct sim_report *sum)
{
	for (unsigned i = 0; i < run->options->jobs; i++) {
		const struct sim_report *report = run->workers[i].report;

		sum->lives += report->lives;
		sum->devices += report->devices;
		sum->commands += report->commands;
		sum->good += report->good;
		sum->kills += report->kills;
		sum->resets += report->resets;
		sum->unloads += report->unloads;
		sum->steps += report->steps;
		for (unsigned j = 0; j < 32; j++)
			sum->transitions[j] |= report->transitions[j];
	}
}

static void run_show(const struct run *run, double seconds)
{
	struct sim_report sum = {0};
	unsigned states = 0, transitions = 0;

	run_sum(run, &sum);
	for (unsigned i = 0; i < 32; i++) {
		transitions += (unsigned) __builtin_popcount(sum.transitions[i]);
		states |= sum.transitions[i] | (sum.transitions[i] ? 1u << i : 0);
	}
	printf("%llu lives, %.0f a second; %llu devices, %llu commands (%llu GOOD), %llu kills,\n"
	       "%llu resets of a ring, %llu unloads of the module, %llu steps; %d states of a "
	       "device, %u transitions\n",
	       (unsigned long long) sum.lives, (double) sum.lives / seconds,
	       (unsigned long long) sum.devices, (unsigned long long) sum.commands,
	       (unsigned long long) sum.good, (unsigned long long) sum.kills,
	       (unsigned long long) sum.resets, (unsigned long long) sum.unloads,
	       (unsigned long long) sum.steps, __builtin_popcount(states), transitions);
	printf("%llu passed, %u failed\n", (unsigned long long) sum.lives, run->failures);
}

static int run_lives(const struct options *options)
{
	struct run run = {.options = options, .next = options->from};
	struct sim_report *shrinks = sim->report;
	time_t begin = time(NULL);
	unsigned running = 0;

	run.last = options->lives == UINT64_MAX ? UINT64_MAX - BATCH
						: options->from + options->lives - 1;
	run.end = options->seconds ? begin + (time_t) options->seconds : 0;
	for (unsigned i = 0; i < options->jobs; i++) {
		run.workers[i].report = report_new();
		if (run.next <= run.last)
			run_give(&run, &run.workers[i]);
		running += run.workers[i].pid != 0;
	}
	while (running) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned i = 0; i < options->jobs; i++) {
			if (run.workers[i].pid != pid)
				continue;
			sim->report = shrinks;
			run_take(&run, &run.workers[i], status);
			running -= run.workers[i].pid == 0;
		}
	}
	run_show(&run, (double) (time(NULL) - begin) + 0.5);
	return run.failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options options;

	if (!getenv("TCMUD_SIM_DIR")) {
		(void) fprintf(stderr, "tcmud-sim: start it by tests/sim/run\n");
		return 2;
	}
	sim = calloc(1, sizeof(*sim));
	sim->report = report_new();
	daemon_remember_statics();
	options_parse_all(argc, argv, &options);
	return options.single ? life_run_single(&options) : run_lives(&options);
}
