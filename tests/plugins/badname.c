/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin whose subtype is no valid name of a targetcli menu.
 */
#include "plugin.h"

TCMU_HANDLER(.subtype = "Bad-Name", PLUGIN_FUNCTIONS);
