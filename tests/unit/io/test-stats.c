/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of a device: each command is counted once, in its class, with its time, its bytes and
 * its result. Requests in flight are visible while the I/O thread is stuck.
 */
#include "io-fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/stats.h"

static struct stats *stats;

static int stats_setup(void **state)
{
	(void) state;
	stats = calloc(1, sizeof(*stats));
	return stats ? 0 : -1;
}

static int stats_teardown(void **state)
{
	(void) state;
	free(stats);
	return 0;
}

static void start_with_stats(struct io_fixture *fixture, const struct io_fixture_options *options)
{
	io_fixture_init(fixture, options);
	fixture->setup.stats = stats;
	io_fixture_start_thread(fixture);
}

static uint64_t class_commands(enum scsi_class class)
{
	return stats_get(&stats->classes[class].commands);
}

static uint64_t class_latencies(enum scsi_class class)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < STATS_BUCKETS; i++)
		all += stats_get(&stats->classes[class].latency[i]);
	return all;
}

/* ------- buckets ------- */

static void every_latency_lies_in_its_bucket(void **state)
{
	(void) state;
	for (unsigned shift = 0; shift < 64; shift++) {
		for (int offset = -1; offset <= 1; offset++) {
			uint64_t ns = (UINT64_C(1) << shift) + (uint64_t) offset;
			unsigned bucket = stats_bucket(ns);

			assert_in_range(bucket, 0, STATS_BUCKETS - 1);
			assert_true(ns >= stats_bucket_lower(bucket));
			assert_true(ns < stats_bucket_upper(bucket));
		}
	}
}

static void buckets_are_contiguous_and_narrow(void **state)
{
	(void) state;
	assert_int_equal(stats_bucket_lower(0), 0);
	for (unsigned i = 1; i < STATS_BUCKETS - 1; i++) {
		uint64_t lower = stats_bucket_lower(i), upper = stats_bucket_upper(i);

		assert_true(lower == stats_bucket_upper(i - 1));
		assert_true((upper - lower) * 16 <= lower);
		assert_int_equal(stats_bucket(lower), i);
		assert_int_equal(stats_bucket(upper - 1), i);
	}
	assert_true(stats_bucket_lower(STATS_BUCKETS - 1) == UINT64_C(1) << STATS_SHIFT_MAX);
	assert_true(stats_bucket_upper(STATS_BUCKETS - 1) == UINT64_MAX);
}

/* ------- a device ------- */

static void commands_are_counted_by_class_with_bytes_and_times(void **state)
{
	static uint8_t data[8 * FIXTURE_BLOCK];
	struct initiator_command commands[] = {
		cmd_read(0, 8, data), cmd_write(8, 2, data), cmd_write(8, 1, data),
		cmd_flush(),          cmd_test_unit_ready(),
	};
	struct io_fixture fixture;

	(void) state;
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(initiator_run(&fixture, &commands[i]), SCSI_GOOD);
	io_fixture_stop(&fixture);
	assert_int_equal(class_commands(SCSI_CLASS_READ), 1);
	assert_int_equal(class_commands(SCSI_CLASS_WRITE), 2);
	assert_int_equal(class_commands(SCSI_CLASS_FLUSH), 1);
	assert_int_equal(class_commands(SCSI_CLASS_OTHER), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].bytes), 8 * FIXTURE_BLOCK);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_WRITE].bytes), 3 * FIXTURE_BLOCK);
	for (unsigned i = 0; i < SCSI_CLASS_COUNT; i++) {
		assert_int_equal(class_latencies(i), class_commands(i));
		assert_int_equal(stats_get(&stats->classes[i].failed), 0);
		assert_true(!class_commands(i) == !stats_get(&stats->classes[i].ns));
	}
	assert_int_equal(stats_get(&stats->fetched), 5);
	assert_int_equal(stats_get(&stats->ended), 5);
}

static void errors_are_counted_by_sense_key(void **state)
{
	struct initiator_command beyond = cmd_read(UINT32_MAX, 1, NULL);
	struct io_fixture fixture;

	(void) state;
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	assert_int_equal(initiator_run(&fixture, &beyond), SCSI_CHECK_CONDITION);
	io_fixture_stop(&fixture);
	assert_int_equal(stats_get(&stats->sense[5]), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].failed), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].bytes), 0);
	assert_int_equal(stats_get(&stats->last_sense), (uint64_t) beyond.cdb[0] << 24 | 0x052100);
	assert_true(stats_get(&stats->last_sense_at) > 0);
}

