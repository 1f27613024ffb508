/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus whose policy permits everything: each of our methods is refused to users who are not
 * trusted, by the daemon itself, and what only reads is not. A flood of such users delays neither
 * the control socket nor posts nor timers, counted in iterations of the event loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/priority.h"
#include "base/trust.h"
#include "bus-fixture.h"
#include "log-fixture.h"
#include "methods-fixture.h"
#include "rpc/control-socket.h"
#include "rpc/tcmud-dbus.h"

#define TCMUD_ROOT "/org/tcmud1"
#define MANAGER    "org.freedesktop.DBus.ObjectManager"
#define READS      100u
#define READS_MAX  60u /* that a user may have at once, with those while the test runs */
#define FLOODERS   4
#define FLOOD      120u /* calls of each */
#define SOON       12u  /* iterations of the event loop */

static struct tcmud_dbus tcmud_dbus;
static sd_bus *stranger;

/* Users whose first call comes while this is set are not trusted. */
static atomic_bool distrust;

bool __wrap_trust_user(uid_t uid);

bool __wrap_trust_user(uid_t uid)
{
	(void) uid;
	return !distrust;
}

static int on_connected(void *userdata, sd_bus *connection, struct callers *callers)
{
	(void) userdata;
	return tcmud_dbus_add(&tcmud_dbus, connection, callers);
}

/* A connection whose user the daemon has found to be no trusted one. */
static sd_bus *connect_stranger(void)
{
	sd_bus *bus = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;

	assert_true(sd_bus_open_system(&bus) >= 0);
	distrust = true;
	assert_true(
		sd_bus_call_method(
			bus, SERVICE, ROOT "/file", SERVICE, "CheckConfig", &error, NULL, "s",
			"file/good") < 0);
	assert_string_equal(error.name, SD_BUS_ERROR_ACCESS_DENIED);
	sd_bus_error_free(&error);
	distrust = false;
	return bus;
}

static int setup(void **state)
{
	(void) state;
	private_bus_prepare(ANY_NAME);
	private_bus_start();
	methods_fixture_start();
	tcmud_dbus.methods = methods_fixture();
	server_connected = on_connected;
	server_start(1000);
	if (server_await_state() != TCMU_DBUS_OWNED)
		return -1;
	stranger = connect_stranger();
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	stranger = sd_bus_close_unref(stranger);
	server_stop();
	server_connected = NULL;
	methods_fixture_end();
	private_bus_stop();
	fixture_remove_directory();
	return 0;
}

/* ------- every method ------- */

/* The name of the error of a call with arguments that no method has; "": it succeeded. */
static void call_wrongly(
	sd_bus *bus, const char *path, const char *interface, const char *member, char name[64])
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(
		bus, SERVICE, path, interface, member, &error, NULL, "(dd)", 1.0, 2.0);

	assert_true(r >= 0 || error.name);
	(void) snprintf(name, 64, "%s", r < 0 ? error.name : "");
	sd_bus_error_free(&error);
}

static char *introspect_as(sd_bus *bus, const char *path)
{
	sd_bus_message *reply = NULL;
	const char *xml;
	char *copy;

	assert_true(
		sd_bus_call_method(
			bus, SERVICE, path, "org.freedesktop.DBus.Introspectable", "Introspect",
			NULL, &reply, "") >= 0);
	assert_true(sd_bus_message_read(reply, "s", &xml) > 0);
	copy = strdup(xml);
	sd_bus_message_unref(reply);
	return copy;
}

/* Copies the value of an attribute that begins at the text. */
static void copy_value(char *value, size_t size, const char *at)
{
	at = strchr(at, '"') + 1;
	(void) snprintf(value, size, "%.*s", (int) strcspn(at, "\""), at);
}

static void method_is_guarded(const char *path, const char *interface, const char *member)
{
	char name[64];

	call_wrongly(stranger, path, interface, member, name);
	if (strcmp(name, SD_BUS_ERROR_ACCESS_DENIED) != 0)
		fail_msg("%s of %s is not refused to a stranger: %s", member, path, name);
	call_wrongly(client(), path, interface, member, name);
	if (strcmp(name, SD_BUS_ERROR_INVALID_ARGS) != 0)
		fail_msg("%s of %s does not exist for root: %s", member, path, name);
}

