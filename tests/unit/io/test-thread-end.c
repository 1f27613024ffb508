/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's I/O thread ends: drained, unregistered, broken. It ends neither before its last
 * command nor later than necessary.
 */
#include "io-fixture.h"
#include "proc-fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct io_fixture_options defaults;

/* ------- threads inside the handler's functions ------- */

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t write_changed = PTHREAD_COND_INITIALIZER;
static bool write_held, write_released;
static __thread bool hold_write;

ssize_t write(int fd, const void *data, size_t length)
{
	static ssize_t (*next)(int, const void *, size_t);

	if (!next)
		next = (ssize_t(*)(int, const void *, size_t)) dlsym(RTLD_NEXT, "write");
	if (hold_write) {
		pthread_mutex_lock(&write_lock);
		write_held = true;
		pthread_cond_broadcast(&write_changed);
		while (!write_released)
			pthread_cond_wait(&write_changed, &write_lock);
		pthread_mutex_unlock(&write_lock);
	}
	return next(fd, data, length);
}

static void wait_write_held(void)
{
	pthread_mutex_lock(&write_lock);
	while (!write_held)
		pthread_cond_wait(&write_changed, &write_lock);
	pthread_mutex_unlock(&write_lock);
}

static void release_write(void)
{
	pthread_mutex_lock(&write_lock);
	write_released = true;
	pthread_cond_broadcast(&write_changed);
	pthread_mutex_unlock(&write_lock);
}

/* Starts the device and sends a read that the backend holds. */
static void start_with_held_read(
	struct io_fixture *fixture, const struct io_fixture_options *options,
	struct initiator_command *read)
{
	io_fixture_start(fixture, options);
	initiator_send_held(fixture, read, TCMU_IO_CAP(TCMU_IO_READ));
}

static void *complete_held_request(void *arg)
{
	struct io_fixture *fixture = arg;

	hold_write = true;
	backend_release(fixture->backend, 1, BACKEND_OLDEST);
	hold_write = false;
	return NULL;
}

/* A handler's thread may still be inside complete() when the command is answered already. The data
 * that complete() uses must exist until it returns. */
static void the_end_waits_for_threads_inside_complete(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in), ready = cmd_test_unit_ready();
	pthread_t thread;

	(void) state;
	start_with_held_read(&fixture, &defaults, &read);
	io_fixture_wait_asleep(); /* so that complete() has to wake it by a write */
	assert_int_equal(pthread_create(&thread, NULL, complete_held_request, &fixture), 0);
	wait_write_held();
	initiator_run(&fixture, &ready);
	initiator_wait_status(&read, SCSI_GOOD);
	io_thread_drain(fixture.thread, false);
	assert_false(io_fixture_ends_within(&fixture, 100));
	release_write();
	pthread_join(thread, NULL);
	io_fixture_wait_end(&fixture);
}

/* A handler that does more work after it has completed a request. */
static void complete_and_linger(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
	pthread_mutex_lock(&write_lock);
	while (!write_released)
		pthread_cond_wait(&write_changed, &write_lock);
	pthread_mutex_unlock(&write_lock);
}

/* After the end the daemon closes the handler: none of its functions may run any more. */
static void the_end_waits_for_workers_inside_submit(void **state)
{
	static struct tcmu_handler lingering;
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	(void) state;
	write_released = false;
	io_fixture_init(
		&fixture, &(struct io_fixture_options){.backend.threading = TCMU_HANDLER_SERIAL});
	lingering = *fixture.setup.handler;
	lingering.submit = complete_and_linger;
	fixture.setup.handler = &lingering;
	io_fixture_start_thread(&fixture);
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	io_thread_drain(fixture.thread, false);
	assert_false(io_fixture_ends_within(&fixture, 100));
	io_fixture_assert_released(&fixture); /* the ring is released without waiting for it */
	release_write();
	io_fixture_wait_end(&fixture);
}

/* ------- draining ------- */

