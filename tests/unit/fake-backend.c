/* SPDX-License-Identifier: Apache-2.0 */
/* See fake-backend.h. */
#include "fake-backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX  8
#define HELD_MAX    1024
#define WAIT_MAX_S  10
#define BLOCK_BYTES 512

struct fault {
	enum tcmu_io_op op;
	unsigned skip;
	unsigned count;
	int error;
	uint64_t result;
};

/* In io->priv. */
struct request {
	struct tcmu_aio aio;
	int error;
	bool go;
	bool cancelled;
};

struct backend {
	struct backend_options options;
	struct tcmu_handler handler;
	int fd;
	uint8_t *store;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t hold;
	struct tcmu_io *held[HELD_MAX]; /* oldest first */
	unsigned held_cnt;
	struct fault faults[FAULTS_MAX];
	unsigned times;
	bool block;
	unsigned blocked;
	unsigned at_once;
	unsigned most_at_once;
	unsigned cancels;
	int last_error;
	unsigned record_cnt;
	struct backend_record records[BACKEND_LOG_MAX];

	/* the thread that completes later */
	pthread_t thread;
	bool thread_runs;
	bool ending;
	unsigned later_us;
	unsigned seed;
	struct tcmu_io *late[HELD_MAX];
	unsigned late_cnt;
};

static struct request *request_of(struct tcmu_io *io)
{
	return io->priv;
}

static struct timespec deadline(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += WAIT_MAX_S;
	return at;
}

/* ------- execution ------- */

static int move(struct backend *backend, struct tcmu_io *io, bool write)
{
	uint64_t at = io->offset;

	if (backend->options.syscalls) {
		ssize_t n = write ? pwritev(backend->fd, io->iov, (int) io->iov_cnt, (off_t) at)
				  : preadv(backend->fd, io->iov, (int) io->iov_cnt, (off_t) at);

		return n < 0 ? -errno : (uint64_t) n == io->length ? 0 : -EIO;
	}
	for (unsigned i = 0; i < io->iov_cnt; at += io->iov[i].iov_len, i++) {
		if (write)
			memcpy(backend->store + at, io->iov[i].iov_base, io->iov[i].iov_len);
		else
			memcpy(io->iov[i].iov_base, backend->store + at, io->iov[i].iov_len);
	}
	return 0;
}

static int compare_and_write(struct backend *backend, struct tcmu_io *io)
{
	uint8_t *both = calloc(2, io->length);
	uint64_t filled = 0;
	int r = 0;

	if (!both)
		return -ENOMEM;
	for (unsigned i = 0; i < io->iov_cnt; filled += io->iov[i].iov_len, i++)
		memcpy(both + filled, io->iov[i].iov_base, io->iov[i].iov_len);
	for (uint64_t i = 0; i < io->length && r == 0; i++) {
		if (both[i] == backend->store[io->offset + i])
			continue;
		io->result = i;
		r = -EILSEQ;
	}
	if (r == 0)
		memcpy(backend->store + io->offset, both + io->length, io->length);
	free(both);
	return r;
}

/* Blocks of zeros count as not allocated. */
static int map(struct backend *backend, struct tcmu_io *io)
{
	static const uint8_t zeros[BLOCK_BYTES];
	uint64_t length = 0, most = io->length;
	bool first = memcmp(backend->store + io->offset, zeros, BLOCK_BYTES) != 0;

	if (backend->options.map_max && most > backend->options.map_max)
		most = backend->options.map_max;
	while (length < most &&
	       (memcmp(backend->store + io->offset + length, zeros, BLOCK_BYTES) != 0) == first)
		length += BLOCK_BYTES;
	io->result = length;
	io->result_flags = first ? TCMU_IO_MAPPED : 0;
	return 0;
}

static int execute(struct backend *backend, struct tcmu_io *io)
{
	switch (io->op) {
	case TCMU_IO_READ:
		return move(backend, io, false);
	case TCMU_IO_WRITE:
		return move(backend, io, true);
	case TCMU_IO_FLUSH:
		return 0;
	case TCMU_IO_UNMAP:
	case TCMU_IO_WRITE_ZEROES:
		memset(backend->store + io->offset, 0, io->length);
		return 0;
	case TCMU_IO_COMPARE_AND_WRITE:
		return compare_and_write(backend, io);
	case TCMU_IO_MAP:
		return map(backend, io);
	case TCMU_IO_WRITE_SAME:
		for (uint64_t at = 0; at < io->length; at += BLOCK_BYTES)
			memcpy(backend->store + io->offset + at, io->iov[0].iov_base, BLOCK_BYTES);
		return 0;
	}
	return -EOPNOTSUPP;
}

