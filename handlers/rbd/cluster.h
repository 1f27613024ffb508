/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a cluster. Every function may block until the cluster answers, within the limits
 * that cluster.c sets.
 */
#pragma once

#include <rados/librados.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "fence/kill.h"
#include "target.h"

struct image_cluster {
	rados_t rados;
	rados_ioctx_t pool; /* NULL: not yet */
	struct kill_handle kill;
};

/* Seconds that opening and checking wait for an answer of the cluster. The daemon's open_timeout_ms
 * is longer. */
#define IMAGE_OPEN_TIMEOUT 8u

/* Of a shared image without osd_op_timeout, and of its close: a client instance that was ended ends
 * its requests. Seconds. */
#define IMAGE_SHARED_TIMEOUT 60u

/* Reads the cluster's configuration without connecting. Returns 0; or a negative errno with a
 * reason, and nothing is left behind. */
int image_configure(
	const struct tcmu_config *config, struct image_cluster *cluster,
	struct tcmu_reason *reason);

/* Connects, and opens the pool of the target in its namespace. Returns 0; or a negative errno with
 * a reason, and nothing is left behind. */
int image_connect(
	const struct tcmu_config *config, const struct image_target *target,
	struct image_cluster *cluster, struct tcmu_reason *reason);

/* Sets the time in seconds after which a request fails; 0: never. Returns 0 or a negative errno. */
int image_set_timeout(struct image_cluster *cluster, uint64_t seconds);

/* Disconnects. Accepts a half-built connection. */
void image_disconnect(struct image_cluster *cluster);
