/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings and the reservation of a TCMU device
 *
 * The target core keeps the mappings of LUNs to initiators, and the reservation of the logical
 * unit. It does not pass them to a backend with a command. These functions read them in configfs.
 *
 * Every call may block while the kernel creates or deletes another device. Do not call them on a
 * thread that answers netlink events or serves I/O. The functions keep no state and any thread may
 * call them.
 */
#pragma once

#include <stdbool.h>

#include <tcmu/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_mappings {
	unsigned initiators; /* mapped LUNs, and portal groups that admit all initiators */
	/* At least one initiator may only read: a mapped LUN has write_protect 1, or a portal group
	 * admits initiators without a mapping (generate_node_acls) and has demo_mode_write_protect
	 * 1. */
	bool write_protected;
	bool reserved; /* an initiator holds a reservation, persistent or by RESERVE */
};

/* Reads the mappings of all LUNs of the device, in all fabrics, and its reservation.
 *
 * Returns 0 and sets *mappings, or a negative errno; then nothing is known:
 * -ENOENT: the device is gone, or a mapping goes away just now.
 * -EBADMSG: a file does not hold the text of the kernel.
 * -ENOMEM: there is not enough memory.
 * Others are those of open(), readdir() and read(). */
int tcmu_mappings_read(const struct tcmu_name *name, struct tcmu_mappings *mappings);

/* Reads whether every initiator of one device may read another one (*may_read), and write it
 * (*may_write). False for a device without initiators. An initiator is known by its name in its
 * fabric. An initiator without a mapping is known by the portal group that admits it; on the
 * loopback fabric all of them are this host.
 *
 * Returns 0, or a negative errno as tcmu_mappings_read(). */
int tcmu_mappings_compare(
	const struct tcmu_name *name, const struct tcmu_name *other, bool *may_read,
	bool *may_write);

#ifdef __cplusplus
}
#endif
