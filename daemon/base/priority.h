/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of everything on the event loop, in one place: a smaller number runs first. An
 * iteration of the event loop runs one source, so whatever is ready waits for one callback of each
 * lower class at most, however many events of that class wait.
 *
 * Timers have no class of their own: SD_EVENT_PRIORITY_NORMAL, 0, is the default of sd-event. So
 * have the signals and the watch of the settings.
 *
 * The bus is last, because it alone brings requests of users who are not root.
 */
#pragma once

#include <systemd/sd-event.h>

enum priority {
	PRIORITY_CHANGED = SD_EVENT_PRIORITY_IMPORTANT -
		1,                                     /* before the next event of the kernel */
	PRIORITY_KERNEL = SD_EVENT_PRIORITY_IMPORTANT, /* netlink */
	PRIORITY_POSTS = SD_EVENT_PRIORITY_IMPORTANT,  /* results of jobs and I/O threads */
	PRIORITY_TIMERS = SD_EVENT_PRIORITY_NORMAL,
	PRIORITY_CONTROL = SD_EVENT_PRIORITY_NORMAL + 40, /* tcmuctl, which is root's */
	PRIORITY_BUS = SD_EVENT_PRIORITY_NORMAL + 50,
};
