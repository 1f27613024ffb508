/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every forwarded call is asynchronous. An external handler that does not answer in time delays
 * only the caller of that one check.
 */
#include "rpc/external-handlers.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <tcmu/scan.h>

#include "base/log.h"
#include "base/reason.h"
#include "config/options.h"

#define NAME_SIZE       (sizeof(HANDLER_MANAGER_INTERFACE) + 65)
#define DESCRIPTION_MAX 4096u
#define EXTERNAL_MAX    64u /* registrations at once */

struct external_handlers {
	struct handler_objects *objects;
	const struct handlers *handlers;
	const struct settings *settings;
	GQueue calls; /* struct external_call, in flight */
};

/* A call that waits for an answer of another process. It holds a reference to its connection, so it
 * has to end before the connection does. */
struct external_call {
	GList link;
	struct external_handlers *external;
	sd_bus_message *call;
	sd_bus_slot *slot; /* of the answer */
	char subtype[64];
};

static void external_call_free(struct external_call *pending)
{
	assert(g_queue_link_index(&pending->external->calls, &pending->link) >= 0);
	g_queue_unlink(&pending->external->calls, &pending->link);
	sd_bus_slot_unref(pending->slot);
	sd_bus_message_unref(pending->call);
	g_free(pending);
}

static struct external_call *external_call_new(
	struct external_handlers *external, sd_bus_message *call, const char *subtype)
{
	struct external_call *pending = g_new0(struct external_call, 1);

	pending->external = external;
	pending->call = sd_bus_message_ref(call);
	pending->link.data = pending;
	(void) snprintf(pending->subtype, sizeof(pending->subtype), "%s", subtype);
	g_queue_push_tail_link(&external->calls, &pending->link);
	return pending;
}

/* Answers the caller and frees the call. */
static int external_call_end(struct external_call *pending, bool success, const char *message)
{
	int r = handler_object_reply(pending->call, success, message);

	external_call_free(pending);
	return r;
}

/* ------- the end of a registration ------- */

static bool subtype_is_in_use(const char *subtype)
{
	struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);
	bool found = false;

	for (int i = 0; i < cnt; i++)
		found |= strcmp(entries[i].name.subtype, subtype) == 0;
	free(entries);
	return found;
}

/* A subtype that is in use stays shown, so that its backstores can be listed and deleted. */
static void external_unregister(struct handler_object *object)
{
	assert(object->bus_name[0]);
	log_info(
		"external handler %s of process %s is no longer registered", object->subtype,
		object->bus_name);
	object->bus_name[0] = '\0';
	if (object->external && !subtype_is_in_use(object->subtype))
		handler_object_remove(object);
	else
		handler_object_describe(object, HANDLER_OBJECT_NO_HANDLER);
}

static int on_bus_name_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	const struct external_handlers *external = userdata;
	const char *name, *before, *after;
	struct handler_object *object;

	(void) error;
	if (sd_bus_message_read(signal, "sss", &name, &before, &after) < 0 ||
	    strncmp(name, HANDLER_MANAGER_INTERFACE ".", sizeof(HANDLER_MANAGER_INTERFACE)) != 0)
		return 0;
	object = handler_objects_find(external->objects, name + sizeof(HANDLER_MANAGER_INTERFACE));
	if (object && object->bus_name[0] && strcmp(after, object->bus_name) != 0)
		external_unregister(object);
	return 0;
}

/* The match is added before the first GetNameOwner: no change in between is missed. */
int external_handlers_connect(struct external_handlers *external)
{
	assert(external->objects->connection && g_queue_is_empty(&external->calls));
	return sd_bus_add_match_async(
		external->objects->connection, NULL,
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0namespace='" HANDLER_MANAGER_INTERFACE "'",
		on_bus_name_changed, NULL, external);
}

void external_handlers_disconnect(struct external_handlers *external)
{
	while (!g_queue_is_empty(&external->calls))
		external_call_free(g_queue_peek_head(&external->calls));
	for (struct handler_object *object = external->objects->first, *next; object;
	     object = next) {
		next = object->next;
		if (object->bus_name[0])
			external_unregister(object);
	}
}

/* ------- RegisterHandler ------- */

static struct handler_object *object_for(
	struct handler_objects *objects, const char *subtype, const char *description)
{
	struct handler_object *object = handler_objects_find(objects, subtype);

	if (object) {
		handler_object_describe(object, description);
		return object;
	}
	object = handler_objects_add(objects, subtype, description);
	object->external = true;
	handler_object_show(object);
	return object;
}

static int external_accept(
	struct external_call *pending, const char *bus_name, const char *description)
{
	struct handler_object *object = object_for(
		pending->external->objects, pending->subtype, description);

	assert(!handlers_find(pending->external->handlers, pending->subtype));
	(void) snprintf(object->bus_name, sizeof(object->bus_name), "%s", bus_name);
	log_info(
		"external handler %s of process %s is registered; targetcli shows it",
		object->subtype, bus_name);
	return external_call_end(pending, true, "success");
}

static int on_bus_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct external_call *pending = userdata;
	const char *sender = sd_bus_message_get_sender(pending->call);
	const char *bus_name = NULL, *subtype, *description;

	assert(g_queue_link_index(&pending->external->calls, &pending->link) >= 0);
	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "s", &bus_name) < 0)
		bus_name = NULL;
	if (!bus_name || !sender || strcmp(bus_name, sender) != 0)
		return external_call_end(
			pending, false,
			"the caller does not own the bus name " HANDLER_MANAGER_INTERFACE
			".<subtype>: request the name, then register");
	if (sd_bus_message_rewind(pending->call, true) < 0 ||
	    sd_bus_message_read(pending->call, "ss", &subtype, &description) < 0)
		return external_call_end(pending, false, "the call cannot be read");
	return external_accept(pending, bus_name, description);
}

