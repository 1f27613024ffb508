/* SPDX-License-Identifier: Apache-2.0 */
/* See aio/uring.h. */
#include "aio/uring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "aio/threads.h"
#include "base/clock.h"

#define CALL_THREADS_MAX 4u
#define SUBMISSIONS_MAX  64u
#define RETRIES_MAX      8u
#define FEATURES         (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

/* The user data of a completion: its slot's address, with the lowest bit for its cancellation; 0
 * for the poll. */
#define DATA_POLL   UINT64_C(0)
#define DATA_CANCEL UINT64_C(1)

struct aio_uring {
	struct io_uring ring;
	struct aio_threads *threads; /* for calls without opcode; NULL until needed */
	const char *name;
	bool disabled;      /* not enabled yet */
	bool polling;       /* the threads' eventfd */
	unsigned calls;     /* in flight on the threads */
	unsigned in_kernel; /* submitted, and not completed */
	int error;          /* the kernel does not take submissions any more: -errno */
};

/* From the best to those of Linux 5.10; a kernel that does not know a flag returns EINVAL. */
static const unsigned setups[] = {
	IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED,
	IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_SUBMIT_ALL,
	0,
};

static const int opcodes[] = {
	IORING_OP_READV,     IORING_OP_WRITEV,       IORING_OP_FSYNC,
	IORING_OP_FALLOCATE, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,
};

static uint64_t aio_uring_slot_data(const struct aio_slot *slot)
{
	return (uintptr_t) slot;
}

static struct aio_slot *aio_uring_data_slot(uint64_t data)
{
	return (struct aio_slot *) (uintptr_t) (data & ~DATA_CANCEL);
}

/* ------- submissions ------- */

/* The kernel has refused the submission queue for good: its requests end here, and nothing is
 * submitted again. */
static void aio_uring_refuse(struct aio_uring *uring, int error)
{
	const struct io_uring_sq *sq = &uring->ring.sq;

	assert(error < 0 && !uring->error);
	uring->error = error;
	for (unsigned i = sq->sqe_tail - io_uring_sq_ready(&uring->ring); i != sq->sqe_tail; i++) {
		uint64_t data = sq->sqes[i & sq->ring_mask].user_data;
		struct aio_slot *slot = aio_uring_data_slot(data);

		if (data == DATA_POLL) {
			uring->polling = false;
			continue;
		}
		if (!(data & DATA_CANCEL))
			aio_slot_end(slot, error);
		assert(slot->cqes > 0);
		if (--slot->cqes == 0)
			aio_slot_put(slot);
	}
}

/* The kernel has no memory for a submission, and no completion is to come that would let us try
 * again. */
static void aio_uring_wait_a_moment(void)
{
	struct timespec moment = {.tv_nsec = CLOCK_NS_PER_MS};

	(void) nanosleep(&moment, NULL);
}

