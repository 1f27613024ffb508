/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The aio engine: wake-ups, inline reads from the page cache, leaks, and what it does if io_uring
 * is missing, forbidden or broken.
 */
#include "aio-fixture.h"
#include "proc-fixture.h"
#include "uring-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool engine_is_readable(const struct aio_fixture *f)
{
	struct pollfd poll_fd = {.fd = aio_engine_fd(f->engine), .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1;
}

/* ------- wake-ups ------- */

/* Answers each byte from one pipe with a byte into the other one. */
struct echo {
	int in[2];
	int out;
};

static void *echo_main(void *arg)
{
	const struct echo *echo = arg;
	char byte;

	while (read(echo->in[0], &byte, 1) == 1)
		if (write(echo->out, &byte, 1) != 1)
			break;
	return NULL;
}

static void a_completion_by_another_thread_wakes_the_sleeper(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct echo echo = {.out = f->pipe[1]};
	struct request request;
	pthread_t thread;

	assert_int_equal(pipe2(echo.in, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&thread, NULL, echo_main, &echo), 0);
	for (unsigned i = 0; i < 500; i++) {
		request_init_pipe_read(&request, f);
		request_queue(&request);
		if (i % 2)
			aio_flush(f->engine);
		assert_int_equal(write(echo.in[1], "x", 1), 1);
		request_wait(&request);
		assert_int_equal(request.res, 1);
	}
	close(echo.in[1]);
	pthread_join(thread, NULL);
	close(echo.in[0]);
}

static void a_completion_by_the_disk_wakes_the_sleeper(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;
	char path[64];
	int direct;

	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d", f->file);
	direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct < 0) /* the file system has no direct I/O: cold reads instead */
		direct = open(path, O_RDWR | O_CLOEXEC);
	assert_true(direct >= 0);
	for (unsigned i = 0; i < 60; i++) {
		request_init(
			&request, f, i % 2 ? TCMU_AIO_READV : TCMU_AIO_WRITEV, direct,
			(uint64_t) REQUEST_SIZE * (i / 2));
		request.iov[0].iov_len = REQUEST_SIZE;
		request.aio.iov_cnt = 1;
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, REQUEST_SIZE);
	}
	close(direct);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(posix_fadvise(f->file, 0, 0, POSIX_FADV_DONTNEED), 0);
		request_init(&request, f, TCMU_AIO_READV, f->file, (uint64_t) REQUEST_SIZE * i);
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, REQUEST_SIZE);
	}
}

static void a_batch_wakes_the_sleeper_until_all_are_done(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 16);
	struct request *requests = requests_new(64);

	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 64; i++) {
			enum tcmu_aio_op op = i % 3 == 0 ? TCMU_AIO_FDATASYNC
				: i % 3 == 1             ? TCMU_AIO_BLKDISCARD
							 : TCMU_AIO_WRITEV;

			request_init(&requests[i], f, op, f->file, (uint64_t) REQUEST_SIZE * i);
			request_queue(&requests[i]);
		}
		aio_fixture_wait_all(f);
		for (unsigned i = 0; i < 64; i++) {
			assert_int_equal(requests[i].done, 1);
			assert_int_equal(
				requests[i].res,
				i % 3 == 0           ? 0
					: i % 3 == 1 ? -ENOTTY
						     : REQUEST_SIZE);
		}
	}
	free(requests);
}

static void the_descriptor_is_not_readable_without_completions(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 8);
	struct request request;

	assert_false(engine_is_readable(f));
	for (unsigned i = 0; i < 40; i++) {
		request_init(
			&request, f, i % 2 ? TCMU_AIO_BLKDISCARD : TCMU_AIO_FDATASYNC, f->file, 0);
		request_queue(&request);
		request_wait(&request);
		/* A thread may still wake us, once, for a request that was reaped already. */
		while (engine_is_readable(f))
			assert_int_equal(aio_reap(f->engine), 0);
	}
}

/* ------- reads from the page cache ------- */

static void init_cached_read(struct request *request, struct aio_fixture *f)
{
	request_init(request, f, TCMU_AIO_READV, f->file, 0);
	request->aio.flags = TCMU_AIO_CACHED;
}

