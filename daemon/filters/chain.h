/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open stack: filters, the outermost first, and the backend below them.
 *
 * The memory of a request at io->priv is the handler's first, so that the handler finds it where it
 * would be without filters; then the chain's own part, and that of each filter.
 *
 * A request that was cancelled is remembered until it ends: a filter that would hold it ends it at
 * once. A cancellation that comes before submit has been called is lost, as it is for handlers that
 * run on workers.
 */
#pragma once

#include "filters/filter.h"
#include "filters/hold.h"

#define FILTERS_MAX 8

struct filter_chain {
	const struct tcmu_host *outer; /* the daemon's */
	struct tcmu_host_device *dev;
	struct tcmu_host host; /* what the handler gets; it differs in complete() alone */
	const struct tcmu_handler *handler;
	void *backend;
	struct filter_timer *timer; /* NULL: no filter holds requests */
	size_t request_offset;      /* of the chain's own part */
	unsigned cnt;
	struct filter_layer layers[FILTERS_MAX];
};

/* Bytes at io->priv for the handler, the chain and cnt filters. */
uint32_t chain_request_size(
	const struct tcmu_handler *handler, const struct filter *const *filters, unsigned cnt);

/* Makes a chain whose backend is not open yet. values: of each filter; they outlive the chain. */
int chain_new(
	const struct tcmu_handler *handler, const struct filter *const *filters,
	const struct tcmu_option_value *const *values, unsigned cnt, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct filter_chain **chain);

/* Opens the filters above the open backend, from the innermost on. 0; or -errno with a reason, and
 * no filter is open. */
int chain_open_filters(
	struct filter_chain *chain, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason);

/* Closes all filters, the outermost first. */
void chain_close_filters(struct filter_chain *chain);

/* Frees a chain whose filters and backend are closed. Takes NULL. */
void chain_free(struct filter_chain *chain);

/* As those of a handler; the backend is the chain. */
void chain_submit(void *chain, struct tcmu_io *io);
void chain_cancel(void *chain, struct tcmu_io *io);

/* For filters: the request goes on to the next layer below, or the answer to the next one above.
 * The filter has the request no more. Any thread for filter_end(); filter_pass() in submit only. */
void filter_pass(struct filter_layer *layer, struct tcmu_io *io);
void filter_end(struct filter_layer *layer, struct tcmu_io *io, int error);

/* Whether the request was cancelled. */
bool filter_is_cancelled(const struct filter_layer *layer, const struct tcmu_io *io);
