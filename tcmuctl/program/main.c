/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmuctl: sends requests to tcmud and shows the answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "cli.h"
#include "commands/complete.h"
#include "commands/journal.h"
#include "commands/limits.h"
#include "health.h"
#include "members.h"
#include "metrics.h"
#include "offline.h"
#include "rates.h"
#include "replace.h"
#include "screen.h"
#include "show.h"
#include "terminal.h"

#define TOP_SECONDS    2
#define EVENTS_COUNT   20
#define REOPEN_TRIES   150
#define REOPEN_STEP_S  0.1

#define FENCED_STEP_S  0.5
#define FENCED_CLEAR_S 12 /* the longest lease of a handler, and a margin */

/* Opens /dev/null in the place of standard files that are closed, so that the daemon's socket does
 * not get their number. It is opened for the other direction: what would have failed still fails.
 */
static bool fill_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_NOCTTY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	(void) close(fd);
	return true;
}

static int flush_output(FILE *out)
{
	if (fflush(out) == 0 && !ferror(out))
		return 0;
	if (errno != EPIPE)
		fprintf(stderr, "tcmuctl: cannot write the output: %s\n", strerror(errno));
	return CTL_EXIT_FAILURE;
}

static void print_json(const json_t *value, bool compact)
{
	(void) json_dumpf(value, stdout, compact ? JSON_COMPACT : JSON_INDENT(2));
	fputc('\n', stdout);
}

