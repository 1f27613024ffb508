/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the memory that is shared with the kernel. The ring is attached, fetched from and
 * completed into until nothing more comes, while the memory goes on changing as the input says.
 * Decoded iovecs must be in the data area, and every fetched command must be completed:
 * else the target aborts.
 *
 * An input is two bytes for the mapping's length in units of 8, CHANGES times four bytes {offset in
 * units of 4, value} that are written between the calls, and the start of the mapping; the rest of
 * the mapping is zero.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/ring.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of ASan's runtime; NULL without it. */
__attribute__((weak)) void __asan_poison_memory_region(const volatile void *address, size_t size);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *address, size_t size);

#define MAPPING_MAX 8192
#define CHANGES     8
#define HEADER      (2 + 4 * CHANGES)
#define IOVS        32

static uint8_t mapping[MAPPING_MAX] __attribute__((aligned(4096)));

struct script {
	const uint8_t *changes;
	unsigned position;
	size_t length; /* of the mapping */
};

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

static uint16_t word_at(const uint8_t *data)
{
	return (uint16_t) (data[0] | data[1] << 8);
}

/* The other side writes somewhere; an offset of 0 changes nothing, or else no version would be the
 * right one. */
static void change_something(struct script *script)
{
	const uint8_t *change = script->changes + 4 * script->position;
	size_t offset = 4 * (size_t) word_at(change);
	uint32_t value = word_at(change + 2);

	if (script->position == CHANGES)
		return;
	script->position++;
	if (offset > 0 && offset + sizeof(value) <= script->length)
		memcpy(mapping + offset, &value, sizeof(value));
}

static void check_entry(
	const struct tcmu_ring *ring, const struct tcmu_entry *entry, const struct iovec *iov)
{
	uint8_t *start = ring->base + ring->cmdr_off + ring->cmdr_size,
		*end = ring->base + ring->length;
	uint64_t total = 0;

	for (uint32_t i = 0; i < entry->tmr_count; i++)
		tcmu_entry_tmr_id(entry, i);
	if (entry->kind == TCMU_ENTRY_TMR)
		return;
	fuzz_demand(entry->kind == TCMU_ENTRY_COMMAND && entry->iov_cnt <= IOVS);
	fuzz_demand(entry->cdb_length >= 6 && entry->cdb_length <= TCMU_CDB_MAX);
	for (uint32_t i = 0; i < entry->iov_cnt; i++) {
		uint8_t *at = iov[i].iov_base;

		fuzz_demand(at >= start && at <= end && iov[i].iov_len <= (size_t) (end - at));
		total += iov[i].iov_len;
	}
	fuzz_demand(total == entry->data_length);
}

static void check_positions(const struct tcmu_ring *ring)
{
	fuzz_demand(
		ring->next < ring->cmdr_size && ring->tail < ring->cmdr_size &&
		ring->published < ring->cmdr_size);
	fuzz_demand(ring->next % 8 == 0 && ring->tail % 8 == 0);
	fuzz_demand(ring->scanned < ring->cmdr_size && ring->scanned % 8 == 0);
}

static int complete_one(struct tcmu_ring *ring, uint16_t cmd_id)
{
	static const uint8_t sense[TCMU_SENSE_MAX] = {0x70};
	struct tcmu_completion completion = {
		.cmd_id = cmd_id,
		.status = cmd_id % 3 ? 0 : 2,
		.has_read_len = cmd_id % 2,
		.read_len = cmd_id,
		.sense = cmd_id % 5 ? sense : NULL,
	};
	uint32_t outstanding = ring->outstanding;
	int r = tcmu_ring_complete(ring, &completion);

	check_positions(ring);
	fuzz_demand(r == 0 || (outstanding == 0 ? r == -EINVAL : r == -EBADMSG || r == -ESTALE));
	fuzz_demand(ring->outstanding == outstanding - (r == 0));
	return r;
}

static void publish_ring(struct tcmu_ring *ring)
{
	int r = tcmu_ring_publish(ring);

	fuzz_demand(r == 0 || r == -ESTALE);
}

/* Reads ahead; the position of the next fetch stays as it is. */
static void scan_for_tmr(struct tcmu_ring *ring)
{
	uint32_t next = ring->next;
	struct tcmu_entry entry;
	int r = tcmu_ring_next_tmr(ring, &entry);

	check_positions(ring);
	fuzz_demand(r == 1 || r == 0 || r == -EBADMSG || r == -ESTALE);
	fuzz_demand(ring->next == next);
	if (r == 1)
		fuzz_demand(entry.kind == TCMU_ENTRY_TMR);
}

/* Fetches and completes as long as there is something; the other side may write a new cmd_head only
 * CHANGES times. */
static void serve_ring(struct tcmu_ring *ring, struct script *script)
{
	struct tcmu_entry entry;
	struct iovec iov[IOVS];
	int r;

	do {
		uint32_t before = ring->next;

		r = tcmu_ring_next(ring, &entry, iov, IOVS);
		check_positions(ring);
		fuzz_demand(r == 1 || r == 0 || r == -EBADMSG || r == -ENOBUFS || r == -ESTALE);
		if (r == 1) {
			fuzz_demand(ring->next != before);
			check_entry(ring, &entry, iov);
		}
		change_something(script);
		if (r == 1 && entry.cdb[0] % 2 && complete_one(ring, entry.cmd_id) == 0)
			publish_ring(ring);
		if (r == 1 && entry.cdb[0] % 4 == 3)
			scan_for_tmr(ring);
	} while (r == 1);
	while (ring->outstanding > 0 && complete_one(ring, 1) == 0)
		change_something(script);
	publish_ring(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {.changes = data + 2};
	struct tcmu_ring ring;
	size_t used;

	if (size < HEADER)
		return 0;
	script.length = (size_t) word_at(data) % (MAPPING_MAX / 8 + 1) * 8;
	used = size - HEADER < script.length ? size - HEADER : script.length;
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(mapping, sizeof(mapping));
	memcpy(mapping, data + HEADER, used);
	memset(mapping + used, 0, script.length - used);
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(
			mapping + script.length, sizeof(mapping) - script.length);
	if (tcmu_ring_attach(&ring, mapping, script.length) == 0)
		serve_ring(&ring, &script);
	return 0;
}
