/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <string.h>

#include "rates.h"
#include "table.h"

const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double number_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool next_member(json_t *object, struct member *member)
{
	member->at = member->at ? json_object_iter_next(object, member->at)
				: json_object_iter(object);
	if (!member->at)
		return false;
	member->key = json_object_iter_key(member->at);
	member->value = json_object_iter_value(member->at);
	return true;
}

const char *show_size(double bytes, char buffer[24])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		i++;
	}
	(void) snprintf(
		buffer, 24,
		bytes < 10 && i            ? "%.2f %s"
			: bytes < 100 && i ? "%.1f %s"
					   : "%.0f %s",
		bytes, units[i]);
	return buffer;
}

const char *show_time(double seconds, char buffer[24])
{
	if (seconds <= 0)
		(void) snprintf(buffer, 24, "0");
	else if (seconds < 1e-3)
		(void) snprintf(buffer, 24, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		(void) snprintf(buffer, 24, "%.2f ms", seconds * 1e3);
	else
		(void) snprintf(buffer, 24, "%.1f s", seconds);
	return buffer;
}

void show_list(FILE *out, const json_t *result)
{
	static const char *const titles[] = {"<DEVICE", "<STATE",   "SIZE", "IN FLIGHT",
					     "<CONFIG", "<PROBLEM", NULL};
	struct table *table = table_new(titles);
	const json_t *device;
	char size[24];
	size_t i;

	for (i = 0; (device = json_array_get(json_object_get(result, "devices"), i)); i++) {
		table_add(table, "%s", text_of(device, "device"));
		table_add(table, "%s", text_of(device, "state"));
		table_add(table, "%s", show_size(number_of(device, "size"), size));
		table_add(table, "%.0f", number_of(device, "in_flight"));
		table_add(table, "%s", text_of(device, "config"));
		table_add(table, "%s", text_of(device, "problem"));
	}
	for (i = 0; (device = json_array_get(json_object_get(result, "others"), i)); i++) {
		table_add(table, "%s", text_of(device, "device"));
		table_add(table, "not ours");
		table_add(table, "-");
		table_add(table, "-");
		table_add(table, "%s", text_of(device, "config"));
		table_add(table, "%s", text_of(device, "problem"));
	}
	table_end(table, out);
}

/* ------- totals ------- */

static void add_class(
	struct table *table, const char *device, const char *name, const json_t *class)
{
	const json_t *latency = json_object_get(class, "latency_ns");
	double commands = number_of(class, "commands");
	char text[24];

	if (commands <= 0)
		return;
	table_add(table, "%s", device);
	table_add(table, "%s", name);
	table_add(table, "%.0f", commands);
	table_add(table, "%.0f", number_of(class, "failed"));
	table_add(table, "%s", show_size(number_of(class, "bytes"), text));
	table_add(table, "%s", show_time(number_of(class, "total_ns") / commands / 1e9, text));
	table_add(table, "%s", show_time(rates_percentile(latency, NULL, 0.50), text));
	table_add(table, "%s", show_time(rates_percentile(latency, NULL, 0.99), text));
	table_add(table, "%s", show_time(rates_percentile(latency, NULL, 1.0), text));
}

static void add_classes(struct table *table, const json_t *stats)
{
	for (struct member class = {0}; next_member(json_object_get(stats, "classes"), &class);)
		add_class(table, text_of(stats, "device"), class.key, class.value);
}

static const char *const totals[] = {"<DEVICE", "<CLASS", "COMMANDS", "FAILED", "DATA",
				     "MEAN",    "P50",    "P99",      "MAX",    NULL};

void show_totals(FILE *out, const json_t *result)
{
	struct table *table = table_new(totals);
	const json_t *device;
	size_t i;

	for (i = 0; (device = json_array_get(json_object_get(result, "devices"), i)); i++)
		add_classes(table, device);
	table_end(table, out);
}

/* ------- status ------- */

static void show_line(FILE *out, const char *name, const char *value)
{
	if (*value)
		fprintf(out, "%-14s %s\n", name, value);
}

static void show_counts(FILE *out, const char *name, json_t *counts)
{
	for (struct member count = {0}; next_member(counts, &count);)
		fprintf(out, "%-14s %s %.0f\n", name, count.key, json_number_value(count.value));
}

void show_status(FILE *out, const json_t *result)
{
	const json_t *stats = json_object_get(result, "stats");
	const json_t *last = json_object_get(stats, "last_sense");
	struct table *table;
	char text[24];

	show_line(out, "device", text_of(result, "device"));
	fprintf(out, "%-14s uio%.0f\n", "node", number_of(result, "uio"));
	show_line(out, "config", text_of(result, "config"));
	fprintf(out, "%-14s %s for %.0f s\n", "state", text_of(result, "state"),
		number_of(result, "state_seconds"));
	show_line(out, "problem", text_of(result, "problem"));
	fprintf(out, "%-14s %.0f bytes (%s), blocks of %.0f\n", "size", number_of(result, "size"),
		show_size(number_of(result, "size"), text), number_of(result, "block_size"));
	show_line(out, "serial", text_of(result, "serial"));
	show_line(
		out, "write cache",
		json_is_true(json_object_get(result, "write_cache")) ? "on" : "off");
	fprintf(out, "%-14s %.0f, %.0f of them in the backend\n", "in flight",
		number_of(result, "in_flight"), number_of(result, "in_backend"));
	fprintf(out, "%-14s %.2f s of the I/O thread\n", "processor",
		number_of(stats, "cpu_ns") / 1e9);
	show_counts(out, "errors", json_object_get(stats, "sense_keys"));
	show_counts(out, "other ends", json_object_get(stats, "other_ends"));
	if (json_is_object(last))
		fprintf(out, "%-14s %s, %s, %.0f s ago\n", "last sense", text_of(last, "operation"),
			text_of(last, "sense"), number_of(last, "age_seconds"));
	table = table_new(totals);
	add_classes(table, stats);
	fputc('\n', out);
	table_end(table, out);
}

/* ------- the others ------- */

static void add_number(struct table *table, const json_t *value)
{
	if (json_is_integer(value))
		table_add(table, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		table_add(table, "-");
}

void show_inflight(FILE *out, const json_t *result)
{
	static const char *const titles[] = {"AGE",   "<OPERATION", "LBA", "BLOCKS",
					     "BYTES", "<CDB",       NULL};
	struct table *table = table_new(titles);
	const json_t *request;
	char age[24];
	size_t i;

	for (i = 0; (request = json_array_get(json_object_get(result, "requests"), i)); i++) {
		table_add(table, "%s", show_time(number_of(request, "age_seconds"), age));
		table_add(table, "%s", text_of(request, "operation"));
		add_number(table, json_object_get(request, "lba"));
		add_number(table, json_object_get(request, "blocks"));
		table_add(table, "%.0f", number_of(request, "bytes"));
		table_add(table, "%s", text_of(request, "cdb"));
	}
	table_end(table, out);
}

void show_handlers(FILE *out, const json_t *result)
{
	static const char *const titles[] = {"<HANDLER", "DEVICES", "<FILE", "<PROBLEM", NULL};
	struct table *table = table_new(titles);
	const json_t *handler;
	size_t i;

	for (i = 0; (handler = json_array_get(json_object_get(result, "handlers"), i)); i++) {
		table_add(table, "%s", text_of(handler, "handler"));
		table_add(table, "%.0f", number_of(handler, "devices"));
		table_add(table, "%s", text_of(handler, "file"));
		table_add(table, "%s", text_of(handler, "problem"));
	}
	table_end(table, out);
}
