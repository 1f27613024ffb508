/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT and SANITIZE: they overwrite the whole medium, report their progress to other
 * commands, and end with success, with an error, or with the I/O thread.
 */
#include "io-fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define SIZE              (1024u * 1024)
#define PIECE             (256u * 1024)

#define BLOCK_ERASE       0x02
#define EXIT_FAILURE_MODE 0x1f

static const struct io_fixture_options basic;
static const struct io_fixture_options all = {
	.backend.info = {.caps = FIXTURE_ALL_CAPS, .unmap_zeroes = true}};

static struct initiator_command cmd_format_unit(void)
{
	return (struct initiator_command){.cdb = {0x04}, .cdb_length = 6};
}

/* SANITIZE: action is BLOCK_ERASE or EXIT_FAILURE_MODE. */
static struct initiator_command cmd_sanitize(uint8_t action)
{
	return (struct initiator_command){.cdb = {0x48, action}, .cdb_length = 10};
}

static struct initiator_command cmd_overwrite(
	const uint8_t *list, uint8_t length, bool fail_allowed)
{
	return (struct initiator_command){
		.cdb = {0x48, (uint8_t) (0x01 | (fail_allowed ? 0x20 : 0)), [8] = length},
		.cdb_length = 10,
		.out = list,
		.length = length,
	};
}

static bool store_is_filled(const struct io_fixture *fixture, uint8_t with)
{
	const uint8_t *store = backend_store(fixture->backend);

	return store[0] == with && memcmp(store, store + 1, SIZE - 1) == 0;
}

static uint16_t sense_progress(const struct initiator_command *command)
{
	assert_int_equal(command->sense[15] & 0x80, 0x80); /* SKSV */
	return (uint16_t) (command->sense[16] << 8 | command->sense[17]);
}

/* Lets the backend go on and waits until the medium is ready. */
static void release_and_wait_ready(struct io_fixture *fixture)
{
	struct initiator_command ready = cmd_test_unit_ready();

	backend_hold(fixture->backend, 0);
	backend_release(fixture->backend, 1, BACKEND_OLDEST);
	while (initiator_run(fixture, &ready) != SCSI_GOOD)
		sched_yield();
}

/* ------- completed operations ------- */

static void format_unit_writes_zeros(void **state)
{
	static const uint64_t caps[] = {FIXTURE_BASIC_CAPS, FIXTURE_ALL_CAPS};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct io_fixture fixture;
		struct initiator_command format = cmd_format_unit();

		io_fixture_start(
			&fixture, &(struct io_fixture_options){.backend.info.caps = caps[i]});
		memset(backend_store(fixture.backend), 0xee, SIZE);
		assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
		backend_sync(fixture.backend);
		assert_true(store_is_filled(&fixture, 0));
		assert_int_equal(
			backend_count(fixture.backend, TCMU_IO_WRITE), i ? 0 : SIZE / PIECE);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), i ? 1 : 0);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
		io_fixture_stop(&fixture);
	}
}

static void without_write_zeroes_a_sanitize_writes_data(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE);

	(void) state;
	io_fixture_start(&fixture, &all);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	backend_fail(fixture.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -EOPNOTSUPP);
	assert_int_equal(initiator_run(&fixture, &sanitize), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), SIZE / PIECE);
	io_fixture_stop(&fixture);
}

/* SBC-3 5.24: INVERT changes the pattern between the passes. Zeros are written as data too, because
 * the old data must be destroyed. */
static void overwrite_makes_the_requested_passes(void **state)
{
	static const uint8_t once[] = {0x01, 0, 0, 1, 0x00}, inverted[] = {0x82, 0, 0, 1, 0x3c};
	struct io_fixture fixture;
	struct initiator_command zeros = cmd_overwrite(once, sizeof(once), false);
	struct initiator_command twice = cmd_overwrite(inverted, sizeof(inverted), false);

	(void) state;
	io_fixture_start(&fixture, &all);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	assert_int_equal(initiator_run(&fixture, &zeros), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), SIZE / PIECE);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 0);
	backend_forget(fixture.backend);
	assert_int_equal(initiator_run(&fixture, &twice), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, (uint8_t) ~0x3c));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 2 * SIZE / PIECE);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&fixture);
}

