/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys, and the parser of "key = value" lines that uses it.
 */
#include "config/settings.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/log.h"

#define WARNING_MAX 256
#define SHOWN_MAX   40 /* of a word from the file in a warning */
#define NUMBER_MAX  16

enum kind {
	KIND_NUMBER,    /* an int or unsigned */
	KIND_CHOICE,    /* an enum: the index in choices */
	KIND_DIRECTORY, /* char[SETTINGS_PATH_MAX]: an absolute path, "auto" or empty */
};

static const char *const engines[] = {
	[AIO_AUTO] = "auto", [AIO_URING] = "uring", [AIO_THREADS] = "threads"};
#define ENGINE_CNT (sizeof(engines) / sizeof(engines[0]))

static const char *const scopes[] = {
	[XCOPY_OFF] = "off", [XCOPY_SELF] = "self", [XCOPY_ALL] = "all"};
#define SCOPE_CNT (sizeof(scopes) / sizeof(scopes[0]))

static const char *const reservations[] = {
	[RESERVATIONS_LOCAL] = "local", [RESERVATIONS_ALL] = "all"};
#define RESERVATIONS_CNT (sizeof(reservations) / sizeof(reservations[0]))

_Static_assert(sizeof(enum aio_kind) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum xcopy_scope) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(int) == sizeof(unsigned), "numbers are stored as unsigned");

static const struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	unsigned minimum;
	unsigned maximum; /* of a choice: the last index */
	const char *const *choices;
	const char *values;
	const char *def;
	const char *help;
} table[] = {
	{"log_level", KIND_NUMBER, offsetof(struct settings, log_level), 0, 5, NULL, "0 to 5", "3",
	 "The least important messages that are logged: 0 critical, 1 errors, 2 warnings, 3 events "
	 "of devices, 4 debugging, 5 also every SCSI command. Messages that do not fit into the "
	 "log's queue are dropped and counted."},
	{"log_dir", KIND_DIRECTORY, offsetof(struct settings, log_dir), 0, 0, NULL,
	 "an absolute path, auto or nothing", LOG_DIR_AUTO,
	 "The directory of the log file tcmu-runner.log. auto: " LOG_DIR_DEFAULT
	 " where standard error is neither the journal nor a terminal; messages go to standard "
	 "error as well then. Nothing: no file."},
	{"io_engine", KIND_CHOICE, offsetof(struct settings, io_engine), 0, ENGINE_CNT - 1, engines,
	 "auto, uring or threads", "auto",
	 "How system calls for handlers are made: by io_uring, by threads, or by io_uring where it "
	 "works. For devices that are opened after the change."},
	{"queue_depth", KIND_NUMBER, offsetof(struct settings, queue_depth), 1, 4096, NULL,
	 "1 to 4096", "256",
	 "The maximum of system calls in flight for each device. For devices that are opened after "
	 "the change."},
	{"busy_poll", KIND_NUMBER, offsetof(struct settings, busy_poll), 0, 100, NULL, "0 to 100",
	 "50",
	 "Percent of a CPU that a device may use for spinning on the next command, where commands "
	 "come soon and one at a time. 0: never. All devices together use half of the CPUs at "
	 "most, idle devices nothing. For devices that are opened after the change."},
	{"max_transfer_kib", KIND_NUMBER, offsetof(struct settings, max_transfer_kib), 64, 32768,
	 NULL, "64 to 32768", "4096",
	 "KiB that initiators may read or write by one command, for devices that are created with "
	 "the kernel's default of hw_max_sectors, which is 128 blocks; at most a sixteenth of the "
	 "device's data area."},
	{"extended_copy", KIND_CHOICE, offsetof(struct settings, extended_copy), 0, SCOPE_CNT - 1,
	 scopes, "off, self or all", "self",
	 "The disks between which EXTENDED COPY copies: none, within one disk, or between any two "
	 "of this daemon. The kernel does not report which initiator sent a command. So with all, "
	 "an initiator that may use one disk can read and write every other, whatever its LUN "
	 "mapping and reservations. For devices that are opened after the change."},
	{"reservations", KIND_CHOICE, offsetof(struct settings, reservations), 0,
	 RESERVATIONS_CNT - 1, reservations, "all or local", "all",
	 "The disks that initiators may reserve. The kernel keeps reservations, each host for "
	 "itself. With local it refuses them (PERSISTENT RESERVE and RESERVE) for disks that other "
	 "hosts may serve at the same time, those of rbd. For devices that are created after the "
	 "change."},
	{"release_deadline_ms", KIND_NUMBER, offsetof(struct settings, release_deadline_ms), 10,
	 60000, NULL, "10 to 60000", "1000",
	 "Milliseconds that commands of a deleted device have to end. After that, commands that "
	 "are stuck lose the kernel's memory."},
	{"lock_hold_ms", KIND_NUMBER, offsetof(struct settings, lock_hold_ms), 0, 60000, NULL,
	 "0 to 60000", "3000",
	 "Milliseconds that a host which has lost the lock of a shared device leaves it to the "
	 "other host, even if writes arrive. With implicit failover."},
	{"reply_timeout_ms", KIND_NUMBER, offsetof(struct settings, reply_timeout_ms), 10, 60000,
	 NULL, "10 to 60000", "2000",
	 "The longest time in milliseconds that deleting or resizing a device waits for its "
	 "handler."},
	{"open_timeout_ms", KIND_NUMBER, offsetof(struct settings, open_timeout_ms), 100, 600000,
	 NULL, "100 to 600000", "10000",
	 "The longest time in milliseconds that creating a device waits for its handler. All of "
	 "targetcli waits with it."},
	{"stop_timeout_ms", KIND_NUMBER, offsetof(struct settings, stop_timeout_ms), 10, 50000,
	 NULL, "10 to 50000", "10000",
	 "Milliseconds that commands in flight have to end when the daemon stops."},
	{"check_timeout_ms", KIND_NUMBER, offsetof(struct settings, check_timeout_ms), 100, 24000,
	 NULL, "100 to 24000", "20000",
	 "The longest time in milliseconds that the check of a config string waits for the "
	 "handler. targetcli gives up after 25 seconds."},
};
#define TABLE_SIZE (sizeof(table) / sizeof(table[0]))

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < TABLE_SIZE; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static void *field_of(const struct row *row, struct settings *settings)
{
	assert(row >= table && row < table + TABLE_SIZE);
	return (char *) settings + row->offset;
}

