/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's block state of a device: whether it answers BUSY to new commands, or puts them into
 * the ring. No other module writes it.
 *
 * The value follows from the device's state (device_state_block() of fsm.h). The value that was
 * written last is kept; where the two differ a job writes action/block_dev, one at a time, and
 * again after a failure. So no path into or out of LIVE can forget it. An administrator who writes
 * the attribute is overruled by the next change of the state, not before.
 *
 * In RESETTING it also resets the ring, once the kernel is blocked and the I/O thread is idle.
 *
 * Main thread; every function is part of an entry (state.h).
 */
#pragma once

#include <stdbool.h>

#include "device/fsm.h"

struct device;

/* Once, for a new device. interrupted: its ring may have to be reset before it is served. */
void block_init(struct device *device, bool interrupted);

/* The kernel is creating the device: its ring is new, and it is not blocked. */
void block_fresh(struct device *device);

/* The kernel has configured the device: its creation is complete. Never undone. */
void block_configured(struct device *device);

/* A transition: notes whether service is interrupted. */
void block_note_transition(struct device *device, enum device_event event, enum device_state next);

/* RESETTING: nothing that was fetched from the old ring is in flight. */
void block_ring_idle(struct device *device);

/* Writes what the kernel shall do, if it differs from what was written. Called whenever something
 * has happened. */
void block_settle(struct device *device);

/* Whether the kernel answers BUSY. */
bool block_is_on(const struct device *device);

/* Why the kernel cannot be blocked: -errno of the last try; 0: it can be, or was not tried yet. */
int block_error(const struct device *device);