/* ------- other commands in the meantime ------- */

static void progress_is_reported_during_a_format(void **state)
{
	struct io_fixture fixture;
	struct initiator_command format = cmd_format_unit(), ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &format);
	for (unsigned i = 0; i < SIZE / PIECE; i++) {
		assert_true(backend_wait_held(fixture.backend, 1));
		initiator_run_sense(&fixture, &ready, 0x02, 0x0404);
		assert_in_range(sense_progress(&ready), i * 0x3c00, i * 0x4000);
		assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_FORMAT);
		backend_release(fixture.backend, 1, BACKEND_OLDEST);
	}
	initiator_wait_status(&format, SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_FORMAT);
	io_fixture_stop(&fixture);
}

static void with_immed_a_format_is_answered_at_once(void **state)
{
	struct io_fixture fixture;
	struct initiator_command format = cmd_format_unit(), ready = cmd_test_unit_ready();

	(void) state;
	format.cdb[1] = 0x10; /* FMTDATA */
	format.out = "\0\2\0";
	format.length = 4;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
	assert_true(backend_wait_held(fixture.backend, 1));
	initiator_run_sense(&fixture, &ready, 0x02, 0x0404);
	release_and_wait_ready(&fixture);
	io_fixture_stop(&fixture);
}

static void earlier_writes_end_before_a_sanitize_starts(void **state)
{
	uint8_t out[FIXTURE_BLOCK] = {1};
	struct io_fixture fixture;
	struct initiator_command write = cmd_write(0, 1, out), sanitize = cmd_sanitize(BLOCK_ERASE);

	(void) state;
	io_fixture_start(&fixture, &all);
	initiator_send_held(&fixture, &write, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &sanitize);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_FORMAT);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&sanitize, SCSI_GOOD);
	assert_true(write.position < sanitize.position);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	io_fixture_stop(&fixture);
}

/* SBC-3 4.11: a task management function does not end a sanitize operation. */
static void a_sanitize_continues_after_its_command_is_aborted(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE),
				 ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &basic);
	initiator_send_held(&fixture, &sanitize, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_abort(&fixture, TCMU_TMR_TYPE_LUN_RESET, &sanitize);
	initiator_wait_status(&sanitize, SCSI_TASK_ABORTED);
	initiator_run_sense(&fixture, &ready, 0x02, 0x041b);
	release_and_wait_ready(&fixture);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	io_fixture_stop(&fixture);
}

static void a_sanitize_continues_after_a_ring_reset(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE),
				 ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &basic);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	initiator_send_held(&fixture, &sanitize, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_reset_ring(&fixture);
	initiator_run_while_busy(&fixture, &ready);
	assert_sense(&ready, 0x02, 0x041b);
	release_and_wait_ready(&fixture);
	assert_int_equal(sanitize.status, SCSI_BUSY); /* from the kernel */
	io_fixture_stop(&fixture);
}

/* A handler that completes within submit() must not hold the thread until the end of the medium. */
struct request_counter {
	atomic_uint requests;
	atomic_uint at_fetch; /* of the last command that was fetched */
	atomic_bool go_on;
};

static struct request_counter counter;

static void submit_at_once(void *backend, struct tcmu_io *io)
{
	(void) backend;
	/* The first request waits until the next command is in the ring. */
	if (atomic_fetch_add(&counter.requests, 1) == 0)
		while (!atomic_load(&counter.go_on))
			sched_yield();
	tcmu_io_complete(io, 0);
}

static void note_fetch(void *context, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	(void) context;
	(void) cdb;
	(void) cdb_length;
	(void) data_length;
	atomic_store(&counter.at_fetch, atomic_load(&counter.requests));
}

