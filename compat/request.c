/* SPDX-License-Identifier: Apache-2.0 */
/* See request.h. */
#include "request.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "log.h"
#include "raw.h"
#include <be_byteshift.h>
#include <scsi_defs.h>

#define CDB_SIZE 32 /* the ring gives no more */

/* At io->priv. The handler sees the first two. */
struct request {
	struct tcmur_cmd command;
	struct tcmulib_cmd lib_command;
	struct tcmu_io *io;
	struct tcmu_device *dev;
	struct iovec zeros;
	uint8_t cdb[CDB_SIZE];
};

size_t request_size(void)
{
	return sizeof(struct request);
}

/* ------- the end ------- */

static const struct {
	int status;
	int error;
} outcomes[] = {
	{TCMU_STS_OK, 0},
	{TCMU_STS_NOT_HANDLED, -EOPNOTSUPP},
	{TCMU_STS_NO_RESOURCE, TCMU_ERROR_BUSY},
	{TCMU_STS_BUSY, TCMU_ERROR_BUSY},
	{TCMU_STS_WR_ERR, TCMU_ERROR_MEDIUM},
	{TCMU_STS_RD_ERR, TCMU_ERROR_MEDIUM},
	{TCMU_STS_WR_ERR_INCOMPAT_FRMT, TCMU_ERROR_MEDIUM},
	{TCMU_STS_MISCOMPARE, TCMU_ERROR_MISCOMPARE},
	{TCMU_STS_TIMEOUT, TCMU_ERROR_TIMED_OUT},
	{TCMU_STS_FENCED, TCMU_ERROR_FENCED},
	{TCMU_STS_FRMT_IN_PROGRESS, TCMU_ERROR_BECOMING_READY},
	{TCMU_STS_CAPACITY_CHANGED, TCMU_ERROR_BUSY},
	{TCMU_STS_TRANSITION, TCMU_ERROR_BUSY},
	{TCMU_STS_IMPL_TRANSITION_ERR, TCMU_ERROR_BUSY},
	{TCMU_STS_EXPL_TRANSITION_ERR, TCMU_ERROR_BUSY},
	{TCMU_STS_NO_LOCK_HOLDERS, TCMU_ERROR_BUSY},
};

/* The outcome of a sense key (SPC-5, 4.4.8). */
static int error_of_key(uint8_t key)
{
	switch (key & 0xf) {
	case 0x1: /* RECOVERED ERROR */
		return 0;
	case 0x2: /* NOT READY */
		return TCMU_ERROR_BECOMING_READY;
	case 0x3: /* MEDIUM ERROR */
		return TCMU_ERROR_MEDIUM;
	case 0x7: /* DATA PROTECT */
		return TCMU_ERROR_WRITE_PROTECTED;
	case 0xe: /* MISCOMPARE */
		return TCMU_ERROR_MISCOMPARE;
	default:
		return TCMU_ERROR_FAILED;
	}
}

static int error_of_status(int status, const uint8_t *sense)
{
	if (status == TCMU_STS_PASSTHROUGH_ERR)
		return error_of_key(sense[2]);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (outcomes[i].status == status)
			return outcomes[i].error;
	return TCMU_ERROR_FAILED;
}

static void request_end(struct request *request, int status)
{
	const uint8_t *sense = request->lib_command.sense_buf;
	int error = error_of_status(status, sense);

	assert(status != TCMU_STS_ASYNC_HANDLED);
	if (request->io->op == TCMU_IO_COMMAND)
		error = raw_answer(
			request->io, status, sense, device_falls_back(request->dev->handler));
	if (error == TCMU_ERROR_MISCOMPARE)
		request->io->result = sense[0] & 0x80 ? get_unaligned_be32(sense + 3) : 0;
	if (status == TCMU_STS_FENCED)
		device_report(request->dev, TCMU_BACKEND_FENCED, TCMU_ERROR_FENCED);
	tcmu_io_complete(request->io, error);
}

void tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int sts)
{
	struct tcmur_cmd *command = cmd;

	assert(command->done);
	command->done(dev, command, sts);
}

