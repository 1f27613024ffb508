/* SPDX-License-Identifier: Apache-2.0 */
/* See backend.h. */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend-private.h"
#include "kernel.h"
#include "sim.h"
#include "threads.h"

#define NEVER         UINT64_MAX
#define READ_LIMIT_MS 100 /* a stall of the model takes 30 ms at most */

struct store *store_at(unsigned index)
{
	return &sim->backends->stores[index];
}

void backends_reset(bool once)
{
	if (!sim->backends)
		sim->backends = calloc(1, sizeof(*sim->backends));
	memset(sim->backends, 0, sizeof(*sim->backends));
	sim->backends->once = once;
}

void backends_set_cache(unsigned store, bool is_volatile, bool fua)
{
	store_at(store)->is_volatile = is_volatile;
	store_at(store)->fua = fua;
}

void backends_set_caps(unsigned store, uint64_t caps, bool unmap_zeroes)
{
	store_at(store)->caps = caps;
	store_at(store)->unmap_zeroes = unmap_zeroes;
}

void backends_set_limit(unsigned store, unsigned blocks)
{
	store_at(store)->limit = blocks;
}

bool backends_can(unsigned store, enum tcmu_io_op op)
{
	return store_at(store)->caps & TCMU_IO_CAP(op);
}

bool backends_unmap_zeroes(unsigned store)
{
	return store_at(store)->unmap_zeroes;
}

struct store_faults *backends_faults(unsigned store)
{
	return &store_at(store)->faults;
}

const void *backends_block(unsigned store, unsigned block)
{
	return store_at(store)->now[block];
}

const void *backends_stable(unsigned store, unsigned block)
{
	return store_at(store)->stable[block];
}

unsigned backends_open(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < STORES; i++)
		cnt += store_at(i)->open != NULL;
	return cnt;
}

unsigned backends_in_flight(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < REQUESTS_MAX; i++)
		cnt += sim->backends->requests[i].io != NULL;
	return cnt;
}

/* ------- the medium ------- */

static void store_write_block(struct store *store, unsigned block, const void *data, bool fua)
{
	memcpy(store->now[block], data, BLOCK_SIZE);
	if (!store->is_volatile || (fua && store->fua)) {
		memcpy(store->stable[block], data, BLOCK_SIZE);
		store->dirty[block] = 0;
	} else if (!store->dirty[block]) {
		store->dirty[block] = sim_now();
	}
}

void store_flush(struct store *store, uint64_t begun)
{
	for (unsigned i = 0; i < STORE_BLOCKS; i++) {
		if (!store->dirty[i] || store->dirty[i] > begun)
			continue;
		memcpy(store->stable[i], store->now[i], BLOCK_SIZE);
		store->dirty[i] = 0;
	}
}

void backends_cut_power(unsigned index)
{
	struct store *store = store_at(index);

	for (unsigned i = 0; i < STORE_BLOCKS; i++) {
		if (!store->dirty[i])
			continue;
		if (sim_chance(2))
			memcpy(store->now[i], store->stable[i], BLOCK_SIZE);
		else
			memcpy(store->stable[i], store->now[i], BLOCK_SIZE);
		store->dirty[i] = 0;
		history_cut(index, i, history_tag(store->now[i]));
	}
}

/* Copies between a request's memory and data. False: a part of the memory was taken away. */
static bool request_copy(struct tcmu_io *io, uint8_t *data, uint64_t length, bool from_memory)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < io->iov_cnt && at < length; i++) {
		struct iovec *iov = &io->iov[i];
		uint64_t part = iov->iov_len < length - at ? iov->iov_len : length - at;

		if (!kernel_memory_is_there(iov->iov_base))
			return false;
		if (from_memory)
			memcpy(data + at, iov->iov_base, part);
		else
			memcpy(iov->iov_base, data + at, part);
		at += part;
	}
	return true;
}

/* Whether the store has been shortened to less than so many blocks. */
static bool request_is_beyond(unsigned index, unsigned blocks)
{
	unsigned left = store_at(index)->faults.blocks;

	return left && blocks > left;
}

