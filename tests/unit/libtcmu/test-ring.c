/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring between a kernel that keeps the contract and libtcmu.
 */
#include "ring-fixture.h"

#include <errno.h>
#include <string.h>

#define CHECK_CONDITION 0x02

static void a_fresh_ring_is_empty(void **state)
{
	struct fixture *f = *state;

	assert_false(tcmu_ring_pending(&f->ring));
	assert_int_equal(fixture_next(f), 0);
	assert_int_equal(
		f->ring.features,
		TCMU_RING_OUT_OF_ORDER | TCMU_RING_READ_LEN | TCMU_RING_TMR | TCMU_RING_KEEP_BUF);
	assert_int_equal(f->ring.outstanding, 0);
}

static void features_that_do_not_exist_yet_are_not_shown(void **state)
{
	struct fixture *f = *state;

	fixture_replace(f, &(struct fake_ring_options){.features = 0xfff1});
	assert_int_equal(f->ring.features, TCMU_RING_OUT_OF_ORDER);
}

static void a_command_is_decoded_into_plain_values(void **state)
{
	struct fixture *f = *state;
	uint16_t id = fixture_push_read(f, 10000);

	assert_true(tcmu_ring_pending(&f->ring));
	assert_int_equal(fixture_fetch(f), id);
	assert_int_equal(f->entry.cdb_length, 10);
	assert_memory_equal(f->entry.cdb, read_10, 10);
	for (size_t i = 10; i < TCMU_CDB_MAX; i++)
		assert_int_equal(f->entry.cdb[i], 0);
	assert_int_equal(f->entry.iov_cnt, 1);
	assert_int_equal(f->entry.data_length, 10000);
	assert_int_equal(f->iov[0].iov_len, 10000);
	assert_ptr_equal(f->iov[0].iov_base, (uint8_t *) fake_ring_base(f->fake) + 65536);
	assert_int_equal(f->ring.outstanding, 1);
	assert_false(tcmu_ring_pending(&f->ring));
}

static void data_goes_through_scattered_blocks_both_ways(void **state)
{
	struct fixture *f = *state;
	uint8_t out[3 * 4096 + 512], in[sizeof(out)];
	size_t done = 0;

	fixture_replace(f, &(struct fake_ring_options){.scatter = true});
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t) (i * 7 + i / 256);
	assert_true(
		fake_ring_push(
			f->fake,
			&(struct fake_command){
				.cdb = write_10,
				.cdb_length = sizeof(write_10),
				.data_out = out,
				.length = sizeof(out)}) > 0);
	fake_ring_publish(f->fake);
	fixture_fetch(f);
	assert_int_equal(f->entry.iov_cnt, 4);
	assert_int_equal(f->entry.data_length, sizeof(out));
	for (uint32_t i = 0; i < f->entry.iov_cnt; done += f->iov[i++].iov_len)
		memcpy(in + done, f->iov[i].iov_base, f->iov[i].iov_len);
	assert_memory_equal(in, out, sizeof(out));
}

static void too_many_iovecs_leave_the_entry_where_it_is(void **state)
{
	struct fixture *f = *state;

	fixture_replace(f, &(struct fake_ring_options){.scatter = true});
	fixture_push_read(f, 3 * 4096);
	assert_int_equal(tcmu_ring_next(&f->ring, &f->entry, f->iov, 2), -ENOBUFS);
	assert_int_equal(f->entry.iov_cnt, 3);
	assert_int_equal(f->ring.next, 0);
	assert_int_equal(f->ring.outstanding, 0);
	assert_int_equal(tcmu_ring_next(&f->ring, &f->entry, f->iov, 3), 1);
	assert_int_equal(f->entry.data_length, 3 * 4096);
}

