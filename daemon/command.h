/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command slot: one SCSI command from its fetch to its completion, with the one backend request it has
 * under way.
 *
 * Slots are made when the device's thread starts and are used last-in first-out, so that an idle device
 * touches few of them. A slot belongs to the device's thread, but for the time between submit and completion
 * of its io: then only `completion` may be touched from outside, once.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/ring.h>

#include "stats.h"
#include "workers.h"

struct loop;

/* Where a request to the backend stands; the guard against completing one twice. */
enum io_phase {
	IO_IDLE,
	IO_SUBMITTED,
	IO_COMPLETED,
};

struct command {
	struct loop *loop;
	struct command *next;          /* of the list it is on: free, ready, parked, blocked, ended */
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
	uint8_t *bounce; /* private copy of data, or NULL; freed with the command */
	uint64_t bounce_length;
	uint32_t answer_length;       /* bytes of bounce that are data-in, copied at completion */
	struct copy *copy;            /* whose end it waits for, or NULL */
	struct peer_request *request; /* that it carries out for another command, or NULL */
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

/* The slots of one device. */
struct command_pool {
	void *memory;
	size_t stride;
	unsigned count;
	struct command *free;
	unsigned in_use;
};

/* priv_size: bytes at io.priv; iov_max: iovecs that a command usually needs at most. -ENOMEM. */
int command_pool_init(
	struct command_pool *pool, struct loop *loop, unsigned count, unsigned iov_max, size_t priv_size);
void command_pool_destroy(struct command_pool *pool);

/* NULL: all are in use. */
struct command *command_get(struct command_pool *pool);
void command_put(struct command_pool *pool, struct command *command);

/* The i-th slot, in use or not. */
struct command *command_at(const struct command_pool *pool, unsigned i);

/* Gives the slot room for more iovecs than usual. -ENOMEM. */
int command_grow_iov(struct command *command, uint32_t iov_max);
