/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own interface on the bus, beside the one for targetcli: org.tcmud1, with one object
 * for the daemon and one for each device. It shows what tcmuctl shows.
 *
 *	/org/tcmud1                 org.tcmud1.Manager
 *	/org/tcmud1/device/uio0     org.tcmud1.Device
 *
 * Anyone may read; only root may change something or see the commands in flight. The bus's policy
 * enforces both, and rpc/callers.h does again.
 *
 * Main thread; no function waits. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-bus.h>

#include "device/manager.h"
#include "rpc/callers.h"
#include "rpc/methods.h"

struct tcmud_dbus { /* outlives the connection */
	struct manager *manager;
	struct methods *methods;
};

/* Adds the objects to a connection and requests the name. They end with the connection. -errno:
 * sd-bus refused. */
int tcmud_dbus_add(const struct tcmud_dbus *self, sd_bus *connection, struct callers *callers);
