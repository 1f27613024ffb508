/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the aio engine: results, order, depth, cancelling, stuck requests; the same for
 * io_uring and threads.
 */
#include "aio-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fill_buffer(uint8_t *buffer, unsigned seed)
{
	for (unsigned i = 0; i < REQUEST_SIZE; i++)
		buffer[i] = (uint8_t) (seed * 31 + i * 7 + i / 251);
}

/* ------- results ------- */

static void a_read_returns_what_was_written(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;
	uint8_t expected[REQUEST_SIZE];

	fill_buffer(expected, 1);
	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 8192);
	memcpy(request.buffer, expected, REQUEST_SIZE);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, REQUEST_SIZE);

	request_init(&request, f, TCMU_AIO_READV, f->file, 8192);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, REQUEST_SIZE);
	assert_memory_equal(request.buffer, expected, REQUEST_SIZE);
}

static void a_request_may_have_more_iovecs_than_a_call_takes(void **state)
{
	static struct iovec iov[1500];
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	for (unsigned i = 0; i < 1500; i++)
		iov[i] = (struct iovec){request.buffer + i, 1};
	request.aio.iov = iov;
	request.aio.iov_cnt = 1500;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 1024);

	request.done = 0;
	request.aio.op = TCMU_AIO_READV;
	request.aio.flags = TCMU_AIO_CACHED;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 1024);
}

static void a_read_across_the_end_is_short(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	assert_int_equal(ftruncate(f->file, 1000), 0);
	request_init(&request, f, TCMU_AIO_READV, f->file, 0);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 1000);

	request_init(&request, f, TCMU_AIO_READV, f->file, 4096);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 0);
}

static void a_dsync_write_is_in_the_file(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;
	uint8_t expected[REQUEST_SIZE], got[REQUEST_SIZE];

	fill_buffer(expected, 2);
	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	memcpy(request.buffer, expected, REQUEST_SIZE);
	request.aio.flags = TCMU_AIO_DSYNC;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, REQUEST_SIZE);
	assert_int_equal(pread(f->file, got, REQUEST_SIZE, 0), REQUEST_SIZE);
	assert_memory_equal(got, expected, REQUEST_SIZE);
}

static void a_flush_returns_zero(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	request_init(&request, f, TCMU_AIO_FDATASYNC, f->file, 0);
	request.res = -1;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 0);
}

static void fallocate_extends_and_punches(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;
	uint8_t got[REQUEST_SIZE], zeros[REQUEST_SIZE] = {0};
	struct stat st;

	request_init(&request, f, TCMU_AIO_FALLOCATE, f->file, 4096);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 0);
	assert_int_equal(fstat(f->file, &st), 0);
	assert_int_equal(st.st_size, 8192);

	memset(got, 0xff, sizeof(got));
	assert_int_equal(pwrite(f->file, got, sizeof(got), 4096), sizeof(got));
	request_init(&request, f, TCMU_AIO_FALLOCATE, f->file, 4096);
	request.aio.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, 0);
	assert_int_equal(pread(f->file, got, sizeof(got), 4096), sizeof(got));
	assert_memory_equal(got, zeros, sizeof(got));
}

static void every_call_reports_its_error_through_done(void **state)
{
	static const enum tcmu_aio_op ops[] = {TCMU_AIO_READV,      TCMU_AIO_WRITEV,
					       TCMU_AIO_FDATASYNC,  TCMU_AIO_FALLOCATE,
					       TCMU_AIO_BLKDISCARD, TCMU_AIO_BLKZEROOUT};
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		request_init(&request, f, ops[i], 1000000, 0);
		request.aio.flags = ops[i] == TCMU_AIO_READV ? TCMU_AIO_CACHED : 0;
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, -EBADF);
	}
}

static void a_discard_of_a_regular_file_is_refused(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request *requests = requests_new(20);

	for (unsigned i = 0; i < 20; i++) {
		request_init(
			&requests[i], f, i % 2 ? TCMU_AIO_BLKDISCARD : TCMU_AIO_BLKZEROOUT, f->file,
			4096 * i);
		request_queue(&requests[i]);
	}
	aio_fixture_wait_all(f);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(requests[i].res, -ENOTTY);
	free(requests);
}

/* A kernel may return EAGAIN although the request may wait. The engine retries it, without waiting
 * for it. */
static void a_nonblocking_descriptor_delays_no_other(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request impatient, other;

	assert_int_equal(fcntl(f->pipe[0], F_SETFL, O_NONBLOCK), 0);
	request_init_pipe_read(&impatient, f);
	request_queue(&impatient);
	aio_fixture_iterate(f);
	aio_fixture_write_pipe(f, 1);
	request_init(&other, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&other);
	aio_fixture_wait_all(f);
	assert_true(impatient.res == 1 || impatient.res == -EAGAIN);
	assert_int_equal(other.res, REQUEST_SIZE);
}

/* ------- many requests, and their sequence ------- */

