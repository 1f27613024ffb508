/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler on a real cluster (tests/ceph/cluster), whose directory is in CEPH_TEST_CLUSTER.
 */
#include "rbd-host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "delay-shim.h"
#include "duration.h"

static void fill_pattern(uint8_t *data, size_t length, unsigned seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t) (seed + i * 7 + (i >> 8));
}

/* ------- requests ------- */

static void written_bytes_are_in_the_image(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[20480], got[20480];
	struct fake_io *io;

	open_new(host, "written");
	fill_pattern(data, sizeof(data), 1);
	io = fake_io_new(host, TCMU_IO_WRITE, OBJECT_SIZE - 4096, sizeof(data));
	fake_io_split(io, 3000, 24);
	fake_io_fill(io, data, sizeof(data));
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	image_read("written", OBJECT_SIZE - 4096, got, sizeof(got));
	assert_memory_equal(got, data, sizeof(data));

	io = fake_io_new(host, TCMU_IO_READ, OBJECT_SIZE - 4096, sizeof(data));
	fake_io_split(io, 999, 1);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_fetch(io, got, sizeof(got));
	fake_io_free(io);
	assert_memory_equal(got, data, sizeof(data));
}

static void unmapped_bytes_read_as_zeros_exactly(void **state)
{
	struct fake_host *host = *state;

	open_new(host, "unmapped");
	write_bytes(host, 0, 3 * OBJECT_SIZE, 0x33);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, BLOCK, BLOCK, 0), 0);
	assert_int_equal(
		fake_do(host, TCMU_IO_UNMAP, OBJECT_SIZE - BLOCK, OBJECT_SIZE + 2 * BLOCK, 0), 0);
	assert_bytes(host, 0, BLOCK, 0x33);
	assert_bytes(host, BLOCK, BLOCK, 0);
	assert_bytes(host, 2 * BLOCK, OBJECT_SIZE - 3 * BLOCK, 0x33);
	assert_bytes(host, OBJECT_SIZE - BLOCK, OBJECT_SIZE + 2 * BLOCK, 0);
	assert_bytes(host, 2 * OBJECT_SIZE + BLOCK, OBJECT_SIZE - BLOCK, 0x33);
}

static void zeros_are_written_with_and_without_space(void **state)
{
	struct fake_host *host = *state;
	const uint32_t flags[] = {0, TCMU_IO_MAY_UNMAP};

	open_new(host, "zeros");
	for (unsigned i = 0; i < 2; i++) {
		write_bytes(host, 0, 2 * OBJECT_SIZE, 0x44);
		assert_int_equal(
			fake_do(host, TCMU_IO_WRITE_ZEROES, BLOCK, OBJECT_SIZE + BLOCK, flags[i]),
			0);
		assert_bytes(host, 0, BLOCK, 0x44);
		assert_bytes(host, BLOCK, OBJECT_SIZE + BLOCK, 0);
		assert_bytes(host, OBJECT_SIZE + 2 * BLOCK, BLOCK, 0x44);
	}
}

/* The range crosses the border of two objects and covers neither of them completely. */
static void a_block_is_repeated(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io;

	open_new(host, "same");
	write_bytes(host, 0, 2 * OBJECT_SIZE, 0x44);
	io = fake_io_new(host, TCMU_IO_WRITE_SAME, BLOCK, OBJECT_SIZE + BLOCK);
	memset(io->data, 0x55, io->data_length);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_bytes(host, 0, BLOCK, 0x44);
	assert_bytes(host, BLOCK, OBJECT_SIZE + BLOCK, 0x55);
	assert_bytes(host, OBJECT_SIZE + 2 * BLOCK, BLOCK, 0x44);
}

static uint64_t query_map(struct fake_host *host, uint64_t offset, uint64_t length, bool mapped)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_MAP, offset, length);
	uint64_t result;

	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	assert_int_equal(io->io.result_flags, mapped ? TCMU_IO_MAPPED : 0);
	result = io->io.result;
	fake_io_free(io);
	return result;
}

