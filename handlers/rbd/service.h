/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's entry in the cluster's service map.
 */
#pragma once

#include "image.h"
#include "target.h"

/* Registers the image. Called once, before the image thread starts. Returns 0, or a negative errno:
 * the service map does not have the image, and everything else works. May block. */
int image_service_register(struct image *image, const struct image_target *target);

/* Reports the status to the cluster. The thread of the image, or that of its open. May block. */
void image_service_report(struct image *image);
