/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: lines that existing tools parse, fields for the journal, and an event loop that the
 * log never blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "log-fixture.h"

#define THREADS    8
#define PER_THREAD 200
#define QUEUE_SIZE 256

static int setup(void **state)
{
	(void) state;
	(void) setenv("TZ", "UTC0", 1);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	log_stop();
	log_set_level(TCMU_LOG_INFO);
	fixture_remove_directory();
	return 0;
}

static void fill_record(
	struct log_record *record, const struct log_where *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fill_record(
	struct log_record *record, const struct log_where *where, const char *fmt, ...)
{
	const struct timespec time = {.tv_sec = 1767225600, .tv_nsec = 7999999};
	va_list args;

	va_start(args, fmt);
	log_record_fill(record, &time, where, fmt, args);
	va_end(args);
}

static bool line_matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool r;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE), 0);
	r = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return r;
}

/* ------- a message's forms ------- */

static void a_line_has_the_established_form(void **state)
{
	struct log_where where = {
		.level = TCMU_LOG_WARNING, .line = 12, .file = "f.c", .func = "serve"};
	struct log_record record;
	char line[LOG_LINE_MAX];
	size_t len;

	(void) state;
	fill_record(&record, &where, "a %s of %d words", "line", 5);
	len = log_record_line(&record, 4711, line);
	assert_int_equal(len, strlen(line));
	assert_string_equal(
		line, "2026-01-01 00:00:00.007 4711 [WARNING] serve:12: a line of 5 words\n");
	where.device = "user_0/disk";
	fill_record(&record, &where, "it");
	(void) log_record_line(&record, 4711, line);
	assert_string_equal(
		line, "2026-01-01 00:00:00.007 4711 [WARNING] serve:12: user_0/disk: it\n");
	memcpy(record.thread, "io-d", sizeof("io-d"));
	(void) log_record_line(&record, 4711, line);
	assert_string_equal(
		line, "2026-01-01 00:00:00.007 4711:io-d [WARNING] serve:12: user_0/disk: it\n");
}

/* The expression by which a test suite reads this file. */
static void every_line_matches_the_expression_of_other_tools(void **state)
{
	static const char theirs[] =
		"^([0-9]+-[0-9]+-[0-9]+.*[0-9]+:[0-9]+:[0-9]+)\\.[0-9]+.*\\[([^[:space:"
		"]]+)\\](.*):([0-9]+):(.*)$";
	struct log_where where = {.line = 1, .file = "f.c", .func = "f"};
	struct log_record record;
	char line[LOG_LINE_MAX];

	(void) state;
	for (int level = 0; level <= LOG_LEVEL_MAX; level++) {
		where.level = level;
		where.device = level % 2 ? "user_1/x" : NULL;
		fill_record(&record, &where, "no colon here");
		(void) log_record_line(&record, 1, line);
		assert_true(line_matches(line, theirs));
	}
}

static void the_journal_gets_fields(void **state)
{
	static const char *const expected[] = {
		"MESSAGE=user_0/disk: gone",
		"PRIORITY=4",
		"CODE_FILE=f.c",
		"CODE_LINE=12",
		"CODE_FUNC=serve",
		"TCMU_DEVICE=user_0/disk",
		"TCMU_SUBTYPE=file",
		("MESSAGE_ID=" LOG_ID_DEVICE_STATE),
	};
	const struct log_where where = {
		.level = TCMU_LOG_WARNING,
		.line = 12,
		.file = "f.c",
		.func = "serve",
		.device = "user_0/disk",
		.subtype = "file",
		.message_id = LOG_ID_DEVICE_STATE,
	};
	struct log_record record;
	struct log_fields fields;

	(void) state;
	fill_record(&record, &where, "gone");
	log_record_fields(&record, &fields);
	assert_int_equal(fields.cnt, 8);
	for (int i = 0; i < fields.cnt; i++) {
		assert_int_equal(fields.iov[i].iov_len, strlen(expected[i]));
		assert_memory_equal(fields.iov[i].iov_base, expected[i], strlen(expected[i]));
	}
}

