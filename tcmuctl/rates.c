/* SPDX-License-Identifier: Apache-2.0 */
#include "rates.h"

#include <stdlib.h>
#include <string.h>

#include "members.h"
#include "table.h"

#define WIDE_MIN 110 /* columns of the terminal for all columns of the table */

/* ------- histograms: [from, below, count] in ns ------- */

static double bucket_member(const json_t *bucket, size_t i)
{
	return json_number_value(json_array_get(bucket, i));
}

static double count_in(const json_t *latency, double from)
{
	const json_t *bucket;
	size_t i;

	member_each (latency, i, bucket)
		if (bucket_member(bucket, 0) == from)
			return bucket_member(bucket, 2);
	return 0;
}

static double count_between(const json_t *bucket, const json_t *before)
{
	return bucket_member(bucket, 2) - (before ? count_in(before, bucket_member(bucket, 0)) : 0);
}

double rates_percentile(const json_t *latency, const json_t *before, double part)
{
	double total = 0, seen = 0, last = 0;
	const json_t *bucket;
	size_t i;

	member_each (latency, i, bucket)
		total += count_between(bucket, before);
	member_each (latency, i, bucket) {
		double cnt = count_between(bucket, before);
		double from = bucket_member(bucket, 0), below = bucket_member(bucket, 1);

		if (cnt <= 0)
			continue;
		last = below > from ? below : from;
		if (seen + cnt >= part * total) {
			double inside = (part * total - seen) / cnt;

			return below > from ? (from + (below - from) * inside) / 1e9 : from / 1e9;
		}
		seen += cnt;
	}
	return last / 1e9;
}

/* ------- one device ------- */

static const json_t *member_class(const json_t *device, const char *name)
{
	return json_object_get(json_object_get(device, "classes"), name);
}

static double growth_of(const json_t *before, const json_t *now, const char *key)
{
	return member_number(now, key) - member_number(before, key);
}

static json_t *latency_between(const json_t *before, const json_t *now)
{
	const json_t *was = json_object_get(before, "latency_ns"),
		     *is = json_object_get(now, "latency_ns");
	double commands = growth_of(before, now, "commands");

	return json_pack(
		"{sf sf sf sf sf sf}", "mean",
		commands > 0 ? growth_of(before, now, "total_ns") / commands / 1e9 : 0.0, "p50",
		rates_percentile(is, was, 0.50), "p90", rates_percentile(is, was, 0.90), "p99",
		rates_percentile(is, was, 0.99), "p999", rates_percentile(is, was, 0.999), "max",
		rates_percentile(is, was, 1.0));
}

static double of_all_classes(const json_t *before, const json_t *now, const char *key)
{
	double sum = 0;

	for (struct member class = {0}; member_next(json_object_get(now, "classes"), &class);)
		sum += growth_of(member_class(before, class.key), class.value, key);
	return sum;
}

/* A device that was created again has smaller counters than before. */
static bool counters_continue(const json_t *before, const json_t *now)
{
	return before && member_number(before, "commands") <= member_number(now, "commands");
}

static json_t *device_between(const json_t *before, const json_t *now, double seconds)
{
	const json_t *read = member_class(now, "read"), *write = member_class(now, "write");
	const json_t *read_before, *write_before;
	double reads, writes;

	if (!counters_continue(before, now))
		before = NULL;
	read_before = member_class(before, "read");
	write_before = member_class(before, "write");
	reads = growth_of(read_before, read, "commands");
	writes = growth_of(write_before, write, "commands");
	return json_pack(
		"{sO sf sf sf sf sf sf so so sf sf sf}", "device", json_object_get(now, "device"),
		"reads_per_second", reads / seconds, "writes_per_second", writes / seconds,
		"others_per_second",
		(of_all_classes(before, now, "commands") - reads - writes) / seconds,
		"read_bytes_per_second", growth_of(read_before, read, "bytes") / seconds,
		"write_bytes_per_second", growth_of(write_before, write, "bytes") / seconds,
		"failed_per_second", of_all_classes(before, now, "failed") / seconds,
		"read_latency_seconds", latency_between(read_before, read), "write_latency_seconds",
		latency_between(write_before, write), "queue_depth",
		of_all_classes(before, now, "total_ns") / 1e9 / seconds, "in_flight",
		member_number(now, "in_flight"), "cpu_percent",
		growth_of(before, now, "cpu_ns") / 1e7 / seconds);
}

