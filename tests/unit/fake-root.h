/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary folder that libtcmu takes for "/": files of sysfs, configfs and /dev as a test wants
 * them.
 */
#pragma once

#include <stddef.h>

struct fake_root {
	char path[64];
};

/* Makes the folder and sets it as the root; aborts the test program where that fails. */
void fake_root_make(struct fake_root *root);

/* Removes the folder with everything in it; the root is "" again. */
void fake_root_remove(struct fake_root *root);

/* The path of "/sys/..." below the root, in a buffer that the next call overwrites. */
const char *fake_root_path(const struct fake_root *root, const char *path);

/* Writes a file, with the folders above it. */
void fake_root_write(const struct fake_root *root, const char *path, const char *text);

/* A symbolic link, with the folders above it. */
void fake_root_link(const struct fake_root *root, const char *path, const char *target);

/* Makes a folder, with the folders above it. */
void fake_root_folder(const struct fake_root *root, const char *path);

/* The file's text, in a buffer that the next call overwrites. */
const char *fake_root_read(const struct fake_root *root, const char *path);

/* Removes one file or empty folder. */
void fake_root_drop(const struct fake_root *root, const char *path);
