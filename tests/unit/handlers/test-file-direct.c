/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler past the page cache (direct=1): what does not fit direct I/O goes through it,
 * alone.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK  4096u /* fits every disk */
#define LENGTH 16384u

static uint8_t data[FILE_SIZE];
static uint8_t got[FILE_SIZE];

static struct fake_host *direct_opened(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char config[256];

	(void) snprintf(config, sizeof(config), "%s;direct=1", fixture->path);
	assert_int_equal(fake_check(fixture->host, config, FILE_SIZE, BLOCK), 0);
	if (fake_open(fixture->host, config, FILE_SIZE, BLOCK) < 0)
		fail_msg("%s", fixture->host->reason.text);
	return fixture->host;
}

/* The descriptor of the last READ or WRITE: is it the one for direct I/O? */
static bool was_direct(const struct fake_host *host, enum tcmu_aio_op op)
{
	int flags = fcntl(host->last[op].fd, F_GETFL);

	assert_true(flags >= 0);
	return flags & O_DIRECT;
}

static struct fake_io *start_request(
	struct fake_host *host, enum tcmu_io_op op, uint64_t offset, size_t piece, size_t gap)
{
	struct fake_io *io = fake_io_new(host, op, offset, LENGTH);

	fake_io_split(io, piece, gap);
	if (op == TCMU_IO_WRITE)
		fake_io_fill(io, data + offset, LENGTH);
	fake_io_submit(io);
	return io;
}

static void end_request(struct fake_io *io, int error)
{
	assert_int_equal(fake_io_wait(io), error);
	if (io->io.op == TCMU_IO_READ && error == 0) {
		fake_io_fetch(io, got, LENGTH);
		assert_memory_equal(got, data + io->io.offset, LENGTH);
	}
	fake_io_free(io);
}

static void aligned_requests_bypass_the_page_cache(void **state)
{
	struct fake_host *host = direct_opened(state);

	assert_true(
		host->info.optimal_dio_align >= 512 && BLOCK % host->info.optimal_dio_align == 0);
	file_pattern(data, 0, FILE_SIZE);
	end_request(start_request(host, TCMU_IO_WRITE, LENGTH, 4096, 0), 0);
	assert_true(was_direct(host, TCMU_AIO_WRITEV));
	assert_int_equal(host->last[TCMU_AIO_WRITEV].flags, 0);
	end_request(start_request(host, TCMU_IO_READ, LENGTH, 4096, 4096), 0);
	assert_true(was_direct(host, TCMU_AIO_READV));
	file_contents(file_fixture_of(state)->path, LENGTH, got, LENGTH);
	assert_memory_equal(got, data + LENGTH, LENGTH);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
}

static void unaligned_requests_use_the_page_cache_and_both_agree(void **state)
{
	static const struct {
		size_t piece, gap;
	} ways[] = {{1000, 0}, {4096, 8}, {511, 1}, {1, 0}};
	struct fake_host *host = direct_opened(state);

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		file_pattern(data, i + 1, FILE_SIZE);
		end_request(
			start_request(host, TCMU_IO_WRITE, LENGTH, ways[i].piece, ways[i].gap), 0);
		assert_false(was_direct(host, TCMU_AIO_WRITEV));
		assert_int_equal(host->last[TCMU_AIO_WRITEV].flags, TCMU_AIO_DSYNC);
		end_request(start_request(host, TCMU_IO_READ, LENGTH, 4096, 0), 0);
		assert_true(was_direct(host, TCMU_AIO_READV));

		file_pattern(data, i + 2, FILE_SIZE);
		end_request(start_request(host, TCMU_IO_WRITE, LENGTH, 4096, 0), 0);
		assert_true(was_direct(host, TCMU_AIO_WRITEV));
		end_request(
			start_request(host, TCMU_IO_READ, LENGTH, ways[i].piece, ways[i].gap), 0);
		assert_false(was_direct(host, TCMU_AIO_READV));
	}
}

