/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of messages and the thread that writes them.
 *
 * An emitting thread takes the lock, fills the next free record, and wakes the writer. The writer
 * takes one record out under the lock and writes it without: only the writer waits for a full or
 * frozen disk, the journal or a terminal. It also opens the file, for the same reason.
 *
 * Any thread uses struct shared, under its lock; struct sink is the writer's own.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/clock.h"
#include "base/scarce.h"
#include "base/thread.h"

#define QUEUE_SIZE      256
#define STOP_TIMEOUT_MS 1000
#define FILE_NAME       "tcmu-runner.log"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted;  /* there is work for the writer */
	pthread_cond_t written; /* waits use CLOCK_MONOTONIC */
	bool initialised;
	bool running;
	bool stopping;
	bool busy; /* the writer works without the lock */
	pthread_t writer;
	uint64_t emitted; /* counts of messages: queued, taken by the writer, written */
	uint64_t taken;
	uint64_t done;
	bool sink_changed; /* the writer must open the file in dir */
	char dir[PATH_MAX];
	bool also_stderr; /* the operator has not chosen the directory */
	struct log_record queue[QUEUE_SIZE];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_int current_level = TCMU_LOG_INFO;
static atomic_bool scsi; /* the level is LOG_LEVEL_SCSI */

/* The destination. */
static struct sink {
	bool journal;
	int file; /* -1: none */
	bool also_stderr;
	char path[PATH_MAX + sizeof(FILE_NAME) + 1];
} sink = {.file = -1};

/* ------- writing ------- */

static bool write_line(int fd, const struct log_record *record)
{
	char line[LOG_LINE_MAX];
	size_t len = log_record_line(record, getpid(), line);

	assert(len > 0 && len <= LOG_LINE_MAX);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, line + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t) n;
	}
	return true;
}

static void write_record(const struct sink *to, const struct log_record *record)
{
	struct log_fields fields;
	bool written = false;

	assert(!record->lost);
	if (to->file >= 0)
		written = write_line(to->file, record);
	if (to->journal) {
		log_record_fields(record, &fields);
		written |= sd_journal_sendv(fields.iov, fields.cnt) >= 0;
	}
	/* A critical message is why the daemon ends: its parent process must see it. */
	if (!written || to->also_stderr || (record->level == TCMU_LOG_CRIT && !to->journal))
		(void) write_line(STDERR_FILENO, record);
}

static void fill_now(
	struct log_record *record, const struct log_where *where, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

static void fill_now(
	struct log_record *record, const struct log_where *where, const char *fmt, va_list args)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_REALTIME, &now);
	log_record_fill(record, &now, where, fmt, args);
	(void) prctl(PR_GET_NAME, record->thread);
}

/* Writes a message of the writer's own. */
static void write_own(int level, const char *func, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void write_own(int level, const char *func, const char *fmt, ...)
{
	struct log_where where = {.level = level, .line = __LINE__, .file = __FILE__, .func = func};
	struct log_record record;
	va_list args;

	va_start(args, fmt);
	fill_now(&record, &where, fmt, args);
	va_end(args);
	write_record(&sink, &record);
}

static void make_directories(const char *dir)
{
	char path[PATH_MAX];

	(void) snprintf(path, sizeof(path), "%s", dir);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void) mkdir(path, 0755);
		*slash = '/';
	}
	(void) mkdir(path, 0755);
}

/* A regular file, or -errno: where other users may write to the directory, they decide what the
 * name stands for. -ELOOP: a symbolic link, which could lead to any file of root's. -EINVAL: a
 * pipe, a device or the like, which could block the writer for ever; its open() must not block
 * either. */
static int open_regular(const char *path)
{
	int fd = open(
		path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK,
		0640);
	struct stat st;
	int r = 0;

	/* A pipe without a reader. */
	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	if (r < 0)
		(void) close(fd);
	return r < 0 ? r : fd;
}

static void open_file(const char *dir)
{
	int fd = -1, r = 0;

	assert(sink.file >= -1);
	if (*dir) {
		make_directories(dir);
		(void) snprintf(sink.path, sizeof(sink.path), "%s/%s", dir, FILE_NAME);
		r = open_regular(sink.path);
		fd = r < 0 ? -1 : r;
	}
	/* While stderr has the log as well, its readers need not know of the file. */
	if (fd >= 0 && sink.file < 0 && !sink.also_stderr)
		write_own(TCMU_LOG_INFO, __func__, "the log is written to %s", sink.path);
	/* Without descriptors, the file that is open is better than none, even if it was renamed.
	 */
	if (sink.file >= 0 && !scarce_error(r)) {
		(void) close(sink.file);
		sink.file = -1;
	}
	if (sink.file < 0)
		sink.file = fd;
	if (r < 0)
		write_own(
			sink.also_stderr ? TCMU_LOG_WARNING : TCMU_LOG_ERROR, __func__,
			"the log file %s cannot be opened: %s", sink.path,
			r == -ELOOP            ? "it is a symbolic link; set log_dir instead"
				: r == -EINVAL ? "it is not a regular file"
					       : strerror(-r));
}

