/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and libnbd. Buffers are used where they lie. Answers are collected in
 * remote->answered, because libnbd holds its lock in a callback.
 */
#include "send.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* The length of a command is 32 bits in the protocol; and some servers carry one out at a time. */
#define RANGE_MAX (UINT64_C(1) << 30)

/* ------- answers ------- */

static int on_answer(void *userdata, int *error)
{
	struct remote_request *request = userdata;
	struct remote *remote = request->remote;

	if (remote->dropping)
		return 1;
	assert(remote->in_flight[request->connection] > 0);
	remote->in_flight[request->connection]--;
	request->error = -*error;
	remote_list_remove(&remote->sent, request);
	remote_list_add(&remote->answered, request);
	return 1; /* the command is done with */
}

static int on_extents(
	void *userdata, const char *context, uint64_t offset, uint32_t *entries, size_t count,
	int *error)
{
	struct remote_request *request = userdata;

	(void) offset;
	(void) error;
	if (request->remote->dropping || strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	for (size_t i = 0; i + 1 < count; i += 2)
		remote_extents_add(&request->extents, entries[i], entries[i + 1]);
	return 0;
}

/* ------- sending ------- */

/* The connection with the fewest commands. */
static unsigned choose_connection(const struct remote *remote)
{
	unsigned best = 0;

	for (unsigned i = 1; i < remote->session.count; i++)
		if (remote->in_flight[i] < remote->in_flight[best])
			best = i;
	return best;
}

static uint64_t step_limit(const struct remote *remote, const struct remote_request *request)
{
	uint64_t limit = request->data ? remote->export.maximum : RANGE_MAX;

	return limit / remote->block_size * remote->block_size;
}

static uint32_t change_flags(const struct remote *remote, const struct remote_request *request)
{
	bool stable = remote->stable || (request->flags & TCMU_IO_FUA);

	return stable && remote->export.fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

static int64_t send_command(
	struct remote *remote, struct remote_request *request, struct nbd_handle *nbd)
{
	nbd_completion_callback answer = {.callback = on_answer, .user_data = request};
	nbd_extent_callback extents = {.callback = on_extents, .user_data = request};
	uint64_t offset = request->offset + request->done, step = request->step;
	uint32_t flags = change_flags(remote, request);

	switch (request->op) {
	case TCMU_IO_READ:
		return nbd_aio_pread(nbd, request->data + request->done, step, offset, answer, 0);
	case TCMU_IO_WRITE:
		return nbd_aio_pwrite(
			nbd, request->data + request->done, step, offset, answer, flags);
	case TCMU_IO_FLUSH:
		return nbd_aio_flush(nbd, answer, 0);
	case TCMU_IO_UNMAP:
		return nbd_aio_trim(nbd, step, offset, answer, flags);
	case TCMU_IO_WRITE_ZEROES:
		flags |= request->flags & TCMU_IO_MAY_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
		return nbd_aio_zero(nbd, step, offset, answer, flags);
	case TCMU_IO_MAP:
		remote_extents_begin(&request->extents, remote->block_size, step);
		return nbd_aio_block_status(nbd, step, offset, extents, answer, 0);
	default:
		errno = EOPNOTSUPP;
		return -1;
	}
}

int remote_send(struct remote *remote, struct remote_request *request)
{
	unsigned connection = choose_connection(remote);
	struct nbd_handle *nbd = remote->session.handles[connection];
	uint64_t limit = step_limit(remote, request), left = request->length - request->done;

	assert(remote->up && remote->session.count && limit);
	request->step = left < limit ? left : limit;
	request->connection = connection;
	request->error = 0;
	if (request->op == TCMU_IO_FLUSH)
		request->mark = remote->journal.tail;
	/* The answer may come within the call, if the connection ends. */
	remote_list_add(&remote->sent, request);
	remote->in_flight[connection]++;
	if (send_command(remote, request, nbd) >= 0) {
		request->sent = true;
		return 0;
	}
	remote_list_remove(&remote->sent, request);
	remote->in_flight[connection]--;
	if (nbd_aio_is_dead(nbd) > 0 || nbd_aio_is_closed(nbd) > 0)
		return -ENOTCONN;
	return nbd_get_errno() > 0 ? -nbd_get_errno() : -EIO;
}

/* ------- errors ------- */

/* Of a server, only ESHUTDOWN is among them: it is about to end. */
bool remote_is_lost(int error)
{
	return error == -ENOTCONN || error == -ESHUTDOWN || error == -ECONNRESET || error == -EPIPE;
}

int remote_outcome(enum tcmu_io_op op, int error)
{
	assert(error <= 0);
	switch (error) {
	case -EPERM:
	case -EROFS:
		return op == TCMU_IO_READ || op == TCMU_IO_MAP ? -EACCES : -EROFS;
	case -EOPNOTSUPP:
		/* A hint may be ignored. */
		return op == TCMU_IO_UNMAP ? 0 : error;
	case -EFBIG:
	case -EDQUOT:
		return -ENOSPC;
	default:
		return error;
	}
}
