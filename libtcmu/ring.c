/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command ring: fetching entries, writing completions. One thread at a time; the caller
 * serialises.
 *
 * The memory is shared and may change at any moment. Everything that is checked is first copied,
 * once, and only the copy is used. So a change between check and use cannot lead out of the
 * mapping. Four positions move round the ring:
 *
 *	published <= tail <= next <= cmd_head	(counted from published, modulo cmdr_size)
 *	next <= scanned <= cmd_head
 *
 * The kernel reuses nothing between published and cmd_head. So next cannot catch up with published,
 * and tail == next means that no command is outstanding.
 *
 * A reset (configfs action/reset_ring) sets cmd_tail and cmd_head to 0 and starts a new generation
 * of entries, which has no number. Two signs replace it. Only this library writes cmd_tail: if it
 * differs from published, the ring was reset. If 0 was published, this sign shows nothing. But then
 * an entry was fetched from position 0 and is not completed. It carries our mark, which is gone
 * once the kernel has written another entry there. A reset ring without entries has cmd_head at 0.
 */
#include <tcmu/ring.h>

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "kernel-abi.h"

_Static_assert(
	TCMU_RING_OUT_OF_ORDER == TCMU_MAILBOX_FLAG_CAP_OOOC, "feature bits are the mailbox's");
_Static_assert(
	TCMU_RING_READ_LEN == TCMU_MAILBOX_FLAG_CAP_READ_LEN, "feature bits are the mailbox's");
_Static_assert(TCMU_RING_TMR == TCMU_MAILBOX_FLAG_CAP_TMR, "feature bits are the mailbox's");
_Static_assert(
	TCMU_RING_KEEP_BUF == TCMU_MAILBOX_FLAG_CAP_KEEP_BUF, "feature bits are the mailbox's");
_Static_assert(TCMU_SENSE_MAX == TCMU_SENSE_BUFFERSIZE, "sense of a response");

#define STATUS_CHECK_CONDITION 0x02

/* In uflags of the entry at position 0, from its fetch on, and of those that tcmu_ring_mark()
 * marks. The kernel knows no such flag and clears it with each entry that it writes. */
#define GENERATION_MARK    0x80

#define RING_MAILBOX(ring) ((struct tcmu_mailbox *) (ring)->base)
#define UFLAGS_OFFSET      offsetof(struct tcmu_cmd_entry_hdr, uflags)

/* An entry whose header is copied and whose length fits where it is. */
struct ring_slot {
	uint8_t *at; /* in the ring */
	enum tcmu_opcode op;
	uint32_t length;
	uint32_t end; /* the position behind it */
	uint16_t cmd_id;
};

