/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The aio engine on a kernel that runs short of something for a moment, and when events come in a
 * rare sequence.
 */
#include "aio-fixture.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* ------- failed submissions ------- */

static void a_refused_submission_is_retried(void **state)
{
	static const int errors[] = {-EAGAIN, -EBUSY, -ENOMEM, -EINTR};
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	for (unsigned i = 0; i < 4; i++) {
		fail_submissions(3, errors[i]);
		request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, REQUEST_SIZE);
		assert_int_equal(count_pending_failures(), 0);
	}
}

static void submitted_requests_continue_during_a_retry(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request taken, request;

	request_init_pipe_read(&taken, f);
	request_queue(&taken);
	aio_fixture_iterate(f);
	fail_submissions(1, -EAGAIN);
	request_init(&request, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&request);
	aio_flush(f->engine);
	aio_reap(f->engine);
	/* The completion of the submitted request starts the retry. */
	aio_fixture_write_pipe(f, 1);
	aio_fixture_wait_all(f);
	assert_int_equal(taken.res, 1);
	assert_int_equal(request.res, REQUEST_SIZE);
}

static void a_full_submission_queue_is_waited_for(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 7);
	struct request taken, cancelled[4], late;

	request_init_pipe_read(&taken, f);
	request_queue(&taken);
	aio_fixture_iterate(f);
	/* The queue has eight entries: four requests and four cancellations. */
	fail_submissions(100, -EAGAIN);
	for (unsigned i = 0; i < 4; i++) {
		request_init(&cancelled[i], f, TCMU_AIO_WRITEV, f->file, 0);
		request_queue(&cancelled[i]);
	}
	aio_flush(f->engine);
	for (unsigned i = 0; i < 4; i++)
		aio_cancel(f->engine, &cancelled[i].io);
	aio_cancel(f->engine, &taken.io);
	request_init(&late, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&late);
	aio_flush(f->engine);
	assert_int_equal(late.done, 0);
	fail_submissions(0, 0);
	aio_fixture_write_pipe(f, 1);
	aio_fixture_wait_all(f);
	assert_int_equal(late.res, REQUEST_SIZE);
	assert_true(taken.res == 1 || taken.res == -ECANCELED);
	for (unsigned i = 0; i < 4; i++)
		assert_true(cancelled[i].res == REQUEST_SIZE || cancelled[i].res == -ECANCELED);
}

/* The cancellation comes after the request has completed and must not hit the next request. */
static void a_late_cancellation_hits_no_other_request(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request ended, next;

	request_init_pipe_read(&ended, f);
	request_init_pipe_read(&next, f);
	request_queue(&ended);
	aio_fixture_iterate(f);
	request_queue(&next);
	aio_flush(f->engine);
	fail_submissions(1, -EAGAIN);
	aio_cancel(f->engine, &ended.io);
	aio_fixture_write_pipe(f, 1);
	while (!ended.done) {
		aio_fixture_sleep(f);
		aio_reap(f->engine);
	}
	assert_int_equal(ended.res, 1);
	/* Only now the slot is free; no done() reports that. */
	assert_int_equal(aio_reap(f->engine), 0);
	assert_int_equal(aio_reap(f->engine), 0);
	aio_fixture_write_pipe(f, 1);
	while (!next.done) {
		aio_fixture_sleep(f);
		aio_reap(f->engine);
	}
	assert_int_equal(next.res, 1);
}

static void a_failed_ring_ends_all_unsubmitted_requests(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request taken, refused[2], cancelled, later;

	request_init_pipe_read(&taken, f);
	request_queue(&taken);
	request_init_pipe_read(&cancelled, f);
	request_queue(&cancelled);
	aio_fixture_iterate(f);
	fail_submissions(2, -EAGAIN);
	for (unsigned i = 0; i < 2; i++) {
		request_init(&refused[i], f, i ? TCMU_AIO_BLKDISCARD : TCMU_AIO_WRITEV, f->file, 0);
		request_queue(&refused[i]);
	}
	aio_flush(f->engine);
	aio_cancel(f->engine, &cancelled.io);
	fail_submissions(1, -EPERM);
	aio_fixture_iterate(f);
	request_init(&later, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&later);
	aio_fixture_iterate(f);
	assert_int_equal(later.res, -EPERM);
	assert_int_equal(refused[0].res, -EPERM);
	/* The kernel still has the submitted requests. */
	aio_fixture_write_pipe(f, 1);
	aio_fixture_write_pipe(f, 1);
	request_wait(&taken);
	request_wait(&cancelled);
	assert_int_equal(taken.res, 1);
	assert_int_equal(cancelled.res, 1);
	while (aio_in_flight(f->engine))
		aio_fixture_iterate(f);
	assert_int_equal(refused[1].res, -ENOTTY);
}

/* ------- EAGAIN as a result ------- */

