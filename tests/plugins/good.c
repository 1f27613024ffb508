/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin without faults.
 */
#include "plugin.h"

static const struct tcmu_option options[] = {
	{"depth", TCMU_OPTION_UINT, "7", NULL, "requests at once"},
	{NULL},
};

TCMU_HANDLER(.subtype = "good", .name = "Good", .config_desc = "Anything.",
	     .threading = TCMU_HANDLER_PARALLEL, .io_priv_size = 64, .workers = 3,
	     .options = options, PLUGIN_FUNCTIONS);
