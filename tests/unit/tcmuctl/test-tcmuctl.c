/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmuctl without a daemon: its command line, the rates between two answers, and the text that
 * other programs read. The manual has the same commands and options as the help.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "log-fixture.h"
#include "members.h"
#include "metrics.h"
#include "output.h"
#include "rates.h"
#include "show.h"
#include "table.h"

/* ------- the command line ------- */

static int parse_line(struct ctl *ctl, const char *line)
{
	char copy[256], *words[16], *save = NULL;
	FILE *out = output_begin();
	int cnt = 0, r;

	(void) snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[cnt++] = word;
	words[cnt] = NULL;
	r = ctl_parse(cnt, words, ctl, out, out);
	free(output_end(out));
	return r;
}

static void good_lines_are_understood(void **state)
{
	struct ctl ctl;

	(void) state;
	assert_int_equal(parse_line(&ctl, "tcmuctl list"), CTL_RUN);
	assert_int_equal(ctl.command, CTL_LIST);
	assert_false(ctl.json);
	assert_int_equal(
		parse_line(&ctl, "tcmuctl stats -i 0.5 --count 3 --json -s /tmp/x"), CTL_RUN);
	assert_int_equal(ctl.command, CTL_STATS);
	assert_true(ctl.interval > 0.49 && ctl.interval < 0.51);
	assert_int_equal(ctl.count, 3);
	assert_true(ctl.json);
	assert_null(ctl.argument);
	assert_int_equal(parse_line(&ctl, "tcmuctl metrics --output=/x"), CTL_RUN);
	assert_non_null(ctl.output);
	assert_null(ctl.format);
	assert_int_equal(parse_line(&ctl, "tcmuctl metrics -f prometheus"), CTL_RUN);
	assert_false(ctl.follow);
	assert_int_equal(parse_line(&ctl, "tcmuctl events -f"), CTL_RUN);
	assert_true(ctl.follow);
	assert_null(ctl.argument);
	assert_int_equal(parse_line(&ctl, "tcmuctl -j events disk --follow -c 3"), CTL_RUN);
	assert_true(ctl.follow && ctl.json && ctl.count == 3);
	assert_non_null(ctl.argument);
	assert_int_equal(parse_line(&ctl, "tcmuctl limits disk iops=1 bps=2"), CTL_RUN);
	assert_int_equal(ctl.more_cnt, 2);
	assert_int_equal(parse_line(&ctl, "tcmuctl complete -- stats --int"), CTL_RUN);
	assert_int_equal(ctl.more_cnt, 2);
}

static void bad_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"tcmuctl",
		"tcmuctl colour",
		"tcmuctl status",
		"tcmuctl status a b",
		"tcmuctl list a",
		"tcmuctl --colour list",
		"tcmuctl stats -i",
		"tcmuctl stats -i 0",
		"tcmuctl stats -i 1x",
		"tcmuctl stats -i nan",
		"tcmuctl stats -c 3",
		"tcmuctl stats -i 1 -c 0",
		"tcmuctl stats -i 1 -c -1",
		"tcmuctl list -i 1",
		"tcmuctl list -o x",
		"tcmuctl top --json",
		"tcmuctl metrics -f text",
		"tcmuctl list -f prometheus",
		"tcmuctl -f prometheus events",
		"tcmuctl events --format=prometheus",
		"tcmuctl list --follow",
		"tcmuctl metrics -f",
		"tcmuctl limits",
		"tcmuctl events a b",
		"tcmuctl names a",
	};
	struct ctl ctl;

	(void) state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse_line(&ctl, lines[i]) != CTL_EXIT_USAGE)
			fail_msg("%s is not refused", lines[i]);
}

static void help_and_version_end_well(void **state)
{
	struct ctl ctl;

	(void) state;
	assert_int_equal(parse_line(&ctl, "tcmuctl --help"), 0);
	assert_int_equal(parse_line(&ctl, "tcmuctl -V"), 0);
}

/* ------- documents ------- */

