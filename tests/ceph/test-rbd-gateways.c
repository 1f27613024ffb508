/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the daemon on a real cluster (tests/ceph/cluster), whose directory is in
 * CEPH_TEST_CLUSTER: two gateways of one image, and one gateway whose storage stops answering.
 */
#include "gateway.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/handlers.h"
#include "delay-shim.h"
#include "images.h"

#define SIZE     (64 * MIB)
#define LENGTH   65536u
#define BLOCKS   (LENGTH / FIXTURE_BLOCK)
#define COUNT    16u
#define IMPLICIT SCSI_ACCESS_IMPLICIT
#define EXPLICIT (SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT)

static const char *cluster_dir;
static struct handlers *handlers;

static int setup_gateways(void **state)
{
	(void) state;
	cluster_dir = getenv("CEPH_TEST_CLUSTER");
	assert_non_null(cluster_dir);
	images_connect(cluster_dir);
	handlers = handlers_new();
	assert_true(handlers_load(handlers, HANDLERS) > 0);
	gateways_begin();
	return 0;
}

static int teardown_gateways(void **state)
{
	(void) state;
	gateways_end();
	handlers_free(handlers);
	images_disconnect();
	return 0;
}

static struct gateway *start_gateway(
	const char *image, unsigned timeout, uint16_t group, uint8_t access)
{
	const struct tcmu_handler *handler = handlers_find(handlers, "rbd");
	char config[TCMU_CONFIG_MAX + 1];

	assert_non_null(handler);
	(void) snprintf(
		config, sizeof(config), "rbd/rbd/%s;osd_op_timeout=%u;conf=%s/ceph.conf;id=admin",
		image, timeout, cluster_dir);
	return gateway_new(handler, config, SIZE, group, access);
}

static void write_byte(struct gateway *gateway, uint64_t piece, int byte)
{
	uint8_t *data = calloc(1, LENGTH);
	struct initiator_command write = cmd_write(piece * BLOCKS, BLOCKS, data);

	memset(data, byte, LENGTH);
	assert_int_equal(gateway_do_persistently(gateway, &write, 30), SCSI_GOOD);
	free(data);
}

static void assert_byte(struct gateway *gateway, uint64_t piece, int byte)
{
	uint8_t *data = calloc(1, LENGTH), *want = calloc(1, LENGTH);
	struct initiator_command read = cmd_read(piece * BLOCKS, BLOCKS, data);

	memset(want, byte, LENGTH);
	assert_int_equal(gateway_do_persistently(gateway, &read, 30), SCSI_GOOD);
	assert_memory_equal(data, want, LENGTH);
	free(data);
	free(want);
}

static void assert_states(struct gateway *gateway, uint8_t first, uint8_t second)
{
	uint8_t states[2];

	gateway_report(gateway, states);
	assert_int_equal(states[0], first);
	assert_int_equal(states[1], second);
}

/* ------- two gateways ------- */

static void writes_move_the_image_twenty_times(void **state)
{
	struct gateway *gateways[2];

	(void) state;
	image_create("", "to-and-fro", SIZE);
	gateways[0] = start_gateway("to-and-fro", 20, 1, IMPLICIT);
	gateways[1] = start_gateway("to-and-fro", 20, 2, IMPLICIT);
	for (int i = 0; i < 20; i++) {
		struct gateway *active = gateways[i % 2], *other = gateways[(i + 1) % 2];

		write_byte(active, 0, i + 1);
		write_byte(active, (unsigned) i + 1, i + 1);
		assert_states(active, i % 2, (i + 1) % 2);
		assert_byte(other, 0, i + 1);
	}
	for (int i = 0; i < 20; i++)
		assert_byte(gateways[0], (unsigned) i + 1, i + 1);
	gateway_delete(gateways[0]);
	gateway_delete(gateways[1]);
	image_delete("to-and-fro");
}