static void bidirectional_vectors_are_counted_but_not_given(void **state)
{
	struct fixture *f = *state;
	static const uint8_t data[512];

	assert_true(
		fake_ring_push(
			f->fake,
			&(struct fake_command){
				.cdb = write_10,
				.cdb_length = sizeof(write_10),
				.data_out = data,
				.length = sizeof(data),
				.bidi_length = 8192}) > 0);
	fake_ring_publish(f->fake);
	fixture_fetch(f);
	assert_int_equal(f->entry.iov_cnt, 1);
	assert_int_equal(f->entry.bidi_cnt, 1);
	assert_int_equal(f->entry.data_length, 512);
}

/* Pushes a CDB of 0xff with this opcode, and byte 7 as given. */
static void push_cdb(struct fixture *f, uint8_t opcode, uint8_t byte_7, uint32_t length)
{
	uint8_t cdb[64];

	memset(cdb, 0xff, sizeof(cdb));
	cdb[0] = opcode;
	cdb[7] = byte_7;
	assert_true(
		fake_ring_push(f->fake, &(struct fake_command){.cdb = cdb, .cdb_length = length}) >
		0);
	fake_ring_publish(f->fake);
	fixture_fetch(f);
}

static void the_opcode_group_gives_the_length_of_a_cdb(void **state)
{
	static const struct {
		uint8_t opcode, byte_7;
		uint32_t length;
	} cdbs[] = {{0x00, 0xff, 6},  {0x12, 0xff, 6},  {0x28, 0xff, 10}, {0x5e, 0xff, 10},
		    {0x88, 0xff, 16}, {0xa8, 0xff, 12}, {0xc0, 0xff, 10}, {0xff, 0xff, 10},
		    {0x7e, 0xff, 12}, {0x7f, 0x18, 32}, {0x7f, 0x00, 8},  {0x7f, 0x0c, 20}};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cdbs) / sizeof(cdbs[0]); i++) {
		push_cdb(f, cdbs[i].opcode, cdbs[i].byte_7, cdbs[i].length);
		assert_int_equal(f->entry.cdb_length, cdbs[i].length);
		assert_int_equal(f->entry.cdb[0], cdbs[i].opcode);
		for (uint32_t j = 1; j < TCMU_CDB_MAX; j++)
			if (j != 7)
				assert_int_equal(f->entry.cdb[j], j < cdbs[i].length ? 0xff : 0);
	}
}

static void a_cdb_longer_than_the_longest_is_cut(void **state)
{
	struct fixture *f = *state;

	push_cdb(f, 0x7f, 56, 64);
	assert_int_equal(f->entry.cdb_length, TCMU_CDB_MAX);
	assert_int_equal(f->entry.cdb[7], 56);
}

static void a_completion_is_seen_only_when_published(void **state)
{
	struct fixture *f = *state;
	uint16_t id = fixture_push_read(f, 512);

	fixture_fetch(f);
	fixture_complete(f, id);
	assert_int_equal(fake_ring_consume(f->fake, NULL, NULL), 0);
	assert_int_equal(fake_ring_outstanding(f->fake), 1);
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(f->seen[0].cmd_id, id);
	assert_int_equal(f->seen[0].status, 0);
	assert_int_equal(f->seen[0].uflags, 0);
	assert_int_equal(fake_ring_outstanding(f->fake), 0);
	assert_int_equal(f->ring.outstanding, 0);
	assert_int_equal(f->ring.tail, f->ring.next);
}

static void completions_go_back_in_any_order(void **state)
{
	struct fixture *f = *state;
	uint16_t ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = fixture_push_read(f, 4096 * (uint32_t) (i + 1));
	for (int i = 0; i < 4; i++)
		assert_int_equal(fixture_fetch(f), ids[i]);
	fixture_complete(f, ids[2]);
	fixture_complete(f, ids[0]);
	assert_int_equal(fixture_consume(f), 2);
	assert_int_equal(f->seen[0].cmd_id, ids[2]);
	assert_int_equal(f->seen[1].cmd_id, ids[0]);
	fixture_complete(f, ids[3]);
	fixture_complete(f, ids[1]);
	assert_int_equal(fixture_consume(f), 2);
	assert_int_equal(f->seen[0].cmd_id, ids[3]);
	assert_int_equal(f->seen[1].cmd_id, ids[1]);
	assert_int_equal(fake_ring_outstanding(f->fake), 0);
}

