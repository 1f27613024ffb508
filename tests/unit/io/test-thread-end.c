/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's thread comes to its end: drained, unregistered, broken; never before its last
 * command, never later than that.
 */
#include "io-fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct rig_options defaults;

/* ------- a thread that is held up in write() ------- */

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

static bool ends_within(struct rig *rig, unsigned ms)
{
	struct timespec until;
	bool ended;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += ms * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&rig->lock);
	while (!rig->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
	ended = rig->ended;
	pthread_mutex_unlock(&rig->lock);
	return ended;
}

static void *release_held(void *arg)
{
	struct rig *rig = arg;

	hold_write = true;
	backend_release(rig->backend, 1, BACKEND_OLDEST);
	hold_write = false;
	return NULL;
}

static void wait_asleep(void)
{
	while (fake_uio_sleepers() == 0)
		sched_yield();
}

/* A thread of the handler's may still be within complete() when the command is long answered: what
 * complete() looks at has to be there until it returns. */
static void the_end_waits_for_threads_within_complete(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in), ready = rig_test_unit_ready();
	pthread_t thread;

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &read);
	assert_true(backend_wait_held(rig.backend, 1));
	wait_asleep(); /* so that it has to be woken by a write */
	assert_int_equal(pthread_create(&thread, NULL, release_held, &rig), 0);
	wait_write_held();
	rig_do(&rig, &ready);
	rig_wait(&read);
	io_thread_drain(rig.thread, false);
	assert_false(ends_within(&rig, 100));
	release_write();
	pthread_join(thread, NULL);
	rig_finish(&rig);
}

/* As a handler that has something to do after it has completed a request. */
static void complete_and_linger(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
	pthread_mutex_lock(&write_lock);
	while (!write_released)
		pthread_cond_wait(&write_changed, &write_lock);
	pthread_mutex_unlock(&write_lock);
}

/* After the end the handler is closed: none of its functions may run any more. */
static void the_end_waits_for_workers_within_submit(void **state)
{
	static struct tcmu_handler lingering;
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);

	(void) state;
	write_released = false;
	rig_make(&rig, &(struct rig_options){.backend.threading = TCMU_HANDLER_SERIAL});
	lingering = *rig.setup.handler;
	lingering.submit = complete_and_linger;
	rig.setup.handler = &lingering;
	assert_int_equal(io_thread_new(&rig.setup, &rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ATTACHED);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	io_thread_drain(rig.thread, false);
	assert_false(ends_within(&rig, 100));
	rig_assert_let_go(&rig); /* the ring does not wait for it */
	release_write();
	rig_finish(&rig);
}

/* ------- drained ------- */

static void an_idle_device_ends_at_once(void **state)
{
	struct rig rig;

	(void) state;
	rig_start(&rig, &defaults);
	io_thread_drain(rig.thread, false);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_true(io_thread_ended_clean(rig.thread));
	rig_finish(&rig);
}

static void draining_answers_what_was_fetched_and_fetches_no_more(void **state)
{
	struct rig rig;
	uint8_t out[6][RIG_BLOCK] = {0};
	struct rig_command writes[6];

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.can_cancel = true});
	rig_pattern(out, sizeof(out), 1);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	for (unsigned i = 0; i < 6; i++)
		writes[i] = rig_write(i, 1, out[i]);
	for (unsigned i = 0; i < 3; i++)
		rig_send(&rig, &writes[i]);
	assert_true(backend_wait_held(rig.backend, 3));
	io_thread_drain(rig.thread, false);
	for (unsigned i = 3; i < 6; i++)
		rig_send(&rig, &writes[i]);
	assert_int_equal(backend_release(rig.backend, 3, BACKEND_NEWEST), 3);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_true(io_thread_ended_clean(rig.thread));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(writes[i].status, SCSI_GOOD);
	assert_int_equal(backend_cancels(rig.backend), 0);
	/* The next daemon goes on where this one stopped. */
	backend_hold(rig.backend, 0);
	rig_restart(&rig);
	for (unsigned i = 3; i < 6; i++)
		rig_wait(&writes[i]);
	assert_memory_equal(backend_store(rig.backend), out, sizeof(out));
	assert_int_equal(backend_count(rig.backend, 0), 6);
	rig_stop(&rig);
}

