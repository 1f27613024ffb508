/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to the cluster that never return: the daemon waits for none of them for ever.
 */
#include "rbd-fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "duration.h"

/* handlers/rbd/fence/bound.h: a step of a limit. */
extern atomic_uint bound_step_ms;

#define STEP_MS 250

/* The limits are 8 s and more, in steps; they pass quickly once a call hangs. */
#define LIMIT 4 /* seconds */

static void shorten_steps(void)
{
	atomic_store(&bound_step_ms, 1);
}

static int setup_steps(void **state)
{
	int r = rbd_setup(state);

	atomic_store(&bound_step_ms, STEP_MS);
	fake_rbd.on_hang = shorten_steps;
	return r;
}

/* The calls that hang go on to do so. */
static void restore_steps(void)
{
	atomic_store(&bound_step_ms, STEP_MS);
}

static void open_shared(struct fake_host *host)
{
	assert_int_equal(fake_open(host, "rbd/disk;osd_op_timeout=1", SIZE, BLOCK), 0);
}

static void wait_given_up(struct fake_host *host, unsigned cnt)
{
	uint64_t until = clock_now_ns() + 10 * CLOCK_NS_PER_SEC;

	while (host->handler->given_up() != cnt && clock_now_ns() < until)
		(void) poll(NULL, 0, 1);
	assert_int_equal(host->handler->given_up(), cnt);
}

static void let_go(struct fake_host *host)
{
	restore_steps();
	atomic_store(&fake_rbd.hang, NULL);
	wait_given_up(host, 0);
}

/* ------- calls of an open image ------- */

static int call_lock(struct fake_host *host)
{
	strcpy(fake_rbd.lock_holder, "client.77");
	strcpy(fake_rbd.records, "10.0.0.1:0/5=past ");
	return fake_lock(host, 1);
}

static int call_unlock(struct fake_host *host)
{
	return fake_unlock(host);
}

static int call_state(struct fake_host *host)
{
	uint16_t tag;
	bool ours;

	return fake_lock_state(host, &ours, &tag);
}

static int call_resize(struct fake_host *host)
{
	return fake_resize(host, "rbd/disk", SIZE);
}

/* The image is reopened over a new connection, while the call still hangs. */
static void a_call_that_never_returns_is_left(void **state)
{
	static const struct {
		int (*call)(struct fake_host *host);
		const char *hang;
		bool locked; /* before */
	} calls[] = {
		{call_lock, "rbd_lock_break", false},
		{call_lock, "rados_mon_command", false},
		{call_lock, "rados_wait_for_latest_osdmap", false},
		{call_lock, "rbd_metadata_list", false},
		{call_lock, "rbd_lock_acquire", false},
		{call_lock, "rados_exec", false},
		{call_unlock, "rados_exec", true},
		{call_unlock, "rbd_lock_release", true},
		{call_state, "rbd_lock_get_owners", true},
		{call_resize, "rbd_get_size", false},
	};
	struct fake_host *host = *state;
	bool reopens;

	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct duration began = duration_start();

		fake_rbd.records[0] = fake_rbd.blocklist[0] = '\0';
		atomic_store(&fake_rbd.lock_ours, false);
		fake_rbd.killed = false;
		open_shared(host);
		if (calls[i].locked)
			assert_int_equal(fake_lock(host, 1), 0);
		atomic_store(&fake_rbd.hang, calls[i].hang);
		assert_int_equal(calls[i].call(host), -ESHUTDOWN);
		assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
		assert_non_null(strstr(fake_reported(host).log, "does not answer"));
		assert_true(fake_rbd.killed);
		assert_true(atomic_load(&fake_rbd.hanging) > 0);
		assert_int_equal(host->handler->given_up(), 0);
		fake_close(host);
		assert_int_equal(host->handler->given_up(), 1);
		assert_non_null(strstr(fake_reported(host).log, "given up"));
		duration_assert(&began, LIMIT);
		restore_steps();
		/* it does not hang itself */
		reopens = calls[i].call != call_resize && strcmp(calls[i].hang, "rados_exec") != 0;
		if (reopens)
			open_shared(host);
		let_go(host);
		if (reopens)
			fake_close(host);
	}
}

/* It has no lease; it is ended all the same. */
static void an_image_without_the_feature_is_ended_too(void **state)
{
	struct fake_host *host = *state;
	struct duration began;

	fake_rbd.features = 0;
	assert_int_equal(fake_open(host, "rbd/disk;osd_op_timeout=1", SIZE, BLOCK), 0);
	atomic_store(&fake_rbd.hang, "rbd_get_size");
	assert_int_equal(call_resize(host), -ESHUTDOWN);
	assert_true(fake_rbd.killed);
	began = duration_start();
	fake_close(host);
	duration_assert(&began, LIMIT);
	assert_int_equal(host->handler->given_up(), 1);
	let_go(host);
}

/* ------- the image thread ------- */

