/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE, FLUSH, UNMAP and WRITE_ZEROES of the file handler through the page cache.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LENGTH 8192u

static uint8_t data[FILE_SIZE];
static uint8_t got[FILE_SIZE];

/* ------- READ, WRITE ------- */

static void written_data_is_read(void **state)
{
	static const size_t lengths[] = {512, 1024, 4096, 4608, 65536, FILE_SIZE};
	struct fake_host *host = file_opened(state, "");

	file_pattern(data, 3, FILE_SIZE);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t offset = FILE_SIZE - lengths[i];

		assert_int_equal(fake_write(host, offset, data, lengths[i], 0), 0);
		assert_int_equal(fake_read(host, offset, got, lengths[i]), 0);
		assert_memory_equal(got, data, lengths[i]);
		file_contents(file_fixture_of(state)->path, offset, got, lengths[i]);
		assert_memory_equal(got, data, lengths[i]);
	}
	assert_int_equal(file_length(file_fixture_of(state)->path), FILE_SIZE);
}

static void buffers_may_be_in_any_pieces(void **state)
{
	static const struct {
		size_t piece, gap;
	} ways[] = {{512, 0}, {512, 512}, {4096, 4096}, {1, 1}, {1000, 24}, {4095, 1}};
	struct fake_host *host = file_opened(state, "");

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct fake_io *out = fake_io_new(host, TCMU_IO_WRITE, LENGTH * i, LENGTH);
		struct fake_io *in = fake_io_new(host, TCMU_IO_READ, LENGTH * i, LENGTH);

		file_pattern(data, i, LENGTH);
		fake_io_split(out, ways[i].piece, ways[i].gap);
		fake_io_split(in, ways[i].piece, ways[i].gap);
		fake_io_fill(out, data, LENGTH);
		fake_io_submit(out);
		assert_int_equal(fake_io_wait(out), 0);
		fake_io_submit(in);
		assert_int_equal(fake_io_wait(in), 0);
		fake_io_fetch(in, got, LENGTH);
		assert_memory_equal(got, data, LENGTH);
		fake_io_free(out);
		fake_io_free(in);
	}
}

static void many_requests_at_once(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[128];

	file_pattern(data, 0, FILE_SIZE);
	for (unsigned i = 0; i < 128; i++) {
		ios[i] = fake_io_new(host, TCMU_IO_WRITE, i * LENGTH, LENGTH);
		fake_io_fill(ios[i], data + i * LENGTH, LENGTH);
		fake_io_submit(ios[i]);
	}
	for (unsigned i = 0; i < 128; i++) {
		assert_int_equal(fake_io_wait(ios[i]), 0);
		fake_io_free(ios[i]);
	}
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_memory_equal(got, data, FILE_SIZE);
}

static void unwritten_blocks_read_as_zeros(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_true(file_is_zero(got, FILE_SIZE));
}

static void a_file_that_was_cut_off_reads_as_zeros_behind_its_end(void **state)
{
	struct fake_host *host = file_opened(state, "");

	file_pattern(data, 0, FILE_SIZE);
	assert_int_equal(fake_write(host, 0, data, FILE_SIZE, 0), 0);
	assert_int_equal(truncate(file_fixture_of(state)->path, 5000), 0);
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_memory_equal(got, data, 5000);
	assert_true(file_is_zero(got + 5000, FILE_SIZE - 5000));
	/* Zeros need no wait. */
	assert_int_equal(host->last[TCMU_AIO_READV].flags, TCMU_AIO_MEMORY);
	memset(got, 1, 512);
	assert_int_equal(fake_read(host, FILE_SIZE - 512, got, 512), 0);
	assert_true(file_is_zero(got, 512));
	assert_int_equal(fake_write(host, FILE_SIZE - 512, data, 512, 0), 0);
	assert_int_equal(file_length(file_fixture_of(state)->path), FILE_SIZE);
}

