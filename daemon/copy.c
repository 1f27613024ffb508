/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY: reads and writes in pieces, one at a time, each by the loop of the device that has it.
 *
 * A copy belongs to the command that asks for it and lives on that loop's thread; the devices that take part carry out
 * its requests (peer.h) as internal commands of their own, in order with everything else that they write. The command
 * ends when the current request is answered: at the end, at the first error, when it is aborted, or when its loop drains
 * (BUSY: it is to be asked for again). When its loop is abandoned it ends at once; then the copy goes with the last
 * reference of its request, for a stuck read may still fill the buffer.
 *
 * copy_begin() and copy_serve() run under the gate, the rest outside of it.
 */
#include "io-private.h"

#include <errno.h>
#include <stdlib.h>

#include "peer.h"

#define PIECE_MAX    (UINT64_C(256) * 1024) /* the memory of a copy */
#define BUFFER_ALIGN 4096u

struct copy {
	struct peer_request request; /* the one that is under way */
	atomic_uint references;      /* the command's, and the request's */
	struct command *asker;       /* NULL: it waits no longer */
	struct scsi_copy what;
	struct peer *peers[SCSI_COPY_TARGETS_MAX];
	unsigned segment;
	uint64_t done;  /* blocks of the segment */
	uint64_t bytes; /* of all segments */
	uint8_t *buffer;
};

static void release(struct peer_request *request)
{
	struct copy *copy = (struct copy *) ((char *) request - offsetof(struct copy, request));

	if (atomic_fetch_sub(&copy->references, 1) != 1)
		return;
	for (unsigned i = 0; i < copy->what.target_cnt; i++)
		peer_unref(copy->peers[i]);
	peer_unref(copy->request.asker);
	free(copy->buffer);
	free(copy);
}

static void end(struct copy *copy, int error)
{
	struct command *asker = copy->asker;
	struct scsi_result result;

	scsi_copy_end(&asker->loop->lu, &copy->what, error, &result);
	copy->asker = NULL;
	asker->copy = NULL;
	io_end(asker, result.status, &result.sense);
	release(&copy->request);
}

void copy_leave(struct command *asker)
{
	end(asker->copy, -ECANCELED);
}

static void ask(struct copy *copy, bool write)
{
	const struct scsi_copy_segment *segment = &copy->what.segments[copy->segment];
	struct peer_request *request = &copy->request;
	uint64_t max = PIECE_MAX / peer_block_size(request->asker);
	uint64_t left = segment->blocks - copy->done;

	request->write = write;
	request->performer = copy->peers[write ? segment->destination : segment->source];
	request->lba = (write ? segment->destination_lba : segment->source_lba) + copy->done;
	request->blocks = left < max ? left : max;
	request->buffer = copy->buffer;
	atomic_fetch_add(&copy->references, 2);
	peer_ask(request);
}

static void go_on(struct copy *copy)
{
	const struct scsi_copy *what = &copy->what;
	struct loop *loop = copy->asker->loop;

	while (copy->segment < what->segment_cnt && copy->done == what->segments[copy->segment].blocks) {
		copy->segment++;
		copy->done = 0;
	}
	scsi_copy_progress(&loop->lu, what, copy->segment, copy->bytes);
	if (copy->segment == what->segment_cnt)
		end(copy, 0);
	else if (copy->asker->aborted)
		end(copy, -ECANCELED);
	else if (loop->abandoned || loop->mode != LOOP_SERVING)
		end(copy, -EBUSY);
	else
		ask(copy, false);
}

static void answered(struct peer_request *request)
{
	struct copy *copy = (struct copy *) ((char *) request - offsetof(struct copy, request));

	if (copy->asker && peer_is_closed(request->asker)) {
		end(copy, -EBUSY);
	} else if (copy->asker && request->error) {
		end(copy, request->error);
	} else if (copy->asker && !request->write) {
		ask(copy, true);
	} else if (copy->asker) {
		copy->done += request->blocks;
		copy->bytes += request->blocks * peer_block_size(request->asker);
		go_on(copy);
	}
	release(request);
}

/* ------- the beginning ------- */

/* Those that are not found, or have blocks of another size, cannot take part. */
static int find_peers(struct copy *copy, struct peer *own)
{
	for (unsigned i = 0; i < copy->what.target_cnt; i++) {
		const struct scsi_copy_target *target = &copy->what.targets[i];

		copy->peers[i] = target->self ? peer_ref(own) : peer_find(target->naa);
		if (!copy->peers[i] || peer_block_size(copy->peers[i]) != peer_block_size(own))
			return -ENODEV;
	}
	return 0;
}

void copy_begin(struct command *asker, const struct scsi_copy *what)
{
	struct loop *loop = asker->loop;
	struct copy *copy = calloc(1, sizeof(*copy));
	struct scsi_result result;
	int r;

	if (copy)
		copy->buffer = aligned_alloc(BUFFER_ALIGN, PIECE_MAX);
	if (!copy || !copy->buffer) {
		free(copy);
		scsi_copy_end(&loop->lu, what, -ENOMEM, &result);
		io_end(asker, result.status, &result.sense);
		return;
	}
	atomic_init(&copy->references, 1);
	copy->asker = asker;
	copy->what = *what;
	copy->request.asker = peer_ref(loop->peer);
	copy->request.answered = answered;
	copy->request.release = release;
	asker->copy = copy;
	r = find_peers(copy, loop->peer);
	if (r < 0)
		end(copy, r);
	else
		go_on(copy);
}

/* ------- requests of others ------- */

static int admit(const struct loop *loop, const struct peer_request *request)
{
	const struct scsi_lu *lu = &loop->lu;

	if (request->lba > lu->blocks || request->blocks > lu->blocks - request->lba)
		return -ERANGE;
	if (lu->long_operation != SCSI_LONG_NONE)
		return -EBUSY;
	if (lu->sanitize_failed || lu->format_failed)
		return -EIO;
	return request->write && (lu->read_only || lu->software_write_protect) ? -EROFS : 0;
}

static void make(struct command *command, struct peer_request *request)
{
	const struct loop *loop = command->loop;

	command->internal = true;
	command->request = request;
	command->cmd_id = 0;
	command->cdb_length = 0;
	command->data_length = request->blocks * loop->lu.block_size;
	command->iov[0] = (struct iovec){.iov_base = request->buffer, .iov_len = command->data_length};
	command->iov_cnt = 1;
	command->io_error = 0;
	command->writes_range = request->write;
	command->plan = (struct scsi_plan){
		.op = request->write ? SCSI_PLAN_WRITE : SCSI_PLAN_READ,
		.lba = request->lba,
		.blocks = request->blocks,
		.passes = 1,
	};
}

unsigned copy_serve(struct loop *loop)
{
	struct peer_request *request;
	unsigned cnt = 0;

	for (; command_available(&loop->pool) && peer_has_requests(loop->peer) &&
	     (request = peer_take(loop->peer));
	     cnt++) {
		int r = admit(loop, request);
		struct command *command;

		if (r < 0) {
			peer_answer(request, r);
			continue;
		}
		command = command_get(&loop->pool);
		make(command, request);
		loop->served_cnt++;
		command_list_add(&loop->ready, command);
	}
	return cnt;
}

void copy_served(struct command *command)
{
	int error = command->io_error ? command->io_error : -EREMOTEIO;

	command->loop->served_cnt--;
	peer_answer(command->request, command->status == SCSI_GOOD ? 0 : error);
}
