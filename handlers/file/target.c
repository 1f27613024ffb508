/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a config string to a file or block device, and the checks that both open and the check of
 * a config string need. Nothing here changes the target. Every reason says what is wrong and, if
 * it is not obvious, what to do.
 */
#include "target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "options.h"
#include "statx-dio.h"

#define ALIGN_MAX 4096u

/* ------- the path ------- */

static int path_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that a percent sequence encodes; -1: it is invalid, or encodes a control character. */
static int decode_byte(const char *sequence)
{
	int high = path_hex_digit(sequence[1]);
	int low = high < 0 ? -1 : path_hex_digit(sequence[2]);
	int byte = high * 16 + low;

	return high < 0 || low < 0 || byte < 0x20 || byte == 0x7f ? -1 : byte;
}

/* Decodes in place: the result is never longer. */
static int decode_path(char *path, struct tcmu_reason *reason)
{
	char *to = path;

	for (const char *from = path; *from; from++) {
		int byte = *from == '%' ? decode_byte(from) : *from;

		if (*from == '%' && byte < 0)
			return tcmu_refuse(
				reason, -EINVAL,
				"with decode=1, two hexadecimal digits must follow each %%, and "
				"must not encode a control character: %s",
				from);
		if (*from == '%')
			from += 2;
		*to++ = (char) byte;
	}
	*to = '\0';
	return 0;
}

static int make_path(
	const struct tcmu_config *config, char path[static FILE_PATH_SIZE],
	struct tcmu_reason *reason)
{
	size_t length = strlen(config->target);
	int r;

	if (length == 0)
		return tcmu_refuse(
			reason, -EINVAL, "a path is expected after \"%s/\", e.g. %s//srv/disk.img",
			config->subtype, config->subtype);
	if (length >= FILE_PATH_SIZE)
		return tcmu_refuse(
			reason, -ENAMETOOLONG,
			"the path has %zu bytes; the kernel keeps %u of \"%s/\" and all that "
			"follows",
			length, TCMU_CONFIG_MAX, config->subtype);
	memcpy(path, config->target, length + 1);
	if (file_option(config, FILE_DECODE)) {
		r = decode_path(path, reason);
		if (r < 0)
			return r;
	}
	if (path[0] != '/')
		return tcmu_refuse(
			reason, -EINVAL,
			"the path must start with '/', as in %s//%.200s: two slashes, the second "
			"is the "
			"path's",
			config->subtype, path);
	if (path[strlen(path) - 1] == '/')
		return tcmu_refuse(
			reason, -EISDIR, "a path that ends with '/' names a directory: %s", path);
	return 0;
}

/* ------- the file ------- */

/* The kernel does not export these. */
#ifndef CONFIGFS_MAGIC
#define CONFIGFS_MAGIC 0x62656570
#endif
#define MQUEUE_MAGIC     0x19800202
#define RPC_PIPEFS_MAGIC 0x67596969

void file_fd_path(int fd, char path[static FILE_FD_PATH_SIZE])
{
	assert(fd >= 0);
	(void) snprintf(path, FILE_FD_PATH_SIZE, "/proc/self/fd/%d", fd);
}

/* The directory of the path; of "/disk" it is "/". */
static void directory_of(const struct file_target *target, char directory[static FILE_PATH_SIZE])
{
	char *slash;

	memcpy(directory, target->path, FILE_PATH_SIZE);
	slash = strrchr(directory, '/');
	assert(slash);
	slash[slash == directory] = '\0';
}

/* Finds the directory in which a missing file could be created. */
static int find_directory(struct file_target *target, struct tcmu_reason *reason)
{
	char directory[FILE_PATH_SIZE];
	struct stat st;

	if (lstat(target->path, &st) == 0)
		return tcmu_refuse(
			reason, -ENOENT, "the target of the symbolic link does not exist: %s",
			target->path);
	directory_of(target, directory);
	target->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (target->directory >= 0)
		return 0;
	return tcmu_refuse(
		reason, -errno, "cannot access the directory: %s: %s", strerror(errno), directory);
}

