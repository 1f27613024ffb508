/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device until its I/O thread would start, in one thread: the clock, the timers, the jobs, the
 * kernel and the parent are the test's (device/env.h). A job runs when the test says so, and time
 * passes when it says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device/device.h"
#include "device/status.h"
#include "virtual-env.h"

#define UNANSWERED 1

static struct {
	struct virtual_env system;
	struct settings settings;
	struct device *device;
	struct device_attributes attributes;
	struct device *claimant; /* the answer to find_claimant */
	int open_result;
	unsigned opens, closes;
	int added, removed, reconfigured; /* the status, or UNANSWERED */
	bool forgotten;
} world;

static void run_job(void)
{
	virtual_env_run_job(&world.system);
}

static void run_post(void)
{
	virtual_env_run_post(&world.system);
}

static void pass_time(unsigned ms)
{
	virtual_env_pass(&world.system, ms);
}

/* ------- the kernel ------- */

static int world_scan_minor(
	const struct device_env *env, unsigned minor, struct tcmu_scan_entry *entry)
{
	(void) env;
	*entry = (struct tcmu_scan_entry){.minor = minor, .name = *device_name(world.device)};
	return 0;
}

static int world_read_attributes(
	const struct device_env *env, const struct tcmu_name *name, enum device_origin origin,
	uint64_t max_transfer, struct device_attributes *attributes, struct tcmu_reason *reason)
{
	(void) env, (void) name, (void) origin, (void) max_transfer, (void) reason;
	*attributes = world.attributes;
	return 0;
}

static void world_nothing(const struct device_env *env, const struct tcmu_name *name)
{
	(void) env, (void) name;
}

static void world_read_lu_info(
	const struct device_env *env, const struct tcmu_name *name, struct scsi_lu_info *lu_info)
{
	(void) env, (void) name;
	memset(lu_info, 0, sizeof(*lu_info));
}

static const struct env_kernel world_kernel = {
	.scan_minor = world_scan_minor,
	.read_attributes = world_read_attributes,
	.prepare = world_nothing,
	.block = world_nothing,
	.read_lu_info = world_read_lu_info,
};

/* ------- the parent ------- */

static void world_answer(struct device_env *env, enum tcmu_event_kind kind, uint32_t id, int status)
{
	int *answer = kind == TCMU_EVENT_ADDED ? &world.added
		: kind == TCMU_EVENT_REMOVED   ? &world.removed
					       : &world.reconfigured;

	(void) env;
	assert_int_equal(id, 7);
	assert_int_equal(*answer, UNANSWERED);
	assert_false(world.forgotten);
	*answer = status;
}

static struct device *world_find_claimant(
	struct device_env *env, const char *claim, const struct device *except)
{
	(void) env, (void) except;
	assert_string_equal(claim, "store");
	return world.claimant;
}

static void world_changed(struct device_env *env, struct device *device)
{
	(void) env, (void) device;
	assert_false(world.forgotten);
}

static void world_forget(struct device_env *env, struct device *device)
{
	(void) env;
	assert_int_equal(device_state(device), DEVICE_GONE);
	assert_false(world.forgotten);
	world.forgotten = true;
	device_release(device);
}

static const struct env_parent world_parent = {
	.answer = world_answer,
	.find_claimant = world_find_claimant,
	.changed = world_changed,
	.forget = world_forget,
};

/* ------- the handler ------- */

static int world_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) config, (void) reason;
	assert_true(size > sizeof("store"));
	strcpy(claim, "store");
	return 0;
}

static int world_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) config, (void) host, (void) dev, (void) reason;
	world.opens++;
	strcpy(info->claim, "store");
	*backend = world.open_result ? NULL : &world;
	return world.open_result;
}

static void world_close(void *backend)
{
	assert_ptr_equal(backend, &world);
	world.closes++;
}

static const struct tcmu_handler handler = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(handler),
	.subtype = "test",
	.claim = world_claim,
	.open = world_open,
	.close = world_close,
};

/* ------- tests ------- */

static struct device *new_device(enum device_origin origin)
{
	struct device_start start = {
		.name = {.hba = 1, .name = "disk", .subtype = "test", .config = "test/x"},
		.origin = origin,
		.id = 7,
		.handler = &handler};

	return device_new(&world.system.env, &start);
}

static int setup(void **state)
{
	(void) state;
	memset(&world, 0, sizeof(world));
	virtual_env_init(&world.system);
	world.system.env.kernel = &world_kernel;
	world.system.env.parent = &world_parent;
	world.system.env.settings = &world.settings;
	settings_defaults(&world.settings);
	world.attributes = (struct device_attributes){
		.size = 1 << 20, .block_size = 512, .max_sectors = 128, .replies = true, .id = 7};
	world.added = world.removed = world.reconfigured = UNANSWERED;
	return 0;
}

static void start(enum device_origin origin)
{
	world.device = new_device(origin);
	device_open(world.device);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
}

static int teardown(void **state)
{
	(void) state;
	assert_true(world.forgotten);
	virtual_env_assert_idle(&world.system);
	return 0;
}

static void a_refused_open_is_the_answer_to_the_creation(void **state)
{
	(void) state;
	world.open_result = -EACCES;
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	assert_int_equal(world.added, UNANSWERED);
	run_job();
	assert_int_equal(world.added, -EACCES);
	assert_int_equal(world.closes, 0);
}

/* The call ends from the event loop, as one that has failed: never within the action. */
static void a_job_without_a_thread_ends_as_a_failed_one(void **state)
{
	(void) state;
	world.system.no_threads = true;
	start(DEVICE_ORIGIN_ADDED);
	assert_int_equal(world.added, UNANSWERED);
	run_post();
	assert_int_equal(world.added, -EAGAIN);
	assert_int_equal(world.opens, 0);
}

