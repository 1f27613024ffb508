/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host of plugins as a library: refusals, requests, faults, cancellations and sizes, with the
 * file handler. tests/kit uses it with every handler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/host.h>

#include "temp-dir.h"

#define BLOCK 512u
#define SIZE  (UINT64_C(1) << 20)

struct world {
	struct tcmu_plugin *plugin;
	struct tcmu_disk *disk;
	struct tcmu_reason reason;
	char directory[32];
	char path[64];
	atomic_uint violations;
	atomic_uint failures; /* TCMU_BACKEND_FAILED */
};

static void on_violation(void *userdata, const char *what)
{
	struct world *world = userdata;

	(void) what;
	atomic_fetch_add(&world->violations, 1);
}

static void on_event(void *userdata, enum tcmu_backend_event event, int64_t value)
{
	struct world *world = userdata;

	(void) value;
	if (event == TCMU_BACKEND_FAILED)
		atomic_fetch_add(&world->failures, 1);
}

static int open_disk(struct world *world, const char *options)
{
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = BLOCK,
		.disk_size = SIZE,
		.strict = true,
		.userdata = world,
		.event = on_event,
		.violation = on_violation};
	char config[320];

	(void) snprintf(config, sizeof(config), "%s%s", world->path, options);
	return tcmu_disk_open(world->plugin, config, &setup, &world->disk, &world->reason);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	strcpy(world->directory, "/tmp/tcmud-host-XXXXXX");
	temp_dir_make(world->directory);
	(void) snprintf(world->path, sizeof(world->path), "%s/disk", world->directory);
	if (tcmu_plugin_load(PLUGIN, &world->plugin, &world->reason) < 0)
		fail_msg("%s", world->reason.text);
	if (open_disk(world, "") < 0)
		fail_msg("%s", world->reason.text);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	tcmu_disk_close(world->disk);
	assert_int_equal(world->violations, 0);
	tcmu_plugin_free(world->plugin);
	temp_dir_remove(world->directory);
	free(world);
	return 0;
}

/* ------- plugins and config strings ------- */

static void a_file_that_is_no_plugin_is_refused(void **state)
{
	static const struct {
		const char *name;
		int error;
		const char *words;
	} refused[] = {
		{"/nonexistent/handler_x.so", -ENOENT, "No such file"},
		{"handler_here.so", -ENOENT, "No such file"},
		{"nosuch", -ENOENT, "No such file"},
		{PLUGINS "/handler_noentry.so", -EINVAL, "tcmu_handler_entry"},
		{PLUGINS "/handler_otherabi.so", -EPROTO, "rebuild it"},
		{PLUGINS "/handler_unresolved.so", -ELIBACC, "undefined symbol"},
		{PLUGINS "/handler_peer.so", -EINVAL, "tcmu-runner"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct tcmu_reason reason = {""};
		struct tcmu_plugin *plugin = NULL;

		assert_int_equal(
			tcmu_plugin_load(refused[i].name, &plugin, &reason), refused[i].error);
		assert_null(plugin);
		if (!strstr(reason.text, refused[i].words))
			fail_msg("%s: %s", refused[i].name, reason.text);
	}
}

static void the_plugin_describes_itself(void **state)
{
	struct world *world = *state;
	char *help = tcmu_plugin_help(world->plugin);

	assert_string_equal(tcmu_plugin_handler(world->plugin)->subtype, "file");
	assert_string_equal(tcmu_plugin_path(world->plugin), PLUGIN);
	assert_non_null(strstr(help, ";direct=yes|no"));
	free(help);
}

static void config_strings_are_checked(void **state)
{
	struct world *world = *state;
	struct tcmu_disk *disk = world->disk;
	char claim[128];

	assert_int_equal(tcmu_plugin_check(world->plugin, world->path, 0, 0, &world->reason), 0);
	assert_int_equal(
		tcmu_plugin_check(world->plugin, "relative", 0, 0, &world->reason), -EINVAL);
	assert_int_equal(
		tcmu_plugin_check(world->plugin, "/x;colour=red", 0, 0, &world->reason), -EINVAL);
	assert_non_null(strstr(world->reason.text, "has no option \"colour\""));
	assert_int_equal(tcmu_plugin_check(world->plugin, "/a b", 0, 0, &world->reason), -EINVAL);
	assert_int_equal(
		tcmu_plugin_claim(world->plugin, world->path, claim, sizeof(claim), &world->reason),
		0);
	assert_string_equal(claim, tcmu_disk_info(disk)->claim);
	assert_int_equal(open_disk(world, ";colour=red"), -EINVAL);
	world->disk = disk;
}

static void impossible_disks_are_refused(void **state)
{
	struct world *world = *state;
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup), .block_size = 1000, .disk_size = SIZE};
	struct tcmu_disk *disk;

	assert_int_equal(
		tcmu_disk_open(world->plugin, world->path, &setup, &disk, &world->reason), -EINVAL);
	setup.block_size = 4096;
	setup.disk_size = 4096 + 512;
	assert_int_equal(
		tcmu_disk_open(world->plugin, world->path, &setup, &disk, &world->reason), -EINVAL);
	setup.disk_size = 0;
	assert_int_equal(
		tcmu_disk_open(world->plugin, world->path, &setup, &disk, &world->reason), -EINVAL);
}

