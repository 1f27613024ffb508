/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command slot: one SCSI command from its fetch to its completion, with the one backend request
 * that it has in flight.
 *
 * The memory of all slots is mapped when the I/O thread starts, and is touched when a slot is used
 * for the first time. They are used last in, first out, so that an idle device touches few of them.
 * A slot belongs to the I/O thread. While its request is with the handler, another thread may
 * complete it once, and touches only `phase`, `io_error` and `completed_node`; `flight` may be read
 * by any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/ring.h>

#include "aio/workers.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "io/core.h"
#include "io/stats.h"

/* Where a request to the backend stands; the guard against completing one twice. */
enum command_phase {
	COMMAND_IDLE,      /* no request */
	COMMAND_SUBMITTED, /* with the handler */
	COMMAND_COMPLETED, /* completed, and not yet reaped by the I/O thread */
};

/* The one list that a command is on. */
enum command_where {
	COMMAND_FREE,
	COMMAND_HELD, /* on none: it is being decided, has a request in flight, or an operation
			 waits with it; or on submit->completed, with COMMAND_COMPLETED */
	COMMAND_READY,
	COMMAND_BLOCKED,
	COMMAND_PENDING,
	COMMAND_ENDED,
};

struct command;

/* A request that is longer than the backend takes: it goes there in pieces, and its step is called
 * after the last one. */
struct command_cut {
	uint64_t offset; /* of the whole, bytes */
	uint64_t length;
	uint64_t done;     /* bytes of the pieces that were submitted */
	struct iovec next; /* what is left of io_iov[iov_at] */
	unsigned iov_at;   /* the first entry of io_iov that is not all submitted */
	unsigned iov_cnt;  /* entries of io_iov */
	void (*step)(struct command *command, int error);
};

/* The daemon reads and writes by itself at most so many bytes at once, wherever the rate limits or
 * its memory matter. */
#define COMMAND_PIECE_MAX (UINT64_C(256) * 1024)

/* Continues a command whose request has ended. error: 0 or -errno. */
typedef void command_step(struct command *command, int error);

struct command {
	struct core *core;
	struct list_node node; /* see where */
	enum command_where where;
	struct mpsc_node completed_node; /* of the requests that another thread has completed */

	/* as fetched */
	uint16_t cmd_id;
	uint8_t cdb_length;
	uint8_t cdb[TCMU_CDB_MAX];
	struct iovec *iov; /* the ring's pages; not changed after the fetch */
	uint32_t iov_cnt;
	uint32_t iov_max;
	uint64_t data_length; /* bytes */
	unsigned generation;  /* core->permission_generation, of the command whose part it is where
				 it is internal */
	struct stats_flight flight;
	uint64_t seen_at; /* when it was seen first by io/late.h, or began to wait for the main
			     thread, by clock_now_ns(); 0: not yet */

	/* the answer */
	uint8_t sense[TCMU_SENSE_MAX];
	uint32_t data_in;       /* bytes at the start of iov that this command has put there */
	uint32_t answer_length; /* bytes of bounce that are data-in, copied at completion */
	uint8_t status;

	/* its state */
	bool internal;     /* not the kernel's: nobody is answered when it ends */
	bool started;      /* its plan is in flight */
	bool exclusive;    /* no other write to its range may be in flight */
	bool unstable;     /* it has written data that may be in a volatile cache */
	bool late;         /* the kernel may have given it up: see io/late.h */
	bool writes_range; /* changes the blocks of its plan */
	bool aborted;      /* a task management function wants it to end */
	bool shown;        /* the handler has seen it and leaves it to the SCSI code */

	/* How the layers above are called; each may be NULL. */
	command_step *step;                     /* the request has ended */
	void (*begin)(struct command *command); /* starts the plan, outside of the ring lock */
	void (*cancel)(
		struct command *command); /* it is to end soon; only while it is COMMAND_HELD */
	void (*finished)(
		struct command *command); /* the slot is about to be freed; under the ring lock */
	void *context;                    /* theirs */
	struct note *note;                /* the next daemon's, if this one dies; NULL: none */

