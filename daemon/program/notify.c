/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sd_notify() reads NOTIFY_SOCKET, and sends nothing without it.
 */
#include "program/notify.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/thread.h"

#define STATUS_MAX 256

void notify_ready(void)
{
	(void) sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
	(void) sd_notify(0, "STOPPING=1");
}

void notify_status(const char *fmt, ...)
{
	static char last[STATUS_MAX];
	char status[STATUS_MAX];
	va_list args;

	assert(thread_is_main()); /* last has no lock */
	va_start(args, fmt);
	(void) vsnprintf(status, sizeof(status), fmt, args);
	va_end(args);
	if (strcmp(status, last) == 0)
		return;
	memcpy(last, status, sizeof(last));
	(void) sd_notifyf(0, "STATUS=%s", status);
}

int notify_watchdog(sd_event *event)
{
	assert(event);
	return sd_event_set_watchdog(event, true);
}
