/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External handlers: shown as long as they are registered, and asked for their checks; no other
 * process can add to targetcli's menus. And arguments of every kind for every method.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-fixture.h"
#include "log-fixture.h"

#define MANAGER      SERVICE ".HandlerManager1"
#define MANAGER_PATH ROOT "/HandlerManager1"
#define CHECK_MS     300

static sd_bus *other; /* the other process */
static unsigned asked;
static bool deaf;

static int on_asked(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *text;

	(void) userdata;
	(void) error;
	asked++;
	if (deaf)
		return 1;
	assert_true(sd_bus_message_read(call, "s", &text) > 0);
	return sd_bus_reply_method_return(call, "bs", strcmp(text, "mine/good") == 0, text);
}

static const sd_bus_vtable other_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckConfig", "s", "bs", on_asked, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int setup(void **state)
{
	(void) state;
	asked = 0;
	deaf = false;
	private_bus_prepare(ANY_NAME);
	private_bus_start();
	server_start(CHECK_MS);
	if (server_await_state() != TCMU_DBUS_OWNED)
		return -1;
	assert_true(sd_bus_open_system(&other) >= 0);
	assert_true(
		sd_bus_add_object_vtable(
			other, NULL, MANAGER_PATH "/mine", SERVICE, other_vtable, NULL) >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	other = sd_bus_close_unref(other);
	server_stop();
	private_bus_stop();
	fixture_remove_directory();
	return 0;
}

/* ------- calls, while the other process answers ------- */

struct reply {
	bool here;
	bool error;
	int fine;
	char text[512];
};

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct reply *reply = userdata;
	const char *text = "";

	(void) error;
	reply->here = true;
	reply->error = sd_bus_message_is_method_error(message, NULL) ||
		sd_bus_message_read(message, "bs", &reply->fine, &text) < 0;
	(void) snprintf(reply->text, sizeof(reply->text), "%s", text);
	return 0;
}

static void process_other(sd_bus *bus)
{
	while (sd_bus_process(bus, NULL) > 0)
		;
}

static void await_replies(struct reply *reply)
{
	while (!reply->here) {
		process_other(other);
		process_other(client());
		if (!reply->here)
			(void) sd_bus_wait(other, 1000);
	}
}

static struct reply check_config(const char *handler, const char *text)
{
	struct reply reply = {0};
	char path[128];

	(void) snprintf(path, sizeof(path), "%s/%s", ROOT, handler);
	assert_true(
		sd_bus_call_method_async(
			client(), NULL, SERVICE, path, SERVICE, "CheckConfig", on_reply, &reply,
			"s", text) >= 0);
	await_replies(&reply);
	return reply;
}

static struct reply register_by(sd_bus *bus, const char *subtype, const char *description)
{
	struct reply reply = {0};

	assert_true(
		sd_bus_call_method_async(
			bus, NULL, SERVICE, MANAGER_PATH, MANAGER, "RegisterHandler", on_reply,
			&reply, "ss", subtype, description) >= 0);
	await_replies(&reply);
	return reply;
}

static void register_mine(void)
{
	struct reply reply;

	assert_true(sd_bus_request_name(other, MANAGER ".mine", 0) >= 0);
	reply = register_by(other, "mine", "What \xe2\x80\x93 stands here.");
	assert_false(reply.error);
	assert_true(reply.fine);
}

static bool is_shown(void)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *description = NULL;
	int r = sd_bus_get_property_string(
		client(), SERVICE, ROOT "/mine", SERVICE, "ConfigDesc", &error, &description);

	free(description);
	sd_bus_error_free(&error);
	return r >= 0;
}

/* ------- tests ------- */

static void a_registered_handler_is_shown_with_its_description(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *description = NULL;

	(void) state;
	assert_false(is_shown());
	register_mine();
	assert_true(
		sd_bus_get_property_string(
			client(), SERVICE, ROOT "/mine", SERVICE, "ConfigDesc", &error,
			&description) >= 0);
	assert_string_equal(description, "What ??? stands here.");
	free(description);
}

static void its_checks_are_forwarded_to_it(void **state)
{
	struct reply good, bad;

	(void) state;
	register_mine();
	good = check_config("mine", "mine/good");
	bad = check_config("mine", "mine/bad");
	assert_false(good.error || bad.error);
	assert_true(good.fine);
	assert_false(bad.fine);
	assert_string_equal(bad.text, "mine/bad");
	assert_int_equal(asked, 2);
}