static void the_last_backend_error_is_kept_with_its_sense(void **state)
{
	static uint8_t data[FIXTURE_BLOCK];
	struct initiator_command write = cmd_write(12, 1, data),
				 beyond = cmd_read(UINT32_MAX, 1, NULL);
	struct stats_error error;
	struct io_fixture fixture;

	(void) state;
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -EBUSY);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_BUSY);
	assert_int_equal(initiator_run(&fixture, &beyond), SCSI_CHECK_CONDITION);
	backend_fail(fixture.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	write = cmd_write(12, 1, data);
	assert_int_equal(initiator_run(&fixture, &write), SCSI_CHECK_CONDITION);
	io_fixture_stop(&fixture);
	assert_int_equal(stats_get(&stats->errors), 1);
	stats_error_read(stats, &error);
	assert_int_equal(error.error, ENOSPC);
	assert_int_equal(error.cdb[0], write.cdb[0]);
	assert_int_equal(error.key << 16 | error.asc << 8 | error.ascq, 0x072707);
	assert_int_equal(error.lba, 12);
	stats_failed(NULL, write.cdb, EIO, 0, &(struct scsi_sense){0});
}

static void requests_in_flight_are_seen_while_the_backend_is_stuck(void **state)
{
	static uint8_t data[4 * FIXTURE_BLOCK];
	struct initiator_command stuck = cmd_read(12, 4, data);
	struct stats_request requests[16];
	uint64_t before = clock_now_ns();
	struct io_fixture fixture;

	(void) state;
	start_with_stats(
		&fixture,
		&(struct io_fixture_options){.backend = {.threading = TCMU_HANDLER_ASYNC}});
	backend_block(fixture.backend);
	initiator_send(&fixture, &stuck);
	assert_true(backend_wait_blocked(fixture.backend));
	assert_int_equal(io_thread_requests(fixture.thread, requests, 16), 1);
	assert_int_equal(io_thread_requests(fixture.thread, requests, 0), 0);
	assert_in_range(requests[0].begun, before, clock_now_ns());
	assert_memory_equal(requests[0].cdb, stuck.cdb, 16);
	assert_int_equal(requests[0].data_length, 4 * FIXTURE_BLOCK);
	assert_int_equal(stats_get(&stats->fetched) - stats_get(&stats->ended), 1);
	backend_unblock(fixture.backend);
	initiator_wait_status(&stuck, SCSI_GOOD);
	io_fixture_wait_idle(&fixture);
	assert_int_equal(io_thread_requests(fixture.thread, requests, 16), 0);
	io_fixture_stop(&fixture);
}

/* A reader sees whole requests only: all members of one request have the same number. */
static atomic_bool done;
static atomic_uint torn;

static void *read_requests(void *arg)
{
	struct stats_flight *flight = arg;
	struct stats_request request;
	while (!atomic_load(&done))
		if (stats_flight_read(flight, &request) &&
		    (memcmp(request.cdb, request.cdb + 8, 8) != 0 ||
		     request.cdb[0] != (request.data_length & 0xff) ||
		     request.begun != request.data_length))
			atomic_fetch_add(&torn, 1);
	return NULL;
}

static void a_request_is_read_whole_or_not_at_all(void **state)
{
	struct stats_flight flight = {0};
	uint8_t cdb[16];
	pthread_t reader;

	(void) state;
	atomic_store(&done, false);
	assert_int_equal(pthread_create(&reader, NULL, read_requests, &flight), 0);
	for (uint64_t i = 1; i < 300000; i++) {
		uint64_t now = i, end = i + 1;

		memset(cdb, (int) (i & 0xff), sizeof(cdb));
		stats_begin(stats, &flight, &now, cdb, i);
		stats_end(stats, &flight, &end, true, SCSI_GOOD, NULL, 0);
	}
	atomic_store(&done, true);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(atomic_load(&torn), 0);
}

static void a_clock_that_goes_back_counts_as_no_time(void **state)
{
	struct stats_flight flight = {0};
	uint8_t cdb[16] = {0x28};
	uint64_t now = 5 * CLOCK_NS_PER_SEC, end = now - 1;

	(void) state;
	stats_begin(stats, &flight, &now, cdb, 512);
	stats_end(stats, &flight, &end, true, SCSI_GOOD, NULL, 512);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].commands), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].ns), 0);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].latency[0]), 1);
}

