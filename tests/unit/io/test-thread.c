/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device's thread does with commands while it serves: fetching, answering, orders from other
 * threads.
 */
#include "fake-root.h"
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct rig_options defaults;

static void serves_what_is_written_and_read(void **state)
{
	struct rig rig;
	uint8_t out[8 * RIG_BLOCK] = {0}, in[8 * RIG_BLOCK];
	struct rig_command write = rig_write(16, 8, out), read = rig_read(16, 8, in);

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(out, sizeof(out), 1);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_memory_equal(backend_store(rig.backend) + 16 * RIG_BLOCK, out, sizeof(out));
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_memory_equal(in, out, sizeof(out));
	rig_stop(&rig);
}

static void rings_the_doorbell_once_for_a_batch(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command writes[16];

	(void) state;
	rig_start(&rig, &defaults);
	for (unsigned i = 0; i < 16; i++) {
		writes[i] = rig_write(i, 1, out);
		rig_push(&rig, &writes[i]);
	}
	rig_notify(&rig);
	for (unsigned i = 0; i < 16; i++)
		rig_wait(&writes[i]);
	assert_int_equal(fake_uio_counts(rig.uio).doorbells, 1);
	rig_stop(&rig);
}

static void answers_in_the_order_in_which_the_backend_ends(void **state)
{
	struct rig rig;
	uint8_t in[3][RIG_BLOCK];
	struct rig_command reads[3];

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(backend_store(rig.backend), sizeof(in), 2);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 3; i++) {
		reads[i] = rig_read(i, 1, in[i]);
		rig_send(&rig, &reads[i]);
	}
	assert_true(backend_wait_held(rig.backend, 3));
	for (unsigned i = 3; i-- > 0;) {
		assert_int_equal(backend_release(rig.backend, 1, BACKEND_NEWEST), 1);
		rig_wait(&reads[i]);
		assert_int_equal(reads[i].order, 3 - i);
		assert_memory_equal(in[i], backend_store(rig.backend) + i * RIG_BLOCK, RIG_BLOCK);
	}
	rig_stop(&rig);
}

static void serves_more_commands_than_it_has_slots(void **state)
{
	struct rig rig;
	uint8_t out[20][RIG_BLOCK];
	struct rig_command writes[20];

	(void) state;
	rig_start(&rig, &(struct rig_options){.depth = 4});
	rig_pattern(out, sizeof(out), 3);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	for (unsigned i = 0; i < 20; i++) {
		writes[i] = rig_write(i, 1, out[i]);
		rig_push(&rig, &writes[i]);
	}
	rig_notify(&rig);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(backend_wait_held(rig.backend, i < 17 ? 4 : 20 - i));
		assert_int_equal(
			backend_release(rig.backend, 1, i % 2 ? BACKEND_NEWEST : BACKEND_OLDEST),
			1);
	}
	for (unsigned i = 0; i < 20; i++)
		rig_wait(&writes[i]);
	assert_int_equal(backend_most_at_once(rig.backend), 4);
	assert_memory_equal(backend_store(rig.backend), out, sizeof(out));
	rig_stop(&rig);
}

static void takes_more_iovecs_than_a_slot_has(void **state)
{
	/* room for 3 iovecs, and each page of the data is one of its own */
	struct rig_options options = {.max_transfer = 8, .uio.ring.scatter = true};
	const uint32_t blocks = 40 * 4096 / RIG_BLOCK;
	uint8_t *out = malloc(40 * 4096), *in = malloc(40 * 4096);
	struct rig rig;

	(void) state;
	rig_start(&rig, &options);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t n = i % 3 == 0 ? blocks * (i + 1) / 20 : i + 1;
		struct rig_command write = rig_write(i, n, out), read = rig_read(i, n, in);

		rig_pattern(out, n * RIG_BLOCK, i);
		assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
		assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
		assert_memory_equal(in, out, n * RIG_BLOCK);
	}
	assert_int_equal(backend_record(rig.backend, 36).iov_cnt, 38);
	rig_stop(&rig);
	free(out);
	free(in);
}

