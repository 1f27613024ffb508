/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ram handler: what memory a disk uses, when that is given back, and both limits.
 */
#include "fake-host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB           1024u
#define MIB           (1024u * KIB)
#define PAGE          4096u                 /* of the tests; the handler's may be larger */
#define LARGE         (UINT64_C(256) << 30) /* ThreadSanitizer has no address space for more */

#define PROCESS_LIMIT "48M"

static int ram_setup(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	struct tcmu_reason reason;

	setenv("TCMUD_RAM_LIMIT", PROCESS_LIMIT, 1);
	*state = host;
	return host->handler->init(&reason);
}

static int ram_teardown(void **state)
{
	fake_host_free(*state);
	return 0;
}

/* Writes bytes of a value. */
static int put(struct fake_host *host, uint64_t offset, size_t length, int value)
{
	uint8_t *data = malloc(length);
	int r;

	assert_non_null(data);
	memset(data, value, length);
	r = fake_write(host, offset, data, length, 0);
	free(data);
	return r;
}

static void expect(struct fake_host *host, uint64_t offset, size_t length, int value)
{
	uint8_t *data = malloc(length);

	assert_non_null(data);
	assert_int_equal(fake_read(host, offset, data, length), 0);
	for (size_t i = 0; i < length; i++)
		if (data[i] != value)
			fail_msg("byte %zu is %d, not %d", (size_t) offset + i, data[i], value);
	free(data);
}

/* The run at offset, as GET LBA STATUS gets it. */
static uint64_t map(struct fake_host *host, uint64_t offset, uint64_t length, bool *mapped)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_MAP, offset, length);
	uint64_t run;

	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	run = io->io.result;
	*mapped = io->io.result_flags & TCMU_IO_MAPPED;
	fake_io_free(io);
	return run;
}

/* Bytes of memory that this process uses. */
static uint64_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long total, pages;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &total, &pages), 2);
	(void) fclose(file);
	return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static void what_was_not_written_is_zeros_and_uses_no_memory(void **state)
{
	struct fake_host *host = *state;
	uint64_t before = resident();
	bool mapped;

	assert_int_equal(fake_open(host, "x", LARGE, 512), 0);
	expect(host, LARGE - MIB, MIB, 0);
	assert_int_equal(map(host, 0, UINT64_C(1) << 30, &mapped), UINT64_C(1) << 30);
	assert_false(mapped);
	assert_true(resident() < before + 16 * MIB);
	assert_int_equal(put(host, LARGE / 2, MIB, 7), 0);
	expect(host, LARGE / 2, MIB, 7);
}

static void unmap_gives_memory_back(void **state)
{
	struct fake_host *host = *state;
	uint64_t before, full;

	assert_int_equal(fake_open(host, "x", 64 * MIB, 512), 0);
	assert_int_equal(put(host, 0, MIB, 1), 0);
	before = resident();
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(put(host, i * MIB, MIB, 1), 0);
	full = resident();
	assert_true(full > before + 36 * MIB);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, 40 * MIB, 0), 0);
	assert_true(resident() + 36 * MIB < full);
	expect(host, 0, 40 * MIB, 0);
	assert_int_equal(put(host, 0, MIB, 1), 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, 64 * MIB, TCMU_IO_MAY_UNMAP), 0);
	expect(host, 0, MIB, 0);
}

static void close_gives_memory_back(void **state)
{
	struct fake_host *host = *state;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fake_open(host, "x", 64 * MIB, 512), 0);
		for (unsigned at = 0; at < 40; at++)
			assert_int_equal(put(host, at * MIB, MIB, 1), 0);
		fake_close(host);
	}
}

/* Only whole pages are given back, and the rest is cleared. */
static void a_part_of_a_page_is_cleared(void **state)
{
	struct fake_host *host = *state;
	uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
	bool mapped;

	assert_int_equal(fake_open(host, "x", 3 * page + 512, 512), 0);
	assert_int_equal(put(host, 0, 3 * page + 512, 9), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 512, 2 * page, 0), 0);
	expect(host, 0, 512, 9);
	expect(host, 512, 2 * page, 0);
	expect(host, 2 * page + 512, page, 9);
	assert_int_equal(map(host, 0, 3 * page + 512, &mapped), page);
	assert_true(mapped);
	assert_int_equal(map(host, page + 512, 2 * page, &mapped), page - 512);
	assert_false(mapped);
	assert_int_equal(map(host, 2 * page, page + 512, &mapped), page + 512);
	assert_true(mapped);
	/* the last page, of which the disk has a part */
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 3 * page, 512, 0), 0);
	assert_int_equal(map(host, 3 * page, 512, &mapped), 512);
	assert_false(mapped);
}

static void zeros_that_keep_their_memory_are_mapped(void **state)
{
	struct fake_host *host = *state;
	bool mapped;

	assert_int_equal(fake_open(host, "x;limit=1M", 64 * MIB, 512), 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, MIB, 0), 0);
	assert_int_equal(map(host, 0, 4ull * MIB, &mapped), MIB);
	assert_true(mapped);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, MIB, MIB, 0), -ENOSPC);
}

static void a_disk_stops_at_its_limit_and_changes_nothing(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_open(host, "x;limit=1M", 64 * MIB, 512), 0);
	assert_int_equal(put(host, 0, 512 * KIB, 1), 0);
	assert_int_equal(put(host, 256 * KIB, MIB, 2), -ENOSPC);
	expect(host, 0, 512 * KIB, 1);
	expect(host, 512 * KIB, MIB, 0);
	assert_int_equal(put(host, 256 * KIB, 768 * KIB, 2), 0);
	assert_int_equal(put(host, 0, MIB, 3), 0); /* needs no more */
	assert_int_equal(put(host, 32 * MIB, 512, 4), -ENOSPC);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, 512 * KIB, 0), 0);
	assert_int_equal(put(host, 32 * MIB, 512 * KIB, 4), 0);
	assert_int_equal(put(host, 40 * MIB, 512, 4), -ENOSPC);
}

