/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter "cow": writes go to an overlay file, and blocks that were never written are read from
 * the handler below, which is opened read-only and never written.
 */
#pragma once

#include "filters/filter.h"

extern const struct filter filter_cow;
