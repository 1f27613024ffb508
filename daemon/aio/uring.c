/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by io_uring, from Linux 5.10 on.
 *
 * Every submission has exactly one completion: of a slot's request, of a slot's cancellation (at
 * most one at a time), of the poll for the threads. A slot is used again when all of its
 * completions have come: so a late cancellation never meets another request, and there are never
 * more completions than the ring has room for.
 *
 * The ring is made by one thread and used by another: it stays disabled until the first commit,
 * which makes that thread its only issuer. Completions that the kernel defers to the issuer are run
 * when it enters the kernel next, also out of a sleep in epoll_wait (which then returns, with
 * EINTR); a thread that does not enter it sees a flag instead. IORING_SETUP_DEFER_TASKRUN is not
 * asked for: its completions would wait for an io_uring_enter of ours.
 *
 * Calls without an opcode are made by threads of the engine's own, whose eventfd is polled by the
 * ring.
 */
#include "aio/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALL_THREADS_MAX 4u
#define SUBMISSIONS_MAX  64u
#define RETRIES_MAX      8u
#define FEATURES         (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

/* What a completion belongs to: the slot's address, with the lowest bit for its cancellation; 0 for
 * the poll. */
#define DATA_POLL   UINT64_C(0)
#define DATA_CANCEL UINT64_C(1)

struct aio_uring {
	struct io_uring ring;
	bool disabled;      /* not enabled yet */
	bool polling;       /* the threads' eventfd */
	unsigned calls;     /* under way on the threads */
	unsigned in_kernel; /* submitted, and not completed */
	int error;          /* the kernel does not take submissions any more: -errno */
};

/* From the best to what 5.10 has; a kernel that does not know a flag says EINVAL. */
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

static uint64_t slot_data(const struct aio_slot *slot)
{
	return (uintptr_t) slot;
}

static struct aio_slot *data_slot(uint64_t data)
{
	return (struct aio_slot *) (uintptr_t) (data & ~DATA_CANCEL);
}

/* ------- submissions ------- */

/* The kernel has refused what is in the submission queue for good: it ends here, and nothing is
 * submitted again. */
static void refuse(struct aio_engine *engine, int error)
{
	struct aio_uring *uring = engine->uring;
	const struct io_uring_sq *sq = &uring->ring.sq;

	uring->error = error;
	for (unsigned i = sq->sqe_tail - io_uring_sq_ready(&uring->ring); i != sq->sqe_tail; i++) {
		uint64_t data = sq->sqes[i & sq->ring_mask].user_data;
		struct aio_slot *slot = data_slot(data);

		if (data == DATA_POLL) {
			uring->polling = false;
			continue;
		}
		if (!(data & DATA_CANCEL))
			aio_slot_end(slot, error);
		if (--slot->cqes == 0)
			aio_slot_put(slot);
	}
}

/* The kernel could not find memory for a submission, and nothing of ours is under way that would
 * call us back. */
static void wait_a_moment(void)
{
	struct timespec moment = {.tv_nsec = 1000000};

	(void) nanosleep(&moment, NULL);
}

static bool enable(struct aio_engine *engine)
{
	struct aio_uring *uring = engine->uring;

	if (!uring->disabled)
		return true;
	/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
	if (syscall(SYS_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0) {
		refuse(engine, -errno);
		return false;
	}
	uring->disabled = false;
	return true;
}

static void uring_commit(struct aio_engine *engine)
{
	struct aio_uring *uring = engine->uring;

	while (!uring->error && io_uring_sq_ready(&uring->ring) && enable(engine)) {
		int r = io_uring_submit(&uring->ring);

		if (r > 0) {
			uring->in_kernel += (unsigned) r;
		} else if (r == 0 || r == -EAGAIN || r == -EBUSY || r == -ENOMEM) {
			if (uring->in_kernel)
				return;
			wait_a_moment();
		} else if (r != -EINTR) {
			refuse(engine, r);
		}
	}
}

/* NULL: the kernel takes nothing at present. */
static struct io_uring_sqe *get_sqe(struct aio_engine *engine)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->uring->ring);

	if (sqe)
		return sqe;
	uring_commit(engine);
	return engine->uring->error ? NULL : io_uring_get_sqe(&engine->uring->ring);
}

static void prepare(struct io_uring_sqe *sqe, struct aio_slot *slot)
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
	io_uring_sqe_set_data64(sqe, slot_data(slot));
}

static bool submit(struct aio_slot *slot, unsigned sqe_flags)
{
	struct io_uring_sqe *sqe = get_sqe(slot->engine);

	if (!sqe)
		return false;
	prepare(sqe, slot);
	io_uring_sqe_set_flags(sqe, sqe_flags);
	slot->cqes++;
	return true;
}

static bool has_opcode(enum tcmu_aio_op op)
{
	return op == TCMU_AIO_READV || op == TCMU_AIO_WRITEV || op == TCMU_AIO_FDATASYNC ||
		op == TCMU_AIO_FALLOCATE;
}

/* ------- calls by threads ------- */

