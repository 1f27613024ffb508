/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that the I/O thread makes itself, because they cannot wait: a hand-over to another thread
 * costs more than a cached transfer.
 *
 * Reads that are likely cached are tried with RWF_NOWAIT. Where that fails again and again, it is
 * left off for a while, each time longer; a file system that has no such calls costs one system
 * call in a thousand requests. Writes are not tried so: on a frozen file system they wait in spite
 * of the flag. Transfers of a file that lies in memory wait for no device at all, and such a file
 * system cannot be frozen: they are made as they are.
 *
 * What is made in one go is bounded, so that what has ended is told while more is still to do: the
 * initiator and the thread then work side by side.
 */
#include "aio/engine.h"

#include <errno.h>
#include <sys/uio.h>

#define MISSES_MAX  4u
#define PENALTY_MIN 16u
#define PENALTY_MAX 1024u

#define BATCH_CALLS 8u
#define BATCH_BYTES (UINT64_C(256) * 1024)

static bool is_transfer(const struct tcmu_aio *aio)
{
	return aio->op == TCMU_AIO_READV || aio->op == TCMU_AIO_WRITEV;
}

bool aio_inline_wanted(struct aio_engine *engine, const struct tcmu_aio *aio)
{
	if (aio->flags & TCMU_AIO_MEMORY)
		return is_transfer(aio);
	if (aio->op != TCMU_AIO_READV || !(aio->flags & TCMU_AIO_CACHED))
		return false;
	if (engine->cached.skip == 0)
		return true;
	engine->cached.skip--;
	return false;
}

static void learn(struct aio_cached *cached, bool hit)
{
	if (hit) {
		*cached = (struct aio_cached){0};
		return;
	}
	if (++cached->misses < MISSES_MAX)
		return;
	if (cached->penalty == 0)
		cached->penalty = PENALTY_MIN;
	cached->skip = cached->penalty;
	if (cached->penalty < PENALTY_MAX)
		cached->penalty *= 2;
}

static int64_t transfer(const struct tcmu_aio *aio, int flags)
{
	int cnt = (int) aio_iov_cnt(aio);
	off_t offset = (off_t) aio->offset;
	ssize_t n;

	if (aio->op == TCMU_AIO_READV)
		n = preadv2(aio->fd, aio->iov, cnt, offset, flags);
	else
		n = pwritev2(aio->fd, aio->iov, cnt, offset, flags);
	return n < 0 ? -errno : n;
}

bool aio_inline_try(struct aio_engine *engine, const struct tcmu_aio *aio, int64_t *res)
{
	if (aio->flags & TCMU_AIO_MEMORY) {
		*res = transfer(aio, aio->flags & TCMU_AIO_DSYNC ? RWF_DSYNC : 0);
		return *res >= 0;
	}
	*res = transfer(aio, RWF_NOWAIT);
	learn(&engine->cached, *res >= 0);
	return *res >= 0;
}

bool aio_inline_spend(struct aio_batch *batch, int64_t bytes)
{
	batch->calls++;
	batch->bytes += bytes > 0 ? (uint64_t) bytes : 0;
	return batch->calls < BATCH_CALLS && batch->bytes < BATCH_BYTES;
}
