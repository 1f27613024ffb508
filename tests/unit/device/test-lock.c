/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two gateways of one backing store, which one of them can lock. tests/ceph runs the same with a
 * cluster.
 */
#include "shared-store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log-fixture.h"

/* ------- tests ------- */

static void a_store_that_is_not_shared_needs_no_lock(void **state)
{
	struct gateway *one = store_start_gateway(0, 0);

	(void) state;
	store_assert_writes(one, 1);
	assert_int_equal(store_count(&store.locks), 0);
	gateway_delete(one);
}

static void the_first_write_takes_the_lock_and_reads_need_none(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command read = cmd_read(0, 1, NULL), write = store_write_of(1);

	(void) state;
	assert_int_equal(gateway_do(one, &read), SCSI_GOOD);
	assert_int_equal(store_count(&store.locks), 0);
	store_assert_states(one, SCSI_ACTIVE_NONOPTIMIZED, SCSI_ACTIVE_NONOPTIMIZED);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	store_assert_writes(one, 1);
	assert_int_equal(store_count(&store.locks), 1);
	assert_int_equal(store_tag(), 1);
	store_assert_states(one, SCSI_ACTIVE_OPTIMIZED, SCSI_ACTIVE_NONOPTIMIZED);
	gateway_delete(one);
}

/* Sends writes for so many seconds. Returns how many were BUSY; the others count at *others. */
static unsigned send_writes(struct gateway *gateway, unsigned seconds, unsigned *others)
{
	uint64_t end = clock_now_ns() + seconds * CLOCK_NS_PER_SEC;
	unsigned busy = 0;

	for (*others = 0; clock_now_ns() < end;) {
		struct initiator_command write = store_write_of(9);

		if (gateway_do(gateway, &write) == SCSI_BUSY) {
			busy++;
			continue;
		}
		++*others;
		assert_sense(&write, 0x2, 0x040c);
	}
	return busy;
}

/* Nobody asks for the port groups, which it has or has not got meanwhile. */
static void a_gateway_without_groups_learns_that_another_has_the_lock(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT), *two = store_start_gateway(0, 0);
	struct initiator_command read = cmd_read(0, 1, NULL);
	unsigned busy, others;

	(void) state;
	store_assert_writes(one, 1);
	store_hold(&store.refuses);
	busy = send_writes(two, 4, &others);
	assert_true(busy < 100 && others > 100);
	assert_int_equal(gateway_do(two, &read), SCSI_CHECK_CONDITION);
	store_assert_writes(one, 2);
	gateway_regroup(two, 2, IMPLICIT);
	while (store_count(&store.locks) == 1) {
		struct initiator_command write = store_write_of(3);

		(void) gateway_do(two, &write);
		gateways_iterate();
	}
	store_assert_writes(two, 3);
	assert_int_equal(store_tag(), 2);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_gateway_without_groups_serves_when_the_lock_is_released(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT), *two = store_start_gateway(0, 0);
	struct initiator_command write = store_write_of(2);
	unsigned others;

	(void) state;
	store_assert_writes(one, 1);
	store_hold(&store.refuses);
	(void) send_writes(two, 1, &others);
	assert_true(others > 0);
	gateway_delete(one);
	do {
		gateways_iterate();
		write = store_write_of(2);
		gateway_do(two, &write);
	} while (write.status != SCSI_GOOD);
	assert_int_equal(store_first_byte(), 2);
	assert_int_equal(store_count(&store.locks), 1);
	gateway_delete(two);
}

static void writes_move_the_lock_and_the_loser_comes_back(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3);

	(void) state;
	store_assert_writes(one, 1);
	store_assert_writes(two, 2);
	store_assert_states(two, SCSI_ACTIVE_NONOPTIMIZED, SCSI_ACTIVE_OPTIMIZED);
	/* the loser does not know yet: the store refuses it, the initiator tries again, and it
	 * takes the lock back */
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	assert_int_equal(store_first_byte(), 2);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	store_assert_writes(one, 3);
	assert_int_equal(store_count(&store.opens), 3);
	store_assert_states(one, SCSI_ACTIVE_OPTIMIZED, SCSI_ACTIVE_NONOPTIMIZED);
	gateway_delete(one);
	gateway_delete(two);
}