static void the_map_is_reported_by_objects(void **state)
{
	struct fake_host *host = *state;

	open_new(host, "mapped");
	assert_int_equal(query_map(host, 0, SIZE, false), SIZE);
	write_bytes(host, 2 * OBJECT_SIZE, BLOCK, 1);
	write_bytes(host, 3 * OBJECT_SIZE + BLOCK, BLOCK, 1);
	assert_int_equal(query_map(host, BLOCK, SIZE - BLOCK, false), 2 * OBJECT_SIZE - BLOCK);
	assert_int_equal(query_map(host, 0, OBJECT_SIZE, false), OBJECT_SIZE);
	assert_int_equal(
		query_map(host, 2 * OBJECT_SIZE + BLOCK, SIZE - 3 * OBJECT_SIZE, true),
		2 * OBJECT_SIZE - BLOCK);
	assert_int_equal(query_map(host, 2 * OBJECT_SIZE, BLOCK, true), BLOCK);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 2 * OBJECT_SIZE, OBJECT_SIZE, 0), 0);
	assert_int_equal(query_map(host, 0, SIZE, false), 3 * OBJECT_SIZE);
}

static int compare_and_write(
	struct fake_host *host, uint64_t offset, uint8_t expected, uint8_t new, size_t piece,
	int spoilt, uint64_t *result)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_COMPARE_AND_WRITE, offset, BLOCK);
	uint8_t data[2 * BLOCK];
	int r;

	memset(data, expected, BLOCK);
	memset(data + BLOCK, new, BLOCK);
	if (spoilt >= 0)
		data[spoilt] ^= 0x80;
	fake_io_split(io, piece, 8);
	fake_io_fill(io, data, sizeof(data));
	fake_io_submit(io);
	r = fake_io_wait(io);
	*result = io->io.result;
	fake_io_free(io);
	return r;
}

static void a_block_is_compared_and_written(void **state)
{
	struct fake_host *host = *state;
	uint64_t at = OBJECT_SIZE + 3 * BLOCK;
	uint64_t result;

	open_new(host, "compared");
	assert_int_equal(host->info.maximum_compare_and_write, BLOCK);
	/* blocks that were never written read as zeros */
	assert_int_equal(compare_and_write(host, at, 0, 0x11, 2 * BLOCK, -1, &result), 0);
	assert_bytes(host, at, BLOCK, 0x11);
	assert_int_equal(compare_and_write(host, at, 0x11, 0x22, 100, -1, &result), 0);
	assert_bytes(host, at, BLOCK, 0x22);
	assert_bytes(host, at + BLOCK, BLOCK, 0);
	assert_int_equal(compare_and_write(host, at, 0x22, 0x33, 100, 77, &result), -EILSEQ);
	assert_int_equal(result, 77);
	assert_bytes(host, at, BLOCK, 0x22);
}

/* ------- properties ------- */

static void its_properties_come_from_the_image(void **state)
{
	struct fake_host *host = *state;
	char claim[128];

	open_new(host, "properties");
	assert_int_equal(host->info.unmap_granularity, OBJECT_SIZE);
	assert_int_equal(host->info.optimal_transfer, OBJECT_SIZE);
	assert_true(host->info.thin);
	assert_true(host->info.unmap_zeroes);
	assert_false(host->info.volatile_cache);
	assert_true(host->info.fua);
	assert_int_equal(fake_claim(host, config_of("rbd/properties", 5), claim, sizeof(claim)), 0);
	assert_string_equal(claim, host->info.claim);
	assert_true(strstr(claim, "rbd//properties") != NULL);
}

static void a_namespace_has_its_own_images(void **state)
{
	struct fake_host *host = *state;

	image_create("space", "image", MIB);
	assert_int_equal(fake_open(host, config_of("rbd/image", 5), MIB, BLOCK), -ENOENT);
	assert_int_equal(fake_open(host, config_of("rbd/space/image", 5), MIB, BLOCK), 0);
}

static void a_snapshot_is_read_only_and_keeps_its_bytes(void **state)
{
	struct fake_host *host = *state;

	open_new(host, "shot");
	write_bytes(host, 0, BLOCK, 0x55);
	image_snapshot("shot", "before");
	write_bytes(host, 0, BLOCK, 0x66);
	fake_close(host);
	assert_int_equal(fake_open(host, config_of("rbd/shot@before", 5), SIZE, BLOCK), 0);
	assert_int_equal(host->info.caps, TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_MAP));
	assert_string_equal(host->info.claim, "");
	assert_bytes(host, 0, BLOCK, 0x55);
}

static void assert_refused(
	struct fake_host *host, const char *target, uint64_t size, int error, const char *reason)
{
	assert_int_equal(fake_check(host, config_of(target, 5), size, BLOCK), error);
	if (!strstr(host->reason.text, reason))
		fail_msg("the reason is: %s", host->reason.text);
	assert_int_equal(fake_open(host, config_of(target, 5), size, BLOCK), error);
	if (!strstr(host->reason.text, reason))
		fail_msg("the reason is: %s", host->reason.text);
}

