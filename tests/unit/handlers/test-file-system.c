/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a file when the system refuses one of the calls, or is of another kind than the one this
 * runs on. The system's answers are replaced between the handler and the system.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "statx-dio.h"

#define SIZE (1024u * 1024)

const struct tcmu_handler *tcmu_handler_entry(void);

/* ------- the system ------- */

enum call {
	OPEN = 1, /* of the file */
	OPEN_ZERO,
	FSTAT,
	FTRUNCATE,
	FSYNC,
	PREAD,
	CALLS,
};

static struct {
	char directory[128];
	char path[160];
	char other[160];
	unsigned made[CALLS];
	enum call failing;
	unsigned nth;
	int error;
	unsigned replaced; /* the opening before which another file takes the path */
	unsigned dio_mask; /* STATX_DIO_MASK: reported; 0: not */
	unsigned dio_align;
	unsigned read_align; /* direct reads of less are refused */
	int punch_error;
} sys;

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_openat(int directory, const char *path, int flags, mode_t mode);
int __wrap_openat(int directory, const char *path, int flags, mode_t mode);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pread(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);

static bool call_fails(enum call call)
{
	sys.made[call]++;
	if (call != sys.failing || sys.made[call] != sys.nth)
		return false;
	errno = sys.error;
	return true;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	/* The path is looked up first, and then what was found is opened. */
	bool ours = strncmp(path, "/proc/self/fd/", 14) == 0 && !(flags & O_DIRECTORY);

	if (ours && sys.made[OPEN] + 1 == sys.replaced)
		assert_int_equal(rename(sys.other, sys.path), 0);
	if (ours ? call_fails(OPEN) : strcmp(path, "/dev/zero") == 0 && call_fails(OPEN_ZERO))
		return -1;
	return __real_open(path, flags, mode);
}

int __wrap_openat(int directory, const char *path, int flags, mode_t mode)
{
	return call_fails(OPEN) ? -1 : __real_openat(directory, path, flags, mode);
}

int __wrap_fstat(int fd, struct stat *st)
{
	return call_fails(FSTAT) ? -1 : __real_fstat(fd, st);
}

int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	int r = __real_statx(fd, path, flags, mask, stx);

	stx->stx_mask = (stx->stx_mask & ~STATX_DIO_MASK) | sys.dio_mask;
	statx_dio_set(stx, &(struct statx_dio){sys.dio_align, sys.dio_align});
	return r;
}

int __wrap_ftruncate(int fd, off_t length)
{
	return call_fails(FTRUNCATE) ? -1 : __real_ftruncate(fd, length);
}

int __wrap_fsync(int fd)
{
	return call_fails(FSYNC) ? -1 : __real_fsync(fd);
}

ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset)
{
	if (call_fails(PREAD))
		return -1;
	if (sys.read_align && length % sys.read_align) {
		errno = EINVAL;
		return -1;
	}
	return __real_pread(fd, data, length, offset);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	errno = sys.punch_error;
	return sys.punch_error ? -1 : __real_fallocate(fd, mode, offset, length);
}

/* ------- the fixture ------- */

static struct fake_host *host;

static int file_system_setup(void **state)
{
	(void) state;
	memset(&sys, 0, sizeof(sys));
	file_make_directory(sys.directory, sizeof(sys.directory));
	(void) snprintf(sys.path, sizeof(sys.path), "%s/disk.img", sys.directory);
	(void) snprintf(sys.other, sizeof(sys.other), "%s/other", sys.directory);
	host = fake_host_with(tcmu_handler_entry(), AIO_THREADS);
	return 0;
}

static int file_system_teardown(void **state)
{
	(void) state;
	fake_host_free(host);
	(void) unlink(sys.path);
	(void) unlink(sys.other);
	return rmdir(sys.directory);
}

static void make_call(const char *path, off_t size)
{
	int fd = __real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(__real_ftruncate(fd, size), 0);
	close(fd);
}

static int system_open_with(const char *options, uint32_t block_size)
{
	char config[256];

	memset(sys.made, 0, sizeof(sys.made));
	(void) snprintf(config, sizeof(config), "%s%s", sys.path, options);
	return fake_open(host, config, SIZE, block_size);
}

static void reason_says(const char *words)
{
	if (!strstr(host->reason.text, words))
		fail_msg("without \"%s\": %s", words, host->reason.text);
}

