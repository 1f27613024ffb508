/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters above the file handler: what each does, and what is refused. tests/kit puts stacks of
 * three under verified load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tcmu/host.h>

#include "deadline.h"
#include "temp-dir.h"

#define BLOCK 512u
#define SIZE  (UINT64_C(1) << 20)
#define LONG  "60000"

struct world {
	struct tcmu_plugin *plugin;
	struct tcmu_disk *disk; /* NULL: not open */
	struct tcmu_reason reason;
	char directory[32];
	char path[64];
	atomic_uint violations;
	atomic_uint failures; /* TCMU_BACKEND_FAILED */
	pthread_mutex_t lock;
	unsigned lines;
	char line[256]; /* the last one */
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

static void on_log(void *userdata, enum tcmu_log_level level, const char *line)
{
	struct world *world = userdata;

	(void) level;
	pthread_mutex_lock(&world->lock);
	world->lines++;
	(void) snprintf(world->line, sizeof(world->line), "%s", line);
	pthread_mutex_unlock(&world->lock);
}

static int try_open(struct world *world, const char *filters)
{
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = BLOCK,
		.disk_size = SIZE,
		.strict = true,
		.userdata = world,
		.log = on_log,
		.event = on_event,
		.violation = on_violation};
	char config[320];

	(void) snprintf(config, sizeof(config), "%s%s", world->path, filters);
	return tcmu_disk_open(world->plugin, config, &setup, &world->disk, &world->reason);
}

static struct tcmu_disk *open_disk(struct world *world, const char *filters)
{
	if (try_open(world, filters) < 0)
		fail_msg("%s: %s", filters, world->reason.text);
	return world->disk;
}

static void close_disk(struct world *world)
{
	tcmu_disk_close(world->disk);
	world->disk = NULL;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	pthread_mutex_init(&world->lock, NULL);
	strcpy(world->directory, "/tmp/tcmud-filters-XXXXXX");
	temp_dir_make(world->directory);
	(void) snprintf(world->path, sizeof(world->path), "%s/disk", world->directory);
	if (tcmu_plugin_load(PLUGIN, &world->plugin, &world->reason) < 0)
		fail_msg("%s", world->reason.text);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	close_disk(world);
	assert_int_equal(world->violations, 0);
	tcmu_plugin_free(world->plugin);
	temp_dir_remove(world->directory);
	pthread_mutex_destroy(&world->lock);
	free(world);
	return 0;
}

static int write_block(struct world *world, uint64_t block, char fill)
{
	char data[BLOCK];

	memset(data, fill, sizeof(data));
	return tcmu_disk_io(world->disk, TCMU_IO_WRITE, 0, block * BLOCK, data, BLOCK);
}

/* The byte that fills the block. */
static char read_block(struct world *world, uint64_t block)
{
	char data[BLOCK];

	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_READ, 0, block * BLOCK, data, BLOCK), 0);
	for (unsigned i = 1; i < BLOCK; i++)
		assert_int_equal(data[i], data[0]);
	return data[0];
}

/* ------- config strings ------- */

static void a_refusal_names_filter_option_and_what_is_expected(void **state)
{
	static const struct {
		const char *filters;
		const char *words[3];
	} refused[] = {
		{";filter=nosuch", {"no filter \"nosuch\"", "expected", "cow, delay, fault, log"}},
		{";filter=", {"no filter \"\"", "expected", "log"}},
		{";filter", {"no filter \"\"", "expected", "log"}},
		{";filter=log;filter=nosuch+x=1", {"no filter \"nosuch\"", "expected", "log"}},
		{";filter=delay+raed=1", {"delay", "\"raed\"", "expected all, read"}},
		{";filter=delay+read=1s", {"delay", "\"read\"", "expected NUMBER"}},
		{";filter=delay+read", {"delay", "\"read\"", "has no value: expected NUMBER"}},
		{";filter=delay+read=1+read=2", {"delay", "\"read\"", "given twice"}},
		{";filter=delay+", {"delay", "\"\"", "expected all, read"}},
		{";filter=delay+jitter=86400001", {"delay", "\"jitter\"", "at most 86400000"}},
		{";filter=fault+op=trim", {"fault", "\"op\"", "all|read|write|flush"}},
		{";filter=fault+errno=EFOO", {"fault", "\"errno\"", "expected the name"}},
		{";filter=fault+ms=86400001", {"fault", "\"ms\"", "at most 86400000"}},
		{";filter=fault+errno=%zz", {"errno", "%", ""}},
		{";filter=log+rate=4294967296", {"log", "\"rate\"", "at most 4294967295"}},
		{";filter=stats+name=A", {"stats", "\"name\"", "[a-z0-9_]"}},
		{";filter=stats;filter=stats", {"stats", "\"name\"", "two different names"}},
		{";filter=log;filter=log;filter=log;filter=log;filter=log;filter=log;filter=log"
		 ";filter=log;filter=log",
		 {"more than 8 filters", "", ""}},
	};
	struct world *world = *state;
	char config[320];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		(void) snprintf(config, sizeof(config), "%s%s", world->path, refused[i].filters);
		world->reason.text[0] = '\0';
		assert_int_equal(
			tcmu_plugin_check(world->plugin, config, 0, 0, &world->reason), -EINVAL);
		for (size_t j = 0; j < 3; j++)
			if (!strstr(world->reason.text, refused[i].words[j]))
				fail_msg("%s: %s", refused[i].filters, world->reason.text);
		assert_int_equal(try_open(world, refused[i].filters), -EINVAL);
	}
}

