/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of a device: every command once, in its class, with its time, its bytes and its
 * end; and what is under way is seen while the device's thread is stuck.
 */
#include "io-fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/stats.h"

static struct stats *stats;

static int make(void **state)
{
	(void) state;
	stats = calloc(1, sizeof(*stats));
	return stats ? 0 : -1;
}

static int drop(void **state)
{
	(void) state;
	free(stats);
	return 0;
}

static void start(struct rig *rig, const struct rig_options *options)
{
	rig_make(rig, options);
	rig->setup.stats = stats;
	assert_int_equal(io_thread_new(&rig->setup, &rig->thread), 0);
	rig_wait_signal(rig, IO_SIGNAL_ATTACHED);
}

static uint64_t count(enum scsi_class class)
{
	return stats_get(&stats->classes[class].commands);
}

static uint64_t sum(enum scsi_class class)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < STATS_BUCKETS; i++)
		all += stats_get(&stats->classes[class].latency[i]);
	return all;
}

/* ------- buckets ------- */

static void every_time_lies_in_its_bucket(void **state)
{
	(void) state;
	for (unsigned shift = 0; shift < 64; shift++) {
		for (int offset = -1; offset <= 1; offset++) {
			uint64_t ns = (UINT64_C(1) << shift) + (uint64_t) offset;
			unsigned bucket = stats_bucket(ns);

			assert_in_range(bucket, 0, STATS_BUCKETS - 1);
			assert_true(ns >= stats_bucket_lower(bucket));
			assert_true(ns < stats_bucket_upper(bucket) || ns == UINT64_MAX);
		}
	}
}

static void buckets_follow_each_other_and_are_narrow(void **state)
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
	static uint8_t data[8 * RIG_BLOCK];
	struct rig_command commands[] = {
		rig_read(0, 8, data), rig_write(8, 2, data), rig_write(8, 1, data),
		rig_flush(),          rig_test_unit_ready(),
	};
	struct rig rig;

	(void) state;
	start(&rig, &(struct rig_options){0});
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig_do(&rig, &commands[i]), SCSI_GOOD);
	rig_stop(&rig);
	assert_int_equal(count(SCSI_CLASS_READ), 1);
	assert_int_equal(count(SCSI_CLASS_WRITE), 2);
	assert_int_equal(count(SCSI_CLASS_FLUSH), 1);
	assert_int_equal(count(SCSI_CLASS_OTHER), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].bytes), 8 * RIG_BLOCK);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_WRITE].bytes), 3 * RIG_BLOCK);
	for (unsigned i = 0; i < SCSI_CLASS_COUNT; i++) {
		assert_int_equal(sum(i), count(i));
		assert_int_equal(stats_get(&stats->classes[i].failed), 0);
		assert_true(!count(i) == !stats_get(&stats->classes[i].ns));
	}
	assert_int_equal(stats_get(&stats->fetched), 5);
	assert_int_equal(stats_get(&stats->ended), 5);
}

static void errors_are_counted_by_their_sense(void **state)
{
	struct rig_command beyond = rig_read(UINT32_MAX, 1, NULL);
	struct rig rig;

	(void) state;
	start(&rig, &(struct rig_options){0});
	assert_int_equal(rig_do(&rig, &beyond), SCSI_CHECK_CONDITION);
	rig_stop(&rig);
	assert_int_equal(stats_get(&stats->sense[5]), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].failed), 1);
	assert_int_equal(stats_get(&stats->classes[SCSI_CLASS_READ].bytes), 0);
	assert_int_equal(stats_get(&stats->last_sense), (uint64_t) beyond.cdb[0] << 24 | 0x052100);
	assert_true(stats_get(&stats->last_sense_at) > 0);
}

static void errors_of_the_backend_are_kept_with_what_was_told(void **state)
{
	static uint8_t data[RIG_BLOCK];
	struct rig_command write = rig_write(12, 1, data), beyond = rig_read(UINT32_MAX, 1, NULL);
	struct stats_error error;
	struct rig rig;

	(void) state;
	start(&rig, &(struct rig_options){0});
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -EBUSY);
	assert_int_equal(rig_do(&rig, &write), SCSI_BUSY);
	assert_int_equal(rig_do(&rig, &beyond), SCSI_CHECK_CONDITION);
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -ENOSPC);
	write = rig_write(12, 1, data);
	assert_int_equal(rig_do(&rig, &write), SCSI_CHECK_CONDITION);
	rig_stop(&rig);
	assert_int_equal(stats_get(&stats->errors), 1);
	stats_error_read(stats, &error);
	assert_int_equal(error.error, ENOSPC);
	assert_int_equal(error.cdb[0], write.cdb[0]);
	assert_int_equal(error.key << 16 | error.asc << 8 | error.ascq, 0x072707);
	assert_int_equal(error.lba, 12);
	stats_failed(NULL, write.cdb, EIO, 0, &(struct scsi_sense){0});
}

