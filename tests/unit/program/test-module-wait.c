/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon without its kernel module waits for it, says so once for each reason, and then serves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "program/module-wait.h"

#define FIRST_US UINT64_C(1000)

static sd_event *event;
static struct mailbox *mailbox;
static struct module_wait *module_wait;
static atomic_uint loads;
static unsigned serves, reports;
static int last_report;
static atomic_bool held;
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;

/* The results of the attempts: twice the same error, another one, then success. */
static const int results[] = {-ENOENT, -ENOENT, -EPERM, 0, 0};

static int load_module(void)
{
	unsigned at = atomic_fetch_add(&loads, 1);

	assert_false(thread_is_main());
	if (atomic_load(&held)) {
		pthread_mutex_lock(&hold);
		pthread_mutex_unlock(&hold);
	}
	return results[at < 4 ? at : 4];
}

/* The kernel's events cannot be received at once. */
static int serve_all(void *userdata)
{
	assert_ptr_equal(userdata, &serves);
	assert_true(thread_is_main());
	return serves++ == 0 ? -ESRCH : 0;
}

static void on_waiting(void *userdata, int error)
{
	assert_ptr_equal(userdata, &serves);
	reports++;
	last_report = error;
}

static int begin_wait(int error)
{
	struct module_wait_setup setup = {
		.event = event,
		.mailbox = mailbox,
		.load = load_module,
		.serve = serve_all,
		.waiting = on_waiting,
		.userdata = &serves,
		.first_usec = FIRST_US,
	};

	return module_wait_new(&setup, error, &module_wait);
}

static int setup(void **state)
{
	(void) state;
	atomic_store(&loads, 0);
	serves = reports = 0;
	return sd_event_new(&event) < 0 || mailbox_new(event, 0, &mailbox) < 0;
}

static int teardown(void **state)
{
	(void) state;
	mailbox_free(mailbox);
	sd_event_unref(event);
	return 0;
}

static void it_serves_once_the_module_is_there(void **state)
{
	(void) state;
	assert_int_equal(begin_wait(-ENOENT), 0);
	assert_int_equal(reports, 1);
	assert_int_equal(last_report, -ENOENT);
	while (serves < 2)
		assert_true(sd_event_run(event, 10 * UINT64_C(1000000)) > 0);
	assert_int_equal(atomic_load(&loads), 5);
	assert_int_equal(reports, 3); /* ENOENT, EPERM, ESRCH: each once */
	assert_int_equal(last_report, -ESRCH);
	assert_int_equal(sd_event_run(event, 50000), 0);
	module_wait_free(module_wait);
}

/* The disk of the modules may hang. */
static void it_can_be_given_up_while_the_module_is_being_loaded(void **state)
{
	(void) state;
	pthread_mutex_lock(&hold);
	atomic_store(&held, true);
	assert_int_equal(begin_wait(-ENOENT), 0);
	while (atomic_load(&loads) == 0)
		assert_true(sd_event_run(event, 10000) >= 0);
	module_wait_free(module_wait);
	atomic_store(&held, false);
	pthread_mutex_unlock(&hold);
	assert_true(sd_event_run(event, 10 * UINT64_C(1000000)) > 0); /* the job's end */
	assert_int_equal(serves, 0);
	module_wait_free(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_serves_once_the_module_is_there),
		TEST(it_can_be_given_up_while_the_module_is_being_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
