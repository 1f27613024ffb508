/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that the kernel announces of a device: its size, config string and write cache. The
 * process that writes the attribute waits for the answer.
 *
 * A change is answered once: when it is done, or with an error when it takes longer than the reply
 * timeout, or when the device is not served before the open timeout. The write cache goes off when
 * the device is served. A change to the present value
 * is answered 0 at once, whatever the handler can do: a restore writes every saved attribute back.
 *
 * Main thread; every function is part of an entry (state.h).
 */
#pragma once

#include <tcmu/netlink.h>

struct device;

/* Once, for a new device. */
void reconfig_init(struct device *device);

/* Answers RECONFIG_DEVICE now, or when the device is served, or when the handler has answered. */
void reconfig_handle(struct device *device, const struct tcmu_event *event);

/* After IO_SIGNAL_WRITE_CACHE: the I/O thread has flushed the write cache and turned it off, or has
 * failed to. */
void reconfig_write_cache_set(struct device *device);

/* A change that came too early is made, if the device is served now, or refused. Called whenever
 * something has happened. */
void reconfig_settle(struct device *device);

/* Logs that the backend has another size, which the handler has found out. */
void reconfig_log_backend_size(const struct device *device);
