/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call of the handler returns when what it says is no longer so: two gateways of one backing
 * store, which tests/model/device.pml has every order of.
 */
#include "shared-store.h"

#include <stdlib.h>

#include "log-fixture.h"

/* Runs the gateways until so many calls are held. */
static void wait_held(unsigned calls)
{
	for (double began = gateway_now(); store_count(&store.held) != calls;) {
		assert_true(gateway_now() - began < 10);
		gateways_iterate();
	}
}

static void activate(struct gateway *gateway, uint8_t to)
{
	assert_int_equal(gateway_set(gateway, 1, to), SCSI_GOOD);
}

/* It was asked while this host had the lock, and answered when nobody had it. */
static void a_query_from_before_the_release_is_not_about_the_next_lock(void **state)
{
	struct gateway *one = store_start_gateway(1, EXPLICIT);
	struct initiator_command read = cmd_read(0, 1, NULL);
	char *log;

	(void) state;
	activate(one, SCSI_ACTIVE_OPTIMIZED);
	store_hold(&store.hold_queries);
	store_hold(&store.hold_answers);
	store_set_count(&store.timeouts, 1);
	assert_int_equal(gateway_do(one, &read), SCSI_BUSY);
	wait_held(1);
	activate(one, SCSI_STANDBY);
	store_release(&store.hold_queries);
	while (store_count(&store.held) == 0)
		gateways_iterate();
	activate(one, SCSI_ACTIVE_OPTIMIZED);
	fixture_log_begin(TCMU_LOG_WARNING);
	store_release(&store.hold_answers);
	store_assert_states(one, SCSI_ACTIVE_OPTIMIZED, SCSI_STANDBY);
	store_assert_writes(one, 1);
	log = fixture_log_end();
	assert_int_equal(fixture_count(log, "another host has locked"), 0);
	free(log);
	fixture_remove_directory();
	assert_int_equal(store_count(&store.locks), 2);
	gateway_delete(one);
}

/* The other host keeps what it has taken, also if this one has had it only for the end of a call.
 */
static void a_lock_that_was_lost_before_its_call_returned_is_not_taken_back_at_once(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(1);
	uint8_t states[2];
	double lost;

	(void) state;
	gateways_hold_lock(1500);
	store_hold(&store.hold_locked);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	wait_held(1);
	(void) gateway_do(two, &write);
	wait_held(2);
	lost = gateway_now();
	gateway_report(one, states); /* it learns that it is fenced */
	store_release(&store.hold_locked);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	while (gateway_now() - lost < 1.2) {
		assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
		assert_int_equal(store_count(&store.locks), 2);
	}
	store_assert_writes(two, 4);
	store_assert_writes(one, 3);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_refused_lock_says_why_the_device_failed(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	char *log;

	(void) state;
	store_set_count(&store.locks_fenced, 1);
	fixture_log_begin(TCMU_LOG_INFO);
	store_assert_writes(one, 1);
	log = fixture_log_end();
	assert_int_equal(
		fixture_count(log, "FAULTED: backend failed: store/x: it has lost its connection"),
		1);
	free(log);
	fixture_remove_directory();
	gateway_delete(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_query_from_before_the_release_is_not_about_the_next_lock, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_was_lost_before_its_call_returned_is_not_taken_back_at_once,
			store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_refused_lock_says_why_the_device_failed, store_setup, store_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
