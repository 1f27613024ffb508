/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reasons of refusals. A reason names the cause before the server, because a long name may be cut.
 */
#include "reason.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int remote_refuse(struct tcmu_reason *reason, int error, const char *format, ...)
{
	va_list args;

	assert(error < 0);
	va_start(args, format);
	(void) vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
	return error;
}
