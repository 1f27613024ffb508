/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault handler: a disk in a file, and each kind of fault that its options describe.
 */
#include "deadline.h"
#include "fake-host.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024u * 1024)

struct fixture {
	struct fake_host *host;
	char directory[32];
	char disk[64];
	char hold[64];
	char config[256];
};

static int setup_with(void **state, const char *plugin)
{
	static struct fixture f;

	f = (struct fixture){.directory = "/tmp/test-fault-XXXXXX"};
	if (!mkdtemp(f.directory))
		return -1;
	(void) snprintf(f.disk, sizeof(f.disk), "%s/disk", f.directory);
	(void) snprintf(f.hold, sizeof(f.hold), "%s/hold", f.directory);
	f.host = fake_host_new(plugin, AIO_THREADS);
	*state = &f;
	fclose(fopen(f.disk, "w"));
	return truncate(f.disk, MIB);
}

static int fault_setup(void **state)
{
	return setup_with(state, PLUGIN);
}

static int setup_sys(void **state)
{
	return setup_with(state, PLUGIN_SYS);
}

static int fault_teardown(void **state)
{
	struct fixture *f = *state;

	fake_host_free(f->host);
	(void) unlink(f->disk);
	(void) unlink(f->hold);
	return rmdir(f->directory);
}

static void make_hold(const struct fixture *f)
{
	FILE *file = fopen(f->hold, "w");

	assert_non_null(file);
	fclose(file);
}

static bool fault_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The config string: the disk with these options. HOLD at their end is the file's path. */
static const char *config_with(struct fixture *f, const char *options)
{
	size_t length = strlen(options);
	bool hold = length > 4 && strcmp(options + length - 4, "HOLD") == 0;

	(void) snprintf(
		f->config, sizeof(f->config), "%s%s%.*s%s", f->disk, *options ? ";" : "",
		(int) (hold ? length - 4 : length), options, hold ? f->hold : "");
	return f->config;
}

static void open_with(struct fixture *f, const char *options)
{
	assert_int_equal(fake_open(f->host, config_with(f, options), MIB, 512), 0);
}

static uint8_t byte_of_disk(const struct fixture *f, long offset)
{
	FILE *file = fopen(f->disk, "r");
	int byte;

	assert_non_null(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	byte = fgetc(file);
	fclose(file);
	return (uint8_t) byte;
}

static struct fake_io *submit_write(struct fixture *f, uint8_t byte)
{
	struct fake_io *io = fake_io_new(f->host, TCMU_IO_WRITE, 0, 4096);
	uint8_t data[4096];

	memset(data, byte, sizeof(data));
	fake_io_fill(io, data, sizeof(data));
	fake_io_submit(io);
	return io;
}

/* ------- without faults ------- */

static void without_options_it_is_a_disk(void **state)
{
	static uint8_t data[200000], got[sizeof(data)], zeros[4096];
	struct fixture *f = *state;
	struct fake_io *io;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t) (i * 13 + i / 255);
	assert_int_equal(fake_check(f->host, f->disk, MIB, 512), 0);
	open_with(f, "");
	io = fake_io_new(f->host, TCMU_IO_WRITE, 512, sizeof(data));
	fake_io_split(io, 70001, 7);
	fake_io_fill(io, data, sizeof(data));
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_int_equal(fake_read(f->host, 512, got, sizeof(got)), 0);
	assert_memory_equal(got, data, sizeof(got));
	assert_int_equal(byte_of_disk(f, 512 + 100000), data[100000]);
	assert_int_equal(fake_do(f->host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(fake_do(f->host, TCMU_IO_UNMAP, 4096, 4096, 0), 0);
	assert_int_equal(fake_do(f->host, TCMU_IO_WRITE_ZEROES, 8192, 4096, TCMU_IO_FUA), 0);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(fake_read(f->host, 4096 * i, got, 4096), 0);
		assert_memory_equal(got, zeros, 4096);
	}
}

static void a_file_that_cannot_be_opened_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_check(f->host, "/nonexistent/disk", MIB, 512), -ENOENT);
	assert_int_equal(fake_open(f->host, "/nonexistent/disk", MIB, 512), -ENOENT);
	assert_int_equal(fake_check(f->host, f->directory, 0, 0), -EINVAL);
	assert_int_equal(fake_check(f->host, f->disk, 2 * MIB, 512), -EINVAL);
	assert_int_equal(fake_open(f->host, f->disk, 2 * MIB, 512), -EINVAL);
	assert_non_null(strstr(f->host->reason.text, "1048576 of 2097152"));
}

