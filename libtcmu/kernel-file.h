/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of the kernel (sysfs, configfs, module parameters), below a root that tests can
 * change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define TCMU_PATH_SIZE 1024

/* Carries out tcmu_set_root(). */
void tcmu_root_set(const char *root);

/* The root without a final '/'; "" unless a test has set another one. */
const char *tcmu_root(void);

/* Builds the root plus the formatted path. Returns 0, or -ENAMETOOLONG. */
int tcmu_path(char path[static TCMU_PATH_SIZE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Reads the file's text without a final newline. Returns its length; -E2BIG: text and NUL do not
 * fit in size bytes; another negative errno. */
int tcmu_file_read(const char *path, char *text, size_t size);

/* For a caller that takes a file that cannot be read as absent: since the last call of this
 * function on this thread, a file could not be opened because there were no descriptors. Returns
 * -EMFILE or -ENFILE then, else 0. */
int tcmu_file_scarce(void);

/* Writes text with one system call, as sysfs and configfs require. 0 or a negative errno. */
int tcmu_file_write(const char *path, const char *text);

/* Parses text that is exactly one number, decimal or hexadecimal with 0x. Returns 0, or -EBADMSG:
 * it is not, or does not fit. */
int tcmu_parse_unsigned(const char *text, uint64_t *value);

#pragma GCC visibility pop
