/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus connection is a small state machine that one timer drives:
 *
 *	WAITING --timer--> CONNECTING --name owned--> CONNECTED
 *	   ^                   |                          |
 *	   +--timer, refused---+--------disconnected------+
 *
 * A connection that ends is only marked from its own callbacks; the timer closes it.
 *
 * sd-bus's object manager enumerates every object that has a vtable. HandlerManager1 must answer
 * but not be enumerated, so a callback for its path serves it.
 *
 * rpc/callers.h asks the bus for the users of callers, without waiting. No vtable does: sd-bus
 * would wait for the answer.
 */
#include "rpc/tcmu-dbus.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "base/log.h"
#include "base/priority.h"
#include "config/check.h"
#include "config/options.h"
#include "rpc/callers.h"
#include "rpc/external-handlers.h"
#include "rpc/handler-objects.h"

/* RequestName's results */
#define NAME_OWNER         1
#define NAME_ALREADY_OWNER 4

#define SYSTEM_BUS         "unix:path=/run/dbus/system_bus_socket"
#define CONNECT_USEC       (5 * UINT64_C(1000000))
#define RETRY_USEC_MIN     UINT64_C(1000000)
#define RETRY_USEC_MAX     (30 * UINT64_C(1000000))
#define ACCURACY_USEC      10000

enum bus_phase {
	BUS_WAITING,    /* the timer starts the next attempt */
	BUS_CONNECTING, /* the timer ends the attempt */
	BUS_CONNECTED,  /* and the name is owned; the timer is off */
};

struct tcmu_dbus {
	struct tcmu_dbus_setup setup;
	struct handler_objects objects;
	struct external_handlers *external;
	struct checks *checks;
	sd_bus *connection;      /* NULL: none */
	struct callers *callers; /* of the connection */
	sd_event_source *timer;
	uint64_t retry_usec;
	enum bus_phase phase;
	enum tcmu_dbus_state state;
	bool reported; /* setup.changed knows state */
};

static void report_state(struct tcmu_dbus *bus, enum tcmu_dbus_state state)
{
	assert((state == TCMU_DBUS_OWNED) == (bus->phase == BUS_CONNECTED));
	if (bus->reported && bus->state == state)
		return;
	bus->reported = true;
	bus->state = state;
	if (bus->setup.changed)
		bus->setup.changed(bus->setup.userdata, state);
}

static void set_connect_timer(struct tcmu_dbus *bus, uint64_t usec)
{
	assert(bus->phase != BUS_CONNECTED);
	if (sd_event_source_set_time_relative(bus->timer, usec) < 0 ||
	    sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT) < 0)
		log_error("cannot set the timer of the bus connection: targetcli cannot reach this "
			  "daemon until it is restarted");
}

static void disconnect_bus(struct tcmu_dbus *bus)
{
	if (!bus->connection)
		return;
	external_handlers_disconnect(bus->external);
	callers_free(bus->callers);
	bus->callers = NULL;
	handler_objects_disconnect(&bus->objects);
	assert(!bus->objects.connection);
	sd_bus_detach_event(bus->connection);
	bus->connection = sd_bus_close_unref(bus->connection);
}

/* Gives up the connection or the attempt. Also called from the connection's own callbacks: the
 * timer closes it. */
static void connection_lost(struct tcmu_dbus *bus, enum tcmu_dbus_state state, const char *why)
{
	assert(state != TCMU_DBUS_OWNED);
	if (bus->phase == BUS_WAITING)
		return;
	if (bus->phase == BUS_CONNECTED)
		log_warning("lost the connection to the bus: %s; trying again", why);
	else if (!bus->reported && state == TCMU_DBUS_REFUSED)
		log_warning(
			"D-Bus name " TCMU_DBUS_NAME " was refused: %s; targetcli cannot reach "
			"this daemon; trying again",
			why);
	else if (!bus->reported)
		log_info(
			"cannot connect to the system bus: %s; targetcli cannot reach this daemon; "
			"trying again",
			why);
	bus->phase = BUS_WAITING;
	set_connect_timer(bus, bus->retry_usec);
	bus->retry_usec = MIN(bus->retry_usec * 2, RETRY_USEC_MAX);
	report_state(bus, state);
}

