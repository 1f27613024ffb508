/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of an engine with io_uring, and what stands between it and liburing. See aio-fixture.h.
 */
#include "aio-fixture.h"

#include <errno.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SETUP_5_18 IORING_SETUP_SUBMIT_ALL
#define SETUP_5_19 (SETUP_5_18 | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG)
#define SETUP_ALL  UINT32_MAX

const struct aio_way aio_ways[] = {
	{"io_uring", AIO_URING, SETUP_ALL, EPOLLET},
	{"io_uring, level-triggered", AIO_URING, SETUP_ALL, 0},
	{"io_uring as of 5.10", AIO_URING, 0, EPOLLET},
	{"io_uring as of 5.18", AIO_URING, SETUP_5_18, EPOLLET},
	{"io_uring as of 5.19", AIO_URING, SETUP_5_19, EPOLLET},
	{"threads", AIO_THREADS, 0, EPOLLET},
	{"threads, level-triggered", AIO_THREADS, 0, 0},
};
const size_t aio_way_cnt = sizeof(aio_ways) / sizeof(aio_ways[0]);

static unsigned submissions_to_fail;
static int submission_error;
static unsigned reads_to_disturb;

/* Visible, because shared libraries refer to them. */
#pragma GCC visibility push(default)
int __real_io_uring_queue_init_params(
	unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(
	unsigned entries, struct io_uring *ring, struct io_uring_params *params);
struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
#pragma GCC visibility pop

int __wrap_io_uring_queue_init_params(
	unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	int r;

	if (interposed.setup_error)
		return interposed.setup_error;
	/* A kernel that knows these flags only. */
	if (params->flags & ~(interposed.setup_flags | IORING_SETUP_CQSIZE))
		return -EINVAL;
	r = __real_io_uring_queue_init_params(entries, ring, params);
	if (r >= 0) {
		ring->features &= ~interposed.features_lacking;
		interposed.rings++;
	}
	return r;
}

struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
	return interposed.no_probe ? NULL : __real_io_uring_get_probe_ring(ring);
}

/* Turns a read into a receive without waiting, from an empty socket. */
static void disturb_read(struct io_uring_sqe *sqe)
{
	static uint64_t nothing;
	uint64_t data = sqe->user_data;

	if (sqe->opcode != IORING_OP_READV || reads_to_disturb == 0)
		return;
	reads_to_disturb--;
	io_uring_prep_recv(sqe, interposed.empty, &nothing, sizeof(nothing), MSG_DONTWAIT);
	sqe->user_data = data;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	if (submissions_to_fail) {
		submissions_to_fail--;
		return submission_error;
	}
	for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
		disturb_read(&ring->sq.sqes[i & ring->sq.ring_mask]);
	return __real_io_uring_submit(ring);
}

void fail_submissions(unsigned cnt, int error)
{
	submissions_to_fail = cnt;
	submission_error = error;
}

unsigned count_pending_failures(void)
{
	return submissions_to_fail;
}

void disturb_reads(unsigned cnt)
{
	reads_to_disturb = cnt;
}