static void a_stack_has_the_properties_and_the_claim_of_the_handler(void **state)
{
	struct world *world = *state;
	struct tcmu_backend_info info;
	char config[320], claim[128];

	info = *tcmu_disk_info(open_disk(world, ""));
	close_disk(world);
	assert_memory_equal(
		tcmu_disk_info(open_disk(world, ";filter=log;filter=delay;filter=fault+nth=9")),
		&info, sizeof(info));
	(void) snprintf(config, sizeof(config), "%s;filter=stats", world->path);
	assert_int_equal(
		tcmu_plugin_claim(world->plugin, config, claim, sizeof(claim), &world->reason), 0);
	assert_string_equal(claim, info.claim);
}

/* ------- log ------- */

static void a_line_is_logged_for_each_request(void **state)
{
	struct world *world = *state;

	open_disk(world, ";filter=log+name=disk%2B1+rate=0");
	assert_int_equal(write_block(world, 3, 'a'), 0);
	assert_int_equal(read_block(world, 3), 'a');
	assert_int_equal(tcmu_disk_drain(world->disk, 10000), 0);
	assert_int_equal(world->lines, 2);
	if (strncmp(world->line, "disk+1: read of 512 bytes at 1536: done, ", 41) != 0)
		fail_msg("%s", world->line);
}

static void lines_beyond_the_rate_are_left_out(void **state)
{
	struct world *world = *state;
	unsigned lines = 0;

	open_disk(world, ";filter=log+rate=2");
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(write_block(world, i, 'x'), 0);
	lines = world->lines;
	assert_in_range(lines, 2, 150);
}

/* ------- delay ------- */

struct ended {
	atomic_uint cnt;
	atomic_int error;
	_Atomic uint64_t result;
};

static void on_end(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct ended *ended = userdata;

	(void) flags;
	atomic_store(&ended->error, error);
	atomic_store(&ended->result, result);
	atomic_fetch_add(&ended->cnt, 1);
}

static uint64_t begin_write(struct world *world, struct ended *ended)
{
	static char data[4 * BLOCK];
	static struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = TCMU_IO_WRITE,
		.iov = &iov,
		.iov_cnt = 1,
		.length = sizeof(data),
		.done = on_end,
		.userdata = ended};
	uint64_t id = 0;

	memset(data, 'n', sizeof(data));
	assert_int_equal(tcmu_disk_submit(world->disk, &request, &id), 0);
	return id;
}

static void an_answer_comes_later_by_the_time_of_its_operation(void **state)
{
	struct world *world = *state;
	uint64_t begin;

	open_disk(world, ";filter=delay+all=" LONG "+write=30+read=0+jitter=1+seed=3");
	begin = deadline_now_ms();
	assert_int_equal(write_block(world, 0, 'a'), 0);
	assert_true(deadline_now_ms() - begin >= 30);
	assert_int_equal(read_block(world, 0), 'a');
}

