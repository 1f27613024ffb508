/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmu.conf from any bytes: it ends, every value stays in its range, every warning is printable,
 * and what it says can be said again with the same result.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_warning(void *userdata, unsigned line, const char *text)
{
	unsigned *cnt = userdata;

	assert(line > 0);
	assert(strlen(text) > 10);
	for (; *text; text++)
		assert(*text >= ' ' && *text <= '~');
	(*cnt)++;
}

static void check_key(void *userdata, const char *key, const char *before, const char *after)
{
	struct settings *settings = userdata;

	assert(strcmp(before, after) != 0);
	assert(settings_set(settings, key, after) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings settings, again, defaults;
	unsigned cnt = 0;

	settings_defaults(&defaults);
	settings = defaults;
	assert(settings_parse((const char *) data, size, &settings, check_warning, &cnt) == cnt);
	again = defaults;
	settings_compare(&defaults, &settings, check_key, &again);
	settings_compare(&settings, &again, check_key, NULL);
	again = settings;
	assert(settings_parse((const char *) data, size, &again, NULL, NULL) == cnt);
	return 0;
}
