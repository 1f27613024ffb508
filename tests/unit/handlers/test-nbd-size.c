/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nbd handler and a server whose export changes between two connections.
 */
#include "fake-host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u

static char server_directory[] = "/tmp/test-nbd-XXXXXX";

__attribute__((format(printf, 1, 2))) static bool run_shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	(void) vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command) == 0; /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

/* Serves the file `disk`, with so many bytes. */
static bool start_server(const char *size, const char *options)
{
	const char *at = server_directory;

	return run_shell(
		"cd %s && truncate -s %s disk && nbdkit %s -U %s/socket -P %s/pid file disk", at,
		size, options, at, at);
}

static void end_server(void)
{
	assert_true(
		run_shell("cd %s && kill -KILL $(cat pid) && rm -f socket pid", server_directory));
}

static void a_new_size_is_reported_and_a_lesser_export_is_not_used(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	uint8_t block[BLOCK];
	char config[128];

	(void) state;
	assert_non_null(mkdtemp(server_directory));
	assert_true(start_server("1M", ""));
	(void) snprintf(config, sizeof(config), "%s/socket;timeout=20", server_directory);
	assert_int_equal(fake_open(host, config, 1 << 20, BLOCK), 0);
	assert_true(fake_resize(host, config, 2 << 20) < 0);
	assert_non_null(strstr(host->reason.text, "resize the export first"));
	end_server();
	assert_true(start_server("2M", "-r"));
	fake_wait_log(host, "the export has become read-only");
	assert_int_equal(host->events, 0);
	end_server();
	assert_true(start_server("2M", ""));
	fake_wait_log(host, "connected to the server again");
	assert_int_equal(fake_read(host, 0, block, BLOCK), 0);
	assert_int_equal(host->events, 1);
	assert_int_equal(host->event, TCMU_BACKEND_RESIZED);
	assert_int_equal(host->event_value, 2 << 20);
	assert_int_equal(fake_resize(host, config, 2 << 20), 0);
	assert_int_equal(fake_read(host, (2 << 20) - BLOCK, block, BLOCK), 0);
	fake_host_free(host);
	end_server();
	assert_true(run_shell("rm -r %s", server_directory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_size_is_reported_and_a_lesser_export_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
