/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots, as many as requests may be in flight. One lock for all: the main thread begins, the I/O
 * thread goes on.
 */
#include "traffic.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "verdict.h"

#define PLACES 32 /* that are tried for a request before it waits */

struct traffic_slot {
	struct traffic *traffic;
	bool busy;
	enum tcmu_io_op op;
	uint64_t block;
	uint64_t cnt;
	uint64_t seed;
	uint64_t differs; /* COMPARE AND WRITE: the byte that differs; UINT64_MAX: none */
	struct buffer buffer;
	uint64_t id;
	bool cancel;
};

struct traffic {
	struct subject *subject;
	struct model *model;
	const struct traffic_setup *setup;
	struct traffic_result result;
	uint64_t begun;
	unsigned in_flight;
	struct traffic_slot *slots;
	bool *taken;    /* by block of the model */
	uint8_t *block; /* room for one */
	pthread_mutex_t lock;
	pthread_cond_t idle;
};

static void traffic_on_done(void *userdata, int error, uint64_t result, uint32_t flags);

/* ------- what is asked for ------- */

static enum tcmu_io_op traffic_choose_op(struct traffic *traffic)
{
	static const enum tcmu_io_op ops[] = {
		TCMU_IO_READ,         TCMU_IO_READ,       TCMU_IO_READ,  TCMU_IO_WRITE,
		TCMU_IO_WRITE,        TCMU_IO_WRITE,      TCMU_IO_FLUSH, TCMU_IO_UNMAP,
		TCMU_IO_WRITE_ZEROES, TCMU_IO_WRITE_SAME, TCMU_IO_MAP,   TCMU_IO_COMPARE_AND_WRITE,
	};
	struct subject *subject = traffic->subject;
	enum tcmu_io_op op;

	do
		op = ops[subject_random(
			subject, traffic->setup->plain ? 6 : sizeof(ops) / sizeof(ops[0]))];
	while (!subject_can(subject, op));
	return op;
}

/* A range that no other request has. False: none was found. */
static bool traffic_choose_range(struct traffic *traffic, struct traffic_slot *slot)
{
	struct subject *subject = traffic->subject;
	struct model *model = traffic->model;
	uint64_t most = subject_most_blocks(subject, slot->op, traffic->setup->most_blocks);

	slot->block = slot->cnt = 0;
	if (slot->op == TCMU_IO_FLUSH)
		return true;
	if (slot->op == TCMU_IO_COMPARE_AND_WRITE)
		most = 1;
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t cnt = 1 + subject_random(subject, most), at, used = 0;

		at = subject_random(subject, model->blocks - cnt + 1);
		while (used < cnt && !traffic->taken[at + used])
			used++;
		if (used < cnt)
			continue;
		memset(&traffic->taken[at], true, cnt);
		slot->block = model->first + at;
		slot->cnt = cnt;
		return true;
	}
	return false;
}

static void traffic_fill_compare(struct traffic *traffic, struct traffic_slot *slot)
{
	struct model *model = traffic->model;
	uint32_t size = model->block_size;
	uint64_t known = model_get(model, slot->block);

	slot->differs = UINT64_MAX;
	model_fill(model, known == MODEL_UNKNOWN ? 0 : known, traffic->block);
	if (known != MODEL_UNKNOWN && subject_random(traffic->subject, 3) == 0) {
		slot->differs = subject_random(traffic->subject, size);
		traffic->block[slot->differs] ^= 0xFF;
	}
	buffer_put(&slot->buffer, 0, traffic->block, size);
	model_fill(model, slot->seed, traffic->block);
	buffer_put(&slot->buffer, size, traffic->block, size);
}

static void traffic_fill(struct traffic *traffic, struct traffic_slot *slot)
{
	struct model *model = traffic->model;
	uint32_t size = model->block_size;
	size_t length = slot->op == TCMU_IO_COMPARE_AND_WRITE ? 2 * size
		: slot->op == TCMU_IO_WRITE_SAME              ? size
							      : slot->cnt * size;

	slot->seed = 0;
	if (slot->op == TCMU_IO_WRITE || slot->op == TCMU_IO_READ ||
	    slot->op == TCMU_IO_WRITE_SAME || slot->op == TCMU_IO_COMPARE_AND_WRITE)
		buffer_init(
			&slot->buffer, length,
			(enum buffer_shape) subject_random(
				traffic->subject,
				traffic->setup->plain ? BUFFER_BLOCKS : BUFFER_SHAPES));
	if (slot->op == TCMU_IO_READ || !slot->buffer.memory)
		return;
	slot->seed = model_seeds(model, slot->op == TCMU_IO_WRITE ? slot->cnt : 1);
	if (slot->op == TCMU_IO_COMPARE_AND_WRITE) {
		traffic_fill_compare(traffic, slot);
		return;
	}
	for (uint64_t i = 0; i < length / size; i++) {
		model_fill(model, slot->seed + i, traffic->block);
		buffer_put(&slot->buffer, i * size, traffic->block, size);
	}
}