static void levels_become_priorities(void **state)
{
	static const char *const expected[] = {"PRIORITY=2", "PRIORITY=3", "PRIORITY=4",
					       "PRIORITY=6", "PRIORITY=7", "PRIORITY=7"};
	struct log_where where = {.file = "f.c", .func = "f"};
	struct log_record record;
	struct log_fields fields;

	(void) state;
	for (where.level = 0; where.level <= LOG_LEVEL_MAX; where.level++) {
		fill_record(&record, &where, "x");
		log_record_fields(&record, &fields);
		assert_int_equal(fields.cnt, 5);
		assert_memory_equal(
			fields.iov[1].iov_base, expected[where.level],
			strlen(expected[where.level]));
	}
}

static void text_from_outside_cannot_forge_a_line_or_a_field(void **state)
{
	const struct log_where where = {
		.file = "f.c", .func = "f", .device = "a\nb", .subtype = "c\x1b"};
	struct log_record record;
	struct log_fields fields;
	char line[LOG_LINE_MAX];

	(void) state;
	fill_record(&record, &where, "one\ntwo\rMESSAGE=three\x7f");
	(void) log_record_line(&record, 1, line);
	assert_non_null(strstr(line, "a b: one two MESSAGE=three \n"));
	assert_int_equal(fixture_count(line, "\n"), 1);
	log_record_fields(&record, &fields);
	for (int i = 0; i < fields.cnt; i++)
		assert_null(memchr(fields.iov[i].iov_base, '\n', fields.iov[i].iov_len));
}

static void a_long_message_is_cut(void **state)
{
	struct log_where where = {.file = "f.c", .func = "f"};
	struct log_record record;
	struct log_fields fields;
	char text[2000], line[LOG_LINE_MAX];
	size_t len;

	(void) state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fill_record(&record, &where, "%s", text);
	len = log_record_line(&record, 1, line);
	assert_int_equal(len, strlen(line));
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_true(strlen(line) > 700);
	where.device = where.subtype = where.func = text;
	fill_record(&record, &where, "%s", text);
	len = log_record_line(&record, 1, line);
	assert_int_equal(len, strlen(line));
	assert_int_equal(line[strlen(line) - 1], '\n');
	log_record_fields(&record, &fields);
	assert_true(fields.cnt >= 4);
}

