/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests from the main thread to a device's I/O thread: LU info, size, write cache,
 * failure, rate limits.
 */
#include "io-fixture.h"

#include <string.h>

static const struct io_fixture_options defaults;

/* ------- LU info, size, cache, failure ------- */

static void a_serial_number_page_waits_for_the_serial(void **state)
{
	struct io_fixture fixture;
	uint8_t in[2][64], block[FIXTURE_BLOCK];
	struct initiator_command pages[2] = {cmd_serial_page(in[0]), cmd_serial_page(in[1])};
	struct initiator_command read = cmd_read(0, 1, block);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.wait_serial = true});
	initiator_send(&fixture, &pages[0]);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	initiator_send(&fixture, &pages[1]);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_false(initiator_is_done(&pages[0]));
	io_fixture_set_serial(fixture.thread, "one-and-two");
	for (unsigned i = 0; i < 2; i++) {
		initiator_wait_status(&pages[i], SCSI_GOOD);
		assert_memory_equal(in[i] + 4, "one-and-two", 11);
	}
	/* The serial may have changed: the thread asks again. */
	io_fixture_clear_signals(&fixture);
	initiator_send(&fixture, &pages[0]);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	io_fixture_set_serial(fixture.thread, "three");
	initiator_wait_status(&pages[0], SCSI_GOOD);
	assert_memory_equal(in[0] + 4, "three", 6);
	io_fixture_stop(&fixture);
}

static uint64_t read_capacity(struct io_fixture *fixture)
{
	uint8_t in[32];
	struct initiator_command command = cmd_cdb16(0x9e, 0x10, 0, sizeof(in), NULL, sizeof(in));
	uint64_t last = 0;

	command.in = in;
	assert_int_equal(initiator_run(fixture, &command), SCSI_GOOD);
	for (int i = 0; i < 8; i++)
		last = last << 8 | in[i];
	return last + 1;
}

static void a_new_size_raises_a_unit_attention(void **state)
{
	struct tcmu_backend_info info = {.caps = FIXTURE_BASIC_CAPS};
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(100, 1, in), ready = cmd_test_unit_ready();

	(void) state;
	io_fixture_start(&fixture, &defaults);
	assert_int_equal(read_capacity(&fixture), 2048);
	io_thread_set_size(fixture.thread, 64 * FIXTURE_BLOCK, &info);
	initiator_run_sense(&fixture, &ready, 0x06, 0x2a09);
	assert_int_equal(read_capacity(&fixture), 64);
	initiator_run_sense(&fixture, &read, 0x05, 0x2100);
	io_thread_set_size(fixture.thread, 128 * FIXTURE_BLOCK, &info);
	initiator_run_sense(&fixture, &read, 0x06, 0x2a09);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void write_cache_off_raises_a_unit_attention_and_flushes(void **state)
{
	struct io_fixture_options options = {.backend.info.volatile_cache = true};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0}, in[64];
	struct initiator_command write = cmd_write(0, 1, out);
	struct initiator_command sense = {
		.cdb = {0x1a, 0x08, 0x08, 0, 64}, .cdb_length = 6, .length = sizeof(in), .in = in};

	(void) state;
	io_fixture_start(&fixture, &options);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 0);
	io_thread_set_write_cache(fixture.thread, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_WRITE_CACHE);
	assert_int_equal(io_thread_write_cache_result(fixture.thread), 0);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	initiator_run_sense(&fixture, &write, 0x06, 0x2a01);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 2);
	assert_int_equal(initiator_run(&fixture, &sense), SCSI_GOOD);
	assert_int_equal(in[4 + 2] & 0x04, 0);
	io_thread_set_write_cache(fixture.thread, false); /* no change, no unit attention */
	assert_int_equal(initiator_run(&fixture, &write), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void a_faulted_device_still_answers_inquiry(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in), flush = cmd_flush();
	struct initiator_command ready = cmd_test_unit_ready(), page = cmd_serial_page(in);

	(void) state;
	io_fixture_start(&fixture, &defaults);
	io_thread_fail(fixture.thread);
	initiator_run_sense(&fixture, &read, 0x04, 0x4400);
	initiator_run_sense(&fixture, &flush, 0x04, 0x4400);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(initiator_run(&fixture, &page), SCSI_GOOD);
	assert_int_equal(backend_count(fixture.backend, 0), 0);
	io_fixture_stop(&fixture);
}

/* ------- when a request applies ------- */

static atomic_bool reporting;
static struct initiator_command *_Atomic later_command;

/* On the I/O thread, within an iteration: the first command has been fetched; the main thread makes
 * a control request, then the second command arrives. */
static void fail_device_and_send(
	void *context, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	struct io_fixture *fixture = context;
	struct initiator_command *later = atomic_exchange(&later_command, NULL);

	(void) cdb, (void) cdb_length, (void) data_length;
	if (!later)
		return;
	io_thread_fail(fixture->thread);
	initiator_send(fixture, later);
}

