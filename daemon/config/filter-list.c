/* SPDX-License-Identifier: Apache-2.0 */
/* See config/filter-list.h. */
#include "config/filter-list.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/reason.h"
#include "config/escape.h"
#include "config/option-table.h"
#include "filters/table.h"

/* With the longest name of a counter, 15 characters, it fits into one of 31. */
#define NAME_MAX_OF_COUNTERS 15

static int filter_list_refuse_name(const char *name, struct tcmu_reason *reason)
{
	const struct filter *filter;
	size_t used = (size_t) snprintf(
		reason->text, sizeof(reason->text), "there is no filter \"%.31s\": expected", name);

	for (size_t i = 0; (filter = filter_at(i)) && used < sizeof(reason->text); i++)
		used += (size_t) snprintf(
			reason->text + used, sizeof(reason->text) - used, "%s %s", i ? "," : "",
			filter->name);
	return -EINVAL;
}

static int filter_list_refuse_option(
	const struct filter *filter, const char *name, struct tcmu_reason *reason)
{
	size_t used = (size_t) snprintf(
		reason->text, sizeof(reason->text),
		"the filter %s has no option \"%.31s\": expected", filter->name, name);

	for (const struct tcmu_option *o = filter->options;
	     o && o->name && used < sizeof(reason->text); o++)
		used += (size_t) snprintf(
			reason->text + used, sizeof(reason->text) - used, "%s %s",
			o == filter->options ? "" : ",", o->name);
	return -EINVAL;
}

static int filter_list_parse_option(
	const struct filter *filter, char *pair, struct tcmu_option_value *values,
	struct tcmu_reason *reason)
{
	char *equals = strchr(pair, '=');
	const struct tcmu_option *option;
	struct tcmu_option_value *value;
	char words[128];

	if (equals)
		*equals = '\0';
	option = option_table_find(filter->options, option_table_size(filter->options), pair);
	if (!option)
		return filter_list_refuse_option(filter, pair, reason);
	value = &values[option - filter->options];
	if (value->given)
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" of the filter %s is given twice", pair,
			filter->name);
	option_value_words(option, words, sizeof(words));
	if (!equals && option->type != TCMU_OPTION_BOOL)
		return reason_refuse(
			reason, -EINVAL,
			"the option \"%s\" of the filter %s has no value: expected %s", pair,
			filter->name, words);
	if (equals && escape_decode(equals + 1, option->name, reason) < 0)
		return -EINVAL;
	if (!option_parse_value(option, equals ? equals + 1 : "yes", value))
		return reason_refuse(
			reason, -EINVAL,
			"the option \"%s\" of the filter %s is \"%.40s\": expected %s", pair,
			filter->name, equals ? equals + 1 : "", words);
	value->given = true;
	return 0;
}

/* Decodes text, which is the list's, in place. */
static int filter_list_parse(
	char *text, const struct filter **ret, struct tcmu_option_value *values,
	struct tcmu_reason *reason)
{
	char *next = strchr(text, '+');
	const struct filter *filter;

	if (next)
		*next++ = '\0';
	filter = filter_find(text);
	if (!filter)
		return filter_list_refuse_name(text, reason);
	assert(option_table_size(filter->options) <= FILTER_OPTIONS_MAX);
	option_set_defaults(filter->options, option_table_size(filter->options), values);
	while (next) {
		char *pair = next;
		int r;

		next = strchr(pair, '+');
		if (next)
			*next++ = '\0';
		r = filter_list_parse_option(filter, pair, values, reason);
		if (r < 0)
			return r;
	}
	*ret = filter;
	if (filter->counters && !option_name_fits(values[0].string, NAME_MAX_OF_COUNTERS))
		return reason_refuse(
			reason, -EINVAL,
			"the option \"name\" of the filter %s is \"%.40s\": expected 1 to %d "
			"characters of [a-z0-9_]",
			filter->name, values[0].string, NAME_MAX_OF_COUNTERS);
	return filter->check ? filter->check(values, reason) : 0;
}

/* Counters of the last filter must not have the names of those of another one. */
static int filter_list_check_names(const struct filter_list *list, struct tcmu_reason *reason)
{
	unsigned last = list->cnt - 1;

	assert(list->cnt > 0);
	if (!list->filters[last]->counters)
		return 0;
	assert(list->values[last][0].string);
	for (unsigned i = 0; i < last; i++)
		if (list->filters[i]->counters &&
		    strcmp(list->values[i][0].string, list->values[last][0].string) == 0)
			return reason_refuse(
				reason, -EINVAL,
				"the option \"name\" of two filters %s is \"%s\": expected two "
				"different names",
				list->filters[last]->name, list->values[i][0].string);
	return 0;
}

int filter_list_append(struct filter_list *list, const char *text, struct tcmu_reason *reason)
{
	unsigned i = list->cnt;
	int r;

	if (i == FILTERS_MAX)
		return reason_refuse(
			reason, -EINVAL, "there are more than %d filters", FILTERS_MAX);
	list->texts[i] = g_strdup(text);
	list->values[i] = g_new0(struct tcmu_option_value, FILTER_OPTIONS_MAX);
	list->cnt++;
	r = filter_list_parse(list->texts[i], &list->filters[i], list->values[i], reason);
	assert(r <= 0);
	return r < 0 ? r : filter_list_check_names(list, reason);
}

void filter_list_clear(struct filter_list *list)
{
	assert(list->cnt <= FILTERS_MAX);
	for (unsigned i = 0; i < list->cnt; i++) {
		g_free(list->texts[i]);
		g_free(list->values[i]);
	}
	list->cnt = 0;
}