static void request_done(struct tcmu_device *dev, struct tcmur_cmd *command, int status)
{
	struct request *request = (struct request *) command;

	assert(request->dev == dev);
	request_end(request, status);
}

_Static_assert(offsetof(struct request, command) == 0, "request_done() casts it");

/* ------- the beginning ------- */

/* Handlers look at the operation code, and some at the block. */
static void request_describe(struct request *request)
{
	static const uint8_t opcodes[] = {
		[TCMU_IO_READ] = READ_16,
		[TCMU_IO_WRITE] = WRITE_16,
		[TCMU_IO_FLUSH] = SYNCHRONIZE_CACHE_16,
		[TCMU_IO_UNMAP] = UNMAP,
		[TCMU_IO_WRITE_ZEROES] = WRITE_SAME_16,
		[TCMU_IO_COMPARE_AND_WRITE] = COMPARE_AND_WRITE,
	};
	const struct tcmu_io *io = request->io;
	const struct tcmu_device *dev = request->dev;

	assert(io->op < sizeof(opcodes) && opcodes[io->op]);
	request->cdb[0] = opcodes[io->op];
	if (io->op == TCMU_IO_COMPARE_AND_WRITE)
		request->cdb[13] = (uint8_t) (io->length / dev->block_size);
	else if (io->op != TCMU_IO_UNMAP)
		put_unaligned_be32((uint32_t) (io->length / dev->block_size), request->cdb + 10);
	if (io->op != TCMU_IO_FLUSH && io->op != TCMU_IO_UNMAP)
		put_unaligned_be64(io->offset / dev->block_size, request->cdb + 2);
}

static int request_call(struct request *request)
{
	const struct tcmur_handler *handler = request->dev->handler;
	struct tcmur_cmd *command = &request->command;
	struct tcmu_device *dev = request->dev;
	struct tcmu_io *io = request->io;

	switch (io->op) {
	case TCMU_IO_COMMAND:
		return handler->handle_cmd(dev, command);
	case TCMU_IO_READ:
		return handler->read ? handler->read(
					       dev, command, io->iov, io->iov_cnt, io->length,
					       (off_t) io->offset)
				     : TCMU_STS_NOT_HANDLED;
	case TCMU_IO_WRITE:
		return handler->write(
			dev, command, io->iov, io->iov_cnt, io->length, (off_t) io->offset);
	case TCMU_IO_FLUSH:
		return handler->flush(dev, command);
	case TCMU_IO_UNMAP:
		return handler->unmap(dev, command, io->offset, io->length);
	case TCMU_IO_WRITE_ZEROES:
		return handler->writesame(dev, command, io->offset, io->length, &request->zeros, 1);
	case TCMU_IO_COMPARE_AND_WRITE:
		return handler->caw(dev, command, io->offset, io->length, io->iov, io->iov_cnt);
	default:
		return TCMU_STS_NOT_HANDLED;
	}
}

void request_submit(struct tcmu_device *dev, struct tcmu_io *io)
{
	struct request *request = io->priv;
	bool raw = io->op == TCMU_IO_COMMAND;
	bool queues = dev->handler->nr_threads == 0 && !raw;
	int status;

	memset(request, 0, sizeof(*request));
	request->io = io;
	request->dev = dev;
	request->zeros = (struct iovec){.iov_base = dev->zeros, .iov_len = dev->block_size};
	request->lib_command.cdb = request->cdb;
	request->lib_command.iovec = io->iov;
	request->lib_command.iov_cnt = io->iov_cnt;
	request->command.lib_cmd = &request->lib_command;
	request->command.iovec = io->iov;
	request->command.iov_cnt = io->iov_cnt;
	request->command.requested = io->length;
	request->command.done = request_done;
	if (raw) {
		memcpy(request->cdb, io->cdb,
		       io->cdb_length < CDB_SIZE ? io->cdb_length : CDB_SIZE);
		raw_prepare(io);
	} else {
		request_describe(request);
	}
	log_enter(dev);
	status = request_call(request);
	log_leave();
	/* Another thread may have completed it meanwhile. */
	if (status != TCMU_STS_ASYNC_HANDLED && !(queues && status == TCMU_STS_OK))
		request_end(request, status);
}
