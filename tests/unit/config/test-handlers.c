/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading plugins: older and newer ones work, and a plugin that is not usable costs one line with
 * its name and the reason, while the others are loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/handlers.h"
#include "log-fixture.h"

static struct handlers *handlers;
static char *log_text;

static int setup(void **state)
{
	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	handlers = handlers_new();
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	log_stop();
	handlers_free(handlers);
	handlers = NULL;
	free(log_text);
	log_text = NULL;
	fixture_remove_directory();
	return 0;
}

/* Copies a built plugin to the test's directory under a name. */
static void install_plugin(const char *plugin, const char *name)
{
	char path[512];

	assert_true(
		snprintf(path, sizeof(path), "%s/handler_%s.so", PLUGINS, plugin) <
		(int) sizeof(path));
	assert_int_equal(symlink(path, fixture_path(name)), 0);
}

static int load_plugins(void)
{
	int r = handlers_load(handlers, fixture_directory());

	log_text = fixture_log_end();
	return r;
}

/* Loads one plugin that is refused, and the good one. why: how the line ends. */
static void assert_refused(const char *plugin, const char *why)
{
	char name[64], line[1024];

	(void) snprintf(name, sizeof(name), "handler_%s.so", plugin);
	install_plugin("good", "handler_good.so");
	install_plugin(plugin, name);
	assert_int_equal(load_plugins(), 1);
	assert_non_null(handlers_find(handlers, "good"));
	(void) snprintf(
		line, sizeof(line), ": cannot use the handler %s: %s\n", fixture_path(name), why);
	if (!strstr(log_text, line))
		fail_msg("%s\nis not in:\n%s", line, log_text);
	assert_int_equal(fixture_count(log_text, "cannot use the handler"), 1);
}

static void a_plugin_is_loaded_and_found_by_its_whole_subtype(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install_plugin("good", "handler_good.so");
	assert_int_equal(load_plugins(), 1);
	handler = handlers_find(handlers, "good");
	assert_non_null(handler);
	assert_string_equal(handler->subtype, "good");
	assert_string_equal(handler->name, "Good");
	assert_int_equal(handler->threading, TCMU_HANDLER_PARALLEL);
	assert_int_equal(handler->io_priv_size, 64);
	assert_int_equal(handler->workers, 3);
	assert_string_equal(handler->options[0].name, "depth");
	assert_null(handlers_find(handlers, "goo"));
	assert_null(handlers_find(handlers, "good2"));
	assert_null(handlers_find(handlers, ""));
	assert_non_null(strstr(log_text, ": good\n"));
}

static void a_newer_plugin_loses_unknown_members(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install_plugin("newer", "handler_newer.so");
	assert_int_equal(load_plugins(), 1);
	handler = handlers_find(handlers, "newer");
	assert_non_null(handler);
	assert_int_equal(handler->size, sizeof(*handler));
	assert_null(handler->cancel);
}

static void members_that_an_older_plugin_lacks_are_zero(void **state)
{
	const struct tcmu_handler *handler;

	(void) state;
	install_plugin("older", "handler_older.so");
	assert_int_equal(load_plugins(), 1);
	handler = handlers_find(handlers, "older");
	assert_non_null(handler);
	assert_non_null(handler->submit);
	assert_null(handler->cancel);
	assert_null(handler->resize);
}

static void another_abi_is_refused(void **state)
{
	(void) state;
	assert_refused(
		"otherabi",
		"it is built for version 99 of the handler interface, expected 1: rebuild it");
}

static void a_description_that_is_too_short_is_refused(void **state)
{
	char why[128];

	(void) state;
	(void) snprintf(
		why, sizeof(why), "its description has %zu bytes, expected at least %zu",
		offsetof(struct tcmu_handler, submit), offsetof(struct tcmu_handler, cancel));
	assert_refused("tooshort", why);
}

static void an_object_without_the_entry_is_refused(void **state)
{
	(void) state;
	assert_refused("noentry", "it has no function tcmu_handler_entry");
}

static void a_plugin_of_tcmu_runner_is_named_as_such(void **state)
{
	(void) state;
	assert_refused("peer", "it is a plugin of tcmu-runner: build it with tcmud-compat-dev");
}

static void an_entry_that_describes_nothing_is_refused(void **state)
{
	(void) state;
	assert_refused("nodescription", "it describes no handler");
}

