/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's interface on the bus: its properties and methods, and the manual names all of
 * them.
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

#include "base/clock.h"
#include "base/log.h"
#include "bus-fixture.h"
#include "log-fixture.h"
#include "methods-fixture.h"
#include "rpc/tcmud-dbus.h"

#define OPERATOR "org.tcmud1"
#define DAEMON   "/org/tcmud1"
#define DISK     "/org/tcmud1/device/uio0"
#define FAULTED  "/org/tcmud1/device/uio1"

static sd_bus *serving;
static struct callers *callers;
static struct tcmud_dbus tcmud_dbus;

static bool has_name(void)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int owned = 0;

	if (sd_bus_call_method(
		    client(), "org.freedesktop.DBus", "/org/freedesktop/DBus",
		    "org.freedesktop.DBus", "NameHasOwner", &error, &reply, "s", OPERATOR) >= 0)
		(void) sd_bus_message_read(reply, "b", &owned);
	sd_bus_message_unref(reply);
	return owned;
}

static int setup(void **state)
{
	(void) state;
	private_bus_prepare(ANY_NAME);
	private_bus_start();
	methods_fixture_start();
	tcmud_dbus.methods = methods_fixture();
	assert_true(sd_bus_open_system(&serving) >= 0);
	assert_int_equal(callers_new(serving, &callers), 0);
	assert_int_equal(tcmud_dbus_add(&tcmud_dbus, serving, callers) < 0, 0);
	while (!has_name())
		while (sd_bus_process(serving, NULL) > 0)
			;
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	callers_free(callers);
	serving = sd_bus_close_unref(serving);
	methods_fixture_end();
	private_bus_stop();
	fixture_remove_directory();
	return 0;
}

/* ------- calls, served by the same thread ------- */

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	sd_bus_message **reply = userdata;

	(void) error;
	*reply = sd_bus_message_ref(message);
	return 0;
}

/* Takes the call. The caller owns the reply. */
static sd_bus_message *call_and_serve(sd_bus_message *message)
{
	sd_bus_message *reply = NULL;

	assert_true(sd_bus_call_async(client(), NULL, message, on_reply, &reply, 0) >= 0);
	sd_bus_message_unref(message);
	while (!reply) {
		(void) sd_bus_process(serving, NULL);
		if (sd_bus_process(client(), NULL) == 0 && !reply)
			(void) sd_bus_wait(serving, 1000);
	}
	return reply;
}

static sd_bus_message *new_method_call(const char *path, const char *interface, const char *member)
{
	sd_bus_message *message = NULL;

	assert_true(
		sd_bus_message_new_method_call(
			client(), &message, OPERATOR, path, interface, member) >= 0);
	return message;
}

static sd_bus_message *require_reply(sd_bus_message *reply)
{
	if (sd_bus_message_is_method_error(reply, NULL))
		fail_msg("%s", sd_bus_message_get_error(reply)->message);
	return reply;
}

static sd_bus_message *get_property(const char *path, const char *interface, const char *name)
{
	sd_bus_message *message = new_method_call(path, "org.freedesktop.DBus.Properties", "Get");

	assert_true(sd_bus_message_append(message, "ss", interface, name) >= 0);
	return require_reply(call_and_serve(message));
}

static void text_is(const char *path, const char *name, const char *wanted)
{
	sd_bus_message *reply = get_property(path, OPERATOR ".Device", name);
	const char *text;

	assert_true(sd_bus_message_read(reply, "v", "s", &text) > 0);
	assert_string_equal(text, wanted);
	sd_bus_message_unref(reply);
}

static void number_is(const char *path, const char *name, uint64_t wanted)
{
	sd_bus_message *reply = get_property(path, OPERATOR ".Device", name);
	uint64_t number;

	assert_true(sd_bus_message_read(reply, "v", "t", &number) > 0);
	assert_int_equal(number, wanted);
	sd_bus_message_unref(reply);
}

static void assert_refused(sd_bus_message *message, const char *error)
{
	sd_bus_message *reply = call_and_serve(message);

	assert_true(sd_bus_message_is_method_error(reply, error));
	sd_bus_message_unref(reply);
}

/* ------- objects and properties ------- */

