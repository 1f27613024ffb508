/* SPDX-License-Identifier: Apache-2.0 */
/* The report: as text while the tests run, or as JSON at the end. */
#pragma once

#include <stdio.h>

#include "runner.h"

struct report;

struct report *report_new(const struct cli *cli, FILE *out);

/* A test has ended. */
void report_add(struct report *report, const struct runner_result *result);

/* Prints the rest, and frees the report. -1: it cannot be written. */
int report_end(struct report *report);
