/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding by table. A handler's table must not have the names of the daemon's own table.
 */
#include "config/options.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/reason.h"
#include "config/escape.h"
#include "config/option-table.h"

#define SUBTYPE_MAX 63

enum core_option {
	CORE_READ_ONLY,
	CORE_SHARE,
	CORE_VENDOR,
	CORE_PRODUCT,
	CORE_REVISION,
	CORE_SANITIZE,
	CORE_DESIGNATOR,
	CORE_IOPS,
	CORE_BPS,
	CORE_BURST,
	CORE_COMMAND_TIMEOUT,
	CORE_COMMAND_TIMEOUT_MISSPELT,
	CORE_LATER, /* from here on, a handler's option of the same name wins */
	CORE_ESCAPED = CORE_LATER,
	CORE_FILTER,
	CORE_CNT,
};

static const char *const designators[] = {"config", "serial", NULL};

/* Options without help are accepted in existing config strings and not offered. */
static const struct tcmu_option core_table[] = {
	[CORE_READ_ONLY] =
		{"ro", TCMU_OPTION_BOOL, "no", NULL, "refuse commands that change the data"},
	[CORE_SHARE] =
		{"share", TCMU_OPTION_BOOL, "no", NULL,
		 "allow other devices with share=1 on the same backing store"},
	[CORE_VENDOR] =
		{"vendor", TCMU_OPTION_STRING, "LIO-ORG", NULL,
		 "vendor in INQUIRY data, up to 8 characters"},
	[CORE_PRODUCT] =
		{"product", TCMU_OPTION_STRING, "TCMU device", NULL,
		 "product in INQUIRY data, up to 16 characters"},
	[CORE_REVISION] =
		{"revision", TCMU_OPTION_STRING, "0002", NULL,
		 "product revision in INQUIRY data, up to 4 characters"},
	[CORE_SANITIZE] =
		{"sanitize", TCMU_OPTION_BOOL, "no", NULL,
		 "support FORMAT UNIT, SANITIZE and other commands that act without data"},
	[CORE_DESIGNATOR] =
		{"designator", TCMU_OPTION_CHOICE, "config", designators,
		 "vendor specific designator in VPD 83h: the config string, or the serial"},
	[CORE_IOPS] =
		{"iops", TCMU_OPTION_UINT, "0", NULL, "maximum of commands a second; 0: no limit"},
	[CORE_BPS] = {"bps", TCMU_OPTION_SIZE, "0", NULL, "maximum of bytes a second; 0: no limit"},
	[CORE_BURST] =
		{"burst", TCMU_OPTION_UINT, "0", NULL,
		 "seconds of unused iops and bps that may be used later"},
	[CORE_COMMAND_TIMEOUT] =
		{"tcmur_cmd_time_out", TCMU_OPTION_UINT, "30", NULL,
		 "seconds until a command is logged as late; 0: never"},
	[CORE_COMMAND_TIMEOUT_MISSPELT] = {"tcmur_cmd_timeout", TCMU_OPTION_UINT, "0", NULL, NULL},
	[CORE_ESCAPED] =
		{"escaped", TCMU_OPTION_BOOL, "no", NULL,
		 "%XX stands for a byte: %3A :  %2C ,  %3B ;  %20 blank  %25 %"},
	[CORE_FILTER] =
		{"filter", TCMU_OPTION_STRING, NULL, NULL,
		 "NAME[+OPTION=VALUE]...: a filter above the handler, see tcmu-filters(7); several "
		 "are possible, the outermost first"},
	[CORE_CNT] = {NULL},
};

static const struct {
	enum core_option option;
	size_t length;
} inquiry_lengths[] = {{CORE_VENDOR, 8}, {CORE_PRODUCT, 16}, {CORE_REVISION, 4}};

struct options {
	struct tcmu_config config;
	char whole[TCMU_CONFIG_MAX + 1];  /* the config string */
	char text[TCMU_CONFIG_MAX + 1];   /* the same, its separators replaced by NULs */
	char target[TCMU_CONFIG_MAX + 1]; /* of a TCMU_HANDLER_RAW_CONFIG */
	bool escaped;
	struct filter_list *filters; /* NULL: none, which is so for most */
	struct tcmu_option_value core[CORE_CNT];
	struct tcmu_option_value values[]; /* the handler's */
};

/* ------- tables ------- */

bool options_subtype_valid(const char *subtype)
{
	return option_name_fits(subtype, SUBTYPE_MAX);
}

bool options_name_valid(const char *name)
{
	return option_name_fits(name, OPTION_NAME_MAX);
}