static unsigned open_fds(void)
{
	unsigned cnt = 0;

	for (int fd = 0; fd < 4096; fd++)
		cnt += fcntl(fd, F_GETFD) >= 0;
	return cnt;
}

/* ------- the tests ------- */

struct refusal {
	const char *options;
	enum call call;
	unsigned nth;
	int error;
	const char *words;
};

static void each_is_refused(const struct refusal *refusals, size_t cnt, bool exists, off_t size)
{
	unsigned fds = open_fds();

	for (size_t i = 0; i < cnt; i++) {
		struct stat st;

		if (exists)
			make_call(sys.path, size);
		sys.failing = refusals[i].call;
		sys.nth = refusals[i].nth;
		sys.error = refusals[i].error;
		assert_int_equal(system_open_with(refusals[i].options, 4096), -refusals[i].error);
		reason_says(refusals[i].words);
		reason_says(strerror(refusals[i].error));
		assert_int_equal(stat(sys.path, &st), exists ? 0 : -1);
		assert_int_equal(open_fds(), fds);
	}
}

static void a_file_that_cannot_be_made_leaves_nothing_behind(void **state)
{
	static const struct refusal refusals[] = {
		{"", OPEN, 1, EROFS, "cannot create the file: "},
		{"", FTRUNCATE, 1, EFBIG, "cannot create the file with 1048576 bytes"},
		{"", FSYNC, 1, ENOSPC, "cannot create the file with"},
		{"", FSYNC, 2, EIO, "cannot create the file with"},
		{"", FSTAT, 1, EIO, "cannot create the file with"},
		{"", OPEN, 2, EMFILE, "cannot be written"},
		{"", OPEN_ZERO, 1, ENOENT, "/dev/zero"},
		{";direct=1", OPEN, 3, EMFILE, "cannot be written"},
		{";direct=1", PREAD, 1, EIO, "cannot be read"},
	};

	(void) state;
	each_is_refused(refusals, sizeof(refusals) / sizeof(refusals[0]), false, 0);
}

static void a_file_that_cannot_be_opened_stays(void **state)
{
	static const struct refusal refusals[] = {
		{"", OPEN, 1, EACCES, "cannot be written"},
		{"", OPEN, 2, EMFILE, "cannot be written"},
		{"", FSTAT, 1, EIO, "cannot be read"},
		{"", FSTAT, 2, EIO, "cannot be read"},
		{"", FSTAT, 4, EIO, "cannot be read"},
		{";direct=1", OPEN, 3, ENFILE, "cannot be written"},
	};

	(void) state;
	each_is_refused(refusals, sizeof(refusals) / sizeof(refusals[0]), true, SIZE);
}

static void errors_of_the_kernel_are_reported_with_a_remedy(void **state)
{
	static const struct refusal refusals[] = {
		{"", OPEN, 1, ETXTBSY, "in use as a program or as swap space"},
		{"", OPEN, 1, EROFS, "ro=1 makes the device read-only"},
		{";direct=1", OPEN, 2, EINVAL, "remove direct=1"},
	};

	(void) state;
	make_call(sys.path, SIZE);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		sys.failing = refusals[i].call;
		sys.nth = refusals[i].nth;
		sys.error = refusals[i].error;
		assert_int_equal(system_open_with(refusals[i].options, 4096), -refusals[i].error);
		reason_says(refusals[i].words);
	}
}

static void a_file_that_cannot_grow_stays(void **state)
{
	static const struct refusal refusals[] = {
		{";grow=1", FTRUNCATE, 1, ENOSPC, "cannot extend the file to 1048576 bytes"},
		{";grow=1", FSYNC, 1, EIO, "cannot extend the file to 1048576 bytes"},
		{";grow=1", FSTAT, 3, EIO, "cannot extend the file"},
	};

	(void) state;
	each_is_refused(refusals, sizeof(refusals) / sizeof(refusals[0]), true, SIZE / 2);
}

static void directories_that_cannot_be_synced_are_enough(void **state)
{
	(void) state;
	sys.failing = FSYNC;
	sys.nth = 2;
	sys.error = EINVAL;
	assert_int_equal(system_open_with("", 512), 0);
	assert_int_equal(sys.made[FSYNC], 2);
}

