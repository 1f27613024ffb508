/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus as targetcli uses it: it shows exactly the handlers, it answers every check with a
 * sentence and never with an error, and a hanging handler never delays it.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bus-fixture.h"
#include "duration.h"
#include "log-fixture.h"

#define CHECK_MS         UINT64_C(300)
#define LONG_MS          24000
#define PROMPT_SECONDS   0.1

#define RESTARTS         3
#define RESTARTS_SECONDS 6 /* 1 + 2 + 4 would be more */

static unsigned check_timeout_ms = LONG_MS;

static int setup_without_bus(void **state)
{
	(void) state;
	private_bus_prepare(ANY_NAME);
	server_start(check_timeout_ms);
	return 0;
}

static int setup(void **state)
{
	(void) state;
	private_bus_prepare(ANY_NAME);
	private_bus_start();
	server_start(check_timeout_ms);
	return server_await_state() != TCMU_DBUS_OWNED;
}

static int setup_short(void **state)
{
	int r;

	check_timeout_ms = CHECK_MS;
	r = setup(state);
	check_timeout_ms = LONG_MS;
	return r;
}

static int teardown(void **state)
{
	(void) state;
	server_stop();
	private_bus_stop();
	fixture_remove_directory();
	return 0;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* Waits for this number of callbacks of the client. */
static void await_callbacks(const unsigned *times, unsigned cnt)
{
	while (*times < cnt) {
		int r = sd_bus_process(client(), NULL);

		assert_true(r >= 0);
		if (r == 0)
			assert_true(sd_bus_wait(client(), UINT64_MAX) >= 0);
	}
}

/* ------- objects and properties ------- */

/* All paths of GetManagedObjects, each followed by a blank; and the ConfigDesc of /file. */
static void managed_objects(char *paths, size_t size, char **description)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *path, *interface, *property, *text;
	size_t used = 0;

	assert_true(
		sd_bus_call_method(
			client(), SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager",
			"GetManagedObjects", &error, &reply, "") >= 0);
	assert_true(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") > 0);
	while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
		assert_true(sd_bus_message_read(reply, "o", &path) > 0);
		used += (size_t) snprintf(paths + used, size - used, "%s ", path);
		assert_true(sd_bus_message_enter_container(reply, 'a', "{sa{sv}}") > 0);
		while (sd_bus_message_enter_container(reply, 'e', "sa{sv}") > 0) {
			assert_true(sd_bus_message_read(reply, "s", &interface) > 0);
			assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") > 0);
			while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
				assert_true(sd_bus_message_read(reply, "s", &property) > 0);
				assert_string_equal(interface, SERVICE);
				assert_string_equal(property, "ConfigDesc");
				assert_true(sd_bus_message_read(reply, "v", "s", &text) > 0);
				if (strcmp(path, ROOT "/file") == 0)
					*description = strdup(text);
				assert_true(sd_bus_message_exit_container(reply) >= 0);
			}
			assert_true(sd_bus_message_exit_container(reply) >= 0);
			assert_true(sd_bus_message_exit_container(reply) >= 0);
		}
		assert_true(sd_bus_message_exit_container(reply) >= 0);
		assert_true(sd_bus_message_exit_container(reply) >= 0);
	}
	sd_bus_message_unref(reply);
}

static void assert_shows(const char *const *subtypes, unsigned cnt)
{
	char paths[1024] = "", wanted[128];
	char *description = NULL;

	managed_objects(paths, sizeof(paths), &description);
	free(description);
	assert_int_equal(fixture_count(paths, " "), cnt);
	for (unsigned i = 0; i < cnt; i++) {
		(void) snprintf(wanted, sizeof(wanted), ROOT "/%s ", subtypes[i]);
		if (fixture_count(paths, wanted) != 1)
			fail_msg("%s is not in %s", wanted, paths);
	}
}

static const char *const handlers[] = {"easy", "file", "hang", "nbd", "rbd", "other"};

static void exactly_the_handlers_are_enumerated(void **state)
{
	(void) state;
	assert_shows(handlers, 5);
}

static void a_handlers_description_is_a_property(void **state)
{
	char paths[1024] = "";
	char *description = NULL;

	(void) state;
	managed_objects(paths, sizeof(paths), &description);
	assert_non_null(description);
	assert_true(strncmp(description, "A path ??? and more.\nOptions:\n  ;ro=", 36) == 0);
	free(description);
}

static char *property_of(const char *path)
{
	char *text = NULL;

	(void) sd_bus_get_property_string(
		client(), SERVICE, path, SERVICE, "ConfigDesc", NULL, &text);
	return text;
}

