/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of librbd on which the safety of a shared image rests. The connection sets them,
 * above the configuration file and the monitors' database. But librbd lets the settings of the pool
 * and of the image override the connection's, so they are read back.
 *
 * Every function but image_settings_set() may block until the cluster answers.
 */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdbool.h>

#include <tcmu/handler.h>

/* Before the connection. Returns 0 or a negative errno. */
int image_settings_set(rados_t rados);

/* Whether librbd caches writes. True if that cannot be determined. */
bool image_settings_cache(rbd_image_t rbd);

/* Whether gateways may share the image: 0. -EINVAL, with a reason that names the setting: they may
 * not; or another negative errno with a reason. */
int image_settings_check(rbd_image_t rbd, struct tcmu_reason *reason);
