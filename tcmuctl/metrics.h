/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters in the OpenMetrics text format, which Prometheus and its node exporter read.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

/* Prints all metrics. dump: the result of the method "dump". */
void metrics_write(FILE *out, const json_t *dump);