static void copy_field(const struct row *row, struct settings *to, const struct settings *from)
{
	size_t size = row->kind == KIND_DIRECTORY ? SETTINGS_PATH_MAX : sizeof(unsigned);

	assert(row->offset + size <= sizeof(*to));
	memcpy(field_of(row, to), (const char *) from + row->offset, size);
}

/* Digits only. */
static bool parse_row_number(const char *text, unsigned minimum, unsigned maximum, unsigned *number)
{
	uint64_t n = 0;

	assert(minimum <= maximum);
	if (!*text || strlen(text) > NUMBER_MAX)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char) *text))
			return false;
		n = n * 10 + (unsigned) (*text - '0');
	}
	if (n < minimum || n > maximum)
		return false;
	*number = (unsigned) n;
	return true;
}

static bool parse_row_choice(const struct row *row, const char *text, unsigned *number)
{
	assert(row->kind == KIND_CHOICE);
	for (unsigned i = 0; i <= row->maximum; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*number = i;
			return true;
		}
	}
	return false;
}

/* Sets a row's field. False: the value is invalid; nothing is changed. */
static bool set_field(const struct row *row, struct settings *settings, const char *value)
{
	unsigned number = 0;

	if (row->kind == KIND_DIRECTORY) {
		bool valid = *value == '/' || *value == '\0' || strcmp(value, LOG_DIR_AUTO) == 0;

		if (!valid || strlen(value) >= SETTINGS_PATH_MAX)
			return false;
		(void) snprintf(field_of(row, settings), SETTINGS_PATH_MAX, "%s", value);
		return true;
	}
	if (row->kind == KIND_CHOICE
		    ? !parse_row_choice(row, value, &number)
		    : !parse_row_number(value, row->minimum, row->maximum, &number))
		return false;
	assert(number >= row->minimum && number <= row->maximum);
	memcpy(field_of(row, settings), &number, sizeof(number));
	return true;
}

void settings_defaults(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		bool valid = set_field(&table[i], settings, table[i].def);

		assert(valid);
	}
}

int settings_set(struct settings *settings, const char *key, const char *value)
{
	const struct row *row = find_row(key);

	if (!row)
		return -ENOENT;
	return set_field(row, settings, value) ? 0 : -EINVAL;
}

bool settings_key(size_t index, struct settings_key *key)
{
	if (index >= TABLE_SIZE)
		return false;
	*key = (struct settings_key){
		.name = table[index].name,
		.values = table[index].values,
		.def = table[index].def,
		.help = table[index].help,
	};
	return true;
}

static const char *field_text(
	const struct row *row, const struct settings *settings, char number[NUMBER_MAX])
{
	const char *field = (const char *) settings + row->offset;
	unsigned n;

	assert(row->offset < sizeof(*settings));
	if (row->kind == KIND_DIRECTORY)
		return field;
	memcpy(&n, field, sizeof(n));
	if (row->kind == KIND_CHOICE) {
		assert(n <= row->maximum);
		return row->choices[n];
	}
	(void) snprintf(number, NUMBER_MAX, "%u", n);
	return number;
}

void settings_compare(
	const struct settings *before, const struct settings *after, settings_changed_fn *changed,
	void *userdata)
{
	char a[NUMBER_MAX], b[NUMBER_MAX];

	for (size_t i = 0; i < TABLE_SIZE; i++) {
		const char *was = field_text(&table[i], before, a);
		const char *is = field_text(&table[i], after, b);

		if (strcmp(was, is) != 0)
			changed(userdata, table[i].name, was, is);
	}
}

/* ------- the text ------- */

struct parser {
	const struct settings *before;
	struct settings *settings;
	settings_warn_fn *warn;
	void *userdata;
	unsigned line;
	unsigned warnings;
};

