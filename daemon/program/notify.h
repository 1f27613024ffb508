/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told (sd_notify). All of it does nothing when there is none. Main
 * thread.
 */
#pragma once

#include <systemd/sd-event.h>

/* The daemon serves; once. */
void notify_ready(void);

/* It has begun to stop. */
void notify_stopping(void);

/* The line that "systemctl status" shows; sent only when it has changed. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Feeds the watchdog from the loop, if the service manager wants to be fed: a main loop that hangs
 * is restarted. Returns whether it does, or -errno. */
int notify_watchdog(sd_event *event);
