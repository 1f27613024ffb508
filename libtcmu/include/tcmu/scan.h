/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCMU devices and adapters of the running kernel
 *
 * The functions read /sys/class/uio and decode the names of uio devices. They keep no state and any
 * thread may call them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_NAME_MAX 256

/* "tcm-user/<hba>/<name>/<subtype>/<config>", decoded. */
struct tcmu_name {
	uint32_t hba;             /* the N of configfs' user_N */
	char name[TCMU_NAME_MAX]; /* of the backstore */
	char subtype[64];         /* up to the first '/' of the config string; empty: it has none */
	char config[TCMU_NAME_MAX]; /* the whole "<subtype>/<config>" */
};

/* A device that a scan has found. */
struct tcmu_scan_entry {
	unsigned minor; /* of the uio device */
	struct tcmu_name name;
};

/* Decodes the name of a uio device.
 *
 * Returns 0 and fills *name, or a negative errno:
 * -EINVAL: not a name of TCMU; another driver has made the uio device.
 * -ENAMETOOLONG: a part of the name does not fit. */
int tcmu_name_parse(const char *text, struct tcmu_name *name);

/* Finds all TCMU devices of the running kernel, in ascending order of the minor. A device that
 * disappears meanwhile is left out. The caller frees *entries with free().
 *
 * Returns the number of devices and sets *entries, or a negative errno:
 * -ENOMEM: there is not enough memory.
 * -EACCES: sysfs cannot be read. */
int tcmu_scan(struct tcmu_scan_entry **entries);

/* Finds the device with this minor.
 *
 * Returns 0 and fills *entry, or a negative errno:
 * -ENODEV: there is no such uio device, or it is not one of TCMU. */
int tcmu_scan_minor(unsigned minor, struct tcmu_scan_entry *entry);

/* Reads the length of the device's mapping (map0), in bytes.
 *
 * Returns 0 and sets *size, or a negative errno:
 * -ENODEV: there is no such uio device.
 * -EBADMSG: the file does not hold a number above 0. */
int tcmu_scan_map_size(unsigned minor, size_t *size);

/* Sets a directory that stands for "/" in all functions of this library. For tests. Not
 * thread-safe: call it before any other function. */
void tcmu_set_root(const char *root);

#ifdef __cplusplus
}
#endif
