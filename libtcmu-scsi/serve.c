/* SPDX-License-Identifier: Apache-2.0 */
/* See serve.h, and tcmu_scsi_serve() of <tcmu/scsi.h>. */
#include "serve.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define PIECES_MIN  1024u
#define ANSWERS_MAX 16u /* that wait for a doorbell */

/* False, and not locked: the ring is revoked. */
static bool serve_enter(struct ring_lock *ring_lock)
{
	if (!ring_lock)
		return true;
	pthread_mutex_lock(&ring_lock->mutex);
	if (ring_lock->revoked)
		pthread_mutex_unlock(&ring_lock->mutex);
	return !ring_lock->revoked;
}

static void serve_leave(struct ring_lock *ring_lock)
{
	if (ring_lock)
		pthread_mutex_unlock(&ring_lock->mutex);
}

static int serve_more_pieces(struct tcmu_scsi *scsi, uint32_t cnt)
{
	struct iovec *iov = realloc(scsi->iov, cnt * sizeof(*iov));

	if (!iov)
		return -ENOMEM;
	scsi->iov = iov;
	scsi->iov_max = cnt;
	return 0;
}

/* 1: there was an entry; 0: there is none; or a negative errno. */
static int serve_fetch(struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_entry *entry)
{
	int r = scsi->iov ? 0 : serve_more_pieces(scsi, PIECES_MIN);

	if (r < 0)
		return r;
	r = tcmu_ring_next(ring, entry, scsi->iov, scsi->iov_max);
	if (r != -ENOBUFS)
		return r;
	assert(entry->iov_cnt > scsi->iov_max);
	r = serve_more_pieces(scsi, entry->iov_cnt);
	return r < 0 ? r : tcmu_ring_next(ring, entry, scsi->iov, scsi->iov_max);
}

static int serve_next(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_entry *entry,
	struct ring_lock *ring_lock)
{
	int r;

	if (!serve_enter(ring_lock))
		return -ECANCELED;
	r = serve_fetch(scsi, ring, entry);
	if (ring_lock)
		ring_lock->iov_cnt = r == 1 ? entry->iov_cnt : 0;
	serve_leave(ring_lock);
	return r;
}

static int serve_command(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, const struct tcmu_entry *entry,
	struct ring_lock *ring_lock)
{
	struct tcmu_scsi_command command = {
		.size = sizeof(command),
		.cdb = entry->cdb,
		.cdb_length = entry->cdb_length,
		.iov = scsi->iov,
		.iov_cnt = entry->iov_cnt,
	};
	struct tcmu_completion completion = {.cmd_id = entry->cmd_id, .sense = command.sense};
	int r;

	tcmu_scsi_execute(scsi, &command);
	completion.status = command.status;
	completion.has_read_len = command.has_read_len && (ring->features & TCMU_RING_READ_LEN);
	completion.read_len = command.read_len;
	if (!serve_enter(ring_lock))
		return -ECANCELED;
	if (ring_lock)
		ring_lock->iov_cnt = 0;
	r = tcmu_ring_complete(ring, &completion);
	if (r == 0)
		r = tcmu_ring_publish(ring);
	serve_leave(ring_lock);
	return r;
}

static int serve_doorbell(struct tcmu_uio *uio, struct ring_lock *ring_lock)
{
	int r;

	if (!serve_enter(ring_lock))
		return -ECANCELED;
	r = tcmu_uio_doorbell(uio);
	serve_leave(ring_lock);
	return r;
}

/* Task management entries need no answer: a command ends before the next one is fetched. */
static int serve_all(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio,
	struct ring_lock *ring_lock)
{
	unsigned answers = 0;
	struct tcmu_entry entry;
	int r;

	while ((r = serve_next(scsi, ring, &entry, ring_lock)) == 1) {
		if (entry.kind != TCMU_ENTRY_COMMAND)
			continue;
		r = serve_command(scsi, ring, &entry, ring_lock);
		if (r == 0 && ++answers % ANSWERS_MAX == 0)
			r = serve_doorbell(uio, ring_lock);
		if (r < 0)
			return r;
	}
	return r < 0 || answers % ANSWERS_MAX == 0 ? r : serve_doorbell(uio, ring_lock);
}

/* The kernel has answered what was fetched before the reset. */
static int serve_attach_again(
	struct tcmu_ring *ring, const struct tcmu_uio *uio, struct ring_lock *ring_lock)
{
	int r;

	if (!serve_enter(ring_lock))
		return -ECANCELED;
	r = tcmu_ring_attach(ring, uio->base, uio->length);
	serve_leave(ring_lock);
	return r < 0 ? -EBADMSG : 0;
}

int serve_ring(
	struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio,
	struct ring_lock *ring_lock)
{
	int r = serve_all(scsi, ring, uio, ring_lock);

	while (r == -ESTALE) {
		r = serve_attach_again(ring, uio, ring_lock);
		if (r == 0)
			r = serve_all(scsi, ring, uio, ring_lock);
	}
	return r;
}

int tcmu_scsi_serve(struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio)
{
	return serve_ring(scsi, ring, uio, NULL);
}
