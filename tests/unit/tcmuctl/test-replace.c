/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that tcmuctl writes: whatever another user has put beside it, root's file alone is
 * written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log-fixture.h"
#include "replace.h"

static uint8_t next_random;

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags)
{
	(void) flags;
	memset(buffer, next_random++, size);
	return (ssize_t) size;
}

static int setup(void **state)
{
	(void) state;
	next_random = 0;
	fixture_write("victim", "untouched");
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	fixture_remove_directory();
	return 0;
}

static int write_file(const char *path)
{
	struct replace replace;
	int r = replace_begin(&replace, path);

	if (r < 0)
		return r;
	fputs("new", replace.out);
	return replace_end(&replace);
}

static void file_has(const char *name, const char *wanted)
{
	char *text = fixture_read(fixture_path(name));

	assert_non_null(text);
	assert_string_equal(text, wanted);
	free(text);
}

static unsigned files_in_directory(void)
{
	DIR *directory = opendir(fixture_directory());
	unsigned cnt = 0;

	assert_non_null(directory);
	for (const struct dirent *entry; (entry = readdir(directory));)
		cnt += entry->d_name[0] != '.';
	(void) closedir(directory);
	return cnt;
}

static void a_file_is_made_and_replaced_with_the_mode_of_the_mask(void **state)
{
	struct stat st;
	mode_t mask = umask(0027);

	(void) state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(write_file(fixture_path("out")), 0);
		file_has("out", "new");
		assert_int_equal(stat(fixture_path("out"), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		fixture_write("out", "old");
	}
	(void) umask(mask);
	assert_int_equal(files_in_directory(), 2);
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
	struct replace replace;

	(void) state;
	fixture_write("out", "old");
	assert_int_equal(replace_begin(&replace, fixture_path("out")), 0);
	assert_int_equal(close(fileno(replace.out)), 0);
	fputs("new", replace.out);
	assert_int_equal(replace_end(&replace), -EBADF);
	file_has("out", "old");
	assert_int_equal(files_in_directory(), 2);
}

/* Even with luck. */
static void what_lies_in_the_place_of_the_new_file_is_not_touched(void **state)
{
	(void) state;
	assert_int_equal(symlink(fixture_path("victim"), fixture_path("out.0000000000000000")), 0);
	assert_int_equal(symlink(fixture_path("none"), fixture_path("out.0101010101010101")), 0);
	assert_int_equal(link(fixture_path("victim"), fixture_path("out.0202020202020202")), 0);
	assert_int_equal(mkfifo(fixture_path("out.0303030303030303"), 0600), 0);
	assert_int_equal(mkdir(fixture_path("out.0404040404040404"), 0700), 0);
	assert_int_equal(write_file(fixture_path("out")), 0);
	file_has("out", "new");
	file_has("victim", "untouched");
	assert_int_equal(access(fixture_path("none"), F_OK), -1);
	assert_int_equal(files_in_directory(), 7);
}

static void only_a_regular_file_is_replaced(void **state)
{
	static const char *const names[] = {"link", "pipe", "directory"};

	(void) state;
	assert_int_equal(symlink(fixture_path("victim"), fixture_path("link")), 0);
	assert_int_equal(mkfifo(fixture_path("pipe"), 0600), 0);
	assert_int_equal(mkdir(fixture_path("directory"), 0700), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(write_file(fixture_path(names[i])), -EINVAL);
	file_has("victim", "untouched");
	assert_int_equal(files_in_directory(), 4);
}

static void errors_are_reported(void **state)
{
	char path[REPLACE_PATH_MAX];

	(void) state;
	assert_int_equal(write_file(fixture_path("no/out")), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(write_file(path), -ENAMETOOLONG);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_file_is_made_and_replaced_with_the_mode_of_the_mask),
		TEST(a_file_that_cannot_be_written_leaves_the_old_one),
		TEST(what_lies_in_the_place_of_the_new_file_is_not_touched),
		TEST(only_a_regular_file_is_replaced),
		TEST(errors_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
