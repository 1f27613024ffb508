/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The alignment of direct I/O in the answer of statx(), which kernels from 6.1 on give. The headers
 * of older C libraries have the structure, but not these two members.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define STATX_DIO_MASK 0x2000u
#define STATX_DIO_AT   152 /* the two are neighbours; the layout is the system call's */

struct statx_dio {
	uint32_t memory_align;
	uint32_t offset_align;
};

_Static_assert(sizeof(struct statx) == 256, "statx() has another layout");
#ifdef STATX_DIOALIGN
_Static_assert(STATX_DIOALIGN == STATX_DIO_MASK, "statx() asks for the alignment otherwise");
_Static_assert(
	offsetof(struct statx, stx_dio_mem_align) == STATX_DIO_AT &&
		offsetof(struct statx, stx_dio_offset_align) == STATX_DIO_AT + 4,
	"statx() has another layout");
#endif

static inline struct statx_dio statx_dio_get(const struct statx *stx)
{
	struct statx_dio dio;

	memcpy(&dio, (const char *) stx + STATX_DIO_AT, sizeof(dio));
	return dio;
}

static inline void statx_dio_set(struct statx *stx, const struct statx_dio *dio)
{
	memcpy((char *) stx + STATX_DIO_AT, dio, sizeof(*dio));
}