static void fill_file(struct aio_fixture *f)
{
	uint8_t block[REQUEST_SIZE];

	memset(block, 0x5a, sizeof(block));
	assert_int_equal(pwrite(f->file, block, sizeof(block), 0), sizeof(block));
}

static void a_cached_read_completes_inline(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request stuck, request;

	/* Even if the depth is used up. */
	request_init_pipe_read(&stuck, f);
	request_queue(&stuck);
	aio_fixture_iterate(f);
	fill_file(f);
	init_cached_read(&request, f);
	request_queue(&request);
	assert_int_equal(interposed.tries, 0);
	aio_flush(f->engine);
	assert_int_equal(interposed.tries, 1);
	assert_int_equal(request.done, 0);
	assert_int_equal(aio_reap(f->engine), 1);
	assert_int_equal(request.res, REQUEST_SIZE);
	assert_int_equal(request.buffer[REQUEST_SIZE - 1], 0x5a);
	aio_fixture_write_pipe(f, 1);
	request_wait(&stuck);
}

static void a_partly_cached_read_is_short(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	fill_file(f);
	interposed.try_short = 100;
	init_cached_read(&request, f);
	request_queue(&request);
	assert_int_equal(aio_fixture_iterate(f), 1);
	assert_int_equal(request.res, 100);
}

static void only_cached_reads_are_tried_inline(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	fill_file(f);
	request_init(&request, f, TCMU_AIO_READV, f->file, 0);
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(interposed.tries, 0);
}

static void an_uncached_read_is_submitted(void **state)
{
	static const int errors[] = {-EAGAIN, -EOPNOTSUPP, -ENOSYS};
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	fill_file(f);
	for (unsigned i = 0; i < 3; i++) {
		interposed.try_error = errors[i];
		init_cached_read(&request, f);
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, REQUEST_SIZE);
		assert_int_equal(interposed.tries, i + 1);
	}
}

static unsigned tries_of_reads(struct aio_fixture *f, unsigned cnt)
{
	unsigned before = interposed.tries;
	struct request request;

	while (cnt-- > 0) {
		init_cached_read(&request, f);
		request_queue(&request);
		request_wait(&request);
		assert_int_equal(request.res, REQUEST_SIZE);
	}
	return interposed.tries - before;
}

static void a_cold_page_cache_is_tried_ever_less_often(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);

	fill_file(f);
	interposed.try_error = -EAGAIN;
	assert_int_equal(tries_of_reads(f, 4), 4);
	assert_int_equal(tries_of_reads(f, 16), 0);
	assert_int_equal(tries_of_reads(f, 1), 1);
	assert_int_equal(tries_of_reads(f, 32), 0);
	assert_in_range(tries_of_reads(f, 2000), 1, 6);
	/* It is still tried, and one hit is enough. */
	interposed.try_error = 0;
	while (tries_of_reads(f, 1) == 0)
		;
	assert_int_equal(tries_of_reads(f, 100), 100);
}

static void a_queued_read_is_tried_once(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request stuck, request;

	fill_file(f);
	request_init_pipe_read(&stuck, f);
	request_queue(&stuck);
	aio_fixture_iterate(f);
	interposed.try_error = -EAGAIN;
	init_cached_read(&request, f);
	request_queue(&request);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(aio_fixture_iterate(f), 0);
	assert_int_equal(interposed.tries, 1);
	aio_fixture_write_pipe(f, 1);
	aio_fixture_wait_all(f);
	assert_int_equal(request.res, REQUEST_SIZE);
}

/* ------- files in memory ------- */

