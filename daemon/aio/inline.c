/* SPDX-License-Identifier: Apache-2.0 */
/* See aio/inline.h. */
#include "aio/inline.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "aio/slots.h"

#define MISSES_MAX  4u
#define PENALTY_MIN 16u
#define PENALTY_MAX 1024u

/* The fewest that are worth a doorbell, and the most that wait for one. */
#define BATCH_CALLS     8u
#define BATCH_BYTES     (UINT64_C(256) * 1024)
#define BATCH_CALLS_MAX 32u
#define BATCH_BYTES_MAX (UINT64_C(4) * 1024 * 1024)

static bool aio_inline_is_transfer(const struct tcmu_aio *aio)
{
	return aio->op == TCMU_AIO_READV || aio->op == TCMU_AIO_WRITEV;
}

bool aio_inline_wanted(struct aio_inline *state, const struct tcmu_aio *aio)
{
	if (aio->flags & TCMU_AIO_MEMORY)
		return aio_inline_is_transfer(aio);
	if (aio->op != TCMU_AIO_READV || !(aio->flags & TCMU_AIO_CACHED))
		return false;
	if (state->skip == 0)
		return true;
	state->skip--;
	return false;
}

static void aio_inline_learn(struct aio_inline *state, bool hit)
{
	if (hit) {
		*state = (struct aio_inline){0};
		return;
	}
	if (++state->misses < MISSES_MAX)
		return;
	if (state->penalty == 0)
		state->penalty = PENALTY_MIN;
	assert(state->skip == 0 && state->penalty <= PENALTY_MAX);
	state->skip = state->penalty;
	if (state->penalty < PENALTY_MAX)
		state->penalty *= 2;
}

static int64_t aio_inline_transfer(const struct tcmu_aio *aio, int flags)
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

bool aio_inline_try(struct aio_inline *state, const struct tcmu_aio *aio, int64_t *res)
{
	if (aio->flags & TCMU_AIO_MEMORY) {
		*res = aio_inline_transfer(aio, aio->flags & TCMU_AIO_DSYNC ? RWF_DSYNC : 0);
		return *res >= 0;
	}
	*res = aio_inline_transfer(aio, RWF_NOWAIT);
	aio_inline_learn(state, *res >= 0);
	return *res >= 0;
}

bool aio_inline_spend(struct aio_batch *batch, int64_t bytes)
{
	assert(batch->calls < BATCH_CALLS_MAX && batch->bytes < BATCH_BYTES_MAX);
	assert(batch->calls < batch->in_flight);
	batch->calls++;
	batch->bytes += bytes > 0 ? (uint64_t) bytes : 0;
	if (batch->calls >= BATCH_CALLS_MAX || batch->bytes >= BATCH_BYTES_MAX)
		return false;
	return 2 * batch->calls < batch->in_flight ||
		(batch->calls < BATCH_CALLS && batch->bytes < BATCH_BYTES);
}
