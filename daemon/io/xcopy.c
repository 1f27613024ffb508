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
 * xcopy_begin() and xcopy_serve() run under the ring_lock, the rest outside of it.
 */
#include "io/exec.h"

#include <errno.h>
#include <stdlib.h>

#include "io/xcopy-peer.h"

#define PIECE_MAX    (UINT64_C(256) * 1024) /* the memory of a copy */
#define BUFFER_ALIGN 4096u

struct xcopy {
	struct xcopy_request request; /* the one that is under way */
	atomic_uint references;       /* the command's, and the request's */
	struct command *waiter;       /* NULL: it waits no longer */
	struct scsi_xcopy what;
	struct xcopy_peer *peers[SCSI_XCOPY_CSCDS_MAX];
	unsigned segment;
	uint64_t done;       /* blocks of the segment */
	uint64_t bytes;      /* of all segments */
	uint64_t operations; /* reads and writes that have ended */
	uint8_t *buffer;
};

static void release(struct xcopy_request *request)
{
	struct xcopy *copy = (struct xcopy *) ((char *) request - offsetof(struct xcopy, request));

	if (atomic_fetch_sub(&copy->references, 1) != 1)
		return;
	for (unsigned i = 0; i < copy->what.cscd_cnt; i++)
		xcopy_peer_unref(copy->peers[i]);
	xcopy_peer_unref(copy->request.waiter);
	free(copy->buffer);
	free(copy);
}

static void end(struct xcopy *copy, int error)
{
	struct command *waiter = copy->waiter;
	struct scsi_result result;

	scsi_xcopy_end(&waiter->thread->lu, &copy->what, error, &result);
	copy->waiter = NULL;
	waiter->xcopy = NULL;
	waiter->thread->background_cnt -= waiter->internal;
	command_end(waiter, result.status, &result.sense);
	release(&copy->request);
}

/* The read or write that the copy waits for, where it is one of this loop's. */
static void cancel_request(struct command *waiter)
{
	struct io_thread *thread = waiter->thread;

	for (unsigned i = 0; i < thread->pool.count; i++) {
		struct command *command = command_at(&thread->pool, i);

		if (!command->in_use || command->request != &waiter->xcopy->request)
			continue;
		command->aborted = true;
		submit_cancel(command);
	}
}

void xcopy_cancel(struct command *waiter)
{
	if (waiter->thread->abandoned)
		end(waiter->xcopy, -ECANCELED);
	else
		cancel_request(waiter);
}

static void ask(struct xcopy *copy, bool write)
{
	const struct scsi_xcopy_segment *segment = &copy->what.segments[copy->segment];
	struct xcopy_request *request = &copy->request;
	uint64_t max = PIECE_MAX / xcopy_peer_block_size(request->waiter);
	uint64_t left = segment->blocks - copy->done;

	request->write = write;
	request->performer = copy->peers[write ? segment->destination : segment->source];
	request->lba = (write ? segment->destination_lba : segment->source_lba) + copy->done;
	request->blocks = left < max ? left : max;
	request->buffer = copy->buffer;
	atomic_fetch_add(&copy->references, 2);
	xcopy_peer_ask(request);
}

static void go_on(struct xcopy *copy)
{
	const struct scsi_xcopy *what = &copy->what;
	struct io_thread *thread = copy->waiter->thread;

	while (copy->segment < what->segment_cnt &&
	       copy->done == what->segments[copy->segment].blocks) {
		copy->segment++;
		copy->done = 0;
	}
	scsi_xcopy_progress(&thread->lu, what, copy->segment, copy->bytes, copy->operations);
	if (copy->segment == what->segment_cnt)
		end(copy, 0);
	else if (copy->waiter->aborted)
		end(copy, -ECANCELED);
	else if (thread->abandoned || thread->mode != IO_THREAD_SERVING)
		end(copy, -EBUSY);
	else
		ask(copy, false);
}

static void answered(struct xcopy_request *request)
{
	struct xcopy *copy = (struct xcopy *) ((char *) request - offsetof(struct xcopy, request));

	copy->operations += !request->error;
	if (copy->waiter && copy->waiter->aborted) {
		end(copy, -ECANCELED);
	} else if (copy->waiter && xcopy_peer_is_closed(request->waiter)) {
		end(copy, -EBUSY);
	} else if (copy->waiter && request->error) {
		end(copy, request->error);
	} else if (copy->waiter && !request->write) {
		ask(copy, true);
	} else if (copy->waiter) {
		copy->done += request->blocks;
		copy->bytes += request->blocks * xcopy_peer_block_size(request->waiter);
		go_on(copy);
	}
	release(request);
}