static void partial_transfers_continue_wherever_they_end(void **state)
{
	struct fake_host *host = file_opened(state, "");

	for (unsigned at = 1; at < LENGTH; at += at % 1024 < 2 || at % 1024 == 1023 ? 1 : 340) {
		struct fake_io *out = fake_io_new(host, TCMU_IO_WRITE, 0, LENGTH);
		struct fake_io *in = fake_io_new(host, TCMU_IO_READ, 0, LENGTH);

		file_pattern(data, at, LENGTH);
		fake_io_split(out, 1024, 64);
		fake_io_split(in, 1024, 64);
		fake_io_fill(out, data, LENGTH);
		fake_no_faults(host);
		fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_SHORT, at);
		fake_fault(host, TCMU_AIO_READV, 1, FAKE_SHORT, LENGTH - at);
		fake_io_submit(out);
		assert_int_equal(fake_io_wait(out), 0);
		fake_io_submit(in);
		assert_int_equal(fake_io_wait(in), 0);
		fake_io_fetch(in, got, LENGTH);
		assert_memory_equal(got, data, LENGTH);
		fake_io_free(out);
		fake_io_free(in);
	}
}

static void transfers_of_a_few_bytes_at_a_time_reach_the_end(void **state)
{
	struct fake_host *host = file_opened(state, "");

	file_pattern(data, 9, LENGTH);
	fake_fault_always(host, TCMU_AIO_WRITEV, FAKE_SHORT, 100);
	fake_fault_always(host, TCMU_AIO_READV, FAKE_SHORT, 77);
	assert_int_equal(fake_write(host, 512, data, LENGTH, 0), 0);
	assert_int_equal(fake_read(host, 512, got, LENGTH), 0);
	assert_memory_equal(got, data, LENGTH);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], (LENGTH + 99) / 100);
	assert_int_equal(host->calls[TCMU_AIO_READV], (LENGTH + 76) / 77);
}

static void a_call_that_does_nothing_is_an_error(void **state)
{
	struct fake_host *host = file_opened(state, "");

	fake_fault(host, TCMU_AIO_READV, 1, FAKE_FAIL, 0);
	fake_fault(host, TCMU_AIO_READV, 2, FAKE_FAIL, 0);
	assert_int_equal(fake_read(host, 0, got, LENGTH), -EIO);
	assert_int_equal(host->calls[TCMU_AIO_READV], 2);
	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, 0);
	assert_int_equal(fake_write(host, 0, data, LENGTH, 0), -EIO);
}

static void only_fua_makes_a_write_stable(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_true(host->info.fua);
	assert_int_equal(fake_write(host, 0, data, 512, 0), 0);
	assert_int_equal(host->last[TCMU_AIO_WRITEV].flags & TCMU_AIO_DSYNC, 0);
	assert_int_equal(fake_write(host, 0, data, 512, TCMU_IO_FUA), 0);
	assert_int_equal(host->last[TCMU_AIO_WRITEV].flags & TCMU_AIO_DSYNC, TCMU_AIO_DSYNC);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 0);
}

/* ------- errors ------- */

struct errno_case {
	int error;
	int reported;      /* the error that the daemon gets */
	bool device_fails; /* when it befalls a write that was to be stable */
};

static const struct errno_case errno_cases[] = {
	{-EIO, -EIO, true},
	{-EREMOTEIO, -EREMOTEIO, true},
	{-ENODEV, -ENODEV, true},
	{-ENXIO, -ENXIO, true},
	{-EROFS, -EROFS, true},
	{-ESTALE, -ESTALE, true},
	{-ESHUTDOWN, -ESHUTDOWN, true},
	{-ENOSPC, -ENOSPC, false},
	{-EDQUOT, -ENOSPC, false},
	{-EFBIG, -ENOSPC, false},
	{-ENOMEM, -ENOMEM, false},
	{-EAGAIN, -EAGAIN, false},
	{-EINTR, -EINTR, false},
	{-EINVAL, -EINVAL, false},
	{-EFAULT, -EFAULT, false},
	{-ECANCELED, -ECANCELED, false},
	{-EOPNOTSUPP, -EOPNOTSUPP, false},
};

#define ERRNO_CASES (sizeof(errno_cases) / sizeof(errno_cases[0]))

/* A request of LENGTH at 4096, under the faults that were set: its error, and where. */
static void ends_with(
	struct fake_host *host, enum tcmu_io_op op, uint32_t flags, int error, uint64_t where)
{
	struct fake_io *io = fake_io_new(host, op, 4096, LENGTH);

	io->io.flags = flags;
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), error);
	assert_int_equal(io->io.result, where);
	fake_io_free(io);
	fake_no_faults(host);
}

