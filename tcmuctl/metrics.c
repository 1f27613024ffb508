/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of the families that have one sample a device, and a function for each other family. A
 * histogram has a bound at each power of two from 4 us to 34 s. These are bounds of the daemon's
 * own buckets, so the numbers are exact.
 *
 * The two formats differ in the head of a family. In OpenMetrics a counter's family is named
 * without _total, a unit is given, and the text ends with a mark. In Prometheus' text format 0.0.4
 * a family is named as its samples.
 */
#include "metrics.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "members.h"

#define BOUND_FIRST 12 /* 2^12 ns */
#define BOUND_LAST  35

struct exposition {
	FILE *out;
	enum metrics_format format;
	const json_t *dump;
	json_t *devices; /* of each name the newest */
};

/* The end of the name of a family's samples. */
static const char *suffix_of(const char *type)
{
	return strcmp(type, "counter") == 0 ? "_total" : "";
}

/* The help of a handler's counter may have any character. */
static void write_help(FILE *out, const char *help)
{
	for (; *help; help++)
		if (*help == '\\')
			fputs("\\\\", out);
		else
			fputc(*help == '\n' ? ' ' : *help, out);
	fputc('\n', out);
}

static void write_head(
	const struct exposition *exposition, const char *name, const char *type, const char *unit,
	const char *help)
{
	FILE *out = exposition->out;

	if (exposition->format == METRICS_PROMETHEUS) {
		const char *suffix = suffix_of(type);

		fprintf(out, "# HELP %s%s ", name, suffix);
		write_help(out, help);
		fprintf(out, "# TYPE %s%s %s\n", name, suffix, type);
		return;
	}
	fprintf(out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(out, "# UNIT %s %s\n", name, unit);
	fprintf(out, "# HELP %s ", name);
	write_help(out, help);
}

/* A label's value, with its quotes. */
static void write_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void write_label(FILE *out, char before, const char *name, const char *value)
{
	fprintf(out, "%c%s=", before, name);
	write_quoted(out, value);
}

static const json_t *stats_of(const json_t *device)
{
	return json_object_get(device, "stats");
}

/* ------- one sample a device ------- */

static double value_up(const json_t *device)
{
	return strcmp(member_text(device, "state"), "LIVE") == 0;
}

static double value_size(const json_t *device)
{
	return member_number(device, "size");
}

static double value_in_flight(const json_t *device)
{
	return member_number(device, "in_flight");
}

/* Requests come with the oldest first. */
static double value_oldest(const json_t *device)
{
	return member_number(json_array_get(json_object_get(device, "requests"), 0), "age_seconds");
}

static double value_state_seconds(const json_t *device)
{
	return member_number(device, "state_seconds");
}

static double value_shared(const json_t *device)
{
	return json_is_true(json_object_get(device, "shared"));
}

static double value_fenced(const json_t *device)
{
	return json_is_true(json_object_get(device, "fenced"));
}

static double value_lock(const json_t *device)
{
	return strcmp(member_text(device, "lock"), "locked") == 0;
}

static double value_takeovers(const json_t *device)
{
	return member_number(device, "takeovers");
}

static double value_damped(const json_t *device)
{
	return member_number(device, "takeovers_damped");
}

static double value_cpu(const json_t *device)
{
	return member_number(stats_of(device), "cpu_ns") / 1e9;
}

static double value_limited(const json_t *device)
{
	return member_number(stats_of(device), "limited_ns") / 1e9;
}

static double value_expired(const json_t *device)
{
	return member_number(stats_of(device), "expired_writes");
}

static const struct device_family {
	const char *name;
	const char *type;
	const char *unit;
	const char *help;
	double (*value)(const json_t *device);
} device_families[] = {
	{"tcmu_device_up", "gauge", NULL, "1: the device is LIVE.", value_up},
	{"tcmu_device_state_seconds", "gauge", "seconds", "Time since the state was entered.",
	 value_state_seconds},
	{"tcmu_device_size_bytes", "gauge", "bytes", "Capacity.", value_size},
	{"tcmu_device_inflight", "gauge", NULL, "Commands in flight.", value_in_flight},
	{"tcmu_device_oldest_command_seconds", "gauge", "seconds",
	 "Age of the oldest command in flight; 0: there is none.", value_oldest},
	{"tcmu_device_shared", "gauge", NULL, "1: other hosts serve the same image.", value_shared},
	{"tcmu_device_fenced", "gauge", NULL,
	 "1: the device is shared, and its old connection is not closed yet.", value_fenced},
	{"tcmu_device_lock_held", "gauge", NULL,
	 "1: the device is shared, and this host has the lock.", value_lock},
	{"tcmu_device_lock_takeovers", "counter", NULL, "Times that this host has taken the lock.",
	 value_takeovers},
	{"tcmu_device_lock_damped", "counter", NULL,
	 "Commands that did not take the lock back during the minimum hold time.", value_damped},
	{"tcmu_device_cpu_seconds", "counter", "seconds", "CPU time of the I/O thread.", value_cpu},
	{"tcmu_device_rate_limited_seconds", "counter", "seconds",
	 "Time during which commands waited for the limits of the device.", value_limited},
	{"tcmu_device_expired_writes", "counter", NULL,
	 "Writes that ended after the kernel had given them up.", value_expired},
};

static void write_sample(
	const struct exposition *exposition, const struct device_family *family,
	const json_t *device)
{
	fprintf(exposition->out, "%s%s", family->name, suffix_of(family->type));
	write_label(exposition->out, '{', "device", member_text(device, "device"));
	fprintf(exposition->out, "} %.17g\n", family->value(device));
}

static void write_device_families(const struct exposition *exposition)
{
	for (size_t i = 0; i < sizeof(device_families) / sizeof(device_families[0]); i++) {
		const struct device_family *family = &device_families[i];
		const json_t *device;
		size_t at;

		write_head(exposition, family->name, family->type, family->unit, family->help);
		member_each (exposition->devices, at, device)
			write_sample(exposition, family, device);
	}
}

/* 1 for the state that the device is in, 0 for each other. */
static void write_states(const struct exposition *exposition)
{
	const json_t *states = json_object_get(exposition->dump, "states");
	const json_t *device, *state;
	size_t i, at;

	write_head(
		exposition, "tcmu_device_state", "gauge", NULL,
		"1: the device is in the state of the label.");
	member_each (exposition->devices, i, device)
		member_each (states, at, state) {
			fputs("tcmu_device_state", exposition->out);
			write_label(exposition->out, '{', "device", member_text(device, "device"));
			write_label(exposition->out, ',', "state", json_string_value(state));
			fprintf(exposition->out, "} %d\n",
				strcmp(member_text(device, "state"), json_string_value(state)) ==
					0);
		}
}

static void write_device_info(const struct exposition *exposition)
{
	const json_t *device;
	size_t i;

	write_head(
		exposition, "tcmu_device_info", "gauge", NULL,
		"The handler and the config string of the device.");
	member_each (exposition->devices, i, device) {
		fputs("tcmu_device_info", exposition->out);
		write_label(exposition->out, '{', "device", member_text(device, "device"));
		write_label(exposition->out, ',', "handler", member_text(device, "handler"));
		write_label(exposition->out, ',', "config", member_text(device, "config"));
		fputs("} 1\n", exposition->out);
	}
}

/* A sample of a counter with one label beside the device. */
static void write_labelled(
	FILE *out, const char *name, const json_t *device, const char *label_name,
	const char *label_value, double value)
{
	fprintf(out, "%s_total", name);
	write_label(out, '{', "device", member_text(device, "device"));
	write_label(out, ',', label_name, label_value);
	fprintf(out, "} %.0f\n", value);
}

static void write_by_class(
	const struct exposition *exposition, const char *name, const char *key, const char *unit,
	const char *help)
{
	const json_t *device;
	size_t i;

	write_head(exposition, name, "counter", unit, help);
	member_each (exposition->devices, i, device) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; member_next(classes, &class);)
			write_labelled(
				exposition->out, name, device, "class", class.key,
				member_number(class.value, key));
	}
}