static void a_subtype_that_cannot_be_shown_is_refused(void **state)
{
	(void) state;
	assert_refused(
		"badname", "its subtype is \"Bad-Name\", expected 1 to 63 characters of [a-z0-9_]");
}

static void a_missing_function_is_refused(void **state)
{
	(void) state;
	assert_refused("nosubmit", "it has no function submit");
}

static void an_option_of_the_daemons_is_refused(void **state)
{
	(void) state;
	assert_refused("badoption", "the option \"ro\" is one of the daemon's own");
}

static void an_unresolved_symbol_is_named(void **state)
{
	(void) state;
	assert_refused("unresolved", "undefined symbol: function_that_does_not_exist");
}

static void a_file_that_is_no_library_is_refused(void **state)
{
	const struct handlers_entry *entry;
	char problem[512];

	(void) state;
	fixture_write("handler_text.so", "just text");
	assert_int_equal(load_plugins(), 0);
	assert_null(handlers_find(handlers, "text"));
	entry = handlers_lookup(handlers, "text");
	assert_non_null(entry);
	assert_null(entry->handler);
	assert_string_equal(entry->origin, fixture_path("handler_text.so"));
	(void) snprintf(
		problem, sizeof(problem), "the text handler is not usable: %s: file too short",
		fixture_path("handler_text.so"));
	assert_string_equal(entry->problem, problem);
}

