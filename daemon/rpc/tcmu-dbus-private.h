/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rpc/tcmu-dbus.c (the connection and its objects) and rpc/external-handlers.c (handlers of
 * other processes) share. Main thread.
 */
#pragma once

#include "rpc/tcmu-dbus.h"

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "config/check.h"

#define SERVICE           "org.kernel.TCMUService1"
#define ROOT              "/org/kernel/TCMUService1"
#define MANAGER_PATH      ROOT "/HandlerManager1"
#define MANAGER_INTERFACE SERVICE ".HandlerManager1"

/* What is said of a subtype that is merely in use. */
#define TCMU_DBUS_NO_HANDLER "There is no such handler here."

#define PATH_SIZE            (sizeof(ROOT) + 64)

/* What targetcli shows as one menu. */
struct object {
	struct tcmu_dbus *bus;
	struct object *next;
	char *description; /* the property ConfigDesc */
	char path[PATH_SIZE];
	char subtype[64];
	/* of another process's handler */
	char owner[256];     /* its unique name; empty: none, or it has gone */
	sd_bus_slot *vtable; /* NULL: not shown at this moment */
	bool external;       /* made for it: goes with it, unless its subtype is in use */
};

enum phase {
	PHASE_WAITING,    /* for the timer, to try again */
	PHASE_CONNECTING, /* the timer ends it */
	PHASE_CONNECTED,  /* and the name is ours */
};

struct tcmu_dbus {
	struct tcmu_dbus_setup setup;
	struct object *objects;
	struct checks *checks;
	struct external_call *external_calls; /* under way */
	sd_bus *connection;                   /* NULL: none */
	sd_event_source *timer;
	uint64_t retry_usec;
	enum phase phase;
	enum tcmu_dbus_state state;
	bool reported; /* state has been told */
};

/* What other processes say is shown, and the bus carries UTF-8 only. */
void tcmu_dbus_make_ascii(char *text);

struct object *tcmu_dbus_find_object(const struct tcmu_dbus *bus, const char *subtype);

/* Takes the description, which may be NULL for want of memory: then there is no object. */
struct object *tcmu_dbus_new_object(struct tcmu_dbus *bus, const char *subtype, char *description);

/* Takes another description; NULL, for want of memory, changes nothing. */
void tcmu_dbus_describe(struct object *object, char *description);

/* Shows it on the connection, if there is one. */
void tcmu_dbus_show_object(struct object *object);

/* Takes it out of the list and off the bus, and frees it. */
void tcmu_dbus_drop_object(struct object *object);

/* Answers CheckConfig or RegisterHandler. */
int tcmu_dbus_reply(sd_bus_message *call, bool fine, const char *message);

/* ------- rpc/external-handlers.c ------- */

/* On a new connection. */
int external_watch(struct tcmu_dbus *bus);

/* RegisterHandler. */
int external_register(struct tcmu_dbus *bus, sd_bus_message *call);

/* CheckConfig of an object that has an owner: asks it. */
int external_check(struct object *object, sd_bus_message *call, const char *text);

/* The connection ends: nobody is registered any more. */
void external_forget(struct tcmu_dbus *bus);
