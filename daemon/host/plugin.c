/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each plugin is alone in its set of handlers.
 */
#include "host/plugin.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "base/reason.h"
#include "config/handler-call.h"
#include "config/handlers.h"
#include "config/options.h"
#include "config/stack.h"

#define CONFIG_SIZE (TCMU_CONFIG_MAX + 2) /* one more than is valid: too long stays too long */

struct tcmu_plugin {
	struct handlers *handlers;
	const struct tcmu_handler *handler;
	char path[PATH_MAX];
};

/* A name without a slash and without ".so" is a subtype. */
static void plugin_find(const char *name, char *path, size_t size)
{
	if (strchr(name, '/') || g_str_has_suffix(name, ".so"))
		(void) snprintf(path, size, "%s%s", strchr(name, '/') ? "" : "./", name);
	else
		(void) snprintf(path, size, "%s/handler_%s.so", TCMUD_HANDLER_DIR, name);
}

int tcmu_plugin_load(const char *name, struct tcmu_plugin **ret, struct tcmu_reason *reason)
{
	struct tcmu_plugin *plugin = g_new0(struct tcmu_plugin, 1);
	const struct handlers_entry *entry;
	int r;

	plugin_find(name, plugin->path, sizeof(plugin->path));
	plugin->handlers = handlers_new();
	r = handlers_load_file(plugin->handlers, plugin->path, reason);
	if (r < 0) {
		tcmu_plugin_free(plugin);
		return r;
	}
	for (size_t i = 0; (entry = handlers_entry(plugin->handlers, i)); i++)
		if (entry->handler)
			plugin->handler = entry->handler;
	assert(plugin->handler);
	*ret = plugin;
	return 0;
}

void tcmu_plugin_free(struct tcmu_plugin *plugin)
{
	if (!plugin)
		return;
	handlers_free(plugin->handlers);
	g_free(plugin);
}

const struct tcmu_handler *tcmu_plugin_handler(const struct tcmu_plugin *plugin)
{
	return plugin->handler;
}

const char *tcmu_plugin_path(const struct tcmu_plugin *plugin)
{
	return plugin->path;
}

char *tcmu_plugin_help(const struct tcmu_plugin *plugin)
{
	char *text = options_describe(plugin->handler);
	char *copy = strdup(text);

	g_free(text);
	if (!copy)
		abort();
	return copy;
}

int host_plugin_parse(
	const struct tcmu_plugin *plugin, const char *config, struct options **options,
	struct tcmu_reason *reason)
{
	char text[CONFIG_SIZE];
	int len = snprintf(text, sizeof(text), "%s/%s", plugin->handler->subtype, config);
	int r = options_check_text(text, reason);

	assert(len > 0);
	return r < 0 ? r : options_parse(text, plugin->handler, options, reason);
}

struct stack *host_plugin_stack(const struct tcmu_plugin *plugin, const char *config)
{
	char text[CONFIG_SIZE];
	int len = snprintf(text, sizeof(text), "%s/%s", plugin->handler->subtype, config);

	assert(len > 0);
	return stack_new(plugin->handler, text);
}

int tcmu_plugin_check(
	const struct tcmu_plugin *plugin, const char *config, uint64_t disk_size,
	uint32_t block_size, struct tcmu_reason *reason)
{
	struct tcmu_config decoded;
	struct handler_call *call;
	struct options *options;
	int r = host_plugin_parse(plugin, config, &options, reason);

	if (r < 0 || !plugin->handler->check_config) {
		if (r >= 0)
			options_free(options);
		return r;
	}
	decoded = *options_config(options);
	decoded.size = disk_size;
	decoded.block_size = block_size;
	call = handler_call_new(plugin->handler, &decoded);
	r = handler_call_check(call, reason);
	handler_call_free(call);
	options_free(options);
	return r;
}

int tcmu_plugin_claim(
	const struct tcmu_plugin *plugin, const char *config, char *claim, size_t size,
	struct tcmu_reason *reason)
{
	const struct tcmu_handler *handler;
	struct options *options;
	struct stack *stack;
	int r;

	assert(size > 0);
	claim[0] = '\0';
	r = host_plugin_parse(plugin, config, &options, reason);
	if (r < 0)
		return r;
	stack = host_plugin_stack(plugin, config);
	handler = stack ? stack_handler(stack) : plugin->handler;
	if (handler->claim)
		r = handler_call_claim(handler, options_config(options), claim, size, reason);
	stack_free(stack);
	options_free(options);
	return r;
}
