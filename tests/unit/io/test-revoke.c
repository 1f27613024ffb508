/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring is taken away from under requests that are stuck, and under a thread that is stuck
 * itself: the kernel gets it back at once, and what is late meets something harmless.
 */
#include "io-fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 64u

/* ------- a thread that is held up in the page cache ------- */

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

/* ------- requests that are stuck ------- */

/* Reads of the first half of the store and writes to the second, of several iovecs each. */
struct load {
	struct rig_command commands[2 * COUNT];
	uint8_t *out; /* COUNT times 3 pages */
	uint8_t *in;
};

#define PAGES  3u
#define LENGTH (PAGES * 4096u)
#define BLOCKS (LENGTH / RIG_BLOCK)

static struct rig_options load_options(void)
{
	return (struct rig_options){
		.depth = 2 * COUNT,
		.backend.size = 2 * COUNT * LENGTH,
		.uio.ring = {.scatter = true, .block_count = 2 * 2 * COUNT * PAGES},
	};
}

static void send_load(struct rig *rig, struct load *load)
{
	load->out = malloc(COUNT * LENGTH);
	load->in = malloc(COUNT * LENGTH);
	rig_pattern(load->out, COUNT * LENGTH, 1);
	memset(load->in, 0, COUNT * LENGTH);
	rig_pattern(backend_store(rig->backend), 2 * COUNT * LENGTH, 2);
	backend_hold(rig->backend, RIG_ALL_CAPS);
	for (unsigned i = 0; i < COUNT; i++) {
		load->commands[i] = rig_read(i * BLOCKS, BLOCKS, load->in + i * LENGTH);
		load->commands[COUNT + i] = rig_write(
			(COUNT + i) * BLOCKS, BLOCKS, load->out + i * LENGTH);
		rig_push(rig, &load->commands[i]);
		rig_push(rig, &load->commands[COUNT + i]);
	}
	rig_notify(rig);
	assert_true(backend_wait_held(rig->backend, 2 * COUNT));
}

/* After the revoke, before anything of it has ended. */
static void assert_stuck(struct rig *rig, struct load *load)
{
	rig_assert_let_go(rig);
	assert_int_equal(io_thread_in_flight(rig->thread), 2 * COUNT);
	for (unsigned i = 0; i < 2 * COUNT; i++)
		assert_false(rig_is_done(&load->commands[i]));
	assert_int_equal(rig->ended, 0);
}

/* old: the store's second half has the bytes that were there before; else those of the writes. */
static void assert_store(struct rig *rig, const struct load *load, bool old)
{
	uint8_t *before = malloc(2 * COUNT * LENGTH);

	rig_pattern(before, 2 * COUNT * LENGTH, 2);
	assert_memory_equal(backend_store(rig->backend), before, COUNT * LENGTH);
	assert_memory_equal(
		backend_store(rig->backend) + COUNT * LENGTH,
		old ? before + COUNT * LENGTH : load->out, COUNT * LENGTH);
	free(before);
}

static void end_load(struct rig *rig, struct load *load)
{
	for (unsigned i = 0; i < 2 * COUNT; i++)
		assert_false(rig_is_done(&load->commands[i]));
	assert_false(io_thread_ended_clean(rig->thread));
	rig_finish(rig);
	free(load->out);
	free(load->in);
}

static void late_system_calls_change_nothing(void **state)
{
	struct rig_options options = load_options();
	struct load load;
	struct rig rig;

	(void) state;
	options.backend.syscalls = true;
	rig_start(&rig, &options);
	send_load(&rig, &load);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_stuck(&rig, &load);
	assert_int_equal(backend_release(rig.backend, 2 * COUNT, BACKEND_NEWEST), 2 * COUNT);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(rig.backend), -EFAULT);
	assert_store(&rig, &load, true);
	end_load(&rig, &load);
}

static void late_accesses_to_memory_find_the_bytes_in_flight(void **state)
{
	struct rig_options options = load_options();
	struct load load;
	struct rig rig;

	(void) state;
	rig_start(&rig, &options);
	send_load(&rig, &load);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_stuck(&rig, &load);
	assert_int_equal(backend_release(rig.backend, 2 * COUNT, BACKEND_NEWEST), 2 * COUNT);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(rig.backend), 0);
	assert_store(&rig, &load, false);
	end_load(&rig, &load);
}

