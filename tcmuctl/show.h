/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the daemon, as tables for people. Each function prints one result of the methods that
 * the daemon's rpc/methods.h lists; a member that is missing is shown as nothing.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

/* Only the fenced devices, and how many connections were given up. */
void show_fenced(FILE *out, const json_t *result);

void show_list(FILE *out, const json_t *result);
void show_status(FILE *out, const json_t *result);
void show_totals(FILE *out, const json_t *result); /* of stats */
void show_inflight(FILE *out, const json_t *result);
void show_handlers(FILE *out, const json_t *result);
