/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring whose memory does not keep the contract. Every case ends in -EBADMSG with nothing moved:
 * no crash, no access outside of the mapping, no command made of garbage.
 */
#include "ring-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel-abi.h"

static struct tcmu_mailbox *ring_mailbox(struct fixture *f)
{
	return fake_ring_base(f->fake);
}

static struct tcmu_cmd_entry *entry_at(struct fixture *f, uint32_t position)
{
	return fake_ring_slot(f->fake, position);
}

static uint32_t data_start(struct fixture *f)
{
	return f->ring.cmdr_off + f->ring.cmdr_size;
}

static void set_iovec(struct fixture *f, uint32_t index, uint64_t base, uint64_t length)
{
	struct tcmu_kernel_iovec iov = {.iov_base = (void *) (uintptr_t) base, .iov_len = length};

	memcpy((uint8_t *) entry_at(f, 0) + TCMU_ENTRY_IOV_OFFSET + index * sizeof(iov), &iov,
	       sizeof(iov));
}

static int attach_ring(struct fixture *f)
{
	struct tcmu_ring ring;

	return tcmu_ring_attach(&ring, fake_ring_base(f->fake), fake_ring_length(f->fake));
}

/* The entry at next is refused, again and again, and nothing moves. */
static void assert_refused(struct fixture *f)
{
	struct tcmu_ring before = f->ring;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_next(f), -EBADMSG);
		assert_memory_equal(&f->ring, &before, sizeof(before));
	}
}

static void another_mailbox_version_is_refused(void **state)
{
	struct fixture *f = *state;

	ring_mailbox(f)->version = 1;
	assert_int_equal(attach_ring(f), -EPROTONOSUPPORT);
	ring_mailbox(f)->version = 3;
	assert_int_equal(attach_ring(f), -EPROTONOSUPPORT);
}

static void a_mapping_must_hold_the_mailbox(void **state)
{
	struct fixture *f = *state;
	struct tcmu_ring ring;

	assert_int_equal(tcmu_ring_attach(&ring, fake_ring_base(f->fake), 127), -EBADMSG);
	assert_int_equal(tcmu_ring_attach(&ring, fake_ring_base(f->fake), 128), -EBADMSG);
	assert_int_equal(tcmu_ring_attach(&ring, fake_ring_base(f->fake), 65535), -EBADMSG);
	assert_int_equal(tcmu_ring_attach(&ring, fake_ring_base(f->fake), 65536), 0);
	assert_int_equal(
		tcmu_ring_attach(&ring, (uint8_t *) fake_ring_base(f->fake) + 8, 65536), -EINVAL);
}

static void a_command_ring_must_fit_the_mapping(void **state)
{
	static const struct {
		uint32_t offset, size;
	} rings[] = {
		{0, 1024},
		{120, 1024},
		{132, 1024},
		{128, 0},
		{128, 104},
		{128, 1028},
		{128, UINT32_MAX},
		{128, UINT32_MAX - 7},
		{UINT32_MAX, 1024},
		{UINT32_MAX - 7, 8},
		{UINT32_MAX - 127, 1024},
		{1 << 22, 1 << 22},
		{128, 1 << 30},
		{1 << 30, 1 << 10}};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		ring_mailbox(f)->cmdr_off = rings[i].offset;
		ring_mailbox(f)->cmdr_size = rings[i].size;
		assert_int_equal(attach_ring(f), -EBADMSG);
	}
	ring_mailbox(f)->cmdr_off = 128;
	ring_mailbox(f)->cmdr_size = 112;
	assert_int_equal(attach_ring(f), 0);
}

static void positions_in_the_mailbox_must_be_in_the_ring(void **state)
{
	static const uint32_t bad[] = {65408, 65409, 4, 65404, UINT32_MAX, UINT32_MAX - 7};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_mailbox(f)->cmd_head = bad[i];
		assert_int_equal(attach_ring(f), -EBADMSG);
		assert_true(tcmu_ring_pending(&f->ring));
		assert_refused(f);
		ring_mailbox(f)->cmd_head = 0;
		ring_mailbox(f)->cmd_tail = bad[i];
		assert_int_equal(attach_ring(f), -EBADMSG);
		ring_mailbox(f)->cmd_tail = 0;
	}
}

static void a_head_between_two_entries_is_refused_at_once(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	fixture_push_read(f, 512);
	ring_mailbox(f)->cmd_head = 128 + 4; /* the first entry would be a good one */
	assert_refused(f);
	ring_mailbox(f)->cmd_head = 65408 + 128; /* as far as 128, counted round the ring */
	assert_refused(f);
}