/* ------- data-in ------- */

static void tells_how_much_of_the_buffer_was_read(void **state)
{
	struct rig rig;
	uint8_t in[4096];
	struct rig_command read = rig_read(0, 1, in), whole = read;

	(void) state;
	rig_start(&rig, &defaults);
	read.length = sizeof(in);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_true(read.has_read_len);
	assert_int_equal(read.read_len, RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &whole), SCSI_GOOD);
	assert_false(whole.has_read_len);
	rig_stop(&rig);
}

static void reads_no_more_than_there_is_room_for(void **state)
{
	struct rig rig;
	uint8_t in[8 * RIG_BLOCK];
	struct rig_command read = rig_read(4, 8, in);

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(backend_store(rig.backend), 16 * RIG_BLOCK, 4);
	read.length = 2 * RIG_BLOCK;
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_int_equal(backend_record(rig.backend, 0).length, 2 * RIG_BLOCK);
	assert_memory_equal(in, backend_store(rig.backend) + 4 * RIG_BLOCK, 2 * RIG_BLOCK);
	rig_stop(&rig);
}

static void fills_a_buffer_that_ends_within_a_block(void **state)
{
	struct rig rig;
	uint8_t in[8 * RIG_BLOCK];
	struct rig_command read = rig_read(4, 8, in), tiny = rig_read(4, 8, in);

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(backend_store(rig.backend), 16 * RIG_BLOCK, 4);
	read.length = 2 * RIG_BLOCK + 100;
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_memory_equal(in, backend_store(rig.backend) + 4 * RIG_BLOCK, 2 * RIG_BLOCK + 100);
	tiny.length = 1;
	assert_int_equal(rig_do(&rig, &tiny), SCSI_GOOD);
	assert_int_equal(in[0], backend_store(rig.backend)[4 * RIG_BLOCK]);
	tiny.length = 0;
	assert_int_equal(rig_do(&rig, &tiny), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	backend_fail(rig.backend, TCMU_IO_READ, 0, 1, -EIO);
	assert_int_equal(rig_do(&rig, &read), SCSI_CHECK_CONDITION);
	rig_stop(&rig);
}

static void an_emulated_answer_has_its_length(void **state)
{
	struct rig rig;
	uint8_t in[512];
	struct rig_command inquiry = {
		.cdb = {0x12, 0, 0, 0x02}, .cdb_length = 6, .length = sizeof(in), .in = in};

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &inquiry), SCSI_GOOD);
	assert_true(inquiry.has_read_len);
	assert_int_equal(inquiry.read_len, 96);
	assert_memory_equal(in + 8, "LIO-ORG TCMU device     ", 24);
	rig_stop(&rig);
}

/* The kernel copies the whole buffer when it is told of a length of 0. */
static void nothing_of_earlier_commands_is_seen_where_there_is_no_data(void **state)
{
	static const uint8_t zeros[4096];
	struct rig rig;
	uint8_t in[4096], secret[4096] = {0};
	struct rig_command write = rig_write(0, 8, secret);
	struct rig_command ready = rig_test_unit_ready(), nothing = rig_read(0, 0, in);

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(secret, sizeof(secret), 5);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	ready.in = in;
	ready.length = sizeof(in);
	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	assert_memory_equal(in, zeros, sizeof(in));
	nothing.length = sizeof(in);
	assert_int_equal(rig_do(&rig, &nothing), SCSI_GOOD);
	assert_memory_equal(in, zeros, sizeof(in));
	rig_stop(&rig);
}

/* ------- refusals and errors ------- */

