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
	notify_end();
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
	assert_true(notify_start(event) > 0);
	manager_got("WATCHDOG=1");
	assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	manager_got("WATCHDOG=1");
	notify_end();
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
	assert_int_equal(notify_start(event), 0);
	notify_end();
	sd_event_unref(event);
}

/* As a service manager that hangs: nothing more fits. Returns how many datagrams did. */
static unsigned fill_queue(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unsigned cnt = 0;

	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", getenv("NOTIFY_SOCKET"));
	while (sendto(fd, "X=1", 3, 0, (const struct sockaddr *) &address, sizeof(address)) == 3)
		cnt++;
	assert_int_equal(errno, EAGAIN);
	(void) close(fd);
	return cnt;
}

static void empty_queue(unsigned cnt)
{
	while (cnt--)
		manager_got("X=1");
}

/* A function that waits for the service manager ends here, by SIGALRM. */
static void a_manager_that_hangs_delays_nothing_and_misses_nothing(void **state)
{
	sd_event *event = NULL;
	unsigned cnt;

	(void) state;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(notify_start(event), 0);
	cnt = fill_queue();
	(void) alarm(5);
	notify_ready();
	notify_status("Serving %d devices", 1);
	notify_status("Serving %d devices", 7);
	notify_stopping();
	empty_queue(cnt);
	assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	(void) alarm(0);
	manager_got("READY=1\nSTOPPING=1\nSTATUS=Serving 7 devices");
	assert_int_equal(sd_event_run(event, 0), 0);
	manager_got(NULL);
	notify_end();
	sd_event_unref(event);
}

static void a_manager_that_hangs_does_not_stop_the_watchdog(void **state)
{
	sd_event *event = NULL;
	unsigned cnt = fill_queue();

	(void) state;
	(void) alarm(5);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "20000", 1), 0);
	assert_true(sd_event_new(&event) >= 0);
	assert_true(notify_start(event) > 0);
	assert_true(sd_event_run(event, UINT64_MAX) >= 0); /* the next sign of life is due */
	empty_queue(cnt);
	assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	(void) alarm(0);
	manager_got("WATCHDOG=1");
	notify_end();
	sd_event_unref(event);
}

static void what_is_left_at_the_end_is_tried_once_more(void **state)
{
	unsigned cnt = fill_queue();

	(void) state;
	(void) alarm(5);
	notify_stopping();
	empty_queue(cnt);
	notify_end();
	(void) alarm(0);
	manager_got("STOPPING=1");
}

static void an_abstract_name_is_understood(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];

	(void) state;
	(void) close(manager);
	(void) snprintf(name, sizeof(name), "@tcmud-test-notify-%d", (int) getpid());
	memcpy(address.sun_path, name, strlen(name));
	address.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(
		bind(manager, (const struct sockaddr *) &address,
		     (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(name))),
		0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	notify_ready();
	manager_got("READY=1");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_service_manager_gets_the_reports),
		TEST(a_status_is_sent_only_when_it_has_changed),
		TEST(the_event_loop_feeds_the_watchdog),
		TEST(without_a_manager_nothing_happens),
		TEST(a_manager_that_hangs_delays_nothing_and_misses_nothing),
		TEST(a_manager_that_hangs_does_not_stop_the_watchdog),
		TEST(what_is_left_at_the_end_is_tried_once_more),
		TEST(an_abstract_name_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
