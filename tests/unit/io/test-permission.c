/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which commands a loop lets through to its backend, and the exchange of the backend while the ring
 * stays.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

static uint8_t data[RIG_BLOCK];

static struct rig_options options = {
	.backend = {.info = {.caps = RIG_ALL_CAPS}},
};

static void set(struct rig *rig, enum io_permission access, uint8_t not_ready)
{
	io_thread_set_permission(rig->thread, access, not_ready);
	rig_wait_orders(rig);
}

static bool is_signalled(struct rig *rig, uint32_t bit)
{
	bool there;

	pthread_mutex_lock(&rig->lock);
	there = rig->signals & bit;
	pthread_mutex_unlock(&rig->lock);
	return there;
}

static void who_may_only_read_is_told_busy_and_the_owner_wanted(void **state)
{
	struct rig_command read = rig_read(0, 1, NULL), write = rig_write(0, 1, data),
			   flush = rig_flush(), compare = rig_compare_and_write(0, 1, data),
			   ready = rig_test_unit_ready();
	uint8_t both[2 * RIG_BLOCK] = {0};
	struct rig rig;

	(void) state;
	compare.out = both;
	rig_start(&rig, &options);
	set(&rig, IO_PERMIT_READS, 0);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	assert_false(is_signalled(&rig, IO_SIGNAL_WANTS_LOCK));
	assert_int_equal(rig_do(&rig, &write), SCSI_BUSY);
	rig_wait_signal(&rig, IO_SIGNAL_WANTS_LOCK);
	assert_int_equal(rig_do(&rig, &flush), SCSI_BUSY);
	assert_int_equal(rig_do(&rig, &compare), SCSI_BUSY);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 0);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 0);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_COMPARE_AND_WRITE), 0);
	set(&rig, IO_PERMIT_ALL, 0);
	write = rig_write(0, 1, data);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	rig_stop(&rig);
}

static void a_medium_that_is_not_ready_says_why(void **state)
{
	static const uint8_t reasons[] = {SCSI_ASCQ_STANDBY, SCSI_ASCQ_UNAVAILABLE};
	struct rig rig;

	(void) state;
	rig_start(&rig, &options);
	for (unsigned i = 0; i < 2; i++) {
		struct rig_command read = rig_read(0, 1, NULL), write = rig_write(0, 1, data),
				   ready = rig_test_unit_ready();
		struct rig_command inquiry = {
			.cdb = {0x12, 0, 0, 0, 36}, .cdb_length = 6, .length = 36};
		uint16_t code = 0x0400 | reasons[i];

		set(&rig, IO_PERMIT_READS, reasons[i]);
		rig_do(&rig, &read);
		assert_sense(&read, 0x2, code);
		rig_do(&rig, &write);
		assert_sense(&write, 0x2, code);
		rig_do(&rig, &ready);
		assert_sense(&ready, 0x2, code);
		assert_int_equal(rig_do(&rig, &inquiry), SCSI_GOOD);
	}
	set(&rig, IO_PERMIT_ALL, 0);
	struct rig_command ready = rig_test_unit_ready();

	assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	rig_stop(&rig);
}

/* A command of several requests ends at the first that is not let through. */
static void nothing_is_submitted_any_more_and_then_it_is_quiet(void **state)
{
	struct rig_options held = options;
	struct rig_command same = rig_cdb16(0x93, 0, 0, 2048, data, RIG_BLOCK);
	struct rig rig;
	unsigned submitted;

	(void) state;
	held.backend.info.caps = RIG_BASIC_CAPS;
	memset(data, 7, sizeof(data));
	rig_start(&rig, &held);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	rig_send(&rig, &same);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_forget_signals(&rig);
	set(&rig, IO_PERMIT_NONE, 0);
	assert_false(io_thread_is_idle(rig.thread));
	submitted = backend_count(rig.backend, TCMU_IO_WRITE);
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&same);
	assert_int_equal(same.status, SCSI_BUSY);
	rig_wait_signal(&rig, IO_SIGNAL_IDLE);
	assert_true(io_thread_is_idle(rig.thread));
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), submitted);
	/* an earlier quiet does not count for a later order */
	set(&rig, IO_PERMIT_ALL, 0);
	assert_false(io_thread_is_idle(rig.thread));
	rig_stop(&rig);
}

static void another_backend_takes_the_place_of_the_first(void **state)
{
	struct rig_command write = rig_write(3, 1, data);
	struct backend *second = backend_new(&options.backend);
	struct rig rig;

	(void) state;
	memset(data, 9, sizeof(data));
	rig_start(&rig, &options);
	set(&rig, IO_PERMIT_NONE, 0);
	rig_wait_signal(&rig, IO_SIGNAL_IDLE);
	io_thread_set_backend(rig.thread, second, &rig.setup.info);
	set(&rig, IO_PERMIT_ALL, 0);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, 0), 0);
	assert_int_equal(backend_count(second, TCMU_IO_WRITE), 1);
	assert_memory_equal(backend_store(second) + 3 * RIG_BLOCK, data, sizeof(data));
	rig_stop(&rig);
	backend_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_only_read_is_told_busy_and_the_owner_wanted),
		cmocka_unit_test(a_medium_that_is_not_ready_says_why),
		cmocka_unit_test(nothing_is_submitted_any_more_and_then_it_is_quiet),
		cmocka_unit_test(another_backend_takes_the_place_of_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
