/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function for each family of metrics. A histogram has a bound at each power of two from 4 us
 * to 34 s; they are bounds of the daemon's own buckets, so that what is told is exact.
 */
#include "metrics.h"

#include <math.h>
#include <string.h>

#include "show.h"

#define BOUND_FIRST 12 /* 2^12 ns */
#define BOUND_LAST  35

struct family {
	FILE *out;
	const json_t *devices;
};

static void head(
	const struct family *family, const char *name, const char *type, const char *unit,
	const char *help)
{
	fprintf(family->out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(family->out, "# UNIT %s %s\n", name, unit);
	fprintf(family->out, "# HELP %s %s\n", name, help);
}

/* A label's value, with its quotes. */
static void quoted(FILE *out, const char *text)
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

static void label(FILE *out, char before, const char *name, const char *value)
{
	fprintf(out, "%c%s=", before, name);
	quoted(out, value);
}

static const json_t *stats_of(const json_t *device)
{
	return json_object_get(device, "stats");
}

static void simple(
	const struct family *family, const char *name, const char *suffix,
	double (*value)(const json_t *device))
{
	const json_t *device;
	size_t i;

	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		fprintf(family->out, "%s%s", name, suffix);
		label(family->out, '{', "device", text_of(device, "device"));
		fprintf(family->out, "} %.17g\n", value(device));
	}
}

static double up(const json_t *device)
{
	return strcmp(text_of(device, "state"), "LIVE") == 0;
}

static double size(const json_t *device)
{
	return number_of(device, "size");
}

static double in_flight(const json_t *device)
{
	return number_of(device, "in_flight");
}

static double cpu(const json_t *device)
{
	return number_of(stats_of(device), "cpu_ns") / 1e9;
}

static void details(const struct family *family)
{
	const json_t *device;
	size_t i;

	head(family, "tcmu_device_info", "gauge", NULL, "What the device is made of.");
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		fputs("tcmu_device_info", family->out);
		label(family->out, '{', "device", text_of(device, "device"));
		label(family->out, ',', "handler", text_of(device, "handler"));
		label(family->out, ',', "config", text_of(device, "config"));
		fputs("} 1\n", family->out);
	}
}

/* A sample of a counter with one label beside the device. */
static void labelled(
	FILE *out, const char *name, const json_t *device, const char *label_name,
	const char *label_value, double value)
{
	fprintf(out, "%s_total", name);
	label(out, '{', "device", text_of(device, "device"));
	label(out, ',', label_name, label_value);
	fprintf(out, "} %.0f\n", value);
}

static void by_class(
	const struct family *family, const char *name, const char *key, const char *unit,
	const char *help)
{
	const json_t *device;
	size_t i;

	head(family, name, "counter", unit, help);
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; next_member(classes, &class);)
			labelled(
				family->out, name, device, "class", class.key,
				number_of(class.value, key));
	}
}

static void by_key(
	const struct family *family, const char *name, const char *which, const char *label_name,
	const char *help)
{
	const json_t *device;
	size_t i;

	head(family, name, "counter", NULL, help);
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *counts = json_object_get(stats_of(device), which);

		for (struct member count = {0}; next_member(counts, &count);)
			labelled(
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

static double answered(const json_t *latency)
{
	const json_t *bucket;
	double cnt = 0;
	size_t i;

	for (i = 0; (bucket = json_array_get(latency, i)); i++)
		cnt += json_number_value(json_array_get(bucket, 2));
	return cnt;
}

static void sample(FILE *out, const char *suffix, const char *device, const char *class)
{
	fprintf(out, "tcmu_device_command_duration_seconds%s", suffix);
	label(out, '{', "device", device);
	label(out, ',', "class", class);
}

static void histogram(FILE *out, const char *device, const char *class, const json_t *counts)
{
	const json_t *latency = json_object_get(counts, "latency_ns");

	for (int i = BOUND_FIRST; i <= BOUND_LAST; i++) {
		sample(out, "_bucket", device, class);
		fprintf(out, ",le=\"%.9f\"} %.0f\n", ldexp(1, i) / 1e9,
			answered_below(latency, ldexp(1, i)));
	}
	sample(out, "_bucket", device, class);
	fprintf(out, ",le=\"+Inf\"} %.0f\n", answered(latency));
	sample(out, "_count", device, class);
	fprintf(out, "} %.0f\n", answered(latency));
	sample(out, "_sum", device, class);
	fprintf(out, "} %.9f\n", number_of(counts, "total_ns") / 1e9);
}

static void histograms(const struct family *family)
{
	const json_t *device;
	size_t i;

	head(family, "tcmu_device_command_duration_seconds", "histogram", "seconds",
	     "From the fetch of a command to its answer.");
	for (i = 0; (device = json_array_get(family->devices, i)); i++) {
		json_t *classes = json_object_get(stats_of(device), "classes");

		for (struct member class = {0}; next_member(classes, &class);)
			histogram(family->out, text_of(device, "device"), class.key, class.value);
	}
}

void metrics_write(FILE *out, const json_t *dump)
{
	struct family family = {.out = out, .devices = json_object_get(dump, "devices")};

	head(&family, "tcmu_daemon_info", "gauge", NULL, "The daemon that serves.");
	fputs("tcmu_daemon_info", out);
	label(out, '{', "version", text_of(dump, "version"));
	fputs("} 1\n", out);
	details(&family);
	head(&family, "tcmu_device_up", "gauge", NULL, "1 where the device is served.");
	simple(&family, "tcmu_device_up", "", up);
	head(&family, "tcmu_device_size_bytes", "gauge", "bytes", "The capacity.");
	simple(&family, "tcmu_device_size_bytes", "", size);
	head(&family, "tcmu_device_inflight", "gauge", NULL, "Commands that are under way.");
	simple(&family, "tcmu_device_inflight", "", in_flight);
	head(&family, "tcmu_device_cpu_seconds", "counter", "seconds",
	     "Processor time of the I/O thread.");
	simple(&family, "tcmu_device_cpu_seconds", "_total", cpu);
	by_class(&family, "tcmu_device_commands", "commands", NULL, "Commands that were answered.");
	by_class(
		&family, "tcmu_device_failed_commands", "failed", NULL,
		"Commands that were not answered with GOOD.");
	by_class(
		&family, "tcmu_device_data_bytes", "bytes", "bytes",
		"Data of commands that were answered with GOOD.");
	by_key(&family, "tcmu_device_check_conditions", "sense_keys", "sense_key",
	       "CHECK CONDITIONs.");
	by_key(&family, "tcmu_device_other_ends", "other_ends", "status",
	       "Ends that are neither GOOD nor a CHECK CONDITION.");
	histograms(&family);
	fputs("# EOF\n", out);
}
