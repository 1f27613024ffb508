/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT and SANITIZE as they are carried out: all of the medium is overwritten, whoever asks
 * for it meanwhile is told how far that is, and it ends well, with an error, or with the loop.
 */
#include "io-fixture.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "fake-ring.h"

#define SIZE  (1024u * 1024)
#define PIECE (256u * 1024)

#define FORMAT(...) \
	(struct initiator_command) \
	{ \
		.cdb = {0x04, __VA_ARGS__}, .cdb_length = 6 \
	}
#define ERASE \
	(struct initiator_command) \
	{ \
		.cdb = {0x48, 0x02}, .cdb_length = 10 \
	}
#define EXIT_FAILURE_MODE \
	(struct initiator_command) \
	{ \
		.cdb = {0x48, 0x1f}, .cdb_length = 10 \
	}

static const struct io_fixture_options basic;
static const struct io_fixture_options all = {
	.backend.info = {.caps = FIXTURE_ALL_CAPS, .unmap_zeroes = true}};

static struct initiator_command overwrite(const uint8_t *list, uint8_t length, bool fail_allowed)
{
	return (struct initiator_command){
		.cdb = {0x48, (uint8_t) (0x01 | (fail_allowed ? 0x20 : 0)), [8] = length},
		.cdb_length = 10,
		.out = list,
		.length = length,
	};
}

static bool is_filled(const struct io_fixture *fixture, uint8_t with)
{
	const uint8_t *store = backend_store(fixture->backend);

	return store[0] == with && memcmp(store, store + 1, SIZE - 1) == 0;
}

static uint16_t progress(const struct initiator_command *command)
{
	assert_int_equal(command->sense[15] & 0x80, 0x80); /* SKSV */
	return (uint16_t) (command->sense[16] << 8 | command->sense[17]);
}

/* ------- to the end ------- */

static void formatting_gives_zeros(void **state)
{
	static const uint64_t caps[] = {FIXTURE_BASIC_CAPS, FIXTURE_ALL_CAPS};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct io_fixture fixture;
		struct initiator_command format = FORMAT(0);

		io_fixture_start(
			&fixture, &(struct io_fixture_options){.backend.info.caps = caps[i]});
		memset(backend_store(fixture.backend), 0xee, SIZE);
		assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
		backend_sync(fixture.backend);
		assert_true(is_filled(&fixture, 0));
		assert_int_equal(
			backend_count(fixture.backend, TCMU_IO_WRITE), i ? 0 : SIZE / PIECE);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), i ? 1 : 0);
		assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
		io_fixture_stop(&fixture);
	}
}

static void zeros_that_the_backend_cannot_write_are_written_as_data(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE;

	(void) state;
	io_fixture_start(&fixture, &all);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	backend_fail(fixture.backend, TCMU_IO_WRITE_ZEROES, 0, 1, -EOPNOTSUPP);
	assert_int_equal(initiator_run(&fixture, &erase), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(is_filled(&fixture, 0));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), SIZE / PIECE);
	io_fixture_stop(&fixture);
}

/* SBC-3 5.24: INVERT changes the pattern between the passes. Zeros are written, too: the old data
 * is to be gone. */
static void overwriting_takes_as_many_passes_as_it_is_told(void **state)
{
	static const uint8_t once[] = {0x01, 0, 0, 1, 0x00}, inverted[] = {0x82, 0, 0, 1, 0x3c};
	struct io_fixture fixture;
	struct initiator_command zeros = overwrite(once, sizeof(once), false);
	struct initiator_command twice = overwrite(inverted, sizeof(inverted), false);

	(void) state;
	io_fixture_start(&fixture, &all);
	memset(backend_store(fixture.backend), 0xee, SIZE);
	assert_int_equal(initiator_run(&fixture, &zeros), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(is_filled(&fixture, 0));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), SIZE / PIECE);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 0);
	backend_forget(fixture.backend);
	assert_int_equal(initiator_run(&fixture, &twice), SCSI_GOOD);
	backend_sync(fixture.backend);
	assert_true(is_filled(&fixture, (uint8_t) ~0x3c));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 2 * SIZE / PIECE);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&fixture);
}