static void a_plan_of_many_steps_is_carried_to_its_end(void **state)
{
	struct rig_options options = {.backend.info.volatile_cache = true, .no_write_cache = true};
	struct rig rig;
	uint8_t out[RIG_BLOCK] = {0};
	struct rig_command same = rig_cdb16(0x93, 0, 0, 1200, out, RIG_BLOCK);

	(void) state;
	memset(out, 0x5a, sizeof(out));
	rig_start(&rig, &options);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	rig_send(&rig, &same);
	assert_true(backend_wait_held(rig.backend, 1));
	io_thread_drain(rig.thread, false);
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(same.status, SCSI_GOOD);
	assert_int_equal(backend_store(rig.backend)[1200 * RIG_BLOCK - 1], 0x5a);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_FLUSH), 1);
	rig_finish(&rig);
}

static void draining_with_cancel_asks_the_backend_to_give_up(void **state)
{
	struct rig rig;
	uint8_t in[2][RIG_BLOCK];
	struct rig_command reads[2] = {rig_read(0, 1, in[0]), rig_read(1, 1, in[1])};

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.can_cancel = true});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 2; i++)
		rig_send(&rig, &reads[i]);
	assert_true(backend_wait_held(rig.backend, 2));
	io_thread_drain(rig.thread, false);
	io_thread_drain(rig.thread, true);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(reads[i].status, SCSI_TASK_ABORTED);
	assert_true(io_thread_ended_clean(rig.thread));
	rig_finish(&rig);
}

static struct rig_command serial_page(void *in)
{
	return (struct rig_command){
		.cdb = {0x12, 0x01, 0x80, 0, 64}, .cdb_length = 6, .length = 64, .in = in};
}

static void draining_does_not_wait_for_the_serial(void **state)
{
	struct rig rig;
	uint8_t in[64];
	struct rig_command page = serial_page(in);

	(void) state;
	rig_start(&rig, &(struct rig_options){.wait_serial = true});
	rig_send(&rig, &page);
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	io_thread_drain(rig.thread, false);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(page.status, SCSI_GOOD);
	rig_finish(&rig);
}

/* ------- started after another one ------- */

static void what_a_dead_daemon_had_fetched_is_reset_first(void **state)
{
	struct rig_options options = {.start = IO_THREAD_RECOVERED, .uio.hold_actions = true};
	struct fake_uio_counts counts;
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command lost = rig_read(0, 1, in), read = rig_read(1, 1, in);

	(void) state;
	rig_begin(&rig, &options);
	rig_send(&rig, &lost);
	fake_uio_release_actions(rig.uio);
	rig_wait_signal(&rig, IO_SIGNAL_ATTACHED);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_false(rig_is_done(&lost)); /* the kernel has answered it */
	counts = fake_uio_counts(rig.uio);
	assert_int_equal(counts.blocks, 1);
	assert_int_equal(counts.resets, 1);
	assert_int_equal(counts.unblocks, 1);
	rig_stop(&rig);
}

static void a_kernel_without_reset_is_served_all_the_same(void **state)
{
	struct rig_options options = {
		.start = IO_THREAD_RECOVERED,
		.uio = {.block_error = -ENOENT, .unblock_error = -ENOENT, .reset_error = -ENOENT}};
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(1, 1, in);

	(void) state;
	rig_start(&rig, &options);
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	rig_stop(&rig);
}

