/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus connection and the objects on it. One timer drives it: it ends an attempt to connect that
 * takes too long, and begins the next one.
 *
 * The object manager of sd-bus enumerates every object that has a vtable. So HandlerManager1, which
 * must answer but not be enumerated, is served by a callback for its path.
 *
 * Nothing here asks the bus who a caller is, which would mean to wait: the bus's policy decides who
 * may call.
 */
#include "rpc/tcmu-dbus-private.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "base/log.h"
#include "config/check.h"
#include "config/options.h"

/* RequestName's results */
#define NAME_OWNER         1
#define NAME_ALREADY_OWNER 4

#define BUS_PRIORITY       (SD_EVENT_PRIORITY_NORMAL + 50) /* after what the kernel waits for */
#define CONNECT_USEC       (5 * UINT64_C(1000000))
#define RETRY_USEC_MIN     UINT64_C(1000000)
#define RETRY_USEC_MAX     (30 * UINT64_C(1000000))
#define ACCURACY_USEC      10000

/* The bus carries UTF-8 only, and a handler's words may be cut in the middle of a character.
 * targetcli passes nothing but ASCII to us. */
void tcmu_dbus_make_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text >= 0x80)
			*text = '?';
}

static void report_state(struct tcmu_dbus *bus, enum tcmu_dbus_state state)
{
	if (bus->reported && bus->state == state)
		return;
	bus->reported = true;
	bus->state = state;
	if (bus->setup.changed)
		bus->setup.changed(bus->setup.userdata, state);
}

static void set_timer(struct tcmu_dbus *bus, uint64_t usec)
{
	if (sd_event_source_set_time_relative(bus->timer, usec) < 0 ||
	    sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT) < 0)
		log_error("the timer of the bus cannot be set; the daemon stays off the bus");
}

static void disconnect_bus(struct tcmu_dbus *bus)
{
	external_forget(bus);
	for (struct object *object = bus->objects; object; object = object->next)
		object->vtable = sd_bus_slot_unref(object->vtable);
	sd_bus_detach_event(bus->connection);
	bus->connection = sd_bus_close_unref(bus->connection);
}

/* There is no use in the connection. Called from its own callbacks too: it is closed when the timer
 * comes. */
static void connection_lost(struct tcmu_dbus *bus, enum tcmu_dbus_state state, const char *why)
{
	if (bus->phase == PHASE_WAITING)
		return;
	if (bus->phase == PHASE_CONNECTED)
		log_warning("the connection to the bus is lost: %s; trying again", why);
	else if (!bus->reported && state == TCMU_DBUS_REFUSED)
		log_warning(
			"the bus does not let us be " SERVICE
			": %s; trying again from time to time",
			why);
	else if (!bus->reported)
		log_info(
			"there is no bus (%s): targetcli cannot ask this daemon; looking for one "
			"from time "
			"to time",
			why);
	bus->phase = PHASE_WAITING;
	set_timer(bus, bus->retry_usec);
	bus->retry_usec = bus->retry_usec * 2 < RETRY_USEC_MAX ? bus->retry_usec * 2
							       : RETRY_USEC_MAX;
	report_state(bus, state);
}

/* ------- methods ------- */

int tcmu_dbus_reply(sd_bus_message *call, bool fine, const char *message)
{
	return sd_bus_reply_method_return(call, "bs", fine, message);
}

static void on_checked(void *userdata, bool fine, const char *message)
{
	sd_bus_message *call = userdata;
	char text[sizeof(struct tcmu_reason)];

	(void) snprintf(text, sizeof(text), "%s", message);
	tcmu_dbus_make_ascii(text);
	if (tcmu_dbus_reply(call, fine, text) < 0)
		log_debug("whoever asked for a check is gone");
	sd_bus_message_unref(call);
}

static int on_check_config(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct object *object = userdata;
	struct tcmu_dbus *bus = object->bus;
	const char *text;
	int r;

	(void) error;
	r = sd_bus_message_read(call, "s", &text);
	if (r < 0)
		return r;
	if (object->owner[0])
		return external_check(object, call, text);
	check_start(
		bus->checks, object->subtype, text, bus->setup.settings->check_timeout_ms,
		on_checked, sd_bus_message_ref(call));
	return 1;
}

