/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects below /org/kernel/TCMUService1 on the system bus: one for each subtype. targetcli
 * shows each object as one menu, so nothing else may lie there.
 *
 * The set owns its objects and outlives the connections that show them. Main thread; no function
 * waits. Running out of memory aborts (glib).
 */
#pragma once

#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "rpc/callers.h"

#define TCMU_DBUS_NAME           "org.kernel.TCMUService1"
#define TCMU_DBUS_ROOT           "/org/kernel/TCMUService1"
#define HANDLER_OBJECT_PATH_SIZE (sizeof(TCMU_DBUS_ROOT) + 64)

/* The description of a subtype that is in use and has no handler. */
#define HANDLER_OBJECT_NO_HANDLER "There is no such handler here."

struct handler_objects;

struct handler_object {
	struct handler_objects *objects;
	struct handler_object *next;
	sd_bus_slot *vtable; /* NULL: not on a connection */
	char *description;   /* the property ConfigDesc */
	char path[HANDLER_OBJECT_PATH_SIZE];
	char subtype[64];
	/* An external handler's: */
	char bus_name[256]; /* unique, of its process; empty: none, or the process has left */
	bool external;      /* a registration made the object, and its end removes it */
};

/* Answers a CheckConfig call for one object, now or later. Returns as an sd-bus method callback. */
typedef int handler_object_check_fn(
	void *userdata, struct handler_object *object, sd_bus_message *call, const char *config);

struct handler_objects {
	struct handler_object *first;
	sd_bus *connection; /* NULL: none */
	handler_object_check_fn *check;
	void *userdata;
};

void handler_objects_init(
	struct handler_objects *objects, handler_object_check_fn *check, void *userdata);

/* Frees all objects. The set must be disconnected. */
void handler_objects_clear(struct handler_objects *objects);

/* Puts all objects on a connection, and their methods behind its callers; both must outlive
 * handler_objects_disconnect(). -errno: sd-bus refused; the set counts as connected all the same.
 */
int handler_objects_connect(
	struct handler_objects *objects, sd_bus *connection, struct callers *callers);

/* Takes all objects off the connection. Does nothing without one. */
void handler_objects_disconnect(struct handler_objects *objects);

/* NULL: there is no object for this subtype. */
struct handler_object *handler_objects_find(
	const struct handler_objects *objects, const char *subtype);

/* Adds an object for a subtype that is valid and has none. It is not yet on the connection. The
 * text is copied; what is not ASCII in it becomes '?'. */
struct handler_object *handler_objects_add(
	struct handler_objects *objects, const char *subtype, const char *description);

/* Replaces the description; a copy, as above. */
void handler_object_describe(struct handler_object *object, const char *description);

/* Shows a new object on the connection, if there is one, and announces it. */
void handler_object_show(struct handler_object *object);

/* Removes the object from the bus and from its set, and frees it. */
void handler_object_remove(struct handler_object *object);

/* Answers CheckConfig or RegisterHandler. message: any bytes; what is not ASCII becomes '?'. */
int handler_object_reply(sd_bus_message *call, bool success, const char *message);