/* Its librbd asks for the lock again and again, and the lock holder does not pass it on. Nobody
 * asks for the port groups. */
static void a_gateway_without_groups_takes_no_lock_until_it_has_one(void **state)
{
	struct gateway *one, *two;
	uint8_t *data = calloc(1, LENGTH);
	uint64_t began = clock_now_ns();
	unsigned busy = 0, unavailable = 0;

	(void) state;
	image_create("", "no-groups", SIZE);
	one = start_gateway("no-groups", 20, 1, IMPLICIT);
	two = start_gateway("no-groups", 20, 0, 0);
	write_byte(one, 0, 1);
	while (clock_now_ns() - began < 10 * CLOCK_NS_PER_SEC) {
		struct initiator_command write = cmd_write(0, BLOCKS, data);

		if (gateway_do(two, &write) == SCSI_BUSY) {
			busy++;
			continue;
		}
		assert_sense(&write, 0x2, 0x040c);
		unavailable++;
	}
	print_message("%u BUSY, %u unavailable\n", busy, unavailable);
	assert_true(busy < 50 && unavailable > 0);
	assert_byte(one, 0, 1);
	gateway_regroup(two, 2, IMPLICIT);
	for (began = clock_now_ns(); busy;) {
		struct initiator_command write = cmd_write(0, BLOCKS, data);

		if (gateway_do(two, &write) == SCSI_GOOD)
			busy = 0;
		gateways_iterate();
		assert_true(clock_now_ns() - began < 30 * CLOCK_NS_PER_SEC);
	}
	assert_byte(one, 0, 0);
	assert_states(two, SCSI_ACTIVE_NONOPTIMIZED, SCSI_ACTIVE_OPTIMIZED);
	gateway_delete(one);
	gateway_delete(two);
	image_delete("no-groups");
	free(data);
}

/* ------- three gateways ------- */

/* Initiators activate two gateways at the same time, again and again. One of them is the lock
 * holder afterwards, and it writes. */
static void both_sides_activate_at_once(void **state)
{
	struct gateway *gateways[2];

	(void) state;
	image_create("", "both-sides", SIZE);
	for (unsigned i = 0; i < 2; i++)
		gateways[i] = start_gateway("both-sides", 20, (uint16_t) (i + 1), EXPLICIT);
	for (int round = 1; round <= 5; round++) {
		uint8_t lists[2][8] = {{0}}, *data = calloc(1, LENGTH);
		struct initiator_command sets[2];
		unsigned written = 0;

		for (unsigned i = 0; i < 2; i++) {
			sets[i] = gateway_set_command(
				lists[i], (uint16_t) (i + 1), SCSI_ACTIVE_OPTIMIZED);
			gateway_send(gateways[i], &sets[i]);
		}
		for (unsigned i = 0; i < 2; i++)
			gateway_wait(&sets[i]);
		memset(data, round, LENGTH);
		for (uint64_t began = clock_now_ns(); !written;) {
			for (unsigned i = 0; i < 2; i++) {
				struct initiator_command write = cmd_write(0, BLOCKS, data);

				written += gateway_do(gateways[i], &write) == SCSI_GOOD;
			}
			gateways_iterate();
			/* both have lost it to each other */
			if (!written && clock_now_ns() - began > 5 * CLOCK_NS_PER_SEC) {
				(void) gateway_set(gateways[0], 1, SCSI_ACTIVE_OPTIMIZED);
				began = clock_now_ns();
			}
		}
		assert_int_equal(written, 1);
		free(data);
	}
	for (unsigned i = 0; i < 2; i++)
		gateway_delete(gateways[i]);
	image_delete("both-sides");
}