static void a_device_that_cannot_be_attached_is_broken(void **state)
{
	static const struct {
		struct rig_options options;
		int error;
		const char *text;
	} cases[] = {
		{{.uio.open_error = -EBUSY}, -EBUSY, "its uio device cannot be opened"},
		{{.uio.map_error = -ENOMEM}, -ENOMEM, "its ring cannot be mapped"},
		{{.uio.ring.version = 3},
		 -EPROTONOSUPPORT,
		 "its ring has a format that this daemon does not know"},
		{{.start = IO_THREAD_RECOVERED, .uio.reset_error = -EIO},
		 -EIO,
		 "its ring cannot be reset after the last daemon's crash"},
		{{.start = IO_THREAD_RECOVERED, .uio.block_error = -EIO},
		 -EIO,
		 "its ring cannot be reset after the last daemon's crash"},
		{{.start = IO_THREAD_RECOVERED, .uio.unblock_error = -EIO},
		 -EIO,
		 "the kernel does not send commands again (block_dev)"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text;
		struct rig rig;

		rig_begin(&rig, &cases[i].options);
		rig_wait_signal(&rig, IO_SIGNAL_ENDED);
		assert_int_equal(rig.signals, IO_SIGNAL_RING_BROKEN | IO_SIGNAL_ENDED);
		assert_int_equal(io_thread_error(rig.thread, &text), cases[i].error);
		assert_string_equal(text, cases[i].text);
		assert_false(io_thread_ended_clean(rig.thread));
		rig_finish(&rig);
	}
}

/* Somebody wrote to action/reset_ring while we serve. */
static void a_ring_that_is_reset_is_served_from_its_new_start(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK], page[64];
	struct rig_command lost = rig_read(0, 1, in), pending = serial_page(page);
	struct rig_command read = rig_read(1, 1, in);
	unsigned long waits;

	(void) state;
	rig_start(&rig, &(struct rig_options){.wait_serial = true});
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &lost);
	rig_send(&rig, &pending);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	fake_ring_reset(fake_uio_lock(rig.uio));
	fake_uio_unlock(rig.uio);
	wait_asleep();
	waits = fake_uio_epoll_waits();
	rig_send(&rig, &read);
	while (fake_uio_epoll_waits() == waits) /* it sleeps until nothing refers to the ring */
		sched_yield();
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&read);
	assert_int_equal(read.status, SCSI_GOOD);
	assert_false(rig_is_done(&lost));
	assert_false(rig_is_done(&pending));
	rig_stop(&rig);
}

/* ------- unregistered ------- */

static void an_idle_device_sees_that_it_is_unregistered(void **state)
{
	static const enum fake_uio_kernel kernels[] = {FAKE_KERNEL_6_1, FAKE_KERNEL_7_2};

	(void) state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;

		rig_start(&rig, &(struct rig_options){.uio.kernel = kernels[i]});
		fake_uio_unregister(rig.uio, false);
		rig_wait_signal(&rig, IO_SIGNAL_ENDED);
		assert_int_equal(
			rig.signals, IO_SIGNAL_ATTACHED | IO_SIGNAL_UNREGISTERED | IO_SIGNAL_ENDED);
		assert_false(io_thread_ended_clean(rig.thread));
		rig_finish(&rig);
	}
}

static void the_doorbell_tells_it_too(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &read);
	assert_true(backend_wait_held(rig.backend, 1));
	fake_uio_unregister(rig.uio, true);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_true(rig.signals & IO_SIGNAL_UNREGISTERED);
	rig_finish(&rig);
}

static void a_device_that_is_gone_before_it_is_attached(void **state)
{
	struct rig rig;

	(void) state;
	rig_begin(
		&rig,
		&(struct rig_options){.start = IO_THREAD_RECOVERED, .uio.hold_actions = true});
	assert_true(fake_uio_wait_action(rig.uio));
	fake_uio_unregister(rig.uio, false);
	fake_uio_release_actions(rig.uio);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(rig.signals, IO_SIGNAL_RING_BROKEN | IO_SIGNAL_ENDED);
	rig_finish(&rig);
}