static void a_refusal_points_at_the_field(void **state)
{
	struct rig rig;
	struct rig_command beyond = rig_read(2047, 2, NULL), reserved = rig_read(0, 1, NULL);

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &beyond), SCSI_CHECK_CONDITION);
	assert_sense(&beyond, 0x05, 0x2100);
	reserved.cdb[15] = 0x04;
	assert_int_equal(rig_do(&rig, &reserved), SCSI_CHECK_CONDITION);
	assert_sense(&reserved, 0x05, 0x2400);
	assert_int_equal(reserved.sense[15], 0xca); /* valid, in the CDB, bit 2 */
	assert_int_equal(reserved.sense[17], 15);
	assert_int_equal(backend_count(rig.backend, 0), 0);
	rig_stop(&rig);
}

static void an_error_of_the_backend_is_told_with_the_block(void **state)
{
	struct rig rig;
	uint8_t data[8 * RIG_BLOCK] = {0};
	struct rig_command read = rig_read(16, 8, data), write = rig_write(16, 8, data);
	struct rig_command full = rig_write(0, 1, data);

	(void) state;
	rig_start(&rig, &defaults);
	backend_fail_at(rig.backend, TCMU_IO_READ, -EIO, 19 * RIG_BLOCK + 7);
	rig_do(&rig, &read);
	assert_sense(&read, 0x03, 0x1100);
	assert_int_equal(rig_sense_info(&read), 19);
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -EIO);
	rig_do(&rig, &write);
	assert_sense(&write, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&write), 16);
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	rig_do(&rig, &full);
	assert_sense(&full, 0x07, 0x2707);
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -EBUSY);
	assert_int_equal(rig_do(&rig, &full), SCSI_BUSY);
	assert_int_equal(rig_do(&rig, &full), SCSI_GOOD);
	rig_stop(&rig);
}

static void an_entry_of_an_unknown_kind_is_passed_over(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command before = rig_read(0, 1, in), after = rig_read(1, 1, in);

	(void) state;
	rig_start(&rig, &defaults);
	rig_push(&rig, &before);
	assert_true(fake_ring_push_unknown(fake_uio_lock(rig.uio), 5) > 0);
	fake_uio_unlock(rig.uio);
	rig_push(&rig, &after);
	rig_notify(&rig);
	rig_wait(&before);
	rig_wait(&after);
	assert_int_equal(fake_ring_outstanding(fake_uio_lock(rig.uio)), 0);
	fake_uio_unlock(rig.uio);
	rig_stop(&rig);
}

static void a_second_completion_changes_nothing(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0}, in[RIG_BLOCK];

	(void) state;
	rig_start(&rig, &(struct rig_options){.depth = 2});
	backend_complete_times(rig.backend, 2);
	for (unsigned i = 0; i < 50; i++) {
		struct rig_command write = rig_write(i, 1, out), read = rig_read(i, 1, in);

		rig_pattern(out, sizeof(out), i);
		assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
		assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
		assert_memory_equal(in, out, sizeof(out));
	}
	assert_int_equal(io_thread_in_flight(rig.thread), 0);
	rig_stop(&rig);
}

/* ------- handlers that block ------- */

static void a_serial_handler_is_asked_for_one_thing_at_a_time(void **state)
{
	struct rig_options options = {.backend.threading = TCMU_HANDLER_SERIAL};
	struct rig rig;
	uint8_t out[8][RIG_BLOCK] = {0};
	struct rig_command writes[8];

	(void) state;
	rig_start(&rig, &options);
	for (unsigned i = 0; i < 8; i++) {
		writes[i] = rig_write(7 - i, 1, out[i]);
		rig_push(&rig, &writes[i]);
	}
	rig_notify(&rig);
	for (unsigned i = 0; i < 8; i++) {
		rig_wait(&writes[i]);
		assert_int_equal(backend_record(rig.backend, i).offset, (7 - i) * RIG_BLOCK);
	}
	assert_int_equal(backend_most_at_once(rig.backend), 1);
	rig_stop(&rig);
}

