/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers for memory, without state. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* Zeroed memory that costs nothing until it is touched, page by page. To be freed by
 * memory_unmap(). NULL: there is none. */
static inline void *memory_map(size_t len)
{
	void *memory = mmap(
		NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A huge page would make 2 MiB of it resident at the first touch. */
	(void) madvise(memory, len, MADV_NOHUGEPAGE);
	return memory;
}

/* Takes NULL. */
static inline void memory_unmap(void *memory, size_t len)
{
	if (memory)
		(void) munmap(memory, len);
}

/* Whether all bytes are zero; true for no bytes. */
static inline bool memory_is_zero(const uint8_t *memory, size_t len)
{
	return len == 0 || (memory[0] == 0 && memcmp(memory, memory + 1, len - 1) == 0);
}

/* How many bytes from the start are equal. */
static inline size_t memory_equal_prefix(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t same = 0;

	if (memcmp(a, b, len) == 0)
		return len;
	while (a[same] == b[same])
		same++;
	return same;
}
