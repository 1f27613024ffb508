/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents match the daemon: --help and tcmud(8), the table of settings,
 * tcmu.conf(5) and the installed tcmu.conf name the same things, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "filters/table.h"
#include "log-fixture.h"
#include "program/cli.h"

#define WORDS_MAX 64
#define WORD_SIZE 64

/* A set of words, in the order in which they were found. */
struct words {
	char word[WORDS_MAX][WORD_SIZE];
	size_t cnt;
};

static bool words_have(const struct words *words, const char *word)
{
	for (size_t i = 0; i < words->cnt; i++)
		if (strcmp(words->word[i], word) == 0)
			return true;
	return false;
}

static void words_add(struct words *words, const char *word, size_t len)
{
	char *slot = words->word[words->cnt];

	assert_true(words->cnt < WORDS_MAX && len < WORD_SIZE);
	memcpy(slot, word, len);
	slot[len] = '\0';
	if (!words_have(words, slot))
		words->cnt++;
}

static void words_equal(
	const struct words *a, const char *a_name, const struct words *b, const char *b_name)
{
	assert_true(a->cnt > 0);
	for (size_t i = 0; i < a->cnt; i++)
		if (!words_have(b, a->word[i]))
			fail_msg("%s is in %s and not in %s", a->word[i], a_name, b_name);
	for (size_t i = 0; i < b->cnt; i++)
		if (!words_have(a, b->word[i]))
			fail_msg("%s is in %s and not in %s", b->word[i], b_name, a_name);
}

static char *help_text(void)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	cli_help(file, "tcmud");
	assert_int_equal(fclose(file), 0);
	return text;
}

