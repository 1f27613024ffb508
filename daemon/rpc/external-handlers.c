/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of other processes: a daemon of its own that serves its subtype by itself, and wants
 * targetcli to know. It owns the name of its handler on the bus, calls RegisterHandler, and answers
 * CheckConfig under that name. We only pass on.
 *
 * It is registered until its name has another owner or none, or the connection ends. Whoever does
 * not answer in time costs its own caller the wait.
 */
#include "rpc/tcmu-dbus-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/scan.h>

#include "base/log.h"
#include "config/options.h"

#define NAME_SIZE       (sizeof(MANAGER_INTERFACE) + 65)
#define DESCRIPTION_MAX 4096u
#define EXTERNAL_MAX    64u /* at once */

/* A call that waits for somebody else's answer. It holds its connection, and so has to end before
 * that does. */
struct external_call {
	struct tcmu_dbus *bus;
	struct external_call *next, **link;
	sd_bus_message *call;
	sd_bus_slot *slot; /* of the answer */
	char subtype[64];
};

static void external_call_free(struct external_call *pending)
{
	*pending->link = pending->next;
	if (pending->next)
		pending->next->link = pending->link;
	sd_bus_slot_unref(pending->slot);
	sd_bus_message_unref(pending->call);
	free(pending);
}

static struct external_call *external_call_new(
	struct tcmu_dbus *bus, sd_bus_message *call, const char *subtype)
{
	struct external_call *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return NULL;
	pending->bus = bus;
	pending->call = sd_bus_message_ref(call);
	(void) snprintf(pending->subtype, sizeof(pending->subtype), "%s", subtype);
	pending->next = bus->external_calls;
	pending->link = &bus->external_calls;
	if (pending->next)
		pending->next->link = &pending->next;
	bus->external_calls = pending;
	return pending;
}

/* Answers it, which ends it. */
static int external_call_end(struct external_call *pending, bool fine, const char *message)
{
	int r = tcmu_dbus_reply(pending->call, fine, message);

	external_call_free(pending);
	return r;
}

static void bus_name_of(const char *subtype, char name[NAME_SIZE])
{
	(void) snprintf(name, NAME_SIZE, "%s.%s", MANAGER_INTERFACE, subtype);
}

/* ------- the end of a registration ------- */

static bool is_in_use(const char *subtype)
{
	struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);
	bool found = false;

	for (int i = 0; i < cnt; i++)
		found |= strcmp(entries[i].name.subtype, subtype) == 0;
	free(entries);
	return found;
}

/* What is in use stays shown, so that it can be listed and deleted. */
static void external_unregister(struct object *object)
{
	log_info("the handler %s of another process has gone from the bus", object->subtype);
	object->owner[0] = '\0';
	if (object->external && !is_in_use(object->subtype)) {
		tcmu_dbus_drop_object(object);
		return;
	}
	tcmu_dbus_describe(object, strdup(TCMU_DBUS_NO_HANDLER));
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	const struct tcmu_dbus *bus = userdata;
	const char *name, *before, *after;
	struct object *object;

	(void) error;
	if (sd_bus_message_read(signal, "sss", &name, &before, &after) < 0 ||
	    strncmp(name, MANAGER_INTERFACE ".", sizeof(MANAGER_INTERFACE)) != 0)
		return 0;
	object = tcmu_dbus_find_object(bus, name + sizeof(MANAGER_INTERFACE));
	if (object && object->owner[0] && strcmp(after, object->owner) != 0)
		external_unregister(object);
	return 0;
}

/* It is told of every name before anybody is asked who owns one: nothing is missed in between. */
int external_watch(struct tcmu_dbus *bus)
{
	return sd_bus_add_match_async(
		bus->connection, NULL,
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0namespace='" MANAGER_INTERFACE "'",
		on_owner_changed, NULL, bus);
}

void external_forget(struct tcmu_dbus *bus)
{
	for (struct external_call *pending = bus->external_calls, *next; pending; pending = next) {
		next = pending->next;
		external_call_free(pending);
	}
	for (struct object *object = bus->objects, *next; object; object = next) {
		next = object->next;
		if (object->owner[0])
			external_unregister(object);
	}
}

/* ------- RegisterHandler ------- */

/* NULL: out of memory. */
static struct object *object_for(
	struct tcmu_dbus *bus, const char *subtype, const char *description)
{
	struct object *object = tcmu_dbus_find_object(bus, subtype);
	char *copy = strdup(description);

	if (!object) {
		object = tcmu_dbus_new_object(bus, subtype, copy);
		if (object) {
			object->external = true;
			tcmu_dbus_show_object(object);
		}
		return object;
	}
	tcmu_dbus_describe(object, copy);
	return object;
}

static int external_accept(
	struct external_call *pending, const char *owner, const char *description)
{
	struct object *object = object_for(pending->bus, pending->subtype, description);