/* stride: bytes from a block's data to the next one's; 0: all get the same. */
static int request_write(const struct request *request, const uint8_t *data, unsigned stride)
{
	const struct tcmu_io *io = request->io;
	unsigned index = request->backend->store;
	unsigned blocks = (unsigned) (io->length / BLOCK_SIZE);
	unsigned first = (unsigned) (io->offset / BLOCK_SIZE);

	/* One that fails may have written a part. */
	if (request->error)
		blocks = sim_choose(blocks + 1);
	while (blocks && request_is_beyond(index, first + blocks))
		blocks--;
	for (unsigned i = 0; i < blocks; i++) {
		const uint8_t *block = data + (size_t) i * stride;
		uint64_t tag = history_tag(block);

		if (io->op == TCMU_IO_UNMAP && !store_at(index)->unmap_zeroes && sim_chance(2))
			continue;
		history_note_landing(index, first + i, tag);
		history_check_landing(index, first + i, tag);
		store_write_block(
			store_at(index), first + i, block,
			io->op != TCMU_IO_UNMAP && io->op != TCMU_IO_COMPARE_AND_WRITE &&
				(io->flags & TCMU_IO_FUA));
	}
	return request->error;
}

static int request_compare_and_write(const struct request *request, const uint8_t *data)
{
	struct tcmu_io *io = request->io;
	const uint8_t *now = store_at(request->backend->store)->now[io->offset / BLOCK_SIZE];

	for (uint64_t i = 0; i < io->length; i++) {
		if (data[i] == now[i])
			continue;
		io->result = i;
		return request->error ? request->error : -EILSEQ;
	}
	return request_write(request, data + io->length, BLOCK_SIZE);
}

/* Carries out one that changes the medium. */
static int request_change(const struct request *request)
{
	uint8_t data[2 * STORE_BLOCKS * BLOCK_SIZE] = {0};
	struct tcmu_io *io = request->io;
	bool compares = io->op == TCMU_IO_COMPARE_AND_WRITE;
	uint64_t length = compares ? 2 * io->length : io->length;

	switch (io->op) {
	case TCMU_IO_WRITE_ZEROES:
		if (sim_chance(6))
			return -EOPNOTSUPP;
		return request_write(request, data, 0);
	case TCMU_IO_UNMAP:
		return request_write(request, data, 0);
	case TCMU_IO_WRITE_SAME:
		return request_copy(io, data, BLOCK_SIZE, true) ? request_write(request, data, 0)
								: -EFAULT;
	default:
		if (!request_copy(io, data, length, true))
			return -EFAULT;
		return compares ? request_compare_and_write(request, data)
				: request_write(request, data, BLOCK_SIZE);
	}
}

static bool request_changes(const struct tcmu_io *io)
{
	return io->op != TCMU_IO_READ && io->op != TCMU_IO_FLUSH;
}

static bool request_lacks_lock(const struct backend *backend, const struct tcmu_io *io)
{
	return store_at(backend->store)->shared && request_changes(io) &&
		store_at(backend->store)->holder != backend;
}

/* Carries it out. Returns 0 or -errno. */
static int request_execute(const struct request *request)
{
	struct tcmu_io *io = request->io;
	struct store *store = store_at(request->backend->store);

	if (request->backend->closed)
		sim_fail("a request is carried out after the backend was closed");
	if (request->backend->fenced)
		return -ESHUTDOWN;
	if (request_lacks_lock(request->backend, io))
		return -EBUSY;
	if (request->error == -ECANCELED || request->error == -EBUSY)
		return request->error;
	if (io->op == TCMU_IO_FLUSH) {
		if (!request->error)
			store_flush(store, request->begun);
		return request->error;
	}
	if (io->op > TCMU_IO_WRITE && !backends_can(request->backend->store, io->op))
		sim_fail("the handler gets an operation that it does not have");
	if (io->offset + io->length > sizeof(store->now) || io->length % BLOCK_SIZE)
		sim_fail("a request is beyond the end of the medium");
	if (request_is_beyond(
		    request->backend->store, (unsigned) ((io->offset + io->length) / BLOCK_SIZE))) {
		struct request failing = *request;

		failing.error = io->op == TCMU_IO_READ ? -EIO : -ENOSPC;
		io->result = io->offset;
		return io->op == TCMU_IO_READ ? failing.error : request_change(&failing);
	}
	if (io->op != TCMU_IO_READ)
		return request_change(request);
	if (request->error)
		return request->error;
	return request_copy(io, store->now[io->offset / BLOCK_SIZE], io->length, false) ? 0
											: -EFAULT;
}

