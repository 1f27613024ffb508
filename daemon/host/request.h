/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: their beginning, their completion and their end, and what a handler must not do with
 * them afterwards.
 */
#pragma once

#include "host/state.h"

/* For struct tcmu_host: the handler has completed the request. Any thread. */
void host_complete(struct tcmu_io *io, int error);

/* The requests that were completed end. Returns how many. The I/O thread. */
unsigned host_request_run_completed(struct tcmu_disk *disk);

/* Checks the requests that have ended. Nothing is in flight. */
void host_request_check_kept(struct tcmu_disk *disk);

/* Checks and frees the requests that have ended. The last user of the disk. */
void host_request_free_kept(struct tcmu_disk *disk);
