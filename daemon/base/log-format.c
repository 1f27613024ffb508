/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line has the form that tools parse in tcmu-runner's log.
 */
#include "base/log-format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

static const struct {
	const char *name;
	const char *tag; /* in a line, where parsers expect one word */
	int priority;    /* the journal's field PRIORITY */
} levels[] = {
	[TCMU_LOG_CRIT] = {"CRIT", "CRIT", LOG_CRIT},
	[TCMU_LOG_ERROR] = {"ERROR", "ERROR", LOG_ERR},
	[TCMU_LOG_WARNING] = {"WARNING", "WARNING", LOG_WARNING},
	[TCMU_LOG_INFO] = {"INFO", "INFO", LOG_INFO},
	[TCMU_LOG_DEBUG] = {"DEBUG", "DEBUG", LOG_DEBUG},
	[LOG_LEVEL_SCSI] = {"DEBUG SCSI CMD", "DEBUG_SCSI_CMD", LOG_DEBUG},
};

static int clamp_level(int level)
{
	return level < 0 ? 0 : level > LOG_LEVEL_MAX ? LOG_LEVEL_MAX : level;
}

const char *log_level_name(int level)
{
	return levels[clamp_level(level)].name;
}

static void blank_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			*text = ' ';
}

/* Copies text to strings[*used], cut to leave at least reserve bytes. Returns its offset. */
static unsigned short append_string(
	struct log_record *record, size_t *used, const char *text, size_t reserve)
{
	size_t begin = *used;
	size_t room = sizeof(record->strings) - reserve - begin;
	size_t len = text ? strnlen(text, room - 1) : 0;

	assert(reserve < sizeof(record->strings) && begin < sizeof(record->strings) - reserve);
	if (len)
		memcpy(record->strings + begin, text, len);
	record->strings[begin + len] = '\0';
	blank_controls(record->strings + begin);
	*used = begin + len + 1;
	return (unsigned short) begin;
}

void log_record_fill(
	struct log_record *record, const struct timespec *time, const struct log_where *where,
	const char *fmt, va_list args)
{
	size_t used = 0;

	assert(where->file && where->func);
	record->time = *time;
	record->level = clamp_level(where->level);
	record->line = where->line;
	record->lost = 0;
	record->file = where->file;
	record->func = where->func;
	record->message_id = where->message_id;
	record->thread[0] = '\0';
	record->device = append_string(record, &used, where->device, LOG_TEXT_MAX / 2);
	record->subtype = append_string(record, &used, where->subtype, LOG_TEXT_MAX / 2 - 64);
	assert(used < sizeof(record->strings));
	record->text = (unsigned short) used;
	(void) vsnprintf(record->strings + used, sizeof(record->strings) - used, fmt, args);
	blank_controls(record->strings + used);
}

size_t log_record_line(const struct log_record *record, pid_t pid, char line[LOG_LINE_MAX])
{
	const char *device = record->strings + record->device;
	const char *text = record->strings + record->text;
	struct tm tm = {0};
	int len;

	assert(!record->lost && record->level >= 0 && record->level <= LOG_LEVEL_MAX);
	(void) localtime_r(&record->time.tv_sec, &tm);
	len = snprintf(
		line, LOG_LINE_MAX,
		"%04d-%02d-%02d %02d:%02d:%02d.%03ld %jd%s%s [%s] %s:%d: %s%s%s\n",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		record->time.tv_nsec / 1000000, (intmax_t) pid, *record->thread ? ":" : "",
		record->thread, levels[record->level].tag, record->func, record->line, device,
		*device ? ": " : "", text);
	assert(len > 0);
	if (len < LOG_LINE_MAX)
		return (size_t) len;
	line[LOG_LINE_MAX - 2] = '\n';
	return LOG_LINE_MAX - 1;
}

static void add_field(struct log_fields *fields, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add_field(struct log_fields *fields, const char *fmt, ...)
{
	char *begin = fields->buffer + fields->used;
	size_t room = sizeof(fields->buffer) - fields->used;
	va_list args;
	int len;

	assert(fields->used <= sizeof(fields->buffer));
	va_start(args, fmt);
	len = vsnprintf(begin, room, fmt, args);
	va_end(args);
	if (len < 0 || (size_t) len >= room)
		return;
	assert(fields->cnt < LOG_FIELDS_MAX);
	fields->iov[fields->cnt++] = (struct iovec){.iov_base = begin, .iov_len = (size_t) len};
	fields->used += (size_t) len;
}

void log_record_fields(const struct log_record *record, struct log_fields *fields)
{
	const char *device = record->strings + record->device;
	const char *subtype = record->strings + record->subtype;
	const char *text = record->strings + record->text;

	assert(!record->lost && record->level >= 0 && record->level <= LOG_LEVEL_MAX);
	fields->cnt = 0;
	fields->used = 0;
	add_field(fields, "MESSAGE=%s%s%s", device, *device ? ": " : "", text);
	add_field(fields, "PRIORITY=%d", levels[record->level].priority);
	add_field(fields, "CODE_FILE=%s", record->file);
	add_field(fields, "CODE_LINE=%d", record->line);
	add_field(fields, "CODE_FUNC=%s", record->func);
	if (*device)
		add_field(fields, "TCMU_DEVICE=%s", device);
	if (*subtype)
		add_field(fields, "TCMU_SUBTYPE=%s", subtype);
	if (record->message_id)
		add_field(fields, "MESSAGE_ID=%s", record->message_id);
}

bool log_stream_is(const char *value, int fd)
{
	char text[64];
	struct stat st;

	if (!value || fstat(fd, &st) < 0)
		return false;
	(void) snprintf(
		text, sizeof(text), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
	return strcmp(text, value) == 0;
}
