/* SPDX-License-Identifier: Apache-2.0 */
/* See subject.h. */
#include "subject.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verdict.h"

#define VERIFY_BYTES 131072u

static struct tcmu_disk *subject_current; /* for the watchdog */

static void subject_on_violation(void *userdata, const char *what)
{
	(void) userdata;
	verdict_fail("%s", what);
}

static void subject_on_log(void *userdata, enum tcmu_log_level level, const char *line)
{
	(void) userdata;
	if (level <= TCMU_LOG_WARNING)
		verdict_warn("the handler logs: %s", line);
}

static void subject_on_health(void *userdata, const char *text)
{
	(void) userdata;
	if (text)
		verdict_warn("the handler reports its health: %s", text);
}

static void subject_explain(char *text, unsigned size)
{
	if (subject_current)
		tcmu_disk_describe(subject_current, text, size);
}

void subject_load(struct subject *subject, const struct cli *cli)
{
	struct tcmu_reason reason = {""};
	int r;

	*subject = (struct subject){.cli = cli, .random = cli->seed};
	verdict_step("loading the plugin");
	r = tcmu_plugin_load(cli->plugin, &subject->plugin, &reason);
	if (r < 0)
		verdict_fail("the plugin cannot be loaded: %s", reason.text);
	subject->handler = tcmu_plugin_handler(subject->plugin);
}

static void subject_on_event(void *userdata, enum tcmu_backend_event event, int64_t value)
{
	struct subject *subject = userdata;

	(void) value;
	if (event == TCMU_BACKEND_FAILED)
		atomic_store(&subject->failed, true);
}

int subject_open_quietly(struct subject *subject, unsigned opening, struct tcmu_reason *reason)
{
	const struct cli *cli = subject->cli;
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = cli->block_size,
		.disk_size = cli->size,
		.must_exist = opening & SUBJECT_AGAIN,
		.threads_only = cli->threads_only,
		.strict = true,
		.userdata = subject,
		.log = subject_on_log,
		.event = subject_on_event,
		.violation = subject_on_violation,
		.health = subject_on_health,
	};
	char config[512];

	(void) snprintf(
		config, sizeof(config), "%s%s", cli->config,
		opening & SUBJECT_READ_ONLY ? ";ro=1" : "");
	verdict_step("open");
	atomic_store(&subject->failed, false);
	return tcmu_disk_open(subject->plugin, config, &setup, &subject->disk, reason);
}

void subject_open(struct subject *subject, unsigned opening)
{
	struct tcmu_reason reason = {""};
	int r = subject_open_quietly(subject, opening, &reason);

	if (r < 0)
		verdict_fail("open fails (%s): %s", strerror(-r), reason.text);
	subject->info = tcmu_disk_info(subject->disk);
	subject_current = subject->disk;
	verdict_set_explain(subject_explain);
	verdict_step("requests");
}

void subject_close(struct subject *subject)
{
	struct tcmu_disk *disk = subject->disk;

	subject->disk = NULL;
	verdict_step("the end of the last requests");
	while (tcmu_disk_drain(disk, 1000) < 0)
		;
	subject_current = NULL;
	verdict_step("close");
	tcmu_disk_close(disk);
	verdict_step("what follows close");
}

void subject_skip(struct subject *subject, const char *why)
{
	if (subject->disk)
		subject_close(subject);
	verdict_skip("%s", why);
}

uint64_t subject_random(struct subject *subject, uint64_t limit)
{
	/* xorshift64* */
	uint64_t x = subject->random ? subject->random : 1;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	subject->random = x;
	return (x * UINT64_C(2685821657736338717) >> 16) % limit;
}

bool subject_can(const struct subject *subject, enum tcmu_io_op op)
{
	return subject->info->caps & TCMU_IO_CAP(op);
}

uint64_t subject_most_blocks(const struct subject *subject, enum tcmu_io_op op, uint64_t most)
{
	const struct tcmu_backend_info *info = subject->info;
	uint64_t bytes = op == TCMU_IO_READ || op == TCMU_IO_WRITE ? info->maximum_transfer
		: op == TCMU_IO_UNMAP                              ? info->maximum_unmap
		: op == TCMU_IO_COMPARE_AND_WRITE                  ? info->maximum_compare_and_write
								   : 0;
	uint64_t blocks = bytes / subject->cli->block_size;

	return bytes && blocks < most ? blocks : most;
}

