/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway: a device of the daemon from its creation to its deletion, between a fake kernel and a
 * handler, with port groups as a test wants them. Several gateways of one process are hosts that
 * know nothing of each other.
 *
 * The test's own thread is the main thread: it runs the main loop while it waits.
 */
#pragma once

#include "loop-rig.h"

#include "device.h"

/* Starts and ends what all gateways have in common; between them the fake configfs is there. */
void gateways_begin(void);
void gateways_end(void);

struct gateway;

/* config: "<subtype>/<config>". group: of this host's ports, one of 1 and 2; 0: it is not shared.
 * access: SCSI_ACCESS_. Waits until it is served. */
struct gateway *gateway_new(
	const struct tcmu_handler *handler, const char *config, uint64_t size, uint16_t group,
	uint8_t access);

/* Deletes the device; waits until nothing is left. */
void gateway_delete(struct gateway *gateway);

/* The first half of it: deletes, and waits for the answer. Returns how long that took, in seconds.
 */
double gateway_remove(struct gateway *gateway);

/* Port groups from now on, for who asks next. */
void gateway_regroup(struct gateway *gateway, uint16_t group, uint8_t access);

enum device_state gateway_state(const struct gateway *gateway);

/* Until it is in the state, seconds at most. */
void gateway_wait_state(struct gateway *gateway, enum device_state state, unsigned seconds);

/* Sends a command and waits for its answer. Returns the status. */
uint8_t gateway_do(struct gateway *gateway, struct rig_command *command);

/* Sends it. */
void gateway_send(struct gateway *gateway, struct rig_command *command);
void gateway_wait(struct rig_command *command);

/* As initiators do: again while it is BUSY, for so many seconds. */
uint8_t gateway_do_persistently(
	struct gateway *gateway, struct rig_command *command, unsigned seconds);

/* REPORT TARGET PORT GROUPS: the states of groups 1 and 2. */
void gateway_report(struct gateway *gateway, uint8_t states[static 2]);

/* SET TARGET PORT GROUPS. */
uint8_t gateway_set(struct gateway *gateway, uint16_t group, uint8_t state);

/* What configfs was told of the state of a group; 0xff: nothing. */
uint8_t gateway_configfs_state(const struct gateway *gateway, uint16_t group);

struct rig *gateway_rig(struct gateway *gateway);

/* Runs the main loop for a moment. */
void gateways_turn(void);