static void a_cancelled_request_ends_at_once_wherever_it_is_held(void **state)
{
	static const struct {
		const char *filters;
		int error;
	} cases[] = {
		{";filter=delay+all=" LONG, 0},
		{";filter=log;filter=delay+all=" LONG ";filter=stats", 0},
		{";filter=fault+when=never", -ECANCELED},
		{";filter=delay+all=" LONG ";filter=fault+when=never", -ECANCELED},
		{";filter=stats;filter=fault+when=never;filter=log", -ECANCELED},
		{";filter=fault+when=late+ms=" LONG, 0},
		{";filter=fault+when=late+errno=EROFS+ms=" LONG, -EROFS},
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ended ended = {0};
		uint64_t id;

		open_disk(world, cases[i].filters);
		id = begin_write(world, &ended);
		assert_int_equal(tcmu_disk_drain(world->disk, 20), -ETIMEDOUT);
		tcmu_disk_cancel(world->disk, id);
		assert_int_equal(tcmu_disk_drain(world->disk, 20000), 0);
		assert_int_equal(ended.cnt, 1);
		/* Where the write itself is slow, it is cancelled below. */
		assert_true(ended.error == cases[i].error || ended.error == -ECANCELED);
		/* Some time later as well. */
		id = begin_write(world, &ended);
		tcmu_disk_cancel(world->disk, id);
		assert_int_equal(tcmu_disk_drain(world->disk, 20000), 0);
		assert_int_equal(ended.cnt, 2);
		close_disk(world);
	}
}

/* ------- fault ------- */

static void faults_befall_the_requests_that_are_named(void **state)
{
	struct world *world = *state;

	open_disk(world, ";filter=fault+op=write+errno=ENOSPC+nth=2");
	assert_int_equal(write_block(world, 0, 'a'), 0);
	assert_int_equal(read_block(world, 0), 'a');
	assert_int_equal(write_block(world, 0, 'b'), -ENOSPC);
	assert_int_equal(read_block(world, 0), 'a');
	assert_int_equal(write_block(world, 0, 'c'), 0);
	assert_int_equal(read_block(world, 0), 'c');
}

static void a_fault_after_the_request_leaves_it_carried_out(void **state)
{
	struct world *world = *state;

	open_disk(world, ";filter=fault+op=write+nth=1+when=after");
	assert_int_equal(write_block(world, 0, 'a'), -EIO);
	assert_int_equal(read_block(world, 0), 'a');
}

static void a_late_request_has_its_own_result_or_the_error(void **state)
{
	struct world *world = *state;
	uint64_t begin = deadline_now_ms();

	open_disk(world, ";filter=fault+op=write+nth=1+when=late+ms=30");
	assert_int_equal(write_block(world, 0, 'a'), 0);
	assert_true(deadline_now_ms() - begin >= 30);
	close_disk(world);
	open_disk(world, ";filter=fault+op=write+nth=1+when=late+ms=1+errno=EROFS");
	assert_int_equal(write_block(world, 0, 'b'), -EROFS);
	assert_int_equal(read_block(world, 0), 'b');
}

static void a_short_request_stops_in_the_middle(void **state)
{
	struct world *world = *state;
	struct ended ended = {0};

	open_disk(world, ";filter=log;filter=fault+op=write+nth=5+when=short");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(write_block(world, i, 'o'), 0);
	(void) begin_write(world, &ended);
	assert_int_equal(tcmu_disk_drain(world->disk, 20000), 0);
	assert_int_equal(ended.error, -EIO);
	assert_int_equal(ended.result, 2 * BLOCK);
	/* The filters above see the whole request. */
	assert_non_null(strstr(world->line, "write of 2048 bytes at 0: Input/output error"));
	assert_int_equal(read_block(world, 1), 'n');
	assert_int_equal(read_block(world, 2), 'o');
	close_disk(world);
	/* One block cannot be divided. */
	open_disk(world, ";filter=fault+op=write+when=short");
	assert_int_equal(write_block(world, 3, 'x'), -EIO);
	assert_int_equal(read_block(world, 3), 'o');
}

/* ------- stats ------- */

static uint64_t counter(const struct world *world, const char *name)
{
	const struct tcmu_counter *counters = tcmu_disk_counters(world->disk);

	for (unsigned i = 0; counters && counters[i].name; i++)
		if (strcmp(counters[i].name, name) == 0)
			return tcmu_disk_read_counter(world->disk, i);
	fail_msg("there is no counter %s", name);
	return 0;
}

static void counters_show_what_another_filter_does(void **state)
{
	struct world *world = *state;

	open_disk(
		world,
		";filter=stats+name=above;filter=fault+op=write+nth=2;filter=stats+name=below");
	assert_int_equal(write_block(world, 0, 'a'), 0);
	assert_int_equal(write_block(world, 0, 'a'), -EIO);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(tcmu_disk_drain(world->disk, 20000), 0);
	assert_int_equal(counter(world, "above_write_commands"), 2);
	assert_int_equal(counter(world, "above_write_errors"), 1);
	assert_int_equal(counter(world, "above_write_bytes"), BLOCK);
	assert_int_equal(counter(world, "below_write_commands"), 1);
	assert_int_equal(counter(world, "below_write_errors"), 0);
	assert_int_equal(counter(world, "below_flush_commands"), 1);
	assert_int_equal(counter(world, "below_flush_bytes"), 0);
	assert_int_equal(counter(world, "below_read_commands"), 0);
}

