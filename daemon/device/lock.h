/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the second table of fsm.h: the handler's lock and unlock, and closing and opening its
 * backend while the kernel's device and the ring stay. Commands wait outside meanwhile
 * (io_thread_set_permission()).
 *
 * Each call of the handler is a job, one at a time; only the query for the lock's holder may run
 * beside it. The backend is never closed while one of them runs. A device that was once found to be
 * shared stays so until it is deleted: a group that is empty for a moment must not let two hosts
 * write.
 *
 * Main thread. Every function is part of an entry (state.h); events reach the device by its queue.
 */
#pragma once

#include "device/fsm.h"
#include "io/thread.h"

struct device;

/* Once, for a new device. */
void lock_init(struct device *device);

/* Before an I/O thread starts: sets the permission of its commands. */
void lock_begin(struct device *device, struct io_thread_setup *setup);

/* The ports are known, again or for the first time: from then on it may be shared. */
void lock_learn(struct device *device);

/* Feeds the table. Does nothing unless the device is served. */
void lock_event(struct device *device, enum lock_event event);

/* The backend has not answered a command in time: a shared device is unavailable until a query,
 * which is started, is answered. */
void lock_doubt(struct device *device);

/* Closes and opens a fenced backend that is idle now. Called whenever something has happened. */
void lock_settle(struct device *device);

/* A command changes states of target port groups. 0: the lock allows that now. 1: waiter is called
 * once, when it is known. -EAGAIN, -EBUSY or -EOPNOTSUPP: refused. */
int lock_request(
	struct device *device, const struct scsi_group_states *states,
	void (*waiter)(struct device *device, int error));

/* Has the handler queried for the lock's holder; queried is called when lock_show_states() knows.
 * False: there is nothing to query. */
bool lock_query_start(struct device *device, void (*queried)(struct device *device));

/* Sets the states of the groups by the lock. */
void lock_show_states(const struct device *device, struct scsi_ports *ports);
