/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals: an error code and one sentence with the reason, for the user. */
#pragma once

#include <tcmu/handler.h>

/* Writes the sentence, cut to the size of reason->text. Returns error, for the caller to return.
 * Any thread; allocates nothing. */
int reason_refuse(struct tcmu_reason *reason, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
