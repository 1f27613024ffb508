/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that needs a function that does not exist.
 */
#include "plugin.h"

void function_that_does_not_exist(void *backend);

TCMU_HANDLER(.subtype = "unresolved", .open = plugin_open, .close = function_that_does_not_exist,
	     .submit = plugin_submit);
