/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function for each family of metrics. A histogram has a bound at each power of two from 4 us
 * to 34 s. These are bounds of the daemon's own buckets, so the numbers are exact.
 */
#include "metrics.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "members.h"

#define BOUND_FIRST 12 /* 2^12 ns */
#define BOUND_LAST  35

struct family {
	FILE *out;
	const json_t *devices;
};

static void write_head(
	const struct family *family, const char *name, const char *type, const char *unit,
	const char *help)
{
	fprintf(family->out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(family->out, "# UNIT %s %s\n", name, unit);
	fprintf(family->out, "# HELP %s %s\n", name, help);
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

static void write_simple(
	const struct family *family, const char *name, const char *suffix,
	double (*value)(const json_t *device))
{
	const json_t *device;
	size_t i;

	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		fprintf(family->out, "%s%s", name, suffix);
		write_label(family->out, '{', "device", member_text(device, "device"));
		fprintf(family->out, "} %.17g\n", value(device));
	}
}

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

static void write_device_info(const struct family *family)
{
	const json_t *device;
	size_t i;

	write_head(
		family, "tcmu_device_info", "gauge", NULL,
		"The handler and the config string of the device.");
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		fputs("tcmu_device_info", family->out);
		write_label(family->out, '{', "device", member_text(device, "device"));
		write_label(family->out, ',', "handler", member_text(device, "handler"));
		write_label(family->out, ',', "config", member_text(device, "config"));
		fputs("} 1\n", family->out);
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
	const struct family *family, const char *name, const char *key, const char *unit,
	const char *help)
{
	const json_t *device;
	size_t i;

	write_head(family, name, "counter", unit, help);
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; member_next(classes, &class);)
			write_labelled(
				family->out, name, device, "class", class.key,
				member_number(class.value, key));
	}
}

static void write_by_key(
	const struct family *family, const char *name, const char *which, const char *label_name,
	const char *help)
{
	const json_t *device;
	size_t i;

	write_head(family, name, "counter", NULL, help);
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *counts = json_object_get(stats_of(device), which);

		for (struct member count = {0}; member_next(counts, &count);)
			write_labelled(
				family->out, name, device, label_name, count.key,
				json_number_value(count.value));
	}
}

/* ------- histograms ------- */

static double answered_below(const json_t *latency, double ns)
{
	const json_t *bucket;
	double cnt = 0;
	size_t i;

	for (i = 0; (bucket = json_array_get(latency, i)); i++)
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

	for (i = 0; (bucket = json_array_get(latency, i)); i++)
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

static void write_histograms(const struct family *family)
{
	const json_t *device;
	size_t i;

	write_head(
		family, "tcmu_device_command_duration_seconds", "histogram", "seconds",
		"Time from the fetch of a command to its end.");
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; member_next(classes, &class);)
			write_histogram(
				family->out, member_text(device, "device"), class.key, class.value);
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
	for (i = 0; (counter = json_array_get(json_object_get(stats_of(device), "counters"), i));
	     i++)
		if (strcmp(member_text(counter, "name"), name) == 0)
			return counter;
	return NULL;
}

/* One family, of all devices; first: the first one of them. */
static void write_counter(
	const struct family *family, size_t first, const char *handler, const json_t *counter)
{
	bool gauge = strcmp(member_text(counter, "type"), "gauge") == 0;
	const char *name = member_text(counter, "name");
	const json_t *device;
	char metric[128];

	(void) snprintf(metric, sizeof(metric), "tcmu_handler_%s_%s", handler, name);
	fprintf(family->out, "# TYPE %s %s\n# HELP %s ", metric, gauge ? "gauge" : "counter",
		metric);
	for (const char *c = member_text(counter, "help"); *c; c++)
		fputs(*c == '\\' ? "\\\\" : *c == '\n' ? " " : (char[]){*c, '\0'}, family->out);
	fputc('\n', family->out);
	for (size_t i = first; (device = json_array_get(family->devices, i)); i++) {
		counter = find_counter(device, handler, name);
		if (!counter)
			continue;
		fprintf(family->out, "%s%s", metric, gauge ? "" : "_total");
		write_label(family->out, '{', "device", member_text(device, "device"));
		fprintf(family->out, "} %.0f\n", member_number(counter, "value"));
	}
}

static void write_handler_counters(const struct family *family)
{
	const json_t *device, *counter;

	for (size_t i = 0; (device = json_array_get(family->devices, i)); i++) {
		const char *handler = member_text(device, "handler");
		json_t *counters = json_object_get(stats_of(device), "counters");

		for (size_t j = 0; (counter = json_array_get(counters, j)); j++) {
			const char *name = member_text(counter, "name");
			size_t first = 0;

			while (!find_counter(json_array_get(family->devices, first), handler, name))
				first++;
			if (first == i)
				write_counter(family, first, handler, counter);
		}
	}
}

void metrics_write(FILE *out, const json_t *dump)
{
	struct family family = {.out = out, .devices = json_object_get(dump, "devices")};

	write_head(&family, "tcmu_daemon_info", "gauge", NULL, "The version of the daemon.");
	fputs("tcmu_daemon_info", out);
	write_label(out, '{', "version", member_text(dump, "version"));
	fputs("} 1\n", out);
	write_device_info(&family);
	write_head(&family, "tcmu_device_up", "gauge", NULL, "1: the device is LIVE.");
	write_simple(&family, "tcmu_device_up", "", value_up);
	write_head(&family, "tcmu_device_size_bytes", "gauge", "bytes", "Capacity.");
	write_simple(&family, "tcmu_device_size_bytes", "", value_size);
	write_head(&family, "tcmu_device_inflight", "gauge", NULL, "Commands in flight.");
	write_simple(&family, "tcmu_device_inflight", "", value_in_flight);
	write_head(
		&family, "tcmu_device_lock_held", "gauge", NULL,
		"1: the device is shared, and this host has the lock.");
	write_simple(&family, "tcmu_device_lock_held", "", value_lock);
	write_head(
		&family, "tcmu_device_lock_takeovers", "counter", NULL,
		"Times that this host has taken the lock.");
	write_simple(&family, "tcmu_device_lock_takeovers", "_total", value_takeovers);
	write_head(
		&family, "tcmu_device_lock_damped", "counter", NULL,
		"Commands that did not take the lock back during the minimum hold time.");
	write_simple(&family, "tcmu_device_lock_damped", "_total", value_damped);
	write_head(
		&family, "tcmu_device_cpu_seconds", "counter", "seconds",
		"CPU time of the I/O thread.");
	write_simple(&family, "tcmu_device_cpu_seconds", "_total", value_cpu);
	write_by_class(
		&family, "tcmu_device_commands", "commands", NULL, "Commands that have ended.");
	write_by_class(
		&family, "tcmu_device_failed_commands", "failed", NULL,
		"Commands that have ended neither with GOOD nor with BUSY.");
	write_by_class(
		&family, "tcmu_device_data_bytes", "bytes", "bytes",
		"Data of commands that have ended with GOOD.");
	write_by_key(
		&family, "tcmu_device_check_conditions", "sense_keys", "sense_key",
		"CHECK CONDITIONs.");
	write_by_key(
		&family, "tcmu_device_other_ends", "other_ends", "status",
		"Commands that have ended neither with GOOD nor with CHECK CONDITION.");
	write_histograms(&family);
	write_handler_counters(&family);
	fputs("# EOF\n", out);
}
