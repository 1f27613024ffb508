/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of text for people: each column is as wide as its widest cell, and numbers are aligned to
 * the right. Running out of memory ends the program with a message.
 */
#pragma once

#include <stdio.h>

struct table;

/* titles: one for each column, at most 16, and NULL at the end. A title that begins with '<' makes
 * a column of text, the others are of numbers. The caller ends the table by table_end(). */
struct table *table_new(const char *const *titles);

/* Adds the next cell, from left to right and top to bottom. Longer cells than 319 bytes are cut. */
void table_add(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the table and frees it. */
void table_end(struct table *table, FILE *out);
