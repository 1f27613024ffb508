/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a config string before its device is created: it does all that open would do, except
 * changing anything. Runs on its own thread and may block.
 */
#include "check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "exclusive-open.h"
#include "options.h"
#include "target.h"

/* Refuses characters that the path would lose on its way: the kernel ends a value at a comma or a
 * newline, targetcli drops the text after a blank and refuses a colon, and neither accepts other
 * bytes than ASCII. */
static int check_characters(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	for (const char *c = config->target; *c; c++) {
		unsigned char byte = (unsigned char) *c;

		if (byte == ',' || byte == ':' || byte == ' ')
			return tcmu_refuse(
				reason, -EINVAL,
				"the path has a %s, which %s; with decode=1 write %%%02X for it: "
				"%s",
				byte == ','           ? "comma"
					: byte == ':' ? "colon"
						      : "blank",
				byte == ',' ? "the kernel would cut there"
					    : "targetcli cannot keep",
				byte, config->target);
		if (byte < 0x20 || byte >= 0x7f)
			return tcmu_refuse(
				reason, -EINVAL,
				"the path has the byte 0x%02X, which targetcli cannot keep; with "
				"decode=1 "
				"write %%%02X for it",
				byte, byte);
	}
	if (strlen(config->subtype) + 1 + strlen(config->target) > TCMU_CONFIG_MAX)
		return tcmu_refuse(
			reason, -ENAMETOOLONG,
			"\"%s/\" and the path have %zu bytes; the kernel keeps %u", config->subtype,
			strlen(config->subtype) + 1 + strlen(config->target), TCMU_CONFIG_MAX);
	return 0;
}

static int check_creatable(const struct file_target *target, struct tcmu_reason *reason)
{
	char path[FILE_FD_PATH_SIZE];

	assert(!target->exists);
	file_fd_path(target->directory, path);
	if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return tcmu_refuse(
		reason, -errno, "cannot create the file: %s: %s", strerror(errno), target->path);
}

static int check_block_device(
	const struct tcmu_config *config, const struct file_target *target, int fd,
	struct tcmu_reason *reason)
{
	struct file_exclusive *exclusive;
	char path[FILE_FD_PATH_SIZE];
	int r;

	if (config->read_only)
		return 0;
	file_fd_path(target->fd, path);
	r = file_check_writable(fd, target, reason);
	if (r < 0)
		return r;
	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
		return file_refuse_open(target, O_RDWR, -errno, reason);
	r = file_exclusive_get(path, target->dev, &exclusive);
	if (r < 0)
		return file_refuse_open(target, O_RDWR, r, reason);
	file_exclusive_put(exclusive);
	return 0;
}

static int check_open(
	const struct tcmu_config *config, const struct file_target *target, int fd,
	struct tcmu_reason *reason)
{
	int64_t size = file_size(fd, target->block);
	uint32_t offset_align = 1;
	uint32_t memory_align;
	int r;

	if (size < 0)
		return file_refuse_open(target, O_RDONLY, (int) size, reason);
	r = file_check_format(target, fd, reason);
	if (r >= 0)
		r = file_check_size(config, target, (uint64_t) size, reason);
	if (r < 0)
		return r;
	if (target->block) {
		r = check_block_device(config, target, fd, reason);
		if (r < 0)
			return r;
	}
	if (!file_option(config, FILE_DIRECT))
		return 0;
	r = file_direct_align(fd, target, &offset_align, &memory_align, reason);
	if (r < 0 || config->block_size == 0)
		return r;
	return file_check_align(config, offset_align, reason);
}

static int check_target(
	const struct tcmu_config *config, const struct file_target *target,
	struct tcmu_reason *reason)
{
	/* Opened read-only, because udev scans a block device when a writer closes it. */
	int flags = config->read_only || target->block ? O_RDONLY : O_RDWR;
	int fd, r;

	if (!target->exists)
		return check_creatable(target, reason);
	if (file_option(config, FILE_DIRECT))
		flags |= O_DIRECT;
	fd = file_open_target(target, flags, reason);
	if (fd < 0)
		return fd;
	r = check_open(config, target, fd, reason);
	close(fd);
	return r;
}

int file_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct file_target target;
	int r = check_characters(config, reason);

	if (r < 0)
		return r;
	r = file_find(config, &target, reason);
	if (r >= 0)
		r = check_target(config, &target, reason);
	file_target_end(&target);
	return r;
}

int file_claim_config(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	struct file_target target;
	int r = file_find(config, &target, reason);

	if (r >= 0 && target.exists)
		file_claim(&target, claim, size);
	file_target_end(&target);
	return r;
}
