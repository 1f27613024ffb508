/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY (xcopy): within a disk, between two disks, and how it ends when one of them ends or
 * is stuck.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define SIZE    (1024u * 1024)
#define TARGETS 16
#define SEGMENT (16 + 2 * 32)
#define LENGTH  (SEGMENT + 28)
#define BLOCKS  1024u /* two steps of the copy */

#define FROM    "5c" /* the serials that the designators are made of */
#define TO      "d7"

/* Two disks. Disk `to` receives the command. */
struct pair {
	struct io_fixture from;
	struct io_fixture to;
	uint8_t list[LENGTH];
	struct initiator_command xcopy;
};

/* cmd_time_out, ns; 0: never. */
static uint64_t command_timeout;

static void start_disk(
	struct io_fixture *fixture, const char *serial, const struct io_fixture_options *options)
{
	struct io_fixture_options mine = *options;

	mine.wait_serial = true;
	io_fixture_init(fixture, &mine);
	fixture->setup.command_timeout = command_timeout;
	fixture->setup.lu.max_xcopies = 4;
	fixture->setup.lu.xcopy_to_others = true;
	io_fixture_start_thread(fixture);
	io_fixture_set_serial(fixture->thread, serial);
	io_fixture_wait_control(fixture);
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

/* A parameter list (LID1) with two targets and one segment of BLOCKS blocks. */
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
	p[SEGMENT + 26] = BLOCKS >> 8; /* destination: behind the first BLOCKS blocks */
	pair->xcopy = (struct initiator_command){
		.cdb = {0x83, [13] = LENGTH}, .cdb_length = 16, .out = p, .length = LENGTH};
}

static const struct io_fixture_options basic;

static void start_pair(struct pair *pair, const struct io_fixture_options *from)
{
	memset(pair, 0, sizeof(*pair));
	start_disk(&pair->from, FROM, from);
	start_disk(&pair->to, TO, &basic);
	fill_pattern(backend_store(pair->from.backend), SIZE, 1);
	fill_pattern(backend_store(pair->to.backend), SIZE, 2);
	make_list(pair, FROM, TO);
}

static void stop_pair(struct pair *pair)
{
	io_fixture_stop(&pair->from);
	io_fixture_stop(&pair->to);
}

/* The first BLOCKS blocks of a disk are now on the destination, behind its first ones. */
static void assert_copied(struct pair *pair, const struct io_fixture *source)
{
	backend_sync(pair->to.backend);
	assert_memory_equal(
		io_fixture_store_at(&pair->to, BLOCKS), io_fixture_store_at(source, 0),
		BLOCKS * FIXTURE_BLOCK);
}

static void send_xcopy(struct pair *pair)
{
	io_fixture_clear_signals(&pair->to);
	initiator_send(&pair->to, &pair->xcopy);
	io_fixture_wait_signal(&pair->to, IO_SIGNAL_NEEDS_LU_INFO);
	io_fixture_set_serial(pair->to.thread, TO);
}

static uint8_t run_xcopy(struct pair *pair)
{
	send_xcopy(pair);
	initiator_wait(&pair->xcopy);
	return pair->xcopy.status;
}

static void blocks_are_copied_between_disks(void **state)
{
	struct pair pair;
	uint8_t before[SIZE / 2];

	(void) state;
	start_pair(&pair, &basic);
	memcpy(before, backend_store(pair.to.backend), sizeof(before));
	assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
	assert_copied(&pair, &pair.from);
	assert_memory_equal(backend_store(pair.to.backend), before, sizeof(before));
	stop_pair(&pair);
}

static void blocks_are_copied_within_a_disk(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_list(&pair, TO, TO);
	assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
	assert_copied(&pair, &pair.to);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 0);
	stop_pair(&pair);
}

static void a_missing_disk_is_unreachable(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	io_fixture_stop(&pair.from);
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	io_fixture_stop(&pair.to);
}

static void an_ambiguous_disk_is_unreachable(void **state)
{
	struct pair pair;
	struct io_fixture third;

	(void) state;
	start_pair(&pair, &basic);
	start_disk(&third, FROM, &basic);
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	io_fixture_stop(&third);
	stop_pair(&pair);
}

static void an_error_of_either_disk_ends_the_xcopy(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	backend_fail(pair.from.backend, TCMU_IO_READ, 1, 1, -EIO);
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d01);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x07, 0x2707);
	stop_pair(&pair);
}

