/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin with an option that is the daemon's.
 */
#include "plugin.h"

static const struct tcmu_option options[] = {
	{"ro", TCMU_OPTION_BOOL, "no", NULL, "mine"},
	{NULL},
};

TCMU_HANDLER(.subtype = "badoption", .options = options, PLUGIN_FUNCTIONS);
