/* SPDX-License-Identifier: Apache-2.0 */
/* See remote-gateway.h. */
#include "remote-gateway.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct remote_gateway {
	pid_t pid;
	FILE *commands, *results;
};

struct remote_gateway *remote_gateway_start(const char *image, unsigned timeout)
{
	struct remote_gateway *gateway = calloc(1, sizeof(*gateway));
	posix_spawn_file_actions_t actions;
	char number[16];
	char *argv[] = {
		(char *) "/proc/self/exe", (char *) REMOTE_GATEWAY, (char *) image, number, NULL};
	int in[2], out[2];

	(void) snprintf(number, sizeof(number), "%u", timeout);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_addclose(&actions, in[1]);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	assert_int_equal(posix_spawn(&gateway->pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	gateway->commands = fdopen(in[1], "w");
	gateway->results = fdopen(out[0], "r");
	assert_int_equal(remote_gateway_result(gateway), 0);
	return gateway;
}

void remote_gateway_free(struct remote_gateway *gateway)
{
	remote_gateway_signal(gateway, SIGKILL);
	(void) waitpid(gateway->pid, NULL, 0);
	(void) fclose(gateway->commands);
	(void) fclose(gateway->results);
	free(gateway);
}

int remote_gateway_result(struct remote_gateway *gateway)
{
	char line[32];

	if (!fgets(line, sizeof(line), gateway->results))
		fail_msg("the gateway has ended");
	return (int) strtol(line, NULL, 10);
}

__attribute__((format(printf, 2, 0))) static void send_args(
	struct remote_gateway *gateway, const char *format, va_list args)
{
	(void) vfprintf(gateway->commands, format, args);
	(void) fputc('\n', gateway->commands);
	assert_int_equal(fflush(gateway->commands), 0);
}

void remote_gateway_send(struct remote_gateway *gateway, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	send_args(gateway, format, args);
	va_end(args);
}

int remote_gateway_do(struct remote_gateway *gateway, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	send_args(gateway, format, args);
	va_end(args);
	return remote_gateway_result(gateway);
}

void remote_gateway_signal(struct remote_gateway *gateway, int signal)
{
	siginfo_t info;

	assert_int_equal(kill(gateway->pid, signal), 0);
	if (signal == SIGSTOP)
		assert_int_equal(waitid(P_PID, (id_t) gateway->pid, &info, WSTOPPED), 0);
}
