/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close and resize; the properties of the store.
 *
 * The store is opened several times, because the kernel reports a failed write-back once to each
 * open file. FLUSH has a separate one (sync_fd), which nothing else uses; so no failure is
 * consumed elsewhere.
 *
 * Each call runs on its own thread and may block.
 */
#include "open.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend.h"
#include "exclusive-open.h"
#include "options.h"
#include "target.h"

#define GRANULARITY_MIN 4096u
#define GRANULARITY_MAX 65536u
#define OPTIMAL_MAX     (16u * 1024 * 1024)

/* ------- descriptors ------- */

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void file_free(struct file_backend *backend)
{
	/* The exclusive open first: the last close of a block device may take long, and must not
	 * delay others that want to open it exclusively. */
	file_exclusive_put(backend->exclusive);
	close_fd(backend->fd);
	close_fd(backend->buffered_fd);
	close_fd(backend->zero_fd);
	close_fd(backend->sync_fd);
	free(backend);
}

/* Puts the name of a new file on stable storage. Some file systems cannot: EINVAL. */
static int sync_directory(int directory)
{
	char path[FILE_FD_PATH_SIZE];
	int fd, r;

	file_fd_path(directory, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return r;
}

/* Creates a sparse file of the device's size. Fills target. */
static int create_file(
	struct file_backend *backend, struct file_target *target, uint64_t size,
	struct tcmu_reason *reason)
{
	struct stat st = {.st_size = 0};
	int r = 0;

	assert(!target->exists && backend->sync_fd < 0);
	backend->sync_fd = file_create_target(target);
	if (backend->sync_fd < 0)
		return tcmu_refuse(
			reason, backend->sync_fd, "cannot create the file: %s: %s",
			strerror(-backend->sync_fd), target->path);
	if (ftruncate(backend->sync_fd, (off_t) size) < 0 || fsync(backend->sync_fd) < 0 ||
	    fstat(backend->sync_fd, &st) < 0)
		r = -errno;
	else
		r = sync_directory(target->directory);
	if (r < 0)
		return tcmu_refuse(
			reason, r, "cannot create the file with %llu bytes: %s: %s",
			(unsigned long long) size, strerror(-r), target->path);
	target->size = size;
	target->dev = st.st_dev;
	target->ino = st.st_ino;
	return 0;
}

static int open_existing(
	struct file_backend *backend, const struct file_target *target, int access,
	struct tcmu_reason *reason)
{
	int r;

	assert(target->exists && !backend->exclusive);
	if (target->block && access == O_RDWR) {
		char path[FILE_FD_PATH_SIZE];

		file_fd_path(target->fd, path);
		r = file_exclusive_get(path, target->dev, &backend->exclusive);
		if (r < 0)
			return file_refuse_open(target, O_RDWR, r, reason);
	}
	backend->sync_fd = file_open_target(target, access, reason);
	if (backend->sync_fd < 0)
		return backend->sync_fd;
	return backend->exclusive ? file_check_writable(backend->sync_fd, target, reason) : 0;
}

static int open_descriptors(
	struct file_backend *backend, const struct file_target *target, int access, bool direct,
	struct tcmu_reason *reason)
{
	assert(target->exists && backend->fd < 0);
	backend->fd = file_open_target(target, access | (direct ? O_DIRECT : 0), reason);
	if (backend->fd < 0)
		return backend->fd;
	if (direct) {
		backend->buffered_fd = file_open_target(target, access, reason);
		if (backend->buffered_fd < 0)
			return backend->buffered_fd;
	}
	if (target->block)
		return 0;
	backend->zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (backend->zero_fd < 0)
		return tcmu_refuse(reason, -errno, "cannot open /dev/zero: %s", strerror(errno));
	return 0;
}

/* Extends the file if it is too short for the device. fd is not sync_fd, so that no failure for
 * FLUSH is consumed. */
static int extend_file(
	int fd, const struct file_target *target, uint64_t size, struct tcmu_reason *reason)
{
	int64_t now = file_size(fd, false);
	int r = now < 0 ? (int) now : 0;

	if (now >= 0 && (uint64_t) now < size && (ftruncate(fd, (off_t) size) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r == 0)
		return 0;
	return tcmu_refuse(
		reason, r, "cannot extend the file to %llu bytes: %s: %s",
		(unsigned long long) size, strerror(-r), target->path);
}

static int fit_size(
	const struct file_backend *backend, const struct tcmu_config *config,
	const struct file_target *target, struct tcmu_reason *reason)
{
	int64_t size = file_size(backend->fd, target->block);
	int r;

	if (size < 0)
		return file_refuse_open(target, O_RDONLY, (int) size, reason);
	r = file_check_format(target, backend->fd, reason);
	if (r >= 0)
		r = file_check_size(config, target, (uint64_t) size, reason);
	if (r < 0 || target->block || config->read_only)
		return r;
	return extend_file(backend->fd, target, config->size, reason);
}

/* ------- properties ------- */

/* Reads a property of a block device; that of the disk for a partition. False: not known. */
static bool read_sysfs(dev_t dev, const char *name, uint64_t *value)
{
	static const char *const directories[] = {"queue", "../queue", "."};
	FILE *file = NULL;
	char text[96];
	char *end = text;

	for (unsigned i = 0; i < 3 && !file; i++) {
		(void) snprintf(
			text, sizeof(text), "/sys/dev/block/%u:%u/%s/%s", major(dev), minor(dev),
			directories[i], name);
		file = fopen(text, "re");
	}
	if (!file)
		return false;
	if (fgets(text, sizeof(text), file))
		*value = strtoull(text, &end, 10);
	(void) fclose(file);
	return end != text;
}

static bool is_power_of_two(uint64_t value)
{
	return value && (value & (value - 1)) == 0;
}

/* The bytes of a file that are contiguous on the disk; 0: not known. */
static uint64_t file_system_block(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 ? fs.f_frsize : 0;
}

/* The bytes that are written whole or not at all; 0: none. The disk writes a physical block so, on
 * which the kernel's file systems rely as well; only direct I/O hands it to the disk in one piece.
 * together: bytes that are contiguous on the disk. */
static uint32_t written_whole(dev_t disk, uint32_t block_size, uint64_t together)
{
	uint64_t physical, misplaced;

	if (!read_sysfs(disk, "physical_block_size", &physical) ||
	    !read_sysfs(disk, "alignment_offset", &misplaced))
		return 0;
	return is_power_of_two(physical) && physical >= block_size && physical <= together &&
			misplaced == 0
		? (uint32_t) physical
		: 0;
}

/* Tries it past the end of the file, where no data can be lost. */
static bool can_punch(int fd, uint64_t size)
{
	off_t offset = (off_t) ((size + GRANULARITY_MAX) / GRANULARITY_MAX * GRANULARITY_MAX);

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, GRANULARITY_MAX) ==
		0;
}

static void describe_file(
	struct file_backend *backend, const struct file_target *target, const struct stat *st,
	bool discard)
{
	struct tcmu_backend_info *info = &backend->info;
	uint32_t block = (uint32_t) st->st_blksize;
	uint64_t rotational;

	if (!is_power_of_two(block))
		block = GRANULARITY_MIN;
	backend->discard = discard && can_punch(backend->fd, (uint64_t) st->st_size);
	backend->granularity = 1;
	info->physical_block = block < GRANULARITY_MIN ? block : GRANULARITY_MIN;
	info->optimal_transfer = block > GRANULARITY_MIN && block <= OPTIMAL_MAX ? block : 0;
	info->unmap_granularity = block < GRANULARITY_MIN ? GRANULARITY_MIN
		: block > GRANULARITY_MAX                 ? GRANULARITY_MAX
							  : block;
	info->unmap_zeroes = true;
	info->rotational = read_sysfs(st->st_dev, "rotational", &rotational) && rotational;
	file_claim(target, info->claim, sizeof(info->claim));
}

static void describe_block_device(
	struct file_backend *backend, const struct file_target *target, bool discard)
{
	struct tcmu_backend_info *info = &backend->info;
	uint64_t maximum, granularity, rotational;
	unsigned physical, optimal;
	int sector;

	backend->discard = discard && read_sysfs(target->dev, "discard_max_bytes", &maximum) &&
		maximum;
	backend->granularity = ioctl(backend->fd, BLKSSZGET, &sector) == 0 ? (uint32_t) sector
									   : 512;
	if (ioctl(backend->fd, BLKPBSZGET, &physical) == 0)
		info->physical_block = physical;
	if (ioctl(backend->fd, BLKIOOPT, &optimal) == 0 && optimal <= OPTIMAL_MAX)
		info->optimal_transfer = optimal;
	info->unmap_granularity = backend->granularity;
	if (read_sysfs(target->dev, "discard_granularity", &granularity) &&
	    granularity > backend->granularity && granularity <= UINT32_MAX)
		info->unmap_granularity = (uint32_t) granularity;
	info->rotational = read_sysfs(target->dev, "rotational", &rotational) && rotational;
	file_claim(target, info->claim, sizeof(info->claim));
}

static void file_describe(struct file_backend *backend, const struct tcmu_config *config)
{
	struct tcmu_backend_info *info = &backend->info;

	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	if (!backend->block)
		info->caps |= TCMU_IO_CAP(TCMU_IO_MAP);
	info->thin = backend->discard;
	if (!backend->discard) {
		info->unmap_zeroes = false;
		info->unmap_granularity = 0;
	}
	if (config->read_only)
		return;
	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) |
		TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
	if (backend->discard)
		info->caps |= TCMU_IO_CAP(TCMU_IO_UNMAP);
	info->fua = true;
	info->volatile_cache = true;
}

