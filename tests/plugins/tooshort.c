/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin whose description is too short for the required functions.
 */
#include <stddef.h>

#include "plugin.h"

static const struct tcmu_handler description = {
	.abi = TCMU_HANDLER_ABI,
	.size = offsetof(struct tcmu_handler, submit),
	.subtype = "tooshort",
	PLUGIN_FUNCTIONS,
};

PLUGIN_ENTRY(&description);