/* ------- the writer's thread ------- */

struct log_work {
	bool has_record;
	bool has_dir;
	bool also_stderr;
	struct log_record record;
	char dir[PATH_MAX];
};

/* Waits for work. False: the thread must end. */
static bool writer_wait(struct log_work *work)
{
	pthread_mutex_lock(&shared.lock);
	assert(shared.taken <= shared.emitted);
	assert(shared.emitted - shared.taken <= QUEUE_SIZE);
	shared.done = shared.taken;
	shared.busy = false;
	pthread_cond_broadcast(&shared.written);
	while (shared.taken == shared.emitted && !shared.sink_changed && !shared.stopping)
		pthread_cond_wait(&shared.wanted, &shared.lock);
	work->has_dir = shared.sink_changed;
	work->has_record = shared.taken < shared.emitted;
	if (work->has_dir)
		memcpy(work->dir, shared.dir, sizeof(work->dir));
	work->also_stderr = shared.also_stderr;
	if (work->has_record)
		work->record = shared.queue[shared.taken++ % QUEUE_SIZE];
	shared.sink_changed = false;
	shared.busy = work->has_dir || work->has_record;
	pthread_mutex_unlock(&shared.lock);
	return work->has_dir || work->has_record;
}

static void *writer_main(void *arg)
{
	static struct log_work work;

	(void) arg;
	thread_set_name("tcmud-log");
	while (writer_wait(&work)) {
		if (work.has_dir) {
			sink.also_stderr = work.also_stderr;
			open_file(work.dir);
		}
		if (work.has_record && work.record.lost)
			write_own(
				TCMU_LOG_WARNING, __func__,
				"%u messages were lost here: the log was written too slowly",
				work.record.lost);
		else if (work.has_record)
			write_record(&sink, &work.record);
	}
	if (sink.file >= 0)
		(void) close(sink.file);
	sink.file = -1;
	sink.also_stderr = false;
	return NULL;
}

/* Under the lock. */
static void initialise_locks(void)
{
	pthread_condattr_t attr;

	if (shared.initialised)
		return;
	shared.initialised = true;
	(void) pthread_condattr_init(&attr);
	(void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&shared.wanted, NULL);
	(void) pthread_cond_init(&shared.written, &attr);
	(void) pthread_condattr_destroy(&attr);
	sink.journal = log_stream_is(getenv("JOURNAL_STREAM"), STDERR_FILENO);
}

int log_start(void)
{
	int r = 0;

	pthread_mutex_lock(&shared.lock);
	initialise_locks();
	if (!shared.running) {
		/* Memory is used from the start, not message by message. */
		memset(shared.queue, 0, sizeof(shared.queue));
		assert(shared.taken <= shared.emitted);
		shared.stopping = false;
		shared.taken = shared.done = shared.emitted;
		r = thread_start(&shared.writer, writer_main, NULL);
		shared.running = r >= 0;
	}
	pthread_mutex_unlock(&shared.lock);
	return r;
}

static struct timespec deadline_after(unsigned milliseconds)
{
	uint64_t ns = clock_now_ns() + milliseconds * CLOCK_NS_PER_MS;

	return (struct timespec){
		.tv_sec = (time_t) (ns / CLOCK_NS_PER_SEC),
		.tv_nsec = (long) (ns % CLOCK_NS_PER_SEC),
	};
}

/* Under the lock. */
static bool wait_written(unsigned milliseconds)
{
	struct timespec deadline = deadline_after(milliseconds);
	uint64_t goal = shared.emitted;
	int r = 0;

	assert(shared.initialised && shared.done <= goal);
	while (shared.running && r != ETIMEDOUT &&
	       (shared.done < goal || shared.sink_changed || (shared.busy && shared.taken == goal)))
		r = pthread_cond_timedwait(&shared.written, &shared.lock, &deadline);
	return shared.done >= goal;
}

bool log_flush(unsigned milliseconds)
{
	bool r;

	pthread_mutex_lock(&shared.lock);
	r = wait_written(milliseconds);
	pthread_mutex_unlock(&shared.lock);
	return r;
}

void log_stop(void)
{
	bool stuck;

	pthread_mutex_lock(&shared.lock);
	if (!shared.running) {
		pthread_mutex_unlock(&shared.lock);
		return;
	}
	shared.stopping = true;
	pthread_cond_signal(&shared.wanted);
	stuck = !wait_written(STOP_TIMEOUT_MS);
	shared.running = false;
	shared.dir[0] = '\0';
	shared.also_stderr = false;
	pthread_mutex_unlock(&shared.lock);
	if (stuck)
		(void) pthread_detach(shared.writer);
	else
		(void) pthread_join(shared.writer, NULL);
}

