/* SPDX-License-Identifier: Apache-2.0 */
/* See cases-data.h. */
#include "cases-data.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"
#include "verdict.h"

#define REGION_BYTES (UINT64_C(16) << 20)
#define LONG_BYTES   (UINT64_C(1) << 20)
#define REQUESTS     3000
#define ROUNDS       24
#define RIVALS       16

static void data_open(struct subject *subject)
{
	subject_open(subject, SUBJECT_NEW);
	if (!subject_can(subject, TCMU_IO_WRITE))
		subject_skip(subject, "the handler has no WRITE");
}

static uint64_t data_blocks(const struct subject *subject, uint64_t most)
{
	return (subject->cli->size < most ? subject->cli->size : most) / subject->cli->block_size;
}

void case_read_write(struct subject *subject)
{
	static const unsigned sizes[] = {1, 2, 3, 7, 8, 9, 16, 31, 64, 127, 128, 255};
	uint64_t total = subject->cli->size / subject->cli->block_size, at = 3, most;
	struct model model, ends;

	data_open(subject);
	subject_model(subject, &model, 0, data_blocks(subject, REGION_BYTES));
	subject_model(subject, &ends, total - 64, 64);
	ends.serial += 1 << 24;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned shape = 0; shape < BUFFER_SHAPES; shape++) {
			most = subject_most_blocks(subject, TCMU_IO_WRITE, sizes[i]);
			subject_write(
				subject, &model, at, most, shape == 1 ? TCMU_IO_FUA : 0,
				(enum buffer_shape) shape);
			subject_verify(
				subject, &model, at, most,
				(enum buffer_shape)((shape + i) % BUFFER_SHAPES));
			at += most;
		}
	}
	/* The longest request, in one piece and in most pieces. */
	most = subject_most_blocks(subject, TCMU_IO_WRITE, LONG_BYTES / subject->cli->block_size);
	subject_write(subject, &model, 0, most, 0, BUFFER_WHOLE);
	subject_verify(subject, &model, 0, most, BUFFER_PAGES);
	subject_write(subject, &model, 0, most, 0, BUFFER_PAGES);
	subject_verify(subject, &model, 0, most, BUFFER_SPLIT);
	/* The first and the last block. */
	subject_write(subject, &model, 0, 1, 0, BUFFER_WHOLE);
	subject_write(subject, &ends, total - 1, 1, 0, BUFFER_WHOLE);
	subject_write(subject, &ends, total - 64, 63, 0, BUFFER_BLOCKS);
	subject_flush(subject);
	subject_verify_all(subject, &ends);
	subject_verify_all(subject, &model);
	subject_close(subject);
	model_free(&model);
	model_free(&ends);
}

/* ------- the other operations ------- */

static void data_test_zeroes(struct subject *subject, struct model *model, uint32_t flags)
{
	int r;

	subject_write(subject, model, 0, 64, 0, BUFFER_WHOLE);
	r = subject_try(subject, TCMU_IO_WRITE_ZEROES, flags, 3, 50, NULL, NULL, NULL);
	if (r == -EOPNOTSUPP)
		return;
	if (r < 0)
		verdict_fail("WRITE_ZEROES fails: %s", strerror(-r));
	for (unsigned i = 0; i < 50; i++)
		model_set(model, 3 + i, MODEL_ZERO);
	subject_verify(subject, model, 0, 64, BUFFER_WHOLE);
}

static void data_test_unmap(struct subject *subject, struct model *model)
{
	uint64_t most = subject_most_blocks(subject, TCMU_IO_UNMAP, 50);

	subject_write(subject, model, 0, 64, 0, BUFFER_WHOLE);
	subject_do(subject, TCMU_IO_UNMAP, 0, 5, most, NULL);
	for (unsigned i = 0; i < most; i++) {
		if (subject->info->unmap_zeroes)
			model_set(model, 5 + i, MODEL_ZERO);
		else
			model_forget(model, 5 + i);
	}
	subject_verify(subject, model, 0, 64, BUFFER_WHOLE);
}

/* A buffer of cnt blocks of the seeds from seed on. */
static void data_fill(
	const struct model *model, struct buffer *buffer, const uint64_t *seeds, unsigned cnt)
{
	uint8_t *block = malloc(model->block_size);

	if (!block)
		abort();
	buffer_init(buffer, (size_t) cnt * model->block_size, BUFFER_BLOCKS);
	for (unsigned i = 0; i < cnt; i++) {
		model_fill(model, seeds[i], block);
		buffer_put(buffer, (size_t) i * model->block_size, block, model->block_size);
	}
	free(block);
}

