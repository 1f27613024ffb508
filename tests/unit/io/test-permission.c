/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which commands an I/O thread lets through to its backend, and how the backend is exchanged while
 * the ring stays.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

static uint8_t data[FIXTURE_BLOCK];

static struct io_fixture_options options = {
	.backend = {.info = {.caps = FIXTURE_ALL_CAPS}},
};

static void set_permission(
	struct io_fixture *fixture, enum io_permission permission, uint8_t not_ready)
{
	io_thread_set_permission(fixture->thread, permission, not_ready);
	io_fixture_wait_control(fixture);
}

static bool is_signalled(struct io_fixture *fixture, uint32_t bit)
{
	bool there;

	pthread_mutex_lock(&fixture->lock);
	there = fixture->signals & bit;
	pthread_mutex_unlock(&fixture->lock);
	return there;
}

static void with_read_permission_writes_are_busy_and_want_the_lock(void **state)
{
	struct initiator_command read = cmd_read(0, 1, NULL), write = cmd_write(0, 1, data),
				 flush = cmd_flush(), compare = cmd_compare_and_write(0, 1, data),
				 ready = cmd_test_unit_ready();
	uint8_t both[2 * FIXTURE_BLOCK] = {0};
	struct io_fixture fixture;

	(void) state;
	compare.out = both;
	io_fixture_start(&fixture, &options);
	set_permission(&fixture, IO_PERMIT_READS, 0);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_false(is_signalled(&fixture, IO_SIGNAL_WANTS_LOCK));
	assert_int_equal(initiator_run(&fixture, &write), SCSI_BUSY);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_WANTS_LOCK);
	assert_int_equal(initiator_run(&fixture, &flush), SCSI_BUSY);
	assert_int_equal(initiator_run(&fixture, &compare), SCSI_BUSY);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 0);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_COMPARE_AND_WRITE), 0);
	set_permission(&fixture, IO_PERMIT_ALL, 0);
	write = cmd_write(0, 1, data);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_medium_that_is_not_ready_reports_the_reason(void **state)
{
	static const uint8_t reasons[] = {SCSI_ASCQ_STANDBY, SCSI_ASCQ_UNAVAILABLE};
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	for (unsigned i = 0; i < 2; i++) {
		struct initiator_command read = cmd_read(0, 1, NULL), write = cmd_write(0, 1, data),
					 ready = cmd_test_unit_ready();
		struct initiator_command inquiry = cmd_inquiry(NULL, 36);
		uint16_t code = 0x0400 | reasons[i];

		set_permission(&fixture, IO_PERMIT_READS, reasons[i]);
		initiator_run_sense(&fixture, &read, 0x2, code);
		initiator_run_sense(&fixture, &write, 0x2, code);
		initiator_run_sense(&fixture, &ready, 0x2, code);
		assert_int_equal(initiator_run(&fixture, &inquiry), SCSI_GOOD);
	}
	set_permission(&fixture, IO_PERMIT_ALL, 0);
	struct initiator_command ready = cmd_test_unit_ready();

	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* A command of several requests ends at the first one without permission. */
static void without_permission_nothing_is_submitted_until_idle(void **state)
{
	struct io_fixture_options held = options;
	struct initiator_command same = cmd_write_same(0, 0, 2048, data);
	struct io_fixture fixture;
	unsigned submitted;

	(void) state;
	held.backend.info.caps = FIXTURE_BASIC_CAPS;
	memset(data, 7, sizeof(data));
	io_fixture_start(&fixture, &held);
	initiator_send_held(&fixture, &same, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_clear_signals(&fixture);
	set_permission(&fixture, IO_PERMIT_NONE, 0);
	assert_false(io_thread_is_idle(fixture.thread));
	submitted = backend_count(fixture.backend, TCMU_IO_WRITE);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&same, SCSI_BUSY);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_IDLE);
	assert_true(io_thread_is_idle(fixture.thread));
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), submitted);
	/* idle is reported for the current permission only */
	set_permission(&fixture, IO_PERMIT_ALL, 0);
	assert_false(io_thread_is_idle(fixture.thread));
	io_fixture_stop(&fixture);
}