static int resume_ring(struct fixture *f, uint32_t published)
{
	struct tcmu_ring ring;

	return tcmu_ring_resume(
		&ring, fake_ring_base(f->fake), fake_ring_length(f->fake), published);
}

/* Whatever the ring of a dead daemon holds. */
static void a_corrupt_ring_is_not_resumed(void **state)
{
	struct fixture *f = *state;
	uint32_t published, head, length;

	fixture_push_read(f, 512);
	fixture_push_read(f, 512);
	fixture_fetch(f);
	assert_int_equal(tcmu_ring_mark(&f->ring), 0);
	published = f->ring.published;
	assert_int_equal(resume_ring(f, published), 0);
	length = entry_at(f, published)->hdr.len_op;
	entry_at(f, published)->hdr.len_op = length & 7; /* no length */
	assert_int_equal(resume_ring(f, published), -EBADMSG);
	entry_at(f, published)->hdr.len_op = length;
	head = ring_mailbox(f)->cmd_head;
	ring_mailbox(f)->cmd_head = ring_mailbox(f)->cmdr_size;
	assert_int_equal(tcmu_ring_unread(&f->ring), 0);
	assert_int_equal(resume_ring(f, published), -EBADMSG);
	ring_mailbox(f)->cmd_head = head;
	ring_mailbox(f)->version = 1;
	assert_int_equal(resume_ring(f, published), -EPROTONOSUPPORT);
}

static void a_head_that_goes_back_is_refused(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	fixture_push_read(f, 512);
	fixture_fetch(f);
	fixture_fetch(f);
	ring_mailbox(f)->cmd_head = 128;
	assert_refused(f);
}

static void a_head_that_overtakes_the_tail_is_refused(void **state)
{
	struct fixture *f = *state;
	uint16_t id;

	/* The tail is in the middle of the ring, next has wrapped round, the head has passed the
	 * tail. */
	fixture_replace(f, &(struct fake_ring_options){.ring_size = 4 * 128});
	for (int i = 0; i < 2; i++) {
		id = fixture_push_read(f, 512);
		fixture_fetch(f);
		fixture_complete(f, id);
	}
	assert_int_equal(fixture_consume(f), 2);
	for (int i = 0; i < 3; i++) {
		fixture_push_read(f, 512);
		fixture_fetch(f);
	}
	assert_int_equal(f->ring.next, 128);
	ring_mailbox(f)->cmd_head = 3 * 128;
	assert_refused(f);
}

static void lengths_that_do_not_fit_are_refused(void **state)
{
	/* nothing at all; less than a header; less than a response; beyond the head; beyond the
	 * ring; everything */
	static const uint32_t lengths[] = {0, 104, 136, 65408, 65416, UINT32_MAX & ~7u};
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	for (uint32_t op = 0; op < 8; op++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			if (lengths[i] == 104 && op != TCMU_OP_CMD)
				continue;
			entry_at(f, 0)->hdr.len_op = lengths[i] | op;
			assert_refused(f);
		}
	entry_at(f, 0)->hdr.len_op = 128 | TCMU_OP_CMD;
	assert_int_equal(fixture_next(f), 1);
}

static void an_entry_that_crosses_the_end_is_refused(void **state)
{
	struct fixture *f = *state;
	uint16_t id;

	fixture_replace(f, &(struct fake_ring_options){.ring_size = 4 * 128});
	for (int i = 0; i < 3; i++) {
		id = fixture_push_read(f, 512);
		fixture_fetch(f);
		fixture_complete(f, id);
	}
	assert_int_equal(fixture_consume(f), 3);
	fixture_push_read(f, 512);
	fixture_push_read(f, 512);
	assert_int_equal(f->ring.next, 3 * 128);
	entry_at(f, 3 * 128)->hdr.len_op = (128 + 8) | TCMU_OP_CMD;
	assert_refused(f);
}

static void more_iovecs_than_the_entry_holds_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tcmu_cmd_entry *entry = entry_at(f, 0);

	fixture_push_read(f, 512); /* 112 bytes and 16 of CDB: room for five */
	entry->req.iov_cnt = 6;
	assert_refused(f);
	entry->req.iov_cnt = UINT32_MAX;
	assert_refused(f);
	entry->req.iov_cnt = 1;
	entry->req.iov_bidi_cnt = UINT32_MAX;
	assert_refused(f);
	entry->req.iov_bidi_cnt = 2;
	entry->req.iov_dif_cnt = 3;
	assert_refused(f);
	entry->req.iov_dif_cnt = 2;
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.bidi_cnt, 2);
	assert_int_equal(f->entry.dif_cnt, 2);
}

