/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An aio engine under test, in each of its kinds and as on older kernels, and a thread that sleeps
 * in epoll as an I/O thread does. A sleep has no limit: a lost wake-up shows as a test that never
 * ends.
 *
 * Threads: the test's own one, unless a comment says more.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "aio/aio.h"

/* A kind of engine and of kernel; the initial state of each test. */
struct aio_way {
	const char *name;
	enum aio_kind kind;
	uint32_t setup_flags; /* the IORING_SETUP_* flags that the kernel accepts */
	uint32_t epoll_flags;
};

extern const struct aio_way aio_ways[];
extern const size_t aio_way_cnt;

struct aio_test {
	const char *name;
	CMUnitTestFunction function;
	enum aio_kind kind; /* AIO_AUTO: both */
};
#define AIO_TEST(function) \
	{ \
#function, function, AIO_AUTO \
	}
#define AIO_TEST_URING(function) \
	{ \
#function, function, AIO_URING \
	}
#define AIO_TEST_THREADS(function) \
	{ \
#function, function, AIO_THREADS \
	}

/* Runs each test for each way with the test's kind of engine. Returns the number of failures. */
int aio_run_tests(const struct aio_test *tests, size_t cnt);

struct aio_fixture {
	const struct aio_way *way;
	struct aio_engine *engine;
	int epoll_fd;
	int file;     /* an empty temporary file */
	int empty[2]; /* a pair of sockets without data */
	int pipe[2];
};

/* Makes the engine, for so many requests, and returns the fixture of the running test. */
struct aio_fixture *aio_fixture_start(void **state, unsigned depth);

#define REQUEST_SIZE 4096

/* A request with its own buffer. */
struct request {
	struct tcmu_aio aio;
	struct tcmu_io io;
	struct iovec iov[2];
	int64_t res;
	unsigned done; /* calls of done() */
	unsigned position;
	struct aio_fixture *fixture;
	void (*then)(struct request *request); /* called by done(); may be NULL */
	uint8_t buffer[REQUEST_SIZE] __attribute__((aligned(4096)));
};

/* Makes a request: op on fd, with its whole buffer as two iovecs. */
void request_init(
	struct request *request, struct aio_fixture *fixture, enum tcmu_aio_op op, int fd,
	uint64_t offset);
void request_queue(struct request *request);

/* Makes a read of one byte from the pipe: stuck until aio_fixture_write_pipe(). */
void request_init_pipe_read(struct request *request, struct aio_fixture *fixture);

/* Writes so many bytes to the pipe. */
void aio_fixture_write_pipe(struct aio_fixture *fixture, unsigned cnt);

/* Room for cnt requests, to be freed by free(). */
struct request *requests_new(unsigned cnt);

/* Iterates and sleeps until the request is done, or until nothing is in flight. */
void request_wait(struct request *request);
void aio_fixture_wait_all(struct aio_fixture *fixture);

/* One iteration without a sleep: flushes and reaps. Returns what aio_reap() returned. */
unsigned aio_fixture_iterate(struct aio_fixture *fixture);

/* Sleeps until the engine's descriptor is readable. */
void aio_fixture_sleep(struct aio_fixture *fixture);

/* ------- wrapped system calls ------- */

struct interposed {
	uint32_t setup_flags; /* other IORING_SETUP_* flags are refused with EINVAL */
	int setup_error;      /* -errno of making a ring; 0: the kernel's result */
	uint32_t features_lacking;
	bool no_probe;
	int empty;                         /* a socket without data */
	unsigned rings;                    /* made so far */
	unsigned tries;                    /* reads with RWF_NOWAIT so far */
	int try_error;                     /* -errno of such a read; 0: the kernel's result */
	void (*_Atomic before_read)(void); /* called once, in the next read() of the engine */
	int64_t try_short;                 /* the most that such a read returns; 0: no limit */
};
extern struct interposed interposed;

/* Makes the next cnt submissions to io_uring fail with error (-errno). */
void fail_submissions(unsigned cnt, int error);
unsigned count_pending_failures(void); /* that are still to come */

/* Makes the next cnt reads that io_uring gets end with EAGAIN. */
void disturb_reads(unsigned cnt);

/* Lets so many calls of ioctl() start; later ones wait. */
void allow_ioctls(unsigned cnt);

/* Makes calls of write() wait, or lets them go on. */
void hold_writes(bool hold);

/* Waits until the engine's threads have made so many calls of write() since the test began: their
 * wake-ups. */
void await_writes(unsigned cnt);

/* Makes pthread_create() fail, or not. */
void refuse_threads(bool refuse);

/* Allocations of the process since its start. Any thread. */
unsigned count_allocations(void);
