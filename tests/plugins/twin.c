/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin with the subtype of another plugin.
 */
#include "plugin.h"

TCMU_HANDLER(.subtype = "good", .name = "Twin", PLUGIN_FUNCTIONS);
