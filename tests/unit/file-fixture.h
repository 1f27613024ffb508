/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler under test on each kind of engine, with a folder of its own.
 */
#pragma once

#include "fake-host.h"

#define FILE_SIZE  (1024u * 1024)
#define BLOCK_SIZE 512u

struct file_test {
	const char *name;
	CMUnitTestFunction function;
};

#define FILE_TEST(function) \
	{ \
#function, function \
	}

/* Each test on each kind of engine. */
int file_run_tests(const struct file_test *tests, size_t cnt);

struct file_fixture {
	struct fake_host *host;
	char folder[128];
	char path[160]; /* of a file in the folder that does not exist yet */
};

/* The running test's: a host, and a folder, of which nothing is left afterwards. */
struct file_fixture *file_fixture_of(void **state);

/* Opens fixture->path with these options (";direct=1", or ""); it is made, FILE_SIZE long, if it
 * does not exist. */
struct fake_host *file_opened(void **state, const char *options);

/* A new folder in the one the test is run in: that is in the build tree, on a disk. In /tmp there
 * may be no direct I/O. */
void file_make_folder(char *folder, size_t size);

/* A name in the folder; valid until the next call. */
const char *file_in(const struct file_fixture *fixture, const char *name);

/* A file of so many bytes that all differ from their neighbours and from zero. */
void file_make(const char *path, size_t length);

/* The byte that file_make() and file_pattern() put there. */
uint8_t file_byte(uint64_t offset);
void file_pattern(uint8_t *data, uint64_t offset, size_t length);

/* Of the file as it is now. */
uint64_t file_length(const char *path);
uint64_t file_allocated(const char *path);
void file_contents(const char *path, uint64_t offset, uint8_t *data, size_t length);

bool file_is_zero(const uint8_t *data, size_t length);
