/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin whose subtype cannot be a menu of targetcli.
 */
#include "plugin.h"

TCMU_HANDLER(.subtype = "Bad-Name", PLUGIN_FUNCTIONS);
