/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces a file as a whole: a reader sees the old or the new content, never half of it. The
 * directory may be one where other users can write.
 */
#pragma once

#include <stdio.h>

#define REPLACE_PATH_MAX 4096

struct replace {
	FILE *out; /* the new content */
	const char *path;
	char beside[REPLACE_PATH_MAX]; /* the new file until it has its name */
};

/* Creates an empty file beside path, with a name that nobody can foresee. path outlives it. -errno:
 * nothing was created; -EINVAL: path is there and no regular file (a link such as /dev/stdout,
 * too).
 */
int replace_begin(struct replace *replace, const char *path);

/* Ends it: closes the new file and renames it to path. -errno: the new file is removed, and path is
 * as before. */
int replace_end(struct replace *replace);
