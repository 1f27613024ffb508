/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared image needs certain settings of librbd, clear answers about its lock, and UNMAP in a
 * pool without room.
 */
#include "rbd-host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delay-shim.h"

/* ------- settings ------- */

static void run_rbd(bool pool, const char *verb, const char *const setting[2])
{
	char command[512];

	(void) snprintf(
		command, sizeof(command), "rbd -c %s/ceph.conf config %s %s %s %s %s", cluster,
		pool ? "pool" : "image", verb, pool ? "rbd" : "rbd/settings", setting[0],
		strcmp(verb, "set") == 0 ? setting[1] : "");
	cluster_run(command);
}

/* One at a time, of the pool and of the image. */
static void a_setting_that_breaks_the_fence_is_refused(void **state)
{
	static const char *const settings[][2] = {
		{"rbd_blocklist_on_break_lock", "false"},
		{"rbd_blocklist_expire_seconds", "600"},
		{"rbd_cache", "true"},
		{"rbd_persistent_cache_mode", "rwl"},
	};
	struct fake_host *first = *state, *second;

	image_create("", "settings", SIZE);
	for (unsigned i = 0; i < 2 * sizeof(settings) / sizeof(settings[0]); i++) {
		const char *const *setting = settings[i / 2];

		run_rbd(i % 2, "set", setting);
		if (fake_open(first, config_of("rbd/settings", 20), SIZE, BLOCK) < 0)
			fail_msg("%s: %s", setting[0], first->reason.text);
		assert_int_equal(fake_lock(first, 1), -EINVAL);
		if (!strstr(first->reason.text, setting[0]))
			fail_msg("it says: %s", first->reason.text);
		run_rbd(i % 2, "remove", setting);
		assert_int_equal(fake_lock(first, 1), -ESHUTDOWN);
		fake_close(first);
	}
	assert_int_equal(fake_open(first, config_of("rbd/settings", 20), SIZE, BLOCK), 0);
	second = second_gateway("rbd/settings");
	take_lock(first, 1);
	take_lock(second, 2);
	fake_host_free(second);
}

/* The connection's own settings are above those of the configuration file. */
static void settings_of_the_configuration_do_not_break_the_fence(void **state)
{
	static const char lines[] = "[client]\n"
				    "rbd_blocklist_on_break_lock = false\n"
				    "rbd_blocklist_expire_seconds = 600\n"
				    "rbd_cache = true\n"
				    "rbd_auto_exclusive_lock_until_manual_request = false\n";
	struct fake_host *first = *state, *second;
	char path[256], command[600], target[320];
	uint8_t data[BLOCK] = {0};
	FILE *file;

	image_create("", "configured", SIZE);
	(void) snprintf(path, sizeof(path), "%s/unsafe.conf", cluster);
	(void) snprintf(command, sizeof(command), "cp %s/ceph.conf %s", cluster, path);
	cluster_run(command);
	file = fopen(path, "a");
	assert_non_null(file);
	assert_true(fputs(lines, file) >= 0);
	assert_int_equal(fclose(file), 0);
	(void) snprintf(
		target, sizeof(target), "rbd/configured;osd_op_timeout=20;conf=%s;id=admin", path);
	second = fake_host_new(PLUGIN, AIO_THREADS);
	assert_int_equal(fake_open(first, target, SIZE, BLOCK), 0);
	assert_int_equal(fake_open(second, target, SIZE, BLOCK), 0);
	assert_false(first->info.volatile_cache);
	take_lock(first, 1);
	write_bytes(first, 0, BLOCK, 0x11);
	take_lock(second, 2);
	assert_fenced(first, fake_write(first, 0, data, sizeof(data), 0));
	assert_bytes(second, 0, BLOCK, 0x11);
	fake_host_free(second);
}

/* ------- lost answers ------- */

/* The cluster gives the lock to this connection, which has waited too long for the answer. The
 * text is that of the request: the method "lock" of the class "lock". */
