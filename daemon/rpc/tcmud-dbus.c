/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices are not announced when they come and go; each call searches for its device.
 */
#include "rpc/tcmud-dbus.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <scsi/describe.h>
#include <scsi/optable.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"

#define TCMUD_DBUS_NAME "org.tcmud1"
#define TCMUD_DBUS_ROOT "/org/tcmud1"
#define DEVICES         TCMUD_DBUS_ROOT "/device"
#define REQUESTS_MAX    4096

static int append_text(sd_bus_message *reply, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

	return sd_bus_message_append(reply, "s", valid);
}

/* ------- the daemon ------- */

static int get_version(
	sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void) bus;
	(void) path;
	(void) interface;
	(void) property;
	(void) userdata;
	(void) error;
	return sd_bus_message_append(reply, "s", version_string());
}

static int get_log_level(
	sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void) bus;
	(void) path;
	(void) interface;
	(void) property;
	(void) userdata;
	(void) error;
	return sd_bus_message_append(reply, "i", log_level());
}

static bool is_for_daemon(sd_bus_message *call)
{
	return strcmp(sd_bus_message_get_path(call), TCMUD_DBUS_ROOT) == 0;
}

static int on_set_log_level(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	int level, r = sd_bus_message_read(call, "i", &level);

	(void) userdata;
	if (!is_for_daemon(call))
		return callers_no_object(call, error);
	if (r < 0)
		return r;
	if (level < 0 || level > LOG_LEVEL_MAX)
		return sd_bus_error_set(
			error, SD_BUS_ERROR_INVALID_ARGS,
			"the log level is invalid: expected a number from 0 to 5");
	log_set_level(level);
	return sd_bus_reply_method_return(call, "");
}

static void on_dumped(void *userdata, char *text)
{
	sd_bus_message *call = userdata;

	if (text)
		(void) sd_bus_reply_method_return(call, "s", text);
	else
		(void) sd_bus_reply_method_errno(call, ENOMEM, NULL);
	free(text);
	sd_bus_message_unref(call);
}

static int on_dump(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	static const char request[] = "{\"method\": \"dump\"}";
	const struct tcmud_dbus *self = userdata;

	assert(self->methods);
	if (!is_for_daemon(call))
		return callers_no_object(call, error);
	methods_call(
		self->methods, request, sizeof(request) - 1, on_dumped, sd_bus_message_ref(call));
	return 1;
}

static int on_find_device(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	const struct tcmud_dbus *self = userdata;
	const struct device *device;
	char path[sizeof(DEVICES) + 16];
	const char *text;
	unsigned cnt;
	int r;

	if (!is_for_daemon(call))
		return callers_no_object(call, error);
	r = sd_bus_message_read(call, "s", &text);
	if (r < 0)
		return r;
	device = manager_find(self->manager, text, &cnt);
	if (!device)
		return sd_bus_error_set(
			error, TCMUD_DBUS_NAME ".NoSuchDevice",
			cnt ? "several devices have that name: use its full name, like user_0/disk"
			    : "there is no such device");
	(void) snprintf(path, sizeof(path), DEVICES "/uio%u", device_minor(device));
	return sd_bus_reply_method_return(call, "o", path);
}

