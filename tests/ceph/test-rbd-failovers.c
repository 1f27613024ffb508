/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failovers between two gateways on a real cluster (tests/ceph/cluster), whose directory is in
 * CEPH_TEST_CLUSTER, under a load that knows which writes were acknowledged. FAILOVERS is their
 * number; if it is not set, there are two of each kind.
 *
 * Each write fills a piece with its version. A piece holds the version that was acknowledged last,
 * or a later one whose write has not ended GOOD. Once a version has been read, no other one appears
 * before the next write: nothing lands late.
 */
#include "remote-device.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "images.h"
#include "remote-gateway.h"

#define SIZE  (64 * MIB)
#define IMAGE "failovers"

/* How the lock holder loses the lock while its writes are in flight. */
enum failover {
	FAILOVER_IMPLICIT, /* initiators write over the other gateway */
	FAILOVER_EXPLICIT, /* they activate the other gateway by SET TARGET PORT GROUPS */
	FAILOVER_FENCED,   /* another host has its connection blocklisted */
	FAILOVER_DELETED,  /* its LUN is deleted, and created again later */
	FAILOVER_STALLED,  /* as FAILOVER_IMPLICIT, while the OSD does not run for a moment */
	FAILOVER_KILLED,   /* its process gets SIGKILL */
	FAILOVER_FROZEN,   /* its process gets SIGSTOP, and goes on after the takeover */
	FAILOVER_CUT,      /* nothing that it sends gets to the cluster until after the takeover,
			    * when its blocklist entry is removed */
	FAILOVER_COUNT,
	FAILOVER_REMOTE = FAILOVER_KILLED, /* from here on the lock holder is another process */
};

static const char *const failover_names[FAILOVER_COUNT] = {
	"implicit", "explicit", "fenced", "deleted", "stalled", "killed", "frozen", "cut"};

struct piece {
	uint32_t acknowledged; /* the newest version whose write has ended GOOD */
	uint32_t issued;       /* the newest version */
	uint32_t seen;         /* since the newest was issued; 0: not read yet */
};

static struct handlers *handlers;
static struct gateway *gateways[2];
static struct remote_gateway *remote;
static struct piece pieces[PIECES];
static uint8_t data[PIECES][2][PIECE_LENGTH]; /* two writes of a piece may be in flight */

/* The gateways of this process go on meanwhile: one that is fenced says that it has ended. */
static int await_remote(void)
{
	while (!remote_gateway_has_result(remote))
		gateways_iterate();
	return remote_gateway_result(remote);
}

#define do_remotely(...) (remote_gateway_send(remote, __VA_ARGS__), await_remote())

static struct gateway *start_gateway(unsigned i)
{
	return piece_gateway(handlers, IMAGE, SIZE, (uint16_t) (i + 1), SCSI_ACCESS_IMPLICIT);
}

static void restart_gateways(uint8_t access)
{
	for (unsigned i = 0; i < 2; i++) {
		gateway_delete(gateways[i]);
		gateways[i] = piece_gateway(handlers, IMAGE, SIZE, (uint16_t) (i + 1), access);
	}
}

static void activate_gateway(unsigned i)
{
	uint8_t list[8];
	struct initiator_command set = gateway_set_command(
		list, (uint16_t) (i + 1), SCSI_ACTIVE_OPTIMIZED);

	assert_int_equal(piece_persist(gateways[i], &set), SCSI_GOOD);
}

static uint32_t next_version(unsigned i)
{
	pieces[i].seen = 0;
	return ++pieces[i].issued;
}

static struct initiator_command next_write(unsigned i)
{
	uint32_t version = next_version(i);

	return piece_write(i, version, data[i][version % 2]);
}

static void write_persistently(struct gateway *gateway, unsigned i)
{
	struct initiator_command write = next_write(i);

	assert_int_equal(piece_persist(gateway, &write), SCSI_GOOD);
	pieces[i].acknowledged = pieces[i].issued;
}

