/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY (xcopy): within a disk, between two disks, and how it ends when one of them ends or
 * is stuck.
 */
#include "deadline.h"
#include "xcopy-pair.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"

static const struct io_fixture_options basic;

static void blocks_are_copied_between_disks(void **state)
{
	struct pair pair;
	uint8_t before[PAIR_SIZE / 2];

	(void) state;
	pair_start(&pair, &basic);
	memcpy(before, backend_store(pair.to.backend), sizeof(before));
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
	pair_assert_copied(&pair, &pair.from);
	assert_memory_equal(backend_store(pair.to.backend), before, sizeof(before));
	pair_stop(&pair);
}

/* ------- the guard ------- */

/* Sends the command and returns the other disk that the main thread is to check. */
static struct xcopy_other send_guarded_xcopy(struct pair *pair)
{
	struct deferred_request request;
	struct xcopy_other other;

	pair_send_xcopy(pair);
	io_fixture_wait_signal(&pair->to, IO_SIGNAL_DEFERRED);
	assert_int_equal(io_thread_deferred(pair->to.thread, &request), 0);
	assert_int_equal(request.kind, DEFERRED_COPY_GUARD);
	assert_int_equal(request.other_cnt, 1);
	assert_false(initiator_is_done(&pair->xcopy));
	other = request.others[0];
	deferred_request_clear(&request);
	return other;
}

static void start_guarded_pair(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair_start_disk(&pair->from, PAIR_FROM, &basic, false);
	pair_start_disk(
		&pair->to, PAIR_TO, &(struct io_fixture_options){.guard_by_hand = true}, false);
	pair_make_list(pair, PAIR_FROM, PAIR_TO);
}

static void another_disk_takes_part_only_if_the_guard_allows_it(void **state)
{
	struct xcopy_other other;
	struct pair pair;

	(void) state;
	start_guarded_pair(&pair);
	other = send_guarded_xcopy(&pair);
	assert_string_equal(other.name.name, pair.from.setup.device.name);
	assert_false(other.written);
	io_thread_deferred_done(pair.to.thread, -ENODEV);
	initiator_wait(&pair.xcopy);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 0);
	pair_make_list(&pair, PAIR_FROM, PAIR_TO);
	(void) send_guarded_xcopy(&pair);
	io_thread_deferred_done(pair.to.thread, 0);
	initiator_wait_status(&pair.xcopy, SCSI_GOOD);
	pair_assert_copied(&pair, &pair.from);
	pair_stop(&pair);
}

static void the_guard_knows_which_disk_is_written(void **state)
{
	struct xcopy_other other;
	struct pair pair;

	(void) state;
	start_guarded_pair(&pair);
	pair_make_list(&pair, PAIR_TO, PAIR_FROM);
	other = send_guarded_xcopy(&pair);
	assert_true(other.written);
	io_thread_deferred_done(pair.to.thread, -ENODEV);
	initiator_wait(&pair.xcopy);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_WRITE), 0);
	/* a disk that is not there may come meanwhile: it has no name, and is refused */
	pair_make_list(&pair, "77", PAIR_TO);
	other = send_guarded_xcopy(&pair);
	assert_string_equal(other.name.name, "");
	io_thread_deferred_done(pair.to.thread, -ENODEV);
	initiator_wait(&pair.xcopy);
	pair_stop(&pair);
}

/* Whichever disk receives the command. */
static void a_read_only_disk_is_not_written(void **state)
{
	static const char *const names[][2] = {
		{PAIR_FROM, PAIR_TO},
		{PAIR_TO, PAIR_TO},
		{PAIR_FROM, PAIR_FROM},
		{PAIR_TO, PAIR_FROM}};

	(void) state;
	for (unsigned i = 0; i < 4; i++) {
		bool to = i < 2;
		struct pair pair = {0};

		pair_start_disk(&pair.from, PAIR_FROM, &basic, !to);
		pair_start_disk(&pair.to, PAIR_TO, &basic, to);
		pair_make_list(&pair, names[i][0], names[i][1]);
		assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
		assert_sense(&pair.xcopy, 0x07, 0x2700);
		assert_int_equal(backend_count(pair.from.backend, TCMU_IO_WRITE), 0);
		assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
		pair_stop(&pair);
	}
}

static void blocks_are_copied_within_a_disk(void **state)
{
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	pair_make_list(&pair, PAIR_TO, PAIR_TO);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
	pair_assert_copied(&pair, &pair.to);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 0);
	pair_stop(&pair);
}

static void a_missing_disk_is_unreachable(void **state)
{
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	io_fixture_stop(&pair.from);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	io_fixture_stop(&pair.to);
}