/* Before each open, by a file and by a FIFO that would block an open for ever. */
static void the_file_that_was_found_is_opened_whatever_replaces_it(void **state)
{
	struct stat found, st;
	char claim[64];

	(void) state;
	for (unsigned i = 0; i < 6; i++) {
		sys.replaced = i / 2 + 1;
		make_call(sys.path, SIZE);
		assert_int_equal(stat(sys.path, &found), 0);
		if (i % 2)
			assert_int_equal(mkfifo(sys.other, 0600), 0);
		else
			make_call(sys.other, SIZE / 2);
		assert_int_equal(system_open_with(";direct=1", 4096), 0);
		assert_int_equal(stat(sys.path, &st), 0);
		assert_int_not_equal(st.st_ino, found.st_ino);
		(void) snprintf(
			claim, sizeof(claim), "file:%u:%u:%llu", major(found.st_dev),
			minor(found.st_dev), (unsigned long long) found.st_ino);
		assert_string_equal(host->info.claim, claim);
		fake_close(host);
		assert_int_equal(unlink(sys.path), 0);
	}
}

static void reads_find_the_alignment_that_the_kernel_does_not_report(void **state)
{
	(void) state;
	make_call(sys.path, SIZE);
	for (sys.read_align = 512; sys.read_align <= 4096; sys.read_align *= 2) {
		assert_int_equal(system_open_with(";direct=1", 4096), 0);
		assert_int_equal(host->info.optimal_dio_align, sys.read_align);
		fake_close(host);
	}
	sys.read_align = 8192;
	assert_int_equal(system_open_with(";direct=1", 4096), -EINVAL);
	reason_says("its file system has no direct I/O; remove direct=1");
	sys.read_align = 4096;
	assert_int_equal(system_open_with(";direct=1", 512), -EINVAL);
	reason_says("direct I/O needs blocks of 4096 bytes there, the device has blocks of 512");
}

static void a_file_system_without_direct_io_is_refused_when_it_is_asked_for(void **state)
{
	(void) state;
	make_call(sys.path, SIZE);
	sys.dio_mask = STATX_DIO_MASK;
	assert_int_equal(system_open_with(";direct=1", 4096), -EINVAL);
	reason_says("its file system has no direct I/O");
	sys.dio_align = 1024;
	assert_int_equal(system_open_with(";direct=1", 4096), 0);
	assert_int_equal(host->info.optimal_dio_align, 1024);
	fake_close(host);
	sys.failing = OPEN;
	sys.nth = 2;
	sys.error = EINVAL;
	assert_int_equal(system_open_with(";direct=1", 4096), -EINVAL);
	reason_says("its file system has no direct I/O");
}

static void a_file_system_without_holes_gives_no_space_back(void **state)
{
	(void) state;
	sys.punch_error = EOPNOTSUPP;
	assert_int_equal(system_open_with("", 512), 0);
	assert_false(host->info.thin);
	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, 4096, 0), -EOPNOTSUPP);
}

static void a_resize_that_fails_says_why(void **state)
{
	static const struct refusal refusals[] = {
		{"", FTRUNCATE, 1, ENOSPC, "cannot extend the file to 2097152 bytes"},
		{"", FSYNC, 1, EIO, "cannot extend the file to 2097152 bytes"},
		{"", FSTAT, 1, EIO, "cannot be read"},
		{"", FSTAT, 2, EIO, "cannot extend the file"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		make_call(sys.path, SIZE);
		sys.failing = 0;
		assert_int_equal(system_open_with("", 512), 0);
		memset(sys.made, 0, sizeof(sys.made));
		sys.failing = refusals[i].call;
		sys.nth = refusals[i].nth;
		sys.error = refusals[i].error;
		assert_int_equal(fake_resize(host, sys.path, 2 * SIZE), -refusals[i].error);
		reason_says(refusals[i].words);
		assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
		fake_close(host);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, file_system_setup, file_system_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_cannot_be_made_leaves_nothing_behind),
		TEST(a_file_that_cannot_be_opened_stays),
		TEST(errors_of_the_kernel_are_reported_with_a_remedy),
		TEST(a_file_that_cannot_grow_stays),
		TEST(directories_that_cannot_be_synced_are_enough),
		TEST(the_file_that_was_found_is_opened_whatever_replaces_it),
		TEST(reads_find_the_alignment_that_the_kernel_does_not_report),
		TEST(a_file_system_without_direct_io_is_refused_when_it_is_asked_for),
		TEST(a_file_system_without_holes_gives_no_space_back),
		TEST(a_resize_that_fails_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
