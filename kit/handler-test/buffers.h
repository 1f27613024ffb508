/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of requests, in pieces as the daemon's are. A released buffer stays inaccessible for a
 * while: a handler that touches it crashes, and buffer_at() reports why.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct buffer {
	uint8_t *memory; /* whole pages */
	size_t memory_size;
	size_t length;
	struct iovec *iov;
	unsigned iov_cnt;
};

/* How the bytes of a buffer lie in memory. */
enum buffer_shape {
	BUFFER_WHOLE,   /* one piece */
	BUFFER_PAGES,   /* adjacent pages, each a piece */
	BUFFER_SPLIT,   /* pages apart, each a piece */
	BUFFER_BLOCKS,  /* every 512 bytes a piece, some of them apart */
	BUFFER_SHIFTED, /* one piece that begins 16 bytes behind a page */
	BUFFER_SHAPES,
};

/* Never fails: the process ends where there is no memory. The bytes are 0xEE. */
void buffer_init(struct buffer *buffer, size_t length, enum buffer_shape shape);

/* No access to it any more; it is freed some time. */
void buffer_release(struct buffer *buffer);

/* Access by system calls, too, is refused or allowed. */
void buffer_seal(struct buffer *buffer, bool sealed);

void buffer_put(struct buffer *buffer, size_t offset, const void *data, size_t length);
void buffer_get(const struct buffer *buffer, size_t offset, void *data, size_t length);

enum buffer_use {
	BUFFER_UNKNOWN, /* no buffer, or one that may be touched */
	BUFFER_RELEASED,
	BUFFER_SEALED,
};

/* For signal handlers. */
enum buffer_use buffer_at(const void *address);
