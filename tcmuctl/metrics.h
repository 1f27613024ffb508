/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters as text that monitoring reads. tcmud-metrics(7) describes each of them.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

enum metrics_format {
	METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
	METRICS_PROMETHEUS,  /* Prometheus' text format 0.0.4, which its node exporter reads */
};

/* Prints all metrics. dump: the result of the method "dump"; NULL: the daemon does not answer,
 * which is the only thing that is printed then. */
void metrics_write(FILE *out, const json_t *dump, enum metrics_format format);
