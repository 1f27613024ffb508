/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O engine under test, of every kind and as on every kernel, with a thread that sleeps in
 * epoll as the daemon's does. A sleep has no limit: a wake-up that is lost is a test that never
 * ends.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "aio/aio.h"

/* One way to run a test; the initial state of each. */
struct aio_way {
	const char *name;
	enum aio_kind kind;
	uint32_t setup_flags; /* what the "kernel" knows of IORING_SETUP_* */
	uint32_t epoll_flags;
};

extern const struct aio_way aio_ways[];
extern const size_t aio_way_cnt;

/* Makes one test of each function and way: to be run as a group. */
struct aio_test {
	const char *name;
	CMUnitTestFunction function;
};
int aio_run_tests(const struct aio_test *tests, size_t cnt);

struct aio_fixture {
	const struct aio_way *way;
	struct aio_engine *engine;
	int epoll_fd;
	int file;     /* a temporary file, empty */
	int empty[2]; /* a pair of sockets */
	int pipe[2];
};

/* The fixture of the running test, with an engine of so many requests. */
struct aio_fixture *aio_fixture_start(void **state, unsigned depth);

#define REQUEST_SIZE 4096

/* A request with a buffer of its own. */
struct request {
	struct tcmu_aio aio;
	struct tcmu_io io;
	struct iovec iov[2];
	int64_t res;
	unsigned done; /* how often */
	unsigned position;
	struct aio_fixture *fixture;
	void (*then)(struct request *request); /* called in done; may be NULL */
	uint8_t buffer[REQUEST_SIZE] __attribute__((aligned(4096)));
};

/* Fills request: op on fd, its whole buffer as two iovecs. */
void request_init(
	struct request *request, struct aio_fixture *fixture, enum tcmu_aio_op op, int fd,
	uint64_t offset);
void request_queue(struct request *request);

/* Flushes, reaps and sleeps until the request is done, or nothing is in flight. */
void request_wait(struct request *request);
void aio_fixture_wait_all(struct aio_fixture *fixture);

/* One turn without a sleep. Returns what aio_reap() did. */
unsigned aio_fixture_iterate(struct aio_fixture *fixture);

/* One sleep. */
void aio_fixture_sleep(struct aio_fixture *fixture);

/* ------- what is between the engine and the system ------- */

struct interposed {
	uint32_t setup_flags; /* other IORING_SETUP_* are refused with EINVAL */
	int setup_error;      /* -errno of making a ring; 0: as the kernel says */
	uint32_t features_lacking;
	bool no_probe;
	unsigned rings;                    /* made */
	unsigned tries;                    /* of reads that do not wait */
	int try_error;                     /* -errno of such a read; 0: as the kernel says */
	void (*_Atomic before_read)(void); /* called once, by the next read() of the engine */
	int64_t try_short; /* what such a read returns at most; 0: as the kernel says */
};
extern struct interposed interposed;

/* The next cnt submissions to io_uring fail with error. */
void fail_submissions(unsigned cnt, int error);

/* The next cnt reads that io_uring is given end with EAGAIN. */
void disturb_reads(unsigned cnt);

/* From now on so many calls of ioctl() begin, and no more. */
void allow_ioctls(unsigned cnt);

/* While it holds, calls of write() wait. */
void hold_writes(bool hold);

/* Waits until so many calls of write() have been made since the test began: rings of a thread. */
void await_writes(unsigned cnt);

/* No thread can be made. */
void refuse_threads(bool refuse);

/* Of the engine and the test itself, since the start; any thread. */
unsigned count_allocations(void);