static void every_error_is_reported_with_its_offset(void **state)
{
	struct fake_host *host = file_opened(state, "");

	for (size_t i = 0; i < ERRNO_CASES; i++) {
		const struct errno_case *c = &errno_cases[i];

		fake_fault(host, TCMU_AIO_READV, 1, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_READ, 0, c->reported, 4096);
		fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_WRITE, 0, c->reported, 4096);
		fake_fault(host, TCMU_AIO_FALLOCATE, 1, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_UNMAP, 0, c->reported, 4096);
		fake_fault(host, TCMU_AIO_FALLOCATE, 1, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_WRITE_ZEROES, 0, c->reported, 4096);
	}
	assert_int_equal(fake_reported(host).events, 0);
}

static void an_error_after_a_part_is_reported_with_its_offset(void **state)
{
	struct fake_host *host = file_opened(state, "");

	for (size_t i = 0; i < ERRNO_CASES; i++) {
		const struct errno_case *c = &errno_cases[i];

		fake_fault(host, TCMU_AIO_READV, 1, FAKE_SHORT, 1536);
		fake_fault(host, TCMU_AIO_READV, 2, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_READ, 0, c->reported, 4096 + 1536);
		fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_SHORT, 1537);
		fake_fault(host, TCMU_AIO_WRITEV, 2, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_WRITE, 0, c->reported, 4096 + 1537);
	}
	assert_int_equal(fake_reported(host).events, 0);
}

static void refused_after_failure(struct fake_host *host, int error)
{
	unsigned calls = 0;

	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FAILED);
	assert_int_equal(fake_reported(host).event_value, error);
	memset(host->calls, 0, sizeof(host->calls));
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), -EIO);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, LENGTH, 0), -EIO);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, 0), -EIO);
	assert_int_equal(fake_write(host, 0, data, LENGTH, 0), -EIO);
	assert_int_equal(fake_write(host, 0, data, LENGTH, TCMU_IO_FUA), -EIO);
	for (unsigned i = 0; i < FAKE_AIO_OPS; i++)
		calls += host->calls[i];
	assert_int_equal(calls, 0);
	assert_int_equal(fake_read(host, 0, got, LENGTH), 0);
	assert_int_equal(fake_reported(host).events, 1);
}

static void a_failed_flush_fails_all_that_follow_until_reopened(void **state)
{
	for (size_t i = 0; i < ERRNO_CASES; i++) {
		const struct errno_case *c = &errno_cases[i];
		struct fake_host *host = file_opened(state, "");

		if (c->error == -ECANCELED) {
			fake_close(host);
			continue;
		}
		fake_no_faults(host);
		fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_FAIL, c->error);
		assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), -EIO);
		refused_after_failure(host, c->error);
		fake_close(host);
	}
	assert_int_equal(fake_do(file_opened(state, ""), TCMU_IO_FLUSH, 0, 0, 0), 0);
}

static void a_stable_write_on_a_failing_device_fails_all_that_follow(void **state)
{
	for (size_t i = 0; i < ERRNO_CASES; i++) {
		const struct errno_case *c = &errno_cases[i];
		struct fake_host *host = file_opened(state, "");

		fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_FAIL, c->error);
		ends_with(host, TCMU_IO_WRITE, TCMU_IO_FUA, c->reported, 4096);
		if (c->device_fails)
			refused_after_failure(host, c->error);
		else
			assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
		assert_int_equal(fake_reported(host).events, c->device_fails);
		fake_close(host);
	}
}

static void a_device_fails_once(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[2];

	fake_fault_always(host, TCMU_AIO_WRITEV, FAKE_FAIL, -EIO);
	for (unsigned i = 0; i < 2; i++) {
		ios[i] = fake_io_new(host, TCMU_IO_WRITE, 0, LENGTH);
		ios[i]->io.flags = TCMU_IO_FUA;
		fake_io_submit(ios[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_io_wait(ios[i]), -EIO);
		fake_io_free(ios[i]);
	}
	assert_int_equal(fake_reported(host).events, 1);
}

/* ------- FLUSH ------- */

static void a_flush_makes_one_call(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 1);
	assert_true(host->info.volatile_cache);
}

static void start_flushes(struct fake_host *host, struct fake_io **ios, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		ios[i] = fake_io_new(host, TCMU_IO_FLUSH, 0, 0);
		fake_io_submit(ios[i]);
	}
	fake_host_iterate(host);
}