static void a_handler_that_is_not_installed_names_its_package(void **state)
{
	char *text = property_of(ROOT "/rbd");

	(void) state;
	assert_string_equal(text, "the rbd handler is not installed (package tcmud-rbd)");
	free(text);
}

static void asking_for_all_properties_is_answered_at_once(void **state)
{
	static const struct {
		const char *path, *interface;
	} questions[] = {
		{ROOT, "org.freedesktop.DBus.ObjectManager"},
		{ROOT "/file", SERVICE},
		{ROOT "/HandlerManager1", SERVICE ".HandlerManager1"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		struct duration began = duration_start();
		sd_bus_error error = SD_BUS_ERROR_NULL;
		sd_bus_message *reply = NULL;

		(void) sd_bus_call_method(
			client(), SERVICE, questions[i].path, "org.freedesktop.DBus.Properties",
			"GetAll", &error, &reply, "s", questions[i].interface);
		assert_false(sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY));
		duration_assert(&began, PROMPT_SECONDS);
		sd_bus_message_unref(reply);
		sd_bus_error_free(&error);
	}
}

static void introspect_path(const char *path, const char *const *words, size_t cnt)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *xml = NULL;

	assert_true(
		sd_bus_call_method(
			client(), SERVICE, path, "org.freedesktop.DBus.Introspectable",
			"Introspect", &error, &reply, "") >= 0);
	assert_true(sd_bus_message_read(reply, "s", &xml) > 0);
	for (size_t i = 0; i < cnt; i++)
		if (!strstr(xml, words[i]))
			fail_msg("%s is not in %s", words[i], xml);
	sd_bus_message_unref(reply);
}

static void introspection_shows_the_interfaces(void **state)
{
	static const char *const handler[] = {
		"<interface name=\"org.kernel.TCMUService1\">",
		"<method name=\"CheckConfig\">",
		"<arg type=\"s\" name=\"configstr\" direction=\"in\"/>",
		"<arg type=\"b\" name=\"is_valid\" direction=\"out\"/>",
		"<arg type=\"s\" name=\"message\" direction=\"out\"/>",
		"<property name=\"ConfigDesc\" type=\"s\"",
	};
	static const char *const manager[] = {
		"<interface name=\"org.kernel.TCMUService1.HandlerManager1\">",
		"<method name=\"RegisterHandler\">",
		"<arg type=\"s\" name=\"cfgstr_desc\" direction=\"in\"/>",
	};

	(void) state;
	introspect_path(ROOT "/file", handler, sizeof(handler) / sizeof(handler[0]));
	introspect_path(ROOT "/HandlerManager1", manager, sizeof(manager) / sizeof(manager[0]));
}

static void show_other(struct tcmu_dbus *bus)
{
	tcmu_dbus_show_subtype(bus, "other");
	tcmu_dbus_show_subtype(bus, "other");
	tcmu_dbus_show_subtype(bus, "file");
	tcmu_dbus_show_subtype(bus, "Not/Possible");
}

static int on_added(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	const char *path;

	(void) error;
	assert_true(sd_bus_message_read(signal, "o", &path) > 0);
	assert_string_equal(path, ROOT "/other");
	(*(unsigned *) userdata)++;
	return 0;
}

/* Otherwise a backstore without its handler could not be deleted. */
static void a_subtype_in_use_is_shown_without_a_handler(void **state)
{
	char *text;
	unsigned added = 0;

	(void) state;
	assert_true(
		sd_bus_match_signal(
			client(), NULL, SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager",
			"InterfacesAdded", on_added, &added) >= 0);
	server_run(show_other);
	assert_shows(handlers, 6);
	await_callbacks(&added, 1);
	text = property_of(ROOT "/other");
	assert_string_equal(text, "There is no such handler here.");
	free(text);
}

/* ------- CheckConfig ------- */

static void assert_answer(const char *subtype, const char *config, bool fine, const char *message)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	char path[128];
	const char *text;
	int valid;

	(void) snprintf(path, sizeof(path), ROOT "/%s", subtype);
	if (sd_bus_call_method(
		    client(), SERVICE, path, SERVICE, "CheckConfig", &error, &reply, "s", config) <
	    0)
		fail_msg("\"%s\": an error reply: %s", config, error.message);
	assert_true(sd_bus_message_read(reply, "bs", &valid, &text) > 0);
	assert_string_equal(text, message);
	assert_int_equal(valid, fine);
	sd_bus_message_unref(reply);
}