/* Whether the file is in memory, so that no call waits for a device. */
static bool lies_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int query_store(
	struct file_backend *backend, const struct tcmu_config *config,
	const struct file_target *target, struct tcmu_reason *reason)
{
	bool discard = file_option(config, FILE_DISCARD) && !config->read_only;
	struct stat st;
	int r;

	assert(backend->fd >= 0 && backend->block == target->block);
	if (fstat(backend->fd, &st) < 0)
		return file_refuse_open(target, O_RDONLY, -errno, reason);
	backend->memory = !target->block && lies_in_memory(backend->fd);
	if (target->block)
		describe_block_device(backend, target, discard);
	else
		describe_file(backend, target, &st, discard);
	file_describe(backend, config);
	if (!file_option(config, FILE_DIRECT))
		return 0;
	r = file_direct_align(
		backend->fd, target, &backend->offset_align, &backend->memory_align, reason);
	if (r < 0)
		return r;
	backend->info.optimal_dio_align = backend->offset_align;
	backend->info.atomic_write = target->block
		? written_whole(target->dev, config->block_size, UINT32_MAX)
		: written_whole(st.st_dev, config->block_size, file_system_block(backend->fd));
	if (!config->read_only && backend->info.atomic_write)
		backend->info.caps |= TCMU_CAP_ATOMIC;
	return file_check_align(config, backend->offset_align, reason);
}

