/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmuctl(8) documents the members' names: new ones may come, none may go.
 */
#include "rpc/json.h"

#include <assert.h>
#include <glib.h>
#include <scsi/describe.h>
#include <scsi/optable.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define REQUESTS_MAX 4096 /* the maximum of queue_depth */

json_t *json_text(const char *text)
{
	g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

	return valid ? json_string(valid) : json_null();
}

static json_t *json_number(uint64_t value)
{
	return json_integer((json_int_t) value);
}

static json_t *json_limits(const struct rate_limits *limits)
{
	return json_pack(
		"{sI sI sI}", "iops", (json_int_t) limits->iops, "bps", (json_int_t) limits->bps,
		"burst", (json_int_t) limits->burst);
}

json_t *json_device(const struct device *device)
{
	struct device_status view;
	uint64_t in_flight;

	device_get_status(device, &view);
	assert(view.label && view.name && view.state);
	in_flight = view.stats ? stats_in_flight(view.stats) : 0;
	return json_pack(
		"{so so si si so so ss sf so sb sb sI si sb so so sI si so si sI sI so}", "device",
		json_text(view.label), "name", json_text(view.name->name), "hba",
		(int) view.name->hba, "uio", (int) view.minor, "handler", json_text(view.handler),
		"config", json_text(view.name->config), "state", view.state, "state_seconds",
		view.state_seconds, "problem", json_text(view.problem), "shared", view.shared,
		"fenced", view.fenced, "size", (json_int_t) view.size, "block_size",
		(int) view.block_size, "write_cache", view.write_cache, "limits",
		json_limits(&view.limits), "serial",
		view.serial[0] ? json_text(view.serial) : json_null(), "in_flight",
		(json_int_t) in_flight, "in_backend", (int) view.backend, "lock",
		json_text(view.lock), "lock_group", (int) view.lock_group, "takeovers",
		(json_int_t) view.takeovers, "takeovers_damped", (json_int_t) view.damped, "health",
		json_text(view.health[0] ? view.health : NULL));
}

/* ------- counters and times ------- */

/* The copy of one histogram, and the array that it goes to. */
struct histogram {
	struct histogram *next;
	json_t *array;
	uint64_t counts[STATS_BUCKETS];
};

/* An empty array that json_fill_histograms() will fill. */
static json_t *latency_to_json(const stats_counter *buckets, struct histograms *histograms)
{
	struct histogram *copy = g_new(struct histogram, 1);

	for (unsigned i = 0; i < STATS_BUCKETS; i++)
		copy->counts[i] = stats_get(&buckets[i]);
	copy->array = json_array();
	copy->next = histograms->list;
	histograms->list = copy;
	return json_incref(copy->array);
}

/* [from, below, count] for each bucket that is not empty; below is null in the last, open one. */
static void histogram_fill(const struct histogram *histogram)
{
	assert(json_array_size(histogram->array) == 0);
	for (unsigned i = 0; i < STATS_BUCKETS; i++)
		if (histogram->counts[i])
			(void) json_array_append_new(
				histogram->array,
				json_pack(
					"[I o I]", (json_int_t) stats_bucket_lower(i),
					i + 1 < STATS_BUCKETS ? json_number(stats_bucket_upper(i))
							      : json_null(),
					(json_int_t) histogram->counts[i]));
}

void json_fill_histograms(struct histograms *histograms)
{
	while (histograms->list) {
		struct histogram *histogram = histograms->list;

		histograms->list = histogram->next;
		histogram_fill(histogram);
		json_decref(histogram->array);
		g_free(histogram);
	}
}

static json_t *classes_to_json(const struct stats *stats, struct histograms *histograms)
{
	json_t *object = json_object();

	for (int i = 0; i < SCSI_CLASS_COUNT; i++) {
		const struct stats_class *class = &stats->classes[i];
		uint64_t commands = stats_get(&class->commands);

		(void) json_object_set_new(
			object, scsi_class_name(i),
			json_pack(
				"{sI sI sI sI so}", "commands", (json_int_t) commands, "failed",
				(json_int_t) stats_get(&class->failed), "bytes",
				(json_int_t) stats_get(&class->bytes), "total_ns",
				(json_int_t) stats_get(&class->ns), "latency_ns",
				commands ? latency_to_json(class->latency, histograms)
					 : json_array()));
	}
	return object;
}

static json_t *sense_keys_to_json(const struct stats *stats)
{
	json_t *object = json_object();

	for (uint8_t i = 0; i < 16; i++)
		if (stats_get(&stats->sense[i]))
			(void) json_object_set_new(
				object, scsi_sense_key_name(i),
				json_number(stats_get(&stats->sense[i])));
	return object;
}

