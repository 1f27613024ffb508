/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aio-stuck FILE: shows how the daemon's aio layer handles requests that the kernel cannot end.
 * Runs as root in a guest, because it freezes the file system of FILE.
 *
 * For io_uring and for threads: buffered and direct writes and allocations get stuck, cached reads
 * continue; submitting, reaping and cancelling take no time; each request ends exactly once, most
 * of them cancelled.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "aio/aio.h"
#include "base/clock.h"

#define STUCK   64u
#define READS   64u
#define SIZE    4096u
#define CALL_MS 5000u /* generous: a call that hangs does not return before the thaw */

struct request {
	struct tcmu_aio aio;
	struct tcmu_io io;
	struct iovec iov;
	int64_t res;
	unsigned done;
	uint8_t *buffer;
};

static struct aio_engine *engine;
static struct request stuck[STUCK], reads[READS];
static unsigned slowest_ms;
static int frozen_fd = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void) vprintf(format, args);
	va_end(args);
	(void) printf("\n");
	/* A process with a request in a frozen file system cannot end. */
	if (frozen_fd >= 0)
		(void) ioctl(frozen_fd, FITHAW, 0);
	exit(1);
}

static uint64_t now_ms(void)
{
	return clock_now_ns() / CLOCK_NS_PER_MS;
}

static void check_duration(uint64_t since, const char *what)
{
	unsigned ms = (unsigned) (now_ms() - since);

	if (ms > slowest_ms)
		slowest_ms = ms;
	if (ms > CALL_MS)
		give_up("%s took %u ms", what, ms);
}

static void on_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct request *request = (struct request *) aio;

	if (io != &request->io || request->done++)
		give_up("a request has ended twice");
	request->res = res;
}

static void queue_request(struct request *request, enum tcmu_aio_op op, int fd, unsigned block)
{
	uint8_t *buffer = request->buffer;

	*request = (struct request){.buffer = buffer ? buffer : aligned_alloc(SIZE, SIZE)};
	if (!request->buffer)
		give_up("no memory");
	memset(request->buffer, (int) block, SIZE);
	request->iov = (struct iovec){request->buffer, SIZE};
	request->aio.op = op;
	request->aio.fd = fd;
	request->aio.offset = (uint64_t) SIZE * block;
	request->aio.length = SIZE;
	request->aio.iov = &request->iov;
	request->aio.iov_cnt = 1;
	request->aio.done = on_done;
	aio_queue(engine, &request->io, &request->aio);
}

static unsigned flush_and_reap(void)
{
	uint64_t start = now_ms();
	unsigned cnt;

	aio_flush(engine);
	check_duration(start, "aio_flush()");
	start = now_ms();
	cnt = aio_reap(engine);
	check_duration(start, "aio_reap()");
	return cnt;
}

static void wait_in_flight(unsigned left)
{
	uint64_t start = now_ms();

	while (aio_in_flight(engine) > left) {
		struct pollfd ready = {.fd = aio_engine_fd(engine), .events = POLLIN};

		if (flush_and_reap() == 0 && poll(&ready, 1, 20000) == 0)
			give_up("%u requests instead of %u are still in flight",
				aio_in_flight(engine), left);
		if (now_ms() - start > 60000)
			give_up("not ended after a minute");
	}
}

static void set_frozen(int fd, bool on)
{
	if (ioctl(fd, on ? FIFREEZE : FITHAW, 0) < 0)
		give_up("cannot %s the file system: %s", on ? "freeze" : "thaw", strerror(errno));
	frozen_fd = on ? fd : -1;
}

static void queue_stuck_requests(const int frozen[2])
{
	static const enum tcmu_aio_op ops[] = {
		TCMU_AIO_WRITEV, TCMU_AIO_WRITEV, TCMU_AIO_FALLOCATE};

	for (unsigned i = 0; i < STUCK; i++)
		queue_request(&stuck[i], ops[i % 3], frozen[i % 3 == 1], i);
	flush_and_reap();
}

/* The stuck requests occupy every thread, so only the cached path can serve these reads. */
static void check_cached_reads(int frozen)
{
	for (unsigned i = 0; i < READS; i++) {
		queue_request(&reads[i], TCMU_AIO_READV, frozen, i);
		reads[i].aio.flags = TCMU_AIO_CACHED;
	}
	wait_in_flight(STUCK);
	for (unsigned i = 0; i < READS; i++)
		if (reads[i].res != SIZE)
			give_up("a read ended with %lld", (long long) reads[i].res);
}

/* Each thread is inside one request. io_uring has started some requests, and does not cancel writes
 * that wait for a started write to the same file. */
static unsigned cancel_all(void)
{
	uint64_t start = now_ms();
	unsigned cnt = 0;

	for (unsigned i = 0; i < STUCK; i++)
		aio_cancel(engine, &stuck[i].io);
	check_duration(start, "aio_cancel() of all");
	wait_in_flight(STUCK - (aio_engine_kind(engine) == AIO_URING ? 8 : STUCK - 16));
	for (unsigned i = 0; i < STUCK; i++)
		cnt += stuck[i].done;
	return cnt;
}

/* A direct write that ended late has dropped its block from the page cache. */
static void fill_cache(int fd)
{
	static uint8_t buffer[SIZE];

	for (unsigned i = 0; i < READS; i++)
		if (pread(fd, buffer, SIZE, (off_t) SIZE * i) != SIZE)
			give_up("cannot read the file");
}

static void run_engine(enum aio_kind kind, const int frozen[2])
{
	unsigned cancelled, late = 0;

	if (aio_engine_new(kind, STUCK + READS, "stuck", &engine) < 0)
		give_up("cannot make an aio engine");
	fill_cache(frozen[0]);
	set_frozen(frozen[0], true);
	queue_stuck_requests(frozen);
	check_cached_reads(frozen[0]);
	cancelled = cancel_all();
	set_frozen(frozen[0], false);
	wait_in_flight(0);
	for (unsigned i = 0; i < STUCK; i++) {
		if (stuck[i].res < 0 && stuck[i].res != -ECANCELED)
			give_up("a stuck request ended with %lld", (long long) stuck[i].res);
		late += stuck[i].res >= 0;
	}
	(void) printf(
		"%s: %u of %u cancelled while stuck, %u ended after the thaw; the slowest call "
		"took %u ms\n",
		kind == AIO_URING ? "io_uring" : "threads", cancelled, STUCK, late, slowest_ms);
	aio_engine_free(engine);
}

int main(int argc, char **argv)
{
	int frozen[2];

	if (argc != 2)
		give_up("usage: aio-stuck FILE");
	frozen[0] = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	frozen[1] = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (frozen[0] < 0 || frozen[1] < 0)
		give_up("cannot open the file: %s", strerror(errno));
	if (posix_fallocate(frozen[0], 0, (off_t) SIZE * STUCK) != 0 || fsync(frozen[0]) < 0)
		give_up("cannot prepare the file: %s", strerror(errno));
	run_engine(AIO_URING, frozen);
	run_engine(AIO_THREADS, frozen);
	(void) printf("all checks passed\n");
	return 0;
}