static void more_requests_than_the_depth_all_complete(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request *requests = requests_new(500);
	uint8_t expected[REQUEST_SIZE];

	for (unsigned i = 0; i < 500; i++) {
		request_init(
			&requests[i], f, TCMU_AIO_WRITEV, f->file, (uint64_t) REQUEST_SIZE * i);
		fill_buffer(requests[i].buffer, i);
		request_queue(&requests[i]);
	}
	assert_int_equal(aio_in_flight(f->engine), 500);
	aio_fixture_wait_all(f);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(requests[i].done, 1);
		assert_int_equal(requests[i].res, REQUEST_SIZE);
		request_init(&requests[i], f, TCMU_AIO_READV, f->file, (uint64_t) REQUEST_SIZE * i);
		request_queue(&requests[i]);
	}
	aio_fixture_wait_all(f);
	for (unsigned i = 0; i < 500; i++) {
		fill_buffer(expected, i);
		assert_memory_equal(requests[i].buffer, expected, REQUEST_SIZE);
	}
	free(requests);
}

static void no_more_requests_than_the_depth_are_started(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 2);
	struct request stuck[2], waiting;

	for (unsigned i = 0; i < 2; i++) {
		request_init_pipe_read(&stuck[i], f);
		request_queue(&stuck[i]);
	}
	request_init(&waiting, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&waiting);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(aio_fixture_iterate(f), 0);
	assert_int_equal(aio_in_flight(f->engine), 3);
	aio_fixture_write_pipe(f, 2);
	aio_fixture_wait_all(f);
	assert_int_equal(waiting.res, REQUEST_SIZE);
	assert_true(waiting.position > stuck[0].position || waiting.position > stuck[1].position);
}

static void a_stuck_request_delays_no_other(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request stuck, other;

	request_init_pipe_read(&stuck, f);
	request_queue(&stuck);
	for (unsigned i = 0; i < 50; i++) {
		request_init(
			&other, f, i % 2 ? TCMU_AIO_FDATASYNC : TCMU_AIO_WRITEV, f->file, 4096 * i);
		request_queue(&other);
		request_wait(&other);
		assert_true(other.res >= 0);
	}
	assert_int_equal(stuck.done, 0);
	aio_fixture_write_pipe(f, 1);
	request_wait(&stuck);
	assert_int_equal(stuck.res, 1);
}

static void queue_the_next(struct request *request)
{
	if (request->aio.offset == (uint64_t) 100 * REQUEST_SIZE)
		return;
	request->aio.offset += REQUEST_SIZE;
	request_queue(request);
}

static void done_may_queue_more(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request request;
	struct stat st;

	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	request.then = queue_the_next;
	request_queue(&request);
	aio_fixture_wait_all(f);
	assert_int_equal(request.done, 101);
	assert_int_equal(fstat(f->file, &st), 0);
	assert_int_equal(st.st_size, 101 * REQUEST_SIZE);
}

static struct request within;

/* A completion during done() is reported by the next reap. */
static void reap_within_done(struct request *request)
{
	struct aio_fixture *f = request->fixture;

	request_init(&within, f, TCMU_AIO_READV, f->file, 0);
	within.aio.flags = TCMU_AIO_CACHED;
	request_queue(&within);
	aio_flush(f->engine);
	assert_int_equal(aio_reap(f->engine), 0);
	assert_int_equal(within.done, 0);
}

static void done_is_never_called_from_within_done(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	request.then = reap_within_done;
	request_queue(&request);
	request_wait(&request);
	request_wait(&within);
	assert_int_equal(within.res, REQUEST_SIZE);
}

/* ------- cancelling ------- */

static void a_request_that_was_not_started_is_cancelled_at_once(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request stuck, cancelled, kept;

	request_init_pipe_read(&stuck, f);
	request_init(&cancelled, f, TCMU_AIO_WRITEV, f->file, 0);
	request_init(&kept, f, TCMU_AIO_WRITEV, f->file, REQUEST_SIZE);
	request_queue(&stuck);
	request_queue(&cancelled);
	request_queue(&kept);
	aio_fixture_iterate(f);
	aio_cancel(f->engine, &cancelled.io);
	assert_int_equal(cancelled.done, 0);
	assert_int_equal(aio_reap(f->engine), 1);
	assert_int_equal(cancelled.res, -ECANCELED);
	aio_fixture_write_pipe(f, 1);
	aio_fixture_wait_all(f);
	assert_int_equal(stuck.res, 1);
	assert_int_equal(kept.res, REQUEST_SIZE);
	assert_int_equal(cancelled.done, 1);
}

/* A thread cannot be interrupted: its request ends by itself. */
static void a_stuck_request_is_cancelled_by_io_uring(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request cancelled, kept;

	request_init_pipe_read(&cancelled, f);
	request_init_pipe_read(&kept, f);
	request_queue(&cancelled);
	request_queue(&kept);
	aio_fixture_iterate(f);
	aio_cancel(f->engine, &cancelled.io);
	if (f->way->kind == AIO_URING) {
		request_wait(&cancelled);
		assert_int_equal(cancelled.res, -ECANCELED);
		assert_int_equal(kept.done, 0);
	}
	aio_fixture_write_pipe(f, 2);
	aio_fixture_wait_all(f);
	assert_true(cancelled.res == -ECANCELED || cancelled.res == 1);
	assert_int_equal(kept.res, 1);
	assert_int_equal(cancelled.done, 1);
}

