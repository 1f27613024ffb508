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

struct tcmu_dbus;

enum tcmu_dbus_state {
	TCMU_DBUS_OWNED,   /* the name is ours: we can be called */
	TCMU_DBUS_ABSENT,  /* there is no bus; tried again */
	TCMU_DBUS_REFUSED, /* the bus does not let us have the name: another owner or its policy;
			tried again */
};

struct tcmu_dbus_setup { /* all of it outlives the bus */
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	/* When it is known whether we can be called, and after each change; not from within
	 * tcmu_dbus_new(). May be NULL. READY is to be sent after the first call. */
	void (*changed)(void *userdata, enum tcmu_dbus_state state);
	/* Puts further objects on a new connection, which is not attached yet; -errno: there is no
	 * use in it. May be NULL. */
	int (*connected)(void *userdata, sd_bus *connection);
	void *userdata;
};

/* To be called when the devices that exist have been taken over: owning the name says that we
 * serve. -ENOMEM. */
int tcmu_dbus_new(const struct tcmu_dbus_setup *setup, struct tcmu_dbus **bus);

/* Gives the name up. Takes NULL. */
void tcmu_dbus_free(struct tcmu_dbus *bus);

/* Shows a subtype that is in use though there is no handler for it: targetcli lists, and so
 * deletes, only backstores whose subtype is shown. Does nothing when it is shown already or cannot
 * be shown. */
void tcmu_dbus_show_subtype(struct tcmu_dbus *bus, const char *subtype);
