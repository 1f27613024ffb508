/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferred commands: they wait for the main thread, which alone can save mode parameters and change
 * the states of target port groups.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "duration.h"

/* The control mode page with D_SENSE, and the caching mode page without WCE. */
static const uint8_t control_page[] = {0, 0,    0, 0, 0x0a, 0x0a, 0x06, 0x10,
				       0, 0x40, 0, 0, 0xff, 0xff, 0,    0};
static const uint8_t caching_page[24] = {0, 0, 0, 0, 0x08, 0x12};
static const uint8_t group_states[] = {0, 0, 0, 0, 0x02, 0, 0x00, 0x07};

static struct initiator_command cmd_mode_select(const uint8_t *list, uint8_t length)
{
	return (struct initiator_command){
		.cdb = {0x15, 0x11, 0, 0, length}, .cdb_length = 6, .out = list, .length = length};
}

static struct initiator_command cmd_set_groups(void)
{
	return (struct initiator_command){
		.cdb = {0xa4, 0x0a, [9] = sizeof(group_states)},
		.cdb_length = 12,
		.out = group_states,
		.length = sizeof(group_states)};
}

static void set_lu_info(struct io_fixture *fixture)
{
	struct scsi_lu_info info = {
		.serial = "123",
		.ports = {
			.group_cnt = 1,
			.groups = {
				{.id = 7,
				 .supported = 0x0f,
				 .access = SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT}}}};

	io_thread_set_lu_info(fixture->thread, &info);
	io_fixture_wait_control(fixture);
}

static void start_with_groups(struct io_fixture *fixture)
{
	io_fixture_init(fixture, &(struct io_fixture_options){.wait_serial = true});
	fixture->setup.lu.has_port_groups = true;
	io_fixture_start_thread(fixture);
	set_lu_info(fixture);
}

/* Sends a command that is deferred, and returns the request to the main thread. */
static struct deferred_request send_deferred(
	struct io_fixture *fixture, struct initiator_command *command)
{
	struct deferred_request request;

	io_fixture_clear_signals(fixture);
	initiator_send(fixture, command);
	io_fixture_wait_signal(fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred(fixture->thread, &request);
	assert_false(initiator_is_done(command));
	return request;
}

/* The same for a command that first needs the current port groups. */
static struct deferred_request send_set_groups(
	struct io_fixture *fixture, struct initiator_command *command)
{
	struct deferred_request request;

	io_fixture_clear_signals(fixture);
	initiator_send(fixture, command);
	io_fixture_wait_signal(fixture, IO_SIGNAL_NEEDS_LU_INFO);
	set_lu_info(fixture);
	io_fixture_wait_signal(fixture, IO_SIGNAL_DEFERRED);
	io_thread_deferred(fixture->thread, &request);
	assert_false(initiator_is_done(command));
	return request;
}

static void mode_select_with_save_is_deferred(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct deferred_request request;
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	request = send_deferred(&fixture, &select);
	assert_int_equal(request.kind, DEFERRED_SAVE);
	assert_string_equal(request.serial, "123");
	assert_true(request.saved.descriptor_sense);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&select, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_failed_save_is_reported(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &select);
	io_thread_deferred_done(fixture.thread, -EROFS);
	initiator_wait_status(&select, SCSI_CHECK_CONDITION);
	assert_int_equal(select.sense[0] & 0x7f, 0x72); /* D_SENSE is current now */
	assert_int_equal(select.sense[1] << 16 | select.sense[2] << 8 | select.sense[3], 0x044400);
	io_fixture_stop(&fixture);
}

/* SBC-3 6.5.5: turning the cache off writes its content before the command ends. */
static void turning_the_cache_off_flushes_after_the_save(void **state)
{
	struct initiator_command select = cmd_mode_select(caching_page, sizeof(caching_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &select);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 0);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&select, SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&fixture);
}

static void set_target_port_groups_is_deferred(void **state)
{
	struct initiator_command set = cmd_set_groups();
	struct deferred_request request;
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	request = send_set_groups(&fixture, &set);
	assert_int_equal(request.kind, DEFERRED_SET_GROUPS);
	assert_int_equal(request.states.cnt, 1);
	assert_int_equal(request.states.to[0].id, 7);
	assert_int_equal(request.states.to[0].state, SCSI_STANDBY);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&set, SCSI_GOOD);

	set = cmd_set_groups();
	send_set_groups(&fixture, &set);
	io_thread_deferred_done(fixture.thread, -EINVAL);
	initiator_wait(&set);
	assert_sense(&set, 0x04, 0x670a);

	set = cmd_set_groups();
	send_set_groups(&fixture, &set);
	io_thread_deferred_done(fixture.thread, -EAGAIN);
	initiator_wait_status(&set, SCSI_BUSY);
	io_fixture_stop(&fixture);
}

