/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failovers between two gateways on a real cluster (tests/ceph/cluster), whose directory is in
 * CEPH_TEST_CLUSTER, under a load that knows which writes were acknowledged. FAILOVERS is their
 * number, 20 if it is not set.
 *
 * Each write fills a piece with its version. A piece holds the version that was acknowledged last,
 * or a later one whose write has not ended GOOD. Once a version has been read, no other one appears
 * before the next write: nothing lands late.
 */
#include "gateway.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/handlers.h"
#include "images.h"

#define SIZE     (64 * MIB)
#define LENGTH   65536u
#define BLOCKS   (LENGTH / FIXTURE_BLOCK)
#define PIECES   16u
#define PATIENCE 60u /* seconds */

/* How the lock holder loses the lock while its writes are in flight. */
enum failover {
	FAILOVER_IMPLICIT, /* initiators write over the other gateway */
	FAILOVER_FENCED,   /* another host has its connection blocklisted */
	FAILOVER_DELETED,  /* its LUN is deleted, and created again later */
	FAILOVER_STALLED,  /* as FAILOVER_IMPLICIT, while the OSD does not run for a moment */
	FAILOVER_COUNT,
};

struct piece {
	uint32_t acknowledged; /* the newest version whose write has ended GOOD */
	uint32_t issued;       /* the newest version */
	uint32_t seen;         /* since the newest was issued; 0: not read yet */
};

static const char *cluster_dir;
static struct handlers *handlers;
static struct gateway *gateways[2];
static struct piece pieces[PIECES];
static uint8_t data[PIECES][2][LENGTH]; /* two writes of a piece may be in flight */

static struct gateway *start_gateway(unsigned i)
{
	char config[TCMU_CONFIG_MAX + 1];

	(void) snprintf(
		config, sizeof(config),
		"rbd/rbd/failovers;osd_op_timeout=20;conf=%s/ceph.conf;id=admin", cluster_dir);
	return gateway_new(
		handlers_find(handlers, "rbd"), config, SIZE, (uint16_t) (i + 1),
		SCSI_ACCESS_IMPLICIT);
}

static struct initiator_command next_write(unsigned i)
{
	uint32_t version = ++pieces[i].issued;

	uint8_t *to = data[i][version % 2];

	pieces[i].seen = 0;
	for (size_t at = 0; at < LENGTH; at += sizeof(version))
		memcpy(to + at, &version, sizeof(version));
	return cmd_write(i * BLOCKS, BLOCKS, to);
}

static void write_persistently(struct gateway *gateway, unsigned i)
{
	struct initiator_command write = next_write(i);

	assert_int_equal(gateway_do_persistently(gateway, &write, PATIENCE), SCSI_GOOD);
	pieces[i].acknowledged = pieces[i].issued;
}

static void check_pieces(struct gateway *gateway)
{
	static uint8_t got[LENGTH];

	for (unsigned i = 0; i < PIECES; i++) {
		struct initiator_command read = cmd_read(i * BLOCKS, BLOCKS, got);
		uint32_t version;

		assert_int_equal(gateway_do_persistently(gateway, &read, PATIENCE), SCSI_GOOD);
		memcpy(&version, got, sizeof(version));
		assert_memory_equal(got, got + sizeof(version), LENGTH - sizeof(version));
		if (version < pieces[i].acknowledged || version > pieces[i].issued ||
		    (pieces[i].seen && version != pieces[i].seen))
			fail_msg(
				"piece %u has version %u; acknowledged %u, issued %u, seen %u", i,
				version, pieces[i].acknowledged, pieces[i].issued, pieces[i].seen);
		pieces[i].seen = version;
	}
}

/* ------- one failover ------- */

static void begin_failover(enum failover kind, unsigned from)
{
	switch (kind) {
	case FAILOVER_FENCED:
		image_blocklist_watchers("failovers");
		break;
	case FAILOVER_DELETED:
		assert_true(gateway_remove(gateways[from]) < 4.0);
		break;
	case FAILOVER_STALLED:
		cluster_signal("osd", SIGSTOP);
		cluster_run("sleep 1");
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
		if (writes[i].status == SCSI_GOOD && versions[i] > pieces[i].acknowledged)
			pieces[i].acknowledged = versions[i];
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
	struct gateway *to = gateways[!from];
	uint32_t versions[PIECES];

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
	check_pieces(gateways[from]);
}

/* ------- all ------- */

static void nothing_is_lost_and_nothing_is_stale(void **state)
{
	const char *text = getenv("FAILOVERS");
	unsigned count = text ? (unsigned) strtoul(text, NULL, 10) : 20;
	uint64_t began = clock_now_ns(), longest = 0;

	(void) state;
	image_create("", "failovers", SIZE);
	for (unsigned i = 0; i < 2; i++)
		gateways[i] = start_gateway(i);
	for (unsigned i = 0; i < PIECES; i++)
		write_persistently(gateways[0], i);
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = clock_now_ns(), took;

		fail_over(i % FAILOVER_COUNT, i % 2);
		took = clock_now_ns() - start;
		longest = took > longest ? took : longest;
	}
	print_message(
		"%u failovers in %.1f s, the longest %.1f s\n", count,
		(double) (clock_now_ns() - began) / 1e9, (double) longest / 1e9);
	gateway_delete(gateways[0]);
	gateway_delete(gateways[1]);
	image_delete("failovers");
}

static int setup_failovers(void **state)
{
	(void) state;
	cluster_dir = getenv("CEPH_TEST_CLUSTER");
	assert_non_null(cluster_dir);
	images_connect(cluster_dir);
	handlers = handlers_new();
	assert_true(handlers_load(handlers, HANDLERS) > 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_and_nothing_is_stale)};

	return cmocka_run_group_tests(tests, setup_failovers, teardown_failovers);
}
