/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's I/O thread: fetches commands from the ring, has them carried out, completes them; and
 * gives the ring back.
 *
 * The thread attaches the ring itself. It ends by itself, once it was requested to drain, or saw
 * that the kernel's device is gone, and nothing is in flight any more. It reports to its device by
 * IO_SIGNAL_ bits (io/core.h).
 *
 * Lock order: each of the ring lock (io/core.h), the control's lock and the lock of the deferred
 * request is taken alone, but that the ring lock may be held when one of the others is taken.
 */
#pragma once

#include "io/command.h"
#include "io/control.h"
#include "io/core.h"
#include "io/dispatch.h"
#include "io/fetch.h"
#include "io/format.h"
#include "io/late.h"
#include "io/order.h"
#include "io/stats.h"
#include "io/submit.h"
#include "io/write-cache.h"
#include "io/xcopy.h"

/* One device's I/O thread. Callers use the functions below, not the members. */
struct io_thread {
	struct core core;
	struct command_pool pool;
	struct submit submit;
	struct order order;
	struct late late;
	struct format format;
	struct dispatch dispatch;
	struct fetch fetch;
	struct write_cache write_cache;
	struct control control;
	struct xcopy_disk *xcopy_disk; /* the device, to others that carry out EXTENDED COPY */
};

/* Starts the thread. -errno: there is no thread, and no signal comes. Any thread. */
int io_thread_new(const struct io_thread_setup *setup, struct io_thread **thread);

/* After IO_SIGNAL_ENDED only; not on the I/O thread. Takes NULL. */
void io_thread_free(struct io_thread *thread);

/* The functions below may be called from any thread until io_thread_free(). They wait for nobody.
 * Changes are in force for every command that the kernel sends after the call. */

/* Fetches no more and ends when nothing is in flight. cancel: also asks the backend to give up the
 * requests in flight. */
void io_thread_drain(struct io_thread *thread, bool cancel);

/* Bounded release: takes the mapping and the uio descriptor away, now, whatever is in flight.
 * Commands in flight are never completed to the kernel. Takes milliseconds, and may free up to 1
 * GiB in the kernel. The requests that can be cancelled are, as by io_thread_drain(). -ENOMEM:
 * nothing was taken away; to be tried again. */
int io_thread_revoke(struct io_thread *thread);

/* The commands of the kernel that are in flight, in no order; at most max. Returns how many. */
unsigned io_thread_requests(
	const struct io_thread *thread, struct stats_request *requests, unsigned max);

/* The oldest of them. Returns how many there are; 0: none, and *oldest is as it was. */
unsigned io_thread_oldest_request(const struct io_thread *thread, struct stats_request *oldest);

/* How many requests to the backend have not ended, for reports: after a revoke, the stuck ones. */
unsigned io_thread_in_flight(struct io_thread *thread);

/* The backend has failed: every command that needs the medium is answered with HARDWARE ERROR. */
void io_thread_fail(struct io_thread *thread);

/* Which requests may go to the backend. not_ready: SCSI_ASCQ_, reported instead of BUSY by commands
 * that need the medium; or 0. */
void io_thread_set_permission(
	struct io_thread *thread, enum io_permission permission, uint8_t not_ready);

/* Whether, since the last io_thread_set_permission(), which was IO_PERMIT_NONE, every request to
 * the backend has ended: it can be closed. */
bool io_thread_is_idle(struct io_thread *thread);

/* Another backend in the place of one that was closed. Only while io_thread_is_idle(). info:
 * copied. */
void io_thread_set_backend(
	struct io_thread *thread, void *backend, const struct tcmu_backend_info *info);

/* Serial, ports, designators; copied. Answers IO_SIGNAL_NEEDS_LU_INFO. */
void io_thread_set_lu_info(struct io_thread *thread, const struct scsi_lu_info *lu_info);

/* size: bytes. info: copied. Initiators get CAPACITY DATA HAS CHANGED. */
void io_thread_set_size(
	struct io_thread *thread, uint64_t size, const struct tcmu_backend_info *info);

/* The bit WCE of the caching mode page. Off is in force only when a flush has succeeded;
 * IO_SIGNAL_WRITE_CACHE follows, also where it is off already. Requests that come quickly may share
 * one. */
void io_thread_set_write_cache(struct io_thread *thread, bool on);

/* After IO_SIGNAL_WRITE_CACHE: 0, or -errno: the cache could not be flushed and is still on. */
int io_thread_write_cache_result(const struct io_thread *thread);

/* Whether the cache was off before this thread began, and is on until what was written before is
 * stable. A flush for that is repeated. */
bool io_thread_has_old_write_cache(const struct io_thread *thread);

/* After how long the kernel gives a command up (the attribute cmd_time_out), in ns; 0: never. */
void io_thread_set_command_timeout(struct io_thread *thread, uint64_t ns);

/* How many commands and bytes a second; copied. */
void io_thread_set_limits(struct io_thread *thread, const struct rate_limits *limits);

/* The work that IO_SIGNAL_DEFERRED asks for. It is asked for once, and answered once by
 * io_thread_deferred_done(). The caller clears the request. Returns 0 or -ENOMEM. */
int io_thread_deferred(struct io_thread *thread, struct deferred_request *request);

/* error: 0 or -errno. */
void io_thread_deferred_done(struct io_thread *thread, int error);

/* After IO_SIGNAL_RING_IDLE, when the kernel is blocked and the ring was reset again: attaches the
 * ring. IO_SIGNAL_ATTACHED or IO_SIGNAL_RING_BROKEN follows. */
void io_thread_reattach(struct io_thread *thread);

/* FORMAT_STATE_ bits. */
unsigned io_thread_format_state(const struct io_thread *thread);

/* After IO_SIGNAL_ENDED: whether every command that was fetched has been answered. Then the next
 * daemon can go on where this one stopped. */
bool io_thread_ended_clean(const struct io_thread *thread);

/* After IO_SIGNAL_RING_BROKEN: why, as -errno and a sentence, which lives as long as the thread. */
int io_thread_error(const struct io_thread *thread, const char **text);
