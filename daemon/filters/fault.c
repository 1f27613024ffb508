/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/fault.h. */
#include "filters/fault.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/reason.h"
#include "filters/timer.h"

#define DAY_MS    UINT64_C(86400000)
#define ERRNO_MAX 200

enum fault_option {
	FAULT_OP,
	FAULT_ERRNO,
	FAULT_NTH,
	FAULT_WHEN,
	FAULT_MS,
	FAULT_OPTIONS,
};

enum fault_when {
	FAULT_BEFORE,
	FAULT_AFTER,
	FAULT_NEVER,
	FAULT_LATE,
	FAULT_SHORT,
};

/* By enum tcmu_io_op. */
static const char *const fault_ops[] = {
	"all", "read",       "write", "flush", "unmap", "write_zeroes", "compare_and_write",
	"map", "write_same", NULL};
static const char *const fault_whens[] = {"before", "after", "never", "late", "short", NULL};

static const struct tcmu_option fault_options[FAULT_OPTIONS + 1] = {
	[FAULT_OP] =
		{.name = "op",
		 .type = TCMU_OPTION_CHOICE,
		 .def = "all",
		 .choices = fault_ops,
		 .help = "the operation that fails"},
	[FAULT_ERRNO] =
		{.name = "errno",
		 .type = TCMU_OPTION_STRING,
		 .help = "the name of the error; EIO if it is not given, and none with when=late"},
	[FAULT_NTH] =
		{.name = "nth",
		 .type = TCMU_OPTION_UINT,
		 .def = "0",
		 .help = "the n-th request of the operation since the open; 0: each"},
	[FAULT_WHEN] =
		{.name = "when",
		 .type = TCMU_OPTION_CHOICE,
		 .def = "before",
		 .choices = fault_whens,
		 .help = "what happens to the request"},
	[FAULT_MS] =
		{.name = "ms",
		 .type = TCMU_OPTION_UINT,
		 .def = "1000",
		 .help = "milliseconds until the answer, with when=late"},
};

struct fault_state {
	int error; /* negative errno; 0: none */
	uint32_t block_size;
	atomic_uint_fast64_t seen; /* requests of the operation */
};

struct fault_request {
	bool chosen;
	uint64_t whole; /* the length of a request that is carried out in part; 0: it is not */
	struct filter_hold hold;
};

/* "EIO" gives -EIO. 0: there is no such error. */
static int fault_errno(const char *name)
{
	assert(name);
	for (int i = 1; i < ERRNO_MAX; i++) {
		const char *known = strerrorname_np(i);

		if (known && strcmp(known, name) == 0)
			return -i;
	}
	return 0;
}

static int fault_check(const struct tcmu_option_value *values, struct tcmu_reason *reason)
{
	if (values[FAULT_ERRNO].given && !fault_errno(values[FAULT_ERRNO].string))
		return reason_refuse(
			reason, -EINVAL,
			"the option \"errno\" of the filter fault is \"%.40s\": expected the name "
			"of an error, such as EIO",
			values[FAULT_ERRNO].string);
	if (values[FAULT_MS].number > DAY_MS)
		return reason_refuse(
			reason, -EINVAL,
			"the option \"ms\" of the filter fault is %" PRIu64
			": expected at most %" PRIu64 " milliseconds",
			values[FAULT_MS].number, DAY_MS);
	return 0;
}

static int fault_open(
	struct filter_layer *layer, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	const struct tcmu_option_value *values = layer->values;
	struct fault_state *state = calloc(1, sizeof(*state));

	(void) info;
	if (!state)
		return reason_refuse(reason, -ENOMEM, "no memory for the filter fault");
	state->block_size = config->block_size;
	if (values[FAULT_ERRNO].given)
		state->error = fault_errno(values[FAULT_ERRNO].string);
	else if (values[FAULT_WHEN].number != FAULT_LATE)
		state->error = -EIO;
	layer->state = state;
	return 0;
}

static void fault_close(struct filter_layer *layer)
{
	free(layer->state);
	layer->state = NULL;
}

