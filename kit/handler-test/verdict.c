/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for each fact: a letter, a blank and the text. A line is one write, so that lines of
 * several threads do not mix.
 */
#include "verdict.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buffers.h"

#define LINE_SIZE 1024

static struct {
	int fd;
	unsigned timeout;
	_Atomic(const char *) step;
	verdict_explain_fn *explain;
	pthread_mutex_t last; /* taken by the thread that ends the process */
} verdict = {.last = PTHREAD_MUTEX_INITIALIZER, .step = "begin"};

static void verdict_put(char letter, const char *text)
{
	char line[LINE_SIZE];
	size_t len;

	(void) snprintf(line, sizeof(line) - 1, "%c %s", letter, text);
	for (char *c = line; *c; c++)
		if (*c == '\n')
			*c = ' ';
	len = strlen(line);
	line[len++] = '\n';
	if (write(verdict.fd, line, len) < 0)
		_exit(1);
}

static void verdict_write(char letter, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

static void verdict_write(char letter, const char *fmt, va_list args)
{
	char text[LINE_SIZE - 4];

	(void) vsnprintf(text, sizeof(text), fmt, args);
	verdict_put(letter, text);
}

void verdict_fail(const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&verdict.last);
	va_start(args, fmt);
	verdict_write('F', fmt, args);
	va_end(args);
	_exit(1);
}

void verdict_skip(const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&verdict.last);
	va_start(args, fmt);
	verdict_write('S', fmt, args);
	va_end(args);
	_exit(0);
}

void verdict_pass(void)
{
	if (write(verdict.fd, "P .\n", 4) < 0)
		_exit(1);
}

void verdict_note(const char *name, const char *fmt, ...)
{
	char value[LINE_SIZE / 2], text[LINE_SIZE - 4];
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	(void) snprintf(text, sizeof(text), "%s=%s", name, value);
	verdict_put('N', text);
}

void verdict_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	verdict_write('W', fmt, args);
	va_end(args);
}

void verdict_step(const char *step)
{
	atomic_store(&verdict.step, step);
}

void verdict_set_explain(verdict_explain_fn *explain)
{
	verdict.explain = explain;
}

/* ------- hangs and crashes ------- */

static void *verdict_watch(void *arg)
{
	char more[LINE_SIZE / 2] = "";

	(void) poll(NULL, 0, (int) verdict.timeout * 1000);
	if (verdict.explain)
		verdict.explain(more, sizeof(more));
	verdict_fail(
		"not finished after %u s: it hangs in %s%s%s", verdict.timeout,
		atomic_load(&verdict.step), *more ? "; in flight: " : "", more);
	return arg;
}

static void verdict_append(char *line, size_t size, const char *text)
{
	size_t used = strlen(line), len = strlen(text);

	if (used + len + 1 > size)
		len = size - used - 1;
	memcpy(line + used, text, len);
	line[used + len] = '\0';
}

static const char *verdict_signal(int number)
{
	switch (number) {
	case SIGABRT:
		return " (SIGABRT)\n";
	case SIGFPE:
		return " (SIGFPE)\n";
	case SIGILL:
		return " (SIGILL)\n";
	case SIGBUS:
		return " (SIGBUS)\n";
	default:
		return " (SIGSEGV)\n";
	}
}

/* Only functions that a signal handler may call. */
static void verdict_on_crash(int number, siginfo_t *info, void *context)
{
	static const char unknown[] = "F the plugin crashes in ";
	static const char late[] =
		"F the handler uses a buffer after the completion of its request, in ";
	static const char sealed[] =
		"F the handler has TCMU_HANDLER_SYSCALLS_ONLY and touches a buffer in user space, "
		"in ";
	const char *step = atomic_load(&verdict.step);
	enum buffer_use use = number == SIGABRT ? BUFFER_UNKNOWN : buffer_at(info->si_addr);
	char line[256] = "";

	(void) context;
	verdict_append(
		line, sizeof(line),
		use == BUFFER_RELEASED         ? late
			: use == BUFFER_SEALED ? sealed
					       : unknown);
	verdict_append(line, sizeof(line) - 16, step);
	verdict_append(line, sizeof(line), verdict_signal(number));
	if (write(verdict.fd, line, strlen(line)) < 0)
		_exit(2);
	_exit(1);
}

void verdict_begin(int fd, unsigned timeout)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	struct sigaction action = {.sa_sigaction = verdict_on_crash, .sa_flags = SA_SIGINFO};
	pthread_t watchdog;

	verdict.fd = fd;
	verdict.timeout = timeout;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		(void) sigaction(crashes[i], &action, NULL);
	(void) signal(SIGPIPE, SIG_IGN); /* as in the daemon */
	if (pthread_create(&watchdog, NULL, verdict_watch, NULL) == 0)
		(void) pthread_detach(watchdog);
}