static void a_lock_whose_answer_was_lost_is_taken_again(void **state)
{
	struct fake_host *host = *state;
	int r;

	image_create("", "unanswered", SIZE);
	assert_int_equal(fake_open(host, config_of("rbd/unanswered", 2), SIZE, BLOCK), 0);
	delay_shim_hold_text("locklock");
	r = fake_lock(host, 1);
	delay_shim_wait();
	delay_shim_release();
	assert_int_equal(r, -ESHUTDOWN);
	fake_wait_events(host, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	fake_close(host);
	assert_int_equal(fake_open(host, config_of("rbd/unanswered", 20), SIZE, BLOCK), 0);
	take_lock(host, 1);
	assert_lock(host, true, 1);
	write_bytes(host, 0, BLOCK, 0x11);
}

/* ------- a full pool ------- */

static void set_quota(unsigned objects)
{
	char command[512];

	(void) snprintf(
		command, sizeof(command),
		"ceph -c %s/ceph.conf osd pool set-quota rbd max_objects %u 2>/dev/null", cluster,
		objects);
	cluster_run(command);
}

/* Writes to another object each time, not the last one, until that has this result, as the manager
 * and the monitor look at the pool every few seconds only. */
static void write_until(struct fake_host *host, uint64_t *offset, int result)
{
	uint64_t until = clock_now_ns() + 40 * UINT64_C(1000000000);
	uint8_t data[BLOCK] = {1};
	int r;

	do {
		*offset = (*offset + OBJECT_SIZE) % (SIZE - OBJECT_SIZE);
		(void) fake_do(host, TCMU_IO_UNMAP, *offset, OBJECT_SIZE, 0);
		r = fake_write(host, *offset, data, sizeof(data), 0);
		if (r != 0 && r != -EDQUOT)
			fail_msg("a write ends with %d", r);
	} while (r != result && clock_now_ns() < until);
	assert_int_equal(r, result);
}

static void a_full_pool_refuses_new_data_only(void **state)
{
	struct fake_host *host = *state, *second;
	uint8_t data[BLOCK] = {2};
	uint64_t offset = 0;

	image_create("", "full", SIZE);
	assert_int_equal(fake_open(host, config_of("rbd/full", 5), SIZE, BLOCK), 0);
	take_lock(host, 1);
	write_bytes(host, 0, BLOCK, 0x11);
	write_bytes(host, SIZE - OBJECT_SIZE, OBJECT_SIZE, 0x12);
	set_quota(1);
	write_until(host, &offset, -EDQUOT);
	/* what needs no more room goes on */
	assert_bytes(host, SIZE - OBJECT_SIZE, BLOCK, 0x12);
	write_bytes(host, SIZE - OBJECT_SIZE, BLOCK, 0x13);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, SIZE - OBJECT_SIZE, BLOCK, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, SIZE - OBJECT_SIZE, OBJECT_SIZE, 0), 0);
	assert_bytes(host, SIZE - OBJECT_SIZE, OBJECT_SIZE, 0);
	assert_int_equal(fake_write(host, offset, data, sizeof(data), 0), -EDQUOT);
	/* and so does a failover */
	second = second_gateway("rbd/full");
	take_lock(second, 2);
	assert_int_equal(fake_do(second, TCMU_IO_UNMAP, 0, OBJECT_SIZE, 0), 0);
	assert_int_equal(fake_write(second, offset, data, sizeof(data), 0), -EDQUOT);
	set_quota(0);
	write_until(second, &offset, 0);
	fake_host_free(second);
}

#define SAFETY_TEST(function) cmocka_unit_test_setup_teardown(function, setup_host, teardown_host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SAFETY_TEST(a_setting_that_breaks_the_fence_is_refused),
		SAFETY_TEST(settings_of_the_configuration_do_not_break_the_fence),
		SAFETY_TEST(a_lock_whose_answer_was_lost_is_taken_again),
		SAFETY_TEST(a_full_pool_refuses_new_data_only),
	};

	return cmocka_run_group_tests(tests, setup_cluster, teardown_cluster);
}