static void a_missing_object_is_named(void **state)
{
	struct fake_host *host = *state;

	image_create("", "there", MIB);
	assert_int_equal(fake_check(host, config_of("rbd/there", 5), MIB, BLOCK), 0);
	assert_refused(host, "rbd/there", 2 * MIB, -EINVAL, "resize the image first");
	assert_refused(host, "rbd/gone", MIB, -ENOENT, "no such image");
	assert_refused(host, "rbd/there@never", MIB, -ENOENT, "no such snapshot");
	assert_refused(host, "rbd/nowhere/there", MIB, -ENOENT, "no such namespace");
	assert_refused(host, "pond/there", MIB, -ENOENT, "no such pool");
	assert_int_equal(fake_open(host, "rbd/there;conf=/nonexistent.conf", MIB, BLOCK), -ENOENT);
	assert_non_null(strstr(host->reason.text, "/nonexistent.conf"));
}

static void the_service_map_has_it(void **state)
{
	struct fake_host *host = *state;

	open_new(host, "served");
	write_bytes(host, 0, BLOCK, 1);
	cluster_wait_service("dump", "served", "\"image_name\":\"served\"", 20);
	cluster_wait_service("status", "served", "\"lock_owner\":\"true\"", 20);
}

/* ------- changes from outside ------- */

static void a_resize_of_the_image_is_seen(void **state)
{
	struct fake_host *host = *state;

	open_new(host, "resized");
	image_set_size("resized", 2 * SIZE);
	fake_wait_events(host, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_RESIZED);
	assert_int_equal(fake_reported(host).event_value, 2 * SIZE);
	assert_int_equal(fake_resize(host, config_of("rbd/resized", 20), 2 * SIZE), 0);
	assert_int_equal(fake_resize(host, config_of("rbd/resized", 20), 3 * SIZE), -EINVAL);
	write_bytes(host, 2 * SIZE - BLOCK, BLOCK, 0x77);
	assert_bytes(host, 2 * SIZE - BLOCK, BLOCK, 0x77);

	image_set_size("resized", SIZE);
	fake_wait_events(host, 2);
	assert_int_equal(fake_reported(host).event_value, SIZE);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, SIZE - BLOCK, 2 * BLOCK, 0), -EIO);
	assert_bytes(host, SIZE - BLOCK, BLOCK, 0);
}

static void a_blocklisted_client_writes_no_more(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[BLOCK], got[BLOCK];

	open_new(host, "fenced");
	write_bytes(host, 0, BLOCK, 0x11);
	image_blocklist_watchers("fenced", 0);
	memset(data, 0x22, sizeof(data));
	assert_fenced(host, fake_write(host, 0, data, sizeof(data), 0));
	assert_int_equal(fake_reported(host).event_value, -ESHUTDOWN);
	/* from now on nothing is sent */
	assert_int_equal(fake_read(host, 0, got, sizeof(got)), -EBUSY);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), -EBUSY);
	assert_int_equal(fake_reported(host).events, 1);
	fake_close(host);
	image_read("fenced", 0, got, sizeof(got));
	assert_int_equal(got[0], 0x11);

	assert_int_equal(fake_open(host, config_of("rbd/fenced", 20), SIZE, BLOCK), 0);
	write_bytes(host, 0, BLOCK, 0x33);
	assert_bytes(host, 0, BLOCK, 0x33);
}

/* ------- the lock ------- */

static void the_lock_moves_from_one_gateway_to_the_other(void **state)
{
	struct fake_host *first = *state, *second;
	uint8_t data[BLOCK];

	open_new(first, "moved");
	second = second_gateway("rbd/moved");
	assert_lock(first, false, 0);
	take_lock(first, 1);
	assert_lock(first, true, 1);
	assert_lock(second, false, 1);
	write_bytes(first, 0, BLOCK, 0x11);
	assert_bytes(second, 0, BLOCK, 0x11);

	take_lock(second, 2);
	assert_lock(second, true, 2);
	write_bytes(second, 0, BLOCK, 0x22);
	memset(data, 0x33, sizeof(data));
	assert_fenced(first, fake_write(first, 0, data, sizeof(data), 0));
	assert_bytes(second, 0, BLOCK, 0x22);

	/* after a reopen it can take the lock back */
	fake_close(first);
	assert_int_equal(fake_open(first, config_of("rbd/moved", 20), SIZE, BLOCK), 0);
	assert_lock(first, false, 2);
	take_lock(first, 1);
	write_bytes(first, 0, BLOCK, 0x44);
	fake_host_free(second);
	assert_bytes(first, 0, BLOCK, 0x44);
}

