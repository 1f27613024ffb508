/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command ring: fetching entries, writing completions. One thread at a time; the caller
 * serialises.
 *
 * The memory is shared and may change at any moment. Everything that is checked is first copied,
 * once, and only the copy is used; so a change between check and use cannot lead out of the
 * mapping. Three positions move round the ring:
 *
 *	published <= tail <= next <= cmd_head		(counted from published, modulo cmdr_size)
 *
 * The kernel reuses nothing between published and cmd_head. So next cannot catch up with published,
 * and tail == next means that no command is outstanding. Only this library writes cmd_tail: if it
 * differs from published, the ring was reset, and the entry at next is not for us.
 */
#include <tcmu/ring.h>

#include <assert.h>
#include <errno.h>
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

/* An entry's header, copied and with a length that fits where it is. */
struct ring_slot {
	enum tcmu_opcode op;
	uint32_t length;
	uint16_t cmd_id;
};

/* Copies from shared memory. The fence keeps the compiler from reading the shared memory again. */
static void copy_shared(void *copy, const void *shared, size_t length)
{
	memcpy(copy, shared, length);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct tcmu_mailbox *ring_mailbox(const struct tcmu_ring *ring)
{
	return (struct tcmu_mailbox *) ring->base;
}

static uint8_t *slot_at(const struct tcmu_ring *ring, uint32_t position)
{
	return ring->base + ring->cmdr_off + position;
}

static bool position_valid(const struct tcmu_ring *ring, uint32_t position)
{
	return position < ring->cmdr_size && position % TCMU_OP_ALIGN_SIZE == 0;
}

/* The distance in bytes from the published tail to position. */
static uint32_t ring_distance(const struct tcmu_ring *ring, uint32_t position)
{
	return position >= ring->published ? position - ring->published
					   : ring->cmdr_size - ring->published + position;
}

static uint32_t ring_advance(const struct tcmu_ring *ring, uint32_t position, uint32_t length)
{
	position += length; /* at most cmdr_size: no entry crosses the end */
	return position == ring->cmdr_size ? 0 : position;
}

/* Copies and checks the header of the entry at position, which lies before limit. */
static int read_slot(
	const struct tcmu_ring *ring, uint32_t position, uint32_t limit, struct ring_slot *slot)
{
	struct tcmu_cmd_entry_hdr hdr;

	copy_shared(&hdr, slot_at(ring, position), sizeof(hdr));
	slot->op = tcmu_hdr_get_op(hdr.len_op);
	slot->length = tcmu_hdr_get_len(hdr.len_op);
	slot->cmd_id = hdr.cmd_id;
	if (slot->length < sizeof(hdr) || slot->length > ring->cmdr_size - position ||
	    slot->length > ring_distance(ring, limit) - ring_distance(ring, position))
		return -EBADMSG;
	if (slot->op == TCMU_OP_CMD && slot->length < sizeof(struct tcmu_cmd_entry))
		return -EBADMSG; /* no room for the response */
	return 0;
}

/* Moves the tail past slots that need no answer, up to the next command or the first entry that is
 * not fetched. It also stops at a corrupt slot, which the next completion reports. */
static void pass_silent_slots(struct tcmu_ring *ring)
{
	struct ring_slot slot;

	while (ring->tail != ring->next && read_slot(ring, ring->tail, ring->next, &slot) == 0 &&
	       slot.op != TCMU_OP_CMD)
		ring->tail = ring_advance(ring, ring->tail, slot.length);
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
	};
	if (!position_valid(ring, copy.cmd_tail) || !position_valid(ring, copy.cmd_head))
		return -EBADMSG;
	return 0;
}

bool tcmu_ring_pending(const struct tcmu_ring *ring)
{
	return __atomic_load_n(&ring_mailbox(ring)->cmd_head, __ATOMIC_ACQUIRE) != ring->next;
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

/* Copies the iovecs at slot. Each must be in the data area, which follows the command ring. */
static int read_iovecs(
	const struct tcmu_ring *ring, const uint8_t *slot, uint32_t count, struct iovec *iov,
	uint64_t *total)
{
	uint64_t start = (uint64_t) ring->cmdr_off + ring->cmdr_size;

	*total = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct tcmu_kernel_iovec copy;
		uint64_t offset;

		copy_shared(&copy, slot + TCMU_ENTRY_IOV_OFFSET + i * sizeof(copy), sizeof(copy));
		offset = (uintptr_t) copy.iov_base;
		if (offset < start || offset > ring->length || copy.iov_len > ring->length - offset)
			return -EBADMSG;
		/* The length of a command's data has 32 bits; this also bounds the sum. */
		if (copy.iov_len > UINT32_MAX - *total)
			return -EBADMSG;
		*total += copy.iov_len;
		iov[i] = (struct iovec){.iov_base = ring->base + offset, .iov_len = copy.iov_len};
	}
	return 0;
}

static int read_command(
	const struct tcmu_ring *ring, const struct ring_slot *slot, struct tcmu_entry *entry,
	struct iovec *iov, uint32_t iov_max)
{
	const uint8_t *at = slot_at(ring, ring->next);
	struct tcmu_cmd_entry copy; /* only its request is copied */
	uint64_t iov_room = (slot->length - TCMU_ENTRY_IOV_OFFSET) /
		sizeof(struct tcmu_kernel_iovec);
	int r;

