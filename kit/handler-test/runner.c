/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe is closed when the process has ended, however: so its end is the end of the test.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"
#include "verdict.h"

#define GRACE_MS 5000 /* for the watchdog of the test */

static bool runner_has_name(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

bool runner_wants(const struct cli *cli, const struct test_case *test)
{
	return (!cli->only[0] || runner_has_name(cli->only, test->name)) &&
		!runner_has_name(cli->skipped, test->name);
}

static double runner_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* The process of a test. Its exit runs the leak check of a sanitizer. */
static void runner_child(const struct cli *cli, const struct test_case *test, int fd)
{
	struct subject subject;

	verdict_begin(fd, cli->timeout);
	subject_load(&subject, cli);
	test->run(&subject);
	verdict_step("the end of the process");
	tcmu_plugin_free(subject.plugin);
	verdict_pass();
	exit(0);
}

static void runner_take_line(struct runner_result *result, const char *line)
{
	const char *text = line + 2;

	if (line[0] == 'F' || line[0] == 'S') {
		if (result->outcome == RUNNER_FAILED)
			return;
		result->outcome = line[0] == 'F' ? RUNNER_FAILED : RUNNER_SKIPPED;
		(void) snprintf(result->text, sizeof(result->text), "%.1000s", text);
	} else if (line[0] == 'P') {
		result->finished = true;
	} else if (result->line_cnt < RUNNER_LINES) {
		struct runner_line *kept = &result->lines[result->line_cnt++];

		kept->letter = line[0];
		(void) snprintf(kept->text, sizeof(kept->text), "%.1000s", text);
	}
}

/* The lines up to the end of the pipe. False: the time was up. */
static bool runner_read(struct runner_result *result, int fd, int timeout_ms)
{
	double end = runner_now() + timeout_ms / 1000.0;
	char text[4096];
	size_t used = 0;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		double left = end - runner_now();
		ssize_t r;
		char *newline;

		if (left <= 0 || poll(&ready, 1, (int) (left * 1000) + 1) == 0)
			return false;
		r = read(fd, text + used, sizeof(text) - 1 - used);
		if (r <= 0)
			return true;
		used += (size_t) r;
		text[used] = '\0';
		while ((newline = strchr(text, '\n'))) {
			*newline = '\0';
			if (newline - text >= 2)
				runner_take_line(result, text);
			used -= (size_t) (newline + 1 - text);
			memmove(text, newline + 1, used + 1);
		}
		if (used == sizeof(text) - 1)
			used = 0;
	}
}

/* Takes the result from the end of the process, where its lines have none. */
static void runner_take_status(struct runner_result *result, int status)
{
	if (result->outcome == RUNNER_FAILED)
		return;
	if (WIFSIGNALED(status))
		(void) snprintf(
			result->text, sizeof(result->text), "the process was ended by signal %d",
			WTERMSIG(status));
	else if (WEXITSTATUS(status))
		(void) snprintf(
			result->text, sizeof(result->text),
			"the process ended with status %d, as a sanitizer or exit() makes it",
			WEXITSTATUS(status));
	else if (result->outcome == RUNNER_PASSED && !result->finished)
		(void) snprintf(
			result->text, sizeof(result->text),
			"the process ended before the test did: the handler must not end it");
	else
		return;
	result->outcome = RUNNER_FAILED;
}

static void runner_fail(struct runner_result *result, const char *what)
{
	result->outcome = RUNNER_FAILED;
	(void) snprintf(result->text, sizeof(result->text), "%s: %s", what, strerror(errno));
}

void runner_run(const struct cli *cli, const struct test_case *test, struct runner_result *result)
{
	double began = runner_now();
	int fds[2], status = 0;
	pid_t pid;

	*result = (struct runner_result){.test = test, .outcome = RUNNER_PASSED};
	if (pipe2(fds, O_CLOEXEC) < 0) {
		runner_fail(result, "no pipe");
		return;
	}
	(void) fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void) close(fds[0]);
		runner_child(cli, test, fds[1]);
	}
	(void) close(fds[1]);
	if (pid < 0) {
		runner_fail(result, "no process");
	} else {
		if (!runner_read(result, fds[0], (int) cli->timeout * 1000 + GRACE_MS)) {
			(void) kill(pid, SIGKILL);
			(void) snprintf(
				result->text, sizeof(result->text),
				"not finished after %u s, and its process does not answer",
				cli->timeout);
			result->outcome = RUNNER_FAILED;
		}
		(void) waitpid(pid, &status, 0);
		runner_take_status(result, status);
	}
	(void) close(fds[0]);
	result->seconds = runner_now() - began;
}