static void requests_behind_busy_threads_are_cancelled(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 64);
	struct request *requests = requests_new(64);
	unsigned cancelled = 0;

	for (unsigned i = 0; i < 64; i++) {
		request_init_pipe_read(&requests[i], f);
		request_queue(&requests[i]);
	}
	aio_fixture_iterate(f);
	for (unsigned i = 0; i < 64; i++)
		aio_cancel(f->engine, &requests[i].io);
	/* Sixteen threads may have started one each. */
	while (cancelled < 48) {
		unsigned cnt = aio_fixture_iterate(f);

		if (cnt == 0)
			aio_fixture_sleep(f);
		cancelled += cnt;
	}
	aio_fixture_write_pipe(f, 64);
	aio_fixture_wait_all(f);
	cancelled = 0;
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(requests[i].done, 1);
		assert_true(requests[i].res == -ECANCELED || requests[i].res == 1);
		cancelled += requests[i].res == -ECANCELED;
	}
	assert_in_range(cancelled, 48, 64);
	free(requests);
}

static void repeated_cancelling_does_no_harm(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request stuck[4], other;

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 4; i++) {
			request_init_pipe_read(&stuck[i], f);
			request_queue(&stuck[i]);
		}
		aio_flush(f->engine);
		for (unsigned i = 0; i < 4; i++) {
			aio_cancel(f->engine, &stuck[i].io);
			aio_cancel(f->engine, &stuck[i].io);
		}
		aio_fixture_write_pipe(f, 4);
		request_init(&other, f, TCMU_AIO_WRITEV, f->file, 0);
		request_queue(&other);
		aio_fixture_wait_all(f);
		assert_int_equal(other.res, REQUEST_SIZE);
		for (unsigned i = 0; i < 4; i++)
			assert_true(stuck[i].res == -ECANCELED || stuck[i].res == 1);
		/* The bytes that the cancelled requests did not read. */
		for (unsigned i = 0; i < 4; i++)
			if (stuck[i].res == -ECANCELED)
				assert_int_equal(read(f->pipe[0], stuck[i].buffer, 1), 1);
	}
}

static void cancelling_a_completed_request_does_nothing(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&request);
	request_wait(&request);
	aio_cancel(f->engine, &request.io);
	assert_int_equal(aio_fixture_iterate(f), 0);
	assert_int_equal(request.res, REQUEST_SIZE);
	assert_int_equal(request.done, 1);
}

static void every_request_of_an_io_is_cancelled(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request stuck, first, second;

	request_init_pipe_read(&stuck, f);
	request_init(&first, f, TCMU_AIO_WRITEV, f->file, 0);
	request_init(&second, f, TCMU_AIO_FDATASYNC, f->file, 0);
	request_queue(&stuck);
	aio_queue(f->engine, &first.io, &first.aio);
	request_queue(&second);
	second.aio.io = &first.io;
	aio_cancel(f->engine, &first.io);
	second.aio.io = &second.io;
	assert_int_equal(aio_in_flight(f->engine), 3);
	aio_fixture_write_pipe(f, 1);
	aio_fixture_wait_all(f);
	assert_int_equal(first.res, -ECANCELED);
	assert_int_equal(second.res, -ECANCELED);
	assert_int_equal(stuck.res, 1);
}

int main(void)
{
	static const struct aio_test tests[] = {
		AIO_TEST(a_read_returns_what_was_written),
		AIO_TEST(a_request_may_have_more_iovecs_than_a_call_takes),
		AIO_TEST(a_read_across_the_end_is_short),
		AIO_TEST(a_dsync_write_is_in_the_file),
		AIO_TEST(a_flush_returns_zero),
		AIO_TEST(fallocate_extends_and_punches),
		AIO_TEST(every_call_reports_its_error_through_done),
		AIO_TEST(a_discard_of_a_regular_file_is_refused),
		AIO_TEST(a_nonblocking_descriptor_delays_no_other),
		AIO_TEST(more_requests_than_the_depth_all_complete),
		AIO_TEST(no_more_requests_than_the_depth_are_started),
		AIO_TEST(a_stuck_request_delays_no_other),
		AIO_TEST(done_may_queue_more),
		AIO_TEST(done_is_never_called_from_within_done),
		AIO_TEST(a_request_that_was_not_started_is_cancelled_at_once),
		AIO_TEST(a_stuck_request_is_cancelled_by_io_uring),
		AIO_TEST(requests_behind_busy_threads_are_cancelled),
		AIO_TEST(repeated_cancelling_does_no_harm),
		AIO_TEST(cancelling_a_completed_request_does_nothing),
		AIO_TEST(every_request_of_an_io_is_cancelled),
	};

	return aio_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
