/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/stats.h. */
#include "filters/stats.h"

#include <assert.h>

#include "base/clock.h"

enum stats_option {
	STATS_NAME, /* the chain expects it first */
	STATS_OPTIONS,
};

static const struct tcmu_option stats_options[STATS_OPTIONS + 1] = {
	[STATS_NAME] = {
		.name = "name",
		.type = TCMU_OPTION_STRING,
		.def = "stats",
		.help = "the beginning of the counters' names"}};

/* The counters of each kind of operation. */
enum stats_value {
	STATS_COMMANDS,
	STATS_BYTES,
	STATS_ERRORS,
	STATS_MICROSECONDS,
	STATS_VALUES,
};

#define COUNTERS(kind) \
	{.name = kind "_commands", .help = "requests that have ended"}, \
		{.name = kind "_bytes", .help = "bytes of those that succeeded"}, \
		{.name = kind "_errors", .help = "those that failed"}, \
	{ \
		.name = kind "_us", .help = "their microseconds together" \
	}

/* By stats_kind(). */
static const struct tcmu_counter stats_counters[] = {
	COUNTERS("read"), COUNTERS("write"), COUNTERS("flush"), COUNTERS("other"), {.name = NULL}};

#define STATS_KINDS 4u

_Static_assert(
	sizeof(stats_counters) / sizeof(stats_counters[0]) == STATS_KINDS * STATS_VALUES + 1,
	"each kind has all counters");

struct stats_request {
	uint64_t began; /* clock_now_ns() */
};

static unsigned stats_kind(enum tcmu_io_op op)
{
	switch (op) {
	case TCMU_IO_READ:
		return 0;
	case TCMU_IO_WRITE:
		return 1;
	case TCMU_IO_FLUSH:
		return 2;
	default:
		return STATS_KINDS - 1;
	}
}

/* layer->state: the device's counters, which may be NULL. */
static int stats_open(
	struct filter_layer *layer, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	const struct filter_chain *chain = layer->chain;

	(void) config;
	(void) info;
	(void) reason;
	if (TCMU_HOST_HAS(chain->outer, counters))
		layer->state = chain->outer->counters(chain->dev);
	return 0;
}

static void stats_submit(struct filter_layer *layer, struct tcmu_io *io)
{
	struct stats_request *request = filter_request(layer, io);

	request->began = clock_now_ns();
	filter_pass(layer, io);
}

static void stats_done(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	const struct stats_request *request = filter_request(layer, io);
	unsigned first = layer->counter + stats_kind(io->op) * STATS_VALUES;
	uint64_t us = clock_since(clock_now_ns(), request->began) / CLOCK_NS_PER_US;

	assert(first >= layer->counter);
	tcmu_counter_add(layer->state, first + STATS_COMMANDS, 1);
	tcmu_counter_add(
		layer->state, first + (error ? STATS_ERRORS : STATS_BYTES),
		error || io->op == TCMU_IO_FLUSH ? !!error : io->length);
	tcmu_counter_add(layer->state, first + STATS_MICROSECONDS, us);
	filter_end(layer, io, error);
}

const struct filter filter_stats = {
	.name = "stats",
	.help = "counts requests, bytes, errors and time",
	.request_size = sizeof(struct stats_request),
	.options = stats_options,
	.counters = stats_counters,
	.open = stats_open,
	.submit = stats_submit,
	.done = stats_done,
};
