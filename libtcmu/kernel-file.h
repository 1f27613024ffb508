/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of the kernel's (sysfs, configfs, module parameters) below the root that tests may
 * move.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define TCMU_PATH_SIZE 1024

/* The root of everything, without a final '/': "" unless a test has set another one. */
const char *tcmu_root(void);

/* Builds the root plus the formatted path. -ENAMETOOLONG. */
int tcmu_path(char path[static TCMU_PATH_SIZE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The file's text without a final newline. Returns its length; -E2BIG: it does not fit with its
 * NUL; -errno.
 */
int tcmu_file_read(const char *path, char *text, size_t size);

/* Writes text with one system call, as sysfs and configfs want it. */
int tcmu_file_write(const char *path, const char *text);

/* Text that is one number and nothing else, decimal or with 0x in front. -EBADMSG: it is not, or
 * does not fit. */
int tcmu_parse_unsigned(const char *text, uint64_t *value);

#pragma GCC visibility pop
