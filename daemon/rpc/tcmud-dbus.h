/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own interface on the bus, beside the one that targetcli knows: org.tcmud1, with an
 *object for the daemon and one for each device. What it shows is what tcmuctl shows.
 *
 *	/org/tcmud1                 org.tcmud1.Manager
 *	/org/tcmud1/device/uio0     org.tcmud1.Device
 *
 * To look is anybody's; what changes something, or tells what is under way, is root's, by the bus's
 *policy. Main thread; waits for nothing.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "device/manager.h"
#include "rpc/methods.h"

struct tcmud_dbus { /* outlives the connection */
	struct manager *manager;
	struct methods *methods;
};

/* Puts the objects on a connection and asks for the name; they end with it. -errno. */
int tcmud_dbus_add(const struct tcmud_dbus *self, sd_bus *connection);
