/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of text for people, by libsmartcols: each column is as wide as its widest cell, and
 * numbers are aligned to the right. On a terminal the texts that may be cut are cut so that a line
 * fits. Running out of memory ends the program with a message.
 */
#pragma once

#include <stdio.h>

struct table;

/* titles: one for each column, and NULL at the end. One that begins with '<' makes a column of
 * text, one with '~' a column of text that may be cut; the others are of numbers. The caller ends
 * the table by table_end() or table_end_within(). */
struct table *table_new(const char *const *titles);

/* Adds the next cell, from left to right and top to bottom. Longer cells than 4095 bytes are cut.
 */
void table_add(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the table and frees it. Where out is a terminal, its width counts; where cutting texts
 * does not suffice, the lines are longer. */
void table_end(struct table *table, FILE *out);

/* Likewise, in so many columns of a terminal: no line is longer. */
void table_end_within(struct table *table, FILE *out, unsigned width);

/* ------- numbers as text ------- */

#define TABLE_TEXT_SIZE 24

/* "1.50 GiB". Returns buffer. */
const char *table_size(double bytes, char buffer[TABLE_TEXT_SIZE]);

/* "1.24 ms". Returns buffer. */
const char *table_time(double seconds, char buffer[TABLE_TEXT_SIZE]);
