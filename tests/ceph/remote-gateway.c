/* SPDX-License-Identifier: Apache-2.0 */
/* See remote-gateway.h. */
#include "remote-gateway.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "delay-shim.h"
#include "rbd-host.h"

#define WRITE_LENGTH 65536u
#define GAP_NS       (2 * CLOCK_NS_PER_SEC)

extern char **environ;

struct remote_gateway {
	pid_t pid;
	FILE *commands, *results;
};

/* ------- the process ------- */

static atomic_long clock_shift; /* seconds */

/* Replaces the C library's, also for librados. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, time);
	if (clock == CLOCK_REALTIME)
		time->tv_sec += atomic_load(&clock_shift);
	return r;
}

static int gateway_write(struct fake_host *host, unsigned object, int byte)
{
	uint8_t *data = filled_buffer(WRITE_LENGTH, byte);
	int r = fake_write(host, object * OBJECT_SIZE, data, WRITE_LENGTH, 0);

	free(data);
	return r;
}

static int gateway_read(struct fake_host *host, unsigned object)
{
	uint8_t data[BLOCK];
	int r = fake_read(host, object * OBJECT_SIZE, data, sizeof(data));

	return r < 0 ? r : data[0];
}

/* Writes all the time; how many were good after it had stood still. */
static int gateway_storm(struct fake_host *host, unsigned seconds, unsigned object, int byte)
{
	uint64_t began = clock_now_ns(), last = began;
	bool gap = false;
	int good = 0;

	while (clock_now_ns() - began < seconds * CLOCK_NS_PER_SEC) {
		int r = gateway_write(host, object, byte);

		gap = gap || clock_now_ns() - last > GAP_NS;
		last = clock_now_ns();
		good += gap && r == 0;
		if (r < 0)
			(void) poll(NULL, 0, 5);
	}
	return gap ? good : -ENODATA;
}

static struct fake_io *gateway_begin(struct fake_host *host, unsigned object, int byte)
{
	uint8_t *data = filled_buffer(WRITE_LENGTH, byte);
	struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE, object * OBJECT_SIZE, WRITE_LENGTH);

	fake_io_fill(io, data, WRITE_LENGTH);
	fake_io_submit(io);
	free(data);
	return io;
}

static int gateway_command(struct fake_host *host, char *line, const char *target, unsigned timeout)
{
	static struct fake_io *late;
	unsigned numbers[3] = {0};
	char word[16] = "";

	(void) sscanf(line, "%15s %u %u %u", word, &numbers[0], &numbers[1], &numbers[2]);
	if (strcmp(word, "lock") == 0)
		return fake_lock(host, (uint16_t) numbers[0]);
	if (strcmp(word, "write") == 0)
		return gateway_write(host, numbers[0], (int) numbers[1]);
	if (strcmp(word, "read") == 0)
		return gateway_read(host, numbers[0]);
	if (strcmp(word, "unmap") == 0)
		return fake_do(host, TCMU_IO_UNMAP, numbers[0] * OBJECT_SIZE, OBJECT_SIZE, 0);
	if (strcmp(word, "flush") == 0)
		return fake_do(host, TCMU_IO_FLUSH, 0, 0, 0);
	if (strcmp(word, "storm") == 0)
		return gateway_storm(host, numbers[0], numbers[1], (int) numbers[2]);
	if (strcmp(word, "end") == 0)
		return fake_io_wait(late);
	if (strcmp(word, "begin") == 0)
		late = gateway_begin(host, numbers[0], (int) numbers[1]);
	else if (strcmp(word, "cut") == 0)
		delay_shim_cut(true);
	else if (strcmp(word, "heal") == 0)
		delay_shim_cut(false);
	else if (strcmp(word, "clock") == 0)
		atomic_store(&clock_shift, -(long) numbers[0]);
	else
		fake_close(host);
	if (strcmp(word, "reopen") == 0)
		return fake_open(host, config_of(target, timeout), SIZE, BLOCK);
	return 0;
}

int remote_gateway_main(char **argv)
{
	struct fake_host *host;
	unsigned timeout = (unsigned) strtoul(argv[3], NULL, 10);
	char line[128], target[64];
	int r;

	cluster = getenv("CEPH_TEST_CLUSTER");
	(void) snprintf(target, sizeof(target), "rbd/%s", argv[2]);
	host = fake_host_new(PLUGIN, AIO_THREADS);
	r = fake_open(host, config_of(target, timeout), SIZE, BLOCK);
	for (;;) {
		(void) printf("%d\n", r);
		(void) fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		r = gateway_command(host, line, target, timeout);
		if (r < 0)
			(void) fprintf(
				stderr, "gateway: %.20s -> %d %s\n", line, r, host->reason.text);
	}
}

/* ------- the test's side ------- */

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

static void send_args(struct remote_gateway *gateway, const char *format, va_list args)
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
	assert_int_equal(kill(gateway->pid, signal), 0);
}