static void the_journal_is_known_by_its_stream(void **state)
{
	char value[64];
	struct stat st;

	(void) state;
	assert_int_equal(fstat(STDIN_FILENO, &st), 0);
	(void) snprintf(
		value, sizeof(value), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
	assert_true(log_stream_is(value, STDIN_FILENO));
	assert_false(log_stream_is(value, -1));
	(void) snprintf(
		value, sizeof(value), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino + 1);
	assert_false(log_stream_is(value, STDIN_FILENO));
	assert_false(log_stream_is(NULL, STDIN_FILENO));
	assert_false(log_stream_is("", STDIN_FILENO));
	assert_false(log_stream_is("1", STDIN_FILENO));
}

/* ------- levels ------- */

static void the_sentence_about_the_level_is_the_established_one(void **state)
{
	char *text;

	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	log_set_level(LOG_LEVEL_SCSI);
	log_set_level(LOG_LEVEL_SCSI);
	log_set_level(TCMU_LOG_CRIT);
	text = fixture_log_end();
	assert_int_equal(fixture_count(text, ": log level now is DEBUG SCSI CMD\n"), 1);
	assert_int_equal(fixture_count(text, ": log level now is CRIT\n"), 1);
	free(text);
}

static void levels_have_the_established_names(void **state)
{
	static const char *const names[] = {"CRIT", "ERROR", "WARNING",
					    "INFO", "DEBUG", "DEBUG SCSI CMD"};

	(void) state;
	for (int i = 0; i <= LOG_LEVEL_MAX; i++)
		assert_string_equal(log_level_name(i), names[i]);
	assert_string_equal(log_level_name(-1), "CRIT");
	assert_string_equal(log_level_name(99), "DEBUG SCSI CMD");
}

static void messages_above_the_level_are_not_logged(void **state)
{
	char *text;

	(void) state;
	fixture_log_begin(TCMU_LOG_WARNING);
	log_crit("one");
	log_error("two");
	log_warning("three");
	log_info("four");
	log_dev_debug("user_0/x", "five");
	text = fixture_log_end();
	assert_true(line_matches(
		text, "\\[CRIT\\] messages_above_the_level_are_not_logged:[0-9]+: one$"));
	assert_true(line_matches(text, "\\[ERROR\\] .*: two$"));
	assert_true(line_matches(text, "\\[WARNING\\] .*: three$"));
	assert_null(strstr(text, "four"));
	assert_null(strstr(text, "five"));
	free(text);
}

/* ------- the file ------- */

static void log_reopen_follows_a_rotated_file(void **state)
{
	char *before, *after;

	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	log_info("before");
	assert_true(log_flush(5000));
	assert_int_equal(rename(fixture_path("log/tcmu-runner.log"), fixture_path("log/old")), 0);
	log_info("between");
	assert_true(log_flush(5000));
	log_reopen();
	log_info("after");
	after = fixture_log_end();
	before = fixture_read(fixture_path("log/old"));
	assert_non_null(strstr(before, ": before\n"));
	assert_non_null(strstr(before, ": between\n"));
	assert_null(strstr(before, ": after\n"));
	assert_non_null(strstr(after, ": after\n"));
	assert_int_equal(fixture_count(after, "\n"), 1);
	free(before);
	free(after);
}

static void the_directory_can_change(void **state)
{
	char *text;

	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	log_set_dir(fixture_path("deep/er"));
	log_info("there");
	assert_true(log_flush(5000));
	text = fixture_read(fixture_path("deep/er/tcmu-runner.log"));
	assert_non_null(strstr(text, ": there\n"));
	free(text);
	text = fixture_log_end();
	assert_null(strstr(text, "there"));
	free(text);
}

/* Runs body with stderr in a file, and returns the content of the file. */
static char *stderr_of(void (*body)(void))
{
	int saved = dup(STDERR_FILENO);
	int fd = open(fixture_path("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(saved >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	body();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void) close(saved);
	(void) close(fd);
	return fixture_read(fixture_path("stderr"));
}

static void log_without_directory(void)
{
	log_info("early");
	assert_int_equal(log_start(), 0);
	log_info("started");
	log_stop();
	log_info("late");
}

static void without_a_directory_the_log_goes_to_stderr(void **state)
{
	char *text = stderr_of(log_without_directory);

	(void) state;
	assert_true(line_matches(
		text, " [0-9]+:test-base-log \\[INFO\\] log_without_directory:[0-9]+: early$"));
	assert_non_null(strstr(text, ": started\n"));
	assert_non_null(strstr(text, ": late\n"));
	free(text);
}

static void log_into_a_file_that_is_a_directory(void)
{
	assert_int_equal(log_start(), 0);
	log_set_dir(fixture_path("bad"));
	log_info("still here");
	assert_true(log_flush(5000));
	assert_int_equal(rmdir(fixture_path("bad/tcmu-runner.log")), 0);
	log_reopen();
	log_info("now there");
	log_stop();
}

static void a_file_that_cannot_be_opened_loses_no_message(void **state)
{
	char *text, *file;

	(void) state;
	assert_int_equal(mkdir(fixture_path("bad"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("bad/tcmu-runner.log"), 0700), 0);
	text = stderr_of(log_into_a_file_that_is_a_directory);
	file = fixture_read(fixture_path("bad/tcmu-runner.log"));
	assert_true(line_matches(
		text, "\\[ERROR\\] .*bad/tcmu-runner.log cannot be opened: Is a directory$"));
	assert_non_null(strstr(text, ": still here\n"));
	assert_null(strstr(text, "now there"));
	assert_non_null(strstr(file, ": now there\n"));
	free(text);
	free(file);
}

/* Whatever stands in the place of the file, at the first opening and at a later one. */
static void log_into_what_is_no_file(void)
{
	static const char *const names[] = {"link", "broken", "pipe", "read", "socket", "null"};
	char name[64];

	assert_int_equal(log_start(), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void) snprintf(name, sizeof(name), "at/%s", names[i]);
		log_set_dir(fixture_path(name));
		log_info("to %s", names[i]);
		assert_true(log_flush(5000));
	}
	log_set_dir(fixture_path("good"));
	log_info("to the file");
	assert_true(log_flush(5000));
	assert_int_equal(unlink(fixture_path("good/tcmu-runner.log")), 0);
	assert_int_equal(symlink(fixture_path("victim"), fixture_path("good/tcmu-runner.log")), 0);
	log_reopen();
	log_info("to no file");
	log_stop();
}

static void only_a_regular_file_gets_the_log(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int reader, sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *text, *victim;

	(void) state;
	fixture_write("victim", "untouched");
	assert_int_equal(mkdir(fixture_path("at"), 0700), 0);
	for (const char *const *name =
		     (const char *const[]){
			     "link", "broken", "pipe", "read", "socket", "null", NULL};
	     *name; name++) {
		char path[64];

		(void) snprintf(path, sizeof(path), "at/%s", *name);
		assert_int_equal(mkdir(fixture_path(path), 0700), 0);
	}
	assert_int_equal(
		symlink(fixture_path("victim"), fixture_path("at/link/tcmu-runner.log")), 0);
	assert_int_equal(
		symlink(fixture_path("new"), fixture_path("at/broken/tcmu-runner.log")), 0);
	assert_int_equal(mkfifo(fixture_path("at/pipe/tcmu-runner.log"), 0600), 0);
	assert_int_equal(mkfifo(fixture_path("at/read/tcmu-runner.log"), 0600), 0);
	reader = open(fixture_path("at/read/tcmu-runner.log"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0 && sock >= 0);
	(void) snprintf(
		address.sun_path, sizeof(address.sun_path), "%s",
		fixture_path("at/socket/tcmu-runner.log"));
	assert_int_equal(bind(sock, (const struct sockaddr *) &address, sizeof(address)), 0);
	assert_int_equal(symlink("/dev/null", fixture_path("at/null/tcmu-runner.log")), 0);

	text = stderr_of(log_into_what_is_no_file);
	assert_int_equal(fixture_count(text, "cannot be opened: it is a symbolic link"), 4);
	assert_int_equal(fixture_count(text, "cannot be opened: it is not a regular file"), 3);
	assert_int_equal(fixture_count(text, ": to "), 7);
	assert_null(strstr(text, ": to the file\n"));
	victim = fixture_read(fixture_path("victim"));
	assert_string_equal(victim, "untouched");
	assert_null(fixture_read(fixture_path("new")));
	free(victim);
	free(text);
	(void) close(reader);
	(void) close(sock);
}

static void log_without_descriptors(void)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(log_start(), 0);
	log_set_dir(fixture_path("log"));
	log_info("before");
	assert_true(log_flush(5000));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	log_reopen();
	log_info("after");
	assert_true(log_flush(5000));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	log_stop();
}

static void out_of_descriptors_the_open_file_stays(void **state)
{
	char *text, *file;

	(void) state;
	text = stderr_of(log_without_descriptors);
	file = fixture_read(fixture_path("log/tcmu-runner.log"));
	assert_true(
		line_matches(file, "log/tcmu-runner.log cannot be opened: Too many open files$"));
	assert_non_null(strstr(file, ": after\n"));
	free(text);
	free(file);
}

static void log_into_a_default_directory(void)
{
	assert_int_equal(log_start(), 0);
	log_set_default_dir(fixture_path("log"));
	log_info("to both");
	assert_true(log_flush(5000));
	log_set_dir(fixture_path("log"));
	log_info("to the file");
	assert_true(log_flush(5000));
	log_set_default_dir("");
	log_info("to stderr");
	log_stop();
}

static void with_the_default_directory_stderr_keeps_the_log(void **state)
{
	char *text = stderr_of(log_into_a_default_directory);
	char *file = fixture_read(fixture_path("log/tcmu-runner.log"));

	(void) state;
	assert_int_equal(fixture_count(text, ": to both\n"), 1);
	assert_int_equal(fixture_count(file, ": to both\n"), 1);
	assert_null(strstr(text, "to the file"));
	assert_int_equal(fixture_count(file, ": to the file\n"), 1);
	assert_int_equal(fixture_count(text, ": to stderr\n"), 1);
	assert_null(strstr(file, "to stderr"));
	free(text);
	free(file);
}

static void log_into_a_default_file_that_is_a_directory(void)
{
	assert_int_equal(log_start(), 0);
	log_set_default_dir(fixture_path("bad"));
	log_info("still here");
	log_stop();
}

static void a_default_file_that_cannot_be_opened_is_a_warning(void **state)
{
	char *text;

	(void) state;
	assert_int_equal(mkdir(fixture_path("bad"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("bad/tcmu-runner.log"), 0700), 0);
	text = stderr_of(log_into_a_default_file_that_is_a_directory);
	assert_true(line_matches(
		text, "\\[WARNING\\] .*bad/tcmu-runner.log cannot be opened: Is a directory$"));
	assert_int_equal(fixture_count(text, ": still here\n"), 1);
	free(text);
}

static void auto_means_a_file_where_stderr_has_no_reader(void **state)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	char stream[64];
	struct stat st;

	(void) state;
	assert_true(terminal >= 0 && nowhere >= 0);
	assert_string_equal(log_auto_dir(NULL, terminal), "");
	assert_string_equal(log_auto_dir(NULL, nowhere), LOG_DIR_DEFAULT);
	assert_int_equal(fstat(nowhere, &st), 0);
	(void) snprintf(
		stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
	assert_string_equal(log_auto_dir(stream, nowhere), "");
	(void) close(terminal);
	(void) close(nowhere);
}

static void log_critically(void)
{
	fixture_log_begin(TCMU_LOG_INFO);
	log_crit("the end");
	log_error("not quite");
	log_stop();
}

static void critical_messages_go_to_stderr_as_well(void **state)
{
	char *text = stderr_of(log_critically);

	(void) state;
	assert_non_null(strstr(text, ": the end\n"));
	assert_null(strstr(text, "not quite"));
	free(text);
}

/* ------- threads ------- */

static void *emit_many(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < PER_THREAD; i++) {
		log_dev_info(name, "%d of them", i);
		if (i % 16 == 0)
			(void) log_flush(5000);
	}
	return NULL;
}

static void lines_of_many_threads_stay_whole_and_in_order(void **state)
{
	char names[THREADS][16], pattern[256], *text;
	pthread_t threads[THREADS];
	const char *at;

	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	for (int t = 0; t < THREADS; t++) {
		(void) snprintf(names[t], sizeof(names[t]), "user_%d/d", t);
		assert_int_equal(pthread_create(&threads[t], NULL, emit_many, names[t]), 0);
	}
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_join(threads[t], NULL), 0);
	text = fixture_log_end();
	for (int t = 0; t < THREADS; t++) {
		at = text;
		for (int i = 0; i < PER_THREAD; i++) {
			(void) snprintf(pattern, sizeof(pattern), " %s: %d of them\n", names[t], i);
			at = strstr(at, pattern);
			assert_non_null(at);
		}
	}
	free(text);
}

static int fifo;

static char drained[1 << 20];
static size_t drained_size;

/* Appends the bytes that the pipe holds. */
static void drain_pipe(void)
{
	ssize_t n = read(fifo, drained + drained_size, sizeof(drained) - 1 - drained_size);

	assert_true(n > 0);
	drained_size += (size_t) n;
	drained[drained_size] = '\0';
}

/* The sum of all "N messages were lost here". */
static unsigned lost_in(const char *text)
{
	static const char words[] = " messages were lost here";
	unsigned sum = 0;

	while ((text = strstr(text, words))) {
		const char *number = text;

		while (number[-1] != ' ')
			number--;
		sum += (unsigned) strtoul(number, NULL, 10);
		text += strlen(words);
	}
	return sum;
}

static void a_stuck_disk_delays_no_thread_and_losses_are_counted(void **state)
{
	const unsigned sent = 4 * QUEUE_SIZE;
	int ends[2], saved = dup(STDERR_FILENO);
	char filler[512];
	unsigned seen, lost;

	(void) state;
	memset(filler, '.', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	/* A pipe that is not read stands for a stuck disk. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fifo = ends[0];
	assert_int_equal(fcntl(fifo, F_SETPIPE_SZ, 4096), 4096);
	assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	(void) close(ends[1]);
	assert_int_equal(log_start(), 0);
	for (unsigned i = 0; i < sent; i++)
		log_info("filler %s", filler);
	assert_false(log_flush(20));
	do {
		drain_pipe();
		seen = fixture_count(drained, "filler");
		lost = lost_in(drained);
	} while (seen + lost < sent);
	assert_int_equal(seen + lost, sent);
	assert_int_equal(log_messages_lost(), lost);
	assert_in_range(seen, QUEUE_SIZE - 1, 2 * QUEUE_SIZE);
	log_info("goes on");
	while (!strstr(drained, "goes on"))
		drain_pipe();
	assert_true(log_flush(5000));
	log_stop();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void) close(saved);
	(void) close(fifo);
}

/* ------- repetition ------- */

static void repeated_messages_are_held_back_and_counted(void **state)
{
	struct log_limit limit = LOG_LIMIT(2, 10);
	const uint64_t start = 123456789, second = 1000000;
	unsigned more;

	(void) state;
	assert_true(log_limit_pass_at(&limit, start, &more));
	assert_int_equal(more, 0);
	assert_true(log_limit_pass_at(&limit, start + second, &more));
	for (int i = 0; i < 5; i++)
		assert_false(log_limit_pass_at(&limit, start + 2 * second, &more));
	assert_false(log_limit_pass_at(&limit, start + 10 * second - 1, &more));
	assert_true(log_limit_pass_at(&limit, start + 10 * second, &more));
	assert_int_equal(more, 6);
	assert_true(log_limit_pass_at(&limit, start + 10 * second, &more));
	assert_int_equal(more, 0);
	assert_false(log_limit_pass_at(&limit, start + 10 * second, &more));
}

static void the_limit_runs_by_the_clock(void **state)
{
	struct log_limit limit = LOG_LIMIT(1, 3600);
	unsigned more;

	(void) state;
	assert_true(log_limit_pass(&limit, &more));
	assert_false(log_limit_pass(&limit, &more));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_the_established_form),
		cmocka_unit_test(every_line_matches_the_expression_of_other_tools),
		cmocka_unit_test(the_journal_gets_fields),
		cmocka_unit_test(levels_become_priorities),
		cmocka_unit_test(text_from_outside_cannot_forge_a_line_or_a_field),
		cmocka_unit_test(a_long_message_is_cut),
		cmocka_unit_test(the_journal_is_known_by_its_stream),
		cmocka_unit_test_teardown(
			the_sentence_about_the_level_is_the_established_one, teardown),
		cmocka_unit_test(levels_have_the_established_names),
		cmocka_unit_test_teardown(messages_above_the_level_are_not_logged, teardown),
		cmocka_unit_test_teardown(log_reopen_follows_a_rotated_file, teardown),
		cmocka_unit_test_teardown(the_directory_can_change, teardown),
		cmocka_unit_test_teardown(out_of_descriptors_the_open_file_stays, teardown),
		cmocka_unit_test_teardown(without_a_directory_the_log_goes_to_stderr, teardown),
		cmocka_unit_test_teardown(a_file_that_cannot_be_opened_loses_no_message, teardown),
		cmocka_unit_test_teardown(only_a_regular_file_gets_the_log, teardown),
		cmocka_unit_test_teardown(
			with_the_default_directory_stderr_keeps_the_log, teardown),
		cmocka_unit_test_teardown(
			a_default_file_that_cannot_be_opened_is_a_warning, teardown),
		cmocka_unit_test(auto_means_a_file_where_stderr_has_no_reader),
		cmocka_unit_test_teardown(critical_messages_go_to_stderr_as_well, teardown),
		cmocka_unit_test_teardown(lines_of_many_threads_stay_whole_and_in_order, teardown),
		cmocka_unit_test_teardown(
			a_stuck_disk_delays_no_thread_and_losses_are_counted, teardown),
		cmocka_unit_test(repeated_messages_are_held_back_and_counted),
		cmocka_unit_test(the_limit_runs_by_the_clock),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
