/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When memory, descriptors or threads run out while a device is created, resized, deleted, or the
 * event loop's mailbox is made: the kernel gets its answer, and afterwards no descriptor, mapping
 * or thread is left.
 *
 * Calls fail one by one: the first, then the second, until the operation makes no further call.
 * malloc() and the like are wrapped at link time, for the daemon's own code: glib aborts when
 * memory runs out. open() replaces libc's, also in libtcmu.
 */
#include "gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/jobs.h"
#include "proc-fixture.h"

#define SIZE    (1024u * 1024)
#define WAIT_US UINT64_C(10000000)

/* Visible, because shared libraries refer to these functions. */
#pragma GCC visibility push(default)
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t length);
int __wrap_epoll_create1(int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_sd_event_add_io(
	sd_event *event, sd_event_source **source, int fd, uint32_t events,
	sd_event_io_handler_t handler, void *userdata);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg);
#pragma GCC visibility pop
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t length);
int __real_epoll_create1(int flags);
int __real_eventfd(unsigned value, int flags);
int __real_sd_event_add_io(
	sd_event *event, sd_event_source **source, int fd, uint32_t events,
	sd_event_io_handler_t handler, void *userdata);
int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg);

static atomic_int until_failure = -1; /* calls that still succeed; negative: all succeed */
static atomic_int mapped;             /* mappings that wrapped calls have made and not removed */

/* Any thread. */
static bool scarce_fails(int error)
{
	int left = atomic_load(&until_failure);

	do {
		if (left < 0)
			return false;
	} while (!atomic_compare_exchange_weak(&until_failure, &left, left - 1));
	if (left > 0)
		return false;
	errno = error;
	return true;
}

__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
	/* The fake uio reopens a pipe, which the kernel's uio need not do. */
	bool fake = strncmp(path, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0;

	return !fake && scarce_fails(EMFILE) ? -1 : openat(AT_FDCWD, path, flags, 0600);
}

void *__wrap_malloc(size_t size)
{
	return scarce_fails(ENOMEM) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return scarce_fails(ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return scarce_fails(ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *memory = MAP_FAILED;

	if (!scarce_fails(ENOMEM))
		memory = __real_mmap(at, length, prot, flags, fd, offset);
	if (memory != MAP_FAILED)
		atomic_fetch_add(&mapped, 1);
	return memory;
}

int __wrap_munmap(void *at, size_t length)
{
	atomic_fetch_sub(&mapped, 1);
	return __real_munmap(at, length);
}

int __wrap_epoll_create1(int flags)
{
	return scarce_fails(EMFILE) ? -1 : __real_epoll_create1(flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
	return scarce_fails(EMFILE) ? -1 : __real_eventfd(value, flags);
}

int __wrap_sd_event_add_io(
	sd_event *event, sd_event_source **source, int fd, uint32_t events,
	sd_event_io_handler_t handler, void *userdata)
{
	return scarce_fails(ENOMEM)
		? -ENOMEM
		: __real_sd_event_add_io(event, source, fd, events, handler, userdata);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*main_of)(void *), void *arg)
{
	return scarce_fails(EAGAIN) ? EAGAIN
				    : __real_pthread_create(thread, attributes, main_of, arg);
}

/* ------- what is left ------- */

struct held {
	unsigned descriptors, threads;
	int mapped;
};

static unsigned first_threads; /* before the first device */

static struct held held_now(void)
{
	return (struct held){
		.descriptors = proc_count_descriptors(),
		.threads = proc_count_threads(),
		.mapped = atomic_load(&mapped)};
}

static struct held held_without_devices(void)
{
	struct held held = held_now();

	/* The last device's threads may still be ending. */
	held.threads = first_threads;
	return held;
}

/* Jobs' threads end a moment after their result has arrived. */
static void assert_nothing_more_held(struct held before)
{
	uint64_t began = clock_now_us();
	struct held now = held_now();

	while ((now.threads > before.threads || now.descriptors > before.descriptors) &&
	       clock_now_us() - began < WAIT_US) {
		gateways_iterate();
		now = held_now();
	}
	assert_true(now.threads <= before.threads);
	assert_int_equal(now.descriptors, before.descriptors);
	assert_int_equal(now.mapped, before.mapped);
}

/* Lets call number i fail from now on. */
static void scarce_begin(unsigned i)
{
	atomic_store(&until_failure, (int) i);
}

/* Returns whether a call has failed. */
static bool scarce_end(void)
{
	return atomic_exchange(&until_failure, -1) < 0;
}

/* ------- the handler ------- */

static unsigned opened; /* backends that are open */

static int scarce_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) config, (void) host, (void) dev, (void) reason;
	info->caps = FIXTURE_BASIC_CAPS;
	info->fua = true;
	*backend = &opened;
	opened++;
	return 0;
}

