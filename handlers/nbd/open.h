/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close, resize, the check of a config string and the claim, for the handler's table.
 */
#pragma once

#include <tcmu/handler.h>

int remote_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);
int remote_claim_config(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason);
int remote_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
void remote_close(void *backend);
int remote_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);