static void unaligned_requests_run_alone(void **state)
{
	struct fake_host *host = direct_opened(state);
	struct fake_io *ios[6];

	file_pattern(data, 5, FILE_SIZE);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_STICK, 0);
	ios[0] = start_request(host, TCMU_IO_WRITE, 0, 4096, 0);
	ios[1] = start_request(host, TCMU_IO_WRITE, LENGTH, 4096, 0);
	ios[2] = start_request(host, TCMU_IO_WRITE, 2 * LENGTH, 1000, 0);
	ios[3] = start_request(host, TCMU_IO_WRITE, 3 * LENGTH, 4096, 0);
	ios[4] = start_request(host, TCMU_IO_WRITE, 4 * LENGTH, 1000, 0);
	ios[5] = start_request(host, TCMU_IO_WRITE, 5 * LENGTH, 4096, 0);
	fake_host_iterate(host);
	/* The third waits for the first, and those behind it wait for it. */
	assert_true(!ios[0]->done && ios[1]->done && !ios[2]->done && !ios[3]->done);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], 2);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_STICK, 0);
	fake_unstick(host);
	fake_host_iterate(host);
	assert_true(ios[0]->done && !ios[2]->done && !ios[3]->done);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], 3);
	fake_unstick(host);
	fake_host_iterate(host);
	for (unsigned i = 0; i < 6; i++)
		end_request(ios[i], 0);
	assert_int_equal(fake_read(host, 0, got, 6 * LENGTH), 0);
	assert_memory_equal(got, data, 6 * LENGTH);
}

static void a_waiting_request_is_cancelled_at_once(void **state)
{
	struct fake_host *host = direct_opened(state);
	struct fake_io *ios[4];

	file_pattern(data, 6, FILE_SIZE);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_STICK, 0);
	ios[0] = start_request(host, TCMU_IO_WRITE, 0, 4096, 0);
	ios[1] = start_request(host, TCMU_IO_WRITE, LENGTH, 1000, 0);
	ios[2] = start_request(host, TCMU_IO_WRITE, 2 * LENGTH, 4096, 0);
	ios[3] = start_request(host, TCMU_IO_READ, 2 * LENGTH, 1000, 0);
	fake_host_iterate(host);
	fake_io_cancel(ios[3]);
	assert_true(ios[3]->done && !ios[1]->done && !ios[2]->done);
	fake_io_cancel(ios[1]);
	assert_true(ios[1]->done);
	fake_host_iterate(host);
	/* Nothing keeps it from going on beside the first. */
	assert_true(ios[2]->done && !ios[0]->done);
	end_request(ios[1], -ECANCELED);
	end_request(ios[2], 0);
	end_request(ios[3], -ECANCELED);
	fake_unstick(host);
	end_request(ios[0], 0);
}

static void requests_that_the_kernel_refuses_use_the_page_cache(void **state)
{
	struct fake_host *host = direct_opened(state);

	file_pattern(data, 7, FILE_SIZE);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, -EINVAL);
	end_request(start_request(host, TCMU_IO_WRITE, 0, 4096, 0), 0);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], 2);
	assert_false(was_direct(host, TCMU_AIO_WRITEV));
	fake_fault(host, TCMU_AIO_READV, 1, FAKE_FAIL, -EINVAL);
	end_request(start_request(host, TCMU_IO_READ, 0, 4096, 0), 0);
	assert_false(was_direct(host, TCMU_AIO_READV));
	/* Only that one, and not for ever. */
	end_request(start_request(host, TCMU_IO_WRITE, 0, 4096, 0), 0);
	assert_true(was_direct(host, TCMU_AIO_WRITEV));
	fake_fault_always(host, TCMU_AIO_WRITEV, FAKE_FAIL, -EINVAL);
	end_request(start_request(host, TCMU_IO_WRITE, 0, 4096, 0), -EINVAL);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], 5);
	assert_int_equal(fake_reported(host).events, 0);
}

static void a_rest_that_does_not_fit_any_more_goes_through_the_page_cache(void **state)
{
	static const size_t parts[] = {1, 511, 513, 4095, 4097, LENGTH - 1};
	struct fake_host *host = direct_opened(state);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct fake_io *beside;

		file_pattern(data, i + 8, FILE_SIZE);
		fake_no_faults(host);
		/* The kernel reports partial writes of direct I/O in another way. */
		fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_RESULT, (int64_t) parts[i]);
		fake_fault(host, TCMU_AIO_READV, 1, FAKE_RESULT, (int64_t) parts[i]);
		fake_fault(host, TCMU_AIO_READV, 2, FAKE_DELAY, 0);
		end_request(start_request(host, TCMU_IO_WRITE, 0, 4096, 0), 0);
		assert_false(was_direct(host, TCMU_AIO_WRITEV));
		end_request(start_request(host, TCMU_IO_WRITE, LENGTH, 4096, 0), 0);
		beside = fake_io_new(host, TCMU_IO_READ, 0, LENGTH);
		fake_io_submit(beside);
		fake_host_iterate(host);
		assert_false(was_direct(host, TCMU_AIO_READV));
		fake_unstick(host);
		end_request(beside, 0);
	}
}