static void an_ambiguous_disk_is_unreachable(void **state)
{
	struct pair pair;
	struct io_fixture third;

	(void) state;
	pair_start(&pair, &basic);
	pair_start_disk(&third, PAIR_FROM, &basic, false);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d02);
	io_fixture_stop(&third);
	pair_stop(&pair);
}

static void an_error_of_either_disk_ends_the_xcopy(void **state)
{
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	backend_fail(pair.from.backend, TCMU_IO_READ, 1, 1, -EIO);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0d01);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x07, 0x2707);
	pair_stop(&pair);
}

/* The destination is write-protected, or the source has no such block. */
static void a_refusal_of_the_other_disk_ends_the_xcopy(void **state)
{
	struct pair pair;
	struct io_fixture protected;

	(void) state;
	pair_start(&pair, &basic);
	io_fixture_init(&protected, &(struct io_fixture_options){.wait_serial = true});
	protected.setup.lu.read_only = true;
	io_fixture_start_thread(&protected);
	io_fixture_set_serial(protected.thread, "ee");
	io_fixture_wait_control(&protected);
	pair_make_list(&pair, PAIR_FROM, "ee");
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x07, 0x2700);
	pair_make_list(&pair, PAIR_FROM, PAIR_TO);
	pair.list[PAIR_SEGMENT + 17] = 0x10;
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_sense(&pair.xcopy, 0x0a, 0x0000);
	io_fixture_stop(&protected);
	pair_stop(&pair);
}

static void start_stuck(struct pair *pair)
{
	pair_start(pair, &basic);
	backend_hold(pair->from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	pair_send_xcopy(pair);
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
		assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
		pair_assert_copied(&pair, &pair.from);
		pair_stop(&pair);
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
	write = cmd_write(PAIR_BLOCKS + 7, 1, data);
	pair_start(&pair, &basic);
	pair_make_list(&pair, PAIR_TO, PAIR_FROM);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	pair_send_xcopy(&pair);
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
	assert_memory_equal(io_fixture_store_at(&pair.from, PAIR_BLOCKS + 7), data, sizeof(data));
	pair_stop(&pair);
}

/* The xcopy ends while the other disk writes. A later write there must not be overwritten. */
static void a_write_waits_for_that_of_an_aborted_xcopy(void **state)
{
	uint8_t data[FIXTURE_BLOCK] = {0};
	struct initiator_command write = cmd_write(PAIR_BLOCKS, 1, data);
	struct pair pair;

	(void) state;
	memset(data, 0x77, sizeof(data));
	pair_start(&pair, &basic);
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_clear_signals(&pair.from);
	initiator_send(&pair.from, &pair.xcopy);
	io_fixture_wait_signal(&pair.from, IO_SIGNAL_NEEDS_LU_INFO);
	io_fixture_set_serial(pair.from.thread, PAIR_FROM);
	assert_true(backend_wait_held(pair.to.backend, 1));
	initiator_abort(&pair.from, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	initiator_send(&pair.to, &write);
	io_fixture_wait_idle(&pair.to);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 1);
	backend_hold(pair.to.backend, 0);
	assert_int_equal(backend_release(pair.to.backend, 1, BACKEND_OLDEST), 1);
	initiator_wait_status(&write, SCSI_GOOD);
	backend_sync(pair.to.backend);
	assert_memory_equal(io_fixture_store_at(&pair.to, PAIR_BLOCKS), data, sizeof(data));
	pair_stop(&pair);
}

/* The other disk has not even taken the request: it never carries it out. */
static void a_request_that_was_not_taken_is_withdrawn(void **state)
{
	uint8_t in[16][FIXTURE_BLOCK];
	struct initiator_command reads[16];
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 16; i++) {
		reads[i] = cmd_read(i, 1, in[i]);
		initiator_send(&pair.from, &reads[i]);
	}
	assert_true(backend_wait_held(pair.from.backend, 16));
	pair_send_xcopy(&pair);
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	backend_hold(pair.from.backend, 0);
	backend_release(pair.from.backend, 16, BACKEND_OLDEST);
	for (unsigned i = 0; i < 16; i++)
		initiator_wait_status(&reads[i], SCSI_GOOD);
	io_fixture_wait_idle(&pair.from);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 16);
	pair_stop(&pair);
}

/* The other disk loses its lock between the pieces and has it again: another host may have written
 * there meanwhile. */
