/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a device that has failed has a problem in each state, until it is served again; and
 * has none where an administrator reopens a device that is well. How soon it is opened again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "device-world.h"
#include "device/state.h"

#define RETRY_MS      2000
#define RETRY_MAX_MS  60000
#define SERVED_MS     10000
#define REOPEN_MS     1000
#define REOPEN_MAX_MS 8000

static bool failed;     /* and is not served since then */
static unsigned visits; /* 1 << enum device_state: what was seen since then */

/* Each time that the status may have changed. */
static void check_problem(void)
{
	enum device_state state = device_state(world.device);
	struct device_status status;

	device_get_status(world.device, &status);
	visits |= 1u << state;
	if (state == DEVICE_LIVE)
		failed = false;
	if (state == DEVICE_FAULTED || (state == DEVICE_FAILED && world.open_result))
		failed = true;
	if (failed != (status.problem != NULL))
		fail_msg(
			"%s: %s", device_state_name(state),
			status.problem ? status.problem : "no problem");
}

static void run_jobs(void)
{
	check_problem();
	world_run_jobs();
	check_problem();
}

static void pass_time(unsigned ms)
{
	world_pass_time(ms);
	run_jobs();
}

static void start(enum device_origin origin)
{
	failed = false;
	visits = 0;
	world.forgotten = false;
	world.added = UNANSWERED;
	world.attributes.configured = origin == DEVICE_ORIGIN_FOUND;
	world.on_changed = check_problem;
	world_start(origin, false);
}

static void attach(void)
{
	run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_ATTACHING);
	world_signal(IO_SIGNAL_ATTACHED);
	run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
}

static void serve(void)
{
	start(DEVICE_ORIGIN_ADDED);
	attach();
	visits = 0;
}

static void end_thread(void)
{
	world_signal(IO_SIGNAL_ENDED);
	run_jobs();
}

static void delete_it(void)
{
	world.on_changed = NULL;
	world.removed = UNANSWERED;
	device_removed(world.device, 7);
	if (fake_io_thread.exists)
		world_signal(IO_SIGNAL_ENDED);
	world_run_jobs();
	assert_true(world.forgotten);
}

static void assert_visited(unsigned states)
{
	assert_int_equal(visits & states, states);
}

#define AT(state) (1u << DEVICE_##state)

static void a_retry_shows_the_problem_of_the_last_one(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start(DEVICE_ORIGIN_FOUND);
	run_jobs();
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	visits = 0;
	pass_time(RETRY_MS);
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	world.open_result = 0;
	world_pass_time(2 * RETRY_MS);
	attach();
	assert_visited(AT(FAILED) | AT(OPENING) | AT(ATTACHING) | AT(LIVE));
	delete_it();
}

static void a_reopen_by_hand_shows_the_problem_until_it_succeeds(void **state)
{
	(void) state;
	world.open_result = -EIO;
	start(DEVICE_ORIGIN_FOUND);
	run_jobs();
	world.open_result = 0;
	visits = 0;
	assert_int_equal(device_reopen(world.device), 0);
	attach();
	assert_visited(AT(OPENING) | AT(ATTACHING) | AT(LIVE));
	delete_it();
}

static void a_ring_that_breaks_is_a_problem_until_it_is_mapped_again(void **state)
{
	(void) state;
	serve();
	failed = true;
	world_signal(IO_SIGNAL_RING_BROKEN);
	end_thread();
	world_pass_time(RETRY_MS);
	attach();
	assert_visited(AT(FAILING) | AT(CLOSING) | AT(FAILED) | AT(OPENING) | AT(LIVE));
	delete_it();
}

static void a_backend_that_fails_is_a_problem_until_it_is_open_again(void **state)
{
	(void) state;
	serve();
	failed = true;
	device_host.event(&world.device->host_device, TCMU_BACKEND_FAILED, -EIO);
	world_run_post();
	assert_int_equal(device_state(world.device), DEVICE_FAULTED);
	assert_int_equal(device_reopen(world.device), 0);
	end_thread();
	world_pass_time(0);
	attach();
	assert_visited(AT(FAULTED) | AT(CLOSING) | AT(FAILED) | AT(OPENING) | AT(LIVE));
	delete_it();
}

static void a_reopen_of_a_device_that_is_well_shows_none(void **state)
{
	(void) state;
	serve();
	assert_int_equal(device_reopen(world.device), 0);
	end_thread();
	world_pass_time(0);
	attach();
	assert_false(failed);
	assert_visited(AT(FAILING) | AT(CLOSING) | AT(OPENING) | AT(LIVE));
	delete_it();
}

/* The ring breaks; the device is opened again after the pause, and not before. */
static void break_and_open_again(unsigned pause_ms)
{
	failed = true;
	world_signal(IO_SIGNAL_RING_BROKEN);
	end_thread();
	pass_time(pause_ms - 1);
	assert_int_equal(device_state(world.device), DEVICE_FAILED);
	world_pass_time(1);
	attach();
}

static void a_device_that_breaks_when_it_is_served_is_opened_less_and_less_often(void **state)
{
	(void) state;
	serve();
	for (unsigned pause = RETRY_MS; pause < RETRY_MAX_MS; pause *= 2)
		break_and_open_again(pause);
	break_and_open_again(RETRY_MAX_MS);
	pass_time(SERVED_MS - 1);
	break_and_open_again(RETRY_MAX_MS);
	pass_time(SERVED_MS);
	break_and_open_again(RETRY_MS);
	delete_it();
}

/* The backend fails; it is open again after the pause, and not before. */
static void fail_and_reopen(unsigned pause_ms)
{
	unsigned opens = world.opens;

	failed = true;
	device_host.event(&world.device->host_device, TCMU_BACKEND_FAILED, -EIO);
	world_run_post();
	assert_int_equal(device_state(world.device), DEVICE_FAULTED);
	fake_io_thread.idle = true;
	world_signal(IO_SIGNAL_IDLE);
	run_jobs();
	if (pause_ms) {
		pass_time(pause_ms - 1);
		assert_int_equal(world.opens, opens);
		pass_time(1);
	}
	assert_int_equal(world.opens, opens + 1);
	assert_int_equal(device_state(world.device), DEVICE_LIVE);
	fake_io_thread.idle = false;
}

static void a_backend_that_fails_when_it_is_open_is_reopened_less_and_less_often(void **state)
{
	(void) state;
	world.handler_flags = TCMU_HANDLER_REOPENS;
	serve();
	fail_and_reopen(0);
	for (unsigned pause = REOPEN_MS; pause < REOPEN_MAX_MS; pause *= 2)
		fail_and_reopen(pause);
	fail_and_reopen(REOPEN_MAX_MS);
	pass_time(SERVED_MS - 1);
	fail_and_reopen(REOPEN_MAX_MS);
	pass_time(SERVED_MS);
	fail_and_reopen(0);
	fail_and_reopen(REOPEN_MS);
	delete_it();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_retry_shows_the_problem_of_the_last_one),
		TEST(a_reopen_by_hand_shows_the_problem_until_it_succeeds),
		TEST(a_ring_that_breaks_is_a_problem_until_it_is_mapped_again),
		TEST(a_backend_that_fails_is_a_problem_until_it_is_open_again),
		TEST(a_reopen_of_a_device_that_is_well_shows_none),
		TEST(a_device_that_breaks_when_it_is_served_is_opened_less_and_less_often),
		TEST(a_backend_that_fails_when_it_is_open_is_reopened_less_and_less_often),
	};

	return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
