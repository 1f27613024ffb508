/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods that tcmuctl and D-Bus call: a request and its answer, as JSON.
 *
 *	{"method": "stats", "device": "user_0/disk"}
 *	{"result": {...}}  or  {"error": {"code": "no-such-device", "message": "..."}}
 *
 * method          members            result
 * list                               devices: each with its state; others: not served here
 * status          device             one device: its state, counters and times
 * stats           device or none     counters and times since the device was opened
 * inflight        device             the commands in flight
 * handlers                           handlers: each with its file, or with its problem
 * check           config             fine, message: whether a device can be created
 * log-level       level or none      level, name
 * reopen          device             state
 * dump                               everything
 *
 * Times are in nanoseconds where a member's name ends in _ns, else in seconds; sizes are in bytes.
 * The codes of errors are bad-request, no-such-device and refused.
 *
 * Main thread; no function waits. Running out of memory aborts (glib), except while an answer is
 * composed (rpc/json.h).
 */
#pragma once

#include <stddef.h>

#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"
#include "config/settings.h"
#include "device/manager.h"

struct methods;

struct methods_setup { /* everything in it outlives the methods */
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	struct manager *manager;
	const uint64_t *longest_stall; /* µs that the event loop was blocked at most */
};

struct methods *methods_new(const struct methods_setup *setup);

/* Answers the checks in flight with a refusal. Takes NULL. */
void methods_free(struct methods *methods);

/* Takes the answer, which malloc() has allocated; NULL: out of memory. */
typedef void methods_done_fn(void *userdata, char *text);

/* Runs a request of any bytes. Calls done once: from within, or later from the event loop for
 * checks and long answers. */
void methods_call(
	struct methods *methods, const char *request, size_t length, methods_done_fn *done,
	void *userdata);