static uint32_t traffic_flags(struct traffic *traffic, enum tcmu_io_op op)
{
	bool fua = traffic->subject->info->fua && subject_random(traffic->subject, 8) == 0;

	if (op == TCMU_IO_WRITE_ZEROES)
		return (subject_random(traffic->subject, 2) ? TCMU_IO_MAY_UNMAP : 0) |
			(fua ? TCMU_IO_FUA : 0);
	return fua && (op == TCMU_IO_WRITE || op == TCMU_IO_WRITE_SAME) ? TCMU_IO_FUA : 0;
}

/* False: no request can begin now. Under the lock. */
static bool traffic_begin(struct traffic *traffic, struct traffic_slot *slot)
{
	struct tcmu_disk_request request = {
		.size = sizeof(request), .done = traffic_on_done, .userdata = slot};
	int r;

	slot->op = traffic_choose_op(traffic);
	if (!traffic_choose_range(traffic, slot))
		return false;
	traffic_fill(traffic, slot);
	request.op = slot->op;
	request.flags = traffic_flags(traffic, slot->op);
	request.offset = slot->block * traffic->model->block_size;
	request.length = slot->cnt * traffic->model->block_size;
	request.iov = slot->buffer.iov;
	request.iov_cnt = slot->buffer.iov_cnt;
	slot->busy = true;
	slot->cancel = subject_random(traffic->subject, 100) < traffic->setup->cancel_percent;
	traffic->begun++;
	traffic->in_flight++;
	r = tcmu_disk_submit(traffic->subject->disk, &request, &slot->id);
	if (r < 0)
		verdict_fail("%s cannot be submitted: %s", subject_op_name(slot->op), strerror(-r));
	if (slot->cancel)
		tcmu_disk_cancel(traffic->subject->disk, slot->id);
	return true;
}

/* Under the lock. */
static void traffic_begin_all(struct traffic *traffic)
{
	for (unsigned i = 0; i < traffic->setup->depth; i++)
		if (!traffic->slots[i].busy && traffic->begun < traffic->setup->requests &&
		    !traffic_begin(traffic, &traffic->slots[i]))
			break;
}

/* ------- what has come ------- */

static void traffic_check_read(struct traffic *traffic, struct traffic_slot *slot)
{
	struct model *model = traffic->model;
	char text[256];

	for (uint64_t i = 0; i < slot->cnt; i++) {
		buffer_get(&slot->buffer, i * model->block_size, traffic->block, model->block_size);
		if (!model_check(model, slot->block + i, traffic->block, text, sizeof(text)))
			verdict_fail(
				"wrong data under concurrency: a READ of %" PRIu64
				" blocks at block %" PRIu64 " in %u pieces: %s",
				slot->cnt, slot->block, slot->buffer.iov_cnt, text);
	}
}

static void traffic_check_map(
	struct traffic *traffic, const struct traffic_slot *slot, uint64_t result, uint32_t flags)
{
	struct model *model = traffic->model;

	if (!result || result > slot->cnt * model->block_size || result % model->block_size)
		verdict_fail(
			"MAP of %" PRIu64 " bytes ends with the result %" PRIu64
			", expected whole blocks, at least one",
			slot->cnt * model->block_size, result);
	if ((flags & TCMU_IO_MAPPED) || !traffic->subject->info->unmap_zeroes || model->trusts)
		return;
	for (uint64_t i = 0; i < result / model->block_size; i++) {
		uint64_t seed = model_get(model, slot->block + i);

		if (seed != MODEL_ZERO && seed != MODEL_UNKNOWN)
			verdict_fail(
				"MAP says that block %" PRIu64
				" is not allocated, and it holds data",
				slot->block + i);
	}
}

/* The model after a COMPARE AND WRITE, which has ended with error. */
static void traffic_check_compare(
	struct traffic *traffic, const struct traffic_slot *slot, int error, uint64_t result)
{
	struct model *model = traffic->model;

	if (model->trusts)
		return;
	if (error == -EILSEQ && slot->differs != UINT64_MAX && result != slot->differs)
		verdict_fail(
			"COMPARE_AND_WRITE ends with the result %" PRIu64 ", the first byte that "
			"differs is %" PRIu64,
			result, slot->differs);
	if (error == 0 && slot->differs != UINT64_MAX)
		verdict_fail("COMPARE_AND_WRITE succeeds although a byte differs");
	if (error == -EILSEQ && slot->differs == UINT64_MAX &&
	    model_get(model, slot->block) != MODEL_UNKNOWN)
		verdict_fail("COMPARE_AND_WRITE ends with -EILSEQ although nothing differs");
	if (error == 0)
		model_set(model, slot->block, slot->seed);
}

