/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config strings from any bytes: they are decoded or refused with a reason, and a decoded string
 * keeps the handler's promises.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const modes[] = {"slow", "fast", NULL};

static const struct tcmu_option table[] = {
	{"direct", TCMU_OPTION_BOOL, "no", NULL, "bypass the page cache"},
	{"depth", TCMU_OPTION_UINT, "7", NULL, "requests at once"},
	{"chunk", TCMU_OPTION_SIZE, "1M", NULL, "piece"},
	{"conf", TCMU_OPTION_STRING, NULL, NULL, "configuration file"},
	{"mode", TCMU_OPTION_CHOICE, "fast", modes, "how fast"},
	{NULL},
};

static const struct tcmu_handler handlers[] = {
	{.subtype = "file", .options = table},
	{.subtype = "file", .options = table, .flags = TCMU_HANDLER_ESCAPED_CONFIG},
	{.subtype = "file", .flags = TCMU_HANDLER_RAW_CONFIG},
};

static void check_decoded(
	const struct tcmu_handler *handler, const struct options *options, const char *text)
{
	const struct tcmu_config *config = options_config(options);
	size_t len = strlen(config->target);

	assert(strcmp(config->subtype, "file") == 0);
	assert(strncmp(text, "file/", 5) == 0);
	assert(strcmp(text + 5, config->raw) == 0);
	if (!handler->flags && !strstr(text, ";escaped")) {
		assert(memcmp(text + 5, config->target, len) == 0);
		assert(text[5 + len] == '\0' || text[5 + len] == ';');
	}
	for (const char *c = config->target; *c; c++)
		assert((unsigned char) *c >= ' ' && *c != 0x7f);
	if (handler->options) {
		assert(config->values[0].number <= 1);
		assert(config->values[4].number <= 1);
		assert(!config->values[3].given == !config->values[3].string);
	}
	assert(strlen(options_vendor(options)) <= 8);
	assert(strlen(options_product(options)) <= 16);
	assert(strlen(options_revision(options)) <= 4);
	(void) options_command_timeout(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcmu_reason reason = {""};
	struct options *options = NULL;
	char *text = malloc(size + 1);
	char subtype[16];
	bool fit;
	int r;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	fit = options_check_text(text, &reason) == 0;
	assert(fit == !reason.text[0]);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		reason.text[0] = '\0';
		r = options_parse(text, &handlers[i], &options, &reason);
		assert((r < 0) == !options);
		assert((r < 0) == (reason.text[0] != '\0'));
		if (r == 0)
			check_decoded(&handlers[i], options, text);
		options_free(options);
		options = NULL;
	}
	if (options_subtype(text, subtype, sizeof(subtype)))
		assert(text[strlen(subtype)] == '/');
	free(text);
	return 0;
}
