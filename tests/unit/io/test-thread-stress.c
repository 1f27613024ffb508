/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random load: no wake-up is lost, the data matches a model, and a device ends however and whenever
 * it is stopped.
 *
 * IO_THREAD_SEED in the environment repeats the decisions of a run. IO_THREAD_SECONDS makes the
 * first two tests longer.
 */
#include "io-fixture.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/thread.h"

static unsigned seed_of_run = 1;
static unsigned seconds = 1;

/* The ways in which requests complete. */
static const struct {
	struct io_fixture_options options;
	unsigned later_us;
} kinds[] = {
	{.options.backend.info.caps = FIXTURE_BASIC_CAPS},
	{.later_us = 30},
	{.options = {.aio = AIO_URING, .backend = {.aio = true, .syscalls = true}}},
	{.options = {.aio = AIO_THREADS, .backend = {.aio = true, .syscalls = true}}},
	{.options.backend = {.threading = TCMU_HANDLER_PARALLEL, .workers = 4, .syscalls = true}},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void sleep_us(unsigned us)
{
	struct timespec pause = {.tv_nsec = us * 1000L};

	if (us)
		(void) nanosleep(&pause, NULL);
}

/* ------- wake-ups ------- */

struct sender {
	struct io_fixture *fixture;
	uint64_t until;
	unsigned seed;
	unsigned sent;
	unsigned failed;
};

/* Sends one command at a time, with pauses about as long as the thread needs to fall asleep. */
#define SENT_MIN 100

static void *send_now_and_then(void *arg)
{
	struct sender *self = arg;
	uint8_t data[2 * FIXTURE_BLOCK];

	memset(data, 0, sizeof(data));
	/* for some time, and for some commands on a slow machine */
	while (now_us() < self->until || self->sent < SENT_MIN) {
		struct initiator_command commands[] = {
			cmd_read(self->seed % 64, 1, data), cmd_write(self->seed % 64, 1, data),
			cmd_test_unit_ready(), cmd_flush()};

		if (initiator_run(self->fixture, &commands[rand_r(&self->seed) % 4]) != SCSI_GOOD)
			self->failed++;
		self->sent++;
		if (rand_r(&self->seed) % 4 == 0)
			sleep_us((unsigned) rand_r(&self->seed) % 60);
	}
	return NULL;
}

static void *send_control_requests(void *arg)
{
	struct sender *self = arg;

	while (now_us() < self->until) {
		char serial[16];

		(void) snprintf(serial, sizeof(serial), "%u", self->sent++);
		io_fixture_set_serial(self->fixture->thread, serial);
		sleep_us((unsigned) rand_r(&self->seed) % 100);
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	(void) state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct sender senders[3];
		pthread_t threads[3];
		struct io_fixture fixture;

		io_fixture_start(&fixture, &kinds[kind].options);
		if (kinds[kind].later_us)
			backend_later(fixture.backend, kinds[kind].later_us);
		for (unsigned i = 0; i < 3; i++) {
			senders[i] = (struct sender){
				.fixture = &fixture,
				.until = now_us() + seconds * 1000000u,
				.seed = seed_of_run + i,
			};
			assert_int_equal(
				pthread_create(
					&threads[i], NULL,
					i < 2 ? send_now_and_then : send_control_requests,
					&senders[i]),
				0);
		}
		for (unsigned i = 0; i < 3; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(senders[i].failed, 0);
			assert_true(senders[i].sent > 0);
		}
		io_fixture_stop(&fixture);
	}
}

/* ------- falling asleep ------- */

/* Completes a request, or answers a signal, at the moment when the thread has found nothing to do
 * and falls asleep. Now and then it measures how long falling asleep takes; otherwise it waits
 * about that long. */
struct spinner {
	struct tcmu_handler handler;
	_Atomic(struct tcmu_io *) io;
	atomic_bool needs_serial;
	atomic_bool ending;
	struct io_thread *thread;
	unsigned lengths[2];
	unsigned seed;
};

static struct spinner spinner;

static void spinner_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	atomic_store(&spinner.io, io);
}

static void spinner_on_signal(void *context, uint32_t bits)
{
	io_fixture_on_signal(context, bits);
	if (bits & IO_SIGNAL_NEEDS_LU_INFO)
		atomic_store(&spinner.needs_serial, true);
}

static void spin_until_asleep(unsigned *length)
{
	unsigned dice = (unsigned) rand_r(&spinner.seed);
	unsigned most = dice % 8 ? *length / 100 * (dice / 8 % 100 + 5) : UINT_MAX;
	unsigned count = 0;

	while (count < most && !atomic_load(&spinner.thread->core.wait.asleep))
		count++;
	if (most == UINT_MAX)
		*length = count;
}

static void *spinner_main(void *arg)
{
	(void) arg;
	while (!atomic_load(&spinner.ending)) {
		struct tcmu_io *io = atomic_exchange(&spinner.io, NULL);
		bool serial = atomic_exchange(&spinner.needs_serial, false);

		if (!io && !serial)
			continue;
		spin_until_asleep(&spinner.lengths[serial]);
		if (io)
			tcmu_io_complete(io, 0);
		if (serial)
			io_fixture_set_serial(spinner.thread, "serial");
	}
	return NULL;
}

