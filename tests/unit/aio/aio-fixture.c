/* SPDX-License-Identifier: Apache-2.0 */
/* See aio-fixture.h. */
#include "aio-fixture.h"
#include "uring-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct interposed interposed;
static struct aio_fixture fixture;
static atomic_uint allocation_cnt;
static atomic_bool threads_refused;
static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ioctl_allowed = PTHREAD_COND_INITIALIZER;
static unsigned ioctls_allowed;
static unsigned write_cnt;
static bool writes_held;
static pthread_cond_t write_allowed = PTHREAD_COND_INITIALIZER;
static pthread_cond_t written = PTHREAD_COND_INITIALIZER;

/* ------- wrapped system calls ------- */

/* Visible, because shared libraries refer to them. */
#pragma GCC visibility push(default)
ssize_t __real_preadv2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags);
ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __real_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t cnt, size_t size);
void *__wrap_calloc(size_t cnt, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **memory, size_t align, size_t size);
int __wrap_posix_memalign(void **memory, size_t align, size_t size);
#pragma GCC visibility pop

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags)
{
	struct iovec first = iov[0];

	if (!(flags & RWF_NOWAIT))
		return __real_preadv2(fd, iov, cnt, offset, flags);
	interposed.tries++;
	if (interposed.try_error) {
		errno = -interposed.try_error;
		return -1;
	}
	/* In these tests the page cache has the data, but some file systems lack RWF_NOWAIT. */
	if (!interposed.try_short)
		return __real_preadv2(fd, iov, cnt, offset, 0);
	first.iov_len = (size_t) interposed.try_short;
	return __real_preadv2(fd, &first, 1, offset, 0);
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	void (*before)(void) = atomic_exchange(&interposed.before_read, NULL);

	if (before)
		before();
	return __real_read(fd, buffer, size);
}

ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
	ssize_t n;

	pthread_mutex_lock(&calls_lock);
	while (writes_held)
		pthread_cond_wait(&write_allowed, &calls_lock);
	n = __real_write(fd, buffer, size);
	write_cnt++;
	pthread_cond_broadcast(&written);
	pthread_mutex_unlock(&calls_lock);
	return n;
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	pthread_mutex_lock(&calls_lock);
	while (ioctls_allowed == 0)
		pthread_cond_wait(&ioctl_allowed, &calls_lock);
	ioctls_allowed--;
	pthread_mutex_unlock(&calls_lock);
	return __real_ioctl(fd, request, argument);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	if (atomic_load(&threads_refused))
		return EAGAIN;
	return __real_pthread_create(thread, attr, start, arg);
}

void allow_ioctls(unsigned cnt)
{
	pthread_mutex_lock(&calls_lock);
	ioctls_allowed = cnt;
	pthread_cond_broadcast(&ioctl_allowed);
	pthread_mutex_unlock(&calls_lock);
}

void hold_writes(bool hold)
{
	pthread_mutex_lock(&calls_lock);
	writes_held = hold;
	pthread_cond_broadcast(&write_allowed);
	pthread_mutex_unlock(&calls_lock);
}

void await_writes(unsigned cnt)
{
	pthread_mutex_lock(&calls_lock);
	while (write_cnt < cnt)
		pthread_cond_wait(&written, &calls_lock);
	pthread_mutex_unlock(&calls_lock);
}

