/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports to the service manager, as sd_notify(3). Without one every function does nothing.
 *
 * No function waits for the service manager. Where its queue is full, the reports are sent later
 * from the event loop: none of READY and STOPPING is lost, and of several status lines the last one
 * is sent.
 *
 * Main thread. Nothing here allocates memory but notify_start().
 */
#pragma once

#include <systemd/sd-event.h>

/* Has the event loop send what could not be sent at once, and feed the watchdog if the service
 * manager wants it: then it restarts a daemon whose event loop hangs. Returns 1 if it wants it, 0
 * if not, or -errno. */
int notify_start(sd_event *event);

/* Before the event loop is freed. Tries a last time to send what is left. */
void notify_end(void);

/* The daemon is ready; may be called again. */
void notify_ready(void);

/* The daemon has begun to stop. */
void notify_stopping(void);

/* The line that "systemctl status" shows; sent when it has changed, cut at 255 bytes. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
