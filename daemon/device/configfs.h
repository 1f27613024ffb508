/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's configfs attributes: those that are read when it is opened, its unit serial, and the
 * target ports that reach it.
 *
 * Stateless. Every function may wait while the kernel creates or deletes another device, so it
 * runs on a job's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/scan.h>

/* How the daemon learned of a device. */
enum device_origin {
	DEVICE_ORIGIN_ADDED, /* by ADDED_DEVICE */
	DEVICE_ORIGIN_FOUND, /* by a scan: the kernel had it already */
	DEVICE_ORIGIN_COUNT,
};

struct device_attributes {
	uint64_t size; /* bytes */
	uint32_t block_size;
	uint32_t max_sectors;     /* blocks of one command */
	uint32_t id;              /* for netlink answers; DEVICE_ORIGIN_FOUND only */
	uint32_t data_pages;      /* of a piece of the data area; 0: the kernel does not say */
	uint64_t command_timeout; /* cmd_time_out, ns; 0: the kernel never gives a command up */
	bool write_cache;         /* emulate_write_cache is not 0; of an open device: allowed */
	bool write_cache_shown;   /* this creation has made emulate_write_cache 1 */
	bool no_reservations; /* emulate_pr is 0; of a creation, before they are read: make it so */
	bool no_port_groups;  /* alua_support is 0 */
	bool replies;         /* nl_reply_supported: the kernel waits for answers */
	bool configured;      /* false: the creation waits for its answer */
};

/* cmd_time_out, ns; 0: never, or the kernel does not have it. Returns 0, or -errno with a reason:
 * it could not be read, and *timeout stays. */
int configfs_read_command_timeout(
	const struct tcmu_name *name, uint64_t *timeout, struct tcmu_reason *reason);

/* Reads the attributes. max_transfer: bytes; a device that is being created with the kernel's
 * default of hw_max_sectors gets as much, if its data area has room for it. Returns 0, or -errno
 * with a reason; the attributes before the failing one are valid then. */
int configfs_read_attributes(
	const struct tcmu_name *name, enum device_origin origin, uint64_t max_transfer,
	struct device_attributes *attributes, struct tcmu_reason *reason);

/* Before a device is served: the kernel reports aborted commands from now on, and the directories
 * exist in which the target core keeps reservations and ALUA states. Without them every PERSISTENT
 * RESERVE OUT fails. Best effort; a failure is logged. */
void configfs_prepare(const struct tcmu_name *name);

/* on: the kernel answers BUSY to new commands; off: it puts them into the ring. Returns 0 or
 * -errno; -EINVAL: the kernel has not configured the device yet. */
int configfs_block(const struct tcmu_name *name, bool on);

/* Empties the ring: the kernel answers BUSY for the commands in it, and takes their data pages. The
 * kernel must be blocked, and nothing may be in flight. Returns 0 or -errno. */
int configfs_reset_ring(const struct tcmu_name *name);

/* Reads the unit serial, the ports and their groups. A fact that is not there is unknown, and an
 * unknown serial is empty. lu_info->has_saved becomes false. Returns 0, or a scarce_error(): then
 * nothing is known of anything. */
int configfs_read_lu_info(const struct tcmu_name *name, struct scsi_lu_info *lu_info);

/* Whether a command that changes something without data-out may begin: nothing that the target core
 * would hold against a command with data-out is in force. Returns 0; -EROFS: an initiator may only
 * read, so this could be its command; -EBUSY: there is a reservation, and this may not be its
 * holder's command; or another negative errno, never -EAGAIN or -ESHUTDOWN: nothing is known. */
int configfs_check_mappings(const struct tcmu_name *name);

/* Whether initiators of a device may have another one read, or written (writes), by EXTENDED COPY:
 * each of them may do that itself, and nobody has reserved the other one. Returns 0 or -ENODEV: no,
 * or nothing is known. */
int configfs_check_copy(const struct tcmu_name *name, const struct tcmu_name *other, bool writes);

/* Changes states of target port groups, in their order (SPC-4 6.45, SET TARGET PORT GROUPS).
 * Returns 0, or the -errno of the first that the kernel refuses; those before it have changed.
 * -ENODEV: there is no such group. */
int configfs_set_groups(const struct tcmu_name *name, const struct scsi_group_states *states);
