/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY as it is carried out: within a disk, between two, and how it ends when one of them
 * does, whatever is stuck.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

#define SIZE    (1024u * 1024)
#define TARGETS 16
#define SEGMENT (16 + 2 * 32)
#define LENGTH  (SEGMENT + 28)
#define BLOCKS  1024u /* two pieces */

#define FROM    "5c" /* the serials: of which the designators are made */
#define TO      "d7"

/* Two disks; who answers is `to`. */
struct pair {
	struct rig from;
	struct rig to;
	uint8_t list[LENGTH];
	struct rig_command copy;
};

static void start(struct rig *rig, const char *serial, const struct rig_options *options)
{
	struct rig_options mine = *options;

	mine.wait_serial = true;
	rig_make(rig, &mine);
	rig->setup.lu.max_xcopies = 4;
	rig->setup.lu.xcopy_to_others = true;
	assert_int_equal(io_thread_new(&rig->setup, &rig->thread), 0);
	rig_wait_signal(rig, IO_SIGNAL_ATTACHED);
	rig_set_serial(rig->thread, serial);
	rig_wait_orders(rig);
}

static void put_target(uint8_t *p, const char *serial)
{
	struct scsi_lu lu = {0};

	p[0] = 0xe4;
	p[4] = 0x01;
	p[5] = 0x03;
	p[7] = SCSI_NAA_LENGTH;
	strcpy(lu.serial, serial);
	assert_true(scsi_naa(&lu, p + 8));
}

/* All of a list with two targets and one segment of BLOCKS blocks. */
static void make_list(struct pair *pair, const char *from, const char *to)
{
	uint8_t *p = pair->list;

	memset(p, 0, LENGTH);
	p[3] = 2 * 32;
	p[11] = 28;
	put_target(p + TARGETS, from);
	put_target(p + TARGETS + 32, to);
	p[SEGMENT] = 0x02;
	p[SEGMENT + 3] = 0x18;
	p[SEGMENT + 7] = 1;
	p[SEGMENT + 10] = BLOCKS >> 8;
	p[SEGMENT + 26] = BLOCKS >> 8; /* to behind the first BLOCKS */
	pair->copy = (struct rig_command){
		.cdb = {0x83, [13] = LENGTH}, .cdb_length = 16, .out = p, .length = LENGTH};
}

static const struct rig_options basic;

static void start_pair(struct pair *pair, const struct rig_options *from)
{
	memset(pair, 0, sizeof(*pair));
	start(&pair->from, FROM, from);
	start(&pair->to, TO, &basic);
	rig_pattern(backend_store(pair->from.backend), SIZE, 1);
	rig_pattern(backend_store(pair->to.backend), SIZE, 2);
	make_list(pair, FROM, TO);
}

static void send(struct pair *pair)
{
	rig_forget_signals(&pair->to);
	rig_send(&pair->to, &pair->copy);
	rig_wait_signal(&pair->to, IO_SIGNAL_NEEDS_LU_INFO);
	rig_set_serial(pair->to.thread, TO);
}

static uint8_t copy(struct pair *pair)
{
	send(pair);
	rig_wait(&pair->copy);
	return pair->copy.status;
}

static void blocks_go_from_one_disk_to_another(void **state)
{
	struct pair pair;
	uint8_t before[SIZE / 2];

	(void) state;
	start_pair(&pair, &basic);
	memcpy(before, backend_store(pair.to.backend), sizeof(before));
	assert_int_equal(copy(&pair), SCSI_GOOD);
	backend_sync(pair.to.backend);
	assert_memory_equal(
		backend_store(pair.to.backend) + BLOCKS * RIG_BLOCK,
		backend_store(pair.from.backend), BLOCKS * RIG_BLOCK);
	assert_memory_equal(backend_store(pair.to.backend), before, sizeof(before));
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void blocks_go_to_another_place_of_the_disk(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_list(&pair, TO, TO);
	assert_int_equal(copy(&pair), SCSI_GOOD);
	backend_sync(pair.to.backend);
	assert_memory_equal(
		backend_store(pair.to.backend) + BLOCKS * RIG_BLOCK, backend_store(pair.to.backend),
		BLOCKS * RIG_BLOCK);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 0);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void a_disk_that_is_not_there_cannot_be_reached(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	rig_stop(&pair.from);
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x0a, 0x0d02);
	rig_stop(&pair.to);
}

static void two_disks_with_one_name_are_neither(void **state)
{
	struct pair pair;
	struct rig third;

	(void) state;
	start_pair(&pair, &basic);
	start(&third, FROM, &basic);
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x0a, 0x0d02);
	rig_stop(&third);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void an_error_of_either_ends_it(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	backend_fail(pair.from.backend, TCMU_IO_READ, 1, 1, -EIO);
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x0a, 0x0d01);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x07, 0x2707);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

