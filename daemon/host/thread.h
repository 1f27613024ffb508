/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O thread of a hosted disk: it runs messages, the engine's system calls and the ends of
 * requests, and sleeps when there are none.
 */
#pragma once

#include "host/state.h"

/* Starts the thread, and the engine or the workers that the handler needs. -errno:
 * host_thread_end() may be called. */
int host_thread_start(struct tcmu_disk *disk);

/* Ends them. Nothing is in flight. Takes a disk whose thread was not started. */
void host_thread_end(struct tcmu_disk *disk);

/* Whether this is the disk's I/O thread. */
bool host_thread_is_current(const struct tcmu_disk *disk);

/* Has the thread run the message. Any thread. */
void host_thread_post(struct tcmu_disk *disk, struct host_message *message);

/* Wakes the thread if it sleeps. Any thread. */
void host_thread_wake(struct tcmu_disk *disk);
