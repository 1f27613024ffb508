/* SPDX-License-Identifier: Apache-2.0 */
#include "shell-fixture.h"

#include <setjmp.h>

#include <cmocka.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static char folder[] = "/tmp/tcmud-test-XXXXXX";
static bool there;

const char *fixture_folder(void)
{
	if (!there) {
		memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
		assert_non_null(mkdtemp(folder));
		there = true;
	}
	return folder;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st;
	(void) type;
	(void) ftw;
	return remove(path);
}

void fixture_remove_folder(void)
{
	if (there)
		assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	there = false;
}

const char *fixture_path(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	assert_true(snprintf(path, PATH_MAX, "%s/%s", fixture_folder(), name) < PATH_MAX);
	return path;
}

void fixture_write(const char *name, const char *text)
{
	FILE *file = fopen(fixture_path(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

char *fixture_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	assert_int_equal(fclose(file), 0);
	return text;
}

void fixture_log_begin(int level)
{
	log_set_level(level);
	assert_int_equal(log_start(), 0);
	log_set_dir(fixture_path("log"));
	assert_true(log_flush(5000));
}

char *fixture_log_end(void)
{
	char *text;

	log_stop();
	text = fixture_read(fixture_path("log/tcmu-runner.log"));
	assert_non_null(text);
	return text;
}

unsigned fixture_count(const char *text, const char *word)
{
	unsigned cnt = 0;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		cnt++;
	return cnt;
}