static bool aio_uring_enable(struct aio_uring *uring)
{

	if (!uring->disabled)
		return true;
	/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
	if (syscall(SYS_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0) {
		aio_uring_refuse(uring, -errno);
		return false;
	}
	uring->disabled = false;
	return true;
}

static void aio_uring_commit(void *state)
{
	struct aio_uring *uring = state;

	while (!uring->error && io_uring_sq_ready(&uring->ring) && aio_uring_enable(uring)) {
		int r = io_uring_submit(&uring->ring);

		if (r > 0) {
			uring->in_kernel += (unsigned) r;
		} else if (r == 0 || r == -EAGAIN || r == -EBUSY || r == -ENOMEM) {
			if (uring->in_kernel)
				return;
			aio_uring_wait_a_moment();
		} else if (r != -EINTR) {
			aio_uring_refuse(uring, r);
		}
	}
}

/* NULL: the kernel takes nothing at present. */
static struct io_uring_sqe *aio_uring_get_sqe(struct aio_uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (sqe)
		return sqe;
	aio_uring_commit(uring);
	return uring->error ? NULL : io_uring_get_sqe(&uring->ring);
}

static void aio_uring_prepare(struct io_uring_sqe *sqe, struct aio_slot *slot)
{
	const struct tcmu_aio *aio = slot->aio;
	int rw_flags = aio->flags & TCMU_AIO_DSYNC ? RWF_DSYNC : 0;

	switch (aio->op) {
	case TCMU_AIO_READV:
		io_uring_prep_readv(sqe, aio->fd, aio->iov, aio_iov_cnt(aio), aio->offset);
		break;
	case TCMU_AIO_WRITEV:
		io_uring_prep_writev2(
			sqe, aio->fd, aio->iov, aio_iov_cnt(aio), aio->offset, rw_flags);
		break;
	case TCMU_AIO_FDATASYNC:
		io_uring_prep_fsync(sqe, aio->fd, IORING_FSYNC_DATASYNC);
		break;
	case TCMU_AIO_FALLOCATE:
		io_uring_prep_fallocate(
			sqe, aio->fd, aio->mode, (off_t) aio->offset, (off_t) aio->length);
		break;
	case TCMU_AIO_BLKDISCARD:
	case TCMU_AIO_BLKZEROOUT:
	case TCMU_AIO_SEEK_DATA:
	case TCMU_AIO_SEEK_HOLE:
		break;
	}
	io_uring_sqe_set_data64(sqe, aio_uring_slot_data(slot));
}

static bool aio_uring_submit(struct aio_uring *uring, struct aio_slot *slot, unsigned sqe_flags)
{
	struct io_uring_sqe *sqe = aio_uring_get_sqe(uring);

	if (!sqe)
		return false;
	aio_uring_prepare(sqe, slot);
	io_uring_sqe_set_flags(sqe, sqe_flags);
	slot->cqes++;
	return true;
}

static bool aio_uring_has_opcode(enum tcmu_aio_op op)
{
	return op == TCMU_AIO_READV || op == TCMU_AIO_WRITEV || op == TCMU_AIO_FDATASYNC ||
		op == TCMU_AIO_FALLOCATE;
}

/* ------- calls by threads ------- */

/* False: not now. */
static bool aio_uring_poll_threads(struct aio_uring *uring)
{
	struct io_uring_sqe *sqe;

	if (uring->polling)
		return true;
	sqe = aio_uring_get_sqe(uring);
	if (!sqe)
		return false;
	io_uring_prep_poll_add(sqe, aio_threads_fd(uring->threads), POLLIN);
	io_uring_sqe_set_data64(sqe, DATA_POLL);
	uring->polling = true;
	return true;
}

/* False: not now. */
static bool aio_uring_start_call(struct aio_uring *uring, struct aio_slot *slot)
{
	int r = uring->threads ? 0
			       : aio_threads_new(CALL_THREADS_MAX, uring->name, &uring->threads);

	if (r < 0) {
		aio_slot_end(slot, r);
		aio_slot_put(slot);
		return true;
	}
	if (!aio_uring_poll_threads(uring))
		return false;
	slot->by_thread = true;
	uring->calls++;
	aio_threads_start(uring->threads, slot);
	return true;
}

/* ------- as a backend ------- */

static bool aio_uring_start(void *state, struct aio_slot *slot)
{
	struct aio_uring *uring = state;

	assert(slot->aio && slot->cqes == 0);
	slot->by_thread = false;
	slot->cancelled = false;
	slot->retries = 0;
	if (uring->error) {
		aio_slot_end(slot, uring->error);
		aio_slot_put(slot);
		return true;
	}
	return aio_uring_has_opcode(slot->aio->op) ? aio_uring_submit(uring, slot, 0)
						   : aio_uring_start_call(uring, slot);
}

static void aio_uring_cancel(void *state, struct aio_slot *slot)
{
	struct aio_uring *uring = state;
	struct io_uring_sqe *sqe;

	assert(slot->aio);
	if (slot->by_thread) {
		if (aio_threads_cancel(uring->threads, slot))
			uring->calls--;
		return;
	}
	slot->cancelled = true;
	/* One cancellation at a time. Without room for it, the request ends when it ends. */
	if (slot->cqes > 1 || uring->error || !(sqe = aio_uring_get_sqe(uring)))
		return;
	io_uring_prep_cancel64(sqe, aio_uring_slot_data(slot), 0);
	io_uring_sqe_set_data64(sqe, aio_uring_slot_data(slot) | DATA_CANCEL);
	slot->cqes++;
}

/* Some kernels return an error that they should retry themselves. */
static bool aio_uring_try_again(struct aio_uring *uring, struct aio_slot *slot, int res)
{
	if ((res != -EAGAIN && res != -EINTR) || slot->cancelled || slot->retries == RETRIES_MAX)
		return false;
	assert(slot->aio && slot->retries < RETRIES_MAX);
	slot->retries++;
	return aio_uring_submit(uring, slot, IOSQE_ASYNC);
}

static void aio_uring_on_completion(struct aio_uring *uring, uint64_t data, int res)
{
	struct aio_slot *slot = aio_uring_data_slot(data);

	assert(uring->in_kernel > 0);
	uring->in_kernel--;
	if (data == DATA_POLL) {
		uring->polling = false;
		return;
	}
	assert(slot->cqes > 0 && slot->cqes <= 2);
	slot->cqes--;
	if (!(data & DATA_CANCEL) && !aio_uring_try_again(uring, slot, res))
		aio_slot_end(slot, slot->cancelled && res == -EINTR ? -ECANCELED : res);
	if (slot->cqes == 0)
		aio_slot_put(slot);
}

/* Else no completion is to come, and no submission waits to be handed over. */
static bool aio_uring_is_used(const struct aio_uring *uring)
{
	return uring->in_kernel || uring->calls || io_uring_sq_ready(&uring->ring);
}

static void aio_uring_harvest(void *state)
{
	struct aio_uring *uring = state;
	struct io_uring_cqe *cqe;
	unsigned calls = 0;

	if (!aio_uring_is_used(uring))
		return;
	/* Enters the kernel only if it has deferred completions to us. */
	while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
		uint64_t data = cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&uring->ring, cqe);
		aio_uring_on_completion(uring, data, res);
	}
	if (uring->threads)
		calls = aio_threads_harvest(uring->threads);
	assert(calls <= uring->calls);
	uring->calls -= calls;
	if (uring->calls && !uring->error)
		(void) aio_uring_poll_threads(uring);
	aio_uring_commit(uring);
}

