/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that needs a function that nobody has.
 */
#include "plugin.h"

void nobody_has_this_function(void *backend);

TCMU_HANDLER(.subtype = "unresolved", .open = plugin_open, .close = nobody_has_this_function,
	     .submit = plugin_submit);
