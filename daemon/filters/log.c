/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/log.h. */
#include "filters/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/reason.h"

enum log_option {
	LOG_NAME,
	LOG_RATE,
	LOG_OPTIONS,
};

static const struct tcmu_option log_options[LOG_OPTIONS + 1] = {
	[LOG_NAME] =
		{.name = "name",
		 .type = TCMU_OPTION_STRING,
		 .def = "log",
		 .help = "the beginning of the lines"},
	[LOG_RATE] =
		{.name = "rate",
		 .type = TCMU_OPTION_UINT,
		 .def = "100",
		 .help = "lines a second at most; 0: no limit"},
};

struct log_state {
	struct log_limit limit;
};

struct log_request {
	uint64_t began; /* clock_now_ns() */
};

static int log_check(const struct tcmu_option_value *values, struct tcmu_reason *reason)
{
	if (values[LOG_RATE].number > UINT_MAX)
		return reason_refuse(
			reason, -EINVAL,
			"the option \"rate\" of the filter log is %" PRIu64 ": expected at most %u",
			values[LOG_RATE].number, UINT_MAX);
	return 0;
}

static int log_open(
	struct filter_layer *layer, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	struct log_state *state = calloc(1, sizeof(*state));

	(void) config;
	(void) info;
	if (!state)
		return reason_refuse(reason, -ENOMEM, "no memory for the filter log");
	state->limit = (struct log_limit) LOG_LIMIT((unsigned) layer->values[LOG_RATE].number, 1);
	layer->state = state;
	return 0;
}

static void log_close(struct filter_layer *layer)
{
	free(layer->state);
	layer->state = NULL;
}

static void log_submit(struct filter_layer *layer, struct tcmu_io *io)
{
	struct log_request *request = filter_request(layer, io);

	request->began = clock_now_ns();
	filter_pass(layer, io);
}

static void log_describe_end(
	const struct filter_layer *layer, const struct tcmu_io *io, int error, unsigned more)
{
	const struct log_request *request = filter_request(layer, io);
	uint64_t us = clock_since(clock_now_ns(), request->began) / CLOCK_NS_PER_US;
	char line[256], left_out[48] = "";

	assert(layer->values[LOG_NAME].string);
	if (more)
		(void) snprintf(left_out, sizeof(left_out), " (%u lines were left out)", more);
	(void) snprintf(
		line, sizeof(line),
		"%.32s: %s of %" PRIu64 " bytes at %" PRIu64 "%s: %s, %" PRIu64 " us%s",
		layer->values[LOG_NAME].string, filter_op_word(io->op), io->length, io->offset,
		io->flags & TCMU_IO_FUA ? ", FUA" : "", error ? strerrordesc_np(-error) : "done",
		us, left_out);
	layer->chain->outer->log(layer->chain->dev, TCMU_LOG_INFO, line);
}

static void log_done(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	struct log_state *state = layer->state;
	unsigned more = 0;

	if (!layer->values[LOG_RATE].number || log_limit_pass(&state->limit, &more))
		log_describe_end(layer, io, error, more);
	filter_end(layer, io, error);
}

const struct filter filter_log = {
	.name = "log",
	.help = "logs each request",
	.request_size = sizeof(struct log_request),
	.options = log_options,
	.check = log_check,
	.open = log_open,
	.close = log_close,
	.submit = log_submit,
	.done = log_done,
};
