/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's exclusive lock, for the handler's table. Any thread; may block.
 */
#pragma once

#include <tcmu/handler.h>

#include "image.h"

int image_lock(void *backend, uint16_t tag, struct tcmu_reason *reason);
int image_unlock(void *backend);
int image_lock_state(void *backend, bool *ours, uint16_t *tag);
void image_abandon(void *backend);

/* Says that nothing of this client instance can reach the image any more, if it has said otherwise
 * before. Nothing is in flight. Returns 0 or a negative errno. */
int image_lock_say_end(struct image *image);

/* Checks the blocklist entries of former lock holders while this host holds the lock. The image
 * thread. */
void image_lock_check(struct image *image);