static void a_late_open_is_answered_in_time_and_closed(void **state)
{
	(void) state;
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	pass_time(world.settings.open_timeout_ms);
	assert_int_equal(world.added, -ETIMEDOUT);
	assert_int_equal(device_state(world.device), DEVICE_ORPHANED);
	run_job();
	assert_int_equal(world.opens, 1);
	assert_false(world.forgotten);
	run_job();
	assert_int_equal(world.closes, 1);
}

/* A thread for the close is missing for a while. */
static void a_close_is_retried_until_it_has_a_thread(void **state)
{
	(void) state;
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	device_removed(world.device, 7);
	world.system.no_threads = true;
	run_job();
	for (int i = 0; i < 3; i++) {
		run_post();
		assert_false(world.forgotten);
		pass_time(100);
	}
	run_post();
	world.system.no_threads = false;
	pass_time(100);
	assert_int_equal(world.removed, UNANSWERED);
	run_job();
	assert_int_equal(world.closes, 1);
	assert_int_equal(world.removed, 0);
}

static void a_delete_while_opening_is_answered_within_the_deadline(void **state)
{
	(void) state;
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	device_removed(world.device, 7);
	assert_int_equal(device_state(world.device), DEVICE_DETACHED);
	pass_time(world.settings.reply_timeout_ms);
	assert_int_equal(world.removed, 0);
	assert_int_equal(device_state(world.device), DEVICE_ORPHANED);
	run_job();
	run_job();
	assert_int_equal(world.closes, 1);
}

static void a_failed_device_is_retried_and_deleted(void **state)
{
	(void) state;
	world.attributes.configured = true;
	world.open_result = -EIO;
	start(DEVICE_ORIGIN_FOUND);
	run_job();
	run_job();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	pass_time(2000);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	run_job();
	run_job();
	assert_int_equal(world.opens, 2);
	assert_int_equal(device_reopen(world.device), 0);
	assert_int_equal(device_state(world.device), DEVICE_OPENING);
	assert_int_equal(device_reopen(world.device), -EBUSY);
	run_job();
	run_job();
	assert_int_equal(world.opens, 3);
	device_removed(world.device, 7);
	assert_int_equal(world.removed, 0);
	assert_int_equal(world.added, UNANSWERED);
}

/* Another device that the kernel does not have any more: DETACHED, its open is in flight. */
static struct device *ending_device(struct job **opens)
{
	struct device *other = new_device(DEVICE_ORIGIN_FOUND);

	world.device = other;
	device_open(other);
	device_event(other, DEVICE_EV_STOP);
	assert_int_equal(device_state(other), DEVICE_DETACHED);
	*opens = world.system.job;
	world.system.job = NULL;
	return other;
}

static void end_device(struct job *opens)
{
	opens->work(opens);
	opens->done(opens);
	assert_true(world.forgotten);
	world.forgotten = false;
}

static void a_claim_that_is_given_up_is_waited_for(void **state)
{
	struct device_status status;
	struct job *opens;

	(void) state;
	world.claimant = ending_device(&opens);
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	device_get_status(world.device, &status);
	assert_string_equal(status.problem, "another device still uses its backing store");
	device_claim_changed(world.device);
	assert_null(world.system.job);
	end_device(opens);
	world.claimant = NULL;
	world.open_result = -EIO;
	device_claim_changed(world.device);
	run_job();
	assert_int_equal(world.opens, 1);
	assert_int_equal(world.added, -EIO);
}

static void a_delete_does_not_wait_for_a_claim(void **state)
{
	struct job *opens;

	(void) state;
	world.claimant = ending_device(&opens);
	start(DEVICE_ORIGIN_ADDED);
	run_job();
	device_removed(world.device, 7);
	assert_int_equal(world.removed, 0);
	assert_true(world.forgotten);
	world.forgotten = false;
	end_device(opens);
	world.forgotten = true;
}

static void an_early_change_is_answered_when_the_device_is_not_served(void **state)
{
	struct tcmu_event event = {
		.kind = TCMU_EVENT_RECONFIG,
		.device_id = 7,
		.reconfig = TCMU_RECONFIG_SIZE,
		.size = 1 << 20};

	(void) state;
	world.open_result = -EIO;
	start(DEVICE_ORIGIN_ADDED);
	device_reconfig(world.device, &event);
	assert_int_equal(world.reconfigured, UNANSWERED);
	run_job();
	run_job();
	assert_int_equal(world.reconfigured, -ENODEV);
}

static void a_creation_that_a_scan_has_found_is_adopted(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start(DEVICE_ORIGIN_FOUND);
	assert_false(device_is_known(world.device));
	run_job();
	assert_true(device_is_known(world.device));
	assert_true(device_owes_answer(world.device));
	run_job();
	assert_int_equal(world.added, -EIO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_refused_open_is_the_answer_to_the_creation),
		TEST(a_job_without_a_thread_ends_as_a_failed_one),
		TEST(a_late_open_is_answered_in_time_and_closed),
		TEST(a_close_is_retried_until_it_has_a_thread),
		TEST(a_delete_while_opening_is_answered_within_the_deadline),
		TEST(a_failed_device_is_retried_and_deleted),
		TEST(a_claim_that_is_given_up_is_waited_for),
		TEST(a_delete_does_not_wait_for_a_claim),
		TEST(an_early_change_is_answered_when_the_device_is_not_served),
		TEST(a_creation_that_a_scan_has_found_is_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
