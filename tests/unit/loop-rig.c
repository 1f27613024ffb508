/* SPDX-License-Identifier: Apache-2.0 */
/* See loop-rig.h. */
#include "loop-rig.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop-private.h"

#define WAIT_MAX_S 10

static void log_nothing(
	struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	(void) dev;
	(void) level;
	(void) message;
}

static void event_nothing(
	struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	(void) dev;
	(void) event;
	(void) value;
}

static const struct tcmu_host host = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(struct tcmu_host),
	.complete = io_complete,
	.aio = io_aio,
	.log = log_nothing,
	.event = event_nothing,
};

void rig_set_serial(struct loop *loop, const char *serial)
{
	struct scsi_identity identity = {0};

	(void) snprintf(identity.serial, sizeof(identity.serial), "%s", serial);
	loop_set_identity(loop, &identity);
}

/* ------- what the loop and the kernel call ------- */

void on_rig_signal(void *owner, uint32_t bits)
{
	struct rig *rig = owner;
	bool serial;

	pthread_mutex_lock(&rig->lock);
	rig->signals |= bits;
	rig->ended += (bits & LOOP_ENDED) != 0;
	serial = (bits & LOOP_NEEDS_IDENTITY) && rig->answer_serial;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
	if (serial)
		rig_set_serial(rig->loop, "serial");
}