static bool fault_chooses(const struct filter_layer *layer, enum tcmu_io_op op)
{
	struct fault_state *state = layer->state;
	uint64_t wanted = layer->values[FAULT_OP].number, nth = layer->values[FAULT_NTH].number;

	if (wanted && wanted != (uint64_t) op)
		return false;
	return !nth || atomic_fetch_add(&state->seen, 1) + 1 == nth;
}

static void fault_hold(
	struct filter_layer *layer, struct tcmu_io *io, int error, int cancelled_error,
	uint64_t due)
{
	struct fault_request *request = filter_request(layer, io);

	assert(request->chosen && layer->chain->timer);
	request->hold = (struct filter_hold){
		.layer = layer,
		.io = io,
		.error = error,
		.cancelled_error = cancelled_error,
		.due = due,
	};
	filter_hold_start(layer->chain->timer, &request->hold);
}

/* Whole blocks that are the first half of the request; 0: it cannot be divided. */
static uint64_t fault_half(const struct fault_state *state, const struct tcmu_io *io)
{
	uint64_t half;

	assert(state->block_size > 0);
	if (io->op == TCMU_IO_FLUSH || io->op == TCMU_IO_MAP ||
	    io->op == TCMU_IO_COMPARE_AND_WRITE || (io->flags & TCMU_IO_ATOMIC))
		return 0;
	half = io->length / 2;
	return half - half % state->block_size;
}

/* Cuts the pieces of the request to length bytes. */
static void fault_cut(struct tcmu_io *io, uint64_t length)
{
	uint64_t left = length;
	unsigned cnt = 0;

	io->length = length;
	if (io->op != TCMU_IO_READ && io->op != TCMU_IO_WRITE)
		return;
	for (; left; cnt++) {
		assert(cnt < io->iov_cnt);
		if (io->iov[cnt].iov_len > left)
			io->iov[cnt].iov_len = left;
		left -= io->iov[cnt].iov_len;
	}
	io->iov_cnt = cnt;
}

static void fault_submit(struct filter_layer *layer, struct tcmu_io *io)
{
	struct fault_state *state = layer->state;
	struct fault_request *request = filter_request(layer, io);
	enum fault_when when = (enum fault_when) layer->values[FAULT_WHEN].number;
	uint64_t half;

	assert(when <= FAULT_SHORT);
	*request = (struct fault_request){.chosen = fault_chooses(layer, io->op)};
	if (!request->chosen || when == FAULT_AFTER || when == FAULT_LATE) {
		filter_pass(layer, io);
		return;
	}
	if (when == FAULT_NEVER) {
		fault_hold(layer, io, -ECANCELED, -ECANCELED, FILTER_HOLD_FOR_EVER);
		return;
	}
	half = when == FAULT_SHORT ? fault_half(state, io) : 0;
	if (!half) {
		filter_end(layer, io, state->error);
		return;
	}
	request->whole = io->length;
	fault_cut(io, half);
	filter_pass(layer, io);
}

static void fault_done(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	const struct fault_state *state = layer->state;
	struct fault_request *request = filter_request(layer, io);
	uint64_t ms = layer->values[FAULT_MS].number;

	if (request->whole) {
		uint64_t half = io->length;

		io->length = request->whole;
		if (!error)
			io->result = io->offset + half;
	}
	if (!request->chosen || error == -ECANCELED) {
		filter_end(layer, io, error);
		return;
	}
	if (!error)
		error = state->error;
	if (layer->values[FAULT_WHEN].number == FAULT_LATE)
		fault_hold(layer, io, error, error, clock_now_ns() + ms * CLOCK_NS_PER_MS);
	else
		filter_end(layer, io, error);
}

static void fault_cancel(struct filter_layer *layer, struct tcmu_io *io)
{
	filter_hold_cancel(layer->chain->timer, layer, io);
}

const struct filter filter_fault = {
	.name = "fault",
	.help = "requests fail, come late, or are never answered",
	.flags = FILTER_HOLDS,
	.request_size = sizeof(struct fault_request),
	.options = fault_options,
	.check = fault_check,
	.open = fault_open,
	.close = fault_close,
	.submit = fault_submit,
	.done = fault_done,
	.cancel = fault_cancel,
};