static void data_test_same(struct subject *subject, struct model *model)
{
	uint64_t seed = model_seeds(model, 1);
	struct buffer buffer;

	subject_write(subject, model, 0, 64, 0, BUFFER_WHOLE);
	data_fill(model, &buffer, &seed, 1);
	subject_do(subject, TCMU_IO_WRITE_SAME, 0, 2, 33, &buffer);
	for (unsigned i = 0; i < 33; i++)
		model_set(model, 2 + i, seed);
	buffer_release(&buffer);
	subject_verify(subject, model, 0, 64, BUFFER_WHOLE);
}

/* One COMPARE AND WRITE of a block that holds seed; byte: the one that differs, or -1. */
static void data_compare(struct subject *subject, struct model *model, uint64_t seed, int byte)
{
	uint64_t seeds[2] = {seed, model_seeds(model, 1)}, result = 0;
	struct buffer buffer;
	uint8_t value;
	int r;

	data_fill(model, &buffer, seeds, 2);
	if (byte >= 0) {
		buffer_get(&buffer, (size_t) byte, &value, 1);
		value ^= 0x80;
		buffer_put(&buffer, (size_t) byte, &value, 1);
	}
	r = subject_try(subject, TCMU_IO_COMPARE_AND_WRITE, 0, 4, 1, &buffer, &result, NULL);
	buffer_release(&buffer);
	if (model->trusts)
		return;
	if (byte < 0 && r < 0)
		verdict_fail("COMPARE_AND_WRITE of equal data fails: %s", strerror(-r));
	if (byte >= 0 && (r != -EILSEQ || result != (uint64_t) byte))
		verdict_fail(
			"COMPARE_AND_WRITE of data that differs in byte %d ends with %d and the "
			"result %" PRIu64 ", expected %d (EILSEQ) and %d",
			byte, r, result, -EILSEQ, byte);
	if (byte < 0)
		model_set(model, 4, seeds[1]);
	subject_verify(subject, model, 0, 64, BUFFER_WHOLE);
}

static void data_test_compare(struct subject *subject, struct model *model)
{
	int last = (int) subject->cli->block_size - 1;

	subject_write(subject, model, 0, 64, 0, BUFFER_WHOLE);
	data_compare(subject, model, model_get(model, 4), -1);
	data_compare(subject, model, model_get(model, 4), 0);
	data_compare(subject, model, model_get(model, 4), 77);
	data_compare(subject, model, model_get(model, 4), last);
}

/* MAP from the first to the last block goes on, and ends. */
static void data_test_map(struct subject *subject)
{
	uint64_t blocks = subject->cli->size / subject->cli->block_size, at = 0, result = 0;
	uint32_t flags = 0;

	for (unsigned i = 0; at < blocks && i < 1000; i++) {
		int r = subject_try(
			subject, TCMU_IO_MAP, 0, at, blocks - at, NULL, &result, &flags);

		if (r < 0)
			verdict_fail("MAP at block %" PRIu64 " fails: %s", at, strerror(-r));
		if (!result || result % subject->cli->block_size ||
		    result > (blocks - at) * subject->cli->block_size)
			verdict_fail(
				"MAP at block %" PRIu64 " ends with the result %" PRIu64
				", expected whole blocks of the range, at least one",
				at, result);
		at += result / subject->cli->block_size;
	}
}

void case_operations(struct subject *subject)
{
	struct model model;
	char names[160] = "";
	int used = 0;

	data_open(subject);
	subject_model(subject, &model, 0, 64);
	if (subject_can(subject, TCMU_IO_FLUSH))
		subject_flush(subject);
	if (subject_can(subject, TCMU_IO_WRITE_ZEROES)) {
		data_test_zeroes(subject, &model, 0);
		data_test_zeroes(subject, &model, TCMU_IO_MAY_UNMAP);
	}
	if (subject_can(subject, TCMU_IO_UNMAP))
		data_test_unmap(subject, &model);
	if (subject_can(subject, TCMU_IO_WRITE_SAME))
		data_test_same(subject, &model);
	if (subject_can(subject, TCMU_IO_COMPARE_AND_WRITE))
		data_test_compare(subject, &model);
	if (subject_can(subject, TCMU_IO_MAP))
		data_test_map(subject);
	for (int op = TCMU_IO_READ; op <= TCMU_IO_WRITE_SAME; op++) {
		if (!subject_can(subject, (enum tcmu_io_op) op))
			continue;
		used += snprintf(
			names + used, sizeof(names) - (size_t) used, "%s%s", used ? " " : "",
			subject_op_name((enum tcmu_io_op) op));
	}
	verdict_note("operations", "%s", names);
	subject_close(subject);
	model_free(&model);
}