static void on_completion(const struct fake_completion *completion, void *userdata)
{
	struct rig_command *command = completion->cookie;
	struct rig *rig = userdata;

	if (!command) /* an entry of an unknown kind */
		return;
	pthread_mutex_lock(&rig->lock);
	command->status = completion->status;
	command->has_read_len = completion->uflags & 2;
	command->read_len = completion->read_len;
	memcpy(command->sense, completion->sense, sizeof(command->sense));
	if (command->in)
		fake_completion_data(completion, command->in, command->length);
	for (unsigned i = 0; i < completion->iov_cnt; i++)
		memset(completion->iov[i].iov_base, RIG_POISON, completion->iov[i].iov_len);
	command->order = ++rig->completions;
	command->done = true;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

/* ------- the beginning and the end ------- */

static void make_lu(const struct rig_options *options, uint64_t size, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &options->backend.info;

	*lu = (struct scsi_lu){
		.vendor = "LIO-ORG",
		.product = "TCMU device",
		.revision = "0002",
		.config = "fake/device",
		.blocks = size / RIG_BLOCK,
		.block_size = RIG_BLOCK,
		.thin = info->thin,
		.unmap = info->caps & TCMU_IO_CAP(TCMU_IO_UNMAP),
		.unmap_zeroes = info->unmap_zeroes,
		.max_transfer = options->max_transfer ? options->max_transfer : 2048,
		.max_unmap = 1024 * 1024,
		.max_write_same = 1024 * 1024,
		.max_compare_and_write = 128,
		.has_map = info->caps & TCMU_IO_CAP(TCMU_IO_MAP),
		.can_erase = true,
		.write_cache = !options->no_write_cache,
		.write_cache_changeable = true,
	};
}

void rig_make(struct rig *rig, const struct rig_options *options)
{
	struct rig_options mine = *options;
	struct loop_setup *setup = &rig->setup;

	*rig = (struct rig){.answer_serial = !options->wait_serial};
	*setup = (struct loop_setup){
		.name = "rig",
		.start = options->start,
		.aio = options->aio,
		.depth = options->depth ? options->depth : 16,
		.busy_poll = options->busy_poll,
		.limits = options->limits,
		.host = &host,
		.signal = on_rig_signal,
		.owner = rig,
	};

	pthread_mutex_init(&rig->lock, NULL);
	pthread_cond_init(&rig->changed, NULL);
	if (!mine.backend.info.caps)
		mine.backend.info.caps = RIG_BASIC_CAPS;
	if (!mine.backend.size)
		mine.backend.size = 1024 * 1024;
	rig->backend = backend_new(&mine.backend);
	mine.uio.done = on_completion;
	mine.uio.userdata = rig;
	rig->uio = fake_uio_new(&mine.uio);
	assert_non_null(rig->uio);
	setup->minor = fake_uio_minor(rig->uio);
	(void) snprintf(setup->device.name, sizeof(setup->device.name), "%u", setup->minor);
	setup->handler = backend_handler(rig->backend);
	setup->backend = rig->backend;
	setup->host_device = (struct tcmu_host_device *) rig->backend;
	setup->info = mine.backend.info;
	make_lu(&mine, mine.backend.size, &setup->lu);
}

void rig_begin(struct rig *rig, const struct rig_options *options)
{
	rig_make(rig, options);
	assert_int_equal(loop_new(&rig->setup, &rig->loop), 0);
}

void rig_start(struct rig *rig, const struct rig_options *options)
{
	rig_begin(rig, options);
	rig_wait_signal(rig, LOOP_ATTACHED);
}

void rig_assert_let_go(struct rig *rig)
{
	assert_int_equal(fake_uio_mappings(rig->uio), 0);
	assert_false(fake_uio_is_open(rig->uio));
}

static void end_loop(struct rig *rig)
{
	struct fake_uio_counts counts;

	rig_wait_signal(rig, LOOP_ENDED);
	assert_int_equal(loop_in_flight(rig->loop), 0);
	loop_free(rig->loop);
	assert_int_equal(rig->ended, 1);
	rig_assert_let_go(rig);
	counts = fake_uio_counts(rig->uio);
	assert_int_equal(counts.wrong, 0);
	assert_int_equal(counts.broken, 0);
}

void rig_restart(struct rig *rig)
{
	end_loop(rig);
	rig_forget_signals(rig);
	rig->ended = 0;
	assert_int_equal(loop_new(&rig->setup, &rig->loop), 0);
}

void rig_finish(struct rig *rig)
{
	end_loop(rig);
	backend_free(rig->backend);
	fake_uio_free(rig->uio);
	pthread_cond_destroy(&rig->changed);
	pthread_mutex_destroy(&rig->lock);
}

void rig_stop(struct rig *rig)
{
	loop_drain(rig->loop, false);
	rig_finish(rig);
}

void rig_wait_orders(struct rig *rig)
{
	while (atomic_load(&rig->loop->has_orders))
		sched_yield();
}

/* Once it has answered, it starts what came before, and only then sleeps. */
void rig_wait_idle(struct rig *rig)
{
	struct rig_command ready = rig_test_unit_ready();

	rig_do(rig, &ready);
	while (fake_uio_sleepers() == 0)
		sched_yield();
}

static struct timespec deadline(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += WAIT_MAX_S;
	return at;
}

void rig_wait_signal(struct rig *rig, uint32_t bit)
{
	struct timespec until = deadline();
	bool there;
	int r = 0;

	pthread_mutex_lock(&rig->lock);
	while (!(rig->signals & bit) && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
	there = rig->signals & bit;
	pthread_mutex_unlock(&rig->lock);
	assert_true(there);
}

void rig_forget_signals(struct rig *rig)
{
	pthread_mutex_lock(&rig->lock);
	rig->signals = 0;
	pthread_mutex_unlock(&rig->lock);
}

/* ------- commands ------- */

void rig_push(struct rig *rig, struct rig_command *command)
{
	int id;

	command->rig = rig;
	command->done = false;
	backend_sync(rig->backend);
	id = fake_uio_push(
		rig->uio,
		&(struct fake_command){
			.cdb = command->cdb,
			.cdb_length = command->cdb_length,
			.data_out = command->out,
			.length = command->length,
			.cookie = command,
		});
	if (id < 0)
		fail_msg("a command could not be queued: %s", strerror(-id));
	command->id = (uint16_t) id;
}

void rig_notify(struct rig *rig)
{
	fake_uio_notify(rig->uio);
}

void rig_send(struct rig *rig, struct rig_command *command)
{
	rig_push(rig, command);
	rig_notify(rig);
}

void rig_wait(struct rig_command *command)
{
	struct rig *rig = command->rig;
	struct timespec until = deadline();
	bool done;
	int r = 0;

	pthread_mutex_lock(&rig->lock);
	while (!command->done && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&rig->changed, &rig->lock, &until);
	done = command->done;
	pthread_mutex_unlock(&rig->lock);
	if (!done)
		fail_msg("no answer to command %u, opcode %02x", command->id, command->cdb[0]);
}

bool rig_is_done(struct rig_command *command)
{
	bool done;

	pthread_mutex_lock(&command->rig->lock);
	done = command->done;
	pthread_mutex_unlock(&command->rig->lock);
	return done;
}

uint8_t rig_do(struct rig *rig, struct rig_command *command)
{
	rig_send(rig, command);
	rig_wait(command);
	return command->status;
}

/* ------- CDBs ------- */

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t) (value >> (24 - 8 * i));
}