/* The destination is write-protected, or the source has no such block. */
static void a_refusal_of_the_other_disk_ends_the_xcopy(void **state)
{
	struct pair pair;
	struct io_fixture protected;

	(void) state;
	start_pair(&pair, &basic);
	io_fixture_init(&protected, &(struct io_fixture_options){.wait_serial = true});
	protected.setup.lu.read_only = true;
	io_fixture_start_thread(&protected);
	io_fixture_set_serial(protected.thread, "ee");
	io_fixture_wait_control(&protected);
	make_list(&pair, FROM, "ee");
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x07, 0x2700);
	make_list(&pair, FROM, TO);
	pair.list[SEGMENT + 17] = 0x10;
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0000);
	io_fixture_stop(&protected);
	stop_pair(&pair);
}

static void start_stuck(struct pair *pair)
{
	start_pair(pair, &basic);
	backend_hold(pair->from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send_xcopy(pair);
	assert_true(backend_wait_held(pair->from.backend, 1));
}

static void draining_the_source_ends_the_xcopy_while_a_read_is_stuck(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	io_thread_drain(pair.from.thread, false);
	initiator_wait(&pair.xcopy);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	/* the buffer of the read still exists */
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_wait_end(&pair.from);
	io_fixture_stop(&pair.to);
}

/* An aborted command does not wait for the other disk. */
static void a_reset_does_not_wait_for_the_other_disk(void **state)
{
	static const enum tcmu_tmr_type types[] = {
		TCMU_TMR_TYPE_ABORT_TASK, TCMU_TMR_TYPE_LUN_RESET};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair pair;

		start_stuck(&pair);
		initiator_abort(&pair.to, types[i], &pair.xcopy);
		initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
		/* the buffer of the read still exists */
		backend_hold(pair.from.backend, 0);
		assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
		assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
		assert_copied(&pair, &pair.from);
		stop_pair(&pair);
	}
}

/* The piece that the other disk has taken lands after the answer to the abort, but never on top of
 * a later write. */
static void a_write_after_an_abort_is_not_overtaken(void **state)
{
	struct initiator_command ready = cmd_test_unit_ready();
	uint8_t data[FIXTURE_BLOCK];
	struct initiator_command write;
	struct pair pair;

	(void) state;
	memset(data, 'w', sizeof(data));
	write = cmd_write(BLOCKS + 7, 1, data);
	start_pair(&pair, &basic);
	make_list(&pair, TO, FROM);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	send_xcopy(&pair);
	assert_true(backend_wait_held(pair.from.backend, 1));
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	backend_hold(pair.from.backend, 0);
	initiator_push(&pair.from, &write);
	initiator_send(&pair.from, &ready);
	initiator_wait_status(&ready, SCSI_GOOD); /* the write was decided before */
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&write, SCSI_GOOD);
	io_fixture_wait_idle(&pair.from);
	backend_sync(pair.from.backend);
	assert_memory_equal(io_fixture_store_at(&pair.from, BLOCKS + 7), data, sizeof(data));
	stop_pair(&pair);
}

/* The other disk has not even taken the request: it never carries it out. */
static void a_request_that_was_not_taken_is_withdrawn(void **state)
{
	uint8_t in[16][FIXTURE_BLOCK];
	struct initiator_command reads[16];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 16; i++) {
		reads[i] = cmd_read(i, 1, in[i]);
		initiator_send(&pair.from, &reads[i]);
	}
	assert_true(backend_wait_held(pair.from.backend, 16));
	send_xcopy(&pair);
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	backend_hold(pair.from.backend, 0);
	backend_release(pair.from.backend, 16, BACKEND_OLDEST);
	for (unsigned i = 0; i < 16; i++)
		initiator_wait_status(&reads[i], SCSI_GOOD);
	io_fixture_wait_idle(&pair.from);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 16);
	stop_pair(&pair);
}

/* The other disk loses its lock between the pieces and has it again: another host may have written
 * there meanwhile. */