static void property_is_guarded(const char *path, const char *interface, const char *property)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;

	assert_true(
		sd_bus_call_method(
			stranger, SERVICE, path, "org.freedesktop.DBus.Properties", "Get", NULL,
			&reply, "ss", interface, property) >= 0);
	sd_bus_message_unref(reply);
	assert_true(
		sd_bus_call_method(
			stranger, SERVICE, path, "org.freedesktop.DBus.Properties", "Set", &error,
			NULL, "ssv", interface, property, "s", "x") < 0);
	assert_string_equal(error.name, SD_BUS_ERROR_PROPERTY_READ_ONLY);
	sd_bus_error_free(&error);
}

/* Walks an object and those below it. Returns the number of our methods. */
static unsigned walk_objects(const char *path)
{
	char *xml = introspect_as(stranger, path), interface[128] = "", name[128], below[300];
	unsigned cnt = 0;

	for (const char *at = xml; (at = strchr(at, '<')); at++) {
		if (strncmp(at, "<interface ", 11) == 0)
			copy_value(interface, sizeof(interface), at);
		else if (
			strncmp(at, "<method ", 8) != 0 && strncmp(at, "<property ", 10) != 0 &&
			strncmp(at, "<node name", 10) != 0)
			continue;
		copy_value(name, sizeof(name), at);
		if (strncmp(at, "<node name", 10) == 0) {
			(void) snprintf(below, sizeof(below), "%s/%s", path[1] ? path : "", name);
			cnt += walk_objects(below);
		} else if (strncmp(interface, "org.freedesktop.", 16) == 0) {
			continue;
		} else if (at[1] == 'm') {
			method_is_guarded(path, interface, name);
			cnt++;
		} else if (at[1] == 'p') {
			property_is_guarded(path, interface, name);
		}
	}
	free(xml);
	return cnt;
}

static void every_method_is_refused_to_strangers(void **state)
{
	(void) state;
	/* Of five handlers, their manager, the daemon and two devices. */
	assert_int_equal(walk_objects("/"), 2 * 5 + 1 + 3 + 2 * 2);
}

static void other_calls_are_refused_to_all(void **state)
{
	static const struct {
		const char *path, *interface, *member;
	} calls[] = {
		{ROOT "/file", SERVICE, "Shutdown"},
		{ROOT "/file", "org.example.Other", "CheckConfig"},
		{ROOT "/none", SERVICE, "CheckConfig"},
		{ROOT, SERVICE ".HandlerManager1", "RegisterHandler"},
		{"/org/tcmud1/device/uio7", "org.tcmud1.Device", "Reopen"},
		{"/org/tcmud1/device/uio00", "org.tcmud1.Device", "Reopen"},
		{"/org/tcmud1/device/uio0x", "org.tcmud1.Device", "Reopen"},
		{TCMUD_ROOT "/device", "org.tcmud1.Manager", "Dump"},
	};
	char name[64];

	(void) state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		call_wrongly(stranger, calls[i].path, calls[i].interface, calls[i].member, name);
		assert_true(name[0]);
		call_wrongly(client(), calls[i].path, calls[i].interface, calls[i].member, name);
		assert_true(name[0]);
	}
	assert_int_equal(fixture_devices[0].reopened, 0);
}

/* Before the bus has said whose a connection is, its calls are held. */
static void no_call_runs_before_its_user_is_known(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus = NULL;

	(void) state;
	for (int i = 0; i < 20; i++) {
		assert_true(sd_bus_open_system(&bus) >= 0);
		distrust = i % 2;
		assert_int_equal(
			sd_bus_call_method(
				bus, SERVICE, "/org/tcmud1/device/uio0", "org.tcmud1.Device",
				"Reopen", &error, NULL, "") < 0,
			i % 2);
		sd_bus_error_free(&error);
		bus = sd_bus_close_unref(bus);
	}
	distrust = false;
	assert_int_equal(fixture_devices[0].reopened, 10);
}