/* targetcli takes a zero as success, and a false is one. */
static int on_change_medium(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) userdata;
	(void) error;
	return sd_bus_reply_method_return(
		call, "is", -EOPNOTSUPP,
		"the medium of a disk cannot be changed: create another backstore");
}

static const sd_bus_vtable object_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS(
		"CheckConfig", SD_BUS_ARGS("s", configstr),
		SD_BUS_RESULT("b", is_valid, "s", message), on_check_config,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"ChangeMedium", SD_BUS_ARGS("s", name, "t", size, "s", configstr),
		SD_BUS_RESULT("i", result, "s", message), on_change_medium,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY(
		"ConfigDesc", "s", NULL, offsetof(struct object, description),
		SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

static const char manager_introspection[] =
	"<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
	"<node>\n"
	" <interface name=\"" MANAGER_INTERFACE "\">\n"
	"  <method name=\"RegisterHandler\">\n"
	"   <arg type=\"s\" name=\"subtype\" direction=\"in\"/>\n"
	"   <arg type=\"s\" name=\"cfgstr_desc\" direction=\"in\"/>\n"
	"   <arg type=\"b\" name=\"succeeded\" direction=\"out\"/>\n"
	"   <arg type=\"s\" name=\"message\" direction=\"out\"/>\n"
	"  </method>\n"
	" </interface>\n"
	"</node>\n";

static int on_manager(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) error;
	if (sd_bus_message_is_method_call(
		    call, "org.freedesktop.DBus.Introspectable", "Introspect"))
		return sd_bus_reply_method_return(call, "s", manager_introspection);
	if (!sd_bus_message_is_method_call(call, MANAGER_INTERFACE, "RegisterHandler"))
		return 0;
	return external_register(userdata, call);
}

/* ------- connecting ------- */

static int on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct tcmu_dbus *bus = userdata;

	(void) error;
	if (sd_bus_message_get_bus(signal) == bus->connection)
		connection_lost(bus, TCMU_DBUS_ABSENT, "disconnected");
	return 0;
}

static int on_tcmu_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct tcmu_dbus *bus = userdata;
	const sd_bus_error *refused = sd_bus_message_get_error(reply);
	const char *why = refused && refused->message ? refused->message : "no answer";
	uint32_t result;

	(void) error;
	if (sd_bus_message_get_bus(reply) != bus->connection)
		return 0;
	if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_ACCESS_DENIED)) {
		connection_lost(bus, TCMU_DBUS_REFUSED, why);
	} else if (refused || sd_bus_message_read(reply, "u", &result) < 0) {
		connection_lost(bus, TCMU_DBUS_ABSENT, why);
	} else if (result != NAME_OWNER && result != NAME_ALREADY_OWNER) {
		connection_lost(bus, TCMU_DBUS_REFUSED, "another process is it");
	} else {
		bus->phase = PHASE_CONNECTED;
		bus->retry_usec = RETRY_USEC_MIN;
		(void) sd_event_source_set_enabled(bus->timer, SD_EVENT_OFF);
		log_info("on the bus as " SERVICE);
		report_state(bus, TCMU_DBUS_OWNED);
	}
	return 0;
}

static int add_object(struct tcmu_dbus *bus, struct object *object)
{
	return sd_bus_add_object_vtable(
		bus->connection, &object->vtable, object->path, SERVICE, object_vtable, object);
}

static int add_objects(struct tcmu_dbus *bus)
{
	int r = sd_bus_add_object_manager(bus->connection, NULL, ROOT);

	if (r >= 0)
		r = sd_bus_add_object(bus->connection, NULL, MANAGER_PATH, on_manager, bus);
	for (struct object *object = bus->objects; object && r >= 0; object = object->next)
		r = add_object(bus, object);
	return r;
}

static int connect_bus(struct tcmu_dbus *bus)
{
	int r;

	r = sd_bus_open_system(&bus->connection);
	if (r >= 0)
		r = add_objects(bus);
	if (r >= 0)
		r = external_watch(bus);
	if (r >= 0 && bus->setup.connected)
		r = bus->setup.connected(bus->setup.userdata, bus->connection);
	if (r >= 0)
		r = sd_bus_match_signal_async(
			bus->connection, NULL, "org.freedesktop.DBus.Local",
			"/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
			on_disconnected, NULL, bus);
	if (r >= 0)
		r = sd_bus_request_name_async(bus->connection, NULL, SERVICE, 0, on_tcmu_name, bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->connection, bus->setup.event, BUS_PRIORITY);
	return r;
}

