/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command costs: no allocation, one doorbell and one sleep, or a part of them where many
 * come together.
 *
 * The allocators and io_uring_submit() are wrapped at link time. What the main thread does is the
 * test's.
 */
#include "io-fixture.h"

#include <liburing.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Visible: where a library refers to an allocator, the linker wants to know. */
#pragma GCC visibility push(default)
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_io_uring_submit(struct io_uring *ring);
#pragma GCC visibility pop
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __real_io_uring_submit(struct io_uring *ring);

static pthread_t main_thread;
static atomic_uint allocations;
static atomic_uint submits;

static void count_allocation(void)
{
	if (!pthread_equal(pthread_self(), main_thread))
		atomic_fetch_add(&allocations, 1);
}

void *__wrap_malloc(size_t size)
{
	count_allocation();
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	count_allocation();
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	count_allocation();
	return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	count_allocation();
	return __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
	count_allocation();
	return __real_posix_memalign(memory, alignment, size);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	atomic_fetch_add(&submits, 1);
	return __real_io_uring_submit(ring);
}

#define BATCH 16u

static void send_batch(struct rig *rig)
{
	struct rig_command commands[BATCH];
	static uint8_t data[BATCH][RIG_BLOCK];

	for (unsigned i = 0; i < BATCH; i++) {
		commands[i] = i % 2 ? rig_read(i, 1, data[i]) : rig_write(i, 1, data[i]);
		rig_push(rig, &commands[i]);
	}
	rig_notify(rig);
	for (unsigned i = 0; i < BATCH; i++)
		rig_wait(&commands[i]);
}

static void reading_and_writing_allocates_nothing(void **state)
{
	static const struct rig_options kinds[] = {
		{.backend.info = {.caps = RIG_BASIC_CAPS, .volatile_cache = true}},
		{.aio = AIO_URING, .backend = {.aio = true}},
		{.aio = AIO_URING, .backend = {.aio = true, .aio_cached = true}},
		{.aio = AIO_THREADS, .backend = {.aio = true}},
		{.backend = {.threading = TCMU_HANDLER_SERIAL}},
		{.backend = {.threading = TCMU_HANDLER_PARALLEL}},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;

		rig_start(&rig, &kinds[i]);
		for (unsigned j = 0; j < 10; j++)
			send_batch(&rig);
		atomic_store(&allocations, 0);
		for (unsigned j = 0; j < 50; j++)
			send_batch(&rig);
		assert_int_equal(atomic_load(&allocations), 0);
		rig_stop(&rig);
	}
}

static void emulated_answers_allocate_nothing(void **state)
{
	struct rig rig;
	uint8_t in[256];
	struct rig_command commands[] = {
		{.cdb_length = 6}, /* TEST UNIT READY */
		{.cdb = {0x12, 0, 0, 0, 255}, .cdb_length = 6, .length = sizeof(in), .in = in},
		{.cdb = {0x12, 1, 0x83, 0, 255}, .cdb_length = 6, .length = sizeof(in), .in = in},
		{.cdb = {0x1a, 0, 0x3f, 0, 255}, .cdb_length = 6, .length = sizeof(in), .in = in},
	};

	(void) state;
	rig_start(&rig, &(struct rig_options){0});
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_do(&rig, &commands[i % 4]), SCSI_GOOD);
	assert_int_equal(atomic_load(&allocations), 0);
	rig_stop(&rig);
}

static void what_needs_a_copy_of_its_data_allocates_nothing(void **state)
{
	static uint8_t data[2 * RIG_BLOCK];
	struct rig_command commands[] = {
		rig_compare_and_write(3, 1, data),
		rig_cdb16(0x93, 0, 0, 100, data, RIG_BLOCK), /* WRITE SAME */
		rig_cdb16(0x8f, 2, 5, 1, data, RIG_BLOCK),   /* VERIFY */
		rig_cdb16(0x8b, 0, 7, 1, data, RIG_BLOCK),   /* ORWRITE */
	};
	struct rig rig;

	(void) state;
	memset(data, 1, sizeof(data));
	rig_start(&rig, &(struct rig_options){0});
	for (unsigned i = 0; i < 8; i++)
		rig_do(&rig, &commands[i % 4]);
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 100; i++)
		rig_do(&rig, &commands[i % 4]);
	assert_int_equal(atomic_load(&allocations), 0);
	rig_stop(&rig);
}

static void zeros_that_the_handler_writes_allocate_nothing(void **state)
{
	static const uint8_t zeros[RIG_BLOCK];
	struct tcmu_backend_info info = {
		.caps = RIG_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES)};
	struct rig_command same = rig_cdb16(0x93, 0, 0, 1000, zeros, sizeof(zeros));
	struct rig rig;

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info = info});
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rig_do(&rig, &same), SCSI_GOOD);
	assert_int_equal(atomic_load(&allocations), 0);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE_ZEROES), 10);
	rig_stop(&rig);
}

/* Times sleeps and doorbells for count commands that come one by one. */
static void one_by_one(
	const struct rig_options *options, unsigned later, unsigned count, unsigned sleeps)
{
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);
	unsigned long waits;
	unsigned doorbells;

	rig_start(&rig, options);
	if (later)
		backend_later(rig.backend, later);
	rig_do(&rig, &read);
	waits = fake_uio_epoll_waits();
	doorbells = fake_uio_counts(rig.uio).doorbells;
	for (unsigned i = 0; i < count; i++)
		rig_do(&rig, &read);
	assert_int_equal(fake_uio_counts(rig.uio).doorbells - doorbells, count);
	/* Now and then what another thread has ended is found before that thread has rung. */
	assert_in_range(fake_uio_epoll_waits() - waits, 0, sleeps * count + count / 10);
	rig_stop(&rig);
}

