/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler's log lines, on their way to the daemon
 *
 * A line needs a device there. A line without one gets that of the call that the thread is in, or
 * else one that is open. The last error of a call becomes the reason of its refusal.
 */
#pragma once

#include <tcmu/handler.h>

struct tcmu_device;

/* The thread calls the handler for dev (NULL: for none), until log_leave(). Clears the last error.
 */
void log_enter(struct tcmu_device *dev);
void log_leave(void);
/* Fills a reason with the last error of the call; without one, with what and error's text. */
void log_reason(struct tcmu_reason *reason, const char *what, int error);

/* An open device. */
void log_add(struct tcmu_device *dev);
void log_remove(struct tcmu_device *dev);