static void end_flushes(struct fake_io **ios, unsigned cnt, int error)
{
	for (unsigned i = 0; i < cnt; i++) {
		if (!ios[i])
			continue;
		assert_int_equal(fake_io_wait(ios[i]), error);
		fake_io_free(ios[i]);
	}
}

static void flushes_that_come_meanwhile_share_the_next_call(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[5];

	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_DELAY, 0);
	start_flushes(host, ios, 5);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 1);
	for (unsigned i = 0; i < 5; i++)
		assert_false(ios[i]->done);
	fake_unstick(host);
	end_flushes(ios, 5, 0);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 2);
}

static void a_failed_flush_fails_those_that_wait(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[3];

	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_STICK, 0);
	start_flushes(host, ios, 3);
	fake_io_cancel(ios[0]);
	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_FAIL, -EIO);
	assert_int_equal(fake_io_wait(ios[0]), -ECANCELED);
	fake_io_free(ios[0]);
	end_flushes(ios + 1, 2, -EIO);
	assert_int_equal(fake_reported(host).events, 1);
}

static void a_failed_flush_fails_those_that_came_meanwhile(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[3];

	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_STICK, 0);
	start_flushes(host, ios, 3);
	fake_end_stuck(host, -ENOSPC);
	end_flushes(ios, 3, -EIO);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 1);
	assert_int_equal(fake_reported(host).events, 1);
}

static void the_others_flush_when_the_one_that_made_the_call_is_cancelled(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[5];

	/* The first makes the call alone; the second makes the next one for the others. */
	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_DELAY, 0);
	fake_fault(host, TCMU_AIO_FDATASYNC, 2, FAKE_STICK, 0);
	start_flushes(host, ios, 4);
	fake_unstick(host);
	fake_host_iterate(host);
	assert_true(ios[0]->done);
	assert_int_equal(fake_stuck_calls(host), 1);
	start_flushes(host, ios + 4, 1);
	fake_io_cancel(ios[1]);
	fake_host_iterate(host);
	assert_int_equal(ios[1]->error, -ECANCELED);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 3);
	assert_int_equal(fake_reported(host).events, 0);
	fake_io_free(ios[1]);
	ios[1] = NULL;
	end_flushes(ios, 5, 0);
}

static void a_flush_that_waits_is_cancelled_at_once(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *ios[4];

	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_DELAY, 0);
	fake_fault(host, TCMU_AIO_FDATASYNC, 2, FAKE_DELAY, 0);
	start_flushes(host, ios, 3);
	fake_unstick(host);
	fake_host_iterate(host);
	assert_int_equal(fake_stuck_calls(host), 1);
	start_flushes(host, ios + 3, 1);
	/* One shares the call in flight, one waits for the next. */
	fake_io_cancel(ios[2]);
	fake_io_cancel(ios[3]);
	assert_true(ios[2]->done && ios[3]->done);
	assert_int_equal(ios[2]->error, -ECANCELED);
	assert_int_equal(ios[3]->error, -ECANCELED);
	fake_io_free(ios[2]);
	fake_io_free(ios[3]);
	fake_unstick(host);
	end_flushes(ios, 2, 0);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 2);
}

static void a_cancelled_flush_that_ended_well_says_so(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *io;

	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_DELAY, 0);
	start_flushes(host, &io, 1);
	fake_io_cancel(io);
	assert_false(io->done);
	fake_unstick(host);
	end_flushes(&io, 1, 0);
}

/* ------- cancelling transfers ------- */

static void a_cancelled_transfer_goes_no_further(void **state)
{
	static const enum tcmu_io_op ops[] = {TCMU_IO_READ, TCMU_IO_WRITE};
	static const enum tcmu_aio_op calls[] = {TCMU_AIO_READV, TCMU_AIO_WRITEV};
	struct fake_host *host = file_opened(state, "");

	for (unsigned i = 0; i < 2; i++) {
		struct fake_io *io = fake_io_new(host, ops[i], 0, LENGTH);

		fake_fault(host, calls[i], 1, FAKE_DELAY, 0);
		fake_io_submit(io);
		fake_host_iterate(host);
		fake_io_cancel(io);
		fake_unstick(host);
		/* It was whole before the cancellation could stop it. */
		assert_int_equal(fake_io_wait(io), 0);
		fake_io_free(io);

		io = fake_io_new(host, ops[i], 0, LENGTH);
		fake_fault(host, calls[i], 1, FAKE_SHORT, 512);
		fake_fault(host, calls[i], 2, FAKE_STICK, 0);
		fake_io_submit(io);
		fake_host_iterate(host);
		fake_io_cancel(io);
		assert_int_equal(fake_io_wait(io), -ECANCELED);
		assert_int_equal(io->io.result, 512);
		fake_io_free(io);
	}
}

