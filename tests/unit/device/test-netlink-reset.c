/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the kernel's commands that wait for a dead daemon are ended, and which removals of unknown
 * devices are answered; on a virtual clock, with the module's parameters as files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "device/netlink-reset.h"
#include "fake-root.h"
#include "virtual-env.h"

#define OPEN_TIMEOUT_MS 10000
#define PARAMETER       "/sys/module/target_core_user/parameters/"

static struct {
	struct virtual_env system;
	struct netlink_reset reset;
	struct env_kernel kernel;
	bool answering; /* a device answers a command */
	bool unknown;   /* a device's attributes have not been read */
	bool exists;    /* the kernel has the device */
	unsigned answers;
	unsigned dropped; /* nobody waits for them */
	int netlink[2];   /* a pipe: a byte is a command */
} world;

static struct fake_root root;
static const struct settings settings = {.open_timeout_ms = OPEN_TIMEOUT_MS};
static const struct tcmu_name disk = {.hba = 3, .name = "disk"};

static int world_scan_minor(
	const struct device_env *env, unsigned minor, struct tcmu_scan_entry *entry)
{
	(void) env;
	*entry = (struct tcmu_scan_entry){.minor = minor, .name = disk};
	return world.exists ? 0 : -1;
}

static void world_answer(struct device_env *env, enum tcmu_event_kind kind, uint32_t id, int status)
{
	(void) env;
	assert_int_equal(kind, TCMU_EVENT_REMOVED);
	assert_int_equal(id, 7);
	assert_int_equal(status, 0);
	world.answers++;
}

static void world_drop_owed(struct device_env *env, enum tcmu_event_kind kind, uint32_t id)
{
	(void) env;
	assert_int_equal(kind, TCMU_EVENT_REMOVED);
	assert_int_equal(id, 7);
	world.dropped++;
}

static const struct env_parent world_parent = {
	.answer = world_answer, .drop_owed = world_drop_owed};

static bool world_is_answering(struct netlink_reset *reset, bool unknown)
{
	assert_ptr_equal(reset, &world.reset);
	return world.answering || (unknown && world.unknown);
}

static int setup(void **state)
{
	(void) state;
	memset(&world, 0, sizeof(world));
	fake_root_make(&root);
	fake_root_write(&root, PARAMETER "block_netlink", "N\n");
	fake_root_write(&root, PARAMETER "reset_netlink", "0\n");
	virtual_env_init(&world.system);
	world.kernel.scan_minor = world_scan_minor;
	world.system.env.kernel = &world.kernel;
	world.system.env.parent = &world_parent;
	world.system.env.settings = &settings;
	world.system.now = 1000000;
	if (pipe(world.netlink) < 0)
		return -1;
	netlink_reset_start(&world.reset, &world.system.env, world.netlink[0], world_is_answering);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	netlink_reset_clear(&world.reset);
	(void) close(world.netlink[0]);
	(void) close(world.netlink[1]);
	virtual_env_assert_idle(&world.system);
	fake_root_remove(&root);
	return 0;
}

static bool is_reset(void)
{
	return strncmp(fake_root_read(&root, PARAMETER "reset_netlink"), "1", 1) == 0;
}

static void without_commands_the_reset_is_immediate(void **state)
{
	(void) state;
	netlink_reset_check(&world.reset);
	assert_true(is_reset());
	assert_false(world.reset.wanted);
}

static void a_creation_that_is_being_answered_comes_first(void **state)
{
	(void) state;
	world.answering = true;
	virtual_env_pass(&world.system, 1000);
	netlink_reset_check(&world.reset);
	assert_false(is_reset());
	world.answering = false;
	netlink_reset_check(&world.reset);
	assert_true(is_reset());
}

static void an_unknown_device_is_waited_for_until_a_deadline(void **state)
{
	(void) state;
	world.unknown = true;
	netlink_reset_check(&world.reset);
	virtual_env_pass(&world.system, 299);
	assert_false(is_reset());
	virtual_env_pass(&world.system, 1);
	assert_true(is_reset());
}

static void the_reset_waits_for_a_pause_of_the_commands(void **state)
{
	(void) state;
	for (int i = 0; i < 4; i++) {
		netlink_reset_note_command(&world.reset);
		netlink_reset_check(&world.reset);
		virtual_env_pass(&world.system, 200);
		assert_false(is_reset());
	}
	virtual_env_pass(&world.system, 300);
	virtual_env_pass(&world.system, 300);
	assert_true(is_reset());
}