static void what_is_under_way_is_seen_while_the_backend_is_stuck(void **state)
{
	static uint8_t data[4 * RIG_BLOCK];
	struct rig_command stuck = rig_read(12, 4, data);
	struct stats_request requests[16];
	uint64_t before = clock_now_ns();
	struct rig rig;

	(void) state;
	start(&rig, &(struct rig_options){.backend = {.threading = TCMU_HANDLER_ASYNC}});
	backend_block(rig.backend);
	rig_send(&rig, &stuck);
	assert_true(backend_wait_blocked(rig.backend));
	assert_int_equal(io_thread_requests(rig.thread, requests, 16), 1);
	assert_int_equal(io_thread_requests(rig.thread, requests, 0), 0);
	assert_in_range(requests[0].begun, before, clock_now_ns());
	assert_memory_equal(requests[0].cdb, stuck.cdb, 16);
	assert_int_equal(requests[0].data_length, 4 * RIG_BLOCK);
	assert_int_equal(stats_get(&stats->fetched) - stats_get(&stats->ended), 1);
	backend_unblock(rig.backend);
	rig_wait(&stuck);
	rig_wait_idle(&rig);
	assert_int_equal(io_thread_requests(rig.thread, requests, 16), 0);
	rig_stop(&rig);
}

/* Whoever reads meanwhile sees whole requests only: each says the same in all its members. */
static atomic_bool done;
static atomic_uint torn;

static void *look(void *arg)
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
	assert_int_equal(pthread_create(&reader, NULL, look, &flight), 0);
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

static void the_processor_time_of_threads_adds_up(void **state)
{
	struct rig_command command = rig_test_unit_ready();
	struct rig rig;
	uint64_t one, idle;

	(void) state;
	start(&rig, &(struct rig_options){0});
	assert_int_equal(rig_do(&rig, &command), SCSI_GOOD);
	one = stats_cpu(stats);
	assert_true(one > 0);
	rig_stop(&rig);
	idle = stats_cpu(stats);
	assert_true(idle >= one);
	assert_int_equal(stats_cpu(stats), idle);
	start(&rig, &(struct rig_options){0});
	assert_true(stats_cpu(stats) >= idle);
	rig_stop(&rig);
}

static void what_goes_with_the_ring_is_not_counted_as_answered(void **state)
{
	static uint8_t data[RIG_BLOCK];
	struct rig_command stuck = rig_read(0, 1, data);
	struct rig rig;

	(void) state;
	start(&rig, &(struct rig_options){0});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &stuck);
	assert_true(backend_wait_held(rig.backend, 1));
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_int_equal(stats_get(&stats->fetched) - stats_get(&stats->ended), 1);
	assert_int_equal(backend_release(rig.backend, 1, BACKEND_OLDEST), 1);
	rig_finish(&rig);
	assert_int_equal(stats_get(&stats->fetched), stats_get(&stats->ended));
	assert_int_equal(count(SCSI_CLASS_READ), 0);
}

static unsigned told;

static void on_told(void *owner, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	(void) owner;
	assert_int_equal(cdb[0], 0);
	assert_int_equal(cdb_length, 6);
	assert_int_equal(data_length, 0);
	told++;
}

static void commands_are_told_when_somebody_wants_it(void **state)
{
	struct rig_command commands[] = {
		rig_test_unit_ready(), rig_test_unit_ready(), rig_test_unit_ready()};
	atomic_bool tell = false;
	struct rig rig;

	(void) state;
	told = 0;
	rig_make(&rig, &(struct rig_options){0});
	rig.setup.tracing = &tell;
	rig.setup.trace = on_told;
	assert_int_equal(io_thread_new(&rig.setup, &rig.thread), 0);
	assert_int_equal(rig_do(&rig, &commands[0]), SCSI_GOOD);
	atomic_store(&tell, true);
	assert_int_equal(rig_do(&rig, &commands[1]), SCSI_GOOD);
	atomic_store(&tell, false);
	assert_int_equal(rig_do(&rig, &commands[2]), SCSI_GOOD);
	rig_stop(&rig);
	assert_int_equal(told, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_time_lies_in_its_bucket),
		cmocka_unit_test(buckets_follow_each_other_and_are_narrow),
		cmocka_unit_test_setup_teardown(
			commands_are_counted_by_class_with_bytes_and_times, make, drop),
		cmocka_unit_test_setup_teardown(errors_are_counted_by_their_sense, make, drop),
		cmocka_unit_test_setup_teardown(
			errors_of_the_backend_are_kept_with_what_was_told, make, drop),
		cmocka_unit_test_setup_teardown(
			what_is_under_way_is_seen_while_the_backend_is_stuck, make, drop),
		cmocka_unit_test_setup_teardown(a_request_is_read_whole_or_not_at_all, make, drop),
		cmocka_unit_test_setup_teardown(the_processor_time_of_threads_adds_up, make, drop),
		cmocka_unit_test_setup_teardown(
			what_goes_with_the_ring_is_not_counted_as_answered, make, drop),
		cmocka_unit_test(commands_are_told_when_somebody_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