static void a_parallel_handler_is_asked_for_as_many_as_it_wants(void **state)
{
	struct rig_options options = {
		.backend = {.threading = TCMU_HANDLER_PARALLEL, .workers = 3}};
	struct rig rig;
	uint8_t in[8][RIG_BLOCK];
	struct rig_command reads[8];

	(void) state;
	rig_start(&rig, &options);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 8; i++) {
		reads[i] = rig_read(i, 1, in[i]);
		rig_push(&rig, &reads[i]);
	}
	rig_notify(&rig);
	assert_true(backend_wait_held(rig.backend, 3));
	backend_hold(rig.backend, 0);
	assert_int_equal(backend_release(rig.backend, 8, BACKEND_OLDEST), 3);
	for (unsigned i = 0; i < 8; i++)
		rig_wait(&reads[i]);
	assert_int_equal(backend_most_at_once(rig.backend), 3);
	rig_stop(&rig);
}

/* ------- task management ------- */

static struct fake_root root; /* of all tests: what this machine has is not asked */

static int make_root(void **state)
{
	(void) state;
	fake_root_make(&root);
	return 0;
}

static int remove_root(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void push_tmr(struct rig *rig, enum tcmu_tmr_type type, const struct rig_command *command)
{
	uint16_t ids[] = {command->id, 4711};

	assert_int_equal(fake_ring_push_tmr(fake_uio_lock(rig->uio), (uint8_t) type, ids, 2), 0);
	fake_uio_unlock(rig->uio);
	rig_notify(rig);
}

static void an_aborted_command_is_cancelled(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command stuck = rig_read(0, 1, in), other = rig_read(1, 1, in);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.can_cancel = true});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &other);
	rig_send(&rig, &stuck);
	assert_true(backend_wait_held(rig.backend, 2));
	push_tmr(&rig, TCMU_TMR_TYPE_LUN_RESET, &stuck);
	rig_wait(&stuck);
	assert_int_equal(stuck.status, SCSI_TASK_ABORTED);
	assert_false(rig_is_done(&other));
	assert_int_equal(backend_cancels(rig.backend), 1);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&other);
	assert_int_equal(other.status, SCSI_GOOD);
	backend_hold(rig.backend, 0);
	rig_push(&rig, &other);
	assert_int_equal(
		rig_do(&rig, &stuck), SCSI_GOOD); /* the next one in its place is not aborted */
	rig_wait(&other);
	assert_int_equal(other.status, SCSI_GOOD);
	rig_stop(&rig);
}

static void what_cannot_be_cancelled_is_aborted_when_it_ends(void **state)
{
	static const enum tcmu_handler_threading kinds[] = {
		TCMU_HANDLER_ASYNC, TCMU_HANDLER_SERIAL};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		uint8_t in[RIG_BLOCK];
		struct rig_command stuck = rig_read(0, 1, in), queued = rig_read(1, 1, in);
		struct rig_command ready = rig_test_unit_ready();

		rig_start(&rig, &(struct rig_options){.backend.threading = kinds[i]});
		backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
		rig_send(&rig, &stuck);
		assert_true(backend_wait_held(rig.backend, 1));
		rig_send(&rig, &queued);
		push_tmr(&rig, TCMU_TMR_TYPE_LUN_RESET, &stuck);
		assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD); /* the TMR has been seen */
		backend_hold(rig.backend, 0);
		backend_release(rig.backend, 1, BACKEND_OLDEST);
		rig_wait(&stuck);
		assert_int_equal(stuck.status, SCSI_TASK_ABORTED);
		backend_release(rig.backend, 1, BACKEND_OLDEST);
		rig_wait(&queued);
		assert_int_equal(queued.status, SCSI_GOOD);
		rig_stop(&rig);
	}
}

