/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler on a block device. There is none: a regular file takes its place, and what the
 * kernel says of block devices is said here, between the handler and the system.
 */
#include "fake-host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "statx-dio.h"
#include "uring-fixture.h"

#define SIZE   (1024u * 1024)
#define LENGTH 8192u
#define FDS    256

const struct tcmu_handler *tcmu_handler_entry(void);

static uint8_t data[SIZE];
static uint8_t got[SIZE];

/* ------- the block device ------- */

static struct {
	char path[160];
	uint64_t size;
	unsigned sector;
	unsigned physical;
	unsigned optimal;
	bool read_only;
	bool in_use; /* by another driver */
	bool is_partition;
	bool reports_align; /* as kernels since 6.1 do */
	const char *discard_max_bytes;
	const char *discard_granularity;
	const char *rotational;
	const char *physical_block_size;
	const char *alignment_offset;
	/* what became of it */
	bool exclusive[FDS];
	unsigned exclusive_cnt;
	unsigned opened_for_writing;
	unsigned discards;
	uint64_t discarded[2];
	int discard_error;
} disk;

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_close(int fd);
int __wrap_close(int fd);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

static void make_block(struct stat *st)
{
	st->st_mode = S_IFBLK | 0600;
	st->st_rdev = makedev(250, 7);
	st->st_size = 0;
}

int __wrap_stat(const char *path, struct stat *st)
{
	int r = __real_stat(path, st);

	if (r == 0 && strcmp(path, disk.path) == 0)
		make_block(st);
	return r;
}

int __wrap_fstat(int fd, struct stat *st)
{
	struct stat own;
	int r = __real_fstat(fd, st);

	if (r == 0 && __real_stat(disk.path, &own) == 0 && own.st_ino == st->st_ino &&
	    own.st_dev == st->st_dev)
		make_block(st);
	return r;
}

int __wrap_statx(int fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	int r = __real_statx(fd, path, flags, mask, stx);

	if (!disk.reports_align) {
		stx->stx_mask &= ~STATX_DIO_MASK;
	} else {
		stx->stx_mask |= STATX_DIO_MASK;
		statx_dio_set(stx, &(struct statx_dio){512, disk.sector});
	}
	return r;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	struct stat st, own;
	int fd;

	/* The path alone is looked up; /proc/self/fd/N is the disk as well. */
	if ((flags & O_PATH) || __real_stat(disk.path, &own) < 0 || __real_stat(path, &st) < 0 ||
	    st.st_dev != own.st_dev || st.st_ino != own.st_ino)
		return __real_open(path, flags, mode);
	if ((flags & O_EXCL) && (disk.in_use || disk.exclusive_cnt)) {
		errno = EBUSY;
		return -1;
	}
	fd = __real_open(path, flags & ~O_EXCL, mode);
	assert_true(fd >= 0 && fd < FDS);
	disk.exclusive[fd] = flags & O_EXCL;
	disk.exclusive_cnt += disk.exclusive[fd];
	disk.opened_for_writing += (flags & O_ACCMODE) != O_RDONLY;
	return fd;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && fd < FDS && disk.exclusive[fd]) {
		disk.exclusive[fd] = false;
		disk.exclusive_cnt--;
	}
	return __real_close(fd);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	const char *queue = "/sys/dev/block/250:7/queue/";
	const char *name = strrchr(path, '/') + 1;
	const char *value = NULL;

	if (strncmp(path, "/sys/dev/block/250:7/", 21) != 0)
		return __real_fopen(path, mode);
	if (strcmp(name, "rotational") == 0)
		value = disk.rotational;
	else if (strcmp(name, "discard_max_bytes") == 0)
		value = disk.discard_max_bytes;
	else if (strcmp(name, "discard_granularity") == 0)
		value = disk.discard_granularity;
	else if (strcmp(name, "physical_block_size") == 0)
		value = disk.physical_block_size;
	else if (strcmp(name, "alignment_offset") == 0)
		value = strstr(path, "queue") ? NULL : disk.alignment_offset;
	if (value && value == disk.alignment_offset)
		return fmemopen((void *) value, strlen(value), "r");
	if (!value || (strncmp(path, queue, strlen(queue)) == 0) == disk.is_partition)
		return NULL;
	return fmemopen((void *) value, strlen(value), "r");
}