static void scarce_close(void *backend)
{
	(void) backend;
	opened--;
}

static void scarce_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
}

static int scarce_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	(void) backend, (void) config, (void) info, (void) reason;
	return 0;
}

static const struct tcmu_handler parallel_handler = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(struct tcmu_handler),
	.subtype = "scarce",
	.threading = TCMU_HANDLER_PARALLEL,
	.workers = 2,
	.open = scarce_open,
	.close = scarce_close,
	.submit = scarce_submit,
	.resize = scarce_resize,
};

static const struct tcmu_handler async_handler = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(struct tcmu_handler),
	.subtype = "scarce",
	.threading = TCMU_HANDLER_ASYNC,
	.open = scarce_open,
	.close = scarce_close,
	.submit = scarce_submit,
	.resize = scarce_resize,
};

/* ------- tests ------- */

static void create_with_failures(const struct tcmu_handler *handler)
{
	unsigned failures = 0, refused = 0;
	bool failed = true;

	for (unsigned i = 0; failed; i++) {
		struct held before = held_without_devices();
		struct gateway *gateway = gateway_new_async(
			handler, "scarce/store", SIZE, 0, SCSI_ACCESS_IMPLICIT);
		int status;

		scarce_begin(i);
		status = gateway_wait_added(gateway);
		failed = scarce_end();
		failures += failed;
		refused += status < 0;
		gateway_delete(gateway);
		assert_int_equal(opened, 0);
		assert_nothing_more_held(before);
	}
	assert_true(failures >= 8);
	assert_true(refused >= 4);
}

static void a_creation_that_lacks_something_leaks_nothing(void **state)
{
	(void) state;
	create_with_failures(&parallel_handler);
	create_with_failures(&async_handler);
}

static void a_resize_that_lacks_something_is_answered(void **state)
{
	unsigned failures = 0;
	bool failed = true;

	(void) state;
	for (unsigned i = 0; failed; i++) {
		struct held before = held_without_devices(), between;
		struct gateway *gateway = gateway_new(
			&parallel_handler, "scarce/store", SIZE, 0, SCSI_ACCESS_IMPLICIT);

		between = held_now();
		scarce_begin(i);
		(void) gateway_resize(gateway, 2 * SIZE);
		failed = scarce_end();
		failures += failed;
		assert_nothing_more_held(between);
		assert_int_equal(gateway_resize(gateway, 3 * SIZE), 0);
		gateway_delete(gateway);
		assert_int_equal(opened, 0);
		assert_nothing_more_held(before);
	}
	assert_true(failures >= 1);
}

static void a_delete_that_lacks_something_is_answered(void **state)
{
	unsigned failures = 0;
	bool failed = true;

	(void) state;
	for (unsigned i = 0; failed; i++) {
		struct held before = held_without_devices();
		struct gateway *gateway = gateway_new(
			&parallel_handler, "scarce/store", SIZE, 0, SCSI_ACCESS_IMPLICIT);

		scarce_begin(i);
		gateway_remove(gateway);
		gateway_delete(gateway);
		failed = scarce_end();
		failures += failed;
		assert_int_equal(opened, 0);
		assert_nothing_more_held(before);
	}
	assert_true(failures >= 1);
}

static void a_mailbox_that_lacks_something_leaks_nothing(void **state)
{
	struct mailbox *mailbox;
	sd_event *event;
	unsigned failures = 0;
	bool failed = true;

	(void) state;
	assert_true(sd_event_new(&event) >= 0);
	for (unsigned i = 0; failed; i++) {
		struct held before = held_without_devices();
		int r;

		scarce_begin(i);
		r = mailbox_new(event, 0, &mailbox);
		failed = scarce_end();
		failures += failed;
		assert_int_equal(r < 0, failed);
		if (r >= 0)
			mailbox_free(mailbox);
		assert_nothing_more_held(before);
	}
	assert_int_equal(failures, 3);
	sd_event_unref(event);
}

static int setup(void **state)
{
	(void) state;
	gateways_begin();
	/* A first device makes everything that stays for good, such as the event loop's timer. */
	gateway_delete(
		gateway_new(&parallel_handler, "scarce/store", SIZE, 0, SCSI_ACCESS_IMPLICIT));
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	gateways_end();
	return 0;
}

static void *end_at_once(void *arg)
{
	return arg;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_creation_that_lacks_something_leaks_nothing),
		cmocka_unit_test(a_resize_that_lacks_something_is_answered),
		cmocka_unit_test(a_delete_that_lacks_something_is_answered),
		cmocka_unit_test(a_mailbox_that_lacks_something_leaks_nothing),
	};
	pthread_t thread;

	/* A sanitizer starts its own thread with the first one. */
	if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
		(void) pthread_join(thread, NULL);
	first_threads = proc_count_threads();
	return cmocka_run_group_tests(tests, setup, teardown);
}