static void a_released_lock_blocklists_nobody(void **state)
{
	struct fake_host *first = *state, *second;
	uint8_t data[BLOCK] = {0};

	open_new(first, "given-up");
	second = second_gateway("rbd/given-up");
	take_lock(first, 1);
	write_bytes(first, 0, BLOCK, 0x11);
	assert_int_equal(fake_unlock(first), 0);
	take_lock(second, 2);
	write_bytes(second, 0, BLOCK, 0x22);
	assert_bytes(first, 0, BLOCK, 0x22);
	/* without the lock it writes nothing and reports the loss */
	assert_int_equal(fake_write(first, 0, data, sizeof(data), 0), -EBUSY);
	assert_int_equal(fake_reported(first).event, TCMU_BACKEND_LOCK_LOST);
	assert_bytes(second, 0, BLOCK, 0x22);
	fake_host_free(second);
}

/* A write of the first gateway is delayed while the second one takes the lock and writes. It
 * arrives after that, and the cluster refuses it. */
static void a_delayed_write_never_lands(void **state)
{
	struct fake_host *first = *state, *second;
	struct fake_io *late;
	uint8_t *data = filled_buffer(65536, 0x33);

	open_new(first, "late");
	take_lock(first, 1);
	write_bytes(first, 0, 65536, 0x11);
	second = second_gateway("rbd/late");
	delay_shim_hold(0x33);
	late = fake_io_new(first, TCMU_IO_WRITE, 0, 65536);
	fake_io_fill(late, data, 65536);
	fake_io_submit(late);
	delay_shim_wait();
	take_lock(second, 2);
	write_bytes(second, 0, 65536, 0x22);
	assert_false(late->done);
	delay_shim_release();
	assert_int_equal(fake_io_wait(late), -ESHUTDOWN);
	fake_io_free(late);
	assert_bytes(second, 0, 65536, 0x22);
	fake_close(first);
	assert_bytes(second, 0, 65536, 0x22);
	fake_host_free(second);
	free(data);
}

/* Runs in another process: takes the lock and writes ascending numbers. It prints each number after
 * it is stored. */
static int write_numbers(const char *image)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	uint32_t block[BLOCK / sizeof(uint32_t)] = {0};
	char target[64];

	cluster = getenv("CEPH_TEST_CLUSTER");
	(void) snprintf(target, sizeof(target), "rbd/%s", image);
	if (fake_open(host, config_of(target, 20), SIZE, BLOCK) < 0 || fake_lock(host, 1) < 0)
		return 1;
	while (fake_write(host, 0, block, sizeof(block), 0) == 0) {
		if (write(STDOUT_FILENO, &block[0], sizeof(block[0])) != sizeof(block[0]))
			break;
		block[0]++;
	}
	return 1;
}

