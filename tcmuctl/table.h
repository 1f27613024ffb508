/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of text for people: columns as wide as what stands in them, numbers to the right.
 */
#pragma once

#include <stdio.h>

struct table;

/* One title for each column; one that begins with '<' is of text, the others are of numbers. NULL
 * ends them. */
struct table *table_new(const char *const *titles);

/* The next cell, from left to right and top to bottom. */
void table_add(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes it and frees it. */
void table_end(struct table *table, FILE *out);