/* ------- at the same time ------- */

void case_concurrent(struct subject *subject)
{
	static const unsigned depths[] = {1, 4, 32, 128};
	struct tcmu_disk_stats stats = {.size = sizeof(stats)};
	struct model model;

	data_open(subject);
	subject_model(subject, &model, 0, data_blocks(subject, REGION_BYTES));
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		struct traffic_setup setup = {
			.depth = depths[i],
			.requests = i ? REQUESTS / 3 : REQUESTS / 20,
			.most_blocks = i % 2 ? 128 : 16};

		traffic_run(subject, &model, &setup, NULL);
	}
	subject_flush(subject);
	subject_verify_all(subject, &model);
	tcmu_disk_read_stats(subject->disk, &stats);
	verdict_note("requests", "%" PRIu64, stats.requests);
	if (subject->handler->threading == TCMU_HANDLER_ASYNC) {
		verdict_note("longest-submit-us", "%" PRIu64, stats.longest_submit / 1000);
		if (stats.longest_submit > UINT64_C(500000000))
			verdict_fail(
				"submit of an ASYNC handler took %" PRIu64 " ms: it must not block",
				stats.longest_submit / 1000000);
	}
	subject_close(subject);
	model_free(&model);
}

struct data_rivals {
	pthread_mutex_t lock;
	unsigned won;
	unsigned lost;
	int error; /* another one than -EILSEQ */
};

static void data_on_rival(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct data_rivals *rivals = userdata;

	(void) result;
	(void) flags;
	pthread_mutex_lock(&rivals->lock);
	if (error == 0)
		rivals->won++;
	else if (error == -EILSEQ)
		rivals->lost++;
	else
		rivals->error = error;
	pthread_mutex_unlock(&rivals->lock);
}

/* So many requests of cnt blocks each, all at block 0. */
static void data_run_rivals(
	struct subject *subject, enum tcmu_io_op op, struct buffer *buffers, unsigned cnt,
	struct data_rivals *rivals)
{
	*rivals = (struct data_rivals){.lock = PTHREAD_MUTEX_INITIALIZER};
	for (unsigned i = 0; i < RIVALS; i++) {
		struct tcmu_disk_request request = {
			.size = sizeof(request),
			.op = op,
			.iov = buffers[i].iov,
			.iov_cnt = buffers[i].iov_cnt,
			.length = (uint64_t) cnt * subject->cli->block_size,
			.done = data_on_rival,
			.userdata = rivals};

		if (tcmu_disk_submit(subject->disk, &request, NULL) < 0)
			verdict_fail("%s cannot be submitted", subject_op_name(op));
	}
	while (tcmu_disk_drain(subject->disk, 1000) < 0)
		;
	if (rivals->error)
		verdict_fail(
			"%s at once with others fails: %s", subject_op_name(op),
			strerror(-rivals->error));
}

void case_overlapping(struct subject *subject)
{
	struct buffer buffers[RIVALS], all;
	struct data_rivals rivals;
	struct model model;
	uint64_t most, seeds[16], first;
	uint8_t *block = malloc(subject->cli->block_size);
	char text[256];

	if (!block)
		abort();
	data_open(subject);
	most = subject_most_blocks(subject, TCMU_IO_WRITE, 16);
	subject_model(subject, &model, 0, most);
	for (unsigned round = 0; round < ROUNDS; round++) {
		first = model.serial + 1;
		for (unsigned i = 0; i < RIVALS; i++) {
			for (uint64_t n = 0; n < most; n++)
				seeds[n] = model_seeds(&model, 1);
			data_fill(&model, &buffers[i], seeds, (unsigned) most);
		}
		data_run_rivals(subject, TCMU_IO_WRITE, buffers, (unsigned) most, &rivals);
		buffer_init(&all, most * model.block_size, BUFFER_WHOLE);
		subject_do(subject, TCMU_IO_READ, 0, 0, most, &all);
		for (uint64_t n = 0; n < most; n++) {
			uint64_t seed;

			buffer_get(&all, n * model.block_size, block, model.block_size);
			memcpy(&seed, block, sizeof(seed));
			model_set(
				&model, n,
				seed >= first && seed <= model.serial && (seed - first) % most == n
					? seed
					: first + n);
			if (!model_check(&model, n, block, text, sizeof(text)))
				verdict_fail(
					"wrong data after writes that overlap: %s, or any of the "
					"other writes",
					text);
		}
		buffer_release(&all);
		for (unsigned i = 0; i < RIVALS; i++)
			buffer_release(&buffers[i]);
	}
	subject_close(subject);
	model_free(&model);
	free(block);
}

