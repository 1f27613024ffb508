/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of handlers. A config string is in configfs and in saved configurations, which everybody
 * can read. So it names a file, and the daemon reads the secret from it for each call of the
 * handler.
 *
 * Any thread; reading may block. Running out of memory aborts (glib).
 */
#pragma once

#include <tcmu/handler.h>

/* Reads the file: at most 4096 bytes without a NUL; a final newline is left out. It must be a
 * regular file of root or of our user, which only they may write and only they and its group may
 * read. 0 with *secret, to be freed; or -ENOKEY with a reason. option: its name. */
int secret_read(const char *path, const char *option, char **secret, struct tcmu_reason *reason);

/* Overwrites every occurrence of the secret in the text. */
void secret_hide(const char *secret, char *text);

/* Overwrites the secret and frees it. Takes NULL. */
void secret_free(char *secret);
