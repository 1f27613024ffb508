/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups of a TCMU device
 *
 * The functions read and change the device's target port groups in configfs (alua/). The fabrics'
 * own directories complete what the kernel says about ports. Numbers are those of SPC-4 6.37
 * (REPORT TARGET PORT GROUPS).
 *
 * Every call may block while the kernel creates or deletes another device. Do not call them on a
 * thread that answers netlink events or serves I/O. The functions keep no state and any thread may
 * call them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A port of a target that exports the device as a LUN. */
struct tcmu_port {
	char fabric[32];  /* the name of its directory: iscsi, loopback, ... */
	char target[224]; /* the target's name: iqn..., naa... */
	uint16_t tag;     /* target portal group tag */
	uint16_t id;      /* relative target port identifier; 0: it cannot be read */
	bool enabled;
};

/* A target port group: a directory of alua/. */
struct tcmu_port_group {
	char name[256];
	uint16_t id;
	uint8_t state;     /* ASYMMETRIC ACCESS STATE */
	uint8_t supported; /* supported states: byte 1 of the target port group descriptor */
	uint8_t status;    /* STATUS CODE */
	uint8_t access;    /* 1: implicit, 2: explicit, 3: both */
	bool preferred;
	uint8_t transition_seconds; /* IMPLICIT TRANSITION TIME */
	unsigned port_cnt;
	bool incomplete;         /* it may have further ports, which cannot be read */
	struct tcmu_port *ports; /* at most as many as the kernel lists in one page of text */
};

/* Reads all groups that have an identifier, in ascending order of it. The caller frees them with
 * tcmu_port_groups_free().
 *
 * Returns the number of groups and sets *groups, or a negative errno:
 * -ENOENT: the device is gone.
 * -ENOMEM: there is not enough memory. */
int tcmu_port_groups_read(const struct tcmu_name *name, struct tcmu_port_group **groups);

/* Frees cnt groups and their ports. groups may be NULL if cnt is 0. */
void tcmu_port_groups_free(struct tcmu_port_group *groups, int cnt);

/* Asks the target core to change the access state of a group. The target core then reports the
 * change to every initiator. by_initiator: records that an initiator has requested it.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the device or the group is gone.
 * -EINVAL: the kernel refuses the state, for example because only initiators may change it. */
int tcmu_port_groups_set_state(
	const struct tcmu_name *name, const char *group, uint8_t state, bool by_initiator);

/* Reads the identifier of the device's logical unit group.
 *
 * Returns 0 and sets *id, or a negative errno:
 * -ENOENT: the device is gone, or its group has no identifier.
 * -EBADMSG: the file does not hold a number of 16 bits. */
int tcmu_port_groups_lu_group(const struct tcmu_name *name, uint16_t *id);

#ifdef __cplusplus
}
#endif
