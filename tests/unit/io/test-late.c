/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel gives a write up after cmd_time_out and the initiator sends the next one to the same
 * block: the late write does not land on top of it.
 */
#include "io-fixture.h"

#include <sched.h>
#include <string.h>

#include "base/clock.h"

#define LIMIT (80 * CLOCK_NS_PER_MS) /* over before a write is late */
#define HOUR  (3600 * CLOCK_NS_PER_SEC)

struct late_fixture {
	struct io_fixture io;
	struct stats stats;
	uint8_t one[FIXTURE_BLOCK], two[FIXTURE_BLOCK];
	struct initiator_command first; /* to block 1, as the second */
	struct initiator_command second;
};

static void prepare(struct late_fixture *f, unsigned depth, uint64_t limit)
{
	memset(f, 0, sizeof(*f));
	memset(f->one, '1', sizeof(f->one));
	memset(f->two, '2', sizeof(f->two));
	f->first = cmd_write(1, 1, f->one);
	f->second = cmd_write(1, 1, f->two);
	io_fixture_init(&f->io, &(struct io_fixture_options){.depth = depth});
	f->io.setup.command_timeout = limit;
	f->io.setup.stats = &f->stats;
	backend_hold(f->io.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
}

static void start(struct late_fixture *f, unsigned depth, uint64_t limit)
{
	prepare(f, depth, limit);
	io_fixture_start_thread(&f->io);
}

static void expect_two(struct late_fixture *f)
{
	initiator_wait_status(&f->second, SCSI_GOOD);
	backend_sync(f->io.backend);
	assert_int_equal(*io_fixture_store_at(&f->io, 1), '2');
}

static void a_successor_waits_for_a_late_write(void **state)
{
	struct initiator_command ready = cmd_test_unit_ready();
	struct stats_late_write write;
	struct late_fixture f;

	(void) state;
	start(&f, 0, LIMIT);
	initiator_send_held(&f.io, &f.first, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_wait_late();
	backend_hold(f.io.backend, 0);
	initiator_push(&f.io, &f.second);
	initiator_send(&f.io, &ready);
	initiator_wait_status(&ready, SCSI_GOOD); /* the second one was decided before */
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	expect_two(&f);
	initiator_wait_status(&f.first, SCSI_GOOD);
	assert_int_equal(stats_get(&f.stats.expired), 1);
	stats_late_write_read(&f.stats, &write);
	assert_int_equal(write.lba, 1);
	assert_int_equal(write.cdb[0], f.first.cdb[0]);
	io_fixture_stop(&f.io);
}

static void other_blocks_do_not_wait(void **state)
{
	struct initiator_command other;
	struct late_fixture f;

	(void) state;
	start(&f, 0, LIMIT);
	other = cmd_write(2, 1, f.two);
	initiator_send_held(&f.io, &f.first, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_wait_late();
	backend_hold(f.io.backend, 0);
	assert_int_equal(initiator_run(&f.io, &other), SCSI_GOOD);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&f.first, SCSI_GOOD);
	io_fixture_stop(&f.io);
}

/* A successor that waits becomes late itself, and its successor waits for it. */
static void a_chain_of_late_writes_stays_in_sequence(void **state)
{
	struct initiator_command third;
	uint8_t three[FIXTURE_BLOCK];
	struct late_fixture f;

	(void) state;
	start(&f, 0, LIMIT);
	memset(three, '3', sizeof(three));
	third = cmd_write(1, 1, three);
	initiator_send_held(&f.io, &f.first, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_wait_late();
	initiator_send(&f.io, &f.second);
	io_fixture_wait_late();
	initiator_send(&f.io, &third);
	io_fixture_wait_idle(&f.io);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(backend_wait_held(f.io.backend, 1));
		backend_release(f.io.backend, 1, BACKEND_NEWEST);
	}
	initiator_wait_status(&third, SCSI_GOOD);
	backend_sync(f.io.backend);
	assert_int_equal(*io_fixture_store_at(&f.io, 1), '3');
	io_fixture_stop(&f.io);
}

/* Wake-ups that come faster than scans do not put them off. */
static void a_thread_that_never_sleeps_long_finds_late_writes(void **state)
{
	struct initiator_command ready = cmd_test_unit_ready();
	const struct rate_limits none = {0};
	struct late_fixture f;
	uint64_t begun;

	(void) state;
	start(&f, 0, LIMIT);
	initiator_send_held(&f.io, &f.first, TCMU_IO_CAP(TCMU_IO_WRITE));
	begun = clock_now_ns();
	while (clock_now_ns() - begun < CLOCK_NS_PER_SEC) { /* long enough to be late */
		io_thread_set_limits(f.io.thread, &none);
		io_fixture_wait_control(&f.io);
	}
	backend_hold(f.io.backend, 0);
	initiator_push(&f.io, &f.second);
	initiator_send(&f.io, &ready);
	initiator_wait_status(&ready, SCSI_GOOD); /* the second one was decided before */
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	expect_two(&f);
	io_fixture_stop(&f.io);
}

/* Nobody knows how long they have waited, while no daemon served the ring. */
static void commands_that_were_there_first_stay_in_sequence(void **state)
{
	struct late_fixture f;

	(void) state;
	prepare(&f, 0, LIMIT);
	initiator_send(&f.io, &f.first);
	initiator_send(&f.io, &f.second);
	io_fixture_start_thread(&f.io);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(backend_wait_held(f.io.backend, 1));
		io_fixture_wait_idle(&f.io);
		assert_int_equal(backend_release(f.io.backend, 1, BACKEND_NEWEST), 1);
	}
	expect_two(&f);
	initiator_wait_status(&f.first, SCSI_GOOD);
	io_fixture_stop(&f.io);
}

/* Commands that the kernel gave up while they waited for a slot. */
static void commands_that_waited_for_a_slot_stay_in_sequence(void **state)
{
	struct initiator_command stuck[2];
	struct late_fixture f;

	(void) state;
	start(&f, 2, LIMIT);
	for (unsigned i = 0; i < 2; i++) {
		stuck[i] = cmd_write(8 + i, 1, f.one);
		initiator_send(&f.io, &stuck[i]);
	}
	assert_true(backend_wait_held(f.io.backend, 2));
	initiator_send(&f.io, &f.first);
	io_fixture_wait_late();
	initiator_send(&f.io, &f.second);
	assert_int_equal(backend_release(f.io.backend, 2, BACKEND_OLDEST), 2);
	for (unsigned i = 0; i < 2; i++)
		initiator_wait_status(&stuck[i], SCSI_GOOD);
	io_fixture_wait_asleep();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(backend_wait_held(f.io.backend, 1));
		backend_release(f.io.backend, 1, BACKEND_NEWEST);
	}
	expect_two(&f);
	io_fixture_stop(&f.io);
}

