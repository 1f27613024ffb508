/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter "delay": answers come later, by a time for each operation. The handler has carried the
 * request out meanwhile, so neither the I/O thread nor a worker waits.
 */
#pragma once

#include "filters/filter.h"

extern const struct filter filter_delay;
