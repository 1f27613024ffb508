/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of requests, fencing, and reports to the daemon.
 */
#pragma once

#include "image.h"

/* Completes the request. result: the return value of librbd. Any thread. */
void image_end(struct image_request *request, int64_t result);

/* The host's log() and event(), until image_leave_host() has returned. Any thread. */
void image_log(struct image *image, enum tcmu_log_level level, const char *text);
void image_event(struct image *image, enum tcmu_backend_event event, int64_t value);
void image_leave_host(struct image *image);

/* Records that the cluster has blocklisted this connection: librbd is called for no further write,
 * and the daemon is notified, once. Any thread. */
void image_fence(struct image *image);