static void sense_goes_with_check_condition_only(void **state)
{
	struct fixture *f = *state;
	uint8_t sense[TCMU_SENSE_MAX], zeros[TCMU_SENSE_MAX] = {0};

	memset(sense, 0x5a, sizeof(sense));
	for (int i = 0; i < 3; i++)
		fixture_push_read(f, 512);
	for (int i = 0; i < 3; i++) {
		struct tcmu_completion completion = {
			.cmd_id = fixture_fetch(f),
			.status = i == 1 ? 0x08 : CHECK_CONDITION,
			.sense = i == 2 ? NULL : sense,
		};

		assert_int_equal(tcmu_ring_complete(&f->ring, &completion), 0);
		assert_int_equal(fixture_consume(f), 1);
		assert_int_equal(f->seen[0].status, completion.status);
		if (i == 0)
			assert_memory_equal(f->seen_sense, sense, sizeof(sense));
		if (i == 2)
			assert_memory_equal(f->seen_sense, zeros, sizeof(zeros));
	}
}

static void the_length_of_a_short_read_is_reported(void **state)
{
	struct fixture *f = *state;
	uint16_t id = fixture_push_read(f, 4096);

	fixture_fetch(f);
	assert_int_equal(
		tcmu_ring_complete(
			&f->ring,
			&(struct tcmu_completion){
				.cmd_id = id, .has_read_len = true, .read_len = 36}),
		0);
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(f->seen[0].uflags, 2);
	assert_int_equal(f->seen[0].read_len, 36);
}

static void a_kernel_without_read_len_gets_none(void **state)
{
	struct fixture *f = *state;
	uint16_t id;

	fixture_replace(f, &(struct fake_ring_options){.features = TCMU_RING_OUT_OF_ORDER});
	id = fixture_push_read(f, 4096);
	fixture_fetch(f);
	assert_int_equal(
		tcmu_ring_complete(
			&f->ring,
			&(struct tcmu_completion){
				.cmd_id = id, .has_read_len = true, .read_len = 36}),
		0);
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(f->seen[0].uflags, 0);
	assert_int_equal(f->seen[0].read_len, 0);
}

static void nothing_outstanding_means_nothing_to_complete(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	assert_int_equal(
		tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = 1}), -EINVAL);
	tcmu_ring_publish(&f->ring);
	assert_int_equal(f->ring.tail, 0);
}

static void padding_is_skipped_by_both_sides(void **state)
{
	struct fixture *f = *state;
	uint16_t first, second;

	assert_int_equal(fake_ring_push_pad(f->fake, 8), 0);
	first = fixture_push_read(f, 512);
	assert_int_equal(fake_ring_push_pad(f->fake, 64), 0);
	assert_int_equal(fake_ring_push_pad(f->fake, 24), 0);
	second = fixture_push_read(f, 512);
	assert_int_equal(fake_ring_push_pad(f->fake, 16), 0);
	fake_ring_publish(f->fake);
	assert_int_equal(fixture_fetch(f), first);
	assert_int_equal(fixture_fetch(f), second);
	assert_int_equal(fixture_next(f), 0);
	fixture_complete(f, second);
	fixture_complete(f, first);
	assert_int_equal(f->ring.tail, f->ring.next);
	assert_int_equal(fixture_consume(f), 2);
	assert_int_equal(fake_ring_cleaned(f->fake), fake_ring_head(f->fake));
}