static void a_check_is_answered_with_a_sentence(void **state)
{
	char longest[300];

	(void) state;
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "file/", 5);
	longest[256] = '\0';
	assert_answer("file", "file/good", true, "success");
	assert_answer("easy", "easy/anything", true, "success");
	assert_answer("file", "file/other", false, "no such file");
	assert_answer(
		"file", "file/good;what=1", false,
		"the file handler has no option \"what\"; its options are: ro share vendor product "
		"revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
	assert_answer(
		"file", "easy/x", false, "the string is for the handler \"easy\", not \"file\"");
	assert_answer(
		"file", "file/a,b", false,
		"the config string must not have a comma: the kernel would cut it there; "
		"write %2C, and the option escaped");
	assert_answer(
		"file", "file/a:b", false,
		"the config string must not have a ':': targetcli refuses it; write %3A, "
		"and the option escaped");
	assert_answer(
		"file", "file/a b", false,
		"the config string must not have a blank: targetcli would save it cut there; "
		"write %20, and the option escaped");
	assert_answer(
		"file", "file/a\nb", false,
		"the config string must not have a newline: the kernel would cut it there");
	assert_answer(
		"file", "", false,
		"the config string does not begin with a handler's name and a '/'");
	assert_answer(
		"file", longest, false,
		"the config string has 256 bytes: the kernel would cut it after 255");
	assert_answer(
		"rbd", "rbd/p/i", false, "the rbd handler is not installed (package tcmud-rbd)");
}

static void text_that_is_not_ascii_is_replaced(void **state)
{
	(void) state;
	assert_answer("file", "file/bytes", false, "? cut ?");
}

static void a_hanging_handler_is_a_refusal_in_time(void **state)
{
	uint64_t began = now_usec();

	(void) state;
	assert_answer("hang", "hang/x", false, "the hang handler has not answered within 0.3 s");
	assert_true(now_usec() - began >= CHECK_MS * 1000);
	server_release(1);
}

static int count_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	unsigned *cnt = userdata;
	int valid;
	const char *text;

	(void) error;
	assert_true(sd_bus_message_read(reply, "bs", &valid, &text) > 0);
	assert_string_equal(text, valid ? "success" : "the daemon stops");
	(*cnt)++;
	return 0;
}

static void hang_some(unsigned cnt, unsigned *replies)
{
	for (unsigned i = 0; i < cnt; i++)
		assert_true(
			sd_bus_call_method_async(
				client(), NULL, SERVICE, ROOT "/hang", SERVICE, "CheckConfig",
				count_reply, replies, "s", "hang/x") >= 0);
	/* An answer to a later call shows that the earlier ones have been taken. */
	assert_answer("file", "file/good", true, "success");
}

static void hanging_handlers_delay_no_other_check(void **state)
{
	unsigned replies = 0;
	struct duration began;

	(void) state;
	hang_some(5, &replies);
	began = duration_start();
	assert_shows(handlers, 5);
	free(property_of(ROOT "/file"));
	assert_answer("file", "file/good", true, "success");
	duration_assert(&began, PROMPT_SECONDS);
	assert_int_equal(replies, 0);
	server_release(5);
	await_callbacks(&replies, 5);
}

static void checks_in_flight_at_the_end_are_answered(void **state)
{
	unsigned replies = 0;

	(void) state;
	hang_some(2, &replies);
	server_leave();
	await_callbacks(&replies, 2);
	server_release(2);
}