static void other_commands_are_served_between_the_requests_of_a_format(void **state)
{
	static struct tcmu_handler handler;
	static const atomic_bool tracing = true;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE),
				 ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &basic);
	handler = *fixture.setup.handler;
	handler.submit = submit_at_once;
	fixture.setup.handler = &handler;
	fixture.setup.lu.blocks = (UINT64_C(1) << 30) / FIXTURE_BLOCK;
	fixture.setup.tracing = &tracing;
	fixture.setup.trace = note_fetch;
	io_fixture_start_thread(&fixture);
	initiator_send(&fixture, &sanitize);
	while (!atomic_load(&counter.requests))
		sched_yield();
	initiator_send(&fixture, &ready);
	atomic_store(&counter.go_on, true);
	initiator_wait(&ready);
	assert_sense(&ready, 0x02, 0x041b);
	assert_true(atomic_load(&counter.at_fetch) <= 3);
	initiator_wait_status(&sanitize, SCSI_GOOD);
	assert_true(atomic_load(&counter.requests) > 64);
	io_fixture_stop(&fixture);
}

static void without_a_free_slot_a_sanitize_is_busy(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE),
				 ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.depth = 1});
	assert_int_equal(initiator_run(&fixture, &sanitize), SCSI_BUSY);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* ------- failed and interrupted operations ------- */

static void after_a_failure_the_medium_is_blocked_until_a_retry(void **state)
{
	static const uint8_t list[] = {0x01, 0, 0, 1, 0x11};
	struct io_fixture fixture;
	struct initiator_command failing = cmd_overwrite(list, sizeof(list), false),
				 sanitize = cmd_sanitize(BLOCK_ERASE);
	struct initiator_command ready = cmd_test_unit_ready(),
				 leave = cmd_sanitize(EXIT_FAILURE_MODE),
				 format = cmd_format_unit();

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 1, 1, -EIO);
	initiator_run_sense(&fixture, &failing, 0x03, 0x3103);
	initiator_run_sense(&fixture, &ready, 0x03, 0x3103);
	assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE);
	initiator_run_sense(&fixture, &leave, 0x05, 0x2400);
	assert_int_equal(initiator_run(&fixture, &sanitize), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);

	backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
	initiator_run_sense(&fixture, &format, 0x03, 0x3101);
	initiator_run_sense(&fixture, &ready, 0x03, 0x3100);
	assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(io_thread_format_state(fixture.thread), 0);
	io_fixture_stop(&fixture);
}