static void copy_plugin(const char *name)
{
	g_autofree char *directory = g_strdup(fixture_path("plugins"));
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *code = NULL;
	gsize length;

	assert_int_equal(g_mkdir_with_parents(directory, 0755), 0);
	assert_true(g_file_get_contents(PLUGINS "/handler_good.so", &code, &length, NULL));
	assert_true(g_file_set_contents_full(
		path, code, (gssize) length, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

/* A plugin is code of the daemon. */
static void a_plugin_that_others_may_change_is_refused(void **state)
{
	static const struct {
		mode_t directory, file;
		uid_t uid;
		bool good;
	} cases[] = {
		{0755, 0644, 0, true},      {0755, 0646, 0, false},  {0757, 0644, 0, false},
		{01777, 0644, 0, true},     {01777, 0646, 0, false}, {0755, 0644, 4711, false},
		{01777, 0644, 4711, false}, {0775, 0664, 0, true},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *file = "plugins/handler_good.so";

		handlers_free(handlers);
		handlers = handlers_new();
		copy_plugin("handler_good.so");
		assert_int_equal(chmod(fixture_path(file), cases[i].file), 0);
		if (cases[i].uid && chown(fixture_path(file), cases[i].uid, (gid_t) -1) < 0)
			assert_int_equal(errno, EPERM); /* not root: the other cases remain */
		else {
			assert_int_equal(chmod(fixture_path("plugins"), cases[i].directory), 0);
			assert_int_equal(
				handlers_load(handlers, fixture_path("plugins")), cases[i].good);
			assert_int_equal(!handlers_find(handlers, "good"), !cases[i].good);
		}
		assert_int_equal(chmod(fixture_path("plugins"), 0755), 0);
		assert_int_equal(unlink(fixture_path(file)), 0);
	}
	log_text = fixture_log_end();
	assert_non_null(strstr(log_text, "others than root may change it: chown root"));
	assert_non_null(strstr(log_text, "others than root may change its directory"));
}

static void a_plugin_that_is_no_file_is_not_opened(void **state)
{
	(void) state;
	assert_int_equal(mkfifo(fixture_path("handler_fifo.so"), 0600), 0);
	assert_int_equal(symlink("/dev/zero", fixture_path("handler_zero.so")), 0);
	assert_int_equal(load_plugins(), 0);
	assert_int_equal(fixture_count(log_text, "it is not a regular file"), 2);
}

static void the_first_of_two_with_one_subtype_is_taken(void **state)
{
	char why[512];

	(void) state;
	(void) snprintf(
		why, sizeof(why), "the handler \"good\" is already loaded, from %s",
		fixture_path("handler_good.so"));
	assert_refused("twin", why);
	assert_string_equal(handlers_find(handlers, "good")->name, "Good");
}

static void a_plugin_replaces_one_that_failed(void **state)
{
	const struct handlers_entry *entry;

	(void) state;
	fixture_write("handler_good.so", "broken");
	install_plugin("twin", "handler_twin.so");
	assert_int_equal(load_plugins(), 1);
	entry = handlers_lookup(handlers, "good");
	assert_string_equal(entry->handler->name, "Twin");
	assert_null(entry->problem);
}

static void files_with_other_names_are_ignored(void **state)
{
	(void) state;
	install_plugin("good", "good.so");
	install_plugin("good", "handler_good.so.old");
	install_plugin("good", "handler_.so");
	fixture_write("README", "");
	assert_int_equal(load_plugins(), 0);
	assert_null(strstr(log_text, "ERROR"));
}

static void a_missing_directory_is_logged(void **state)
{
	(void) state;
	assert_int_equal(handlers_load(handlers, fixture_path("none")), -ENOENT);
	log_text = fixture_log_end();
	assert_non_null(strstr(log_text, ": cannot load handlers from "));
	assert_non_null(strstr(log_text, "/none: No such file or directory\n"));
}

static void a_handler_that_is_not_installed_is_known(void **state)
{
	const struct handlers_entry *entry = handlers_lookup(handlers, "rbd");

	(void) state;
	assert_non_null(entry);
	assert_null(entry->handler);
	assert_null(entry->origin);
	assert_string_equal(entry->problem, "the rbd handler is not installed (package tcmud-rbd)");
	assert_null(handlers_find(handlers, "rbd"));
}

static void entries_come_in_the_order_of_their_subtypes(void **state)
{
	static const char *const expected[] = {"good", "nbd", "newer", "older", "rbd", "text"};
	size_t i = 0;

	(void) state;
	fixture_write("handler_text.so", "");
	install_plugin("older", "handler_older.so");
	install_plugin("newer", "handler_newer.so");
	install_plugin("good", "handler_zzz.so");
	assert_int_equal(load_plugins(), 3);
	for (; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_string_equal(handlers_entry(handlers, i)->subtype, expected[i]);
	assert_null(handlers_entry(handlers, i));
}

static void a_built_in_handler_is_checked_like_a_plugin(void **state)
{
	struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI, .size = sizeof(handler), .subtype = "x"};
	struct tcmu_reason reason;

	(void) state;
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EINVAL);
	assert_string_equal(reason.text, "it has no function open");
	handler.abi = 2;
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EPROTO);
}

static struct tcmu_io *completed;

static void on_complete(struct tcmu_io *io, int error)
{
	assert_int_equal(error, 0);
	assert_null(completed);
	completed = io;
}

static void transfer(
	const struct tcmu_handler *handler, void *backend, const struct tcmu_host *host,
	enum tcmu_io_op op, char *data, size_t length)
{
	struct iovec iov = {data, length};
	struct tcmu_io io = {
		.op = op, .offset = 512, .length = length, .iov = &iov, .iov_cnt = 1, .host = host};

	completed = NULL;
	handler->submit(backend, &io);
	assert_ptr_equal(completed, &io);
}

/* C++11 to C++20, by the compilers that are here. */
static void plugins_in_cplusplus_are_loaded_and_serve(void **state)
{
	static const struct tcmu_host host = {
		.abi = TCMU_HANDLER_ABI, .size = sizeof(host), .complete = on_complete};
	const struct tcmu_config config = {.size = 4096, .block_size = 512};
	const struct handlers_entry *entry;
	unsigned served = 0;

	(void) state;
	assert_int_equal(handlers_load(handlers, CXX_PLUGINS), CXX_PLUGIN_COUNT);
	log_text = fixture_log_end();
	for (size_t i = 0; (entry = handlers_entry(handlers, i)); i++) {
		const struct tcmu_handler *handler = entry->handler;
		char written[512] = "a block", read[512] = "";
		struct tcmu_backend_info info = {0};
		struct tcmu_reason reason;
		void *backend;

		if (!handler)
			continue;
		assert_string_equal(handler->options[0].name, "depth");
		assert_int_equal(handler->open(&config, &host, NULL, &info, &backend, &reason), 0);
		transfer(handler, backend, &host, TCMU_IO_WRITE, written, sizeof(written));
		transfer(handler, backend, &host, TCMU_IO_READ, read, sizeof(read));
		assert_memory_equal(written, read, sizeof(read));
		handler->close(backend);
		served++;
	}
	assert_int_equal(served, CXX_PLUGIN_COUNT);
}

/* ------- init, fini, counters ------- */

static int init_result;
static const char *init_reason;
static unsigned inits, finis;

static int counting_init(struct tcmu_reason *reason)
{
	(void) snprintf(reason->text, sizeof(reason->text), "%s", init_reason);
	inits++;
	return init_result;
}

static void counting_fini(void)
{
	finis++;
}

static struct tcmu_handler counting_handler(const struct tcmu_counter *counters)
{
	struct tcmu_handler handler = *handlers_find(handlers, "good");

	handler.subtype = "counting";
	handler.version = "1.2-3";
	handler.counters = counters;
	handler.init = counting_init;
	handler.fini = counting_fini;
	return handler;
}

static void init_and_fini_run_once(void **state)
{
	static const struct tcmu_counter counters[] = {
		{.name = "retries", .help = "retries"},
		{.name = "depth", .help = "in flight", .flags = TCMU_COUNTER_GAUGE},
		{.name = NULL}};
	struct tcmu_handler handler;
	struct tcmu_reason reason = {""};

	(void) state;
	install_plugin("good", "handler_good.so");
	assert_int_equal(load_plugins(), 1);
	handler = counting_handler(counters);
	inits = finis = 0;
	init_reason = "no licence";
	init_result = -EACCES;
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EACCES);
	assert_string_equal(reason.text, "no licence");
	init_reason = "";
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EACCES);
	assert_string_equal(reason.text, "its init has failed: Permission denied");
	assert_null(handlers_find(handlers, "counting"));
	init_result = 0;
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), 0);
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EEXIST);
	assert_int_equal(inits, 3);
	assert_string_equal(handlers_find(handlers, "counting")->version, "1.2-3");
	assert_int_equal(handlers_counter_count(handlers_find(handlers, "counting")), 2);
	assert_int_equal(handlers_counter_count(handlers_find(handlers, "good")), 0);
	assert_int_equal(finis, 0);
	handlers_free(handlers);
	handlers = NULL;
	assert_int_equal(finis, 1);
}