/* ------- cow ------- */

static const char *with_overlay(const struct world *world)
{
	static char filters[160];

	(void) snprintf(
		filters, sizeof(filters), ";filter=log;filter=cow+file=%s/over", world->directory);
	return filters;
}

/* A file of SIZE bytes below, of the block number 'a' + block % 4. */
static void fill_base(struct world *world)
{
	open_disk(world, "");
	for (unsigned i = 0; i < SIZE / BLOCK; i++)
		assert_int_equal(write_block(world, i, (char) ('a' + i % 4)), 0);
	close_disk(world);
}

static void blocks_are_base_but(
	struct world *world, uint64_t first, uint64_t end, char fill, uint64_t from, uint64_t to)
{
	static char data[SIZE];

	assert_int_equal(
		tcmu_disk_io(
			world->disk, TCMU_IO_READ, 0, first * BLOCK, data, (end - first) * BLOCK),
		0);
	for (uint64_t i = 0; i < (end - first) * BLOCK; i++) {
		uint64_t block = first + i / BLOCK;
		char wanted = block >= from && block < to ? fill : (char) ('a' + block % 4);

		if (data[i] != wanted)
			fail_msg("block %u has %c, expected %c", (unsigned) block, data[i], wanted);
	}
}

static void write_blocks(
	struct world *world, uint64_t block, uint64_t cnt, char fill, uint32_t flags)
{
	static char data[SIZE];

	memset(data, fill, cnt * BLOCK);
	assert_int_equal(
		tcmu_disk_io(world->disk, TCMU_IO_WRITE, flags, block * BLOCK, data, cnt * BLOCK),
		0);
}

static void an_overlay_keeps_writes_and_reads_through(void **state)
{
	struct world *world = *state;

	fill_base(world);
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, SIZE / BLOCK, 0, 0, 0);
	write_blocks(world, 3, 10, 'z', 0);
	blocks_are_base_but(world, 0, SIZE / BLOCK, 'z', 3, 13);
	blocks_are_base_but(world, 5, 9, 'z', 3, 13);
	blocks_are_base_but(world, 12, 14, 'z', 3, 13);
	close_disk(world);
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, SIZE / BLOCK, 'z', 3, 13);
	close_disk(world);
	/* The base has not changed. */
	open_disk(world, ";ro=1");
	blocks_are_base_but(world, 0, SIZE / BLOCK, 0, 0, 0);
}

static void copy_overlay(const struct world *world, const char *from, const char *to)
{
	static char data[2 * SIZE];
	char path[96];
	size_t length;
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/%s", world->directory, from);
	file = fopen(path, "r");
	assert_non_null(file);
	length = fread(data, 1, sizeof(data), file);
	assert_true(length > SIZE && feof(file));
	assert_int_equal(fclose(file), 0);
	(void) snprintf(path, sizeof(path), "%s/%s", world->directory, to);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* As if the overlay were of another boot. */
static void change_boot(const struct world *world)
{
	char path[96];
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/over", world->directory);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 24, SEEK_SET), 0);
	assert_int_equal(fputs("another", file), 1);
	assert_int_equal(fclose(file), 0);
}

static void a_crash_keeps_what_was_answered_and_power_what_was_flushed(void **state)
{
	struct world *world = *state;

	fill_base(world);
	open_disk(world, with_overlay(world));
	write_blocks(world, 0, 4, 'f', TCMU_IO_FUA);
	write_blocks(world, 4, 4, 'f', 0);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), 0);
	write_blocks(world, 8, 4, 'f', 0);
	copy_overlay(world, "over", "crashed");
	close_disk(world);
	copy_overlay(world, "crashed", "over");
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, 64, 'f', 0, 12);
	close_disk(world);
	copy_overlay(world, "crashed", "over");
	change_boot(world);
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, 64, 'f', 0, 8);
	/* Nor do the bits of that boot come back. */
	close_disk(world);
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, 64, 'f', 0, 8);
}