/* False: not now. */
static bool poll_threads(struct aio_engine *engine)
{
	struct io_uring_sqe *sqe;

	if (engine->uring->polling)
		return true;
	sqe = get_sqe(engine);
	if (!sqe)
		return false;
	io_uring_prep_poll_add(sqe, aio_threads_fd(engine->threads), POLLIN);
	io_uring_sqe_set_data64(sqe, DATA_POLL);
	engine->uring->polling = true;
	return true;
}

/* False: not now. */
static bool start_call(struct aio_slot *slot)
{
	struct aio_engine *engine = slot->engine;
	int r = engine->threads ? 0
				: aio_threads_new(CALL_THREADS_MAX, engine->name, &engine->threads);

	if (r < 0) {
		aio_slot_end(slot, r);
		aio_slot_put(slot);
		return true;
	}
	if (!poll_threads(engine))
		return false;
	slot->by_thread = true;
	engine->uring->calls++;
	aio_threads_start(engine->threads, slot);
	return true;
}

/* ------- as the engine's backend ------- */

static bool uring_start(struct aio_slot *slot)
{
	slot->by_thread = false;
	slot->cancelled = false;
	slot->retries = 0;
	if (slot->engine->uring->error) {
		aio_slot_end(slot, slot->engine->uring->error);
		aio_slot_put(slot);
		return true;
	}
	return has_opcode(slot->aio->op) ? submit(slot, 0) : start_call(slot);
}

static void uring_cancel(struct aio_slot *slot)
{
	struct aio_engine *engine = slot->engine;
	struct io_uring_sqe *sqe;

	if (slot->by_thread) {
		if (aio_threads_cancel(slot))
			engine->uring->calls--;
		return;
	}
	slot->cancelled = true;
	/* One cancellation at a time. Where there is no room for it, the request ends when it ends.
	 */
	if (slot->cqes > 1 || engine->uring->error || !(sqe = get_sqe(engine)))
		return;
	io_uring_prep_cancel64(sqe, slot_data(slot), 0);
	io_uring_sqe_set_data64(sqe, slot_data(slot) | DATA_CANCEL);
	slot->cqes++;
}

/* Some kernels let out what was meant to be tried again by themselves. */
static bool try_again(struct aio_slot *slot, int res)
{
	if ((res != -EAGAIN && res != -EINTR) || slot->cancelled || slot->retries == RETRIES_MAX)
		return false;
	slot->retries++;
	return submit(slot, IOSQE_ASYNC);
}

static void on_completion(struct aio_engine *engine, uint64_t data, int res)
{
	struct aio_slot *slot = data_slot(data);

	engine->uring->in_kernel--;
	if (data == DATA_POLL) {
		engine->uring->polling = false;
		return;
	}
	slot->cqes--;
	if (!(data & DATA_CANCEL) && !try_again(slot, res))
		aio_slot_end(slot, slot->cancelled && res == -EINTR ? -ECANCELED : res);
	if (slot->cqes == 0)
		aio_slot_put(slot);
}

static void uring_harvest(struct aio_engine *engine)
{
	struct aio_uring *uring = engine->uring;
	struct io_uring_cqe *cqe;

	/* Enters the kernel only if it has deferred completions to us. */
	while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
		uint64_t data = cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&uring->ring, cqe);
		on_completion(engine, data, res);
	}
	if (engine->threads)
		uring->calls -= aio_threads_harvest(engine->threads);
	if (uring->calls && !uring->error)
		(void) poll_threads(engine);
	uring_commit(engine);
}

static bool uring_ready(const struct aio_engine *engine)
{
	const struct io_uring *ring = &engine->uring->ring;

	return io_uring_cq_ready(ring) ||
		(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN);
}

static void uring_free(struct aio_engine *engine)
{
	aio_threads_free(engine->threads);
	io_uring_queue_exit(&engine->uring->ring);
	free(engine->uring);
}

static const struct aio_backend uring_backend = {
	.start = uring_start,
	.commit = uring_commit,
	.cancel = uring_cancel,
	.harvest = uring_harvest,
	.ready = uring_ready,
	.free = uring_free,
};

/* ------- the beginning ------- */

/* Submissions are handed over when their queue is full; the completions of all requests and of
 * their cancellations have room, and if that of the poll has none the kernel keeps it
 * (IORING_FEAT_NODROP). The two queues are resident memory of each device. */
static int make_ring(struct aio_uring *uring, unsigned depth)
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

static int check_ring(struct aio_uring *uring)
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

int aio_uring_init(struct aio_engine *engine)
{
	struct aio_uring *uring = calloc(1, sizeof(*uring));
	int r;

	if (!uring)
		return -ENOMEM;
	r = make_ring(uring, engine->depth);
	if (r < 0) {
		free(uring);
		return r;
	}
	r = check_ring(uring);
	if (r >= 0)
		r = io_uring_ring_dontfork(&uring->ring);
	if (r < 0) {
		io_uring_queue_exit(&uring->ring);
		free(uring);
		return r;
	}
	engine->uring = uring;
	engine->backend = &uring_backend;
	engine->fd = uring->ring.ring_fd;
	return 0;
}