/* The reset would end it with EINTR before it was seen. */
static void a_command_that_is_not_read_yet_comes_first(void **state)
{
	char byte = 0;

	(void) state;
	assert_int_equal(write(world.netlink[1], &byte, 1), 1);
	netlink_reset_check(&world.reset);
	assert_false(is_reset());
	assert_int_equal(read(world.netlink[0], &byte, 1), 1);
	virtual_env_pass(&world.system, 299);
	assert_false(is_reset());
	virtual_env_pass(&world.system, 1);
	assert_true(is_reset());
}

static void commands_that_never_pause_do_not_prevent_it(void **state)
{
	unsigned ms = 0;

	(void) state;
	for (; !is_reset() && ms < 10000; ms += 100) {
		netlink_reset_note_command(&world.reset);
		netlink_reset_check(&world.reset);
		virtual_env_pass(&world.system, 100);
	}
	assert_in_range(ms, 5000, 5500);
}

/* Each creation waits for a backend that hangs, and the next one comes before it is refused. A
 * deletion that the dead daemon has left would wait for ever. */
static void creations_that_never_end_do_not_prevent_it(void **state)
{
	unsigned ms = 0;

	(void) state;
	world.answering = true;
	for (; !is_reset() && ms < 60000; ms += 100)
		virtual_env_pass(&world.system, 100);
	assert_in_range(ms, OPEN_TIMEOUT_MS + 1000, OPEN_TIMEOUT_MS + 1100);
	assert_false(world.reset.wanted);
}

static void a_clock_that_goes_back_does_no_harm(void **state)
{
	(void) state;
	virtual_env_pass(&world.system, 200);
	netlink_reset_note_command(&world.reset);
	netlink_reset_check(&world.reset);
	world.system.now -= 150 * 1000;
	netlink_reset_check(&world.reset);
	assert_false(is_reset());
	for (unsigned ms = 0; !is_reset() && ms < 2000; ms += 100)
		virtual_env_pass(&world.system, 100);
	assert_true(is_reset());
}

static void a_cancelled_reset_is_not_done(void **state)
{
	(void) state;
	netlink_reset_note_command(&world.reset);
	netlink_reset_check(&world.reset);
	netlink_reset_cancel(&world.reset);
	virtual_env_pass(&world.system, 10000);
	netlink_reset_check(&world.reset);
	assert_false(is_reset());
}

static void a_removal_is_answered_if_the_kernel_still_has_the_device(void **state)
{
	(void) state;
	netlink_reset_cancel(&world.reset);
	netlink_reset_answer_late(&world.reset, &disk, 4, 7);
	virtual_env_pass(&world.system, 200);
	assert_int_equal(world.answers, 0);
	assert_int_equal(world.dropped, 1);
	world.exists = true;
	netlink_reset_answer_late(&world.reset, &disk, 4, 7);
	virtual_env_pass(&world.system, 199);
	assert_int_equal(world.answers, 0);
	virtual_env_pass(&world.system, 1);
	assert_int_equal(world.answers, 1);
	/* one that is pending at the end is dropped by the teardown */
	netlink_reset_answer_late(&world.reset, &disk, 4, 7);
}

/* The kernel has one command of a device: an answer to an earlier one would lose it. */
static void a_command_that_was_replaced_or_reset_is_not_owed(void **state)
{
	struct netlink_owed owed = {0};
	enum tcmu_event_kind kind;
	uint32_t id;

	(void) state;
	netlink_owed_init(&owed);
	netlink_owed_add(&owed, TCMU_EVENT_RECONFIG, 7);
	netlink_owed_add(&owed, TCMU_EVENT_RECONFIG, 8);
	netlink_owed_add(&owed, TCMU_EVENT_REMOVED, 7);
	assert_false(netlink_owed_take(&owed, TCMU_EVENT_RECONFIG, 7));
	assert_true(netlink_owed_take(&owed, TCMU_EVENT_REMOVED, 7));
	assert_true(netlink_owed_any(&owed, &kind, &id));
	assert_true(kind == TCMU_EVENT_RECONFIG && id == 8);
	world.reset.owed = &owed;
	netlink_reset_run(&world.reset);
	assert_true(is_reset());
	assert_false(netlink_owed_take(&owed, TCMU_EVENT_RECONFIG, 8));
	netlink_owed_clear(&owed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_commands_the_reset_is_immediate),
		TEST(a_creation_that_is_being_answered_comes_first),
		TEST(an_unknown_device_is_waited_for_until_a_deadline),
		TEST(the_reset_waits_for_a_pause_of_the_commands),
		TEST(a_command_that_is_not_read_yet_comes_first),
		TEST(commands_that_never_pause_do_not_prevent_it),
		TEST(creations_that_never_end_do_not_prevent_it),
		TEST(a_clock_that_goes_back_does_no_harm),
		TEST(a_cancelled_reset_is_not_done),
		TEST(a_removal_is_answered_if_the_kernel_still_has_the_device),
		TEST(a_command_that_was_replaced_or_reset_is_not_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