/* ------- the lock of a shared store ------- */

void backends_share(unsigned index)
{
	store_at(index)->shared = true;
}

bool backends_is_shared(unsigned index)
{
	return store_at(index)->shared;
}

void backend_report_fence(struct backend *backend)
{
	if (!store_at(backend->store)->shared || backend->fence_reported)
		return;
	backend->fence_reported = true;
	backend->host->event(backend->dev, TCMU_BACKEND_FENCED, -ESHUTDOWN);
}

bool backend_changes_in_flight(const struct backend *backend)
{
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		const struct request *request = &sim->backends->requests[i];

		if (request->io && request->backend == backend && request_changes(request->io))
			return true;
	}
	return false;
}

bool backends_rival_takes(unsigned index, bool fence)
{
	struct store *store = store_at(index);

	if (store->holder && fence)
		store->holder->fenced = true;
	else if (store->holder && backend_changes_in_flight(store->holder))
		return false;
	else if (store->holder)
		store->holder->lost = true;
	if (store->holder)
		store->lock_lost = sim_now();
	store->holder = NULL;
	store->rival = true;
	sim_trace("store %u: the rival takes the lock%s", index, fence ? ", and fences" : "");
	return true;
}

bool backends_rival_holds(unsigned index)
{
	return store_at(index)->rival;
}

void backends_rival_releases(unsigned index)
{
	store_at(index)->rival = false;
}

void backends_rival_writes(unsigned index, unsigned block, const void *data)
{
	struct store *store = store_at(index);

	memcpy(store->now[block], data, BLOCK_SIZE);
	memcpy(store->stable[block], data, BLOCK_SIZE);
	store->dirty[block] = 0;
}

/* ------- requests ------- */

void backends_note_activity(unsigned index)
{
	store_at(index)->activity++;
}

void backends_copy(void)
{
	sim->backends->copies = true;
}

/* A READ that has ended: its answer follows at once, or another request. */
struct ended_read {
	unsigned store;
	uint64_t activity;
};

static void ended_read_check(void *arg)
{
	struct ended_read *read = arg;

	if (store_at(read->store)->activity == read->activity &&
	    kernel_expects_answer(read->store, UINT64_MAX))
		sim_fail(
			"store %u: a READ has ended, and the daemon does nothing for %d ms",
			read->store, READ_LIMIT_MS);
	free(read);
}

static void request_expect_answer(const struct request *request, int error)
{
	struct ended_read *read;

	if (request->io->op != TCMU_IO_READ || error || sim->backends->copies ||
	    !kernel_expects_answer(request->backend->store, request->begun))
		return;
	read = malloc(sizeof(*read));
	if (!read)
		abort();
	read->store = request->backend->store;
	read->activity = store_at(read->store)->activity;
	sim_at(sim_now() + READ_LIMIT_MS * SIM_NS_PER_MS, ended_read_check, read);
}

/* The request is free afterwards. */
static void request_end(struct request *request)
{
	struct tcmu_io *io = request->io;
	int error = request_execute(request);

	sim_trace(
		"store %u: request %u ends: %d", request->backend->store,
		(unsigned) (request - sim->backends->requests), error);
	(void) history_count_busy(backends_in_flight());
	request_expect_answer(request, error);
	request->io = NULL;
	request->backend->in_flight--;
	if (error == -ESHUTDOWN)
		backend_report_fence(request->backend);
	else if (error == -EBUSY)
		request->backend->host->event(request->backend->dev, TCMU_BACKEND_LOCK_LOST, 0);
	sim_preempt();
	tcmu_io_complete(io, error);
}

static uint64_t request_due(const struct store *store, uint64_t now)
{
	switch (store->faults.mode) {
	case STORE_HANGS:
		return NEVER;
	case STORE_SLOW:
		return now + (200 + sim_choose(4000)) * SIM_NS_PER_MS;
	default:
		if (sim_chance(40))
			return now + sim_choose(400) * SIM_NS_PER_MS;
		return now + (20 + sim_choose(1500)) * SIM_NS_PER_US;
	}
}