int options_check_table(const struct tcmu_option *table, struct tcmu_reason *reason)
{
	size_t cnt = option_table_size(table);

	for (size_t i = 0; i < cnt; i++) {
		int r = option_check(&table[i], reason);

		if (r < 0)
			return r;
		if (option_table_find(core_table, CORE_LATER, table[i].name))
			return reason_refuse(
				reason, -EINVAL, "the option \"%s\" is one of the daemon's own",
				table[i].name);
		if (option_table_find(table, i, table[i].name))
			return reason_refuse(
				reason, -EINVAL, "the option \"%s\" is in the table twice",
				table[i].name);
	}
	return 0;
}

/* ------- config strings ------- */

bool options_subtype(const char *text, char *subtype, size_t size)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t) (slash - text) : 0;

	if (!len || len >= size)
		return false;
	memcpy(subtype, text, len);
	subtype[len] = '\0';
	return true;
}

int options_check_text(const char *text, struct tcmu_reason *reason)
{
	size_t len = strlen(text);

	for (const unsigned char *c = (const unsigned char *) text; *c; c++) {
		if (*c == ',')
			return reason_refuse(
				reason, -EINVAL,
				"the config string must not have a comma: the kernel would cut it "
				"there; write %%2C, and the option escaped");
		if (*c == ':')
			return reason_refuse(
				reason, -EINVAL,
				"the config string must not have a ':': targetcli refuses it; "
				"write "
				"%%3A, and the option escaped");
		if (*c == ' ')
			return reason_refuse(
				reason, -EINVAL,
				"the config string must not have a blank: targetcli would save it "
				"cut there; write %%20, and the option escaped");
		if (*c < ' ' || *c == 0x7f)
			return reason_refuse(
				reason, -EINVAL,
				"the config string must not have a %s: the kernel would cut it "
				"there",
				*c == '\n'           ? "newline"
					: *c == '\t' ? "tab"
						     : "control character");
	}
	if (len > TCMU_CONFIG_MAX)
		return reason_refuse(
			reason, -ENAMETOOLONG,
			"the config string has %zu bytes: the kernel would cut it after %d", len,
			TCMU_CONFIG_MAX);
	return 0;
}

static int refuse_unknown(
	const struct tcmu_handler *handler, const char *name, struct tcmu_reason *reason)
{
	const struct tcmu_option *tables[] = {handler->options, core_table};
	size_t used = (size_t) snprintf(
		reason->text, sizeof(reason->text),
		"the %s handler has no option \"%.31s\"; its options are:", handler->subtype, name);

	for (size_t t = 0; t < 2; t++)
		for (const struct tcmu_option *o = tables[t];
		     o && o->name && used < sizeof(reason->text); o++)
			if (o->help || t == 0)
				used += (size_t) snprintf(
					reason->text + used, sizeof(reason->text) - used, " %s",
					o->name);
	return -EINVAL;
}

static int parse_option(
	struct options *options, const struct tcmu_handler *handler, char *pair,
	struct tcmu_reason *reason)
{
	size_t cnt = option_table_size(handler->options);
	char *equals = strchr(pair, '=');
	const struct tcmu_option *option;
	struct tcmu_option_value *value;
	const char *text;
	char words[128];
	int r;

	if (equals)
		*equals = '\0';
	if ((option = option_table_find(handler->options, cnt, pair)))
		value = &options->values[option - handler->options];
	else if ((option = option_table_find(core_table, CORE_CNT, pair)))
		value = &options->core[option - core_table];
	else
		return refuse_unknown(handler, pair, reason);
	if (option == &core_table[CORE_FILTER]) {
		if (!options->filters)
			options->filters = g_new0(struct filter_list, 1);
		return filter_list_append(options->filters, equals ? equals + 1 : "", reason);
	}
	if (value->given)
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" is given twice", option->name);
	option_value_words(option, words, sizeof(words));
	if (!equals && option->type != TCMU_OPTION_BOOL)
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" has no value: expected %s",
			option->name, words);
	text = equals ? equals + 1 : "yes";
	r = equals && options->escaped ? escape_decode(equals + 1, option->name, reason) : 0;
	if (r < 0)
		return r;
	if (!option_parse_value(option, text, value))
		return reason_refuse(
			reason, -EINVAL, "the option \"%s\" is \"%.40s\": expected %s",
			option->name, text, words);
	value->given = true;
	return 0;
}