static void an_xcopy_does_not_survive_a_permission(void **state)
{
	(void) state;
	for (unsigned other = 0; other < 2; other++) {
		uint8_t before[SIZE];
		struct pair pair;
		struct io_fixture *disk;

		start_pair(&pair, &basic);
		disk = other ? &pair.from : &pair.to;
		if (other)
			make_list(&pair, TO, FROM);
		memcpy(before, backend_store(disk->backend), SIZE);
		backend_hold((other ? &pair.to : &pair.from)->backend, TCMU_IO_CAP(TCMU_IO_READ));
		send_xcopy(&pair);
		assert_true(backend_wait_held((other ? &pair.to : &pair.from)->backend, 1));
		io_fixture_clear_signals(disk);
		io_thread_set_permission(disk->thread, IO_PERMIT_READS, 0);
		io_thread_set_permission(disk->thread, IO_PERMIT_ALL, 0);
		io_fixture_wait_control(disk);
		backend_hold((other ? &pair.to : &pair.from)->backend, 0);
		backend_release((other ? &pair.to : &pair.from)->backend, 1, BACKEND_OLDEST);
		initiator_wait_status(&pair.xcopy, SCSI_BUSY);
		assert_memory_equal(backend_store(disk->backend), before, SIZE);
		assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
		stop_pair(&pair);
	}
}

/* It waits for the serials of the devices; then it begins. */
static void a_deferred_xcopy_does_not_survive_a_permission(void **state)
{
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_list(&pair, TO, TO);
	io_fixture_clear_signals(&pair.to);
	initiator_send(&pair.to, &pair.xcopy);
	io_fixture_wait_signal(&pair.to, IO_SIGNAL_NEEDS_LU_INFO);
	io_thread_set_permission(pair.to.thread, IO_PERMIT_READS, 0);
	io_thread_set_permission(pair.to.thread, IO_PERMIT_ALL, 0);
	io_fixture_wait_control(&pair.to);
	io_fixture_set_serial(pair.to.thread, TO);
	initiator_wait_status(&pair.xcopy, SCSI_BUSY);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
	stop_pair(&pair);
}

/* Another gateway holds the lock: as READ and WRITE, so that the initiator tries again. */
static void without_permission_a_copy_is_answered_as_a_read(void **state)
{
	static const enum io_permission permissions[] = {IO_PERMIT_NONE, IO_PERMIT_READS};

	(void) state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned other = 0; other < 2; other++) {
			struct pair pair;
			struct io_fixture *disk;

			start_pair(&pair, &basic);
			disk = other ? &pair.from : &pair.to;
			io_thread_set_permission(disk->thread, permissions[i], 0);
			io_fixture_wait_control(disk);
			assert_int_equal(
				run_xcopy(&pair),
				other && permissions[i] == IO_PERMIT_READS ? SCSI_GOOD : SCSI_BUSY);
			io_thread_set_permission(disk->thread, IO_PERMIT_ALL, 0);
			io_fixture_wait_control(disk);
			assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
			assert_copied(&pair, &pair.from);
			stop_pair(&pair);
		}
}