static void an_idle_device_ends_at_once(void **state)
{
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &defaults);
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_true(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

static void draining_answers_fetched_commands_and_fetches_no_more(void **state)
{
	struct io_fixture fixture;
	uint8_t out[6][FIXTURE_BLOCK] = {0};
	struct initiator_command writes[6];

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	fill_pattern(out, sizeof(out), 1);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	for (unsigned i = 0; i < 6; i++)
		writes[i] = cmd_write(i, 1, out[i]);
	for (unsigned i = 0; i < 3; i++)
		initiator_send(&fixture, &writes[i]);
	assert_true(backend_wait_held(fixture.backend, 3));
	io_thread_drain(fixture.thread, false);
	for (unsigned i = 3; i < 6; i++)
		initiator_send(&fixture, &writes[i]);
	assert_int_equal(backend_release(fixture.backend, 3, BACKEND_NEWEST), 3);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_true(io_thread_ended_clean(fixture.thread));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(writes[i].status, SCSI_GOOD);
	assert_int_equal(backend_cancels(fixture.backend), 0);
	/* The next daemon continues at the same place. */
	backend_hold(fixture.backend, 0);
	io_fixture_restart(&fixture);
	for (unsigned i = 3; i < 6; i++)
		initiator_wait_status(&writes[i], SCSI_GOOD);
	assert_memory_equal(backend_store(fixture.backend), out, sizeof(out));
	assert_int_equal(backend_count(fixture.backend, 0), 6);
	io_fixture_stop(&fixture);
}

static void draining_finishes_a_plan_of_many_steps(void **state)
{
	struct io_fixture_options options = {
		.backend.info.volatile_cache = true, .no_write_cache = true};
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command same = cmd_write_same(0, 0, 1200, out);

	(void) state;
	memset(out, 0x5a, sizeof(out));
	io_fixture_start(&fixture, &options);
	initiator_send_held(&fixture, &same, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_thread_drain(fixture.thread, false);
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(same.status, SCSI_GOOD);
	assert_int_equal(backend_store(fixture.backend)[1200 * FIXTURE_BLOCK - 1], 0x5a);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_FLUSH), 1);
	io_fixture_wait_end(&fixture);
}

static void draining_with_cancel_cancels_backend_requests(void **state)
{
	struct io_fixture fixture;
	uint8_t in[2][FIXTURE_BLOCK];
	struct initiator_command reads[2] = {cmd_read(0, 1, in[0]), cmd_read(1, 1, in[1])};

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.can_cancel = true});
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 2; i++)
		initiator_send(&fixture, &reads[i]);
	assert_true(backend_wait_held(fixture.backend, 2));
	io_thread_drain(fixture.thread, false);
	io_thread_drain(fixture.thread, true);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(reads[i].status, SCSI_TASK_ABORTED);
	assert_true(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

static void draining_does_not_wait_for_the_serial(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command page = cmd_serial_page(in);

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.wait_serial = true});
	initiator_send(&fixture, &page);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(page.status, SCSI_GOOD);
	io_fixture_wait_end(&fixture);
}

/* ------- unregistration ------- */

static void an_idle_device_notices_unregistration(void **state)
{
	static const enum fake_uio_kernel kernels[] = {FAKE_KERNEL_6_1, FAKE_KERNEL_7_2};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct io_fixture fixture;

		io_fixture_start(&fixture, &(struct io_fixture_options){.uio.kernel = kernels[i]});
		fake_uio_unregister(fixture.uio, false);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_equal(
			fixture.signals,
			IO_SIGNAL_ATTACHED | IO_SIGNAL_UNREGISTERED | IO_SIGNAL_ENDED);
		assert_false(io_thread_ended_clean(fixture.thread));
		io_fixture_wait_end(&fixture);
	}
}

static void a_failed_doorbell_reports_unregistration(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	(void) state;
	start_with_held_read(&fixture, &defaults, &read);
	fake_uio_unregister(fixture.uio, true);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_true(fixture.signals & IO_SIGNAL_UNREGISTERED);
	io_fixture_wait_end(&fixture);
}

