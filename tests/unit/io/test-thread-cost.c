/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command costs: no allocation, one doorbell and one sleep, and less in a batch.
 *
 * The allocators and io_uring_submit() are wrapped at link time. Calls on the main thread are the
 * test's own and do not count.
 */
#include "io-fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "uring-fixture.h"

struct io_uring; /* liburing's */

/* Visible, because shared libraries refer to the allocators. */
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
int __real_io_uring_submit(struct io_uring *ring) __attribute__((weak)); /* there may be none */

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

static void send_batch(struct io_fixture *fixture)
{
	struct initiator_command commands[BATCH];
	static uint8_t data[BATCH][FIXTURE_BLOCK];

	for (unsigned i = 0; i < BATCH; i++) {
		commands[i] = i % 2 ? cmd_read(i, 1, data[i]) : cmd_write(i, 1, data[i]);
		initiator_push(fixture, &commands[i]);
	}
	initiator_notify(fixture);
	for (unsigned i = 0; i < BATCH; i++)
		initiator_wait_status(&commands[i], SCSI_GOOD);
}

static void reads_and_writes_allocate_nothing(void **state)
{
	static const struct io_fixture_options kinds[] = {
		{.backend.info = {.caps = FIXTURE_BASIC_CAPS, .volatile_cache = true}},
		{.aio = AIO_URING, .backend = {.aio = true}},
		{.aio = AIO_URING, .backend = {.aio = true, .aio_cached = true}},
		{.aio = AIO_THREADS, .backend = {.aio = true}},
		{.backend = {.threading = TCMU_HANDLER_SERIAL}},
		{.backend = {.threading = TCMU_HANDLER_PARALLEL}},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct io_fixture fixture;

		io_fixture_start(&fixture, &kinds[i]);
		for (unsigned j = 0; j < 10; j++)
			send_batch(&fixture);
		atomic_store(&allocations, 0);
		for (unsigned j = 0; j < 50; j++)
			send_batch(&fixture);
		assert_int_equal(atomic_load(&allocations), 0);
		io_fixture_stop(&fixture);
	}
}

static void emulated_answers_allocate_nothing(void **state)
{
	struct io_fixture fixture;
	uint8_t in[256];
	struct initiator_command commands[] = {
		cmd_test_unit_ready(),
		cmd_inquiry(in, 255),
		{.cdb = {0x12, 1, 0x83, 0, 255},
		 .cdb_length = 6,
		 .length = sizeof(in),
		 .in = in}, /* VPD page 83h */
		{.cdb = {0x1a, 0, 0x3f, 0, 255},
		 .cdb_length = 6,
		 .length = sizeof(in),
		 .in = in}, /* MODE SENSE */
	};

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(initiator_run(&fixture, &commands[i % 4]), SCSI_GOOD);
	assert_int_equal(atomic_load(&allocations), 0);
	io_fixture_stop(&fixture);
}

static void commands_with_bounce_buffers_allocate_nothing(void **state)
{
	static uint8_t data[2 * FIXTURE_BLOCK];
	struct initiator_command commands[] = {
		cmd_compare_and_write(3, 1, data),
		cmd_write_same(0, 0, 100, data),
		cmd_verify(BYTCHK_DATA, 5, 1, data),
		cmd_orwrite(7, 1, data),
	};
	struct io_fixture fixture;

	(void) state;
	memset(data, 1, sizeof(data));
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	for (unsigned i = 0; i < 8; i++)
		initiator_run(&fixture, &commands[i % 4]);
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(initiator_run(&fixture, &commands[i % 4]), SCSI_GOOD);
	assert_int_equal(atomic_load(&allocations), 0);
	io_fixture_stop(&fixture);
}

static void native_write_zeroes_allocates_nothing(void **state)
{
	static const uint8_t zeros[FIXTURE_BLOCK];
	struct tcmu_backend_info info = {
		.caps = FIXTURE_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES)};
	struct initiator_command same = cmd_write_same(0, 0, 1000, zeros);
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.backend.info = info});
	atomic_store(&allocations, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(initiator_run(&fixture, &same), SCSI_GOOD);
	assert_int_equal(atomic_load(&allocations), 0);
	assert_int_equal(backend_count(fixture.backend, TCMU_IO_WRITE_ZEROES), 10);
	io_fixture_stop(&fixture);
}

/* Checks that count sequential commands cost count doorbells and at most `sleeps` sleeps each.
 * later: another thread completes the requests, after at most so many µs. */
static void check_cost_of_sequential_commands(
	const struct io_fixture_options *options, unsigned later, unsigned count, unsigned sleeps)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);
	unsigned long waits;
	unsigned doorbells;

	io_fixture_start(&fixture, options);
	if (later)
		backend_later(fixture.backend, later);
	initiator_run(&fixture, &read);
	waits = fake_uio_epoll_waits();
	doorbells = fake_uio_counts(fixture.uio).doorbells;
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	assert_int_equal(fake_uio_counts(fixture.uio).doorbells - doorbells, count);
	/* Now and then the thread finds a completion before the other thread has woken it. */
	assert_in_range(fake_uio_epoll_waits() - waits, 0, sleeps * count + count / 10);
	io_fixture_stop(&fixture);
}

