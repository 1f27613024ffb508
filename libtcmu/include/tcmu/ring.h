/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command ring shared with the kernel, over a mapping given by (base, length). No file
 * descriptor here: what is in this file works as well on memory that a test made.
 *
 * Every offset and length that the kernel wrote is checked against the mapping once, when an entry
 * is decoded. A ring is used by one thread at a time; the caller serialises.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_CDB_MAX   32
#define TCMU_SENSE_MAX 96

/* mailbox features */
#define TCMU_RING_OUT_OF_ORDER (1u << 0)
#define TCMU_RING_READ_LEN     (1u << 1)
#define TCMU_RING_TMR          (1u << 2)
#define TCMU_RING_KEEP_BUF     (1u << 3)

struct tcmu_ring {
	uint8_t *base;
	size_t length;
	uint32_t cmdr_off; /* checked copies; the mailbox is not asked again */
	uint32_t cmdr_size;
	uint32_t features;
	uint32_t next;        /* where the next entry is fetched, bytes from cmdr_off */
	uint32_t tail;        /* where the next completion is written; published as cmd_tail by
			       * tcmu_ring_publish()
			       */
	uint32_t published;   /* the cmd_tail that the kernel was told last */
	uint32_t scanned;     /* up to where tcmu_ring_next_tmr() has looked */
	uint32_t outstanding; /* commands fetched and not completed */
};

enum tcmu_entry_kind {
	TCMU_ENTRY_COMMAND = 1,
	TCMU_ENTRY_TMR,
};

/* Task management functions of a TMR entry, as the kernel numbers them. */
enum tcmu_tmr_type {
	TCMU_TMR_TYPE_UNKNOWN = 0,
	TCMU_TMR_TYPE_ABORT_TASK,
	TCMU_TMR_TYPE_ABORT_TASK_SET,
	TCMU_TMR_TYPE_CLEAR_ACA,
	TCMU_TMR_TYPE_CLEAR_TASK_SET,
	TCMU_TMR_TYPE_LUN_RESET,
	TCMU_TMR_TYPE_TARGET_WARM_RESET,
	TCMU_TMR_TYPE_TARGET_COLD_RESET,
	TCMU_TMR_TYPE_LUN_RESET_PRO = 128,
};

/* A decoded entry: plain values, nothing points into the ring but tmr_ids. */
struct tcmu_entry {
	enum tcmu_entry_kind kind;
	uint16_t cmd_id;
	uint8_t cdb[TCMU_CDB_MAX]; /* zero beyond cdb_length */
	uint8_t cdb_length;        /* by the opcode's group; a longer one is cut at TCMU_CDB_MAX */
	uint32_t iov_cnt; /* data-out or data-in; bidirectional and protection vectors are counted
			     but not given */
	uint32_t bidi_cnt;
	uint32_t dif_cnt;
	uint64_t data_length; /* sum of the iovecs, bytes */
	uint8_t tmr_type;
	uint32_t tmr_count;
	/* tmr_count unaligned u16 in the ring, valid until the next tcmu_ring_publish():
	 * tcmu_entry_tmr_id()
	 */
	const void *tmr_ids;
};

/* An answer to one command. sense is looked at only with CHECK CONDITION (status 02h). */
struct tcmu_completion {
	uint16_t cmd_id;
	uint8_t status;
	bool has_read_len; /* set the length of the data-in that is valid, for the residual */
	uint32_t read_len;
	const uint8_t *sense; /* TCMU_SENSE_MAX bytes or NULL */
};

/* Checks the mailbox and starts at cmd_tail: what was fetched by nobody yet is fetched first.
 * -EPROTONOSUPPORT: another mailbox version. -EBADMSG: offsets that do not fit the mapping.
 * -EINVAL: base is not aligned to 64 bytes. */
int tcmu_ring_attach(struct tcmu_ring *ring, void *base, size_t length);

/* The next entry, its iovecs (addresses in this process) in iov[0..iov_cnt). PAD entries and
 * unknown opcodes are skipped, the latter marked for the kernel. 1: one entry. 0: nothing there.
 * -ENOBUFS: iov_max is smaller than entry->iov_cnt, nothing fetched, call again. -EBADMSG: the
 * entry at ring->next is corrupt; the ring can not be used any further. -ESTALE: the ring was reset
 * (configfs action/reset_ring) behind our back; what was fetched has been answered by the kernel
 * and must not be completed any more. Once nothing of it is in use, attach again. */
int tcmu_ring_next(
	struct tcmu_ring *ring, struct tcmu_entry *entry, struct iovec *iov, uint32_t iov_max);

/* Whether the ring is still of the generation that was attached: what was fetched from it may be
 * completed. 0, or -ESTALE as from tcmu_ring_next(). A few loads; to be asked before anything that
 * depends on it, also where nothing can be fetched. A reset may still come right after the answer;
 * then what is written goes nowhere, and tcmu_ring_publish() says so. */
int tcmu_ring_check(const struct tcmu_ring *ring);

/* The next TMR entry among those that tcmu_ring_next() has not reached, for a caller that cannot
 * take commands now: a task management function must not wait for the commands before it. Each TMR
 * entry is given once, by this function or by tcmu_ring_next(); the commands stay to be fetched.
 * What it names may be among them. 1: one entry. 0: there is none. Errors as tcmu_ring_next(). */
int tcmu_ring_next_tmr(struct tcmu_ring *ring, struct tcmu_entry *entry);

/* Whether tcmu_ring_next() would find something; an acquire load of cmd_head. */
bool tcmu_ring_pending(const struct tcmu_ring *ring);

/* The command's number at index, 0 beyond tmr_count. */
uint16_t tcmu_entry_tmr_id(const struct tcmu_entry *entry, uint32_t index);

/* Writes the answer into the slot at the tail. Any order. Not seen by the kernel before
 * tcmu_ring_publish(). -EINVAL: no command is outstanding. -EBADMSG: the slot at the tail is
 * corrupt. -ESTALE: the ring was reset. */
int tcmu_ring_complete(struct tcmu_ring *ring, const struct tcmu_completion *completion);

/* Makes all completions written so far visible to the kernel. The doorbell is uio's, and to be rung
 * only after 0. -ESTALE: the ring was reset; the kernel has answered what was fetched, and sees
 * none of the completions. */
int tcmu_ring_publish(struct tcmu_ring *ring);

#ifdef __cplusplus
}
#endif
