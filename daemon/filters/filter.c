/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a request: down through the filters, to the handler, and up again.
 *
 * A request that was cancelled is remembered until it ends: a filter that would hold it ends it at
 * once. A cancellation that comes before submit has been called is lost, as it is for handlers that
 * run on workers.
 */
#include "filters/filter.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/container-of.h"

#define ALIGNMENT 16u

/* The chain's own part of a request. */
struct chain_request {
	atomic_bool below; /* the handler has it */
	atomic_bool cancelled;
};

size_t filter_part_round_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct chain_request *chain_request_of(
	const struct filter_chain *chain, const struct tcmu_io *io)
{
	assert(io->priv);
	return (struct chain_request *) ((char *) io->priv + chain->request_offset);
}

void filter_pass(struct filter_layer *layer, struct tcmu_io *io)
{
	struct filter_chain *chain = layer->chain;

	for (unsigned i = layer->index + 1; i < chain->cnt; i++)
		if (chain->layers[i].filter->submit) {
			chain->layers[i].filter->submit(&chain->layers[i], io);
			return;
		}
	atomic_store(&chain_request_of(chain, io)->below, true);
	chain->handler->submit(chain->backend, io);
}

/* The answer has passed all layers from `from` on. */
static void filter_rise(struct filter_chain *chain, unsigned from, struct tcmu_io *io, int error)
{
	assert(from <= chain->cnt);
	for (unsigned i = from; i-- > 0;)
		if (chain->layers[i].filter->done) {
			chain->layers[i].filter->done(&chain->layers[i], io, error);
			return;
		}
	chain->outer->complete(io, error);
}

void filter_end(struct filter_layer *layer, struct tcmu_io *io, int error)
{
	assert(!atomic_load(&chain_request_of(layer->chain, io)->below));
	filter_rise(layer->chain, layer->index, io, error);
}

/* The handler has completed the request. A second time changes nothing. */
static void filter_complete(struct tcmu_io *io, int error)
{
	struct filter_chain *chain = container_of(
		(void *) (uintptr_t) io->host, struct filter_chain, host);

	if (atomic_exchange(&chain_request_of(chain, io)->below, false))
		filter_rise(chain, chain->cnt, io, error);
}

void filter_chain_submit(void *backend, struct tcmu_io *io)
{
	struct filter_chain *chain = backend;
	struct chain_request *request = chain_request_of(chain, io);

	atomic_store(&request->below, false);
	atomic_store(&request->cancelled, false);
	io->host = &chain->host;
	if (chain->layers[0].filter->submit)
		chain->layers[0].filter->submit(&chain->layers[0], io);
	else
		filter_pass(&chain->layers[0], io);
}

void filter_chain_cancel(void *backend, struct tcmu_io *io)
{
	struct filter_chain *chain = backend;
	struct chain_request *request = chain_request_of(chain, io);

	atomic_store(&request->cancelled, true);
	if (chain->handler->cancel && atomic_load(&request->below))
		chain->handler->cancel(chain->backend, io);
	for (unsigned i = 0; i < chain->cnt; i++)
		if (chain->layers[i].filter->cancel)
			chain->layers[i].filter->cancel(&chain->layers[i], io);
}

bool filter_is_cancelled(const struct filter_layer *layer, const struct tcmu_io *io)
{
	return atomic_load(&chain_request_of(layer->chain, io)->cancelled);
}

size_t filter_chain_part(void)
{
	return filter_part_round_up(sizeof(struct chain_request));
}

void filter_chain_init(struct filter_chain *chain)
{
	const struct tcmu_host *host = chain->outer;

	assert(host && chain->handler);
	memcpy(&chain->host, host, host->size < sizeof(*host) ? host->size : sizeof(*host));
	chain->host.complete = filter_complete;
}

const char *filter_op_word(enum tcmu_io_op op)
{
	static const char *const words[] = {
		[0] = "all",
		[TCMU_IO_READ] = "read",
		[TCMU_IO_WRITE] = "write",
		[TCMU_IO_FLUSH] = "flush",
		[TCMU_IO_UNMAP] = "unmap",
		[TCMU_IO_WRITE_ZEROES] = "write_zeroes",
		[TCMU_IO_COMPARE_AND_WRITE] = "compare_and_write",
		[TCMU_IO_MAP] = "map",
		[TCMU_IO_WRITE_SAME] = "write_same",
	};

	assert((size_t) op < sizeof(words) / sizeof(words[0]));
	return words[op];
}