static void note_good(unsigned i, uint32_t version)
{
	if (version > pieces[i].acknowledged)
		pieces[i].acknowledged = version;
}

static void check_piece(unsigned i, int read)
{
	uint32_t version = (uint32_t) read;

	if (read < 0)
		fail_msg("piece %u cannot be read, or has several versions", i);
	if (version < pieces[i].acknowledged || version > pieces[i].issued ||
	    (pieces[i].seen && version != pieces[i].seen))
		fail_msg(
			"piece %u has version %u; acknowledged %u, issued %u, seen %u", i, version,
			pieces[i].acknowledged, pieces[i].issued, pieces[i].seen);
	pieces[i].seen = version;
}

static void check_pieces(struct gateway *gateway)
{
	for (unsigned i = 0; i < PIECES; i++)
		check_piece(i, piece_read(gateway, i));
}

static void check_pieces_remotely(void)
{
	for (unsigned i = 0; i < PIECES; i++)
		check_piece(i, do_remotely("read %u", i));
}

/* ------- between the gateways of this process ------- */

static void begin_failover(enum failover kind, unsigned from)
{
	switch (kind) {
	case FAILOVER_EXPLICIT:
		activate_gateway(!from);
		break;
	case FAILOVER_FENCED:
		image_blocklist_watchers(IMAGE, 0);
		break;
	case FAILOVER_DELETED:
		assert_true(gateway_remove(gateways[from]) < 4.0);
		break;
	case FAILOVER_STALLED:
		cluster_signal("osd", SIGSTOP);
		(void) poll(NULL, 0, 1000);
		cluster_signal("osd", SIGCONT);
		break;
	default:
		break;
	}
}

/* Those of a deleted LUN may never end. */
static void note_answers(
	enum failover kind, unsigned from, struct initiator_command *writes,
	const uint32_t *versions)
{
	for (unsigned i = 0; i < PIECES; i++) {
		if (kind == FAILOVER_DELETED && !initiator_is_done(&writes[i]))
			continue;
		gateway_wait(&writes[i]);
		if (writes[i].status == SCSI_GOOD)
			note_good(i, versions[i]);
	}
	if (kind != FAILOVER_DELETED)
		return;
	gateway_delete(gateways[from]);
	gateways[from] = start_gateway(from);
}

/* The new lock holder writes half of the pieces while the old one's writes may be on their way. */
static void fail_over(enum failover kind, unsigned from)
{
	struct initiator_command writes[PIECES];
	struct gateway *to;
	uint32_t versions[PIECES];

	if (kind == FAILOVER_EXPLICIT) {
		restart_gateways(SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT);
		activate_gateway(from);
	}
	to = gateways[!from];
	write_persistently(gateways[from], 0);
	check_pieces(gateways[from]);
	for (unsigned i = 0; i < PIECES; i++) {
		writes[i] = next_write(i);
		versions[i] = pieces[i].issued;
		gateway_send(gateways[from], &writes[i]);
	}
	begin_failover(kind, from);
	for (unsigned i = 0; i < PIECES; i += 2)
		write_persistently(to, i);
	note_answers(kind, from, writes, versions);
	check_pieces(to);
	if (kind == FAILOVER_EXPLICIT)
		restart_gateways(SCSI_ACCESS_IMPLICIT);
	check_pieces(gateways[from]);
}

/* ------- from the gateway of another process ------- */

static void send_remotely(uint32_t versions[static PIECES])
{
	char text[PIECES * 12] = "";
	size_t length = 0;

	for (unsigned i = 0; i < PIECES; i++) {
		versions[i] = next_version(i);
		length += (size_t) snprintf(
			text + length, sizeof(text) - length, " %u", versions[i]);
	}
	assert_int_equal(do_remotely("send%s", text), 0);
}

static void note_remote_answers(const uint32_t *versions)
{
	int good = do_remotely("answers");

	for (unsigned i = 0; i < PIECES; i++)
		if (good & 1 << i)
			note_good(i, versions[i]);
}