static void a_second_deferred_command_is_busy(void **state)
{
	struct initiator_command first = cmd_mode_select(control_page, sizeof(control_page)),
				 second = first;
	uint8_t block[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, block);
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &first);
	/* Other commands are served. */
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &second), SCSI_BUSY);
	assert_false(initiator_is_done(&first));
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&first, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void an_unexpected_result_is_ignored(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	io_thread_deferred_done(fixture.thread, -EIO);
	io_fixture_wait_control(&fixture);
	send_deferred(&fixture, &select);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&select, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* The main thread may be stuck in configfs: the ring is released without it. */
static void draining_with_cancel_aborts_a_deferred_command(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &select);
	io_thread_drain(fixture.thread, true);
	initiator_wait_status(&select, SCSI_TASK_ABORTED);
	io_fixture_wait_end(&fixture);
}

static void revoking_the_ring_drops_a_deferred_command(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &select);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_assert_released(&fixture);
	io_fixture_wait_end(&fixture);
}

/* ------- storms ------- */

static unsigned seconds_since(uint64_t start)
{
	return (unsigned) ((clock_now_ns() - start) / CLOCK_NS_PER_SEC) + 1;
}

/* Each time that the LU info is needed costs a thread and files of the kernel. */
static void a_storm_of_inquiries_reads_the_lu_info_a_few_times(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	uint64_t start = clock_now_ns();

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	for (unsigned i = 0; i < 10000; i++) {
		struct initiator_command inquiry = cmd_serial_page(in);

		assert_int_equal(initiator_run(&fixture, &inquiry), SCSI_GOOD);
		assert_int_equal(memcmp(in + 4, "serial", 6), 0);
	}
	assert_in_range(
		io_fixture_signal_count(&fixture, IO_SIGNAL_NEEDS_LU_INFO), 1,
		102 + 5 * seconds_since(start));
	io_fixture_stop(&fixture);
}

/* A change is reported by the second command after it, at the latest a second later. */
static void in_a_storm_a_change_is_reported_within_a_second(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command inquiry = cmd_serial_page(in);
	struct duration began;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(initiator_run(&fixture, &inquiry), SCSI_GOOD);
	began = duration_start();
	fixture.serial = "changed";
	do {
		assert_int_equal(initiator_run(&fixture, &inquiry), SCSI_GOOD);
		duration_assert(&began, 2);
	} while (memcmp(in + 4, "changed", 7) != 0);
	io_fixture_stop(&fixture);
}

static void what_is_saved_is_not_saved_again(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	send_deferred(&fixture, &select);
	io_thread_deferred_done(fixture.thread, 0);
	initiator_wait_status(&select, SCSI_GOOD);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(initiator_run(&fixture, &select), SCSI_GOOD);
	assert_int_equal(io_fixture_signal_count(&fixture, IO_SIGNAL_DEFERRED), 1);
	io_fixture_stop(&fixture);
}

/* A save that failed is tried again. */
static void what_could_not_be_saved_is_saved_again(void **state)
{
	struct initiator_command select = cmd_mode_select(control_page, sizeof(control_page));
	struct io_fixture fixture;

	(void) state;
	start_with_groups(&fixture);
	for (int error = -EROFS; error <= 0; error += EROFS) {
		send_deferred(&fixture, &select);
		io_thread_deferred_done(fixture.thread, error);
		initiator_wait(&select);
	}
	assert_int_equal(select.status, SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* An initiator turns a bit on and off: 20 requests are carried out, and five a second. */
static void a_storm_of_saves_is_answered_busy(void **state)
{
	uint8_t page[sizeof(control_page)] = {0};
	struct io_fixture fixture;
	struct initiator_command select = cmd_mode_select(page, sizeof(page));
	unsigned saved = 0, busy = 0;
	uint64_t start = clock_now_ns();

	(void) state;
	memcpy(page, control_page, sizeof(page));
	start_with_groups(&fixture);
	fixture.answer_deferred = true;
	for (unsigned i = 0; i < 200; i++) {
		page[6] ^= 0x04; /* D_SENSE */
		saved += initiator_run(&fixture, &select) == SCSI_GOOD;
		busy += select.status == SCSI_BUSY;
	}
	assert_int_equal(saved + busy, 200);
	assert_in_range(
		io_fixture_signal_count(&fixture, IO_SIGNAL_DEFERRED), 20,
		26 + 5 * seconds_since(start));
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode_select_with_save_is_deferred),
		cmocka_unit_test(a_failed_save_is_reported),
		cmocka_unit_test(turning_the_cache_off_flushes_after_the_save),
		cmocka_unit_test(set_target_port_groups_is_deferred),
		cmocka_unit_test(a_second_deferred_command_is_busy),
		cmocka_unit_test(an_unexpected_result_is_ignored),
		cmocka_unit_test(draining_with_cancel_aborts_a_deferred_command),
		cmocka_unit_test(revoking_the_ring_drops_a_deferred_command),
		cmocka_unit_test(a_storm_of_inquiries_reads_the_lu_info_a_few_times),
		cmocka_unit_test(in_a_storm_a_change_is_reported_within_a_second),
		cmocka_unit_test(what_is_saved_is_not_saved_again),
		cmocka_unit_test(what_could_not_be_saved_is_saved_again),
		cmocka_unit_test(a_storm_of_saves_is_answered_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
