/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders and files of the file handler's tests.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const enum aio_kind kinds[] = {AIO_URING, AIO_THREADS};
static const char *const kind_names[] = {"io_uring", "threads"};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct file_fixture running;

void file_make_folder(char *folder, size_t size)
{
	char here[PATH_MAX];

	assert_non_null(getcwd(here, sizeof(here)));
	assert_true(snprintf(folder, size, "%s/file-XXXXXX", here) < (int) size);
	assert_non_null(mkdtemp(folder));
}

static int setup(void **state)
{
	const enum aio_kind *kind = *state;

	memset(&running, 0, sizeof(running));
	file_make_folder(running.folder, sizeof(running.folder));
	(void) snprintf(running.path, sizeof(running.path), "%s/disk.img", running.folder);
	running.host = fake_host_new(PLUGIN, *kind);
	*state = &running;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void) st;
	(void) kind;
	(void) ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct file_fixture *fixture = *state;

	fake_host_free(fixture->host);
	assert_int_equal(nftw(fixture->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}

int file_run_tests(const struct file_test *tests, size_t cnt)
{
	struct CMUnitTest *all = calloc(cnt * KINDS, sizeof(*all));
	char(*names)[128] = calloc(cnt * KINDS, sizeof(*names));
	int r;

	for (size_t i = 0; i < cnt * KINDS; i++) {
		(void) snprintf(
			names[i], sizeof(names[i]), "%s [%s]", tests[i / KINDS].name,
			kind_names[i % KINDS]);
		all[i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = tests[i / KINDS].function,
			.setup_func = setup,
			.teardown_func = teardown,
			.initial_state = (void *) &kinds[i % KINDS],
		};
	}
	r = _cmocka_run_group_tests("file", all, cnt * KINDS, NULL, NULL);
	free(names);
	free(all);
	return r;
}

struct file_fixture *file_fixture_of(void **state)
{
	return *state;
}

struct fake_host *file_opened(void **state, const char *options)
{
	struct file_fixture *fixture = *state;
	char config[256];

	(void) snprintf(config, sizeof(config), "%s%s", fixture->path, options);
	if (fake_open(fixture->host, config, FILE_SIZE, BLOCK_SIZE) < 0)
		fail_msg("%s", fixture->host->reason.text);
	return fixture->host;
}

const char *file_in(const struct file_fixture *fixture, const char *name)
{
	static char path[512];

	(void) snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
	return path;
}

uint8_t file_byte(uint64_t offset)
{
	return (uint8_t) (1 + (offset + offset / 255 + offset / 4096 * 7) % 255);
}

void file_pattern(uint8_t *data, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = file_byte(offset + i);
}

void file_make(const char *path, size_t length)
{
	uint8_t *data = malloc(length + 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_non_null(data);
	assert_true(fd >= 0);
	file_pattern(data, 0, length);
	assert_int_equal(write(fd, data, length), length);
	close(fd);
	free(data);
}

static struct stat status(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st;
}

uint64_t file_length(const char *path)
{
	return (uint64_t) status(path).st_size;
}

uint64_t file_allocated(const char *path)
{
	return (uint64_t) status(path).st_blocks * 512;
}

void file_contents(const char *path, uint64_t offset, uint8_t *data, size_t length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, data, length, (off_t) offset), length);
	close(fd);
}

bool file_is_zero(const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (data[i])
			return false;
	return true;
}
