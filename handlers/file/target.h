/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file or block device that a config string names. Nothing here changes it.
 *
 * The path is looked up once, without opening what is there (O_PATH): an open of a device, a FIFO
 * or a file of /proc may block or have an effect. All that follows uses what was found then,
 * whatever the path leads to later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tcmu/handler.h>

#define FILE_PATH_SIZE (TCMU_CONFIG_MAX + 1)

struct file_target {
	char path[FILE_PATH_SIZE];
	int fd;        /* O_PATH, of what exists; -1: none */
	int directory; /* O_PATH, of the directory in which it can be created; -1: it exists */
	bool exists;
	bool block;    /* a block device; else a regular file */
	uint64_t size; /* bytes, of a regular file */
	dev_t dev;     /* of the regular file, or the block device itself */
	ino_t ino;
};

/* Finds the target. Returns 0, also if it does not exist and can be created; or a negative errno
 * with a reason. The caller calls file_target_end(), also after a failure. */
int file_find(
	const struct tcmu_config *config, struct file_target *target, struct tcmu_reason *reason);

void file_target_end(struct file_target *target);

/* The path by which the kernel opens what fd refers to, whatever it is called now. */
#define FILE_FD_PATH_SIZE 32
void file_fd_path(int fd, char path[static FILE_FD_PATH_SIZE]);

/* Creates the file of a target that does not exist. Returns a descriptor to read and write it, or a
 * negative errno. */
int file_create_target(struct file_target *target);

/* Removes the file that file_create_target() has created. */
void file_remove_target(struct file_target *target);

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

/* Opens the target that was found, also if another file has replaced it meanwhile. Returns a
 * descriptor, or a negative errno with a reason. */
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