static void a_device_has_properties(void **state)
{
	(void) state;
	atomic_store(&fixture_devices[0].stats.fetched, 9);
	atomic_store(&fixture_devices[0].stats.ended, 7);
	text_is(DISK, "Name", "user_0/disk");
	text_is(DISK, "Handler", "file");
	text_is(DISK, "Config", "file//srv/0.img");
	text_is(DISK, "State", "LIVE");
	text_is(DISK, "Problem", "");
	text_is(FAULTED, "Problem", "Input/output error");
	number_is(DISK, "Size", 1 << 20);
	number_is(DISK, "InFlight", 2);
	number_is(FAULTED, "CpuNanoseconds", 0);
}

static void counters_are_by_class(void **state)
{
	sd_bus_message *reply;
	const char *class;
	uint64_t commands, failed, bytes, ns;

	(void) state;
	atomic_store(&fixture_devices[0].stats.classes[SCSI_CLASS_READ].commands, 5);
	atomic_store(&fixture_devices[0].stats.classes[SCSI_CLASS_READ].failed, 1);
	atomic_store(&fixture_devices[0].stats.classes[SCSI_CLASS_READ].bytes, 4096);
	atomic_store(&fixture_devices[0].stats.classes[SCSI_CLASS_READ].ns, 77);
	reply = get_property(DISK, OPERATOR ".Device", "Counters");
	assert_true(sd_bus_message_enter_container(reply, 'v', "a(stttt)") > 0);
	assert_true(sd_bus_message_enter_container(reply, 'a', "(stttt)") > 0);
	assert_true(
		sd_bus_message_read(reply, "(stttt)", &class, &commands, &failed, &bytes, &ns) > 0);
	assert_string_equal(class, "read");
	assert_int_equal(commands, 5);
	assert_int_equal(failed, 1);
	assert_int_equal(bytes, 4096);
	assert_int_equal(ns, 77);
	sd_bus_message_unref(reply);
}

