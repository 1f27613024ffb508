/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of options (struct tcmu_option), and the values that are written for them. The tables are
 * those of the daemon, of handlers and of filters.
 *
 * Pure functions over strings; any thread; nothing is allocated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <tcmu/handler.h>

#define OPTION_NAME_MAX 31

/* Reads one of the words of TCMU_OPTION_BOOL. False: text is none. */
bool option_parse_bool(const char *text, uint64_t *number);

/* Reads the value of an option. Strings are not copied. False: text is none of its values. */
bool option_parse_value(
	const struct tcmu_option *option, const char *text, struct tcmu_option_value *value);

/* Writes the possible values for a person: "yes|no". */
void option_value_words(const struct tcmu_option *option, char *words, size_t size);

/* The entries of a table; 0 for NULL. */
size_t option_table_size(const struct tcmu_option *table);

/* The option of this name among the first cnt. NULL: there is none. */
const struct tcmu_option *option_table_find(
	const struct tcmu_option *table, size_t cnt, const char *name);

/* Whether it is 1 to max characters of [a-z0-9_]. */
bool option_name_fits(const char *name, size_t max);

/* Checks the name, the type and the default of an option. 0, or -EINVAL with a reason. */
int option_check(const struct tcmu_option *option, struct tcmu_reason *reason);

/* Sets the values to the defaults of the table, which option_check() accepts. */
void option_set_defaults(
	const struct tcmu_option *table, size_t cnt, struct tcmu_option_value *values);
