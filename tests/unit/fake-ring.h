/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a ring, in this process: it makes the shared memory, queues commands with
 *their CDB and data as the kernel does, and takes completions as the kernel does. For unit tests of
 *the ring and of the daemon, for micro-benchmarks and for fuzz targets. It shares no code with
 *libtcmu's ring.c.
 *
 * A test that plays both sides:
 *
 *	fake = fake_ring_new(&(struct fake_ring_options) {});
 *	tcmu_ring_attach(&ring, fake_ring_base(fake), fake_ring_length(fake));
 *	id = fake_ring_push(fake, &(struct fake_command) {.cdb = read10, .cdb_length = 10, .length =
 *4096}); fake_ring_publish(fake);			what was pushed becomes visible
 *	tcmu_ring_next(...), tcmu_ring_complete(...), tcmu_ring_publish(...)
 *	fake_ring_consume(fake, on_completion, data);	what write() on the uio device makes the
 *kernel do fake_ring_free(fake);
 *
 * The memory is a memfd: its descriptor can stand in for /dev/uioN, tcmu_uio_map() maps it.
 *
 * Threads: everything here belongs to one thread, "the kernel"; the other side may be on another
 *thread. Only cmd_head and cmd_tail are atomic, with the kernel's orders.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct fake_ring;

/* A zero means the default. */
struct fake_ring_options {
	uint32_t ring_size;   /* cmdr_size, bytes; 64 KiB less the mailbox */
	uint32_t block_size;  /* of a data block, bytes; 4096 */
	uint32_t block_count; /* data blocks; 1024 */
	uint16_t version;     /* 2 */
	uint16_t features;    /* OOOC, READ_LEN, TMR, KEEP_BUF */
	bool scatter; /* never give a command two neighbouring blocks: one iovec for each block */
};

/* NULL when there is no memory. */
struct fake_ring *fake_ring_new(const struct fake_ring_options *options);
void fake_ring_free(struct fake_ring *fake);

void *fake_ring_base(const struct fake_ring *fake);
size_t fake_ring_length(const struct fake_ring *fake);
int fake_ring_fd(const struct fake_ring *fake);

struct fake_command {
	const uint8_t *cdb;
	uint32_t cdb_length;  /* bytes of cdb; the entry has room for it rounded up to 8 */
	const void *data_out; /* length bytes to write, or NULL: a read, or no data at all */
	uint32_t length;      /* bytes of data */
	uint32_t bidi_length; /* bytes of data-in beside the data-out */
	void *cookie;         /* handed out at completion */
};

/* Queues a command, with a PAD entry before it where it does not fit before the ring's end. Not
 * visible before fake_ring_publish(). Returns its cmd_id; -ENOSPC: the ring or the data area is
 * full; -EIO: the ring is broken. */
int fake_ring_push(struct fake_ring *fake, const struct fake_command *command);

/* A PAD entry of this length in the middle of the ring. 0; -ENOSPC. */
int fake_ring_push_pad(struct fake_ring *fake, uint32_t length);

/* 0; -ENOSPC. */
int fake_ring_push_tmr(struct fake_ring *fake, uint8_t type, const uint16_t *ids, uint32_t count);

/* An entry with an opcode that does not exist yet (3..7), which is a command for this side: it
 * waits for its completion. Returns its cmd_id; -ENOSPC. */
int fake_ring_push_unknown(struct fake_ring *fake, uint8_t op);

/* Stores cmd_head. Returns whether there was something new: then the kernel would notify. */
bool fake_ring_publish(struct fake_ring *fake);

struct fake_completion {
	uint16_t cmd_id;
	void *cookie;
	uint8_t status;
	uint8_t uflags; /* TCMU_UFLAG_UNKNOWN_OP 1, TCMU_UFLAG_READ_LEN 2 */
	uint32_t read_len;
	const uint8_t *sense; /* 96 bytes; the slot's, valid in the callback */
	uint32_t length;      /* of the command's data */
	/* Where the data is: with a read, what the other side put there. Freed after the callback.
	 */
	const struct iovec *iov;
	unsigned iov_cnt;
};

typedef void fake_completion_fn(const struct fake_completion *completion, void *userdata);

/* Walks the slots up to cmd_tail, as write() on the uio device does. Returns how many commands
 * ended; -EIO: an answer to a command that is not there, or a cmd_tail that is no entry's start:
 * the ring is broken from now on. */
int fake_ring_consume(struct fake_ring *fake, fake_completion_fn *done, void *userdata);

bool fake_ring_broken(const struct fake_ring *fake);

/* Commands that were pushed and did not end. */
unsigned fake_ring_outstanding(const struct fake_ring *fake);

/* configfs action/reset_ring: everything ends unanswered, both positions are 0, the data blocks are
 * free. */
void fake_ring_reset(struct fake_ring *fake);

/* Where the next entry will be; where the last completion was taken; bytes from the ring's start.
 */
uint32_t fake_ring_head(const struct fake_ring *fake);
uint32_t fake_ring_cleaned(const struct fake_ring *fake);

/* An address in the command ring, to spoil an entry there. */
void *fake_ring_slot(const struct fake_ring *fake, uint32_t position);

/* Copies a completion's data out of its iovecs. Returns how many bytes. */
size_t fake_completion_data(const struct fake_completion *completion, void *data, size_t size);