static int on_connect_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct tcmu_dbus *bus = userdata;
	int r;

	(void) source;
	(void) usec;
	disconnect_bus(bus);
	if (bus->phase == PHASE_CONNECTING) {
		connection_lost(bus, TCMU_DBUS_ABSENT, "it does not answer");
		return 0;
	}
	bus->phase = PHASE_CONNECTING;
	set_timer(bus, CONNECT_USEC);
	r = connect_bus(bus);
	if (r < 0) {
		disconnect_bus(bus);
		connection_lost(bus, TCMU_DBUS_ABSENT, strerror(-r));
	}
	return 0;
}

/* ------- objects ------- */

struct object *tcmu_dbus_find_object(const struct tcmu_dbus *bus, const char *subtype)
{
	struct object *object = bus->objects;

	while (object && strcmp(object->subtype, subtype) != 0)
		object = object->next;
	return object;
}

struct object *tcmu_dbus_new_object(struct tcmu_dbus *bus, const char *subtype, char *description)
{
	struct object *object = description ? calloc(1, sizeof(*object)) : NULL;

	if (!object) {
		free(description);
		return NULL;
	}
	tcmu_dbus_make_ascii(description);
	object->bus = bus;
	object->description = description;
	(void) snprintf(object->subtype, sizeof(object->subtype), "%s", subtype);
	(void) snprintf(object->path, sizeof(object->path), "%s/%s", ROOT, subtype);
	object->next = bus->objects;
	bus->objects = object;
	return object;
}

void tcmu_dbus_describe(struct object *object, char *description)
{
	if (!description)
		return;
	tcmu_dbus_make_ascii(description);
	free(object->description);
	object->description = description;
}

void tcmu_dbus_show_object(struct object *object)
{
	if (object->bus->connection && add_object(object->bus, object) >= 0)
		(void) sd_bus_emit_object_added(object->bus->connection, object->path);
}

static void free_object(struct object *object)
{
	sd_bus_slot_unref(object->vtable);
	free(object->description);
	free(object);
}

void tcmu_dbus_drop_object(struct object *object)
{
	struct tcmu_dbus *bus = object->bus;
	struct object **link = &bus->objects;

	while (*link != object)
		link = &(*link)->next;
	*link = object->next;
	if (bus->connection && object->vtable)
		(void) sd_bus_emit_object_removed(bus->connection, object->path);
	free_object(object);
}

void tcmu_dbus_show_subtype(struct tcmu_dbus *bus, const char *subtype)
{
	struct object *object;

	if (!options_subtype_valid(subtype) || tcmu_dbus_find_object(bus, subtype))
		return;
	object = tcmu_dbus_new_object(bus, subtype, strdup(TCMU_DBUS_NO_HANDLER));
	if (object)
		tcmu_dbus_show_object(object);
}

static int show_handlers(struct tcmu_dbus *bus)
{
	const struct handlers_entry *entry;

	for (size_t i = 0; (entry = handlers_entry(bus->setup.handlers, i)); i++) {
		char *description = entry->handler ? options_describe(entry->handler)
						   : strdup(entry->problem);

		if (!tcmu_dbus_new_object(bus, entry->subtype, description))
			return -ENOMEM;
	}
	return 0;
}

int tcmu_dbus_new(const struct tcmu_dbus_setup *setup, struct tcmu_dbus **ret)
{
	struct tcmu_dbus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->setup = *setup;
	bus->retry_usec = RETRY_USEC_MIN;
	r = checks_new(setup->event, setup->mailbox, setup->handlers, &bus->checks);
	if (r >= 0)
		r = show_handlers(bus);
	if (r >= 0)
		r = sd_event_add_time_relative(
			setup->event, &bus->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
			on_connect_timer, bus);
	if (r < 0) {
		tcmu_dbus_free(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

void tcmu_dbus_free(struct tcmu_dbus *bus)
{
	if (!bus)
		return;
	checks_free(bus->checks);
	sd_event_source_disable_unref(bus->timer);
	disconnect_bus(bus);
	while (bus->objects) {
		struct object *object = bus->objects;

		bus->objects = object->next;
		free_object(object);
	}
	free(bus);
}