static void a_single_command_costs_one_doorbell_and_one_sleep(void **state)
{
	(void) state;
	check_cost_of_sequential_commands(&(struct io_fixture_options){0}, 0, 500, 1);
	/* two sleeps if another thread completes the request */
	check_cost_of_sequential_commands(&(struct io_fixture_options){0}, 1, 500, 2);
	check_cost_of_sequential_commands(
		&(struct io_fixture_options){.backend.threading = TCMU_HANDLER_SERIAL}, 0, 500, 2);
	check_cost_of_sequential_commands(
		&(struct io_fixture_options){.aio = AIO_THREADS, .backend.aio = true}, 0, 500, 2);
	check_cost_of_sequential_commands(
		&(struct io_fixture_options){.aio = AIO_URING, .backend.aio = true}, 0, 500, 2);
}

static void a_batch_shares_doorbells_and_one_system_call(void **state)
{
	struct io_fixture fixture;
	unsigned long waits;
	unsigned doorbells, calls;

	(void) state;
	io_fixture_start(
		&fixture, &(struct io_fixture_options){.aio = AIO_URING, .backend.aio = true});
	send_batch(&fixture);
	io_fixture_wait_idle(&fixture);
	waits = fake_uio_epoll_waits();
	doorbells = fake_uio_counts(fixture.uio).doorbells;
	calls = atomic_load(&submits);
	for (unsigned i = 0; i < 100; i++)
		send_batch(&fixture);
	/* A batch ends in a few groups at worst. */
	assert_in_range(fake_uio_counts(fixture.uio).doorbells - doorbells, 100, 400);
	assert_in_range(fake_uio_epoll_waits() - waits, 0, 402);
	assert_int_equal(atomic_load(&submits) - calls, 100);
	io_fixture_stop(&fixture);
}

/* ------- doorbells ------- */

/* The daemon answers half of the commands; the other half goes to the backend and ends at once. */
static void emulated_and_submitted_commands_share_a_doorbell(void **state)
{
	struct initiator_command commands[BATCH];
	static uint8_t data[BATCH][FIXTURE_BLOCK];
	unsigned doorbells;
	struct io_fixture fixture;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){0});
	send_batch(&fixture);
	doorbells = fake_uio_counts(fixture.uio).doorbells;
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned j = 0; j < BATCH; j++) {
			commands[j] = j % 2 ? cmd_read(j, 1, data[j]) : cmd_test_unit_ready();
			initiator_push(&fixture, &commands[j]);
		}
		initiator_notify(&fixture);
		for (unsigned j = 0; j < BATCH; j++)
			initiator_wait(&commands[j]);
	}
	assert_int_equal(fake_uio_counts(fixture.uio).doorbells - doorbells, 100);
	io_fixture_stop(&fixture);
}

/* Two reads. The second is sent when the backend gets the first, which then ends at once. */
struct pair {
	struct io_fixture fixture;
	struct initiator_command first;
	struct initiator_command second;
	unsigned submits;
	unsigned fetches;
	unsigned doorbells[2]; /* how many there were when each was fetched */
};

static void submit_and_send_the_second(void *backend, struct tcmu_io *io)
{
	struct pair *pair = backend;

	if (pair->submits++ == 0)
		initiator_send(&pair->fixture, &pair->second);
	tcmu_io_complete(io, 0);
}

static void note_doorbells(
	void *userdata, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	struct pair *pair = container_of(userdata, struct pair, fixture);

	(void) cdb, (void) cdb_length, (void) data_length;
	assert_true(pair->fetches < 2);
	pair->doorbells[pair->fetches++] = fake_uio_counts(pair->fixture.uio).doorbells;
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
	static uint8_t in[2][FIXTURE_BLOCK];
	static struct pair pair;

	(void) state;
	pair = (struct pair){.first = cmd_read(0, 1, in[0]), .second = cmd_read(1, 1, in[1])};
	io_fixture_init(&pair.fixture, &(struct io_fixture_options){0});
	pair.fixture.setup.handler = &handler;
	pair.fixture.setup.backend = &pair;
	pair.fixture.setup.tracing = &tracing;
	pair.fixture.setup.trace = note_doorbells;
	assert_int_equal(io_thread_new(&pair.fixture.setup, &pair.fixture.thread), 0);
	io_fixture_wait_signal(&pair.fixture, IO_SIGNAL_ATTACHED);
	initiator_run(&pair.fixture, &pair.first);
	initiator_wait(&pair.second);
	assert_int_equal(pair.doorbells[0], 0);
	assert_int_equal(pair.doorbells[1], 1);
	/* and no command costs more than its own doorbell */
	assert_int_equal(fake_uio_counts(pair.fixture.uio).doorbells, 2);
	io_fixture_stop(&pair.fixture);
}

int main(void)
{
	const struct CMUnitTest uring_tests[] = {
		cmocka_unit_test(a_batch_shares_doorbells_and_one_system_call),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_allocate_nothing),
		cmocka_unit_test(emulated_answers_allocate_nothing),
		cmocka_unit_test(commands_with_bounce_buffers_allocate_nothing),
		cmocka_unit_test(native_write_zeroes_allocates_nothing),
		cmocka_unit_test(a_single_command_costs_one_doorbell_and_one_sleep),
		cmocka_unit_test(emulated_and_submitted_commands_share_a_doorbell),
		cmocka_unit_test(a_command_that_has_ended_is_completed_before_the_next_is_fetched),
	};

	main_thread = pthread_self();
	if (uring_is_here() && cmocka_run_group_tests(uring_tests, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
