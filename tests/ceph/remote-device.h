/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways that write pieces of an image: each write fills a piece with its version. They are in
 * this process, or one in the process of a remote gateway (remote-gateway.h), with a whole device.
 */
#pragma once

#include "gateway.h"

#include "config/handlers.h"

#define PIECES       16u
#define PIECE_LENGTH 65536u
#define PIECE_BLOCKS (PIECE_LENGTH / FIXTURE_BLOCK)

/* The directory of the cluster is in CEPH_TEST_CLUSTER. */
struct handlers *piece_handlers(void);
struct gateway *piece_gateway(
	struct handlers *handlers, const char *image, uint64_t size, uint16_t group,
	uint8_t access);

/* The write of a version. data: until it has ended. */
struct initiator_command piece_write(
	unsigned i, uint32_t version, uint8_t data[static PIECE_LENGTH]);

/* Repeats the command while it ends BUSY. Returns the status. */
uint8_t piece_persist(struct gateway *gateway, struct initiator_command *command);

/* Returns the version that the whole piece has; -1: it cannot be read, or has several. */
int piece_read(struct gateway *gateway, unsigned i);

/* The process of main(): a gateway of group 1. It carries out: "write PIECE VERSION" (repeated
 * while it is BUSY), "read PIECE", "send VERSION..." (a write of each piece, in flight), "answers"
 * (of these, waits for all; a bit for each GOOD), "cut" and "heal" (what it sends to the cluster).
 * Returns its exit status. */
int remote_device_main(char **argv);
