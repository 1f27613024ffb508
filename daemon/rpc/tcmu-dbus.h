/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org.kernel.TCMUService1 on the system bus: what targetcli needs to offer the handlers, to check a
 * config string and to create a backstore.
 *
 * Runs on the main loop and waits for nothing: connecting, the name and the checks are
 * asynchronous. Without a bus the daemon goes on, says so once, and tries again from time to time;
 * likewise when the bus goes away. The bus's address is the system's, or DBUS_SYSTEM_BUS_ADDRESS.
 *
 * Only what targetcli shows as a menu may lie below /org/kernel/TCMUService1. Who may call what is
 * the bus's policy (systemd/org.kernel.TCMUService1.conf.in).
 */
#pragma once

#include <stdbool.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"
#include "config/settings.h"

struct bus;

enum bus_state {
	BUS_OWNED,   /* the name is ours: we can be called */
	BUS_ABSENT,  /* there is no bus; tried again */
	BUS_REFUSED, /* the bus does not let us have the name: another owner or its policy; tried
			again */
};

struct bus_setup { /* all of it outlives the bus */
	sd_event *event;
	struct mailbox *mailbox;
	const struct registry *registry;
	const struct settings *settings;
	/* When it is known whether we can be called, and after each change; not from within
	 * bus_new(). May be NULL. READY is to be sent after the first call. */
	void (*changed)(void *userdata, enum bus_state state);
	/* Puts further objects on a new connection, which is not attached yet; -errno: there is no
	 * use in it. May be NULL. */
	int (*connected)(void *userdata, sd_bus *connection);
	void *userdata;
};

/* To be called when the devices that exist have been taken over: owning the name says that we
 * serve. -ENOMEM. */
int bus_new(const struct bus_setup *setup, struct bus **bus);

/* Gives the name up. Takes NULL. */
void bus_free(struct bus *bus);

/* Shows a subtype that is in use though there is no handler for it: targetcli lists, and so
 * deletes, only backstores whose subtype is shown. Does nothing when it is shown already or cannot
 * be shown. */
void bus_show_subtype(struct bus *bus, const char *subtype);
