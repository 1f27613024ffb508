/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the daemon's outer parts share: a folder of their own, files in it, and the log as
 * text.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new empty folder, removed with what is in it by fixture_remove_folder(). */
const char *fixture_folder(void);
void fixture_remove_folder(void);

/* The path of a file in the folder; valid until the next but seven calls. */
const char *fixture_path(const char *name);

void fixture_write(const char *name, const char *text);

/* The file's whole text, to be freed; NULL: there is none. */
char *fixture_read(const char *path);

/* Between the two, the log is written to a file in the folder; the second returns its text, to be
 * freed. */
void fixture_log_begin(int level);
char *fixture_log_end(void);

/* How often word is in text. */
unsigned fixture_count(const char *text, const char *word);