static double time_of(const json_t *stats)
{
	return member_number(stats, "time_ns") / 1e9;
}

json_t *rates_between(const json_t *before, const json_t *now)
{
	json_t *devices = json_array();
	double seconds = time_of(now) - time_of(before);
	const json_t *device;
	size_t i;

	if (seconds <= 0)
		seconds = 1e-9;
	member_each (json_object_get(now, "devices"), i, device)
		(void) json_array_append_new(
			devices,
			device_between(
				member_device(before, member_text(device, "device")), device,
				seconds));
	return json_pack("{sf so}", "seconds", seconds, "devices", devices);
}

/* ------- for people ------- */

double rates_load(const json_t *device)
{
	return member_number(device, "reads_per_second") +
		member_number(device, "writes_per_second") +
		member_number(device, "others_per_second");
}

static int busier_first(const void *a, const void *b)
{
	double left = rates_load(*(const json_t *const *) a),
	       right = rates_load(*(const json_t *const *) b);

	return left < right ? 1 : left > right ? -1 : 0;
}

static void add_direction(
	struct table *table, const json_t *device, const char *rate, const char *bytes,
	const char *latency, bool wide)
{
	const json_t *times = json_object_get(device, latency);
	char text[TABLE_TEXT_SIZE];

	table_add(table, "%.0f", member_number(device, rate));
	table_add(table, "%.1f", member_number(device, bytes) / (1024 * 1024));
	if (wide)
		table_add(table, "%s", table_time(member_number(times, "p50"), text));
	table_add(table, "%s", table_time(member_number(times, "p99"), text));
}

static void add_device(struct table *table, const json_t *device, bool wide)
{
	table_add(table, "%s", member_text(device, "device"));
	add_direction(
		table, device, "reads_per_second", "read_bytes_per_second", "read_latency_seconds",
		wide);
	add_direction(
		table, device, "writes_per_second", "write_bytes_per_second",
		"write_latency_seconds", wide);
	if (wide)
		table_add(table, "%.0f", member_number(device, "others_per_second"));
	table_add(table, "%.0f", member_number(device, "failed_per_second"));
	if (wide)
		table_add(table, "%.1f", member_number(device, "queue_depth"));
	table_add(table, "%.0f", member_number(device, "in_flight"));
	table_add(table, "%.0f", member_number(device, "cpu_percent"));
}

static const char *const wide_titles[] = {
	"~DEVICE", "r/s",     "rMiB/s", "r_p50", "r_p99", "w/s",  "wMiB/s", "w_p50",
	"w_p99",   "other/s", "err/s",  "depth", "busy",  "cpu%", NULL,
};

static const char *const narrow_titles[] = {
	"~DEVICE", "r/s",   "rMiB/s", "r_p99", "w/s", "wMiB/s",
	"w_p99",   "err/s", "busy",   "cpu%",  NULL,
};

void rates_show(FILE *out, const json_t *rates, bool by_load)
{
	const json_t *all = json_object_get(rates, "devices");
	size_t cnt = json_array_size(all);
	const json_t **devices = calloc(cnt + 1, sizeof(*devices));
	struct table *table = table_new(wide_titles);

	for (size_t i = 0; devices && i < cnt; i++)
		devices[i] = json_array_get(all, i);
	if (devices && by_load)
		qsort(devices, cnt, sizeof(*devices), busier_first);
	for (size_t i = 0; devices && i < cnt; i++)
		add_device(table, devices[i], true);
	free(devices);
	table_end(table, out);
}

void rates_show_within(FILE *out, const json_t *devices, unsigned width)
{
	bool wide = width >= WIDE_MIN;
	struct table *table = table_new(wide ? wide_titles : narrow_titles);
	const json_t *device;
	size_t i;

	member_each (devices, i, device)
		add_device(table, device, wide);
	table_end_within(table, out, width);
}