static void a_control_request_applies_to_commands_sent_after_it(void **state)
{
	struct io_fixture fixture;
	uint8_t in[2][FIXTURE_BLOCK];
	struct initiator_command first = cmd_read(0, 1, in[0]), second = cmd_read(1, 1, in[1]);

	(void) state;
	io_fixture_init(&fixture, &defaults);
	fixture.setup.tracing = &reporting;
	fixture.setup.trace = fail_device_and_send;
	atomic_store(&later_command, NULL);
	atomic_store(&reporting, true);
	io_fixture_start_thread(&fixture);
	atomic_store(&later_command, &second);
	initiator_run(&fixture, &first);
	initiator_wait(&second);
	assert_sense(&second, 0x04, 0x4400);
	io_fixture_stop(&fixture);
}

/* ------- rate limits ------- */

/* One block takes more than eight minutes. */
#define SLOW (&(struct io_fixture_options){.limits = {.bps = 1}})

static uint64_t milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static void a_device_is_not_faster_than_its_rate_limit(void **state)
{
	struct initiator_command commands[14];
	uint64_t start;
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.limits = {.iops = 100}});
	start = milliseconds_now();
	for (unsigned i = 0; i < 14; i++) {
		commands[i] = cmd_read(i, 1, NULL);
		initiator_send(&fixture, &commands[i]);
	}
	for (unsigned i = 0; i < 14; i++) {
		initiator_wait_status(&commands[i], SCSI_GOOD);
		assert_int_equal(commands[i].position, i + 1);
	}
	/* The first few start at once. */
	assert_true(milliseconds_now() - start >= 100);
	io_fixture_stop(&fixture);
}

/* How long a command and a READ that follows it take, in ms. */
static uint64_t delay_after(
	const struct rate_limits *limits, struct initiator_command *before, uint8_t status)
{
	struct initiator_command read = cmd_read(0, 1, NULL);
	struct io_fixture fixture;
	uint64_t start;

	io_fixture_start(&fixture, &(struct io_fixture_options){.limits = *limits});
	start = milliseconds_now();
	assert_int_equal(initiator_run(&fixture, before), status);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	start = milliseconds_now() - start;
	io_fixture_stop(&fixture);
	return start;
}

/* 1 MiB in pieces of 256 KiB: four commands. */
static void a_write_same_counts_as_the_commands_that_it_replaces(void **state)
{
	uint8_t block[FIXTURE_BLOCK] = {1};
	struct initiator_command same = cmd_write_same(0, 0, 2048, block);

	(void) state;
	assert_in_range(
		delay_after(&(struct rate_limits){.iops = 10}, &same, SCSI_GOOD), 200, 2000);
}

/* 128 blocks are read and written: 128 KiB in all. */
static void a_command_that_reads_and_writes_counts_for_both(void **state)
{
	static uint8_t out[128 * FIXTURE_BLOCK];
	struct initiator_command merge = cmd_orwrite(0, 128, out);

	(void) state;
	assert_in_range(
		delay_after(&(struct rate_limits){.bps = 256 * 1024}, &merge, SCSI_GOOD), 350,
		2000);
}

/* Starts a device whose limit is used up by a first command, and sends two more that wait. */
static void start_with_waiting_commands(
	struct io_fixture *fixture, struct initiator_command *commands)
{
	io_fixture_start(fixture, SLOW);
	for (unsigned i = 0; i < 3; i++)
		commands[i] = cmd_read(i, 1, NULL);
	initiator_run(fixture, &commands[0]);
	initiator_send(fixture, &commands[1]);
	initiator_send(fixture, &commands[2]);
	io_fixture_wait_idle(fixture);
}

static void commands_without_medium_access_are_not_limited(void **state)
{
	struct initiator_command commands[3], ready = cmd_test_unit_ready();
	struct io_fixture fixture;

	(void) state;
	start_with_waiting_commands(&fixture, commands);
	assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_false(initiator_is_done(&commands[2]));
	io_fixture_stop(&fixture);
}

static void removing_a_limit_starts_the_waiting_commands(void **state)
{
	struct initiator_command commands[3];
	struct io_fixture fixture;

	(void) state;
	start_with_waiting_commands(&fixture, commands);
	io_thread_set_limits(fixture.thread, &(struct rate_limits){0});
	initiator_wait_status(&commands[1], SCSI_GOOD);
	initiator_wait_status(&commands[2], SCSI_GOOD);
	io_fixture_stop(&fixture);
}

static void draining_does_not_wait_for_a_limit(void **state)
{
	struct initiator_command commands[3];
	struct io_fixture fixture;

	(void) state;
	start_with_waiting_commands(&fixture, commands);
	io_fixture_stop(&fixture);
	assert_true(commands[1].done && commands[2].done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_serial_number_page_waits_for_the_serial),
		cmocka_unit_test(a_new_size_raises_a_unit_attention),
		cmocka_unit_test(write_cache_off_raises_a_unit_attention_and_flushes),
		cmocka_unit_test(a_faulted_device_still_answers_inquiry),
		cmocka_unit_test(a_control_request_applies_to_commands_sent_after_it),
		cmocka_unit_test(a_device_is_not_faster_than_its_rate_limit),
		cmocka_unit_test(a_write_same_counts_as_the_commands_that_it_replaces),
		cmocka_unit_test(a_command_that_reads_and_writes_counts_for_both),
		cmocka_unit_test(commands_without_medium_access_are_not_limited),
		cmocka_unit_test(removing_a_limit_starts_the_waiting_commands),
		cmocka_unit_test(draining_does_not_wait_for_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
