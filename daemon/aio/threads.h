/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by worker threads: a backend where io_uring is not to be had, and beside io_uring
 * the calls that it has no opcode for. A pool, and the queue of slots that it has finished, with an
 * eventfd that is readable when there is something in it.
 *
 * The I/O thread's.
 */
#pragma once

#include "aio/slots.h"

struct aio_threads;

/* The threads as a backend; its state is a struct aio_threads. */
extern const struct aio_backend aio_threads_backend;

/* limit: threads at most, whatever the depth. name: for their names. -ENOMEM, -EAGAIN, -errno. Any
 * thread. */
int aio_threads_new(unsigned limit, const char *name, struct aio_threads **threads);

/* Nothing is in flight. Takes NULL. Any thread. */
void aio_threads_free(struct aio_threads *threads);

/* The eventfd; stays theirs. */
int aio_threads_fd(const struct aio_threads *threads);

/* Begins the slot's request. */
void aio_threads_start(struct aio_threads *threads, struct aio_slot *slot);

/* True: the request had not begun, and has ended now; its slot is free. */
bool aio_threads_cancel(struct aio_threads *threads, struct aio_slot *slot);

/* Whether aio_threads_harvest() would find something. */
bool aio_threads_ready(const struct aio_threads *threads);

/* Ends each request whose call has returned and frees its slot. Returns how many. */
unsigned aio_threads_harvest(struct aio_threads *threads);