static void a_disk_that_is_only_read_offers_no_writes(void **state)
{
	struct fixture *f = *state;

	f->host->read_only = true;
	assert_int_equal(chmod(f->disk, 0400), 0);
	open_with(f, "");
	assert_int_equal(f->host->info.caps, TCMU_IO_CAP(TCMU_IO_READ));
}

/* Under whichever handler. */
static void the_same_file_is_the_same_store(void **state)
{
	struct fixture *f = *state;
	char claim[sizeof(f->host->info.claim)], expected[64];
	struct stat st;

	open_with(f, "");
	memcpy(claim, f->host->info.claim, sizeof(claim));
	assert_int_equal(stat(f->disk, &st), 0);
	(void) snprintf(expected, sizeof(expected), ":%llu", (unsigned long long) st.st_ino);
	assert_non_null(strstr(claim, expected));
	assert_int_equal(strncmp(claim, "file:", 5), 0);
}

static void a_resize_extends_the_file(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	open_with(f, "");
	assert_int_equal(fake_resize(f->host, f->disk, 2 * MIB), 0);
	assert_int_equal(stat(f->disk, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	assert_int_equal(
		fake_resize(f->host, config_with(f, "resize_error=ENOSPC"), 3 * MIB), -ENOSPC);
	assert_int_equal(stat(f->disk, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
}

/* ------- calls that hang ------- */

struct releaser {
	const struct fixture *fixture;
	pid_t thread; /* that hangs */
	atomic_bool has_hung;
	atomic_bool has_returned;
};

/* A thread, or a process of one. */
static bool thread_sleeps(pid_t thread)
{
	char path[64], state = '?';
	FILE *file;

	(void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) thread);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return state == 'S';
}

/* Lets a thread go as soon as it hangs. */
static void *release_hold(void *arg)
{
	struct releaser *releaser = arg;

	while (!thread_sleeps(releaser->thread) && !atomic_load(&releaser->has_returned))
		sched_yield();
	atomic_store(&releaser->has_hung, !atomic_load(&releaser->has_returned));
	(void) unlink(releaser->fixture->hold);
	return NULL;
}

static void begin_release(struct releaser *releaser, pthread_t *thread, const struct fixture *f)
{
	make_hold(f);
	releaser->fixture = f;
	releaser->thread = gettid();
	atomic_init(&releaser->has_hung, false);
	atomic_init(&releaser->has_returned, false);
	assert_int_equal(pthread_create(thread, NULL, release_hold, releaser), 0);
}

static void expect_released(struct releaser *releaser, pthread_t thread)
{
	assert_false(fault_exists(releaser->fixture->hold));
	atomic_store(&releaser->has_returned, true);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&releaser->has_hung));
}

static void each_call_hangs_while_its_file_exists(void **state)
{
	struct fixture *f = *state;
	struct releaser releaser;
	pthread_t thread;

	begin_release(&releaser, &thread, f);
	assert_int_equal(fake_check(f->host, config_with(f, "check_hang_file=HOLD"), MIB, 512), 0);
	expect_released(&releaser, thread);

	begin_release(&releaser, &thread, f);
	open_with(f, "open_hang_file=HOLD");
	expect_released(&releaser, thread);

	begin_release(&releaser, &thread, f);
	assert_int_equal(fake_resize(f->host, config_with(f, "resize_hang_file=HOLD"), MIB), 0);
	expect_released(&releaser, thread);
	fake_close(f->host);

	open_with(f, "close_hang_file=HOLD");
	begin_release(&releaser, &thread, f);
	fake_close(f->host);
	expect_released(&releaser, thread);
}

static void check_with(struct fixture *f, const char *options)
{
	(void) fake_check(f->host, config_with(f, options), MIB, 512);
}

/* In a child process, because nothing else would end it. */
static void hangs_for_ever(
	struct fixture *f, void (*call)(struct fixture *f, const char *options),
	const char *options)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		call(f, options);
		_exit(0);
	}
	assert_true(child > 0);
	while (!thread_sleeps(child) && waitpid(child, NULL, WNOHANG) == 0)
		sched_yield();
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void calls_hang_for_ever_where_that_is_asked_for(void **state)
{
	hangs_for_ever(*state, check_with, "check_hang=1");
	hangs_for_ever(*state, open_with, "open_hang=1");
}