static int discard_range(const uint64_t *range)
{
	disk.discards++;
	memcpy(disk.discarded, range, sizeof(disk.discarded));
	if (!disk.discard_error && (range[0] | range[1]) % disk.sector)
		disk.discard_error = EINVAL;
	errno = disk.discard_error;
	return disk.discard_error ? -1 : 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	(void) fd;
	switch (request) {
	case BLKGETSIZE64:
		*(uint64_t *) argument = disk.size;
		return 0;
	case BLKSSZGET:
		*(unsigned *) argument = disk.sector;
		return 0;
	case BLKPBSZGET:
		*(unsigned *) argument = disk.physical;
		return 0;
	case BLKIOOPT:
		*(unsigned *) argument = disk.optimal;
		return 0;
	case BLKROGET:
		*(int *) argument = disk.read_only;
		return 0;
	case BLKDISCARD:
		return discard_range(argument);
	default:
		fail_msg("an ioctl that block devices do not know: %lx", request);
		return -1;
	}
}

/* ------- the fixture ------- */

static struct fake_host *host;
static const enum aio_kind kinds[] = {AIO_URING, AIO_THREADS};

/* In the build tree, on a disk: in /tmp there may be no direct I/O. */
static int file_block_setup(void **state)
{
	char here[PATH_MAX];
	int fd;

	memset(&disk, 0, sizeof(disk));
	assert_non_null(getcwd(here, sizeof(here)));
	assert_true(
		snprintf(disk.path, sizeof(disk.path), "%s/block-XXXXXX", here) <
		(int) sizeof(disk.path));
	fd = mkstemp(disk.path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	(void) __real_close(fd);
	disk.size = SIZE;
	disk.sector = 512;
	disk.physical = 4096;
	disk.optimal = 65536;
	disk.discard_max_bytes = "2147450880\n";
	disk.discard_granularity = "4096\n";
	disk.rotational = "1\n";
	host = fake_host_with(
		tcmu_handler_entry(), uring_or_threads(*(const enum aio_kind *) *state));
	return 0;
}

static int file_block_teardown(void **state)
{
	(void) state;
	fake_host_free(host);
	assert_int_equal(disk.exclusive_cnt, 0);
	return unlink(disk.path);
}

static const char *config_with(const char *options)
{
	static char config[256];

	(void) snprintf(config, sizeof(config), "%s%s", disk.path, options);
	return config;
}

static void block_opened(const char *options, uint32_t block_size)
{
	if (fake_open(host, config_with(options), SIZE, block_size) < 0)
		fail_msg("%s", host->reason.text);
}

static void block_refused(int r, int error, const char *words)
{
	if (r != error || !strstr(host->reason.text, words))
		fail_msg(
			"%d instead of %d, without \"%s\": %s", r, error, words, host->reason.text);
}

static void block_refused_by_all(
	const char *options, uint32_t block_size, int error, const char *words)
{
	block_refused(fake_check(host, config_with(options), SIZE, block_size), error, words);
	block_refused(fake_open(host, config_with(options), SIZE, block_size), error, words);
}

/* ------- opening it ------- */

static void it_is_described_as_the_kernel_says(void **state)
{
	char claim[sizeof(host->info.claim)];

	(void) state;
	block_opened("", 512);
	assert_string_equal(host->info.claim, "blk:250:7");
	assert_int_equal(fake_claim(host, disk.path, claim, sizeof(claim)), 0);
	assert_string_equal(claim, "blk:250:7");
	assert_int_equal(host->info.physical_block, 4096);
	assert_int_equal(host->info.optimal_transfer, 65536);
	assert_int_equal(host->info.unmap_granularity, 4096);
	assert_true(host->info.rotational);
	assert_true(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
	assert_true(host->info.thin);
	assert_false(host->info.unmap_zeroes);
	assert_true(host->info.fua && host->info.volatile_cache);
}

static void a_partition_is_described_as_its_disk(void **state)
{
	(void) state;
	disk.is_partition = true;
	disk.discard_granularity = "1048576\n";
	block_opened("", 512);
	assert_true(host->info.rotational);
	assert_true(host->info.thin);
	assert_int_equal(host->info.unmap_granularity, 1048576);
}

static void unknown_properties_are_left_out(void **state)
{
	(void) state;
	disk.discard_max_bytes = disk.discard_granularity = disk.rotational = NULL;
	disk.optimal = 0;
	block_opened("", 512);
	assert_false(host->info.rotational || host->info.thin);
	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
	assert_int_equal(host->info.unmap_granularity, 0);
	assert_int_equal(host->info.optimal_transfer, 0);
}

static void one_that_cannot_discard_is_not_thin(void **state)
{
	(void) state;
	disk.discard_max_bytes = "0\n";
	block_opened("", 512);
	assert_false(host->info.thin);
	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
}

static void one_that_is_too_small_is_refused(void **state)
{
	(void) state;
	disk.size = SIZE - 512;
	block_refused_by_all(
		"", 512, -ENOSPC,
		"the block device has 1048064 bytes, too few for a device of 1048576");
	block_refused_by_all(";grow=1", 512, -ENOSPC, "too few");
	disk.size = SIZE + 512;
	assert_int_equal(fake_check(host, disk.path, SIZE, 512), 0);
	block_opened("", 512);
}

static void one_that_is_in_use_is_refused(void **state)
{
	(void) state;
	disk.in_use = true;
	block_refused_by_all("", 512, -EBUSY, "in use: mounted, or opened by another driver: /");
	host->read_only = true;
	assert_int_equal(fake_check(host, disk.path, SIZE, 512), 0);
	block_opened("", 512);
}

static void one_that_is_read_only_can_only_be_read(void **state)
{
	(void) state;
	disk.read_only = true;
	block_refused_by_all("", 512, -EROFS, "ro=1 makes the device read-only");
	host->read_only = true;
	assert_int_equal(fake_check(host, disk.path, SIZE, 512), 0);
	block_opened("", 512);
}

static void it_is_held_as_long_as_it_is_served(void **state)
{
	struct fake_host *other = fake_host_with(tcmu_handler_entry(), AIO_THREADS);

	(void) state;
	block_opened("", 512);
	assert_int_equal(disk.exclusive_cnt, 1);
	/* The next device on it may come before this one is closed. */
	assert_int_equal(fake_check(other, disk.path, SIZE, 512), 0);
	assert_int_equal(fake_open(other, disk.path, SIZE, 512), 0);
	fake_close(host);
	assert_int_equal(disk.exclusive_cnt, 1);
	fake_host_free(other);
	assert_int_equal(disk.exclusive_cnt, 0);
	host->read_only = true;
	block_opened("", 512);
	assert_int_equal(disk.exclusive_cnt, 0);
}

static void a_check_neither_holds_it_nor_opens_it_for_writing(void **state)
{
	(void) state;
	assert_int_equal(fake_check(host, config_with(";direct=1"), SIZE, 512), 0);
	assert_int_equal(disk.opened_for_writing, 0);
	assert_int_equal(disk.exclusive_cnt, 0);
}

static void a_refused_open_lets_go_of_it(void **state)
{
	(void) state;
	disk.size = 512;
	block_refused(fake_open(host, disk.path, SIZE, 512), -ENOSPC, "too few");
	assert_int_equal(disk.exclusive_cnt, 0);
}

static void direct_io_needs_blocks_as_large_as_its_sectors(void **state)
{
	(void) state;
	disk.sector = 4096;
	for (unsigned i = 0; i < 2; i++) {
		disk.reports_align = i;
		block_refused_by_all(
			";direct=1", 512, -EINVAL,
			"direct I/O needs blocks of 4096 bytes there, the device has blocks of "
			"512; "
			"create it with hw_block_size=4096");
		assert_int_equal(fake_check(host, config_with(";direct=1"), SIZE, 0), 0);
		block_opened(";direct=1", 4096);
		assert_int_equal(host->info.optimal_dio_align, 4096);
		fake_close(host);
		block_opened("", 512);
		fake_close(host);
	}
}

/* Only past the page cache, which may change while it is written; only whole physical blocks. */
static void direct_writes_of_a_physical_block_are_atomic(void **state)
{
	(void) state;
	disk.physical_block_size = "4096\n";
	disk.alignment_offset = "0\n";
	block_opened(";direct=1", 4096);
	assert_true(host->info.caps & TCMU_CAP_ATOMIC);
	assert_int_equal(host->info.atomic_write, 4096);
	fake_close(host);
	block_opened(";direct=1", 512);
	assert_true(host->info.caps & TCMU_CAP_ATOMIC);
	assert_int_equal(host->info.atomic_write, 4096);
	fake_close(host);
	disk.physical_block_size = "512\n";
	block_opened(";direct=1", 512);
	assert_true(host->info.caps & TCMU_CAP_ATOMIC);
	assert_int_equal(host->info.atomic_write, 512);
	fake_close(host);
	block_opened(";direct=1", 4096);
	assert_false(host->info.caps & TCMU_CAP_ATOMIC);
	fake_close(host);
	disk.physical_block_size = "4096\n";
	block_opened("", 4096);
	assert_false(host->info.caps & TCMU_CAP_ATOMIC);
	fake_close(host);
	disk.alignment_offset = "3584\n";
	block_opened(";direct=1", 4096);
	assert_false(host->info.caps & TCMU_CAP_ATOMIC);
	fake_close(host);
	disk.alignment_offset = NULL;
	block_opened(";direct=1", 4096);
	assert_false(host->info.caps & TCMU_CAP_ATOMIC);
}

static void it_grows_as_far_as_there_is_room(void **state)
{
	(void) state;
	block_opened("", 512);
	block_refused(
		fake_resize(host, disk.path, 2 * SIZE), -ENOSPC,
		"the block device has 1048576 bytes, too few");
	disk.size = 2 * SIZE;
	assert_int_equal(fake_resize(host, disk.path, 2 * SIZE), 0);
	block_refused(fake_resize(host, disk.path, SIZE), -EINVAL, "shrink=1");
	assert_int_equal(fake_resize(host, config_with(";shrink=1"), SIZE), 0);
}

/* ------- requests ------- */

static void written_data_is_read(void **state)
{
	static const char *const options[] = {"", ";direct=1"};

	(void) state;
	memset(data, 0x37, sizeof(data));
	for (unsigned i = 0; i < 2; i++) {
		data[0] = (uint8_t) i;
		block_opened(options[i], 512);
		assert_int_equal(fake_write(host, 0, data, SIZE, 0), 0);
		assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
		assert_int_equal(fake_read(host, 0, got, SIZE), 0);
		assert_memory_equal(got, data, SIZE);
		fake_close(host);
	}
}

static void its_early_end_is_an_error(void **state)
{
	(void) state;
	block_opened("", 512);
	fake_fault(host, TCMU_AIO_READV, 1, FAKE_FAIL, 0);
	assert_int_equal(fake_read(host, 0, got, LENGTH), -EIO);
}

static void unmap_discards_whole_sectors(void **state)
{
	(void) state;
	disk.sector = 4096;
	block_opened("", 512);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 4096, 8192, 0), 0);
	assert_int_equal(disk.discarded[0], 4096);
	assert_int_equal(disk.discarded[1], 8192);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 512, 12288, 0), 0);
	assert_int_equal(disk.discarded[0], 4096);
	assert_int_equal(disk.discarded[1], 8192);
	assert_int_equal(disk.discards, 2);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 512, 4096, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 4608, 512, 0), 0);
	assert_int_equal(disk.discards, 2);
	assert_int_equal(disk.discard_error, 0);
}

