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
#define FOREIGN_MAX     64u /* at once */

/* A call that waits for somebody else's answer. It holds its connection, and so has to end before
 * that does. */
struct foreign_call {
	struct tcmu_dbus *bus;
	struct foreign_call *next, **link;
	sd_bus_message *call;
	sd_bus_slot *slot; /* of the answer */
	char subtype[64];
};

static void waiting_free(struct foreign_call *waiting)
{
	*waiting->link = waiting->next;
	if (waiting->next)
		waiting->next->link = waiting->link;
	sd_bus_slot_unref(waiting->slot);
	sd_bus_message_unref(waiting->call);
	free(waiting);
}

static struct foreign_call *waiting_new(
	struct tcmu_dbus *bus, sd_bus_message *call, const char *subtype)
{
	struct foreign_call *waiting = calloc(1, sizeof(*waiting));

	if (!waiting)
		return NULL;
	waiting->bus = bus;
	waiting->call = sd_bus_message_ref(call);
	(void) snprintf(waiting->subtype, sizeof(waiting->subtype), "%s", subtype);
	waiting->next = bus->external_calls;
	waiting->link = &bus->external_calls;
	if (waiting->next)
		waiting->next->link = &waiting->next;
	bus->external_calls = waiting;
	return waiting;
}

/* Answers it, which ends it. */
static int end(struct foreign_call *waiting, bool fine, const char *message)
{
	int r = tcmu_dbus_reply(waiting->call, fine, message);

	waiting_free(waiting);
	return r;
}

static void name_of(const char *subtype, char name[NAME_SIZE])
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
static void has_gone(struct object *object)
{
	log_info("the handler %s of another process has gone from the bus", object->subtype);
	object->owner[0] = '\0';
	if (object->foreign && !is_in_use(object->subtype)) {
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
		has_gone(object);
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
	for (struct foreign_call *waiting = bus->external_calls, *next; waiting; waiting = next) {
		next = waiting->next;
		waiting_free(waiting);
	}
	for (struct object *object = bus->objects, *next; object; object = next) {
		next = object->next;
		if (object->owner[0])
			has_gone(object);
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
			object->foreign = true;
			tcmu_dbus_show_object(object);
		}
		return object;
	}
	tcmu_dbus_describe(object, copy);
	return object;
}

static int take(struct foreign_call *waiting, const char *owner, const char *description)
{
	struct object *object = object_for(waiting->bus, waiting->subtype, description);

	if (!object)
		return end(waiting, false, "out of memory");
	(void) snprintf(object->owner, sizeof(object->owner), "%s", owner);
	log_info(
		"the handler %s of another process (%s) is shown to targetcli", object->subtype,
		owner);
	return end(waiting, true, "success");
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct foreign_call *waiting = userdata;
	const char *sender = sd_bus_message_get_sender(waiting->call);
	const char *owner = NULL, *subtype, *description;

	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "s", &owner) < 0)
		owner = NULL;
	if (!owner || !sender || strcmp(owner, sender) != 0)
		return end(
			waiting, false,
			"who registers a handler is to own the name " MANAGER_INTERFACE
			".<subtype>");
	if (sd_bus_message_rewind(waiting->call, true) < 0 ||
	    sd_bus_message_read(waiting->call, "ss", &subtype, &description) < 0)
		return end(waiting, false, "the call cannot be read");
	return take(waiting, owner, description);
}

/* NULL: it may be. */
static const char *why_not(
	const struct tcmu_dbus *bus, const char *subtype, const char *description)
{
	const struct object *known = tcmu_dbus_find_object(bus, subtype);
	unsigned cnt = 0;

	if (!options_subtype_valid(subtype))
		return "a subtype has lower case letters, digits and _, and at most 63 of them";
	if (strlen(description) > DESCRIPTION_MAX)
		return "the description is too long";
	if (handlers_find(bus->setup.registry, subtype))
		return "this daemon has a handler of that name itself";
	for (const struct object *object = bus->objects; object; object = object->next)
		cnt += object->owner[0] != '\0';
	if (cnt >= FOREIGN_MAX && !(known && known->owner[0]))
		return "too many handlers of other processes are registered";
	return NULL;
}

int external_register(struct tcmu_dbus *bus, sd_bus_message *call)
{
	const char *subtype, *description, *why;
	struct foreign_call *waiting;
	char name[NAME_SIZE];
	int r;

	r = sd_bus_message_read(call, "ss", &subtype, &description);
	if (r < 0)
		return tcmu_dbus_reply(
			call, false, "a registration is a subtype and a description");
	why = why_not(bus, subtype, description);
	if (why)
		return tcmu_dbus_reply(call, false, why);
	waiting = waiting_new(bus, call, subtype);
	if (!waiting)
		return tcmu_dbus_reply(call, false, "out of memory");
	name_of(subtype, name);
	r = sd_bus_call_method_async(
		bus->connection, &waiting->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", "GetNameOwner", on_owner, waiting, "s", name);
	return r < 0 ? end(waiting, false, "the bus cannot be asked who the caller is") : 1;
}

/* ------- CheckConfig ------- */

static int on_foreign_checked(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct foreign_call *waiting = userdata;
	char text[sizeof(struct tcmu_reason)];
	const char *message;
	int fine;

	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "bs", &fine, &message) < 0) {
		(void) snprintf(
			text, sizeof(text),
			"the daemon of the handler %s does not answer as it should",
			waiting->subtype);
		return end(waiting, false, text);
	}
	(void) snprintf(text, sizeof(text), "%s", message);
	tcmu_dbus_make_ascii(text);
	return end(waiting, fine, text);
}

/* What no handler can be given, and what is for another one. */
static bool is_for(const struct object *object, const char *text, struct tcmu_reason *reason)
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

static int ask_owner(struct object *object, struct foreign_call *waiting, const char *text)
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
			object->bus->connection, &waiting->slot, question, on_foreign_checked,
			waiting, object->bus->setup.settings->check_timeout_ms * UINT64_C(1000));
	sd_bus_message_unref(question);
	return r;
}

int external_check(struct object *object, sd_bus_message *call, const char *text)
{
	struct tcmu_reason reason = {""};
	struct foreign_call *waiting;

	if (!is_for(object, text, &reason))
		return tcmu_dbus_reply(call, false, reason.text);
	waiting = waiting_new(object->bus, call, object->subtype);
	if (!waiting)
		return tcmu_dbus_reply(call, false, "out of memory");
	if (ask_owner(object, waiting, text) < 0)
		return end(waiting, false, "the handler's daemon cannot be asked");
	return 1;
}