static void the_destination_ends_while_the_source_is_stuck(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	assert_int_equal(io_thread_revoke(pair.to.thread), 0);
	io_fixture_wait_end(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_stop(&pair.from);
}

static void draining_the_destination_makes_the_xcopy_busy(void **state)
{
	struct pair pair;

	(void) state;
	start_stuck(&pair);
	backend_hold(pair.from.backend, 0);
	io_thread_drain(pair.to.thread, false);
	io_fixture_wait_control(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&pair.xcopy, SCSI_BUSY);
	io_fixture_wait_end(&pair.to);
	io_fixture_stop(&pair.from);
}

static void an_xcopy_waits_for_compare_and_write(void **state)
{
	uint8_t both[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(BLOCKS, 1, both);
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	memcpy(both, backend_store(pair.to.backend) + BLOCKS * FIXTURE_BLOCK, FIXTURE_BLOCK);
	memset(both + FIXTURE_BLOCK, 0x11, FIXTURE_BLOCK);
	initiator_send_held(&pair.to, &compare, TCMU_IO_CAP(TCMU_IO_READ));
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send_xcopy(&pair);
	assert_true(backend_wait_held(pair.from.backend, 1));
	backend_hold(pair.from.backend, 0);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	/* The source has answered its read; the destination has started its write, or waits. */
	io_fixture_wait_idle(&pair.from);
	io_fixture_wait_idle(&pair.to);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	backend_hold(pair.to.backend, 0);
	assert_int_equal(backend_release(pair.to.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&compare, SCSI_GOOD);
	initiator_wait_status(&pair.xcopy, SCSI_GOOD);
	assert_copied(&pair, &pair.from);
	stop_pair(&pair);
}

/* ------- the end before cmd_time_out ------- */

/* The kernel reports a failure when the time is over: the copy has ended before. */
static void a_stuck_xcopy_ends_before_its_time_is_over(void **state)
{
	struct pair pair;
	uint64_t begun;

	(void) state;
	command_timeout = CLOCK_NS_PER_SEC;
	start_pair(&pair, &basic);
	command_timeout = 0;
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	begun = clock_now_ns();
	send_xcopy(&pair);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	assert_true(clock_now_ns() - begun >= CLOCK_NS_PER_SEC / 4);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	stop_pair(&pair);
}

/* Its pieces follow each other so fast that the thread never sleeps until the next scan. */
static void a_busy_xcopy_ends_before_its_time_is_over(void **state)
{
	uint8_t list[LENGTH + 7 * 28];
	struct pair pair;

	(void) state;
	command_timeout = 450 * CLOCK_NS_PER_MS; /* cancelled after two scans */
	start_pair(&pair, &basic);
	command_timeout = 0;
	memcpy(list, pair.list, LENGTH);
	for (unsigned i = 1; i < 8; i++)
		memcpy(list + LENGTH + (i - 1) * 28, pair.list + SEGMENT, 28);
	list[10] = 8 * 28 >> 8;
	list[11] = 8 * 28 & 0xff;
	pair.xcopy.cdb[12] = sizeof(list) >> 8;
	pair.xcopy.cdb[13] = sizeof(list) & 0xff;
	pair.xcopy.out = list;
	pair.xcopy.length = sizeof(list);
	backend_later(pair.from.backend, 20000); /* all in all a third of a second */
	backend_later(pair.to.backend, 20000);
	assert_int_equal(run_xcopy(&pair), SCSI_TASK_ABORTED);
	assert_true(backend_count(pair.to.backend, TCMU_IO_WRITE) > 1);
	stop_pair(&pair);
}

/* ------- list identifiers of four bytes (LID4) ------- */

#define LID4_LENGTH   (LENGTH + 32)
#define LID4_ID_BYTES 0x01, 0x02, 0x03, 0x04

/* The same as a parameter list with a list identifier of four bytes (LID4). */
static void make_lid4_list(struct pair *pair, uint8_t *p, bool immediate)
{
	memset(p, 0, 48);
	p[0] = 0x01;
	p[3] = 0x20;
	p[15] = immediate ? 0x01 : 0;
	p[16] = 0xff;
	memcpy(p + 20, (const uint8_t[]){LID4_ID_BYTES}, 4);
	p[43] = 2 * 32;
	p[45] = 28;
	memcpy(p + 48, pair->list + TARGETS, LENGTH - TARGETS);
	pair->xcopy = (struct initiator_command){
		.cdb = {0x83, 0x01, [13] = LID4_LENGTH},
		.cdb_length = 16,
		.out = p,
		.length = LID4_LENGTH};
}

/* RECEIVE COPY STATUS(LID4): byte 5 is COPY OPERATION STATUS. */
static uint8_t receive_copy_status(struct pair *pair, uint8_t *in)
{
	struct initiator_command command = {
		.cdb = {0x84, 0x05, LID4_ID_BYTES, [13] = 128},
		.cdb_length = 16,
		.length = 128,
		.in = in};

	assert_int_equal(initiator_run(&pair->to, &command), SCSI_GOOD);
	return in[5];
}

static uint8_t abort_xcopy(struct pair *pair)
{
	struct initiator_command command = {.cdb = {0x83, 0x1c, LID4_ID_BYTES}, .cdb_length = 16};

	return initiator_run(&pair->to, &command);
}

static void an_immediate_xcopy_continues_in_the_background(void **state)
{
	uint8_t p[LID4_LENGTH], in[128];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_lid4_list(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
	assert_true(backend_wait_held(pair.from.backend, 1));
	assert_int_equal(receive_copy_status(&pair, in), 0x12);
	backend_hold(pair.from.backend, 0);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	while (receive_copy_status(&pair, in) == 0x12)
		io_fixture_wait_idle(&pair.to);
	assert_int_equal(in[5], 0x01);
	assert_int_equal(in[7], 4); /* two steps of the copy */
	assert_int_equal(in[22] << 8 | in[23], BLOCKS * FIXTURE_BLOCK / 1024);
	assert_int_equal(in[25], 1); /* segments */
	assert_copied(&pair, &pair.from);
	stop_pair(&pair);
}

static void a_background_xcopy_ends_with_its_device(void **state)
{
	uint8_t p[LID4_LENGTH];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_lid4_list(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(run_xcopy(&pair), SCSI_GOOD);
	assert_true(backend_wait_held(pair.from.backend, 1));
	assert_int_equal(io_thread_revoke(pair.to.thread), 0);
	io_fixture_wait_end(&pair.to);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_stop(&pair.from);
}

static void an_aborted_xcopy_ends(void **state)
{
	struct io_fixture_options options = {.backend.can_cancel = true};
	uint8_t p[LID4_LENGTH], in[128];
	struct pair pair;

	(void) state;
	memset(&pair, 0, sizeof(pair));
	start_disk(&pair.from, FROM, &basic);
	start_disk(&pair.to, TO, &options);
	make_list(&pair, TO, TO);
	make_lid4_list(&pair, p, false);
	assert_int_equal(abort_xcopy(&pair), SCSI_CHECK_CONDITION); /* there is no such xcopy */
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_READ));
	send_xcopy(&pair);
	assert_true(backend_wait_held(pair.to.backend, 1));
	assert_int_equal(receive_copy_status(&pair, in), 0x11);
	/* The backend cancels the request that it is stuck in. */
	assert_int_equal(abort_xcopy(&pair), SCSI_GOOD);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	assert_int_equal(receive_copy_status(&pair, in), 0x60);
	assert_int_equal(in[12], SCSI_TASK_ABORTED);
	assert_int_equal(abort_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	stop_pair(&pair);
}

static void a_failed_xcopy_reports_its_sense(void **state)
{
	uint8_t p[LID4_LENGTH], in[128];
	struct pair pair;

	(void) state;
	start_pair(&pair, &basic);
	make_lid4_list(&pair, p, false);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(run_xcopy(&pair), SCSI_CHECK_CONDITION);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(receive_copy_status(&pair, in), 0x02);
		assert_int_equal(in[12], SCSI_CHECK_CONDITION);
		assert_int_equal(in[13], 20); /* a multiple of four */
		assert_int_equal(in[14], 18);
		assert_int_equal(in[32 + 2], 0x07);
		assert_int_equal(in[32 + 12] << 8 | in[32 + 13], 0x2707);
		assert_int_equal(in[25], 1); /* the first segment has failed */
	}
	stop_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_copied_between_disks),
		cmocka_unit_test(blocks_are_copied_within_a_disk),
		cmocka_unit_test(a_missing_disk_is_unreachable),
		cmocka_unit_test(an_ambiguous_disk_is_unreachable),
		cmocka_unit_test(an_error_of_either_disk_ends_the_xcopy),
		cmocka_unit_test(a_refusal_of_the_other_disk_ends_the_xcopy),
		cmocka_unit_test(draining_the_source_ends_the_xcopy_while_a_read_is_stuck),
		cmocka_unit_test(a_reset_does_not_wait_for_the_other_disk),
		cmocka_unit_test(a_write_after_an_abort_is_not_overtaken),
		cmocka_unit_test(a_request_that_was_not_taken_is_withdrawn),
		cmocka_unit_test(an_xcopy_does_not_survive_a_permission),
		cmocka_unit_test(a_deferred_xcopy_does_not_survive_a_permission),
		cmocka_unit_test(without_permission_a_copy_is_answered_as_a_read),
		cmocka_unit_test(the_destination_ends_while_the_source_is_stuck),
		cmocka_unit_test(draining_the_destination_makes_the_xcopy_busy),
		cmocka_unit_test(an_xcopy_waits_for_compare_and_write),
		cmocka_unit_test(a_stuck_xcopy_ends_before_its_time_is_over),
		cmocka_unit_test(a_busy_xcopy_ends_before_its_time_is_over),
		cmocka_unit_test(an_immediate_xcopy_continues_in_the_background),
		cmocka_unit_test(a_background_xcopy_ends_with_its_device),
		cmocka_unit_test(an_aborted_xcopy_ends),
		cmocka_unit_test(a_failed_xcopy_reports_its_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
