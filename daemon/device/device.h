/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device: owns the handler's backend, the I/O thread (io/thread.h), and their jobs and timers.
 * Takes events from its queue, one at a time, and carries the actions of the table (fsm.h) out. Its
 * parent and everything else outside is its struct device_env.
 *
 * Everything runs on the main thread and waits for nothing: calls that may wait are jobs, and other
 * threads send posts. A function of this header is an entry (state.h): it must not be called from
 * within a function of the env. It returns when the queue is empty; the device may be GONE then,
 * and forgotten. A device lives until its parent has forgotten it and no job holds it.
 *
 * A delete with nothing in flight; "..." waits for the event loop or for another thread:
 *
 *   manager_netlink_ready, manager_handle_event, manager_handle_removed, device_removed,
 *   device_event, device_run, device_transit: LIVE -> DRAINING, device_act, device_drain,
 *   io_thread_drain ... device_signal ... device_take_signals, device_thread_ended, device_event,
 *   device_run, device_transit: DRAINING -> DETACHED, device_act, device_close; device_settle,
 *   closing_settle, device_call_start ... closing_work: the handler's close ... device_call_end,
 *   closing_done, device_run, device_transit: DETACHED -> GONE, device_act,
 *   device_answer_removed, the parent's answer; the parent's forget
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>
#include <tcmu/netlink.h>
#include <tcmu/scan.h>

#include "device/env.h"
#include "device/fsm.h"

struct device;

struct device_start {
	struct tcmu_name name;
	unsigned minor;
	enum device_origin origin;
	uint32_t id; /* DEVICE_ORIGIN_ADDED only */
	bool clean;  /* DEVICE_ORIGIN_FOUND: the last daemon has stopped in good order */
	const struct tcmu_handler *handler; /* outlives the device */
};

/* A device in OPENING, which the caller holds until the env's forget. */
struct device *device_new(struct device_env *env, const struct device_start *start);

/* Releases the parent's reference. The parent's forget calls it, last. */
void device_release(struct device *device);

/* Starts to open it; once, when the parent has it in its set. */
void device_open(struct device *device);

/* Feeds an event: UNREGISTERED or STOP. */
void device_event(struct device *device, enum device_event event);

/* REMOVED_DEVICE. id: what its answer carries. */
void device_removed(struct device *device, uint32_t id);

/* RECONFIG_DEVICE: answers it now or later. */
void device_reconfig(struct device *device, const struct tcmu_event *event);

/* Has the backend closed and opened again. The kernel keeps the device; commands that are not
 * fetched yet wait, those in flight have the time that they have when the daemon stops. Where it
 * cannot be opened it is retried, as always. -EBUSY: the device is neither served nor failed, or is
 * being resized. */
int device_reopen(struct device *device);

/* Reads again what administrators change without a notice: LU info and cmd_time_out. */
void device_refresh(struct device *device);

/* Whether the event is the ADDED_DEVICE that has made this device. */
bool device_is_addition(const struct device *device, const struct tcmu_event *event);

/* Whether an ADDED_DEVICE means this very device, which a scan had found before the event was read.
 * Its answer may have been sent before the kernel waited for it: it is owed again. */
bool device_added_again(struct device *device, unsigned minor, uint32_t id);

/* Another device may have given up its claim: opening goes on if it has waited for that. */
void device_claim_changed(struct device *device);