static void a_partial_transfer_is_not_continued_after_a_cancellation(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE, 0, LENGTH);

	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_STICK, 0);
	fake_io_submit(io);
	fake_host_iterate(host);
	fake_io_cancel_late(io);
	fake_end_stuck(host, 512);
	assert_int_equal(fake_io_wait(io), -ECANCELED);
	assert_int_equal(host->calls[TCMU_AIO_WRITEV], 1);
	assert_int_equal(io->io.result, 512);
	fake_io_free(io);
}

/* ------- UNMAP, WRITE_ZEROES ------- */

static void fill_file(struct fake_host *host)
{
	file_pattern(data, 0, FILE_SIZE);
	assert_int_equal(fake_write(host, 0, data, FILE_SIZE, 0), 0);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
}

/* [65536 + 512, 131072 + 512) reads as zeros, the rest as written. */
static void zeros_in_the_middle(struct fake_host *host)
{
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_memory_equal(got, data, 65536 + 512);
	assert_true(file_is_zero(got + 65536 + 512, 65536));
	assert_memory_equal(got + 131072 + 512, data + 131072 + 512, FILE_SIZE - 131072 - 512);
	assert_int_equal(fake_do(host, TCMU_IO_FLUSH, 0, 0, 0), 0);
}

static void unmap_gives_space_back_and_reads_as_zeros(void **state)
{
	struct fake_host *host = file_opened(state, "");
	uint64_t allocated;

	assert_true(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
	assert_true(host->info.thin);
	assert_true(host->info.unmap_zeroes);
	fill_file(host);
	allocated = file_allocated(file_fixture_of(state)->path);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 65536 + 512, 65536, 0), 0);
	zeros_in_the_middle(host);
	assert_true(file_allocated(file_fixture_of(state)->path) <= allocated - 32768);
	assert_int_equal(file_length(file_fixture_of(state)->path), FILE_SIZE);
}

static void write_zeroes_keeps_space_without_may_unmap(void **state)
{
	static const uint32_t flags[] = {0, TCMU_IO_MAY_UNMAP};
	struct fake_host *host = file_opened(state, "");

	for (unsigned i = 0; i < 2; i++) {
		uint64_t allocated;

		fill_file(host);
		allocated = file_allocated(file_fixture_of(state)->path);
		assert_int_equal(
			fake_do(host, TCMU_IO_WRITE_ZEROES, 65536 + 512, 65536, flags[i]), 0);
		zeros_in_the_middle(host);
		if (flags[i] & TCMU_IO_MAY_UNMAP)
			assert_true(
				file_allocated(file_fixture_of(state)->path) <= allocated - 32768);
		else
			assert_true(file_allocated(file_fixture_of(state)->path) >= allocated);
		assert_int_equal(file_length(file_fixture_of(state)->path), FILE_SIZE);
	}
}

static void write_zeroes_is_stable_with_fua(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, 0), 0);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 0);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, TCMU_IO_FUA), 0);
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 1);
	fake_fault(host, TCMU_AIO_FDATASYNC, 1, FAKE_FAIL, -EIO);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, TCMU_IO_FUA), -EIO);
	refused_after_failure(host, -EIO);
}

static void write_zeroes_learns_the_limits_of_the_file_system(void **state)
{
	struct fake_host *host = file_opened(state, "");

	fake_fault(host, TCMU_AIO_FALLOCATE, 1, FAKE_FAIL, -EOPNOTSUPP);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, TCMU_IO_MAY_UNMAP), 0);
	assert_int_equal(host->calls[TCMU_AIO_FALLOCATE], 2);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, TCMU_IO_MAY_UNMAP), 0);
	assert_int_equal(host->calls[TCMU_AIO_FALLOCATE], 3);
	assert_int_equal(
		host->last[TCMU_AIO_FALLOCATE].mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	fake_fault(host, TCMU_AIO_FALLOCATE, 1, FAKE_FAIL, -EOPNOTSUPP);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, 0), -EOPNOTSUPP);
	assert_int_equal(
		fake_do(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH, TCMU_IO_MAY_UNMAP), -EOPNOTSUPP);
	assert_int_equal(host->calls[TCMU_AIO_FALLOCATE], 4);
}

