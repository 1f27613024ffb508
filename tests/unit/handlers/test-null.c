/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The null handler: everything succeeds at once, nothing is kept.
 */
#include "fake-host.h"

#include <string.h>

#define MIB (1024u * 1024)

static int null_setup(void **state)
{
	*state = fake_host_new(PLUGIN, AIO_THREADS);
	return 0;
}

static int null_teardown(void **state)
{
	fake_host_free(*state);
	return 0;
}

static void any_name_and_size_is_fine(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_check(host, "", 0, 0), 0);
	assert_int_equal(fake_check(host, "bench", MIB, 512), 0);
	assert_int_equal(fake_open(host, "", 512, 512), 0);
	assert_int_equal(fake_resize(host, "", 4096), 0);
	fake_close(host);
	assert_int_equal(fake_open(host, "bench", UINT64_C(1) << 50, 4096), 0);
}

static void reads_are_zeros_in_every_piece(void **state)
{
	struct fake_host *host = *state;
	uint8_t got[10000], zeros[10000] = {0};
	struct fake_io *io;

	assert_int_equal(fake_open(host, "bench", MIB, 512), 0);
	io = fake_io_new(host, TCMU_IO_READ, 512, sizeof(got));
	fake_io_split(io, 999, 13);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_fetch(io, got, sizeof(got));
	assert_memory_equal(got, zeros, sizeof(got));
	assert_int_equal(io->data[0], 0xEE); /* between the pieces */
	fake_io_free(io);
}

static void reads_may_be_left_untouched(void **state)
{
	struct fake_host *host = *state;
	uint8_t got[4096], untouched[4096];

	memset(untouched, 0xEE, sizeof(untouched));
	assert_int_equal(fake_open(host, "bench;reads=untouched", MIB, 512), 0);
	assert_int_equal(fake_read(host, 0, got, sizeof(got)), 0);
	assert_memory_equal(got, untouched, sizeof(got));
}

static void writes_are_forgotten(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[4096], zeros[4096] = {0};

	memset(data, 0x11, sizeof(data));
	assert_int_equal(fake_open(host, "bench", MIB, 512), 0);
	assert_int_equal(fake_write(host, 0, data, sizeof(data), TCMU_IO_FUA), 0);
	assert_int_equal(fake_read(host, 0, data, sizeof(data)), 0);
	assert_memory_equal(data, zeros, sizeof(data));
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, 4096, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, 4096, 0), 0);
}

static void a_disk_that_is_only_read_offers_no_writes(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_open(host, "bench", MIB, 512), 0);
	assert_true(host->info.caps & TCMU_IO_CAP(TCMU_IO_WRITE));
	fake_close(host);
	host->read_only = true;
	assert_int_equal(fake_open(host, "bench", MIB, 512), 0);
	assert_int_equal(host->info.caps, TCMU_IO_CAP(TCMU_IO_READ));
}

/* Two disks of the same name are two disks. */
static void nothing_is_claimed(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_open(host, "bench", MIB, 512), 0);
	assert_string_equal(host->info.claim, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			any_name_and_size_is_fine, null_setup, null_teardown),
		cmocka_unit_test_setup_teardown(
			reads_are_zeros_in_every_piece, null_setup, null_teardown),
		cmocka_unit_test_setup_teardown(
			reads_may_be_left_untouched, null_setup, null_teardown),
		cmocka_unit_test_setup_teardown(writes_are_forgotten, null_setup, null_teardown),
		cmocka_unit_test_setup_teardown(
			a_disk_that_is_only_read_offers_no_writes, null_setup, null_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_claimed, null_setup, null_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
