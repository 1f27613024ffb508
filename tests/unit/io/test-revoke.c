/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revoking the ring while requests are stuck, or while the I/O thread itself is stuck: the kernel
 * gets the ring back at once, and late accesses are harmless.
 */
#include "io-fixture.h"
#include "uring-fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 64u

/* ------- a thread that is stuck in preadv2() ------- */

static pthread_mutex_t read_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t read_changed = PTHREAD_COND_INITIALIZER;
static bool hold_read, read_is_held;

ssize_t preadv2(int fd, const struct iovec *iov, int cnt, off_t offset, int flags)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t, int);

	if (!next)
		next = (ssize_t(*)(int, const struct iovec *, int, off_t, int)) dlsym(
			RTLD_NEXT, "preadv2");
	pthread_mutex_lock(&read_lock);
	read_is_held = true;
	pthread_cond_broadcast(&read_changed);
	while (hold_read)
		pthread_cond_wait(&read_changed, &read_lock);
	pthread_mutex_unlock(&read_lock);
	return next(fd, iov, cnt, offset, flags);
}

static void set_hold_read(bool hold)
{
	pthread_mutex_lock(&read_lock);
	hold_read = hold;
	read_is_held = false;
	pthread_cond_broadcast(&read_changed);
	pthread_mutex_unlock(&read_lock);
}

static void wait_read_held(void)
{
	pthread_mutex_lock(&read_lock);
	while (!read_is_held)
		pthread_cond_wait(&read_changed, &read_lock);
	pthread_mutex_unlock(&read_lock);
}

/* ------- stuck requests ------- */

/* Reads of the first half of the store and writes to the second half, each with several iovecs. */
struct load {
	struct initiator_command commands[2 * COUNT];
	uint8_t *out; /* COUNT times 3 pages */
	uint8_t *in;
};

#define PAGES  3u
#define LENGTH (PAGES * 4096u)
#define BLOCKS (LENGTH / FIXTURE_BLOCK)

static struct io_fixture_options load_options(void)
{
	return (struct io_fixture_options){
		.depth = 2 * COUNT,
		.backend.size = 2 * COUNT * LENGTH,
		.uio.ring = {.scatter = true, .block_count = 2 * 2 * COUNT * PAGES},
	};
}

static void send_load(struct io_fixture *fixture, struct load *load)
{
	load->out = malloc(COUNT * LENGTH);
	load->in = malloc(COUNT * LENGTH);
	fill_pattern(load->out, COUNT * LENGTH, 1);
	memset(load->in, 0, COUNT * LENGTH);
	fill_pattern(backend_store(fixture->backend), 2 * COUNT * LENGTH, 2);
	backend_hold(fixture->backend, FIXTURE_ALL_CAPS);
	for (unsigned i = 0; i < COUNT; i++) {
		load->commands[i] = cmd_read(i * BLOCKS, BLOCKS, load->in + i * LENGTH);
		load->commands[COUNT + i] = cmd_write(
			(COUNT + i) * BLOCKS, BLOCKS, load->out + i * LENGTH);
		initiator_push(fixture, &load->commands[i]);
		initiator_push(fixture, &load->commands[COUNT + i]);
	}
	initiator_notify(fixture);
	assert_true(backend_wait_held(fixture->backend, 2 * COUNT));
}

/* After the revoke: no command has ended. */
static void assert_stuck(struct io_fixture *fixture, struct load *load)
{
	io_fixture_assert_released(fixture);
	assert_int_equal(io_thread_in_flight(fixture->thread), 2 * COUNT);
	for (unsigned i = 0; i < 2 * COUNT; i++)
		assert_false(initiator_is_done(&load->commands[i]));
	assert_int_equal(fixture->ended, 0);
}

/* old: the second half of the store has its old bytes, else those of the writes. */
static void assert_store(struct io_fixture *fixture, const struct load *load, bool old)
{
	uint8_t *before = malloc(2 * COUNT * LENGTH);

	fill_pattern(before, 2 * COUNT * LENGTH, 2);
	assert_memory_equal(backend_store(fixture->backend), before, COUNT * LENGTH);
	assert_memory_equal(
		backend_store(fixture->backend) + COUNT * LENGTH,
		old ? before + COUNT * LENGTH : load->out, COUNT * LENGTH);
	free(before);
}

static void end_load(struct io_fixture *fixture, struct load *load)
{
	for (unsigned i = 0; i < 2 * COUNT; i++)
		assert_false(initiator_is_done(&load->commands[i]));
	assert_false(io_thread_ended_clean(fixture->thread));
	io_fixture_wait_end(fixture);
	free(load->out);
	free(load->in);
}

