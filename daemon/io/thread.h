/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's I/O thread: fetches commands from the ring, has them carried out, completes them; and
 * lets go of the ring.
 *
 * The thread attaches the ring itself and ends by itself, when it was told to drain, or saw that
 * the kernel's device is gone, and nothing is in flight any more. What it finds out it signals to
 * its owner as IO_THREAD_ bits.
 *
 * The gate is a mutex that the thread holds exactly while it touches the ring in user space. It
 * holds it neither while handler code runs nor while it waits for the kernel's storage, so another
 * thread can always take the ring away (io_thread_revoke) however stuck this one is. Lock order:
 * the ring_lock, then the lock of the orders that other threads give.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/ring.h>
#include <tcmu/scan.h>
#include <tcmu/uio.h>

#include "aio/aio.h"
#include "aio/workers.h"
#include "base/rate-limit.h"
#include "io/command.h"
#include "io/stats.h"

/* What a loop signals. Bits of one word: a signal that is not yet taken is not sent twice. */
#define IO_SIGNAL_ATTACHED      (1u << 0)
#define IO_SIGNAL_UNREGISTERED  (1u << 1) /* uio says that the kernel's device is gone */
#define IO_SIGNAL_RING_BROKEN   (1u << 2) /* the ring could not be attached, or is corrupt */
#define IO_SIGNAL_NEEDS_LU_INFO (1u << 3) /* commands wait for io_thread_set_lu_info() */
#define IO_SIGNAL_FORMAT        (1u << 5) /* io_thread_format_state() has changed */
#define IO_SIGNAL_DEFERRED      (1u << 6) /* a command waits for io_thread_deferred_done() */
#define IO_SIGNAL_WANTS_LOCK \
	(1u << 7) /* a command was refused that io_thread_set_permission() keeps from the medium \
		   */
#define IO_SIGNAL_RING_RESET (1u << 9)  /* somebody else has reset the ring: nothing is fetched */
#define IO_SIGNAL_RING_IDLE  (1u << 10) /* then: nothing fetched from the old ring is in flight */
#define IO_SIGNAL_IDLE       (1u << 8)  /* io_thread_is_idle() may have become true */
#define IO_SIGNAL_ENDED \
	(1u << 4) /* the last signal: io_thread_free() may be called, and the handler be closed */

/* Which commands get to the medium; the others are answered BUSY. */
enum io_permission {
	IO_PERMIT_ALL,
	IO_PERMIT_READS,
	IO_PERMIT_NONE,
};

/* How the ring is found. */
enum io_thread_start {
	IO_THREAD_FRESH,     /* nobody has used it before, or its last user left nothing behind */
	IO_THREAD_RECOVERED, /* its last user died: what it had fetched is answered BUSY by the
			   kernel first */
};

/* What the medium cannot be used for, or not yet: for who remembers it beyond the loop. Bits of one
 * word. */
#define FORMAT_STATE_FORMAT   (1u << 0) /* a format operation is under way, or has failed */
#define FORMAT_STATE_SANITIZE (1u << 1) /* the same of a sanitize operation */
#define FORMAT_STATE_EXIT     (1u << 2) /* of which a failure may be left behind (AUSE) */

/* What a command needs done by the owner. */
enum deferred_kind {
	DEFERRED_SAVE = 1,   /* keep mode parameters for good */
	DEFERRED_SET_GROUPS, /* change states of target port groups */
};

struct deferred_request {
	enum deferred_kind kind;
	char serial[256]; /* SAVE */
	struct scsi_mode_values saved;
	struct scsi_group_states states; /* SET_GROUPS */
};

/* What a loop needs to know; copied, the pointers live as long as the loop. */
struct io_thread_setup {
	const char *name;        /* for the thread's name */
	struct tcmu_name device; /* the directory in configfs, for the recovery */
	unsigned minor;
	enum io_thread_start start;
	enum aio_kind aio;
	unsigned depth; /* commands in flight at most */
	struct rate_limits limits;
	unsigned busy_poll; /* percent of a processor, see poll.h */
	const struct tcmu_handler *handler;
	void *backend;
	const struct tcmu_host *host;
	struct tcmu_host_device *host_device;
	struct tcmu_backend_info info;
	struct scsi_lu lu;
	struct stats *stats;     /* outlives the loop; NULL: nothing is counted */
	const atomic_bool *tell; /* whether every command is told; NULL: none is */
	void (*told)(
		void *owner, const uint8_t *cdb, uint8_t cdb_length,
		uint64_t data_length); /* as signal */
	enum io_permission access;
	void (*signal)(void *owner, uint32_t bits); /* from the loop's thread; must not block */
	void *owner;
};

