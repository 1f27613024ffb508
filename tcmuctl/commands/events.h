/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the daemon, as lines for people and as JSON. Each kind has a MESSAGE_ID, by which it is
 * found in the journal and explained by the catalog; tcmud-events(7) lists them.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

struct event {
	uint64_t time_us;       /* since 1970 */
	int priority;           /* of syslog; -1: not known */
	const char *message_id; /* like the others, NULL: none */
	const char *device;
	const char *handler;
	const char *message;
	const char *cursor; /* of the journal */
};

/* The MESSAGE_IDs, from 0; NULL: that was the last. */
const char *event_id_at(size_t i);

/* The name of the kind of an event, like "device-failed"; without a MESSAGE_ID that is known:
 * "error" or "warning". A constant. */
const char *event_name(const struct event *event);

/* Whether it is one of this device, which may be named "user_0/disk" or "disk". device: NULL: of
 * any, and of the daemon. */
int event_is_of(const struct event *event, const char *device);

/* A line with the local time. */
void event_show(FILE *out, const struct event *event);

/* A new object. */
json_t *event_to_json(const struct event *event);
