/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device can be created with a config string: the rules for all handlers first, then the
 * handler's own check on a separate thread. A check that hangs costs that thread and delays its
 * own caller only.
 *
 * Main thread. Running out of memory aborts (glib).
 */
#pragma once

#include <stdbool.h>

#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/handlers.h"

struct checks;

/* All arguments outlive the result. */
struct checks *checks_new(
	sd_event *event, struct mailbox *mailbox, const struct handlers *handlers);

/* Answers the checks in flight with a refusal. Their threads go on until their handlers return.
 * Takes NULL. */
void checks_free(struct checks *checks);

/* message: one sentence, "success" when the string is valid; valid until the return. */
typedef void check_done_fn(void *userdata, bool valid, const char *message);

/* Calls done once: from within when the answer needs no handler, else from the event loop, after
 * timeout_ms at the latest. subtype: the handler that the string must be for; NULL: any. text: any
 * bytes, copied. */
void check_start(
	struct checks *checks, const char *subtype, const char *text, unsigned timeout_ms,
	check_done_fn *done, void *userdata);

/* How many handlers' checks have not returned, including those whose caller has an answer. */
unsigned checks_running(const struct checks *checks);
