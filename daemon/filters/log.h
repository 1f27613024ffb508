/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter "log": a line for each request that has ended: the operation, its range, its result
 * and its time. It logs at most so many lines a second, and says how many it has left out.
 */
#pragma once

#include "filters/filter.h"

extern const struct filter filter_log;