static json_t *other_ends_to_json(const struct stats *stats)
{
	json_t *object = json_object();

	for (int i = 0; i < STATS_END_COUNT; i++)
		if (stats_get(&stats->ends[i]))
			(void) json_object_set_new(
				object, stats_end_name(i), json_number(stats_get(&stats->ends[i])));
	return object;
}

static json_t *last_sense_to_json(const struct stats *stats)
{
	uint64_t packed = stats_get(&stats->last_sense);
	uint8_t cdb[16] = {(uint8_t) (packed >> 24)};
	char code[16];

	if (!packed)
		return json_null();
	(void) snprintf(
		code, sizeof(code), "%02x/%02x/%02x", (unsigned) (packed >> 16 & 0xff),
		(unsigned) (packed >> 8 & 0xff), (unsigned) (packed & 0xff));
	return json_pack(
		"{ss ss sf}", "operation", scsi_opcode_name(cdb), "sense", code, "age_seconds",
		(double) clock_since(clock_now_ns(), stats_get(&stats->last_sense_at)) / 1e9);
}

/* The handler's own. */
static json_t *counters_to_json(const struct device_status *view)
{
	const struct tcmu_counter *counter = view->counters;
	json_t *array = json_array();

	for (size_t i = 0; counter && counter[i].name; i++)
		(void) json_array_append_new(
			array,
			json_pack(
				"{ss sI ss so}", "name", counter[i].name, "value",
				(json_int_t) __atomic_load_n(
					&view->counter_values[i], __ATOMIC_RELAXED),
				"type", counter[i].flags & TCMU_COUNTER_GAUGE ? "gauge" : "counter",
				"help", json_text(counter[i].help)));
	return array;
}

json_t *json_stats(const struct device *device, struct histograms *histograms)
{
	struct device_status view;

	device_get_status(device, &view);
	if (!view.stats)
		return NULL;
	return json_pack(
		"{so so sI sI sI sI sI sI so so so so so}", "device", json_text(view.label),
		"handler", json_text(view.handler), "time_ns", (json_int_t) clock_now_ns(),
		"in_flight", (json_int_t) stats_in_flight(view.stats), "commands",
		(json_int_t) stats_get(&view.stats->fetched), "cpu_ns",
		(json_int_t) stats_cpu(view.stats), "limited_ns",
		(json_int_t) stats_get(&view.stats->limited_ns), "expired_writes",
		(json_int_t) stats_get(&view.stats->expired), "classes",
		classes_to_json(view.stats, histograms), "sense_keys",
		sense_keys_to_json(view.stats), "other_ends", other_ends_to_json(view.stats),
		"last_sense", last_sense_to_json(view.stats), "counters", counters_to_json(&view));
}

/* ------- commands in flight ------- */

static int older_first(const void *a, const void *b)
{
	const struct stats_request *left = a, *right = b;

	return left->begun < right->begun ? -1 : left->begun > right->begun;
}

static uint8_t cdb_length(const uint8_t *cdb)
{
	static const uint8_t lengths[8] = {6, 10, 10, 16, 16, 12, 16, 16}; /* SPC-4 4.2.5.1 */

	return lengths[cdb[0] >> 5];
}

static json_t *request_to_json(const struct stats_request *request, uint64_t now)
{
	uint8_t length = cdb_length(request->cdb);
	char hex[3 * sizeof(request->cdb) + 1] = "";
	uint64_t lba = 0;
	uint32_t blocks = 0;
	bool has = scsi_cdb_blocks(request->cdb, length, &lba, &blocks);

	assert(length <= sizeof(request->cdb));
	for (unsigned i = 0; i < length; i++)
		(void) snprintf(
			hex + (size_t) 3 * i, 4, "%02x%s", request->cdb[i],
			i + 1 < length ? " " : "");
	return json_pack(
		"{ss ss so so sI sf}", "operation", scsi_opcode_name(request->cdb), "cdb", hex,
		"lba", has ? json_number(lba) : json_null(), "blocks",
		has ? json_number(blocks) : json_null(), "bytes", (json_int_t) request->data_length,
		"age_seconds", (double) clock_since(now, request->begun) / 1e9);
}

json_t *json_requests(const struct device *device)
{
	g_autofree struct stats_request *requests = g_new(struct stats_request, REQUESTS_MAX);
	unsigned cnt = device_requests(device, requests, REQUESTS_MAX);
	uint64_t now = clock_now_ns();
	json_t *array = json_array();

	assert(cnt <= REQUESTS_MAX);
	qsort(requests, cnt, sizeof(*requests), older_first);
	for (unsigned i = 0; i < cnt; i++)
		(void) json_array_append_new(array, request_to_json(&requests[i], now));
	return array;
}
