/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus connection and the objects on it. One timer drives it: it ends an attempt to connect that takes too long, and
 * begins the next one.
 *
 * The object manager of sd-bus enumerates every object that has a vtable. So HandlerManager1, which must answer but not
 * be enumerated, is served by a callback for its path.
 *
 * Nothing here asks the bus who a caller is, which would mean to wait: the bus's policy decides who may call.
 */
#include "bus.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "check.h"
#include "log.h"
#include "options.h"

#define SERVICE           "org.kernel.TCMUService1"
#define ROOT              "/org/kernel/TCMUService1"
#define MANAGER_PATH      ROOT "/HandlerManager1"
#define MANAGER_INTERFACE SERVICE ".HandlerManager1"

/* RequestName's results */
#define NAME_OWNER         1
#define NAME_ALREADY_OWNER 4

#define BUS_PRIORITY       (SD_EVENT_PRIORITY_NORMAL + 50) /* after what the kernel waits for */
#define CONNECT_USEC       (5 * UINT64_C(1000000))
#define RETRY_USEC_MIN     UINT64_C(1000000)
#define RETRY_USEC_MAX     (30 * UINT64_C(1000000))
#define ACCURACY_USEC      10000
#define PATH_SIZE          (sizeof(ROOT) + 64)

/* What targetcli shows as one menu. */
struct object {
	struct bus *bus;
	struct object *next;
	char *description; /* the property ConfigDesc */
	char path[PATH_SIZE];
	char subtype[64];
};

enum phase {
	PHASE_WAITING,    /* for the timer, to try again */
	PHASE_CONNECTING, /* the timer ends it */
	PHASE_CONNECTED,  /* and the name is ours */
};

struct bus {
	struct bus_setup setup;
	struct object *objects;
	struct checks *checks;
	sd_bus *connection; /* NULL: none */
	sd_event_source *timer;
	uint64_t retry_usec;
	enum phase phase;
	enum bus_state state;
	bool told; /* state has been told */
};

/* The bus carries UTF-8 only, and a handler's words may be cut in the middle of a character. targetcli passes nothing
 * but ASCII to us. */
static void make_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text >= 0x80)
			*text = '?';
}

static void tell(struct bus *bus, enum bus_state state)
{
	if (bus->told && bus->state == state)
		return;
	bus->told = true;
	bus->state = state;
	if (bus->setup.changed)
		bus->setup.changed(bus->setup.userdata, state);
}

static void set_timer(struct bus *bus, uint64_t usec)
{
	if (sd_event_source_set_time_relative(bus->timer, usec) < 0 ||
	    sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT) < 0)
		log_error("the timer of the bus cannot be set; the daemon stays off the bus");
}

static void disconnect(struct bus *bus)
{
	sd_bus_detach_event(bus->connection);
	bus->connection = sd_bus_close_unref(bus->connection);
}

/* There is no use in the connection. Called from its own callbacks too: it is closed when the timer comes. */
static void lose(struct bus *bus, enum bus_state state, const char *why)
{
	if (bus->phase == PHASE_WAITING)
		return;
	if (bus->phase == PHASE_CONNECTED)
		log_warning("the connection to the bus is lost: %s; trying again", why);
	else if (!bus->told && state == BUS_REFUSED)
		log_warning(
			"the bus does not let us be " SERVICE ": %s; trying again from time to time", why);
	else if (!bus->told)
		log_info(
			"there is no bus (%s): targetcli cannot ask this daemon; looking for one from time "
			"to time",
			why);
	bus->phase = PHASE_WAITING;
	set_timer(bus, bus->retry_usec);
	bus->retry_usec = bus->retry_usec * 2 < RETRY_USEC_MAX ? bus->retry_usec * 2 : RETRY_USEC_MAX;
	tell(bus, state);
}

/* ------- methods ------- */

static int answer(sd_bus_message *call, bool fine, const char *message)
{
	return sd_bus_reply_method_return(call, "bs", fine, message);
}

static void on_checked(void *userdata, bool fine, const char *message)
{
	sd_bus_message *call = userdata;
	char text[sizeof(struct tcmu_reason)];

	(void) snprintf(text, sizeof(text), "%s", message);
	make_ascii(text);
	if (answer(call, fine, text) < 0)
		log_debug("whoever asked for a check is gone");
	sd_bus_message_unref(call);
}

static int on_check_config(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct object *object = userdata;
	struct bus *bus = object->bus;
	const char *text;
	int r;

	(void) error;
	r = sd_bus_message_read(call, "s", &text);
	if (r < 0)
		return r;
	check_start(
		bus->checks, object->subtype, text, bus->setup.settings->check_timeout_ms, on_checked,
		sd_bus_message_ref(call));
	return 1;
}

/* targetcli takes a zero as success, and a false is one. */
static int on_change_medium(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) userdata;
	(void) error;
	return sd_bus_reply_method_return(
		call, "is", -EOPNOTSUPP, "the medium of a disk cannot be changed: create another backstore");
}

static const sd_bus_vtable object_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS(
		"CheckConfig", SD_BUS_ARGS("s", configstr), SD_BUS_RESULT("b", is_valid, "s", message),
		on_check_config, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"ChangeMedium", SD_BUS_ARGS("s", name, "t", size, "s", configstr),
		SD_BUS_RESULT("i", result, "s", message), on_change_medium, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY(
		"ConfigDesc", "s", NULL, offsetof(struct object, description), SD_BUS_VTABLE_PROPERTY_CONST),
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
	(void) userdata;
	(void) error;
	if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Introspectable", "Introspect"))
		return sd_bus_reply_method_return(call, "s", manager_introspection);
	if (!sd_bus_message_is_method_call(call, MANAGER_INTERFACE, "RegisterHandler"))
		return 0;
	return answer(call, false, "handlers of other processes are not taken");
}