static void sleep_for(double seconds)
{
	struct timespec left = {.tv_sec = (time_t) seconds};

	left.tv_nsec = (long) ((seconds - floor(seconds)) * 1e9);
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* ------- one answer ------- */

static int run_simple(
	const struct ctl *ctl, struct ask *daemon, void (*show)(FILE *out, const json_t *result))
{
	int status;
	json_t *result = ask_daemon(
		daemon, ask_request(ctl_command_name(ctl->command), ctl->argument), &status);

	if (!result)
		return status;
	if (ctl->json || !show)
		print_json(result, false);
	else
		show(stdout, result);
	json_decref(result);
	return flush_output(stdout);
}

static int run_check(const struct ctl *ctl, struct ask *daemon)
{
	json_t *request = ask_request("check", NULL), *result;
	int status;

	if (json_object_set_new(request, "config", json_string(ctl->argument)) < 0) {
		json_decref(request);
		request = NULL;
	}
	result = ask_daemon(daemon, request, &status);
	if (!result)
		return status;
	if (ctl->json)
		print_json(result, false);
	else
		printf("%s: %s\n", ctl->argument, member_text(result, "message"));
	status = json_is_true(json_object_get(result, "fine")) ? 0 : CTL_EXIT_FAILURE;
	json_decref(result);
	return flush_output(stdout) ? CTL_EXIT_FAILURE : status;
}

static int run_log_level(const struct ctl *ctl, struct ask *daemon)
{
	json_t *request = ask_request("log-level", NULL), *result;
	int status;

	if (ctl->argument && (strlen(ctl->argument) != 1 || !strchr("012345", ctl->argument[0]))) {
		json_decref(request);
		fprintf(stderr, "tcmuctl: invalid log level: %s, expected a number from 0 to 5\n",
			ctl->argument);
		return CTL_EXIT_USAGE;
	}
	if (ctl->argument)
		(void) json_object_set_new(request, "level", json_integer(ctl->argument[0] - '0'));
	result = ask_daemon(daemon, request, &status);
	if (!result)
		return status;
	if (ctl->json)
		print_json(result, false);
	else
		printf("%.0f %s\n", member_number(result, "level"), member_text(result, "name"));
	json_decref(result);
	return flush_output(stdout);
}

static bool has_device(const json_t *result, const char *member)
{
	const json_t *device;
	size_t i;

	member_each (json_object_get(result, "devices"), i, device)
		if (json_is_true(json_object_get(device, member)))
			return true;
	return false;
}

/* A host that is cut off knows of that after the lease of its lock at the latest: with shared
 * devices, none may be fenced for so long. */
static int run_fenced(const struct ctl *ctl, struct ask *daemon)
{
	double left = ctl->argument ? strtod(ctl->argument, NULL) : 0, clear = 0;
	bool fenced = true;
	json_t *result;
	int status;

	for (;;) {
		result = ask_daemon(daemon, ask_request("list", NULL), &status);
		if (!result)
			return status;
		fenced = has_device(result, "fenced");
		clear = fenced ? 0 : clear + FENCED_STEP_S;
		if (left <= 0 || !has_device(result, "shared") || clear > FENCED_CLEAR_S)
			break;
		json_decref(result);
		sleep_for(FENCED_STEP_S);
		left -= FENCED_STEP_S;
	}
	if (ctl->json)
		print_json(result, false);
	else
		show_fenced(stdout, result);
	json_decref(result);
	status = flush_output(stdout);
	return fenced ? CTL_EXIT_FAILURE : status;
}

/* Starts the reopening and waits for its end. */
static int run_reopen(const struct ctl *ctl, struct ask *daemon)
{
	int status;
	json_t *result = ask_daemon(daemon, ask_request("reopen", ctl->argument), &status);

	for (int i = 0; result && i < REOPEN_TRIES; i++) {
		const char *state = member_text(result, "state");

		if (strcmp(state, "LIVE") == 0 || *member_text(result, "problem"))
			break;
		json_decref(result);
		sleep_for(REOPEN_STEP_S);
		result = ask_daemon(daemon, ask_request("status", ctl->argument), &status);
	}
	if (!result)
		return status;
	if (ctl->json)
		print_json(result, false);
	else
		printf("%s is %s%s%s\n", member_text(result, "device"),
		       member_text(result, "state"), *member_text(result, "problem") ? ": " : "",
		       member_text(result, "problem"));
	status = strcmp(member_text(result, "state"), "LIVE") == 0 ? 0 : CTL_EXIT_FAILURE;
	json_decref(result);
	return flush_output(stdout) ? CTL_EXIT_FAILURE : status;
}

static int write_metrics(const json_t *dump, const char *path, enum metrics_format format)
{
	struct replace replace;
	int r = replace_begin(&replace, path);

	if (r >= 0) {
		metrics_write(replace.out, dump, format);
		r = replace_end(&replace);
	}
	if (r >= 0)
		return 0;
	fprintf(stderr, "tcmuctl: cannot write %s: %s\n", path,
		r == -EINVAL ? "it is not a regular file" : strerror(-r));
	return CTL_EXIT_FAILURE;
}

/* A file is written also where the daemon does not answer: the old one would say that all is well.
 */
static int run_metrics(const struct ctl *ctl, struct ask *daemon)
{
	enum metrics_format format = ctl->output ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
	int status, written = 0;
	json_t *dump = ask_daemon(daemon, ask_request("dump", NULL), &status);

	if (ctl->format)
		format = strcmp(ctl->format, "prometheus") == 0 ? METRICS_PROMETHEUS
								: METRICS_OPENMETRICS;
	if (ctl->output) {
		written = write_metrics(dump, ctl->output, format);
	} else if (dump) {
		metrics_write(stdout, dump, format);
		written = flush_output(stdout);
	}
	json_decref(dump);
	return status ? status : written;
}

/* ------- names, limits, events ------- */

static int run_names(struct ask *daemon)
{
	int status;
	json_t *result = ask_daemon(daemon, ask_request("list", NULL), &status);
	const json_t *device;
	size_t i;

	if (!result)
		return status;
	member_each (json_object_get(result, "devices"), i, device)
		printf("%s\n", member_text(device, "device"));
	json_decref(result);
	return flush_output(stdout);
}

static json_t *ask_for_completion(void *userdata, const char *socket, const char *method)
{
	struct ask *daemon = userdata;
	int status;

	if (socket)
		daemon->path = socket;
	return ask_daemon(daemon, ask_request(method, NULL), &status);
}

static int run_complete(const struct ctl *ctl, struct ask *daemon)
{
	complete_line(stdout, ctl->more, ctl->more_cnt, ask_for_completion, daemon);
	return flush_output(stdout);
}

/* Changes the limits of a device. 0, or the exit status. */
static int change_limits(const struct ctl *ctl, const json_t *device)
{
	char config[1024];
	const char *wrong = "";
	int r = limits_config(
		member_text(device, "config"), ctl->more, ctl->more_cnt, config, sizeof(config),
		&wrong);

	if (r == -EINVAL) {
		fprintf(stderr,
			"tcmuctl: %s is no limit: expected iops=N, bps=N, where N may end in K, M, "
			"G or T, or burst=SECONDS\n",
			wrong);
		return CTL_EXIT_USAGE;
	}
	if (r >= 0)
		r = limits_write(LIMITS_CORE, member_text(device, "device"), config);
	if (r >= 0)
		return 0;
	fprintf(stderr, "tcmuctl: the limits of %s are not changed: %s%s\n",
		member_text(device, "device"), strerror(-r),
		r == -ENAMETOOLONG ? "" : "; see journalctl -u tcmud");
	return CTL_EXIT_FAILURE;
}

static int run_limits(const struct ctl *ctl, struct ask *daemon)
{
	int status;
	json_t *device = ask_daemon(daemon, ask_request("status", ctl->argument), &status);

	if (device && ctl->more_cnt) {
		status = change_limits(ctl, device);
		json_decref(device);
		device = status ? NULL
				: ask_daemon(daemon, ask_request("status", ctl->argument), &status);
	}
	if (!device)
		return status;
	if (ctl->json)
		print_json(json_object_get(device, "limits"), false);
	else
		limits_show(stdout, device);
	json_decref(device);
	return flush_output(stdout);
}

/* Prints an event at once, for readers of a pipe. False: nobody reads. */
static bool print_event(void *userdata, const struct event *event)
{
	const struct ctl *ctl = userdata;
	json_t *object;

	if (!ctl->json) {
		event_show(stdout, event);
		return flush_output(stdout) == 0;
	}
	object = event_to_json(event);
	print_json(object, true);
	json_decref(object);
	return flush_output(stdout) == 0;
}

static int run_events(struct ctl *ctl)
{
	struct journal_query query = {
		.device = ctl->argument,
		.count = ctl->count ? ctl->count : EVENTS_COUNT,
		.follow = ctl->follow,
	};
	int r = journal_read(&query, print_event, ctl);

	if (r == 0 && !query.follow)
		fputs("tcmuctl: the journal has no such event of tcmud; without systemd the log is "
		      "a file (tcmu.conf(5), log_dir)\n",
		      stderr);
	if (r < 0)
		fprintf(stderr, "tcmuctl: cannot read the journal: %s\n", strerror(-r));
	return r < 0 ? CTL_EXIT_FAILURE : flush_output(stdout);
}

/* ------- repeated reports ------- */

static void print_report(const struct ctl *ctl, const json_t *before, const json_t *now)
{
	bool top = ctl->command == CTL_TOP;
	json_t *rates = rates_between(before, now);

	if (ctl->json) {
		print_json(rates, true);
	} else {
		rates_show(stdout, rates, top);
		if (!top)
			fputc('\n', stdout);
	}
	json_decref(rates);
}

static int run_repeatedly(const struct ctl *ctl, struct ask *daemon)
{
	double seconds = ctl->interval > 0 ? ctl->interval : TOP_SECONDS;
	json_t *before, *now;
	int status = 0;

	before = ask_daemon(daemon, ask_request("stats", ctl->argument), &status);
	for (unsigned i = 0; before && (!ctl->count || i < ctl->count) && status == 0; i++) {
		sleep_for(seconds);
		now = ask_daemon(daemon, ask_request("stats", ctl->argument), &status);
		if (now) {
			print_report(ctl, before, now);
			status = flush_output(stdout);
		}
		json_decref(before);
		before = now;
	}
	json_decref(before);
	return status;
}

/* ------- the state as a whole ------- */

static int run_top(const struct ctl *ctl, struct ask *daemon)
{
	int status;

	if (!terminal_begin())
		return run_repeatedly(ctl, daemon);
	status = screen_run(daemon, ctl->interval > 0 ? ctl->interval : TOP_SECONDS, ctl->count);
	terminal_end();
	/* The error was shown on a screen that is gone. */
	if (status != 0)
		json_decref(ask_daemon(daemon, ask_request("list", NULL), &status));
	return status;
}

static int run_health(const struct ctl *ctl, struct ask *daemon)
{
	static const int exits[] = {
		[HEALTH_FINE] = 0,
		[HEALTH_ATTENTION] = CTL_EXIT_ATTENTION,
		[HEALTH_OUTAGE] = CTL_EXIT_OUTAGE,
	};
	int status;
	json_t *dump = ask_daemon(daemon, ask_request("dump", NULL), &status), *health;

	if (!dump)
		return status;
	health = health_of(dump);
	if (ctl->json)
		print_json(health, false);
	else
		health_show(stdout, health);
	status = flush_output(stdout);
	if (status == 0)
		status = exits[health_severity(health)];
	json_decref(health);
	json_decref(dump);
	return status;
}

static int ctl_run(struct ctl *ctl, struct ask *daemon)
{
	switch (ctl->command) {
	case CTL_CHECK:
		return run_check(ctl, daemon);
	case CTL_COMPLETE:
		return run_complete(ctl, daemon);
	case CTL_EVENTS:
		return run_events(ctl);
	case CTL_FENCED:
		return run_fenced(ctl, daemon);
	case CTL_HANDLERS:
		return run_simple(ctl, daemon, show_handlers);
	case CTL_HEALTH:
		return run_health(ctl, daemon);
	case CTL_INFLIGHT:
		return run_simple(ctl, daemon, show_inflight);
	case CTL_LIMITS:
		return run_limits(ctl, daemon);
	case CTL_LIST:
		return run_simple(ctl, daemon, show_list);
	case CTL_LOG_LEVEL:
		return run_log_level(ctl, daemon);
	case CTL_METRICS:
		return run_metrics(ctl, daemon);
	case CTL_NAMES:
		return run_names(daemon);
	case CTL_REOPEN:
		return run_reopen(ctl, daemon);
	case CTL_STATUS:
		return run_simple(ctl, daemon, show_status);
	case CTL_STATS:
		return ctl->interval > 0 ? run_repeatedly(ctl, daemon)
					 : run_simple(ctl, daemon, show_totals);
	case CTL_TOP:
		return run_top(ctl, daemon);
	default:
		return run_simple(ctl, daemon, NULL);
	}
}

int main(int argc, char **argv)
{
	struct ctl ctl;
	struct ask daemon;
	int status;

	if (!fill_standard_files())
		return CTL_EXIT_FAILURE;
	(void) setlocale(LC_CTYPE, "");
	status = ctl_parse(argc, argv, &ctl, stdout, stderr);
	daemon = (struct ask) ASK_INIT(ctl.socket);
	daemon.offline = offline_answer;
	if (status != CTL_RUN)
		return status;
	(void) signal(SIGPIPE, SIG_IGN);
	status = ctl_run(&ctl, &daemon);
	ask_close(&daemon);
	return status;
}