/* Copies from shared memory. The fence keeps the compiler from reading the shared memory again. */
static void copy_shared(void *copy, const void *shared, size_t length)
{
	memcpy(copy, shared, length);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static bool position_valid(const struct tcmu_ring *ring, uint32_t position)
{
	return position < ring->cmdr_size && position % TCMU_OP_ALIGN_SIZE == 0;
}

/* The distance in bytes from one position to a later one. */
static uint32_t ring_distance(const struct tcmu_ring *ring, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : ring->cmdr_size - from + to;
}

/* ------- generations ------- */

static uint8_t *uflags_at(const struct tcmu_ring *ring, uint32_t position)
{
	return ring->base + ring->cmdr_off + position + UFLAGS_OFFSET;
}

static bool is_marked(const struct tcmu_ring *ring, uint32_t position)
{
	return __atomic_load_n(uflags_at(ring, position), __ATOMIC_RELAXED) & GENERATION_MARK;
}

static void set_mark(const struct tcmu_ring *ring, uint32_t position)
{
	uint8_t *uflags = uflags_at(ring, position);

	__atomic_store_n(uflags, *uflags | GENERATION_MARK, __ATOMIC_SEQ_CST);
}

/* Where an entry was fetched from position 0, or is about to be. */
static bool mark_holds(const struct tcmu_ring *ring)
{
	/* The acquiring load of the head comes first: after it, a new entry is seen unmarked. */
	return __atomic_load_n(&RING_MAILBOX(ring)->cmd_head, __ATOMIC_ACQUIRE) != 0 &&
		is_marked(ring, 0);
}

/* marked: an entry was fetched from position 0, or is being fetched. */
static int check_generation(const struct tcmu_ring *ring, bool marked)
{
	if (__atomic_load_n(&RING_MAILBOX(ring)->cmd_tail, __ATOMIC_ACQUIRE) != ring->published)
		return -ESTALE;
	return ring->published == 0 && marked && !mark_holds(ring) ? -ESTALE : 0;
}

int tcmu_ring_check(const struct tcmu_ring *ring)
{
	return check_generation(ring, ring->next != 0);
}

/* ------- fetching ------- */

/* Copies and checks the header of the entry at position, which lies before limit. */
static int read_slot(
	const struct tcmu_ring *ring, uint32_t position, uint32_t limit, struct ring_slot *slot)
{
	struct tcmu_cmd_entry_hdr hdr;

	slot->at = ring->base + ring->cmdr_off + position;
	copy_shared(&hdr, slot->at, sizeof(hdr));
	slot->op = tcmu_hdr_get_op(hdr.len_op);
	slot->length = tcmu_hdr_get_len(hdr.len_op);
	slot->cmd_id = hdr.cmd_id;
	if (slot->length < sizeof(hdr) || slot->length > ring->cmdr_size - position ||
	    slot->length > ring_distance(ring, position, limit))
		return -EBADMSG;
	if (slot->op == TCMU_OP_CMD && slot->length < sizeof(struct tcmu_cmd_entry))
		return -EBADMSG;             /* no room for the response */
	slot->end = position + slot->length; /* no entry crosses the end of the ring */
	if (slot->end == ring->cmdr_size)
		slot->end = 0;
	return 0;
}

/* Moves the tail past slots that need no answer, up to the next command or the first entry that is
 * not fetched. It also stops at a corrupt slot, which the next completion reports. */
static void pass_silent_slots(struct tcmu_ring *ring)
{
	struct ring_slot slot;

	while (ring->tail != ring->next && read_slot(ring, ring->tail, ring->next, &slot) == 0 &&
	       slot.op != TCMU_OP_CMD)
		ring->tail = slot.end;
}

int tcmu_ring_attach(struct tcmu_ring *ring, void *base, size_t length)
{
	struct tcmu_mailbox copy;

	if ((uintptr_t) base % _Alignof(struct tcmu_mailbox) != 0)
		return -EINVAL;
	if (length < sizeof(copy))
		return -EBADMSG;
	copy_shared(&copy, base, sizeof(copy));
	if (copy.version != TCMU_MAILBOX_VERSION)
		return -EPROTONOSUPPORT;
	if (copy.cmdr_off < sizeof(copy) || copy.cmdr_off % TCMU_OP_ALIGN_SIZE != 0 ||
	    copy.cmdr_off > length || copy.cmdr_size < sizeof(struct tcmu_cmd_entry) ||
	    copy.cmdr_size % TCMU_OP_ALIGN_SIZE != 0 || copy.cmdr_size > length - copy.cmdr_off)
		return -EBADMSG;

	*ring = (struct tcmu_ring){
		.base = base,
		.length = length,
		.cmdr_off = copy.cmdr_off,
		.cmdr_size = copy.cmdr_size,
		.features = copy.flags &
			(TCMU_RING_OUT_OF_ORDER | TCMU_RING_READ_LEN | TCMU_RING_TMR |
			 TCMU_RING_KEEP_BUF),
		.next = copy.cmd_tail,
		.tail = copy.cmd_tail,
		.published = copy.cmd_tail,
		.scanned = copy.cmd_tail,
	};
	if (!position_valid(ring, copy.cmd_tail) || !position_valid(ring, copy.cmd_head))
		return -EBADMSG;
	return 0;
}

int tcmu_ring_mark(struct tcmu_ring *ring)
{
	if (tcmu_ring_check(ring) < 0)
		return -ESTALE;
	/* An entry that is not fetched belongs to the kernel. */
	if (ring->published != ring->next)
		set_mark(ring, ring->published);
	if (ring->tail != ring->next)
		set_mark(ring, ring->tail);
	return 0;
}

int tcmu_ring_resume(struct tcmu_ring *ring, void *base, size_t length, uint32_t published)
{
	struct ring_slot slot;
	uint32_t head;
	int r = tcmu_ring_attach(ring, base, length);

	if (r < 0)
		return r;
	head = __atomic_load_n(&RING_MAILBOX(ring)->cmd_head, __ATOMIC_ACQUIRE);
	if (ring->published != published || check_generation(ring, true) < 0 ||
	    !is_marked(ring, published))
		return -ESTALE;
	if (!position_valid(ring, head))
		return -EBADMSG;
	while (ring->next != head) {
		r = read_slot(ring, ring->next, head, &slot);
		if (r < 0)
			return r;
		ring->next = slot.end;
		ring->outstanding += slot.op == TCMU_OP_CMD;
	}
	ring->scanned = ring->next;
	pass_silent_slots(ring);
	return 0;
}

bool tcmu_ring_pending(const struct tcmu_ring *ring)
{
	return __atomic_load_n(&RING_MAILBOX(ring)->cmd_head, __ATOMIC_ACQUIRE) != ring->next;
}

uint32_t tcmu_ring_unread(const struct tcmu_ring *ring)
{
	uint32_t head = __atomic_load_n(&RING_MAILBOX(ring)->cmd_head, __ATOMIC_ACQUIRE);

	if (head >= ring->cmdr_size)
		return 0;
	return head >= ring->next ? head - ring->next : ring->cmdr_size - ring->next + head;
}

/* Copies the CDB, which is somewhere in the command ring. The opcode's group (SPC-4 4.2.5.1) gives
 * its length. No byte is read twice, and none after the CDB, where the kernel may be writing the
 * next entry. */
static int read_cdb(const struct tcmu_ring *ring, uint64_t offset, struct tcmu_entry *entry)
{
	static const uint8_t by_group[8] = {6, 10, 10, 12, 16, 12, 10, 10};
	uint64_t end = (uint64_t) ring->cmdr_off + ring->cmdr_size;
	size_t length, copied = 6; /* of each CDB */

	if (offset < ring->cmdr_off || offset >= end || end - offset < copied)
		return -EBADMSG;
	memset(entry->cdb, 0, sizeof(entry->cdb));
	copy_shared(entry->cdb, ring->base + offset, copied);
	length = by_group[entry->cdb[0] >> 5];
	if (entry->cdb[0] == 0x7f) { /* variable length: byte 7 counts from byte 8 */
		if (end - offset < 8)
			return -EBADMSG;
		copy_shared(entry->cdb + copied, ring->base + offset + copied, 8 - copied);
		copied = 8;
		length = copied + entry->cdb[7];
	}
	if (length > end - offset)
		return -EBADMSG;
	if (length > TCMU_CDB_MAX)
		length = TCMU_CDB_MAX;
	assert(length >= copied);
	copy_shared(entry->cdb + copied, ring->base + offset + copied, length - copied);
	entry->cdb_length = (uint8_t) length;
	return 0;
}

/* Copies the CDB and the iovecs. Each iovec must be in the data area, which follows the command
 * ring.
 */
static int read_command(
	const struct tcmu_ring *ring, const struct ring_slot *slot, struct tcmu_entry *entry,
	struct iovec *iov, uint32_t iov_max)
{
	uint64_t data_area = (uint64_t) ring->cmdr_off + ring->cmdr_size;
	uint64_t iov_room = (slot->length - TCMU_ENTRY_IOV_OFFSET) /
		sizeof(struct tcmu_kernel_iovec);
	struct tcmu_cmd_entry copy; /* only its request is copied */
	int r;

	copy_shared(&copy, slot->at, TCMU_ENTRY_IOV_OFFSET);
	if ((uint64_t) copy.req.iov_cnt + copy.req.iov_bidi_cnt + copy.req.iov_dif_cnt > iov_room)
		return -EBADMSG;
	entry->kind = TCMU_ENTRY_COMMAND;
	entry->cmd_id = slot->cmd_id;
	entry->iov_cnt = copy.req.iov_cnt;
	entry->bidi_cnt = copy.req.iov_bidi_cnt;
	entry->dif_cnt = copy.req.iov_dif_cnt;
	entry->tmr_count = 0;
	r = read_cdb(ring, copy.req.cdb_off, entry);
	if (r < 0)
		return r;
	if (entry->iov_cnt > iov_max)
		return -ENOBUFS;
	entry->data_length = 0;
	for (uint32_t i = 0; i < entry->iov_cnt; i++) {
		struct tcmu_kernel_iovec vec;
		uint64_t offset;

		copy_shared(&vec, slot->at + TCMU_ENTRY_IOV_OFFSET + i * sizeof(vec), sizeof(vec));
		offset = (uintptr_t) vec.iov_base;
		if (offset < data_area || offset > ring->length ||
		    vec.iov_len > ring->length - offset)
			return -EBADMSG;
		/* The length of a command's data has 32 bits; this also bounds the sum. */
		if (vec.iov_len > UINT32_MAX - entry->data_length)
			return -EBADMSG;
		entry->data_length += vec.iov_len;
		iov[i] = (struct iovec){.iov_base = ring->base + offset, .iov_len = vec.iov_len};
	}
	return 0;
}

static int read_tmr(const struct ring_slot *slot, struct tcmu_entry *entry)
{
	struct tcmu_tmr_entry copy;

	if (slot->length < sizeof(copy))
		return -EBADMSG;
	copy_shared(&copy, slot->at, sizeof(copy));
	if (copy.cmd_cnt > (slot->length - sizeof(copy)) / sizeof(copy.cmd_ids[0]))
		return -EBADMSG;
	memset(entry, 0, sizeof(*entry));
	entry->kind = TCMU_ENTRY_TMR;
	entry->tmr_type = copy.tmr_type;
	entry->tmr_count = copy.cmd_cnt;
	entry->tmr_ids = slot->at + offsetof(struct tcmu_tmr_entry, cmd_ids);
	return 0;
}

/* Checks the kernel's positions against ours. Returns 1: there is an entry at next; 0: none; or a
 * negative errno. */
static int check_head(const struct tcmu_ring *ring, uint32_t *head)
{
	*head = __atomic_load_n(&RING_MAILBOX(ring)->cmd_head, __ATOMIC_ACQUIRE);
	/* A reset stores the tail first, then the head, which may have reached next again since. */
	if (check_generation(ring, ring->next != 0) < 0)
		return -ESTALE;
	if (*head == ring->next)
		return 0;
	if (!position_valid(ring, *head) ||
	    ring_distance(ring, ring->published, *head) <
		    ring_distance(ring, ring->published, ring->next))
		return -EBADMSG;
	return 1;
}

int tcmu_ring_next(
	struct tcmu_ring *ring, struct tcmu_entry *entry, struct iovec *iov, uint32_t iov_max)
{
	struct ring_slot slot;
	uint32_t head;
	int r;

	r = check_head(ring, &head);
	if (r <= 0)
		return r;
	while (ring->next != head) {
		bool scanned_ahead = ring->scanned != ring->next;
		bool given = false;

		/* The mark distinguishes generations where the tail does not. */
		if (ring->next == 0)
			set_mark(ring, 0);
		r = read_slot(ring, ring->next, head, &slot);
		if (r >= 0 && slot.op == TCMU_OP_CMD) {
			r = read_command(ring, &slot, entry, iov, iov_max);
			given = true;
		} else if (r >= 0 && slot.op == TCMU_OP_TMR && !scanned_ahead) {
			r = read_tmr(&slot, entry);
			given = true;
		} else if (r >= 0 && slot.op != TCMU_OP_PAD && slot.op != TCMU_OP_TMR) {
			slot.at[UFLAGS_OFFSET] |= TCMU_UFLAG_UNKNOWN_OP;
		}
		/* The copy counts only if the kernel has not written another entry. */
		if (check_generation(ring, true) < 0)
			return -ESTALE;
		if (r < 0)
			return r;
		ring->next = slot.end;
		if (!scanned_ahead)
			ring->scanned = ring->next;
		if (slot.op == TCMU_OP_CMD)
			ring->outstanding++;
		else
			pass_silent_slots(ring);
		if (given)
			return 1;
	}
	return 0;
}

int tcmu_ring_next_tmr(struct tcmu_ring *ring, struct tcmu_entry *entry)
{
	struct ring_slot slot;
	uint32_t head;
	int r;

	r = check_head(ring, &head);
	if (r <= 0)
		return r;
	while (ring->scanned != head) {
		if (ring_distance(ring, ring->published, head) <
		    ring_distance(ring, ring->published, ring->scanned))
			return -EBADMSG;
		r = read_slot(ring, ring->scanned, head, &slot);
		if (r >= 0 && slot.op == TCMU_OP_TMR)
			r = read_tmr(&slot, entry) < 0 ? -EBADMSG : 1;
		if (tcmu_ring_check(ring) < 0)
			return -ESTALE;
		if (r < 0)
			return r;
		ring->scanned = slot.end;
		if (r > 0)
			return 1;
	}
	return 0;
}

uint16_t tcmu_entry_tmr_id(const struct tcmu_entry *entry, uint32_t index)
{
	uint16_t id;

	if (index >= entry->tmr_count)
		return 0; /* no such command */
	memcpy(&id, (const uint8_t *) entry->tmr_ids + index * sizeof(id), sizeof(id));
	return id;
}

int tcmu_ring_complete(struct tcmu_ring *ring, const struct tcmu_completion *completion)
{
	struct tcmu_cmd_entry answer = {
		.hdr.cmd_id = completion->cmd_id,
		.rsp.scsi_status = completion->status,
	};
	size_t length = offsetof(struct tcmu_cmd_entry, rsp.sense_buffer);
	struct ring_slot slot;

	if (ring->outstanding == 0)
		return -EINVAL;
	if (check_generation(ring, ring->next != 0) < 0)
		return -ESTALE;
	for (;; ring->tail = slot.end) {
		if (ring->tail == ring->next || read_slot(ring, ring->tail, ring->next, &slot) < 0)
			return -EBADMSG;
		if (slot.op == TCMU_OP_CMD)
			break;
	}

	if (completion->has_read_len && (ring->features & TCMU_RING_READ_LEN)) {
		answer.hdr.uflags = TCMU_UFLAG_READ_LEN;
		answer.rsp.read_len = completion->read_len;
	}
	if (completion->status == STATUS_CHECK_CONDITION) {
		if (completion->sense)
			memcpy(answer.rsp.sense_buffer, completion->sense, TCMU_SENSE_MAX);
		length = sizeof(answer);
	}
	/* The response overlays the request. */
	memcpy(slot.at + offsetof(struct tcmu_cmd_entry_hdr, cmd_id), &answer.hdr.cmd_id,
	       sizeof(answer.hdr.cmd_id));
	slot.at[UFLAGS_OFFSET] = answer.hdr.uflags | (slot.at[UFLAGS_OFFSET] & GENERATION_MARK);
	assert(length <= sizeof(answer));
	memcpy(slot.at + TCMU_ENTRY_RSP_OFFSET, &answer.rsp, length - TCMU_ENTRY_RSP_OFFSET);

	ring->tail = slot.end;
	ring->outstanding--;
	pass_silent_slots(ring);
	return 0;
}

int tcmu_ring_publish(struct tcmu_ring *ring)
{
	uint32_t *cmd_tail = &RING_MAILBOX(ring)->cmd_tail;
	uint32_t before = ring->published, after = ring->tail;

	assert(position_valid(ring, ring->tail));
	if (after == before)
		return 0;
	if (tcmu_ring_check(ring) < 0)
		return -ESTALE;
	/* A reset between the check and here fails the exchange, unless 0 is exchanged: a window of
	 * nanoseconds for a reset by hand, which ends in a broken ring and another reset. */
	if (!__atomic_compare_exchange_n(
		    cmd_tail, &before, after, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return -ESTALE;
	ring->published = ring->tail;
	return 0;
}