static void a_ring_of_padding_alone_is_left_idle(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_ring_push_pad(f->fake, 48), 0);
	fake_ring_publish(f->fake);
	assert_true(tcmu_ring_pending(&f->ring));
	assert_int_equal(tcmu_ring_unread(&f->ring), 48);
	assert_int_equal(fixture_next(f), 0);
	assert_false(tcmu_ring_pending(&f->ring));
	assert_int_equal(tcmu_ring_unread(&f->ring), 0);
	assert_int_equal(f->ring.tail, 48);
	assert_int_equal(fixture_consume(f), 0);
	assert_int_equal(fake_ring_cleaned(f->fake), 48);
}

static void task_management_names_its_commands(void **state)
{
	struct fixture *f = *state;
	uint16_t id = fixture_push_read(f, 512);
	const uint16_t ids[3] = {id, 7, 65535};

	assert_int_equal(fake_ring_push_tmr(f->fake, TCMU_TMR_TYPE_LUN_RESET, ids, 3), 0);
	fake_ring_publish(f->fake);
	fixture_fetch(f);
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.kind, TCMU_ENTRY_TMR);
	assert_int_equal(f->entry.tmr_type, TCMU_TMR_TYPE_LUN_RESET);
	assert_int_equal(f->entry.tmr_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(tcmu_entry_tmr_id(&f->entry, i), ids[i]);
	assert_int_equal(tcmu_entry_tmr_id(&f->entry, 3), 0);
	assert_int_equal(f->ring.outstanding, 1);
	assert_int_equal(f->ring.tail, 0);
	fixture_complete(f, id);
	assert_int_equal(f->ring.tail, f->ring.next);
	assert_int_equal(fixture_consume(f), 1);
}

static void a_command_has_no_task_management_ids(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	fixture_fetch(f);
	assert_int_equal(tcmu_entry_tmr_id(&f->entry, 0), 0);
}

static void an_unknown_opcode_is_marked_and_passed(void **state)
{
	struct fixture *f = *state;
	int unknown;
	uint16_t id;

	for (uint8_t op = 3; op < 8; op++) {
		unknown = fake_ring_push_unknown(f->fake, op);
		assert_true(unknown > 0);
		id = fixture_push_read(f, 512);
		assert_int_equal(fixture_fetch(f), id);
		fixture_complete(f, id);
		assert_int_equal(fixture_consume(f), 2);
		assert_int_equal(f->seen[0].cmd_id, unknown);
		assert_int_equal(f->seen[0].uflags, 1);
		assert_int_equal(f->seen[1].cmd_id, id);
		assert_int_equal(f->seen[1].uflags, 0);
	}
	assert_int_equal(fake_ring_outstanding(f->fake), 0);
}

static void a_ring_with_any_size_wraps(void **state)
{
	struct fixture *f = *state;
	uint32_t wraps = 0, before = 0;

	fixture_replace(f, &(struct fake_ring_options){.ring_size = 1000});
	for (int i = 0; i < 1000; i++) {
		uint16_t id = fixture_push_read(f, (uint32_t) (i % 5) * 512);

		assert_in_range(tcmu_ring_unread(&f->ring), 64, 999);
		assert_int_equal(fixture_fetch(f), id);
		fixture_complete(f, id);
		assert_int_equal(fixture_consume(f), 1);
		assert_int_equal(f->seen[0].cmd_id, id);
		wraps += f->ring.tail < before;
		before = f->ring.tail;
	}
	assert_in_range(wraps, 100, 1000);
}

static void a_full_ring_is_fetched_to_the_last_entry(void **state)
{
	struct fixture *f = *state;
	int pushed = 0, fetched = 0;

	fixture_replace(f, &(struct fake_ring_options){.ring_size = 8 * 128});
	for (int round = 0; round < 20; round++) {
		while (fake_ring_push(
			       f->fake, &(struct fake_command){.cdb = read_10, .cdb_length = 10}) >
		       0)
			pushed++;
		fake_ring_publish(f->fake);
		while (fixture_next(f) == 1)
			fetched++;
		assert_int_equal(fetched, pushed);
		for (uint16_t id = 7; id >= 1; id--)
			fixture_complete(f, id);
		assert_int_equal(fixture_consume(f), 7);
	}
	assert_int_equal(pushed, 20 * 7);
}