/* It adds a missing entry and waits for the map when the lease passes. */
static void a_close_does_not_wait_for_the_check_of_entries(void **state)
{
	struct fake_host *host = *state;
	struct duration began;

	open_shared(host);
	strcpy(fake_rbd.records, "10.0.0.1:0/5=past ");
	assert_int_equal(fake_lock(host, 1), 0);
	assert_non_null(strstr(fake_rbd.records, "client.4100=holder"));
	atomic_store(&fake_rbd.hang, "rados_wait_for_latest_osdmap");
	while (!atomic_load(&fake_rbd.hanging)) {
		fake_rbd_clear_blocklist();
		(void) poll(NULL, 0, 10);
	}
	host->handler->abandon(fake_backend_of(host));
	began = duration_start();
	fake_close(host);
	duration_assert(&began, LIMIT);
	assert_int_equal(host->handler->given_up(), 1);
	restore_steps();
	/* the next connection says that it has ended */
	open_shared(host);
	assert_null(strstr(fake_rbd.records, "client.4100"));
	let_go(host);
}

/* ------- open, check, close ------- */

static void an_open_that_never_returns_is_left(void **state)
{
	static const char *const hangs[] = {
		"rados_connect", "rados_ioctx_create", "rbd_open", "rbd_stat"};
	struct fake_host *host = *state;

	for (unsigned i = 0; i < sizeof(hangs) / sizeof(hangs[0]); i++) {
		struct duration began = duration_start();

		atomic_store(&fake_rbd.hang, hangs[i]);
		assert_int_equal(fake_open(host, "rbd/disk", SIZE, BLOCK), -ETIMEDOUT);
		assert_non_null(strstr(host->reason.text, "does not answer"));
		duration_assert(&began, LIMIT);
		assert_int_equal(host->handler->given_up(), 1);
		let_go(host);
	}
	assert_true(fake_rbd_is_idle());
	atomic_store(&fake_rbd.hang, "rbd_open_read_only");
	assert_int_equal(fake_check(host, "rbd/disk", SIZE, BLOCK), -ETIMEDOUT);
	assert_int_equal(host->handler->given_up(), 1);
	let_go(host);
	assert_int_equal(fake_reported(host).events, 0);
}

static void a_close_that_never_returns_is_left(void **state)
{
	static const char *const hangs[] = {"rbd_close", "rados_shutdown"};
	struct fake_host *host = *state;

	for (unsigned i = 0; i < sizeof(hangs) / sizeof(hangs[0]); i++) {
		struct duration began = duration_start();

		open_shared(host);
		atomic_store(&fake_rbd.hang, hangs[i]);
		fake_close(host);
		duration_assert(&began, LIMIT);
		assert_int_equal(host->handler->given_up(), 1);
		restore_steps();
		open_shared(host);
		let_go(host);
		fake_close(host);
	}
}

/* ------- many records ------- */

/* More than one batch of metadata, and a value of another key that is larger than one. */
static void every_former_holder_is_kept_out_with_one_wait(void **state)
{
	struct fake_host *host = *state;
	char text[64];
	size_t used = 0;

	open_shared(host);
	for (unsigned i = 100; i < 300; i++)
		used += (size_t) snprintf(
			fake_rbd.records + used, sizeof(fake_rbd.records) - used,
			"10.0.0.1:0/%u=past ", i);
	memset(fake_rbd.other_value, 'x', sizeof(fake_rbd.other_value) - 1);
	assert_int_equal(fake_lock(host, 1), 0);
	for (unsigned i = 100; i < 300; i++) {
		(void) snprintf(text, sizeof(text), "\"10.0.0.1:0/%u\"", i);
		assert_non_null(strstr(fake_rbd.blocklist, text));
	}
	assert_int_equal(atomic_load(&fake_rbd.map_waits), 1);
	assert_int_equal(fake_unlock(host), 0);
}

/* It would be part of a command of the monitors. */
static void a_record_of_no_address_is_none(void **state)
{
	struct fake_host *host = *state;

	open_shared(host);
	strcpy(fake_rbd.records, "10.0.0.1:0/5=past 10.0.0.2\",\"x\":\"=holder ");
	assert_int_equal(fake_lock(host, 1), 0);
	assert_non_null(strstr(fake_rbd.blocklist, "\"10.0.0.1:0/5\""));
	assert_null(strstr(fake_rbd.blocklist, "10.0.0.2"));
}

#define CALLS_TEST(function) cmocka_unit_test_setup_teardown(function, setup_steps, rbd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLS_TEST(a_call_that_never_returns_is_left),
		CALLS_TEST(an_image_without_the_feature_is_ended_too),
		CALLS_TEST(a_close_does_not_wait_for_the_check_of_entries),
		CALLS_TEST(an_open_that_never_returns_is_left),
		CALLS_TEST(a_close_that_never_returns_is_left),
		CALLS_TEST(every_former_holder_is_kept_out_with_one_wait),
		CALLS_TEST(a_record_of_no_address_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