static void a_caller_may_leave_before_the_answer(void **state)
{
	unsigned replies = 0;
	sd_bus *other = NULL;

	(void) state;
	assert_true(sd_bus_open_system(&other) >= 0);
	assert_true(
		sd_bus_call_method_async(
			other, NULL, SERVICE, ROOT "/hang", SERVICE, "CheckConfig", count_reply,
			&replies, "s", "hang/x") >= 0);
	assert_true(sd_bus_flush(other) >= 0);
	sd_bus_close_unref(other);
	server_release(1);
	assert_answer(
		"hang", "hang/x;x=1", false,
		"the hang handler has no option \"x\"; its options are: ro share vendor product "
		"revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
	assert_answer("file", "file/good", true, "success");
}

/* ------- the other methods ------- */

static void registering_is_answered(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *text;
	int succeeded;

	(void) state;
	assert_true(
		sd_bus_call_method(
			client(), SERVICE, ROOT "/HandlerManager1", SERVICE ".HandlerManager1",
			"RegisterHandler", &error, &reply, "ss", "file", "mine") >= 0);
	assert_true(sd_bus_message_read(reply, "bs", &succeeded, &text) > 0);
	assert_false(succeeded);
	assert_string_equal(text, "this daemon has a handler \"file\" itself");
	sd_bus_message_unref(reply);
	assert_shows(handlers, 5);
}

static void changing_a_medium_is_refused_as_targetcli_expects(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *text;
	int result = 0;

	(void) state;
	assert_true(
		sd_bus_call_method(
			client(), SERVICE, ROOT "/file", SERVICE, "ChangeMedium", &error, &reply,
			"sts", "disk", UINT64_C(1) << 30, "file/good") >= 0);
	assert_true(sd_bus_message_read(reply, "is", &result, &text) > 0);
	assert_int_equal(result, -EOPNOTSUPP);
	assert_true(strlen(text) > 10);
	sd_bus_message_unref(reply);
}

/* ------- the connection ------- */

static void a_bus_that_starts_later_is_found(void **state)
{
	(void) state;
	assert_int_equal(server_await_state(), TCMU_DBUS_ABSENT);
	private_bus_start();
	assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
	assert_answer("file", "file/good", true, "success");
}

static void a_bus_that_restarts_is_found_again(void **state)
{
	struct duration began = duration_start();

	(void) state;
	for (int i = 0; i < RESTARTS; i++) {
		private_bus_stop();
		assert_int_equal(server_await_state(), TCMU_DBUS_ABSENT);
		private_bus_start();
		assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
		assert_answer("file", "file/good", true, "success");
	}
	/* The delay does not grow with each restart. */
	duration_assert(&began, RESTARTS_SECONDS);
}

static void a_bus_may_end_during_a_check(void **state)
{
	unsigned replies = 0;

	(void) state;
	hang_some(1, &replies);
	private_bus_stop();
	assert_int_equal(server_await_state(), TCMU_DBUS_ABSENT);
	server_release(1);
	private_bus_start();
	assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
	assert_answer("file", "file/good", true, "success");
}

static void a_taken_name_is_acquired_when_it_is_free(void **state)
{
	(void) state;
	private_bus_start();
	assert_true(sd_bus_request_name(client(), SERVICE, 0) >= 0);
	server_start(LONG_MS);
	assert_int_equal(server_await_state(), TCMU_DBUS_REFUSED);
	assert_true(sd_bus_release_name(client(), SERVICE) >= 0);
	assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
}

static void a_policy_that_refuses_the_name_is_reported(void **state)
{
	(void) state;
	private_bus_prepare(NO_NAME);
	private_bus_start();
	server_start(LONG_MS);
	assert_int_equal(server_await_state(), TCMU_DBUS_REFUSED);
}

static int setup_prepared(void **state)
{
	(void) state;
	private_bus_prepare(ANY_NAME);
	return 0;
}

static void a_bus_that_never_answers_is_given_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) state;
	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", private_bus_socket());
	assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	server_start(LONG_MS);
	assert_int_equal(server_await_state(), TCMU_DBUS_ABSENT);
	(void) close(fd);
	private_bus_start();
	assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exactly_the_handlers_are_enumerated),
		TEST(a_handlers_description_is_a_property),
		TEST(a_handler_that_is_not_installed_names_its_package),
		TEST(asking_for_all_properties_is_answered_at_once),
		TEST(introspection_shows_the_interfaces),
		TEST(a_subtype_in_use_is_shown_without_a_handler),
		TEST(a_check_is_answered_with_a_sentence),
		TEST(text_that_is_not_ascii_is_replaced),
		cmocka_unit_test_setup_teardown(
			a_hanging_handler_is_a_refusal_in_time, setup_short, teardown),
		TEST(hanging_handlers_delay_no_other_check),
		TEST(checks_in_flight_at_the_end_are_answered),
		TEST(a_caller_may_leave_before_the_answer),
		TEST(registering_is_answered),
		TEST(changing_a_medium_is_refused_as_targetcli_expects),
		cmocka_unit_test_setup_teardown(
			a_bus_that_starts_later_is_found, setup_without_bus, teardown),
		TEST(a_bus_that_restarts_is_found_again),
		TEST(a_bus_may_end_during_a_check),
		cmocka_unit_test_setup_teardown(
			a_taken_name_is_acquired_when_it_is_free, setup_prepared, teardown),
		cmocka_unit_test_setup_teardown(
			a_bus_that_never_answers_is_given_up, setup_prepared, teardown),
		cmocka_unit_test_teardown(a_policy_that_refuses_the_name_is_reported, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
