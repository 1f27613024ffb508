/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of an earlier build: its description ends after submit, so the daemon must ignore the
 * memory that follows.
 */
#include <stddef.h>

#include "plugin.h"

static const struct tcmu_handler description = {
	.abi = TCMU_HANDLER_ABI,
	.size = offsetof(struct tcmu_handler, cancel),
	.subtype = "older",
	.name = "Older",
	PLUGIN_FUNCTIONS,
	.cancel = plugin_submit,
};

PLUGIN_ENTRY(&description);
