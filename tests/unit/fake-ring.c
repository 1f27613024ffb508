/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a ring. Command numbers and data blocks are the lowest free ones,
 * neighbouring blocks become one iovec, an entry that does not fit before the end is preceded by a
 * PAD: as the kernel does it.
 */
#include "fake-ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel-abi.h"

#define IDS 65536

struct fake_slot {
	bool used;
	void *cookie;
	uint32_t length;  /* of the data proper */
	uint32_t iov_cnt; /* of the data proper */
	uint32_t iov_total;
	struct iovec *iov; /* addresses here; NULL: no data */
};

struct fake_ring {
	int fd;
	uint8_t *base;
	size_t length;
	uint32_t cmdr_size;
	uint32_t block_size;
	uint32_t block_count;
	bool scatter;
	bool broken;
	uint8_t *block_used;   /* block_count of them */
	uint32_t lowest_block; /* none below is free */
	uint32_t lowest_id;
	uint32_t head; /* not yet published */
	uint32_t cleaned;
	unsigned outstanding;
	struct fake_slot commands[IDS];
};

static struct tcmu_mailbox *mailbox(const struct fake_ring *fake)
{
	return (struct tcmu_mailbox *) fake->base;
}

static uint32_t round_up(uint32_t value, uint32_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint32_t data_offset(const struct fake_ring *fake)
{
	return round_up((uint32_t) sizeof(struct tcmu_mailbox) + fake->cmdr_size, fake->block_size);
}

static bool make_memory(struct fake_ring *fake)
{
	void *base;

	fake->length = data_offset(fake) + (size_t) fake->block_size * fake->block_count;
	fake->fd = memfd_create("fake-ring", MFD_CLOEXEC);
	if (fake->fd < 0 || ftruncate(fake->fd, (off_t) fake->length) < 0)
		return false;
	base = mmap(NULL, fake->length, PROT_READ | PROT_WRITE, MAP_SHARED, fake->fd, 0);
	if (base == MAP_FAILED)
		return false;
	fake->base = base;
	return true;
}

struct fake_ring *fake_ring_new(const struct fake_ring_options *options)
{
	struct fake_ring *fake = calloc(1, sizeof(*fake));
	struct tcmu_mailbox *mb;

	if (!fake)
		return NULL;
	fake->fd = -1;
	fake->cmdr_size = options->ring_size ? options->ring_size : 65536 - sizeof(*mb);
	fake->block_size = options->block_size ? options->block_size : 4096;
	fake->block_count = options->block_count ? options->block_count : 1024;
	fake->scatter = options->scatter;
	fake->lowest_id = 1;
	fake->block_used = calloc(fake->block_count, 1);
	if (!fake->block_used || !make_memory(fake)) {
		fake_ring_free(fake);
		return NULL;
	}
	mb = mailbox(fake);
	mb->version = options->version ? options->version : TCMU_MAILBOX_VERSION;
	mb->flags = options->features
		? options->features
		: TCMU_MAILBOX_FLAG_CAP_OOOC | TCMU_MAILBOX_FLAG_CAP_READ_LEN |
			TCMU_MAILBOX_FLAG_CAP_TMR | TCMU_MAILBOX_FLAG_CAP_KEEP_BUF;
	mb->cmdr_off = sizeof(*mb);
	mb->cmdr_size = fake->cmdr_size;
	return fake;
}

static void free_command(struct fake_ring *fake, uint32_t id);

void fake_ring_free(struct fake_ring *fake)
{
	if (!fake)
		return;
	for (uint32_t id = 0; id < IDS; id++)
		if (fake->commands[id].used)
			free_command(fake, id);
	if (fake->base)
		munmap(fake->base, fake->length);
	if (fake->fd >= 0)
		close(fake->fd);
	free(fake->block_used);
	free(fake);
}

void *fake_ring_base(const struct fake_ring *fake)
{
	return fake->base;
}

size_t fake_ring_length(const struct fake_ring *fake)
{
	return fake->length;
}

int fake_ring_fd(const struct fake_ring *fake)
{
	return fake->fd;
}

void *fake_ring_slot(const struct fake_ring *fake, uint32_t position)
{
	return fake->base + sizeof(struct tcmu_mailbox) + position;
}

/* A block, or UINT32_MAX. */
static uint32_t take_block(struct fake_ring *fake)
{
	for (uint32_t i = fake->lowest_block; i < fake->block_count; i++) {
		if (fake->block_used[i] || (fake->scatter && i % 2 != 0))
			continue;
		fake->block_used[i] = 1;
		fake->lowest_block = i;
		return i;
	}
	return UINT32_MAX;
}

static void free_iovecs(struct fake_ring *fake, struct fake_slot *slot)
{
	uint8_t *data = fake->base + data_offset(fake);

	for (uint32_t i = 0; i < slot->iov_total; i++) {
		uint32_t first =
			(uint32_t) (((uint8_t *) slot->iov[i].iov_base - data) / fake->block_size);
		uint32_t count = round_up((uint32_t) slot->iov[i].iov_len, fake->block_size) /
			fake->block_size;

		memset(fake->block_used + first, 0, count);
		if (first < fake->lowest_block)
			fake->lowest_block = first;
	}
	free(slot->iov);
	slot->iov = NULL;
}

static void free_command(struct fake_ring *fake, uint32_t id)
{
	struct fake_slot *slot = &fake->commands[id];

	free_iovecs(fake, slot);
	*slot = (struct fake_slot){};
	if (id < fake->lowest_id)
		fake->lowest_id = id;
	fake->outstanding--;
}

/* Appends iovecs for length bytes to slot, whose iov has room, and copies from there unless from is
 * NULL. Returns how many, or -ENOSPC. */
static int take_blocks(
	struct fake_ring *fake, struct fake_slot *slot, uint32_t length, const uint8_t *from)
{
	uint8_t *data = fake->base + data_offset(fake);
	uint32_t start = slot->iov_total;

	while (length > 0) {
		struct iovec *last = slot->iov_total > start ? &slot->iov[slot->iov_total - 1]
							     : NULL;
		uint32_t part = length < fake->block_size ? length : fake->block_size;
		uint32_t block = take_block(fake);
		uint8_t *at;

		if (block == UINT32_MAX)
			return -ENOSPC;
		at = data + (size_t) block * fake->block_size;
		if (last && (uint8_t *) last->iov_base + last->iov_len == at)
			last->iov_len += part;
		else
			slot->iov[slot->iov_total++] = (struct iovec){
				.iov_base = at, .iov_len = part};
		if (from) {
			memcpy(at, from, part);
			from += part;
		}
		length -= part;
	}
	return (int) (slot->iov_total - start);
}

static int take_data(
	struct fake_ring *fake, struct fake_slot *slot, const struct fake_command *command)
{
	uint32_t most = round_up(command->length, fake->block_size) / fake->block_size +
		round_up(command->bidi_length, fake->block_size) / fake->block_size;
	int r;

	if (most == 0)
		return 0;
	slot->iov = calloc(most, sizeof(*slot->iov));
	if (!slot->iov)
		return -ENOSPC;
	r = take_blocks(fake, slot, command->length, command->data_out);
	if (r >= 0) {
		slot->iov_cnt = (uint32_t) r;
		slot->length = command->length;
		r = take_blocks(fake, slot, command->bidi_length, NULL);
	}
	if (r < 0) {
		free_iovecs(fake, slot);
		*slot = (struct fake_slot){};
		return r;
	}
	return 0;
}

static void write_pad(struct fake_ring *fake, uint32_t length)
{
	struct tcmu_cmd_entry_hdr hdr = {.len_op = length | TCMU_OP_PAD};

	memcpy(fake_ring_slot(fake, fake->head), &hdr, sizeof(hdr));
	fake->head = (fake->head + length) % fake->cmdr_size;
}

/* Makes room for an entry of this length, wrapping round behind a PAD where need be. The length is
 * then zeroed memory at fake->head. */
static int make_room(struct fake_ring *fake, uint32_t length)
{
	uint32_t used = (fake->head + fake->cmdr_size - fake->cleaned) % fake->cmdr_size;
	uint32_t to_end = fake->cmdr_size - fake->head;
	uint32_t needed = length <= to_end ? length : length + to_end;

	if (needed > fake->cmdr_size - used - 1)
		return -ENOSPC;
	if (length > to_end)
		write_pad(fake, to_end);
	memset(fake_ring_slot(fake, fake->head), 0, length);
	return 0;
}

/* The lowest free number, or -ENOSPC. */
static int take_id(struct fake_ring *fake)
{
	uint32_t id = fake->lowest_id;

	while (id < IDS && fake->commands[id].used)
		id++;
	fake->lowest_id = id;
	return id < IDS ? (int) id : -ENOSPC;
}

static void write_command(
	struct fake_ring *fake, uint16_t id, uint32_t base_length, uint32_t length,
	const struct fake_command *command)
{
	const struct fake_slot *slot = &fake->commands[id];
	uint8_t *at = fake_ring_slot(fake, fake->head);
	struct tcmu_cmd_entry entry = {
		.hdr = {.len_op = length | TCMU_OP_CMD, .cmd_id = id},
		.req = {.iov_cnt = slot->iov_cnt,
			.iov_bidi_cnt = slot->iov_total - slot->iov_cnt,
			.cdb_off = sizeof(struct tcmu_mailbox) + fake->head + base_length},
	};

	memcpy(at, &entry, TCMU_ENTRY_IOV_OFFSET);
	for (uint32_t i = 0; i < slot->iov_total; i++) {
		struct tcmu_kernel_iovec iov = {
			.iov_base =
				(void *) ((uintptr_t) slot->iov[i].iov_base - (uintptr_t) fake->base),
			.iov_len = slot->iov[i].iov_len,
		};

		memcpy(at + TCMU_ENTRY_IOV_OFFSET + i * sizeof(iov), &iov, sizeof(iov));
	}
	memcpy(at + base_length, command->cdb, command->cdb_length);
	fake->head = (fake->head + length) % fake->cmdr_size;
}

int fake_ring_push(struct fake_ring *fake, const struct fake_command *command)
{
	uint32_t base_length, length;
	struct fake_slot *slot;
	int id, r;

	if (fake->broken)
		return -EIO;
	id = take_id(fake);
	if (id < 0)
		return id;
	slot = &fake->commands[id];
	r = take_data(fake, slot, command);
	if (r < 0)
		return r;
	base_length =
		(uint32_t) (TCMU_ENTRY_IOV_OFFSET + slot->iov_total * sizeof(struct tcmu_kernel_iovec));
	if (base_length < sizeof(struct tcmu_cmd_entry))
		base_length = sizeof(struct tcmu_cmd_entry);
	length = base_length + round_up(command->cdb_length, TCMU_OP_ALIGN_SIZE);
	slot->used = true;
	slot->cookie = command->cookie;
	fake->outstanding++;
	r = make_room(fake, length);
	if (r < 0) {
		free_command(fake, (uint32_t) id);
		return r;
	}
	write_command(fake, (uint16_t) id, base_length, length, command);
	return id;
}

int fake_ring_push_pad(struct fake_ring *fake, uint32_t length)
{
	int r = make_room(fake, length);

	if (r == 0)
		write_pad(fake, length);
	return r;
}

int fake_ring_push_tmr(struct fake_ring *fake, uint8_t type, const uint16_t *ids, uint32_t count)
{
	uint32_t length = round_up(
		(uint32_t) (sizeof(struct tcmu_tmr_entry) + count * sizeof(*ids)), 8);
	struct tcmu_tmr_entry entry = {
		.hdr = {.len_op = length | TCMU_OP_TMR}, .tmr_type = type, .cmd_cnt = count};
	uint8_t *at;
	int r;

	r = make_room(fake, length);
	if (r < 0)
		return r;
	at = fake_ring_slot(fake, fake->head);
	memcpy(at, &entry, sizeof(entry));
	if (count > 0)
		memcpy(at + sizeof(entry), ids, count * sizeof(*ids));
	fake->head = (fake->head + length) % fake->cmdr_size;
	return 0;
}

int fake_ring_push_unknown(struct fake_ring *fake, uint8_t op)
{
	struct tcmu_cmd_entry_hdr hdr = {.len_op = sizeof(struct tcmu_cmd_entry) | op};
	int id = take_id(fake), r;

	if (id < 0)
		return id;
	r = make_room(fake, sizeof(struct tcmu_cmd_entry));
	if (r < 0)
		return r;
	fake->commands[id].used = true;
	fake->outstanding++;
	hdr.cmd_id = (uint16_t) id;
	memcpy(fake_ring_slot(fake, fake->head), &hdr, sizeof(hdr));
	fake->head = (fake->head + (uint32_t) sizeof(struct tcmu_cmd_entry)) % fake->cmdr_size;
	return id;
}

bool fake_ring_publish(struct fake_ring *fake)
{
	if (mailbox(fake)->cmd_head == fake->head)
		return false;
	__atomic_store_n(&mailbox(fake)->cmd_head, fake->head, __ATOMIC_RELEASE);
	return true;
}

/* The command in the slot ends. */
static bool take_completion(
	struct fake_ring *fake, const struct tcmu_cmd_entry *entry, fake_completion_fn *done,
	void *userdata)
{
	const struct fake_slot *slot = &fake->commands[entry->hdr.cmd_id];
	struct fake_completion completion = {
		.cmd_id = entry->hdr.cmd_id,
		.cookie = slot->cookie,
		.status = entry->rsp.scsi_status,
		.uflags = entry->hdr.uflags,
		.read_len = entry->rsp.read_len,
		.sense = (const uint8_t *) entry->rsp.sense_buffer,
		.length = slot->length,
		.iov = slot->iov,
		.iov_cnt = slot->iov_cnt,
	};

	if (!slot->used)
		return false;
	if (done)
		done(&completion, userdata);
	free_command(fake, entry->hdr.cmd_id);
	return true;
}

int fake_ring_consume(struct fake_ring *fake, fake_completion_fn *done, void *userdata)
{
	uint32_t head = mailbox(fake)->cmd_head;
	int count = 0;

	if (fake->broken)
		return -EIO;
	while (fake->cleaned != __atomic_load_n(&mailbox(fake)->cmd_tail, __ATOMIC_ACQUIRE)) {
		const struct tcmu_cmd_entry *entry = fake_ring_slot(fake, fake->cleaned);
		enum tcmu_opcode op = tcmu_hdr_get_op(entry->hdr.len_op);
		uint32_t length = tcmu_hdr_get_len(entry->hdr.len_op);

		if (fake->cleaned == head)
			fake->broken = true; /* the tail is at no entry's start */
		else if (op != TCMU_OP_PAD && op != TCMU_OP_TMR) {
			fake->broken = !take_completion(fake, entry, done, userdata);
			count++;
		}
		if (fake->broken)
			return -EIO;
		fake->cleaned = (fake->cleaned + length) % fake->cmdr_size;
	}
	return count;
}

bool fake_ring_broken(const struct fake_ring *fake)
{
	return fake->broken;
}

unsigned fake_ring_outstanding(const struct fake_ring *fake)
{
	return fake->outstanding;
}

void fake_ring_reset(struct fake_ring *fake)
{
	for (uint32_t id = 0; id < IDS; id++)
		if (fake->commands[id].used)
			free_command(fake, id);
	fake->head = fake->cleaned = 0;
	fake->broken = false;
	__atomic_store_n(&mailbox(fake)->cmd_tail, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&mailbox(fake)->cmd_head, 0, __ATOMIC_RELEASE);
}

uint32_t fake_ring_head(const struct fake_ring *fake)
{
	return fake->head;
}

uint32_t fake_ring_cleaned(const struct fake_ring *fake)
{
	return fake->cleaned;
}

size_t fake_completion_data(const struct fake_completion *completion, void *data, size_t size)
{
	size_t copied = 0;

	for (unsigned i = 0; i < completion->iov_cnt && copied < size; i++) {
		size_t part = completion->iov[i].iov_len;

		if (part > size - copied)
			part = size - copied;
		memcpy((uint8_t *) data + copied, completion->iov[i].iov_base, part);
		copied += part;
	}
	return copied;
}