/* Commands that the kernel gave up while the thread was stuck in the backend. */
static void commands_that_waited_for_the_thread_stay_in_sequence(void **state)
{
	struct initiator_command stuck;
	struct late_fixture f;
	uint64_t until;

	(void) state;
	start(&f, 0, LIMIT);
	stuck = cmd_write(8, 1, f.one);
	backend_block(f.io.backend);
	initiator_send(&f.io, &stuck);
	assert_true(backend_wait_blocked(f.io.backend));
	initiator_send(&f.io, &f.first);
	initiator_send(&f.io, &f.second);
	until = clock_now_ns() + CLOCK_NS_PER_SEC / 2;
	while (clock_now_ns() < until)
		sched_yield();
	backend_unblock(f.io.backend);
	assert_true(backend_wait_held(f.io.backend, 1));
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&stuck, SCSI_GOOD);
	io_fixture_wait_asleep();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(backend_wait_held(f.io.backend, 1));
		backend_release(f.io.backend, 1, BACKEND_NEWEST);
	}
	expect_two(&f);
	io_fixture_stop(&f.io);
}

/* ------- the lock changes hands meanwhile ------- */

static void lose_and_regain(struct late_fixture *f)
{
	io_thread_set_permission(f->io.thread, IO_PERMIT_READS, 0);
	io_thread_set_permission(f->io.thread, IO_PERMIT_ALL, 0);
}

/* The first one is not carried out; the second one, which comes later, is. */
static void expect_first_busy(struct late_fixture *f)
{
	initiator_wait_status(&f->first, SCSI_BUSY);
	io_fixture_wait_asleep();
	initiator_send(&f->io, &f->second);
	expect_two(f);
}