static void invalid_counters_are_refused(void **state)
{
	static const struct tcmu_counter invalid[] = {{.name = "Retries"}, {.name = NULL}};
	static const struct tcmu_counter twice[] = {{.name = "a"}, {.name = "a"}, {.name = NULL}};
	struct tcmu_handler handler;
	struct tcmu_reason reason = {""};

	(void) state;
	install_plugin("good", "handler_good.so");
	assert_int_equal(load_plugins(), 1);
	handler = counting_handler(invalid);
	inits = 0;
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "the counter \"Retries\" is invalid"));
	handler = counting_handler(twice);
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), -EINVAL);
	assert_string_equal(reason.text, "the counter \"a\" is there twice");
	assert_int_equal(inits, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plugin_is_loaded_and_found_by_its_whole_subtype),
		TEST(a_newer_plugin_loses_unknown_members),
		TEST(members_that_an_older_plugin_lacks_are_zero),
		TEST(another_abi_is_refused),
		TEST(a_description_that_is_too_short_is_refused),
		TEST(an_object_without_the_entry_is_refused),
		TEST(a_plugin_of_tcmu_runner_is_named_as_such),
		TEST(an_entry_that_describes_nothing_is_refused),
		TEST(a_subtype_that_cannot_be_shown_is_refused),
		TEST(a_missing_function_is_refused),
		TEST(an_option_of_the_daemons_is_refused),
		TEST(an_unresolved_symbol_is_named),
		TEST(a_file_that_is_no_library_is_refused),
		TEST(a_plugin_that_others_may_change_is_refused),
		TEST(a_plugin_that_is_no_file_is_not_opened),
		TEST(the_first_of_two_with_one_subtype_is_taken),
		TEST(a_plugin_replaces_one_that_failed),
		TEST(files_with_other_names_are_ignored),
		TEST(a_missing_directory_is_logged),
		TEST(a_handler_that_is_not_installed_is_known),
		TEST(entries_come_in_the_order_of_their_subtypes),
		TEST(a_built_in_handler_is_checked_like_a_plugin),
		TEST(plugins_in_cplusplus_are_loaded_and_serve),
		TEST(init_and_fini_run_once),
		TEST(invalid_counters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
