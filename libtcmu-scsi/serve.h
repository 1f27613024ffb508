/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk at a ring, which may be taken away while a command is executed.
 */
#pragma once

#include <pthread.h>

#include "disk.h"

/* Who may use the ring. The lock is not held while a command is executed. */
struct serve_gate {
	pthread_mutex_t lock;
	bool closed;      /* nobody: the ring is not the kernel's any more */
	uint32_t iov_cnt; /* pieces of the command that is executed, in scsi->iov */
};

/* tcmu_scsi_serve() with a gate, which may be NULL. -ECANCELED: it was closed. */
int serve_ring(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio,
	struct serve_gate *gate);
