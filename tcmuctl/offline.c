/* SPDX-License-Identifier: Apache-2.0 */
/* See offline.h. */
#include "offline.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/host.h>

#define PREFIX       "handler_"
#define SUFFIX       ".so"
#define SUBTYPE_SIZE 64

/* Copies the subtype that the name of a plugin's file has. False: it is none. */
static bool offline_subtype_of_file(const char *name, char *subtype, size_t size)
{
	size_t len = strlen(name);

	if (len <= strlen(PREFIX SUFFIX) || strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
	    strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	len -= strlen(PREFIX SUFFIX);
	if (len >= size)
		return false;
	memcpy(subtype, name + strlen(PREFIX), len);
	subtype[len] = '\0';
	return true;
}

static int offline_is_plugin(const struct dirent *entry)
{
	char subtype[SUBTYPE_SIZE];

	return offline_subtype_of_file(entry->d_name, subtype, sizeof(subtype));
}

/* The members of a handler in the daemon's answer. */
static json_t *offline_handler(const char *directory, const char *name)
{
	char subtype[SUBTYPE_SIZE], path[PATH_MAX], problem[PATH_MAX + 512];
	struct tcmu_reason reason = {""};
	struct tcmu_plugin *plugin;
	json_t *handler;

	if (!offline_subtype_of_file(name, subtype, sizeof(subtype)))
		return json_null();
	(void) snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (tcmu_plugin_load(path, &plugin, &reason) < 0) {
		(void) snprintf(
			problem, sizeof(problem), "the %s handler is not usable: %s: %s", subtype,
			path, reason.text);
		return json_pack(
			"{ss ss ss si}", "handler", subtype, "file", path, "problem", problem,
			"devices", 0);
	}
	handler = json_pack(
		"{ss ss sn si}", "handler", tcmu_plugin_handler(plugin)->subtype, "file", path,
		"problem", "devices", 0);
	tcmu_plugin_free(plugin);
	return handler;
}

static json_t *offline_handlers(const char *directory)
{
	json_t *handlers = json_array();
	struct dirent **files;
	int cnt = scandir(directory, &files, offline_is_plugin, alphasort);

	for (int i = 0; i < cnt; i++) {
		(void) json_array_append_new(
			handlers, offline_handler(directory, files[i]->d_name));
		free(files[i]);
	}
	if (cnt >= 0)
		free(files);
	return json_pack("{so}", "handlers", handlers);
}

static json_t *offline_checked(const char *config, bool fine, const char *message)
{
	return json_pack("{ss sb ss}", "config", config, "fine", fine, "message", message);
}

static json_t *offline_check(const char *directory, const char *config)
{
	const char *slash = strchr(config, '/');
	struct tcmu_reason reason = {""};
	struct tcmu_plugin *plugin;
	char path[PATH_MAX];
	int r;

	if (!slash || slash == config ||
	    strspn(config, "abcdefghijklmnopqrstuvwxyz0123456789_") != (size_t) (slash - config))
		return offline_checked(
			config, false,
			"the config string does not begin with a handler's name and a '/'");
	(void) snprintf(
		path, sizeof(path), "%s/" PREFIX "%.*s" SUFFIX, directory, (int) (slash - config),
		config);
	r = tcmu_plugin_load(path, &plugin, &reason);
	if (r < 0)
		return offline_checked(config, false, reason.text);
	r = tcmu_plugin_check(plugin, slash + 1, 0, 0, &reason);
	tcmu_plugin_free(plugin);
	return offline_checked(config, r >= 0, r >= 0 ? "success" : reason.text);
}

json_t *offline_answer_from(const char *directory, const json_t *request)
{
	const char *method = json_string_value(json_object_get(request, "method"));
	const char *config = json_string_value(json_object_get(request, "config"));

	if (method && strcmp(method, "handlers") == 0)
		return offline_handlers(directory);
	if (method && strcmp(method, "check") == 0 && config)
		return offline_check(directory, config);
	return NULL;
}

json_t *offline_answer(const json_t *request)
{
	return offline_answer_from(TCMUD_HANDLER_DIR, request);
}