static void parser_warn(struct parser *parser, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void parser_warn(struct parser *parser, const char *fmt, ...)
{
	char text[WARNING_MAX];
	va_list args;

	parser->warnings++;
	if (!parser->warn)
		return;
	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	parser->warn(parser->userdata, parser->line, text);
}

/* A word of the file with all bytes that are not printable ASCII replaced, and cut. */
static const char *printable_word(const char *word, char buffer[SHOWN_MAX + 4])
{
	size_t len = strlen(word);
	size_t n = len < SHOWN_MAX ? len : SHOWN_MAX;

	for (size_t i = 0; i < n; i++)
		buffer[i] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
	assert(n <= SHOWN_MAX);
	memcpy(buffer + n, len > n ? "..." : "", len > n ? 4 : 1);
	return buffer;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static char *skip_blanks(char *text)
{
	while (is_blank(*text))
		text++;
	return text;
}

static void cut_blanks(char *text)
{
	size_t len = strlen(text);

	while (len && is_blank(text[len - 1]))
		text[--len] = '\0';
}

/* Removes quotes or a comment. NULL: a quote is not closed, or something follows it. */
static char *unquote_value(char *value)
{
	char quote = *value;
	char *end;

	if (quote != '"' && quote != '\'') {
		for (end = value; *end && !(*end == '#' && (end == value || is_blank(end[-1])));
		     end++)
			;
		*end = '\0';
		cut_blanks(value);
		return value;
	}
	end = strchr(value + 1, quote);
	if (!end)
		return NULL;
	*end++ = '\0';
	end = skip_blanks(end);
	return *end == '\0' || *end == '#' ? value + 1 : NULL;
}

static void parse_pair(struct parser *parser, const char *key, char *value)
{
	const struct row *row = find_row(key);
	char a[SHOWN_MAX + 4], b[SHOWN_MAX + 4];
	const char *text;

	assert(parser->settings != parser->before);
	if (!row) {
		parser_warn(
			parser, "unknown setting \"%s\"; the line is ignored",
			printable_word(key, a));
		return;
	}
	text = unquote_value(value);
	if (text && set_field(row, parser->settings, text))
		return;
	copy_field(row, parser->settings, parser->before);
	parser_warn(
		parser, "%s is \"%s\", expected %s; it stays \"%s\"", key,
		printable_word(text ? text : value, a), row->values,
		printable_word(field_text(row, parser->before, b), b));
}

static void parse_line(struct parser *parser, char *line)
{
	char buffer[SHOWN_MAX + 4];
	char *equals;

	line = skip_blanks(line);
	if (*line == '\0' || *line == '#')
		return;
	equals = strchr(line, '=');
	if (!equals || equals == line) {
		cut_blanks(line);
		parser_warn(
			parser, "\"%s\" is not \"key = value\"; the line is ignored",
			printable_word(line, buffer));
		return;
	}
	*equals = '\0';
	cut_blanks(line);
	parse_pair(parser, line, skip_blanks(equals + 1));
}

unsigned settings_parse(
	const char *text, size_t length, struct settings *settings, settings_warn_fn *warn,
	void *userdata)
{
	struct settings before = *settings;
	struct parser parser = {
		.before = &before, .settings = settings, .warn = warn, .userdata = userdata};
	char line[2 * SETTINGS_PATH_MAX];

	settings_defaults(settings);
	while (length) {
		const char *newline = memchr(text, '\n', length);
		size_t len = newline ? (size_t) (newline - text) : length;

		parser.line++;
		if (memchr(text, '\0', len) || len >= sizeof(line)) {
			parser_warn(
				&parser, "the line is too long or has a NUL byte; it is ignored");
		} else {
			memcpy(line, text, len);
			line[len] = '\0';
			parse_line(&parser, line);
		}
		len += newline ? 1 : 0;
		text += len;
		length -= len;
	}
	return parser.warnings;
}

/* ------- the file ------- */

/* buffer: SETTINGS_FILE_MAX + 1 bytes. Returns the file's length, or -errno. */
static ssize_t read_file(const char *path, char *buffer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len <= SETTINGS_FILE_MAX) {
		n = read(fd, buffer + len, SETTINGS_FILE_MAX + 1 - len);
		if (n < 0)
			n = errno == EINTR ? 1 : -errno;
		else
			len += (size_t) n;
	}
	(void) close(fd);
	assert(len <= SETTINGS_FILE_MAX + 1);
	if (n < 0)
		return n;
	return len > SETTINGS_FILE_MAX ? -EFBIG : (ssize_t) len;
}

int settings_load(
	const char *path, struct settings *settings, settings_warn_fn *warn, void *userdata)
{
	struct parser whole = {.warn = warn, .userdata = userdata};
	char *content = g_malloc(SETTINGS_FILE_MAX + 1);
	ssize_t r = read_file(path, content);

	if (r == -ENOENT || r == -ENOTDIR) {
		settings_defaults(settings);
		r = -ENOENT;
	} else if (r < 0) {
		parser_warn(&whole, "cannot read it: %s", strerror((int) -r));
	} else {
		r = (ssize_t) settings_parse(content, (size_t) r, settings, warn, userdata);
	}
	g_free(content);
	return (int) r;
}