static void a_single_command_costs_one_doorbell_and_one_sleep(void **state)
{
	(void) state;
	one_by_one(&(struct rig_options){0}, 0, 500, 1);
	/* and a second one where it is completed by another thread */
	one_by_one(&(struct rig_options){0}, 1, 500, 2);
	one_by_one(&(struct rig_options){.backend.threading = TCMU_HANDLER_SERIAL}, 0, 500, 2);
	one_by_one(&(struct rig_options){.aio = AIO_THREADS, .backend.aio = true}, 0, 500, 2);
	one_by_one(&(struct rig_options){.aio = AIO_URING, .backend.aio = true}, 0, 500, 2);
}

static void many_at_once_share_a_doorbell_and_a_system_call(void **state)
{
	struct rig rig;
	unsigned long waits;
	unsigned doorbells, calls;

	(void) state;
	rig_start(&rig, &(struct rig_options){.aio = AIO_URING, .backend.aio = true});
	send_batch(&rig);
	rig_wait_idle(&rig);
	waits = fake_uio_epoll_waits();
	doorbells = fake_uio_counts(rig.uio).doorbells;
	calls = atomic_load(&submits);
	for (unsigned i = 0; i < 100; i++)
		send_batch(&rig);
	/* Not all of a batch ends at the same time; at the worst in a few groups. */
	assert_in_range(fake_uio_counts(rig.uio).doorbells - doorbells, 100, 400);
	assert_in_range(fake_uio_epoll_waits() - waits, 0, 402);
	assert_int_equal(atomic_load(&submits) - calls, 100);
	rig_stop(&rig);
}

/* ------- doorbells ------- */

/* Half of the commands are answered by the daemon itself, half go to the backend and end at once.
 */
static void emulated_and_submitted_commands_share_a_doorbell(void **state)
{
	struct rig_command commands[BATCH];
	static uint8_t data[BATCH][RIG_BLOCK];
	unsigned doorbells;
	struct rig rig;

	(void) state;
	rig_start(&rig, &(struct rig_options){0});
	send_batch(&rig);
	doorbells = fake_uio_counts(rig.uio).doorbells;
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned j = 0; j < BATCH; j++) {
			commands[j] = j % 2 ? rig_read(j, 1, data[j]) : rig_test_unit_ready();
			rig_push(&rig, &commands[j]);
		}
		rig_notify(&rig);
		for (unsigned j = 0; j < BATCH; j++)
			rig_wait(&commands[j]);
	}
	assert_int_equal(fake_uio_counts(rig.uio).doorbells - doorbells, 100);
	rig_stop(&rig);
}

/* Two reads. The second is sent when the backend gets the first, which then ends at once. */
struct pair {
	struct rig rig;
	struct rig_command first;
	struct rig_command second;
	unsigned submits;
	unsigned fetches;
	unsigned doorbells[2]; /* how many there were when each was fetched */
};

static void submit_and_send_the_second(void *backend, struct tcmu_io *io)
{
	struct pair *pair = backend;

	if (pair->submits++ == 0)
		rig_send(&pair->rig, &pair->second);
	tcmu_io_complete(io, 0);
}

static void note_doorbells(
	void *userdata, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	struct pair *pair = container_of(userdata, struct pair, rig);

	(void) cdb, (void) cdb_length, (void) data_length;
	assert_true(pair->fetches < 2);
	pair->doorbells[pair->fetches++] = fake_uio_counts(pair->rig.uio).doorbells;
}

static void a_command_that_has_ended_is_completed_before_the_next_is_fetched(void **state)
{
	static const atomic_bool tracing = true;
	static const struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(handler),
		.subtype = "pair",
		.flags = TCMU_HANDLER_SYSCALLS_ONLY,
		.submit = submit_and_send_the_second,
	};
	static uint8_t in[2][RIG_BLOCK];
	static struct pair pair;

	(void) state;
	pair = (struct pair){.first = rig_read(0, 1, in[0]), .second = rig_read(1, 1, in[1])};
	rig_make(&pair.rig, &(struct rig_options){0});
	pair.rig.setup.handler = &handler;
	pair.rig.setup.backend = &pair;
	pair.rig.setup.tracing = &tracing;
	pair.rig.setup.trace = note_doorbells;
	assert_int_equal(io_thread_new(&pair.rig.setup, &pair.rig.thread), 0);
	rig_wait_signal(&pair.rig, IO_SIGNAL_ATTACHED);
	rig_do(&pair.rig, &pair.first);
	rig_wait(&pair.second);
	assert_int_equal(pair.doorbells[0], 0);
	assert_int_equal(pair.doorbells[1], 1);
	/* and no command costs more than its own doorbell */
	assert_int_equal(fake_uio_counts(pair.rig.uio).doorbells, 2);
	rig_stop(&pair.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_and_writing_allocates_nothing),
		cmocka_unit_test(emulated_answers_allocate_nothing),
		cmocka_unit_test(what_needs_a_copy_of_its_data_allocates_nothing),
		cmocka_unit_test(zeros_that_the_handler_writes_allocate_nothing),
		cmocka_unit_test(a_single_command_costs_one_doorbell_and_one_sleep),
		cmocka_unit_test(many_at_once_share_a_doorbell_and_a_system_call),
		cmocka_unit_test(emulated_and_submitted_commands_share_a_doorbell),
		cmocka_unit_test(a_command_that_has_ended_is_completed_before_the_next_is_fetched),
	};

	main_thread = pthread_self();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
