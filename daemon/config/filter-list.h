/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of a config string: the values of its options "filter", the outermost first. Each is
 * NAME[+OPTION=VALUE]..., where %XX stands for a byte.
 *
 * Pure functions over strings; any thread. Running out of memory aborts (glib).
 */
#pragma once

#include <tcmu/handler.h>

#include "filters/filter.h"

struct filter_list {
	unsigned cnt;
	const struct filter *filters[FILTERS_MAX];
	struct tcmu_option_value *values[FILTERS_MAX];
	char *texts[FILTERS_MAX]; /* what the strings of the values point into */
};

/* Appends a filter. 0, or -EINVAL with a reason that names the filter, the option, and what was
 * expected. */
int filter_list_append(struct filter_list *list, const char *text, struct tcmu_reason *reason);

/* Frees what the list holds. */
void filter_list_clear(struct filter_list *list);
