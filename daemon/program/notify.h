/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports to the service manager (sd_notify). Without one every function does nothing.
 *
 * Main thread. Nothing here allocates memory.
 */
#pragma once

#include <systemd/sd-event.h>

/* The daemon is ready; may be called again. */
void notify_ready(void);

/* The daemon has begun to stop. */
void notify_stopping(void);

/* The line that "systemctl status" shows; sent when it has changed, cut at 255 bytes. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Has the event loop feed the watchdog, if the service manager wants it: then it restarts a daemon
 * whose event loop hangs. Returns 1 if it wants it, 0 if not, or -errno. */
int notify_watchdog(sd_event *event);
