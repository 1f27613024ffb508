/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers that were written for tcmu-runner and see raw CDBs, as initiators see them: an optical
 * drive that answers every command, and a disk with zones that leaves most of them to the daemon.
 * OPTICAL and ZONED are the paths of the plugins.
 */
#include "io-fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISC_BLOCK  2048u
#define DISC_BLOCKS 100u
#define ZONE        64u /* blocks */

static const struct tcmu_sizes sizes = TCMU_SIZES;
static struct tcmu_host host;
static char last_line[256];

static void keep_line(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	(void) dev;
	(void) level;
	(void) snprintf(last_line, sizeof(last_line), "%s", message);
}

static const struct tcmu_handler *load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	tcmu_handler_entry_fn *entry;

	if (!library)
		fail_msg("%s", dlerror());
	entry = (tcmu_handler_entry_fn *) dlsym(library, TCMU_HANDLER_ENTRY);
	assert_non_null(entry);
	assert_non_null(entry());
	return entry();
}

/* A fixture whose backend is the handler's, of 1 MiB. */
static void start(
	struct io_fixture *fixture, const char *path, const char *target,
	const struct tcmu_handler **handler, void **backend)
{
	struct io_fixture_options options = {0};
	struct tcmu_config config = {
		.target = target, .raw = target, .size = 1024 * 1024, .block_size = FIXTURE_BLOCK};
	struct tcmu_backend_info info = {0};
	struct tcmu_reason reason = {""};

	io_fixture_init(fixture, &options);
	host = *fixture->setup.host;
	host.log = keep_line;
	host.size = sizeof(host);
	host.sizes = &sizes;
	*handler = load(path);
	config.subtype = (*handler)->subtype;
	assert_int_equal((*handler)->init(&reason), 0);
	if ((*handler)->open(&config, &host, NULL, &info, backend, &reason) != 0)
		fail_msg("%s", reason.text);
	assert_true(info.caps & TCMU_CAP_COMMANDS);
	fixture->setup.handler = *handler;
	fixture->setup.backend = *backend;
	fixture->setup.host = &host;
	fixture->setup.host_device = NULL;
	fixture->setup.info = info;
	io_fixture_start_thread(fixture);
}

static struct initiator_command cmd_cdb(
	const uint8_t *cdb, uint8_t cdb_length, const void *out, void *in, uint32_t length)
{
	struct initiator_command command = {
		.cdb_length = cdb_length, .out = out, .in = in, .length = length};

	memcpy(command.cdb, cdb, cdb_length);
	return command;
}

#define CDB(in, length, ...) \
	cmd_cdb((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), NULL, in, \
		length)

static void test_optical(void **state)
{
	static uint8_t disc[DISC_BLOCK * DISC_BLOCKS], in[4 * DISC_BLOCK];
	char path[] = "/tmp/test-commands-compat.XXXXXX";
	int fd = mkstemp(path);
	const struct tcmu_handler *handler;
	struct initiator_command command;
	struct io_fixture fixture;
	void *backend;

	(void) state;
	fill_pattern(disc, sizeof(disc), 11);
	assert_int_equal(write(fd, disc, sizeof(disc)), sizeof(disc));
	start(&fixture, OPTICAL, path, &handler, &backend);

	command = CDB(in, 64, 0x12, 0, 0, 0, 64, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(in[0], 0x05);
	assert_memory_equal(in + 16, "A disc drive    1.00", 20);
	command = CDB(in, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_memory_equal(in, ((uint8_t[]){0, 0, 0, DISC_BLOCKS - 1, 0, 0, 8, 0}), 8);
	command = CDB(in, 4 * DISC_BLOCK, 0x28, 0, 0, 0, 0, 7, 0, 0, 4, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(command.returned, 4 * DISC_BLOCK);
	assert_memory_equal(in, disc + 7 * DISC_BLOCK, 4 * DISC_BLOCK);
	command = CDB(in, 20, 0x43, 0, 0, 0, 0, 0, 0, 0, 20, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(in[19], DISC_BLOCKS);

	command = CDB(in, DISC_BLOCK, 0x28, 0, 0, 0, 0, DISC_BLOCKS, 0, 0, 1, 0);
	initiator_run_sense(&fixture, &command, 0x05, 0x2100);
	command = CDB(NULL, DISC_BLOCK, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	initiator_run_sense(&fixture, &command, 0x07, 0x2700);
	/* The daemon would answer these for a disk. */
	command = CDB(in, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	initiator_run_sense(&fixture, &command, 0x05, 0x2000);
	command = CDB(NULL, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	initiator_run_sense(&fixture, &command, 0x05, 0x2000);
	/* The disc ends early: INFORMATION is the block. */
	assert_int_equal(ftruncate(fd, DISC_BLOCK), 0);
	command = CDB(in, DISC_BLOCK, 0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0);
	initiator_run_sense(&fixture, &command, 0x03, 0x1100);
	assert_int_equal(cmd_sense_info(&command), 9);

	io_fixture_stop(&fixture);
	handler->close(backend);
	(void) unlink(path);
	close(fd);
}

static void test_zoned(void **state)
{
	static uint8_t out[ZONE * FIXTURE_BLOCK], in[ZONE * FIXTURE_BLOCK];
	const struct tcmu_handler *handler;
	struct initiator_command command;
	struct io_fixture fixture;
	uint8_t report[128];
	void *backend;

	(void) state;
	start(&fixture, ZONED, "x", &handler, &backend);
	fill_pattern(out, sizeof(out), 5);
	command = cmd_write(2 * ZONE, 10, out);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_write(2 * ZONE + 10, 6, out + 10 * FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_write(2 * ZONE + 10, 6, out);
	initiator_run_sense(&fixture, &command, 0x05, 0x2104);
	command = cmd_read(2 * ZONE, 16, in);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_memory_equal(in, out, 16 * FIXTURE_BLOCK);

	command = CDB(
		report, sizeof(report), 0x95, 0, 0, 0, 0, 0, 0, 0, 0, 2 * ZONE, 0, 0, 0,
		sizeof(report), 0, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(report[64 + 31], 2 * ZONE + 16);
	command = CDB(NULL, 0, 0x94, 0x04, 0, 0, 0, 0, 0, 0, 0, 2 * ZONE, 0, 0, 0, 0, 0, 0);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_write(2 * ZONE, 1, out + FIXTURE_BLOCK);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	/* Commands that it does not know are the daemon's. */
	command = cmd_test_unit_ready();
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	command = cmd_inquiry(in, 64);
	assert_int_equal(initiator_run(&fixture, &command), SCSI_GOOD);
	assert_int_equal(in[0], 0x00);
	io_fixture_stop(&fixture);
	handler->close(backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_optical),
		cmocka_unit_test(test_zoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
