/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that the I/O thread makes itself, because they cannot wait: to hand a cached transfer over
 * to another thread costs more than the transfer.
 *
 * Reads that are likely cached are tried with RWF_NOWAIT. Where that fails again and again, it is
 * not tried for a while, each time longer: a file system without such calls costs one system call
 * in a thousand requests. Writes are not tried so: on a frozen file system they wait in spite of
 * the flag. Transfers of a file that lies in memory wait for no device at all, and such a file
 * system cannot be frozen: they are made as they are.
 *
 * The calls in one go are bounded, so that finished transfers are reported while more are still to
 * be made: the initiator and the I/O thread then work side by side. Each report costs a doorbell
 * and a wake-up of the initiator, so that half of the requests in flight make one where they are
 * many or large.
 *
 * The I/O thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

/* Whether reads are tried in the page cache first: after some misses in a row, a number of them is
 * not, each time more. */
struct aio_inline {
	unsigned misses;
	unsigned skip;    /* reads still not to be tried */
	unsigned penalty; /* how many are skipped after the next miss; 0: the fewest */
};

/* The calls that the I/O thread has made itself in one go. */
struct aio_batch {
	unsigned in_flight; /* requests, those of the batch among them */
	unsigned calls;
	uint64_t bytes;
};

/* Whether the I/O thread is to make the call itself. Asked once for each request. */
bool aio_inline_wanted(struct aio_inline *state, const struct tcmu_aio *aio);

/* Makes the call; *res is its result. False: it would have to wait, or fails; the backend
 * makes it again. */
bool aio_inline_try(struct aio_inline *state, const struct tcmu_aio *aio, int64_t *res);

/* Accounts for one call. False: that is enough for now. */
bool aio_inline_spend(struct aio_batch *batch, int64_t bytes);
