/* SPDX-License-Identifier: Apache-2.0 */
/* See cases-commands.h. */
#include "cases-commands.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "verdict.h"

#define COMMANDS        2000u
#define DATA_MAX        (16u * 4096)
#define CHECK_CONDITION 0x02
#define READ_10         0x28
#define WRITE_10        0x2a

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
	uint8_t wrote[DATA_MAX], read[DATA_MAX];
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
		verdict_skip("the handler does not see commands");
	answered = commands_random(subject);
	commands_compare(subject);
	verdict_note("answered", "%u of %u", answered, COMMANDS);
	subject_close(subject);
}