static void without_discard_nothing_gives_space_back(void **state)
{
	struct fake_host *host = file_opened(state, ";discard=0");

	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_UNMAP));
	assert_false(host->info.thin);
	assert_false(host->info.unmap_zeroes);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, LENGTH, 0), -EOPNOTSUPP);
	fill_file(host);
	assert_int_equal(
		fake_do(host, TCMU_IO_WRITE_ZEROES, 65536 + 512, 65536, TCMU_IO_MAY_UNMAP), 0);
	assert_int_equal(
		host->last[TCMU_AIO_FALLOCATE].mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	zeros_in_the_middle(host);
}

static void a_cancelled_write_zeroes_goes_no_further(void **state)
{
	static const int results[] = {0, -EOPNOTSUPP};
	struct fake_host *host = file_opened(state, "");

	for (unsigned i = 0; i < 2; i++) {
		struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE_ZEROES, 0, LENGTH);

		io->io.flags = TCMU_IO_FUA;
		fake_fault(host, TCMU_AIO_FALLOCATE, 1, FAKE_STICK, 0);
		fake_io_submit(io);
		fake_host_iterate(host);
		fake_io_cancel_late(io);
		fake_end_stuck(host, results[i]);
		assert_int_equal(fake_io_wait(io), -ECANCELED);
		fake_io_free(io);
	}
	assert_int_equal(host->calls[TCMU_AIO_FDATASYNC], 0);
	assert_int_equal(host->calls[TCMU_AIO_FALLOCATE], 2);
}

/* ------- MAP ------- */

static void maps_to(
	struct fake_host *host, uint64_t offset, uint64_t length, uint64_t bytes, bool mapped)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_MAP, offset, length);

	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	assert_int_equal(io->io.result, bytes);
	assert_int_equal(io->io.result_flags, mapped ? TCMU_IO_MAPPED : 0);
	fake_io_free(io);
}

static void the_map_distinguishes_holes_from_data(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_true(host->info.caps & TCMU_IO_CAP(TCMU_IO_MAP));
	maps_to(host, 0, FILE_SIZE, FILE_SIZE, false);
	memset(data, 1, sizeof(data));
	assert_int_equal(fake_write(host, 131072, data, 65536, 0), 0);
	maps_to(host, 0, FILE_SIZE, 131072, false);
	maps_to(host, 65536, 512, 512, false);
	maps_to(host, 131072, FILE_SIZE - 131072, 65536, true);
	maps_to(host, 131072 + 512, 4096, 4096, true);
	maps_to(host, 196608, FILE_SIZE - 196608, FILE_SIZE - 196608, false);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 131072 + 4096, 32768, 0), 0);
	maps_to(host, 131072, 65536, 4096, true);
	maps_to(host, 131072 + 4096, 65536, 32768, false);
}

static void a_block_that_is_data_in_part_is_mapped(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;

	assert_int_equal(fake_open(host, fixture->path, FILE_SIZE, 4096), 0);
	fake_fault(host, TCMU_AIO_SEEK_DATA, 1, FAKE_FAIL, 4096 + 1024);
	fake_fault(host, TCMU_AIO_SEEK_HOLE, 1, FAKE_FAIL, 8192 + 1024);
	maps_to(host, 4096, FILE_SIZE - 4096, 8192, true);
	fake_fault(host, TCMU_AIO_SEEK_DATA, 1, FAKE_FAIL, 12288 + 1024);
	maps_to(host, 4096, FILE_SIZE - 4096, 8192, false);
}