	if (!object)
		return external_call_end(pending, false, "out of memory");
	(void) snprintf(object->owner, sizeof(object->owner), "%s", owner);
	log_info(
		"the handler %s of another process (%s) is shown to targetcli", object->subtype,
		owner);
	return external_call_end(pending, true, "success");
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct external_call *pending = userdata;
	const char *sender = sd_bus_message_get_sender(pending->call);
	const char *owner = NULL, *subtype, *description;

	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "s", &owner) < 0)
		owner = NULL;
	if (!owner || !sender || strcmp(owner, sender) != 0)
		return external_call_end(
			pending, false,
			"who registers a handler is to own the name " MANAGER_INTERFACE
			".<subtype>");
	if (sd_bus_message_rewind(pending->call, true) < 0 ||
	    sd_bus_message_read(pending->call, "ss", &subtype, &description) < 0)
		return external_call_end(pending, false, "the call cannot be read");
	return external_accept(pending, owner, description);
}

/* NULL: it may be. */
static const char *registration_refused(
	const struct tcmu_dbus *bus, const char *subtype, const char *description)
{
	const struct object *known = tcmu_dbus_find_object(bus, subtype);
	unsigned cnt = 0;

	if (!options_subtype_valid(subtype))
		return "a subtype has lower case letters, digits and _, and at most 63 of them";
	if (strlen(description) > DESCRIPTION_MAX)
		return "the description is too long";
	if (handlers_find(bus->setup.handlers, subtype))
		return "this daemon has a handler of that name itself";
	for (const struct object *object = bus->objects; object; object = object->next)
		cnt += object->owner[0] != '\0';
	if (cnt >= EXTERNAL_MAX && !(known && known->owner[0]))
		return "too many handlers of other processes are registered";
	return NULL;
}

int external_register(struct tcmu_dbus *bus, sd_bus_message *call)
{
	const char *subtype, *description, *why;
	struct external_call *pending;
	char name[NAME_SIZE];
	int r;

	r = sd_bus_message_read(call, "ss", &subtype, &description);
	if (r < 0)
		return tcmu_dbus_reply(
			call, false, "a registration is a subtype and a description");
	why = registration_refused(bus, subtype, description);
	if (why)
		return tcmu_dbus_reply(call, false, why);
	pending = external_call_new(bus, call, subtype);
	if (!pending)
		return tcmu_dbus_reply(call, false, "out of memory");
	bus_name_of(subtype, name);
	r = sd_bus_call_method_async(
		bus->connection, &pending->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", "GetNameOwner", on_owner, pending, "s", name);
	return r < 0
		? external_call_end(pending, false, "the bus cannot be asked who the caller is")
		: 1;
}

/* ------- CheckConfig ------- */

static int on_external_checked(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct external_call *pending = userdata;
	char text[sizeof(struct tcmu_reason)];
	const char *message;
	int fine;

	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "bs", &fine, &message) < 0) {
		(void) snprintf(
			text, sizeof(text),
			"the daemon of the handler %s does not answer as it should",
			pending->subtype);
		return external_call_end(pending, false, text);
	}
	(void) snprintf(text, sizeof(text), "%s", message);
	tcmu_dbus_make_ascii(text);
	return external_call_end(pending, fine, text);
}

/* What no handler can be given, and what is for another one. */
static bool config_is_for(const struct object *object, const char *text, struct tcmu_reason *reason)
{
	char own[sizeof(object->subtype)];

	if (options_check_text(text, reason) < 0)
		return false;
	if (options_subtype(text, own, sizeof(own)) && strcmp(own, object->subtype) == 0)
		return true;
	(void) snprintf(
		reason->text, sizeof(reason->text), "the string is to begin with %s/",
		object->subtype);
	return false;
}

static int ask_owner(struct object *object, struct external_call *pending, const char *text)
{
	sd_bus_message *question = NULL;
	char path[sizeof(MANAGER_PATH) + 65];
	int r;

	(void) snprintf(path, sizeof(path), "%s/%s", MANAGER_PATH, object->subtype);
	r = sd_bus_message_new_method_call(
		object->bus->connection, &question, object->owner, path, SERVICE, "CheckConfig");
	if (r >= 0)
		r = sd_bus_message_append(question, "s", text);
	if (r >= 0)
		r = sd_bus_call_async(
			object->bus->connection, &pending->slot, question, on_external_checked,
			pending, object->bus->setup.settings->check_timeout_ms * UINT64_C(1000));
	sd_bus_message_unref(question);
	return r;
}

int external_check(struct object *object, sd_bus_message *call, const char *text)
{
	struct tcmu_reason reason = {""};
	struct external_call *pending;

	if (!config_is_for(object, text, &reason))
		return tcmu_dbus_reply(call, false, reason.text);
	pending = external_call_new(object->bus, call, object->subtype);
	if (!pending)
		return tcmu_dbus_reply(call, false, "out of memory");
	if (ask_owner(object, pending, text) < 0)
		return external_call_end(pending, false, "the handler's daemon cannot be asked");
	return 1;
}
