/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading plugins: older and newer ones work, and one that cannot be used is one line that names it
 * and says why, while the others are loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/handlers.h"
#include "log-fixture.h"

static struct handlers *registry;
static char *log_text;

static int setup(void **state)
{
	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	return handlers_new(&registry);
}

static int teardown(void **state)
{
	(void) state;
	log_stop();
	handlers_free(registry);
	registry = NULL;
	free(log_text);
	log_text = NULL;
	fixture_remove_folder();
	return 0;
}

/* Puts a built plugin into the test's folder under a name. */
static void install(const char *plugin, const char *name)
{
	char path[512];

	assert_true(
		snprintf(path, sizeof(path), "%s/handler_%s.so", PLUGINS, plugin) <
		(int) sizeof(path));
	assert_int_equal(symlink(path, fixture_path(name)), 0);
}

static int load(void)
{
	int r = handlers_load(registry, fixture_folder());

	log_text = fixture_log_end();
	return r;
}

/* Loads one plugin that is refused, and the good one. why: how the line ends. */
static void refused(const char *plugin, const char *why)
{
	char name[64], line[1024];

	(void) snprintf(name, sizeof(name), "handler_%s.so", plugin);
	install("good", "handler_good.so");
	install(plugin, name);
	assert_int_equal(load(), 1);
	assert_non_null(handlers_find(registry, "good"));
	(void) snprintf(
		line, sizeof(line), ": the handler %s cannot be used: %s\n", fixture_path(name),
		why);
	if (!strstr(log_text, line))
		fail_msg("%s\nis not in:\n%s", line, log_text);
	assert_int_equal(fixture_count(log_text, "cannot be used"), 1);
}

static void a_plugin_is_loaded_and_found_by_its_whole_subtype(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install("good", "handler_good.so");
	assert_int_equal(load(), 1);
	handler = handlers_find(registry, "good");
	assert_non_null(handler);
	assert_string_equal(handler->subtype, "good");
	assert_string_equal(handler->name, "Good");
	assert_int_equal(handler->threading, TCMU_HANDLER_PARALLEL);
	assert_int_equal(handler->io_priv_size, 64);
	assert_int_equal(handler->workers, 3);
	assert_string_equal(handler->options[0].name, "depth");
	assert_null(handlers_find(registry, "goo"));
	assert_null(handlers_find(registry, "good2"));
	assert_null(handlers_find(registry, ""));
	assert_non_null(strstr(log_text, ": good\n"));
}

static void a_newer_plugin_is_used_as_far_as_we_know_it(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install("newer", "handler_newer.so");
	assert_int_equal(load(), 1);
	handler = handlers_find(registry, "newer");
	assert_non_null(handler);
	assert_int_equal(handler->size, sizeof(*handler));
	assert_null(handler->cancel);
}

static void an_older_plugin_has_nothing_where_it_ends(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install("older", "handler_older.so");
	assert_int_equal(load(), 1);
	handler = handlers_find(registry, "older");
	assert_non_null(handler);
	assert_non_null(handler->submit);
	assert_null(handler->cancel);
	assert_null(handler->resize);
}

static void another_abi_is_refused(void **state)
{
	(void) state;
	refused("otherabi",
		"it is built for version 99 of the handler interface, this daemon has 1");
}

static void a_description_that_is_too_short_is_refused(void **state)
{
	char why[128];

	(void) state;
	(void) snprintf(
		why, sizeof(why), "its description has %zu bytes, which is less than %zu",
		offsetof(struct tcmu_handler, submit), offsetof(struct tcmu_handler, cancel));
	refused("tooshort", why);
}

static void an_object_without_the_entry_is_refused(void **state)
{
	(void) state;
	refused("noentry", "it has no function tcmu_handler_entry");
}

static void a_plugin_of_the_peer_is_named_as_such(void **state)
{
	(void) state;
	refused("peer", "it is a plugin of tcmu-runner, whose interface is another");
}

static void an_entry_that_describes_nothing_is_refused(void **state)
{
	(void) state;
	refused("nodescription", "it describes no handler");
}

static void a_subtype_that_cannot_be_shown_is_refused(void **state)
{
	(void) state;
	refused("badname", "its subtype \"Bad-Name\" is not of 1 to 63 characters of [a-z0-9_]");
}

static void a_missing_function_is_refused(void **state)
{
	(void) state;
	refused("nosubmit", "it has no function submit");
}

static void an_option_of_the_daemons_is_refused(void **state)
{
	(void) state;
	refused("badoption", "the option \"ro\" is the daemon's");
}

static void a_symbol_that_nobody_has_is_named(void **state)
{
	(void) state;
	refused("unresolved", "undefined symbol: function_that_does_not_exist");
}