void subject_model(
	const struct subject *subject, struct model *model, uint64_t first, uint64_t blocks)
{
	model_init(model, first, blocks, subject->cli->block_size);
	model->trusts = subject->cli->keeps == CLI_KEEPS_NOTHING;
	/* So that tests of one store do not write the same bytes. */
	model->serial = (uint64_t) subject->cli->seed << 32;
}

const char *subject_op_name(enum tcmu_io_op op)
{
	static const char *const names[] = {"?",
					    "READ",
					    "WRITE",
					    "FLUSH",
					    "UNMAP",
					    "WRITE_ZEROES",
					    "COMPARE_AND_WRITE",
					    "MAP",
					    "WRITE_SAME",
					    "COMMAND"};

	return names[(size_t) op < sizeof(names) / sizeof(names[0]) ? op : 0];
}

/* ------- one request ------- */

int subject_try(
	struct subject *subject, enum tcmu_io_op op, uint32_t flags, uint64_t block, uint64_t cnt,
	struct buffer *buffer, uint64_t *result, uint32_t *result_flags)
{
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = op,
		.flags = flags,
		.iov = buffer ? buffer->iov : NULL,
		.iov_cnt = buffer ? buffer->iov_cnt : 0,
		.offset = block * subject->cli->block_size,
		.length = cnt * subject->cli->block_size};

	return tcmu_disk_run(subject->disk, &request, result, result_flags);
}

void subject_do(
	struct subject *subject, enum tcmu_io_op op, uint32_t flags, uint64_t block, uint64_t cnt,
	struct buffer *buffer)
{
	int r = subject_try(subject, op, flags, block, cnt, buffer, NULL, NULL);

	if (r < 0)
		verdict_fail(
			"%s of %" PRIu64 " blocks at block %" PRIu64 " fails: %s",
			subject_op_name(op), cnt, block, strerror(-r));
}

void subject_write(
	struct subject *subject, struct model *model, uint64_t block, uint64_t cnt, uint32_t flags,
	enum buffer_shape shape)
{
	uint32_t size = model->block_size;
	uint64_t seed = model_seeds(model, cnt);
	uint8_t *data = malloc(size);
	struct buffer buffer;

	if (!data)
		abort();
	buffer_init(&buffer, cnt * size, shape);
	for (uint64_t i = 0; i < cnt; i++) {
		model_fill(model, seed + i, data);
		buffer_put(&buffer, i * size, data, size);
	}
	subject_do(subject, TCMU_IO_WRITE, flags, block, cnt, &buffer);
	for (uint64_t i = 0; i < cnt; i++) {
		model_set(model, block + i, seed + i);
		buffer_get(&buffer, i * size, data, size);
		if (memcmp(data, &(uint64_t){seed + i}, sizeof(seed)) != 0)
			verdict_fail("a WRITE changes the buffer");
	}
	buffer_release(&buffer);
	free(data);
}

void subject_verify(
	struct subject *subject, struct model *model, uint64_t block, uint64_t cnt,
	enum buffer_shape shape)
{
	uint32_t size = model->block_size;
	uint8_t *data = malloc(size);
	struct buffer buffer;
	char text[256];

	if (!data)
		abort();
	buffer_init(&buffer, cnt * size, shape);
	subject_do(subject, TCMU_IO_READ, 0, block, cnt, &buffer);
	for (uint64_t i = 0; i < cnt; i++) {
		buffer_get(&buffer, i * size, data, size);
		if (!model_check(model, block + i, data, text, sizeof(text)))
			verdict_fail(
				"wrong data: a READ of %" PRIu64 " blocks at block %" PRIu64 ": %s",
				cnt, block, text);
	}
	buffer_release(&buffer);
	free(data);
}

void subject_verify_all(struct subject *subject, struct model *model)
{
	uint64_t step = subject_most_blocks(
		subject, TCMU_IO_READ, VERIFY_BYTES / model->block_size);
	uint64_t end = model->first + model->blocks;

	for (uint64_t block = model->first; block < end; block += step)
		subject_verify(
			subject, model, block, end - block < step ? end - block : step,
			BUFFER_WHOLE);
}

void subject_flush(struct subject *subject)
{
	if (subject_can(subject, TCMU_IO_FLUSH))
		subject_do(subject, TCMU_IO_FLUSH, 0, 0, 0, NULL);
}