	/* the plan and how far it is */
	uint64_t done;       /* bytes of the plan that are done */
	unsigned extent;     /* the extent or the pass of the plan that is in flight */
	uint32_t block_size; /* bytes */
	uint64_t offset;     /* of the plan's range, bytes */
	uint64_t length;     /* of the plan's range, bytes */
	uint8_t *bounce;     /* private copy of data, or NULL; freed with the command */
	uint64_t bounce_length;
	struct scsi_plan plan;

	/* the request to the backend */
	struct iovec *io_iov; /* io.iov: the handler may change these */
	_Atomic(enum command_phase) phase;
	int io_error; /* of the last request, 0 or -errno */
	struct command_cut cut;
	struct work work;  /* for handlers that block */
	struct tcmu_io io; /* the last member: the handler's may be longer */
};

/* A free buffer that is kept for the next command that needs one. */
struct command_buffer;

/* The free buffers of one size. */
struct command_buffer_class {
	struct command_buffer *first;
	unsigned kept;
};

#define COMMAND_BUFFER_CLASSES 5 /* 4 KiB, 16 KiB, 64 KiB, 256 KiB, 1 MiB and a page more */

/* The slots of one device. */
struct command_pool {
	void *memory;
	struct core *core;
	size_t stride;
	size_t iov_offset;
	size_t priv_offset;
	unsigned iov_max;
	unsigned count;
	unsigned used; /* slots that have been used; the others' memory is untouched */
	struct list free;
	unsigned in_use;
	unsigned internal; /* of these, how many are not the kernel's */
	struct command_buffer_class buffers[COMMAND_BUFFER_CLASSES];
};

/* io_size: bytes of the handler's struct tcmu_io; priv_size: bytes at io.priv; iov_max: iovecs that
 * a command usually needs at most. -ENOMEM. Any thread. */
int command_pool_init(
	struct command_pool *pool, struct core *core, unsigned count, unsigned iov_max,
	size_t io_size, size_t priv_size);

/* No slot may be in use. Takes a pool of zeros. Any thread. */
void command_pool_destroy(struct command_pool *pool);

/* A slot for a command of the kernel, or (internal) for one that carries out a part of another. It
 * is COMMAND_HELD, and everything but the fetched members is reset. NULL: all are in use. */
struct command *command_get(struct command_pool *pool, bool internal);

/* Gives a slot back that command_get() has returned for a command of the kernel, and that was not
 * used. */
void command_put_unused(struct command_pool *pool, struct command *command);

/* Gives a slot back that is on no list. */
void command_put(struct command_pool *pool, struct command *command);

/* Whether command_get() will return one. */
static inline bool command_available(const struct command_pool *pool)
{
	return pool->in_use < pool->count;
}

/* The i-th slot, below pool->count. Only those below pool->used have been in use; of the others
 * only `flight` may be read. */
struct command *command_at(const struct command_pool *pool, unsigned i);

/* Gives the slot room for more iovecs than usual. -ENOMEM: it is as it was. */
int command_grow_iov(struct command *command, uint32_t iov_max);

/* A buffer of length bytes at command->bounce, page aligned, so that direct I/O can use it; the
 * command has none yet. From the kept ones, as far as sizes are usual. False: no memory. */
bool command_alloc_bounce(struct command *command, uint64_t length);

/* ------- its way; all of them on the I/O thread ------- */

/* The command is decided: it is to be started. */
void command_ready(struct command *command);

/* Sets the answer; the command is to be completed to the kernel. sense: for SCSI_CHECK_CONDITION,
 * else NULL. */
void command_end(struct command *command, uint8_t status, const struct scsi_sense *sense);

/* The command ends with the sense for error (-errno), reported as of the block at which its request
 * failed. */
void command_end_failed(struct command *command, int error);

/* The same for a block. offset: for a miscompare (-EILSEQ), of the first byte in the data-out that
 * differs. */
void command_end_failed_at(struct command *command, int error, uint64_t lba, uint64_t offset);

/* Copies len bytes to the data-in of a command, as far as there is room. Under the ring lock. */
void command_copy_in(struct command *command, const uint8_t *data, uint32_t len);
