/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device can be created with a config string: what every handler refuses, then the
 * handler's own check on a thread of its own. A check that hangs costs that thread, and its own
 * caller the wait; nobody else anything.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>

#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"

struct checks;

/* Outlived by event, mailbox and registry. */
int checks_new(
	sd_event *event, struct mailbox *mailbox, const struct handlers *handlers,
	struct checks **checks);

/* Checks under way are answered now, with a refusal. Takes NULL. */
void checks_free(struct checks *checks);

/* Calls done once: from within, when it can be told at once, else from the main loop, at the latest
 * after the timeout. subtype: whose string it must be; NULL: anybody's. message: one sentence,
 * "success" when it is fine. */
typedef void check_done_fn(void *userdata, bool fine, const char *message);
void check_start(
	struct checks *checks, const char *subtype, const char *text, unsigned timeout_ms,
	check_done_fn *done, void *userdata);

/* How many handlers' checks have not returned yet, those that nobody waits for any more included.
 */
unsigned checks_running(const struct checks *checks);
