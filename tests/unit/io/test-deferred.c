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

static struct rig_command mode_select(const uint8_t *list, uint8_t length)
{
	return (struct rig_command){
		.cdb = {0x15, 0x11, 0, 0, length}, .cdb_length = 6, .out = list, .length = length};
}

static struct rig_command set_groups(void)
{
	return (struct rig_command){
		.cdb = {0xa4, 0x0a, [9] = sizeof(states)},
		.cdb_length = 12,
		.out = states,
		.length = sizeof(states)};
}

static void identify(struct rig *rig)
{
	struct scsi_lu_info identity = {
		.serial = "123",
		.ports = {
			.group_cnt = 1,
			.groups = {
				{.id = 7,
				 .supported = 0x0f,
				 .access = SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT}}}};

	io_thread_set_lu_info(rig->thread, &identity);
	rig_wait_orders(rig);
}

static void start(struct rig *rig)
{
	rig_make(rig, &(struct rig_options){.wait_serial = true});
	rig->setup.lu.has_port_groups = true;
	assert_int_equal(io_thread_new(&rig->setup, &rig->thread), 0);
	rig_wait_signal(rig, IO_SIGNAL_ATTACHED);
	identify(rig);
}

/* Sends what waits for an errand, and gives what is asked for. */
static struct deferred_request send(struct rig *rig, struct rig_command *command)
{
	struct deferred_request errand;

	rig_forget_signals(rig);
	rig_send(rig, command);
	rig_wait_signal(rig, IO_SIGNAL_DEFERRED);
	io_thread_deferred(rig->thread, &errand);
	assert_false(rig_is_done(command));
	return errand;
}

/* The same for what wants to know first how things are. */
static struct deferred_request send_set_groups(struct rig *rig, struct rig_command *command)
{
	struct deferred_request errand;

	rig_forget_signals(rig);
	rig_send(rig, command);
	rig_wait_signal(rig, IO_SIGNAL_NEEDS_LU_INFO);
	identify(rig);
	rig_wait_signal(rig, IO_SIGNAL_DEFERRED);
	io_thread_deferred(rig->thread, &errand);
	assert_false(rig_is_done(command));
	return errand;
}

static void saved_values_are_the_owners_to_keep(void **state)
{
	struct rig_command select = mode_select(control, sizeof(control));
	struct deferred_request errand;
	struct rig rig;

	(void) state;
	start(&rig);
	errand = send(&rig, &select);
	assert_int_equal(errand.kind, DEFERRED_SAVE);
	assert_string_equal(errand.serial, "123");
	assert_true(errand.saved.descriptor_sense);
	io_thread_deferred_done(rig.thread, 0);
	rig_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	rig_stop(&rig);
}

static void who_could_not_save_is_told(void **state)
{
	struct rig_command select = mode_select(control, sizeof(control));
	struct rig rig;

	(void) state;
	start(&rig);
	send(&rig, &select);
	io_thread_deferred_done(rig.thread, -EROFS);
	rig_wait(&select);
	assert_int_equal(select.status, SCSI_CHECK_CONDITION);
	assert_int_equal(select.sense[0] & 0x7f, 0x72); /* D_SENSE has become current */
	assert_int_equal(select.sense[1] << 16 | select.sense[2] << 8 | select.sense[3], 0x044400);
	rig_stop(&rig);
}

/* SBC-3 6.5.5: what is in a cache that is turned off is written before the command ends. */
static void the_cache_is_flushed_after_it_was_saved_off(void **state)
{
	struct rig_command select = mode_select(no_cache, sizeof(no_cache));
	struct rig rig;

	(void) state;
	start(&rig);
	send(&rig, &select);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 0);
	io_thread_deferred_done(rig.thread, 0);
	rig_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 1);
	rig_stop(&rig);
}

static void states_are_the_owners_to_change(void **state)
{
	struct rig_command set = set_groups();
	struct deferred_request errand;
	struct rig rig;

	(void) state;
	start(&rig);
	errand = send_set_groups(&rig, &set);
	assert_int_equal(errand.kind, DEFERRED_SET_GROUPS);
	assert_int_equal(errand.states.cnt, 1);
	assert_int_equal(errand.states.to[0].id, 7);
	assert_int_equal(errand.states.to[0].state, SCSI_STANDBY);
	io_thread_deferred_done(rig.thread, 0);
	rig_wait(&set);
	assert_int_equal(set.status, SCSI_GOOD);

	set = set_groups();
	send_set_groups(&rig, &set);
	io_thread_deferred_done(rig.thread, -EINVAL);
	rig_wait(&set);
	assert_sense(&set, 0x04, 0x670a);

	set = set_groups();
	send_set_groups(&rig, &set);
	io_thread_deferred_done(rig.thread, -EAGAIN);
	rig_wait(&set);
	assert_int_equal(set.status, SCSI_BUSY);
	rig_stop(&rig);
}

static void one_waits_at_a_time(void **state)
{
	struct rig_command first = mode_select(control, sizeof(control)), second = first;
	uint8_t block[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, block);
	struct rig rig;

	(void) state;
	start(&rig);
	send(&rig, &first);
	/* Others go on. */
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &second), SCSI_BUSY);
	assert_false(rig_is_done(&first));
	io_thread_deferred_done(rig.thread, 0);
	rig_wait(&first);
	assert_int_equal(first.status, SCSI_GOOD);
	rig_stop(&rig);
}

static void an_answer_that_nobody_asked_for_changes_nothing(void **state)
{
	struct rig_command select = mode_select(control, sizeof(control));
	struct rig rig;

	(void) state;
	start(&rig);
	io_thread_deferred_done(rig.thread, -EIO);
	rig_wait_orders(&rig);
	send(&rig, &select);
	io_thread_deferred_done(rig.thread, 0);
	rig_wait(&select);
	assert_int_equal(select.status, SCSI_GOOD);
	rig_stop(&rig);
}

/* The owner may be stuck in configfs: the ring is let go of without it. */
static void a_loop_that_is_to_end_does_not_wait(void **state)
{
	struct rig_command select = mode_select(control, sizeof(control));
	struct rig rig;

	(void) state;
	start(&rig);
	send(&rig, &select);
	io_thread_drain(rig.thread, true);
	rig_wait(&select);
	assert_int_equal(select.status, SCSI_TASK_ABORTED);
	rig_finish(&rig);
}

static void a_ring_that_is_taken_away_takes_the_waiting_with_it(void **state)
{
	struct rig_command select = mode_select(control, sizeof(control));
	struct rig rig;

	(void) state;
	start(&rig);
	send(&rig, &select);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_assert_let_go(&rig);
	rig_finish(&rig);
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