/* ------- connecting ------- */

static int on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;

	(void) error;
	if (sd_bus_message_get_bus(signal) == bus->connection)
		lose(bus, BUS_ABSENT, "disconnected");
	return 0;
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	const sd_bus_error *refusal = sd_bus_message_get_error(reply);
	const char *why = refusal && refusal->message ? refusal->message : "no answer";
	uint32_t result;

	(void) error;
	if (sd_bus_message_get_bus(reply) != bus->connection)
		return 0;
	if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_ACCESS_DENIED)) {
		lose(bus, BUS_REFUSED, why);
	} else if (refusal || sd_bus_message_read(reply, "u", &result) < 0) {
		lose(bus, BUS_ABSENT, why);
	} else if (result != NAME_OWNER && result != NAME_ALREADY_OWNER) {
		lose(bus, BUS_REFUSED, "another process is it");
	} else {
		bus->phase = PHASE_CONNECTED;
		bus->retry_usec = RETRY_USEC_MIN;
		(void) sd_event_source_set_enabled(bus->timer, SD_EVENT_OFF);
		log_info("on the bus as " SERVICE);
		tell(bus, BUS_OWNED);
	}
	return 0;
}

static int add_object(struct bus *bus, struct object *object)
{
	return sd_bus_add_object_vtable(bus->connection, NULL, object->path, SERVICE, object_vtable, object);
}

static int add_objects(struct bus *bus)
{
	int r = sd_bus_add_object_manager(bus->connection, NULL, ROOT);

	if (r >= 0)
		r = sd_bus_add_object(bus->connection, NULL, MANAGER_PATH, on_manager, bus);
	for (struct object *object = bus->objects; object && r >= 0; object = object->next)
		r = add_object(bus, object);
	return r;
}

static int connect_bus(struct bus *bus)
{
	int r;

	r = sd_bus_open_system(&bus->connection);
	if (r >= 0)
		r = add_objects(bus);
	if (r >= 0)
		r = sd_bus_match_signal_async(
			bus->connection, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
			"org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, bus);
	if (r >= 0)
		r = sd_bus_request_name_async(bus->connection, NULL, SERVICE, 0, on_name, bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->connection, bus->setup.event, BUS_PRIORITY);
	return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *bus = userdata;
	int r;

	(void) source;
	(void) usec;
	disconnect(bus);
	if (bus->phase == PHASE_CONNECTING) {
		lose(bus, BUS_ABSENT, "it does not answer");
		return 0;
	}
	bus->phase = PHASE_CONNECTING;
	set_timer(bus, CONNECT_USEC);
	r = connect_bus(bus);
	if (r < 0) {
		disconnect(bus);
		lose(bus, BUS_ABSENT, strerror(-r));
	}
	return 0;
}

/* ------- objects ------- */

static struct object *find_object(const struct bus *bus, const char *subtype)
{
	struct object *object = bus->objects;

	while (object && strcmp(object->subtype, subtype) != 0)
		object = object->next;
	return object;
}

/* Takes the description, which may be NULL for want of memory. */
static struct object *new_object(struct bus *bus, const char *subtype, char *description)
{
	struct object *object = description ? calloc(1, sizeof(*object)) : NULL;

	if (!object) {
		free(description);
		return NULL;
	}
	make_ascii(description);
	object->bus = bus;
	object->description = description;
	(void) snprintf(object->subtype, sizeof(object->subtype), "%s", subtype);
	(void) snprintf(object->path, sizeof(object->path), "%s/%s", ROOT, subtype);
	object->next = bus->objects;
	bus->objects = object;
	return object;
}

void bus_show_subtype(struct bus *bus, const char *subtype)
{
	struct object *object;

	if (!options_subtype_valid(subtype) || find_object(bus, subtype))
		return;
	object = new_object(bus, subtype, strdup("There is no such handler here."));
	if (!object || !bus->connection)
		return;
	if (add_object(bus, object) >= 0)
		(void) sd_bus_emit_object_added(bus->connection, object->path);
}

static int show_registry(struct bus *bus)
{
	const struct registry_entry *entry;

	for (size_t i = 0; (entry = registry_entry(bus->setup.registry, i)); i++) {
		char *description = entry->handler ? options_describe(entry->handler)
						   : strdup(entry->problem);

		if (!new_object(bus, entry->subtype, description))
			return -ENOMEM;
	}
	return 0;
}

int bus_new(const struct bus_setup *setup, struct bus **ret)
{
	struct bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->setup = *setup;
	bus->retry_usec = RETRY_USEC_MIN;
	r = checks_new(setup->event, setup->mailbox, setup->registry, &bus->checks);
	if (r >= 0)
		r = show_registry(bus);
	if (r >= 0)
		r = sd_event_add_time_relative(
			setup->event, &bus->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_timer, bus);
	if (r < 0) {
		bus_free(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	checks_free(bus->checks);
	sd_event_source_disable_unref(bus->timer);
	disconnect(bus);
	while (bus->objects) {
		struct object *object = bus->objects;

		bus->objects = object->next;
		free(object->description);
		free(object);
	}
	free(bus);
}
