/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of answers, as JSON. Each function returns a new value that the caller owns, or NULL
 * when memory is short: jansson does not abort, and a NULL part makes the whole answer NULL, so
 * only the complete answer is checked.
 *
 * Main thread, except json_fill_histograms().
 */
#pragma once

#include <jansson.h>

#include "device/status.h"

/* Text of any bytes; those that are not UTF-8 are replaced. NULL becomes null. */
json_t *json_text(const char *text);

/* The device's configuration and state. */
json_t *json_device(const struct device *device);

/* The histograms of an answer. Each has hundreds of numbers: the main thread only copies them, and
 * another thread writes them into the answer. */
struct histograms {
	struct histogram *list;
};

/* The device's counters and times. Its histograms are empty arrays until json_fill_histograms(). */
json_t *json_stats(const struct device *device, struct histograms *histograms);

/* Writes the copied numbers into the answer and frees the copies. Any thread, as long as no other
 * one uses the answer. */
void json_fill_histograms(struct histograms *histograms);

/* The device's commands in flight: an array, the oldest first. */
json_t *json_requests(const struct device *device);
