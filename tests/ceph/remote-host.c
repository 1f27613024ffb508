/* SPDX-License-Identifier: Apache-2.0 */
/* See remote-host.h. */
#include "remote-host.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "delay-shim.h"
#include "rbd-host.h"

#define WRITE_LENGTH 65536u
#define GAP_NS       (2 * CLOCK_NS_PER_SEC)

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

/* Writes all the time; how many that were submitted after it had stood still were good. One that
 * was in flight before may have ended before, and is seen afterwards. */
static int gateway_storm(struct fake_host *host, unsigned seconds, unsigned object, int byte)
{
	uint64_t began = clock_now_ns(), last = began, now;
	bool gap = false;
	int good = 0;

	while ((now = clock_now_ns()) - began < seconds * CLOCK_NS_PER_SEC) {
		int r;

		gap = gap || now - last > GAP_NS;
		last = now;
		r = gateway_write(host, object, byte);
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
	else if (strcmp(word, "hold") == 0)
		delay_shim_hold_text("osdmap");
	else if (strcmp(word, "release") == 0)
		delay_shim_release();
	else if (strcmp(word, "clock") == 0)
		atomic_store(&clock_shift, -(long) numbers[0]);
	else
		fake_close(host);
	if (strcmp(word, "reopen") == 0)
		return fake_open(host, config_of(target, timeout), SIZE, BLOCK);
	return 0;
}

int remote_host_main(char **argv)
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
