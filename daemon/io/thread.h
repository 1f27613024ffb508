/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's I/O thread: fetches commands from the ring, has them carried out, completes them; and
 * lets go of the ring.
 *
 * The thread attaches the ring itself and ends by itself, when it was told to drain, or saw that
 * the kernel's device is gone, and nothing is in flight any more. What it finds out it signals to
 * its owner as LOOP_ bits.
 *
 * The gate is a mutex that the thread holds exactly while it touches the ring in user space. It
 * holds it neither while handler code runs nor while it waits for the kernel's storage, so another
 * thread can always take the ring away (loop_revoke) however stuck this one is. Lock order: the
 * gate, then the lock of the orders that other threads give.
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
#define LOOP_ATTACHED       (1u << 0)
#define LOOP_UNREGISTERED   (1u << 1) /* uio says that the kernel's device is gone */
#define LOOP_BROKEN         (1u << 2) /* the ring could not be attached, or is corrupt */
#define LOOP_NEEDS_IDENTITY (1u << 3) /* commands wait for loop_set_identity() */
#define LOOP_ERASING        (1u << 5) /* loop_erasure() has changed */
#define LOOP_ERRAND         (1u << 6) /* a command waits for loop_errand_done() */
#define LOOP_WANTS_LOCK \
	(1u << 7) /* a command was refused that loop_set_access() keeps from the medium */
#define LOOP_QUIET (1u << 8) /* loop_is_quiet() may have become true */
#define LOOP_ENDED \
	(1u << 4) /* the last signal: loop_free() may be called, and the handler be closed */

/* Which commands get to the medium; the others are answered BUSY. */
enum loop_access {
	LOOP_ACCESS_ALL,
	LOOP_ACCESS_READS,
	LOOP_ACCESS_NONE,
};

/* How the ring is found. */
enum loop_start {
	LOOP_FRESH,     /* nobody has used it before, or its last user left nothing behind */
	LOOP_RECOVERED, /* its last user died: what it had fetched is answered BUSY by the kernel
			   first */
};

/* What the medium cannot be used for, or not yet: for who remembers it beyond the loop. Bits of one
 * word. */
#define LOOP_ERASURE_FORMAT   (1u << 0) /* a format operation is under way, or has failed */
#define LOOP_ERASURE_SANITIZE (1u << 1) /* the same of a sanitize operation */
#define LOOP_ERASURE_EXIT     (1u << 2) /* of which a failure may be left behind (AUSE) */

/* What a command needs done by the owner. */
enum loop_errand_kind {
	LOOP_ERRAND_SAVE = 1,   /* keep mode parameters for good */
	LOOP_ERRAND_SET_GROUPS, /* change states of target port groups */
};

struct loop_errand {
	enum loop_errand_kind kind;
	char serial[256]; /* SAVE */
	struct scsi_mode_values saved;
	struct scsi_group_states states; /* SET_GROUPS */
};

/* What a loop needs to know; copied, the pointers live as long as the loop. */
struct loop_setup {
	const char *name;        /* for the thread's name */
	struct tcmu_name device; /* the directory in configfs, for the recovery */
	unsigned minor;
	enum loop_start start;
	enum aio_kind aio;
	unsigned depth; /* commands in flight at most */
	struct throttle_limits limits;
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
	enum loop_access access;
	void (*signal)(void *owner, uint32_t bits); /* from the loop's thread; must not block */
	void *owner;
};

/* Starts the thread. -errno: no thread, nothing will be signalled. */
int loop_new(const struct loop_setup *setup, struct loop **loop);

/* After LOOP_ENDED only. Takes NULL. */
void loop_free(struct loop *loop);

/* The rest may be called from any thread until loop_free(). */

/* Stop fetching; end when nothing is in flight. cancel: also ask the backend to give up what is in
 * flight.
 */
void loop_drain(struct loop *loop, bool cancel);

/* Bounded release: takes the mapping and the uio descriptor away, now, whatever is in flight.
 * Commands in flight are never completed to the kernel. Takes milliseconds, may free up to 1 GiB in
 * the kernel. What can be cancelled is cancelled, as by loop_drain(). -ENOMEM: nothing was taken
 * away; to be tried again. */
int loop_revoke(struct loop *loop);

/* The commands of the kernel that are under way, in no order; at most max. Returns how many. Waits
 * for nobody. */
unsigned loop_requests(const struct loop *loop, struct stats_request *requests, unsigned max);

/* The oldest of them, and how many there are; 0: none, and *oldest is as it was. */
unsigned loop_oldest(const struct loop *loop, struct stats_request *oldest);

/* Requests that have not ended, for people: after a revoke, what is stuck. */
unsigned loop_in_flight(struct loop *loop);

/* From now on every command that needs the medium is answered with HARDWARE ERROR. */
void loop_sicken(struct loop *loop);

/* not_ready: SCSI_ASCQ_, what commands that need the medium are told instead of BUSY; or 0. */
void loop_set_access(struct loop *loop, enum loop_access access, uint8_t not_ready);
/* Since the last loop_set_access(), which was LOOP_ACCESS_NONE, everything that was with the
 * backend has ended: it can be closed. */
bool loop_is_quiet(struct loop *loop);
/* While it is quiet: another backend in the place of the one that was closed. */
void loop_set_backend(struct loop *loop, void *backend, const struct tcmu_backend_info *info);

void loop_set_identity(struct loop *loop, const struct scsi_identity *identity);
void loop_set_size(struct loop *loop, uint64_t size, const struct tcmu_backend_info *info);
void loop_set_write_cache(struct loop *loop, bool on);
void loop_set_limits(struct loop *loop, const struct throttle_limits *limits);

/* What LOOP_ERRAND has asked for. It is asked for once, and to be answered once by
 * loop_errand_done(). */
void loop_errand(struct loop *loop, struct loop_errand *errand);
/* error: 0 or -errno. */
void loop_errand_done(struct loop *loop, int error);

/* LOOP_ERASURE_ bits. */
unsigned loop_erasure(const struct loop *loop);

/* Whether it ended with everything answered that it had fetched: the next daemon can go on where it
 * stopped.
 */
bool loop_ended_clean(const struct loop *loop);

/* Why LOOP_BROKEN: -errno and a sentence. Valid after the signal. */
int loop_error(const struct loop *loop, const char **text);

/* For the struct tcmu_host that handlers are given: its members complete and aio. */
void io_complete(struct tcmu_io *io, int error);
void io_aio(struct tcmu_io *io, struct tcmu_aio *aio);
