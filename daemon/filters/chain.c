/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/chain.h. */
#include "filters/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "filters/timer.h"

uint32_t chain_request_size(
	const struct tcmu_handler *handler, const struct filter *const *filters, unsigned cnt)
{
	size_t size = filter_part_round_up(handler->io_priv_size) + filter_chain_part();

	assert(cnt > 0 && cnt <= FILTERS_MAX);
	for (unsigned i = 0; i < cnt; i++)
		size += filter_part_round_up(filters[i]->request_size);
	assert(size <= UINT32_MAX);
	return (uint32_t) size;
}

int chain_new(
	const struct tcmu_handler *handler, const struct filter *const *filters,
	const struct tcmu_option_value *const *values, unsigned cnt, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct filter_chain **ret)
{
	struct filter_chain *chain = calloc(1, sizeof(*chain));
	size_t offset = filter_part_round_up(handler->io_priv_size);
	uint32_t flags = 0;

	if (!chain)
		return -ENOMEM;
	assert(cnt > 0 && cnt <= FILTERS_MAX);
	chain->outer = host;
	chain->dev = dev;
	chain->handler = handler;
	filter_chain_init(chain);
	chain->request_offset = offset;
	chain->cnt = cnt;
	offset += filter_chain_part();
	for (unsigned i = 0; i < cnt; i++) {
		chain->layers[i] = (struct filter_layer){
			.chain = chain,
			.filter = filters[i],
			.values = values[i],
			.request_offset = offset,
			.index = i,
		};
		offset += filter_part_round_up(filters[i]->request_size);
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

/* Whether a filter above it stores the writes. */
static bool chain_is_below_store(const struct filter_chain *chain, unsigned index)
{
	assert(index < chain->cnt);
	for (unsigned i = 0; i < index; i++)
		if (chain->layers[i].filter->flags & FILTER_STORES)
			return true;
	return false;
}

int chain_open_filters(
	struct filter_chain *chain, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	for (unsigned i = chain->cnt; i-- > 0;) {
		struct filter_layer *layer = &chain->layers[i];
		struct tcmu_config own = *config;
		int r = 0;

		own.read_only |= chain_is_below_store(chain, i);
		if (layer->filter->open)
			r = layer->filter->open(layer, &own, info, reason);

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
