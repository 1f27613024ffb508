/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups of a device.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A port of a target that the device is a LUN of. */
struct tcmu_port {
	char fabric[32];  /* as its folder is called: iscsi, loopback, ... */
	char target[224]; /* the target's name: iqn..., naa... */
	uint16_t tag;     /* of the target portal group */
	uint16_t id;      /* relative target port identifier */
	bool enabled;
};

/* A folder of alua/: a target port group. Numbers are those of SPC-4 6.37. */
struct tcmu_port_group {
	char name[256];
	uint16_t id;
	uint8_t state;
	uint8_t supported; /* states: byte 1 of the target port group descriptor */
	uint8_t status;
	uint8_t access; /* 1: implicit, 2: explicit, 3: both */
	bool preferred;
	uint8_t transition_seconds;
	unsigned port_cnt;
	struct tcmu_port *ports; /* as many as the kernel tells, which is a page of text */
};

/* The groups that have a number, in the order of their numbers. Returns how many; free them with
 * tcmu_port_groups_free(). -ENOENT: the device is gone; -ENOMEM. */
int tcmu_port_groups_read(const struct tcmu_name *name, struct tcmu_port_group **groups);
void tcmu_port_groups_free(struct tcmu_port_group *groups, int cnt);

/* Makes the target core change a group's state: every initiator is told. by_initiator: one has
 * asked for it. -EINVAL: the kernel refuses it, so for a group that only initiators may change. */
int tcmu_port_groups_set_state(
	const struct tcmu_name *name, const char *group, uint8_t state, bool by_initiator);

/* The number of the logical unit group. -ENOENT: it is in none that has a number. */
int tcmu_port_groups_lu_group(const struct tcmu_name *name, uint16_t *id);

#ifdef __cplusplus
}
#endif
