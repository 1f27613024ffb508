/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports to the service manager; without one nothing happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log-fixture.h"
#include "program/notify.h"

static int manager;

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void) state;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("notify"));
	if (manager < 0 || bind(manager, (const struct sockaddr *) &address, sizeof(address)) < 0)
		return -1;
	return setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static int teardown(void **state)
{
	(void) state;
	(void) close(manager);
	(void) unsetenv("NOTIFY_SOCKET");
	(void) unsetenv("WATCHDOG_USEC");
	(void) unsetenv("WATCHDOG_PID");
	fixture_remove_directory();
	return 0;
}

static void manager_got(const char *expected)
{
	char text[512] = "";
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	if (!expected)
		assert_true(n < 0 && errno == EAGAIN);
	else
		assert_string_equal(text, expected);
}

static void the_service_manager_gets_the_reports(void **state)
{
	(void) state;
	notify_ready();
	manager_got("READY=1");
	notify_stopping();
	manager_got("STOPPING=1");
}

static void a_status_is_sent_only_when_it_has_changed(void **state)
{
	(void) state;
	notify_status("Serving %d devices", 2);
	manager_got("STATUS=Serving 2 devices");
	notify_status("Serving %d devices", 2);
	manager_got(NULL);
	notify_status("Serving %d devices", 3);
	manager_got("STATUS=Serving 3 devices");
}

static void the_event_loop_feeds_the_watchdog(void **state)
{
	sd_event *event = NULL;
	char pid[16];

	(void) state;
	(void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "20000", 1), 0);
	assert_true(sd_event_new(&event) >= 0);
	assert_true(notify_watchdog(event) > 0);
	manager_got("WATCHDOG=1");
	assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	manager_got("WATCHDOG=1");
	sd_event_unref(event);
}

static void without_a_manager_nothing_happens(void **state)
{
	sd_event *event = NULL;

	(void) state;
	(void) unsetenv("NOTIFY_SOCKET");
	notify_ready();
	notify_status("x");
	notify_stopping();
	manager_got(NULL);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(notify_watchdog(event), 0);
	sd_event_unref(event);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_service_manager_gets_the_reports),
		TEST(a_status_is_sent_only_when_it_has_changed),
		TEST(the_event_loop_feeds_the_watchdog),
		TEST(without_a_manager_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
