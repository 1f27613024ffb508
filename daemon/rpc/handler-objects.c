/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus carries UTF-8 only, and a handler's text may be cut in the middle of a character.
 * targetcli passes nothing but ASCII on, so all texts are reduced to ASCII.
 */
#include "rpc/handler-objects.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "config/options.h"

static char *ascii_copy(const char *text)
{
	char *copy = g_strdup(text);

	for (char *at = copy; *at; at++)
		if ((unsigned char) *at >= 0x80)
			*at = '?';
	return copy;
}

int handler_object_reply(sd_bus_message *call, bool success, const char *message)
{
	g_autofree char *text = ascii_copy(message);

	return sd_bus_reply_method_return(call, "bs", success, text);
}

/* ------- methods ------- */

static struct handler_object *object_of_call(
	const struct handler_objects *objects, sd_bus_message *call)
{
	struct handler_object *object = objects->first;
	const char *path = sd_bus_message_get_path(call);

	while (object && strcmp(object->path, path) != 0)
		object = object->next;
	return object;
}

static int on_check_config(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	const struct handler_objects *objects = userdata;
	struct handler_object *object = object_of_call(objects, call);
	const char *config;
	int r = sd_bus_message_read(call, "s", &config);

	assert(objects->connection);
	if (!object)
		return callers_no_object(call, error);
	if (r < 0)
		return r;
	return objects->check(objects->userdata, object, call, config);
}

/* targetcli takes a zero as success, so the result is an errno and not a boolean. */
static int on_change_medium(void *userdata, sd_bus_message *call, sd_bus_error *error)
{
	if (!object_of_call(userdata, call))
		return callers_no_object(call, error);
	return sd_bus_reply_method_return(
		call, "is", -EOPNOTSUPP,
		"the medium of a disk cannot be changed: create another backstore");
}

static const struct callers_method object_methods[] = {
	{TCMU_DBUS_NAME, "CheckConfig", "s", on_check_config},
	{TCMU_DBUS_NAME, "ChangeMedium", "sts", on_change_medium},
	{0},
};

/* Describes the methods; rpc/callers.h has them called. */
static const sd_bus_vtable object_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS(
		"CheckConfig", SD_BUS_ARGS("s", configstr),
		SD_BUS_RESULT("b", is_valid, "s", message), callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"ChangeMedium", SD_BUS_ARGS("s", name, "t", size, "s", configstr),
		SD_BUS_RESULT("i", result, "s", message), callers_refuse,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY(
		"ConfigDesc", "s", NULL, offsetof(struct handler_object, description),
		SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

/* ------- one object ------- */

struct handler_object *handler_objects_find(
	const struct handler_objects *objects, const char *subtype)
{
	struct handler_object *object = objects->first;

	while (object && strcmp(object->subtype, subtype) != 0)
		object = object->next;
	return object;
}

struct handler_object *handler_objects_add(
	struct handler_objects *objects, const char *subtype, const char *description)
{
	struct handler_object *object = g_new0(struct handler_object, 1);

	assert(options_subtype_valid(subtype) && !handler_objects_find(objects, subtype));
	object->objects = objects;
	object->description = ascii_copy(description);
	(void) snprintf(object->subtype, sizeof(object->subtype), "%s", subtype);
	(void) snprintf(object->path, sizeof(object->path), "%s/%s", TCMU_DBUS_ROOT, subtype);
	object->next = objects->first;
	objects->first = object;
	return object;
}

void handler_object_describe(struct handler_object *object, const char *description)
{
	assert(object->description);
	g_free(object->description);
	object->description = ascii_copy(description);
}

static int handler_object_put(struct handler_object *object)
{
	assert(object->objects->connection && !object->vtable);
	return sd_bus_add_object_vtable(
		object->objects->connection, &object->vtable, object->path, TCMU_DBUS_NAME,
		object_vtable, object);
}

void handler_object_show(struct handler_object *object)
{
	sd_bus *connection = object->objects->connection;

	assert(!object->vtable);
	if (connection && handler_object_put(object) >= 0)
		(void) sd_bus_emit_object_added(connection, object->path);
}

static void handler_object_free(struct handler_object *object)
{
	assert(!object->bus_name[0] || !object->objects->connection);
	sd_bus_slot_unref(object->vtable);
	g_free(object->description);
	g_free(object);
}

void handler_object_remove(struct handler_object *object)
{
	struct handler_objects *objects = object->objects;
	struct handler_object **link = &objects->first;

	while (*link && *link != object)
		link = &(*link)->next;
	assert(*link == object);
	*link = object->next;
	if (objects->connection && object->vtable)
		(void) sd_bus_emit_object_removed(objects->connection, object->path);
	handler_object_free(object);
}

/* ------- all objects ------- */

void handler_objects_init(
	struct handler_objects *objects, handler_object_check_fn *check, void *userdata)
{
	assert(check);
	*objects = (struct handler_objects){.check = check, .userdata = userdata};
}

void handler_objects_clear(struct handler_objects *objects)
{
	assert(!objects->connection);
	for (struct handler_object *object = objects->first, *next; object; object = next) {
		next = object->next;
		handler_object_remove(object);
	}
	assert(!objects->first);
}

int handler_objects_connect(
	struct handler_objects *objects, sd_bus *connection, struct callers *callers)
{
	int r;

	assert(!objects->connection);
	objects->connection = connection;
	callers_add(callers, object_methods, objects);
	r = sd_bus_add_object_manager(connection, NULL, TCMU_DBUS_ROOT);
	for (struct handler_object *object = objects->first; object && r >= 0;
	     object = object->next)
		r = handler_object_put(object);
	return r;
}

void handler_objects_disconnect(struct handler_objects *objects)
{
	for (struct handler_object *object = objects->first; object; object = object->next)
		object->vtable = sd_bus_slot_unref(object->vtable);
	objects->connection = NULL;
}
