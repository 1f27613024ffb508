/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close, resize and the check of a config string, for the handler's table.
 */
#pragma once

#include <tcmu/handler.h>

int fault_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);
int fault_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
void fault_close(void *backend);
int fault_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);
