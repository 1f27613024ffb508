/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/delay.h. */
#include "filters/delay.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/reason.h"
#include "filters/timer.h"

#define DAY_MS UINT64_C(86400000)

enum delay_option {
	DELAY_ALL,
	DELAY_READ,
	DELAY_WRITE,
	DELAY_FLUSH,
	DELAY_UNMAP,
	DELAY_JITTER,
	DELAY_SEED,
	DELAY_OPTIONS,
};

#define MILLISECONDS(option_name, option_def, option_help) \
	{ \
		.name = (option_name), .type = TCMU_OPTION_UINT, .def = (option_def), \
		.help = (option_help) \
	}

static const struct tcmu_option delay_options[DELAY_OPTIONS + 1] = {
	[DELAY_ALL] = MILLISECONDS("all", "0", "milliseconds, for operations not named below"),
	[DELAY_READ] = MILLISECONDS("read", NULL, "milliseconds"),
	[DELAY_WRITE] = MILLISECONDS("write", NULL, "milliseconds"),
	[DELAY_FLUSH] = MILLISECONDS("flush", NULL, "milliseconds"),
	[DELAY_UNMAP] = MILLISECONDS("unmap", NULL, "milliseconds"),
	[DELAY_JITTER] = MILLISECONDS("jitter", "0", "up to so many milliseconds more, by chance"),
	[DELAY_SEED] = MILLISECONDS("seed", "1", "where the chance begins"),
};

struct delay_state {
	atomic_uint_fast64_t random;
};

static int delay_check(const struct tcmu_option_value *values, struct tcmu_reason *reason)
{
	for (unsigned i = DELAY_ALL; i <= DELAY_JITTER; i++)
		if (values[i].number > DAY_MS)
			return reason_refuse(
				reason, -EINVAL,
				"the option \"%s\" of the filter delay is %" PRIu64
				": expected at most %" PRIu64 " milliseconds",
				delay_options[i].name, values[i].number, DAY_MS);
	return 0;
}

static int delay_open(
	struct filter_layer *layer, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	struct delay_state *state = calloc(1, sizeof(*state));

	(void) config;
	(void) info;
	if (!state)
		return reason_refuse(reason, -ENOMEM, "no memory for the filter delay");
	atomic_init(&state->random, layer->values[DELAY_SEED].number);
	layer->state = state;
	return 0;
}

static void delay_close(struct filter_layer *layer)
{
	free(layer->state);
	layer->state = NULL;
}

/* A number below limit: the next one of splitmix64. */
static uint64_t delay_random(struct delay_state *state, uint64_t limit)
{
	uint64_t x = atomic_fetch_add(&state->random, UINT64_C(0x9E3779B97F4A7C15));

	assert(limit > 0);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (x ^ (x >> 31)) % limit;
}

static uint64_t delay_ns(const struct filter_layer *layer, enum tcmu_io_op op)
{
	static const enum delay_option options[] = {
		[TCMU_IO_READ] = DELAY_READ,      [TCMU_IO_WRITE] = DELAY_WRITE,
		[TCMU_IO_FLUSH] = DELAY_FLUSH,    [TCMU_IO_UNMAP] = DELAY_UNMAP,
		[TCMU_IO_WRITE_SAME] = DELAY_ALL,
	};
	const struct tcmu_option_value *values = layer->values;
	enum delay_option option;
	uint64_t ns;

	assert((size_t) op < sizeof(options) / sizeof(options[0]));
	option = values[options[op]].given ? options[op] : DELAY_ALL;
	ns = values[option].number * CLOCK_NS_PER_MS;
	if (values[DELAY_JITTER].number)
		ns += delay_random(layer->state, values[DELAY_JITTER].number * CLOCK_NS_PER_MS + 1);
	return ns;
}

static void delay_done(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	struct filter_hold *hold = filter_request(layer, io);
	uint64_t ns = delay_ns(layer, io->op);

	if (!ns) {
		filter_end(layer, io, error);
		return;
	}
	*hold = (struct filter_hold){
		.layer = layer,
		.io = io,
		.error = error,
		.cancelled_error = error,
		.due = clock_now_ns() + ns,
	};
	filter_hold_start(layer->chain->timer, hold);
}

static void delay_cancel(struct filter_layer *layer, struct tcmu_io *io)
{
	filter_hold_cancel(layer->chain->timer, layer, io);
}

const struct filter filter_delay = {
	.name = "delay",
	.help = "answers come later",
	.flags = FILTER_HOLDS,
	.request_size = sizeof(struct filter_hold),
	.options = delay_options,
	.check = delay_check,
	.open = delay_open,
	.close = delay_close,
	.done = delay_done,
	.cancel = delay_cancel,
};
