/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine that makes system calls for a device's asynchronous handler: by io_uring, or by worker
 * threads where the kernel lacks or forbids it. One engine a device, used by the device's I/O
 * thread alone where nothing else is said.
 *
 * aio_queue() only notes a request. aio_flush() starts what is queued and is the one place where
 * the kernel may hold the thread up; aio_reap() runs the done callbacks of the requests that have
 * ended, from which handlers queue more. So an iteration is: flush, reap until reap finds nothing;
 * then sleep until the descriptor is readable.
 */
#pragma once

#include <stdbool.h>

#include <tcmu/handler.h>

struct aio_engine;

enum aio_kind {
	AIO_AUTO, /* io_uring where it works, else threads */
	AIO_URING,
	AIO_THREADS,
};

/* depth: how many requests are started at once at most; more are kept queued. name: for thread
 * names, at most 15 characters are used. -EINVAL: depth 0; -ENOSYS: AIO_URING and no io_uring here;
 * -ENOMEM, -EAGAIN. Memory is allocated here and not later, but for the threads that make the calls
 * io_uring has no opcode for: they are made when first needed. Any thread. */
int aio_engine_new(
	enum aio_kind kind, unsigned depth, const char *name, struct aio_engine **engine);

/* Nothing may be in flight. Any thread, when the I/O thread uses it no more. Takes NULL. */
void aio_engine_free(struct aio_engine *engine);

/* AIO_URING or AIO_THREADS. Any thread. */
enum aio_kind aio_engine_kind(const struct aio_engine *engine);

/* Readable when something has ended since the last aio_reap(), other than what aio_flush() or
 * aio_cancel() ended by themselves: aio_reap() is called after them. Stays the engine's; to be
 * watched by epoll, level or edge. A sleep in epoll_wait may end with EINTR when something has
 * ended. */
int aio_engine_fd(const struct aio_engine *engine);

/* Notes a request of io; it and all that it points to stay as they are until done. Never fails:
 * errors come through done. */
void aio_queue(struct aio_engine *engine, struct tcmu_io *io, struct tcmu_aio *aio);

/* Starts what is queued, as far as depth allows. Transfers that need not wait (TCMU_AIO_CACHED,
 * TCMU_AIO_MEMORY) are made at once, a bounded number of them: where more are left, aio_reap()
 * finds something, and the next aio_flush() continues. */
void aio_flush(struct aio_engine *engine);

/* Runs the done callbacks of the requests that have ended; returns how many. Within a done callback
 * it does nothing. */
unsigned aio_reap(struct aio_engine *engine);

/* Whether aio_reap() would find something, as far as is known without a system call. */
bool aio_ready(const struct aio_engine *engine);

/* Asks that every request of io ends early; each still comes through done, with -ECANCELED if it
 * worked. A call that a worker thread has begun cannot be cancelled. */
void aio_cancel(struct aio_engine *engine, struct tcmu_io *io);

/* Requests queued or started whose done has not run. */
unsigned aio_in_flight(const struct aio_engine *engine);
