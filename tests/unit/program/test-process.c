/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon and tcmuctl start with any of the standard files closed, and no signal that means
 * nothing to the daemon ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log-fixture.h"
#include "program/process.h"

#define COMBINATIONS 8

static int teardown(void **state)
{
	(void) state;
	fixture_remove_directory();
	return 0;
}

/* Closes the standard files whose bits are set. */
static void close_standard_files(unsigned closed)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (closed & 1u << fd)
			(void) close(fd);
}

static int end_of(pid_t child)
{
	int status = -1;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* ------- standard files ------- */

static bool is_null(int fd)
{
	struct stat st, null;

	return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && S_ISCHR(st.st_mode) &&
		st.st_rdev == null.st_rdev;
}

static void closed_standard_files_are_filled(void **state)
{
	(void) state;
	for (unsigned closed = 0; closed < COMBINATIONS; closed++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			bool good = true;
			int before = open("/dev/null", O_RDONLY | O_CLOEXEC), next;

			(void) close(before);
			close_standard_files(closed);
			good &= process_fill_standard_files() == 0;
			for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
				good &= !(closed & 1u << fd) || is_null(fd);
			next = open("/", O_RDONLY | O_CLOEXEC);
			_exit(good && next == before ? 0 : 1);
		}
		status = end_of(child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

/* The real daemon reads its settings: no file that it opens has the number of a standard file. It
 * stops at its exit, where its descriptors can be seen. */
static void see_standard_files_at_exit(pid_t child, unsigned closed)
{
	int status = -1;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT), 0);
	do {
		int number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);

		assert_int_equal(ptrace(PTRACE_CONT, child, NULL, (long) number), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	} while (WIFSTOPPED(status) && status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8));
	assert_true(WIFSTOPPED(status));
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		char path[64], to[256] = "";

		(void) snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int) child, fd);
		assert_true(readlink(path, to, sizeof(to) - 1) > 0);
		if (closed & 1u << fd)
			assert_string_equal(to, "/dev/null");
	}
	assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
	status = end_of(child);
	assert_true(WIFEXITED(status));
}

static void the_programs_fill_closed_standard_files(void **state)
{
	static const char *const commands[][4] = {
		{TCMUD, "--check-config", NULL}, {TCMUCTL, "-s", "/nowhere", "list"}};

	(void) state;
	for (unsigned i = 0; i < 2 * COMBINATIONS; i++) {
		const char *const *command = commands[i / COMBINATIONS];
		unsigned closed = i % COMBINATIONS;
		pid_t child = fork();

		if (child == 0) {
			char *const words[] = {
				strdup(command[0]), strdup(command[1]),
				command[2] ? strdup(command[2]) : NULL,
				command[2] ? strdup(command[3]) : NULL, NULL};
			int null = open("/dev/null", O_RDWR | O_CLOEXEC);

			(void) dup2(null, STDOUT_FILENO);
			(void) dup2(null, STDERR_FILENO);
			close_standard_files(closed);
			(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			(void) execv(words[0], words);
			_exit(127);
		}
		see_standard_files_at_exit(child, closed);
	}
}

/* ------- signals ------- */

enum fate {
	FATE_GOES_ON,
	FATE_ENDS,
	FATE_STOPS,
};

/* The effect of the signal on the daemon. The event loop blocks and takes TERM, INT and HUP. */
static enum fate expected_fate(int number)
{
	switch (number) {
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGSYS:
	case SIGQUIT:
	case SIGKILL:
	case SIGTERM:
	case SIGINT:
	case SIGHUP:
		return FATE_ENDS;
	case SIGSTOP:
	case SIGTSTP:
		return FATE_STOPS;
	default:
		return FATE_GOES_ON;
	}
}

static enum fate fate_of(int number)
{
	pid_t child = fork();
	int status = -1;

	assert_true(child >= 0);
	if (child == 0) {
		static const struct rlimit none = {0, 0};

		(void) setrlimit(RLIMIT_CORE, &none);
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void) setpgid(0, 0); /* SIGTSTP does not stop an orphaned group */
		for (int i = 1; i < NSIG; i++)
			(void) signal(i, SIG_DFL); /* a sanitizer or the caller has set it */
		process_set_signals();
		(void) kill(getpid(), number);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (!WIFSTOPPED(status))
		return WIFSIGNALED(status) ? FATE_ENDS : FATE_GOES_ON;
	assert_int_equal(kill(child, SIGKILL), 0);
	(void) end_of(child);
	return FATE_STOPS;
}

static void only_the_signals_that_mean_it_end_the_daemon(void **state)
{
	(void) state;
	for (int number = 1; number < NSIG; number++) {
		if (number >= 32 && number < SIGRTMIN)
			continue; /* the C library's */
		if (fate_of(number) != expected_fate(number))
			fail_msg("signal %d: fate %d", number, (int) fate_of(number));
	}
}

#define TEST(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(closed_standard_files_are_filled),
		TEST(the_programs_fill_closed_standard_files),
		TEST(only_the_signals_that_mean_it_end_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