static void what_tcm_loop_would_report_as_done_is_done(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command stuck = rig_read(0, 1, in), ready = rig_test_unit_ready();

	(void) state;
	fake_root_directory(&root, "/sys/bus/tcm_loop_bus/devices/tcm_loop_adapter_0");
	rig_start(&rig, &(struct rig_options){.backend.can_cancel = true});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &stuck);
	assert_true(backend_wait_held(rig.backend, 1));
	push_tmr(&rig, TCMU_TMR_TYPE_LUN_RESET, &stuck);
	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD); /* the TMR has been seen */
	assert_int_equal(backend_cancels(rig.backend), 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&stuck);
	assert_int_equal(stuck.status, SCSI_GOOD);
	/* Of an ABORT TASK it has told its initiator before. */
	rig_send(&rig, &stuck);
	assert_true(backend_wait_held(rig.backend, 1));
	push_tmr(&rig, TCMU_TMR_TYPE_ABORT_TASK, &stuck);
	rig_wait(&stuck);
	assert_int_equal(stuck.status, SCSI_TASK_ABORTED);
	rig_stop(&rig);
	fake_root_drop(&root, "/sys/bus/tcm_loop_bus/devices/tcm_loop_adapter_0");
}

/* With one worker that is stuck, what was not begun yet ends at once. */
static void an_aborted_command_that_waits_for_a_worker_ends_at_once(void **state)
{
	struct rig_options options = {.backend.threading = TCMU_HANDLER_SERIAL};
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command stuck = rig_read(0, 1, in), queued = rig_read(1, 1, in);

	(void) state;
	rig_start(&rig, &options);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &stuck);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_send(&rig, &queued);
	push_tmr(&rig, TCMU_TMR_TYPE_LUN_RESET, &queued);
	rig_wait(&queued);
	assert_int_equal(queued.status, SCSI_TASK_ABORTED);
	assert_false(rig_is_done(&stuck));
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&stuck);
	assert_int_equal(stuck.status, SCSI_GOOD);
	rig_stop(&rig);
}

/* ------- orders ------- */

static struct rig_command serial_page(void *in)
{
	return (struct rig_command){
		.cdb = {0x12, 0x01, 0x80, 0, 64}, .cdb_length = 6, .length = 64, .in = in};
}

static void what_tells_the_serial_waits_until_it_is_known(void **state)
{
	struct rig rig;
	uint8_t in[2][64], block[RIG_BLOCK];
	struct rig_command pages[2] = {serial_page(in[0]), serial_page(in[1])};
	struct rig_command read = rig_read(0, 1, block);

	(void) state;
	rig_start(&rig, &(struct rig_options){.wait_serial = true});
	rig_send(&rig, &pages[0]);
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	rig_send(&rig, &pages[1]);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_false(rig_is_done(&pages[0]));
	rig_set_serial(rig.thread, "one-and-two");
	for (unsigned i = 0; i < 2; i++) {
		rig_wait(&pages[i]);
		assert_int_equal(pages[i].status, SCSI_GOOD);
		assert_memory_equal(in[i] + 4, "one-and-two", 11);
	}
	/* It may have changed meanwhile: the next one is asked for again. */
	rig_forget_signals(&rig);
	rig_send(&rig, &pages[0]);
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	rig_set_serial(rig.thread, "three");
	rig_wait(&pages[0]);
	assert_memory_equal(in[0] + 4, "three", 6);
	rig_stop(&rig);
}

static uint64_t capacity(struct rig *rig)
{
	uint8_t in[32];
	struct rig_command command = rig_cdb16(0x9e, 0x10, 0, sizeof(in), NULL, sizeof(in));
	uint64_t last = 0;

	command.in = in;
	assert_int_equal(rig_do(rig, &command), SCSI_GOOD);
	for (int i = 0; i < 8; i++)
		last = last << 8 | in[i];
	return last + 1;
}