static void write_by_key(
	const struct exposition *exposition, const char *name, const char *which,
	const char *label_name, const char *help)
{
	const json_t *device;
	size_t i;

	write_head(exposition, name, "counter", NULL, help);
	member_each (exposition->devices, i, device) {
		json_t *counts = json_object_get(stats_of(device), which);

		for (struct member count = {0}; member_next(counts, &count);)
			write_labelled(
				exposition->out, name, device, label_name, count.key,
				json_number_value(count.value));
	}
}

/* ------- histograms ------- */

static double answered_below(const json_t *latency, double ns)
{
	const json_t *bucket;
	double cnt = 0;
	size_t i;

	member_each (latency, i, bucket)
		if (json_is_number(json_array_get(bucket, 1)) &&
		    json_number_value(json_array_get(bucket, 1)) <= ns)
			cnt += json_number_value(json_array_get(bucket, 2));
	return cnt;
}

static double commands_answered(const json_t *latency)
{
	const json_t *bucket;
	double cnt = 0;
	size_t i;

	member_each (latency, i, bucket)
		cnt += json_number_value(json_array_get(bucket, 2));
	return cnt;
}

static void write_sample_name(FILE *out, const char *suffix, const char *device, const char *class)
{
	fprintf(out, "tcmu_device_command_duration_seconds%s", suffix);
	write_label(out, '{', "device", device);
	write_label(out, ',', "class", class);
}

