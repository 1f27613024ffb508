/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: for root only, one request at a time, and no client can block the daemon or
 * use up its memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log-fixture.h"
#include "rpc/control-socket.h"

#define PENDING_MAX 40

static sd_event *event;
static struct control_socket *control;
static struct control_client *pending[PENDING_MAX];
static unsigned pending_cnt;
static char last_request[CONTROL_SOCKET_REQUEST_MAX + 1];
static size_t last_length;
static uid_t pretended;

/* Credentials as the test wants them; (uid_t) -1: the real ones. */
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int r = __real_getsockopt(fd, level, name, value, size);

	if (r == 0 && level == SOL_SOCKET && name == SO_PEERCRED && pretended != (uid_t) -1)
		((struct ucred *) value)->uid = pretended;
	return r;
}

/* "later" is answered by the test; "big" with a megabyte; all else at once, with itself. */
static void on_request(
	void *userdata, struct control_client *client, const char *request, size_t length)
{
	char *text;

	(void) userdata;
	memcpy(last_request, request, length);
	last_request[length] = '\0';
	last_length = length;
	if (strcmp(last_request, "later") == 0) {
		pending[pending_cnt++] = client;
		return;
	}
	text = strdup(last_request);
	if (strcmp(last_request, "big") == 0) {
		free(text);
		text = malloc((1 << 20) + 1);
		memset(text, 'x', 1 << 20);
		text[1 << 20] = '\0';
	}
	control_socket_reply(client, text);
}

static int setup(void **state)
{
	(void) state;
	(void) fixture_directory();
	pretended = (uid_t) -1;
	pending_cnt = 0;
	assert_true(sd_event_new(&event) >= 0);
	return control_socket_new(event, fixture_path("control"), on_request, NULL, &control);
}

static int teardown(void **state)
{
	(void) state;
	control_socket_free(control);
	control = NULL;
	for (unsigned i = 0; i < pending_cnt; i++)
		control_socket_reply(pending[i], strdup("late"));
	assert_int_equal(access(fixture_path("control"), F_OK), -1);
	event = sd_event_unref(event);
	fixture_remove_directory();
	return 0;
}

/* Runs the event loop until it is idle. */
static void run_event_loop(void)
{
	while (sd_event_run(event, 20000) > 0)
		;
}

static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("control"));
	assert_int_equal(connect(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	run_event_loop();
}

static void assert_receives(int fd, const char *wanted)
{
	char text[256] = "";
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_int_equal(n, strlen(wanted));
	assert_string_equal(text, wanted);
}

static void is_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	assert_int_equal(close(fd), 0);
}

