/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers for memory and iovecs, without state. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

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

/* Copies len bytes into the iovecs, as far as they have room. Returns how many. */
static inline size_t iov_copy_to(
	const struct iovec *iov, unsigned cnt, const void *data, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, (const char *) data + done, n);
		done += n;
	}
	return done;
}

/* Fills the iovecs with zeros, behind the first skip bytes. */
static inline void iov_zero(const struct iovec *iov, unsigned cnt, size_t skip)
{
	for (unsigned i = 0; i < cnt; i++) {
		size_t from = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		memset((char *) iov[i].iov_base + from, 0, iov[i].iov_len - from);
		skip -= from;
	}
}

/* Copies the first len bytes of the iovecs, or all if there are fewer. Returns how many. */
static inline size_t iov_copy_from(const struct iovec *iov, unsigned cnt, void *data, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((char *) data + done, iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* Describes the first len bytes of the iovecs by iovecs in out, which has room for cnt. Returns how
 * many it used. */
static inline unsigned iov_clip(
	const struct iovec *iov, unsigned cnt, size_t len, struct iovec *out)
{
	unsigned n = 0;

	for (; n < cnt && len; n++) {
		out[n] = iov[n];
		if (out[n].iov_len > len)
			out[n].iov_len = len;
		len -= out[n].iov_len;
	}
	return n;
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
