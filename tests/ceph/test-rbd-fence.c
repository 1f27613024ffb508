/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A former lock holder writes nothing and answers nothing, even when its blocklist entry is removed
 * at the worst moment. On a real cluster (tests/ceph/cluster), whose directory is in
 * CEPH_TEST_CLUSTER.
 */
#include "rbd-host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delay-shim.h"
#include "duration.h"
#include "remote-gateway.h"
#include "remote-host.h"

#define FORMER        32u
#define LENGTH        65536u
#define TAKEOVER_WAIT 12.0 /* seconds, of the lease and its margin */

static void wait_ms(int ms)
{
	(void) poll(NULL, 0, ms);
}

/* Whether the blocklist gets an entry within these seconds must be as expected. */
static void expect_entry(bool expected, unsigned seconds)
{
	char command[512];

	(void) snprintf(
		command, sizeof(command),
		"found=1; for _ in $(seq %u); do "
		"ceph -c %s/ceph.conf osd blocklist ls 2>/dev/null | grep -q . && found=0 && "
		"break; "
		"sleep 0.2; done; [ $found -eq %d ]",
		3 * seconds, cluster, expected ? 0 : 1);
	cluster_run(command);
}

static void create_image(const char *name)
{
	cluster_clear_blocklist();
	image_create("", name, SIZE);
}

/* ------- late writes ------- */

/* A write is held up on its way, the other gateway takes over and writes, the entry goes, and the
 * write is let go. expires: the entry is there before the takeover, and lasts so many seconds. */
static void let_a_late_write_go(struct fake_host *old, const char *name, unsigned expires)
{
	uint8_t *data = filled_buffer(LENGTH, 0x33);
	struct fake_host *new;
	struct fake_io *late;
	char config[64];
	struct duration began;

	cluster_clear_blocklist();
	open_new(old, name);
	take_lock(old, 1);
	write_bytes(old, 0, LENGTH, 0x11);
	delay_shim_hold(0x33);
	late = fake_io_new(old, TCMU_IO_WRITE, 0, LENGTH);
	fake_io_fill(late, data, LENGTH);
	fake_io_submit(late);
	delay_shim_wait();
	if (expires)
		image_blocklist_watchers(name, expires);
	(void) snprintf(config, sizeof(config), "rbd/%s", name);
	new = second_gateway(config);
	began = duration_start();
	take_lock(new, 2);
	duration_assert(&began, TAKEOVER_WAIT + 4);
	write_bytes(new, 0, LENGTH, 0x22);
	if (expires)
		cluster_wait_expired(expires + 10);
	else
		cluster_clear_blocklist();
	delay_shim_release();
	wait_ms(2000);
	assert_bytes(new, 0, LENGTH, 0x22);
	/* it ends, at the latest at its limit, and not as if it had been written */
	assert_int_not_equal(fake_io_wait(late), 0);
	assert_bytes(new, 0, LENGTH, 0x22);
	fake_io_free(late);
	fake_host_free(new);
	free(data);
}

static void a_late_write_does_not_land_without_its_entry(void **state)
{
	let_a_late_write_go(*state, "late-entry", 0);
}

static void a_late_write_does_not_land_when_its_entry_has_expired(void **state)
{
	let_a_late_write_go(*state, "expired-entry", 20);
}

/* The cluster does not extend an entry that is there. */
static void the_entry_of_a_former_holder_lasts_a_day(void **state)
{
	struct fake_host *old = *state, *new;
	char command[512];

	cluster_clear_blocklist();
	open_new(old, "a-day");
	take_lock(old, 1);
	new = second_gateway("rbd/a-day");
	take_lock(new, 2);
	(void) snprintf(
		command, sizeof(command),
		"until=$(ceph -c %s/ceph.conf osd blocklist ls 2>/dev/null | cut -d' ' -f2) && "
		"[ $(($(date -d \"$until\" +%%s) - $(date +%%s))) -gt 80000 ]",
		cluster);
	cluster_run(command);
	fake_host_free(new);
}