static void write_histogram(FILE *out, const char *device, const char *class, const json_t *counts)
{
	const json_t *latency = json_object_get(counts, "latency_ns");

	for (int i = BOUND_FIRST; i <= BOUND_LAST; i++) {
		write_sample_name(out, "_bucket", device, class);
		fprintf(out, ",le=\"%.9f\"} %.0f\n", ldexp(1, i) / 1e9,
			answered_below(latency, ldexp(1, i)));
	}
	write_sample_name(out, "_bucket", device, class);
	fprintf(out, ",le=\"+Inf\"} %.0f\n", commands_answered(latency));
	write_sample_name(out, "_count", device, class);
	fprintf(out, "} %.0f\n", commands_answered(latency));
	write_sample_name(out, "_sum", device, class);
	fprintf(out, "} %.9f\n", member_number(counts, "total_ns") / 1e9);
}

static void write_histograms(const struct exposition *exposition)
{
	const json_t *device;
	size_t i;

	write_head(
		exposition, "tcmu_device_command_duration_seconds", "histogram", "seconds",
		"Time from the fetch of a command to its end.");
	member_each (exposition->devices, i, device) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; member_next(classes, &class);)
			write_histogram(
				exposition->out, member_text(device, "device"), class.key,
				class.value);
	}
}

/* ------- counters of handlers ------- */

/* The device's counter of this handler and name. NULL: it has none. */
static const json_t *find_counter(const json_t *device, const char *handler, const char *name)
{
	const json_t *counter;
	size_t i;

	if (strcmp(member_text(device, "handler"), handler) != 0)
		return NULL;
	member_each (json_object_get(stats_of(device), "counters"), i, counter)
		if (strcmp(member_text(counter, "name"), name) == 0)
			return counter;
	return NULL;
}

/* One family, of all devices; first: the first one of them. */
static void write_counter(
	const struct exposition *exposition, size_t first, const char *handler,
	const json_t *counter)
{
	const char *type = strcmp(member_text(counter, "type"), "gauge") == 0 ? "gauge" : "counter";
	const char *name = member_text(counter, "name");
	const json_t *device;
	char metric[128];

	(void) snprintf(metric, sizeof(metric), "tcmu_handler_%s_%s", handler, name);
	write_head(exposition, metric, type, NULL, member_text(counter, "help"));
	for (size_t i = first; (device = json_array_get(exposition->devices, i)); i++) {
		counter = find_counter(device, handler, name);
		if (!counter)
			continue;
		fprintf(exposition->out, "%s%s", metric, suffix_of(type));
		write_label(exposition->out, '{', "device", member_text(device, "device"));
		fprintf(exposition->out, "} %.0f\n", member_number(counter, "value"));
	}
}

static void write_handler_counters(const struct exposition *exposition)
{
	const json_t *device, *counter;

	for (size_t i = 0; (device = json_array_get(exposition->devices, i)); i++) {
		const char *handler = member_text(device, "handler");
		json_t *counters = json_object_get(stats_of(device), "counters");

		for (size_t j = 0; (counter = json_array_get(counters, j)); j++) {
			const char *name = member_text(counter, "name");
			size_t first = 0;

			while (!find_counter(
				json_array_get(exposition->devices, first), handler, name))
				first++;
			if (first == i)
				write_counter(exposition, first, handler, counter);
		}
	}
}

/* ------- the daemon ------- */

static void write_daemon_sample(
	const struct exposition *exposition, const char *name, const char *type, const char *unit,
	const char *help, double value)
{
	write_head(exposition, name, type, unit, help);
	fprintf(exposition->out, "%s%s %.17g\n", name, suffix_of(type), value);
}

