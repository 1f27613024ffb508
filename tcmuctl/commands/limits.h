/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a device. They are options of its config string, so a change writes the string with
 * the new limits to configfs: the daemon sets them at once, and targetcli saves and restores them.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define LIMITS_CORE "/sys/kernel/config/target/core"

/* The config string with changes, each like "iops=500"; 0 is no limit. 0, or -EINVAL with *wrong,
 * which is the change, or -ENAMETOOLONG. */
int limits_config(
	const char *config, char *const *changes, int cnt, char *changed, size_t size,
	const char **wrong);

/* Writes the config string to the attribute of a device in this directory of configfs. 0 or -errno.
 */
int limits_write(const char *core, const char *device, const char *config);

/* Prints the limits of a result of "status" in one line. */
void limits_show(FILE *out, const json_t *status);
