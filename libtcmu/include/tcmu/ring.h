/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command ring that is shared with the kernel
 *
 * The functions fetch entries from a ring and write completions to it. A ring is memory, given by
 * its address and length; the functions use no descriptor and work as well on memory of a test.
 *
 * Every offset and length that the kernel has written is checked against the mapping once, when an
 * entry is decoded. One thread at a time uses a ring; the caller serialises. No call blocks or
 * allocates memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_CDB_MAX   32 /* bytes */
#define TCMU_SENSE_MAX 96 /* bytes */

/* Features of the mailbox */
#define TCMU_RING_OUT_OF_ORDER (1u << 0) /* completions may come in any order */
#define TCMU_RING_READ_LEN     (1u << 1) /* a completion may carry a read length */
#define TCMU_RING_TMR          (1u << 2) /* the kernel reports task management functions */
#define TCMU_RING_KEEP_BUF     (1u << 3) /* a completion may keep its buffer */

/* A ring. The caller owns it and reads its members only. */
struct tcmu_ring {
	uint8_t *base;
	size_t length;     /* bytes of the mapping */
	uint32_t cmdr_off; /* checked copies of the mailbox, which is not read again */
	uint32_t cmdr_size;
	uint32_t features;    /* TCMU_RING_ bits */
	uint32_t next;        /* where the next entry is fetched, bytes from cmdr_off */
	uint32_t tail;        /* where the next completion is written, bytes from cmdr_off */
	uint32_t published;   /* the cmd_tail that tcmu_ring_publish() has stored last */
	uint32_t scanned;     /* up to where tcmu_ring_next_tmr() has read, bytes from cmdr_off */
	uint32_t outstanding; /* commands that are fetched and not completed */
};

enum tcmu_entry_kind {
	TCMU_ENTRY_COMMAND = 1,
	TCMU_ENTRY_TMR,
};

/* Task management functions, as the kernel numbers them. */
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

/* A decoded entry. Its members are plain values; only tmr_ids points into the ring. */
struct tcmu_entry {
	enum tcmu_entry_kind kind;
	uint16_t cmd_id;
	uint8_t cdb[TCMU_CDB_MAX]; /* zero beyond cdb_length */
	uint8_t cdb_length;        /* by the opcode's group; at most TCMU_CDB_MAX */
	uint32_t iov_cnt;          /* of data-out or data-in */
	uint32_t bidi_cnt;         /* bidirectional vectors: counted only */
	uint32_t dif_cnt;          /* protection information vectors: counted only */
	uint64_t data_length;      /* sum of the iovecs, bytes */
	uint8_t tmr_type;          /* enum tcmu_tmr_type */
	uint32_t tmr_count;        /* commands that the function affects */
	const void *tmr_ids;       /* read by tcmu_entry_tmr_id() */
};

/* The answer to one command. */
struct tcmu_completion {
	uint16_t cmd_id;
	uint8_t status;    /* SCSI status */
	bool has_read_len; /* read_len is set: the kernel derives the residual from it */
	uint32_t read_len; /* bytes of data-in that are valid */
	const uint8_t
		*sense; /* TCMU_SENSE_MAX bytes or NULL; used with CHECK CONDITION (02h) only */
};

/* Checks the mailbox and initialises *ring. Fetching starts at cmd_tail, so that commands that
 * nothing has answered yet come first. base must be aligned to 64 bytes.
 *
 * Returns 0 or a negative errno:
 * -EPROTONOSUPPORT: the mailbox has another version.
 * -EBADMSG: the mailbox holds offsets that do not fit the mapping.
 * -EINVAL: base is not aligned. */
int tcmu_ring_attach(struct tcmu_ring *ring, void *base, size_t length);

/* Marks the entries where the published tail is and where the next one will be, so that
 * tcmu_ring_resume() knows them again. For a caller that notes a command for the case that it dies:
 * before it notes the tail. A command that was fetched has no answer.
 *
 * Returns 0 or a negative errno:
 * -ESTALE: the ring was reset. */
int tcmu_ring_mark(struct tcmu_ring *ring);