static void finish(struct backend *backend, struct tcmu_io *io, int error)
{
	unsigned times;

	pthread_mutex_lock(&backend->lock);
	backend->at_once--;
	times = backend->times;
	if (error)
		backend->last_error = error;
	pthread_mutex_unlock(&backend->lock);
	for (unsigned i = 0; i < times; i++)
		tcmu_io_complete(io, error);
}

static void aio_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	bool moves = aio->op == TCMU_AIO_READV || aio->op == TCMU_AIO_WRITEV;

	(void) aio;
	finish((struct backend *) io->dev, io,
	       res < 0                                         ? (int) res
		       : moves && (uint64_t) res != io->length ? -EIO
							       : 0);
}

static bool start_aio(struct backend *backend, struct tcmu_io *io)
{
	struct request *request = request_of(io);

	if (!backend->options.aio ||
	    (io->op != TCMU_IO_READ && io->op != TCMU_IO_WRITE && io->op != TCMU_IO_FLUSH))
		return false;
	request->aio = (struct tcmu_aio){
		.op = io->op == TCMU_IO_READ      ? TCMU_AIO_READV
			: io->op == TCMU_IO_WRITE ? TCMU_AIO_WRITEV
						  : TCMU_AIO_FDATASYNC,
		.fd = io->op == TCMU_IO_READ && backend->options.aio_read_fd
			? backend->options.aio_read_fd
			: backend->fd,
		.flags = io->op == TCMU_IO_READ && backend->options.aio_cached ? TCMU_AIO_CACHED
									       : 0,
		.iov = io->iov,
		.iov_cnt = io->iov_cnt,
		.offset = io->offset,
		.length = io->length,
		.done = aio_done,
	};
	tcmu_io_aio(io, &request->aio);
	return true;
}

static void run(struct backend *backend, struct tcmu_io *io)
{
	struct request *request = request_of(io);
	int error = request->cancelled ? -ECANCELED : request->error;

	if (!error && start_aio(backend, io))
		return;
	finish(backend, io, error ? error : execute(backend, io));
}

/* ------- submit ------- */

/* Under the lock. */
static int take_fault(struct backend *backend, struct tcmu_io *io)
{
	for (unsigned i = 0; i < FAULTS_MAX; i++) {
		struct fault *fault = &backend->faults[i];

		if (!fault->count || fault->op != io->op)
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			continue;
		}
		fault->count--;
		if (fault->result != UINT64_MAX)
			io->result = fault->result;
		return fault->error;
	}
	return 0;
}

/* Under the lock. */
static void record(struct backend *backend, const struct tcmu_io *io)
{
	struct backend_record *entry = &backend->records[backend->record_cnt % BACKEND_LOG_MAX];

	*entry = (struct backend_record){
		.op = io->op,
		.flags = io->flags,
		.offset = io->offset,
		.length = io->length,
		.iov_cnt = io->iov_cnt,
	};
	for (unsigned i = 0; i < io->iov_cnt; i++)
		entry->iov_length += io->iov[i].iov_len;
	backend->record_cnt++;
	if (++backend->at_once > backend->most_at_once)
		backend->most_at_once = backend->at_once;
}

/* Under the lock: the thread waits here until its request may go on. */
static void wait_for_release(struct backend *backend, struct request *request)
{
	while (!request->go)
		pthread_cond_wait(&backend->changed, &backend->lock);
}

static void submit(void *opaque, struct tcmu_io *io)
{
	struct backend *backend = opaque;
	struct request *request = request_of(io);
	bool async = backend->options.threading == TCMU_HANDLER_ASYNC;
	bool runs = true;

	pthread_mutex_lock(&backend->lock);
	record(backend, io);
	*request = (struct request){.error = take_fault(backend, io)};
	backend->blocked++;
	pthread_cond_broadcast(&backend->changed);
	while (backend->block)
		pthread_cond_wait(&backend->changed, &backend->lock);
	backend->blocked--;
	if (backend->hold & TCMU_IO_CAP(io->op)) {
		backend->held[backend->held_cnt++] = io;
		pthread_cond_broadcast(&backend->changed);
		if (async)
			runs = false;
		else
			wait_for_release(backend, request);
	} else if (backend->later_us && async) {
		backend->late[backend->late_cnt++] = io;
		pthread_cond_broadcast(&backend->changed);
		runs = false;
	}
	pthread_mutex_unlock(&backend->lock);
	if (runs)
		run(backend, io);
}

