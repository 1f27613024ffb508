/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of devices, and the parent of each (device/env.h). manager_reconcile() compares the set
 * with the kernel's devices and is the only place that decides what exists: netlink events, lost
 * netlink events and the daemon's start all end there.
 *
 * A device never calls upwards: it reports to its env that it has changed. The manager reacts to
 * that in one step of the event loop, before the next event of the kernel: waiting devices check
 * for claims, the status follows, a stop may be complete.
 *
 * Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>
#include <tcmu/netlink.h>

#include "base/jobs.h"
#include "config/handlers.h"
#include "config/settings.h"
#include "device/device.h"
#include "device/status.h"

struct manager;

/* All of it outlives the manager. */
struct manager_setup {
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	const char *run_dir;             /* marks.h, e.g. /run/tcmud */
	const char *state_dir;           /* marks.h, e.g. /var/lib/tcmud */
	void (*changed)(void *userdata); /* devices have changed their states; may be NULL */
	/* The kernel has a device of a subtype without a handler; may be NULL. */
	void (*unhandled_subtype)(void *userdata, const char *subtype);
	void *userdata;
};

/* Subscribes to the kernel's events, takes over the devices that it has, and adopts creations that
 * wait for an answer. -ENOENT: the kernel module is not loaded. -EPERM. */
int manager_new(const struct manager_setup *setup, struct manager **manager);

/* Stops serving: every device drains. done is called when all have ended or are orphans, or after
 * the stop timeout. */
void manager_stop(struct manager *manager, void (*done)(void *userdata), void *userdata);

/* The last words to the kernel: every command that still waits is answered, and it waits for none
 * from now on. Does not wait itself. manager_stop() and manager_free() call it; a process that ends
 * without them must, too. Takes NULL, and may be called again. */
void manager_end(struct manager *manager);

/* Devices that have not ended are abandoned to the end of the process. Takes NULL. */
void manager_free(struct manager *manager);

/* Makes the set match /sys/class/uio. */
void manager_reconcile(struct manager *manager);

/* How many devices the kernel uses, how many have failed, how many are orphans; for the status
 * line. */
void manager_count(
	const struct manager *manager, unsigned *served, unsigned *failed, unsigned *orphans);

/* All devices, including those that the kernel no longer has. NULL: i is beyond the last. */
struct device *manager_device(const struct manager *manager, unsigned i);

/* The device that an administrator names: "user_0/disk", "disk" or "uio0". Those that the kernel
 * has come first. NULL with *cnt, how many are meant: 0, or several of the same name. */
struct device *manager_find(const struct manager *manager, const char *text, unsigned *cnt);

/* Whether nothing of any device is left. Takes NULL. */
bool manager_is_empty(const struct manager *manager);