/* ------- requests ------- */

static void requests_that_the_daemon_never_makes_are_refused(void **state)
{
	struct world *world = *state;
	static char data[2 * BLOCK];
	struct iovec iov = {.iov_base = data, .iov_len = BLOCK};
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = TCMU_IO_READ,
		.iov = &iov,
		.iov_cnt = 1,
		.length = 2 * BLOCK};

	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 1, data, BLOCK), -EINVAL);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, 100), -EINVAL);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, 0), -EINVAL);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, SIZE, data, BLOCK), -EINVAL);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_READ, 0, SIZE - BLOCK, data, 2 * BLOCK), -EINVAL);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_READ, 0, UINT64_MAX - BLOCK + 1, data, BLOCK),
		-EINVAL);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_COMPARE_AND_WRITE, 0, 0, data, BLOCK),
		-EOPNOTSUPP);
	assert_int_equal(
		tcmu_disk_io(world->disk, (enum tcmu_io_op) 77, 0, 0, data, BLOCK), -EINVAL);
	assert_int_equal(tcmu_disk_submit(world->disk, &request, NULL), -EINVAL);
}

/* The daemon makes several of them. */
static void a_request_longer_than_the_backend_takes_is_refused(void **state)
{
	struct world *world = *state;
	struct tcmu_plugin *file = world->plugin;
	static char data[2 * BLOCK];

	tcmu_disk_close(world->disk);
	world->disk = NULL;
	assert_int_equal(
		tcmu_plugin_load(PLUGINS "/handler_broken.so", &world->plugin, &world->reason), 0);
	if (open_disk(world, ".limit;break=bad_limit") < 0)
		fail_msg("%s", world->reason.text);
	assert_in_range(tcmu_disk_info(world->disk)->maximum_transfer, BLOCK, 2 * BLOCK - 1);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, BLOCK), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, BLOCK), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, 2 * BLOCK), -EINVAL);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, 2 * BLOCK), -EINVAL);
	tcmu_plugin_free(file);
}

static void bytes_are_written_and_read(void **state)
{
	struct world *world = *state;
	char written[BLOCK] = "a block", read[BLOCK];
	struct tcmu_disk_stats stats = {.size = sizeof(stats)};

	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_WRITE, TCMU_IO_FUA, SIZE - BLOCK, written, BLOCK),
		0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, SIZE - BLOCK, read, BLOCK), 0);
	assert_memory_equal(written, read, BLOCK);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_WRITE_ZEROES, 0, SIZE - BLOCK, NULL, BLOCK), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, SIZE - BLOCK, read, BLOCK), 0);
	assert_int_equal(read[0], 0);
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	tcmu_disk_read_stats(world->disk, &stats);
	assert_int_equal(stats.requests, 5);
	assert_int_equal(stats.in_flight, 0);
	assert_true(stats.system_calls >= 5);
}

static void a_read_only_disk_takes_no_writes(void **state)
{
	struct world *world = *state;
	char data[BLOCK] = "";

	tcmu_disk_close(world->disk);
	assert_int_equal(open_disk(world, ";ro=1"), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, BLOCK), -EOPNOTSUPP);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, BLOCK), 0);
}

static void a_resize_moves_the_end(void **state)
{
	struct world *world = *state;
	char data[BLOCK] = "";

	assert_int_equal(tcmu_disk_resize(world->disk, 2 * SIZE, &world->reason), 0);
	assert_int_equal(tcmu_disk_size(world->disk), 2 * SIZE);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 2 * SIZE - BLOCK, data, BLOCK), 0);
	/* The file handler shrinks only with shrink=1. */
	assert_true(tcmu_disk_resize(world->disk, SIZE, &world->reason) < 0);
	assert_int_equal(tcmu_disk_size(world->disk), 2 * SIZE);
	assert_int_equal(tcmu_disk_resize(world->disk, SIZE + 1, &world->reason), -EINVAL);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 2 * SIZE - BLOCK, data, BLOCK), 0);
}

/* ------- faults ------- */

static void inject(
	struct world *world, enum tcmu_disk_fault_kind kind, enum tcmu_aio_op op, unsigned first,
	unsigned count, int64_t value)
{
	struct tcmu_disk_fault fault = {
		.size = sizeof(fault),
		.kind = kind,
		.op = op,
		.first = first,
		.count = count,
		.value = value};

	tcmu_disk_inject(world->disk, &fault);
}

