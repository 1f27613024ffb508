/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command slot: one SCSI command from its fetch to its completion, with the one backend request
 * it has under way.
 *
 * The memory of all slots is there when the device's thread starts, and is touched when a slot is
 * used for the first time. They are used last-in first-out, so that an idle device touches few of
 * them. A slot belongs to the device's thread, but for the time between submit and completion of
 * its io: then only `completion` may be touched from outside, once.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/ring.h>

#include "aio/workers.h"
#include "io/stats.h"

struct io_thread;

/* Where a request to the backend stands; the guard against completing one twice. */
enum io_phase {
	IO_IDLE,
	IO_SUBMITTED,
	IO_COMPLETED,
};

struct command {
	struct io_thread *thread;
	struct command *next; /* of the list it is on: free, ready, parked, blocked, ended */
	struct command *finished_next; /* of the list of completed ios, pushed from any thread */

	/* as fetched */
	uint16_t cmd_id;
	uint8_t cdb_length;
	uint8_t cdb[TCMU_CDB_MAX];
	struct iovec *iov; /* the ring's pages; not changed after the fetch */
	uint32_t iov_cnt;
	uint32_t iov_max;
	uint64_t data_length; /* bytes */
	struct stats_flight flight;

	/* the answer */
	uint8_t status;
	bool has_read_len;
	uint32_t read_len;
	uint8_t sense[TCMU_SENSE_MAX];

	/* the plan and how far it is */
	struct scsi_plan plan;
	void (*step)(struct command *command, int error); /* called when io has ended */
	unsigned extent; /* of the plan: which extent, or which pass, is under way */
	uint64_t done;   /* bytes of the plan that are done */
	uint8_t *bounce; /* private copy of data, or NULL; goes back to the pool with the command */
	uint64_t bounce_length;
	uint32_t answer_length;        /* bytes of bounce that are data-in, copied at completion */
	struct xcopy *xcopy;           /* whose end it waits for, or NULL */
	struct xcopy_request *request; /* that it carries out for another command, or NULL */
	bool in_use;
	bool internal;     /* not the kernel's: nobody is answered when it ends */
	bool started;      /* its plan is under way */
	bool exclusive;    /* no other write to its range may be under way */
	bool writes_range; /* changes the blocks of its plan */
	bool aborted;      /* a task management function wants it to end */

	/* the request to the backend */
	struct tcmu_io io;
	struct iovec *io_iov; /* io.iov: the handler may change these */
	_Atomic(enum io_phase) phase;
	int io_error;
	struct work work; /* for handlers that may block */
};

static inline struct command *command_of_io(struct tcmu_io *io)
{
	return (struct command *) ((char *) io - offsetof(struct command, io));
}

/* A buffer that is in nobody's use, kept for the next who needs one. The size is that of all kept
 * ones of its class. */
struct bounce_class {
	struct bounce_free *first;
	unsigned kept;
};

#define BOUNCE_CLASSES 5 /* 4 KiB, 16 KiB, 64 KiB, 256 KiB, 1 MiB and a page more */

/* The slots of one device. */
struct command_pool {
	void *memory;
	struct io_thread *thread;
	size_t stride;
	size_t iov_offset;
	size_t priv_offset;
	unsigned iov_max;
	unsigned count;
	unsigned used; /* slots that have been used; the others' memory is untouched */
	struct command *free;
	unsigned in_use;
	struct bounce_class bounces[BOUNCE_CLASSES];
};

/* priv_size: bytes at io.priv; iov_max: iovecs that a command usually needs at most. -ENOMEM. */
int command_pool_init(
	struct command_pool *pool, struct io_thread *thread, unsigned count, unsigned iov_max,
	size_t priv_size);
void command_pool_destroy(struct command_pool *pool);

/* NULL: all are in use. */
struct command *command_get(struct command_pool *pool);
void command_put(struct command_pool *pool, struct command *command);

/* Whether command_get() will give one. */
static inline bool command_available(const struct command_pool *pool)
{
	return pool->free || pool->used < pool->count;
}

/* The i-th slot of the used ones, in use now or not. */
struct command *command_at(const struct command_pool *pool, unsigned i);

/* A buffer of so many bytes, page aligned, so that direct I/O can use it. From what is kept, as far
 * as sizes are usual. NULL: no memory. The device's thread; so is bounce_free_buffer(), which takes
 * NULL.
 */
void *bounce_alloc(struct command_pool *pool, uint64_t length);
void bounce_free_buffer(struct command_pool *pool, void *bounce);

/* Gives the slot room for more iovecs than usual. -ENOMEM. */
int command_grow_iov(struct command *command, uint32_t iov_max);
