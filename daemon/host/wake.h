/* SPDX-License-Identifier: Apache-2.0 */
/* How other threads reach the I/O thread of a disk. */
#pragma once

#include "host/state.h"

/* The calling thread is the disk's I/O thread from now on. */
void host_wake_begin(const struct tcmu_disk *disk);

/* Whether this is the disk's I/O thread. */
bool host_thread_is_current(const struct tcmu_disk *disk);

/* Has the thread run the message. Any thread. */
void host_thread_post(struct tcmu_disk *disk, struct host_message *message);

/* Wakes the thread if it sleeps. Any thread. */
void host_thread_wake(struct tcmu_disk *disk);