static void the_next_daemon_continues_at_the_tail(void **state)
{
	struct fixture *f = *state;
	uint16_t first = fixture_push_read(f, 512);
	uint16_t second = fixture_push_read(f, 1024);
	uint16_t third = fixture_push_read(f, 1536);

	fixture_fetch(f);
	fixture_complete(f, first);
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(
		tcmu_ring_attach(&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)), 0);
	assert_true(tcmu_ring_pending(&f->ring));
	assert_int_equal(fixture_fetch(f), second);
	assert_int_equal(fixture_fetch(f), third);
	fixture_complete(f, second);
	fixture_complete(f, third);
	assert_int_equal(fixture_consume(f), 2);
}

static void a_ring_that_was_reset_is_noticed_and_left_alone(void **state)
{
	struct fixture *f = *state;
	uint16_t ids[3];

	for (int i = 0; i < 3; i++)
		ids[i] = fixture_push_read(f, 512);
	fixture_fetch(f);
	fixture_complete(f, ids[0]);
	assert_int_equal(fixture_consume(f), 1);
	fixture_fetch(f);
	fake_ring_reset(f->fake, NULL, NULL);

	/* The kernel has answered the command at next: it must not be fetched, nor the tail be
	 * moved. */
	assert_int_equal(fixture_next(f), -ESTALE);
	assert_int_equal(
		tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = ids[1]}), -ESTALE);
	assert_int_equal(tcmu_ring_publish(&f->ring), 0); /* nothing was completed */
	assert_int_equal(fake_ring_consume(f->fake, NULL, NULL), 0);
	assert_false(fake_ring_broken(f->fake));

	assert_int_equal(
		tcmu_ring_attach(&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)), 0);
	ids[0] = fixture_push_read(f, 512);
	assert_int_equal(fixture_fetch(f), ids[0]);
	fixture_complete(f, ids[0]);
	assert_int_equal(fixture_consume(f), 1);
}

/* As many bytes of new commands as there were old ones: the head is where it was. */
static void a_reset_is_noticed_when_the_head_has_come_back(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	fixture_complete(f, fixture_fetch(f));
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(fixture_next(f), 0);
	fake_ring_reset(f->fake, NULL, NULL);
	fixture_push_read(f, 512);
	assert_int_equal(fixture_next(f), -ESTALE);
}

/* A reset while the tail that was published is 0 cannot be seen by the tail. */
static void a_reset_at_position_0_is_noticed(void **state)
{
	struct fixture *f = *state;
	uint16_t lost = fixture_push_read(f, 512);

	assert_int_equal(fixture_fetch(f), lost);
	fake_ring_reset(f->fake, NULL, NULL);
	assert_int_equal(tcmu_ring_check(&f->ring), -ESTALE);
	assert_int_equal(fixture_push_read(f, 512), lost); /* the same number, the same place */
	assert_int_equal(tcmu_ring_check(&f->ring), -ESTALE);
	assert_int_equal(fixture_next(f), -ESTALE);
	assert_int_equal(
		tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = lost}), -ESTALE);
	assert_int_equal(fixture_consume(f), 0);
	assert_int_equal(fake_ring_outstanding(f->fake), 1);
}