void case_compare_at_once(struct subject *subject)
{
	struct buffer buffers[RIVALS];
	struct data_rivals rivals;
	struct model model;

	data_open(subject);
	if (!subject_can(subject, TCMU_IO_COMPARE_AND_WRITE))
		subject_skip(
			subject, "the handler has no COMPARE_AND_WRITE; the daemon emulates it");
	if (subject->cli->keeps == CLI_KEEPS_NOTHING)
		subject_skip(subject, "the handler keeps no data");
	subject_model(subject, &model, 0, 1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		subject_write(subject, &model, 0, 1, 0, BUFFER_WHOLE);
		for (unsigned i = 0; i < RIVALS; i++) {
			uint64_t seeds[2] = {model_get(&model, 0), model_seeds(&model, 1)};

			data_fill(&model, &buffers[i], seeds, 2);
		}
		data_run_rivals(subject, TCMU_IO_COMPARE_AND_WRITE, buffers, 1, &rivals);
		if (rivals.won != 1 || rivals.lost != RIVALS - 1)
			verdict_fail(
				"of %u COMPARE_AND_WRITE of the same old data %u succeed, and %u "
				"end with -EILSEQ",
				RIVALS, rivals.won, rivals.lost);
		for (unsigned i = 0; i < RIVALS; i++)
			buffer_release(&buffers[i]);
	}
	subject_close(subject);
	model_free(&model);
}

/* ------- SCSI commands ------- */

#define COMMANDS         2000u
#define COMMAND_DATA_MAX (16u * 4096)
#define CHECK_CONDITION  0x02
#define READ_10          0x28
#define WRITE_10         0x2a

static int commands_run(
	struct subject *subject, struct tcmu_disk_command *command, struct buffer *buffer,
	uint64_t *result)
{
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = TCMU_IO_COMMAND,
		.iov = buffer->iov,
		.iov_cnt = buffer->length ? buffer->iov_cnt : 0,
		.length = buffer->length,
		.command = command};

	return tcmu_disk_run(subject->disk, &request, result, NULL);
}

/* Those of SAM-5 5.3. */
static bool commands_status_is_known(uint8_t status)
{
	return status == 0x00 || status == 0x02 || status == 0x04 || status == 0x08 ||
		status == 0x18 || status == 0x28 || status == 0x30 || status == 0x40;
}

/* An error is the backend's, which ends a command as any request. */
static void commands_check_answer(
	const struct tcmu_disk_command *command, int error, uint64_t result, uint64_t length)
{
	uint8_t format = command->sense[0] & 0x7f;

	if (error)
		return;
	if (!commands_status_is_known(command->status))
		verdict_fail(
			"command %02xh ends with the status %02xh, which SCSI does not have",
			command->cdb[0], command->status);
	if (result > length)
		verdict_fail(
			"command %02xh has %" PRIu64
			" bytes of data-in, and there is room for %" PRIu64,
			command->cdb[0], result, length);
	if (command->status == CHECK_CONDITION && (format < 0x70 || format > 0x73))
		verdict_fail(
			"command %02xh ends with CHECK CONDITION, and its sense data begins with "
			"%02xh",
			command->cdb[0], command->sense[0]);
}

/* A READ(10) or a WRITE(10) of blocks that exist, as far as there is data. */
static void commands_make_transfer(
	struct subject *subject, struct tcmu_disk_command *command, uint64_t length)
{
	memset(command->cdb, 0, sizeof(command->cdb));
	command->cdb[0] = subject_random(subject, 2) ? READ_10 : WRITE_10;
	command->cdb[5] = (uint8_t) subject_random(subject, 16);
	command->cdb[8] = (uint8_t) (length / subject->cli->block_size);
}

