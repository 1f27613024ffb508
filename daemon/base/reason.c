/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reason.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int reason_refuse(struct tcmu_reason *reason, int error, const char *fmt, ...)
{
	va_list args;

	assert(error < 0);
	va_start(args, fmt);
	(void) vsnprintf(reason->text, sizeof(reason->text), fmt, args);
	va_end(args);
	return error;
}