static int check_inquiry_strings(const struct options *options, struct tcmu_reason *reason)
{
	for (size_t i = 0; i < sizeof(inquiry_lengths) / sizeof(inquiry_lengths[0]); i++) {
		enum core_option option = inquiry_lengths[i].option;
		const char *text = options->core[option].string;

		assert(text); /* option_set_defaults() has set it */
		if (strlen(text) > inquiry_lengths[i].length)
			return reason_refuse(
				reason, -EINVAL, "the option \"%s\" is longer than %zu characters",
				core_table[option].name, inquiry_lengths[i].length);
		for (const char *c = text; *c; c++)
			if (*c < ' ' || *c > '~')
				return reason_refuse(
					reason, -EINVAL,
					"the option \"%s\" has a character that is not printable "
					"ASCII",
					core_table[option].name);
	}
	return 0;
}

/* The length of an option's name, which ends at '=', ';' or the end. */
static size_t name_length(const char *pair)
{
	return strcspn(pair, "=;");
}

/* The daemon's own option of this pair. NULL: there is none. */
static const struct tcmu_option *find_core(const char *pair)
{
	size_t len = name_length(pair);

	for (size_t i = 0; i < CORE_CNT; i++)
		if (strlen(core_table[i].name) == len &&
		    strncmp(core_table[i].name, pair, len) == 0)
			return &core_table[i];
	return NULL;
}

/* Whether the values are percent-encoded, which has to be known before the first one is read. */
static bool options_are_escaped(const struct options *options, const struct tcmu_handler *handler)
{
	const struct tcmu_option *option = &core_table[CORE_ESCAPED];
	uint64_t escaped = options->core[CORE_ESCAPED].number;
	char word[8];

	if (option_table_find(handler->options, option_table_size(handler->options), option->name))
		return false;
	for (const char *pair = strchr(options->whole, ';'); pair; pair = strchr(pair, ';')) {
		size_t len = name_length(++pair);

		if (find_core(pair) != option)
			continue;
		if (pair[len] != '=')
			return true;
		pair += len + 1;
		(void) snprintf(word, sizeof(word), "%.*s", (int) strcspn(pair, ";"), pair);
		return option_parse_bool(word, &escaped) &&
			escaped; /* otherwise it will be refused */
	}
	return escaped;
}

/* A pair that is not the daemon's belongs to the target. */
static void options_keep_raw(struct options *options, const char *pair)
{
	size_t used = strlen(options->target);

	assert(used + 1 + strlen(pair) < sizeof(options->target));
	(void) snprintf(options->target + used, sizeof(options->target) - used, ";%s", pair);
}

/* Decodes options->text in place. */
static int options_decode(
	struct options *options, const struct tcmu_handler *handler, struct tcmu_reason *reason)
{
	bool raw = handler->flags & TCMU_HANDLER_RAW_CONFIG;
	char *slash = strchr(options->text, '/');
	char *next;
	int r = 0;

	assert(strlen(options->text) <= TCMU_CONFIG_MAX);
	if (!slash)
		return reason_refuse(
			reason, -EINVAL, "the config string has no '/' after the handler's name");
	*slash = '\0';
	if (strcmp(options->text, handler->subtype) != 0)
		return reason_refuse(
			reason, -EINVAL, "the string is for the handler \"%.63s\", not \"%s\"",
			options->text, handler->subtype);
	options->config.subtype = options->text;
	options->config.raw = options->whole + (slash + 1 - options->text);
	next = strchr(slash + 1, ';');
	(void) snprintf(
		options->target, sizeof(options->target), "%.*s", (int) strcspn(slash + 1, ";"),
		slash + 1);
	while (next) {
		char *pair = next + 1;

		*next = '\0';
		next = strchr(pair, ';');
		if (next)
			*next = '\0';
		if (raw && !find_core(pair))
			options_keep_raw(options, pair);
		else if (*pair)
			r = parse_option(options, handler, pair, reason);
		if (r < 0)
			return r;
	}
	options->config.target = options->target;
	r = options->escaped ? escape_decode(options->target, "the target", reason) : 0;
	if (r < 0)
		return r;
	return check_inquiry_strings(options, reason);
}

int options_parse(
	const char *text, const struct tcmu_handler *handler, struct options **ret,
	struct tcmu_reason *reason)
{
	size_t cnt = option_table_size(handler->options);
	size_t len = strlen(text);
	struct options *options;
	int r;

