/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk at a ring, which may be taken away while a command is executed.
 */
#pragma once

#include <pthread.h>

#include "disk.h"

/* The lock of a ring that another thread may take away. It is not held while a command is
 * executed. */
struct ring_lock {
	pthread_mutex_t mutex;
	bool revoked;     /* the ring is not the kernel's any more */
	uint32_t iov_cnt; /* pieces of the command that is executed, in scsi->iov */
};

/* tcmu_scsi_serve() with a ring lock, which may be NULL. -ECANCELED: the ring was revoked. */
int serve_ring(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio,
	struct ring_lock *ring_lock);
