/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin with an option whose name is reserved for the daemon.
 */
#include "plugin.h"

static const struct tcmu_option options[] = {
	{"ro", TCMU_OPTION_BOOL, "no", NULL, "mine"},
	{NULL},
};

TCMU_HANDLER(.subtype = "badoption", .options = options, PLUGIN_FUNCTIONS);