/* ------- meanwhile ------- */

static void who_asks_meanwhile_is_told_the_progress(void **state)
{
	struct io_fixture fixture;
	struct initiator_command format = FORMAT(0), ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &format);
	for (unsigned i = 0; i < SIZE / PIECE; i++) {
		assert_true(backend_wait_held(fixture.backend, 1));
		initiator_run(&fixture, &ready);
		assert_sense(&ready, 0x02, 0x0404);
		assert_in_range(progress(&ready), i * 0x3c00, i * 0x4000);
		assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_FORMAT);
		backend_release(fixture.backend, 1, BACKEND_OLDEST);
	}
	initiator_wait(&format);
	assert_int_equal(format.status, SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_FORMAT);
	io_fixture_stop(&fixture);
}

static void with_immed_the_answer_comes_at_once(void **state)
{
	struct io_fixture fixture;
	struct initiator_command format = FORMAT(0x10), ready = cmd_test_unit_ready();

	(void) state;
	format.out = "\0\2\0";
	format.length = 4;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
	assert_true(backend_wait_held(fixture.backend, 1));
	initiator_run(&fixture, &ready);
	assert_sense(&ready, 0x02, 0x0404);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	while (initiator_run(&fixture, &ready) != SCSI_GOOD)
		sched_yield();
	io_fixture_stop(&fixture);
}

static void what_writes_before_it_ends_before_it(void **state)
{
	uint8_t out[FIXTURE_BLOCK] = {1};
	struct io_fixture fixture;
	struct initiator_command write = cmd_write(0, 1, out), erase = ERASE;

	(void) state;
	io_fixture_start(&fixture, &all);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &write);
	assert_true(backend_wait_held(fixture.backend, 1));
	initiator_send(&fixture, &erase);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_FORMAT);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait(&erase);
	assert_true(write.order < erase.order);
	backend_sync(fixture.backend);
	assert_true(is_filled(&fixture, 0));
	io_fixture_stop(&fixture);
}

/* SBC-3 4.11: a task management function does not end it. */
static void it_goes_on_when_who_asked_for_it_is_aborted(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE, ready = cmd_test_unit_ready();
	uint16_t id;

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &erase);
	assert_true(backend_wait_held(fixture.backend, 1));
	id = erase.id;
	assert_int_equal(
		fake_ring_push_tmr(fake_uio_lock(fixture.uio), TCMU_TMR_TYPE_LUN_RESET, &id, 1), 0);
	fake_uio_unlock(fixture.uio);
	initiator_notify(&fixture);
	initiator_wait(&erase);
	assert_int_equal(erase.status, SCSI_TASK_ABORTED);
	initiator_run(&fixture, &ready);
	assert_sense(&ready, 0x02, 0x041b);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	while (initiator_run(&fixture, &ready) != SCSI_GOOD)
		sched_yield();
	backend_sync(fixture.backend);
	assert_true(is_filled(&fixture, 0));
	io_fixture_stop(&fixture);
}

static void it_goes_on_when_the_ring_is_reset(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE, ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &basic);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &erase);
	assert_true(backend_wait_held(fixture.backend, 1));
	fake_ring_reset(fake_uio_lock(fixture.uio));
	fake_uio_unlock(fixture.uio);
	initiator_run(&fixture, &ready);
	assert_sense(&ready, 0x02, 0x041b);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	while (initiator_run(&fixture, &ready) != SCSI_GOOD)
		sched_yield();
	assert_false(initiator_is_done(&erase)); /* the kernel has answered it */
	io_fixture_stop(&fixture);
}

static void without_room_for_it_who_asks_is_to_come_again(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE, ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.depth = 1});
	assert_int_equal(initiator_run(&fixture, &erase), SCSI_BUSY);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* ------- not to the end ------- */

