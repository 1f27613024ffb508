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

/* The cluster has blocklisted this connection. */
void image_status_note_fence(struct image *image);

/* The daemon has acquired (ours) or released the lock. */
void image_status_note_lock(struct image *image, bool ours);