static void a_string_that_no_handler_accepts_is_not_forwarded(void **state)
{
	static const char *const texts[] = {"mine/a,b", "file/good", "mine", "", "mine/a b"};

	(void) state;
	register_mine();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct reply reply = check_config("mine", texts[i]);

		assert_false(reply.error);
		assert_false(reply.fine);
		assert_true(strlen(reply.text) > 10);
	}
	assert_int_equal(asked, 0);
}

static void a_silent_handler_is_a_refusal_in_time(void **state)
{
	struct reply reply;

	(void) state;
	register_mine();
	deaf = true;
	reply = check_config("mine", "mine/good");
	assert_false(reply.error);
	assert_false(reply.fine);
	assert_non_null(strstr(reply.text, "gives no valid answer"));
}

static void a_registration_ends_with_the_bus_name(void **state)
{
	(void) state;
	register_mine();
	assert_true(is_shown());
	assert_true(sd_bus_release_name(other, MANAGER ".mine") >= 0);
	while (is_shown())
		process_other(other);
	register_mine();
	assert_true(is_shown());
}

static void a_registration_ends_with_the_process(void **state)
{
	(void) state;
	register_mine();
	other = sd_bus_close_unref(other);
	while (is_shown())
		;
	assert_true(sd_bus_open_system(&other) >= 0);
}

/* Any user may send signals to the daemon. */
static void only_the_bus_can_report_that_a_name_is_gone(void **state)
{
	sd_bus_message *forged = NULL;
	const char *name;

	(void) state;
	register_mine();
	assert_true(sd_bus_get_unique_name(other, &name) >= 0);
	assert_true(
		sd_bus_message_new_signal(
			client(), &forged, "/org/freedesktop/DBus", "org.freedesktop.DBus",
			"NameOwnerChanged") >= 0);
	assert_true(sd_bus_message_set_destination(forged, SERVICE) >= 0);
	assert_true(sd_bus_message_append(forged, "sss", MANAGER ".mine", name, "") >= 0);
	assert_true(sd_bus_send(client(), forged, NULL) >= 0);
	sd_bus_message_unref(forged);
	/* The daemon answers in order. */
	assert_true(is_shown());
	assert_true(check_config("mine", "mine/good").fine);
}

static void show_mine(struct tcmu_dbus *bus)
{
	tcmu_dbus_show_subtype(bus, "mine");
}

static void a_subtype_in_use_stays_shown(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *description = NULL;

	(void) state;
	server_run(show_mine);
	register_mine();
	assert_true(sd_bus_release_name(other, MANAGER ".mine") >= 0);
	do {
		free(description);
		description = NULL;
		assert_true(
			sd_bus_get_property_string(
				client(), SERVICE, ROOT "/mine", SERVICE, "ConfigDesc", &error,
				&description) >= 0);
	} while (!strstr(description, "no such handler"));
	free(description);
}

static void only_the_process_with_the_name_can_register(void **state)
{
	struct reply reply = register_by(other, "mine", "x");

	(void) state;
	assert_false(reply.error);
	assert_false(reply.fine);
	assert_true(sd_bus_request_name(client(), MANAGER ".mine", 0) >= 0);
	reply = register_by(other, "mine", "x");
	assert_false(reply.fine);
	assert_false(is_shown());
}

static void an_invalid_registration_is_refused(void **state)
{
	char *description = calloc(1, 70000);
	struct reply reply;

	(void) state;
	memset(description, 'x', 65536);
	reply = register_by(other, "file", "x");
	assert_false(reply.error || reply.fine);
	assert_non_null(strstr(reply.text, "itself"));
	reply = register_by(other, "No-Such", "x");
	assert_false(reply.error || reply.fine);
	reply = register_by(other, "../../x", "x");
	assert_false(reply.error || reply.fine);
	reply = register_by(other, "", "x");
	assert_false(reply.error || reply.fine);
	reply = register_by(other, "mine", description);
	assert_false(reply.error || reply.fine);
	free(description);
}