	copy_shared(&copy, at, TCMU_ENTRY_IOV_OFFSET);
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
	return read_iovecs(ring, at, entry->iov_cnt, iov, &entry->data_length);
}

static int read_tmr(
	const struct tcmu_ring *ring, const struct ring_slot *slot, struct tcmu_entry *entry)
{
	const uint8_t *at = slot_at(ring, ring->next);
	struct tcmu_tmr_entry copy;

	if (slot->length < sizeof(copy))
		return -EBADMSG;
	copy_shared(&copy, at, sizeof(copy));
	if (copy.cmd_cnt > (slot->length - sizeof(copy)) / sizeof(copy.cmd_ids[0]))
		return -EBADMSG;
	memset(entry, 0, sizeof(*entry));
	entry->kind = TCMU_ENTRY_TMR;
	entry->tmr_type = copy.tmr_type;
	entry->tmr_count = copy.cmd_cnt;
	entry->tmr_ids = at + offsetof(struct tcmu_tmr_entry, cmd_ids);
	return 0;
}

static void skip_slot(struct tcmu_ring *ring, const struct ring_slot *slot)
{
	assert(slot->op != TCMU_OP_CMD);
	ring->next = ring_advance(ring, ring->next, slot->length);
	pass_silent_slots(ring);
}

/* Checks the kernel's positions against ours. Returns 1: there is an entry at next; 0: none; or a
 * negative errno. */
static int check_head(const struct tcmu_ring *ring, uint32_t *head)
{
	*head = __atomic_load_n(&ring_mailbox(ring)->cmd_head, __ATOMIC_ACQUIRE);
	/* A reset stores the tail first, then the head, which may have reached next again since. */
	if (__atomic_load_n(&ring_mailbox(ring)->cmd_tail, __ATOMIC_RELAXED) != ring->published)
		return -ESTALE;
	if (*head == ring->next)
		return 0;
	if (!position_valid(ring, *head) ||
	    ring_distance(ring, *head) < ring_distance(ring, ring->next))
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
		r = read_slot(ring, ring->next, head, &slot);
		if (r < 0)
			return r;
		switch (slot.op) {
		case TCMU_OP_PAD:
			break;
		case TCMU_OP_CMD:
			r = read_command(ring, &slot, entry, iov, iov_max);
			if (r < 0)
				return r;
			ring->outstanding++;
			ring->next = ring_advance(ring, ring->next, slot.length);
			return 1;
		case TCMU_OP_TMR:
			r = read_tmr(ring, &slot, entry);
			if (r < 0)
				return r;
			skip_slot(ring, &slot);
			return 1;
		default:
			slot_at(ring, ring->next)[offsetof(struct tcmu_cmd_entry_hdr, uflags)] |=
				TCMU_UFLAG_UNKNOWN_OP;
		}
		skip_slot(ring, &slot);
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

/* Writes the response over the request in the slot. */
static void write_response(
	const struct tcmu_ring *ring, uint8_t *slot, const struct tcmu_completion *completion)
{
	struct tcmu_cmd_entry answer = {
		.hdr.cmd_id = completion->cmd_id,
		.rsp.scsi_status = completion->status,
	};
	size_t length = offsetof(struct tcmu_cmd_entry, rsp.sense_buffer);

	if (completion->has_read_len && (ring->features & TCMU_RING_READ_LEN)) {
		answer.hdr.uflags = TCMU_UFLAG_READ_LEN;
		answer.rsp.read_len = completion->read_len;
	}
	if (completion->status == STATUS_CHECK_CONDITION) {
		if (completion->sense)
			memcpy(answer.rsp.sense_buffer, completion->sense, TCMU_SENSE_MAX);
		length = sizeof(answer);
	}
	memcpy(slot + offsetof(struct tcmu_cmd_entry_hdr, cmd_id), &answer.hdr.cmd_id,
	       sizeof(answer.hdr.cmd_id));
	slot[offsetof(struct tcmu_cmd_entry_hdr, uflags)] = answer.hdr.uflags;
	assert(length <= sizeof(answer));
	memcpy(slot + TCMU_ENTRY_RSP_OFFSET, &answer.rsp, length - TCMU_ENTRY_RSP_OFFSET);
}

int tcmu_ring_complete(struct tcmu_ring *ring, const struct tcmu_completion *completion)
{
	struct ring_slot slot;

	if (ring->outstanding == 0)
		return -EINVAL;
	pass_silent_slots(ring);
	if (ring->tail == ring->next || read_slot(ring, ring->tail, ring->next, &slot) < 0)
		return -EBADMSG;
	write_response(ring, slot_at(ring, ring->tail), completion);
	ring->tail = ring_advance(ring, ring->tail, slot.length);
	ring->outstanding--;
	pass_silent_slots(ring);
	return 0;
}

void tcmu_ring_publish(struct tcmu_ring *ring)
{
	uint32_t *cmd_tail = &ring_mailbox(ring)->cmd_tail;

	assert(position_valid(ring, ring->tail));
	if (ring->tail == ring->published ||
	    __atomic_load_n(cmd_tail, __ATOMIC_RELAXED) != ring->published)
		return;
	__atomic_store_n(cmd_tail, ring->tail, __ATOMIC_RELEASE);
	ring->published = ring->tail;
}
