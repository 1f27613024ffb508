/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler that was written for tcmu-runner: the loss of its store, which the daemon answers by
 * reopening it, its logs and its refusals.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake-host.h"

#define SIZE  (UINT64_C(1) << 20)
#define BLOCK 512u

static void test_lost(void **state)
{
	char directory[] = "/tmp/test-compat.XXXXXX", path[64], gone[64];
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	uint8_t out[BLOCK], in[BLOCK];
	FILE *file;

	(void) state;
	assert_non_null(mkdtemp(directory));
	(void) snprintf(path, sizeof(path), "%s/disk", directory);
	(void) snprintf(gone, sizeof(gone), "%s/disk.gone", directory);
	assert_int_equal(fake_open(host, path, SIZE, BLOCK), 0);
	assert_string_equal(fake_reported(host).log, "3 open, reopen 0");
	memset(out, 0x5a, sizeof(out));
	assert_int_equal(fake_write(host, 0, out, sizeof(out), 0), 0);

	file = fopen(gone, "w");
	assert_non_null(file);
	(void) fclose(file);
	assert_int_equal(fake_read(host, 0, in, sizeof(in)), -ETIMEDOUT);
	fake_wait_events(host, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FAILED);
	assert_int_equal(fake_reported(host).event_value, -ENOTCONN);
	fake_close(host);
	assert_int_equal(fake_open(host, path, SIZE, BLOCK), -EIO);
	assert_string_equal(host->reason.text, "the store is still gone");

	assert_int_equal(unlink(gone), 0);
	assert_int_equal(fake_open(host, path, SIZE, BLOCK), 0);
	assert_string_equal(fake_reported(host).log, "3 open, reopen 1");
	assert_int_equal(fake_read(host, 0, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	fake_host_free(host);
	(void) unlink(path);
	(void) rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lost)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
