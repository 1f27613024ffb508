/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY (xcopy) of disks with rate limits: its pieces wait like commands, and end at once
 * when it ends.
 */
#include "deadline.h"
#include "duration.h"
#include "xcopy-pair.h"

#include <sched.h>

static const struct io_fixture_options basic;

/* Bytes a second at which a piece of 256 KiB takes more than a day. */
static const struct io_fixture_options slow = {.limits = {.bps = 1}};

/* Uses the limits of a disk up, and starts an xcopy whose first piece waits for them. */
static void start_waiting_xcopy(struct pair *pair)
{
	struct initiator_command read = cmd_read(0, 1, NULL);

	pair_start(pair, &slow);
	assert_int_equal(initiator_run(&pair->from, &read), SCSI_GOOD);
	pair_send_xcopy(pair);
	io_fixture_wait_idle(&pair->to);
	while (atomic_load(&pair->from.thread->control.pending) ||
	       xcopy_disk_has_requests(pair->from.thread->xcopy_disk))
		sched_yield();
}

/* 512 KiB are read and written: at 1 MiB a second, that is a second in all on one disk. The first
 * piece starts at once, and what is saved meanwhile is little. */
static void an_xcopy_is_not_faster_than_the_rate_limits(void **state)
{
	static const struct io_fixture_options limited = {.limits = {.bps = 2 * 1024 * 1024}};
	struct pair pair;
	uint64_t start;

	(void) state;
	pair_start(&pair, &limited);
	start = deadline_now_ms();
	assert_int_equal(pair_run_xcopy(&pair), SCSI_GOOD);
	assert_true(deadline_now_ms() - start >= 100); /* the second piece waits for the first */
	pair_assert_copied(&pair, &pair.from);
	pair_stop(&pair);
}

static void an_aborted_xcopy_does_not_wait_for_the_limits_of_the_other_disk(void **state)
{
	struct pair pair;

	(void) state;
	start_waiting_xcopy(&pair);
	assert_false(initiator_is_done(&pair.xcopy));
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 1);
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	pair_stop(&pair);
}

/* How many xcopies a disk has begun, and how many pieces of xcopies it has. */
static void read_numbers(struct io_fixture *disk, unsigned *xcopies, unsigned *pieces)
{
	struct core *core = &disk->thread->core;

	pthread_mutex_lock(&core->ring_lock);
	*xcopies = (unsigned) core->setup.lu.xcopy_number;
	*pieces = core->xcopy_pieces;
	pthread_mutex_unlock(&core->ring_lock);
}

/* Four copies want a disk whose rate is limited: two of their pieces wait with its own commands. */
static void few_pieces_wait_for_the_limits_of_a_disk(void **state)
{
	struct initiator_command more[3];
	unsigned xcopies, pieces;
	struct pair pair;

	(void) state;
	start_waiting_xcopy(&pair);
	pair.to.serial = PAIR_TO;
	pair.to.answer_serial = true;
	for (unsigned i = 0; i < 3; i++) {
		more[i] = pair.xcopy;
		initiator_send(&pair.to, &more[i]);
	}
	do {
		io_fixture_wait_idle(&pair.to);
		read_numbers(&pair.to, &xcopies, &pieces);
	} while (xcopies < 4);
	io_fixture_wait_idle(&pair.from);
	read_numbers(&pair.from, &xcopies, &pieces);
	assert_int_equal(pieces, 2);
	assert_true(xcopy_disk_has_requests(pair.from.thread->xcopy_disk));
	io_thread_set_limits(pair.from.thread, &(struct rate_limits){0});
	initiator_wait_status(&pair.xcopy, SCSI_GOOD);
	for (unsigned i = 0; i < 3; i++)
		initiator_wait_status(&more[i], SCSI_GOOD);
	pair_stop(&pair);
}

/* Four copies read 2 MiB from a disk with 4 MiB a second. A READ of the disk's own initiator waits
 * behind two pieces of 256 KiB and what was started before, which take 190 ms, and not behind all
 * of them. */
static void reads_of_a_limited_disk_wait_behind_few_pieces(void **state)
{
	static const struct io_fixture_options limited = {.limits = {.bps = 4 * 1024 * 1024}};
	struct initiator_command more[3], read = cmd_read(0, 1, NULL);
	struct pair pair;

	(void) state;
	pair_start(&pair, &limited);
	pair.to.serial = PAIR_TO;
	pair.to.answer_serial = true;
	initiator_send(&pair.to, &pair.xcopy);
	for (unsigned i = 0; i < 3; i++) {
		more[i] = pair.xcopy;
		initiator_send(&pair.to, &more[i]);
	}
	while (!initiator_is_done(&more[2])) {
		struct duration duration = duration_start();

		assert_int_equal(initiator_run(&pair.from, &read), SCSI_GOOD);
		duration_assert(&duration, 0.35);
	}
	initiator_wait_status(&pair.xcopy, SCSI_GOOD);
	initiator_wait_status(&more[0], SCSI_GOOD);
	initiator_wait_status(&more[1], SCSI_GOOD);
	pair_stop(&pair);
}

/* The request that was withdrawn is not carried out when the limits allow it. */
static void a_withdrawn_request_is_not_begun(void **state)
{
	struct pair pair;

	(void) state;
	start_waiting_xcopy(&pair);
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	io_thread_set_limits(pair.from.thread, &(struct rate_limits){0});
	io_fixture_wait_control(&pair.from);
	io_fixture_wait_idle(&pair.from);
	assert_int_equal(backend_count(pair.from.backend, TCMU_IO_READ), 1);
	pair_stop(&pair);
}

static void draining_does_not_wait_for_the_limits_of_the_other_disk(void **state)
{
	struct pair pair;

	(void) state;
	start_waiting_xcopy(&pair);
	io_thread_drain(pair.to.thread, false);
	initiator_wait_status(&pair.xcopy, SCSI_BUSY);
	io_fixture_wait_end(&pair.to);
	io_fixture_stop(&pair.from);
}

static void an_aborted_xcopy_does_not_wait_for_its_own_limits(void **state)
{
	struct pair pair;
	struct initiator_command read = cmd_read(0, 1, NULL);

	(void) state;
	pair_start(&pair, &basic);
	io_thread_set_limits(pair.to.thread, &slow.limits);
	io_fixture_wait_control(&pair.to);
	assert_int_equal(initiator_run(&pair.to, &read), SCSI_GOOD);
	pair_make_list(&pair, PAIR_TO, PAIR_TO);
	pair_send_xcopy(&pair);
	io_fixture_wait_idle(&pair.to);
	assert_false(initiator_is_done(&pair.xcopy));
	initiator_abort(&pair.to, TCMU_TMR_TYPE_ABORT_TASK, &pair.xcopy);
	initiator_wait_status(&pair.xcopy, SCSI_TASK_ABORTED);
	pair_stop(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_xcopy_is_not_faster_than_the_rate_limits),
		cmocka_unit_test(an_aborted_xcopy_does_not_wait_for_the_limits_of_the_other_disk),
		cmocka_unit_test(few_pieces_wait_for_the_limits_of_a_disk),
		cmocka_unit_test(reads_of_a_limited_disk_wait_behind_few_pieces),
		cmocka_unit_test(a_withdrawn_request_is_not_begun),
		cmocka_unit_test(draining_does_not_wait_for_the_limits_of_the_other_disk),
		cmocka_unit_test(an_aborted_xcopy_does_not_wait_for_its_own_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