void refuse_threads(bool refuse)
{
	atomic_store(&threads_refused, refuse);
}

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocation_cnt, 1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t cnt, size_t size)
{
	atomic_fetch_add(&allocation_cnt, 1);
	return __real_calloc(cnt, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	atomic_fetch_add(&allocation_cnt, 1);
	return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	atomic_fetch_add(&allocation_cnt, 1);
	return __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **memory, size_t align, size_t size)
{
	atomic_fetch_add(&allocation_cnt, 1);
	return __real_posix_memalign(memory, align, size);
}

unsigned count_allocations(void)
{
	return atomic_load(&allocation_cnt);
}

/* ------- the fixture ------- */

static int open_temporary_file(void)
{
	const char *directory = getenv("TMPDIR");
	char path[128];
	int fd;

	(void) snprintf(path, sizeof(path), "%s/test-aio-XXXXXX", directory ? directory : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int aio_fixture_setup(void **state)
{
	fixture = (struct aio_fixture){.way = *state, .epoll_fd = -1};
	interposed = (struct interposed){.setup_flags = fixture.way->setup_flags};
	fail_submissions(0, 0);
	disturb_reads(0);
	allow_ioctls(UINT_MAX);
	write_cnt = 0;
	hold_writes(false);
	refuse_threads(false);
	fixture.file = open_temporary_file();
	if (fixture.file < 0 ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fixture.empty) < 0 ||
	    pipe2(fixture.pipe, O_CLOEXEC) < 0)
		return -1;
	interposed.empty = fixture.empty[0];
	*state = &fixture;
	return 0;
}

static int aio_fixture_teardown(void **state)
{
	(void) state;
	/* After a failure with requests in flight the engine is left alone, so that the message of
	 * the failure shows. */
	if (fixture.engine && aio_in_flight(fixture.engine) == 0)
		aio_engine_free(fixture.engine);
	if (fixture.epoll_fd >= 0)
		close(fixture.epoll_fd);
	close(fixture.file);
	close(fixture.empty[0]);
	close(fixture.empty[1]);
	for (int i = 0; i < 2; i++)
		if (fixture.pipe[i] >= 0)
			close(fixture.pipe[i]);
	return 0;
}

struct aio_fixture *aio_fixture_start(void **state, unsigned depth)
{
	struct aio_fixture *f = *state;
	struct epoll_event event = {.events = EPOLLIN | f->way->epoll_flags};

	assert_int_equal(aio_engine_new(f->way->kind, depth, "test", &f->engine), 0);
	assert_int_equal(aio_engine_kind(f->engine), f->way->kind);
	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(f->epoll_fd >= 0);
	assert_int_equal(
		epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, aio_engine_fd(f->engine), &event), 0);
	return f;
}

int aio_run_tests(const struct aio_test *tests, size_t cnt)
{
	struct CMUnitTest *all = calloc(cnt * aio_way_cnt, sizeof(*all));
	size_t n = 0;
	int r;

	if (!all)
		return 1;
	for (size_t i = 0; i < cnt; i++) {
		for (size_t j = 0; j < aio_way_cnt; j++) {
			char *name = NULL;

			if (tests[i].kind != AIO_AUTO && tests[i].kind != aio_ways[j].kind)
				continue;
			if (aio_ways[j].kind == AIO_URING && !uring_is_here())
				continue;
			if (asprintf(&name, "%s (%s)", tests[i].name, aio_ways[j].name) < 0)
				abort();
			all[n++] = (struct CMUnitTest){
				name, tests[i].function, aio_fixture_setup, aio_fixture_teardown,
				(void *) &aio_ways[j]};
		}
	}
	r = _cmocka_run_group_tests("aio", all, n, NULL, NULL);
	while (n-- > 0)
		free((char *) all[n].name);
	free(all);
	return r;
}

/* ------- requests ------- */

static unsigned done_cnt;

static void request_on_done(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct request *request = (struct request *) ((char *) aio - offsetof(struct request, aio));

	assert_ptr_equal(io, &request->io);
	request->res = res;
	request->done++;
	request->position = done_cnt++;
	if (request->then)
		request->then(request);
}

void request_init(
	struct request *request, struct aio_fixture *f, enum tcmu_aio_op op, int fd,
	uint64_t offset)
{
	*request = (struct request){.fixture = f};
	request->iov[0] = (struct iovec){request->buffer, 512};
	request->iov[1] = (struct iovec){request->buffer + 512, REQUEST_SIZE - 512};
	request->aio.op = op;
	request->aio.fd = fd;
	request->aio.offset = offset;
	request->aio.length = REQUEST_SIZE;
	request->aio.iov = request->iov;
	request->aio.iov_cnt = 2;
	request->aio.done = request_on_done;
}

void request_queue(struct request *request)
{
	aio_queue(request->fixture->engine, &request->io, &request->aio);
}

void request_init_pipe_read(struct request *request, struct aio_fixture *f)
{
	request_init(request, f, TCMU_AIO_READV, f->pipe[0], UINT64_MAX);
	request->iov[0].iov_len = 1;
	request->aio.iov_cnt = 1;
}

void aio_fixture_write_pipe(struct aio_fixture *f, unsigned cnt)
{
	while (cnt-- > 0)
		assert_int_equal(write(f->pipe[1], "x", 1), 1);
}

struct request *requests_new(unsigned cnt)
{
	struct request *requests = aligned_alloc(4096, cnt * sizeof(*requests));

	assert_non_null(requests);
	return requests;
}

unsigned aio_fixture_iterate(struct aio_fixture *f)
{
	aio_flush(f->engine);
	return aio_reap(f->engine);
}

void aio_fixture_sleep(struct aio_fixture *f)
{
	struct epoll_event event;
	int r;

	/* io_uring interrupts the sleep now and then, which is no wake-up. */
	do
		r = epoll_wait(f->epoll_fd, &event, 1, -1);
	while (r < 0 && errno == EINTR);
	assert_int_equal(r, 1);
}

void request_wait(struct request *request)
{
	while (!request->done)
		if (aio_fixture_iterate(request->fixture) == 0)
			aio_fixture_sleep(request->fixture);
}

void aio_fixture_wait_all(struct aio_fixture *f)
{
	while (aio_in_flight(f->engine))
		if (aio_fixture_iterate(f) == 0)
			aio_fixture_sleep(f);
}
