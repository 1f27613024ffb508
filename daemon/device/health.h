/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator is told of devices that are served and not well: commands that take longer than
 * their device is given for one (tcmur_cmd_time_out), and errors of the backend that initiators are
 * told. Neither is told for every command: the device's thread notes, and a look at all devices
 * every few seconds finds it.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "device/manager.h"

/* What was told of a device. */
struct health {
	bool late;         /* that commands are late; their end has not been */
	uint64_t late_at;  /* ns, when that was told last; 0: never */
	uint64_t errors;   /* so many errors of the backend */
	uint64_t error_at; /* ns, when that was told last; 0: never */
};

enum late_news {
	LATE_NOTHING,
	LATE_BEGINS,
	LATE_ENDS,
};

/* begun: when the oldest command that is under way was fetched, ns; 0: none is. seconds: what a
 * command is given; 0: any time. What begins again within a minute is not told. */
enum late_news health_late(struct health *trouble, uint64_t begun, uint64_t now, unsigned seconds);

/* errors: how many there have been. How many are to be told now; none for a minute after the last
 * time. */
uint64_t health_errors(struct health *trouble, uint64_t errors, uint64_t now);

/* What to do about an error of the backend: the end of a sentence. */
const char *health_advice(int error);

/* Looks at all devices every few seconds. */
struct trouble_watch;
int health_watch_new(sd_event *event, const struct manager *manager, struct trouble_watch **watch);
void health_watch_free(struct trouble_watch *watch); /* takes NULL */