static void no_event_is_missed_while_falling_asleep(void **state)
{
	uint64_t until = now_us() + seconds * 1000000u;
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);
	struct initiator_command page = cmd_serial_page(in);
	pthread_t thread;

	(void) state;
	io_fixture_init(&fixture, &(struct io_fixture_options){.wait_serial = true});
	spinner = (struct spinner){.handler = *fixture.setup.handler, .seed = seed_of_run};
	spinner.handler.submit = spinner_submit;
	fixture.setup.handler = &spinner.handler;
	fixture.setup.signal = spinner_on_signal;
	io_fixture_start_thread(&fixture);
	spinner.thread = fixture.thread;
	assert_int_equal(pthread_create(&thread, NULL, spinner_main, NULL), 0);
	while (now_us() < until) {
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
		assert_int_equal(initiator_run(&fixture, &page), SCSI_GOOD);
	}
	atomic_store(&spinner.ending, true);
	pthread_join(thread, NULL);
	io_fixture_stop(&fixture);
}

/* ------- data ------- */

#define MODEL_BLOCKS 256u
#define BLOCKS_MAX   8u
#define SLOTS        16u
#define OPERATIONS   3000u

enum model_op {
	OP_READ,
	OP_WRITE,
	OP_WRITE_FUA,
	OP_SAME,
	OP_COMPARE,
	OP_MISCOMPARE,
	OP_OR,
	OP_VERIFY,
	OP_CNT,
};

struct slot {
	bool busy;
	enum model_op op;
	uint64_t lba;
	uint32_t blocks;
	uint8_t buffer[2 * BLOCKS_MAX * FIXTURE_BLOCK];
	struct initiator_command command;
};

struct model {
	struct io_fixture *fixture;
	unsigned seed;
	uint8_t bytes[MODEL_BLOCKS * FIXTURE_BLOCK];
	struct slot slots[SLOTS];
};

static unsigned model_random(struct model *model, unsigned below)
{
	return (unsigned) rand_r(&model->seed) % below;
}

static bool range_is_free(const struct model *model, const struct slot *slot)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct slot *other = &model->slots[i];

		if (other->busy && slot->lba < other->lba + other->blocks &&
		    other->lba < slot->lba + slot->blocks)
			return false;
	}
	return true;
}

