/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the daemon, for people. Results are what query.h of the daemon promises; members that
 * are missing are shown as nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

void show_list(FILE *out, const json_t *result);
void show_status(FILE *out, const json_t *result);
void show_totals(FILE *out, const json_t *result); /* of stats */
void show_inflight(FILE *out, const json_t *result);
void show_handlers(FILE *out, const json_t *result);

/* Members of an object; what is not there is "" or 0. */
const char *text_of(const json_t *object, const char *key);
double number_of(const json_t *object, const char *key);

/* Goes through an object: for (struct member member = {0}; next_member(object, &member);) */
struct member {
	const char *key;
	json_t *value;
	void *at;
};
bool next_member(json_t *object, struct member *member);

/* "1.5 GiB" */
const char *show_size(double bytes, char buffer[24]);

/* "1.24 ms" */
const char *show_time(double seconds, char buffer[24]);
