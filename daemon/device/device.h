/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device: feeds events to the state machine and carries its actions out. Owns the handler's
 * instance, the device's thread (io/thread.h), the timers and the jobs that belong to them.
 *
 * Everything here runs on the main thread and blocks on nothing: what may block is a job
 * (base/jobs.h), and what the device's thread or the handler has to say arrives as a post. A device
 * is kept while a job of its holds it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>
#include <tcmu/netlink.h>
#include <tcmu/scan.h>

#include "device/fsm.h"
#include "io/stats.h"

struct device;
struct manager;

/* How we learned of it. */
enum device_origin {
	DEVICE_ORIGIN_ADDED, /* ADDED_DEVICE by netlink */
	DEVICE_ORIGIN_FOUND, /* the kernel had it already */
};

struct device_start {
	struct tcmu_name name;
	unsigned minor;
	enum device_origin origin;
	uint32_t id; /* ADDED only */
	bool clean;  /* FOUND: the daemon before us had stopped in good order */
	const struct tcmu_handler *handler;
};

/* A device in OPENING. The manager holds it until manager_forget(). NULL: out of memory. */
struct device *device_new(struct manager *manager, const struct device_start *start);

/* Starts to open it; once, when the manager has it in its set. */
void device_open(struct device *device);

struct device *device_ref(struct device *device);
void device_unref(struct device *device);

/* Events from the manager. May end with manager_forget() of this device. */
void device_event(struct device *device, enum device_event event);

/* REMOVED_DEVICE with the id that its answer is to carry. */
void device_removed(struct device *device, uint32_t id);

/* RECONFIG_DEVICE: answers it now or when the handler has answered. */
void device_reconfig(struct device *device, const struct tcmu_event *event);

/* Has the backend closed and opened again. The kernel keeps the device; commands that are not
 * fetched yet wait, those under way are given the time that they have when the daemon stops. Where
 * it cannot be opened it is tried again, as ever. -EBUSY: the device is neither served nor failed,
 * or is being resized. */
int device_reopen(struct device *device);

enum device_state device_state(const struct device *device);
const struct tcmu_name *device_name(const struct device *device);
unsigned device_minor(const struct device *device);

/* "user_0/disk": for logs. */
const char *device_label(const struct device *device);

/* The backing store that this device has or still holds; NULL: none. */
const char *device_claim(const struct device *device);

/* Whether its claim is a late backend's: since when (seconds) and how many requests are stuck. */
bool device_is_orphan(const struct device *device, double *age, unsigned *requests);

/* Whether an ADDED_DEVICE means this very device, which a scan had found before the event was read.
 * Its answer may have been sent before anybody waited for it: it is owed again. */
bool device_added_again(struct device *device, unsigned minor, uint32_t id);

/* Goes on with opening if it waited for another device's claim. */
void device_claim_changed(struct device *device);

/* Whether what the kernel says of it has been read: then it is known whether somebody waits for it.
 */
bool device_is_known(const struct device *device);

/* Whether it was created while somebody waited and that somebody has not been answered yet. */
bool device_owes_answer(const struct device *device);

/* ------- for people and their tools: device/status.c ------- */

struct device_status {
	const char *label;
	const struct tcmu_name *name;
	unsigned minor;
	const char *handler; /* its subtype */
	const char *state;
	double state_seconds;      /* since it is so */
	const char *problem;       /* why it is not served, or not well; NULL: nothing is wrong */
	uint64_t size;             /* bytes; 0: not known yet */
	uint32_t block_size;       /* likewise */
	bool write_cache;          /* the attribute emulate_write_cache */
	const char *serial;        /* as known; "": not asked for yet */
	unsigned backend;          /* requests that the backend has */
	const struct stats *stats; /* NULL: out of memory */
};

/* Strings and stats live as long as the device. */
void device_get_status(const struct device *device, struct device_status *view);

/* Commands of the kernel that are under way; at most max, in no order. Waits for nobody, not for a
 * stuck handler either. */
unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max);

/* Tells the log what device/health.h is about. now: clock_now_ns(). */
void device_check_health(struct device *device, uint64_t now);
