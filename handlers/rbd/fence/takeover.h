/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new lock holder and the former ones. It waits, before it takes the lock, until
 * none of them can take itself for the lock holder; and while it holds the lock it keeps the
 * blocklist entries of those that may still have something on its way.
 *
 * Every function may block until the cluster answers.
 */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "records.h"

struct takeover {
	rados_t rados;
	rados_ioctx_t pool;
	rbd_image_t rbd;
	const char *header;
	const char *own;           /* this client instance's address; "" until it is known */
	const atomic_bool *fenced; /* this client instance is fenced: waiting is pointless */
};

/* Reads the records of the former holders. Returns 0 or a negative errno. */
int takeover_read(const struct takeover *takeover, struct records *former);

/* Nobody had the lock when these records were read. Returns 0 when these former holders have
 * ended, or their leases have passed; -ESHUTDOWN: fenced meanwhile; or another negative errno. */
int takeover_wait(const struct takeover *takeover, const struct records *former);

/* After that wait the lock was acquired. Returns -EAGAIN if a further host has had it meanwhile,
 * and a third one has broken its lock: that host has to be waited for, too, without the lock.
 * Returns 0, or another negative errno. */
int takeover_check_again(const struct takeover *takeover, const struct records *former);

/* After that wait the lock was acquired: the next host need not wait for these again. */
void takeover_mark(const struct takeover *takeover, const struct records *former);

/* The memory of the periodic check; zeros at the beginning of a tenure. */
struct takeover_check {
	uint64_t next;  /* CLOCK_BOOTTIME of the next check */
	uint64_t since; /* the former holders were watched without a break since then */
};

/* Checks the entries if that is due. *missing: how many were missing and have been added. Returns 0
 * or a negative errno. */
int takeover_check(
	const struct takeover *takeover, struct takeover_check *check, unsigned *missing);