/* ------- emitting ------- */

static void queue_append(const struct log_where *where, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Under the lock. The last slot of the queue counts the messages that found no room. */
static void queue_append(const struct log_where *where, const char *fmt, va_list args)
{
	struct log_record *newest = &shared.queue[(shared.emitted + QUEUE_SIZE - 1) % QUEUE_SIZE];
	struct log_record *next = &shared.queue[shared.emitted % QUEUE_SIZE];

	assert(shared.running);
	assert(shared.done <= shared.taken && shared.taken <= shared.emitted);
	if (shared.emitted - shared.taken < QUEUE_SIZE - 1) {
		fill_now(next, where, fmt, args);
		shared.emitted++;
	} else if (newest->lost) {
		newest->lost++;
	} else {
		assert(shared.emitted - shared.taken < QUEUE_SIZE);
		next->lost = 1;
		shared.emitted++;
	}
	pthread_cond_signal(&shared.wanted);
}

void log_emit(const struct log_where *where, const char *fmt, ...)
{
	struct log_record record;
	va_list args;
	bool queued;

	va_start(args, fmt);
	pthread_mutex_lock(&shared.lock);
	initialise_locks();
	queued = shared.running;
	if (queued)
		queue_append(where, fmt, args);
	else
		fill_now(&record, where, fmt, args);
	pthread_mutex_unlock(&shared.lock);
	va_end(args);
	if (!queued)
		write_record(&(struct sink){.journal = sink.journal, .file = -1}, &record);
}

bool log_enabled(int level)
{
	return level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level(void)
{
	return atomic_load_explicit(&current_level, memory_order_relaxed);
}

const atomic_bool *log_scsi(void)
{
	return &scsi;
}

void log_set_level(int level)
{
	const struct log_where here = {
		.level = TCMU_LOG_INFO, .line = __LINE__, .file = __FILE__, .func = __func__};

	level = level < 0 ? 0 : level > LOG_LEVEL_MAX ? LOG_LEVEL_MAX : level;
	atomic_store_explicit(&scsi, level >= LOG_LEVEL_SCSI, memory_order_relaxed);
	if (atomic_exchange_explicit(&current_level, level, memory_order_relaxed) != level)
		log_emit(&here, "log level now is %s", log_level_name(level));
}

static void set_dir(const char *dir, bool also_stderr)
{
	if (!dir)
		dir = "";
	assert(strlen(dir) < sizeof(shared.dir));
	also_stderr = also_stderr && *dir;
	pthread_mutex_lock(&shared.lock);
	if (shared.running && (strcmp(dir, shared.dir) != 0 || also_stderr != shared.also_stderr)) {
		(void) snprintf(shared.dir, sizeof(shared.dir), "%s", dir);
		shared.also_stderr = also_stderr;
		shared.sink_changed = true;
		pthread_cond_signal(&shared.wanted);
	}
	pthread_mutex_unlock(&shared.lock);
}

void log_set_dir(const char *dir)
{
	set_dir(dir, false);
}

void log_set_default_dir(const char *dir)
{
	set_dir(dir, true);
}

const char *log_auto_dir(const char *journal_stream, int fd)
{
	return log_stream_is(journal_stream, fd) || isatty(fd) ? "" : LOG_DIR_DEFAULT;
}

void log_reopen(void)
{
	pthread_mutex_lock(&shared.lock);
	if (shared.running && shared.dir[0]) {
		shared.sink_changed = true;
		pthread_cond_signal(&shared.wanted);
	}
	pthread_mutex_unlock(&shared.lock);
}

/* ------- messages that repeat ------- */

bool log_limit_pass_at(struct log_limit *limit, uint64_t now, unsigned *more)
{
	bool pass;

	assert(limit->burst > 0 && limit->seconds > 0);
	pthread_mutex_lock(&limit->lock);
	if (limit->window == 0 ||
	    clock_since(now, limit->window) >=
		    limit->seconds * (CLOCK_NS_PER_SEC / CLOCK_NS_PER_US)) {
		limit->window = now;
		limit->passed = 0;
	}
	assert(limit->passed <= limit->burst);
	pass = limit->passed < limit->burst;
	*more = limit->held;
	if (pass) {
		limit->passed++;
		limit->held = 0;
	} else {
		limit->held++;
	}
	pthread_mutex_unlock(&limit->lock);
	return pass;
}

bool log_limit_pass(struct log_limit *limit, unsigned *more)
{
	return log_limit_pass_at(limit, clock_now_us(), more);
}
