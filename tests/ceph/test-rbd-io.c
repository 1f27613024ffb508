/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler as the daemon uses it: loaded by config/handlers, its config string parsed by
 * config/options, on a device's I/O thread between a fake kernel and a real cluster
 * (tests/ceph/cluster), whose directory is in CEPH_TEST_CLUSTER.
 */
#include "io-fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/handlers.h"
#include "config/options.h"
#include "duration.h"
#include "images.h"

#define SIZE   (64 * MIB)
#define COUNT  8u
#define LENGTH 65536u
#define BLOCKS (LENGTH / FIXTURE_BLOCK)

/* A disk whose backend replaces the one of the fixture. */
struct disk {
	struct io_fixture fixture;
	struct handlers *registry;
	struct options *options;
	const struct tcmu_handler *handler;
	struct tcmu_config config;
	struct tcmu_backend_info info;
	void *backend;
};

static int setup_images(void **state)
{
	const char *cluster_dir = getenv("CEPH_TEST_CLUSTER");

	(void) state;
	assert_non_null(cluster_dir);
	images_connect(cluster_dir);
	return 0;
}

static int teardown_images(void **state)
{
	(void) state;
	images_disconnect();
	return 0;
}

static void open_disk(struct disk *disk, const char *name, unsigned timeout)
{
	struct io_thread_setup *thread = &disk->fixture.setup;
	struct tcmu_reason reason = {.text = ""};
	char text[TCMU_CONFIG_MAX + 1];

	(void) snprintf(
		text, sizeof(text), "rbd/rbd/%s;osd_op_timeout=%u;conf=%s/ceph.conf;id=admin", name,
		timeout, getenv("CEPH_TEST_CLUSTER"));
	disk->registry = handlers_new();
	assert_true(handlers_load(disk->registry, HANDLERS) > 0);
	disk->handler = handlers_find(disk->registry, "rbd");
	assert_non_null(disk->handler);
	if (options_parse(text, disk->handler, &disk->options, &reason) < 0)
		fail_msg("%s", reason.text);
	disk->config = *options_config(disk->options);
	disk->config.size = SIZE;
	disk->config.block_size = FIXTURE_BLOCK;
	memset(&disk->info, 0, sizeof(disk->info));
	if (disk->handler->open(
		    &disk->config, thread->host, thread->host_device, &disk->info, &disk->backend,
		    &reason) < 0)
		fail_msg("%s", reason.text);
	thread->handler = disk->handler;
	thread->backend = disk->backend;
	thread->info = disk->info;
	thread->lu.blocks = SIZE / FIXTURE_BLOCK;
	assert_int_equal(io_thread_new(thread, &disk->fixture.thread), 0);
	io_fixture_wait_signal(&disk->fixture, IO_SIGNAL_ATTACHED);
}

static void start_disk(struct disk *disk, const char *name, unsigned timeout)
{
	io_fixture_init(
		&disk->fixture,
		&(struct io_fixture_options){
			.depth = 64, .uio.ring = {.scatter = true, .block_count = 2048}});
	image_create("", name, SIZE);
	open_disk(disk, name, timeout);
}

/* The I/O thread has ended or is about to. */
static void end_disk(struct disk *disk)
{
	io_fixture_wait_signal(&disk->fixture, IO_SIGNAL_ENDED);
	disk->handler->close(disk->backend);
	io_fixture_wait_end(&disk->fixture);
	options_free(disk->options);
	handlers_free(disk->registry);
}

static void commands_reach_the_image_and_come_back(void **state)
{
	uint8_t *out = malloc(LENGTH), *in = malloc(LENGTH), *got = malloc(LENGTH);
	struct initiator_command write, read, flush = cmd_flush();
	struct disk disk;

	(void) state;
	start_disk(&disk, "through", 20);
	fill_pattern(out, LENGTH, 3);
	write = cmd_write_fua(5, BLOCKS, out);
	assert_int_equal(initiator_run(&disk.fixture, &write), SCSI_GOOD);
	assert_int_equal(initiator_run(&disk.fixture, &flush), SCSI_GOOD);
	read = cmd_read(5, BLOCKS, in);
	assert_int_equal(initiator_run(&disk.fixture, &read), SCSI_GOOD);
	assert_memory_equal(in, out, LENGTH);
	image_read("through", 5 * FIXTURE_BLOCK, got, LENGTH);
	assert_memory_equal(got, out, LENGTH);
	io_thread_drain(disk.fixture.thread, false);
	end_disk(&disk);
	image_delete("through");
	free(out);
	free(in);
	free(got);
}

static void a_storage_that_is_away_is_busy_after_the_timeout(void **state)
{
	uint8_t *out = calloc(1, LENGTH);
	struct initiator_command write = cmd_write(0, BLOCKS, out);
	struct disk disk;
	struct duration began;

	(void) state;
	start_disk(&disk, "busy", 2);
	cluster_signal("osd", SIGSTOP);
	began = duration_start();
	assert_int_equal(initiator_run(&disk.fixture, &write), SCSI_BUSY);
	duration_assert(&began, 5);
	cluster_signal("osd", SIGCONT);
	write = cmd_write(0, BLOCKS, out);
	assert_int_equal(initiator_run(&disk.fixture, &write), SCSI_GOOD);
	io_thread_drain(disk.fixture.thread, false);
	end_disk(&disk);
	free(out);
}

/* The kernel gets its memory back while the storage does not answer; the requests in flight land
 * late and complete. */
static void the_ring_is_revoked_under_stuck_requests(void **state)
{
	struct initiator_command commands[2 * COUNT];
	uint8_t *out = malloc(COUNT * LENGTH), *got = malloc(COUNT * LENGTH);
	struct disk disk;
	struct duration began;

	(void) state;
	start_disk(&disk, "let-go", 0);
	fill_pattern(out, COUNT * LENGTH, 4);
	cluster_signal("osd", SIGSTOP);
	for (unsigned i = 0; i < COUNT; i++) {
		commands[i] = cmd_write(i * BLOCKS, BLOCKS, out + i * LENGTH);
		commands[COUNT + i] = cmd_read((COUNT + i) * BLOCKS, BLOCKS, NULL);
		initiator_push(&disk.fixture, &commands[i]);
		initiator_push(&disk.fixture, &commands[COUNT + i]);
	}
	initiator_notify(&disk.fixture);
	io_fixture_wait_idle(&disk.fixture);
	assert_int_equal(io_thread_in_flight(disk.fixture.thread), 2 * COUNT);
	began = duration_start();
	io_thread_drain(disk.fixture.thread, true);
	assert_int_equal(io_thread_revoke(disk.fixture.thread), 0);
	io_fixture_assert_released(&disk.fixture);
	duration_assert(&began, 1);
	assert_int_equal(io_thread_in_flight(disk.fixture.thread), 2 * COUNT);
	cluster_signal("osd", SIGCONT);
	end_disk(&disk);
	for (unsigned i = 0; i < 2 * COUNT; i++)
		assert_false(initiator_is_done(&commands[i]));
	image_read("let-go", 0, got, COUNT * LENGTH);
	assert_memory_equal(got, out, COUNT * LENGTH);
	image_wait_unwatched("let-go", 2);
	image_delete("let-go");
	free(out);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_reach_the_image_and_come_back),
		cmocka_unit_test(a_storage_that_is_away_is_busy_after_the_timeout),
		cmocka_unit_test(the_ring_is_revoked_under_stuck_requests),
	};

	return cmocka_run_group_tests(tests, setup_images, teardown_images);
}