static int count_refusals(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	unsigned *refusals = userdata;

	(void) error;
	assert_true(
		sd_bus_message_is_method_error(reply, SD_BUS_ERROR_ACCESS_DENIED) ||
		sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED));
	(*refusals)++;
	return 0;
}

static void many_calls_of_an_unknown_user_are_all_refused(void **state)
{
	unsigned refusals = 0;
	sd_bus *bus = NULL;

	(void) state;
	assert_true(sd_bus_open_system(&bus) >= 0);
	distrust = true;
	for (unsigned i = 0; i < READS; i++)
		assert_true(
			sd_bus_call_method_async(
				bus, NULL, SERVICE, ROOT "/file", SERVICE, "CheckConfig",
				count_refusals, &refusals, "s", "file/good") >= 0);
	while (refusals < READS)
		if (sd_bus_process(bus, NULL) == 0)
			assert_true(sd_bus_wait(bus, UINT64_MAX) >= 0);
	distrust = false;
	sd_bus_close_unref(bus);
}

/* Else calls that wait would fill the daemon's table of open files. */
static void files_in_calls_do_not_reach_the_daemon(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;

	(void) state;
	assert_true(
		sd_bus_call_method(
			stranger, SERVICE, ROOT, "org.freedesktop.DBus.Peer", "Ping", &error, NULL,
			"h", STDIN_FILENO) < 0);
	assert_string_equal(error.name, SD_BUS_ERROR_NOT_SUPPORTED);
	sd_bus_error_free(&error);
}

/* ------- costly reads ------- */

/* How many of READS calls are answered; the others must be refused by the limit. */
static unsigned read_often(sd_bus *bus, const char *path, const char *interface, const char *member)
{
	unsigned answered = 0;

	for (unsigned i = 0; i < READS; i++) {
		sd_bus_error error = SD_BUS_ERROR_NULL;
		int r = sd_bus_call_method(bus, SERVICE, path, interface, member, &error, NULL, "");

		if (r < 0)
			assert_string_equal(error.name, SD_BUS_ERROR_LIMITS_EXCEEDED);
		answered += r >= 0;
		sd_bus_error_free(&error);
	}
	return answered;
}

static void costly_reads_are_limited_for_each_user(void **state)
{
	sd_bus *another = connect_stranger();
	unsigned answered;

	(void) state;
	answered = read_often(stranger, TCMUD_ROOT, MANAGER, "GetManagedObjects");
	/* Of the same user, so its limit is the same. */
	answered += read_often(another, ROOT, MANAGER, "GetManagedObjects");
	answered += read_often(
		another, "/org/tcmud1/device", "org.freedesktop.DBus.Introspectable", "Introspect");
	assert_in_range(answered, 8, READS_MAX);
	sd_bus_close_unref(another);
	assert_int_equal(read_often(client(), ROOT, MANAGER, "GetManagedObjects"), READS);
}

/* ------- a flood, on an event loop of the test's own ------- */

static struct {
	sd_event *event;
	struct mailbox *mailbox;
	struct handlers *handlers;
	struct settings settings;
	struct tcmu_dbus *bus;
	struct control_socket *control;
	bool owned, posted, timed;
} host;

static void on_state(void *userdata, enum tcmu_dbus_state state)
{
	(void) userdata;
	host.owned = state == TCMU_DBUS_OWNED;
}

static void on_request(
	void *userdata, struct control_client *client, const char *request, size_t length)
{
	(void) userdata;
	control_socket_reply(client, strndup(request, length));
}

static int setup_flood(void **state)
{
	struct tcmu_dbus_setup setup = {.changed = on_state};

	(void) state;
	private_bus_prepare(ANY_NAME);
	private_bus_start();
	settings_defaults(&host.settings);
	assert_true(sd_event_new(&host.event) >= 0);
	assert_int_equal(mailbox_new(host.event, PRIORITY_POSTS, &host.mailbox), 0);
	host.handlers = handlers_new();
	setup.event = host.event;
	setup.mailbox = host.mailbox;
	setup.handlers = host.handlers;
	setup.settings = &host.settings;
	assert_int_equal(
		control_socket_new(
			host.event, fixture_path("control"), on_request, NULL, &host.control),
		0);
	assert_int_equal(tcmu_dbus_new(&setup, &host.bus), 0);
	while (!host.owned)
		assert_true(sd_event_run(host.event, UINT64_MAX) >= 0);
	return 0;
}

