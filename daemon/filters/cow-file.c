/* SPDX-License-Identifier: Apache-2.0 */
/* See filters/cow-file.h. */
#include "filters/cow-file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/reason.h"

#define COW_MAGIC   "TCMUCOW"
#define COW_VERSION 1u
#define BOOT_ID     "/proc/sys/kernel/random/boot_id"

struct cow_header {
	char magic[8];
	uint32_t version;
	uint32_t block_size;
	uint64_t size; /* of the disk, bytes */
	char boot[40];
};

_Static_assert(sizeof(struct cow_header) <= COW_PAGE, "fits");

/* ------- whole transfers ------- */

static int cow_read(int fd, void *memory, size_t length, uint64_t offset)
{
	char *at = memory;

	while (length) {
		ssize_t n = pread(fd, at, length, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		at += n;
		length -= (size_t) n;
		offset += (uint64_t) n;
	}
	return 0;
}

static int cow_write(int fd, const void *memory, size_t length, uint64_t offset)
{
	const char *at = memory;

	while (length) {
		ssize_t n = pwrite(fd, at, length, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		length -= (size_t) n;
		offset += (uint64_t) n;
	}
	return 0;
}

static int cow_sync(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

/* ------- the maps ------- */

bool cow_file_has_all(const struct cow_file *file, uint64_t block, uint64_t cnt)
{
	for (uint64_t i = block; i < block + cnt; i++)
		if (!cow_file_has(file, i))
			return false;
	return true;
}

size_t cow_file_bytes(uint64_t cnt)
{
	return (size_t) (cnt / 8 + 2);
}

size_t cow_file_copy(
	const struct cow_file *file, uint64_t block, uint64_t cnt, uint8_t *out, uint64_t *offset)
{
	uint64_t first = block / 8, last = (block + cnt - 1) / 8;

	assert(cnt > 0 && block + cnt <= file->blocks);
	assert(last - first < cow_file_bytes(cnt));
	for (uint64_t i = first; i <= last; i++)
		out[i - first] = __atomic_load_n(&file->map[i], __ATOMIC_RELAXED);
	for (uint64_t i = block; i < block + cnt; i++)
		out[i / 8 - first] |= (uint8_t) (1u << (i % 8));
	*offset = first;
	return (size_t) (last - first + 1);
}

void cow_file_set(struct cow_file *file, uint64_t block, uint64_t cnt)
{
	assert(block + cnt <= file->blocks);
	for (uint64_t i = block; i < block + cnt; i++) {
		uint8_t bit = (uint8_t) (1u << (i % 8));

		if (!(__atomic_fetch_or(&file->map[i / 8], bit, __ATOMIC_RELAXED) & bit))
			file->page_dirty[i / 8 / COW_PAGE] = 1;
	}
}

bool cow_file_dirty(const struct cow_file *file, uint64_t *page)
{
	while (*page < file->map_size / COW_PAGE) {
		if (file->page_dirty[*page])
			return true;
		(*page)++;
	}
	return false;
}

void cow_file_clean(struct cow_file *file)
{
	memset(file->page_dirty, 0, file->map_size / COW_PAGE);
}

int cow_file_flush(struct cow_file *file)
{
	int r = cow_sync(file->fd);

	for (uint64_t page = 0; r >= 0 && cow_file_dirty(file, &page); page++)
		r = cow_write(
			file->fd, file->map + page * COW_PAGE, COW_PAGE,
			cow_file_stable_offset() + page * COW_PAGE);
	if (r >= 0)
		r = cow_sync(file->fd);
	if (r >= 0)
		cow_file_clean(file);
	return r;
}

/* ------- opening ------- */

static int cow_boot(char *boot, size_t size, struct tcmu_reason *reason)
{
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot, size - 1);

	if (fd >= 0)
		(void) close(fd);
	if (n <= 0)
		return reason_refuse(reason, -EIO, "the filter cow cannot read " BOOT_ID);
	boot[n] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	return 0;
}

void cow_file_name(int fd, char *claim, size_t size)
{
	struct stat st;

	assert(fd >= 0 && size > 0);
	claim[0] = '\0';
	if (fstat(fd, &st) == 0)
		(void) snprintf(
			claim, size, "file:%u:%u:%llu", major(st.st_dev), minor(st.st_dev),
			(unsigned long long) st.st_ino);
}

int cow_file_claim(const char *path, char *claim, size_t size, struct tcmu_reason *reason)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	assert(size > 0);
	claim[0] = '\0';
	if (fd < 0)
		return errno == ENOENT ? 0
				       : reason_refuse(
						 reason, -errno,
						 "the overlay of the filter cow cannot be read: "
						 "%s: %.120s",
						 strerror(errno), path);
	cow_file_name(fd, claim, size);
	(void) close(fd);
	return 0;
}

/* A file of its full length, without blocks; the header comes last. */
static int cow_create(const struct cow_file *file, const struct cow_header *header)
{
	uint64_t end = cow_file_data_offset(file) + file->blocks * file->block_size;
	int r = ftruncate(file->fd, (off_t) end) < 0 ? -errno : 0;

	if (r >= 0)
		r = cow_sync(file->fd);
	if (r >= 0)
		r = cow_write(file->fd, header, sizeof(*header), 0);
	return r < 0 ? r : cow_sync(file->fd);
}

static int cow_check_header(
	const struct cow_header *found, const struct cow_header *wanted, struct tcmu_reason *reason)
{
	if (memcmp(found->magic, wanted->magic, sizeof(found->magic)) != 0)
		return reason_refuse(reason, -EINVAL, "it is no overlay of the filter cow");
	if (found->version != wanted->version)
		return reason_refuse(
			reason, -EINVAL, "it has the format %u, expected %u", found->version,
			wanted->version);
	if (found->size != wanted->size || found->block_size != wanted->block_size)
		return reason_refuse(
			reason, -EINVAL,
			"it is for a disk of %llu bytes in blocks of %u, expected %llu in %u",
			(unsigned long long) found->size, found->block_size,
			(unsigned long long) wanted->size, wanted->block_size);
	return 0;
}

/* Reads both maps. After another boot the recent one is written again before it counts. */
static int cow_load(
	struct cow_file *file, struct cow_header *header, const char *boot, bool read_only)
{
	bool same = strcmp(header->boot, boot) == 0;
	uint8_t *stable = malloc(file->map_size);
	int r = stable ? cow_read(file->fd, stable, file->map_size, cow_file_stable_offset())
		       : -ENOMEM;

	if (r >= 0 && same)
		r = cow_read(file->fd, file->map, file->map_size, cow_file_recent_offset(file));
	for (uint64_t i = 0; r >= 0 && i < file->map_size; i++) {
		file->map[i] |= stable[i];
		if (file->map[i] != stable[i])
			file->page_dirty[i / COW_PAGE] = 1;
	}
	free(stable);
	if (r < 0 || same || read_only)
		return r;
	r = cow_write(file->fd, file->map, file->map_size, cow_file_recent_offset(file));
	if (r >= 0)
		r = cow_sync(file->fd);
	(void) snprintf(header->boot, sizeof(header->boot), "%s", boot);
	if (r >= 0)
		r = cow_write(file->fd, header, sizeof(*header), 0);
	return r < 0 ? r : cow_sync(file->fd);
}

static int cow_prepare(
	struct cow_file *file, const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct cow_header wanted = {
		.magic = COW_MAGIC,
		.version = COW_VERSION,
		.block_size = config->block_size,
		.size = config->size};
	struct cow_header found;
	struct stat st;
	int r = cow_boot(wanted.boot, sizeof(wanted.boot), reason);

	if (r < 0)
		return r;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return reason_refuse(reason, -EINVAL, "it is not a regular file");
	if (st.st_size == 0 && !config->must_exist && !config->read_only) {
		r = cow_create(file, &wanted);
		if (r < 0)
			return r;
	}
	r = cow_read(file->fd, &found, sizeof(found), 0);
	if (r < 0)
		return r;
	r = cow_check_header(&found, &wanted, reason);
	found.boot[sizeof(found.boot) - 1] = '\0';
	return r < 0 ? r : cow_load(file, &found, wanted.boot, config->read_only);
}

int cow_file_open(
	struct cow_file *file, const char *path, const struct tcmu_config *config,
	struct tcmu_reason *reason)
{
	int flags = config->read_only ? O_RDONLY : O_RDWR | (config->must_exist ? 0 : O_CREAT);
	struct tcmu_reason why = {""};
	int r;

	assert(config->block_size > 0);
	*file = (struct cow_file){
		.block_size = config->block_size,
		.blocks = config->size / config->block_size,
		.writable = !config->read_only};
	file->map_size = (file->blocks / 8 / COW_PAGE + 1) * COW_PAGE;
	file->fd = open(path, flags | O_CLOEXEC, 0600);
	r = file->fd < 0 ? -errno : 0;
	file->map = calloc(1, file->map_size);
	file->page_dirty = calloc(1, file->map_size / COW_PAGE);
	if (r >= 0 && (!file->map || !file->page_dirty))
		r = -ENOMEM;
	if (r >= 0)
		r = cow_prepare(file, config, &why);
	if (r >= 0)
		return 0;
	cow_file_close(file);
	file->map = NULL;
	file->page_dirty = NULL;
	return reason_refuse(
		reason, r, "the overlay of the filter cow cannot be used: %s: %.120s",
		why.text[0] ? why.text : strerror(-r), path);
}

void cow_file_close(struct cow_file *file)
{
	if (file->fd >= 0)
		(void) close(file->fd);
	file->fd = -1;
	free(file->map);
	free(file->page_dirty);
}