static void data_outside_of_the_data_area_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t start = data_start(f), end = f->ring.length;
	const struct {
		uint64_t base, length;
	} bad[] = {
		{0, 512},
		{0, 0},
		{128, 512},
		{start - 1, 1},
		{start - 512, 513},
		{end - 511, 512},
		{end, 1},
		{end + 1, 0},
		{end + 4096, 512},
		{start, end},
		{UINT64_MAX, 512},
		{start, UINT64_MAX},
		{UINT64_MAX - 511, 512},
		{end - 1, UINT64_MAX}};

	fixture_push_read(f, 512);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_iovec(f, 0, bad[i].base, bad[i].length);
		assert_refused(f);
	}
	set_iovec(f, 0, end, 0);
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.data_length, 0);
}

static void each_iovec_is_checked(void **state)
{
	struct fixture *f = *state;

	fixture_replace(f, &(struct fake_ring_options){.scatter = true});
	fixture_push_read(f, 4 * 4096);
	set_iovec(f, 3, 64, 4096);
	assert_refused(f);
	set_iovec(f, 3, f->ring.length - 4096, 4096);
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.data_length, 4 * 4096);
}

static void a_sum_of_lengths_that_overflows_is_refused(void **state)
{
	struct fixture *f = *state;

	/* The memory is never touched. */
	fixture_replace(f, &(struct fake_ring_options){.block_count = 1 << 20, .scatter = true});
	fixture_push_read(f, 2 * 4096);
	set_iovec(f, 0, data_start(f), UINT32_MAX);
	set_iovec(f, 1, data_start(f), 1);
	assert_refused(f);
	set_iovec(f, 1, data_start(f), 0);
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.data_length, UINT32_MAX);
}

static void a_cdb_outside_of_the_command_ring_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tcmu_cmd_entry *entry = entry_at(f, 0);
	uint64_t start = f->ring.cmdr_off, end = data_start(f);
	const uint64_t bad[] = {0,       start - 1,      end,        end - 9,
				end - 1, f->ring.length, UINT64_MAX, UINT64_MAX - 9};

	fixture_push_read(f, 512);
	memset((uint8_t *) fake_ring_base(f->fake) + end - 16, 0x28, 16);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		entry->req.cdb_off = bad[i];
		assert_refused(f);
	}
	entry->req.cdb_off = end - 10;
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.cdb_length, 10);
}

static void a_variable_cdb_longer_than_the_ring_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t *cdb = (uint8_t *) fake_ring_base(f->fake) + data_start(f) - 40;

	fixture_push_read(f, 512);
	entry_at(f, 0)->req.cdb_off = data_start(f) - 40;
	cdb[0] = cdb[33] = 0x7f;
	cdb[7] = 33;
	assert_refused(f);
	entry_at(f, 0)->req.cdb_off += 33; /* its byte 7 would be behind the end */
	assert_refused(f);
	entry_at(f, 0)->req.cdb_off -= 33;
	cdb[7] = 32;
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.cdb_length, TCMU_CDB_MAX);
}