/* Takes a held request out of the list. Under the lock. */
static struct tcmu_io *unhold(struct backend *backend, unsigned i)
{
	struct tcmu_io *io = backend->held[i];

	memmove(&backend->held[i], &backend->held[i + 1],
		(backend->held_cnt - i - 1) * sizeof(backend->held[0]));
	backend->held_cnt--;
	return io;
}

static void cancel(void *opaque, struct tcmu_io *io)
{
	struct backend *backend = opaque;
	bool found = false;

	pthread_mutex_lock(&backend->lock);
	backend->cancels++;
	for (unsigned i = 0; i < backend->held_cnt && !found; i++) {
		if (!backend->options.can_cancel || backend->held[i] != io)
			continue;
		unhold(backend, i);
		request_of(io)->cancelled = true;
		request_of(io)->go = true;
		found = true;
	}
	pthread_cond_broadcast(&backend->changed);
	pthread_mutex_unlock(&backend->lock);
	if (found && backend->options.threading == TCMU_HANDLER_ASYNC)
		run(backend, io);
}

/* ------- the thread that completes later ------- */

static void *later_main(void *arg)
{
	struct backend *backend = arg;

	pthread_mutex_lock(&backend->lock);
	for (;;) {
		struct timespec pause = {0};
		struct tcmu_io *io;
		unsigned i;

		while (!backend->late_cnt && !backend->ending)
			pthread_cond_wait(&backend->changed, &backend->lock);
		if (!backend->late_cnt)
			break;
		i = (unsigned) rand_r(&backend->seed) % backend->late_cnt;
		io = backend->late[i];
		backend->late[i] = backend->late[--backend->late_cnt];
		if (backend->later_us > 1)
			pause.tv_nsec = rand_r(&backend->seed) % (backend->later_us * 1000L);
		pthread_mutex_unlock(&backend->lock);
		if (pause.tv_nsec)
			(void) nanosleep(&pause, NULL);
		run(backend, io);
		pthread_mutex_lock(&backend->lock);
	}
	pthread_mutex_unlock(&backend->lock);
	return NULL;
}

/* ------- the beginning and the end ------- */

static void make_handler(struct backend *backend)
{
	const struct backend_options *options = &backend->options;

	backend->handler = (struct tcmu_handler){
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_handler),
		.subtype = "fake",
		.threading = options->threading,
		.workers = options->workers,
		.flags = options->syscalls ? TCMU_HANDLER_SYSCALLS_ONLY : 0,
		.io_priv_size = sizeof(struct request),
		.submit = submit,
		.cancel = options->can_cancel ? cancel : NULL,
	};
}

struct backend *backend_new(const struct backend_options *options)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		abort();
	backend->options = *options;
	if (!backend->options.size)
		backend->options.size = 1024 * 1024;
	backend->times = 1;
	backend->seed = 1;
	pthread_mutex_init(&backend->lock, NULL);
	pthread_cond_init(&backend->changed, NULL);
	backend->fd = memfd_create("fake-store", MFD_CLOEXEC);
	if (backend->fd < 0 || ftruncate(backend->fd, (off_t) backend->options.size) < 0)
		abort();
	backend->store = mmap(
		NULL, backend->options.size, PROT_READ | PROT_WRITE, MAP_SHARED, backend->fd, 0);
	if (backend->store == MAP_FAILED)
		abort();
	make_handler(backend);
	return backend;
}

void backend_free(struct backend *backend)
{
	if (!backend)
		return;
	if (backend->thread_runs) {
		pthread_mutex_lock(&backend->lock);
		backend->ending = true;
		pthread_cond_broadcast(&backend->changed);
		pthread_mutex_unlock(&backend->lock);
		pthread_join(backend->thread, NULL);
	}
	munmap(backend->store, backend->options.size);
	close(backend->fd);
	pthread_cond_destroy(&backend->changed);
	pthread_mutex_destroy(&backend->lock);
	free(backend);
}

const struct tcmu_handler *backend_handler(const struct backend *backend)
{
	return &backend->handler;
}

uint8_t *backend_store(const struct backend *backend)
{
	return backend->store;
}

void backend_sync(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	pthread_mutex_unlock(&backend->lock);
}

/* ------- what it is told ------- */

void backend_hold(struct backend *backend, uint64_t ops)
{
	pthread_mutex_lock(&backend->lock);
	backend->hold = ops;
	pthread_mutex_unlock(&backend->lock);
}

