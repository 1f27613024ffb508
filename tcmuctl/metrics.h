/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters in the OpenMetrics text format, which Prometheus and its node exporter read.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

/* dump: the daemon's answer to "dump". */
void metrics_write(FILE *out, const json_t *dump);
