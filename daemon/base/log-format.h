/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message on its way, and its two forms: a line of text and the fields of the journal. Pure
 * functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "base/log.h"

#define LOG_TEXT_MAX   768 /* bytes of the three strings with their ends; a longer text is cut */
#define LOG_LINE_MAX   1024
#define LOG_THREAD_MAX 16 /* with its end, as the kernel has it */
#define LOG_FIELDS_MAX 9

struct log_record {
	struct timespec time; /* CLOCK_REALTIME */
	int level;
	int line;
	unsigned lost;    /* not 0: stands for so many messages that found no room, and has nothing
			     else */
	const char *file; /* constants of the program */
	const char *func;
	const char *message_id;
	char thread[LOG_THREAD_MAX]; /* an empty string: not told */
	unsigned short device;       /* offsets in strings; an empty string: none */
	unsigned short subtype;
	unsigned short text;
	char strings[LOG_TEXT_MAX];
};

/* Control characters become blanks: one message is one line, whoever chose the words in it. */
void log_record_fill(
	struct log_record *record, const struct timespec *time, const struct log_where *where,
	const char *fmt, va_list args) __attribute__((format(printf, 4, 0)));

/* "2026-01-31 12:00:00.123 4711:tcmud [INFO] function:12: user_0/disk: text\n" in the local time
 * zone. Returns its length. */
size_t log_record_line(const struct log_record *record, pid_t pid, char line[LOG_LINE_MAX]);

/* Room for the fields. */
struct log_fields {
	struct iovec iov[LOG_FIELDS_MAX];
	int cnt;
	size_t used;
	char buffer[2 * LOG_TEXT_MAX + 512];
};
void log_record_fields(const struct log_record *record, struct log_fields *fields);

/* Whether value (of JOURNAL_STREAM, "device:inode") names what fd is; NULL: no. */
bool log_stream_is(const char *value, int fd);