static int set_type(struct file_target *target, const struct stat *st, struct tcmu_reason *reason)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		target->size = (uint64_t) st->st_size;
		target->dev = st->st_dev;
		target->ino = st->st_ino;
		break;
	case S_IFBLK:
		target->block = true;
		target->dev = st->st_rdev;
		break;
	case S_IFDIR:
		return tcmu_refuse(
			reason, -EISDIR,
			"is a directory; a regular file or a block device is expected: %s",
			target->path);
	case S_IFCHR:
		return tcmu_refuse(
			reason, -ENOTBLK,
			"is a character device; a regular file or a block device is expected: %s",
			target->path);
	default:
		return tcmu_refuse(
			reason, -ENOTBLK, "is neither a regular file nor a block device: %s",
			target->path);
	}
	target->exists = true;
	return 0;
}

/* Whether files are kept where fd is: not in a view of the kernel's state. */
static bool is_storage(int fd)
{
	static const unsigned long pseudo[] = {
		PROC_SUPER_MAGIC,     SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC,
		SECURITYFS_MAGIC,     CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
		BINFMTFS_MAGIC,       PSTOREFS_MAGIC,     EFIVARFS_MAGIC,      BPF_FS_MAGIC,
		AUTOFS_SUPER_MAGIC,   CONFIGFS_MAGIC,     SELINUX_MAGIC,       SMACK_MAGIC,
		RDTGROUP_SUPER_MAGIC, NSFS_MAGIC,         MQUEUE_MAGIC,        RPC_PIPEFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++)
		if ((unsigned long) fs.f_type == pseudo[i])
			return false;
	return true;
}

/* Whether files in the directory are kept anywhere. A path below /dev that leads to nothing is a
 * device that is not there yet; a file in its place would lie in memory. */
static bool keeps_files(int directory)
{
	static const char *const no_storage[] = {"/dev", "/proc", "/sys"};
	char path[FILE_FD_PATH_SIZE], real[PATH_MAX];
	ssize_t n;

	file_fd_path(directory, path);
	n = readlink(path, real, sizeof(real) - 1);
	if (n < 0)
		return false;
	real[n] = '\0';
	for (size_t i = 0; i < sizeof(no_storage) / sizeof(no_storage[0]); i++) {
		size_t length = strlen(no_storage[i]);

		if (strncmp(real, no_storage[i], length) == 0 &&
		    (real[length] == '/' || real[length] == '\0'))
			return false;
	}
	return is_storage(directory);
}

/* The file does not exist: whether it may be created. */
static int check_creation(
	const struct tcmu_config *config, const struct file_target *target,
	struct tcmu_reason *reason)
{
	char directory[FILE_PATH_SIZE];

	assert(!target->exists && target->directory >= 0);
	if (config->must_exist)
		return tcmu_refuse(
			reason, -ENOENT,
			"the backing store is missing, and only a new backstore's is created: "
			"mount its file system, or put it back: %s",
			target->path);
	if (config->read_only)
		return tcmu_refuse(
			reason, -ENOENT,
			"the file does not exist, and a read-only device does not create it: %s",
			target->path);
	directory_of(target, directory);
	if (!keeps_files(target->directory))
		return tcmu_refuse(
			reason, -ENOENT,
			"does not exist, and no file is created there: %s does not keep files: %s",
			directory, target->path);
	if (!file_option(config, FILE_CREATE))
		return tcmu_refuse(
			reason, -ENOENT, "the file does not exist, and create=0 is set: %s",
			target->path);
	return 0;
}

/* The file that target->fd refers to. */
static int examine_file(struct file_target *target, struct tcmu_reason *reason)
{
	struct stat st;
	int r;

	if (fstat(target->fd, &st) < 0)
		return file_refuse_open(target, O_RDONLY, -errno, reason);
	r = set_type(target, &st, reason);
	if (r < 0 || target->block || is_storage(target->fd))
		return r;
	return tcmu_refuse(
		reason, -ENOTBLK,
		"is a view of the kernel's state and keeps no data; a regular file on a disk or a "
		"block device is expected: %s",
		target->path);
}

