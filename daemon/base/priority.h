/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of everything on the event loop: a smaller number runs first. An iteration of the event
 * loop runs one callback. So an event never waits for more than one callback of lower classes,
 * however many events of those classes there are.
 *
 * Timers, signals and the watch of the settings have the default of sd-event, which is 0.
 *
 * The bus is last, because it alone brings requests of users who are not root.
 */
#pragma once

#include <systemd/sd-event.h>

enum priority {
	PRIORITY_CHANGED = SD_EVENT_PRIORITY_IMPORTANT - 1, /* before the next event */
	PRIORITY_KERNEL = SD_EVENT_PRIORITY_IMPORTANT,      /* netlink */
	PRIORITY_POSTS = SD_EVENT_PRIORITY_IMPORTANT,       /* results of jobs and I/O threads */
	PRIORITY_TIMERS = SD_EVENT_PRIORITY_NORMAL,         /* of sd-event by default */
	PRIORITY_CONTROL = SD_EVENT_PRIORITY_NORMAL + 40,   /* tcmuctl, for root only */
	PRIORITY_BUS = SD_EVENT_PRIORITY_NORMAL + 50,
};