static void a_device_may_be_unregistered_before_it_is_attached(void **state)
{
	struct io_fixture fixture;

	(void) state;
	io_fixture_init(&fixture, &defaults);
	fake_uio_unregister(fixture.uio, false);
	assert_int_equal(io_thread_new(&fixture.setup, &fixture.thread), 0);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(fixture.signals, IO_SIGNAL_RING_BROKEN | IO_SIGNAL_ENDED);
	io_fixture_wait_end(&fixture);
}

/* While the thread spins it reads the ring only; epoll alone reports the unregistration. */
static void a_spinning_device_notices_unregistration(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 20; i++) {
		struct io_fixture fixture;
		struct initiator_command command = cmd_test_unit_ready();

		io_fixture_start(&fixture, &(struct io_fixture_options){.busy_poll = 100});
		for (unsigned j = 0; j < 100; j++)
			initiator_run(&fixture, &command);
		fake_uio_unregister(fixture.uio, false);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_equal(
			fixture.signals,
			IO_SIGNAL_ATTACHED | IO_SIGNAL_UNREGISTERED | IO_SIGNAL_ENDED);
		io_fixture_wait_end(&fixture);
	}
}

static void the_ring_of_a_spinning_device_can_be_revoked(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 20; i++) {
		struct io_fixture fixture;
		struct initiator_command command = cmd_test_unit_ready();

		io_fixture_start(&fixture, &(struct io_fixture_options){.busy_poll = 100});
		for (unsigned j = 0; j < 100; j++)
			initiator_run(&fixture, &command);
		assert_int_equal(io_thread_revoke(fixture.thread), 0);
		io_fixture_assert_released(&fixture);
		io_fixture_wait_end(&fixture);
	}
}

static void unregistration_cancels_requests_in_flight(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	(void) state;
	start_with_held_read(
		&fixture, &(struct io_fixture_options){.backend.can_cancel = true}, &read);
	fake_uio_unregister(fixture.uio, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_cancels(fixture.backend), 1);
	io_fixture_wait_end(&fixture);
}

static void an_uncancellable_request_delays_the_end(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	(void) state;
	start_with_held_read(&fixture, &defaults, &read);
	fake_uio_unregister(fixture.uio, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_UNREGISTERED);
	assert_int_equal(io_thread_in_flight(fixture.thread), 1);
	assert_false(io_fixture_ends_within(&fixture, 50));
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_end(&fixture);
}

/* Commands that wait for the serial or for another command are dropped, because nobody receives
 * their answers any more. */
static void waiting_commands_do_not_delay_the_end(void **state)
{
	struct io_fixture_options options = {
		.backend = {.can_cancel = true, .info.caps = FIXTURE_BASIC_CAPS},
		.wait_serial = true};
	struct io_fixture fixture;
	uint8_t in[64], out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command page = cmd_serial_page(in), write = cmd_write(0, 1, out);
	struct initiator_command first = cmd_compare_and_write(0, 1, out), second = first;

	(void) state;
	io_fixture_start(&fixture, &options);
	backend_hold(fixture.backend, FIXTURE_ALL_CAPS);
	initiator_send(&fixture, &page);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	initiator_send(&fixture, &first);
	initiator_send(&fixture, &second);
	initiator_send(&fixture, &write);
	assert_true(backend_wait_held(fixture.backend, 1));
	fake_uio_unregister(fixture.uio, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE), 0);
	io_fixture_wait_end(&fixture);
}

/* ------- a broken ring ------- */

static void corrupt_entry(struct io_fixture *fixture, uint32_t position)
{
	uint32_t bad = 0xfffffff9;

	memcpy(fake_ring_slot(fake_uio_lock(fixture->uio), position), &bad, sizeof(bad));
	fake_uio_unlock(fixture->uio);
}