static void the_cpu_time_of_threads_adds_up(void **state)
{
	struct initiator_command command = cmd_test_unit_ready();
	struct io_fixture fixture;
	uint64_t one, idle;

	(void) state;
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	one = stats_cpu(stats);
	assert_true(one > 0);
	io_fixture_stop(&fixture);
	idle = stats_cpu(stats);
	assert_true(idle >= one);
	assert_int_equal(stats_cpu(stats), idle);
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	assert_true(stats_cpu(stats) >= idle);
	io_fixture_stop(&fixture);
}

static void revoked_commands_are_not_counted_as_answered(void **state)
{
	static uint8_t data[FIXTURE_BLOCK];
	struct initiator_command stuck = cmd_read(0, 1, data);
	struct io_fixture fixture;

	(void) state;
	start_with_stats(&fixture, &(struct io_fixture_options){0});
	initiator_send_held(&fixture, &stuck, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_int_equal(stats_get(&stats->fetched) - stats_get(&stats->ended), 1);
	assert_int_equal(backend_release(fixture.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_wait_end(&fixture);
	assert_int_equal(stats_get(&stats->fetched), stats_get(&stats->ended));
	assert_int_equal(class_commands(SCSI_CLASS_READ), 0);
}

/* The last report of the I/O thread; read after its end. */
static unsigned report_cnt;
static uint8_t reported_opcode, reported_cdb_length;
static uint64_t reported_data_length;

static void on_command_report(
	void *context, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	(void) context;
	reported_opcode = cdb[0];
	reported_cdb_length = cdb_length;
	reported_data_length = data_length;
	report_cnt++;
}

static void commands_are_reported_only_while_enabled(void **state)
{
	static uint8_t data[FIXTURE_BLOCK];
	struct initiator_command commands[] = {
		cmd_test_unit_ready(), cmd_read(0, 1, data), cmd_test_unit_ready()};
	atomic_bool enabled = false;
	struct io_fixture fixture;

	(void) state;
	report_cnt = 0;
	io_fixture_init(&fixture, &(struct io_fixture_options){0});
	fixture.setup.tracing = &enabled;
	fixture.setup.trace = on_command_report;
	assert_int_equal(io_thread_new(&fixture.setup, &fixture.thread), 0);
	assert_int_equal(initiator_run(&fixture, &commands[0]), SCSI_GOOD);
	atomic_store(&enabled, true);
	assert_int_equal(initiator_run(&fixture, &commands[1]), SCSI_GOOD);
	atomic_store(&enabled, false);
	assert_int_equal(initiator_run(&fixture, &commands[2]), SCSI_GOOD);
	io_fixture_stop(&fixture);
	assert_int_equal(report_cnt, 1);
	assert_int_equal(reported_opcode, commands[1].cdb[0]);
	assert_int_equal(reported_cdb_length, 16);
	assert_int_equal(reported_data_length, FIXTURE_BLOCK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_latency_lies_in_its_bucket),
		cmocka_unit_test(buckets_are_contiguous_and_narrow),
		cmocka_unit_test_setup_teardown(
			commands_are_counted_by_class_with_bytes_and_times, stats_setup,
			stats_teardown),
		cmocka_unit_test_setup_teardown(
			errors_are_counted_by_sense_key, stats_setup, stats_teardown),
		cmocka_unit_test_setup_teardown(
			the_last_backend_error_is_kept_with_its_sense, stats_setup, stats_teardown),
		cmocka_unit_test_setup_teardown(
			requests_in_flight_are_seen_while_the_backend_is_stuck, stats_setup,
			stats_teardown),
		cmocka_unit_test_setup_teardown(
			a_request_is_read_whole_or_not_at_all, stats_setup, stats_teardown),
		cmocka_unit_test_setup_teardown(
			the_cpu_time_of_threads_adds_up, stats_setup, stats_teardown),
		cmocka_unit_test_setup_teardown(
			revoked_commands_are_not_counted_as_answered, stats_setup, stats_teardown),
		cmocka_unit_test_setup_teardown(
			a_clock_that_goes_back_counts_as_no_time, stats_setup, stats_teardown),
		cmocka_unit_test(commands_are_reported_only_while_enabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