/* ------- the handler's functions ------- */

static int open_store(
	struct file_backend *backend, const struct tcmu_config *config, struct file_target *target,
	struct tcmu_reason *reason)
{
	int access = config->read_only ? O_RDONLY : O_RDWR;
	bool create_it = !target->exists;
	int r;

	r = create_it ? create_file(backend, target, config->size, reason)
		      : open_existing(backend, target, access, reason);
	if (r >= 0)
		r = open_descriptors(
			backend, target, access, file_option(config, FILE_DIRECT), reason);
	if (r >= 0)
		r = fit_size(backend, config, target, reason);
	if (r >= 0)
		r = query_store(backend, config, target, reason);
	if (r < 0 && create_it && target->exists)
		file_remove_target(target);
	return r;
}

int file_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **ret,
	struct tcmu_reason *reason)
{
	struct file_backend *backend;
	struct file_target target;
	int r = file_find(config, &target, reason);

	backend = r < 0 ? NULL : malloc(sizeof(*backend));
	if (!backend) {
		file_target_end(&target);
		return r < 0 ? r : tcmu_refuse(reason, -ENOMEM, "out of memory");
	}
	*backend = (struct file_backend){
		.host = host,
		.dev = dev,
		.fd = -1,
		.sync_fd = -1,
		.buffered_fd = -1,
		.zero_fd = -1,
		.block = target.block,
		.block_size = config->block_size,
		.size = config->size,
	};
	r = open_store(backend, config, &target, reason);
	file_target_end(&target);
	if (r < 0) {
		file_free(backend);
		return r;
	}
	*info = backend->info;
	*ret = backend;
	return 0;
}

void file_close(void *self)
{
	struct file_backend *backend = self;

	assert(!backend->alone && !backend->shared);
	assert(!backend->waiting.first && !backend->flush_waiting.first &&
	       !backend->flush_running.first);
	if (!backend->failed && (backend->info.caps & TCMU_IO_CAP(TCMU_IO_FLUSH)))
		(void) fdatasync(backend->sync_fd);
	file_free(backend);
}

int file_resize(
	void *self, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct file_backend *backend = self;
	struct file_target target = {
		.fd = -1, .directory = -1, .exists = true, .block = backend->block};
	int64_t size = file_size(backend->fd, backend->block);
	int r = 0;

	snprintf(target.path, sizeof(target.path), "%s", config->target);
	if (size < 0)
		return file_refuse_open(&target, O_RDONLY, (int) size, reason);
	if (config->size < backend->size && !file_option(config, FILE_SHRINK))
		return tcmu_refuse(
			reason, -EINVAL,
			"the device has %llu bytes; it shrinks to %llu only with shrink=1",
			(unsigned long long) backend->size, (unsigned long long) config->size);
	if (backend->block || config->read_only)
		r = file_check_size(config, &target, (uint64_t) size, reason);
	else
		r = extend_file(backend->fd, &target, config->size, reason);
	if (r < 0)
		return r;
	backend->size = config->size;
	*info = backend->info;
	return 0;
}
