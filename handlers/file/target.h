/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file or block device that a config string names. Nothing here changes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tcmu/handler.h>

#define FILE_PATH_SIZE (TCMU_CONFIG_MAX + 1)

struct file_target {
	char path[FILE_PATH_SIZE];
	bool exists;
	bool block;    /* a block device; else a regular file */
	uint64_t size; /* bytes, of a regular file */
	dev_t dev;     /* of the regular file, or the block device itself */
	ino_t ino;
};

/* Finds the target. Returns 0, also if it does not exist and can be created; or a negative errno
 * with a reason. */
int file_find(
	const struct tcmu_config *config, struct file_target *target, struct tcmu_reason *reason);

/* With file_raw_only: checks that the bytes of fd, which may be open with O_DIRECT, do not begin
 * with the header of another format. Returns 0, or a negative errno with a reason. */
int file_check_format(const struct file_target *target, int fd, struct tcmu_reason *reason);

/* Checks that a store of size bytes can hold a device of config->size. Returns 0, or a negative
 * errno with a reason. */
int file_check_size(
	const struct tcmu_config *config, const struct file_target *target, uint64_t size,
	struct tcmu_reason *reason);

/* The size of an open file or block device. Returns bytes, or a negative errno. */
int64_t file_size(int fd, bool block);

/* Opens the target. Returns a descriptor, or a negative errno with a reason, also if another file
 * has replaced the target meanwhile. */
int file_open_target(const struct file_target *target, int flags, struct tcmu_reason *reason);

/* Sets the reason why an open with these flags has failed, and returns error. */
int file_refuse_open(
	const struct file_target *target, int flags, int error, struct tcmu_reason *reason);

/* Checks that an open block device is writable. Returns 0, or a negative errno with a reason. */
int file_check_writable(int fd, const struct file_target *target, struct tcmu_reason *reason);

/* Reads the alignment, in bytes, that direct I/O to an open file demands of offsets and addresses.
 * Returns 0, or a negative errno with a reason. */
int file_direct_align(
	int fd, const struct file_target *target, uint32_t *offset_align, uint32_t *memory_align,
	struct tcmu_reason *reason);

/* Checks that a device with config->block_size can use direct I/O with this alignment. Returns 0,
 * or a negative errno with a reason. */
int file_check_align(
	const struct tcmu_config *config, uint32_t offset_align, struct tcmu_reason *reason);

/* Names an existing target, independently of the path. size: bytes of claim. */
void file_claim(const struct file_target *target, char *claim, size_t size);
