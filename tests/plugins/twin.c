/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that wants the subtype of another.
 */
#include "plugin.h"

TCMU_HANDLER(.subtype = "good", .name = "Twin", PLUGIN_FUNCTIONS);
