/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits inside of the process for a kernel module that cannot be loaded yet. A service that ended
 * instead would be started again for ever, several times a second.
 *
 * Main thread.
 */
#pragma once

#include <stdint.h>

#include "base/jobs.h"

#define MODULE_WAIT_USEC_MIN UINT64_C(1000000)
#define MODULE_WAIT_USEC_MAX (10 * UINT64_C(1000000))

struct module_wait;

struct module_wait_setup {
	sd_event *event;
	struct mailbox *mailbox;
	/* Loads the module, on its own thread: may block. Returns 0 or -errno. */
	int (*load)(void);
	/* After load has succeeded, from the event loop. Returns 0: the wait is over; or -errno. */
	int (*serve)(void *userdata);
	/* The first attempt has failed, or a later one for another reason, with -errno. */
	void (*waiting)(void *userdata, int error);
	void *userdata;
	uint64_t first_usec; /* to the next attempt; doubles to MODULE_WAIT_USEC_MAX */
};

/* error: the -errno of an attempt that the caller has made. Calls waiting before it returns.
 * *setup is copied. Returns 0, -ENOMEM, or -errno of sd-event. */
int module_wait_new(
	const struct module_wait_setup *setup, int error, struct module_wait **module_wait);

/* Nothing is called any more, but load may still run. Takes NULL. */
void module_wait_free(struct module_wait *module_wait);
