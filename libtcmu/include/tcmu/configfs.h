/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's directory under /sys/kernel/config/target/core/user_<hba>/<name>. All calls may
 * block while the kernel creates or deletes a device beside it: never call them on a thread that
 * answers netlink or serves I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* attrib/<attribute> as a number. -ENOENT: the device is gone or the kernel does not know the
 * attribute. -EBADMSG: not a number. */
int tcmu_configfs_get(const struct tcmu_name *name, const char *attribute, uint64_t *value);
int tcmu_configfs_get_signed(const struct tcmu_name *name, const char *attribute, int64_t *value);

/* Writes attrib/<attribute>. */
int tcmu_configfs_set(const struct tcmu_name *name, const char *attribute, const char *value);

/* Sets hw_max_sectors, which initiators are told: in blocks. The kernel takes it at any time and
 * through the device's control file alone. */
int tcmu_configfs_set_max_sectors(const struct tcmu_name *name, uint32_t sectors);

/* Writes action/<action> (block_dev, reset_ring, free_kept_buf). -ENOENT: the kernel does not have
 * it. */
int tcmu_configfs_action(const struct tcmu_name *name, const char *action, unsigned value);

/* 1: configured; 0: not yet (an ADDED_DEVICE that waits for its answer); -errno. */
int tcmu_configfs_enabled(const struct tcmu_name *name);

/* The id that netlink replies carry (statistics/scsi_dev/indx). */
int tcmu_configfs_device_id(const struct tcmu_name *name, uint32_t *id);

/* wwn/vpd_unit_serial without its label; empty when it is not set yet. */
int tcmu_configfs_unit_serial(const struct tcmu_name *name, char *serial, size_t size);

/* The target core's folder for persistent state, e.g. /etc/target (<configfs>/target/dbroot). */
int tcmu_configfs_dbroot(char *path, size_t size);

#ifdef __cplusplus
}
#endif