/* ------- methods ------- */

static void on_checked(void *userdata, bool valid, const char *message)
{
	sd_bus_message *call = userdata;

	if (handler_object_reply(call, valid, message) < 0)
		log_debug("cannot answer a CheckConfig call: its caller has left the bus");
	sd_bus_message_unref(call);
}

static int on_check_object(
	void *userdata, struct handler_object *object, sd_bus_message *call, const char *config)
{
	struct tcmu_dbus *bus = userdata;

	assert(object->objects == &bus->objects && bus->connection);
	if (object->bus_name[0])
		return external_handlers_check(bus->external, object, call, config);
	check_start(
		bus->checks, object->subtype, config, bus->setup.settings->check_timeout_ms,
		on_checked, sd_bus_message_ref(call));
	return 1;
}

static const char manager_introspection[] =
	"<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
	" \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
	"<node>\n"
	" <interface name=\"" HANDLER_MANAGER_INTERFACE "\">\n"
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
	(void) userdata;
	(void) error;
	if (sd_bus_message_is_method_call(
		    call, "org.freedesktop.DBus.Introspectable", "Introspect"))
		return sd_bus_reply_method_return(call, "s", manager_introspection);
	return 0;
}

static int on_register_handler(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	const struct tcmu_dbus *bus = userdata;

	if (strcmp(sd_bus_message_get_path(call), HANDLER_MANAGER_PATH) != 0)
		return callers_no_object(call, error);
	return external_handlers_register(bus->external, call);
}

static const struct callers_method manager_methods[] = {
	{HANDLER_MANAGER_INTERFACE, "RegisterHandler", "ss", on_register_handler},
	{0},
};

/* ------- connecting ------- */

static int on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct tcmu_dbus *bus = userdata;

	(void) error;
	if (sd_bus_message_get_bus(signal) == bus->connection)
		connection_lost(bus, TCMU_DBUS_ABSENT, "disconnected");
	return 0;
}

static void name_acquired(struct tcmu_dbus *bus)
{
	/* The attempt may have been given up while the answer was on its way. */
	if (bus->phase != BUS_CONNECTING)
		return;
	assert(bus->connection && bus->objects.connection == bus->connection);
	bus->phase = BUS_CONNECTED;
	bus->retry_usec = RETRY_USEC_MIN;
	(void) sd_event_source_set_enabled(bus->timer, SD_EVENT_OFF);
	log_info("D-Bus name " TCMU_DBUS_NAME " acquired");
	report_state(bus, TCMU_DBUS_OWNED);
}

static int on_tcmu_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct tcmu_dbus *bus = userdata;
	const sd_bus_error *refusal = sd_bus_message_get_error(reply);
	const char *why = refusal && refusal->message ? refusal->message : "no answer";
	uint32_t result;

	(void) error;
	if (sd_bus_message_get_bus(reply) != bus->connection)
		return 0;
	if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_ACCESS_DENIED))
		connection_lost(bus, TCMU_DBUS_REFUSED, why);
	else if (refusal || sd_bus_message_read(reply, "u", &result) < 0)
		connection_lost(bus, TCMU_DBUS_ABSENT, why);
	else if (result != NAME_OWNER && result != NAME_ALREADY_OWNER)
		connection_lost(bus, TCMU_DBUS_REFUSED, "another process owns it");
	else
		name_acquired(bus);
	return 0;
}

/* As sd_bus_open_system(), but without file descriptors in messages: any user could fill the
 * daemon's table of open files with those of calls that wait. */