/* Starts the thread. -errno: no thread, nothing will be signalled. */
int io_thread_new(const struct io_thread_setup *setup, struct io_thread **thread);

/* After IO_SIGNAL_ENDED only. Takes NULL. */
void io_thread_free(struct io_thread *thread);

/* The rest may be called from any thread until io_thread_free(). */

/* Stop fetching; end when nothing is in flight. cancel: also ask the backend to give up what is in
 * flight.
 */
void io_thread_drain(struct io_thread *thread, bool cancel);

/* Bounded release: takes the mapping and the uio descriptor away, now, whatever is in flight.
 * Commands in flight are never completed to the kernel. Takes milliseconds, may free up to 1 GiB in
 * the kernel. What can be cancelled is cancelled, as by io_thread_drain(). -ENOMEM: nothing was
 * taken away; to be tried again. */
int io_thread_revoke(struct io_thread *thread);

/* The commands of the kernel that are under way, in no order; at most max. Returns how many. Waits
 * for nobody. */
unsigned io_thread_requests(
	const struct io_thread *thread, struct stats_request *requests, unsigned max);

/* The oldest of them, and how many there are; 0: none, and *oldest is as it was. */
unsigned io_thread_oldest_request(const struct io_thread *thread, struct stats_request *oldest);

/* Requests that have not ended, for people: after a revoke, what is stuck. */
unsigned io_thread_in_flight(struct io_thread *thread);

/* From now on every command that needs the medium is answered with HARDWARE ERROR. */
void io_thread_fail(struct io_thread *thread);

/* not_ready: SCSI_ASCQ_, what commands that need the medium are told instead of BUSY; or 0. */
void io_thread_set_permission(
	struct io_thread *thread, enum io_permission access, uint8_t not_ready);
/* Since the last io_thread_set_permission(), which was IO_PERMIT_NONE, everything that was with the
 * backend has ended: it can be closed. */
bool io_thread_is_idle(struct io_thread *thread);
/* While it is quiet: another backend in the place of the one that was closed. */
void io_thread_set_backend(
	struct io_thread *thread, void *backend, const struct tcmu_backend_info *info);

void io_thread_set_lu_info(struct io_thread *thread, const struct scsi_lu_info *identity);
void io_thread_set_size(
	struct io_thread *thread, uint64_t size, const struct tcmu_backend_info *info);
void io_thread_set_write_cache(struct io_thread *thread, bool on);
void io_thread_set_limits(struct io_thread *thread, const struct rate_limits *limits);

/* What IO_SIGNAL_DEFERRED has asked for. It is asked for once, and to be answered once by
 * io_thread_deferred_done(). */
void io_thread_deferred(struct io_thread *thread, struct deferred_request *errand);
/* error: 0 or -errno. */
void io_thread_deferred_done(struct io_thread *thread, int error);

/* After IO_SIGNAL_RING_IDLE, when the kernel is blocked and the ring was reset: attaches the ring
 * again. IO_SIGNAL_ATTACHED or IO_SIGNAL_RING_BROKEN follows. */
void io_thread_reattach(struct io_thread *thread);

/* FORMAT_STATE_ bits. */
unsigned io_thread_format_state(const struct io_thread *thread);

/* Whether it ended with everything answered that it had fetched: the next daemon can go on where it
 * stopped.
 */
bool io_thread_ended_clean(const struct io_thread *thread);

/* Why IO_SIGNAL_RING_BROKEN: -errno and a sentence. Valid after the signal. */
int io_thread_error(const struct io_thread *thread, const char **text);

/* For the struct tcmu_host that handlers are given: its members complete and aio. */
void submit_complete(struct tcmu_io *io, int error);
void submit_aio(struct tcmu_io *io, struct tcmu_aio *aio);
