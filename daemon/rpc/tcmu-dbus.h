/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org.kernel.TCMUService1 on the system bus: what targetcli needs to list the handlers, to check a
 * config string and to create a backstore.
 *
 * Connecting, requesting the name and checks are asynchronous; no function waits. Without a bus the
 * daemon serves all the same: it logs that once and tries again, also when the connection is lost.
 * The bus's address is the system's, or DBUS_SYSTEM_BUS_ADDRESS.
 *
 * Two guards decide which callers are allowed: the bus's policy
 * (systemd/org.kernel.TCMUService1.conf), and rpc/callers.h.
 *
 * Main thread. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"
#include "config/settings.h"
#include "rpc/callers.h"

struct tcmu_dbus;

enum tcmu_dbus_state {
	TCMU_DBUS_OWNED,   /* we own the name and can be called */
	TCMU_DBUS_ABSENT,  /* there is no bus; tried again */
	TCMU_DBUS_REFUSED, /* another process owns the name, or the bus's policy refuses it to us;
			    * tried again */
};

struct tcmu_dbus_setup { /* everything in it outlives the tcmu_dbus */
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	/* Called when the first state is known and after each change, never from within
	 * tcmu_dbus_new(). May be NULL. The first call is the moment to report READY. */
	void (*changed)(void *userdata, enum tcmu_dbus_state state);
	/* Adds further objects to a new connection, and their methods to its callers. The
	 * connection is not attached to the event loop yet. -errno: it is given up. May be NULL. */
	int (*connected)(void *userdata, sd_bus *connection, struct callers *callers);
	void *userdata;
};

/* Starts connecting. To be called when the devices that exist have been adopted, because owning the
 * name promises service. -errno: the event loop refused a timer. */
int tcmu_dbus_new(const struct tcmu_dbus_setup *setup, struct tcmu_dbus **bus);

/* Gives the name up. Checks in flight are answered with a refusal. Takes NULL. */
void tcmu_dbus_free(struct tcmu_dbus *bus);

/* Shows a subtype that is in use though it has no handler here: targetcli lists, and so deletes,
 * only backstores whose subtype is shown. Does nothing for a subtype that is shown already or is
 * invalid. */
void tcmu_dbus_show_subtype(struct tcmu_dbus *bus, const char *subtype);
