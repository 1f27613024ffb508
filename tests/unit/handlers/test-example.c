/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example of the handler guide works as the guide describes.
 */
#include "fake-host.h"

#include <string.h>

#define SIZE (1024u * 1024)

static uint8_t data[SIZE];
static uint8_t got[SIZE];

static void written_data_is_read_until_close(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	(void) state;
	assert_int_equal(fake_open(host, "whatever", SIZE, 512), 0);
	memset(data, 0x5C, sizeof(data));
	assert_int_equal(fake_read(host, 0, got, SIZE), 0);
	assert_int_equal(got[0] | got[SIZE - 1], 0);
	assert_int_equal(fake_write(host, 512, data, SIZE - 512, 0), 0);
	assert_int_equal(fake_read(host, 0, got, SIZE), 0);
	assert_int_equal(got[511], 0);
	assert_memory_equal(got + 512, data, SIZE - 512);
	fake_close(host);
	assert_int_equal(fake_open(host, "whatever", SIZE, 512), 0);
	assert_int_equal(fake_read(host, 0, got, SIZE), 0);
	assert_int_equal(got[512], 0);
	fake_host_free(host);
}

static void buffers_may_be_in_pieces(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	struct fake_io *io;

	(void) state;
	assert_int_equal(fake_open(host, "whatever", SIZE, 512), 0);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t) (i * 7);
	io = fake_io_new(host, TCMU_IO_WRITE, 4096, 8192);
	fake_io_split(io, 1000, 24);
	fake_io_fill(io, data, 8192);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_int_equal(fake_read(host, 4096, got, 8192), 0);
	assert_memory_equal(got, data, 8192);
	fake_host_free(host);
}

static void a_disk_that_does_not_fit_is_refused_with_a_reason(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	(void) state;
	assert_true(fake_open(host, "whatever", UINT64_C(1) << 62, 512) < 0);
	assert_non_null(strstr(host->reason.text, "not enough memory"));
	fake_host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_data_is_read_until_close),
		cmocka_unit_test(buffers_may_be_in_pieces),
		cmocka_unit_test(a_disk_that_does_not_fit_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