static void a_third_gateway_takes_part(void **state)
{
	struct gateway *gateways[3];

	(void) state;
	image_create("", "three", SIZE);
	/* the third one is a member of the second group, as a second host may be */
	for (unsigned i = 0; i < 3; i++)
		gateways[i] = start_gateway("three", 20, i ? 2 : 1, IMPLICIT);
	for (unsigned i = 0; i < 12; i++) {
		write_byte(gateways[i * 2 % 3], 0, (int) i + 1);
		for (unsigned j = 0; j < 3; j++)
			assert_byte(gateways[j], 0, (int) i + 1);
	}
	for (unsigned i = 0; i < 3; i++)
		gateway_delete(gateways[i]);
	image_delete("three");
}

/* A write through the old gateway is delayed while initiators activate the other gateway and write
 * there. */
static void a_late_write_of_the_old_gateway_never_lands(void **state)
{
	struct gateway *old, *new;
	uint8_t *data = calloc(1, LENGTH);
	struct initiator_command late = cmd_write(0, BLOCKS, data),
				 write = cmd_write(0, BLOCKS, data);

	(void) state;
	image_create("", "late-gateway", SIZE);
	old = start_gateway("late-gateway", 20, 1, EXPLICIT);
	new = start_gateway("late-gateway", 20, 2, EXPLICIT);
	assert_int_equal(gateway_set(old, 1, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	write_byte(old, 0, 0x11);
	memset(data, 0x5a, LENGTH);
	delay_shim_hold(0x5a);
	gateway_send(old, &late);
	delay_shim_wait();
	assert_int_equal(gateway_set(new, 2, SCSI_ACTIVE_OPTIMIZED), SCSI_GOOD);
	write_byte(new, 0, 0x22);
	assert_false(initiator_is_done(&late));
	delay_shim_release();
	gateway_wait(&late);
	assert_int_equal(late.status, SCSI_BUSY);
	assert_byte(new, 0, 0x22);
	/* the old gateway returns in standby, where it writes nothing */
	gateway_wait_state(old, DEVICE_FAULTED, 20);
	gateway_wait_state(old, DEVICE_LIVE, 20);
	gateway_do(old, &write);
	assert_sense(&write, 0x2, 0x040b);
	assert_byte(new, 0, 0x22);
	assert_states(old, SCSI_STANDBY, SCSI_ACTIVE_OPTIMIZED);
	gateway_delete(old);
	gateway_delete(new);
	image_delete("late-gateway");
	free(data);
}

/* No other gateway has the image, but the cluster has blocklisted the connection. */
static void a_gateway_that_was_blocklisted_comes_back(void **state)
{
	struct gateway *gateway;

	(void) state;
	image_create("", "back", SIZE);
	gateway = start_gateway("back", 20, 1, IMPLICIT);
	for (int i = 0; i < 3; i++) {
		write_byte(gateway, 0, 0x11 + i);
		image_blocklist_watchers("back", 0);
		write_byte(gateway, 1, 0x21 + i);
		assert_byte(gateway, 0, 0x11 + i);
		assert_byte(gateway, 1, 0x21 + i);
	}
	cluster_wait_service("status", "back", "\"conn_lost_cnt\":\"3\"", 20);
	gateway_delete(gateway);
	image_delete("back");
}

/* ------- a storage that stops answering ------- */

static void a_delete_ends_in_time_while_the_storage_hangs(void **state)
{
	struct initiator_command commands[COUNT];
	uint8_t *data = calloc(COUNT, LENGTH);
	struct gateway *gateway;
	double waited;

	(void) state;
	image_create("", "hangs", SIZE);
	gateway = start_gateway("hangs", 5, 1, IMPLICIT);
	write_byte(gateway, 0, 1);
	cluster_signal("osd", SIGSTOP);
	for (unsigned i = 0; i < COUNT; i++) {
		commands[i] = i % 2 ? cmd_read(i * BLOCKS, BLOCKS, NULL)
				    : cmd_write(i * BLOCKS, BLOCKS, data + i * LENGTH);
		gateway_send(gateway, &commands[i]);
	}
	io_fixture_wait_idle(gateway_io(gateway));
	waited = gateway_remove(gateway);
	cluster_signal("osd", SIGCONT);
	assert_true(waited < 2.0);
	gateway_delete(gateway);
	image_wait_unwatched("hangs", 5);
	image_delete("hangs");
	free(data);
}

/* A write is on its way when the LUN is deleted; another gateway takes over, and the entry of the
 * orphan's connection is removed, as ceph-iscsi does. */
static void an_orphan_of_the_lock_holder_never_writes(void **state)
{
	struct gateway *old, *new;
	uint8_t *data = calloc(1, LENGTH);
	struct initiator_command late = cmd_write(0, BLOCKS, data);
	char command[512];

	(void) state;
	image_create("", "orphan", SIZE);
	old = start_gateway("orphan", 5, 1, IMPLICIT);
	new = start_gateway("orphan", 20, 2, IMPLICIT);
	write_byte(old, 0, 0x11);
	memset(data, 0x5a, LENGTH);
	delay_shim_hold(0x5a);
	gateway_send(old, &late);
	delay_shim_wait();
	assert_true(gateway_remove(old) < 2.0);
	write_byte(new, 0, 0x22);
	/* the orphan's connection has been ended: another one reports it */
	cluster_wait_service("status", "orphan", "\"old_conn_cnt\":\"1\"", 20);
	cluster_wait_service("status", "orphan", "\"host_old_conn_cnt\":\"1\"", 20);
	(void) snprintf(
		command, sizeof(command), "ceph -c %s/ceph.conf osd blocklist clear 2>/dev/null",
		cluster_dir);
	cluster_run(command);
	delay_shim_release();
	gateway_delete(old);
	assert_byte(new, 0, 0x22);
	cluster_wait_service("status", "orphan", "\"old_conn_cnt\":\"0\"", 20);
	cluster_wait_service("status", "orphan", "\"host_old_conn_cnt\":\"0\"", 20);
	gateway_delete(new);
	image_delete("orphan");
	free(data);
}

static void wait_seconds(unsigned seconds)
{
	for (uint64_t began = clock_now_ns();
	     clock_since(clock_now_ns(), began) < seconds * CLOCK_NS_PER_SEC;)
		gateways_iterate();
}

/* Reads block 0 when the gateway is available again, within a minute. */
static void read_at_last(struct gateway *gateway, uint8_t data[static FIXTURE_BLOCK])
{
	struct initiator_command read = cmd_read(0, 1, data);

	for (uint64_t began = clock_now_ns(); gateway_do(gateway, &read) != SCSI_GOOD;) {
		assert_true(clock_since(clock_now_ns(), began) < 60 * CLOCK_NS_PER_SEC);
		gateways_iterate();
		read = cmd_read(0, 1, data);
	}
}

/* Its message is delayed until librados has given it up; then the cluster carries it out, before
 * the gateway reads the block back. A repetition would miscompare. */
static void a_compare_and_write_whose_answer_is_lost_was_carried_out(void **state)
{
	struct gateway *gateway;
	uint8_t both[2 * FIXTURE_BLOCK] = {0}, data[FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(0, 1, both);

	(void) state;
	image_create("", "lost-answer", SIZE);
	gateway = start_gateway("lost-answer", 5, 1, IMPLICIT);
	write_byte(gateway, 0, 0x11);
	memset(both, 0x11, FIXTURE_BLOCK);
	memset(both + FIXTURE_BLOCK, 0x5a, FIXTURE_BLOCK);
	delay_shim_hold(0x5a);
	gateway_send(gateway, &compare);
	delay_shim_wait();
	wait_seconds(7); /* with the tick of librados */
	assert_false(initiator_is_done(&compare));
	delay_shim_release();
	gateway_wait(&compare);
	assert_int_equal(compare.status, SCSI_GOOD);
	read_at_last(gateway, data);
	assert_memory_equal(data, both + FIXTURE_BLOCK, FIXTURE_BLOCK);
	gateway_delete(gateway);
	image_delete("lost-answer");
}

/* The storage daemon hangs, so that the block cannot be read back: an initiator that gets BUSY
 * would repeat it. */
static void a_compare_and_write_may_have_an_unknown_outcome(void **state)
{
	struct gateway *gateway;
	uint8_t both[2 * FIXTURE_BLOCK] = {0}, data[FIXTURE_BLOCK] = {0};
	struct initiator_command compare = cmd_compare_and_write(0, 1, both);

	(void) state;
	image_create("", "unknown", SIZE);
	gateway = start_gateway("unknown", 5, 1, IMPLICIT);
	write_byte(gateway, 0, 0x11);
	memset(both, 0x11, FIXTURE_BLOCK);
	memset(both + FIXTURE_BLOCK, 0x5a, FIXTURE_BLOCK);
	cluster_signal("osd", SIGSTOP);
	gateway_send(gateway, &compare);
	gateway_wait(&compare);
	cluster_signal("osd", SIGCONT);
	assert_sense(&compare, 0x4, 0x4400);
	read_at_last(gateway, data);
	/* whole: the one or the other */
	assert_memory_equal(data, data[0] == 0x11 ? both : both + FIXTURE_BLOCK, FIXTURE_BLOCK);
	gateway_delete(gateway);
	image_delete("unknown");
}

/* Each piece is written with a number, read back and compared, while the OSD is restarted. */
static void nothing_is_lost_when_the_storage_restarts(void **state)
{
	struct initiator_command commands[COUNT];
	uint8_t *data = calloc(COUNT, LENGTH);
	struct gateway *gateway;
	uint64_t began = clock_now_ns();

	(void) state;
	image_create("", "killed", SIZE);
	gateway = start_gateway("killed", 60, 0, 0);
	for (int round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < COUNT; i++) {
			fill_pattern(data + i * LENGTH, LENGTH, (uint32_t) round * COUNT + i);
			commands[i] = cmd_write(i * BLOCKS, BLOCKS, data + i * LENGTH);
			gateway_send(gateway, &commands[i]);
		}
		if (round == 2) {
			began = clock_now_ns();
			cluster_restart_osd();
		}
		for (unsigned i = 0; i < COUNT; i++) {
			gateway_wait(&commands[i]);
			assert_int_equal(commands[i].status, SCSI_GOOD);
		}
		for (unsigned i = 0; i < COUNT; i++) {
			uint8_t *got = calloc(1, LENGTH);
			struct initiator_command read = cmd_read(i * BLOCKS, BLOCKS, got);

			assert_int_equal(gateway_do(gateway, &read), SCSI_GOOD);
			assert_memory_equal(got, data + i * LENGTH, LENGTH);
			free(got);
		}
	}
	assert_true(clock_now_ns() - began < 60 * CLOCK_NS_PER_SEC);
	gateway_delete(gateway);
	image_delete("killed");
	free(data);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_move_the_image_twenty_times),
		cmocka_unit_test(a_gateway_without_groups_takes_no_lock_until_it_has_one),
		cmocka_unit_test(both_sides_activate_at_once),
		cmocka_unit_test(a_third_gateway_takes_part),
		cmocka_unit_test(a_late_write_of_the_old_gateway_never_lands),
		cmocka_unit_test(a_gateway_that_was_blocklisted_comes_back),
		cmocka_unit_test(a_delete_ends_in_time_while_the_storage_hangs),
		cmocka_unit_test(an_orphan_of_the_lock_holder_never_writes),
		cmocka_unit_test(a_compare_and_write_whose_answer_is_lost_was_carried_out),
		cmocka_unit_test(a_compare_and_write_may_have_an_unknown_outcome),
		cmocka_unit_test(nothing_is_lost_when_the_storage_restarts),
	};

	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, setup_gateways, teardown_gateways);
}