static unsigned commands_random(struct subject *subject)
{
	static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28,
					  0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x4a, 0x55, 0x5a,
					  0x7f, 0x83, 0x88, 0x89, 0x8a, 0x8f, 0x93, 0x94, 0x95,
					  0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xbe, 0xc0, 0xff};
	unsigned answered = 0;

	for (unsigned i = 0; i < COMMANDS; i++) {
		struct tcmu_disk_command command = {.size = sizeof(command), .cdb_length = 16};
		uint64_t length = subject_random(subject, 4) * 512, result = 0;
		struct buffer buffer;
		int r;

		if (i % 8 == 0)
			length = subject_random(subject, 200);
		for (unsigned at = 1; at < 16; at++)
			command.cdb[at] = (uint8_t) subject_random(subject, i % 3 ? 4 : 256);
		command.cdb[0] = i % 4 ? opcodes[subject_random(subject, sizeof(opcodes))]
				       : (uint8_t) subject_random(subject, 256);
		buffer_init(&buffer, length, (enum buffer_shape)(i % BUFFER_SHAPES));
		if (i % 5 == 0)
			commands_make_transfer(subject, &command, length);
		r = commands_run(subject, &command, &buffer, &result);
		commands_check_answer(&command, r, result, length);
		answered += r != -EOPNOTSUPP;
		buffer_release(&buffer);
	}
	return answered;
}

/* READ(10) or WRITE(10) of blocks from the first on. False: the handler leaves it to the daemon, or
 * refuses it. */
static bool commands_transfer(
	struct subject *subject, uint8_t opcode, uint8_t blocks, struct buffer *buffer)
{
	struct tcmu_disk_command command = {
		.size = sizeof(command), .cdb_length = 10, .cdb = {opcode, [8] = blocks}};
	uint64_t result = 0;

	return commands_run(subject, &command, buffer, &result) == 0 && command.status == 0;
}

/* One store is behind commands and requests. */
static void commands_compare(struct subject *subject)
{
	uint64_t length = 8ull * subject->cli->block_size;
	uint8_t wrote[COMMAND_DATA_MAX], read[COMMAND_DATA_MAX];
	struct buffer buffer;

	if (!subject_can(subject, TCMU_IO_READ) || subject->cli->keeps == CLI_KEEPS_NOTHING ||
	    length > sizeof(wrote))
		return;
	for (unsigned i = 0; i < length; i++)
		wrote[i] = (uint8_t) subject_random(subject, 256);
	buffer_init(&buffer, length, BUFFER_PAGES);
	if (subject_try(subject, TCMU_IO_READ, 0, 0, 8, &buffer, NULL, NULL) == -EOPNOTSUPP) {
		buffer_release(&buffer); /* it answers every command by itself */
		return;
	}
	buffer_put(&buffer, 0, wrote, length);
	if (commands_transfer(subject, WRITE_10, 8, &buffer)) {
		subject_do(subject, TCMU_IO_READ, 0, 0, 8, &buffer);
		buffer_get(&buffer, 0, read, length);
		if (memcmp(wrote, read, length) != 0)
			verdict_fail("a READ does not find what the command WRITE(10) has written");
	}
	buffer_release(&buffer);
	buffer_init(&buffer, length, BUFFER_SPLIT);
	subject_do(subject, TCMU_IO_READ, 0, 0, 8, &buffer);
	buffer_get(&buffer, 0, wrote, length);
	buffer_release(&buffer);
	buffer_init(&buffer, length, BUFFER_SPLIT);
	if (commands_transfer(subject, READ_10, 8, &buffer)) {
		buffer_get(&buffer, 0, read, length);
		if (memcmp(wrote, read, length) != 0)
			verdict_fail("the command READ(10) does not find what a READ does");
	}
	buffer_release(&buffer);
}

void case_commands(struct subject *subject)
{
	unsigned answered;

	subject_open(subject, SUBJECT_NEW);
	if (!(subject->info->caps & TCMU_CAP_COMMANDS))
		subject_skip(subject, "the handler does not see commands");
	answered = commands_random(subject);
	commands_compare(subject);
	verdict_note("answered", "%u of %u", answered, COMMANDS);
	subject_close(subject);
}