static void an_overlay_whose_flush_has_failed_fails(void **state)
{
	struct world *world = *state;
	struct tcmu_disk_fault fault = {
		.size = sizeof(fault),
		.kind = TCMU_FAULT_FAIL,
		.op = TCMU_AIO_FDATASYNC,
		.first = 1,
		.count = 1,
		.value = -EIO};

	fill_base(world);
	open_disk(world, with_overlay(world));
	write_blocks(world, 0, 4, 'f', 0);
	tcmu_disk_inject(world->disk, &fault);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(world->failures, 1);
	assert_int_equal(tcmu_disk_io(world->disk, TCMU_IO_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(world->failures, 1);
}

static void an_overlay_of_another_disk_is_refused(void **state)
{
	struct world *world = *state;
	char filters[160];

	fill_base(world);
	(void) snprintf(filters, sizeof(filters), ";filter=cow+file=%s/disk", world->directory);
	assert_int_equal(try_open(world, filters), -EINVAL);
	assert_non_null(strstr(world->reason.text, "it is no overlay of the filter cow"));
	assert_int_equal(try_open(world, ";filter=cow+file=/nonexistent/over"), -ENOENT);
	assert_non_null(strstr(world->reason.text, "/nonexistent/over"));
	assert_int_equal(try_open(world, ";filter=cow+file=over"), -EINVAL);
	assert_non_null(strstr(world->reason.text, "expected an absolute path"));
	assert_int_equal(try_open(world, ";filter=cow"), -EINVAL);
	assert_non_null(strstr(world->reason.text, "expected an absolute path"));
}

/* Whether this process may write to a file of this path that it has open. */
static bool is_open_for_writing(const char *path)
{
	for (int fd = 3; fd < 256; fd++) {
		char link[64], target[96];
		ssize_t n;

		(void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strcmp(target, path) == 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
			return true;
	}
	return false;
}

static void the_store_below_an_overlay_is_read_only_and_must_exist(void **state)
{
	struct world *world = *state;
	char over[96];

	(void) snprintf(over, sizeof(over), "%s/over", world->directory);
	assert_int_equal(try_open(world, with_overlay(world)), -ENOENT);
	assert_int_equal(access(world->path, F_OK), -1);
	fill_base(world);
	open_disk(world, with_overlay(world));
	assert_false(is_open_for_writing(world->path));
	assert_true(is_open_for_writing(over));
}

/* An overlay above an overlay: the inner one is not written. */
static void overlays_lie_above_overlays(void **state)
{
	struct world *world = *state;
	char filters[400];

	fill_base(world);
	open_disk(world, with_overlay(world));
	write_blocks(world, 0, 4, 'i', 0);
	close_disk(world);
	(void) snprintf(
		filters, sizeof(filters), ";filter=cow+file=%s/outer%s", world->directory,
		with_overlay(world) + strlen(";filter=log"));
	open_disk(world, filters);
	blocks_are_base_but(world, 0, 64, 'i', 0, 4);
	write_blocks(world, 0, 8, 'o', 0);
	blocks_are_base_but(world, 0, 64, 'o', 0, 8);
	close_disk(world);
	open_disk(world, with_overlay(world));
	blocks_are_base_but(world, 0, 64, 'i', 0, 4);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(a_refusal_names_filter_option_and_what_is_expected),
		IN_A_WORLD(a_stack_has_the_properties_and_the_claim_of_the_handler),
		IN_A_WORLD(a_line_is_logged_for_each_request),
		IN_A_WORLD(lines_beyond_the_rate_are_left_out),
		IN_A_WORLD(an_answer_comes_later_by_the_time_of_its_operation),
		IN_A_WORLD(a_cancelled_request_ends_at_once_wherever_it_is_held),
		IN_A_WORLD(faults_befall_the_requests_that_are_named),
		IN_A_WORLD(a_fault_after_the_request_leaves_it_carried_out),
		IN_A_WORLD(a_late_request_has_its_own_result_or_the_error),
		IN_A_WORLD(a_short_request_stops_in_the_middle),
		IN_A_WORLD(counters_show_what_another_filter_does),
		IN_A_WORLD(an_overlay_keeps_writes_and_reads_through),
		IN_A_WORLD(a_crash_keeps_what_was_answered_and_power_what_was_flushed),
		IN_A_WORLD(an_overlay_whose_flush_has_failed_fails),
		IN_A_WORLD(an_overlay_of_another_disk_is_refused),
		IN_A_WORLD(the_store_below_an_overlay_is_read_only_and_must_exist),
		IN_A_WORLD(overlays_lie_above_overlays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
