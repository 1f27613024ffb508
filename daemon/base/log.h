/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log. A message goes to the journal, with fields, when stderr is the journal; to the
 * file <log_dir>/tcmu-runner.log when there is a log_dir; to stderr when there is neither, or when
 * the message is critical. LOG_DIR_AUTO selects a file and stderr where stderr may have no reader:
 * mostly in a container.
 *
 *	log_start();				once, early in main()
 *	log_set_level(settings.log_level);	at the start, and after each change of settings
 *	log_set_dir(settings.log_dir);		likewise; log_set_default_dir() for LOG_DIR_AUTO
 *	log_reopen();				on SIGHUP
 *	log_stop();				last
 *
 * log_emit() puts the message into a bounded queue; a thread writes it. So a full or frozen disk
 * under the log delays nothing else: messages that do not fit are dropped and counted, and the
 * count is logged. Before log_start() and after log_stop() messages go to stderr directly.
 *
 * Any thread, but never on the I/O path. One lock, innermost, held for a copy. No function
 * allocates memory.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log-format.h"

/* Values of the journal's field MESSAGE_ID, by which tools recognise an event. */
#define LOG_ID_DAEMON_READY     "ccd308d830a14300b6b5477f1103acba"
#define LOG_ID_DAEMON_STOPPED   "19cd5f008a5e4f6b960c6f762147d0d1"
#define LOG_ID_DEVICE_STATE     "2b562a1fcac2449dbaa109f72dc68d8f"
#define LOG_ID_DEVICE_FAILED    "9192da7fe18d42c5b546339f3cce32d8"
#define LOG_ID_DEVICE_ORPHANED  "3723b79d0c644e2184f959b08b3b1f8a"
#define LOG_ID_BACKEND_ERROR    "a3d9f0b5c46e4c7f8f2c1d6be0795e13"
#define LOG_ID_COMMANDS_LATE    "e306d683c20e4d69a168799d4c76c279"
#define LOG_ID_HANDLER_REFUSED  "ea116c2e45194500ab8ca633425f6834"
#define LOG_ID_SETTINGS_CHANGED "ed723791ecff4deba886eabdd0c419f8"

/* Starts the writing thread. 0, or -EAGAIN: messages go to stderr as before. */
int log_start(void);

/* Writes the queue for at most one second, and ends the thread. */
void log_stop(void);

/* Waits until all messages emitted so far have been written. False: the time was not enough. */
bool log_flush(unsigned milliseconds);

/* 0 to LOG_LEVEL_MAX. A change is logged as "log level now is INFO", whatever the level. */
void log_set_level(int level);
int log_level(void); /* any thread */

/* The value of log_dir that means LOG_DIR_DEFAULT where stderr is neither the journal nor a
 * terminal, and no file elsewhere. */
#define LOG_DIR_AUTO    "auto"
#define LOG_DIR_DEFAULT "/var/log"

/* Moves the log file to a directory, which is created if it is missing; NULL or "": no file. Does
 * nothing for the directory in use. A file that cannot be opened, or that is a symbolic link
 * or no regular file, is logged to the journal or stderr, and tried again by log_reopen(). The
 * string is copied. */
void log_set_dir(const char *dir);

/* The same for a directory that the operator has not chosen: messages go to stderr as well. */
void log_set_default_dir(const char *dir);

/* The directory that LOG_DIR_AUTO means for this value of JOURNAL_STREAM and this stderr. A
 * constant. */
const char *log_auto_dir(const char *journal_stream, int fd);

/* Opens the file again, after a rotation. */
void log_reopen(void);

/* Logs a message, whatever its level. For the macros below. */
void log_emit(const struct log_where *where, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* How many messages were dropped since the start, because the log was written too slowly. Any
 * thread. */
uint64_t log_messages_lost(void);

/* Whether messages of this level are logged. */
bool log_enabled(int level);

/* Whether every SCSI command is logged, for hot paths that cannot afford a call. */
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

/* A limit for messages that repeat: burst messages pass in each window of so many seconds. One for
 * each kind of message and device:
 *
 *	static struct log_limit limit = LOG_LIMIT(5, 60);
 *	unsigned more;
 *
 *	if (log_limit_pass(&limit, &more))
 *		log_dev_error(name, "...%s", more ? " (and again since)" : "");
 */
struct log_limit {
	pthread_mutex_t lock;
	unsigned burst;
	unsigned seconds;
	uint64_t window; /* its start, µs of CLOCK_MONOTONIC */
	unsigned passed; /* in this window */
	unsigned held;   /* back since the last that passed */
};
#define LOG_LIMIT(burst_, seconds_) \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER, .burst = (burst_), .seconds = (seconds_) \
	}

/* Whether a message may be logged now. more: how many were held back since the last that passed.
 * Any thread. */
bool log_limit_pass(struct log_limit *limit, unsigned *more);

/* The same at a given time, in µs of CLOCK_MONOTONIC. */
bool log_limit_pass_at(struct log_limit *limit, uint64_t now, unsigned *more);