static void eagain_as_a_result_is_retried(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request request;

	disturb_reads(1);
	request_init_pipe_read(&request, f);
	request_queue(&request);
	aio_fixture_iterate(f);
	aio_fixture_write_pipe(f, 1);
	request_wait(&request);
	assert_int_equal(request.res, 1);
}

static void eagain_as_a_result_is_not_retried_forever(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request request;

	disturb_reads(1000);
	request_init_pipe_read(&request, f);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, -EAGAIN);
}

/* ------- calls by threads ------- */

static void a_call_without_a_thread_reports_the_error(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	refuse_threads(true);
	request_init(&request, f, TCMU_AIO_BLKDISCARD, f->file, 0);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, -EAGAIN);
	/* The next call finds a thread. */
	refuse_threads(false);
	request_init(&request, f, TCMU_AIO_BLKDISCARD, f->file, 0);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, -ENOTTY);
}

static void without_threads_the_thread_engine_is_refused(void **state)
{
	struct aio_fixture *f = *state;

	refuse_threads(true);
	assert_int_equal(aio_engine_new(AIO_THREADS, 4, "test", &f->engine), -EAGAIN);
	assert_null(f->engine);
}

static void calls_waiting_for_a_thread_are_cancelled(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 32);
	struct request *requests = requests_new(32), other;
	unsigned cancelled = 0;

	allow_ioctls(0);
	for (unsigned i = 0; i < 32; i++) {
		request_init(&requests[i], f, TCMU_AIO_BLKZEROOUT, f->file, 0);
		request_queue(&requests[i]);
	}
	aio_fixture_iterate(f);
	for (unsigned i = 0; i < 32; i++)
		aio_cancel(f->engine, &requests[i].io);
	aio_reap(f->engine);
	for (unsigned i = 0; i < 32; i++)
		cancelled += requests[i].done;
	assert_in_range(cancelled, 16, 32);
	allow_ioctls(UINT_MAX);
	request_init(&other, f, TCMU_AIO_WRITEV, f->file, 0);
	request_queue(&other);
	aio_fixture_wait_all(f);
	assert_int_equal(other.res, REQUEST_SIZE);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(requests[i].done, 1);
		assert_true(requests[i].res == -ECANCELED || requests[i].res == -ENOTTY);
	}
	free(requests);
}

static void every_completed_call_wakes_the_sleeper(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request requests[4];
	unsigned done = 0;

	allow_ioctls(0);
	for (unsigned i = 0; i < 4; i++) {
		request_init(&requests[i], f, TCMU_AIO_BLKDISCARD, f->file, 0);
		request_queue(&requests[i]);
	}
	aio_fixture_iterate(f);
	for (unsigned i = 1; i <= 4; i++) {
		allow_ioctls(1);
		while (done < i) {
			aio_fixture_sleep(f);
			done += aio_reap(f->engine);
		}
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(requests[i].res, -ENOTTY);
}

static void ring_for_both(void)
{
	hold_writes(false);
	allow_ioctls(1);
	await_writes(2);
}

static void a_late_wakeup_loses_no_completion(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request requests[2];

	allow_ioctls(0);
	for (unsigned i = 0; i < 2; i++) {
		request_init(&requests[i], f, TCMU_AIO_BLKDISCARD, f->file, 0);
		request_queue(&requests[i]);
	}
	aio_fixture_iterate(f);
	/* The first completion is found before its thread has sent the wake-up. With io_uring the
	 * completion is the wake-up. */
	hold_writes(f->way->kind == AIO_THREADS);
	allow_ioctls(1);
	while (aio_reap(f->engine) == 0)
		sched_yield();
	/* While the wake-up is received the second call ends and sends another one. */
	interposed.before_read = ring_for_both;
	if (f->way->kind == AIO_URING)
		ring_for_both();
	aio_fixture_wait_all(f);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(requests[i].res, -ENOTTY);
}

int main(void)
{
	static const struct aio_test tests[] = {
		AIO_TEST_URING(a_refused_submission_is_retried),
		AIO_TEST_URING(submitted_requests_continue_during_a_retry),
		AIO_TEST_URING(a_full_submission_queue_is_waited_for),
		AIO_TEST_URING(a_late_cancellation_hits_no_other_request),
		AIO_TEST_URING(a_failed_ring_ends_all_unsubmitted_requests),
		AIO_TEST_URING(eagain_as_a_result_is_retried),
		AIO_TEST_URING(eagain_as_a_result_is_not_retried_forever),
		AIO_TEST_URING(a_call_without_a_thread_reports_the_error),
		AIO_TEST_THREADS(without_threads_the_thread_engine_is_refused),
		AIO_TEST(calls_waiting_for_a_thread_are_cancelled),
		AIO_TEST(every_completed_call_wakes_the_sleeper),
		AIO_TEST(a_late_wakeup_loses_no_completion),
	};

	return aio_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
