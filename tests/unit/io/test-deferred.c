/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that wait for what only the owner of the loop can do: saving mode parameters, changing
 * states of target port groups.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

/* The control mode page with D_SENSE, and the caching mode page without WCE. */
static const uint8_t control[] = {0, 0,    0, 0, 0x0a, 0x0a, 0x06, 0x10,
				  0, 0x40, 0, 0, 0xff, 0xff, 0,    0};
static const uint8_t no_cache[24] = {0, 0, 0, 0, 0x08, 0x12};
static const uint8_t states[] = {0, 0, 0, 0, 0x02, 0, 0x00, 0x07};

static struct initiator_command mode_select(const uint8_t *list, uint8_t length)
{
	return (struct initiator_command){
		.cdb = {0x15, 0x11, 0, 0, length}, .cdb_length = 6, .out = list, .length = length};
}

static struct initiator_command set_groups(void)
{
	return (struct initiator_command){
		.cdb = {0xa4, 0x0a, [9] = sizeof(states)},
		.cdb_length = 12,
		.out = states,
		.length = sizeof(states)};
}

static void identify(struct io_fixture *fixture)
{
	struct scsi_lu_info identity = {
		.serial = "123",
		.ports = {
			.group_cnt = 1,
			.groups = {
				{.id = 7,
				 .supported = 0x0f,
				 .access = SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT}}}};

	io_thread_set_lu_info(fixture->thread, &identity);
	io_fixture_wait_control(fixture);
}

static void start(struct io_fixture *fixture)
{
	io_fixture_init(fixture, &(struct io_fixture_options){.wait_serial = true});
	fixture->setup.lu.has_port_groups = true;
	assert_int_equal(io_thread_new(&fixture->setup, &fixture->thread), 0);
	io_fixture_wait_signal(fixture, IO_SIGNAL_ATTACHED);
	identify(fixture);
}

/* Sends what waits for an errand, and gives what is asked for. */
static struct deferred_request send(struct io_fixture *fixture, struct initiator_command *command)
{
	struct deferred_request errand;

	io_fixture_clear_signals(fixture);
	initiator_send(fixture, command);
	io_fixture_wait_signal(fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred(fixture->thread, &errand);
	assert_false(initiator_is_done(command));
	return errand;
}

/* The same for what wants to know first how things are. */
static struct deferred_request send_set_groups(
	struct io_fixture *fixture, struct initiator_command *command)
{
	struct deferred_request errand;

	io_fixture_clear_signals(fixture);
	initiator_send(fixture, command);
	io_fixture_wait_signal(fixture, IO_SIGNAL_NEEDS_LU_INFO);
	identify(fixture);
	io_fixture_wait_signal(fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred(fixture->thread, &errand);
	assert_false(initiator_is_done(command));
	return errand;
}

static void saved_values_are_the_owners_to_keep(void **state)
{
	struct initiator_command select = mode_select(control, sizeof(control));
	struct deferred_request errand;
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	errand = send(&fixture, &select);
	assert_int_equal(errand.kind, DEFERRED_SAVE);
	assert_string_equal(errand.serial, "123");
	assert_true(errand.saved.descriptor_sense);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void who_could_not_save_is_told(void **state)
{
	struct initiator_command select = mode_select(control, sizeof(control));
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	send(&fixture, &select);
	io_thread_deferred_done(fixture.thread, -EROFS);
	initiator_wait(&select);
	assert_int_equal(select.status, SCSI_CHECK_CONDITION);
	assert_int_equal(select.sense[0] & 0x7f, 0x72); /* D_SENSE has become current */
	assert_int_equal(select.sense[1] << 16 | select.sense[2] << 8 | select.sense[3], 0x044400);
	io_fixture_stop(&fixture);
}

/* SBC-3 6.5.5: what is in a cache that is turned off is written before the command ends. */
static void the_cache_is_flushed_after_it_was_saved_off(void **state)
{
	struct initiator_command select = mode_select(no_cache, sizeof(no_cache));
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	send(&fixture, &select);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 0);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&fixture);
}

static void states_are_the_owners_to_change(void **state)
{
	struct initiator_command set = set_groups();
	struct deferred_request errand;
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	errand = send_set_groups(&fixture, &set);
	assert_int_equal(errand.kind, DEFERRED_SET_GROUPS);
	assert_int_equal(errand.states.cnt, 1);
	assert_int_equal(errand.states.to[0].id, 7);
	assert_int_equal(errand.states.to[0].state, SCSI_STANDBY);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait(&set);
	assert_int_equal(set.status, SCSI_GOOD);

	set = set_groups();
	send_set_groups(&fixture, &set);
	io_thread_deferred_done(fixture.thread, -EINVAL);
	initiator_wait(&set);
	assert_sense(&set, 0x04, 0x670a);

	set = set_groups();
	send_set_groups(&fixture, &set);
	io_thread_deferred_done(fixture.thread, -EAGAIN);
	initiator_wait(&set);
	assert_int_equal(set.status, SCSI_BUSY);
	io_fixture_stop(&fixture);
}

static void one_waits_at_a_time(void **state)
{
	struct initiator_command first = mode_select(control, sizeof(control)), second = first;
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, block);
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	send(&fixture, &first);
	/* Others go on. */
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &second), SCSI_BUSY);
	assert_false(initiator_is_done(&first));
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait(&first);
	assert_int_equal(first.status, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void an_answer_that_nobody_asked_for_changes_nothing(void **state)
{
	struct initiator_command select = mode_select(control, sizeof(control));
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	io_thread_deferred_done(fixture.thread, -EIO);
	io_fixture_wait_control(&fixture);
	send(&fixture, &select);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* The owner may be stuck in configfs: the ring is let go of without it. */
static void a_loop_that_is_to_end_does_not_wait(void **state)
{
	struct initiator_command select = mode_select(control, sizeof(control));
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	send(&fixture, &select);
	io_thread_drain(fixture.thread, true);
	initiator_wait(&select);
	assert_int_equal(select.status, SCSI_TASK_ABORTED);
	io_fixture_wait_end(&fixture);
}

static void a_ring_that_is_taken_away_takes_the_waiting_with_it(void **state)
{
	struct initiator_command select = mode_select(control, sizeof(control));
	struct io_fixture fixture;

	(void) state;
	start(&fixture);
	send(&fixture, &select);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_assert_released(&fixture);
	io_fixture_wait_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saved_values_are_the_owners_to_keep),
		cmocka_unit_test(who_could_not_save_is_told),
		cmocka_unit_test(the_cache_is_flushed_after_it_was_saved_off),
		cmocka_unit_test(states_are_the_owners_to_change),
		cmocka_unit_test(one_waits_at_a_time),
		cmocka_unit_test(an_answer_that_nobody_asked_for_changes_nothing),
		cmocka_unit_test(a_loop_that_is_to_end_does_not_wait),
		cmocka_unit_test(a_ring_that_is_taken_away_takes_the_waiting_with_it),
	};

	return cmocka_run_group_tests_name("errand", tests, NULL, NULL);
}