static void all_disks_stop_at_the_limit_of_the_process(void **state)
{
	struct fake_host *host = *state, *other = fake_host_new(PLUGIN, AIO_THREADS);

	assert_int_equal(fake_open(host, "x", 64 * MIB, 512), 0);
	assert_int_equal(fake_open(other, "x", 64 * MIB, 512), 0);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(put(host, i * MIB, MIB, 1), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(put(other, i * MIB, MIB, 2), 0);
	assert_int_equal(put(other, 16 * MIB, 512, 2), -ENOSPC);
	assert_int_equal(put(host, 32 * MIB, 512, 1), -ENOSPC);
	fake_close(host);
	assert_int_equal(put(other, 16 * MIB, MIB, 2), 0);
	expect(other, 15 * MIB, 2 * MIB, 2);
	fake_host_free(other);
}

static void a_resize_keeps_the_data_and_cuts_the_end_off(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_open(host, "x", MIB, 512), 0);
	assert_int_equal(put(host, 0, MIB, 5), 0);
	assert_int_equal(fake_resize(host, "x", LARGE), 0);
	expect(host, 0, MIB, 5);
	expect(host, MIB, MIB, 0);
	assert_int_equal(put(host, LARGE / 2, MIB, 6), 0);
	expect(host, LARGE / 2, MIB, 6);
	assert_int_equal(fake_resize(host, "x", 2 * PAGE + 512), 0);
	expect(host, 0, 2 * PAGE + 512, 5);
	assert_int_equal(fake_resize(host, "x", LARGE), 0);
	expect(host, 0, 2 * PAGE + 512, 5);
	expect(host, 2 * PAGE + 512, MIB, 0);
	expect(host, LARGE / 2, MIB, 0);
}

static void lost_data_is_said_unless_the_operator_does_not_mind(void **state)
{
	struct fake_host *host = *state;

	host->must_exist = true;
	assert_int_equal(fake_open(host, "x", MIB, 512), -ENODATA);
	assert_non_null(strstr(host->reason.text, "restart=empty"));
	assert_int_equal(fake_open(host, "x;restart=empty", MIB, 512), 0);
	expect(host, 0, MIB, 0);
}

static void what_cannot_be_is_refused(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_check(host, "", 0, 0), 0);
	assert_int_equal(fake_check(host, "x;limit=4095", MIB, 512), -EINVAL);
	assert_non_null(strstr(host->reason.text, "limit=4095"));
	assert_int_equal(fake_open(host, "x", UINT64_C(1) << 62, 512), -ENOMEM);
	assert_non_null(strstr(host->reason.text, "address space"));
	assert_int_equal(fake_open(host, "x", MIB, 512), 0);
	assert_int_equal(fake_resize(host, "x", UINT64_C(1) << 62), -ENOMEM);
	expect(host, 0, MIB, 0);
}

static void a_disk_that_is_only_read_offers_no_writes(void **state)
{
	struct fake_host *host = *state;

	host->read_only = true;
	assert_int_equal(fake_open(host, "x", MIB, 512), 0);
	assert_int_equal(host->info.caps, TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_MAP));
}

static void the_limit_of_the_process_is_a_size(void **state)
{
	static const char *const wrong[] = {"all", "-1", "1X", "1MM", "4095", "99999999999999999T"};
	struct fake_host *host = *state;
	struct tcmu_reason reason;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		reason.text[0] = '\0';
		setenv("TCMUD_RAM_LIMIT", wrong[i], 1);
		assert_int_equal(host->handler->init(&reason), -EINVAL);
		assert_non_null(strstr(reason.text, "TCMUD_RAM_LIMIT"));
	}
	setenv("TCMUD_RAM_LIMIT", "", 1);
	assert_int_equal(host->handler->init(&reason), 0);
	unsetenv("TCMUD_RAM_LIMIT");
	assert_int_equal(host->handler->init(&reason), 0);
	assert_int_equal(fake_open(host, "x", 64 * MIB, 512), 0);
	for (unsigned i = 0; i < 50; i++) /* above what the other tests may use */
		assert_int_equal(put(host, i * MIB, MIB, 1), 0);
}

static void every_option_is_in_the_manual_page_with_its_default(void **state)
{
	fake_check_manual_options(*state, MANUAL);
	fake_check_manual_counters(*state, MANUAL);
}

#define RAM_TEST(name) cmocka_unit_test_setup_teardown(name, ram_setup, ram_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAM_TEST(what_was_not_written_is_zeros_and_uses_no_memory),
		RAM_TEST(unmap_gives_memory_back),
		RAM_TEST(close_gives_memory_back),
		RAM_TEST(a_part_of_a_page_is_cleared),
		RAM_TEST(zeros_that_keep_their_memory_are_mapped),
		RAM_TEST(a_disk_stops_at_its_limit_and_changes_nothing),
		RAM_TEST(all_disks_stop_at_the_limit_of_the_process),
		RAM_TEST(a_resize_keeps_the_data_and_cuts_the_end_off),
		RAM_TEST(lost_data_is_said_unless_the_operator_does_not_mind),
		RAM_TEST(what_cannot_be_is_refused),
		RAM_TEST(a_disk_that_is_only_read_offers_no_writes),
		RAM_TEST(the_limit_of_the_process_is_a_size),
		RAM_TEST(every_option_is_in_the_manual_page_with_its_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