static int teardown_flood(void **state)
{
	(void) state;
	distrust = false;
	tcmu_dbus_free(host.bus);
	control_socket_free(host.control);
	handlers_free(host.handlers);
	mailbox_free(host.mailbox);
	host.event = sd_event_unref(host.event);
	host.owned = host.posted = host.timed = false;
	private_bus_stop();
	fixture_remove_directory();
	return 0;
}

static int ignore_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void) reply;
	(void) userdata;
	(void) error;
	return 0;
}

/* The bus has the calls when it has answered a later one. */
static sd_bus *flood_from_client(void)
{
	static const char *const members[] = {"GetManagedObjects", "Introspect", "GetAll", "Ping"};
	static const char *const interfaces[] = {
		MANAGER, "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties",
		"org.freedesktop.DBus.Peer"};
	sd_bus_message *signal = NULL;
	sd_bus *bus = NULL;

	assert_true(sd_bus_open_system(&bus) >= 0);
	for (unsigned i = 0; i < FLOOD; i++) {
		assert_true(
			sd_bus_call_method_async(
				bus, NULL, SERVICE, ROOT, interfaces[i % 4], members[i % 4],
				ignore_reply, NULL, i % 4 == 2 ? "s" : "", SERVICE) >= 0);
		assert_true(
			sd_bus_message_new_signal(
				bus, &signal, "/org/example", "org.example.Any", "Any") >= 0);
		assert_true(sd_bus_message_set_destination(signal, SERVICE) >= 0);
		assert_true(sd_bus_send(bus, signal, NULL) >= 0);
		signal = sd_bus_message_unref(signal);
	}
	assert_true(
		sd_bus_call_method(
			bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus", "GetId", NULL, NULL, "") >= 0);
	return bus;
}

static void on_post(struct post *post)
{
	(void) post;
	host.posted = true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) source;
	(void) usec;
	(void) userdata;
	host.timed = true;
	return 0;
}

static int connect_control(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path("control"));
	assert_int_equal(connect(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
	while (sd_event_run(host.event, 0) > 0)
		;
	return fd;
}

static void a_flood_on_the_bus_delays_nothing_else(void **state)
{
	struct post post = {.run = on_post};
	sd_event_source *timer = NULL;
	sd_bus *flooders[FLOODERS];
	char answer[16];
	unsigned iterations = 0;
	bool answered = false;
	int fd = connect_control();

	(void) state;
	distrust = true;
	for (int i = 0; i < FLOODERS; i++)
		flooders[i] = flood_from_client();
	assert_int_equal(send(fd, "hello\n", 6, MSG_NOSIGNAL), 6);
	mailbox_post(host.mailbox, &post);
	assert_true(
		sd_event_add_time_relative(
			host.event, &timer, CLOCK_MONOTONIC, 0, 1, on_time, NULL) >= 0);
	while (!answered || !host.posted || !host.timed) {
		assert_true(sd_event_run(host.event, 0) > 0);
		if (++iterations > SOON)
			fail_msg("%u iterations were not enough", SOON);
		answered |= recv(fd, answer, sizeof(answer), MSG_DONTWAIT) == 6;
	}
	/* The flood was there all the time, and is not at its end. */
	for (unsigned i = 0; i < FLOOD; i++)
		assert_true(sd_event_run(host.event, 1000000) > 0);
	(void) sd_event_source_disable_unref(timer);
	(void) close(fd);
	for (int i = 0; i < FLOODERS; i++)
		sd_bus_close_unref(flooders[i]);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(every_method_is_refused_to_strangers),
		TEST(other_calls_are_refused_to_all),
		TEST(no_call_runs_before_its_user_is_known),
		TEST(many_calls_of_an_unknown_user_are_all_refused),
		TEST(files_in_calls_do_not_reach_the_daemon),
		TEST(costly_reads_are_limited_for_each_user),
		cmocka_unit_test_setup_teardown(
			a_flood_on_the_bus_delays_nothing_else, setup_flood, teardown_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