/* Letters of a name, from where it begins. */
static size_t name_length(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

/* All words that follow a mark. */
static void words_find(struct words *words, const char *text, const char *mark)
{
	for (const char *at = strstr(text, mark); at; at = strstr(at, mark)) {
		at += strlen(mark);
		if (name_length(at))
			words_add(words, at, name_length(at));
	}
}

static const char *find_section(char *text, const char *title, char **end)
{
	char line[64];
	char *begin;

	(void) snprintf(line, sizeof(line), "\n.S%s\n", title);
	begin = strstr(text, line);
	assert_non_null(begin);
	for (*end = begin + 1; (*end = strstr(*end, "\n.S")); (*end)++)
		if ((*end)[3] == 'h' || (*end)[3] == 's')
			break;
	if (*end)
		**end = '\0';
	return begin;
}

static void the_manual_has_the_options_of_help(void **state)
{
	struct words in_help = {0}, in_manual = {0}, in_synopsis = {0};
	char *said = help_text(), *manual = fixture_document("docs/man/tcmud.8"), *end;
	char *synopsis = strdup(manual);

	(void) state;
	words_find(&in_help, said, " --");
	words_find(&in_manual, find_section(manual, "h DESCRIPTION", &end), "Fl -");
	words_equal(&in_help, "--help", &in_manual, "tcmud(8)");
	words_find(&in_synopsis, find_section(synopsis, "h SYNOPSIS", &end), "Fl -");
	for (size_t i = 0; i < in_synopsis.cnt; i++)
		assert_true(words_have(&in_help, in_synopsis.word[i]));
	free(said);
	free(manual);
	free(synopsis);
}

static void the_manual_has_the_short_options_of_help(void **state)
{
	char *said = help_text(), *manual = fixture_document("docs/man/tcmud.8");
	char line[64];

	(void) state;
	for (const char *at = strstr(said, "\n  -"); at; at = strstr(at + 1, "\n  -")) {
		const char *name = at + strlen("\n  -x, --");

		(void) snprintf(
			line, sizeof(line), "\n.It Fl %c , Fl -%.*s", at[4],
			(int) name_length(name), name);
		if (!strstr(manual, line))
			fail_msg("%s is not in tcmud(8)", line + 1);
	}
	free(said);
	free(manual);
}

static void the_manual_lists_every_exit_status(void **state)
{
	char *said = help_text(), *manual = fixture_document("docs/man/tcmud.8"), *end;
	const char *statuses = find_section(manual, "h EXIT STATUS", &end);
	char line[32];

	(void) state;
	assert_int_equal(fixture_count(statuses, "\n.It "), 4);
	for (int status = CLI_EXIT_OK; status <= CLI_EXIT_USAGE; status++) {
		(void) snprintf(line, sizeof(line), "\n.It %d\n", status);
		assert_non_null(strstr(statuses, line));
	}
	(void) snprintf(line, sizeof(line), "\n.It %d\n", CLI_EXIT_INSTANCE);
	assert_non_null(strstr(statuses, line));
	assert_non_null(strstr(said, "75 another TCMU daemon runs already."));
	free(said);
	free(manual);
}

static void the_manual_has_the_options_of_every_device(void **state)
{
	const struct tcmu_handler handler = {.subtype = "none"};
	char *described = options_describe(&handler),
	     *manual = fixture_document("docs/man/tcmud.8"), *end;
	struct words in_table = {0}, in_manual = {0};

	(void) state;
	words_find(&in_table, described, "\n  ;");
	words_find(&in_manual, find_section(manual, "s Config strings", &end), "\n.It Cm ");
	words_equal(&in_table, "the table", &in_manual, "tcmud(8)");
	free(described);
	free(manual);
}

/* The section of a filter has its options, with their defaults. */
static void the_manual_has_every_filter_with_its_options(void **state)
{
	const struct filter *filter;

	(void) state;
	for (size_t i = 0; (filter = filter_at(i)); i++) {
		char *manual = fixture_document("docs/man/tcmu-filters.7"), *end, title[64];
		struct words in_table = {0}, in_manual = {0};
		const char *section;

		(void) snprintf(title, sizeof(title), "s %s", filter->name);
		section = find_section(manual, title, &end);
		words_find(&in_manual, section, "\n.It Cm ");
		for (const struct tcmu_option *o = filter->options; o->name; o++) {
			char line[128];

			words_add(&in_table, o->name, strlen(o->name));
			(void) snprintf(
				line, sizeof(line), "\n.It Cm %s Ns = Ns Sy %s\n", o->name,
				o->def ? o->def : "");
			if (o->def && !strstr(section, line))
				fail_msg("%s is not in tcmu-filters(7) like that", line + 1);
		}
		words_equal(&in_table, filter->name, &in_manual, "tcmu-filters(7)");
		free(manual);
	}
}

static void the_manual_has_every_setting_with_its_default_and_values(void **state)
{
	char *manual = fixture_document("docs/man/tcmu.conf.5"), *end;
	const char *text = find_section(manual, "h SETTINGS", &end);
	struct words in_table = {0}, in_manual = {0};
	struct settings_key key;
	char line[128];

	(void) state;
	words_find(&in_manual, text, "\n.It Cm ");
	for (size_t i = 0; settings_key(i, &key); i++) {
		words_add(&in_table, key.name, strlen(key.name));
		(void) snprintf(
			line, sizeof(line), "\n.It Cm %s No (%s)\n%s.\n", key.name, key.def,
			key.values);
		if (!strstr(text, line))
			fail_msg("%s is not in tcmu.conf(5) like that", line + 1);
	}
	words_equal(&in_table, "the table", &in_manual, "tcmu.conf(5)");
	free(manual);
}

static void fail_on_warning(void *userdata, unsigned line, const char *text)
{
	(void) userdata;
	fail_msg("line %u: %s", line, text);
}

/* Takes the comment sign away from lines that are settings. */
static void uncomment_settings(char *text)
{
	for (char *line = text; (line = strstr(line, "\n#")); line++)
		if (line[2] >= 'a' && line[2] <= 'z')
			line[1] = ' ';
}

static void the_installed_file_shows_every_setting_with_its_default(void **state)
{
	char *text = fixture_document("tcmu.conf");
	struct words in_table = {0}, in_file = {0};
	struct settings settings, defaults;
	struct settings_key key;

	(void) state;
	settings_defaults(&defaults);
	settings = defaults;
	assert_int_equal(settings_parse(text, strlen(text), &settings, fail_on_warning, NULL), 0);
	assert_memory_equal(&settings, &defaults, sizeof(settings));
	uncomment_settings(text);
	assert_int_equal(settings_parse(text, strlen(text), &settings, fail_on_warning, NULL), 0);
	assert_memory_equal(&settings, &defaults, sizeof(settings));
	words_find(&in_file, text, "\n ");
	for (size_t i = 0; settings_key(i, &key); i++)
		words_add(&in_table, key.name, strlen(key.name));
	words_equal(&in_table, "the table", &in_file, "tcmu.conf");
	free(text);
}

static void the_bus_starts_our_unit_while_it_is_enabled(void **state)
{
	char *unit = fixture_document("systemd/tcmud.service.in"),
	     *bus = fixture_document("systemd/org.kernel.TCMUService1.service");
	char line[64];

	(void) state;
	assert_non_null(strstr(unit, "\nBusName=org.kernel.TCMUService1\n"));
	assert_non_null(strstr(bus, "\nName=org.kernel.TCMUService1\n"));
	/* By an alias that a disabled unit does not have, because any user may ask the bus. */
	assert_non_null(strstr(bus, "\nSystemdService=dbus-org.kernel.TCMUService1.service\n"));
	assert_non_null(strstr(bus, "\nExec=/bin/false\n"));
	assert_non_null(strstr(unit, "\nAlias=dbus-org.kernel.TCMUService1.service\n"));
	assert_non_null(strstr(unit, "\nAlias=tcmu-runner.service\n"));
	(void) snprintf(
		line, sizeof(line), "\nRestartPreventExitStatus=%d %d\n", CLI_EXIT_USAGE,
		CLI_EXIT_INSTANCE);
	assert_non_null(strstr(unit, line));
	free(unit);
	free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manual_has_the_options_of_help),
		cmocka_unit_test(the_manual_has_the_short_options_of_help),
		cmocka_unit_test(the_manual_lists_every_exit_status),
		cmocka_unit_test(the_manual_has_the_options_of_every_device),
		cmocka_unit_test(the_manual_has_every_filter_with_its_options),
		cmocka_unit_test(the_manual_has_every_setting_with_its_default_and_values),
		cmocka_unit_test(the_installed_file_shows_every_setting_with_its_default),
		cmocka_unit_test(the_bus_starts_our_unit_while_it_is_enabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