static void all_objects_are_enumerated(void **state)
{
	sd_bus_message *reply = require_reply(call_and_serve(new_method_call(
		DAEMON, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")));
	const char *path;
	unsigned cnt = 0;

	(void) state;
	assert_true(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") > 0);
	while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
		assert_true(sd_bus_message_read(reply, "o", &path) > 0);
		cnt += strcmp(path, DISK) == 0 || strcmp(path, FAULTED) == 0;
		assert_true(sd_bus_message_skip(reply, "a{sa{sv}}") > 0);
		assert_true(sd_bus_message_exit_container(reply) >= 0);
	}
	assert_int_equal(cnt, 2);
	sd_bus_message_unref(reply);
}

static void names_that_are_not_utf8_are_shown_all_the_same(void **state)
{
	(void) state;
	fixture_devices[0].status.label = "user_0/\xff";
	text_is(DISK, "Name", "user_0/\xef\xbf\xbd");
}

static void commands_in_flight_are_listed(void **state)
{
	struct fixture_device *device = &fixture_devices[0];
	sd_bus_message *reply;
	const char *operation;
	const uint8_t *cdb;
	size_t size;
	uint64_t bytes;
	double age;

	(void) state;
	device->requests[0] = (struct stats_request){
		.begun = clock_now_ns() - 3000000000,
		.cdb = {0x2a, 0, 0, 0, 1},
		.data_length = 4096};
	device->request_cnt = 1;
	reply = require_reply(
		call_and_serve(new_method_call(DISK, OPERATOR ".Device", "ListRequests")));
	assert_true(sd_bus_message_enter_container(reply, 'a', "(saytd)") > 0);
	assert_true(sd_bus_message_enter_container(reply, 'r', "saytd") > 0);
	assert_true(sd_bus_message_read(reply, "s", &operation) > 0);
	assert_true(sd_bus_message_read_array(reply, 'y', (const void **) &cdb, &size) > 0);
	assert_true(sd_bus_message_read(reply, "td", &bytes, &age) > 0);
	assert_string_equal(operation, "WRITE(10)");
	assert_int_equal(size, 16);
	assert_int_equal(cdb[4], 1);
	assert_int_equal(bytes, 4096);
	assert_true(age >= 3 && age < 60);
	sd_bus_message_unref(reply);
}

/* ------- methods ------- */

static void a_device_is_found_by_its_names(void **state)
{
	sd_bus_message *message = new_method_call(DAEMON, OPERATOR ".Manager", "FindDevice"),
		       *reply;
	const char *path;

	(void) state;
	assert_true(sd_bus_message_append(message, "s", "failed") >= 0);
	reply = require_reply(call_and_serve(message));
	assert_true(sd_bus_message_read(reply, "o", &path) > 0);
	assert_string_equal(path, FAULTED);
	sd_bus_message_unref(reply);
	message = new_method_call(DAEMON, OPERATOR ".Manager", "FindDevice");
	assert_true(sd_bus_message_append(message, "s", "nodisk") >= 0);
	assert_refused(message, OPERATOR ".NoSuchDevice");
}

static void a_device_is_reopened_or_it_is_refused(void **state)
{
	(void) state;
	sd_bus_message_unref(require_reply(
		call_and_serve(new_method_call(FAULTED, OPERATOR ".Device", "Reopen"))));
	assert_int_equal(fixture_devices[1].reopened, 1);
	fixture_devices[1].reopen_error = -EBUSY;
	assert_refused(new_method_call(FAULTED, OPERATOR ".Device", "Reopen"), OPERATOR ".Busy");
}

static void a_missing_device_has_no_object(void **state)
{
	static const char *const paths[] = {
		"/org/tcmud1/device/uio7",
		"/org/tcmud1/device/disk",
		"/org/tcmud1/device",
		"/org/tcmud1/device/uio0/x",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_refused(new_method_call(paths[i], OPERATOR ".Device", "Reopen"), NULL);
	assert_int_equal(fixture_devices[0].reopened, 0);
}

static void the_log_level_is_set_within_its_range(void **state)
{
	static const int levels[] = {-1, 6, INT32_MAX};
	sd_bus_message *message = new_method_call(DAEMON, OPERATOR ".Manager", "SetLogLevel");
	int before = log_level();

	(void) state;
	assert_true(sd_bus_message_append(message, "i", 1) >= 0);
	sd_bus_message_unref(require_reply(call_and_serve(message)));
	assert_int_equal(log_level(), 1);
	for (size_t i = 0; i < 3; i++) {
		message = new_method_call(DAEMON, OPERATOR ".Manager", "SetLogLevel");
		assert_true(sd_bus_message_append(message, "i", levels[i]) >= 0);
		assert_refused(message, SD_BUS_ERROR_INVALID_ARGS);
	}
	assert_int_equal(log_level(), 1);
	log_set_level(before);
}

static void the_dump_is_that_of_tcmuctl(void **state)
{
	sd_bus_message *reply = require_reply(
		call_and_serve(new_method_call(DAEMON, OPERATOR ".Manager", "Dump")));
	const char *text;
	json_t *dump;

	(void) state;
	assert_true(sd_bus_message_read(reply, "s", &text) > 0);
	dump = json_loads(text, 0, NULL);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(dump, "result"), "devices")), 2);
	json_decref(dump);
	sd_bus_message_unref(reply);
}

/* ------- the manual ------- */

/* The manual has each name of our interfaces. Returns the number of names. */
static unsigned names_are_in(const char *path, const char *manual)
{
	sd_bus_message *reply = require_reply(call_and_serve(
		new_method_call(path, "org.freedesktop.DBus.Introspectable", "Introspect")));
	const char *xml, *at, *end;
	char name[64];
	unsigned cnt = 0;

	assert_true(sd_bus_message_read(reply, "s", &xml) > 0);
	at = strstr(xml, "<interface name=\"" OPERATOR);
	assert_non_null(at);
	end = strstr(at, "</interface>");
	for (; at && at < end; at++) {
		if (strncmp(at, "<method name=\"", 14) != 0 &&
		    strncmp(at, "<property name=\"", 16) != 0)
			continue;
		at = strchr(at, '"') + 1;
		(void) snprintf(name, sizeof(name), " %.*s", (int) strcspn(at, "\""), at);
		if (!strstr(manual, name))
			fail_msg("%s is not in tcmud(8)", name + 1);
		cnt++;
	}
	sd_bus_message_unref(reply);
	return cnt;
}

static void the_manual_names_every_member(void **state)
{
	char *manual = fixture_read(PROJECT "/docs/man/tcmud.8");

	(void) state;
	assert_non_null(manual);
	assert_int_equal(names_are_in(DAEMON, manual), 5);
	assert_int_equal(names_are_in(DISK, manual), 12);
	free(manual);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_device_has_properties),
		TEST(counters_are_by_class),
		TEST(all_objects_are_enumerated),
		TEST(names_that_are_not_utf8_are_shown_all_the_same),
		TEST(commands_in_flight_are_listed),
		TEST(a_device_is_found_by_its_names),
		TEST(a_device_is_reopened_or_it_is_refused),
		TEST(a_missing_device_has_no_object),
		TEST(the_log_level_is_set_within_its_range),
		TEST(the_dump_is_that_of_tcmuctl),
		TEST(the_manual_names_every_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
