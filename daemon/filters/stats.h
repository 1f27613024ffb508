/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter "stats": counters of the requests that pass it, among those of the handler. Two of
 * them, above and below another filter, show what that filter does.
 */
#pragma once

#include "filters/filter.h"

extern const struct filter filter_stats;