/* Waiting awake, the thread looks at the ring only, and epoll alone tells that the device is gone.
 */
static void a_device_that_waits_awake_sees_that_it_is_unregistered(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 20; i++) {
		struct rig rig;
		struct rig_command command = rig_test_unit_ready();

		rig_start(&rig, &(struct rig_options){.busy_poll = 100});
		for (unsigned j = 0; j < 100; j++)
			rig_do(&rig, &command);
		fake_uio_unregister(rig.uio, false);
		rig_wait_signal(&rig, IO_SIGNAL_UNREGISTERED);
		rig_finish(&rig);
	}
}

static void the_ring_can_be_taken_from_a_device_that_waits_awake(void **state)
{
	(void) state;
	for (unsigned i = 0; i < 20; i++) {
		struct rig rig;
		struct rig_command command = rig_test_unit_ready();

		rig_start(&rig, &(struct rig_options){.busy_poll = 100});
		for (unsigned j = 0; j < 100; j++)
			rig_do(&rig, &command);
		assert_int_equal(io_thread_revoke(rig.thread), 0);
		rig_assert_let_go(&rig);
		rig_finish(&rig);
	}
}

static void unregistering_cancels_what_is_in_flight(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.can_cancel = true});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &read);
	assert_true(backend_wait_held(rig.backend, 1));
	fake_uio_unregister(rig.uio, false);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_cancels(rig.backend), 1);
	rig_finish(&rig);
}

static void what_cannot_be_cancelled_is_waited_for(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &read);
	assert_true(backend_wait_held(rig.backend, 1));
	fake_uio_unregister(rig.uio, false);
	rig_wait_signal(&rig, IO_SIGNAL_UNREGISTERED);
	assert_int_equal(io_thread_in_flight(rig.thread), 1);
	assert_false(ends_within(&rig, 50));
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_finish(&rig);
}

/* What waits for the serial, or for another command, is not waited for: nobody is told any more. */
static void commands_that_wait_do_not_delay_the_end(void **state)
{
	struct rig_options options = {
		.backend = {.can_cancel = true, .info.caps = RIG_BASIC_CAPS}, .wait_serial = true};
	struct rig rig;
	uint8_t in[64], out[2 * RIG_BLOCK] = {0};
	struct rig_command page = serial_page(in), write = rig_write(0, 1, out);
	struct rig_command first = rig_compare_and_write(0, 1, out), second = first;

	(void) state;
	rig_start(&rig, &options);
	backend_hold(rig.backend, RIG_ALL_CAPS);
	rig_send(&rig, &page);
	rig_wait_signal(&rig, IO_SIGNAL_NEEDS_LU_INFO);
	rig_send(&rig, &first);
	rig_send(&rig, &second);
	rig_send(&rig, &write);
	assert_true(backend_wait_held(rig.backend, 1));
	fake_uio_unregister(rig.uio, false);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 0);
	rig_finish(&rig);
}

/* ------- broken ------- */

static void spoil(struct rig *rig, uint32_t position)
{
	uint32_t bad = 0xfffffff9;

	memcpy(fake_ring_slot(fake_uio_lock(rig->uio), position), &bad, sizeof(bad));
	fake_uio_unlock(rig->uio);
}

static void a_corrupt_entry_breaks_the_device_and_nothing_else(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command held = rig_read(0, 1, in), bad = rig_read(1, 1, in);
	const char *text;
	uint32_t position;

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &held);
	assert_true(backend_wait_held(rig.backend, 1));
	position = fake_ring_head(fake_uio_lock(rig.uio));
	fake_uio_unlock(rig.uio);
	rig_push(&rig, &bad);
	spoil(&rig, position);
	rig_notify(&rig);
	rig_wait_signal(&rig, IO_SIGNAL_RING_BROKEN);
	assert_int_equal(io_thread_error(rig.thread, &text), -EBADMSG);
	assert_string_equal(text, "the kernel's next entry is corrupt");
	assert_int_equal(io_thread_in_flight(rig.thread), 1);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_false(rig_is_done(&held));
	assert_false(io_thread_ended_clean(rig.thread));
	rig_finish(&rig);
}