static void an_unmap_that_fails_says_so_unless_there_is_none(void **state)
{
	(void) state;
	block_opened("", 512);
	disk.discard_error = EIO;
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 4096, 8192, 0), -EIO);
	disk.discard_error = EOPNOTSUPP;
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 4096, 8192, 0), 0);
}

static void zeros_for_parts_of_sectors_are_left_to_the_daemon(void **state)
{
	(void) state;
	disk.sector = 4096;
	memset(data, 0x55, sizeof(data));
	block_opened("", 512);
	assert_int_equal(fake_write(host, 0, data, SIZE, 0), 0);
	assert_int_equal(
		fake_do(host, TCMU_IO_WRITE_ZEROES, 512, 8192, TCMU_IO_MAY_UNMAP), -EOPNOTSUPP);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 4096, 512, 0), -EOPNOTSUPP);
	assert_int_equal(host->calls[TCMU_AIO_FALLOCATE], 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 4096, 4096, TCMU_IO_MAY_UNMAP), 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 12288, 4096, 0), 0);
	memset(data + 4096, 0, 4096);
	memset(data + 12288, 0, 4096);
	assert_int_equal(fake_read(host, 0, got, SIZE), 0);
	assert_memory_equal(got, data, SIZE);
}

#define EACH(function) \
	{#function " [io_uring]", function, file_block_setup, file_block_teardown, \
	 (void *) &kinds[0]}, \
	{ \
#function " [threads]", function, file_block_setup, file_block_teardown, \
			(void *) &kinds[1] \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(it_is_described_as_the_kernel_says),
		EACH(a_partition_is_described_as_its_disk),
		EACH(unknown_properties_are_left_out),
		EACH(one_that_cannot_discard_is_not_thin),
		EACH(one_that_is_too_small_is_refused),
		EACH(one_that_is_in_use_is_refused),
		EACH(one_that_is_read_only_can_only_be_read),
		EACH(it_is_held_as_long_as_it_is_served),
		EACH(a_check_neither_holds_it_nor_opens_it_for_writing),
		EACH(a_refused_open_lets_go_of_it),
		EACH(direct_io_needs_blocks_as_large_as_its_sectors),
		EACH(direct_writes_of_a_physical_block_are_atomic),
		EACH(it_grows_as_far_as_there_is_room),
		EACH(written_data_is_read),
		EACH(its_early_end_is_an_error),
		EACH(unmap_discards_whole_sectors),
		EACH(an_unmap_that_fails_says_so_unless_there_is_none),
		EACH(zeros_for_parts_of_sectors_are_left_to_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
