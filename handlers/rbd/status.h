/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that the service map reports. Any thread; no function blocks.
 */
#pragma once

#include "image.h"

/* The counters of the image with this name in the service map; new ones for a new name. They stay
 * valid while the plugin is loaded. NULL: out of memory. */
struct image_counts *image_counts_get(const char *name);

/* A request has ended with 0 or an error of librbd. */
void image_status_note(struct image *image, enum tcmu_io_op op, int error);

/* The image is in the service map from now on, until image_status_leave(), which is called when its
 * connection is closed, also of an image that has not joined. */
void image_status_join(struct image *image);
void image_status_leave(struct image *image);

/* The connection is an old one from now on: blocklisted, or of a device that is gone. All images of
 * this process report how many there are. */
void image_status_note_old(struct image *image);

/* How many old connections this process has not closed yet. */
unsigned image_status_old(void);

/* The cluster has blocklisted this connection. */
void image_status_note_fence(struct image *image);

/* The daemon has acquired (ours) or released the lock. */
void image_status_note_lock(struct image *image, bool ours);