/* The write that is held; the next one is not. */
static struct tcmu_io *wait_late(void)
{
	struct tcmu_io *late;

	pthread_mutex_lock(&store.lock);
	while (!store.late)
		pthread_cond_wait(&store.changed, &store.lock);
	store.hold_writes = false;
	late = store.late;
	store.late = NULL;
	pthread_mutex_unlock(&store.lock);
	return late;
}

/* It is reopened only when its requests in flight have ended. */
static void a_backend_is_not_closed_under_a_write(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command late = store_write_of(5), write = store_write_of(6);
	struct tcmu_io *held;

	(void) state;
	store_assert_writes(one, 1);
	store_hold(&store.hold_writes);
	gateway_send(one, &late);
	held = wait_late();
	store_assert_writes(two, 2);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_wait_state(one, DEVICE_FAULTED, 10);
	for (int i = 0; i < 20; i++)
		gateways_iterate();
	assert_int_equal(store_count(&store.opens), 2);
	assert_false(initiator_is_done(&late));
	tcmu_io_complete(held, -ESHUTDOWN);
	gateway_wait(&late);
	assert_int_equal(late.status, SCSI_BUSY);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	assert_int_equal(store_count(&store.opens), 3);
	assert_int_equal(store_first_byte(), 2);
	gateway_delete(one);
	gateway_delete(two);
}

/* An initiator may have written over another gateway what it has sent to this one before. */
static void writes_that_wait_in_a_limit_do_not_follow_the_lock(void **state)
{
	struct gateway *one = gateway_new(
		&store_handler, "store/x;iops=4;burst=1", SIZE, 1, IMPLICIT);
	struct gateway *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command late[8];

	(void) state;
	store_assert_writes(one, 1);
	for (unsigned i = 0; i < 8; i++) {
		late[i] = store_write_of(5);
		gateway_send(one, &late[i]);
	}
	while (store_first_byte() != 5)
		gateways_iterate();
	store_assert_writes(two, 2);
	gateway_wait(&late[7]);
	assert_int_equal(late[7].status, SCSI_BUSY);
	assert_int_equal(store_first_byte(), 2);
	assert_int_equal(store_count(&store.locks), 2);
	for (unsigned i = 0; i < 7; i++)
		gateway_wait(&late[i]);
	store_assert_writes(one, 3);
	gateway_delete(one);
	gateway_delete(two);
}

/* Another gateway may change what this one has read without the lock. */
static void a_write_that_reads_first_takes_the_lock_before(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	static uint8_t out[FIXTURE_BLOCK], both[2 * FIXTURE_BLOCK];
	struct initiator_command merge = cmd_orwrite(0, 1, out),
				 compare = cmd_compare_and_write(0, 1, both);

	(void) state;
	memset(out, 0x80, sizeof(out));
	memset(both, 2, FIXTURE_BLOCK);
	store_assert_writes(two, 1);
	assert_int_equal(gateway_do(one, &merge), SCSI_BUSY);
	assert_int_equal(store_count(&store.reads), 0);
	assert_int_equal(gateway_do_persistently(one, &merge, 20), SCSI_GOOD);
	assert_int_equal(store_first_byte(), 0x81);
	store_assert_writes(two, 2);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	assert_int_equal(gateway_do_persistently(one, &compare, 20), SCSI_GOOD);
	assert_int_equal(store_first_byte(), 0);
	assert_int_equal(store_count(&store.reads), 2);
	gateway_delete(one);
	gateway_delete(two);
}