/* The blocks hold the new data. */
static void traffic_take_success(
	struct traffic *traffic, struct traffic_slot *slot, uint64_t result, uint32_t flags)
{
	struct model *model = traffic->model;

	switch (slot->op) {
	case TCMU_IO_READ:
		traffic_check_read(traffic, slot);
		return;
	case TCMU_IO_MAP:
		traffic_check_map(traffic, slot, result, flags);
		return;
	case TCMU_IO_COMPARE_AND_WRITE:
		traffic_check_compare(traffic, slot, 0, result);
		return;
	default:
		break;
	}
	for (uint64_t i = 0; i < slot->cnt; i++) {
		if (slot->op == TCMU_IO_WRITE)
			model_set(model, slot->block + i, slot->seed + i);
		else if (slot->op == TCMU_IO_WRITE_SAME)
			model_set(model, slot->block + i, slot->seed);
		else if (slot->op == TCMU_IO_WRITE_ZEROES || traffic->subject->info->unmap_zeroes)
			model_set(model, slot->block + i, MODEL_ZERO);
		else
			model_forget(model, slot->block + i);
	}
}

/* The blocks hold the old or the new data. */
static void traffic_take_failure(struct traffic *traffic, struct traffic_slot *slot, int error)
{
	struct model *model = traffic->model;

	if (error == -EOPNOTSUPP && slot->op == TCMU_IO_WRITE_ZEROES)
		return;
	traffic->result.failed++;
	traffic->result.cancelled += error == -ECANCELED ? 1 : 0;
	if (!traffic->setup->may_fail && !(slot->cancel && error == -ECANCELED))
		verdict_fail(
			"%s of %" PRIu64 " blocks at block %" PRIu64 " fails%s: %s",
			subject_op_name(slot->op), slot->cnt, slot->block,
			slot->cancel ? " after a cancellation" : "", strerror(-error));
	if (slot->op == TCMU_IO_READ || slot->op == TCMU_IO_MAP)
		return;
	for (uint64_t i = 0; i < slot->cnt; i++) {
		if (slot->op == TCMU_IO_WRITE)
			model_set_either(model, slot->block + i, slot->seed + i);
		else if (slot->op == TCMU_IO_WRITE_SAME || slot->op == TCMU_IO_COMPARE_AND_WRITE)
			model_set_either(model, slot->block + i, slot->seed);
		else
			model_set_either(model, slot->block + i, MODEL_ZERO);
	}
}

static void traffic_end_slot(
	struct traffic *traffic, struct traffic_slot *slot, int error, uint64_t result,
	uint32_t flags)
{
	if (error == 0)
		traffic_take_success(traffic, slot, result, flags);
	else if (error == -EILSEQ && slot->op == TCMU_IO_COMPARE_AND_WRITE)
		traffic_check_compare(traffic, slot, error, result);
	else
		traffic_take_failure(traffic, slot, error);
	if (slot->cnt)
		memset(&traffic->taken[slot->block - traffic->model->first], false, slot->cnt);
	buffer_release(&slot->buffer);
	slot->busy = false;
	traffic->in_flight--;
	traffic->result.requests++;
}

static void traffic_on_done(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct traffic_slot *slot = userdata;
	struct traffic *traffic = slot->traffic;

	pthread_mutex_lock(&traffic->lock);
	traffic_end_slot(traffic, slot, error, result, flags);
	traffic_begin_all(traffic);
	if (traffic->in_flight == 0)
		pthread_cond_signal(&traffic->idle);
	pthread_mutex_unlock(&traffic->lock);
}

void traffic_run(
	struct subject *subject, struct model *model, const struct traffic_setup *setup,
	struct traffic_result *result)
{
	struct traffic traffic = {
		.subject = subject,
		.model = model,
		.setup = setup,
		.slots = calloc(setup->depth, sizeof(*traffic.slots)),
		.taken = calloc(model->blocks, sizeof(*traffic.taken)),
		.block = malloc(model->block_size),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.idle = PTHREAD_COND_INITIALIZER,
	};

	if (!traffic.slots || !traffic.taken || !traffic.block)
		abort();
	for (unsigned i = 0; i < setup->depth; i++)
		traffic.slots[i].traffic = &traffic;
	pthread_mutex_lock(&traffic.lock);
	traffic_begin_all(&traffic);
	while (traffic.in_flight)
		pthread_cond_wait(&traffic.idle, &traffic.lock);
	pthread_mutex_unlock(&traffic.lock);
	/* The last done callback may not have returned. */
	while (tcmu_disk_drain(subject->disk, 1000) < 0)
		;
	if (result)
		*result = traffic.result;
	free(traffic.slots);
	free(traffic.taken);
	free(traffic.block);
}