static void commands_that_waited_for_a_slot_do_not_outlive_the_lock(void **state)
{
	struct initiator_command stuck[2];
	struct late_fixture f;

	(void) state;
	start(&f, 2, LIMIT);
	for (unsigned i = 0; i < 2; i++) {
		stuck[i] = cmd_write(8 + i, 1, f.one);
		initiator_send(&f.io, &stuck[i]);
	}
	assert_true(backend_wait_held(f.io.backend, 2));
	initiator_send(&f.io, &f.first);
	io_fixture_wait_late();
	lose_and_regain(&f);
	io_fixture_wait_control(&f.io);
	backend_hold(f.io.backend, 0);
	assert_int_equal(backend_release(f.io.backend, 2, BACKEND_OLDEST), 2);
	for (unsigned i = 0; i < 2; i++)
		initiator_wait_status(&stuck[i], SCSI_GOOD);
	expect_first_busy(&f);
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_WRITE), 3);
	io_fixture_stop(&f.io);
}

static void commands_that_waited_for_the_thread_do_not_outlive_the_lock(void **state)
{
	struct initiator_command stuck;
	struct late_fixture f;
	uint64_t until;

	(void) state;
	start(&f, 0, LIMIT);
	stuck = cmd_write(8, 1, f.one);
	backend_hold(f.io.backend, 0);
	backend_block(f.io.backend);
	initiator_send(&f.io, &stuck);
	assert_true(backend_wait_blocked(f.io.backend));
	initiator_send(&f.io, &f.first);
	lose_and_regain(&f);
	until = clock_now_ns() + CLOCK_NS_PER_SEC / 2;
	while (clock_now_ns() < until)
		sched_yield();
	backend_unblock(f.io.backend);
	initiator_wait_status(&stuck, SCSI_GOOD);
	expect_first_busy(&f);
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_WRITE), 2);
	io_fixture_stop(&f.io);
}

/* cmd_time_out as it was read when the device was opened, and as it is later. An administrator sets
 * the attribute at any time, without a notice: the range is kept whatever it is. */
static void the_range_is_kept_whatever_the_limit_is(void **state)
{
	static const uint64_t limits[][2] = {{HOUR, HOUR}, {0, 0}, {LIMIT, HOUR}, {HOUR, LIMIT}};

	(void) state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct initiator_command ready = cmd_test_unit_ready();
		struct late_fixture f;

		start(&f, 0, limits[i][0]);
		initiator_send_held(&f.io, &f.first, TCMU_IO_CAP(TCMU_IO_WRITE));
		io_fixture_wait_late();
		if (limits[i][1] != limits[i][0]) {
			io_thread_set_command_timeout(f.io.thread, limits[i][1]);
			io_fixture_wait_control(&f.io);
		}
		backend_hold(f.io.backend, 0);
		initiator_push(&f.io, &f.second);
		initiator_send(&f.io, &ready);
		initiator_wait_status(&ready, SCSI_GOOD);
		backend_release(f.io.backend, 1, BACKEND_OLDEST);
		expect_two(&f);
		initiator_wait_status(&f.first, SCSI_GOOD);
		assert_int_equal(stats_get(&f.stats.expired), limits[i][1] == LIMIT);
		io_fixture_stop(&f.io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_successor_waits_for_a_late_write),
		cmocka_unit_test(other_blocks_do_not_wait),
		cmocka_unit_test(a_chain_of_late_writes_stays_in_sequence),
		cmocka_unit_test(a_thread_that_never_sleeps_long_finds_late_writes),
		cmocka_unit_test(commands_that_were_there_first_stay_in_sequence),
		cmocka_unit_test(commands_that_waited_for_a_slot_stay_in_sequence),
		cmocka_unit_test(commands_that_waited_for_the_thread_stay_in_sequence),
		cmocka_unit_test(commands_that_waited_for_a_slot_do_not_outlive_the_lock),
		cmocka_unit_test(commands_that_waited_for_the_thread_do_not_outlive_the_lock),
		cmocka_unit_test(the_range_is_kept_whatever_the_limit_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