static void an_xcopy_does_not_survive_a_permission(void **state)
{
	(void) state;
	for (unsigned other = 0; other < 2; other++) {
		uint8_t before[PAIR_SIZE];
		struct pair pair;
		struct io_fixture *disk;

		pair_start(&pair, &basic);
		disk = other ? &pair.from : &pair.to;
		if (other)
			pair_make_list(&pair, PAIR_TO, PAIR_FROM);
		memcpy(before, backend_store(disk->backend), PAIR_SIZE);
		backend_hold((other ? &pair.to : &pair.from)->backend, TCMU_IO_CAP(TCMU_IO_READ));
		pair_send_xcopy(&pair);
		assert_true(backend_wait_held((other ? &pair.to : &pair.from)->backend, 1));
		io_fixture_clear_signals(disk);
		io_thread_set_permission(disk->thread, IO_PERMIT_READS, 0);
		io_thread_set_permission(disk->thread, IO_PERMIT_ALL, 0);
		io_fixture_wait_control(disk);
		backend_hold((other ? &pair.to : &pair.from)->backend, 0);
		backend_release((other ? &pair.to : &pair.from)->backend, 1, BACKEND_OLDEST);
		initiator_wait_status(&pair.xcopy, SCSI_BUSY);
		assert_memory_equal(backend_store(disk->backend), before, PAIR_SIZE);
		assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
		pair_stop(&pair);
	}
}

/* It waits for the serials of the devices; then it begins. */
static void a_deferred_xcopy_does_not_survive_a_permission(void **state)
{
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	pair_make_list(&pair, PAIR_TO, PAIR_TO);
	io_fixture_clear_signals(&pair.to);
	initiator_send(&pair.to, &pair.xcopy);
	io_fixture_wait_signal(&pair.to, IO_SIGNAL_NEEDS_LU_INFO);
	io_thread_set_permission(pair.to.thread, IO_PERMIT_READS, 0);
	io_thread_set_permission(pair.to.thread, IO_PERMIT_ALL, 0);
	io_fixture_wait_control(&pair.to);
	io_fixture_set_serial(pair.to.thread, PAIR_TO);
	initiator_wait_status(&pair.xcopy, SCSI_BUSY);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
	pair_stop(&pair);
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

			pair_start(&pair, &basic);
			disk = other ? &pair.from : &pair.to;
			io_thread_set_permission(disk->thread, permissions[i], 0);
			io_fixture_wait_control(disk);
			assert_int_equal(
				pair_run_xcopy(&pair),
				other && permissions[i] == IO_PERMIT_READS ? SCSI_GOOD : SCSI_BUSY);
			io_thread_set_permission(disk->thread, IO_PERMIT_ALL, 0);
			io_fixture_wait_control(disk);
			assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
			pair_assert_copied(&pair, &pair.from);
			pair_stop(&pair);
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
	struct initiator_command compare = cmd_compare_and_write(PAIR_BLOCKS, 1, both);
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	memcpy(both, backend_store(pair.to.backend) + PAIR_BLOCKS * FIXTURE_BLOCK, FIXTURE_BLOCK);
	memset(both + FIXTURE_BLOCK, 0x11, FIXTURE_BLOCK);
	initiator_send_held(&pair.to, &compare, TCMU_IO_CAP(TCMU_IO_READ));
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	pair_send_xcopy(&pair);
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
	pair_assert_copied(&pair, &pair.from);
	pair_stop(&pair);
}

/* ------- the end before cmd_time_out ------- */

/* The kernel reports a failure when the time is over: the copy has ended before. */
static void a_stuck_xcopy_ends_before_its_time_is_over(void **state)
{
	struct pair pair;
	uint64_t begun;

	(void) state;
	pair_command_timeout = CLOCK_NS_PER_SEC;
	pair_start(&pair, &basic);
	pair_command_timeout = 0;
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	begun = clock_now_ns();
	pair_send_xcopy(&pair);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	assert_true(clock_now_ns() - begun >= CLOCK_NS_PER_SEC / 4);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	pair_stop(&pair);
}

/* Its pieces follow each other so fast that the thread never sleeps until the next scan. */
static void a_busy_xcopy_ends_before_its_time_is_over(void **state)
{
	uint8_t list[PAIR_LENGTH + 7 * 28];
	struct pair pair;

	(void) state;
	pair_command_timeout = 450 * CLOCK_NS_PER_MS; /* cancelled after two scans */
	pair_start(&pair, &basic);
	pair_command_timeout = 0;
	memcpy(list, pair.list, PAIR_LENGTH);
	for (unsigned i = 1; i < 8; i++)
		memcpy(list + PAIR_LENGTH + (i - 1) * 28, pair.list + PAIR_SEGMENT, 28);
	list[10] = 8 * 28 >> 8;
	list[11] = 8 * 28 & 0xff;
	pair.xcopy.cdb[12] = sizeof(list) >> 8;
	pair.xcopy.cdb[13] = sizeof(list) & 0xff;
	pair.xcopy.out = list;
	pair.xcopy.length = sizeof(list);
	backend_later(pair.from.backend, 20000); /* all in all a third of a second */
	backend_later(pair.to.backend, 20000);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_TASK_ABORTED);
	assert_true(backend_count(pair.to.backend, TCMU_IO_WRITE) > 1);
	pair_stop(&pair);
}

