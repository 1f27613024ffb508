/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of requests, and fencing.
 */
#pragma once

#include "image.h"

/* Completes the request. result: the return value of librbd. Any thread. */
void image_end(struct image_request *request, int64_t result);

/* Records that the cluster has blocklisted this connection: librbd is called for no further write,
 * and the daemon is notified, once. Any thread. */
void image_fence(struct image *image);