static void an_entry_that_is_corrupted_later_breaks_the_device(void **state)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);
	const char *text;

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &read);
	assert_true(backend_wait_held(rig.backend, 1));
	spoil(&rig, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	assert_true(rig.signals & IO_SIGNAL_RING_BROKEN);
	io_thread_error(rig.thread, &text);
	assert_string_equal(text, "the entry at the ring's tail is corrupt");
	rig_finish(&rig);
}

/* ------- nothing is left ------- */

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned cnt = 0;

	assert_non_null(dir);
	while (readdir(dir))
		cnt++;
	closedir(dir);
	return cnt;
}

static bool is_of_the_loop(const char *thread)
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
	return strcmp(name, "io-rig\n") == 0 || strcmp(name, "rig\n") == 0;
}

/* Of loops and their workers. */
static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned cnt = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		cnt += is_of_the_loop(entry->d_name);
	closedir(dir);
	return cnt;
}

/* A thread that has said its last word is still listed for a moment. */
static bool threads_are_gone(void)
{
	struct timespec moment = {.tv_nsec = 1000000};

	for (unsigned i = 0; i < 5000 && threads(); i++)
		nanosleep(&moment, NULL);
	return threads() == 0;
}

static void cycle(enum tcmu_handler_threading threading, bool gone)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);

	rig_start(&rig, &(struct rig_options){.backend.threading = threading});
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	if (!gone) {
		rig_stop(&rig);
		return;
	}
	fake_uio_unregister(rig.uio, false);
	rig_finish(&rig);
}

static void many_lives_leave_no_thread_and_no_descriptor(void **state)
{
	unsigned before;

	(void) state;
	cycle(TCMU_HANDLER_ASYNC, false);
	before = descriptors();
	for (unsigned i = 0; i < 30; i++)
		cycle(i % 3 ? TCMU_HANDLER_ASYNC : TCMU_HANDLER_PARALLEL, i % 2);
	assert_true(threads_are_gone());
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_waits_for_threads_within_complete),
		cmocka_unit_test(the_end_waits_for_workers_within_submit),
		cmocka_unit_test(an_idle_device_ends_at_once),
		cmocka_unit_test(draining_answers_what_was_fetched_and_fetches_no_more),
		cmocka_unit_test(a_plan_of_many_steps_is_carried_to_its_end),
		cmocka_unit_test(draining_with_cancel_asks_the_backend_to_give_up),
		cmocka_unit_test(draining_does_not_wait_for_the_serial),
		cmocka_unit_test(what_a_dead_daemon_had_fetched_is_reset_first),
		cmocka_unit_test(a_kernel_without_reset_is_served_all_the_same),
		cmocka_unit_test(a_device_that_cannot_be_attached_is_broken),
		cmocka_unit_test(a_ring_that_is_reset_is_served_from_its_new_start),
		cmocka_unit_test(an_idle_device_sees_that_it_is_unregistered),
		cmocka_unit_test(the_doorbell_tells_it_too),
		cmocka_unit_test(a_device_that_is_gone_before_it_is_attached),
		cmocka_unit_test(a_device_that_waits_awake_sees_that_it_is_unregistered),
		cmocka_unit_test(the_ring_can_be_taken_from_a_device_that_waits_awake),
		cmocka_unit_test(unregistering_cancels_what_is_in_flight),
		cmocka_unit_test(what_cannot_be_cancelled_is_waited_for),
		cmocka_unit_test(commands_that_wait_do_not_delay_the_end),
		cmocka_unit_test(a_corrupt_entry_breaks_the_device_and_nothing_else),
		cmocka_unit_test(an_entry_that_is_corrupted_later_breaks_the_device),
		cmocka_unit_test(many_lives_leave_no_thread_and_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
