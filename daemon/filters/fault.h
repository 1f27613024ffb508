/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter "fault": requests of an operation fail, all of them or the n-th since the open:
 *
 * before: the request is not carried out, and ends with the error
 * after: it is carried out, and ends with the error
 * short: its first half is carried out, and it ends with the error at the second
 * late: it is carried out, and ends after some time, with its own result or the error
 * never: it is neither carried out nor answered, until it is cancelled
 */
#pragma once

#include "filters/filter.h"

extern const struct filter filter_fault;