/* Nothing of the gateway reaches the cluster for 8 seconds. */
static void a_short_cut_loses_nothing(void **state)
{
	struct fake_host *new = *state;
	struct remote_gateway *old;
	int r;

	create_image("cut-8");
	old = remote_gateway_start("cut-8", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	assert_int_equal(remote_gateway_do(old, "write 0 %d", 0x11), 0);
	assert_int_equal(remote_gateway_do(old, "cut"), 0);
	assert_int_equal(remote_gateway_do(old, "begin 0 %d", 0x33), 0);
	assert_int_equal(fake_open(new, config_of("rbd/cut-8", 20), SIZE, BLOCK), 0);
	remote_gateway_send(old, "end");
	take_lock(new, 2);
	write_bytes(new, 0, LENGTH, 0x22);
	cluster_clear_blocklist();
	r = remote_gateway_result(old);
	assert_int_not_equal(r, 0);
	assert_int_equal(remote_gateway_do(old, "heal"), 0);
	wait_ms(2000);
	assert_bytes(new, 0, LENGTH, 0x22);
	remote_gateway_free(old);
}

static void a_cut_off_holder_answers_nothing(void **state)
{
	struct fake_host *new = *state;
	struct remote_gateway *old;

	create_image("cut-off");
	old = remote_gateway_start("cut-off", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	assert_int_equal(remote_gateway_do(old, "write 0 %d", 0x11), 0);
	assert_int_equal(remote_gateway_do(old, "cut"), 0);
	assert_int_equal(fake_open(new, config_of("rbd/cut-off", 20), SIZE, BLOCK), 0);
	take_lock(new, 2);
	write_bytes(new, 5 * OBJECT_SIZE, LENGTH, 0x22);
	/* librbd would answer all of these from its memory */
	assert_int_equal(remote_gateway_do(old, "read 5"), -EBUSY);
	assert_int_equal(remote_gateway_do(old, "unmap 5"), -EBUSY);
	assert_int_equal(remote_gateway_do(old, "flush"), -EBUSY);
	assert_int_equal(remote_gateway_do(old, "heal"), 0);
	assert_int_equal(remote_gateway_do(old, "read 5"), -EBUSY);
	assert_int_equal(remote_gateway_do(old, "reopen"), 0);
	assert_int_equal(remote_gateway_do(old, "read 5"), 0x22);
	remote_gateway_free(old);
}

/* ------- frozen ------- */

/* It writes all the time, stands still for longer than its lease, and goes on when the entry is
 * gone. Its wall clock stands before the freeze. */
static void a_thawed_gateway_writes_nothing(void **state)
{
	struct fake_host *new = *state;
	struct remote_gateway *old;

	create_image("frozen");
	old = remote_gateway_start("frozen", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	assert_int_equal(remote_gateway_do(old, "write 0 %d", 0x11), 0);
	assert_int_equal(remote_gateway_do(old, "clock 3600"), 0);
	remote_gateway_send(old, "storm 24 0 %d", 0x33);
	wait_ms(1000);
	remote_gateway_signal(old, SIGSTOP);
	assert_int_equal(fake_open(new, config_of("rbd/frozen", 20), SIZE, BLOCK), 0);
	take_lock(new, 2);
	write_bytes(new, 0, LENGTH, 0x22);
	cluster_clear_blocklist();
	remote_gateway_signal(old, SIGCONT);
	assert_int_equal(remote_gateway_result(old), 0);
	assert_bytes(new, 0, LENGTH, 0x22);
	remote_gateway_free(old);
}

/* ------- entries ------- */

static void the_holder_keeps_the_entry_until_the_former_one_has_ended(void **state)
{
	struct fake_host *new = *state;
	struct remote_gateway *old;
	struct duration began;

	create_image("entry");
	old = remote_gateway_start("entry", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	remote_gateway_signal(old, SIGSTOP);
	assert_int_equal(fake_open(new, config_of("rbd/entry", 20), SIZE, BLOCK), 0);
	take_lock(new, 2);
	for (int i = 0; i < 2; i++) {
		cluster_clear_blocklist();
		expect_entry(true, 8);
	}
	remote_gateway_signal(old, SIGCONT);
	/* until its connection is closed and another one says so */
	assert_int_equal(remote_gateway_do(old, "reopen"), 0);
	wait_ms(1000);
	cluster_clear_blocklist();
	expect_entry(false, 8);
	/* a host that has ended, or has released the lock, is not waited for */
	began = duration_start();
	assert_int_equal(fake_unlock(new), 0);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	duration_assert(&began, 2);
	expect_entry(false, 1);
	remote_gateway_free(old);
}

static void a_holder_that_died_is_waited_for_once(void **state)
{
	struct fake_host *new = *state, *third;
	struct remote_gateway *old;
	struct duration began;

	create_image("died");
	old = remote_gateway_start("died", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	remote_gateway_free(old);
	assert_int_equal(fake_open(new, config_of("rbd/died", 20), SIZE, BLOCK), 0);
	began = duration_start();
	take_lock(new, 2);
	assert_true(duration_seconds(&began) >= 10);
	duration_assert(&began, TAKEOVER_WAIT + 4);
	third = second_gateway("rbd/died");
	assert_int_equal(fake_unlock(new), 0);
	began = duration_start();
	take_lock(third, 3);
	duration_assert(&began, 2);
	fake_host_free(third);
}

/* ------- a wait for the monitors ------- */

/* The lock holder adds a missing entry, and is cut off while it waits for the newest map: librados
 * has no limit for that, and its connection has ended before the network is back. */
static void a_wait_for_the_monitors_keeps_no_gateway_away(void **state)
{
	struct remote_gateway *gateway;
	char command[512];
	struct duration began;

	(void) state;
	create_image("waits");
	(void) snprintf(
		command, sizeof(command),
		"rbd -c %s/ceph.conf image-meta set rbd/waits tcmu_rbd_instance_10.1.2.3:0/4 past",
		cluster);
	cluster_run(command);
	gateway = remote_gateway_start("waits", 5);
	assert_int_equal(remote_gateway_do(gateway, "lock 1"), 0);
	/* until the first check of the entries has ended */
	wait_ms(1500);
	assert_int_equal(remote_gateway_do(gateway, "hold"), 0);
	cluster_clear_blocklist();
	/* It adds the entry, and waits; another message with this text cuts it off as well. */
	wait_ms(5000);
	/* its lease passes */
	wait_ms(12000);
	assert_int_equal(remote_gateway_do(gateway, "write 0 %d", 0x11), -EBUSY);
	assert_int_equal(remote_gateway_do(gateway, "release"), 0);
	began = duration_start();
	assert_int_equal(remote_gateway_do(gateway, "reopen"), 0);
	print_message("back after %.1f s\n", duration_seconds(&began));
	duration_assert(&began, 14);
	assert_int_equal(remote_gateway_do(gateway, "lock 1"), 0);
	assert_int_equal(remote_gateway_do(gateway, "write 0 %d", 0x22), 0);
	remote_gateway_free(gateway);
}

/* ------- many former lock holders ------- */

/* The monitors take up to a second for each command. */
static void former_holders_do_not_delay_a_takeover(void **state)
{
	struct fake_host *old = *state, *new;
	char key[64];
	struct duration began;

	cluster_clear_blocklist();
	open_new(old, "many");
	for (unsigned i = 0; i < FORMER; i++) {
		(void) snprintf(key, sizeof(key), "tcmu_rbd_instance_10.1.2.3:0/%u", i + 1);
		image_set_metadata("many", key, i % 2 ? "past" : "ended");
	}
	began = duration_start();
	take_lock(old, 1);
	print_message("with %u missing entries after %.1f s\n", FORMER, duration_seconds(&began));
	duration_assert(&began, FORMER * 0.6);
	/* It extends all of them. */
	wait_ms(8000);
	assert_int_equal(fake_unlock(old), 0);
	new = second_gateway("rbd/many");
	began = duration_start();
	take_lock(new, 2);
	print_message("with %u entries after %.1f s\n", FORMER, duration_seconds(&began));
	duration_assert(&began, FORMER * 0.25);
	write_bytes(new, 0, LENGTH, 0x22);
	fake_host_free(new);
}

/* ------- the lease ------- */

/* The cluster confirms it all the time, whatever the wall clock. */
static void a_holder_keeps_its_lease(void **state)
{
	struct remote_gateway *old;

	(void) state;
	create_image("kept");
	old = remote_gateway_start("kept", 20);
	assert_int_equal(remote_gateway_do(old, "lock 1"), 0);
	assert_int_equal(remote_gateway_do(old, "clock 86400"), 0);
	for (int i = 0; i < 15; i++) {
		assert_int_equal(remote_gateway_do(old, "write 0 %d", i), 0);
		wait_ms(1000);
	}
	assert_int_equal(remote_gateway_do(old, "read 0"), 14);
	remote_gateway_free(old);
}

#define FENCE_TEST(function) cmocka_unit_test_setup_teardown(function, setup_host, teardown_host)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		FENCE_TEST(a_late_write_does_not_land_without_its_entry),
		FENCE_TEST(a_late_write_does_not_land_when_its_entry_has_expired),
		FENCE_TEST(the_entry_of_a_former_holder_lasts_a_day),
		FENCE_TEST(a_short_cut_loses_nothing),
		FENCE_TEST(a_cut_off_holder_answers_nothing),
		FENCE_TEST(a_thawed_gateway_writes_nothing),
		FENCE_TEST(the_holder_keeps_the_entry_until_the_former_one_has_ended),
		FENCE_TEST(a_holder_that_died_is_waited_for_once),
		FENCE_TEST(a_holder_keeps_its_lease),
		FENCE_TEST(a_wait_for_the_monitors_keeps_no_gateway_away),
		FENCE_TEST(former_holders_do_not_delay_a_takeover),
	};

	if (argc == 4 && strcmp(argv[1], REMOTE_GATEWAY) == 0)
		return remote_host_main(argv);
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, setup_cluster, teardown_cluster);
}
