/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator may ask of the daemon, and have done: a request and its answer as JSON.
 *
 *	{"method": "stats", "device": "user_0/disk"}
 *	{"result": {...}}  or  {"error": {"code": "no-such-device", "message": "..."}}
 *
 * method          members            result
 * list                               devices: each with its state
 * status          device             the same of one device, and what it has done
 * stats           device or none     counters and times since the device is there
 * inflight        device             the commands that are under way
 * handlers                           handlers: each with its file, or with what is missing
 * check           config             fine, message: whether a device can be created so
 * log-level       level or none      level, name
 * reopen          device             state
 * dump                               all of it
 *
 * Times are in nanoseconds where a member's name ends in _ns, else in seconds; sizes are in bytes.
 *Codes of errors are bad-request, no-such-device and refused.
 *
 * Main thread; waits for nothing. A check, and long answers, come later.
 */
#pragma once

#include <stddef.h>

#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"
#include "config/settings.h"
#include "device/manager.h"

struct methods;

struct methods_setup { /* all of it outlives the query */
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	const struct settings *settings;
	struct manager *manager;
	const uint64_t *longest_stall; /* µs, of the main loop */
};

/* -ENOMEM. */
int methods_new(const struct methods_setup *setup, struct methods **methods);

/* What is under way is answered now. Takes NULL. */
void methods_free(struct methods *methods);

/* Called once, from within or later. text: allocated by malloc(), the callee's; NULL: out of
 * memory. */
typedef void methods_done_fn(void *userdata, char *text);

/* Any bytes. */
void methods_call(
	struct methods *methods, const char *request, size_t length, methods_done_fn *done,
	void *userdata);
