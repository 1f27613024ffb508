/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler for tests: a backing store in memory that does what it is told to.
 *
 * It serves at once, holds requests until it is told to go on, completes them on a thread of its
 * own, in any order, fails with any errno, or completes twice. The buffers are touched when the
 * request is executed: where it was held, that is late. What it was asked for is kept in a log.
 *
 * Threads: any; one lock, never held while a buffer is touched or a request is completed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#define BACKEND_LOG_MAX 8192

struct backend;

struct backend_options {
	enum tcmu_handler_threading threading;
	unsigned workers;
	bool syscalls;    /* buffers are touched by system calls only, and the handler says so */
	bool aio;         /* ASYNC: by the device's engine */
	bool aio_cached;  /* reads are tried in the page cache first, within aio_flush() */
	int aio_read_fd;  /* 0: the store's */
	uint64_t size;    /* bytes; 0: 1 MiB */
	uint64_t map_max; /* bytes that one MAP tells of at most; 0: any */
	bool can_cancel;  /* held requests can be cancelled */
	struct tcmu_backend_info info;
};

struct backend *backend_new(const struct backend_options *options);
void backend_free(struct backend *backend);

const struct tcmu_handler *backend_handler(const struct backend *backend);

/* What is stored. What a thread has written there is seen by requests after its backend_sync(). */
uint8_t *backend_store(const struct backend *backend);
void backend_sync(struct backend *backend);

/* ------- what it is told ------- */

/* Requests of these operations (TCMU_IO_CAP bits) are held from now on; 0: none. What is held stays
 * so. */
void backend_hold(struct backend *backend, uint64_t ops);

/* Waits until so many are held. False: they were not within 10 s. */
bool backend_wait_held(struct backend *backend, unsigned count);

enum backend_order {
	BACKEND_OLDEST,
	BACKEND_NEWEST,
};

/* Executes and completes held requests on this thread, at most so many. Returns how many. SERIAL
 * and PARALLEL: lets them go on, on their own threads. */
unsigned backend_release(struct backend *backend, unsigned count, enum backend_order order);

/* Completes by a thread of its own, each after a random time up to so many µs; at random places in
 * the order. */
void backend_later(struct backend *backend, unsigned max_us);

/* The next count requests of op fail with -errno, after skip others; result, if not UINT64_MAX, is
 * what they leave in io->result. */
void backend_fail(
	struct backend *backend, enum tcmu_io_op op, unsigned skip, unsigned count, int error);
void backend_fail_at(struct backend *backend, enum tcmu_io_op op, int error, uint64_t result);

/* Every request is completed so many times. */
void backend_complete_times(struct backend *backend, unsigned times);

/* submit() itself does not return before backend_unblock(): the thread that calls it is stuck. */
void backend_block(struct backend *backend);
bool backend_wait_blocked(struct backend *backend);
void backend_unblock(struct backend *backend);

/* ------- what it was asked for ------- */

struct backend_record {
	enum tcmu_io_op op;
	uint32_t flags;
	uint64_t offset;
	uint64_t length;
	unsigned iov_cnt;
	uint64_t iov_length; /* bytes, of all iovecs */
};

/* The i-th since the last backend_forget(). */
struct backend_record backend_record(struct backend *backend, unsigned i);
unsigned backend_count(struct backend *backend, enum tcmu_io_op op); /* 0: of all operations */
void backend_forget(struct backend *backend);

/* Highest number of requests that were with the backend at the same time. */
unsigned backend_most_at_once(struct backend *backend);
unsigned backend_cancels(struct backend *backend);

/* What system calls on buffers, or their copying, have failed with: the last one's -errno. */
int backend_last_error(struct backend *backend);