/* The same after the ring has gone round, where 0 was published with commands in flight. */
static void a_reset_is_noticed_at_each_position_of_the_ring(void **state)
{
	struct fixture *f = *state;

	for (unsigned position = 0; position < 700; position++) {
		uint16_t first, second;

		first = fixture_push_read(f, 512);
		second = fixture_push_read(f, 512);
		assert_int_equal(fixture_fetch(f), first);
		assert_int_equal(fixture_fetch(f), second);
		assert_int_equal(tcmu_ring_check(&f->ring), 0);
		fixture_complete(f, first);
		assert_int_equal(fixture_consume(f), 1);
		assert_int_equal(tcmu_ring_check(&f->ring), 0);
		if (position % 7 == 6) {
			fake_ring_reset(f->fake, NULL, NULL);
			fixture_push_read(f, 512);
			assert_int_equal(tcmu_ring_check(&f->ring), -ESTALE);
			assert_int_equal(
				tcmu_ring_complete(
					&f->ring, &(struct tcmu_completion){.cmd_id = second}),
				-ESTALE);
			fake_ring_reset(f->fake, NULL, NULL);
			assert_int_equal(
				tcmu_ring_attach(
					&f->ring, fake_ring_base(f->fake),
					fake_ring_length(f->fake)),
				0);
			for (unsigned i = 0; i < position; i++) /* on to another position */
				fixture_complete(f, (fixture_push_read(f, 512), fixture_fetch(f))),
					assert_int_equal(fixture_consume(f), 1);
			continue;
		}
		fixture_complete(f, second);
		assert_int_equal(fixture_consume(f), 1);
	}
}

/* The kernel resets between the completion and the moment when the tail is published. */
static void a_reset_before_the_tail_is_published_leaves_the_new_entries_alone(void **state)
{
	struct fixture *f = *state;
	uint16_t id;

	for (unsigned before = 0; before < 3; before++) {
		for (unsigned i = 0; i < before; i++) {
			fixture_push_read(f, 512);
			fixture_complete(f, fixture_fetch(f));
			assert_int_equal(fixture_consume(f), 1);
		}
		fixture_push_read(f, 512);
		fixture_complete(f, fixture_fetch(f));
		fake_ring_reset(f->fake, NULL, NULL);
		id = fixture_push_read(f, 512);
		assert_int_equal(tcmu_ring_publish(&f->ring), -ESTALE);
		assert_int_equal(fake_ring_consume(f->fake, NULL, NULL), 0);
		assert_false(fake_ring_broken(f->fake));
		assert_int_equal(
			tcmu_ring_attach(
				&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)),
			0);
		assert_int_equal(fixture_fetch(f), id);
		fixture_complete(f, id);
		assert_int_equal(fixture_consume(f), 1);
		fake_ring_reset(f->fake, NULL, NULL);
		assert_int_equal(
			tcmu_ring_attach(
				&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)),
			0);
	}
}

/* A caller without room for commands still gets the functions that abort them. */
/* The last user dies at each position, with three commands: the answer to the last one is
 * published, in the entry of the first; the one to the first is written and not published. The
 * noted command is the one in the middle. */
static void a_dead_users_command_is_answered_at_each_position(void **state)
{
	struct fixture *f = *state;

	fixture_replace(f, &(struct fake_ring_options){.ring_size = 1024});
	for (unsigned i = 0; i < 64; i++) {
		uint16_t ids[3];
		uint32_t published;

		for (unsigned j = 0; j < 3; j++)
			ids[j] = fixture_push_read(f, 512);
		for (unsigned j = 0; j < 3; j++)
			assert_int_equal(fixture_fetch(f), ids[j]);
		fixture_complete(f, ids[2]);
		assert_int_equal(tcmu_ring_mark(&f->ring), 0);
		assert_int_equal(fixture_consume(f), 1);
		published = f->ring.published;
		if (i % 2)
			fixture_complete(f, ids[0]);
		assert_int_equal(
			tcmu_ring_resume(
				&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake),
				published + 8),
			-ESTALE);
		assert_int_equal(
			tcmu_ring_resume(
				&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake),
				published),
			0);
		assert_int_equal(f->ring.outstanding, 2);
		assert_int_equal(fixture_next(f), 0);
		f->seen_count = 0;
		fixture_complete(f, ids[1]);
		assert_int_equal(fixture_consume(f), 1);
		assert_int_equal(f->seen[0].cmd_id, ids[1]);
		fixture_complete(f, ids[0]);
		assert_int_equal(fixture_consume(f), 1);
		assert_int_equal(f->ring.outstanding, 0);
		assert_int_equal(
			tcmu_ring_attach(
				&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)),
			0);
		if (i % 3 == 0) { /* the positions move */
			fixture_push_read(f, i * 512);
			fixture_complete(f, fixture_fetch(f));
			assert_int_equal(fixture_consume(f), 1);
		}
		f->seen_count = 0;
	}
}

