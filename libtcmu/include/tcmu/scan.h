/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has: TCMU devices found in /sys/class/uio, and the parts of a uio device's name;
 * adapters of tcm_loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_NAME_MAX 256

/* "tcm-user/<hba>/<name>/<subtype>/<config>" taken apart. */
struct tcmu_name {
	uint32_t hba;             /* the N of configfs' user_N */
	char name[TCMU_NAME_MAX]; /* of the backstore */
	char subtype[64]; /* up to the first '/' of the config string; empty: there is none */
	char config[TCMU_NAME_MAX]; /* the whole "<subtype>/<config>" */
};

/* -EINVAL: not a TCMU name (another uio driver's). -ENAMETOOLONG. */
int tcmu_name_parse(const char *text, struct tcmu_name *name);

struct tcmu_scan_entry {
	unsigned minor;
	struct tcmu_name name;
};

/* All TCMU devices of the running kernel, by rising minor. The caller frees *entries with free().
 * Returns how many, or -errno. A device that disappears meanwhile is left out. */
int tcmu_scan(struct tcmu_scan_entry **entries);

/* The device with this minor. -ENODEV: there is none, or it is not TCMU's. */
int tcmu_scan_minor(unsigned minor, struct tcmu_scan_entry *entry);

/* How many bytes map0 of the device has. */
int tcmu_scan_map_size(unsigned minor, size_t *size);

/* Whether this machine has a host adapter of tcm_loop, the fabric of its own disks. Its initiator
 * is told that commands which a LUN RESET has aborted were done, with GOOD status (Linux 5.13 and
 * later): to be true, they have to be carried out. One look at sysfs; what cannot be seen counts as
 * there. */
bool tcmu_scan_loopback(void);

/* For tests: another root than "" for /sys and /dev. Not thread-safe; before anything else. */
void tcmu_set_root(const char *root);

#ifdef __cplusplus
}
#endif
