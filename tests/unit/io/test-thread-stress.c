/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many commands and much chance: no wake-up is lost, the data is what a model says, and every life
 * comes to its end whatever ends it and when.
 *
 * IO_THREAD_SEED in the environment repeats a run's decisions, IO_THREAD_SECONDS makes the first
 * test longer.
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

/* The ways in which requests end. */
static const struct {
	struct rig_options options;
	unsigned later_us;
} kinds[] = {
	{.options.backend.info.caps = RIG_BASIC_CAPS},
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

static void nap(unsigned us)
{
	struct timespec pause = {.tv_nsec = us * 1000L};

	if (us)
		(void) nanosleep(&pause, NULL);
}

/* ------- wake-ups ------- */

struct sender {
	struct rig *rig;
	uint64_t until;
	unsigned seed;
	unsigned sent;
};

/* One command at a time, after a pause that is about as long as the other side takes to fall
 * asleep. */
#define SENT_MIN 100

static void *send_now_and_then(void *arg)
{
	struct sender *self = arg;
	uint8_t data[2 * RIG_BLOCK];

	memset(data, 0, sizeof(data));
	/* for a while, and for some commands however slow the machine is */
	while (now_us() < self->until || self->sent < SENT_MIN) {
		struct rig_command commands[] = {
			rig_read(self->seed % 64, 1, data), rig_write(self->seed % 64, 1, data),
			rig_test_unit_ready(), rig_flush()};

		rig_do(self->rig, &commands[rand_r(&self->seed) % 4]);
		self->sent++;
		if (rand_r(&self->seed) % 4 == 0)
			nap((unsigned) rand_r(&self->seed) % 60);
	}
	return NULL;
}

static void *give_orders(void *arg)
{
	struct sender *self = arg;

	while (now_us() < self->until) {
		char serial[16];

		(void) snprintf(serial, sizeof(serial), "%u", self->sent++);
		rig_set_serial(self->rig->thread, serial);
		nap((unsigned) rand_r(&self->seed) % 100);
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	(void) state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct sender senders[3];
		pthread_t threads[3];
		struct rig rig;

		rig_start(&rig, &kinds[kind].options);
		if (kinds[kind].later_us)
			backend_later(rig.backend, kinds[kind].later_us);
		for (unsigned i = 0; i < 3; i++) {
			senders[i] = (struct sender){
				.rig = &rig,
				.until = now_us() + seconds * 1000000u,
				.seed = seed_of_run + i,
			};
			assert_int_equal(
				pthread_create(
					&threads[i], NULL, i < 2 ? send_now_and_then : give_orders,
					&senders[i]),
				0);
		}
		for (unsigned i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		rig_stop(&rig);
	}
}

/* ------- falling asleep ------- */

/* What the other side does at the very moment when the thread has found nothing to do and goes to
 * sleep. It spins for the request, or for the signal, finds out how long that takes now and then,
 * and comes about as late. */
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

static void hand_over(void *backend, struct tcmu_io *io)
{
	(void) backend;
	atomic_store(&spinner.io, io);
}

static void see_signal(void *owner, uint32_t bits)
{
	on_rig_signal(owner, bits);
	if (bits & IO_SIGNAL_NEEDS_LU_INFO)
		atomic_store(&spinner.needs_serial, true);
}

static void wait_about_as_long(unsigned *length)
{
	unsigned dice = (unsigned) rand_r(&spinner.seed);
	unsigned most = dice % 8 ? *length / 100 * (dice / 8 % 100 + 5) : UINT_MAX;
	unsigned count = 0;

	while (count < most && !atomic_load(&spinner.thread->core.wait.asleep))
		count++;
	if (most == UINT_MAX)
		*length = count;
}

static void *spin(void *arg)
{
	(void) arg;
	while (!atomic_load(&spinner.ending)) {
		struct tcmu_io *io = atomic_exchange(&spinner.io, NULL);
		bool serial = atomic_exchange(&spinner.needs_serial, false);

		if (!io && !serial)
			continue;
		wait_about_as_long(&spinner.lengths[serial]);
		if (io)
			tcmu_io_complete(io, 0);
		if (serial)
			rig_set_serial(spinner.thread, "serial");
	}
	return NULL;
}

static void nothing_is_missed_while_falling_asleep(void **state)
{
	uint64_t until = now_us() + seconds * 1000000u;
	struct rig rig;
	uint8_t in[RIG_BLOCK];
	struct rig_command read = rig_read(0, 1, in);
	struct rig_command page = {
		.cdb = {0x12, 0x01, 0x80, 0, 64}, .cdb_length = 6, .length = 64, .in = in};
	pthread_t thread;

	(void) state;
	rig_make(&rig, &(struct rig_options){.wait_serial = true});
	spinner = (struct spinner){.handler = *rig.setup.handler, .seed = seed_of_run};
	spinner.handler.submit = hand_over;
	rig.setup.handler = &spinner.handler;
	rig.setup.signal = see_signal;
	assert_int_equal(io_thread_new(&rig.setup, &rig.thread), 0);
	rig_wait_signal(&rig, IO_SIGNAL_ATTACHED);
	spinner.thread = rig.thread;
	assert_int_equal(pthread_create(&thread, NULL, spin, NULL), 0);
	while (now_us() < until) {
		rig_do(&rig, &read);
		rig_do(&rig, &page);
	}
	atomic_store(&spinner.ending, true);
	pthread_join(thread, NULL);
	rig_stop(&rig);
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
	uint8_t buffer[2 * BLOCKS_MAX * RIG_BLOCK];
	struct rig_command command;
};

struct model {
	struct rig *rig;
	unsigned seed;
	uint8_t bytes[MODEL_BLOCKS * RIG_BLOCK];
	struct slot slots[SLOTS];
};

static unsigned chance(struct model *model, unsigned below)
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

static void make_command(struct model *model, struct slot *slot)
{
	uint32_t length = slot->blocks * RIG_BLOCK;
	const uint8_t *there = model->bytes + slot->lba * RIG_BLOCK;

	rig_pattern(slot->buffer, sizeof(slot->buffer), (uint32_t) rand_r(&model->seed));
	switch (slot->op) {
	case OP_READ:
		slot->command = rig_read(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_WRITE:
		slot->command = rig_write(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_WRITE_FUA:
		slot->command = rig_write_fua(slot->lba, slot->blocks, slot->buffer);
		break;
	case OP_SAME:
		slot->command = rig_cdb16(
			0x93, 0, slot->lba, slot->blocks, slot->buffer, RIG_BLOCK);
		break;
	case OP_COMPARE:
	case OP_MISCOMPARE:
		memcpy(slot->buffer, there, length);
		slot->buffer[chance(model, length)] ^= slot->op == OP_MISCOMPARE;
		slot->command = rig_compare_and_write(
			slot->lba, (uint8_t) slot->blocks, slot->buffer);
		break;
	case OP_OR:
		slot->command = rig_cdb16(0x8b, 0, slot->lba, slot->blocks, slot->buffer, length);
		break;
	default:
		memcpy(slot->buffer, there, length);
		slot->command = rig_cdb16(
			0x8f, 0x02, slot->lba, slot->blocks, slot->buffer, length);
		break;
	}
}

static void finish(struct model *model, struct slot *slot)
{
	uint8_t *there = model->bytes + slot->lba * RIG_BLOCK;
	uint32_t length = slot->blocks * RIG_BLOCK;

	rig_notify(model->rig);
	rig_wait(&slot->command);
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
			memcpy(there + i * RIG_BLOCK, slot->buffer, RIG_BLOCK);
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

/* Keeps many commands under way whose ranges do not overlap, so that each one's outcome is certain.
 */
static void run_model(struct model *model)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		struct slot *slot = &model->slots[chance(model, SLOTS)];

		if (slot->busy)
			finish(model, slot);
		slot->op = chance(model, OP_CNT);
		slot->blocks = 1 + chance(model, BLOCKS_MAX);
		slot->lba = chance(model, MODEL_BLOCKS - BLOCKS_MAX);
		if (!range_is_free(model, slot))
			continue;
		slot->busy = true;
		make_command(model, slot);
		rig_push(model->rig, &slot->command);
		if (chance(model, 3))
			rig_notify(model->rig);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (model->slots[i].busy)
			finish(model, &model->slots[i]);
}

static void the_data_is_what_the_model_says(void **state)
{
	(void) state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct rig_options options = kinds[kind].options;
		struct model *model = calloc(1, sizeof(*model));
		struct rig rig;

		options.backend.info.volatile_cache = true;
		options.uio.ring.scatter = kind % 2;
		rig_start(&rig, &options);
		if (kinds[kind].later_us)
			backend_later(rig.backend, kinds[kind].later_us);
		model->rig = &rig;
		model->seed = seed_of_run;
		run_model(model);
		backend_sync(rig.backend);
		assert_memory_equal(backend_store(rig.backend), model->bytes, sizeof(model->bytes));
		rig_stop(&rig);
		free(model);
	}
}

/* ------- ends ------- */

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

static void end(struct rig *rig, enum ending ending)
{
	if (ending == END_DRAIN || ending == END_CANCEL)
		io_thread_drain(rig->thread, ending == END_CANCEL);
	if (ending == END_UNREGISTER || ending == END_UNREGISTER_AND_REVOKE)
		fake_uio_unregister(rig->uio, false);
	if (ending == END_REVOKE || ending == END_UNREGISTER_AND_REVOKE) {
		assert_int_equal(io_thread_revoke(rig->thread), 0);
		rig_assert_let_go(rig);
	}
}

/* Each block has the old bytes or the new ones, the new ones where GOOD was said. */
static void check_blocks(const struct rig *rig, struct rig_command *writes)
{
	for (unsigned i = 0; i < WRITES; i++) {
		const uint8_t *block = backend_store(rig->backend) + (size_t) i * RIG_BLOCK;

		assert_true(block[0] == OLD || block[0] == NEW);
		if (rig_is_done(&writes[i]) && writes[i].status == SCSI_GOOD)
			assert_int_equal(block[0], NEW);
		for (unsigned j = 1; j < RIG_BLOCK; j++)
			assert_int_equal(block[j], block[0]);
	}
}

static void one_life(size_t kind, enum ending ending, unsigned *seed)
{
	struct rig_options options = kinds[kind].options;
	struct rig_command writes[WRITES], serial;
	uint8_t out[RIG_BLOCK], in[64];
	struct rig rig;

	options.depth = 8 + (unsigned) rand_r(seed) % 32;
	options.wait_serial = true;
	rig_begin(&rig, &options);
	memset(out, NEW, sizeof(out));
	memset(backend_store(rig.backend), OLD, WRITES * RIG_BLOCK);
	if (kinds[kind].later_us)
		backend_later(rig.backend, 200);
	serial = (struct rig_command){
		.cdb = {0x12, 0x01, 0x80, 0, 64}, .cdb_length = 6, .length = 64, .in = in};
	rig_push(&rig, &serial);
	for (unsigned i = 0; i < WRITES; i++) {
		writes[i] = rig_write(i, 1, out);
		rig_push(&rig, &writes[i]);
		if (rand_r(seed) % 4 == 0)
			rig_notify(&rig);
	}
	rig_notify(&rig);
	nap((unsigned) rand_r(seed) % 300);
	end(&rig, ending);
	rig_wait_signal(&rig, IO_SIGNAL_ENDED);
	backend_sync(rig.backend);
	check_blocks(&rig, writes);
	rig_finish(&rig);
}

static void every_life_comes_to_its_end(void **state)
{
	unsigned seed = seed_of_run;

	(void) state;
	for (unsigned i = 0; i < LIVES; i++)
		for (size_t kind = 0; kind < KINDS; kind++)
			one_life(kind, (enum ending)(rand_r(&seed) % END_CNT), &seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(nothing_is_missed_while_falling_asleep),
		cmocka_unit_test(the_data_is_what_the_model_says),
		cmocka_unit_test(every_life_comes_to_its_end),
	};
	const char *seed = getenv("IO_THREAD_SEED"), *longer = getenv("IO_THREAD_SECONDS");

	if (seed)
		seed_of_run = (unsigned) strtoul(seed, NULL, 10);
	if (longer)
		seconds = (unsigned) strtoul(longer, NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