/* After it has ended there is another process. */
static void return_remotely(
	enum failover kind, struct gateway *to, const uint32_t versions[static PIECES])
{
	if (kind == FAILOVER_KILLED) {
		check_pieces(to);
		remote = remote_gateway_start(IMAGE, 0);
		return;
	}
	if (kind == FAILOVER_FROZEN) {
		remote_gateway_signal(remote, SIGCONT);
	} else {
		check_pieces(to);
		cluster_clear_blocklist();
		assert_int_equal(do_remotely("heal"), 0);
		/* The data that is on its way gets there, if nothing keeps it out. */
		(void) poll(NULL, 0, 1000);
		check_pieces(to);
	}
	note_remote_answers(versions);
}

static void fail_over_remotely(enum failover kind, unsigned i)
{
	struct gateway *to = gateways[i];
	uint32_t versions[PIECES], version = next_version(0);

	assert_int_equal(do_remotely("write 0 %u", version), SCSI_GOOD);
	note_good(0, version);
	check_pieces_remotely();
	if (kind == FAILOVER_CUT)
		assert_int_equal(do_remotely("cut"), 0);
	send_remotely(versions);
	if (kind == FAILOVER_FROZEN)
		remote_gateway_signal(remote, SIGSTOP);
	else if (kind == FAILOVER_KILLED)
		remote_gateway_free(remote);
	for (unsigned j = 0; j < PIECES; j += 2)
		write_persistently(to, j);
	return_remotely(kind, to, versions);
	check_pieces(to);
	check_pieces_remotely();
}

/* ------- all ------- */

static void nothing_is_lost_and_nothing_is_stale(void **state)
{
	const char *text = getenv("FAILOVERS");
	unsigned count = text ? (unsigned) strtoul(text, NULL, 10) : 2 * FAILOVER_COUNT;
	double longest[FAILOVER_COUNT] = {0};
	uint64_t began = clock_now_ns();

	(void) state;
	image_create("", IMAGE, SIZE);
	for (unsigned i = 0; i < 2; i++)
		gateways[i] = start_gateway(i);
	remote = remote_gateway_start(IMAGE, 0);
	for (unsigned i = 0; i < PIECES; i++)
		write_persistently(gateways[0], i);
	for (unsigned i = 0; i < count; i++) {
		enum failover kind = i % FAILOVER_COUNT;
		unsigned from = (i + i / FAILOVER_COUNT) % 2;
		uint64_t start = clock_now_ns();
		double took;

		if (kind >= FAILOVER_REMOTE)
			fail_over_remotely(kind, !from);
		else
			fail_over(kind, from);
		took = (double) (clock_now_ns() - start) / 1e9;
		longest[kind] = took > longest[kind] ? took : longest[kind];
	}
	print_message(
		"%u failovers in %.1f s; the longest:", count,
		(double) (clock_now_ns() - began) / 1e9);
	for (unsigned i = 0; i < FAILOVER_COUNT; i++)
		print_message(" %s %.1f s", failover_names[i], longest[i]);
	print_message("\n");
	remote_gateway_free(remote);
	gateway_delete(gateways[0]);
	gateway_delete(gateways[1]);
	image_wait_unwatched(IMAGE, 30);
	image_delete(IMAGE);
}

static int setup_failovers(void **state)
{
	(void) state;
	handlers = piece_handlers();
	images_connect(getenv("CEPH_TEST_CLUSTER"));
	gateways_begin();
	return 0;
}

static int teardown_failovers(void **state)
{
	(void) state;
	gateways_end();
	handlers_free(handlers);
	images_disconnect();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_and_nothing_is_stale)};

	if (argc == 4 && strcmp(argv[1], REMOTE_GATEWAY) == 0)
		return remote_device_main(argv);
	return cmocka_run_group_tests(tests, setup_failovers, teardown_failovers);
}
