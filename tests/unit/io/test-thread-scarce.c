/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When memory, descriptors or threads run out: a failed start leaks nothing, a command without
 * memory is answered BUSY, and afterwards the device works again.
 *
 * The calls are wrapped at link time. A test makes one of them fail, counted from the start.
 */
#include "io-fixture.h"
#include "proc-fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* Visible, because shared libraries refer to these functions. */
#pragma GCC visibility push(default)
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __wrap_epoll_create1(int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg);
#pragma GCC visibility pop
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __real_epoll_create1(int flags);
int __real_eventfd(unsigned value, int flags);
int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg);

static pthread_t main_thread;
static atomic_bool main_fails;        /* fail calls on the main thread, else calls on the others */
static atomic_int until_failure = -1; /* calls that still succeed; negative: all succeed */

static bool call_fails(int error)
{
	int left = atomic_load(&until_failure);

	if (left < 0 ||
	    (pthread_equal(pthread_self(), main_thread) != 0) != atomic_load(&main_fails))
		return false;
	atomic_store(&until_failure, left - 1);
	if (left > 0)
		return false;
	errno = error;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return call_fails(ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return call_fails(ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return call_fails(ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	return call_fails(ENOMEM) ? MAP_FAILED : __real_mmap(at, length, prot, flags, fd, offset);
}

int __wrap_epoll_create1(int flags)
{
	return call_fails(EMFILE) ? -1 : __real_epoll_create1(flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
	return call_fails(EMFILE) ? -1 : __real_eventfd(value, flags);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg)
{
	return call_fails(EAGAIN) ? EAGAIN
				  : __real_pthread_create(thread, attributes, main_of, arg);
}

static void fail_one_by_one(const struct io_fixture_options *options)
{
	struct io_fixture fixture;
	unsigned before, failures = 0;
	int r;

	io_fixture_init(&fixture, options);
	before = proc_count_descriptors();
	atomic_store(&main_fails, true);
	for (int i = 0;; i++) {
		atomic_store(&until_failure, i);
		r = io_thread_new(&fixture.setup, &fixture.thread);
		atomic_store(&until_failure, -1);
		if (r >= 0)
			break;
		failures++;
		assert_true(r == -ENOMEM || r == -EMFILE || r == -EAGAIN);
		assert_int_equal(fixture.signals, 0);
		assert_int_equal(proc_count_descriptors(), before);
	}
	atomic_store(&main_fails, false);
	assert_true(failures >= 6);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ATTACHED);
	io_fixture_stop(&fixture);
}

static void a_failed_start_leaks_nothing(void **state)
{
	(void) state;
	fail_one_by_one(&(struct io_fixture_options){.aio = AIO_THREADS});
	fail_one_by_one(&(struct io_fixture_options){.backend.threading = TCMU_HANDLER_SERIAL});
}

/* All commands that need a bounce buffer. */
static void a_command_without_memory_is_busy(void **state)
{
	uint8_t out[2 * FIXTURE_BLOCK] = {0}, in[100];
	struct initiator_command commands[] = {
		cmd_write_same(0, 0, 8, out),
		cmd_verify(BYTCHK_NONE, 0, 8, NULL),
		cmd_write_and_verify(BYTCHK_DATA, 0, 1, out),
		cmd_compare_and_write(0, 1, out),
		cmd_orwrite(0, 1, out),
		cmd_get_lba_status(0, in, 64),
		cmd_cdb16(0x88, 0, 0, 8, NULL, 100), /* READ that ends within a block */
	};
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){
			.backend.info.caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_MAP)});
	commands[6].in = in;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		initiator_push(&fixture, &commands[i]);
		atomic_store(&until_failure, 0);
		initiator_notify(&fixture);
		initiator_wait(&commands[i]);
		assert_int_equal(atomic_load(&until_failure), -1);
		assert_int_equal(commands[i].status, SCSI_BUSY);
		assert_int_equal(backend_count(fixture.backend, 0), 0);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(initiator_run(&fixture, &commands[i]), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* The handler refuses WRITE_ZEROES: the zeros need a buffer. */
static void zeros_written_as_data_without_memory_are_busy(void **state)
{
	struct tcmu_backend_info info = {
		.caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES)};
	struct initiator_command zeros = cmd_write_same(WRITE_SAME_NDOB, 0, 8, NULL);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.info = info});
	backend_fail(fixture.backend, TCMU_IO_WRITE_ZEROES, 0, 2, -EOPNOTSUPP);
	initiator_push(&fixture, &zeros);
	atomic_store(&until_failure, 0);
	initiator_notify(&fixture);
	initiator_wait_status(&zeros, SCSI_BUSY);
	assert_int_equal(atomic_load(&until_failure), -1);
	assert_int_equal(initiator_run(&fixture, &zeros), SCSI_GOOD);
	io_fixture_stop(&fixture);
}

/* The memory for many iovecs is allocated later. */
static void a_command_with_many_iovecs_waits_for_memory(void **state)
{
	struct io_fixture_options options = {.max_transfer = 8, .uio.ring.scatter = true};
	uint8_t *out = calloc(1, 80 * 4096);
	struct initiator_command write = cmd_write(0, 80 * 4096 / FIXTURE_BLOCK, out);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	initiator_push(&fixture, &write);
	atomic_store(&until_failure, 0);
	initiator_notify(&fixture);
	initiator_wait(&write);
	assert_int_equal(atomic_load(&until_failure), -1);
	assert_int_equal(write.status, SCSI_GOOD);
	io_fixture_stop(&fixture);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_start_leaks_nothing),
		cmocka_unit_test(a_command_without_memory_is_busy),
		cmocka_unit_test(zeros_written_as_data_without_memory_are_busy),
		cmocka_unit_test(a_command_with_many_iovecs_waits_for_memory),
	};

	main_thread = pthread_self();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