static void open_takes_its_time_or_fails(void **state)
{
	struct fixture *f = *state;
	uint64_t before = deadline_now_ms();

	assert_int_equal(
		fake_open(f->host, config_with(f, "open_error=EHOSTDOWN"), MIB, 512), -EHOSTDOWN);
	assert_non_null(strstr(f->host->reason.text, "open_error"));
	assert_int_equal(
		fake_open(f->host, config_with(f, "open_error=ENOTHING"), MIB, 512), -EINVAL);
	open_with(f, "open_delay_ms=50");
	assert_true(deadline_now_ms() - before >= 50);
}

/* ------- requests ------- */

static void requests_hang_while_the_file_exists(void **state)
{
	struct fixture *f = *state;
	struct fake_io *write, *read;

	make_hold(f);
	open_with(f, "ops=WRITE;hold_file=HOLD");
	write = submit_write(f, 0x11);
	read = fake_io_new(f->host, TCMU_IO_READ, 0, 4096);
	fake_io_submit(read);
	assert_int_equal(fake_io_wait(read), 0); /* it is not befallen */
	assert_false(write->done);
	assert_int_equal(byte_of_disk(f, 0), 0);
	assert_int_equal(unlink(f->hold), 0);
	assert_int_equal(fake_io_wait(write), 0);
	assert_int_equal(byte_of_disk(f, 0), 0x11);
	fake_io_free(write);
	fake_io_free(read);
}

static void wait_for_byte(const struct fixture *f, uint8_t byte)
{
	while (byte_of_disk(f, 0) != byte)
		sched_yield();
}

static void requests_hang_also_when_they_have_been_made(void **state)
{
	struct fixture *f = *state;
	struct fake_io *write, *read;

	make_hold(f);
	open_with(f, "ops=WRITE;when=after;hold_file=HOLD");
	write = submit_write(f, 0x22);
	wait_for_byte(f, 0x22);
	read = fake_io_new(f->host, TCMU_IO_READ, 0, 4096);
	fake_io_submit(read);
	assert_int_equal(fake_io_wait(read), 0);
	assert_false(write->done);
	assert_int_equal(unlink(f->hold), 0);
	assert_int_equal(fake_io_wait(write), 0);
	fake_io_free(write);
	fake_io_free(read);
}

static void many_requests_hang_at_once(void **state)
{
	struct fixture *f = *state;
	struct fake_io *ios[64], *read;

	make_hold(f);
	open_with(f, "ops=WRITE;hold_file=HOLD");
	for (unsigned i = 0; i < 63; i++)
		ios[i] = submit_write(f, (uint8_t) (i + 1));
	/* There is still a thread for this one. */
	read = fake_io_new(f->host, TCMU_IO_READ, 0, 4096);
	fake_io_submit(read);
	assert_int_equal(fake_io_wait(read), 0);
	assert_int_equal(unlink(f->hold), 0);
	for (unsigned i = 0; i < 63; i++) {
		assert_int_equal(fake_io_wait(ios[i]), 0);
		fake_io_free(ios[i]);
	}
	fake_io_free(read);
}

