/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY: reads and writes in pieces, one at a time, each by the loop of the device that has
 * it.
 *
 * A copy belongs to the command that asks for it and lives on that loop's thread; the devices that
 * take part carry out its requests (io/xcopy-peer.h) as internal commands of their own, in order
 * with everything else that they write. The command ends when the current request is answered: at
 * the end, at the first error, when it is aborted, or when its loop drains (BUSY: it is to be asked
 * for again). One that goes on in the background (IMMED) belongs to a command of our own. When its
 * loop is abandoned it ends at once; then the copy goes with the last reference of its request, for
 * a stuck read may still fill the buffer.
 *
 * copy_begin() and copy_serve() run under the gate, the rest outside of it.
 */
#include "io/exec.h"

#include <errno.h>
#include <stdlib.h>

#include "io/xcopy-peer.h"

#define PIECE_MAX    (UINT64_C(256) * 1024) /* the memory of a copy */
#define BUFFER_ALIGN 4096u

struct copy {
	struct peer_request request; /* the one that is under way */
	atomic_uint references;      /* the command's, and the request's */
	struct command *asker;       /* NULL: it waits no longer */
	struct scsi_copy what;
	struct peer *peers[SCSI_COPY_TARGETS_MAX];
	unsigned segment;
	uint64_t done;       /* blocks of the segment */
	uint64_t bytes;      /* of all segments */
	uint64_t operations; /* reads and writes that have ended */
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
	asker->loop->background_cnt -= asker->internal;
	io_end(asker, result.status, &result.sense);
	release(&copy->request);
}

/* The read or write that the copy waits for, where it is one of this loop's. */
static void cancel_request(struct command *asker)
{
	struct loop *loop = asker->loop;

	for (unsigned i = 0; i < loop->pool.count; i++) {
		struct command *command = command_at(&loop->pool, i);

		if (!command->in_use || command->request != &asker->copy->request)
			continue;
		command->aborted = true;
		io_cancel(command);
	}
}

void copy_cancel(struct command *asker)
{
	if (asker->loop->abandoned)
		end(asker->copy, -ECANCELED);
	else
		cancel_request(asker);
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

	while (copy->segment < what->segment_cnt &&
	       copy->done == what->segments[copy->segment].blocks) {
		copy->segment++;
		copy->done = 0;
	}
	scsi_copy_progress(&loop->lu, what, copy->segment, copy->bytes, copy->operations);
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

	copy->operations += !request->error;
	if (copy->asker && copy->asker->aborted) {
		end(copy, -ECANCELED);
	} else if (copy->asker && peer_is_closed(request->asker)) {
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

/* The command that a copy in the background belongs to: one of our own, which nobody waits for.
 * NULL: no slot is free. */
static struct command *in_background(struct command *asker)
{
	struct loop *loop = asker->loop;
	struct command *command = command_get(&loop->pool);

	if (!command)
		return NULL;
	command->internal = true;
	command->cmd_id = 0;
	command->cdb_length = 0;
	command->iov_cnt = 0;
	command->data_length = 0;
	command->plan = asker->plan;
	loop->background_cnt++;
	return command;
}

static void refuse(struct command *asker, const struct scsi_copy *what, int error)
{
	struct scsi_result result;

	scsi_copy_end(&asker->loop->lu, what, error, &result);
	io_end(asker, result.status, &result.sense);
}

void copy_begin(struct command *asker, const struct scsi_copy *what)
{
	struct loop *loop = asker->loop;
	struct copy *copy = calloc(1, sizeof(*copy));
	struct command *owner = what->immediate ? in_background(asker) : asker;
	int r;

	if (copy)
		copy->buffer = aligned_alloc(BUFFER_ALIGN, PIECE_MAX);
	if (!copy || !copy->buffer || !owner) {
		if (owner && owner != asker) {
			loop->background_cnt--;
			command_put(&loop->pool, owner);
		}
		if (copy)
			free(copy->buffer);
		free(copy);
		refuse(asker, what, -ENOMEM);
		return;
	}
	atomic_init(&copy->references, 1);
	copy->asker = owner;
	copy->what = *what;
	copy->request.asker = peer_ref(loop->peer);
	copy->request.answered = answered;
	copy->request.release = release;
	owner->copy = copy;
	if (owner != asker)
		io_end_good(asker);
	r = find_peers(copy, loop->peer);
	if (r < 0)
		end(copy, r);
	else
		go_on(copy);
}

void copy_abort(struct command *command)
{
	struct loop *loop = command->loop;

	for (unsigned i = 0; i < loop->pool.count; i++) {
		struct command *other = command_at(&loop->pool, i);

		if (!other->in_use || !other->copy || other->copy->what.place != command->plan.lba)
			continue;
		other->aborted = true;
		loop->cancel_wanted = true;
	}
	io_end_good(command);
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
	command->iov[0] = (struct iovec){
		.iov_base = request->buffer, .iov_len = command->data_length};
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