static bool wait_until(struct backend *backend, const unsigned *what, unsigned count)
{
	struct timespec until = deadline();
	bool there;
	int r = 0;

	pthread_mutex_lock(&backend->lock);
	while (*what < count && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&backend->changed, &backend->lock, &until);
	there = *what >= count;
	pthread_mutex_unlock(&backend->lock);
	return there;
}

bool backend_wait_held(struct backend *backend, unsigned count)
{
	return wait_until(backend, &backend->held_cnt, count);
}

unsigned backend_release(struct backend *backend, unsigned count, enum backend_order order)
{
	bool async = backend->options.threading == TCMU_HANDLER_ASYNC;
	unsigned released = 0;

	while (released < count) {
		struct tcmu_io *io = NULL;

		pthread_mutex_lock(&backend->lock);
		if (backend->held_cnt) {
			io = unhold(backend, order == BACKEND_OLDEST ? 0 : backend->held_cnt - 1);
			request_of(io)->go = true;
			pthread_cond_broadcast(&backend->changed);
		}
		pthread_mutex_unlock(&backend->lock);
		if (!io)
			break;
		if (async)
			run(backend, io);
		released++;
	}
	return released;
}

void backend_later(struct backend *backend, unsigned max_us)
{
	pthread_mutex_lock(&backend->lock);
	backend->later_us = max_us;
	if (!backend->thread_runs &&
	    pthread_create(&backend->thread, NULL, later_main, backend) != 0)
		abort();
	backend->thread_runs = true;
	pthread_mutex_unlock(&backend->lock);
}

static void add_fault(struct backend *backend, const struct fault *fault)
{
	pthread_mutex_lock(&backend->lock);
	for (unsigned i = 0; i < FAULTS_MAX; i++) {
		if (backend->faults[i].count)
			continue;
		backend->faults[i] = *fault;
		break;
	}
	pthread_mutex_unlock(&backend->lock);
}

void backend_fail(
	struct backend *backend, enum tcmu_io_op op, unsigned skip, unsigned count, int error)
{
	add_fault(
		backend,
		&(struct fault){
			.op = op,
			.skip = skip,
			.count = count,
			.error = error,
			.result = UINT64_MAX});
}

void backend_fail_at(struct backend *backend, enum tcmu_io_op op, int error, uint64_t result)
{
	add_fault(backend, &(struct fault){.op = op, .count = 1, .error = error, .result = result});
}

void backend_complete_times(struct backend *backend, unsigned times)
{
	pthread_mutex_lock(&backend->lock);
	backend->times = times;
	pthread_mutex_unlock(&backend->lock);
}

void backend_block(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	backend->block = true;
	pthread_mutex_unlock(&backend->lock);
}

bool backend_wait_blocked(struct backend *backend)
{
	return wait_until(backend, &backend->blocked, 1);
}

void backend_unblock(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	backend->block = false;
	pthread_cond_broadcast(&backend->changed);
	pthread_mutex_unlock(&backend->lock);
}

/* ------- what it was asked for ------- */

struct backend_record backend_record(struct backend *backend, unsigned i)
{
	struct backend_record entry = {0};

	pthread_mutex_lock(&backend->lock);
	if (i < backend->record_cnt)
		entry = backend->records[i % BACKEND_LOG_MAX];
	pthread_mutex_unlock(&backend->lock);
	return entry;
}

unsigned backend_count(struct backend *backend, enum tcmu_io_op op)
{
	unsigned cnt = 0;

	pthread_mutex_lock(&backend->lock);
	for (unsigned i = 0; i < backend->record_cnt && i < BACKEND_LOG_MAX; i++)
		cnt += !op || backend->records[i].op == op;
	pthread_mutex_unlock(&backend->lock);
	return cnt;
}

void backend_forget(struct backend *backend)
{
	pthread_mutex_lock(&backend->lock);
	backend->record_cnt = 0;
	pthread_mutex_unlock(&backend->lock);
}

static unsigned get(struct backend *backend, const unsigned *what)
{
	unsigned value;

	pthread_mutex_lock(&backend->lock);
	value = *what;
	pthread_mutex_unlock(&backend->lock);
	return value;
}

unsigned backend_most_at_once(struct backend *backend)
{
	return get(backend, &backend->most_at_once);
}

unsigned backend_cancels(struct backend *backend)
{
	return get(backend, &backend->cancels);
}

int backend_last_error(struct backend *backend)
{
	int error;

	pthread_mutex_lock(&backend->lock);
	error = backend->last_error;
	pthread_mutex_unlock(&backend->lock);
	return error;
}