static void requests_take_longer(void **state)
{
	struct fixture *f = *state;
	uint64_t before = deadline_now_ms();
	uint8_t data[512];

	open_with(f, "delay_ms=40;ops=READ");
	assert_int_equal(fake_do(f->host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), 0);
	assert_true(deadline_now_ms() - before >= 40);
}

static void a_request_can_be_cancelled_where_that_is_asked_for(void **state)
{
	struct fixture *f = *state;
	struct fake_io *io;

	make_hold(f);
	open_with(f, "cancel=1;when=after;ops=WRITE;hold_file=HOLD");
	io = submit_write(f, 0x33);
	wait_for_byte(f, 0x33); /* it has begun */
	fake_io_cancel(io);
	assert_int_equal(fake_io_wait(io), -ECANCELED);
	fake_io_free(io);
	fake_close(f->host);

	open_with(f, "cancel=1;when=after;ops=WRITE;delay_ms=1000000");
	io = submit_write(f, 0x44);
	wait_for_byte(f, 0x44);
	fake_io_cancel(io);
	assert_int_equal(fake_io_wait(io), -ECANCELED);
	fake_io_free(io);
	fake_close(f->host);

	open_with(f, "when=after;ops=WRITE;hold_file=HOLD");
	io = submit_write(f, 0x55);
	wait_for_byte(f, 0x55);
	fake_io_cancel(io);
	assert_int_equal(unlink(f->hold), 0);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
}

/* ------- errors ------- */

static void the_nth_request_of_an_operation_fails(void **state)
{
	struct fixture *f = *state;
	uint8_t data[512];

	open_with(f, "error=READ:EIO:2+WRITE.ENOSPC.1+FLUSH:ETIMEDOUT");
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), 0);
	assert_int_equal(fake_write(f->host, 0, data, sizeof(data), 0), -ENOSPC);
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), -EIO);
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), 0);
	assert_int_equal(fake_write(f->host, 0, data, sizeof(data), 0), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_do(f->host, TCMU_IO_FLUSH, 0, 0, 0), -ETIMEDOUT);
	assert_int_equal(fake_do(f->host, TCMU_IO_UNMAP, 0, 512, 0), 0);
}

static void all_requests_fail(void **state)
{
	static const enum tcmu_io_op ops[] = {TCMU_IO_FLUSH, TCMU_IO_UNMAP, TCMU_IO_WRITE_ZEROES};
	struct fixture *f = *state;
	uint8_t data[512];

	open_with(f, "error=ALL:EROFS");
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), -EROFS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_do(f->host, ops[i], 0, 512, 0), -EROFS);
}

static void a_write_that_fails_has_been_made_or_not_as_asked_for(void **state)
{
	struct fixture *f = *state;
	struct fake_io *io;

	open_with(f, "error=WRITE:EIO");
	io = submit_write(f, 0x66);
	assert_int_equal(fake_io_wait(io), -EIO);
	assert_int_equal(byte_of_disk(f, 0), 0);
	fake_io_free(io);
	fake_close(f->host);
	open_with(f, "error=WRITE:EIO;when=after");
	io = submit_write(f, 0x66);
	assert_int_equal(fake_io_wait(io), -EIO);
	assert_int_equal(byte_of_disk(f, 0), 0x66);
	fake_io_free(io);
}

static void errors_that_say_nothing_are_refused(void **state)
{
	static const char *const wrong[] = {
		"error=",
		"error=READ",
		"error=READ:",
		"error=READ:EWHAT",
		"error=SEEK:EIO",
		"error=READ:EIO:",
		"error=READ:EIO:0",
		"error=READ:EIO:x",
		"error=READ:EIO:1:2",
		"error=READ:EIO+",
		"error=+READ:EIO",
		"error=READ:EIO:99999999999",
		"error=read:EIO",
		"error=READ:EIO:1x",
		"error=:EIO",
		"error=ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO+ALL:EIO",
	};
	struct fixture *f = *state;

	for (unsigned i = 1; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(fake_check(f->host, config_with(f, wrong[i]), MIB, 512), -EINVAL);
		assert_int_equal(fake_open(f->host, config_with(f, wrong[i]), MIB, 512), -EINVAL);
	}
	/* None at all is no mistake. */
	open_with(f, wrong[0]);
}

