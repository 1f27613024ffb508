/* SPDX-License-Identifier: Apache-2.0 */
/* See config/option-table.h. */
#include "config/option-table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/reason.h"

/* ------- values ------- */

bool option_parse_bool(const char *text, uint64_t *number)
{
	static const char *const words[] = {"0", "1", "no", "yes", "off", "on", "false", "true"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*number = i % 2;
			return true;
		}
	}
	return false;
}

/* Decimal digits. *end: the character after them. */
static bool option_parse_digits(const char *text, uint64_t *number, const char **end)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char) *text))
		return false;
	for (; isdigit((unsigned char) *text); text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t) (*text - '0'), &n))
			return false;
	*number = n;
	*end = text;
	return true;
}

static bool option_parse_size(const char *text, uint64_t *number)
{
	static const char units[] = "KMGT";
	const char *unit, *end;

	if (!option_parse_digits(text, number, &end))
		return false;
	if (!*end)
		return true;
	unit = strchr(units, toupper((unsigned char) *end));
	if (!unit || end[1])
		return false;
	return !__builtin_mul_overflow(*number, UINT64_C(1) << (10 * (unit - units + 1)), number);
}

static bool option_parse_choice(const char *text, const char *const *choices, uint64_t *number)
{
	assert(choices);
	for (uint64_t i = 0; choices[i]; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*number = i;
			return true;
		}
	}
	return false;
}

bool option_parse_value(
	const struct tcmu_option *option, const char *text, struct tcmu_option_value *value)
{
	const char *end;

	switch (option->type) {
	case TCMU_OPTION_BOOL:
		return option_parse_bool(text, &value->number);
	case TCMU_OPTION_UINT:
		return option_parse_digits(text, &value->number, &end) && !*end;
	case TCMU_OPTION_SIZE:
		return option_parse_size(text, &value->number);
	case TCMU_OPTION_STRING:
	case TCMU_OPTION_SECRET:
		value->string = text;
		return true;
	case TCMU_OPTION_CHOICE:
		return option_parse_choice(text, option->choices, &value->number);
	}
	return false;
}

void option_value_words(const struct tcmu_option *option, char *words, size_t size)
{
	static const char *const plain[] = {
		[TCMU_OPTION_BOOL] = "yes|no",         [TCMU_OPTION_UINT] = "NUMBER",
		[TCMU_OPTION_SIZE] = "BYTES[K|M|G|T]", [TCMU_OPTION_STRING] = "TEXT",
		[TCMU_OPTION_SECRET] = "FILE",
	};
	size_t used = 0;

	assert(size > 0);
	if (option->type != TCMU_OPTION_CHOICE) {
		assert((size_t) option->type < G_N_ELEMENTS(plain) && plain[option->type]);
		(void) snprintf(words, size, "%s", plain[option->type]);
		return;
	}
	words[0] = '\0';
	for (size_t i = 0; option->choices[i] && used < size; i++)
		used += (size_t) snprintf(
			words + used, size - used, "%s%s", i ? "|" : "", option->choices[i]);
}

/* ------- tables ------- */

size_t option_table_size(const struct tcmu_option *table)
{
	size_t cnt = 0;

	while (table && table[cnt].name)
		cnt++;
	return cnt;
}

const struct tcmu_option *option_table_find(
	const struct tcmu_option *table, size_t cnt, const char *name)
{
	for (size_t i = 0; i < cnt; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

bool option_name_fits(const char *name, size_t max)
{
	size_t len = strnlen(name, max + 1);

	if (!len || len > max)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

int option_check(const struct tcmu_option *option, struct tcmu_reason *reason)
{
	struct tcmu_option_value value;

	if (!option_name_fits(option->name, OPTION_NAME_MAX))
		return reason_refuse(
			reason, -EINVAL,
			"the option name \"%.40s\" is invalid: expected 1 to 31 characters of "
			"[a-z0-9_]",
			option->name);
	if (option->type < TCMU_OPTION_BOOL || option->type > TCMU_OPTION_SECRET)
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" has the unknown type %d", option->name,
			(int) option->type);
	if (option->type == TCMU_OPTION_CHOICE && (!option->choices || !option->choices[0]))
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" is a choice without values",
			option->name);
	if (option->def && !option_parse_value(option, option->def, &value))
		return reason_refuse(
			reason, -EINVAL,
			"the default \"%.40s\" of the option \"%s\" is not one of its values",
			option->def, option->name);
	return 0;
}

void option_set_defaults(
	const struct tcmu_option *table, size_t cnt, struct tcmu_option_value *values)
{
	for (size_t i = 0; i < cnt; i++) {
		bool valid = !table[i].def ||
			option_parse_value(&table[i], table[i].def, &values[i]);

		assert(valid); /* option_check() has seen it */
	}
}
