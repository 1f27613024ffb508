/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a file system by random operations on one file: write, read, truncate, punch, mmap, fsync,
 * and dropping its pages from the cache. A copy in memory says what each byte must be; a difference
 * ends the program with status 1. The idea is that of fsx. It operates until SIGTERM comes, and at
 * least so many times: what happens to the disk meanwhile can last as long as it needs.
 *
 * usage: file-checker FILE OPERATIONS SEED
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_MAX  (2u << 20)
#define PIECE_MAX (16u << 10)
#define PAGE      4096u

static int file;
static const char *path;
static uint8_t *shadow;  /* FILE_MAX bytes: what the file holds; zeros behind its end */
static size_t file_size; /* bytes */
static uint8_t piece[PIECE_MAX];
static unsigned long operation; /* the number of the current one */
static uint64_t random_state;
static volatile sig_atomic_t is_enough; /* SIGTERM has come */

static void on_sigterm(int number)
{
	(void) number;
	is_enough = 1;
}

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t random_below(size_t limit)
{
	return limit ? (size_t) (random_next() % limit) : 0;
}

static void fail_operation(const char *what)
{
	err(1, "%s: operation %lu, %s", path, operation, what);
}

static void compare_bytes(const uint8_t *data, size_t offset, size_t length, const char *what)
{
	for (size_t i = 0; i < length; i++)
		if (data[i] != shadow[offset + i])
			errx(1, "%s: operation %lu, %s: byte %zu of %zu is %02x, not %02x", path,
			     operation, what, offset + i, file_size, data[i], shadow[offset + i]);
}

/* A random range: at most PIECE_MAX bytes below limit. */
static size_t random_range(size_t limit, size_t *length)
{
	size_t offset = random_below(limit), most = limit - offset;

	*length = random_below(most < PIECE_MAX ? most : PIECE_MAX) + 1;
	if (*length > most)
		*length = most;
	return offset;
}

static void fill_shadow(size_t offset, size_t length)
{
	uint64_t bytes = random_next();

	for (size_t i = 0; i < length; i++)
		shadow[offset + i] = (uint8_t) ((bytes >> (i % 8 * 8)) + i / 8);
	if (offset + length > file_size)
		file_size = offset + length;
}

static void check_write(void)
{
	size_t length, offset = random_range(FILE_MAX, &length);

	fill_shadow(offset, length);
	if (pwrite(file, shadow + offset, length, (off_t) offset) != (ssize_t) length)
		fail_operation("write");
}

static void check_read(void)
{
	size_t length, offset;

	if (!file_size)
		return;
	offset = random_range(file_size, &length);
	if (pread(file, piece, length, (off_t) offset) != (ssize_t) length)
		fail_operation("read");
	compare_bytes(piece, offset, length, "read");
}

static void check_truncate(void)
{
	size_t size = random_below(FILE_MAX + 1);

	if (size < file_size)
		memset(shadow + size, 0, file_size - size);
	file_size = size;
	if (ftruncate(file, (off_t) size) < 0)
		fail_operation("truncate");
}

static void check_punch(void)
{
	size_t length, offset;

	if (!file_size)
		return;
	offset = random_range(file_size, &length);
	memset(shadow + offset, 0, length);
	if (fallocate(
		    file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) offset,
		    (off_t) length) < 0)
		fail_operation("punch");
}

/* Reads or writes by a mapping; a mapping does not make the file longer. */
static void check_mmap(bool writes)
{
	size_t length, offset, start;
	uint8_t *mapped;

	if (!file_size)
		return;
	offset = random_range(file_size, &length);
	start = offset / PAGE * PAGE;
	mapped = mmap(
		NULL, offset + length - start, PROT_READ | PROT_WRITE, MAP_SHARED, file,
		(off_t) start);
	if (mapped == MAP_FAILED)
		fail_operation("mmap");
	if (writes) {
		fill_shadow(offset, length);
		memcpy(mapped + (offset - start), shadow + offset, length);
	} else {
		compare_bytes(mapped + (offset - start), offset, length, "read by mmap");
	}
	if (munmap(mapped, offset + length - start) < 0)
		fail_operation("munmap");
}

static void check_sync(void)
{
	if (fsync(file) < 0)
		fail_operation("fsync");
}

/* Later reads come from the disk. */
static void drop_cache(void)
{
	check_sync();
	if ((errno = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)))
		fail_operation("fadvise");
}

static void check_whole_file(void)
{
	size_t offset = 0;
	ssize_t r;

	drop_cache();
	if (lseek(file, 0, SEEK_END) != (off_t) file_size)
		errx(1, "%s: the size is not %zu", path, file_size);
	while ((r = pread(file, piece, sizeof(piece), (off_t) offset)) > 0) {
		compare_bytes(piece, offset, (size_t) r, "read of the whole file");
		offset += (size_t) r;
	}
	if (r < 0)
		fail_operation("read of the whole file");
}

static void operate(void)
{
	size_t choice = random_below(1000);

	if (choice < 330)
		check_write();
	else if (choice < 650)
		check_read();
	else if (choice < 780)
		check_mmap(true);
	else if (choice < 910)
		check_mmap(false);
	else if (choice < 960)
		check_punch();
	else if (choice < 995)
		check_truncate();
	else if (choice < 998)
		check_sync();
	else
		drop_cache();
}

int main(int argc, char **argv)
{
	const struct sigaction act = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
	unsigned long operations;

	if (argc != 4) {
		fprintf(stderr, "usage: %s FILE OPERATIONS SEED\n", argv[0]);
		return 2;
	}
	path = argv[1];
	operations = strtoul(argv[2], NULL, 10);
	random_state = strtoull(argv[3], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	shadow = calloc(1, FILE_MAX);
	if (file < 0 || !shadow || sigaction(SIGTERM, &act, NULL) < 0)
		err(2, "%s", path);
	for (operation = 0; operation < operations || !is_enough; operation++)
		operate();
	check_whole_file();
	if (close(file) < 0)
		err(1, "%s", path);
	printf("%lu operations\n", operations);
	return 0;
}