static void a_new_size_is_announced_and_then_there(void **state)
{
	struct tcmu_backend_info info = {.caps = RIG_BASIC_CAPS};
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(100, 1, in), ready = rig_test_unit_ready();

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(capacity(&rig), 2048);
	io_thread_set_size(rig.thread, 64 * RIG_BLOCK, &info);
	rig_do(&rig, &ready);
	assert_sense(&ready, 0x06, 0x2a09);
	assert_int_equal(capacity(&rig), 64);
	rig_do(&rig, &read);
	assert_sense(&read, 0x05, 0x2100);
	io_thread_set_size(rig.thread, 128 * RIG_BLOCK, &info);
	rig_do(&rig, &read);
	assert_sense(&read, 0x06, 0x2a09);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	rig_stop(&rig);
}

static void switching_the_write_cache_is_announced_and_obeyed(void **state)
{
	struct rig_options options = {.backend.info.volatile_cache = true};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0}, in[64];
	struct rig_command write = rig_write(0, 1, out);
	struct rig_command sense = {
		.cdb = {0x1a, 0x08, 0x08, 0, 64}, .cdb_length = 6, .length = sizeof(in), .in = in};

	(void) state;
	rig_start(&rig, &options);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 0);
	io_thread_set_write_cache(rig.thread, false);
	rig_do(&rig, &write);
	assert_sense(&write, 0x06, 0x2a01);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 1);
	assert_int_equal(rig_do(&rig, &sense), SCSI_GOOD);
	assert_int_equal(in[4 + 2] & 0x04, 0);
	io_thread_set_write_cache(rig.thread, false); /* no news, no unit attention */
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	rig_stop(&rig);
}

static void a_sick_device_still_says_who_it_is(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in), flush = rig_flush();
	struct rig_command ready = rig_test_unit_ready(), page = serial_page(in);

	(void) state;
	rig_start(&rig, &defaults);
	io_thread_fail(rig.thread);
	rig_do(&rig, &read);
	assert_sense(&read, 0x04, 0x4400);
	rig_do(&rig, &flush);
	assert_sense(&flush, 0x04, 0x4400);
	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &page), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 0);
	rig_stop(&rig);
}

/* ------- orders ------- */

static atomic_bool telling;
static struct rig_command *_Atomic sent_later;

/* On the device's thread, in the middle of its turn: the first command is there, the owner orders,
 * the second one is sent. */
static void order_and_send(
	void *owner, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	struct rig *rig = owner;
	struct rig_command *later = atomic_exchange(&sent_later, NULL);

	(void) cdb, (void) cdb_length, (void) data_length;
	if (!later)
		return;
	io_thread_fail(rig->thread);
	rig_send(rig, later);
}

