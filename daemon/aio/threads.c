/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The eventfd is rung by the thread that finds the queue of finished slots empty. Each queue that
 * is taken therefore has exactly one ring, which may come a moment later than the queue: `owed`
 * counts those not yet read, so that the eventfd is read when there is something to be read and is
 * silent when there is nothing to take. It is read before the queue is taken: a ring that has been
 * read is never that of a queue which stays.
 */
#include "aio/threads.h"

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

struct aio_threads {
	struct workers *workers;
	int fd;
	int64_t owed;         /* rings; the I/O thread's */
	struct mpsc finished; /* slots, pushed by workers */
};

/* ------- on a worker ------- */

static int aio_call_block_range(const struct tcmu_aio *aio, unsigned long request)
{
	uint64_t range[2] = {aio->offset, aio->length};

	return ioctl(aio->fd, request, range);
}

static int64_t aio_call_once(const struct tcmu_aio *aio)
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
		return aio_call_block_range(aio, BLKDISCARD);
	case TCMU_AIO_BLKZEROOUT:
		return aio_call_block_range(aio, BLKZEROOUT);
	case TCMU_AIO_SEEK_DATA:
		return lseek(aio->fd, offset, SEEK_DATA);
	case TCMU_AIO_SEEK_HOLE:
		return lseek(aio->fd, offset, SEEK_HOLE);
	}
	errno = EINVAL;
	return -1;
}

static int64_t aio_call(const struct tcmu_aio *aio)
{
	int64_t r;

	do
		r = aio_call_once(aio);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void aio_threads_ring(struct aio_threads *threads)
{
	uint64_t one = 1;
	ssize_t r = write(threads->fd, &one, sizeof(one));

	assert(r == (ssize_t) sizeof(one));
}

/* Once the slot is in the queue it is the I/O thread's again. */
static void aio_threads_run(struct work *work)
{
	struct aio_slot *slot = container_of(work, struct aio_slot, work);
	struct aio_threads *threads = slot->threads;

	assert(slot->aio);
	slot->res = aio_call(slot->aio);
	if (mpsc_push(&threads->finished, &slot->finished_node))
		aio_threads_ring(threads);
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
	assert(mpsc_is_empty(&threads->finished));
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
	assert(slot->aio);
	slot->threads = threads;
	slot->work.run = aio_threads_run;
	workers_queue(threads->workers, &slot->work);
}

bool aio_threads_cancel(struct aio_threads *threads, struct aio_slot *slot)
{
	assert(slot->threads == threads);
	if (workers_cancel(threads->workers, &slot->work) < 0)
		return false;
	aio_slot_end(slot, -ECANCELED);
	aio_slot_put(slot);
	return true;
}

static void aio_threads_read_rings(struct aio_threads *threads)
{
	uint64_t rings;

	if (threads->owed == 0 && mpsc_is_empty(&threads->finished))
		return;
	if (read(threads->fd, &rings, sizeof(rings)) == (ssize_t) sizeof(rings))
		threads->owed -= (int64_t) rings;
}

unsigned aio_threads_harvest(struct aio_threads *threads)
{
	struct mpsc_node *node;
	unsigned cnt = 0;

	aio_threads_read_rings(threads);
	node = mpsc_take_all(&threads->finished);
	threads->owed += node != NULL;
	for (; node; cnt++) {
		struct aio_slot *slot = container_of(node, struct aio_slot, finished_node);

		node = node->next;
		assert(slot->threads == threads);
		aio_slot_end(slot, slot->res);
		aio_slot_put(slot);
	}
	return cnt;
}

bool aio_threads_ready(const struct aio_threads *threads)
{
	return !mpsc_is_empty(&threads->finished);
}

/* ------- as a backend ------- */

static bool aio_threads_backend_start(void *state, struct aio_slot *slot)
{
	aio_threads_start(state, slot);
	return true;
}

static void aio_threads_backend_commit(void *state)
{
	(void) state;
}

static void aio_threads_backend_cancel(void *state, struct aio_slot *slot)
{
	(void) aio_threads_cancel(state, slot);
}

static void aio_threads_backend_harvest(void *state)
{
	(void) aio_threads_harvest(state);
}

static bool aio_threads_backend_ready(const void *state)
{
	return aio_threads_ready(state);
}

static void aio_threads_backend_free(void *state)
{
	aio_threads_free(state);
}

const struct aio_backend aio_threads_backend = {
	.start = aio_threads_backend_start,
	.commit = aio_threads_backend_commit,
	.cancel = aio_threads_backend_cancel,
	.harvest = aio_threads_backend_harvest,
	.ready = aio_threads_backend_ready,
	.free = aio_threads_backend_free,
};