static void the_manual_has_every_command(void **state)
{
	char *manual = fixture_document("docs/man/tcmuctl.8");
	char wanted[64];
	unsigned found = 0;

	(void) state;
	for (int i = 0; i < CTL_COMMAND_COUNT; i++) {
		(void) snprintf(wanted, sizeof(wanted), "\n.It Cm %s", ctl_command_name(i));
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmuctl(8)", ctl_command_name(i));
	}
	for (const char *at = strstr(manual, "\n.It Cm "); at; at = strstr(at + 1, "\n.It Cm "))
		found++;
	assert_int_equal(found, CTL_COMMAND_COUNT);
	free(manual);
}

static void the_manual_has_every_option(void **state)
{
	char *manual = fixture_document("docs/man/tcmuctl.8");
	FILE *out = output_begin();
	unsigned in_help = 0, in_manual = 0;
	char *help, wanted[64];

	(void) state;
	ctl_help(out);
	help = output_end(out);
	for (const char *at = strstr(help, "\n  -"); at; at = strstr(at + 1, "\n  -")) {
		const char *name = at + strlen("\n  -x, --");
		int length = (int) strcspn(name, "= ");

		in_help++;
		(void) snprintf(
			wanted, sizeof(wanted), "\n.It Fl %c , Fl -%.*s", at[4], length, name);
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmuctl(8)", wanted + 1);
	}
	for (const char *at = strstr(manual, "\n.It Fl "); at; at = strstr(at + 1, "\n.It Fl "))
		in_manual++;
	assert_int_equal(in_help, in_manual);
	assert_true(in_help >= 7);
	free(manual);
	free(help);
}

/* Every member that the daemon's answers have, and those of rates. */
static void the_manual_promises_the_members_of_json(void **state)
{
	static const char *const names[] = {
		"device",
		"name",
		"hba",
		"uio",
		"handler",
		"config",
		"state",
		"state_seconds",
		"problem",
		"shared",
		"fenced",
		"size",
		"block_size",
		"write_cache",
		"serial",
		"in_flight",
		"in_backend",
		"stats",
		"time_ns",
		"commands",
		"cpu_ns",
		"classes",
		"sense_keys",
		"other_ends",
		"last_sense",
		"failed",
		"bytes",
		"total_ns",
		"latency_ns",
		"operation",
		"cdb",
		"lba",
		"blocks",
		"age_seconds",
		"file",
		"devices",
		"fine",
		"message",
		"level",
		"seconds",
		"queue_depth",
		"cpu_percent",
		"reads_per_second",
		"read_latency_seconds",
		"failed_per_second",
		"others_per_second",
		"read_bytes_per_second",
		"version",
		"settings",
		"requests",
		"health",
		"counters",
		"value",
		"type",
		"help",
	};
	char *manual = fixture_document("docs/man/tcmuctl.8"), wanted[64];

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void) snprintf(wanted, sizeof(wanted), "Va %s", names[i]);
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmuctl(8)", names[i]);
	}
	free(manual);
}

/* ------- percentiles and rates ------- */

static json_t *parse_json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void assert_about(double value, double wanted)
{
	if (fabs(value - wanted) > 1e-9 + fabs(wanted) * 1e-6)
		fail_msg("%.12g is not %.12g", value, wanted);
}

static void percentiles_lie_within_their_bucket(void **state)
{
	json_t *latency = parse_json("[[0, 1000, 50], [1000, 2000, 40], [8000, 9000, 10]]");

	(void) state;
	assert_about(rates_percentile(latency, NULL, 0.5), 1e-6);
	assert_about(rates_percentile(latency, NULL, 0.7), 1.5e-6);
	assert_about(rates_percentile(latency, NULL, 0.9), 2e-6);
	assert_about(rates_percentile(latency, NULL, 0.95), 8.5e-6);
	assert_about(rates_percentile(latency, NULL, 1.0), 9e-6);
	json_decref(latency);
}

static void earlier_commands_do_not_count(void **state)
{
	json_t *before = parse_json("[[0, 1000, 50]]"),
	       *now = parse_json("[[0, 1000, 50], [2000, 3000, 2]]");
	json_t *none = parse_json("[]");

	(void) state;
	assert_about(rates_percentile(now, before, 0.5), 2.5e-6);
	assert_about(rates_percentile(now, now, 0.5), 0);
	assert_about(rates_percentile(none, NULL, 0.5), 0);
	json_decref(before);
	json_decref(now);
	json_decref(none);
}

