/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of a TCMU device in configfs
 *
 * The functions read and write files below the device's directory,
 * /sys/kernel/config/target/core/user_<hba>/<name>.
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

/* Reads attrib/<attribute> as an unsigned number, decimal or hexadecimal with 0x.
 *
 * Returns 0 and sets *value, or a negative errno:
 * -ENOENT: the device is gone, or the kernel does not have the attribute.
 * -EBADMSG: the file does not hold one number.
 * -ENAMETOOLONG: the path is too long. */
int tcmu_configfs_get(const struct tcmu_name *name, const char *attribute, uint64_t *value);

/* Reads attrib/<attribute> as a signed number.
 *
 * Returns 0 and sets *value, or a negative errno:
 * -ENOENT: the device is gone, or the kernel does not have the attribute.
 * -EBADMSG: the file does not hold one number, or the number does not fit.
 * -ENAMETOOLONG: the path is too long. */
int tcmu_configfs_get_signed(const struct tcmu_name *name, const char *attribute, int64_t *value);

/* Writes value to attrib/<attribute> with one system call.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the device is gone, or the kernel does not have the attribute.
 * -EINVAL: the kernel refuses the value. */
int tcmu_configfs_set(const struct tcmu_name *name, const char *attribute, const char *value);

/* Writes value to attrib/<attribute> of a device whose creation still waits for the reply to its
 * added event. No process and no device that takes its name meanwhile is disturbed: the kernel
 * sends no event for the change.
 *
 * Returns 0 or a negative errno:
 * -EBUSY: the device is configured already.
 * -ENOENT: the device is gone, or the kernel does not have the attribute.
 * -EINVAL: the kernel refuses the value. */
int tcmu_configfs_set_before_enable(
	const struct tcmu_name *name, const char *attribute, const char *value);

/* Sets hw_max_sectors, the longest transfer that the kernel announces to initiators. sectors counts
 * blocks of the device. The kernel accepts a new value at any time.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the device is gone.
 * -EINVAL: the kernel refuses the value. */
int tcmu_configfs_set_max_sectors(const struct tcmu_name *name, uint32_t sectors);

/* Writes value to action/<action>. Actions are block_dev, reset_ring and free_kept_buf.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the device is gone, or the kernel does not have the action. */
int tcmu_configfs_action(const struct tcmu_name *name, const char *action, unsigned value);

/* Whether the device is configured.
 *
 * Returns 1 if it is; 0 if it is not yet, because an added event still waits for its reply; or a
 * negative errno:
 * -ENOENT: the device is gone.
 * -EBADMSG: the file does not hold one number. */
int tcmu_configfs_enabled(const struct tcmu_name *name);

/* Reads the id that netlink replies for this device carry (statistics/scsi_dev/indx).
 *
 * Returns 0 and sets *id, or a negative errno:
 * -ENOENT: the device is gone.
 * -EBADMSG: the file does not hold a number of 32 bits. */
int tcmu_configfs_device_id(const struct tcmu_name *name, uint32_t *id);

/* Reads the unit serial number (wwn/vpd_unit_serial) without its label. The text is empty while no
 * serial is set. size: bytes of serial, with the final NUL.
 *
 * Returns 0 and fills serial, or a negative errno:
 * -ENOENT: the device is gone.
 * -EBADMSG: the file does not begin with the label.
 * -ENAMETOOLONG: the serial does not fit. */
int tcmu_configfs_unit_serial(const struct tcmu_name *name, char *serial, size_t size);

/* Reads the target core's directory for persistent state, for example /etc/target
 * (target/dbroot). size: bytes of path, with the final NUL.
 *
 * Returns 0 and fills path, or a negative errno:
 * -ENOENT: the target core is not loaded, or names no directory.
 * -ENAMETOOLONG: the path does not fit. */
int tcmu_configfs_dbroot(char *path, size_t size);

#ifdef __cplusplus
}
#endif
