/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of an overlay: the blocks that were written, and which these are.
 *
 *	header      4096 bytes: what the disk is, and the boot that the recent map belongs to
 *	stable map  a bit for each block: its data is on stable storage
 *	recent map  a bit for each block: its data was written since that boot
 *	data        each block at its own place; the file is sparse
 *
 * A bit gets into the recent map before its WRITE is answered: it is in the page cache then, and
 * outlives the process. Power may fail when the kernel has stored that bit and not yet the data; so
 * after another boot the recent map is ignored. A bit gets into the stable map after the data is on
 * stable storage. So each block has its old or its new content after a crash and after a loss of
 * power, and the new one if a FLUSH has followed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/handler.h>

#define COW_PAGE 4096u

struct cow_file {
	int fd;
	uint32_t block_size;
	uint64_t blocks;
	bool writable;
	uint64_t map_size;   /* bytes of one map, a multiple of COW_PAGE */
	uint8_t *map;        /* the recent one; bytes are read and changed atomically */
	uint8_t *page_dirty; /* for each page of the map: it differs from the stable one */
};

/* Names an existing overlay as the file handler would; empty if there is none. */
int cow_file_claim(const char *path, char *claim, size_t size, struct tcmu_reason *reason);

/* The same of an open file. */
void cow_file_name(int fd, char *claim, size_t size);

/* Opens the overlay, or makes a new one unless it must exist. 0; or -errno with a reason, and
 * nothing is open. */
int cow_file_open(
	struct cow_file *file, const char *path, const struct tcmu_config *config,
	struct tcmu_reason *reason);
void cow_file_close(struct cow_file *file);

static inline uint64_t cow_file_stable_offset(void)
{
	return COW_PAGE;
}

static inline uint64_t cow_file_recent_offset(const struct cow_file *file)
{
	return COW_PAGE + file->map_size;
}

static inline uint64_t cow_file_data_offset(const struct cow_file *file)
{
	return COW_PAGE + 2 * file->map_size;
}

static inline bool cow_file_has(const struct cow_file *file, uint64_t block)
{
	return __atomic_load_n(&file->map[block / 8], __ATOMIC_RELAXED) >> (block % 8) & 1;
}

/* Whether the overlay has all of them. */
bool cow_file_has_all(const struct cow_file *file, uint64_t block, uint64_t cnt);

/* Copies the bytes of the map with these blocks, and sets the blocks' bits in the copy. *offset: of
 * the first byte. Returns how many bytes; out has room for cow_file_bytes(). One thread at a time.
 */
size_t cow_file_copy(
	const struct cow_file *file, uint64_t block, uint64_t cnt, uint8_t *out, uint64_t *offset);
size_t cow_file_bytes(uint64_t cnt);

/* Sets the bits of the map. One thread at a time. */
void cow_file_set(struct cow_file *file, uint64_t block, uint64_t cnt);

/* The first dirty page from `page` on. False: there is none. */
bool cow_file_dirty(const struct cow_file *file, uint64_t *page);

/* All pages are stable. */
void cow_file_clean(struct cow_file *file);

/* Makes all that was written stable. 0 or -errno. Blocks. */
int cow_file_flush(struct cow_file *file);
