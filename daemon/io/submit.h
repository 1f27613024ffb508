/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of commands to the handler: one at a time for each command, completed from any
 * thread, reaped by the I/O thread. And which requests may go there: all, those that only read, or
 * none, so that a backend that lost its lock is not used, and can be exchanged once its last
 * request has ended.
 *
 * Everything runs on the I/O thread, outside of the ring lock, but for submit_complete().
 */
#pragma once

#include "aio/aio.h"
#include "aio/workers.h"
#include "base/mpsc.h"
#include "io/command.h"

struct submit {
	struct core *core;
	struct aio_engine *engine;       /* of ASYNC handlers */
	struct workers *workers;         /* of the others */
	struct list completed;           /* commands, completed by the I/O thread itself */
	struct mpsc completed_elsewhere; /* commands, pushed by other threads */
	enum io_permission permission;
	unsigned all_generation; /* of the commands that may submit any request */
	atomic_bool idle_wanted; /* IO_SIGNAL_IDLE is to be signalled; read by workers */

	/* read by any thread */
	atomic_uint inside; /* workers that are within the handler, also after it has completed */
	atomic_uint in_flight;
	atomic_uint completing;      /* other threads that are within submit_complete() */
	atomic_uint idle_generation; /* the permission since which nothing is in flight */
};

/* Makes the engine or the workers that the handler needs. -errno: submit_destroy() may be called.
 * Any thread. */
int submit_init(struct submit *submit, struct core *core);

/* After this no function of the handler runs any more, and no submit_complete(). Nothing is in
 * flight. Takes one of zeros, and one that was destroyed. Any thread, once the I/O thread submits
 * no more. */
void submit_destroy(struct submit *submit);

/* Submits a request whose command->io_iov is filled: iov_cnt iovecs. offset, length: bytes of the
 * medium; flags: TCMU_IO_. step is called when it has ended, later or before the return. A command
 * that was aborted ends instead, and so do all where the service was abandoned; where the
 * permission forbids the request, step gets -EBUSY.
 *
 * A READ, WRITE or UNMAP that is longer than the backend takes at once goes there in pieces, to
 * which the same applies; step is called once, and io.offset and io.length are those of the whole.
 *
 * A command that changes the medium needs the permission for all its requests, also for what it
 * reads before it writes, and for each the permission under which it was fetched: however long it
 * waits, it ends BUSY once the lock has changed hands, even if this host holds it again. Other
 * hosts may have written meanwhile. Such a command does not ask for the lock. */
void submit_io(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, unsigned iov_cnt, command_step *step);

/* The same, the buffer being the first data bytes of the command's pages in the ring. */
void submit_ring(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, command_step *step);

/* The same, the buffer being memory that the command owns, of length bytes. */
void submit_buffer(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length, command_step *step);

/* Whether the handler has the operation (else the daemon emulates it). */
bool submit_handler_can(const struct core *core, enum tcmu_io_op op);

/* For struct tcmu_host: a handler has completed the request. error: 0 or -errno. Any thread; a
 * second call for the same request changes nothing. */
void submit_complete(struct tcmu_io *io, int error);

/* For struct tcmu_host: an ASYNC handler wants a system call made. From its submit or a done
 * callback. */
void submit_aio(struct tcmu_io *io, struct tcmu_aio *aio);

/* Starts the system calls that were queued, which waits where the kernel is slow to take I/O; then
 * calls the steps of all requests that have ended. A request that a step submits is not among them,
 * even if its handler completes it within submit(): so a command of many requests does one of them
 * in an iteration, and the ring is read in between. Returns how many. */
unsigned submit_reap(struct submit *submit);

/* Whether submit_reap() would find something. others_only: only for requests that other threads
 * have completed. */
bool submit_has_completed(const struct submit *submit, bool others_only);

/* Asks the backend to give up the command's request; it ends as usual. */
void submit_cancel(struct command *command);

/* A control request: generation is its number, greater than that of all before. not_ready:
 * SCSI_ASCQ_, reported instead of BUSY by commands that need the medium; or 0. */
void submit_set_permission(
	struct submit *submit, enum io_permission permission, uint8_t not_ready,
	unsigned generation);

/* Another backend in the place of one that was closed. Nothing is in flight. */
void submit_set_backend(struct submit *submit, void *backend, const struct tcmu_backend_info *info);

/* Whether IO_SIGNAL_IDLE is to be signalled now: nothing is in flight, and no worker is within the
 * handler. I/O thread. */
bool submit_becomes_idle(const struct submit *submit);

/* At the end of an iteration: signals IO_SIGNAL_IDLE if it is due. */
void submit_report(struct submit *submit);
