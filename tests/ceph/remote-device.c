/* SPDX-License-Identifier: Apache-2.0 */
/* See remote-device.h. */
#include "remote-device.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delay-shim.h"
#include "images.h"

#define TIMEOUT            20u  /* osd_op_timeout; longer than a takeover */
#define PATIENCE           60u  /* seconds */
#define PIECE_READ_SECONDS 120  /* a connection that was cut off ends after its time-outs */
#define LINE_BYTES         512u /* of a command */

struct remote_device {
	struct gateway *gateway;
	struct initiator_command sent[PIECES];
	uint8_t data[PIECES][PIECE_LENGTH];
};

struct handlers *piece_handlers(void)
{
	struct handlers *handlers = handlers_new();

	assert_non_null(getenv("CEPH_TEST_CLUSTER"));
	assert_true(handlers_load(handlers, HANDLERS) > 0);
	return handlers;
}

struct gateway *piece_gateway(
	struct handlers *handlers, const char *image, uint64_t size, uint16_t group, uint8_t access)
{
	char config[TCMU_CONFIG_MAX + 1];

	(void) snprintf(
		config, sizeof(config), "rbd/rbd/%s;osd_op_timeout=%u;conf=%s/ceph.conf;id=admin",
		image, TIMEOUT, getenv("CEPH_TEST_CLUSTER"));
	return gateway_new(handlers_find(handlers, "rbd"), config, size, group, access);
}

struct initiator_command piece_write(
	unsigned i, uint32_t version, uint8_t data[static PIECE_LENGTH])
{
	for (size_t at = 0; at < PIECE_LENGTH; at += sizeof(version))
		memcpy(data + at, &version, sizeof(version));
	return cmd_write(i * PIECE_BLOCKS, PIECE_BLOCKS, data);
}

static bool is_unavailable(const struct initiator_command *command)
{
	return command->status == SCSI_CHECK_CONDITION && (command->sense[2] & 0x0f) == 0x2 &&
		command->sense[12] == 0x04 && command->sense[13] == 0x0c;
}

/* A takeover that waits for a lease may take longer than commands are BUSY, on a slow host. */
uint8_t piece_persist(struct gateway *gateway, struct initiator_command *command)
{
	double began = gateway_now();

	while (gateway_do_persistently(gateway, command, PATIENCE) != SCSI_GOOD &&
	       is_unavailable(command) && gateway_now() - began < PATIENCE)
		gateways_iterate();
	return command->status;
}

int piece_read(struct gateway *gateway, unsigned i)
{
	static uint8_t got[PIECE_LENGTH];
	struct initiator_command read = cmd_read(i * PIECE_BLOCKS, PIECE_BLOCKS, got);
	double began = gateway_now();
	uint32_t version;

	/* NOT READY, unavailable, while the gateway gets a new connection */
	while (piece_persist(gateway, &read) != SCSI_GOOD &&
	       gateway_now() - began < PIECE_READ_SECONDS)
		gateways_iterate();
	memcpy(&version, got, sizeof(version));
	if (read.status != SCSI_GOOD ||
	    memcmp(got, got + sizeof(version), PIECE_LENGTH - sizeof(version)) != 0) {
		(void) fprintf(
			stderr, "piece %u: status %#x, sense %#x %#x %#x\n", i, read.status,
			read.sense[2], read.sense[12], read.sense[13]);
		return -1;
	}
	return (int) version;
}

/* ------- the process ------- */

static void send_all(struct remote_device *device, char *versions)
{
	for (unsigned i = 0; i < PIECES; i++) {
		uint32_t version = (uint32_t) strtoul(versions, &versions, 10);

		device->sent[i] = piece_write(i, version, device->data[i]);
		gateway_send(device->gateway, &device->sent[i]);
	}
}

static int wait_answers(struct remote_device *device)
{
	int good = 0;

	for (unsigned i = 0; i < PIECES; i++) {
		gateway_wait(&device->sent[i]);
		if (device->sent[i].status == SCSI_GOOD)
			good |= 1 << i;
	}
	return good;
}

static int carry_out(struct remote_device *device, char *line)
{
	static uint8_t data[PIECE_LENGTH];
	unsigned i = 0, version = 0;
	char word[16] = "";

	(void) sscanf(line, "%15s %u %u", word, &i, &version);
	if (strcmp(word, "write") == 0) {
		struct initiator_command write = piece_write(i, version, data);

		return piece_persist(device->gateway, &write);
	}
	if (strcmp(word, "read") == 0)
		return piece_read(device->gateway, i);
	if (strcmp(word, "answers") == 0)
		return wait_answers(device);
	if (strcmp(word, "send") == 0)
		send_all(device, line + strlen("send"));
	else if (strcmp(word, "cut") == 0)
		delay_shim_cut(true);
	else if (strcmp(word, "heal") == 0)
		delay_shim_cut(false);
	else
		return -1;
	return 0;
}

static bool has_command(void)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

int remote_device_main(char **argv)
{
	static struct remote_device device;
	char line[LINE_BYTES];
	int r = 0;

	gateways_begin();
	gateways_remove_root_at_end();
	setvbuf(stdin, NULL, _IONBF, 0);
	device.gateway = piece_gateway(
		piece_handlers(), argv[2], 64 * MIB, 1, SCSI_ACCESS_IMPLICIT);
	for (;;) {
		(void) printf("%d\n", r);
		(void) fflush(stdout);
		while (!has_command())
			gateways_iterate();
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		r = carry_out(&device, line);
	}
}