static void slot_make_command(struct model *model, struct slot *slot)
{
	uint32_t length = slot->blocks * FIXTURE_BLOCK;
	const uint8_t *there = model->bytes + slot->lba * FIXTURE_BLOCK;

	fill_pattern(slot->buffer, sizeof(slot->buffer), (uint32_t) rand_r(&model->seed));
	switch (slot->op) {
	case OP_READ:
		slot->command = cmd_read(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_WRITE:
		slot->command = cmd_write(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_WRITE_FUA:
		slot->command = cmd_write_fua(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_SAME:
		slot->command = cmd_write_same(0, slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_COMPARE:
	case OP_MISCOMPARE:
		memcpy(slot->buffer, there, length);
		slot->buffer[model_random(model, length)] ^= slot->op == OP_MISCOMPARE;
		slot->command = cmd_compare_and_write(
			slot->lba, (uint8_t) slot->blocks, slot->buffer);
		break;
	case OP_OR:
		slot->command = cmd_orwrite(slot->lba, slot->blocks, slot->buffer);
		break;
	default:
		memcpy(slot->buffer, there, length);
		slot->command = cmd_verify(BYTCHK_DATA, slot->lba, slot->blocks, slot->buffer);
		break;
	}
}

static void slot_finish(struct model *model, struct slot *slot)
{
	uint8_t *there = model->bytes + slot->lba * FIXTURE_BLOCK;
	uint32_t length = slot->blocks * FIXTURE_BLOCK;

	initiator_notify(model->fixture);
	initiator_wait(&slot->command);
	slot->busy = false;
	assert_int_equal(
		slot->command.status, slot->op == OP_MISCOMPARE ? SCSI_CHECK_CONDITION : SCSI_GOOD);
	switch (slot->op) {
	case OP_READ:
		assert_memory_equal(slot->buffer, there, length);
		break;
	case OP_WRITE:
	case OP_WRITE_FUA:
		memcpy(there, slot->buffer, length);
		break;
	case OP_SAME:
		for (uint32_t i = 0; i < slot->blocks; i++)
			memcpy(there + i * FIXTURE_BLOCK, slot->buffer, FIXTURE_BLOCK);
		break;
	case OP_COMPARE:
		memcpy(there, slot->buffer + length, length);
		break;
	case OP_OR:
		for (uint32_t i = 0; i < length; i++)
			there[i] |= slot->buffer[i];
		break;
	default:
		break;
	}
}

/* Keeps many commands in flight whose ranges do not overlap, so that each result is certain. */
static void run_model(struct model *model)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		struct slot *slot = &model->slots[model_random(model, SLOTS)];

		if (slot->busy)
			slot_finish(model, slot);
		slot->op = model_random(model, OP_CNT);
		slot->blocks = 1 + model_random(model, BLOCKS_MAX);
		slot->lba = model_random(model, MODEL_BLOCKS - BLOCKS_MAX);
		if (!range_is_free(model, slot))
			continue;
		slot->busy = true;
		slot_make_command(model, slot);
		initiator_push(model->fixture, &slot->command);
		if (model_random(model, 3))
			initiator_notify(model->fixture);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (model->slots[i].busy)
			slot_finish(model, &model->slots[i]);
}

static void the_data_matches_the_model(void **state)
{
	(void) state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct io_fixture_options options = kinds[kind].options;
		struct model *model = calloc(1, sizeof(*model));
		struct io_fixture fixture;

		options.backend.info.volatile_cache = true;
		options.uio.ring.scatter = kind % 2;
		io_fixture_start(&fixture, &options);
		if (kinds[kind].later_us)
			backend_later(fixture.backend, kinds[kind].later_us);
		model->fixture = &fixture;
		model->seed = seed_of_run;
		run_model(model);
		backend_sync(fixture.backend);
		assert_memory_equal(
			backend_store(fixture.backend), model->bytes, sizeof(model->bytes));
		io_fixture_stop(&fixture);
		free(model);
	}
}

/* ------- stopping ------- */

#define LIVES  60u
#define WRITES 32u
#define OLD    0x11
#define NEW    0x22

enum ending {
	END_DRAIN,
	END_CANCEL,
	END_UNREGISTER,
	END_REVOKE,
	END_UNREGISTER_AND_REVOKE,
	END_CNT,
};

static void end_device(struct io_fixture *fixture, enum ending ending)
{
	if (ending == END_DRAIN || ending == END_CANCEL)
		io_thread_drain(fixture->thread, ending == END_CANCEL);
	if (ending == END_UNREGISTER || ending == END_UNREGISTER_AND_REVOKE)
		fake_uio_unregister(fixture->uio, false);
	if (ending == END_REVOKE || ending == END_UNREGISTER_AND_REVOKE) {
		assert_int_equal(io_thread_revoke(fixture->thread), 0);
		io_fixture_assert_released(fixture);
	}
}

/* Each block has either the old bytes or the new ones, and the new ones if its status is GOOD. */
static void check_blocks(const struct io_fixture *fixture, struct initiator_command *writes)
{
	for (unsigned i = 0; i < WRITES; i++) {
		const uint8_t *block = backend_store(fixture->backend) + (size_t) i * FIXTURE_BLOCK;

		assert_true(block[0] == OLD || block[0] == NEW);
		if (initiator_is_done(&writes[i]) && writes[i].status == SCSI_GOOD)
			assert_int_equal(block[0], NEW);
		for (unsigned j = 1; j < FIXTURE_BLOCK; j++)
			assert_int_equal(block[j], block[0]);
	}
}

static void run_one_device(size_t kind, enum ending ending, unsigned *seed)
{
	struct io_fixture_options options = kinds[kind].options;
	struct initiator_command writes[WRITES], serial;
	uint8_t out[FIXTURE_BLOCK], in[64];
	struct io_fixture fixture;

	options.depth = 8 + (unsigned) rand_r(seed) % 32;
	options.wait_serial = true;
	io_fixture_start_async(&fixture, &options);
	memset(out, NEW, sizeof(out));
	memset(backend_store(fixture.backend), OLD, WRITES * FIXTURE_BLOCK);
	if (kinds[kind].later_us)
		backend_later(fixture.backend, 200);
	serial = cmd_serial_page(in);
	initiator_push(&fixture, &serial);
	for (unsigned i = 0; i < WRITES; i++) {
		writes[i] = cmd_write(i, 1, out);
		initiator_push(&fixture, &writes[i]);
		if (rand_r(seed) % 4 == 0)
			initiator_notify(&fixture);
	}
	initiator_notify(&fixture);
	sleep_us((unsigned) rand_r(seed) % 300);
	end_device(&fixture, ending);
	io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
	backend_sync(fixture.backend);
	check_blocks(&fixture, writes);
	io_fixture_wait_end(&fixture);
}

static void every_device_ends_however_it_is_stopped(void **state)
{
	unsigned seed = seed_of_run;

	(void) state;
	for (unsigned i = 0; i < LIVES; i++)
		for (size_t kind = 0; kind < KINDS; kind++)
			run_one_device(kind, (enum ending)(rand_r(&seed) % END_CNT), &seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(no_event_is_missed_while_falling_asleep),
		cmocka_unit_test(the_data_matches_the_model),
		cmocka_unit_test(every_device_ends_however_it_is_stopped),
	};
	const char *seed = getenv("IO_THREAD_SEED"), *longer = getenv("IO_THREAD_SECONDS");

	if (seed)
		seed_of_run = (unsigned) strtoul(seed, NULL, 10);
	if (longer)
		seconds = (unsigned) strtoul(longer, NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
