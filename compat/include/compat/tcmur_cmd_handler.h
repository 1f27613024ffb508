/* SPDX-License-Identifier: Apache-2.0 */
/* A new size of the backing store. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_device;

/* Any thread. size: bytes. The daemon gives the device the size. Returns 0. */
int tcmur_dev_update_size(struct tcmu_device *dev, uint64_t size);

#ifdef __cplusplus
}
#endif