/* The ring stays where it is until it can be replaced: the backend would crash the process
 * otherwise. */
static void without_memory_nothing_is_taken_away(void **state)
{
	struct rig_options options = load_options();
	struct load load;
	struct rig rig;

	(void) state;
	options.uio.replace_failures = 1;
	rig_start(&rig, &options);
	send_load(&rig, &load);
	assert_int_equal(io_thread_revoke(rig.thread), -ENOMEM);
	assert_int_equal(fake_uio_mappings(rig.uio), 1);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_stuck(&rig, &load);
	backend_release(rig.backend, 2 * COUNT, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_store(&rig, &load, false);
	end_load(&rig, &load);
}

/* The blocking kind: stuck on threads of its own. */
static void workers_that_are_stuck_end_late(void **state)
{
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command writes[4];

	(void) state;
	for (int syscalls = 0; syscalls < 2; syscalls++) {
		rig_start(
			&rig,
			&(struct rig_options){
				.backend = {
					.threading = TCMU_HANDLER_PARALLEL,
					.workers = 2,
					.syscalls = syscalls,
				}});
		memset(out, 0x11, sizeof(out));
		backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
		for (unsigned i = 0; i < 4; i++) {
			writes[i] = rig_write(i, 1, out);
			rig_send(&rig, &writes[i]);
		}
		assert_true(backend_wait_held(rig.backend, 2));
		assert_int_equal(io_thread_revoke(rig.thread), 0);
		rig_assert_let_go(&rig);
		rig_wait_orders(&rig);
		while (io_thread_in_flight(rig.thread) != 2) /* what was queued is taken back */
			sched_yield();
		assert_int_equal(backend_release(rig.backend, 2, BACKEND_OLDEST), 2);
		rig_wait_signal(&rig, IO_SIGNAL_ENDED);
		assert_int_equal(backend_store(rig.backend)[0], syscalls ? 0 : 0x11);
		assert_int_equal(backend_count(rig.backend, 0), 2);
		rig_finish(&rig);
	}
}

/* ------- a thread that is stuck itself ------- */

static void a_thread_that_is_stuck_in_submit(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK], out[RIG_BLOCK] = {0};
	struct rig_command read = rig_read(0, 1, in), write = rig_write(1, 1, out);

	(void) state;
	memset(out, 0x77, sizeof(out));
	rig_start(&rig, &(struct rig_options){0});
	backend_block(rig.backend);
	rig_push(&rig, &read);
	rig_push(&rig, &write);
	rig_notify(&rig);
	assert_true(backend_wait_blocked(rig.backend));
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_assert_let_go(&rig);
	backend_unblock(rig.backend);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_false(rig_is_done(&read));
	assert_false(rig_is_done(&write));
	rig_finish(&rig);
}

static void a_thread_that_is_stuck_in_the_engine(void **state)
{
	static const enum aio_kind kinds[] = {AIO_URING, AIO_THREADS};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		uint8_t in[RIG_BLOCK];
		struct rig_command read = rig_read(0, 1, in);

		rig_start(
			&rig,
			&(struct rig_options){
				.aio = kinds[i],
				.backend = {.aio = true, .aio_cached = true, .syscalls = true}});
		set_hold_read(true);
		rig_send(&rig, &read);
		wait_read_held();
		assert_int_equal(io_thread_revoke(rig.thread), 0);
		rig_assert_let_go(&rig);
		set_hold_read(false);
		rig_wait_signal(&rig, IO_SIGNAL_ENDED);
		assert_int_not_equal(backend_last_error(rig.backend), 0); /* EFAULT, or cancelled */
		rig_finish(&rig);
	}
}

/* A read that io_uring holds: it is cancelled, and until then it has no reference on the ring
 * either. */