int file_find(
	const struct tcmu_config *config, struct file_target *target, struct tcmu_reason *reason)
{
	int r;

	*target = (struct file_target){.fd = -1, .directory = -1};
	r = make_path(config, target->path, reason);
	if (r < 0)
		return r;
	target->fd = open(target->path, O_PATH | O_CLOEXEC);
	if (target->fd >= 0)
		return examine_file(target, reason);
	if (errno != ENOENT)
		return tcmu_refuse(
			reason, -errno, "cannot access the file: %s: %s", strerror(errno),
			target->path);
	r = find_directory(target, reason);
	if (r < 0)
		return r;
	return check_creation(config, target, reason);
}

void file_target_end(struct file_target *target)
{
	if (target->fd >= 0)
		(void) close(target->fd);
	if (target->directory >= 0)
		(void) close(target->directory);
	target->fd = target->directory = -1;
}

static const char *name_of(const struct file_target *target)
{
	assert(strrchr(target->path, '/'));
	return strrchr(target->path, '/') + 1;
}

int file_create_target(struct file_target *target)
{
	int fd, r;

	assert(!target->exists && target->directory >= 0 && target->fd < 0);
	fd = openat(
		target->directory, name_of(target), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	target->exists = true;
	target->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (target->fd >= 0)
		return fd;
	r = -errno;
	file_remove_target(target);
	(void) close(fd);
	return r;
}

void file_remove_target(struct file_target *target)
{
	assert(target->exists && target->directory >= 0);
	(void) unlinkat(target->directory, name_of(target), 0);
	target->exists = false;
}

int file_check_size(
	const struct tcmu_config *config, const struct file_target *target, uint64_t size,
	struct tcmu_reason *reason)
{
	if (size >= config->size)
		return 0;
	if (target->block)
		return tcmu_refuse(
			reason, -ENOSPC,
			"the block device has %llu bytes, too few for a device of %llu: %s",
			(unsigned long long) size, (unsigned long long) config->size, target->path);
	if (config->read_only)
		return tcmu_refuse(
			reason, -EINVAL,
			"the file has %llu bytes, too few for a device of %llu: %s",
			(unsigned long long) size, (unsigned long long) config->size, target->path);
	if (config->must_exist)
		return tcmu_refuse(
			reason, -EINVAL,
			"the file has %llu bytes, and was served before with %llu: it is another "
			"one, or was cut: %s",
			(unsigned long long) size, (unsigned long long) config->size, target->path);
	if (file_option(config, FILE_GROW))
		return 0;
	return tcmu_refuse(
		reason, -EINVAL,
		"the file has %llu bytes, too few for a device of %llu; grow=1 extends it: %s",
		(unsigned long long) size, (unsigned long long) config->size, target->path);
}

int file_check_format(const struct file_target *target, int fd, struct tcmu_reason *reason)
{
	_Alignas(4096) char head[4096] = "";

	if (!file_raw_only)
		return 0;
	if (pread(fd, head, sizeof(head), 0) < 0)
		return file_refuse_open(target, O_RDONLY, -errno, reason);
	if (memcmp(head, "QFI\xfb", 4) != 0)
		return 0;
	return tcmu_refuse(
		reason, -EMEDIUMTYPE,
		"is a qcow image, which is not supported; convert it (qemu-img convert -O raw) and "
		"use file/: "
		"%s",
		target->path);
}

int64_t file_size(int fd, bool block)
{
	struct stat st;
	uint64_t size;

	if (block)
		return ioctl(fd, BLKGETSIZE64, &size) < 0 ? -errno : (int64_t) size;
	return fstat(fd, &st) < 0 ? -errno : (int64_t) st.st_size;
}

/* ------- opening it ------- */

int file_refuse_open(
	const struct file_target *target, int flags, int error, struct tcmu_reason *reason)
{
	const char *access = (flags & O_ACCMODE) == O_RDONLY ? "read" : "written";

	if (error == -EINVAL && (flags & O_DIRECT))
		return tcmu_refuse(
			reason, error, "its file system has no direct I/O; remove direct=1: %s",
			target->path);
	if (error == -EBUSY && target->block)
		return tcmu_refuse(
			reason, error,
			"the block device is in use: mounted, or opened by another driver: %s",
			target->path);
	if (error == -ETXTBSY)
		return tcmu_refuse(
			reason, error, "the file is in use as a program or as swap space: %s",
			target->path);
	if (error == -EROFS)
		return tcmu_refuse(
			reason, error,
			"cannot be written, it is read-only; ro=1 makes the device read-only: %s",
			target->path);
	return tcmu_refuse(
		reason, error, "the file cannot be %s: %s: %s", access, strerror(-error),
		target->path);
}

int file_open_target(const struct file_target *target, int flags, struct tcmu_reason *reason)
{
	char path[FILE_FD_PATH_SIZE];
	int fd;

	assert(target->exists && target->fd >= 0);
	file_fd_path(target->fd, path);
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return tcmu_refuse(
			reason, -ENOENT, "cannot be opened without /proc: mount it: %s",
			target->path);
	return fd < 0 ? file_refuse_open(target, flags, -errno, reason) : fd;
}

int file_check_writable(int fd, const struct file_target *target, struct tcmu_reason *reason)
{
	int read_only = 0;

	if (ioctl(fd, BLKROGET, &read_only) < 0 || !read_only)
		return 0;
	return file_refuse_open(target, O_RDWR, -EROFS, reason);
}

/* ------- direct I/O ------- */

/* Finds the smallest aligned read that the kernel accepts. */
static int try_align(int fd, uint32_t *align)
{
	void *buffer = aligned_alloc(ALIGN_MAX, ALIGN_MAX);
	int r = buffer ? -EINVAL : -ENOMEM;

	for (*align = 512; buffer && *align <= ALIGN_MAX; *align *= 2) {
		r = pread(fd, buffer, *align, 0) < 0 ? -errno : 0;
		if (r != -EINVAL)
			break;
	}
	free(buffer);
	return r;
}

/* False: the file system does not say. */
static bool read_dio_align(int fd, uint32_t *offset_align, uint32_t *memory_align)
{
	struct statx stx;
	struct statx_dio dio;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIO_MASK, &stx) < 0 ||
	    !(stx.stx_mask & STATX_DIO_MASK))
		return false;
	dio = statx_dio_get(&stx);
	*offset_align = dio.offset_align;
	*memory_align = dio.memory_align;
	return true;
}