/* ------- commands that wait while the lock changes hands ------- */

/* The lock is lost and acquired again. */
static void lose_and_regain(struct io_fixture *fixture)
{
	io_fixture_clear_signals(fixture);
	set_permission(fixture, IO_PERMIT_READS, 0);
	set_permission(fixture, IO_PERMIT_ALL, 0);
}

/* Until the commands that were pushed have been decided: this one comes behind them. */
static void wait_fetched(struct io_fixture *fixture)
{
	struct initiator_command ready = cmd_test_unit_ready();

	assert_int_equal(initiator_run(fixture, &ready), SCSI_GOOD);
}

static unsigned count_changes(struct io_fixture *fixture)
{
	return backend_count(fixture->backend, TCMU_IO_WRITE) +
		backend_count(fixture->backend, TCMU_IO_WRITE_ZEROES) +
		backend_count(fixture->backend, TCMU_IO_UNMAP) +
		backend_count(fixture->backend, TCMU_IO_FLUSH);
}

/* A command of several requests is between two of them. */
static void between_its_requests(
	struct initiator_command command, enum tcmu_io_op held, uint64_t caps, uint8_t status)
{
	struct io_fixture_options held_options = options;
	struct io_fixture fixture;
	unsigned changes;

	held_options.backend.info.caps = caps;
	held_options.backend.info.volatile_cache = true;
	io_fixture_start(&fixture, &held_options);
	initiator_send_held(&fixture, &command, TCMU_IO_CAP(held));
	changes = count_changes(&fixture);
	lose_and_regain(&fixture);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&command, status);
	io_fixture_wait_idle(&fixture);
	assert_int_equal(count_changes(&fixture), changes);
	assert_false(is_signalled(&fixture, IO_SIGNAL_WANTS_LOCK));
	io_fixture_stop(&fixture);
}

static void a_command_does_not_survive_its_permission(void **state)
{
	static uint8_t list[64], both[2 * FIXTURE_BLOCK];
	static const struct scsi_extent extents[] = {{0, 8}, {64, 8}};
	struct initiator_command compare = cmd_compare_and_write(0, 1, both);

	(void) state;
	memset(data, 7, sizeof(data));
	between_its_requests(
		cmd_write_same(0, 0, 2048, data), TCMU_IO_WRITE, FIXTURE_BASIC_CAPS, SCSI_BUSY);
	between_its_requests(
		cmd_write_fua(0, 1, data), TCMU_IO_WRITE, FIXTURE_BASIC_CAPS, SCSI_BUSY);
	between_its_requests(
		cmd_unmap(list, extents, 2), TCMU_IO_UNMAP, FIXTURE_ALL_CAPS, SCSI_BUSY);
	between_its_requests(cmd_orwrite(0, 1, data), TCMU_IO_READ, FIXTURE_BASIC_CAPS, SCSI_BUSY);
	between_its_requests(compare, TCMU_IO_READ, FIXTURE_BASIC_CAPS, SCSI_BUSY);
	between_its_requests(
		cmd_write_and_verify(0, 0, 1, data), TCMU_IO_WRITE, FIXTURE_BASIC_CAPS, SCSI_BUSY);
	/* in the background: only the progress and its end are reported */
	between_its_requests(
		(struct initiator_command){.cdb = {0x04}, .cdb_length = 6}, TCMU_IO_WRITE,
		FIXTURE_BASIC_CAPS, SCSI_CHECK_CONDITION);
	/* what only reads needs no lock */
	between_its_requests(
		cmd_verify(0, 0, 2048, NULL), TCMU_IO_READ, FIXTURE_BASIC_CAPS, SCSI_GOOD);
}