static void a_bus_that_restarts_has_no_registrations(void **state)
{
	(void) state;
	register_mine();
	other = sd_bus_close_unref(other);
	private_bus_stop();
	assert_int_equal(server_await_state(), TCMU_DBUS_ABSENT);
	private_bus_start();
	assert_int_equal(server_await_state(), TCMU_DBUS_OWNED);
	assert_false(is_shown());
	assert_true(sd_bus_open_system(&other) >= 0);
	register_mine();
}

static void calls_in_flight_at_the_end_do_no_harm(void **state)
{
	struct reply reply = {0};

	(void) state;
	register_mine();
	deaf = true;
	assert_true(
		sd_bus_call_method_async(
			client(), NULL, SERVICE, ROOT "/mine", SERVICE, "CheckConfig", on_reply,
			&reply, "s", "mine/good") >= 0);
	while (!asked) {
		process_other(client());
		process_other(other);
	}
	server_leave();
}

/* ------- any arguments ------- */

static unsigned seed = 7;

static unsigned call_with_any_arguments(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

/* Valid UTF-8, as the bus carries nothing else. */
static void any_text(char *text, size_t size)
{
	static const char *const pieces[] = {
		"file", "/",        "mine", "hang", ",",  ";", "=", " ",
		"\n",   "\xc3\xa9", "\x01", "..",   "%s", "a", "0", "\"",
	};
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = call_with_any_arguments(12); i > 0 && used + 8 < size; i--)
		used += (size_t) snprintf(
			text + used, size - used, "%s", pieces[call_with_any_arguments(16)]);
}

static sd_bus_message *any_call(void)
{
	static const char *const paths[] = {ROOT "/file", ROOT "/easy", MANAGER_PATH,
					    ROOT,         ROOT "/mine", "/"};
	static const char *const interfaces[] = {
		SERVICE, MANAGER, "org.freedesktop.DBus.Properties"};
	static const char *const members[] = {"CheckConfig", "ChangeMedium", "RegisterHandler",
					      "Get",         "GetAll",       "Set"};
	static const char *const types[] = {"s", "ss", "sts", "u", "", "sv", "as"};
	sd_bus_message *call = NULL;
	const char *type = types[call_with_any_arguments(7)];
	char text[128];

	assert_true(
		sd_bus_message_new_method_call(
			client(), &call, SERVICE, paths[call_with_any_arguments(6)],
			interfaces[call_with_any_arguments(3)],
			members[call_with_any_arguments(6)]) >= 0);
	for (const char *c = type; *c; c++) {
		any_text(text, sizeof(text));
		if (*c == 's')
			assert_true(sd_bus_message_append(call, "s", text) >= 0);
		else if (*c == 't')
			assert_true(
				sd_bus_message_append(
					call, "t",
					(uint64_t) call_with_any_arguments(UINT32_MAX) << 32) >= 0);
		else if (*c == 'u')
			assert_true(
				sd_bus_message_append(
					call, "u", call_with_any_arguments(UINT32_MAX)) >= 0);
		else if (*c == 'v')
			assert_true(sd_bus_message_append(call, "v", "s", text) >= 0);
		else {
			assert_true(sd_bus_message_append(call, "as", 2, text, text) >= 0);
			break;
		}
	}
	return call;
}

static void any_arguments_are_answered(void **state)
{
	(void) state;
	for (int i = 0; i < 3000; i++) {
		sd_bus_message *call = any_call();
		struct reply reply = {0};

		assert_true(sd_bus_call_async(client(), NULL, call, on_reply, &reply, 0) >= 0);
		sd_bus_message_unref(call);
		await_replies(&reply);
	}
	assert_true(check_config("file", "file/good").fine);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_registered_handler_is_shown_with_its_description),
		TEST(its_checks_are_forwarded_to_it),
		TEST(a_string_that_no_handler_accepts_is_not_forwarded),
		TEST(a_silent_handler_is_a_refusal_in_time),
		TEST(a_registration_ends_with_the_bus_name),
		TEST(a_registration_ends_with_the_process),
		TEST(only_the_bus_can_report_that_a_name_is_gone),
		TEST(a_subtype_in_use_stays_shown),
		TEST(only_the_process_with_the_name_can_register),
		TEST(an_invalid_registration_is_refused),
		TEST(a_bus_that_restarts_has_no_registrations),
		TEST(calls_in_flight_at_the_end_do_no_harm),
		TEST(any_arguments_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
