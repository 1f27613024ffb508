/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The faults of the daemon, of its handlers and of each device, with their ages and advice.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum health_severity {
	HEALTH_FINE,
	HEALTH_ATTENTION, /* devices are served, and something has to be checked */
	HEALTH_OUTAGE,    /* a device is not served */
};

/* Whether a device of the method "list" is LIVE and has no problem. */
bool health_is_well(const json_t *device);

/* The findings in a result of the method "dump": {"status", "devices", "findings": [{"subject",
 * "severity", "state", "seconds", "problem", "advice"}]}, the worst first. To be freed. */
json_t *health_of(const json_t *dump);

/* The worst severity of the findings. */
enum health_severity health_severity(const json_t *health);

/* Prints a line where nothing is wrong; else the findings, and what to do about each. */
void health_show(FILE *out, const json_t *health);
