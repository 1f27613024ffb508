/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of answers: what is known, as JSON. Each function returns a new value, NULL when memory
 * is short.
 */
#pragma once

#include <jansson.h>

#include "device/status.h"

/* Text from anywhere: what is not UTF-8 in it is replaced. NULL is null. */
json_t *json_text(const char *text);

/* How a device is. */
json_t *json_device(const struct device *device);

/* Histograms have hundreds of numbers for each device: they are copied first, and put into the
 * answer where nobody waits for it. */
struct histograms {
	struct histogram *list;
};

/* What it has done. Its histograms are empty until json_fill(). */
json_t *json_stats(const struct device *device, struct histograms *histograms);

/* On any thread, which alone has the answer now. Frees what was copied. */
void json_fill(struct histograms *histograms);

/* What it is doing: an array, the oldest command first. */
json_t *json_requests(const struct device *device);