static void the_open_bucket_counts_as_its_bound(void **state)
{
	json_t *latency = parse_json("[[68719476736, null, 1]]");

	(void) state;
	assert_about(rates_percentile(latency, NULL, 0.5), 68.719476736);
	assert_about(rates_percentile(latency, NULL, 1.0), 68.719476736);
	json_decref(latency);
}

/* An answer to "stats" of one device that has only read, each time within 2 us. */
static json_t *stats_at(int seconds, int reads, int bytes, json_int_t total_ns, int cpu_ns)
{
	return json_pack(
		"{sI s[{ss si si si s{s{si si si sI s[[iii]]}}}]}", "time_ns",
		(json_int_t) seconds * 1000000000, "devices", "device", "user_0/disk", "commands",
		reads, "in_flight", 3, "cpu_ns", cpu_ns, "classes", "read", "commands", reads,
		"failed", 0, "bytes", bytes, "total_ns", total_ns, "latency_ns", 1000, 2000, reads);
}

static const json_t *first_device(const json_t *rates)
{
	return json_array_get(json_object_get(rates, "devices"), 0);
}

static void rates_are_growth_per_second(void **state)
{
	json_t *before = stats_at(1, 10, 1000, 5000, 100);
	json_t *now = stats_at(3, 30, 9000, 2000005000, 500000100);
	json_t *rates = rates_between(before, now);
	const json_t *device = first_device(rates);

	(void) state;
	assert_about(member_number(device, "reads_per_second"), 10);
	assert_about(member_number(device, "read_bytes_per_second"), 4000);
	assert_about(member_number(device, "others_per_second"), 0);
	assert_about(member_number(device, "queue_depth"), 1);
	assert_about(member_number(device, "cpu_percent"), 25);
	assert_about(member_number(device, "in_flight"), 3);
	assert_about(member_number(json_object_get(device, "read_latency_seconds"), "mean"), 0.1);
	json_decref(before);
	json_decref(now);
	json_decref(rates);
}

static void a_device_that_was_created_again_counts_from_zero(void **state)
{
	json_t *before = stats_at(1, 100, 1000, 5000, 100);
	json_t *now = stats_at(2, 30, 3000, 3000, 100);
	json_t *none = parse_json("{\"devices\": []}");
	json_t *rates = rates_between(before, now), *first = rates_between(none, now);

	(void) state;
	assert_about(member_number(first_device(rates), "reads_per_second"), 30);
	assert_int_equal(json_array_size(json_object_get(first, "devices")), 1);
	json_decref(before);
	json_decref(now);
	json_decref(none);
	json_decref(rates);
	json_decref(first);
}

/* ------- for people ------- */

static void sizes_and_times_are_short(void **state)
{
	char text[24];

	(void) state;
	assert_string_equal(table_size(0, text), "0 B");
	assert_string_equal(table_size(1023, text), "1023 B");
	assert_string_equal(table_size(1536, text), "1.50 KiB");
	assert_string_equal(table_size(18446744073709551615.0, text), "16.0 EiB");
	assert_string_equal(table_time(0, text), "0");
	assert_string_equal(table_time(0.000021, text), "21 us");
	assert_string_equal(table_time(0.0021, text), "2.10 ms");
	assert_string_equal(table_time(21, text), "21.0 s");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	json_t *list = parse_json(
		"{\"devices\": [{\"device\": \"user_0/\\u001b[2Jdisk\\n\", \"size\": 0}]}");
	FILE *out = output_begin();
	char *text;

	(void) state;
	show_list(out, list);
	text = output_end(out);
	assert_null(strchr(text, 0x1b));
	assert_non_null(strstr(text, "user_0/?[2Jdisk?"));
	free(text);
	json_decref(list);
}

