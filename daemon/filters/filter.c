/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/filter.h. */
#include "filters/filter.h"

#include <assert.h>
#include <string.h>

#include "filters/delay.h"
#include "filters/fault.h"
#include "filters/log.h"
#include "filters/stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct filter *const filters[] = {
	&filter_delay, &filter_fault, &filter_log, &filter_stats};

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

const char *filter_op_word(enum tcmu_io_op op)
{
	static const char *const words[] = {
		[0] = "all",
		[TCMU_IO_READ] = "read",
		[TCMU_IO_WRITE] = "write",
		[TCMU_IO_FLUSH] = "flush",
		[TCMU_IO_UNMAP] = "unmap",
		[TCMU_IO_WRITE_ZEROES] = "write_zeroes",
		[TCMU_IO_COMPARE_AND_WRITE] = "compare_and_write",
		[TCMU_IO_MAP] = "map",
		[TCMU_IO_WRITE_SAME] = "write_same",
	};

	assert((size_t) op < COUNT(words));
	return words[op];
}