/* The kernel may have given it up meanwhile, and the initiator may have sent a write to the same
 * blocks, which its pieces would land on. */
static void an_xcopy_that_waited_long_for_a_slot_is_not_begun(void **state)
{
	const struct io_fixture_options scarce = {.depth = 2};
	uint8_t block[FIXTURE_BLOCK] = {0};
	struct initiator_command stuck[2];
	struct pair pair = {0};
	uint64_t begun;

	(void) state;
	pair_start_disk(&pair.to, PAIR_TO, &scarce, false);
	pair.to.serial = PAIR_TO;
	pair.to.answer_serial = true;
	pair_make_list(&pair, PAIR_TO, PAIR_TO);
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	for (unsigned i = 0; i < 2; i++) {
		stuck[i] = cmd_write(i, 1, block);
		initiator_send(&pair.to, &stuck[i]);
	}
	assert_true(backend_wait_held(pair.to.backend, 2));
	initiator_send(&pair.to, &pair.xcopy);
	begun = clock_now_ns();
	while (clock_now_ns() - begun < CLOCK_NS_PER_SEC)
		sched_yield();
	backend_hold(pair.to.backend, 0);
	assert_int_equal(backend_release(pair.to.backend, 2, BACKEND_OLDEST), 2);
	initiator_wait_status(&pair.xcopy, SCSI_BUSY);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_READ), 0);
	assert_int_equal(initiator_run(&pair.to, &pair.xcopy), SCSI_GOOD);
	io_fixture_stop(&pair.to);
}

static void sleep_ms(unsigned ms)
{
	uint64_t begun = clock_now_ns();

	while (clock_now_ns() - begun < ms * CLOCK_NS_PER_MS)
		sched_yield();
}

/* For what it waits on the main thread: LU info, then the guard. */
static void an_xcopy_that_waited_long_for_the_main_thread_is_not_begun(void **state)
{
	static const struct {
		unsigned info_ms, guard_ms;
		uint8_t status;
	} cases[] = {
		{0, 0, SCSI_GOOD},
		{600, 0, SCSI_BUSY},
		{0, 600, SCSI_BUSY},
		{300, 300, SCSI_BUSY},
	};

	(void) state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair pair;

		start_guarded_pair(&pair);
		io_fixture_clear_signals(&pair.to);
		initiator_send(&pair.to, &pair.xcopy);
		io_fixture_wait_signal(&pair.to, IO_SIGNAL_NEEDS_LU_INFO);
		sleep_ms(cases[i].info_ms);
		io_fixture_set_serial(pair.to.thread, PAIR_TO);
		io_fixture_wait_signal(&pair.to, IO_SIGNAL_DEFERRED);
		sleep_ms(cases[i].guard_ms);
		io_thread_deferred_done(pair.to.thread, 0);
		initiator_wait_status(&pair.xcopy, cases[i].status);
		assert_int_equal(
			backend_count(pair.from.backend, TCMU_IO_READ) > 0,
			cases[i].status == SCSI_GOOD);
		pair_stop(&pair);
	}
}

/* ------- list identifiers of four bytes (LID4) ------- */

#define LID4_LENGTH   (PAIR_LENGTH + 32)
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
	memcpy(p + 48, pair->list + PAIR_TARGETS, PAIR_LENGTH - PAIR_TARGETS);
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
	pair_start(&pair, &basic);
	make_lid4_list(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
	assert_true(backend_wait_held(pair.from.backend, 1));
	assert_int_equal(receive_copy_status(&pair, in), 0x12);
	backend_hold(pair.from.backend, 0);
	assert_int_equal(backend_release(pair.from.backend, 1, BACKEND_OLDEST), 1);
	while (receive_copy_status(&pair, in) == 0x12)
		io_fixture_wait_idle(&pair.to);
	assert_int_equal(in[5], 0x01);
	assert_int_equal(in[7], 4); /* two steps of the copy */
	assert_int_equal(in[22] << 8 | in[23], PAIR_BLOCKS * FIXTURE_BLOCK / 1024);
	assert_int_equal(in[25], 1); /* segments */
	pair_assert_copied(&pair, &pair.from);
	pair_stop(&pair);
}

