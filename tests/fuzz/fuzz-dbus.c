/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any method call of D-Bus, with any arguments, to the objects of both names. Each call is answered
 * once, and a text that the daemon answers is ASCII where targetcli reads it.
 *
 * An input is the method (a byte), the types of the arguments (a byte), and their bytes: texts that
 * end with NUL, and numbers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "fake-handler.h"
#include "methods-fixture.h"
#include "rpc/callers.h"
#include "rpc/external-handlers.h"
#include "rpc/handler-objects.h"
#include "rpc/tcmud-dbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define SENDER     ":1.7"
#define MANAGER    "/org/tcmud1"
#define DISK       "/org/tcmud1/device/uio0"
#define FILE_PATH  TCMU_DBUS_ROOT "/file"

static const struct {
	const char *path; /* NULL: the first text of the input, below MANAGER/device */
	const char *interface;
	const char *member;
	const char *types;
} calls[] = {
	{FILE_PATH, TCMU_DBUS_NAME, "CheckConfig", "s"},
	{FILE_PATH, TCMU_DBUS_NAME, "CreateDevice", "s"},
	{HANDLER_MANAGER_PATH, HANDLER_MANAGER_INTERFACE, "RegisterHandler", "ss"},
	{HANDLER_MANAGER_PATH, HANDLER_MANAGER_INTERFACE, "UnregisterHandler", "s"},
	{MANAGER, "org.tcmud1.Manager", "SetLogLevel", "i"},
	{MANAGER, "org.tcmud1.Manager", "FindDevice", "s"},
	{MANAGER, "org.tcmud1.Manager", "Dump", ""},
	{DISK, "org.tcmud1.Device", "Reopen", ""},
	{DISK, "org.tcmud1.Device", "ListRequests", ""},
	{NULL, "org.tcmud1.Device", "ListRequests", ""},
	{NULL, PROPERTIES, "GetAll", "s"},
	{DISK, PROPERTIES, "Get", "ss"},
	{MANAGER, PROPERTIES, "Get", "ss"},
	{MANAGER, PROPERTIES, "GetAll", "s"},
	{FILE_PATH, PROPERTIES, "Get", "ss"},
	{TCMU_DBUS_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""},
	{MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""},
};

/* NULL: as the method wants them. 'a': an array of texts. */
static const char *const other_types[] = {NULL, "",   "s", "ss", "sss", "i",
					  "u",  "is", "o", "a",  "v"};

static struct {
	sd_bus *serving, *calling;
	struct tcmud_dbus tcmud_dbus;
	struct handler_objects objects;
	struct external_handlers *external;
	struct callers *callers;
	struct handlers *handlers;
	struct settings settings;
	unsigned answers;
	uint32_t user; /* of the caller */
} world;

/* The log would be the slowest part. */
void __wrap_log_emit(const void *where, const char *fmt, ...);
void __wrap_log_set_level(int level);

void __wrap_log_emit(const void *where, const char *fmt, ...)
{
	(void) where, (void) fmt;
}

void __wrap_log_set_level(int level)
{
	(void) level;
}

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

/* ------- the daemon's side ------- */

static int on_check(
	void *userdata, struct handler_object *object, sd_bus_message *call, const char *config)
{
	(void) userdata;
	if (object->bus_name[0])
		return external_handlers_check(world.external, object, call, config);
	return handler_object_reply(call, strlen(config) % 2, config);
}

/* The bus, which the daemon asks for the user of a sender and for the process that has a name. */
static int on_bus(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) userdata, (void) error;
	if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetConnectionUnixUser"))
		return sd_bus_reply_method_return(call, "u", world.user);
	if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetNameOwner"))
		return sd_bus_reply_method_return(call, "s", SENDER);
	return 0;
}

static int run_register(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	(void) userdata, (void) error;
	return external_handlers_register(world.external, call);
}

static const struct callers_method manager_methods[] = {
	{HANDLER_MANAGER_INTERFACE, "RegisterHandler", "ss", run_register}, {NULL}};

static sd_bus *make_connection(int fd, bool server)
{
	sd_bus *bus = NULL;

	fuzz_demand(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0);
	if (server)
		fuzz_demand(
			sd_bus_set_server(
				bus, true,
				SD_ID128_MAKE(
					1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)) >=
			0);
	fuzz_demand(sd_bus_start(bus) >= 0);
	return bus;
}

static void fuzz_end(void)
{
	external_handlers_disconnect(world.external);
	handler_objects_disconnect(&world.objects);
	callers_free(world.callers);
	sd_bus_close_unref(world.serving);
	sd_bus_close_unref(world.calling);
	handler_objects_clear(&world.objects);
	external_handlers_free(world.external);
	handlers_free(world.handlers);
	methods_fixture_end();
}

