/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes of a command's pages reach its initiator. The pages hold data of earlier commands,
 * and the kernel copies them to every initiator that declares data-in, whatever the operation is.
 *
 * Each operation of the table is sent with pages full of a canary, and ends in each way. No byte of
 * the canary may be among those that the kernel copies.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <scsi/optable.h>

#define ROOM_MAX 9000u
#ifdef __SANITIZE_THREAD__
#define VARIANTS 1 /* the threads do the same with each */
#else
#define VARIANTS 4
#endif

struct way {
	const char *name;
	int error;         /* -errno of every request; 0: none fails */
	bool aborted;      /* while its request is in flight */
	bool refused;      /* a bit is set that must be zero */
	bool faulted;      /* the backend has failed */
	bool attention;    /* a unit attention condition is pending */
	bool short_iov;    /* the room is not a multiple of a block */
	uint16_t features; /* of the ring; 0: all */
	enum io_permission permission;
};

static const struct way ways[] = {
	{.name = "as it is"},
	{.name = "scattered room", .short_iov = true},
	{.name = "refused", .refused = true},
	{.name = "EIO", .error = -EIO},
	{.name = "EBUSY", .error = -EBUSY},
	{.name = "ECANCELED", .error = -ECANCELED},
	{.name = "EILSEQ", .error = -EILSEQ},
	{.name = "aborted", .aborted = true},
	{.name = "no permission", .permission = IO_PERMIT_NONE},
	{.name = "faulted", .faulted = true},
	{.name = "unit attention", .attention = true},
	{.name = "without READ_LEN", .features = TCMU_RING_OUT_OF_ORDER},
	{.name = "EBUSY without READ_LEN", .features = TCMU_RING_OUT_OF_ORDER, .error = -EBUSY},
};

static const uint32_t rooms[] = {1, 700, ROOM_MAX};

/* ------- commands ------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

/* Fields of several bytes get a small number; variant 0 has zeros in all fields. */
static void make_cdb(
	const struct scsi_operation *operation, unsigned variant, bool refused,
	struct initiator_command *command)
{
	uint32_t seed = operation->opcode * 64u + operation->action * 8u + variant;

	memset(command->cdb, 0, sizeof(command->cdb));
	for (unsigned i = 1; variant && i < operation->cdb_length; i++)
		if (operation->usage[i] != 0xff || operation->usage[i + 1] != 0xff)
			command->cdb[i] = (uint8_t) (next_random(&seed) % 12) & operation->usage[i];
	command->cdb[0] = operation->opcode;
	if (operation->has_action)
		command->cdb[1] = (uint8_t) ((command->cdb[1] & 0xe0) | operation->action);
	if (refused)
		command->cdb[operation->cdb_length - 1] = 0x04; /* NACA */
	command->cdb_length = operation->cdb_length;
}

/* ------- ways to end ------- */

static void prepare(struct io_fixture *fixture, const struct way *way)
{
	static const enum tcmu_io_op ops[] = {TCMU_IO_READ,         TCMU_IO_WRITE,
					      TCMU_IO_FLUSH,        TCMU_IO_UNMAP,
					      TCMU_IO_WRITE_ZEROES, TCMU_IO_COMPARE_AND_WRITE,
					      TCMU_IO_MAP,          TCMU_IO_WRITE_SAME};

	for (unsigned i = 0; way->error && i < sizeof(ops) / sizeof(ops[0]); i++)
		backend_fail(fixture->backend, ops[i], 0, 1000000, way->error);
	if (way->permission)
		io_thread_set_permission(fixture->thread, way->permission, 0);
	if (way->faulted)
		io_thread_fail(fixture->thread);
	io_fixture_wait_control(fixture);
}

static void run(
	struct io_fixture *fixture, const struct way *way, struct initiator_command *command)
{
	if (!way->aborted) {
		initiator_run(fixture, command);
		return;
	}
	backend_hold(fixture->backend, FIXTURE_ALL_CAPS);
	initiator_send(fixture, command);
	io_fixture_wait_idle(fixture);
	if (!initiator_is_done(command))
		initiator_abort(fixture, TCMU_TMR_TYPE_ABORT_TASK, command);
	io_fixture_wait_idle(fixture);
	backend_hold(fixture->backend, 0);
	backend_release(fixture->backend, 1000, BACKEND_OLDEST);
	initiator_wait(command);
}

/* The canary is in no answer, but for the time, by chance. The store is zeros before each command,
 * because a write stores the canary as its data-out. Returns whether the canary came back. */
static bool send_with_canary(
	struct io_fixture *fixture, const struct scsi_operation *operation, const struct way *way,
	unsigned variant, uint32_t room, uint8_t canary)
{
	static uint8_t out[ROOM_MAX], in[ROOM_MAX];
	struct initiator_command command = {.out = out, .in = in, .length = room};

	memset(out, canary, sizeof(out));
	memset(backend_store(fixture->backend), 0, 1024 * 1024);
	make_cdb(operation, variant, way->refused, &command);
	if (way->attention) {
		io_thread_set_size(fixture->thread, 1024 * 1024, &fixture->setup.info);
		io_fixture_wait_control(fixture);
	}
	run(fixture, way, &command);
	return memchr(in, canary, command.returned);
}

static void end_in_one_way(const struct scsi_operation *operation, const struct way *way)
{
	struct io_fixture fixture;
	struct io_fixture_options options = {
		.uio.ring.features = way->features,
		.uio.ring.scatter = way->short_iov,
		.backend.info.caps = FIXTURE_ALL_CAPS,
		.backend.can_cancel = true,
	};

	io_fixture_init(&fixture, &options);
	fixture.setup.lu.max_xcopies = 2;
	fixture.setup.lu.has_clock = true;
	fixture.setup.lu.has_port_groups = true;
	fixture.setup.lu.max_atomic = 8;
	io_fixture_start_thread(&fixture);
	prepare(&fixture, way);
	for (unsigned variant = 0; variant < VARIANTS; variant++)
		for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
			if (send_with_canary(&fixture, operation, way, variant, rooms[i], 0xd7) &&
			    send_with_canary(&fixture, operation, way, variant, rooms[i], 0x6b))
				fail_msg(
					"%s, %s, room for %u bytes: the data of an earlier command "
					"comes back",
					operation->name, way->name, rooms[i]);
	io_fixture_stop(&fixture);
}

static void no_byte_of_an_earlier_command_reaches_the_initiator(void **state)
{
	const struct scsi_operation *operation;

	(void) state;
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		for (unsigned j = 0; j < sizeof(ways) / sizeof(ways[0]); j++)
			/* Those of the target core are all refused in the same way. */
			if (j == 0 || !operation->by_target_core)
				end_in_one_way(operation, &ways[j]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_of_an_earlier_command_reaches_the_initiator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