static void exit_failure_mode_unblocks_the_medium(void **state)
{
	static const uint8_t list[] = {0x01, 0, 0, 1, 0x11};
	struct io_fixture fixture;
	struct initiator_command failing = cmd_overwrite(list, sizeof(list), true);
	struct initiator_command ready = cmd_test_unit_ready(),
				 leave = cmd_sanitize(EXIT_FAILURE_MODE);

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 3, 1, -EIO);
	initiator_run_sense(&fixture, &failing, 0x03, 0x3103);
	initiator_run(&fixture, &ready);
	assert_int_equal(
		io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE | FORMAT_STATE_EXIT);
	assert_int_equal(initiator_run(&fixture, &leave), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_faulted_device_sanitizes_nothing(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE);

	(void) state;
	io_fixture_start(&fixture, &all);
	io_thread_fail(fixture.thread);
	io_fixture_wait_control(&fixture);
	initiator_run_sense(&fixture, &sanitize, 0x03, 0x3103);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

/* The next daemon must know that the sanitize is not complete. */
static void draining_interrupts_a_sanitize(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE);

	(void) state;
	io_fixture_start(&fixture, &basic);
	initiator_send_held(&fixture, &sanitize, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_control(&fixture);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&sanitize, SCSI_BUSY);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE);
	assert_true(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

static void draining_with_cancel_interrupts_a_sanitize(void **state)
{
	struct io_fixture fixture;
	struct initiator_command sanitize = cmd_sanitize(BLOCK_ERASE);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	initiator_send_held(&fixture, &sanitize, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_thread_drain(fixture.thread, true);
	initiator_wait_status(&sanitize, SCSI_TASK_ABORTED);
	io_fixture_wait_end(&fixture);
}

/* ------- rate limits ------- */

/* The first piece starts at once, the second waits a quarter of a second, and so on. */
static void a_format_is_not_faster_than_the_rate_limits(void **state)
{
	const struct io_fixture_options limited = {
		.backend.info.caps = FIXTURE_ALL_CAPS, .limits = {.bps = 4 * SIZE}};
	struct timespec start, end;
	struct io_fixture fixture;
	struct initiator_command format = cmd_format_unit();

	(void) state;
	io_fixture_start(&fixture, &limited);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), SIZE / PIECE);
	assert_true(
		(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000 >=
		100);
	io_fixture_stop(&fixture);
}

/* The medium takes days. Its initiator can abort the command, other commands are served, and the
 * device can be deleted. */
static void a_format_that_waits_for_its_limits_delays_nothing(void **state)
{
	const struct io_fixture_options slow = {
		.backend.info.caps = FIXTURE_ALL_CAPS, .limits = {.bps = 1}};
	struct io_fixture fixture;
	struct initiator_command format = cmd_format_unit(), ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &slow);
	initiator_send(&fixture, &format);
	initiator_run_sense(&fixture, &ready, 0x02, 0x0404);
	while (backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES) < 1)
		sched_yield();
	initiator_abort(&fixture, TCMU_TMR_TYPE_ABORT_TASK, &format);
	initiator_wait_status(&format, SCSI_TASK_ABORTED);
	initiator_run_sense(&fixture, &ready, 0x02, 0x0404);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 1);
	io_fixture_stop(&fixture);
}

static void without_its_limits_a_format_continues(void **state)
{
	const struct io_fixture_options slow = {
		.backend.info.caps = FIXTURE_ALL_CAPS, .limits = {.bps = 1}};
	struct io_fixture fixture;
	struct initiator_command format = cmd_format_unit();

	(void) state;
	io_fixture_start(&fixture, &slow);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	initiator_send(&fixture, &format);
	while (backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES) < 1)
		sched_yield();
	io_thread_set_limits(fixture.thread, &(struct rate_limits){0});
	initiator_wait_status(&format, SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(store_is_filled(&fixture, 0));
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_unit_writes_zeros),
		cmocka_unit_test(without_write_zeroes_a_sanitize_writes_data),
		cmocka_unit_test(overwrite_makes_the_requested_passes),
		cmocka_unit_test(progress_is_reported_during_a_format),
		cmocka_unit_test(with_immed_a_format_is_answered_at_once),
		cmocka_unit_test(earlier_writes_end_before_a_sanitize_starts),
		cmocka_unit_test(a_sanitize_continues_after_its_command_is_aborted),
		cmocka_unit_test(a_sanitize_continues_after_a_ring_reset),
		cmocka_unit_test(other_commands_are_served_between_the_requests_of_a_format),
		cmocka_unit_test(without_a_free_slot_a_sanitize_is_busy),
		cmocka_unit_test(after_a_failure_the_medium_is_blocked_until_a_retry),
		cmocka_unit_test(exit_failure_mode_unblocks_the_medium),
		cmocka_unit_test(a_faulted_device_sanitizes_nothing),
		cmocka_unit_test(draining_interrupts_a_sanitize),
		cmocka_unit_test(draining_with_cancel_interrupts_a_sanitize),
		cmocka_unit_test(a_format_is_not_faster_than_the_rate_limits),
		cmocka_unit_test(a_format_that_waits_for_its_limits_delays_nothing),
		cmocka_unit_test(without_its_limits_a_format_continues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
