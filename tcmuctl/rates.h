/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened between two answers to "stats": rates, and percentiles of what was answered in
 * between.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* Seconds below which this part of the commands was answered. before: NULL: since ever. 0: there
 * were none. The last, open bucket counts as its lower bound. */
double rates_percentile(const json_t *latency, const json_t *before, double part);

/* An object: seconds, devices, each with its rates (tcmuctl(8)). before may lack devices and be of
 * another daemon: what has begun anew counts from 0. */
json_t *rates_between(const json_t *before, const json_t *now);

/* by_load: the busiest first. */
void rates_show(FILE *out, const json_t *rates, bool by_load);
