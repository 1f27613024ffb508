/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu.conf: one "key = value" a line, '#' comments, quotes optional. One table names every key
 *with its type, default, range and help; the parser, the manual's test and the log of changes come
 *from it.
 *
 * Nothing in the file can stop the daemon: an unknown key or a bad value is a warning with the
 *line's number, and the key keeps the value it had. A key that is not in the file has its default.
 *
 *	struct settings settings;
 *	settings_defaults(&settings);
 *	settings_load(path, &settings, warn, NULL);	at the start, and again on SIGHUP or when
 *the watch says so cli_override(&cli, &settings);			what the command line says
 *wins
 *
 * Main thread; a function over bytes and a struct without pointers, which may be copied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <systemd/sd-event.h>

#include "aio/aio.h"

#define SETTINGS_PATH_MAX 1024
#define SETTINGS_FILE_MAX (1u << 20) /* bytes; a longer file is refused */

/* Between which logical units EXTENDED COPY copies. */
enum xcopy_scope {
	XCOPY_OFF,
	XCOPY_SELF,
	XCOPY_ALL,
};

struct settings {
	int log_level;
	char log_dir[SETTINGS_PATH_MAX]; /* empty: none; or LOG_DIR_AUTO */
	enum aio_kind io_engine;
	unsigned queue_depth; /* system calls started at once for a device, at most */
	unsigned busy_poll;   /* percent of a processor that a device may spend waiting awake */
	unsigned max_transfer_kib; /* of devices that were made without hw_max_sectors */
	enum xcopy_scope extended_copy;
	unsigned release_deadline_ms; /* from the end of fetching until the ring is taken from stuck
					 I/O */
	unsigned reply_timeout_ms;    /* how long the answer to a removal or a resize waits for the
					 handler */
	unsigned open_timeout_ms;     /* how long the answer to a creation waits for the handler */
	unsigned stop_timeout_ms;     /* as release_deadline_ms, when the daemon stops */
	unsigned check_timeout_ms;    /* how long CheckConfig waits for the handler */
};

void settings_defaults(struct settings *settings);

/* What is wrong with a line, a sentence without the line's number. line 0: the file as a whole. */
typedef void settings_warn_fn(void *userdata, unsigned line, const char *text);

/* settings: the values in use until now; replaced by what the text says. Any bytes. warn may be
 * NULL. Returns how many warnings there were. */
unsigned settings_parse(
	const char *text, size_t length, struct settings *settings, settings_warn_fn *warn,
	void *userdata);

/* As settings_parse() with the file's content. Returns how many warnings there were, or the -errno
 * of the file: -ENOENT with the defaults in settings; another, also told by warn, with settings
 * unchanged. */
int settings_load(
	const char *path, struct settings *settings, settings_warn_fn *warn, void *userdata);

/* Calls changed for every key whose value differs, with both as they would be written. */
typedef void settings_changed_fn(
	void *userdata, const char *key, const char *before, const char *after);
void settings_compare(
	const struct settings *before, const struct settings *after, settings_changed_fn *changed,
	void *userdata);

/* Sets one key, as a line of the file would. -ENOENT: no such key; -EINVAL: a bad value, nothing
 * changed. */
int settings_set(struct settings *settings, const char *key, const char *value);

/* A row of the table, for documentation and its test. */
struct settings_key {
	const char *name;
	const char *values; /* what may be given: "0 to 5" */
	const char *def;
	const char *help;
};
bool settings_key(size_t index, struct settings_key *key);

/* Tells when the file may have changed, also by a rename over it, in whatever way it or its folder
 * is edited; a tenth of a second after the last of several changes. -ENOENT: its folder does not
 * exist. */
struct settings_watch;
int settings_watch_new(
	sd_event *event, const char *path, void (*changed)(void *userdata), void *userdata,
	struct settings_watch **watch);
void settings_watch_free(struct settings_watch *watch); /* takes NULL */