struct rig_command rig_cdb16(
	uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t blocks, const void *out,
	uint32_t length)
{
	struct rig_command command = {
		.cdb = {opcode, byte1},
		.cdb_length = 16,
		.out = out,
		.length = length,
	};

	put32(command.cdb + 2, (uint32_t) (lba >> 32));
	put32(command.cdb + 6, (uint32_t) lba);
	put32(command.cdb + 10, blocks);
	return command;
}

struct rig_command rig_read(uint64_t lba, uint32_t blocks, void *in)
{
	struct rig_command command = rig_cdb16(0x88, 0, lba, blocks, NULL, blocks * RIG_BLOCK);

	command.in = in;
	return command;
}

struct rig_command rig_write(uint64_t lba, uint32_t blocks, const void *out)
{
	return rig_cdb16(0x8a, 0, lba, blocks, out, blocks * RIG_BLOCK);
}

struct rig_command rig_write_fua(uint64_t lba, uint32_t blocks, const void *out)
{
	return rig_cdb16(0x8a, 0x08, lba, blocks, out, blocks * RIG_BLOCK);
}

struct rig_command rig_flush(void)
{
	return rig_cdb16(0x91, 0, 0, 0, NULL, 0);
}

struct rig_command rig_test_unit_ready(void)
{
	return (struct rig_command){.cdb_length = 6};
}

struct rig_command rig_compare_and_write(uint64_t lba, uint8_t blocks, const void *out)
{
	struct rig_command command = rig_cdb16(0x89, 0, lba, 0, out, 2u * blocks * RIG_BLOCK);

	command.cdb[13] = blocks;
	return command;
}

/* ------- answers ------- */

static bool is_descriptor(const struct rig_command *command)
{
	return (command->sense[0] & 0x7e) == 0x72;
}

uint8_t rig_sense_key(const struct rig_command *command)
{
	return command->sense[is_descriptor(command) ? 1 : 2] & 0x0f;
}

uint16_t rig_sense_code(const struct rig_command *command)
{
	const uint8_t *at = command->sense + (is_descriptor(command) ? 2 : 12);

	return (uint16_t) (at[0] << 8 | at[1]);
}

uint64_t rig_sense_info(const struct rig_command *command)
{
	const uint8_t *sense = command->sense;
	bool wide = is_descriptor(command);
	const uint8_t *at = wide ? sense + 12 : sense + 3;
	uint64_t value = 0;

	if (wide ? sense[8] != 0 || !(sense[10] & 0x80) : !(sense[0] & 0x80))
		return UINT64_MAX;
	for (int i = 0; i < (wide ? 8 : 4); i++)
		value = value << 8 | at[i];
	return value;
}

void rig_pattern(void *memory, size_t length, uint32_t seed)
{
	uint8_t *bytes = memory;
	uint32_t value = seed * 2654435761u + 1;

	for (size_t i = 0; i < length; i++) {
		value = value * 1664525u + 1013904223u;
		bytes[i] = (uint8_t) (value >> 24);
	}
}