static void a_memory_transfer_completes_inline(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 1);
	struct request stuck, out, in;

	/* Even if the depth is used up. */
	request_init_pipe_read(&stuck, f);
	request_queue(&stuck);
	aio_fixture_iterate(f);
	request_init(&out, f, TCMU_AIO_WRITEV, f->file, 0);
	out.aio.flags = TCMU_AIO_MEMORY;
	memset(out.buffer, 0x5a, REQUEST_SIZE);
	request_queue(&out);
	assert_int_equal(aio_fixture_iterate(f), 1);
	assert_int_equal(out.res, REQUEST_SIZE);
	request_init(&in, f, TCMU_AIO_READV, f->file, 0);
	in.aio.flags = TCMU_AIO_MEMORY;
	request_queue(&in);
	assert_int_equal(aio_fixture_iterate(f), 1);
	assert_int_equal(in.res, REQUEST_SIZE);
	assert_int_equal(in.buffer[0], 0x5a);
	aio_fixture_write_pipe(f, 1);
	request_wait(&stuck);
}

static void inline_completions_are_reaped_in_portions(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 32);
	struct request requests[20];
	unsigned first, done;

	for (unsigned i = 0; i < 20; i++) {
		request_init(&requests[i], f, TCMU_AIO_WRITEV, f->file, 0);
		requests[i].aio.flags = TCMU_AIO_MEMORY;
		request_queue(&requests[i]);
	}
	done = first = aio_fixture_iterate(f);
	assert_in_range(first, 1, 10);
	/* No more before the caller has published these completions. */
	assert_int_equal(aio_reap(f->engine), 0);
	while (done < 20) {
		unsigned more = aio_fixture_iterate(f);

		assert_in_range(more, 1, first);
		done += more;
	}
}

static void a_failed_memory_transfer_reports_its_error(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;

	request_init(&request, f, TCMU_AIO_READV, -1, 0);
	request.aio.flags = TCMU_AIO_MEMORY;
	request_queue(&request);
	request_wait(&request);
	assert_int_equal(request.res, -EBADF);
}

/* A doorbell follows each portion: it is to serve several transfers, also large ones, and to leave
 * as many for the time in which the initiator takes their answers. */
static void half_of_the_large_transfers_are_a_portion(void **state)
{
	static uint8_t data[256 * 1024];
	struct aio_fixture *f = aio_fixture_start(state, 32);
	struct request requests[8];

	for (unsigned i = 0; i < 8; i++) {
		request_init(&requests[i], f, TCMU_AIO_WRITEV, f->file, 0);
		requests[i].aio.flags = TCMU_AIO_MEMORY;
		requests[i].iov[0] = (struct iovec){.iov_base = data, .iov_len = sizeof(data)};
		requests[i].aio.length = sizeof(data);
		requests[i].aio.iov_cnt = 1;
		request_queue(&requests[i]);
	}
	assert_int_equal(aio_fixture_iterate(f), 4);
	assert_int_equal(aio_fixture_iterate(f), 2);
	assert_int_equal(aio_fixture_iterate(f), 1);
	assert_int_equal(aio_fixture_iterate(f), 1);
}

/* So that completions are published while more transfers wait. */
static void inline_transfers_are_limited_in_each_iteration(void **state)
{
	static struct request requests[64];
	struct aio_fixture *f = aio_fixture_start(state, 4);
	unsigned first, iterations = 1;

	for (unsigned i = 0; i < 64; i++) {
		request_init(&requests[i], f, TCMU_AIO_WRITEV, f->file, 0);
		requests[i].aio.flags = TCMU_AIO_MEMORY;
		request_queue(&requests[i]);
	}
	first = aio_fixture_iterate(f);
	assert_in_range(first, 1, 32);
	for (unsigned done = first; done < 64; iterations++) {
		unsigned cnt = aio_fixture_iterate(f);

		assert_in_range(cnt, 1, 32);
		done += cnt;
	}
	assert_in_range(iterations, 2, 16);
}

/* ------- allocations and leaks ------- */

static void requests_allocate_nothing(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	static struct request requests[32];
	unsigned before = count_allocations();

	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 32; i++) {
			enum tcmu_aio_op op = i % 3 == 0 ? TCMU_AIO_READV
				: i % 3 == 1             ? TCMU_AIO_FDATASYNC
							 : TCMU_AIO_WRITEV;

			request_init(&requests[i], f, op, f->file, (uint64_t) REQUEST_SIZE * i);
			requests[i].aio.flags = op == TCMU_AIO_READV ? TCMU_AIO_CACHED : 0;
			request_queue(&requests[i]);
		}
		aio_cancel(f->engine, &requests[31].io);
		aio_fixture_wait_all(f);
	}
	assert_int_equal(count_allocations(), before);
}

