/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all filters. */
#pragma once

#include <stddef.h>

#include "filters/filter.h"

/* All filters, in the order of their names. NULL: index is beyond the last. */
const struct filter *filter_at(size_t index);

/* The filter of this name, or NULL. */
const struct filter *filter_find(const char *name);
