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
#define BUS_NO_HANDLER "There is no such handler here."

#define PATH_SIZE      (sizeof(ROOT) + 64)

/* What targetcli shows as one menu. */
struct object {
	struct bus *bus;
	struct object *next;
	char *description; /* the property ConfigDesc */
	char path[PATH_SIZE];
	char subtype[64];
	/* of another process's handler */
	char owner[256];     /* its unique name; empty: none, or it has gone */
	sd_bus_slot *vtable; /* NULL: not shown at this moment */
	bool foreign;        /* made for it: goes with it, unless its subtype is in use */
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
	struct foreign_call *foreign_calls; /* under way */
	sd_bus *connection;                 /* NULL: none */
	sd_event_source *timer;
	uint64_t retry_usec;
	enum phase phase;
	enum bus_state state;
	bool told; /* state has been told */
};

/* What other processes say is shown, and the bus carries UTF-8 only. */
void bus_make_ascii(char *text);

struct object *bus_find_object(const struct bus *bus, const char *subtype);

/* Takes the description, which may be NULL for want of memory: then there is no object. */
struct object *bus_new_object(struct bus *bus, const char *subtype, char *description);

/* Takes another description; NULL, for want of memory, changes nothing. */
void bus_describe(struct object *object, char *description);

/* Shows it on the connection, if there is one. */
void bus_show_object(struct object *object);

/* Takes it out of the list and off the bus, and frees it. */
void bus_drop_object(struct object *object);

/* Answers CheckConfig or RegisterHandler. */
int bus_answer(sd_bus_message *call, bool fine, const char *message);

/* ------- rpc/external-handlers.c ------- */

/* On a new connection. */
int foreign_watch(struct bus *bus);

/* RegisterHandler. */
int foreign_register(struct bus *bus, sd_bus_message *call);

/* CheckConfig of an object that has an owner: asks it. */
int foreign_check(struct object *object, sd_bus_message *call, const char *text);

/* The connection ends: nobody is registered any more. */
void foreign_forget(struct bus *bus);