static void a_map_that_fails_says_so(void **state)
{
	struct fake_host *host = file_opened(state, "");
	struct fake_io *io;

	fake_fault(host, TCMU_AIO_SEEK_DATA, 1, FAKE_FAIL, -EIO);
	ends_with(host, TCMU_IO_MAP, 0, -EIO, 4096);
	fake_fault(host, TCMU_AIO_SEEK_DATA, 1, FAKE_FAIL, 4096);
	fake_fault(host, TCMU_AIO_SEEK_HOLE, 1, FAKE_FAIL, -ENXIO);
	ends_with(host, TCMU_IO_MAP, 0, -ENXIO, 4096);
	io = fake_io_new(host, TCMU_IO_MAP, 0, LENGTH);
	fake_fault(host, TCMU_AIO_SEEK_DATA, 1, FAKE_STICK, 0);
	fake_io_submit(io);
	fake_host_iterate(host);
	fake_io_cancel_late(io);
	fake_end_stuck(host, 0);
	assert_int_equal(fake_io_wait(io), -ECANCELED);
	fake_io_free(io);
}

/* ------- the rest ------- */

static void other_operations_are_not_supported(void **state)
{
	struct fake_host *host = file_opened(state, "");

	assert_int_equal(fake_do(host, TCMU_IO_COMPARE_AND_WRITE, 0, 512, 0), -EOPNOTSUPP);
	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE));
}

static void a_read_only_device_only_reads(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;

	file_make(fixture->path, FILE_SIZE);
	host->read_only = true;
	(void) file_opened(state, "");
	assert_int_equal(host->info.caps & ~TCMU_IO_CAP(TCMU_IO_MAP), TCMU_IO_CAP(TCMU_IO_READ));
	assert_false(host->info.thin || host->info.volatile_cache || host->info.fua);
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	file_pattern(data, 0, FILE_SIZE);
	assert_memory_equal(got, data, FILE_SIZE);
	assert_true(fake_write(host, 0, data, 512, 0) < 0);
	assert_true(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, 512, 0) < 0);
}

int main(void)
{
	static const struct file_test tests[] = {
		FILE_TEST(written_data_is_read),
		FILE_TEST(buffers_may_be_in_any_pieces),
		FILE_TEST(many_requests_at_once),
		FILE_TEST(unwritten_blocks_read_as_zeros),
		FILE_TEST(a_file_that_was_cut_off_reads_as_zeros_behind_its_end),
		FILE_TEST(partial_transfers_continue_wherever_they_end),
		FILE_TEST(transfers_of_a_few_bytes_at_a_time_reach_the_end),
		FILE_TEST(a_call_that_does_nothing_is_an_error),
		FILE_TEST(only_fua_makes_a_write_stable),
		FILE_TEST(every_error_is_reported_with_its_offset),
		FILE_TEST(an_error_after_a_part_is_reported_with_its_offset),
		FILE_TEST(a_failed_flush_fails_all_that_follow_until_reopened),
		FILE_TEST(a_stable_write_on_a_failing_device_fails_all_that_follow),
		FILE_TEST(a_device_fails_once),
		FILE_TEST(a_flush_makes_one_call),
		FILE_TEST(flushes_that_come_meanwhile_share_the_next_call),
		FILE_TEST(a_failed_flush_fails_those_that_wait),
		FILE_TEST(a_failed_flush_fails_those_that_came_meanwhile),
		FILE_TEST(the_others_flush_when_the_one_that_made_the_call_is_cancelled),
		FILE_TEST(a_flush_that_waits_is_cancelled_at_once),
		FILE_TEST(a_cancelled_flush_that_ended_well_says_so),
		FILE_TEST(a_cancelled_transfer_goes_no_further),
		FILE_TEST(a_partial_transfer_is_not_continued_after_a_cancellation),
		FILE_TEST(unmap_gives_space_back_and_reads_as_zeros),
		FILE_TEST(write_zeroes_keeps_space_without_may_unmap),
		FILE_TEST(write_zeroes_is_stable_with_fua),
		FILE_TEST(write_zeroes_learns_the_limits_of_the_file_system),
		FILE_TEST(without_discard_nothing_gives_space_back),
		FILE_TEST(a_cancelled_write_zeroes_goes_no_further),
		FILE_TEST(the_map_distinguishes_holes_from_data),
		FILE_TEST(a_block_that_is_data_in_part_is_mapped),
		FILE_TEST(a_map_that_fails_says_so),
		FILE_TEST(other_operations_are_not_supported),
		FILE_TEST(a_read_only_device_only_reads),
	};

	return file_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
