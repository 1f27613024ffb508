/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference of two results of "stats": rates, and percentiles of the commands that ended in
 * between.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* The latency in seconds that this part (0 to 1) of the commands did not exceed; 0: there were no
 * commands. before: NULL: since the start. The last, open bucket counts as its lower bound. */
double rates_percentile(const json_t *latency, const json_t *before, double part);

/* A new object: seconds, and devices, each with its rates (tcmuctl(8)). before may lack devices or
 * be of an earlier daemon: a device whose counters have restarted counts from 0. */
json_t *rates_between(const json_t *before, const json_t *now);

/* Prints a table. by_load: the busiest devices first. */
void rates_show(FILE *out, const json_t *rates, bool by_load);

/* Prints a table of an array of such devices, in so many columns of a terminal; a narrow one gets
 * fewer of the table's columns. */
void rates_show_within(FILE *out, const json_t *devices, unsigned width);

/* Commands a second of one of the devices. */
double rates_load(const json_t *device);
