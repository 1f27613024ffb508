/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of devices. manager_reconcile() compares it with what the kernel has and is the only
 * place that decides what exists: netlink events, lost netlink events and the daemon's start all
 * end there.
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

struct manager;

/* What a manager works with; all of it outlives the manager. */
struct manager_setup {
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	const char *run_dir;             /* marks of clean stops, e.g. /run/tcmud */
	const char *state_dir;           /* what is kept of devices for good, e.g. /var/lib/tcmud */
	void (*changed)(void *userdata); /* after a device has changed its state; may be NULL */
	void (*unhandled_subtype)(
		void *userdata,
		const char *subtype); /* a device has a subtype that is not ours; may be NULL */
	void *userdata;
};

/* Subscribes to the kernel's events, takes over what it has, and adopts creates that wait for an
 * answer. -ENOENT: the kernel module is not loaded. -EPERM. */
int manager_new(const struct manager_setup *setup, struct manager **manager);

/* Stops serving: every device drains. done is called when the last one has let go, or after the
 * stop timeout. */
void manager_stop(struct manager *manager, void (*done)(void *userdata), void *userdata);

/* Devices that have not let go are abandoned to the end of the process. Takes NULL. */
void manager_free(struct manager *manager);

/* Makes the set match /sys/class/uio. */
void manager_reconcile(struct manager *manager);

/* How many devices are in use by the kernel, and how many are orphans; for the status line. */
void manager_count(
	const struct manager *manager, unsigned *served, unsigned *failed, unsigned *orphans);

/* All devices, those included of which the kernel knows nothing any more. NULL: i is beyond the
 * last. */
struct device *manager_device(const struct manager *manager, unsigned i);

/* The device that a person means: "user_0/disk", "disk" or "uio0". What the kernel has comes first.
 * NULL with *cnt, how many are meant by it: 0, or several of the same name. */
struct device *manager_find(const struct manager *manager, const char *text, unsigned *cnt);

/* Whether nothing of any device is left. Takes NULL. */
bool manager_is_empty(const struct manager *manager);

/* ------- for device/device.c ------- */

const struct manager_setup *manager_setup(const struct manager *manager);

/* Answers a netlink command. */
void manager_answer(struct manager *manager, enum tcmu_event_kind kind, uint32_t id, int status);

/* Answers REMOVED_DEVICE only if the kernel turns out to wait for it: it still has the device a
 * moment later. For devices that were created without replies. */
void manager_answer_if_waiting(
	struct manager *manager, const struct tcmu_name *name, unsigned minor, uint32_t id);

/* The device that has this claim and is not the given one, or NULL. Orphans first. */
struct device *manager_claimant(
	struct manager *manager, const char *claim, const struct device *except);

/* A device has changed its state: whoever waits for its claim looks again; the status line follows.
 */
void manager_device_changed(struct manager *manager, struct device *device);

/* The device has ended; it is not the manager's any more. */
void manager_forget(struct manager *manager, struct device *device);

/* Notes that a device stopped with nothing of its ring under way. */
void manager_mark_clean(struct manager *manager, const struct device *device);

/* Remembers beyond the loop and the daemon that a medium is being erased, or could not be:
 * FORMAT_STATE_ bits, 0 when it can be used. Forgotten when the device is deleted. */
void manager_mark_format(struct manager *manager, const struct device *device, unsigned erasure);
unsigned manager_format_state(const struct manager *manager, const struct device *device);