static void a_background_xcopy_ends_with_its_device(void **state)
{
	uint8_t p[LID4_LENGTH];
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	make_lid4_list(&pair, p, true);
	backend_hold(pair.from.backend, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
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
	pair_start_disk(&pair.from, PAIR_FROM, &basic, false);
	pair_start_disk(&pair.to, PAIR_TO, &options, false);
	pair_make_list(&pair, PAIR_TO, PAIR_TO);
	make_lid4_list(&pair, p, false);
	assert_int_equal(abort_xcopy(&pair), SCSI_CHECK_CONDITION); /* there is no such xcopy */
	backend_hold(pair.to.backend, TCMU_IO_CAP(TCMU_IO_READ));
	pair_send_xcopy(&pair);
	assert_true(backend_wait_held(pair.to.backend, 1));
	assert_int_equal(receive_copy_status(&pair, in), 0x11);
	/* The backend cancels the request that it is stuck in. */
	assert_int_equal(abort_xcopy(&pair), SCSI_GOOD);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	assert_int_equal(receive_copy_status(&pair, in), 0x60);
	assert_int_equal(in[12], SCSI_TASK_ABORTED);
	assert_int_equal(abort_xcopy(&pair), SCSI_CHECK_CONDITION);
	assert_int_equal(backend_count(pair.to.backend, TCMU_IO_WRITE), 0);
	pair_stop(&pair);
}

static void a_failed_xcopy_reports_its_sense(void **state)
{
	uint8_t p[LID4_LENGTH], in[128];
	struct pair pair;

	(void) state;
	pair_start(&pair, &basic);
	make_lid4_list(&pair, p, false);
	backend_fail(pair.to.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	assert_int_equal(pair_run_xcopy(&pair), SCSI_CHECK_CONDITION);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(receive_copy_status(&pair, in), 0x02);
		assert_int_equal(in[12], SCSI_CHECK_CONDITION);
		assert_int_equal(in[13], 20); /* a multiple of four */
		assert_int_equal(in[14], 18);
		assert_int_equal(in[32 + 2], 0x07);
		assert_int_equal(in[32 + 12] << 8 | in[32 + 13], 0x2707);
		assert_int_equal(in[25], 1); /* the first segment has failed */
	}
	pair_stop(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_copied_between_disks),
		cmocka_unit_test(another_disk_takes_part_only_if_the_guard_allows_it),
		cmocka_unit_test(the_guard_knows_which_disk_is_written),
		cmocka_unit_test(a_read_only_disk_is_not_written),
		cmocka_unit_test(blocks_are_copied_within_a_disk),
		cmocka_unit_test(a_missing_disk_is_unreachable),
		cmocka_unit_test(an_ambiguous_disk_is_unreachable),
		cmocka_unit_test(an_error_of_either_disk_ends_the_xcopy),
		cmocka_unit_test(a_refusal_of_the_other_disk_ends_the_xcopy),
		cmocka_unit_test(draining_the_source_ends_the_xcopy_while_a_read_is_stuck),
		cmocka_unit_test(a_reset_does_not_wait_for_the_other_disk),
		cmocka_unit_test(a_write_after_an_abort_is_not_overtaken),
		cmocka_unit_test(a_write_waits_for_that_of_an_aborted_xcopy),
		cmocka_unit_test(a_request_that_was_not_taken_is_withdrawn),
		cmocka_unit_test(an_xcopy_does_not_survive_a_permission),
		cmocka_unit_test(a_deferred_xcopy_does_not_survive_a_permission),
		cmocka_unit_test(without_permission_a_copy_is_answered_as_a_read),
		cmocka_unit_test(the_destination_ends_while_the_source_is_stuck),
		cmocka_unit_test(draining_the_destination_makes_the_xcopy_busy),
		cmocka_unit_test(an_xcopy_waits_for_compare_and_write),
		cmocka_unit_test(a_stuck_xcopy_ends_before_its_time_is_over),
		cmocka_unit_test(a_busy_xcopy_ends_before_its_time_is_over),
		cmocka_unit_test(an_xcopy_that_waited_long_for_a_slot_is_not_begun),
		cmocka_unit_test(an_xcopy_that_waited_long_for_the_main_thread_is_not_begun),
		cmocka_unit_test(an_immediate_xcopy_continues_in_the_background),
		cmocka_unit_test(a_background_xcopy_ends_with_its_device),
		cmocka_unit_test(an_aborted_xcopy_ends),
		cmocka_unit_test(a_failed_xcopy_reports_its_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