/* A mapping of one page that ends with its command ring, and nothing accessible behind it. */
static void nothing_behind_the_mapping_is_read(void **state)
{
	struct fixture *f = *state;
	uint8_t *base = mmap(
		NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tcmu_mailbox mb = {
		.version = 2, .cmdr_off = 128, .cmdr_size = 4096 - 128, .cmd_head = 112};
	struct tcmu_cmd_entry entry = {.hdr.len_op = 112 | TCMU_OP_CMD};
	struct tcmu_entry decoded;

	assert_ptr_not_equal(base, MAP_FAILED);
	assert_int_equal(mprotect(base + 4096, 4096, PROT_NONE), 0);
	memcpy(base, &mb, sizeof(mb));
	assert_int_equal(tcmu_ring_attach(&f->ring, base, 4096), 0);
	for (uint8_t opcode = 0x7e; opcode <= 0x7f; opcode++)
		for (uint64_t room = 1; room < 8 + (opcode == 0x7f); room++) {
			entry.req.cdb_off = 4096 - room;
			memcpy(base + 128, &entry, sizeof(entry));
			base[4096 - room] = opcode;
			assert_int_equal(
				tcmu_ring_next(&f->ring, &decoded, NULL, 0),
				opcode == 0x7f && room == 8 ? 1 : -EBADMSG);
			base[4096 - room] = 0;
		}
	munmap(base, 8192);
}

static void a_task_management_entry_must_hold_its_ids(void **state)
{
	struct fixture *f = *state;
	const uint16_t ids[4] = {1, 2, 3, 4};
	struct tcmu_tmr_entry *entry = fake_ring_slot(f->fake, 0);

	assert_int_equal(fake_ring_push_tmr(f->fake, TCMU_TMR_TYPE_ABORT_TASK, ids, 4), 0);
	fake_ring_publish(f->fake);
	entry->cmd_cnt = 5;
	assert_refused(f);
	entry->cmd_cnt = UINT32_MAX;
	assert_refused(f);
	entry->cmd_cnt = 4;
	entry->hdr.len_op = 24 | TCMU_OP_TMR;
	assert_refused(f);
	entry->hdr.len_op = 40 | TCMU_OP_TMR;
	assert_int_equal(fixture_next(f), 1);
}

static void a_slot_spoilt_after_the_fetch_stops_completion(void **state)
{
	static const uint32_t spoilt[] = {
		0, 64 | TCMU_OP_CMD, 136 | TCMU_OP_CMD, 65416, 128 | TCMU_OP_PAD};
	struct fixture *f = *state;
	uint16_t id = fixture_push_read(f, 512);

	fixture_fetch(f);
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		entry_at(f, 0)->hdr.len_op = spoilt[i];
		assert_int_equal(
			tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = id}),
			-EBADMSG);
		assert_int_equal(f->ring.outstanding, 1);
		assert_in_range(f->ring.tail, 0, f->ring.next);
	}
}

static void a_padding_spoilt_after_the_fetch_stops_the_tail_before_it(void **state)
{
	struct fixture *f = *state;
	uint16_t first = fixture_push_read(f, 512), second;

	assert_int_equal(fake_ring_push_pad(f->fake, 64), 0);
	second = fixture_push_read(f, 512);
	fixture_fetch(f);
	fixture_fetch(f);
	entry_at(f, 128)->hdr.len_op = 512 | TCMU_OP_PAD;
	fixture_complete(f, first);
	assert_int_equal(f->ring.tail, 128);
	assert_int_equal(
		tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = second}),
		-EBADMSG);
	assert_int_equal(f->ring.tail, 128);
	assert_int_equal(fixture_consume(f), 1);
}

static void corruption_behind_padding_is_found_at_its_place(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_ring_push_pad(f->fake, 64), 0);
	fixture_push_read(f, 512);
	entry_at(f, 64)->hdr.len_op = 0;
	assert_int_equal(fixture_next(f), -EBADMSG);
	assert_int_equal(f->ring.next, 64);
	assert_refused(f);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(another_mailbox_version_is_refused),
		RING_TEST(a_mapping_must_hold_the_mailbox),
		RING_TEST(a_command_ring_must_fit_the_mapping),
		RING_TEST(a_corrupt_ring_is_not_resumed),
		RING_TEST(positions_in_the_mailbox_must_be_in_the_ring),
		RING_TEST(a_head_between_two_entries_is_refused_at_once),
		RING_TEST(a_head_that_goes_back_is_refused),
		RING_TEST(a_head_that_overtakes_the_tail_is_refused),
		RING_TEST(lengths_that_do_not_fit_are_refused),
		RING_TEST(an_entry_that_crosses_the_end_is_refused),
		RING_TEST(more_iovecs_than_the_entry_holds_are_refused),
		RING_TEST(data_outside_of_the_data_area_is_refused),
		RING_TEST(each_iovec_is_checked),
		RING_TEST(a_sum_of_lengths_that_overflows_is_refused),
		RING_TEST(a_cdb_outside_of_the_command_ring_is_refused),
		RING_TEST(a_variable_cdb_longer_than_the_ring_is_refused),
		RING_TEST(nothing_behind_the_mapping_is_read),
		RING_TEST(a_task_management_entry_must_hold_its_ids),
		RING_TEST(a_slot_spoilt_after_the_fetch_stops_completion),
		RING_TEST(a_padding_spoilt_after_the_fetch_stops_the_tail_before_it),
		RING_TEST(corruption_behind_padding_is_found_at_its_place),
	};

	return cmocka_run_group_tests_name("ring-corrupt", tests, NULL, NULL);
}
