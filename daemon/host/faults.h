/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that an ASYNC handler asks for, and the faults that befall them. The I/O
 * thread's where nothing else is said.
 */
#pragma once

#include "host/state.h"

/* For struct tcmu_host. */
void host_aio(struct tcmu_io *io, struct tcmu_aio *aio);

/* Ends the calls that are due. Returns how many. */
unsigned host_faults_run(struct tcmu_disk *disk);

/* The time by clock_now_ns() at which a delayed call ends; 0: there is none. */
uint64_t host_faults_due(const struct tcmu_disk *disk);

/* Ends the calls of the request that are stuck, with -ECANCELED. */
void host_faults_cancel(struct tcmu_disk *disk, const struct host_request *request);
