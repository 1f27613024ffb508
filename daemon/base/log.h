/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log. A message goes to the journal, with fields, when stderr is the journal; to the
 *file <log_dir>/tcmu-runner.log when there is a log_dir; to stderr when there is neither, and when
 *it is critical. With LOG_DIR_AUTO it goes to a file and to stderr where nobody may be reading
 *that: in a container, mostly.
 *
 *	log_start();				once, early in main()
 *	log_set_level(settings.log_level);	at the start and whenever the settings change
 *	log_set_dir(settings.log_dir);		likewise, or log_set_default_dir() where that is
 *LOG_DIR_AUTO log_reopen();				on SIGHUP log_stop();
 *last
 *
 * log_emit() only puts the message into a bounded queue; a thread writes it. So a log on a full or
 *frozen disk delays nobody: what does not fit is dropped, counted, and the count is logged. Before
 *log_start() and after log_stop() messages are written directly to stderr.
 *
 * Any thread, but never on the I/O path. One lock, innermost, held for a copy.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

/* The levels are enum tcmu_log_level, and one more. */
#define LOG_LEVEL_SCSI 5
#define LOG_LEVEL_MAX  5

/* Fields of the journal's MESSAGE_ID: what happened, for tools. */
#define LOG_ID_DAEMON_READY     "ccd308d830a14300b6b5477f1103acba"
#define LOG_ID_DAEMON_STOPPED   "19cd5f008a5e4f6b960c6f762147d0d1"
#define LOG_ID_DEVICE_STATE     "2b562a1fcac2449dbaa109f72dc68d8f"
#define LOG_ID_DEVICE_FAILED    "9192da7fe18d42c5b546339f3cce32d8"
#define LOG_ID_DEVICE_ORPHANED  "3723b79d0c644e2184f959b08b3b1f8a"
#define LOG_ID_BACKEND_ERROR    "a3d9f0b5c46e4c7f8f2c1d6be0795e13"
#define LOG_ID_COMMANDS_LATE    "e306d683c20e4d69a168799d4c76c279"
#define LOG_ID_HANDLER_REFUSED  "ea116c2e45194500ab8ca633425f6834"
#define LOG_ID_SETTINGS_CHANGED "ed723791ecff4deba886eabdd0c419f8"

struct log_where {
	int level;
	int line;
	const char *file;
	const char *func;
	const char *device;     /* "user_0/disk" or NULL: TCMU_DEVICE= */
	const char *subtype;    /* or NULL: TCMU_SUBTYPE= */
	const char *message_id; /* or NULL */
};

/* 0 with the writing thread running, or -EAGAIN: then messages go to stderr as before. */
int log_start(void);

/* Writes what is queued, waiting for at most a second, and ends. */
void log_stop(void);

/* Waits until everything emitted so far has been written, at most so long. Returns whether it was.
 */
bool log_flush(unsigned milliseconds);

/* 0 to LOG_LEVEL_MAX. A change is logged as "log level now is INFO", whatever the level. */
void log_set_level(int level);
int log_level(void);

/* "CRIT", "ERROR", "WARNING", "INFO", "DEBUG", "DEBUG SCSI CMD" */
const char *log_level_name(int level);

/* LOG_DIR_AUTO: LOG_DIR_DEFAULT where stderr is neither the journal nor a terminal, nothing
 * elsewhere. */
#define LOG_DIR_AUTO    "auto"
#define LOG_DIR_DEFAULT "/var/log"

/* NULL or "": no file. Does nothing when it is the folder that is in use. The folder is made if it
 * is missing. If the file cannot be opened this is logged, and tried again by log_reopen(). */
void log_set_dir(const char *dir);

/* The same for a folder that nobody has named: what is written to its file goes to stderr as well.
 */
void log_set_default_dir(const char *dir);

/* What LOG_DIR_AUTO means for a process with this stderr and this value of JOURNAL_STREAM. */
const char *log_auto_dir(const char *journal_stream, int fd);

/* Closes and opens the file again, for rotation. */
void log_reopen(void);

void log_emit(const struct log_where *where, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

bool log_enabled(int level);

/* Whether every command is to be logged, for who must not call a function to know it. */
const atomic_bool *log_scsi(void);

#define log_full(level_, device_, subtype_, id_, ...) \
	do { \
		if (log_enabled(level_)) \
			log_emit( \
				&(const struct log_where){ \
					.level = (level_), \
					.line = __LINE__, \
					.file = __FILE__, \
					.func = __func__, \
					.device = (device_), \
					.subtype = (subtype_), \
					.message_id = (id_)}, \
				__VA_ARGS__); \
	} while (0)

#define log_at(level, ...) log_full(level, NULL, NULL, NULL, __VA_ARGS__)
#define log_crit(...)      log_at(TCMU_LOG_CRIT, __VA_ARGS__)
#define log_error(...)     log_at(TCMU_LOG_ERROR, __VA_ARGS__)
#define log_warning(...)   log_at(TCMU_LOG_WARNING, __VA_ARGS__)
#define log_info(...)      log_at(TCMU_LOG_INFO, __VA_ARGS__)
#define log_debug(...)     log_at(TCMU_LOG_DEBUG, __VA_ARGS__)

/* With the device's name. */
#define log_dev(device, level, ...)  log_full(level, device, NULL, NULL, __VA_ARGS__)
#define log_dev_crit(device, ...)    log_dev(device, TCMU_LOG_CRIT, __VA_ARGS__)
#define log_dev_error(device, ...)   log_dev(device, TCMU_LOG_ERROR, __VA_ARGS__)
#define log_dev_warning(device, ...) log_dev(device, TCMU_LOG_WARNING, __VA_ARGS__)
#define log_dev_info(device, ...)    log_dev(device, TCMU_LOG_INFO, __VA_ARGS__)
#define log_dev_debug(device, ...)   log_dev(device, TCMU_LOG_DEBUG, __VA_ARGS__)

/* Lets burst messages through in every window of so many seconds. One for each kind of message and
 *device:
 *
 *	static struct log_limit limit = LOG_LIMIT(5, 60);
 *	unsigned more;
 *
 *	if (log_limit_pass(&limit, &more))
 *		log_dev_error(name, "...%s", more ? " (and again since)" : "");
 *
 * more: how many were held back since the last one that passed. */
struct log_limit {
	pthread_mutex_t lock;
	unsigned burst;
	unsigned seconds;
	uint64_t window; /* its start, µs of CLOCK_MONOTONIC */
	unsigned passed; /* in this window */
	unsigned held;   /* since the last that passed */
};
#define LOG_LIMIT(burst_, seconds_) \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER, .burst = (burst_), .seconds = (seconds_) \
	}
bool log_limit_pass(struct log_limit *limit, unsigned *more);

/* The same at a given time (µs of CLOCK_MONOTONIC). */
bool log_limit_pass_at(struct log_limit *limit, uint64_t now, unsigned *more);
