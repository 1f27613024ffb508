/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nbd handler and a server whose export changes between two connections, or that is lost right
 * after each connection.
 */
#include "fake-host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"

#define BLOCK       512u

#define SESSIONS    5u
#define SESSIONS_MS 1450u /* the pauses between so many: 100, 200, 400 and 800 ms */

static char server_directory[32];

__attribute__((format(printf, 1, 2))) static bool run_shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	(void) vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command) == 0; /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static int make_directory(void **state)
{
	(void) state;
	strcpy(server_directory, "/tmp/test-nbd-XXXXXX");
	return mkdtemp(server_directory) ? 0 : -1;
}

/* A test that has failed leaves a server. */
static int remove_directory(void **state)
{
	(void) state;
	return run_shell(
		       "cd %s && rm -f serve && if [ -e pid ]; then kill -KILL $(cat pid); fi; "
		       "rm -r $PWD",
		       server_directory)
		? 0
		: -1;
}

/* Serves the file `disk`, with so many bytes. The file `sessions` has a line for each connection.
 */
static bool start_server(const char *size, const char *options)
{
	const char *at = server_directory;

	return run_shell(
		"cd %s && truncate -s %s disk && nbdkit --filter=log %s -U %s/socket -P %s/pid "
		"file disk logfile=%s/sessions",
		at, size, options, at, at, at);
}

/* A server that ends at the first READ, and is there again. `sessions` has a line for each. */
static bool start_weak_servers(void)
{
	return run_shell(
		"cd %s && touch serve && { while [ -e serve ]; do rm -f socket; "
		"nbdkit -f -U $PWD/socket -P $PWD/pid eval get_size='echo 1048576' "
		"pread=\"echo Connect >>$PWD/sessions; kill -KILL \\$(cat $PWD/pid)\"; "
		"done; touch ended; } >errors 2>&1 & "
		"cd %s && until [ -e socket ]; do sleep 0.01; done",
		server_directory, server_directory);
}

static void end_weak_servers(void)
{
	assert_true(run_shell(
		"cd %s && rm serve && until [ -e ended ]; do sleep 0.01; done; rm -f socket pid",
		server_directory));
}

static void end_server(void)
{
	assert_true(
		run_shell("cd %s && kill -KILL $(cat pid) && rm -f socket pid", server_directory));
}

static void export_config(char *config, size_t size)
{
	(void) snprintf(config, size, "%s/socket;timeout=60", server_directory);
}

/* Waits until there were SESSIONS of them. Since `began` the pauses must have passed. */
static void check_sessions(uint64_t began)
{
	assert_true(run_shell(
		"cd %s && timeout 60 sh -c 'until [ \"$(grep -c Connect sessions)\" -ge %u ]; do "
		"sleep 0.01; done' 2>errors",
		server_directory, SESSIONS));
	assert_in_range(deadline_now_ms() - began, SESSIONS_MS, UINT64_MAX);
}

/* ------- tests ------- */

static void a_new_size_is_reported_and_a_lesser_export_is_not_used(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	uint8_t block[BLOCK];
	char config[128];

	(void) state;
	assert_true(start_server("1M", ""));
	export_config(config, sizeof(config));
	assert_int_equal(fake_open(host, config, 1 << 20, BLOCK), 0);
	assert_true(fake_resize(host, config, 2 << 20) < 0);
	assert_non_null(strstr(host->reason.text, "resize the export first"));
	end_server();
	assert_true(start_server("2M", "-r"));
	fake_wait_log(host, "the export has become read-only");
	assert_int_equal(fake_reported(host).events, 0);
	end_server();
	assert_true(start_server("2M", ""));
	fake_wait_log(host, "connected to the server again");
	assert_int_equal(fake_read(host, 0, block, BLOCK), 0);
	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_RESIZED);
	assert_int_equal(fake_reported(host).event_value, 2 << 20);
	assert_int_equal(fake_resize(host, config, 2 << 20), 0);
	assert_int_equal(fake_read(host, (2 << 20) - BLOCK, block, BLOCK), 0);
	fake_host_free(host);
	end_server();
}

static void an_export_that_is_of_no_use_is_not_asked_for_all_the_time(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	char config[128];
	uint64_t began;

	(void) state;
	assert_true(start_server("1M", ""));
	export_config(config, sizeof(config));
	assert_int_equal(fake_open(host, config, 1 << 20, BLOCK), 0);
	end_server();
	began = deadline_now_ms();
	assert_true(start_server("1M", "-r"));
	check_sessions(began);
	fake_host_free(host);
	end_server();
}

static void a_server_that_is_lost_again_is_not_asked_all_the_time(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	struct fake_io *io;
	char config[128];
	uint64_t began;

	(void) state;
	assert_true(start_weak_servers());
	export_config(config, sizeof(config));
	assert_int_equal(fake_open(host, config, 1 << 20, BLOCK), 0);
	io = fake_io_new(host, TCMU_IO_READ, 0, BLOCK);
	began = deadline_now_ms();
	fake_io_submit(io);
	check_sessions(began);
	end_weak_servers();
	assert_true(start_server("1M", ""));
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	fake_host_free(host);
	end_server();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_new_size_is_reported_and_a_lesser_export_is_not_used, make_directory,
			remove_directory),
		cmocka_unit_test_setup_teardown(
			an_export_that_is_of_no_use_is_not_asked_for_all_the_time, make_directory,
			remove_directory),
		cmocka_unit_test_setup_teardown(
			a_server_that_is_lost_again_is_not_asked_all_the_time, make_directory,
			remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