/* The vtables describe the methods; rpc/callers.h has them called. */
static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("LogLevel", "i", get_log_level, 0, 0),
	SD_BUS_METHOD_WITH_ARGS(
		"SetLogLevel", SD_BUS_ARGS("i", level), SD_BUS_NO_RESULT, callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Dump", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"FindDevice", SD_BUS_ARGS("s", device), SD_BUS_RESULT("o", path), callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* ------- devices ------- */

static int append_property(
	sd_bus_message *reply, const char *property, const struct device_status *view)
{
	uint64_t in_flight = 0;

	if (strcmp(property, "Name") == 0)
		return append_text(reply, view->label);
	if (strcmp(property, "Handler") == 0)
		return append_text(reply, view->handler);
	if (strcmp(property, "Config") == 0)
		return append_text(reply, view->name->config);
	if (strcmp(property, "State") == 0)
		return append_text(reply, view->state);
	if (strcmp(property, "Problem") == 0)
		return append_text(reply, view->problem);
	if (strcmp(property, "Size") == 0)
		return sd_bus_message_append(reply, "t", view->size);
	if (strcmp(property, "BlockSize") == 0)
		return sd_bus_message_append(reply, "u", view->block_size);
	if (strcmp(property, "CpuNanoseconds") == 0)
		return sd_bus_message_append(
			reply, "t", view->stats ? stats_cpu(view->stats) : in_flight);
	if (view->stats)
		in_flight = stats_get(&view->stats->fetched) - stats_get(&view->stats->ended);
	assert(strcmp(property, "InFlight") == 0);
	return sd_bus_message_append(reply, "t", in_flight);
}

static int get_device(
	sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct device_status view;

	(void) bus;
	(void) path;
	(void) interface;
	(void) error;
	device_get_status(userdata, &view);
	return append_property(reply, property, &view);
}

static int get_counters(
	sd_bus *bus, const char *path, const char *interface, const char *property,
	sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct device_status view;
	int r = sd_bus_message_open_container(reply, 'a', "(stttt)");

	(void) bus;
	(void) path;
	(void) interface;
	(void) property;
	(void) error;
	device_get_status(userdata, &view);
	for (int i = 0; r >= 0 && view.stats && i < SCSI_CLASS_COUNT; i++) {
		const struct stats_class *class = &view.stats->classes[i];

		r = sd_bus_message_append(
			reply, "(stttt)", scsi_class_name(i), stats_get(&class->commands),
			stats_get(&class->failed), stats_get(&class->bytes), stats_get(&class->ns));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_requests(sd_bus_message *reply, const struct device *device)
{
	g_autofree struct stats_request *requests = g_new(struct stats_request, REQUESTS_MAX);
	unsigned cnt = device_requests(device, requests, REQUESTS_MAX);
	uint64_t now = clock_now_ns();
	int r = sd_bus_message_open_container(reply, 'a', "(saytd)");

	assert(cnt <= REQUESTS_MAX);
	for (unsigned i = 0; r >= 0 && i < cnt; i++) {
		const struct stats_request *request = &requests[i];

		r = sd_bus_message_open_container(reply, 'r', "saytd");
		if (r >= 0)
			r = sd_bus_message_append(reply, "s", scsi_opcode_name(request->cdb));
		if (r >= 0)
			r = sd_bus_message_append_array(
				reply, 'y', request->cdb, sizeof(request->cdb));
		if (r >= 0)
			r = sd_bus_message_append(
				reply, "td", request->data_length,
				(double) clock_since(now, request->begun) / 1e9);
		if (r >= 0)
			r = sd_bus_message_close_container(reply);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Two devices may have one number: the one that the kernel still has wins. NULL: none has it. */
static struct device *device_of_path(const struct manager *manager, const char *path)
{
	struct device *device, *found = NULL;
	char wanted[sizeof(DEVICES) + 16];
	unsigned minor;

	if (strncmp(path, DEVICES "/uio", strlen(DEVICES "/uio")) != 0)
		return NULL;
	minor = (unsigned) strtoul(path + strlen(DEVICES "/uio"), NULL, 10);
	(void) snprintf(wanted, sizeof(wanted), DEVICES "/uio%u", minor);
	if (strcmp(path, wanted) != 0) /* uio00, uio0x */
		return NULL;
	for (unsigned i = 0; (device = manager_device(manager, i)); i++)
		if (device_minor(device) == minor &&
		    (!found || device_state_kernel_has(device_state(device))))
			found = device;
	return found;
}

static int on_list_requests(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	const struct tcmud_dbus *self = userdata;
	const struct device *device = device_of_path(self->manager, sd_bus_message_get_path(call));
	sd_bus_message *reply = NULL;
	int r;

	if (!device)
		return callers_no_object(call, error);
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = append_requests(reply, device);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 1;
}

static int on_reopen(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	const struct tcmud_dbus *self = userdata;
	struct device *device = device_of_path(self->manager, sd_bus_message_get_path(call));

	if (!device)
		return callers_no_object(call, error);
	if (device_reopen(device) < 0)
		return sd_bus_error_set(
			error, TCMUD_DBUS_NAME ".Busy",
			"the device is being opened, closed or resized; try again");
	return sd_bus_reply_method_return(call, "");
}

static const sd_bus_vtable device_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_device, 0, 0),
	SD_BUS_PROPERTY("Handler", "s", get_device, 0, 0),
	SD_BUS_PROPERTY("Config", "s", get_device, 0, 0),
	SD_BUS_PROPERTY("State", "s", get_device, 0, 0),
	SD_BUS_PROPERTY("Problem", "s", get_device, 0, 0),
	SD_BUS_PROPERTY("Size", "t", get_device, 0, 0),
	SD_BUS_PROPERTY("BlockSize", "u", get_device, 0, 0),
	SD_BUS_PROPERTY("InFlight", "t", get_device, 0, 0),
	SD_BUS_PROPERTY("CpuNanoseconds", "t", get_device, 0, 0),
	SD_BUS_PROPERTY("Counters", "a(stttt)", get_counters, 0, 0),
	SD_BUS_METHOD_WITH_ARGS(
		"ListRequests", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(saytd)", requests), callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Reopen", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int resolve_device(
	sd_bus *bus, const char *path, const char *interface, void *userdata, void **found,
	sd_bus_error *error)
{
	const struct tcmud_dbus *self = userdata;

	(void) bus;
	(void) interface;
	(void) error;
	assert(strncmp(path, DEVICES, strlen(DEVICES)) == 0);
	*found = device_of_path(self->manager, path);
	return *found != NULL;
}

static int list_devices(
	sd_bus *bus, const char *prefix, void *userdata, char ***nodes, sd_bus_error *error)
{
	const struct tcmud_dbus *self = userdata;
	const struct device *device;
	unsigned cnt = 0;
	char **list;

	(void) bus;
	(void) prefix;
	(void) error;
	while (manager_device(self->manager, cnt))
		cnt++;
	list = g_new0(char *, cnt + 1); /* sd-bus frees it */
	for (unsigned i = 0; (device = manager_device(self->manager, i)); i++) {
		assert(i < cnt);
		list[i] = g_strdup_printf(DEVICES "/uio%u", device_minor(device));
	}
	*nodes = list;
	return 1;
}

static int on_tcmud_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *refused = sd_bus_message_get_error(reply);

	(void) userdata;
	(void) error;
	if (refused)
		log_warning(
			"D-Bus name " TCMUD_DBUS_NAME
			" was refused: %s; tcmuctl works all the same",
			refused->message ? refused->message : "no answer");
	return 0;
}

static const struct callers_method own_methods[] = {
	{TCMUD_DBUS_NAME ".Manager", "SetLogLevel", "i", on_set_log_level},
	{TCMUD_DBUS_NAME ".Manager", "Dump", "", on_dump},
	{TCMUD_DBUS_NAME ".Manager", "FindDevice", "s", on_find_device},
	{TCMUD_DBUS_NAME ".Device", "ListRequests", "", on_list_requests},
	{TCMUD_DBUS_NAME ".Device", "Reopen", "", on_reopen},
	{0},
};

int tcmud_dbus_add(const struct tcmud_dbus *self, sd_bus *connection, struct callers *callers)
{
	void *userdata = (void *) self;
	int r = sd_bus_add_object_manager(connection, NULL, TCMUD_DBUS_ROOT);

	assert(self->methods && connection);
	callers_add(callers, own_methods, userdata);
	if (r >= 0)
		r = sd_bus_add_object_vtable(
			connection, NULL, TCMUD_DBUS_ROOT, TCMUD_DBUS_NAME ".Manager",
			manager_vtable, userdata);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(
			connection, NULL, DEVICES, TCMUD_DBUS_NAME ".Device", device_vtable,
			resolve_device, userdata);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(connection, NULL, DEVICES, list_devices, userdata);
	if (r >= 0)
		r = sd_bus_request_name_async(
			connection, NULL, TCMUD_DBUS_NAME, 0, on_tcmud_name, NULL);
	return r;
}
