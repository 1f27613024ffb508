/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a config string and the claim, for the handler's table. Nothing is changed.
 */
#pragma once

#include <tcmu/handler.h>

int file_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);
int file_claim_config(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason);