int file_direct_align(
	int fd, const struct file_target *target, uint32_t *offset_align, uint32_t *memory_align,
	struct tcmu_reason *reason)
{
	int sector = 0;
	int r = 0;

	if (read_dio_align(fd, offset_align, memory_align))
		return *offset_align ? 0 : file_refuse_open(target, O_DIRECT, -EINVAL, reason);
	if (target->block) {
		r = ioctl(fd, BLKSSZGET, &sector) < 0 ? -errno : 0;
		*offset_align = (uint32_t) sector;
	} else {
		r = try_align(fd, offset_align);
	}
	*memory_align = *offset_align;
	return r < 0 ? file_refuse_open(target, O_DIRECT, r, reason) : 0;
}

int file_check_align(
	const struct tcmu_config *config, uint32_t offset_align, struct tcmu_reason *reason)
{
	assert(offset_align > 0);
	if (config->block_size % offset_align == 0)
		return 0;
	return tcmu_refuse(
		reason, -EINVAL,
		"direct I/O needs blocks of %u bytes there, the device has blocks of %u; "
		"create it with hw_block_size=%u, or remove direct=1",
		offset_align, config->block_size, offset_align);
}

/* ------- claim ------- */

void file_claim(const struct file_target *target, char *claim, size_t size)
{
	assert(target->exists);
	if (target->block)
		snprintf(claim, size, "blk:%u:%u", major(target->dev), minor(target->dev));
	else
		snprintf(
			claim, size, "file:%u:%u:%llu", major(target->dev), minor(target->dev),
			(unsigned long long) target->ino);
}
