/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay above a handler on workers, whose stacks are of 1 MiB: however many system calls a
 * request is, and however many requests wait for the map, they do not lie above one another there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tcmu/host.h>

#include "temp-dir.h"

#define BLOCK    512u
#define PAGE     (UINT64_C(4096) * 8 * BLOCK) /* of the disk: what a page of the map stands for */
#define PAGES    6000u
#define SIZE     (PAGES * PAGE)
#define RUNS     8000u
#define WAITERS  8000u
#define REOPENED 100u

/* ------- a flush that is held ------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hold; /* a flush is to wait */
	bool held; /* one does */
} held_flush = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hold_flush(bool hold)
{
	pthread_mutex_lock(&held_flush.lock);
	held_flush.hold = hold;
	pthread_cond_broadcast(&held_flush.changed);
	pthread_mutex_unlock(&held_flush.lock);
}

static void wait_flush_held(void)
{
	pthread_mutex_lock(&held_flush.lock);
	while (!held_flush.held)
		pthread_cond_wait(&held_flush.changed, &held_flush.lock);
	pthread_mutex_unlock(&held_flush.lock);
}

/* Instead of libc's, also for the library. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	pthread_mutex_lock(&held_flush.lock);
	while (held_flush.hold) {
		held_flush.held = true;
		pthread_cond_broadcast(&held_flush.changed);
		pthread_cond_wait(&held_flush.changed, &held_flush.lock);
	}
	held_flush.held = false;
	pthread_mutex_unlock(&held_flush.lock);
	return (int) syscall(SYS_fdatasync, fd);
}

/* ------- the disk ------- */

struct world {
	struct tcmu_plugin *plugin;
	struct tcmu_disk *disk;
	uint64_t size;
	char directory[32];
	atomic_uint failed;
};

static void on_violation(void *userdata, const char *what)
{
	(void) userdata;
	fail_msg("%s", what);
}

static void open_disk(struct world *world)
{
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = BLOCK,
		.disk_size = world->size,
		.strict = true,
		.userdata = world,
		.violation = on_violation};
	struct tcmu_reason reason;
	char config[160];

	(void) snprintf(
		config, sizeof(config), "%s/disk;filter=cow+file=%s/over", world->directory,
		world->directory);
	if (tcmu_disk_open(world->plugin, config, &setup, &world->disk, &reason) < 0)
		fail_msg("%s", reason.text);
}

static void close_disk(struct world *world)
{
	tcmu_disk_close(world->disk);
	world->disk = NULL;
}

static int set_up_size(void **state, uint64_t size)
{
	struct world *world = calloc(1, sizeof(*world));
	struct tcmu_reason reason;
	char path[64];
	FILE *file;

	assert_non_null(world);
	world->size = size;
	strcpy(world->directory, "/tmp/tcmud-overlay-XXXXXX");
	temp_dir_make(world->directory);
	(void) snprintf(path, sizeof(path), "%s/disk", world->directory);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), (off_t) size), 0);
	assert_int_equal(fclose(file), 0);
	if (tcmu_plugin_load(PLUGIN, &world->plugin, &reason) < 0)
		fail_msg("%s", reason.text);
	assert_int_equal(tcmu_plugin_handler(world->plugin)->threading, TCMU_HANDLER_PARALLEL);
	open_disk(world);
	*state = world;
	return 0;
}

static int set_up(void **state)
{
	return set_up_size(state, SIZE);
}

static int set_up_small(void **state)
{
	return set_up_size(state, PAGE);
}

static int tear_down(void **state)
{
	struct world *world = *state;

	close_disk(world);
	tcmu_plugin_free(world->plugin);
	temp_dir_remove(world->directory);
	free(world);
	return 0;
}

static void write_at(struct world *world, uint64_t offset, char fill)
{
	char data[BLOCK];

	memset(data, fill, sizeof(data));
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, offset, data, BLOCK), 0);
}

static void flush(struct world *world)
{
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), 0);
}

/* ------- tests ------- */

static void a_flush_of_many_pages(void **state)
{
	struct world *world = *state;
	char data[BLOCK];

	for (uint64_t i = 0; i < PAGES; i++)
		write_at(world, i * PAGE, (char) ('a' + i % 26));
	flush(world);
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(
			tcmu_disk_io(world->disk, TCMU_IO_READ, 0, i * PAGE, data, BLOCK), 0);
		assert_int_equal(data[BLOCK - 1], 'a' + i % 26);
	}
}

static void a_read_of_many_runs(void **state)
{
	static char data[RUNS * 2 * BLOCK];
	struct world *world = *state;

	for (uint64_t i = 0; i < RUNS; i++)
		write_at(world, 2 * i * BLOCK, 'r');
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, sizeof(data)), 0);
	for (uint64_t i = 0; i < sizeof(data); i++)
		if (data[i] != (i / BLOCK % 2 ? 0 : 'r'))
			fail_msg("byte %u is wrong", (unsigned) i);
}

static void on_done(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct world *world = userdata;

	(void) result;
	(void) flags;
	if (error)
		atomic_fetch_add(&world->failed, 1);
}

static void submit(struct world *world, enum tcmu_io_op op, uint64_t block)
{
	static char data[BLOCK];
	static const struct iovec iov = {.iov_base = data, .iov_len = BLOCK};
	struct tcmu_disk_request request = {
		.size = sizeof(request), .op = op, .done = on_done, .userdata = world};

	if (op == TCMU_IO_WRITE) {
		request.iov = &iov;
		request.iov_cnt = 1;
		request.offset = block * BLOCK;
		request.length = BLOCK;
	}
	assert_int_equal(tcmu_disk_submit(world->disk, &request, NULL), 0);
}

/* All write, and then wait for the map, which the flush has. */
static void many_requests_that_wait_for_the_map(void **state)
{
	struct world *world = *state;
	struct tcmu_disk_stats stats = {.size = sizeof(stats)};

	hold_flush(true);
	submit(world, TCMU_IO_FLUSH, 0);
	wait_flush_held();
	for (uint64_t i = 0; i < WAITERS; i++)
		submit(world, i % 2 ? TCMU_IO_WRITE : TCMU_IO_FLUSH, i);
	tcmu_disk_read_stats(world->disk, &stats);
	assert_int_equal(stats.in_flight, WAITERS + 1);
	hold_flush(false);
	while (tcmu_disk_drain(world->disk, 1000) < 0)
		;
	assert_int_equal(world->failed, 0);
}

/* After the end of the last request nothing of the overlay is used. */
static void a_close_follows_the_last_answer(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < REOPENED; i++) {
		write_at(world, i * BLOCK, 'c');
		close_disk(world);
		open_disk(world);
		flush(world);
		close_disk(world);
		open_disk(world);
	}
}

int main(void)
{
#define IN_A_WORLD(test)     cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define IN_A_SMALL_ONE(test) cmocka_unit_test_setup_teardown(test, set_up_small, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(a_flush_of_many_pages),
		IN_A_WORLD(a_read_of_many_runs),
		IN_A_WORLD(many_requests_that_wait_for_the_map),
		IN_A_SMALL_ONE(a_close_follows_the_last_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