/* 0, or -errno with a reason. */
static int registration_check(
	const struct external_handlers *external, const char *subtype, const char *description,
	struct tcmu_reason *reason)
{
	const struct handler_object *known = handler_objects_find(external->objects, subtype);
	unsigned cnt = 0;

	if (!options_subtype_valid(subtype))
		return reason_refuse(
			reason, -EINVAL,
			"the subtype is invalid: expected 1 to 63 characters of [a-z0-9_]");
	if (strlen(description) > DESCRIPTION_MAX)
		return reason_refuse(
			reason, -EINVAL, "the description is longer than %u bytes",
			DESCRIPTION_MAX);
	if (handlers_find(external->handlers, subtype))
		return reason_refuse(
			reason, -EEXIST, "this daemon has a handler \"%s\" itself", subtype);
	for (const struct handler_object *object = external->objects->first; object;
	     object = object->next)
		cnt += object->bus_name[0] != '\0';
	if (cnt >= EXTERNAL_MAX && !(known && known->bus_name[0]))
		return reason_refuse(
			reason, -EBUSY, "%u external handlers are registered, which is the limit",
			cnt);
	return 0;
}

int external_handlers_register(struct external_handlers *external, sd_bus_message *call)
{
	struct tcmu_reason reason = {""};
	const char *subtype, *description;
	struct external_call *pending;
	char name[NAME_SIZE];

	assert(external->objects->connection);
	if (sd_bus_message_read(call, "ss", &subtype, &description) < 0)
		return handler_object_reply(
			call, false, "RegisterHandler expects a subtype and a description");
	if (registration_check(external, subtype, description, &reason) < 0)
		return handler_object_reply(call, false, reason.text);
	pending = external_call_new(external, call, subtype);
	(void) snprintf(name, sizeof(name), "%s.%s", HANDLER_MANAGER_INTERFACE, subtype);
	if (sd_bus_call_method_async(
		    external->objects->connection, &pending->slot, "org.freedesktop.DBus",
		    "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", on_bus_name,
		    pending, "s", name) < 0)
		return external_call_end(
			pending, false, "cannot ask the bus which process has the bus name");
	return 1;
}

/* ------- CheckConfig ------- */

static int on_external_checked(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct external_call *pending = userdata;
	g_autofree char *text = NULL;
	const char *message;
	int valid;

	assert(g_queue_link_index(&pending->external->calls, &pending->link) >= 0);
	(void) error;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "bs", &valid, &message) < 0) {
		text = g_strdup_printf(
			"the process of the external handler %s gives no valid answer",
			pending->subtype);
		return external_call_end(pending, false, text);
	}
	text = g_strndup(message, sizeof(struct tcmu_reason) - 1);
	return external_call_end(pending, valid, text);
}

/* Refuses what no handler accepts, and a string for another handler. 0, or -errno with a reason. */
static int config_check(
	const struct handler_object *object, const char *config, struct tcmu_reason *reason)
{
	char subtype[sizeof(object->subtype)];
	int r = options_check_text(config, reason);

	if (r < 0)
		return r;
	if (options_subtype(config, subtype, sizeof(subtype)) &&
	    strcmp(subtype, object->subtype) == 0)
		return 0;
	return reason_refuse(
		reason, -EINVAL, "the config string does not begin with \"%s/\"", object->subtype);
}

static int forward_check(
	const struct handler_object *object, struct external_call *pending, const char *config)
{
	sd_bus *connection = object->objects->connection;
	sd_bus_message *question = NULL;
	char path[sizeof(HANDLER_MANAGER_PATH) + 65];
	int r;

	assert(connection && object->bus_name[0]);
	(void) snprintf(path, sizeof(path), "%s/%s", HANDLER_MANAGER_PATH, object->subtype);
	r = sd_bus_message_new_method_call(
		connection, &question, object->bus_name, path, TCMU_DBUS_NAME, "CheckConfig");
	if (r >= 0)
		r = sd_bus_message_append(question, "s", config);
	if (r >= 0)
		r = sd_bus_call_async(
			connection, &pending->slot, question, on_external_checked, pending,
			pending->external->settings->check_timeout_ms * UINT64_C(1000));
	sd_bus_message_unref(question);
	return r;
}

int external_handlers_check(
	struct external_handlers *external, struct handler_object *object, sd_bus_message *call,
	const char *config)
{
	struct tcmu_reason reason = {""};
	struct external_call *pending;

	assert(object->bus_name[0] && object->objects == external->objects);
	if (config_check(object, config, &reason) < 0)
		return handler_object_reply(call, false, reason.text);
	pending = external_call_new(external, call, object->subtype);
	if (forward_check(object, pending, config) < 0)
		return external_call_end(
			pending, false, "cannot ask the process of the external handler");
	return 1;
}

/* ------- the beginning and the end ------- */

struct external_handlers *external_handlers_new(
	struct handler_objects *objects, const struct handlers *handlers,
	const struct settings *settings)
{
	struct external_handlers *external = g_new0(struct external_handlers, 1);

	assert(objects && handlers && settings);
	external->objects = objects;
	external->handlers = handlers;
	external->settings = settings;
	g_queue_init(&external->calls);
	return external;
}

void external_handlers_free(struct external_handlers *external)
{
	assert(!external || g_queue_is_empty(&external->calls));
	g_free(external);
}