/* The source cannot be written to, and has no such block. */
static void what_the_other_disk_does_not_allow_ends_it(void **state)
{
	struct pair pair;
	struct rig protected;

	(void) state;
	start_pair(&pair, &basic);
	rig_make(&protected, &(struct rig_options){.wait_serial = true});
	protected.setup.lu.read_only = true;
	assert_int_equal(io_thread_new(&protected.setup, &protected.thread), 0);
	rig_wait_signal(&protected, IO_SIGNAL_ATTACHED);
	rig_set_serial(protected.thread, "ee");
	rig_wait_orders(&protected);
	make_list(&pair, FROM, "ee");
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x07, 0x2700);
	make_list(&pair, FROM, TO);
	pair.list[SEGMENT + 17] = 0x10;
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.copy, 0x0a, 0x0000);
	rig_stop(&protected);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void start_stuck(struct pair *pair)
{
	start_pair(pair, &basic);
	backend_hold(pair->from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send(pair);
	assert_true(backend_wait_held(pair->from.backend, 1));
}

static void the_end_of_the_source_ends_the_copy_while_a_read_is_stuck(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	io_thread_drain(pair.from.thread, false);
	rig_wait(&pair.copy);
	assert_sense(&pair.copy, 0x0a, 0x0d02);
	/* whose buffer is still there */
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	rig_finish(&pair.from);
	rig_stop(&pair.to);
}

static void the_disk_that_copies_ends_while_another_is_stuck(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	assert_int_equal(io_thread_revoke(pair.to.thread), 0);
	rig_finish(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	rig_stop(&pair.from);
}

static void who_drains_has_it_asked_for_again(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	backend_hold(pair.from.backend, 0);
	io_thread_drain(pair.to.thread, false);
	rig_wait_orders(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	rig_wait(&pair.copy);
	assert_int_equal(pair.copy.status, SCSI_BUSY);
	rig_finish(&pair.to);
	rig_stop(&pair.from);
}

static void a_copy_waits_for_compare_and_write(void **state)
{
	uint8_t both[2 * RIG_BLOCK] = {0};
	struct rig_command compare = rig_compare_and_write(BLOCKS, 1, both);
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	memcpy(both, backend_store(pair.to.backend) + BLOCKS * RIG_BLOCK, RIG_BLOCK);
	memset(both + RIG_BLOCK, 0x11, RIG_BLOCK);
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&pair.to, &compare);
	assert_true(backend_wait_held(pair.to.backend, 1));
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send(&pair);
	assert_true(backend_wait_held(pair.from.backend, 1));
	backend_hold(pair.from.backend, 0);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	/* Who has read has answered; who was answered has begun to write, or waits. */
	rig_wait_idle(&pair.from);
	rig_wait_idle(&pair.to);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	backend_hold(pair.to.backend, 0);
	assert_int_equal(backend_release(pair.to.backend, 1, BACKEND_OLDEST), 1);
	rig_wait(&compare);
	assert_int_equal(compare.status, SCSI_GOOD);
	rig_wait(&pair.copy);
	assert_int_equal(pair.copy.status, SCSI_GOOD);
	backend_sync(pair.to.backend);
	assert_memory_equal(
		backend_store(pair.to.backend) + BLOCKS * RIG_BLOCK,
		backend_store(pair.from.backend), RIG_BLOCK);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

/* ------- with a list identifier of four bytes ------- */

#define LONG_LENGTH   (LENGTH + 32)
#define LONG_ID_BYTES 0x01, 0x02, 0x03, 0x04

/* The same list in the other format. */
static void make_long(struct pair *pair, uint8_t *p, bool immediate)
{
	memset(p, 0, 48);
	p[0] = 0x01;
	p[3] = 0x20;
	p[15] = immediate ? 0x01 : 0;
	p[16] = 0xff;
	memcpy(p + 20, (const uint8_t[]){LONG_ID_BYTES}, 4);
	p[43] = 2 * 32;
	p[45] = 28;
	memcpy(p + 48, pair->list + TARGETS, LENGTH - TARGETS);
	pair->copy = (struct rig_command){
		.cdb = {0x83, 0x01, [13] = LONG_LENGTH},
		.cdb_length = 16,
		.out = p,
		.length = LONG_LENGTH};
}

/* RECEIVE COPY STATUS(LID4): byte 5 is COPY OPERATION STATUS. */
static uint8_t long_status(struct pair *pair, uint8_t *in)
{
	struct rig_command command = {
		.cdb = {0x84, 0x05, LONG_ID_BYTES, [13] = 128},
		.cdb_length = 16,
		.length = 128,
		.in = in};

	assert_int_equal(rig_do(&pair->to, &command), SCSI_GOOD);
	return in[5];
}

static uint8_t abort_copy(struct pair *pair)
{
	struct rig_command command = {.cdb = {0x83, 0x1c, LONG_ID_BYTES}, .cdb_length = 16};

	return rig_do(&pair->to, &command);
}

static void a_copy_goes_on_in_the_background(void **state)
{
	uint8_t p[LONG_LENGTH], in[128];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_long(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(copy(&pair), SCSI_GOOD);
	assert_true(backend_wait_held(pair.from.backend, 1));
	assert_int_equal(long_status(&pair, in), 0x12);
	backend_hold(pair.from.backend, 0);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	while (long_status(&pair, in) == 0x12)
		rig_wait_idle(&pair.to);
	assert_int_equal(in[5], 0x01);
	assert_int_equal(in[7], 4); /* two pieces, read and written */
	assert_int_equal(in[22] << 8 | in[23], BLOCKS * RIG_BLOCK / 1024);
	assert_int_equal(in[25], 1); /* segments */
	backend_sync(pair.to.backend);
	assert_memory_equal(
		backend_store(pair.to.backend) + BLOCKS * RIG_BLOCK,
		backend_store(pair.from.backend), BLOCKS * RIG_BLOCK);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void a_copy_in_the_background_ends_with_the_loop(void **state)
{
	uint8_t p[LONG_LENGTH];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_long(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(copy(&pair), SCSI_GOOD);
	assert_true(backend_wait_held(pair.from.backend, 1));
	assert_int_equal(io_thread_revoke(pair.to.thread), 0);
	rig_finish(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	rig_stop(&pair.from);
}

static void a_copy_that_is_aborted_ends(void **state)
{
	struct rig_options options = {.backend.can_cancel = true};
	uint8_t p[LONG_LENGTH], in[128];
	struct pair pair;

	(void) state;
	memset(&pair, 0, sizeof(pair));
	start(&pair.from, FROM, &basic);
	start(&pair.to, TO, &options);
	make_list(&pair, TO, TO);
	make_long(&pair, p, false);
	assert_int_equal(abort_copy(&pair), SCSI_CHECK_CONDITION); /* there is none */
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send(&pair);
	assert_true(backend_wait_held(pair.to.backend, 1));
	assert_int_equal(long_status(&pair, in), 0x11);
	/* The backend, asked to give up what it is stuck in, does so. */
	assert_int_equal(abort_copy(&pair), SCSI_GOOD);
	rig_wait(&pair.copy);
	assert_int_equal(pair.copy.status, SCSI_TASK_ABORTED);
	assert_int_equal(long_status(&pair, in), 0x60);
	assert_int_equal(in[12], SCSI_TASK_ABORTED);
	assert_int_equal(abort_copy(&pair), SCSI_CHECK_CONDITION);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

static void a_failure_is_told_with_its_sense(void **state)
{
	uint8_t p[LONG_LENGTH], in[128];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_long(&pair, p, false);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(copy(&pair), SCSI_CHECK_CONDITION);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(long_status(&pair, in), 0x02);
		assert_int_equal(in[12], SCSI_CHECK_CONDITION);
		assert_int_equal(in[13], 20); /* of a multiple of four */
		assert_int_equal(in[14], 18);
		assert_int_equal(in[32 + 2], 0x07);
		assert_int_equal(in[32 + 12] << 8 | in[32 + 13], 0x2707);
		assert_int_equal(in[25], 1); /* the first segment is the one that failed */
	}
	rig_stop(&pair.from);
	rig_stop(&pair.to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_go_from_one_disk_to_another),
		cmocka_unit_test(blocks_go_to_another_place_of_the_disk),
		cmocka_unit_test(a_disk_that_is_not_there_cannot_be_reached),
		cmocka_unit_test(two_disks_with_one_name_are_neither),
		cmocka_unit_test(an_error_of_either_ends_it),
		cmocka_unit_test(what_the_other_disk_does_not_allow_ends_it),
		cmocka_unit_test(the_end_of_the_source_ends_the_copy_while_a_read_is_stuck),
		cmocka_unit_test(the_disk_that_copies_ends_while_another_is_stuck),
		cmocka_unit_test(who_drains_has_it_asked_for_again),
		cmocka_unit_test(a_copy_waits_for_compare_and_write),
		cmocka_unit_test(a_copy_goes_on_in_the_background),
		cmocka_unit_test(a_copy_in_the_background_ends_with_the_loop),
		cmocka_unit_test(a_copy_that_is_aborted_ends),
		cmocka_unit_test(a_failure_is_told_with_its_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
