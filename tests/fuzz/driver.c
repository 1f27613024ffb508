/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a fuzz target where libFuzzer is not there (gcc): first every file it is given, then
 * -runs=N inputs made by mutating those files. The same seed makes the same inputs. The input that
 * ended the process is left behind in crash-<target> in the current directory; giving that file to
 * the target reproduces it. One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the sanitizers' runtimes; NULL without them. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

struct input {
	uint8_t *data;
	size_t size;
};

static struct {
	uint64_t runs;
	uint64_t state; /* of the generator */
	size_t max_length;
	struct input *seeds;
	size_t seed_count;
	const uint8_t *current; /* the input of the target */
	size_t current_size;
	char crash_path[128];
} driver = {.state = 1, .max_length = 4096};

static void keep_current_input(void)
{
	int fd = open(driver.crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return;
	if (write(fd, driver.current, driver.current_size) < 0)
		_exit(2);
	close(fd);
}

static void on_signal(int number)
{
	keep_current_input();
	signal(number, SIG_DFL);
	raise(number);
}

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = driver.state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. limit - 1 */
static size_t random_below(size_t limit)
{
	return limit == 0 ? 0 : next_random() % limit;
}

static void run_input(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1); /* so that ASan sees a read behind the input */

	if (!exact)
		abort();
	memcpy(exact, data, size);
	driver.current = exact;
	driver.current_size = size;
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static int add_file(const char *path)
{
	struct stat st;
	struct input *more;
	uint8_t *data;
	size_t size;
	FILE *file;

	file = fopen(path, "rbe");
	if (!file || fstat(fileno(file), &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size = (size_t) st.st_size;
	data = malloc(size ? size : 1);
	more = reallocarray(driver.seeds, driver.seed_count + 1, sizeof(*more));
	if (!data || !more || fread(data, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	fclose(file);
	more[driver.seed_count++] = (struct input){.data = data, .size = size};
	driver.seeds = more;
	return 0;
}

/* A file, or the files of a directory by name, so that the order is always the same. */
static int add_path(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int n, r = 0;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return add_file(path);
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char file[PATH_MAX];

		if (r == 0 && entries[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
			r = add_file(file);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n < 0 ? -1 : r;
}

static void set_interesting(uint8_t *data, size_t size)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		7,
		8,
		16,
		32,
		64,
		127,
		128,
		255,
		256,
		512,
		4096,
		32767,
		65535,
		65536,
		INT32_MAX,
		UINT32_MAX - 7,
		UINT32_MAX,
		(uint64_t) UINT32_MAX + 1,
		INT64_MAX,
		UINT64_MAX};
	uint64_t value = values[random_below(sizeof(values) / sizeof(values[0]))];
	static const size_t widths[] = {1, 2, 4, 8};
	size_t width = widths[random_below(4)];
	size_t at;

	if (size < width)
		return;
	at = random_below(size - width + 1);
	if (random_below(2))
		at &= ~(width - 1);
	if (random_below(4) == 0)
		value = __builtin_bswap64(value) >> (64 - 8 * width);
	memcpy(data + at, &value, width);
}

static void add_little(uint8_t *data, size_t size)
{
	size_t width = (size_t) 1 << random_below(3);
	uint32_t value = 0;
	size_t at;

	if (size < width)
		return;
	at = random_below(size - width + 1);
	memcpy(&value, data + at, width);
	value += (uint32_t) random_below(33) - 16;
	memcpy(data + at, &value, width);
}

/* Moves a block within the input, by overwriting or inserting. */
static size_t copy_block(
	uint8_t *data, size_t size, const uint8_t *from, size_t from_size, bool insert)
{
	size_t length = 1 + random_below(from_size < 64 ? from_size : 64);
	size_t source, at = random_below(size + 1);

	if (length > from_size)
		return size;
	source = random_below(from_size - length + 1);
	if (insert) {
		if (size + length > driver.max_length)
			return size;
		memmove(data + at + length, data + at, size - at);
		size += length;
	} else if (length > size - at) {
		length = size - at;
	}
	memmove(data + at, from + source, length);
	return size;
}

static size_t remove_block(uint8_t *data, size_t size)
{
	size_t length = random_below(size < 64 ? size + 1 : 64);
	size_t at = random_below(size - length + 1);

	memmove(data + at, data + at + length, size - at - length);
	return size - length;
}

/* data has room for max_length bytes. Returns the new size. */
static size_t mutate_input(uint8_t *data, size_t size)
{
	const struct input *other = driver.seed_count
		? &driver.seeds[random_below(driver.seed_count)]
		: NULL;

	switch (random_below(8)) {
	case 0:
		if (size > 0)
			data[random_below(size)] ^= (uint8_t) (1u << random_below(8));
		return size;
	case 1:
		if (size > 0)
			data[random_below(size)] = (uint8_t) next_random();
		return size;
	case 2:
	case 3:
		set_interesting(data, size);
		return size;
	case 4:
		add_little(data, size);
		return size;
	case 5:
		return remove_block(data, size);
	case 6:
		return other ? copy_block(data, size, other->data, other->size, random_below(2))
			     : size;
	default:
		/* The source moves with an insertion: whatever is there then is as good. */
		return copy_block(data, size, data, size, false);
	}
}

static void run_mutated(uint8_t *data)
{
	size_t size = 0;

	if (driver.seed_count > 0 && random_below(16) != 0) {
		const struct input *seed = &driver.seeds[random_below(driver.seed_count)];

		size = seed->size < driver.max_length ? seed->size : driver.max_length;
		memcpy(data, seed->data, size);
	} else {
		size = random_below(driver.max_length < 256 ? driver.max_length + 1 : 257);
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t) next_random();
	}
	for (size_t n = 1 + random_below(6); n > 0; n--)
		size = mutate_input(data, size);
	run_input(data, size);
}

static bool parse_option(const char *argument)
{
	uint64_t value;
	char name[16];

	if (sscanf(argument, "-%15[a-z_]=%" SCNu64, name, &value) != 2)
		return false;
	if (strcmp(name, "runs") == 0)
		driver.runs = value;
	else if (strcmp(name, "seed") == 0)
		driver.state = value;
	else if (strcmp(name, "max_len") == 0)
		driver.max_length = value;
	else
		return false;
	return true;
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double start = now_seconds();
	uint8_t *data;

	snprintf(
		driver.crash_path, sizeof(driver.crash_path), "crash-%s",
		program_invocation_short_name);
	signal(SIGABRT, on_signal);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_current_input);
	else
		signal(SIGSEGV, on_signal);
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' ? !parse_option(argv[i]) : add_path(argv[i]) < 0) {
			fprintf(stderr,
				"usage: %s [-runs=N] [-seed=N] [-max_len=N] [file or directory "
				"...]\n",
				argv[0]);
			return 1;
		}
	data = malloc(driver.max_length + 1);
	if (!data)
		abort();
	for (size_t i = 0; i < driver.seed_count; i++)
		run_input(driver.seeds[i].data, driver.seeds[i].size);
	for (uint64_t i = 0; i < driver.runs; i++)
		run_mutated(data);
	printf("%zu seeds and %" PRIu64 " mutated inputs in %.1f s\n", driver.seed_count,
	       driver.runs, now_seconds() - start);
	for (size_t i = 0; i < driver.seed_count; i++)
		free(driver.seeds[i].data);
	free(driver.seeds);
	free(data);
	return 0;
}
