/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease of a lock holder. The cluster confirms once a second that this client instance is the
 * one that has locked the image. The confirmation holds for LEASE_NS after the request for it was
 * sent. After that the host submits nothing and answers nothing as the lock holder, and the client
 * instance is ended: another host waits that long before it writes.
 *
 * The clock is CLOCK_BOOTTIME: nobody can set it, and it counts while the host sleeps.
 *
 * One thread serves all leases of the process. It never waits for the cluster.
 */
#pragma once

#include <rados/librados.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "kill.h"

#define LEASE_NS UINT64_C(10000000000)
#define LEASE_MARGIN_NS \
	UINT64_C(2000000000) /* for what is on the network, and the clocks' rates \
			      */
#define LEASE_WAIT_NS     (LEASE_NS + LEASE_MARGIN_NS)

#define LEASE_NONE        UINT64_MAX /* not the lock holder */

#define LEASE_HEADER_SIZE 64
#define LEASE_REPLY_SIZE  512

struct lease {
	_Atomic uint64_t until; /* CLOCK_BOOTTIME; LEASE_NONE: there is no lease */

	/* set once */
	rados_t rados;
	rados_ioctx_t pool;
	const struct kill_handle *handle;
	char header[LEASE_HEADER_SIZE]; /* the object with the lock */
	uint64_t client;                /* this client instance */
	/* The lock is lost, or the lease has passed: nothing may be submitted any more. Any thread;
	 * must neither block nor call a function of this file. */
	void (*lost)(struct lease *lease);

	/* under the lock of lease.c */
	struct lease *next; /* in the thread's list */
	bool listed;
	bool killed; /* the client instance has been ended; final */
	bool asking; /* a confirmation is in flight */
	uint64_t asked;
	_Atomic uint64_t confirmed; /* when the last confirmation was asked for; 0: never */
	rados_completion_t completion;
	char reply[LEASE_REPLY_SIZE];
};

static inline uint64_t lease_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

/* Whether the host may no longer act as the lock holder. */
static inline bool lease_is_over(const struct lease *lease)
{
	uint64_t until = atomic_load_explicit(&lease->until, memory_order_relaxed);

	return until != LEASE_NONE && lease_clock_ns() >= until;
}

/* Prepares a lease of the image with this id. Does not block. */
void lease_init(
	struct lease *lease, rados_t rados, rados_ioctx_t pool, const struct kill_handle *handle,
	const char *image_id, void (*lost)(struct lease *lease));

/* Has the cluster confirm the lock, and begins the lease or keeps the one that there is. Returns 0;
 * -ENOLCK: another client has the lock, or none; or another negative errno. May block. */
int lease_begin(struct lease *lease);

/* The lock is released: no lease is needed. Nothing that needed one may be in flight. */
void lease_end(struct lease *lease);

/* Ends the client instance now if it has a lease. Any thread; does not block. */
void lease_kill(struct lease *lease);

/* Ends the client instance of an image that is being closed, with a lease or without, and does not
 * call `lost`. Any thread; does not block. */
void lease_cut(struct lease *lease);

/* Whether the client instance was ended. */
bool lease_is_killed(struct lease *lease);

/* Before the connection is shut down. Takes one that was never prepared (all zeros). */
void lease_free(struct lease *lease);