static void only_its_user_can_open_the_socket(void **state)
{
	struct stat status;

	(void) state;
	assert_int_equal(stat(fixture_path("control"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void another_user_is_refused(void **state)
{
	int fd;

	(void) state;
	pretended = geteuid() + 1;
	fd = connect_client();
	run_event_loop();
	is_closed(fd);
}

static void root_and_our_own_user_are_served(void **state)
{
	const uid_t users[] = {0, geteuid()};

	(void) state;
	for (int i = 0; i < 2; i++) {
		int fd;

		pretended = users[i];
		fd = connect_client();
		send_text(fd, "hello\n");
		assert_receives(fd, "hello\n");
		assert_int_equal(close(fd), 0);
	}
}

static void requests_follow_each_other(void **state)
{
	int fd = connect_client();

	(void) state;
	send_text(fd, "one\n");
	assert_receives(fd, "one\n");
	send_text(fd, "tw");
	send_text(fd, "o\n");
	assert_receives(fd, "two\n");
	assert_int_equal(close(fd), 0);
}

static void a_second_request_before_the_answer_ends_the_connection(void **state)
{
	int fd = connect_client();

	(void) state;
	send_text(fd, "one\ntwo\n");
	is_closed(fd);
}

static void a_line_without_an_end_is_not_kept(void **state)
{
	char *text = calloc(1, CONTROL_SOCKET_REQUEST_MAX + 1);
	int fd = connect_client();

	(void) state;
	memset(text, 'a', CONTROL_SOCKET_REQUEST_MAX);
	send_text(fd, text);
	is_closed(fd);
	free(text);
}

static void the_longest_line_is_taken(void **state)
{
	char *text = calloc(1, CONTROL_SOCKET_REQUEST_MAX + 1);
	int fd = connect_client();

	(void) state;
	memset(text, 'a', CONTROL_SOCKET_REQUEST_MAX - 1);
	text[CONTROL_SOCKET_REQUEST_MAX - 1] = '\n';
	send_text(fd, text);
	assert_int_equal(last_length, CONTROL_SOCKET_REQUEST_MAX - 1);
	assert_int_equal(close(fd), 0);
	free(text);
}

static void an_answer_may_come_later(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void) state;
	send_text(fd, "later\n");
	send_text(other, "now\n");
	assert_receives(other, "now\n");
	control_socket_reply(pending[--pending_cnt], strdup("at last"));
	run_event_loop();
	assert_receives(fd, "at last\n");
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(other), 0);
}

static void a_client_may_leave_before_the_answer(void **state)
{
	int fd = connect_client();

	(void) state;
	send_text(fd, "later\n");
	assert_int_equal(close(fd), 0);
	run_event_loop();
	control_socket_reply(pending[--pending_cnt], strdup("nobody hears it"));
	run_event_loop();
	fd = connect_client();
	send_text(fd, "still there\n");
	assert_receives(fd, "still there\n");
	assert_int_equal(close(fd), 0);
}

static void an_answer_may_come_after_the_socket_is_freed(void **state)
{
	int fd = connect_client();

	(void) state;
	send_text(fd, "later\n"); /* answered by teardown(), after control_socket_free() */
	assert_int_equal(close(fd), 0);
}

static void no_memory_for_an_answer_ends_the_connection(void **state)
{
	int fd = connect_client();

	(void) state;
	send_text(fd, "later\n");
	control_socket_reply(pending[--pending_cnt], NULL);
	run_event_loop();
	is_closed(fd);
}

static void a_client_that_does_not_read_delays_no_other(void **state)
{
	int deaf = connect_client(), fd = connect_client();
	size_t got = 0;
	ssize_t n;

	(void) state;
	send_text(deaf, "big\n");
	send_text(fd, "hello\n");
	assert_receives(fd, "hello\n");
	do {
		char buffer[65536];

		n = recv(deaf, buffer, sizeof(buffer), MSG_DONTWAIT);
		got += n > 0 ? (size_t) n : 0;
		run_event_loop();
	} while (n > 0);
	assert_int_equal(got, (1 << 20) + 1);
	assert_int_equal(close(deaf), 0);
	assert_int_equal(close(fd), 0);
}

static void the_number_of_clients_is_limited(void **state)
{
	int fds[CONTROL_SOCKET_CLIENTS_MAX + 1];

	(void) state;
	for (unsigned i = 0; i <= CONTROL_SOCKET_CLIENTS_MAX; i++) {
		fds[i] = connect_client();
		run_event_loop();
	}
	is_closed(fds[CONTROL_SOCKET_CLIENTS_MAX]);
	assert_int_equal(close(fds[0]), 0);
	run_event_loop();
	fds[0] = connect_client();
	send_text(fds[0], "hello\n");
	assert_receives(fds[0], "hello\n");
	for (unsigned i = 0; i < CONTROL_SOCKET_CLIENTS_MAX; i++)
		assert_int_equal(close(fds[i]), 0);
}

/* The real limit: no number is left above those in use. */
static void take_all_descriptors(struct rlimit *before)
{
	struct rlimit limit;
	int next = dup(STDIN_FILENO);

	assert_int_equal(close(next), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	limit = *before;
	limit.rlim_cur = (rlim_t) next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(dup(STDIN_FILENO), -1);
	assert_int_equal(errno, EMFILE);
}

/* How often the event loop wakes up in half a second. */
static unsigned count_iterations(void)
{
	uint64_t now, end;
	unsigned cnt = 0;

	assert_true(sd_event_now(event, CLOCK_MONOTONIC, &now) >= 0);
	for (end = now + 500000; now < end; cnt++) {
		assert_true(sd_event_run(event, end - now) >= 0);
		assert_true(sd_event_now(event, CLOCK_MONOTONIC, &now) >= 0);
	}
	return cnt;
}

static void out_of_descriptors_one_client_is_served_and_the_others_wait(void **state)
{
	int fds[] = {connect_client(), connect_client(), connect_client()};
	char byte;
	struct rlimit before;

	(void) state;
	take_all_descriptors(&before);
	send_text(fds[0], "hello\n");
	assert_receives(fds[0], "hello\n");
	send_text(fds[1], "hello\n");
	assert_in_range(count_iterations(), 0, 10);
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	/* The descriptor of the client that leaves serves the next one. */
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(dup(STDIN_FILENO), fds[0]); /* the end of it that this test had */
	run_event_loop();
	assert_receives(fds[1], "hello\n");
	/* With more of them, all are served. */
	assert_int_equal(send(fds[2], "hello\n", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	while (recv(fds[2], &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
		assert_true(sd_event_run(event, 5 * UINT64_C(1000000)) > 0);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(close(fds[i]), 0);
}

static void the_socket_of_a_dead_daemon_is_replaced(void **state)
{
	struct control_socket *second = NULL;
	int fd;

	(void) state;
	/* As after a crash: the file exists, and no process listens. */
	assert_int_equal(
		control_socket_new(event, fixture_path("control"), on_request, NULL, &second), 0);
	fd = connect_client();
	send_text(fd, "hello\n");
	assert_receives(fd, "hello\n");
	assert_int_equal(close(fd), 0);
	control_socket_free(second);
}

static void an_impossible_path_is_refused(void **state)
{
	struct control_socket *other = NULL;
	char path[200];

	(void) state;
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(control_socket_new(event, path, on_request, NULL, &other), -ENAMETOOLONG);
	assert_int_equal(
		control_socket_new(event, "/nowhere/control", on_request, NULL, &other), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(only_its_user_can_open_the_socket),
		TEST(another_user_is_refused),
		TEST(root_and_our_own_user_are_served),
		TEST(requests_follow_each_other),
		TEST(a_second_request_before_the_answer_ends_the_connection),
		TEST(a_line_without_an_end_is_not_kept),
		TEST(the_longest_line_is_taken),
		TEST(an_answer_may_come_later),
		TEST(a_client_may_leave_before_the_answer),
		TEST(an_answer_may_come_after_the_socket_is_freed),
		TEST(no_memory_for_an_answer_ends_the_connection),
		TEST(a_client_that_does_not_read_delays_no_other),
		TEST(the_number_of_clients_is_limited),
		TEST(out_of_descriptors_one_client_is_served_and_the_others_wait),
		TEST(the_socket_of_a_dead_daemon_is_replaced),
		TEST(an_impossible_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