static void a_ring_that_was_reset_is_not_resumed(void **state)
{
	struct fixture *f = *state;

	for (unsigned served = 0; served < 2; served++)
		for (unsigned sent = 0; sent < 2; sent++) {
			uint32_t published;

			fixture_replace(f, &(struct fake_ring_options){.ring_size = 1024});
			if (served) {
				fixture_push_read(f, 512);
				fixture_complete(f, fixture_fetch(f));
				assert_int_equal(fixture_consume(f), 1);
			}
			fixture_push_read(f, 512);
			fixture_fetch(f);
			published = f->ring.published;
			assert_int_equal(tcmu_ring_mark(&f->ring), 0);
			fake_ring_reset(f->fake, NULL, NULL);
			if (sent)
				fixture_push_read(f, 512);
			assert_int_equal(
				tcmu_ring_resume(
					&f->ring, fake_ring_base(f->fake),
					fake_ring_length(f->fake), published),
				-ESTALE);
		}
}

/* Another user has served the ring since, round to the same tail. */
static void a_ring_that_another_user_has_served_is_not_resumed(void **state)
{
	struct fixture *f = *state;
	uint32_t published;

	fixture_replace(f, &(struct fake_ring_options){.ring_size = 1024});
	fixture_push_read(f, 512);
	fixture_complete(f, fixture_fetch(f));
	assert_int_equal(fixture_consume(f), 1);
	fixture_push_read(f, 512);
	fixture_fetch(f);
	assert_int_equal(tcmu_ring_mark(&f->ring), 0);
	published = f->ring.published;
	fake_ring_reset(f->fake, NULL, NULL);
	assert_int_equal(
		tcmu_ring_attach(&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)), 0);
	fixture_push_read(f, 512);
	fixture_complete(f, fixture_fetch(f));
	assert_int_equal(fixture_consume(f), 1);
	assert_int_equal(f->ring.published, published);
	fixture_push_read(f, 512);
	fixture_fetch(f);
	assert_int_equal(
		tcmu_ring_resume(
			&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake), published),
		-ESTALE);
}

static void a_marked_ring_must_be_the_same(void **state)
{
	struct fixture *f = *state;

	fixture_push_read(f, 512);
	fixture_complete(f, fixture_fetch(f));
	assert_int_equal(tcmu_ring_mark(&f->ring), 0); /* nothing to mark */
	assert_int_equal(fixture_consume(f), 1);
	fake_ring_reset(f->fake, NULL, NULL);
	assert_int_equal(tcmu_ring_mark(&f->ring), -ESTALE);
}