static void what_the_engine_has_pending_is_cancelled(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in), ready = rig_test_unit_ready();
	int ends[2];

	(void) state;
	assert_int_equal(pipe(ends), 0);
	rig_start(
		&rig,
		&(struct rig_options){
			.aio = AIO_URING,
			.backend = {.aio = true, .aio_read_fd = ends[0], .syscalls = true}});
	rig_send(&rig, &read);
	while (backend_count(rig.backend, TCMU_IO_READ) == 0)
		assert_int_equal(rig_do(&rig, &ready), SCSI_GOOD);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_assert_let_go(&rig);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_last_error(rig.backend), -ECANCELED);
	rig_finish(&rig);
	close(ends[0]);
	close(ends[1]);
}

static void before_the_ring_is_attached(void **state)
{
	struct rig rig;

	(void) state;
	rig_begin(
		&rig,
		&(struct rig_options){.start = IO_THREAD_RECOVERED, .uio.hold_actions = true});
	assert_true(fake_uio_wait_action(rig.uio));
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	fake_uio_release_actions(rig.uio);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(rig.signals, IO_SIGNAL_ENDED);
	assert_int_equal(fake_uio_counts(rig.uio).opens, 0);
	rig_finish(&rig);
}

/* ------- commands that are not with the backend ------- */

static void commands_that_wait_for_the_serial_just_end(void **state)
{
	struct rig rig;
	uint8_t in[64];
	struct rig_command page = {
		.cdb = {0x12, 0x01, 0x80, 0, 64}, .cdb_length = 6, .length = 64, .in = in};

	(void) state;
	rig_start(&rig, &(struct rig_options){.wait_serial = true, .backend.syscalls = true});
	rig_send(&rig, &page);
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_false(rig_is_done(&page));
	rig_finish(&rig);
}

/* Its second half must not reach the store when nobody has the first one's answer any more. */
static void a_plan_of_many_steps_goes_no_further(void **state)
{
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command first = rig_compare_and_write(0, 1, out), second = first;

	(void) state;
	memset(out + RIG_BLOCK, 0x99, RIG_BLOCK);
	rig_start(&rig, &(struct rig_options){.backend.syscalls = true});
	backend_hold(rig.backend, RIG_ALL_CAPS);
	rig_send(&rig, &first);
	rig_send(&rig, &second);
	assert_true(backend_wait_held(rig.backend, 1));
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_int_equal(io_thread_in_flight(rig.thread), 1);
	rig_wait_orders(&rig);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(rig.backend, 0), 1);
	assert_int_equal(backend_store(rig.backend)[0], 0);
	rig_finish(&rig);
}

static void answers_that_are_ready_are_not_written_any_more(void **state)
{
	struct rig rig;
	uint8_t in[64];
	struct rig_command map = rig_cdb16(0x9e, 0x12, 0, 64, NULL, 64);

	(void) state;
	map.in = in;
	rig_start(
		&rig,
		&(struct rig_options){.backend = {.syscalls = true, .info.caps = RIG_ALL_CAPS}});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_MAP));
	rig_send(&rig, &map);
	assert_true(backend_wait_held(rig.backend, 1));
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_false(rig_is_done(&map));
	rig_finish(&rig);
}

static void once_more_and_after_the_end_it_does_nothing(void **state)
{
	struct rig rig;

	(void) state;
	rig_start(&rig, &(struct rig_options){0});
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	rig_finish(&rig);

	rig_start(&rig, &(struct rig_options){0});
	io_thread_drain(rig.thread, false);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(io_thread_revoke(rig.thread), 0);
	assert_true(io_thread_ended_clean(rig.thread));
	rig_finish(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_system_calls_change_nothing),
		cmocka_unit_test(late_accesses_to_memory_find_the_bytes_in_flight),
		cmocka_unit_test(without_memory_nothing_is_taken_away),
		cmocka_unit_test(workers_that_are_stuck_end_late),
		cmocka_unit_test(a_thread_that_is_stuck_in_submit),
		cmocka_unit_test(a_thread_that_is_stuck_in_the_engine),
		cmocka_unit_test(what_the_engine_has_pending_is_cancelled),
		cmocka_unit_test(before_the_ring_is_attached),
		cmocka_unit_test(commands_that_wait_for_the_serial_just_end),
		cmocka_unit_test(a_plan_of_many_steps_goes_no_further),
		cmocka_unit_test(answers_that_are_ready_are_not_written_any_more),
		cmocka_unit_test(once_more_and_after_the_end_it_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
