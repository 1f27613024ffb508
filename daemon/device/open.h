/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a device: its attributes, its config string, the claim on the backing store, and the
 * handler's open. The result is one event: OPENED, or one of those that say why not.
 *
 * The stages are jobs, which touch only their struct device_opening; the rest is the main thread's,
 * as part of an entry (state.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct device;

/* Starts it, in OPENING. */
void open_start(struct device *device);

/* The open deadline has passed. */
void open_timed_out(struct device *device);

/* Another device may have given its claim up: goes on if it has waited for that. */
void open_claim_changed(struct device *device);

/* Goes on, if it waits for a claim that is not needed any more, or for the kernel's block state,
 * which is known now. Called whenever something has happened. */
void open_settle(struct device *device);

/* ADDED_DEVICE came for a device that a scan had found. False: it means another one. */
bool open_added_again(struct device *device, unsigned minor, uint32_t id);
