/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded plugin, and the config strings for it. */
#pragma once

#include <tcmu/handler.h>
#include <tcmu/host.h>

#include "config/options.h"

/* The stack of a config string. NULL: it has no filter, or is refused. */
struct stack *host_plugin_stack(const struct tcmu_plugin *plugin, const char *config);

/* Decodes a config string without its subtype. 0 with *options, to be freed; or an error with a
 * reason. */
int host_plugin_parse(
	const struct tcmu_plugin *plugin, const char *config, struct options **options,
	struct tcmu_reason *reason);