static pid_t start_writer(char *image, int *out)
{
	char *arguments[] = {(char *) "writer", image, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	assert_int_equal(
		posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	(void) close(ends[1]);
	*out = ends[0];
	return pid;
}

/* Twice, a gateway's process is killed while it writes, and another gateway takes over at
 * once. Every number that was printed as stored is there, and no later write lands. */
static void a_killed_gateway_loses_nothing(void **state)
{
	struct fake_host *host = *state;
	uint32_t block[BLOCK / sizeof(uint32_t)], printed;
	char image[] = "numbers";

	open_new(host, image);
	for (int i = 0; i < 2; i++) {
		uint32_t last = 0;
		int out, status;
		pid_t pid = start_writer(image, &out);

		while (last < 50 && read(out, &last, sizeof(last)) == sizeof(last))
			;
		assert_int_equal(last, 50);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		while (read(out, &printed, sizeof(printed)) == sizeof(printed))
			last = printed;
		(void) close(out);
		take_lock(host, 2);
		assert_int_equal(fake_read(host, 0, block, sizeof(block)), 0);
		/* one more may have been stored, but not printed */
		assert_true(block[0] == last || block[0] == last + 1);
		write_bytes(host, 0, BLOCK, 0x77);
		assert_bytes(host, 0, BLOCK, 0x77);
		/* the next process continues with this image */
		fake_close(host);
		assert_int_equal(fake_open(host, config_of("rbd/numbers", 20), SIZE, BLOCK), 0);
	}
}

/* ------- a cluster that does not answer ------- */

static void requests_wait_for_the_storage_to_come_back(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io[8];

	open_new(host, "waits");
	cluster_signal("osd", SIGSTOP);
	for (unsigned i = 0; i < 8; i++) {
		io[i] = fake_io_new(host, TCMU_IO_WRITE, i * 65536, 65536);
		fake_io_submit(io[i]);
	}
	cluster_signal("osd", SIGCONT);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(fake_io_wait(io[i]), 0);
		fake_io_free(io[i]);
	}
	assert_bytes(host, 0, 8 * 65536, 0xEE);
}

static void an_image_is_closed_while_the_storage_is_away(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io[8];
	struct duration began;

	image_create("", "stuck", SIZE);
	assert_int_equal(fake_open(host, config_of("rbd/stuck", 2), SIZE, BLOCK), 0);
	write_bytes(host, 0, BLOCK, 0x11);
	cluster_signal("osd", SIGSTOP);
	began = duration_start();
	for (unsigned i = 0; i < 8; i++) {
		io[i] = fake_io_new(host, i % 2 ? TCMU_IO_READ : TCMU_IO_WRITE, i * 65536, 65536);
		fake_io_submit(io[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(fake_io_wait(io[i]), -ETIMEDOUT);
		fake_io_free(io[i]);
	}
	duration_assert(&began, 5);
	fake_close(host);
	cluster_signal("osd", SIGCONT);
	image_wait_unwatched("stuck", 20);
	image_delete("stuck");
}

/* Calls of librados end after 8 s. On the busiest host the limit is 28.5, and after 30 opening is
 * given up. */
#define OPENING_ENDS 9.5 /* seconds */

static void opening_ends_while_the_cluster_is_away(void **state)
{
	struct fake_host *host = *state;
	const char *const processes[] = {"osd", "mon"};
	const char *const reasons[] = {
		"storage does not answer", "no monitor of the cluster has answered"};

	image_create("", "away", SIZE);
	for (unsigned i = 0; i < 2; i++) {
		struct duration began = duration_start();

		cluster_signal(processes[i], SIGSTOP);
		assert_int_equal(
			fake_open(host, config_of("rbd/away", 30), SIZE, BLOCK), -ETIMEDOUT);
		cluster_signal(processes[i], SIGCONT);
		if (!strstr(host->reason.text, reasons[i]))
			fail_msg("the reason is: %s", host->reason.text);
		duration_assert(&began, OPENING_ENDS);
	}
	assert_int_equal(fake_open(host, config_of("rbd/away", 30), SIZE, BLOCK), 0);
}

static void *open_away(void *host)
{
	char target[256];

	(void) snprintf(target, sizeof(target), "rbd/parallel;conf=%s/ceph.conf;id=admin", cluster);
	return (void *) (intptr_t) fake_open(host, target, SIZE, BLOCK);
}

/* Each of them would wait for the time limit of opening. */
static void images_open_at_the_same_time(void **state)
{
	struct fake_host *hosts[4];
	pthread_t threads[4];
	void *result;
	struct duration began;

	(void) state;
	image_create("", "parallel", SIZE);
	cluster_signal("mon", SIGSTOP);
	began = duration_start();
	for (unsigned i = 0; i < 4; i++) {
		hosts[i] = fake_host_new(PLUGIN, AIO_THREADS);
		assert_int_equal(pthread_create(&threads[i], NULL, open_away, hosts[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_int_equal((int) (intptr_t) result, -ETIMEDOUT);
		fake_host_free(hosts[i]);
	}
	cluster_signal("mon", SIGCONT);
	duration_assert(&began, OPENING_ENDS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			written_bytes_are_in_the_image, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			unmapped_bytes_read_as_zeros_exactly, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			zeros_are_written_with_and_without_space, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(a_block_is_repeated, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			the_map_is_reported_by_objects, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_block_is_compared_and_written, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			its_properties_come_from_the_image, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_namespace_has_its_own_images, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_snapshot_is_read_only_and_keeps_its_bytes, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_missing_object_is_named, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(the_service_map_has_it, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_resize_of_the_image_is_seen, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_blocklisted_client_writes_no_more, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			the_lock_moves_from_one_gateway_to_the_other, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_released_lock_blocklists_nobody, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_delayed_write_never_lands, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			a_killed_gateway_loses_nothing, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			requests_wait_for_the_storage_to_come_back, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			an_image_is_closed_while_the_storage_is_away, setup_host, teardown_host),
		cmocka_unit_test_setup_teardown(
			opening_ends_while_the_cluster_is_away, setup_host, teardown_host),
		cmocka_unit_test(images_open_at_the_same_time),
	};

	if (argc > 1)
		return write_numbers(argv[1]);
	return cmocka_run_group_tests(tests, setup_cluster, teardown_cluster);
}