static void with_explicit_access_initiators_choose_the_gateway(void **state)
{
	struct gateway *one = store_start_gateway(1, EXPLICIT),
		       *two = store_start_gateway(2, EXPLICIT);
	struct initiator_command write = store_write_of(1), ready = cmd_test_unit_ready();

	(void) state;
	gateway_do(one, &write);
	assert_sense(&write, 0x2, 0x040b);
	gateway_do(one, &ready);
	assert_sense(&ready, 0x2, 0x040b);
	store_assert_states(one, SCSI_STANDBY, SCSI_STANDBY);
	assert_int_equal(store_count(&store.locks), 0);

	assert_int_equal(gateway_set(one, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	assert_int_equal(gateway_configfs_state(one, 1), SCSI_ACTIVE_OPTIMIZED);
	store_assert_writes(one, 1);
	store_assert_states(one, SCSI_ACTIVE_OPTIMIZED, SCSI_STANDBY);
	store_assert_states(two, SCSI_ACTIVE_OPTIMIZED, SCSI_STANDBY);
	/* the group of another host cannot be activated here */
	assert_int_equal(gateway_set(one, 2, SCSI_ACTIVE_OPTIMIZED), SCSI_CHECK_CONDITION);

	assert_int_equal(gateway_set(two, 2, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_assert_writes(two, 2);
	write = store_write_of(3);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_wait_state(one, DEVICE_FAULTED, 10);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	write = store_write_of(3);
	gateway_do(one, &write);
	assert_sense(&write, 0x2, 0x040b);
	store_assert_states(one, SCSI_STANDBY, SCSI_ACTIVE_OPTIMIZED);

	assert_int_equal(gateway_set(two, 2, SCSI_STANDBY), SCSI_GOOD);
	assert_false(store_is_locked());
	write = store_write_of(4);
	gateway_do(two, &write);
	assert_sense(&write, 0x2, 0x040b);
	assert_int_equal(store_first_byte(), 2);
	gateway_delete(one);
	gateway_delete(two);
}

/* A write that is submitted after the handler has unlocked would take the lock back, or land beside
 * the writes of the other gateway. */
static void a_gateway_does_not_unlock_under_a_write(void **state)
{
	struct gateway *one = store_start_gateway(1, EXPLICIT);
	struct initiator_command late = store_write_of(5), write = store_write_of(6);
	static const uint8_t list[] = {0, 0, 0, 0, SCSI_STANDBY, 0, 0, 1};
	struct initiator_command release = {
		.cdb = {0xa4, 0x0a, [9] = sizeof(list)},
		.cdb_length = 12,
		.out = list,
		.length = sizeof(list)};
	struct tcmu_io *held;

	(void) state;
	assert_int_equal(gateway_set(one, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_hold(&store.hold_writes);
	gateway_send(one, &late);
	held = wait_late();
	gateway_send(one, &release);
	do {
		gateways_iterate();
		write = store_write_of(6);
	} while (gateway_do(one, &write) == SCSI_GOOD);
	assert_int_equal(write.status, SCSI_BUSY);
	for (int i = 0; i < 20; i++)
		gateways_iterate();
	assert_true(store_is_locked());
	assert_false(initiator_is_done(&release));
	tcmu_io_complete(held, 0);
	gateway_wait(&late);
	assert_int_equal(late.status, SCSI_GOOD);
	gateway_wait(&release);
	assert_int_equal(release.status, SCSI_GOOD);
	assert_false(store_is_locked());
	gateway_delete(one);
}

/* A gateway that is fenced while it waits for its requests answers, and comes back. */
static void a_gateway_may_be_fenced_before_it_unlocks(void **state)
{
	struct gateway *one = store_start_gateway(1, EXPLICIT),
		       *two = store_start_gateway(2, EXPLICIT);
	struct initiator_command late = store_write_of(5), write = store_write_of(6);
	static const uint8_t list[] = {0, 0, 0, 0, SCSI_STANDBY, 0, 0, 1};
	struct initiator_command release = {
		.cdb = {0xa4, 0x0a, [9] = sizeof(list)},
		.cdb_length = 12,
		.out = list,
		.length = sizeof(list)};
	uint8_t states[2];
	struct tcmu_io *held;

	(void) state;
	assert_int_equal(gateway_set(one, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_hold(&store.hold_writes);
	gateway_send(one, &late);
	held = wait_late();
	gateway_send(one, &release);
	while (gateway_do(one, &write) == SCSI_GOOD)
		write = store_write_of(6);
	assert_int_equal(gateway_set(two, 2, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	gateway_report(one, states); /* it learns that it is fenced */
	gateway_wait(&release);
	assert_int_equal(release.status, SCSI_BUSY);
	tcmu_io_complete(held, -ESHUTDOWN);
	gateway_wait(&late);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	store_assert_writes(two, 2);
	gateway_delete(one);
	gateway_delete(two);
}

/* An initiator asks for the active path before it sends anything; the fenced gateway, which does
 * not know yet that it is fenced, answers. */
static void a_fenced_gateway_does_not_report_that_it_is_active(void **state)
{
	struct gateway *one = store_start_gateway(1, EXPLICIT),
		       *two = store_start_gateway(2, EXPLICIT);
	uint8_t states[2], status;

	(void) state;
	assert_int_equal(gateway_set(one, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_assert_writes(one, 1);
	assert_int_equal(gateway_set(two, 2, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_assert_states(one, SCSI_STANDBY, SCSI_STANDBY);
	do {
		gateways_iterate();
		gateway_report(one, states);
		assert_int_equal(states[0], SCSI_STANDBY);
	} while (states[1] != SCSI_ACTIVE_OPTIMIZED);
	assert_int_equal(gateway_set(one, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	store_assert_writes(one, 2);
	/* and is activated as soon as it has come back */
	assert_int_equal(gateway_set(two, 2, SCSI_STANDBY), SCSI_GOOD);
	while ((status = gateway_set(two, 2, SCSI_ACTIVE_OPTIMIZED)) == SCSI_BUSY)
		gateways_iterate();
	assert_int_equal(status, SCSI_GOOD);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_lock_that_cannot_be_had_sends_initiators_elsewhere(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command write = store_write_of(1);

	(void) state;
	store_set_count(&store.locks_fail, 1);
	gateway_do_persistently(one, &write, 10);
	assert_sense(&write, 0x2, 0x040c);
	do {
		gateways_iterate();
		write = store_write_of(1);
		gateway_do(one, &write);
	} while (write.status != SCSI_GOOD);
	assert_int_equal(store_count(&store.locks), 2);
	gateway_delete(one);
}

static void a_gateway_serves_again_once_its_backend_opens(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3);

	(void) state;
	store_assert_writes(one, 1);
	store_assert_writes(two, 2);
	store_set_count(&store.opens_fail, 2);
	gateway_do_persistently(one, &write, 10);
	assert_sense(&write, 0x2, 0x040c);
	gateway_wait_state(one, DEVICE_LIVE, 20);
	assert_int_equal(store_count(&store.opens), 5);
	store_assert_writes(one, 3);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_lock_holder_without_its_cluster_is_unavailable(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command ready = {.cdb = {0x00}, .cdb_length = 6};
	uint8_t states[2];

	(void) state;
	store_assert_writes(one, 1);
	store_hold(&store.silent);
	gateway_report(one, states);
	store_assert_unavailable(one);
	store_release(&store.silent);
	for (double began = gateway_now(); gateway_now() - began < 10;)
		if (gateway_do(one, &ready) == SCSI_GOOD)
			break;
	assert_int_equal(ready.status, SCSI_GOOD);
	store_assert_states(one, SCSI_ACTIVE_OPTIMIZED, SCSI_ACTIVE_NONOPTIMIZED);
	store_assert_writes(one, 2);
	gateway_delete(one);
}

/* Nobody asks for the port groups. Until the status is or is no more GOOD, for so many seconds. */
static void wait_ready(
	struct gateway *gateway, struct initiator_command *ready, bool good, double seconds)
{
	for (double began = gateway_now(); gateway_now() - began < seconds;) {
		*ready = cmd_test_unit_ready();
		if ((gateway_do(gateway, ready) == SCSI_GOOD) == good)
			return;
		gateways_iterate();
	}
}

/* As initiators with other paths do: retries whatever the answer. */
static void assert_writes_soon(struct gateway *gateway, int byte)
{
	struct initiator_command write = store_write_of(byte);

	for (double began = gateway_now(); gateway_now() - began < 10;) {
		write = store_write_of(byte);
		if (gateway_do(gateway, &write) == SCSI_GOOD)
			break;
		gateways_iterate();
	}
	assert_int_equal(write.status, SCSI_GOOD);
}

static void a_command_that_times_out_makes_the_gateway_unavailable(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command ready = {.status = 0}, read;
	uint8_t states[2];

	(void) state;
	for (int locked = 0; locked < 2; locked++) {
		if (locked)
			assert_writes_soon(one, 1);
		read = cmd_read(0, 1, NULL);
		store_hold(&store.silent);
		store_set_count(&store.timeouts, 1);
		assert_int_equal(gateway_do(one, &read), SCSI_BUSY);
		wait_ready(one, &ready, false, 1);
		assert_int_equal(ready.status, SCSI_CHECK_CONDITION);
		assert_sense(&ready, 0x2, 0x040c);
		gateway_report(one, states);
		assert_int_equal(states[0], SCSI_UNAVAILABLE);
		store_release(&store.silent);
		wait_ready(one, &ready, true, 10);
		assert_int_equal(ready.status, SCSI_GOOD);
	}
	assert_int_equal(store_count(&store.locks), 1);
	/* where the cluster confirms the lock, it is a matter of moments */
	store_set_count(&store.timeouts, 1);
	read = cmd_read(0, 1, NULL);
	assert_int_equal(gateway_do(one, &read), SCSI_BUSY);
	assert_writes_soon(one, 2);
	assert_int_equal(store_count(&store.locks), 1);
	gateway_delete(one);
}

static void a_lock_that_lasts_makes_the_gateway_unavailable(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command write = store_write_of(1);

	(void) state;
	gateway_limit_calls(one, 1000);
	store_hold(&store.hold_locks);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_do_persistently(one, &write, 3);
	store_release(&store.hold_locks); /* first, as above */
	assert_int_equal(write.status, SCSI_CHECK_CONDITION);
	assert_sense(&write, 0x2, 0x040c);
	assert_writes_soon(one, 2);
	gateway_delete(one);
}

/* A record of the log begins with a date, the process and the level. */
static unsigned count_level(const char *log, const char *level)
{
	char word[32];

	(void) snprintf(word, sizeof(word), " [%s] ", level);
	return fixture_count(log, word);
}

/* The lock goes there and back: the former lock holder learns of it by a write that is refused, and
 * by a question for the port groups. */
static void a_failover_is_logged_as_information(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3);
	uint8_t states[2];
	char *log;

	(void) state;
	store_assert_writes(one, 1);
	fixture_log_begin(TCMU_LOG_INFO);
	store_assert_writes(two, 2);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	store_assert_writes(one, 3);
	gateway_report(two, states);
	gateway_wait_state(two, DEVICE_LIVE, 10);
	store_assert_states(two, SCSI_ACTIVE_OPTIMIZED, SCSI_ACTIVE_NONOPTIMIZED);
	log = fixture_log_end();
	assert_int_equal(fixture_count(log, "has locked its backing store for target port"), 2);
	if (count_level(log, "ERROR") || count_level(log, "WARNING") || count_level(log, "CRIT"))
		fail_msg("a failover is logged as more than information: %s", log);
	assert_true(count_level(log, "INFO") >= 4);
	free(log);
	fixture_remove_directory();
	gateway_delete(one);
	gateway_delete(two);
}

/* Initiators repeat what was BUSY: an operator need not see it. */
static void a_takeover_is_no_failure(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3);

	(void) state;
	store_assert_writes(one, 1);
	store_assert_writes(two, 2);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	store_assert_writes(one, 4);
	assert_int_equal(gateway_failed(one), 0);
	assert_int_equal(gateway_failed(two), 0);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_reopening_that_lasts_makes_the_gateway_unavailable(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3),
				 ready = {.cdb = {0x00}, .cdb_length = 6};

	(void) state;
	store_assert_writes(one, 1);
	store_assert_writes(two, 2);
	store_hold(&store.hold_opens);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	while (gateway_do(one, &ready) == SCSI_GOOD)
		gateways_iterate();
	gateway_do_persistently(one, &ready, 4);
	store_release(&store.hold_opens); /* first: what fails must not leave a thread in open */
	assert_int_equal(ready.status, SCSI_CHECK_CONDITION);
	assert_sense(&ready, 0x2, 0x040c);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	store_assert_writes(one, 4);
	gateway_delete(one);
	gateway_delete(two);
}

/* The loser answers BUSY until the hold time has passed; then a retry takes the lock. */
static void a_lock_that_was_lost_is_not_taken_back_at_once(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT),
		       *two = store_start_gateway(2, IMPLICIT);
	struct initiator_command write = store_write_of(3);
	double lost;

	(void) state;
	gateways_hold_lock(1500);
	store_assert_writes(one, 1);
	store_assert_writes(two, 2);
	lost = gateway_now();
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	gateway_wait_state(one, DEVICE_LIVE, 10);
	while (gateway_now() - lost < 1.2) {
		assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
		assert_int_equal(store_count(&store.locks), 2);
	}
	store_assert_writes(two, 4);
	store_assert_writes(one, 3);
	assert_int_equal(store_count(&store.locks), 3);
	gateway_delete(one);
	gateway_delete(two);
}

static void a_delete_does_not_wait_for_a_lock(void **state)
{
	struct gateway *one = store_start_gateway(1, IMPLICIT);
	struct initiator_command write = store_write_of(1);
	double waited;

	(void) state;
	store_hold(&store.hold_locks);
	assert_int_equal(gateway_do(one, &write), SCSI_BUSY);
	pthread_mutex_lock(&store.lock);
	while (!store.held) {
		pthread_mutex_unlock(&store.lock);
		gateways_iterate();
		pthread_mutex_lock(&store.lock);
	}
	pthread_mutex_unlock(&store.lock);
	waited = gateway_remove(one);
	assert_true(waited < 2.5);
	pthread_mutex_lock(&store.lock);
	store.hold_locks = false;
	pthread_cond_broadcast(&store.changed);
	pthread_mutex_unlock(&store.lock);
	gateway_delete(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_store_that_is_not_shared_needs_no_lock, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			the_first_write_takes_the_lock_and_reads_need_none, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_gateway_without_groups_learns_that_another_has_the_lock, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_gateway_without_groups_serves_when_the_lock_is_released, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			writes_move_the_lock_and_the_loser_comes_back, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_backend_is_not_closed_under_a_write, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			writes_that_wait_in_a_limit_do_not_follow_the_lock, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_write_that_reads_first_takes_the_lock_before, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			with_explicit_access_initiators_choose_the_gateway, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_gateway_does_not_unlock_under_a_write, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_gateway_may_be_fenced_before_it_unlocks, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_fenced_gateway_does_not_report_that_it_is_active, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_cannot_be_had_sends_initiators_elsewhere, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_gateway_serves_again_once_its_backend_opens, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_holder_without_its_cluster_is_unavailable, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_command_that_times_out_makes_the_gateway_unavailable, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_lasts_makes_the_gateway_unavailable, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_failover_is_logged_as_information, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_takeover_is_no_failure, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(
			a_reopening_that_lasts_makes_the_gateway_unavailable, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_lock_that_was_lost_is_not_taken_back_at_once, store_setup,
			store_teardown),
		cmocka_unit_test_setup_teardown(
			a_delete_does_not_wait_for_a_lock, store_setup, store_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