/* The rest would be a separate write, and write-back of the page cache may run while it changes. */
static void an_atomic_write_is_one_call_or_an_error(void **state)
{
	struct fake_host *host = direct_opened(state);

	file_pattern(data, 15, FILE_SIZE);
	for (unsigned i = 0; i < 3; i++) {
		struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE, 0, BLOCK);

		io->io.flags = TCMU_IO_ATOMIC;
		if (i == 1)
			fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_SHORT, 512);
		if (i == 2)
			fake_io_split(io, 1000, 8);
		fake_io_fill(io, data, BLOCK);
		fake_io_submit(io);
		end_request(io, i == 0 ? 0 : i == 1 ? -EIO : -EINVAL);
		assert_int_equal(host->calls[TCMU_AIO_WRITEV], i == 0 ? 1 : 2);
	}
	assert_int_equal(fake_reported(host).events, 0);
}

static void a_file_that_was_cut_off_reads_as_zeros_behind_its_end(void **state)
{
	struct fake_host *host = direct_opened(state);

	file_pattern(data, 0, FILE_SIZE);
	assert_int_equal(fake_write(host, 0, data, FILE_SIZE, 0), 0);
	assert_int_equal(truncate(file_fixture_of(state)->path, 5000), 0);
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_memory_equal(got, data, 5000);
	assert_true(file_is_zero(got + 5000, FILE_SIZE - 5000));
}

static void a_device_error_of_a_write_that_does_not_fit_fails_the_device(void **state)
{
	struct fake_host *host = direct_opened(state);

	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, -EIO);
	end_request(start_request(host, TCMU_IO_WRITE, 0, 4096, 0), -EIO);
	assert_int_equal(fake_reported(host).events, 0);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, -EIO);
	end_request(start_request(host, TCMU_IO_WRITE, 0, 1000, 0), -EIO);
	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), -EIO);
}

/* Blocks of a few neighbouring pages, written and read in all ways at once, are always one of the
 * writes. */
static void any_mixture_keeps_every_block(void **state)
{
	enum {
		SECTORS = 64,
		ROUNDS = 300,
		AT_ONCE = 8
	};
	struct fake_host *host = direct_opened(state);
	uint32_t align = host->info.optimal_dio_align;
	uint8_t *model = data;
	unsigned seed = 1;

	memset(model, 0, SECTORS * align);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct fake_io *ios[AT_ONCE];

		for (unsigned i = 0; i < AT_ONCE; i++) {
			unsigned position = (unsigned) rand_r(&seed) % (SECTORS / AT_ONCE) *
					AT_ONCE +
				i;
			bool writes = rand_r(&seed) % 3;
			uint8_t byte = (uint8_t) rand_r(&seed);

			ios[i] = fake_io_new(
				host, writes ? TCMU_IO_WRITE : TCMU_IO_READ, position * align,
				align);
			if (rand_r(&seed) % 4 == 0)
				fake_io_split(ios[i], 100, 3);
			if (writes) {
				memset(model + position * align, byte, align);
				fake_io_fill(ios[i], model + position * align, align);
			}
			fake_io_submit(ios[i]);
		}
		for (unsigned i = 0; i < AT_ONCE; i++) {
			assert_int_equal(fake_io_wait(ios[i]), 0);
			if (ios[i]->io.op == TCMU_IO_READ) {
				fake_io_fetch(ios[i], got, align);
				assert_memory_equal(got, model + ios[i]->io.offset, align);
			}
			fake_io_free(ios[i]);
		}
	}
	file_contents(file_fixture_of(state)->path, 0, got, SECTORS * align);
	assert_memory_equal(got, model, SECTORS * align);
}

int main(void)
{
	static const struct file_test tests[] = {
		FILE_TEST(aligned_requests_bypass_the_page_cache),
		FILE_TEST(unaligned_requests_use_the_page_cache_and_both_agree),
		FILE_TEST(unaligned_requests_run_alone),
		FILE_TEST(a_waiting_request_is_cancelled_at_once),
		FILE_TEST(requests_that_the_kernel_refuses_use_the_page_cache),
		FILE_TEST(a_rest_that_does_not_fit_any_more_goes_through_the_page_cache),
		FILE_TEST(an_atomic_write_is_one_call_or_an_error),
		FILE_TEST(a_file_that_was_cut_off_reads_as_zeros_behind_its_end),
		FILE_TEST(a_device_error_of_a_write_that_does_not_fit_fails_the_device),
		FILE_TEST(any_mixture_keeps_every_block),
	};

	return file_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
