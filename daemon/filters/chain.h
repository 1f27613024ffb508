/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open stack: filters, the outermost first, and the backend below them.
 *
 * The memory of a request at io->priv is the handler's first, so that the handler finds it where it
 * would be without filters; then the chain's part, and that of each filter.
 */
#pragma once

#include "filters/filter.h"

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