static bool aio_uring_ready(const void *state)
{
	const struct io_uring *ring = &((const struct aio_uring *) state)->ring;

	return io_uring_cq_ready(ring) ||
		(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN);
}

static void aio_uring_free(void *state)
{
	struct aio_uring *uring = state;

	assert(uring->calls == 0);
	aio_threads_free(uring->threads);
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

const struct aio_backend aio_uring_backend = {
	.start = aio_uring_start,
	.commit = aio_uring_commit,
	.cancel = aio_uring_cancel,
	.harvest = aio_uring_harvest,
	.ready = aio_uring_ready,
	.free = aio_uring_free,
};

/* ------- the beginning ------- */

/* Submissions are handed over when their queue is full; the completions of all requests and of
 * their cancellations have room, and if that of the poll has none the kernel keeps it
 * (IORING_FEAT_NODROP). The two queues are resident memory of each device. */
static int aio_uring_make_ring(struct aio_uring *uring, unsigned depth)
{
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]) && r == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = setups[i] | IORING_SETUP_CQSIZE,
			.cq_entries = 2 * depth,
		};

		r = io_uring_queue_init_params(
			depth < SUBMISSIONS_MAX ? depth + 1 : SUBMISSIONS_MAX, &uring->ring,
			&params);
		uring->disabled = setups[i] & IORING_SETUP_R_DISABLED;
	}
	return r == -EINVAL || r == -EPERM || r == -EACCES ? -ENOSYS : r;
}

static int aio_uring_check_ring(struct aio_uring *uring)
{
	struct io_uring_probe *probe;
	int r = 0;

	if ((uring->ring.features & FEATURES) != FEATURES)
		return -ENOSYS;
	probe = io_uring_get_probe_ring(&uring->ring);
	if (!probe)
		return -ENOSYS;
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++)
		if (!io_uring_opcode_supported(probe, opcodes[i]))
			r = -ENOSYS;
	io_uring_free_probe(probe);
	return r;
}

int aio_uring_new(unsigned depth, const char *name, struct aio_uring **ret)
{
	struct aio_uring *uring = calloc(1, sizeof(*uring));
	int r;

	if (!uring)
		return -ENOMEM;
	uring->name = name;
	r = aio_uring_make_ring(uring, depth);
	if (r < 0) {
		free(uring);
		return r;
	}
	r = aio_uring_check_ring(uring);
	if (r >= 0)
		r = io_uring_ring_dontfork(&uring->ring);
	if (r < 0) {
		aio_uring_free(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

int aio_uring_fd(const struct aio_uring *uring)
{
	return uring->ring.ring_fd;
}
