/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that take longer than their device is given for one (tcmur_cmd_time_out): told to the log when they begin to be
 * late and when they have ended, not every one of them and not all the time.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "manager.h"

/* What was told of a device. */
struct late {
	bool told;   /* that it is late; its end has not been */
	uint64_t at; /* ns, when that was told last; 0: never */
};

enum late_news {
	LATE_NOTHING,
	LATE_BEGINS,
	LATE_ENDS,
};

/* begun: when the oldest command that is under way was fetched, ns; 0: none is. seconds: what a command is given; 0: any
 * time. What begins again within a minute is not told. */
enum late_news late_look(struct late *late, uint64_t begun, uint64_t now, unsigned seconds);

/* Looks at all devices every few seconds. */
struct late_watch;
int late_watch_new(sd_event *event, const struct manager *manager, struct late_watch **watch);
void late_watch_free(struct late_watch *watch); /* takes NULL */
