/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu.conf: one "key = value" a line, '#' begins a comment, quotes are optional. One table has
 * every key with its type, default, range and help; the parser, the manual's test and the log of
 * changes use it.
 *
 * Nothing in the file can stop the daemon: an unknown key or a bad value is a warning with the
 * line's number, and the key keeps its value. A key that is not in the file has its default.
 *
 *	struct settings settings;
 *	settings_defaults(&settings);
 *	settings_load(path, &settings, warn, NULL);	at the start, and after each change
 *	cli_override(&cli, &settings);			the command line wins
 *
 * Functions over bytes and over a struct without pointers, which may be copied; any thread. Running
 * out of memory aborts (glib).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "aio/aio.h"

#define SETTINGS_PATH_MAX 1024
#define SETTINGS_FILE_MAX (1u << 20) /* bytes; a longer file is refused with -EFBIG */

/* The logical units between which EXTENDED COPY copies. */
enum xcopy_scope {
	XCOPY_OFF,  /* not at all */
	XCOPY_SELF, /* within one */
	XCOPY_ALL,  /* between any two of this daemon */
};

/* The devices on which initiators may reserve. */
enum reservations_scope {
	RESERVATIONS_LOCAL, /* those whose backing store no other host can serve */
	RESERVATIONS_ALL,
};

struct settings {
	int log_level;
	char log_dir[SETTINGS_PATH_MAX]; /* empty: none; or LOG_DIR_AUTO */
	enum aio_kind io_engine;
	unsigned queue_depth;      /* maximum of system calls in flight, for each device */
	unsigned busy_poll;        /* percent of a CPU that a device may use for spinning */
	unsigned max_transfer_kib; /* for devices that were created without hw_max_sectors */
	enum xcopy_scope extended_copy;
	enum reservations_scope reservations;
	unsigned release_deadline_ms; /* from the last fetch until stuck I/O loses the ring */
	unsigned lock_hold_ms;        /* after a loss of the lock, writes do not take it back */
	unsigned reply_timeout_ms;    /* longest wait of a removal or a resize for the handler */
	unsigned open_timeout_ms;     /* longest wait of a creation for the handler */
	unsigned stop_timeout_ms;     /* release_deadline_ms for the stop of the daemon */
	unsigned check_timeout_ms;    /* longest wait of CheckConfig for the handler */
};

/* Sets every key to its default. */
void settings_defaults(struct settings *settings);

/* text: the problem of a line, a sentence without the line's number. line 0: the whole file. */
typedef void settings_warn_fn(void *userdata, unsigned line, const char *text);

/* Parses any bytes. settings: the values in use, which the text replaces. warn may be NULL. Returns
 * the number of warnings. */
unsigned settings_parse(
	const char *text, size_t length, struct settings *settings, settings_warn_fn *warn,
	void *userdata);

/* Parses a file. Returns the number of warnings; -ENOENT, with the defaults in settings; or another
 * -errno of the file, which warn has got too, with settings unchanged. */
int settings_load(
	const char *path, struct settings *settings, settings_warn_fn *warn, void *userdata);

/* Calls changed for every key whose value differs. before, after: as a line of the file would have
 * them; valid until the return. */
typedef void settings_changed_fn(
	void *userdata, const char *key, const char *before, const char *after);
void settings_compare(
	const struct settings *before, const struct settings *after, settings_changed_fn *changed,
	void *userdata);

/* Sets one key, like a line of the file. -ENOENT: there is no such key; -EINVAL: a bad value;
 * nothing is changed then. */
int settings_set(struct settings *settings, const char *key, const char *value);

/* A row of the table, for the manual and its test. Strings are constants. */
struct settings_key {
	const char *name;
	const char *values; /* the possible values: "0 to 5" */
	const char *def;
	const char *help;
};

/* False: index is beyond the last. */
bool settings_key(size_t index, struct settings_key *key);