static void freeing_leaks_no_descriptor_and_no_thread(void **state)
{
	unsigned fds, threads;
	struct aio_fixture *f = *state;
	struct request request;

	/* A sanitizer or the kernel starts its threads here already. */
	aio_engine_free(aio_fixture_start(state, 4)->engine);
	close(f->epoll_fd);
	fds = proc_count_descriptors();
	threads = proc_count_threads();
	for (unsigned i = 0; i < 20; i++) {
		aio_fixture_start(state, 32);
		request_init(
			&request, f, i % 2 ? TCMU_AIO_BLKDISCARD : TCMU_AIO_WRITEV, f->file, 0);
		request_queue(&request);
		aio_fixture_wait_all(f);
		aio_engine_free(f->engine);
		close(f->epoll_fd);
	}
	f->engine = NULL;
	f->epoll_fd = -1;
	assert_int_equal(proc_count_descriptors(), fds);
	/* A joined thread is still listed for a moment. The list has a few io_uring threads, which
	 * the kernel starts and ends. */
	while (proc_count_threads() > threads + (f->way->kind == AIO_URING ? 4 : 0))
		sched_yield();
}

static void the_descriptor_is_closed_on_exec(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);

	assert_int_equal(fcntl(aio_engine_fd(f->engine), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void *use_engine(void *arg)
{
	struct request *request = arg;

	while (!request->done) {
		struct epoll_event event;

		aio_flush(request->fixture->engine);
		if (aio_reap(request->fixture->engine) == 0)
			(void) epoll_wait(request->fixture->epoll_fd, &event, 1, -1);
	}
	return NULL;
}

static void a_thread_may_use_an_engine_made_by_another(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request request;
	pthread_t thread;

	fill_file(f);
	request_init(&request, f, TCMU_AIO_READV, f->file, 0);
	request_queue(&request);
	assert_int_equal(pthread_create(&thread, NULL, use_engine, &request), 0);
	pthread_join(thread, NULL);
	assert_int_equal(request.res, REQUEST_SIZE);
}

static void a_depth_of_zero_is_refused(void **state)
{
	struct aio_fixture *f = *state;

	assert_int_equal(aio_engine_new(f->way->kind, 0, "test", &f->engine), -EINVAL);
	assert_null(f->engine);
	aio_engine_free(NULL);
}

/* ------- without a working io_uring ------- */

static void assert_refused_and_replaced(int error)
{
	struct aio_engine *engine = NULL;

	assert_int_equal(aio_engine_new(AIO_URING, 4, "test", &engine), error);
	assert_null(engine);
	assert_int_equal(aio_engine_new(AIO_AUTO, 4, "test", &engine), 0);
	assert_int_equal(aio_engine_kind(engine), AIO_THREADS);
	aio_engine_free(engine);
}

static void without_io_uring_threads_are_used(void **state)
{
	static const struct {
		int setup;
		int refused;
	} cases[] = {
		{-ENOSYS, -ENOSYS}, /* a kernel without it */
		{-EPERM, -ENOSYS},  /* forbidden by a sysctl or a seccomp filter */
		{-EACCES, -ENOSYS}, {-EINVAL, -ENOSYS},
		{-ENOMEM, -ENOMEM}, /* RLIMIT_MEMLOCK of kernels before 5.12 */
		{-EMFILE, -EMFILE},
	};

	(void) state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		interposed.setup_error = cases[i].setup;
		assert_refused_and_replaced(cases[i].refused);
	}
}

static void an_old_io_uring_is_not_used(void **state)
{
	unsigned fds = proc_count_descriptors();

	(void) state;
	interposed.features_lacking = IORING_FEAT_NODROP;
	assert_refused_and_replaced(-ENOSYS);
	interposed.features_lacking = IORING_FEAT_SUBMIT_STABLE;
	assert_refused_and_replaced(-ENOSYS);
	interposed.features_lacking = 0;
	interposed.no_probe = true;
	assert_refused_and_replaced(-ENOSYS);
	assert_int_equal(proc_count_descriptors(), fds);
}

static void io_uring_is_the_default(void **state)
{
	struct aio_engine *engine = NULL;
	struct aio_fixture *f = *state;

	interposed.setup_flags = UINT32_MAX;
	assert_int_equal(aio_engine_new(AIO_AUTO, 4, "test", &engine), 0);
	assert_int_equal(aio_engine_kind(engine), AIO_URING);
	assert_int_equal(interposed.rings, 1);
	aio_engine_free(engine);
	assert_int_equal(aio_engine_new(f->way->kind, 4, "test", &engine), 0);
	assert_int_equal(aio_engine_kind(engine), f->way->kind);
	aio_engine_free(engine);
}

/* Also in a build without liburing, and where the kernel refuses. */
static void io_uring_is_used_where_it_is_here(void **state)
{
	struct aio_engine *engine = NULL;

	(void) state;
	interposed.setup_flags = UINT32_MAX;
	assert_int_equal(aio_engine_new(AIO_AUTO, 4, "test", &engine), 0);
	assert_int_equal(aio_engine_kind(engine), uring_or_threads(AIO_URING));
	aio_engine_free(engine);
	if (!uring_is_here())
		assert_refused_and_replaced(-ENOSYS);
}

static void a_refused_ring_ends_its_requests_with_the_error(void **state)
{
	struct aio_fixture *f = aio_fixture_start(state, 4);
	struct request requests[6];
	int null, fd = aio_engine_fd(f->engine);

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(dup2(null, fd), fd);
	close(null);
	for (unsigned i = 0; i < 6; i++) {
		request_init(
			&requests[i], f, i == 3 ? TCMU_AIO_BLKDISCARD : TCMU_AIO_WRITEV, f->file,
			0);
		request_queue(&requests[i]);
	}
	while (aio_in_flight(f->engine))
		aio_fixture_iterate(f);
	for (unsigned i = 0; i < 6; i++)
		assert_true(requests[i].res == -EOPNOTSUPP || requests[i].res == -ENOTTY);
	assert_int_equal(requests[0].res, -EOPNOTSUPP);
	assert_int_equal(requests[5].res, -EOPNOTSUPP);
}

int main(void)
{
	static const struct aio_test tests[] = {
		AIO_TEST(a_completion_by_another_thread_wakes_the_sleeper),
		AIO_TEST(a_completion_by_the_disk_wakes_the_sleeper),
		AIO_TEST(a_batch_wakes_the_sleeper_until_all_are_done),
		AIO_TEST(the_descriptor_is_not_readable_without_completions),
		AIO_TEST(a_cached_read_completes_inline),
		AIO_TEST(a_partly_cached_read_is_short),
		AIO_TEST(only_cached_reads_are_tried_inline),
		AIO_TEST(an_uncached_read_is_submitted),
		AIO_TEST(a_memory_transfer_completes_inline),
		AIO_TEST(inline_completions_are_reaped_in_portions),
		AIO_TEST(a_failed_memory_transfer_reports_its_error),
		AIO_TEST(half_of_the_large_transfers_are_a_portion),
		AIO_TEST(inline_transfers_are_limited_in_each_iteration),
		AIO_TEST(a_cold_page_cache_is_tried_ever_less_often),
		AIO_TEST(a_queued_read_is_tried_once),
		AIO_TEST(requests_allocate_nothing),
		AIO_TEST(freeing_leaks_no_descriptor_and_no_thread),
		AIO_TEST(the_descriptor_is_closed_on_exec),
		AIO_TEST(a_thread_may_use_an_engine_made_by_another),
		AIO_TEST(a_depth_of_zero_is_refused),
		AIO_TEST_URING(without_io_uring_threads_are_used),
		AIO_TEST_URING(an_old_io_uring_is_not_used),
		AIO_TEST_URING(io_uring_is_the_default),
		AIO_TEST_THREADS(io_uring_is_used_where_it_is_here),
		AIO_TEST_URING(a_refused_ring_ends_its_requests_with_the_error),
	};

	return aio_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
