/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/chain.h. */
#include "filters/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/container-of.h"
#include "base/reason.h"

#define ALIGNMENT 16u

/* The chain's own part of a request. */
struct chain_request {
	atomic_bool below; /* the handler has it */
	atomic_bool cancelled;
};

static size_t chain_round_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct chain_request *chain_request_of(
	const struct filter_chain *chain, const struct tcmu_io *io)
{
	assert(io->priv);
	return (struct chain_request *) ((char *) io->priv + chain->request_offset);
}

uint32_t chain_request_size(
	const struct tcmu_handler *handler, const struct filter *const *filters, unsigned cnt)
{
	size_t size = chain_round_up(handler->io_priv_size) +
		chain_round_up(sizeof(struct chain_request));

	assert(cnt > 0 && cnt <= FILTERS_MAX);
	for (unsigned i = 0; i < cnt; i++)
		size += chain_round_up(filters[i]->request_size);
	assert(size <= UINT32_MAX);
	return (uint32_t) size;
}

/* ------- the way of a request ------- */

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
static void chain_rise(struct filter_chain *chain, unsigned from, struct tcmu_io *io, int error)
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
	chain_rise(layer->chain, layer->index, io, error);
}

/* The handler has completed the request. A second time changes nothing. */
static void chain_complete(struct tcmu_io *io, int error)
{
	struct filter_chain *chain = container_of(
		(void *) (uintptr_t) io->host, struct filter_chain, host);

	if (atomic_exchange(&chain_request_of(chain, io)->below, false))
		chain_rise(chain, chain->cnt, io, error);
}

void chain_submit(void *backend, struct tcmu_io *io)
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

void chain_cancel(void *backend, struct tcmu_io *io)
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

/* ------- the life of a chain ------- */

int chain_new(
	const struct tcmu_handler *handler, const struct filter *const *filters,
	const struct tcmu_option_value *const *values, unsigned cnt, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct filter_chain **ret)
{
	struct filter_chain *chain = calloc(1, sizeof(*chain));
	size_t offset = chain_round_up(handler->io_priv_size);
	uint32_t flags = 0;

	if (!chain)
		return -ENOMEM;
	assert(cnt > 0 && cnt <= FILTERS_MAX);
	chain->outer = host;
	chain->dev = dev;
	memcpy(&chain->host, host, host->size < sizeof(*host) ? host->size : sizeof(*host));
	chain->host.complete = chain_complete;
	chain->handler = handler;
	chain->request_offset = offset;
	chain->cnt = cnt;
	offset += chain_round_up(sizeof(struct chain_request));
	for (unsigned i = 0; i < cnt; i++) {
		chain->layers[i] = (struct filter_layer){
			.chain = chain,
			.filter = filters[i],
			.values = values[i],
			.request_offset = offset,
			.index = i,
		};
		offset += chain_round_up(filters[i]->request_size);
		flags |= filters[i]->flags;
	}
	assert(offset == chain_request_size(handler, filters, cnt));
	if ((flags & FILTER_HOLDS) && filter_timer_new(&chain->timer) < 0) {
		chain_free(chain);
		return -EAGAIN;
	}
	*ret = chain;
	return 0;
}

/* Closes the filters from index `from` on, the outermost first. */
static void chain_close_from(struct filter_chain *chain, unsigned from)
{
	for (unsigned i = from; i < chain->cnt; i++)
		if (chain->layers[i].filter->close)
			chain->layers[i].filter->close(&chain->layers[i]);
}

int chain_open_filters(
	struct filter_chain *chain, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	for (unsigned i = chain->cnt; i-- > 0;) {
		struct filter_layer *layer = &chain->layers[i];
		int r = layer->filter->open ? layer->filter->open(layer, config, info, reason) : 0;

		assert(r <= 0);
		if (r < 0) {
			chain_close_from(chain, i + 1);
			return r;
		}
	}
	return 0;
}

void chain_close_filters(struct filter_chain *chain)
{
	chain_close_from(chain, 0);
}

void chain_free(struct filter_chain *chain)
{
	if (!chain)
		return;
	filter_timer_free(chain->timer);
	free(chain);
}