static void an_order_is_in_force_for_what_is_sent_after_it(void **state)
{
	struct rig rig;
	uint8_t in[2][RIG_BLOCK];
	struct rig_command first = rig_read(0, 1, in[0]), second = rig_read(1, 1, in[1]);

	(void) state;
	rig_make(&rig, &defaults);
	rig.setup.tell = &telling;
	rig.setup.told = order_and_send;
	atomic_store(&sent_later, NULL);
	atomic_store(&telling, true);
	assert_int_equal(io_thread_new(&rig.setup, &rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ATTACHED);
	atomic_store(&sent_later, &second);
	rig_do(&rig, &first);
	rig_wait(&second);
	assert_sense(&second, 0x04, 0x4400);
	rig_stop(&rig);
}

/* ------- limits ------- */

/* A block takes more than eight minutes. */
#define SLOW (&(struct rig_options){.limits = {.bps = 1}})

static uint64_t milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static void a_device_is_not_faster_than_its_limit(void **state)
{
	struct rig_command commands[14];
	uint64_t start;
	struct rig rig;

	(void) state;
	rig_start(&rig, &(struct rig_options){.limits = {.iops = 100}});
	start = milliseconds_now();
	for (unsigned i = 0; i < 14; i++) {
		commands[i] = rig_read(i, 1, NULL);
		rig_send(&rig, &commands[i]);
	}
	for (unsigned i = 0; i < 14; i++) {
		rig_wait(&commands[i]);
		assert_int_equal(commands[i].order, i + 1);
	}
	/* Some may begin at once. */
	assert_true(milliseconds_now() - start >= 100);
	rig_stop(&rig);
}

/* Starts with a command that uses up what is allowed for long, and two that wait. */
static void start_slow(struct rig *rig, struct rig_command *commands)
{
	rig_start(rig, SLOW);
	for (unsigned i = 0; i < 3; i++)
		commands[i] = rig_read(i, 1, NULL);
	rig_do(rig, &commands[0]);
	rig_send(rig, &commands[1]);
	rig_send(rig, &commands[2]);
	rig_wait_idle(rig);
}

static void what_asks_for_no_medium_is_not_limited(void **state)
{
	struct rig_command commands[3], ready = rig_test_unit_ready();
	struct rig rig;

	(void) state;
	start_slow(&rig, commands);
	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	assert_false(rig_is_done(&commands[2]));
	rig_stop(&rig);
}

static void a_lifted_limit_lets_go_what_waits(void **state)
{
	struct rig_command commands[3];
	struct rig rig;

	(void) state;
	start_slow(&rig, commands);
	io_thread_set_limits(rig.thread, &(struct rate_limits){0});
	rig_wait(&commands[1]);
	rig_wait(&commands[2]);
	rig_stop(&rig);
}

static void a_device_that_ends_waits_for_no_limit(void **state)
{
	struct rig_command commands[3];
	struct rig rig;

	(void) state;
	start_slow(&rig, commands);
	rig_stop(&rig);
	assert_true(commands[1].done && commands[2].done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_what_is_written_and_read),
		cmocka_unit_test(rings_the_doorbell_once_for_a_batch),
		cmocka_unit_test(answers_in_the_order_in_which_the_backend_ends),
		cmocka_unit_test(serves_more_commands_than_it_has_slots),
		cmocka_unit_test(takes_more_iovecs_than_a_slot_has),
		cmocka_unit_test(tells_how_much_of_the_buffer_was_read),
		cmocka_unit_test(reads_no_more_than_there_is_room_for),
		cmocka_unit_test(fills_a_buffer_that_ends_within_a_block),
		cmocka_unit_test(an_emulated_answer_has_its_length),
		cmocka_unit_test(nothing_of_earlier_commands_is_seen_where_there_is_no_data),
		cmocka_unit_test(a_refusal_points_at_the_field),
		cmocka_unit_test(an_error_of_the_backend_is_told_with_the_block),
		cmocka_unit_test(an_entry_of_an_unknown_kind_is_passed_over),
		cmocka_unit_test(a_second_completion_changes_nothing),
		cmocka_unit_test(a_serial_handler_is_asked_for_one_thing_at_a_time),
		cmocka_unit_test(a_parallel_handler_is_asked_for_as_many_as_it_wants),
		cmocka_unit_test(an_aborted_command_is_cancelled),
		cmocka_unit_test(what_cannot_be_cancelled_is_aborted_when_it_ends),
		cmocka_unit_test(what_tcm_loop_would_report_as_done_is_done),
		cmocka_unit_test(an_aborted_command_that_waits_for_a_worker_ends_at_once),
		cmocka_unit_test(what_tells_the_serial_waits_until_it_is_known),
		cmocka_unit_test(a_new_size_is_announced_and_then_there),
		cmocka_unit_test(switching_the_write_cache_is_announced_and_obeyed),
		cmocka_unit_test(a_sick_device_still_says_who_it_is),
		cmocka_unit_test(an_order_is_in_force_for_what_is_sent_after_it),
		cmocka_unit_test(a_device_is_not_faster_than_its_limit),
		cmocka_unit_test(what_asks_for_no_medium_is_not_limited),
		cmocka_unit_test(a_lifted_limit_lets_go_what_waits),
		cmocka_unit_test(a_device_that_ends_waits_for_no_limit),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