/* Attaches a ring whose last user has died and owes answers. Every command that the kernel waits
 * for counts as fetched, and no entry is read but for its length: answers of the last user may have
 * been written over it. tcmu_ring_complete() answers a command by the cmd_id that the caller has
 * noted. Nothing is left to fetch. published: the tail that the last user has published, after it
 * had called tcmu_ring_mark(). The kernel must be blocked, so that it adds nothing.
 *
 * Returns 0, or a negative errno like tcmu_ring_attach(), or:
 * -ESTALE: the ring was reset since, or has another tail, or the kernel has written another entry
 *   there. The noted commands may not be the kernel's any more. */
int tcmu_ring_resume(struct tcmu_ring *ring, void *base, size_t length, uint32_t published);

/* Fetches the next entry and its iovecs, whose addresses are those of this process, into
 * iov[0..iov_cnt). Padding is skipped. Entries with an unknown opcode are marked for the kernel and
 * skipped.
 *
 * Returns 1 if there was an entry; 0 if there is none; or a negative errno:
 * -ENOBUFS: iov_max is smaller than entry->iov_cnt. Nothing was fetched; call again.
 * -EBADMSG: the entry at ring->next is corrupt. The ring cannot be used any more.
 * -ESTALE: the ring was reset (configfs action reset_ring). The kernel has answered the outstanding
 *   commands; do not complete them. Attach again once nothing uses their buffers. */
int tcmu_ring_next(
	struct tcmu_ring *ring, struct tcmu_entry *entry, struct iovec *iov, uint32_t iov_max);

/* Checks whether the ring is still the one that was attached: a reset (configfs action/reset_ring)
 * starts a new generation of entries, and what was fetched from an old one must not be completed to
 * a new one. A few loads. A reset may still come right after the answer; then tcmu_ring_publish()
 * reports it.
 *
 * Returns 0 or a negative errno:
 * -ESTALE: the ring was reset. The caller must attach it again before it uses it. */
int tcmu_ring_check(const struct tcmu_ring *ring);

/* Fetches the next task management entry among those that tcmu_ring_next() has not reached. It is
 * for a caller that cannot take commands now: such an entry must not wait for the commands before
 * it. Each is given once, by this function or by tcmu_ring_next(). The commands stay to be fetched,
 * and the entry may name some of them.
 *
 * Returns 1: *entry is valid until the next tcmu_ring_publish(). 0: there is none. Or a negative
 * errno:
 * -ESTALE: the ring was reset.
 * -EBADMSG: the ring is corrupt. It cannot be used any more. */
int tcmu_ring_next_tmr(struct tcmu_ring *ring, struct tcmu_entry *entry);

/* Whether tcmu_ring_next() would find an entry: one acquire load of cmd_head.
 *
 * Returns true if there is one. */
bool tcmu_ring_pending(const struct tcmu_ring *ring);

/* How many bytes of the ring tcmu_ring_next() has not reached: padding counts.
 *
 * Returns 0 if there are none. */
uint32_t tcmu_ring_unread(const struct tcmu_ring *ring);

/* The cmd_id at index of a task management entry. Valid until the next tcmu_ring_publish().
 *
 * Returns the cmd_id, or 0 if index is not below tmr_count. */
uint16_t tcmu_entry_tmr_id(const struct tcmu_entry *entry, uint32_t index);

/* Writes the answer to one command into the slot at the tail. Commands may be completed in any
 * order. The kernel does not see the answer before tcmu_ring_publish().
 *
 * Returns 0 or a negative errno:
 * -EINVAL: no command is outstanding.
 * -EBADMSG: the slot at the tail is corrupt. The ring cannot be used any more.
 * -ESTALE: the ring was reset. Nothing was written. */
int tcmu_ring_complete(struct tcmu_ring *ring, const struct tcmu_completion *completion);

/* Publishes all completions to the kernel: one exchange of cmd_tail. The kernel consumes them when
 * tcmu_uio_doorbell() is called, which the caller does only after 0.
 *
 * Returns 0 or a negative errno:
 * -ESTALE: the ring was reset. The kernel has answered the commands that were fetched, and sees
 * none of the completions. */
int tcmu_ring_publish(struct tcmu_ring *ring);

#ifdef __cplusplus
}
#endif
