/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exclusive open of block devices.
 */
#pragma once

#include <sys/types.h>

struct file_exclusive;

/* Opens the block device dev at path exclusively, so that it can neither be mounted nor be used by
 * another driver. All backends of the process share one exclusive open of a device; the daemon
 * decides whether they may. Returns 0, or -EBUSY: it is in use; or another negative errno. Any
 * thread; may block. */
int file_exclusive_get(const char *path, dev_t dev, struct file_exclusive **exclusive);

/* Ends one use; the last one closes the device. Takes NULL. Any thread; may block. */
void file_exclusive_put(struct file_exclusive *exclusive);
