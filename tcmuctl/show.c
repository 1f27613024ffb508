/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <stdbool.h>
#include <string.h>

#include "health.h"
#include "members.h"
#include "rates.h"
#include "table.h"

void show_fenced(FILE *out, const json_t *result)
{
	const json_t *device;
	size_t i;

	member_each (json_object_get(result, "devices"), i, device)
		if (json_is_true(json_object_get(device, "fenced")))
			fprintf(out,
				"%s: its old connection is not closed yet (%s, %.0f in flight)\n",
				member_text(device, "device"), member_text(device, "state"),
				member_number(device, "in_backend"));
	if (member_number(result, "given_up") > 0)
		fprintf(out,
			"connections that were ended, and keep memory and threads until tcmud "
			"ends: %.0f\n",
			member_number(result, "given_up"));
}

/* A column for the lock is there only if a device is shared. */
static bool list_has_locks(const json_t *devices)
{
	const json_t *device;
	size_t i;

	member_each (devices, i, device)
		if (json_is_string(json_object_get(device, "lock")))
			return true;
	return false;
}

/* Whether this host is the lock holder. While that changes, or the cluster does not confirm it, it
 * is not known. */
static const char *list_lock(const json_t *device)
{
	static const char *const without[] = {"unlocked", "paused", "locked elsewhere"};
	const char *lock = member_text(device, "lock");

	if (!json_is_string(json_object_get(device, "lock")))
		return "-";
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (strcmp(lock, without[i]) == 0)
			return "no";
	return strcmp(lock, "locked") == 0 ? "yes" : "?";
}

static void list_add_device(struct table *table, const json_t *device, bool locks)
{
	char size[TABLE_TEXT_SIZE];

	table_add(table, "%s", member_text(device, "device"));
	table_add(table, "%s", member_text(device, "state"));
	if (locks)
		table_add(table, "%s", list_lock(device));
	table_add(table, "%s", table_size(member_number(device, "size"), size));
	table_add(table, "%.0f", member_number(device, "in_flight"));
	table_add(table, "%s", member_text(device, "config"));
	table_add(
		table, "%s",
		*member_text(device, "problem") ? member_text(device, "problem")
						: member_text(device, "health"));
}

static void list_add_other(struct table *table, const json_t *device, bool locks)
{
	table_add(table, "%s", member_text(device, "device"));
	table_add(table, "UNSERVED");
	if (locks)
		table_add(table, "-");
	table_add(table, "-");
	table_add(table, "-");
	table_add(table, "%s", member_text(device, "config"));
	table_add(table, "%s", member_text(device, "problem"));
}

/* Devices that are not well come first, then those of others. */
void show_list(FILE *out, const json_t *result)
{
	static const char *const titles[] = {"<DEVICE", "<STATE",   "SIZE", "IN FLIGHT",
					     "~CONFIG", "~PROBLEM", NULL};
	static const char *const with_lock[] = {"<DEVICE",   "<STATE",  "<LOCK",    "SIZE",
						"IN FLIGHT", "~CONFIG", "~PROBLEM", NULL};
	const json_t *devices = json_object_get(result, "devices"), *device;
	bool locks = list_has_locks(devices);
	struct table *table = table_new(locks ? with_lock : titles);
	size_t i;

	member_each (devices, i, device)
		if (!health_is_well(device))
			list_add_device(table, device, locks);
	member_each (json_object_get(result, "others"), i, device)
		list_add_other(table, device, locks);
	member_each (devices, i, device)
		if (health_is_well(device))
			list_add_device(table, device, locks);
	table_end(table, out);
}

/* ------- totals ------- */

static void add_class(
	struct table *table, const char *device, const char *name, const json_t *class)
{
	const json_t *latency = json_object_get(class, "latency_ns");
	double commands = member_number(class, "commands");
	char text[TABLE_TEXT_SIZE];

	if (commands <= 0)
		return;
	table_add(table, "%s", device);
	table_add(table, "%s", name);
	table_add(table, "%.0f", commands);
	table_add(table, "%.0f", member_number(class, "failed"));
	table_add(table, "%s", table_size(member_number(class, "bytes"), text));
	table_add(table, "%s", table_time(member_number(class, "total_ns") / commands / 1e9, text));
	table_add(table, "%s", table_time(rates_percentile(latency, NULL, 0.50), text));
	table_add(table, "%s", table_time(rates_percentile(latency, NULL, 0.99), text));
	table_add(table, "%s", table_time(rates_percentile(latency, NULL, 1.0), text));
}

static void add_classes(struct table *table, const json_t *stats)
{
	for (struct member class = {0}; member_next(json_object_get(stats, "classes"), &class);)
		add_class(table, member_text(stats, "device"), class.key, class.value);
}

/* The numbers of the device's handler. */
static void add_counters(struct table *table, const json_t *stats)
{
	const json_t *counter;
	size_t i;

	member_each (json_object_get(stats, "counters"), i, counter) {
		table_add(table, "%s", member_text(stats, "device"));
		table_add(table, "%s", member_text(counter, "name"));
		table_add(table, "%.0f", member_number(counter, "value"));
		table_add(table, "%s", member_text(counter, "help"));
	}
}

static void show_counters(FILE *out, const json_t *devices)
{
	static const char *const titles[] = {"<DEVICE", "<COUNTER", "VALUE", "~MEANING", NULL};
	struct table *table;
	const json_t *device;
	size_t i, count = 0;

	member_each (devices, i, device)
		count += json_array_size(json_object_get(device, "counters"));
	if (!count)
		return;
	table = table_new(titles);
	member_each (devices, i, device)
		add_counters(table, device);
	fputc('\n', out);
	table_end(table, out);
}