static void the_backend_fails_after_so_many_requests(void **state)
{
	struct fixture *f = *state;
	uint8_t data[512];

	open_with(f, "fail_after=2");
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), 0);
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), 0);
	assert_int_equal(fake_reported(f->host).events, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), -EIO);
	assert_int_equal(fake_reported(f->host).events, 1);
	assert_int_equal(fake_reported(f->host).event, TCMU_BACKEND_FAILED);
	assert_int_equal(fake_reported(f->host).event_value, -EIO);
}

static void the_readme_has_every_option(void **state)
{
	const struct fixture *f = *state;
	const struct tcmu_option *options = f->host->handler->options;
	static char readme[64 * 1024];
	FILE *file = fopen(README, "re");

	assert_non_null(file);
	readme[fread(readme, 1, sizeof(readme) - 1, file)] = '\0';
	fclose(file);
	for (; options->name; options++) {
		char item[64];

		(void) snprintf(item, sizeof(item), "`%s`", options->name);
		assert_non_null(options->help);
		if (!strstr(readme, item))
			fail_msg("not in the README: %s", options->name);
	}
}

/* ------- fault_sys ------- */

static void a_buffer_that_is_not_there_is_met_by_the_system_call(void **state)
{
	struct fixture *f = *state;
	struct fake_io *io;
	uint8_t data[512];

	assert_int_equal(f->host->handler->flags, TCMU_HANDLER_SYSCALLS_ONLY);
	assert_string_equal(f->host->handler->subtype, "fault_sys");
	open_with(f, "");
	/* The host has removed the buffer. */
	io = submit_write(f, 0x77);
	assert_int_equal(fake_io_wait(io), -EFAULT);
	assert_int_equal(byte_of_disk(f, 0), 0);
	assert_int_equal(fake_read(f->host, 0, data, sizeof(data)), -EFAULT);
	fake_io_free(io);
}

static void a_buffer_that_is_there_is_written(void **state)
{
	struct fixture *f = *state;
	struct fake_io *io;

	make_hold(f);
	open_with(f, "hold_file=HOLD");
	io = submit_write(f, 0x88);
	assert_int_equal(mprotect(io->data, io->data_length, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(unlink(f->hold), 0);
	assert_int_equal(fake_io_wait(io), 0);
	assert_int_equal(byte_of_disk(f, 4095), 0x88);
	fake_io_free(io);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fault_setup, fault_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_options_it_is_a_disk),
		TEST(a_file_that_cannot_be_opened_is_refused),
		TEST(a_disk_that_is_only_read_offers_no_writes),
		TEST(the_same_file_is_the_same_store),
		TEST(a_resize_extends_the_file),
		TEST(each_call_hangs_while_its_file_exists),
		TEST(calls_hang_for_ever_where_that_is_asked_for),
		TEST(open_takes_its_time_or_fails),
		TEST(requests_hang_while_the_file_exists),
		TEST(requests_hang_also_when_they_have_been_made),
		TEST(many_requests_hang_at_once),
		TEST(requests_take_longer),
		TEST(a_request_can_be_cancelled_where_that_is_asked_for),
		TEST(the_nth_request_of_an_operation_fails),
		TEST(all_requests_fail),
		TEST(a_write_that_fails_has_been_made_or_not_as_asked_for),
		TEST(errors_that_say_nothing_are_refused),
		TEST(the_backend_fails_after_so_many_requests),
		TEST(the_readme_has_every_option),
		cmocka_unit_test_setup_teardown(
			a_buffer_that_is_not_there_is_met_by_the_system_call, setup_sys,
			fault_teardown),
		cmocka_unit_test_setup_teardown(
			a_buffer_that_is_there_is_written, setup_sys, fault_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