static void a_task_management_function_is_found_behind_commands(void **state)
{
	struct fixture *f = *state;
	uint16_t first = fixture_push_read(f, 512), second = fixture_push_read(f, 512);
	struct tcmu_entry entry;

	assert_int_equal(fixture_fetch(f), first);
	assert_int_equal(tcmu_ring_next_tmr(&f->ring, &entry), 0);
	assert_int_equal(fake_ring_push_tmr(f->fake, TCMU_TMR_TYPE_ABORT_TASK, &second, 1), 0);
	assert_int_equal(fake_ring_push_tmr(f->fake, TCMU_TMR_TYPE_LUN_RESET, &first, 1), 0);
	fake_ring_publish(f->fake);
	assert_int_equal(tcmu_ring_next_tmr(&f->ring, &entry), 1);
	assert_int_equal(entry.kind, TCMU_ENTRY_TMR);
	assert_int_equal(entry.tmr_type, TCMU_TMR_TYPE_ABORT_TASK);
	assert_int_equal(tcmu_entry_tmr_id(&entry, 0), second);

	/* A function is given once; the rest follows, in order, by either call. */
	assert_int_equal(fixture_fetch(f), second);
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.kind, TCMU_ENTRY_TMR);
	assert_int_equal(f->entry.tmr_type, TCMU_TMR_TYPE_LUN_RESET);
	assert_int_equal(fixture_next(f), 0);
	assert_int_equal(tcmu_ring_next_tmr(&f->ring, &entry), 0);
	fixture_complete(f, first);
	fixture_complete(f, second);
	assert_int_equal(fixture_consume(f), 2);
}

static void the_kernel_breaks_the_ring_at_a_double_completion(void **state)
{
	struct fixture *f = *state;
	uint16_t first = fixture_push_read(f, 512);

	fixture_push_read(f, 512);
	fixture_fetch(f);
	fixture_fetch(f);
	fixture_complete(f, first);
	fixture_complete(f, first);
	assert_int_equal(fixture_consume(f), -EIO);
	assert_true(fake_ring_broken(f->fake));
	assert_int_equal(
		fake_ring_push(f->fake, &(struct fake_command){.cdb = read_10, .cdb_length = 10}),
		-EIO);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(a_fresh_ring_is_empty),
		RING_TEST(features_that_do_not_exist_yet_are_not_shown),
		RING_TEST(a_command_is_decoded_into_plain_values),
		RING_TEST(data_goes_through_scattered_blocks_both_ways),
		RING_TEST(too_many_iovecs_leave_the_entry_where_it_is),
		RING_TEST(bidirectional_vectors_are_counted_but_not_given),
		RING_TEST(the_opcode_group_gives_the_length_of_a_cdb),
		RING_TEST(a_cdb_longer_than_the_longest_is_cut),
		RING_TEST(a_completion_is_seen_only_when_published),
		RING_TEST(completions_go_back_in_any_order),
		RING_TEST(sense_goes_with_check_condition_only),
		RING_TEST(the_length_of_a_short_read_is_reported),
		RING_TEST(a_kernel_without_read_len_gets_none),
		RING_TEST(nothing_outstanding_means_nothing_to_complete),
		RING_TEST(padding_is_skipped_by_both_sides),
		RING_TEST(a_ring_of_padding_alone_is_left_idle),
		RING_TEST(task_management_names_its_commands),
		RING_TEST(a_command_has_no_task_management_ids),
		RING_TEST(an_unknown_opcode_is_marked_and_passed),
		RING_TEST(a_ring_with_any_size_wraps),
		RING_TEST(a_full_ring_is_fetched_to_the_last_entry),
		RING_TEST(the_next_daemon_continues_at_the_tail),
		RING_TEST(a_ring_that_was_reset_is_noticed_and_left_alone),
		RING_TEST(a_reset_is_noticed_when_the_head_has_come_back),
		RING_TEST(a_reset_at_position_0_is_noticed),
		RING_TEST(a_reset_is_noticed_at_each_position_of_the_ring),
		RING_TEST(a_reset_before_the_tail_is_published_leaves_the_new_entries_alone),
		RING_TEST(a_dead_users_command_is_answered_at_each_position),
		RING_TEST(a_ring_that_was_reset_is_not_resumed),
		RING_TEST(a_ring_that_another_user_has_served_is_not_resumed),
		RING_TEST(a_marked_ring_must_be_the_same),
		RING_TEST(a_task_management_function_is_found_behind_commands),
		RING_TEST(the_kernel_breaks_the_ring_at_a_double_completion),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
