/* SPDX-License-Identifier: Apache-2.0 */
/* strlcpy(), for C libraries without it. */
#pragma once

#include <string.h>

#if !defined(__GLIBC__) || __GLIBC__ < 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 38)
/* Copies at most size - 1 bytes and ends them with NUL. Returns the length of from. */
static inline size_t strlcpy(char *to, const char *from, size_t size)
{
	size_t length = strlen(from);

	if (size) {
		size_t copied = length < size ? length : size - 1;

		memcpy(to, from, copied);
		to[copied] = '\0';
	}
	return length;
}
#endif
