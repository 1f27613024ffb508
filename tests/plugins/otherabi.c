/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of another version of the interface.
 */
#include "plugin.h"

static const struct tcmu_handler description = {
	.abi = 99,
	.size = sizeof(description),
	.subtype = "otherabi",
	PLUGIN_FUNCTIONS,
};

PLUGIN_ENTRY(&description);
