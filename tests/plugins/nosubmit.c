/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin without submit().
 */
#include "plugin.h"

TCMU_HANDLER(.subtype = "nosubmit", PLUGIN_FUNCTIONS_BUT_SUBMIT);
