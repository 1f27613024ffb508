/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. */
#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct setting {
	const char *name;
	const char *old_name; /* before Ceph 16, or NULL: there is none */
	const char *value;
	const char *number; /* the same value, as an operator may have written it */
	const char *why;    /* what another value does */
};

/* A completed write must be in the cluster, where other gateways see it. The holder of a broken
 * lock must be blocklisted. librbd 16 sends the time after which the entry expires as an integer,
 * which monitors refuse (-EINVAL); with 0 it sends none, and the monitors' default holds. */
static const struct setting settings[] = {
	{"rbd_cache", NULL, "false", "0", "keeps writes from other gateways"},
	{"rbd_persistent_cache_mode", NULL, "disabled", "disabled",
	 "keeps writes from other gateways"},
	{"rbd_blocklist_on_break_lock", "rbd_blacklist_on_break_lock", "true", "1",
	 "lets a former lock holder write"},
	{"rbd_blocklist_expire_seconds", "rbd_blacklist_expire_seconds", "0", "0",
	 "makes each takeover fail"},
	{"rbd_auto_exclusive_lock_until_manual_request", NULL, "true", "1",
	 "lets librbd take the lock by itself"},
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* A setting that this librbd does not know has no effect. */
static int set_setting(rados_t rados, const struct setting *setting)
{
	int r = rados_conf_set(rados, setting->name, setting->value);

	assert(setting->value);
	if (r == -ENOENT && setting->old_name)
		r = rados_conf_set(rados, setting->old_name, setting->value);
	return r == -ENOENT ? 0 : r;
}

int image_settings_set(rados_t rados)
{
	int r = 0;

	for (unsigned i = 0; i < SETTINGS && r >= 0; i++)
		r = set_setting(rados, &settings[i]);
	return r;
}

/* ------- the values in effect ------- */

/* Returns how many there are at *options, to be passed to free_options(); or a negative errno. */
static int list_options(rbd_image_t rbd, rbd_config_option_t **options)
{
	int cnt = 0;
	int r = rbd_config_image_list(rbd, NULL, &cnt);

	*options = NULL;
	if (r != -ERANGE || cnt <= 0)
		return r < 0 && r != -ERANGE ? r : -EIO;
	*options = calloc((size_t) cnt, sizeof(**options));
	if (!*options)
		return -ENOMEM;
	r = rbd_config_image_list(rbd, *options, &cnt);
	if (r >= 0)
		return cnt;
	free(*options);
	*options = NULL;
	return r;
}

static void free_options(rbd_config_option_t *options, int cnt)
{
	rbd_config_image_list_cleanup(options, cnt);
	free(options);
}

static bool is_named(const rbd_config_option_t *option, const struct setting *setting)
{
	return strcmp(option->name, setting->name) == 0 ||
		(setting->old_name && strcmp(option->name, setting->old_name) == 0);
}

/* The setting whose value is not as it must be; NULL: the option is none, or is fine. */
static const struct setting *find_violated(const rbd_config_option_t *option)
{
	for (unsigned i = 0; i < SETTINGS; i++)
		if (is_named(option, &settings[i]))
			return strcmp(option->value, settings[i].value) == 0 ||
					strcmp(option->value, settings[i].number) == 0
				? NULL
				: &settings[i];
	return NULL;
}

bool image_settings_cache(rbd_image_t rbd)
{
	rbd_config_option_t *options;
	int cnt = list_options(rbd, &options);
	bool cache = cnt < 0;

	assert(strcmp(settings[0].name, "rbd_cache") == 0 && (cnt < 0 || options));
	for (int i = 0; i < cnt; i++)
		cache = cache || find_violated(&options[i]) == &settings[0];
	if (cnt >= 0)
		free_options(options, cnt);
	return cache;
}

static int refuse_setting(
	const rbd_config_option_t *option, const struct setting *setting,
	struct tcmu_reason *reason)
{
	bool pool = option->source == RBD_CONFIG_SOURCE_POOL;

	return tcmu_refuse(
		reason, -EINVAL,
		"the %s's setting %s=%.32s %s; remove it with: rbd config %s rm <%s> %s",
		pool ? "pool" : "image", option->name, option->value, setting->why,
		pool ? "pool" : "image", pool ? "pool" : "image", option->name);
}

int image_settings_check(rbd_image_t rbd, struct tcmu_reason *reason)
{
	rbd_config_option_t *options;
	int cnt = list_options(rbd, &options);
	int r = 0;

	if (cnt < 0)
		return tcmu_refuse(
			reason, cnt, "cannot read the settings of the image: %s", strerror(-cnt));
	assert(options);
	for (int i = 0; i < cnt && r == 0; i++) {
		const struct setting *setting = find_violated(&options[i]);

		if (setting)
			r = refuse_setting(&options[i], setting, reason);
	}
	free_options(options, cnt);
	return r;
}
