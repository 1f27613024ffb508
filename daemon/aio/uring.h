/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by io_uring, from Linux 5.10 on; a backend.
 *
 * Every submission has exactly one completion: of a slot's request, of a slot's cancellation (at
 * most one at a time), of the poll for the threads. A slot is used again when all of its
 * completions have come: so a late cancellation never meets another request, and there are never
 * more completions than the ring has room for.
 *
 * The ring is made by one thread and used by another: it stays disabled until the first commit,
 * which makes that thread its only issuer. Completions that the kernel defers to the issuer are run
 * when it enters the kernel next, also out of a sleep in epoll_wait (which then returns, with
 * EINTR); a thread that does not enter it sees a flag instead. IORING_SETUP_DEFER_TASKRUN is not
 * asked for: its completions would wait for our io_uring_enter.
 *
 * Calls without an opcode are made by the backend's own threads, whose eventfd is polled by the
 * ring.
 *
 * The I/O thread's.
 */
#pragma once

#include "aio/slots.h"

struct aio_uring;

/* io_uring as a backend; its state is a struct aio_uring. */
extern const struct aio_backend aio_uring_backend;

/* depth: slots in use at most. name: for the names of threads, kept. -ENOSYS: io_uring is not
 * there, forbidden, or too old. Any thread. */
int aio_uring_new(unsigned depth, const char *name, struct aio_uring **uring);

/* Readable when there are completions; stays the ring's. */
int aio_uring_fd(const struct aio_uring *uring);
