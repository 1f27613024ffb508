/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend takes at once: the daemon makes several requests of a longer one, and the test kit
 * refuses it.
 */
#pragma once

#include <stdint.h>

#include <tcmu/handler.h>

/* Bytes of one request of an operation; UINT64_MAX: any. */
static inline uint64_t backend_limit(const struct tcmu_backend_info *info, enum tcmu_io_op op)
{
	uint64_t most = op == TCMU_IO_READ || op == TCMU_IO_WRITE ? info->maximum_transfer
		: op == TCMU_IO_UNMAP                             ? info->maximum_unmap
								  : 0;

	return most ? most : UINT64_MAX;
}