static struct request *request_new(struct backend *backend, struct tcmu_io *io)
{
	struct request *request = sim->backends->requests;
	const struct store *store = store_at(backend->store);
	int failure = store->shared ? -ENOTCONN : -EIO;

	if (backend->closed)
		sim_fail("a request is submitted after the backend was closed");
	if (store->limit && (io->op == TCMU_IO_READ || io->op == TCMU_IO_WRITE) &&
	    io->length > store->limit * BLOCK_SIZE)
		sim_fail(
			"store %u: a request of %u bytes is submitted, and it takes %u blocks at "
			"once",
			backend->store, (unsigned) io->length, store->limit);
	while (request->io)
		if (++request == sim->backends->requests + REQUESTS_MAX)
			sim_fail("too many requests are in flight");
	(void) history_count_busy(backends_in_flight());
	*request = (struct request){
		.io = io,
		.backend = backend,
		.begun = sim_now(),
		.due = request_due(store, sim_now()),
		.error = store->faults.mode == STORE_FAILS && sim_chance(2) ? failure : 0,
	};
	if (request_lacks_lock(backend, io)) {
		if (!backend->fenced && !backend->lost)
			sim_fail("store %u: a write is submitted without the lock", backend->store);
		request->error = -EBUSY; /* as librbd does: it is not carried out later */
		request->due = request->begun;
	}
	backend->in_flight++;
	backends_note_activity(backend->store);
	sim_trace(
		"store %u: request %u of op %d at %u begins", backend->store,
		(unsigned) (request - sim->backends->requests), io->op,
		(unsigned) (io->offset / BLOCK_SIZE));
	return request;
}

void backend_submit_async(void *opened, struct tcmu_io *io)
{
	struct request *request = request_new(opened, io);
	bool twice = sim_chance(50);

	if (request->due == NEVER || !sim_chance(3)) {
		sim_wake(sim->backends);
		return;
	}
	request_end(request);
	if (twice)
		tcmu_io_complete(io, -EIO);
}

void backend_submit_parallel(void *opened, struct tcmu_io *io)
{
	struct request *request = request_new(opened, io);

	request->on_worker = true;
	while (request->due > sim_now())
		(void) sim_block(request, request->due == NEVER ? 0 : request->due);
	request_end(request);
}

/* Some requests cannot be cancelled. */
void backend_cancel(void *opened, struct tcmu_io *io)
{
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &sim->backends->requests[i];

		if (request->io != io || request->backend != opened || sim_chance(2))
			continue;
		request->error = -ECANCELED;
		request->due = sim_now() + sim_choose(2000) * SIM_NS_PER_US;
		sim_wake(sim->backends);
	}
}

void *backends_main(void *arg)
{
	for (;;) {
		uint64_t next = NEVER;
		bool ended = false;

		for (unsigned i = 0; i < REQUESTS_MAX; i++) {
			struct request *request = &sim->backends->requests[i];

			if (!request->io || request->on_worker)
				continue;
			if (request->due < next)
				next = request->due;
			if (request->due > sim_now())
				continue;
			request_end(request);
			ended = true;
		}
		/* Others may have begun meanwhile. */
		if (!ended)
			(void) sim_block(sim->backends, next == NEVER ? 0 : next);
	}
	return arg;
}

unsigned backends_changes(unsigned index)
{
	return store_at(index)->changes;
}

void backends_changed(unsigned index)
{
	const struct store_faults *faults = &store_at(index)->faults;

	store_at(index)->changes++;
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &sim->backends->requests[i];

		if (!request->io || request->backend->store != index || request->due != NEVER ||
		    faults->mode == STORE_HANGS)
			continue;
		request->due = sim_now() + sim_choose(1000000) * SIM_NS_PER_US;
		sim_wake(request);
	}
	sim_wake(sim->backends);
	sim_wake(faults);
}

void backends_killed(void)
{
	(void) history_count_busy(backends_in_flight());
	for (unsigned i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &sim->backends->requests[i];

		if (request->io && request_changes(request->io) && sim_chance(2))
			(void) request_execute(request);
		request->io = NULL;
	}
	for (unsigned i = 0; i < STORES; i++)
		store_at(i)->open = store_at(i)->holder = NULL;
}
