/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's exclusive lock, for the handler's table. Any thread; may block.
 */
#pragma once

#include <tcmu/handler.h>

int image_lock(void *backend, uint16_t tag, struct tcmu_reason *reason);
int image_unlock(void *backend);
int image_lock_state(void *backend, bool *ours, uint16_t *tag);
