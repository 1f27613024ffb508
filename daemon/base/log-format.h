/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message of the log, and its two forms: a line of text, and the fields of the journal. Pure
 * functions; any thread.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include <tcmu/handler.h>

/* The levels are enum tcmu_log_level, and one more. */
#define LOG_LEVEL_SCSI 5
#define LOG_LEVEL_MAX  5

#define LOG_TEXT_MAX   768 /* bytes of the three strings with their NULs; a longer text is cut */
#define LOG_LINE_MAX   1024
#define LOG_THREAD_MAX 16 /* with its NUL, like TASK_COMM_LEN of the kernel */
#define LOG_FIELDS_MAX 9

/* The source of a message. Strings outlive the call; file, func and message_id the program. */
struct log_where {
	int level; /* 0 to LOG_LEVEL_MAX */
	int line;
	const char *file;
	const char *func;
	const char *device;     /* "user_0/disk" or NULL: TCMU_DEVICE= */
	const char *subtype;    /* or NULL: TCMU_SUBTYPE= */
	const char *message_id; /* or NULL */
};

struct log_record {
	struct timespec time; /* CLOCK_REALTIME */
	int level;
	int line;
	unsigned lost;    /* not 0: this many messages were dropped here; only this is set */
	const char *file; /* constants of the program */
	const char *func;
	const char *message_id;
	char thread[LOG_THREAD_MAX]; /* empty: not known */
	unsigned short device;       /* offsets in strings; an empty string: none */
	unsigned short subtype;
	unsigned short text;
	char strings[LOG_TEXT_MAX];
};

/* "CRIT", "ERROR", "WARNING", "INFO", "DEBUG", "DEBUG SCSI CMD" */
const char *log_level_name(int level);

/* Fills a record. Control characters become blanks, so that one message is one line, also with text
 * from outside. */
void log_record_fill(
	struct log_record *record, const struct timespec *time, const struct log_where *where,
	const char *fmt, va_list args) __attribute__((format(printf, 4, 0)));

/* "2026-01-31 12:00:00.123 4711:tcmud [INFO] function:12: user_0/disk: text\n" in the local time
 * zone; cut at LOG_LINE_MAX. Returns its length without the NUL. */
size_t log_record_line(const struct log_record *record, pid_t pid, char line[LOG_LINE_MAX]);

/* The fields, and the memory they point to. */
struct log_fields {
	struct iovec iov[LOG_FIELDS_MAX];
	int cnt;
	size_t used;
	char buffer[2 * LOG_TEXT_MAX + 512];
};

/* Fills the fields. The record is not needed afterwards. */
void log_record_fields(const struct log_record *record, struct log_fields *fields);

/* Whether value, "device:inode" from JOURNAL_STREAM, names the file of fd. NULL: no. */
bool log_stream_is(const char *value, int fd);