static void late_system_calls_change_nothing(void **state)
{
	struct io_fixture_options options = load_options();
	struct load load;
	struct io_fixture fixture;

	(void) state;
	options.backend.syscalls = true;
	io_fixture_start(&fixture, &options);
	send_load(&fixture, &load);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_stuck(&fixture, &load);
	assert_int_equal(backend_release(fixture.backend, 2 * COUNT, BACKEND_NEWEST), 2 * COUNT);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(fixture.backend), -EFAULT);
	assert_store(&fixture, &load, true);
	end_load(&fixture, &load);
}

static void late_memory_accesses_find_the_bytes_in_flight(void **state)
{
	struct io_fixture_options options = load_options();
	struct load load;
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &options);
	send_load(&fixture, &load);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_stuck(&fixture, &load);
	assert_int_equal(backend_release(fixture.backend, 2 * COUNT, BACKEND_NEWEST), 2 * COUNT);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(fixture.backend), 0);
	assert_store(&fixture, &load, false);
	end_load(&fixture, &load);
}

/* The ring stays mapped until it can be replaced. Otherwise the backend would crash the process. */
static void without_memory_the_ring_stays_mapped(void **state)
{
	struct io_fixture_options options = load_options();
	struct load load;
	struct io_fixture fixture;

	(void) state;
	options.uio.replace_failures = 1;
	io_fixture_start(&fixture, &options);
	send_load(&fixture, &load);
	assert_int_equal(io_thread_revoke(fixture.thread), -ENOMEM);
	assert_int_equal(fake_uio_mappings(fixture.uio), 1);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_stuck(&fixture, &load);
	backend_release(fixture.backend, 2 * COUNT, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_store(&fixture, &load, false);
	end_load(&fixture, &load);
}

/* Blocking handlers: their requests are stuck on workers. */
static void stuck_workers_end_after_the_revoke(void **state)
{
	struct io_fixture fixture;
	uint8_t out[FIXTURE_BLOCK] = {0};
	struct initiator_command writes[4];

	(void) state;
	for (int syscalls = 0; syscalls < 2; syscalls++) {
		io_fixture_start(
			&fixture,
			&(struct io_fixture_options){
				.backend = {
					.threading = TCMU_HANDLER_PARALLEL,
					.workers = 2,
					.syscalls = syscalls,
				}});
		memset(out, 0x11, sizeof(out));
		backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
		for (unsigned i = 0; i < 4; i++) {
			writes[i] = cmd_write(i, 1, out);
			initiator_send(&fixture, &writes[i]);
		}
		assert_true(backend_wait_held(fixture.backend, 2));
		assert_int_equal(io_thread_revoke(fixture.thread), 0);
		io_fixture_assert_released(&fixture);
		io_fixture_wait_control(&fixture);
		while (io_thread_in_flight(fixture.thread) != 2) /* queued requests are withdrawn */
			sched_yield();
		assert_int_equal(backend_release(fixture.backend, 2, BACKEND_OLDEST), 2);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_equal(backend_store(fixture.backend)[0], syscalls ? 0 : 0x11);
		assert_int_equal(backend_count(fixture.backend, 0), 2);
		io_fixture_wait_end(&fixture);
	}
}

/* ------- a stuck I/O thread ------- */

static void a_thread_stuck_in_submit_loses_its_ring(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK], out[FIXTURE_BLOCK] = {0};
	struct initiator_command read = cmd_read(0, 1, in), write = cmd_write(1, 1, out);

	(void) state;
	memset(out, 0x77, sizeof(out));
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	backend_block(fixture.backend);
	initiator_push(&fixture, &read);
	initiator_push(&fixture, &write);
	initiator_notify(&fixture);
	assert_true(backend_wait_blocked(fixture.backend));
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_assert_released(&fixture);
	backend_unblock(fixture.backend);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_false(initiator_is_done(&read));
	assert_false(initiator_is_done(&write));
	io_fixture_wait_end(&fixture);
}

static void a_thread_stuck_in_a_read_loses_its_ring(void **state)
{
	static const enum aio_kind kinds[] = {AIO_URING, AIO_THREADS};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct io_fixture fixture;
		uint8_t in[FIXTURE_BLOCK];
		struct initiator_command read = cmd_read(0, 1, in);

		io_fixture_start(
			&fixture,
			&(struct io_fixture_options){
				.aio = kinds[i],
				.backend = {.aio = true, .aio_cached = true, .syscalls = true}});
		set_hold_read(true);
		initiator_send(&fixture, &read);
		wait_read_held();
		assert_int_equal(io_thread_revoke(fixture.thread), 0);
		io_fixture_assert_released(&fixture);
		set_hold_read(false);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_not_equal(
			backend_last_error(fixture.backend), 0); /* -EFAULT or -ECANCELED */
		io_fixture_wait_end(&fixture);
	}
}

