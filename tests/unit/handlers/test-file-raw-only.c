/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler under the subtype that tcmu-runner has for images: raw ones are served as they
 * are, others refused.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint8_t data[FILE_SIZE];
static uint8_t got[FILE_SIZE];

static void raw_refused_by_all(
	struct fake_host *host, const char *config, int error, const char *words)
{
	assert_int_equal(fake_check(host, config, FILE_SIZE, BLOCK_SIZE), error);
	assert_non_null(strstr(host->reason.text, words));
	assert_int_equal(fake_open(host, config, FILE_SIZE, BLOCK_SIZE), error);
	assert_non_null(strstr(host->reason.text, words));
}

static void a_raw_image_is_served(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	assert_string_equal(fixture->host->handler->subtype, "qcow");
	file_make(fixture->path, FILE_SIZE);
	assert_int_equal(fake_check(fixture->host, fixture->path, FILE_SIZE, BLOCK_SIZE), 0);
	(void) file_opened(state, "");
	assert_int_equal(fake_read(fixture->host, 0, got, FILE_SIZE), 0);
	file_pattern(data, 0, FILE_SIZE);
	assert_memory_equal(got, data, FILE_SIZE);
}

static void an_image_with_a_header_is_refused(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char config[256];
	int fd;

	file_make(fixture->path, FILE_SIZE);
	fd = open(fixture->path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	assert_int_equal(close(fd), 0);
	raw_refused_by_all(fixture->host, fixture->path, -EMEDIUMTYPE, "qemu-img convert -O raw");
	(void) snprintf(config, sizeof(config), "%s;direct=1", fixture->path);
	raw_refused_by_all(fixture->host, config, -EMEDIUMTYPE, "is a qcow image");
	/* Whatever its size: the reason is the header. */
	assert_int_equal(truncate(fixture->path, 4096), 0);
	raw_refused_by_all(fixture->host, fixture->path, -EMEDIUMTYPE, "is a qcow image");
}

static void a_missing_image_is_not_made(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	raw_refused_by_all(fixture->host, fixture->path, -ENOENT, "create=0");
	assert_int_not_equal(access(fixture->path, F_OK), 0);
}

int main(void)
{
	static const struct file_test tests[] = {
		FILE_TEST(a_raw_image_is_served),
		FILE_TEST(an_image_with_a_header_is_refused),
		FILE_TEST(a_missing_image_is_not_made),
	};

	return file_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