static void a_corrupt_entry_breaks_the_device_but_not_its_requests(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command held = cmd_read(0, 1, in), bad = cmd_read(1, 1, in);
	const char *text;
	uint32_t position;

	(void) state;
	start_with_held_read(&fixture, &defaults, &held);
	position = fake_ring_head(fake_uio_lock(fixture.uio));
	fake_uio_unlock(fixture.uio);
	initiator_push(&fixture, &bad);
	corrupt_entry(&fixture, position);
	initiator_notify(&fixture);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_RING_BROKEN);
	assert_int_equal(io_thread_error(fixture.thread, &text), -EBADMSG);
	assert_string_equal(text, "the kernel's next entry is corrupt");
	assert_int_equal(io_thread_in_flight(fixture.thread), 1);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_false(initiator_is_done(&held));
	assert_false(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

static void an_entry_corrupted_after_its_fetch_breaks_the_device(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);
	const char *text;

	(void) state;
	start_with_held_read(&fixture, &defaults, &read);
	corrupt_entry(&fixture, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_true(fixture.signals & IO_SIGNAL_RING_BROKEN);
	io_thread_error(fixture.thread, &text);
	assert_string_equal(text, "the entry at the ring's tail is corrupt");
	io_fixture_wait_end(&fixture);
}

/* ------- leaks ------- */

static bool is_io_thread_or_worker(const char *thread)
{
	char path[64], name[32] = "";
	FILE *file;

	(void) snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strcmp(name, "io-fixture\n") == 0 || strcmp(name, "fixture\n") == 0;
}

/* I/O threads and their workers. */
static unsigned count_io_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned cnt = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		cnt += is_io_thread_or_worker(entry->d_name);
	closedir(dir);
	return cnt;
}

/* A thread that has ended is still listed for a moment. */
static bool threads_are_gone(void)
{
	struct timespec moment = {.tv_nsec = 1000000};

	for (unsigned i = 0; i < 5000 && count_io_threads(); i++)
		nanosleep(&moment, NULL);
	return count_io_threads() == 0;
}

static void start_and_stop(enum tcmu_handler_threading threading, bool gone)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.threading = threading});
	assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_true(count_io_threads() > 0);
	if (!gone) {
		io_fixture_stop(&fixture);
		return;
	}
	fake_uio_unregister(fixture.uio, false);
	io_fixture_wait_end(&fixture);
}

static void starts_and_stops_leak_no_thread_and_no_descriptor(void **state)
{
	unsigned before;

	(void) state;
	start_and_stop(TCMU_HANDLER_ASYNC, false);
	before = proc_count_descriptors();
	for (unsigned i = 0; i < 30; i++)
		start_and_stop(i % 3 ? TCMU_HANDLER_ASYNC : TCMU_HANDLER_PARALLEL, i % 2);
	assert_true(threads_are_gone());
	assert_int_equal(proc_count_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_waits_for_threads_inside_complete),
		cmocka_unit_test(the_end_waits_for_workers_inside_submit),
		cmocka_unit_test(an_idle_device_ends_at_once),
		cmocka_unit_test(draining_answers_fetched_commands_and_fetches_no_more),
		cmocka_unit_test(draining_finishes_a_plan_of_many_steps),
		cmocka_unit_test(draining_with_cancel_cancels_backend_requests),
		cmocka_unit_test(draining_does_not_wait_for_the_serial),
		cmocka_unit_test(an_idle_device_notices_unregistration),
		cmocka_unit_test(a_failed_doorbell_reports_unregistration),
		cmocka_unit_test(a_device_may_be_unregistered_before_it_is_attached),
		cmocka_unit_test(a_spinning_device_notices_unregistration),
		cmocka_unit_test(the_ring_of_a_spinning_device_can_be_revoked),
		cmocka_unit_test(unregistration_cancels_requests_in_flight),
		cmocka_unit_test(an_uncancellable_request_delays_the_end),
		cmocka_unit_test(waiting_commands_do_not_delay_the_end),
		cmocka_unit_test(a_corrupt_entry_breaks_the_device_but_not_its_requests),
		cmocka_unit_test(an_entry_corrupted_after_its_fetch_breaks_the_device),
		cmocka_unit_test(starts_and_stops_leak_no_thread_and_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