static int open_connection(sd_bus **connection)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	int r = sd_bus_new(connection);

	if (r >= 0)
		r = sd_bus_set_address(*connection, address ? address : SYSTEM_BUS);
	if (r >= 0)
		r = sd_bus_set_bus_client(*connection, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(*connection, false);
	return r < 0 ? r : sd_bus_start(*connection);
}

static int connect_bus(struct tcmu_dbus *bus)
{
	int r;

	assert(bus->phase == BUS_CONNECTING && !bus->connection);
	r = open_connection(&bus->connection);
	if (r >= 0)
		r = callers_new(bus->connection, &bus->callers);
	if (r >= 0)
		r = handler_objects_connect(&bus->objects, bus->connection, bus->callers);
	if (r >= 0) {
		callers_add(bus->callers, manager_methods, bus);
		r = sd_bus_add_object(
			bus->connection, NULL, HANDLER_MANAGER_PATH, on_manager, NULL);
	}
	if (r >= 0)
		r = external_handlers_connect(bus->external);
	if (r >= 0 && bus->setup.connected)
		r = bus->setup.connected(bus->setup.userdata, bus->connection, bus->callers);
	if (r >= 0)
		r = sd_bus_match_signal_async(
			bus->connection, NULL, "org.freedesktop.DBus.Local",
			"/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
			on_disconnected, NULL, bus);
	if (r >= 0)
		r = sd_bus_request_name_async(
			bus->connection, NULL, TCMU_DBUS_NAME, 0, on_tcmu_name, bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->connection, bus->setup.event, PRIORITY_BUS);
	return r;
}

static int on_connect_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct tcmu_dbus *bus = userdata;
	int r;

	(void) source;
	(void) usec;
	assert(bus->phase != BUS_CONNECTED);
	disconnect_bus(bus);
	if (bus->phase == BUS_CONNECTING) {
		connection_lost(bus, TCMU_DBUS_ABSENT, "it does not answer");
		return 0;
	}
	bus->phase = BUS_CONNECTING;
	set_connect_timer(bus, CONNECT_USEC);
	r = connect_bus(bus);
	if (r < 0) {
		disconnect_bus(bus);
		connection_lost(bus, TCMU_DBUS_ABSENT, strerror(-r));
	}
	return 0;
}

/* ------- the beginning and the end ------- */

void tcmu_dbus_show_subtype(struct tcmu_dbus *bus, const char *subtype)
{
	if (!options_subtype_valid(subtype) || handler_objects_find(&bus->objects, subtype))
		return;
	handler_object_show(handler_objects_add(&bus->objects, subtype, HANDLER_OBJECT_NO_HANDLER));
}

static void add_handler_objects(struct tcmu_dbus *bus)
{
	const struct handlers_entry *entry;

	for (size_t i = 0; (entry = handlers_entry(bus->setup.handlers, i)); i++) {
		g_autofree char *description = entry->handler ? options_describe(entry->handler)
							      : g_strdup(entry->problem);

		(void) handler_objects_add(&bus->objects, entry->subtype, description);
	}
}

int tcmu_dbus_new(const struct tcmu_dbus_setup *setup, struct tcmu_dbus **ret)
{
	struct tcmu_dbus *bus = g_new0(struct tcmu_dbus, 1);
	int r;

	assert(setup->event && setup->mailbox && setup->handlers && setup->settings);
	bus->setup = *setup;
	bus->retry_usec = RETRY_USEC_MIN;
	bus->phase = BUS_WAITING;
	handler_objects_init(&bus->objects, on_check_object, bus);
	bus->external = external_handlers_new(&bus->objects, setup->handlers, setup->settings);
	bus->checks = checks_new(setup->event, setup->mailbox, setup->handlers);
	add_handler_objects(bus);
	r = sd_event_add_time_relative(
		setup->event, &bus->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_connect_timer,
		bus);
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
	handler_objects_clear(&bus->objects);
	external_handlers_free(bus->external);
	g_free(bus);
}