static void a_command_does_not_survive_its_permission_in_a_limit(void **state)
{
	static uint8_t in[FIXTURE_BLOCK];
	struct initiator_command first = cmd_write(0, 1, data), write = cmd_write(0, 1, data),
				 read = cmd_read(0, 1, in), later = cmd_write(0, 1, data);
	struct io_fixture_options limited = options;
	struct io_fixture fixture;

	(void) state;
	limited.limits = (struct rate_limits){.iops = 1};
	io_fixture_start(&fixture, &limited);
	assert_int_equal(initiator_run(&fixture, &first), SCSI_GOOD);
	initiator_push(&fixture, &write);
	initiator_push(&fixture, &read);
	wait_fetched(&fixture);
	lose_and_regain(&fixture);
	io_thread_set_limits(fixture.thread, &(struct rate_limits){.iops = 0});
	initiator_wait_status(&write, SCSI_BUSY);
	initiator_wait_status(&read, SCSI_GOOD);
	assert_false(is_signalled(&fixture, IO_SIGNAL_WANTS_LOCK));
	assert_int_equal(count_changes(&fixture), 1);
	assert_int_equal(initiator_run(&fixture, &later), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_command_does_not_survive_its_permission_before_its_range(void **state)
{
	struct initiator_command merge = cmd_orwrite(0, 1, data), write = cmd_write(0, 1, data);
	struct io_fixture_options basic = options;
	struct io_fixture fixture;

	(void) state;
	basic.backend.info.caps = FIXTURE_BASIC_CAPS;
	io_fixture_start(&fixture, &basic);
	initiator_send_held(&fixture, &merge, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_push(&fixture, &write);
	wait_fetched(&fixture);
	lose_and_regain(&fixture);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&merge, SCSI_BUSY);
	initiator_wait_status(&write, SCSI_BUSY);
	assert_int_equal(count_changes(&fixture), 0);
	assert_false(is_signalled(&fixture, IO_SIGNAL_WANTS_LOCK));
	io_fixture_stop(&fixture);
}

/* A handler may complete a request, from any thread, before its submit() returns. */
static void a_backend_is_not_idle_while_a_worker_is_in_it(void **state)
{
	struct io_fixture_options parallel = options;
	struct initiator_command write = cmd_write(3, 1, data);
	struct io_fixture fixture;

	(void) state;
	parallel.backend.threading = TCMU_HANDLER_PARALLEL;
	io_fixture_start(&fixture, &parallel);
	for (unsigned round = 0; round < 50; round++) {
		backend_linger(fixture.backend, true);
		assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
		io_fixture_clear_signals(&fixture);
		set_permission(&fixture, IO_PERMIT_NONE, 0);
		io_fixture_wait_asleep();
		assert_false(io_thread_is_idle(fixture.thread));
		assert_false(is_signalled(&fixture, IO_SIGNAL_IDLE));
		backend_linger(fixture.backend, false);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_IDLE);
		assert_true(io_thread_is_idle(fixture.thread));
		set_permission(&fixture, IO_PERMIT_ALL, 0);
	}
	io_fixture_stop(&fixture);
}

static void an_idle_backend_can_be_exchanged(void **state)
{
	struct initiator_command write = cmd_write(3, 1, data);
	struct backend *second = backend_new(&options.backend);
	struct io_fixture fixture;

	(void) state;
	memset(data, 9, sizeof(data));
	io_fixture_start(&fixture, &options);
	set_permission(&fixture, IO_PERMIT_NONE, 0);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_IDLE);
	io_thread_set_backend(fixture.thread, second, &fixture.setup.info);
	set_permission(&fixture, IO_PERMIT_ALL, 0);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	assert_int_equal(backend_count(second, TCMU_IO_WRITE), 1);
	assert_memory_equal(backend_store(second) + 3 * FIXTURE_BLOCK, data, sizeof(data));
	io_fixture_stop(&fixture);
	backend_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_read_permission_writes_are_busy_and_want_the_lock),
		cmocka_unit_test(a_medium_that_is_not_ready_reports_the_reason),
		cmocka_unit_test(without_permission_nothing_is_submitted_until_idle),
		cmocka_unit_test(a_command_does_not_survive_its_permission),
		cmocka_unit_test(a_command_does_not_survive_its_permission_in_a_limit),
		cmocka_unit_test(a_command_does_not_survive_its_permission_before_its_range),
		cmocka_unit_test(a_backend_is_not_idle_while_a_worker_is_in_it),
		cmocka_unit_test(an_idle_backend_can_be_exchanged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
