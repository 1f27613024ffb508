/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of the daemon in the journal of this host: everything with a MESSAGE_ID of the
 * daemon, and its warnings and errors; and what systemd says of its end. Only what root's processes
 * have logged counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "commands/events.h"

/* Takes an event, whose strings are valid meanwhile. False: no more is wanted. */
typedef bool journal_event_fn(void *userdata, const struct event *event);

struct journal_query {
	const char *directory; /* of journal files; NULL: this host's journal */
	const char *device;    /* NULL: of any device, and of the daemon */
	size_t count;          /* of the last ones */
	bool follow;           /* wait for new ones */
};

/* Calls take for the last events, from the oldest to the newest, and with follow for each new one.
 * Returns how many there were,
 * or -errno. */
int journal_read(const struct journal_query *query, journal_event_fn *take, void *userdata);