static void after_a_failure_the_medium_waits_for_another_try(void **state)
{
	static const uint8_t list[] = {0x01, 0, 0, 1, 0x11};
	struct io_fixture fixture;
	struct initiator_command failing = overwrite(list, sizeof(list), false), erase = ERASE;
	struct initiator_command ready = cmd_test_unit_ready(), leave = EXIT_FAILURE_MODE,
				 format = FORMAT(0);

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 1, 1, -EIO);
	initiator_run(&fixture, &failing);
	assert_sense(&failing, 0x03, 0x3103);
	initiator_run(&fixture, &ready);
	assert_sense(&ready, 0x03, 0x3103);
	assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE);
	initiator_run(&fixture, &leave);
	assert_sense(&leave, 0x05, 0x2400);
	assert_int_equal(initiator_run(&fixture, &erase), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);

	backend_fail(fixture.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
	initiator_run(&fixture, &format);
	assert_sense(&format, 0x03, 0x3101);
	initiator_run(&fixture, &ready);
	assert_sense(&ready, 0x03, 0x3100);
	assert_int_equal(initiator_run(&fixture, &format), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(io_thread_format_state(fixture.thread), 0);
	io_fixture_stop(&fixture);
}

static void a_failure_that_was_allowed_can_be_left(void **state)
{
	static const uint8_t list[] = {0x01, 0, 0, 1, 0x11};
	struct io_fixture fixture;
	struct initiator_command failing = overwrite(list, sizeof(list), true);
	struct initiator_command ready = cmd_test_unit_ready(), leave = EXIT_FAILURE_MODE;

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 3, 1, -EIO);
	initiator_run(&fixture, &failing);
	assert_sense(&failing, 0x03, 0x3103);
	initiator_run(&fixture, &ready);
	assert_int_equal(
		io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE | FORMAT_STATE_EXIT);
	assert_int_equal(initiator_run(&fixture, &leave), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_sick_device_erases_nothing(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE;

	(void) state;
	io_fixture_start(&fixture, &all);
	io_thread_fail(fixture.thread);
	io_fixture_wait_control(&fixture);
	initiator_run(&fixture, &erase);
	assert_sense(&erase, 0x03, 0x3103);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

/* The next daemon is to know: the medium was not given back. */
static void the_end_of_the_loop_cuts_it_short(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE;

	(void) state;
	io_fixture_start(&fixture, &basic);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &erase);
	assert_true(backend_wait_held(fixture.backend, 1));
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_control(&fixture);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait(&erase);
	assert_int_equal(erase.status, SCSI_BUSY);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_format_state(fixture.thread), FORMAT_STATE_SANITIZE);
	assert_true(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

static void a_deleted_device_does_not_wait_for_it(void **state)
{
	struct io_fixture fixture;
	struct initiator_command erase = ERASE;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	initiator_send(&fixture, &erase);
	assert_true(backend_wait_held(fixture.backend, 1));
	io_thread_drain(fixture.thread, true);
	initiator_wait(&erase);
	io_fixture_wait_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formatting_gives_zeros),
		cmocka_unit_test(zeros_that_the_backend_cannot_write_are_written_as_data),
		cmocka_unit_test(overwriting_takes_as_many_passes_as_it_is_told),
		cmocka_unit_test(who_asks_meanwhile_is_told_the_progress),
		cmocka_unit_test(with_immed_the_answer_comes_at_once),
		cmocka_unit_test(what_writes_before_it_ends_before_it),
		cmocka_unit_test(it_goes_on_when_who_asked_for_it_is_aborted),
		cmocka_unit_test(it_goes_on_when_the_ring_is_reset),
		cmocka_unit_test(without_room_for_it_who_asks_is_to_come_again),
		cmocka_unit_test(after_a_failure_the_medium_waits_for_another_try),
		cmocka_unit_test(a_failure_that_was_allowed_can_be_left),
		cmocka_unit_test(a_sick_device_erases_nothing),
		cmocka_unit_test(the_end_of_the_loop_cuts_it_short),
		cmocka_unit_test(a_deleted_device_does_not_wait_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