	if (len > TCMU_CONFIG_MAX)
		return reason_refuse(
			reason, -ENAMETOOLONG,
			"the config string has %zu bytes, at most %d are possible", len,
			TCMU_CONFIG_MAX);
	for (const char *c = text; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return reason_refuse(
				reason, -EINVAL, "the config string has a control character");
	options = g_malloc0(sizeof(*options) + cnt * sizeof(options->values[0]));
	memcpy(options->whole, text, len + 1);
	memcpy(options->text, text, len + 1);
	option_set_defaults(core_table, CORE_CNT, options->core);
	options->core[CORE_ESCAPED].number = !!(handler->flags & TCMU_HANDLER_ESCAPED_CONFIG);
	options->escaped = options_are_escaped(options, handler);
	option_set_defaults(handler->options, cnt, options->values);
	r = options_decode(options, handler, reason);
	if (r < 0) {
		options_free(options);
		return r;
	}
	options->config.values = options->values;
	options->config.read_only = options->core[CORE_READ_ONLY].number;
	*ret = options;
	return 0;
}

void options_free(struct options *options)
{
	if (!options)
		return;
	if (options->filters)
		filter_list_clear(options->filters);
	g_free(options->filters);
	g_free(options);
}

const struct tcmu_config *options_config(const struct options *options)
{
	assert(options->config.subtype && options->config.target);
	return &options->config;
}

bool options_share(const struct options *options)
{
	return options->core[CORE_SHARE].number;
}

const char *options_vendor(const struct options *options)
{
	return options->core[CORE_VENDOR].string;
}

const char *options_product(const struct options *options)
{
	return options->core[CORE_PRODUCT].string;
}

const char *options_revision(const struct options *options)
{
	return options->core[CORE_REVISION].string;
}

bool options_sanitize(const struct options *options)
{
	return options->core[CORE_SANITIZE].number;
}

bool options_neutral_designator(const struct options *options)
{
	uint64_t choice = options->core[CORE_DESIGNATOR].number;

	assert(choice + 1 < G_N_ELEMENTS(designators));
	return choice == 1;
}

void options_limits(const struct options *options, struct rate_limits *limits)
{
	*limits = (struct rate_limits){
		.iops = options->core[CORE_IOPS].number,
		.bps = options->core[CORE_BPS].number,
		.burst = options->core[CORE_BURST].number,
	};
}

static bool is_limit(const char *pair)
{
	const struct tcmu_option *option = find_core(pair);

	return option >= &core_table[CORE_IOPS] && option <= &core_table[CORE_BURST];
}

/* The next option that is no limit, or the end. *len: the length of the option with its ';'. */
static const char *skip_limits(const char *text, size_t *len)
{
	assert(*text == ';' || *text == '\0');
	while (*text == ';' && is_limit(text + 1))
		text += 1 + strcspn(text + 1, ";");
	*len = *text ? 1 + strcspn(text + 1, ";") : 0;
	return text;
}

bool options_differ_in_limits_only(const char *a, const char *b)
{
	size_t len_a = strcspn(a, ";");
	size_t len_b = strcspn(b, ";");

	while (len_a == len_b && strncmp(a, b, len_a) == 0) {
		a = skip_limits(a + len_a, &len_a);
		b = skip_limits(b + len_b, &len_b);
		if (!*a && !*b)
			return true;
	}
	return false;
}

const struct filter_list *options_filters(const struct options *options)
{
	static const struct filter_list none = {.cnt = 0};

	return options->filters ? options->filters : &none;
}

unsigned options_command_timeout(const struct options *options)
{
	bool misspelt = options->core[CORE_COMMAND_TIMEOUT_MISSPELT].given;
	uint64_t seconds =
		options->core[misspelt ? CORE_COMMAND_TIMEOUT_MISSPELT : CORE_COMMAND_TIMEOUT]
			.number;

	return seconds > UINT32_MAX ? UINT32_MAX : (unsigned) seconds;
}

/* ------- description ------- */

static void describe_table(GString *out, const struct tcmu_option *table)
{
	char words[128];

	for (; table && table->name; table++) {
		if (!table->help)
			continue;
		option_value_words(table, words, sizeof(words));
		g_string_append_printf(out, "\n  ;%s=%s  %s", table->name, words, table->help);
		if (table->def)
			g_string_append_printf(out, " (default: %s)", table->def);
	}
}

char *options_describe(const struct tcmu_handler *handler)
{
	struct tcmu_option core[G_N_ELEMENTS(core_table)];
	GString *out = g_string_new(handler->config_desc ? handler->config_desc : handler->subtype);

	assert(handler->subtype);
	g_string_append(out, "\nOptions:");
	describe_table(out, handler->options);
	memcpy(core, core_table, sizeof(core));
	if (handler->flags & TCMU_HANDLER_ESCAPED_CONFIG)
		core[CORE_ESCAPED].def = "yes";
	describe_table(out, core);
	return g_string_free(out, FALSE);
}
