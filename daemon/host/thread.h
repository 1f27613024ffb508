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
