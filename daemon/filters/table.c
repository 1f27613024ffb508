/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/table.h. */
#include "filters/table.h"

#include <assert.h>
#include <string.h>

#include "filters/cow.h"
#include "filters/delay.h"
#include "filters/fault.h"
#include "filters/log.h"
#include "filters/stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct filter *const filters[] = {
	&filter_cow, &filter_delay, &filter_fault, &filter_log, &filter_stats};

const struct filter *filter_at(size_t index)
{
	return index < COUNT(filters) ? filters[index] : NULL;
}

const struct filter *filter_find(const char *name)
{
	for (size_t i = 0; i < COUNT(filters); i++) {
		assert(i == 0 || strcmp(filters[i - 1]->name, filters[i]->name) < 0);
		if (strcmp(filters[i]->name, name) == 0)
			return filters[i];
	}
	return NULL;
}