static void a_file_that_is_no_library_is_refused(void **state)
{
	const struct handlers_entry *entry;
	char problem[512];

	(void) state;
	fixture_write("handler_text.so", "just text");
	assert_int_equal(load(), 0);
	assert_null(handlers_find(registry, "text"));
	entry = handlers_lookup(registry, "text");
	assert_non_null(entry);
	assert_null(entry->handler);
	assert_string_equal(entry->origin, fixture_path("handler_text.so"));
	(void) snprintf(
		problem, sizeof(problem), "the text handler cannot be used: %s: file too short",
		fixture_path("handler_text.so"));
	assert_string_equal(entry->problem, problem);
}

static void the_first_of_two_with_one_subtype_is_taken(void **state)
{
	char why[512];

	(void) state;
	(void) snprintf(
		why, sizeof(why), "the handler \"good\" is there already, from %s",
		fixture_path("handler_good.so"));
	refused("twin", why);
	assert_string_equal(handlers_find(registry, "good")->name, "Good");
}

static void a_plugin_takes_the_place_of_one_that_failed(void **state)
{
	const struct handlers_entry *entry;

	(void) state;
	fixture_write("handler_good.so", "broken");
	install("twin", "handler_twin.so");
	assert_int_equal(load(), 1);
	entry = handlers_lookup(registry, "good");
	assert_string_equal(entry->handler->name, "Twin");
	assert_null(entry->problem);
}

static void files_of_other_names_are_left_alone(void **state)
{
	(void) state;
	install("good", "good.so");
	install("good", "handler_good.so.old");
	install("good", "handler_.so");
	fixture_write("README", "");
	assert_int_equal(load(), 0);
	assert_null(strstr(log_text, "ERROR"));
}

static void a_missing_folder_is_told(void **state)
{
	(void) state;
	assert_int_equal(handlers_load(registry, fixture_path("none")), -ENOENT);
	log_text = fixture_log_end();
	assert_non_null(strstr(log_text, "/none cannot be loaded: No such file or directory\n"));
}

static void a_handler_that_is_not_installed_is_known(void **state)
{
	const struct handlers_entry *entry = handlers_lookup(registry, "rbd");

	(void) state;
	assert_non_null(entry);
	assert_null(entry->handler);
	assert_null(entry->origin);
	assert_string_equal(entry->problem, "the rbd handler is not installed (package tcmud-rbd)");
	assert_null(handlers_find(registry, "rbd"));
}

static void entries_come_in_the_order_of_their_subtypes(void **state)
{
	static const char *const expected[] = {"good", "newer", "older", "rbd", "text"};
	size_t i = 0;

	(void) state;
	fixture_write("handler_text.so", "");
	install("older", "handler_older.so");
	install("newer", "handler_newer.so");
	install("good", "handler_zzz.so");
	assert_int_equal(load(), 3);
	for (; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_string_equal(handlers_entry(registry, i)->subtype, expected[i]);
	assert_null(handlers_entry(registry, i));
}

static void a_built_in_handler_is_checked_like_a_plugin(void **state)
{
	struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI, .size = sizeof(handler), .subtype = "x"};
	struct tcmu_reason reason;

	(void) state;
	assert_int_equal(handlers_add(registry, &handler, "the test", &reason), -EINVAL);
	assert_string_equal(reason.text, "it has no function open");
	handler.abi = 2;
	assert_int_equal(handlers_add(registry, &handler, "the test", &reason), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plugin_is_loaded_and_found_by_its_whole_subtype),
		TEST(a_newer_plugin_is_used_as_far_as_we_know_it),
		TEST(an_older_plugin_has_nothing_where_it_ends),
		TEST(another_abi_is_refused),
		TEST(a_description_that_is_too_short_is_refused),
		TEST(an_object_without_the_entry_is_refused),
		TEST(a_plugin_of_the_peer_is_named_as_such),
		TEST(an_entry_that_describes_nothing_is_refused),
		TEST(a_subtype_that_cannot_be_shown_is_refused),
		TEST(a_missing_function_is_refused),
		TEST(an_option_of_the_daemons_is_refused),
		TEST(a_symbol_that_nobody_has_is_named),
		TEST(a_file_that_is_no_library_is_refused),
		TEST(the_first_of_two_with_one_subtype_is_taken),
		TEST(a_plugin_takes_the_place_of_one_that_failed),
		TEST(files_of_other_names_are_left_alone),
		TEST(a_missing_folder_is_told),
		TEST(a_handler_that_is_not_installed_is_known),
		TEST(entries_come_in_the_order_of_their_subtypes),
		TEST(a_built_in_handler_is_checked_like_a_plugin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
