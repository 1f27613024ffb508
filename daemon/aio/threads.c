/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by worker threads: the whole engine where io_uring is not to be had, and beside
 * io_uring the calls that it has no opcode for.
 *
 * The eventfd is rung by the thread that finds the list of finished slots empty. Each list that is
 * taken therefore has exactly one ring, which may come a moment later than the list: `owed` counts
 * those not yet read, so that the eventfd is read when there is something to be read and is silent
 * when there is nothing to take. It is read before the list is taken: a ring that has been read is
 * never that of a list which stays.
 */
#include "aio/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS_MAX 16u

struct aio_threads {
	struct workers *workers;
	int fd;
	int64_t owed;                        /* the I/O thread's */
	_Atomic(struct aio_slot *) finished; /* newest first */
};

/* ------- on a worker ------- */

static int block_range(const struct tcmu_aio *aio, unsigned long request)
{
	uint64_t range[2] = {aio->offset, aio->length};

	return ioctl(aio->fd, request, range);
}

static int64_t call_once(const struct tcmu_aio *aio)
{
	int cnt = (int) aio_iov_cnt(aio);
	off_t offset = (off_t) aio->offset;

	switch (aio->op) {
	case TCMU_AIO_READV:
		return preadv2(aio->fd, aio->iov, cnt, offset, 0);
	case TCMU_AIO_WRITEV:
		return pwritev2(
			aio->fd, aio->iov, cnt, offset,
			aio->flags & TCMU_AIO_DSYNC ? RWF_DSYNC : 0);
	case TCMU_AIO_FDATASYNC:
		return fdatasync(aio->fd);
	case TCMU_AIO_FALLOCATE:
		return fallocate(aio->fd, aio->mode, offset, (off_t) aio->length);
	case TCMU_AIO_BLKDISCARD:
		return block_range(aio, BLKDISCARD);
	case TCMU_AIO_BLKZEROOUT:
		return block_range(aio, BLKZEROOUT);
	case TCMU_AIO_SEEK_DATA:
		return lseek(aio->fd, offset, SEEK_DATA);
	case TCMU_AIO_SEEK_HOLE:
		return lseek(aio->fd, offset, SEEK_HOLE);
	}
	errno = EINVAL;
	return -1;
}

static int64_t call(const struct tcmu_aio *aio)
{
	int64_t r;

	do
		r = call_once(aio);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void ring(struct aio_threads *threads)
{
	uint64_t one = 1;
	ssize_t r = write(threads->fd, &one, sizeof(one));

	assert(r == (ssize_t) sizeof(one));
}

/* Once the slot is on the list it is the I/O thread's again. */
static void run_call(struct work *work)
{
	struct aio_slot *slot =
		(struct aio_slot *) ((char *) work - offsetof(struct aio_slot, work));
	struct aio_threads *threads = slot->threads;
	struct aio_slot *before = atomic_load_explicit(&threads->finished, memory_order_relaxed);

	slot->res = call(slot->aio);
	do {
		slot->next_finished = before;
	} while (!atomic_compare_exchange_weak_explicit(
		&threads->finished, &before, slot, memory_order_release, memory_order_relaxed));
	if (!before)
		ring(threads);
}

/* ------- on the I/O thread ------- */

int aio_threads_new(unsigned limit, const char *name, struct aio_threads **ret)
{
	struct aio_threads *threads = calloc(1, sizeof(*threads));
	int r;

	if (!threads)
		return -ENOMEM;
	threads->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = threads->fd < 0 ? -errno : workers_new(limit, name, &threads->workers);
	if (r < 0) {
		aio_threads_free(threads);
		return r;
	}
	*ret = threads;
	return 0;
}

void aio_threads_free(struct aio_threads *threads)
{
	if (!threads)
		return;
	workers_free(threads->workers);
	if (threads->fd >= 0)
		close(threads->fd);
	free(threads);
}

int aio_threads_fd(const struct aio_threads *threads)
{
	return threads->fd;
}

void aio_threads_start(struct aio_threads *threads, struct aio_slot *slot)
{
	slot->threads = threads;
	slot->work.run = run_call;
	workers_queue(threads->workers, &slot->work);
}

bool aio_threads_cancel(struct aio_slot *slot)
{
	if (workers_cancel(slot->threads->workers, &slot->work) < 0)
		return false;
	aio_slot_end(slot, -ECANCELED);
	aio_slot_put(slot);
	return true;
}

static void hear(struct aio_threads *threads)
{
	uint64_t rings;

	if (threads->owed == 0 && !atomic_load_explicit(&threads->finished, memory_order_relaxed))
		return;
	if (read(threads->fd, &rings, sizeof(rings)) == (ssize_t) sizeof(rings))
		threads->owed -= (int64_t) rings;
}

/* Oldest first. */
static struct aio_slot *take_finished(struct aio_threads *threads)
{
	struct aio_slot *slot = atomic_exchange_explicit(
		&threads->finished, NULL, memory_order_acquire);
	struct aio_slot *oldest = NULL;

	while (slot) {
		struct aio_slot *next = slot->next_finished;

		slot->next_finished = oldest;
		oldest = slot;
		slot = next;
	}
	return oldest;
}

unsigned aio_threads_harvest(struct aio_threads *threads)
{
	struct aio_slot *slot;
	unsigned cnt = 0;

	hear(threads);
	slot = take_finished(threads);
	threads->owed += slot != NULL;
	while (slot) {
		struct aio_slot *next = slot->next_finished;

		aio_slot_end(slot, slot->res);
		aio_slot_put(slot);
		slot = next;
		cnt++;
	}
	return cnt;
}

bool aio_threads_ready(const struct aio_threads *threads)
{
	return atomic_load_explicit(&threads->finished, memory_order_relaxed);
}

/* ------- as the engine's backend ------- */

static bool backend_start(struct aio_slot *slot)
{
	aio_threads_start(slot->engine->threads, slot);
	return true;
}

static void backend_commit(struct aio_engine *engine)
{
	(void) engine;
}

static void backend_cancel(struct aio_slot *slot)
{
	(void) aio_threads_cancel(slot);
}

static void backend_harvest(struct aio_engine *engine)
{
	(void) aio_threads_harvest(engine->threads);
}

static bool backend_ready(const struct aio_engine *engine)
{
	return aio_threads_ready(engine->threads);
}

static void backend_free(struct aio_engine *engine)
{
	aio_threads_free(engine->threads);
}

static const struct aio_backend threads_backend = {
	.start = backend_start,
	.commit = backend_commit,
	.cancel = backend_cancel,
	.harvest = backend_harvest,
	.ready = backend_ready,
	.free = backend_free,
};

int aio_threads_init(struct aio_engine *engine)
{
	unsigned limit = engine->depth < THREADS_MAX ? engine->depth : THREADS_MAX;
	int r = aio_threads_new(limit, engine->name, &engine->threads);

	if (r < 0)
		return r;
	engine->backend = &threads_backend;
	engine->fd = engine->threads->fd;
	return 0;
}