/* ------- the beginning ------- */

/* Those that are not found, or have blocks of another size, cannot take part. */
static int find_peers(struct xcopy *copy, struct xcopy_peer *own)
{
	for (unsigned i = 0; i < copy->what.cscd_cnt; i++) {
		const struct scsi_xcopy_cscd *target = &copy->what.cscds[i];

		copy->peers[i] = target->self ? xcopy_peer_ref(own) : xcopy_peer_find(target->naa);
		if (!copy->peers[i] ||
		    xcopy_peer_block_size(copy->peers[i]) != xcopy_peer_block_size(own))
			return -ENODEV;
	}
	return 0;
}

/* The command that a copy in the background belongs to: one of our own, which nobody waits for.
 * NULL: no slot is free. */
static struct command *in_background(struct command *waiter)
{
	struct io_thread *thread = waiter->thread;
	struct command *command = command_get(&thread->pool);

	if (!command)
		return NULL;
	command->internal = true;
	command->cmd_id = 0;
	command->cdb_length = 0;
	command->iov_cnt = 0;
	command->data_length = 0;
	command->plan = waiter->plan;
	thread->background_cnt++;
	return command;
}

static void refuse(struct command *waiter, const struct scsi_xcopy *what, int error)
{
	struct scsi_result result;

	scsi_xcopy_end(&waiter->thread->lu, what, error, &result);
	command_end(waiter, result.status, &result.sense);
}

void xcopy_begin(struct command *waiter, const struct scsi_xcopy *what)
{
	struct io_thread *thread = waiter->thread;
	struct xcopy *copy = calloc(1, sizeof(*copy));
	struct command *owner = what->immediate ? in_background(waiter) : waiter;
	int r;

	if (copy)
		copy->buffer = aligned_alloc(BUFFER_ALIGN, PIECE_MAX);
	if (!copy || !copy->buffer || !owner) {
		if (owner && owner != waiter) {
			thread->background_cnt--;
			command_put(&thread->pool, owner);
		}
		if (copy)
			free(copy->buffer);
		free(copy);
		refuse(waiter, what, -ENOMEM);
		return;
	}
	atomic_init(&copy->references, 1);
	copy->waiter = owner;
	copy->what = *what;
	copy->request.waiter = xcopy_peer_ref(thread->peer);
	copy->request.answered = answered;
	copy->request.release = release;
	owner->xcopy = copy;
	if (owner != waiter)
		command_end_good(waiter);
	r = find_peers(copy, thread->peer);
	if (r < 0)
		end(copy, r);
	else
		go_on(copy);
}

void xcopy_abort(struct command *command)
{
	struct io_thread *thread = command->thread;

	for (unsigned i = 0; i < thread->pool.count; i++) {
		struct command *other = command_at(&thread->pool, i);

		if (!other->in_use || !other->xcopy || other->xcopy->what.slot != command->plan.lba)
			continue;
		other->aborted = true;
		thread->cancel_wanted = true;
	}
	command_end_good(command);
}

/* ------- requests of others ------- */

static int admit(const struct io_thread *thread, const struct xcopy_request *request)
{
	const struct scsi_lu *lu = &thread->lu;

	if (request->lba > lu->blocks || request->blocks > lu->blocks - request->lba)
		return -ERANGE;
	if (lu->long_operation != SCSI_LONG_NONE)
		return -EBUSY;
	if (lu->sanitize_failed || lu->format_failed)
		return -EIO;
	return request->write && (lu->read_only || lu->software_write_protect) ? -EROFS : 0;
}

static void make(struct command *command, struct xcopy_request *request)
{
	const struct io_thread *thread = command->thread;

	command->internal = true;
	command->request = request;
	command->cmd_id = 0;
	command->cdb_length = 0;
	command->data_length = request->blocks * thread->lu.block_size;
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

unsigned xcopy_serve(struct io_thread *thread)
{
	struct xcopy_request *request;
	unsigned cnt = 0;

	for (; command_available(&thread->pool) && xcopy_peer_has_requests(thread->peer) &&
	     (request = xcopy_peer_take(thread->peer));
	     cnt++) {
		int r = admit(thread, request);
		struct command *command;

		if (r < 0) {
			xcopy_peer_answer(request, r);
			continue;
		}
		command = command_get(&thread->pool);
		make(command, request);
		thread->served_cnt++;
		command_list_add(&thread->ready, command);
	}
	return cnt;
}

void xcopy_served(struct command *command)
{
	int error = command->io_error ? command->io_error : -EREMOTEIO;

	command->thread->served_cnt--;
	xcopy_peer_answer(command->request, command->status == SCSI_GOOD ? 0 : error);
}
