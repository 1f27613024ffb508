/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's own thread, for calls of librbd that block.
 */
#pragma once

#include "image.h"

/* Starts the thread. Returns 0 or a negative errno. */
int image_thread_start(struct image *image);

/* Stops the thread and waits for its end. No request may be left in its list. Does nothing if it
 * was not started. */
void image_thread_stop(struct image *image);

/* Passes a TCMU_IO_MAP request to the thread, which completes it. Any thread. */
void image_thread_map(struct image_request *request);

/* librbd's callback: the image's header has changed. Any thread. */
void image_thread_update(void *image);