static void system_calls_fail_as_injected(void **state)
{
	struct world *world = *state;
	char data[BLOCK] = "";

	inject(world, TCMU_FAULT_FAIL, TCMU_AIO_WRITEV, 2, 1, -ENOSPC);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, BLOCK), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, data, BLOCK), 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, BLOCK), -ENOSPC);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, data, BLOCK), 0);
	tcmu_disk_clear_faults(world->disk);
	inject(world, TCMU_FAULT_FAIL, TCMU_AIO_FDATASYNC, 1, 0, -EIO);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(world->failures, 1);
}

static void short_transfers_are_continued(void **state)
{
	struct world *world = *state;
	char written[4 * BLOCK], read[4 * BLOCK];
	struct tcmu_disk_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};

	memset(written, 'w', sizeof(written));
	tcmu_disk_read_stats(world->disk, &before);
	inject(world, TCMU_FAULT_SHORT, TCMU_AIO_WRITEV, 1, 3, 100);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, 0, written, sizeof(written)), 0);
	tcmu_disk_read_stats(world->disk, &after);
	assert_int_equal(after.system_calls - before.system_calls, 4);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, 0, read, sizeof(read)), 0);
	assert_memory_equal(written, read, sizeof(read));
}

struct ended {
	atomic_uint cnt;
	atomic_int error;
};

static void on_end(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct ended *ended = userdata;

	(void) result;
	(void) flags;
	atomic_store(&ended->error, error);
	atomic_fetch_add(&ended->cnt, 1);
}

static uint64_t begin_read(struct world *world, struct ended *ended)
{
	static char data[BLOCK];
	static struct iovec iov = {.iov_base = data, .iov_len = BLOCK};
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = TCMU_IO_READ,
		.iov = &iov,
		.iov_cnt = 1,
		.length = BLOCK,
		.done = on_end,
		.userdata = ended};
	uint64_t id = 0;

	assert_int_equal(tcmu_disk_submit(world->disk, &request, &id), 0);
	assert_true(id > 0);
	return id;
}

static void a_call_that_is_stuck_goes_on(void **state)
{
	struct world *world = *state;
	struct ended ended = {0};
	char text[256];

	inject(world, TCMU_FAULT_STICK, TCMU_AIO_READV, 1, 1, 0);
	(void) begin_read(world, &ended);
	assert_int_equal(tcmu_disk_drain(world->disk, 20), -ETIMEDOUT);
	tcmu_disk_describe(world->disk, text, sizeof(text));
	assert_non_null(strstr(text, "READ of 512 bytes at 0"));
	tcmu_disk_unstick(world->disk);
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(ended.cnt, 1);
	assert_int_equal(ended.error, 0);
}

static void a_call_that_is_stuck_is_cancelled(void **state)
{
	struct world *world = *state;
	struct ended ended = {0};
	uint64_t id;

	inject(world, TCMU_FAULT_STICK, 0, 1, 1, 0);
	id = begin_read(world, &ended);
	assert_int_equal(tcmu_disk_drain(world->disk, 20), -ETIMEDOUT);
	tcmu_disk_cancel(world->disk, id + 100); /* another one */
	assert_int_equal(tcmu_disk_drain(world->disk, 20), -ETIMEDOUT);
	tcmu_disk_cancel(world->disk, id);
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(ended.cnt, 1);
	assert_int_equal(ended.error, -ECANCELED);
	tcmu_disk_cancel(world->disk, id); /* it has ended */
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(ended.cnt, 1);
}

static void a_delayed_call_ends_by_itself(void **state)
{
	struct world *world = *state;
	struct ended ended = {0};

	inject(world, TCMU_FAULT_DELAY, TCMU_AIO_READV, 1, 1, 60);
	(void) begin_read(world, &ended);
	assert_int_equal(tcmu_disk_drain(world->disk, 10), -ETIMEDOUT);
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(ended.error, 0);
}

/* More than the host keeps: so requests are used again. */
static void many_requests_end_once_each(void **state)
{
	struct world *world = *state;
	struct ended ended = {0};

	for (unsigned i = 0; i < 10000; i++) {
		(void) begin_read(world, &ended);
		if (i % 200 == 0)
			assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	}
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(ended.cnt, 10000);
	assert_int_equal(ended.error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_is_no_plugin_is_refused),
		TEST(the_plugin_describes_itself),
		TEST(config_strings_are_checked),
		TEST(impossible_disks_are_refused),
		TEST(requests_that_the_daemon_never_makes_are_refused),
		TEST(a_request_longer_than_the_backend_takes_is_refused),
		TEST(bytes_are_written_and_read),
		TEST(a_read_only_disk_takes_no_writes),
		TEST(a_resize_moves_the_end),
		TEST(system_calls_fail_as_injected),
		TEST(short_transfers_are_continued),
		TEST(a_call_that_is_stuck_goes_on),
		TEST(a_call_that_is_stuck_is_cancelled),
		TEST(a_delayed_call_ends_by_itself),
		TEST(many_requests_end_once_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