/* A line with an ordinary config fits 80 columns. */
static void the_list_shows_the_lock_where_a_device_is_shared(void **state)
{
	static const struct {
		const char *lock, *shown;
	} cases[] = {
		{"\"locked\"", "yes "},
		{"\"unlocked\"", "no  "},
		{"\"paused\"", "no  "},
		{"\"locked elsewhere\"", "no  "},
		{"\"not confirmed\"", "?   "},
		{"\"locking\"", "?   "},
		{"\"fenced\"", "?   "},
		{"\"waiting to retry\"", "?   "},
		{"null", NULL},
	};
	char request[512], line[160];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *list;
		FILE *out;
		char *text;

		(void) snprintf(
			request, sizeof(request),
			"{\"devices\": [{\"device\": \"user_0/disk\", \"state\": \"LIVE\", "
			"\"lock\": %s, \"size\": 1073741824, \"in_flight\": 12, \"config\": "
			"\"rbd/rbd/disk\"}, {\"device\": \"user_0/own\", "
			"\"state\": \"LIVE\", \"lock\": null}], "
			"\"others\": [{\"device\": \"user_1/theirs\"}]}",
			cases[i].lock);
		list = parse_json(request);
		out = output_begin();
		show_list(out, list);
		text = output_end(out);
		(void) snprintf(
			line, sizeof(line), "user_0/disk    LIVE      %s  1.00 GiB",
			cases[i].shown ? cases[i].shown : "");
		assert_int_equal(strstr(text, "LOCK") != NULL, cases[i].shown != NULL);
		if (cases[i].shown && !strstr(text, line))
			fail_msg("%s is not in %s", line, text);
		if (cases[i].shown)
			assert_non_null(strstr(text, "\nuser_0/own     LIVE      -  "));
		for (const char *c = text; *c; c = strchr(c, '\n') + 1)
			assert_true(strchr(c, '\n') - c <= 80);
		free(text);
		json_decref(list);
	}
}

static void answers_that_lack_members_are_shown(void **state)
{
	json_t *empty = parse_json("{\"devices\": [{}], \"requests\": [{}], \"handlers\": [{}]}");
	FILE *out = output_begin();
	json_t *rates = rates_between(empty, empty);

	(void) state;
	show_list(out, empty);
	show_totals(out, empty);
	show_inflight(out, empty);
	show_handlers(out, empty);
	show_status(out, empty);
	rates_show(out, rates, true);
	metrics_write(out, empty, METRICS_OPENMETRICS);
	metrics_write(out, empty, METRICS_PROMETHEUS);
	free(output_end(out));
	json_decref(empty);
	json_decref(rates);
}

static void the_list_begins_with_what_is_wrong(void **state)
{
	json_t *list = parse_json(
		"{\"devices\": [{\"device\": \"user_0/fine\", \"state\": \"LIVE\"}, "
		"{\"device\": \"user_0/late\", \"state\": \"LIVE\", \"problem\": \"late\"}, "
		"{\"device\": \"user_0/failed\", \"state\": \"FAILED\"}], "
		"\"others\": [{\"device\": \"user_0/theirs\"}]}");
	static const char *const order[] = {"late", "failed", "theirs", "fine"};
	FILE *out = output_begin();
	const char *at;
	char *text;

	(void) state;
	show_list(out, list);
	at = text = output_end(out);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		char name[32];

		(void) snprintf(name, sizeof(name), "user_0/%s", order[i]);
		at = at ? strstr(at, name) : NULL;
	}
	if (!at)
		fail_msg("the order is wrong:\n%s", text);
	free(text);
	json_decref(list);
}

/* ------- metrics ------- */