static void fuzz_begin(void)
{
	int fds[2];

	methods_fixture_start();
	settings_defaults(&world.settings);
	fuzz_demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	world.serving = make_connection(fds[0], true);
	world.calling = make_connection(fds[1], false);
	fuzz_demand(callers_new(world.serving, &world.callers) >= 0);
	world.tcmud_dbus.methods = methods_fixture();
	(void) tcmud_dbus_add(
		&world.tcmud_dbus, world.serving,
		world.callers); /* there is no bus to give a name */
	world.handlers = handlers_new();
	fake_handler_add(world.handlers, "file", "a path", NULL);
	handler_objects_init(&world.objects, on_check, NULL);
	(void) handler_objects_add(&world.objects, "file", "a path");
	world.external = external_handlers_new(&world.objects, world.handlers, &world.settings);
	fuzz_demand(handler_objects_connect(&world.objects, world.serving, world.callers) >= 0);
	(void) external_handlers_connect(world.external);
	callers_add(world.callers, manager_methods, NULL);
	fuzz_demand(
		sd_bus_add_object(world.calling, NULL, "/org/freedesktop/DBus", on_bus, NULL) >= 0);
	fuzz_demand(atexit(fuzz_end) == 0);
}

/* ------- a call ------- */

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const char *text;
	int fine;

	(void) userdata, (void) error;
	world.answers++;
	if (!sd_bus_message_is_method_error(reply, NULL) &&
	    sd_bus_message_has_signature(reply, "bs") &&
	    sd_bus_message_read(reply, "bs", &fine, &text) > 0)
		for (; *text; text++)
			fuzz_demand((unsigned char) *text < 0x80);
	return 1;
}

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take_byte(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

/* Up to a NUL; cut to the buffer. */
static const char *take_text(struct input *input, char *text, size_t size)
{
	size_t length = 0;
	uint8_t byte;

	while (input->size && (byte = take_byte(input)))
		if (length < size - 1)
			text[length++] = (char) byte;
	text[length] = '\0';
	return text;
}

/* sd-bus refuses to send a text that is not UTF-8, and a path that is none. */
static int append_argument(sd_bus_message *message, struct input *input, char type)
{
	char text[4096];
	int32_t number = 0;

	switch (type) {
	case 's':
		return sd_bus_message_append(message, "s", take_text(input, text, sizeof(text)));
	case 'o':
		return sd_bus_message_append(message, "o", take_text(input, text, sizeof(text)));
	case 'v':
		return sd_bus_message_append(
			message, "v", "s", take_text(input, text, sizeof(text)));
	case 'a':
		return sd_bus_message_append(
			message, "as", 1, take_text(input, text, sizeof(text)));
	default:
		for (int i = 0; i < 4; i++)
			number = (int32_t) ((uint32_t) number << 8 | take_byte(input));
		return sd_bus_message_append_basic(message, type, &number);
	}
}

static sd_bus_message *make_call(struct input *input)
{
	size_t method = take_byte(input) % (sizeof(calls) / sizeof(calls[0]));
	const char *types =
		other_types[take_byte(input) % (sizeof(other_types) / sizeof(other_types[0]))];
	sd_bus_message *message = NULL;
	char path[512], node[256];
	int r;

	(void) snprintf(path, sizeof(path), "%s", calls[method].path ? calls[method].path : "");
	if (!calls[method].path)
		(void) snprintf(
			path, sizeof(path), MANAGER "/device/%s",
			take_text(input, node, sizeof(node)));
	r = sd_bus_message_new_method_call(
		world.calling, &message, NULL, path, calls[method].interface, calls[method].member);
	for (types = types ? types : calls[method].types; r >= 0 && *types; types++)
		r = append_argument(message, input, *types);
	return r < 0 ? sd_bus_message_unref(message) : message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.data = data, .size = size};
	sd_bus_message *message;

	if (!world.serving)
		fuzz_begin();
	message = make_call(&input);
	if (!message)
		return 0;
	world.answers = 0;
	world.user = size % 8 ? 0 : 65534;
	fuzz_demand(sd_bus_message_set_sender(message, SENDER) >= 0);
	fuzz_demand(sd_bus_call_async(world.calling, NULL, message, on_reply, NULL, 0) >= 0);
	sd_bus_message_unref(message);
	while (!world.answers) {
		int r = 0;

		r += sd_bus_process(world.serving, NULL);
		r += sd_bus_process(world.calling, NULL);
		r += sd_event_run(methods_fixture_event(), 0); /* Dump writes its text by a job */
		fuzz_demand(r >= 0);
	}
	while (sd_bus_process(world.serving, NULL) > 0 || sd_bus_process(world.calling, NULL) > 0)
		;
	fuzz_demand(world.answers == 1);
	return 0;
}
