/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only one daemon: the second learns the first one's pid, whichever of the two locks they share,
 * and only a daemon can block the start of another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trust.h"
#include "log-fixture.h"
#include "program/instance.h"

static bool strange_users;

bool __wrap_trust_user(uid_t uid);

bool __wrap_trust_user(uid_t uid)
{
	(void) uid;
	return !strange_users;
}

static char name[64];
static pid_t child;

static int setup(void **state)
{
	(void) state;
	strange_users = false;
	(void) snprintf(name, sizeof(name), "tcmud-test-%d", (int) getpid());
	return 0;
}

static void end_child(void)
{
	if (child > 0) {
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
	}
	child = 0;
}

static int teardown(void **state)
{
	(void) state;
	end_child();
	fixture_remove_directory();
	return 0;
}

/* Another process becomes the daemon, and stays until end_child(). */
static void start_other(const char *file, const char *socket_name)
{
	const char *path = fixture_path(file);
	int ready[2];
	char r = 'x';

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct instance instance = INSTANCE_INIT;
		pid_t other;

		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		r = instance_acquire(&instance, path, socket_name, &other) == 0 ? 'y' : 'n';
		if (write(ready[1], &r, 1) == 1)
			for (;;)
				(void) pause();
		_exit(1);
	}
	(void) close(ready[1]);
	assert_int_equal(read(ready[0], &r, 1), 1);
	(void) close(ready[0]);
	assert_int_equal(r, 'y');
}

static int acquire_both(const char *file, const char *socket_name, pid_t *other)
{
	struct instance instance = INSTANCE_INIT;
	int r = instance_acquire(&instance, fixture_path(file), socket_name, other);

	instance_release(&instance);
	assert_int_equal(instance.lock, -1);
	assert_int_equal(instance.socket, -1);
	return r;
}

static void the_only_one_may_start(void **state)
{
	pid_t other;

	(void) state;
	assert_int_equal(acquire_both("lock", name, &other), 0);
	assert_int_equal(other, 0);
	assert_int_equal(acquire_both("lock", name, &other), 0);
}

static void a_second_learns_the_firsts_pid_from_the_lock(void **state)
{
	pid_t other;

	(void) state;
	start_other("lock", name);
	assert_int_equal(acquire_both("lock", "tcmud-test-elsewhere", &other), -EBUSY);
	assert_int_equal(other, child);
}

static void a_second_in_another_container_learns_it_from_the_socket(void **state)
{
	pid_t other;

	(void) state;
	start_other("lock", name);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(acquire_both("another-lock", name, &other), -EBUSY);
		assert_int_equal(other, child);
	}
}

/* As the check of a config string does that names the file. */
static void no_other_open_of_the_file_drops_the_lock(void **state)
{
	struct instance instance = INSTANCE_INIT;
	pid_t other;
	int status = -1, fd;

	(void) state;
	assert_int_equal(instance_acquire(&instance, fixture_path("lock"), name, &other), 0);
	fd = open(fixture_path("lock"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(acquire_both("lock", "tcmud-test-elsewhere", &other) == -EBUSY &&
		      other == getppid());
	assert_int_equal(waitpid(child, &status, 0), child);
	child = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	instance_release(&instance);
}

/* tcmu-runner takes the record lock of its process. */
static void a_record_lock_of_another_daemon_and_ours_exclude_each_other(void **state)
{
	struct instance instance = INSTANCE_INIT;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int ready[2], status = -1, fd;
	pid_t other;
	char byte;

	(void) state;
	fd = open(fixture_path("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fcntl(fd, F_SETLK, &lock) == 0 && write(ready[1], "", 1) == 1)
			for (;;)
				(void) pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(acquire_both("lock", name, &other), -EBUSY);
	assert_int_equal(other, child);
	end_child();
	assert_int_equal(instance_acquire(&instance, fixture_path("lock"), name, &other), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(fcntl(fd, F_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES));
	assert_int_equal(waitpid(child, &status, 0), child);
	child = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	instance_release(&instance);
	(void) close(fd);
	(void) close(ready[0]);
	(void) close(ready[1]);
}

static void after_a_kill_the_next_one_starts(void **state)
{
	pid_t other;

	(void) state;
	start_other("lock", name);
	end_child();
	assert_int_equal(acquire_both("lock", name, &other), 0);
}

static void a_name_held_by_another_user_does_not_block_the_start(void **state)
{
	pid_t other;

	(void) state;
	start_other("lock", name);
	strange_users = true;
	assert_int_equal(acquire_both("another-lock", name, &other), 0);
}

static void a_bound_name_without_a_listener_does_not_block_the_start(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t other;

	(void) state;
	memcpy(address.sun_path + 1, name, strlen(name));
	assert_int_equal(
		bind(fd, (const struct sockaddr *) &address,
		     (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
		0);
	assert_int_equal(acquire_both("lock", name, &other), 0);
	(void) close(fd);
}

static void a_lock_file_that_cannot_be_created_is_an_error(void **state)
{
	pid_t other;

	(void) state;
	assert_int_equal(acquire_both("no/lock", name, &other), -ENOENT);
	assert_int_equal(symlink("elsewhere", fixture_path("link")), 0);
	assert_int_equal(acquire_both("link", name, &other), -ELOOP);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_only_one_may_start),
		TEST(a_second_learns_the_firsts_pid_from_the_lock),
		TEST(a_second_in_another_container_learns_it_from_the_socket),
		TEST(no_other_open_of_the_file_drops_the_lock),
		TEST(a_record_lock_of_another_daemon_and_ours_exclude_each_other),
		TEST(after_a_kill_the_next_one_starts),
		TEST(a_name_held_by_another_user_does_not_block_the_start),
		TEST(a_bound_name_without_a_listener_does_not_block_the_start),
		TEST(a_lock_file_that_cannot_be_created_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