static const char *const totals[] = {"<DEVICE", "<CLASS", "COMMANDS", "FAILED", "DATA",
				     "MEAN",    "P50",    "P99",      "MAX",    NULL};

void show_totals(FILE *out, const json_t *result)
{
	struct table *table = table_new(totals);
	const json_t *device;
	size_t i;

	member_each (json_object_get(result, "devices"), i, device)
		add_classes(table, device);
	table_end(table, out);
	show_counters(out, json_object_get(result, "devices"));
}

/* ------- status ------- */

static void show_line(FILE *out, const char *name, const char *value)
{
	if (*value)
		fprintf(out, "%-14s %s\n", name, value);
}

static void show_counts(FILE *out, const char *name, json_t *counts)
{
	for (struct member count = {0}; member_next(counts, &count);)
		fprintf(out, "%-14s %s %.0f\n", name, count.key, json_number_value(count.value));
}

static void show_handler_counters(FILE *out, const json_t *stats)
{
	const json_t *counter;
	size_t i;

	member_each (json_object_get(stats, "counters"), i, counter)
		fprintf(out, "%-14s %s %.0f\n", "counter", member_text(counter, "name"),
			member_number(counter, "value"));
}

/* Only where there are some. */
static void show_limits(FILE *out, const json_t *limits)
{
	static const char *const names[] = {"iops", "bps", "burst"};
	bool any = member_number(limits, "iops") > 0 || member_number(limits, "bps") > 0;

	for (size_t i = 0; any && i < sizeof(names) / sizeof(names[0]); i++)
		if (member_number(limits, names[i]) > 0)
			fprintf(out, "%-14s %s %.0f\n", "limit", names[i],
				member_number(limits, names[i]));
}

void show_status(FILE *out, const json_t *result)
{
	const json_t *stats = json_object_get(result, "stats");
	const json_t *last = json_object_get(stats, "last_sense");
	struct table *table;
	char text[TABLE_TEXT_SIZE];

	show_line(out, "device", member_text(result, "device"));
	fprintf(out, "%-14s uio%.0f\n", "node", member_number(result, "uio"));
	show_line(out, "config", member_text(result, "config"));
	fprintf(out, "%-14s %s for %.0f s\n", "state", member_text(result, "state"),
		member_number(result, "state_seconds"));
	show_line(out, "problem", member_text(result, "problem"));
	show_line(out, "health", member_text(result, "health"));
	fprintf(out, "%-14s %.0f bytes (%s), blocks of %.0f\n", "size",
		member_number(result, "size"), table_size(member_number(result, "size"), text),
		member_number(result, "block_size"));
	if (json_is_string(json_object_get(result, "lock")))
		fprintf(out, "%-14s %s; the lock holder's group is %.0f; taken %.0f times\n",
			"lock", member_text(result, "lock"), member_number(result, "lock_group"),
			member_number(result, "takeovers"));
	show_limits(out, json_object_get(result, "limits"));
	show_line(out, "serial", member_text(result, "serial"));
	show_line(
		out, "write cache",
		json_is_true(json_object_get(result, "write_cache")) ? "on" : "off");
	fprintf(out, "%-14s %.0f, %.0f of them in the backend\n", "in flight",
		member_number(result, "in_flight"), member_number(result, "in_backend"));
	fprintf(out, "%-14s %.2f s of the I/O thread\n", "CPU time",
		member_number(stats, "cpu_ns") / 1e9);
	show_counts(out, "errors", json_object_get(stats, "sense_keys"));
	show_counts(out, "other ends", json_object_get(stats, "other_ends"));
	show_handler_counters(out, stats);
	if (json_is_object(last))
		fprintf(out, "%-14s %s, %s, %.0f s ago\n", "last sense",
			member_text(last, "operation"), member_text(last, "sense"),
			member_number(last, "age_seconds"));
	table = table_new(totals);
	add_classes(table, stats);
	fputc('\n', out);
	table_end(table, out);
}

/* ------- commands and handlers ------- */

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
					     "BYTES", "~CDB",       NULL};
	struct table *table = table_new(titles);
	const json_t *request;
	char age[TABLE_TEXT_SIZE];
	size_t i;

	member_each (json_object_get(result, "requests"), i, request) {
		table_add(table, "%s", table_time(member_number(request, "age_seconds"), age));
		table_add(table, "%s", member_text(request, "operation"));
		add_number(table, json_object_get(request, "lba"));
		add_number(table, json_object_get(request, "blocks"));
		table_add(table, "%.0f", member_number(request, "bytes"));
		table_add(table, "%s", member_text(request, "cdb"));
	}
	table_end(table, out);
}

void show_handlers(FILE *out, const json_t *result)
{
	static const char *const titles[] = {"<HANDLER", "DEVICES",  "<VERSION",
					     "~FILE",    "~PROBLEM", NULL};
	struct table *table = table_new(titles);
	const json_t *handler;
	size_t i;

	member_each (json_object_get(result, "handlers"), i, handler) {
		table_add(table, "%s", member_text(handler, "handler"));
		table_add(table, "%.0f", member_number(handler, "devices"));
		table_add(table, "%s", member_text(handler, "version"));
		table_add(table, "%s", member_text(handler, "file"));
		table_add(table, "%s", member_text(handler, "problem"));
	}
	table_end(table, out);
}
