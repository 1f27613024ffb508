/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from a client of the control socket, in pieces of any length. Each line is answered by
 * one line of JSON, or the connection ends; the daemon goes on.
 *
 * An input is one byte for the length of the pieces, and the bytes.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "log-fixture.h"
#include "methods-fixture.h"
#include "rpc/control-socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWER_MAX (1 << 20)

static struct control_socket *control;
static char path[108];
static unsigned in_flight;
static char answer[ANSWER_MAX + 1];

/* The log would be the slowest part. */
void __wrap_log_emit(const void *where, const char *fmt, ...);
void __wrap_log_set_level(int level);

void __wrap_log_emit(const void *where, const char *fmt, ...)
{
	(void) where, (void) fmt;
}

void __wrap_log_set_level(int level)
{
	(void) level;
}

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

static void on_answered(void *client, char *text)
{
	fuzz_demand(in_flight-- > 0);
	control_socket_reply(client, text);
}

static void on_request(
	void *userdata, struct control_client *client, const char *request, size_t length)
{
	(void) userdata;
	fuzz_demand(length < CONTROL_SOCKET_REQUEST_MAX && !memchr(request, '\n', length));
	in_flight++;
	methods_call(methods_fixture(), request, length, on_answered, client);
}

static void fuzz_end(void)
{
	control_socket_free(control);
	methods_fixture_end();
	fixture_remove_directory();
}

static void fuzz_begin(void)
{
	methods_fixture_start();
	(void) snprintf(path, sizeof(path), "%s", fixture_path("control"));
	fuzz_demand(
		control_socket_new(methods_fixture_event(), path, on_request, NULL, &control) == 0);
	fuzz_demand(atexit(fuzz_end) == 0);
}

/* Runs what is ready, and then until nothing is in flight. */
static void run_daemon(void)
{
	while (sd_event_run(methods_fixture_event(), in_flight ? UINT64_MAX : 0) > 0)
		;
}

static void check_answers(size_t length)
{
	char *line = answer, *end;

	answer[length] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		json_t *value;

		*end = '\0';
		value = json_loads(line, 0, NULL);
		fuzz_demand(json_is_object(value) && json_object_size(value) == 1);
		fuzz_demand(json_object_get(value, "result") || json_object_get(value, "error"));
		json_decref(value);
	}
	fuzz_demand(*line == '\0');
}

/* False: the daemon has closed the connection. */
static int exchange(int fd, const uint8_t *data, size_t size)
{
	size_t got = 0;
	ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return 0;
	fuzz_demand((size_t) n == size);
	run_daemon();
	while (got < ANSWER_MAX &&
	       (n = recv(fd, answer + got, ANSWER_MAX - got, MSG_DONTWAIT)) > 0) {
		got += (size_t) n;
		run_daemon();
	}
	check_answers(got);
	return n < 0 && errno == EAGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t piece;
	int fd;

	if (!control)
		fuzz_begin();
	if (size < 2)
		return 0;
	piece = (size_t) data[0] * 16 + 1;
	data++;
	size--;
	memcpy(address.sun_path, path, sizeof(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_demand(
		fd >= 0 && connect(fd, (const struct sockaddr *) &address, sizeof(address)) == 0);
	run_daemon();
	for (size_t at = 0; at < size; at += piece)
		if (!exchange(fd, data + at, size - at < piece ? size - at : piece))
			break;
	(void) close(fd);
	run_daemon();
	return 0;
}
