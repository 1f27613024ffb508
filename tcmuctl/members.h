/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of JSON objects, for answers that may lack some of them.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/* A member's text; valid as long as the object. "": it is missing or no text. */
const char *member_text(const json_t *object, const char *key);

/* A member's number; 0: it is missing or no number. */
double member_number(const json_t *object, const char *key);

/* The one of result's devices that has this name; NULL: there is none. */
const json_t *member_device(const json_t *result, const char *name);

/* Iterates over an array: the value is the array's. */
#define member_each(array, i, value) for ((i) = 0; ((value) = json_array_get(array, i)); (i)++)

/* Iterates over an object: for (struct member member = {0}; member_next(object, &member);) */
struct member {
	const char *key;
	json_t *value; /* the object's */
	void *at;
};
bool member_next(json_t *object, struct member *member);
