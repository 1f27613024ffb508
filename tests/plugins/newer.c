/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of a later build of this interface: its description has fields that this daemon does not
 * know.
 */
#include "plugin.h"

static const struct {
	struct tcmu_handler handler;
	void *future[4];
} description = {
	.handler =
		{
			.abi = TCMU_HANDLER_ABI,
			.size = sizeof(description),
			.subtype = "newer",
			.name = "Newer",
			PLUGIN_FUNCTIONS,
		},
	.future = {(void *) &description},
};

PLUGIN_ENTRY(&description);
