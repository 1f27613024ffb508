/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target core keeps persistent reservations and ALUA states in folders that nobody else makes:
 * without them every PERSISTENT RESERVE OUT fails.
 *
 * Where they are can be changed until the first fabric module is loaded, and the tools that set
 * targets up do change it. They are looked for whenever a device is opened, which is before anybody
 * can reserve it.
 */
#include "device/target-dirs.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include <tcmu/configfs.h>

#include "base/log.h"

void target_dirs_create(void)
{
	static const char *const names[] = {"pr", "alua"};
	char root[256], path[300];

	if (tcmu_configfs_dbroot(root, sizeof(root)) < 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void) snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		if (g_mkdir_with_parents(path, 0755) < 0)
			log_warning("%s cannot be made: %s", path, strerror(errno));
	}
}