static void histograms_are_cumulative_and_exact(void **state)
{
	json_t *dump = parse_json(
		"{\"version\": \"2\", \"devices\": [{\"device\": \"user_0/a\\\"b\\\\c\", "
		"\"state\": \"LIVE\", \"stats\": "
		"{\"classes\": {\"read\": {\"commands\": 7, \"total_ns\": 1500000000, "
		"\"latency_ns\": [[0, 1024, 1], "
		"[3840, 4096, 2], [4096, 4352, 3], [68719476736, null, 1]]}}}}]}");
	FILE *out = output_begin();
	char *text;

	(void) state;
	metrics_write(out, dump, METRICS_OPENMETRICS);
	text = output_end(out);
	assert_non_null(strstr(
		text, "{device=\"user_0/a\\\"b\\\\c\",class=\"read\",le=\"0.000004096\"} 3\n"));
	assert_non_null(strstr(text, "le=\"0.000008192\"} 6\n"));
	assert_non_null(strstr(text, "le=\"34.359738368\"} 6\n"));
	assert_non_null(strstr(text, "le=\"+Inf\"} 7\n"));
	assert_non_null(
		strstr(text,
		       "duration_seconds_sum{device=\"user_0/a\\\"b\\\\c\",class=\"read\"} "
		       "1.500000000\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
	json_decref(dump);
}

static void metrics_have_the_lock(void **state)
{
	json_t *dump = parse_json(
		"{\"version\": \"2\", \"devices\": [{\"device\": \"user_0/ours\", \"state\": "
		"\"LIVE\", \"lock\": \"locked\", \"takeovers\": 7, \"takeovers_damped\": 3}, "
		"{\"device\": \"user_0/theirs\", \"state\": \"LIVE\", \"lock\": \"unlocked\", "
		"\"takeovers\": 1, \"takeovers_damped\": 0}, {\"device\": \"user_0/doubt\", "
		"\"state\": \"LIVE\", \"lock\": \"not confirmed\"}, {\"device\": "
		"\"user_0/own\", \"state\": \"LIVE\", \"lock\": null}]}");
	static const char *const lines[] = {
		"\n# TYPE tcmu_device_lock_held gauge\n",
		"\ntcmu_device_lock_held{device=\"user_0/ours\"} 1\n",
		"\ntcmu_device_lock_held{device=\"user_0/theirs\"} 0\n",
		"\ntcmu_device_lock_held{device=\"user_0/doubt\"} 0\n",
		"\ntcmu_device_lock_held{device=\"user_0/own\"} 0\n",
		"\n# TYPE tcmu_device_lock_takeovers counter\n",
		"\ntcmu_device_lock_takeovers_total{device=\"user_0/ours\"} 7\n",
		"\ntcmu_device_lock_takeovers_total{device=\"user_0/theirs\"} 1\n",
		"\n# TYPE tcmu_device_lock_damped counter\n",
		"\ntcmu_device_lock_damped_total{device=\"user_0/ours\"} 3\n",
		"\ntcmu_device_lock_damped_total{device=\"user_0/theirs\"} 0\n",
	};
	FILE *out = output_begin();
	char *text;

	(void) state;
	metrics_write(out, dump, METRICS_OPENMETRICS);
	text = output_end(out);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("%s is not in the metrics", lines[i]);
	free(text);
	json_decref(dump);
}

static char *metrics_of(const char *dump_text, enum metrics_format format)
{
	json_t *dump = dump_text ? parse_json(dump_text) : NULL;
	FILE *out = output_begin();

	metrics_write(out, dump, format);
	json_decref(dump);
	return output_end(out);
}

static void the_head_of_a_counter_is_that_of_the_format(void **state)
{
	static const char dump[] = "{\"devices\": [{\"device\": \"user_0/a\"}]}";
	char *open = metrics_of(dump, METRICS_OPENMETRICS),
	     *classic = metrics_of(dump, METRICS_PROMETHEUS);

	(void) state;
	assert_non_null(strstr(open, "# TYPE tcmu_device_cpu_seconds counter\n# UNIT "));
	assert_non_null(strstr(classic, "# TYPE tcmu_device_cpu_seconds_total counter\n"));
	assert_null(strstr(classic, "# UNIT"));
	assert_null(strstr(classic, "# EOF"));
	free(open);
	free(classic);
}

static void a_name_that_two_devices_have_comes_once(void **state)
{
	char *text = metrics_of(
		"{\"states\": [\"LIVE\", \"ORPHANED\"], \"devices\": ["
		"{\"device\": \"user_0/a\", \"state\": \"ORPHANED\"}, "
		"{\"device\": \"user_0/a\", \"state\": \"LIVE\"}]}",
		METRICS_PROMETHEUS);
	const char *first = strstr(text, "tcmu_device_up{device=\"user_0/a\"} 1\n");

	(void) state;
	assert_non_null(first);
	assert_null(strstr(first + 1, "tcmu_device_up{"));
	assert_non_null(strstr(text, "tcmu_device_state{device=\"user_0/a\",state=\"LIVE\"} 1\n"));
	assert_non_null(
		strstr(text, "tcmu_device_state{device=\"user_0/a\",state=\"ORPHANED\"} 0\n"));
	assert_non_null(strstr(text, "tcmu_daemon_orphaned_devices 1\n"));
	free(text);
}

static void without_a_daemon_only_that_is_said(void **state)
{
	char *text = metrics_of(NULL, METRICS_PROMETHEUS);

	(void) state;
	assert_non_null(strstr(text, "\ntcmu_daemon_up 0\n"));
	assert_null(strstr(text, "tcmu_device"));
	free(text);
}

static void the_manual_has_every_metric(void **state)
{
	char *text = metrics_of("{\"devices\": []}", METRICS_OPENMETRICS),
	     *manual = fixture_document("docs/man/tcmud-metrics.7"), wanted[128];
	unsigned in_text = 0, in_manual = 0;

	(void) state;
	for (const char *at = strstr(text, "# TYPE "); at; at = strstr(at + 1, "# TYPE ")) {
		const char *name = at + strlen("# TYPE ");
		int length = (int) strcspn(name, " ");
		bool counter = strncmp(name + length, " counter", 8) == 0;

		in_text++;
		(void) snprintf(
			wanted, sizeof(wanted), "\n.It Sy %.*s%s", length, name,
			counter ? "_total" : "");
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmud-metrics(7)", wanted + 8);
	}
	for (const char *at = strstr(manual, "\n.It Sy "); at; at = strstr(at + 1, "\n.It Sy "))
		in_manual++;
	assert_int_equal(in_text, in_manual);
	free(text);
	free(manual);
}

/* Names of samples: those of the manual, and those of its histograms. */
static void the_rules_and_the_dashboard_use_metrics_of_the_manual(void **state)
{
	static const char *const files[] = {
		"docs/monitoring/tcmud-alerts.yml", "docs/monitoring/tcmud-dashboard.json"};
	static const char *const suffixes[] = {"_bucket", "_count", "_sum", ""};
	char *manual = fixture_document("docs/man/tcmud-metrics.7"), wanted[128];

	(void) state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *text = fixture_document(files[i]);
		unsigned found = 0;

		for (const char *at = strstr(text, "tcmu_d"); at; at = strstr(at + 1, "tcmu_d")) {
			int length = (int) strspn(at, "abcdefghijklmnopqrstuvwxyz_");
			bool known = false;

			for (size_t j = 0; j < sizeof(suffixes) / sizeof(suffixes[0]); j++) {
				int cut = length - (int) strlen(suffixes[j]);

				(void) snprintf(wanted, sizeof(wanted), "\n.It Sy %.*s\n", cut, at);
				known |= strncmp(at + cut, suffixes[j], strlen(suffixes[j])) == 0 &&
					strstr(manual, wanted);
			}
			if (!known)
				fail_msg(
					"%s: %.*s is not in tcmud-metrics(7)", files[i], length,
					at);
			found++;
		}
		assert_true(found >= 10);
		free(text);
	}
	free(manual);
}

static void fenced_shows_devices_and_given_up_connections(void **state)
{
	json_t *list = parse_json("{\"devices\": [{\"device\": \"user_0/a\", \"fenced\": true}, "
				  "{\"device\": \"user_0/b\", \"fenced\": false}], "
				  "\"given_up\": 2}");
	FILE *out = output_begin();
	char *text;

	(void) state;
	show_fenced(out, list);
	text = output_end(out);
	assert_non_null(strstr(text, "user_0/a: "));
	assert_null(strstr(text, "user_0/b"));
	assert_non_null(strstr(text, "until tcmud ends: 2\n"));
	free(text);
	json_decref(list);
}

static const char *const counted =
	"{\"devices\": ["
	"{\"device\": \"user_0/a\", \"handler\": \"x\", \"health\": \"waiting for OSD 12\", "
	"\"stats\": {\"counters\": ["
	"{\"name\": \"retries\", \"value\": 3, \"type\": \"counter\", \"help\": \"a\\\\b\\nc\"}, "
	"{\"name\": \"depth\", \"value\": 4, \"type\": \"gauge\", \"help\": \"in flight\"}]}}, "
	"{\"device\": \"user_0/b\", \"handler\": \"y\", \"stats\": {\"counters\": ["
	"{\"name\": \"retries\", \"value\": 5, \"type\": \"counter\", \"help\": \"\"}]}}, "
	"{\"device\": \"user_0/c\", \"handler\": \"x\", \"stats\": {\"counters\": ["
	"{\"name\": \"retries\", \"value\": 6, \"type\": \"counter\", \"help\": \"\"}]}}]}";

static void a_counter_of_a_handler_is_one_family(void **state)
{
	json_t *dump = parse_json(counted);
	FILE *out = output_begin();
	char *text;

	(void) state;
	metrics_write(out, dump, METRICS_OPENMETRICS);
	text = output_end(out);
	assert_non_null(
		strstr(text,
		       "# TYPE tcmu_handler_x_retries counter\n"
		       "# HELP tcmu_handler_x_retries a\\\\b c\n"
		       "tcmu_handler_x_retries_total{device=\"user_0/a\"} 3\n"
		       "tcmu_handler_x_retries_total{device=\"user_0/c\"} 6\n"
		       "# TYPE tcmu_handler_x_depth gauge\n"
		       "# HELP tcmu_handler_x_depth in flight\n"
		       "tcmu_handler_x_depth{device=\"user_0/a\"} 4\n"
		       "# TYPE tcmu_handler_y_retries counter\n"
		       "# HELP tcmu_handler_y_retries \n"
		       "tcmu_handler_y_retries_total{device=\"user_0/b\"} 5\n"
		       "# EOF\n"));
	free(text);
	json_decref(dump);
}

static void health_and_counters_are_shown(void **state)
{
	json_t *dump = parse_json(counted);
	json_t *device = json_array_get(json_object_get(dump, "devices"), 0);
	json_t *stats = json_object_get(device, "stats");
	json_t *totals_of;
	FILE *out = output_begin();
	char *text;

	(void) state;
	json_object_set(stats, "device", json_object_get(device, "device"));
	totals_of = json_pack("{s[O]}", "devices", stats);
	show_list(out, dump);
	show_status(out, device);
	show_totals(out, totals_of);
	text = output_end(out);
	assert_int_equal(fixture_count(text, "waiting for OSD 12"), 2);
	assert_non_null(strstr(text, "counter        retries 3\n"));
	assert_non_null(strstr(text, "user_0/a  depth        4  in flight\n"));
	free(text);
	json_decref(totals_of);
	json_decref(dump);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines_are_understood),
		cmocka_unit_test(bad_lines_are_refused),
		cmocka_unit_test(help_and_version_end_well),
		cmocka_unit_test(the_manual_has_every_command),
		cmocka_unit_test(the_manual_has_every_option),
		cmocka_unit_test(the_manual_promises_the_members_of_json),
		cmocka_unit_test(percentiles_lie_within_their_bucket),
		cmocka_unit_test(earlier_commands_do_not_count),
		cmocka_unit_test(the_open_bucket_counts_as_its_bound),
		cmocka_unit_test(rates_are_growth_per_second),
		cmocka_unit_test(a_device_that_was_created_again_counts_from_zero),
		cmocka_unit_test(sizes_and_times_are_short),
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(the_list_shows_the_lock_where_a_device_is_shared),
		cmocka_unit_test(answers_that_lack_members_are_shown),
		cmocka_unit_test(the_list_begins_with_what_is_wrong),
		cmocka_unit_test(histograms_are_cumulative_and_exact),
		cmocka_unit_test(metrics_have_the_lock),
		cmocka_unit_test(the_head_of_a_counter_is_that_of_the_format),
		cmocka_unit_test(a_name_that_two_devices_have_comes_once),
		cmocka_unit_test(without_a_daemon_only_that_is_said),
		cmocka_unit_test(the_manual_has_every_metric),
		cmocka_unit_test(the_rules_and_the_dashboard_use_metrics_of_the_manual),
		cmocka_unit_test(fenced_shows_devices_and_given_up_connections),
		cmocka_unit_test(a_counter_of_a_handler_is_one_family),
		cmocka_unit_test(health_and_counters_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
