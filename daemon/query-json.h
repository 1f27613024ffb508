/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of answers: what is known, as JSON. Each function returns a new value, NULL when memory is short.
 */
#pragma once

#include <jansson.h>

#include "device.h"

/* Text from anywhere: what is not UTF-8 in it is replaced. NULL is null. */
json_t *json_text(const char *text);

/* How a device is. */
json_t *json_device(const struct device *device);

/* What it has done. */
json_t *json_stats(const struct device *device);

/* What it is doing: an array, the oldest command first. */
json_t *json_requests(const struct device *device);
