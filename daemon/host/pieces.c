/* SPDX-License-Identifier: Apache-2.0 */
/* See pieces.h. */
#include "host/pieces.h"

#include <assert.h>
#include <string.h>

#include <glib.h>

#include "base/iovec.h"

static uint64_t pieces_length(const struct iovec *iov, unsigned cnt)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < cnt; i++)
		length += iov[i].iov_len;
	return length;
}

static void pieces_flatten(struct host_request *request)
{
	struct tcmu_io *io = &request->io;
	uint64_t length = pieces_length(io->iov, io->iov_cnt);
	char *data = g_malloc(length);

	assert(!request->flat);
	request->flat = data;
	request->scattered = g_memdup2(io->iov, io->iov_cnt * sizeof(*io->iov));
	request->scattered_cnt = io->iov_cnt;
	for (unsigned i = 0; i < io->iov_cnt; i++) {
		memcpy(data, io->iov[i].iov_base, io->iov[i].iov_len);
		data += io->iov[i].iov_len;
	}
	io->iov[0] = (struct iovec){.iov_base = request->flat, .iov_len = length};
	io->iov_cnt = 1;
}

void host_pieces_prepare(struct host_request *request)
{
	uint32_t flags = request->disk->handler->flags;
	struct tcmu_io *io = &request->io;

	if (!io->iov_cnt || !(flags & (TCMU_HANDLER_JOINED | TCMU_HANDLER_FLAT)))
		return;
	io->iov_cnt = iovec_join(io->iov, io->iov_cnt);
	if ((flags & TCMU_HANDLER_FLAT) && io->iov_cnt > 1)
		pieces_flatten(request);
}

void host_pieces_finish(struct host_request *request)
{
	const char *data = request->flat;

	if (!data)
		return;
	if (request->op == TCMU_IO_READ)
		for (unsigned i = 0; i < request->scattered_cnt; i++) {
			memcpy(request->scattered[i].iov_base, data, request->scattered[i].iov_len);
			data += request->scattered[i].iov_len;
		}
	g_free(request->scattered);
	g_free(request->flat);
	request->scattered = NULL;
	request->flat = NULL;
}
