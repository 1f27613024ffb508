/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of the instance: what a user who is not root can do to the socket makes no second daemon
 * believe that it is alone, and what cannot be found out counts as an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "base/trust.h"
#include "program/instance-name.h"

#define FLOOD 80 /* more than the backlog */

static char name[64];
static int first, fds[FLOOD], fd_cnt;

static bool strange;     /* all users are strangers */
static bool no_list;     /* the kernel has no list of sockets */
static int socket_errno; /* what socket() returns */

bool __wrap_trust_user(uid_t uid);

bool __wrap_trust_user(uid_t uid)
{
	(void) uid;
	return !strange;
}

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);

int __wrap_socket(int domain, int type, int protocol)
{
	if (socket_errno || (no_list && domain == AF_NETLINK)) {
		errno = socket_errno ? socket_errno : EPROTONOSUPPORT;
		return -1;
	}
	return __real_socket(domain, type, protocol);
}

static int setup(void **state)
{
	static unsigned cnt;

	(void) state;
	(void) snprintf(name, sizeof(name), "tcmud-test-name-%d-%u", (int) getpid(), cnt++);
	strange = no_list = false;
	socket_errno = 0;
	first = -1;
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	if (first >= 0)
		(void) close(first);
	while (fd_cnt > 0)
		(void) close(fds[--fd_cnt]);
	return 0;
}

static struct sockaddr_un address_of_name(socklen_t *len)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path + 1, name, strlen(name));
	*len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	return address;
}

static void start_first(void)
{
	pid_t other = 0;

	assert_int_equal(instance_name_take(name, &first, &other), 0);
	assert_true(first >= 0);
}

/* As any user can. */
static void fill_backlog(void)
{
	socklen_t len;
	struct sockaddr_un address = address_of_name(&len);

	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		assert_true(fd >= 0 && fd_cnt < FLOOD);
		fds[fd_cnt++] = fd;
		if (connect(fd, (const struct sockaddr *) &address, len) < 0)
			break;
	}
	assert_int_equal(errno, EAGAIN);
}

static int take_second(pid_t *other)
{
	int fd = -1, r;

	*other = 0;
	r = instance_name_take(name, &fd, other);
	assert_int_equal(fd >= 0, r == 0);
	if (fd >= 0)
		(void) close(fd);
	return r;
}

/* A stranger's listener with the name. */
static void hold_name(void)
{
	socklen_t len;
	struct sockaddr_un address = address_of_name(&len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *) &address, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	fds[fd_cnt++] = fd;
}

/* ------- tests ------- */

static void the_second_is_refused(void **state)
{
	pid_t other;

	(void) state;
	for (int i = 0; i < 2; i++) {
		no_list = i == 1;
		start_first();
		assert_int_equal(take_second(&other), -EBUSY);
		assert_int_equal(other, getpid());
		(void) close(first);
		first = -1;
		assert_int_equal(take_second(&other), 0);
	}
}

static void a_full_backlog_does_not_hide_the_first(void **state)
{
	pid_t other;

	(void) state;
	start_first();
	fill_backlog();
	assert_int_equal(take_second(&other), -EBUSY);
	no_list = true;
	assert_int_equal(take_second(&other), -EAGAIN);
}

static void a_stranger_with_the_name_neither_blocks_nor_hides_a_daemon(void **state)
{
	pid_t other;

	(void) state;
	hold_name();
	strange = true;
	start_first(); /* with a suffix */
	strange = false;
	/* Both sockets have the same user here, so the stranger leaves. */
	while (fd_cnt > 0)
		(void) close(fds[--fd_cnt]);
	assert_int_equal(take_second(&other), -EBUSY);
	assert_int_equal(other, getpid());
}

static void a_stranger_blocks_no_daemon_without_the_list(void **state)
{
	(void) state;
	hold_name();
	strange = no_list = true;
	start_first();
}

static void a_name_of_another_program_is_not_the_instance(void **state)
{
	char saved[sizeof(name)];
	pid_t other;

	(void) state;
	memcpy(saved, name, sizeof(name));
	(void) snprintf(name, sizeof(name), "%.40s-0123", saved);
	hold_name();
	memcpy(name, saved, sizeof(name));
	assert_int_equal(take_second(&other), 0);
}

static void scarce_descriptors_are_an_error(void **state)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM};
	pid_t other;

	(void) state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		socket_errno = errors[i];
		assert_int_equal(take_second(&other), -errors[i]);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_second_is_refused),
		TEST(a_full_backlog_does_not_hide_the_first),
		TEST(a_stranger_with_the_name_neither_blocks_nor_hides_a_daemon),
		TEST(a_stranger_blocks_no_daemon_without_the_list),
		TEST(a_name_of_another_program_is_not_the_instance),
		TEST(scarce_descriptors_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