static double count_orphans(const json_t *devices)
{
	const json_t *device;
	double cnt = 0;
	size_t i;

	member_each (devices, i, device)
		cnt += strcmp(member_text(device, "state"), "ORPHANED") == 0;
	return cnt;
}

static void write_daemon(const struct exposition *exposition)
{
	const json_t *process = json_object_get(exposition->dump, "process");

	write_head(exposition, "tcmu_daemon_info", "gauge", NULL, "The version of the daemon.");
	fputs("tcmu_daemon_info", exposition->out);
	write_label(exposition->out, '{', "version", member_text(exposition->dump, "version"));
	fputs("} 1\n", exposition->out);
	write_daemon_sample(
		exposition, "tcmu_daemon_start_time_seconds", "gauge", "seconds",
		"When the daemon started, since the epoch; it changes with each restart.",
		member_number(process, "start_time_seconds"));
	write_daemon_sample(
		exposition, "tcmu_daemon_open_fds", "gauge", NULL, "Open file descriptors.",
		member_number(process, "open_fds"));
	write_daemon_sample(
		exposition, "tcmu_daemon_max_fds", "gauge", NULL,
		"How many file descriptors may be open.", member_number(process, "max_fds"));
	write_daemon_sample(
		exposition, "tcmu_daemon_threads", "gauge", NULL, "Threads.",
		member_number(process, "threads"));
	write_daemon_sample(
		exposition, "tcmu_daemon_resident_memory_bytes", "gauge", "bytes",
		"Resident memory; the rings are part of it.",
		member_number(process, "resident_memory_bytes"));
	write_daemon_sample(
		exposition, "tcmu_daemon_log_messages_lost", "counter", NULL,
		"Log messages that were dropped because the log was written too slowly.",
		member_number(process, "log_messages_lost"));
	write_daemon_sample(
		exposition, "tcmu_daemon_longest_stall_seconds", "gauge", "seconds",
		"The longest time that the main loop has not answered.",
		member_number(exposition->dump, "longest_stall_seconds"));
	write_daemon_sample(
		exposition, "tcmu_daemon_orphaned_devices", "gauge", NULL,
		"Deleted devices whose backend has not returned its last requests.",
		count_orphans(json_object_get(exposition->dump, "devices")));
	write_daemon_sample(
		exposition, "tcmu_daemon_unserved_devices", "gauge", NULL,
		"Devices of the kernel that this daemon does not serve.",
		(double) json_array_size(json_object_get(exposition->dump, "others")));
}

/* A device may have the name of an older one that is still being released, or is an orphan. A
 * sample that comes twice makes the whole text invalid. */
static json_t *newest_devices(const json_t *all)
{
	json_t *newest = json_object(), *devices = json_array(), *device;
	size_t i;

	member_each (all, i, device)
		(void) json_object_set(newest, member_text(device, "device"), device);
	for (struct member member = {0}; member_next(newest, &member);)
		(void) json_array_append(devices, member.value);
	json_decref(newest);
	return devices;
}

void metrics_write(FILE *out, const json_t *dump, enum metrics_format format)
{
	struct exposition exposition = {
		.out = out,
		.format = format,
		.dump = dump,
		.devices = newest_devices(json_object_get(dump, "devices")),
	};

	write_daemon_sample(
		&exposition, "tcmu_daemon_up", "gauge", NULL, "1: the daemon answers.", !!dump);
	if (dump) {
		write_daemon(&exposition);
		write_device_info(&exposition);
		write_device_families(&exposition);
		write_states(&exposition);
		write_by_class(
			&exposition, "tcmu_device_commands", "commands", NULL,
			"Commands that have ended.");
		write_by_class(
			&exposition, "tcmu_device_failed_commands", "failed", NULL,
			"Commands that have ended neither with GOOD nor with BUSY.");
		write_by_class(
			&exposition, "tcmu_device_data_bytes", "bytes", "bytes",
			"Data of commands that have ended with GOOD.");
		write_by_key(
			&exposition, "tcmu_device_check_conditions", "sense_keys", "sense_key",
			"CHECK CONDITIONs.");
		write_by_key(
			&exposition, "tcmu_device_other_ends", "other_ends", "status",
			"Commands that have ended neither with GOOD nor with CHECK CONDITION.");
		write_histograms(&exposition);
		write_handler_counters(&exposition);
	}
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out);
	json_decref(exposition.devices);
}