/* A read that is pending in io_uring is cancelled. Until then it holds no reference to the ring. */
static void requests_pending_in_io_uring_are_cancelled(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in), ready = cmd_test_unit_ready();
	int ends[2];

	(void) state;
	assert_int_equal(pipe(ends), 0);
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){
			.aio = AIO_URING,
			.backend = {.aio = true, .aio_read_fd = ends[0], .syscalls = true}});
	initiator_send(&fixture, &read);
	while (backend_count(fixture.backend, TCMU_IO_READ) == 0)
		assert_int_equal(initiator_run(&fixture, &ready), SCSI_GOOD);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_assert_released(&fixture);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(fixture.backend), -ECANCELED);
	io_fixture_wait_end(&fixture);
	close(ends[0]);
	close(ends[1]);
}

/* Before or after it is attached: a race, which the ring lock decides. */
static void a_ring_can_be_revoked_at_the_start(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 50; i++) {
		struct io_fixture fixture;

		io_fixture_start_async(&fixture, &(struct io_fixture_options){.depth = 0});
		assert_int_equal(io_thread_revoke(fixture.thread), 0);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_equal(fixture.signals & ~(uint32_t) IO_SIGNAL_ATTACHED, IO_SIGNAL_ENDED);
		io_fixture_wait_end(&fixture);
	}
}

/* ------- commands without a request in the backend ------- */

static void commands_waiting_for_the_serial_are_dropped(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command page = cmd_serial_page(in);

	(void) state;
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){.wait_serial = true, .backend.syscalls = true});
	initiator_send(&fixture, &page);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_false(initiator_is_done(&page));
	io_fixture_wait_end(&fixture);
}

/* The second step must not reach the store: the compare's result is lost with the ring. */
static void a_plan_ends_with_its_current_step(void **state)
{
	struct io_fixture fixture;
	uint8_t out[2 * FIXTURE_BLOCK] = {0};
	struct initiator_command first = cmd_compare_and_write(0, 1, out), second = first;

	(void) state;
	memset(out + FIXTURE_BLOCK, 0x99, FIXTURE_BLOCK);
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.syscalls = true});
	backend_hold(fixture.backend, FIXTURE_ALL_CAPS);
	initiator_send(&fixture, &first);
	initiator_send(&fixture, &second);
	assert_true(backend_wait_held(fixture.backend, 1));
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_int_equal(io_thread_in_flight(fixture.thread), 1);
	io_fixture_wait_control(&fixture);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(fixture.backend, 0), 1);
	assert_int_equal(backend_store(fixture.backend)[0], 0);
	io_fixture_wait_end(&fixture);
}

static void late_answers_are_not_written(void **state)
{
	struct io_fixture fixture;
	uint8_t in[64];
	struct initiator_command map = cmd_get_lba_status(0, in, 64);

	(void) state;
	io_fixture_start(
		&fixture,
		&(struct io_fixture_options){
			.backend = {.syscalls = true, .info.caps = FIXTURE_ALL_CAPS}});
	initiator_send_held(&fixture, &map, TCMU_IO_CAP(TCMU_IO_MAP));
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_false(initiator_is_done(&map));
	io_fixture_wait_end(&fixture);
}

static void a_repeated_revoke_does_nothing(void **state)
{
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	io_fixture_wait_end(&fixture);

	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	io_thread_drain(fixture.thread, false);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_revoke(fixture.thread), 0);
	assert_true(io_thread_ended_clean(fixture.thread));
	io_fixture_wait_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest uring_tests[] = {
		cmocka_unit_test(requests_pending_in_io_uring_are_cancelled),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_system_calls_change_nothing),
		cmocka_unit_test(late_memory_accesses_find_the_bytes_in_flight),
		cmocka_unit_test(without_memory_the_ring_stays_mapped),
		cmocka_unit_test(stuck_workers_end_after_the_revoke),
		cmocka_unit_test(a_thread_stuck_in_submit_loses_its_ring),
		cmocka_unit_test(a_thread_stuck_in_a_read_loses_its_ring),
		cmocka_unit_test(a_ring_can_be_revoked_at_the_start),
		cmocka_unit_test(commands_waiting_for_the_serial_are_dropped),
		cmocka_unit_test(a_plan_ends_with_its_current_step),
		cmocka_unit_test(late_answers_are_not_written),
		cmocka_unit_test(a_repeated_revoke_does_nothing),
	};

	if (uring_is_here() && cmocka_run_group_tests(uring_tests, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
