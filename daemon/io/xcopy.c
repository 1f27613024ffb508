/* SPDX-License-Identifier: Apache-2.0 */
/* See io/xcopy.h. */
#include "io/xcopy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "io/exec.h"
#include "io/submit.h"

#define BUFFER_ALIGN   4096u
#define PIECES_LIMITED 2u /* pieces at once that wait for the rate limits of a device */

struct xcopy {
	struct xcopy_request request; /* the one that is in flight */
	atomic_uint references;       /* the command's, and the request's */
	struct command *waiter;       /* NULL: it waits no longer */
	struct scsi_xcopy plan;
	struct xcopy_disk *disks[SCSI_XCOPY_CSCDS_MAX];
	unsigned generations[SCSI_XCOPY_CSCDS_MAX]; /* of the disks, when the xcopy began */
	unsigned segment;
	uint64_t done;       /* blocks of the segment */
	uint64_t bytes;      /* of all segments */
	uint64_t operations; /* reads and writes that have ended */
	uint8_t *buffer;
};

static void xcopy_release(struct xcopy_request *request)
{
	struct xcopy *xcopy = container_of(request, struct xcopy, request);
	unsigned before = atomic_fetch_sub(&xcopy->references, 1);

	assert(before > 0);
	if (before > 1)
		return;
	assert(!xcopy->waiter);
	for (unsigned i = 0; i < xcopy->plan.cscd_cnt; i++)
		xcopy_disk_unref(xcopy->disks[i]);
	xcopy_disk_unref(xcopy->request.waiter);
	free(xcopy->buffer);
	free(xcopy);
}

static void xcopy_end(struct xcopy *xcopy, int error)
{
	struct command *waiter = xcopy->waiter;
	struct scsi_result result;

	assert(waiter && waiter->context == xcopy);
	scsi_xcopy_end(&waiter->core->setup.lu, &xcopy->plan, error, &result);
	xcopy->waiter = NULL;
	waiter->context = NULL;
	command_end(waiter, result.status, &result.sense);
	xcopy_release(&xcopy->request);
}

/* ------- the pieces ------- */

static void xcopy_request_piece(struct xcopy *xcopy, bool write)
{
	const struct scsi_xcopy_segment *segment = &xcopy->plan.segments[xcopy->segment];
	struct xcopy_request *request = &xcopy->request;
	uint64_t max = COMMAND_PIECE_MAX / xcopy_disk_block_size(request->waiter);
	uint64_t left = segment->blocks - xcopy->done;

	assert(xcopy->segment < xcopy->plan.segment_cnt && left > 0);
	request->write = write;
	request->performer = xcopy->disks[write ? segment->destination : segment->source];
	request->generation = xcopy->generations[write ? segment->destination : segment->source];
	request->lba = (write ? segment->destination_lba : segment->source_lba) + xcopy->done;
	request->blocks = left < max ? left : max;
	request->buffer = xcopy->buffer;
	atomic_fetch_add(&xcopy->references, 2);
	xcopy_disk_request(request);
}

static void xcopy_continue(struct xcopy *xcopy)
{
	const struct scsi_xcopy *plan = &xcopy->plan;
	struct core *core = xcopy->waiter->core;

	while (xcopy->segment < plan->segment_cnt &&
	       xcopy->done == plan->segments[xcopy->segment].blocks) {
		xcopy->segment++;
		xcopy->done = 0;
	}
	assert(xcopy->segment <= plan->segment_cnt);
	scsi_xcopy_progress(&core->setup.lu, plan, xcopy->segment, xcopy->bytes, xcopy->operations);
	if (xcopy->segment == plan->segment_cnt)
		xcopy_end(xcopy, 0);
	else if (xcopy->waiter->aborted)
		xcopy_end(xcopy, -ECANCELED);
	else if (core->service != CORE_SERVING)
		xcopy_end(xcopy, -EBUSY);
	else
		xcopy_request_piece(xcopy, false);
}

static void xcopy_answered(struct xcopy_request *request)
{
	struct xcopy *xcopy = container_of(request, struct xcopy, request);

	assert(request->state == XCOPY_REQUEST_ANSWERED || request->error == -ENODEV);
	xcopy->operations += !request->error;
	if (xcopy->waiter && xcopy->waiter->aborted) {
		xcopy_end(xcopy, -ECANCELED);
	} else if (xcopy->waiter && xcopy_disk_is_closed(request->waiter)) {
		xcopy_end(xcopy, -EBUSY);
	} else if (xcopy->waiter && request->error) {
		xcopy_end(xcopy, request->error);
	} else if (xcopy->waiter && !request->write) {
		xcopy_request_piece(xcopy, true);
	} else if (xcopy->waiter) {
		xcopy->done += request->blocks;
		xcopy->bytes += request->blocks * xcopy_disk_block_size(request->waiter);
		xcopy_continue(xcopy);
	}
	xcopy_release(request);
}

/* ------- requests to this device ------- */

static int xcopy_check_request(const struct scsi_lu *lu, const struct xcopy_request *request)
{
	if (request->lba > lu->blocks || request->blocks > lu->blocks - request->lba)
		return -ERANGE;
	if (lu->long_operation != SCSI_LONG_NONE)
		return -EBUSY;
	if (lu->sanitize_failed || lu->format_failed)
		return -EIO;
	return request->write && (lu->read_only || lu->software_write_protect) ? -EROFS : 0;
}

/* The command that carries out a request has ended: its waiter gets the answer. */
static void xcopy_served(struct command *command)
{
	int error = command->io_error ? command->io_error : -EREMOTEIO;

	assert(command->internal && command->context && command->core->xcopy_pieces > 0);
	command->core->xcopy_pieces--;
	xcopy_disk_answer(command->context, command->status == SCSI_GOOD ? 0 : error);
}

/* It may have waited long for the rate limits. */
static void xcopy_begin_piece(struct command *command)
{
	assert(command->internal && command->finished == xcopy_served);
	if (xcopy_disk_begin(command->context))
		exec_begin(command);
	else
		command_end(command, SCSI_TASK_ABORTED, NULL);
}

/* An xcopy may end before its write does: the kernel has given it up, or it belongs to another
 * device. An initiator may write the blocks again then: so the write is late from the beginning
 * (io/order.h). */
static void xcopy_prepare_command(struct command *command, struct xcopy_request *request)
{
	assert(command->internal && command->iov_max >= 1);
	command->late = request->write;
	command->core->late |= command->late;
	command->finished = xcopy_served;
	command->context = request;
	command->generation = request->generation;
	command->data_length = request->blocks * command->core->setup.lu.block_size;
	command->iov[0] = (struct iovec){
		.iov_base = request->buffer, .iov_len = command->data_length};
	command->iov_cnt = 1;
	command->plan = (struct scsi_plan){
		.op = request->write ? SCSI_PLAN_WRITE : SCSI_PLAN_READ,
		.lba = request->lba,
		.blocks = request->blocks,
		.passes = 1,
	};
}

/* How far the ring is filled with commands that may be late. The write of an xcopy of another
 * device, which the kernel has not put into this ring, must not overtake them: its initiator may
 * have sent it because one of them has failed. */
static uint64_t xcopy_late_until(const struct core *core)
{
	const struct tcmu_ring *ring = &core->ring;

	assert(core->ring_locked);
	if (!core->ring_late || core->ring_state != CORE_RING_ATTACHED)
		return core->ring_read;
	return core->ring_read + tcmu_ring_unread(ring);
}

unsigned xcopy_serve(struct xcopy_disk *own, struct core *core)
{
	struct xcopy_request *request;
	unsigned cnt = 0;

	assert(core->ring_locked);
	core->xcopy_waits = false;
	for (; xcopy_can_serve(own, core); cnt++) {
		struct command *command;
		int r;

		request = xcopy_disk_take(own, core->ring_read, xcopy_late_until(core));
		core->xcopy_waits = !request;
		if (!request)
			break;
		r = xcopy_check_request(&core->setup.lu, request);

		if (r < 0) {
			xcopy_disk_answer(request, r);
			continue;
		}
		command = command_get(core->pool, true);
		core->xcopy_pieces++;
		xcopy_prepare_command(command, request);
		if (!exec_prepare(command))
			continue;
		command->begin = xcopy_begin_piece;
		command_ready(command);
	}
	return cnt;
}

/* At most half of the slots are for xcopies. Where the rate is limited, the device's own initiators
 * wait behind few pieces only. */
bool xcopy_can_serve(const struct xcopy_disk *own, const struct core *core)
{
	unsigned max = core->rate_limited ? PIECES_LIMITED : (core->pool->count + 1) / 2;

	assert(core->xcopy_pieces <= core->pool->internal);
	return xcopy_disk_has_requests(own) && !core->xcopy_waits && core->xcopy_pieces < max &&
		command_available(core->pool);
}

/* ------- the end before its time ------- */

/* Cancels the request that the xcopy waits for, where this device carries it out. */
static void xcopy_cancel_request(struct command *waiter)
{
	const struct xcopy *xcopy = waiter->context;
	const struct command_pool *pool = waiter->core->pool;

	for (unsigned i = 0; i < pool->used; i++) {
		struct command *command = command_at(pool, i);

		if (command->where == COMMAND_FREE || command->finished != xcopy_served ||
		    command->context != &xcopy->request)
			continue;
		command->aborted = true;
		if (command->where == COMMAND_HELD)
			submit_cancel(command);
	}
}

/* Outside of the ring lock. Where this device carries out the request, that is to end soon, and the
 * xcopy with it. Another device may be stuck, and must not delay this one: the xcopy ends at once,
 * and the answer is dropped when it comes; the piece keeps its range until then. The same where the
 * service is abandoned. */
static void xcopy_cancel(struct command *waiter)
{
	struct xcopy *xcopy = waiter->context;
	struct xcopy_request *request = &xcopy->request;

	assert(waiter->context && !waiter->core->ring_locked);
	if (waiter->core->service < CORE_ABANDONED && request->performer == request->waiter) {
		xcopy_cancel_request(waiter);
		return;
	}
	atomic_fetch_add(&xcopy->references, 1);
	xcopy_end(xcopy, -ECANCELED);
	xcopy_disk_withdraw(request);
	xcopy_release(request);
}

void xcopy_drain(struct core *core)
{
	assert(core_current == core && !core->ring_locked && core->service != CORE_SERVING);
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *waiter = command_at(core->pool, i);
		struct xcopy *xcopy = waiter->context;

		if (!xcopy_is_waiter(waiter))
			continue;
		atomic_fetch_add(&xcopy->references, 1);
		if (xcopy_disk_withdraw(&xcopy->request))
			xcopy_end(xcopy, -EBUSY);
		xcopy_release(&xcopy->request);
	}
}

bool xcopy_is_waiter(const struct command *command)
{
	return command->where == COMMAND_HELD && command->cancel == xcopy_cancel;
}

void xcopy_abort(struct command *command)
{
	const struct command_pool *pool = command->core->pool;

	assert(command->plan.op == SCSI_PLAN_ABORT_XCOPY);
	for (unsigned i = 0; i < pool->used; i++) {
		struct command *other = command_at(pool, i);
		const struct xcopy *xcopy = other->context;

		if (!xcopy_is_waiter(other) || xcopy->plan.slot != command->plan.lba)
			continue;
		other->aborted = true;
		command->core->cancel_wanted = true;
	}
	command_end(command, SCSI_GOOD, NULL);
}

/* ------- the beginning ------- */

static bool xcopy_writes(const struct scsi_xcopy *plan, unsigned cscd)
{
	for (unsigned i = 0; i < plan->segment_cnt; i++)
		if (plan->segments[i].destination == cscd)
			return true;
	return false;
}

unsigned xcopy_list_others(const struct scsi_xcopy *plan, struct xcopy_other *others)
{
	unsigned cnt = 0;

	assert(plan->cscd_cnt <= SCSI_XCOPY_CSCDS_MAX);
	for (unsigned i = 0; i < plan->cscd_cnt; i++) {
		struct xcopy_disk *disk;

		if (plan->cscds[i].self)
			continue;
		others[cnt] = (struct xcopy_other){.written = xcopy_writes(plan, i)};
		disk = xcopy_disk_find(plan->cscds[i].naa);
		if (disk)
			others[cnt].name = *xcopy_disk_name(disk);
		xcopy_disk_unref(disk);
		cnt++;
	}
	return cnt;
}

/* A device that is not found, or has blocks of another size, cannot take part. */
static int xcopy_find_disks(struct xcopy *xcopy, struct xcopy_disk *own)
{
	assert(xcopy->plan.cscd_cnt <= SCSI_XCOPY_CSCDS_MAX);
	for (unsigned i = 0; i < xcopy->plan.cscd_cnt; i++) {
		const struct scsi_xcopy_cscd *target = &xcopy->plan.cscds[i];

		xcopy->disks[i] = target->self ? xcopy_disk_ref(own) : xcopy_disk_find(target->naa);
		if (!xcopy->disks[i] ||
		    xcopy_disk_block_size(xcopy->disks[i]) != xcopy_disk_block_size(own))
			return -ENODEV;
		xcopy->generations[i] = target->self ? xcopy->waiter->generation
						     : xcopy_disk_generation(xcopy->disks[i]);
	}
	return 0;
}

/* NULL: no memory. */
static struct xcopy *xcopy_new(struct xcopy_disk *own, const struct scsi_xcopy *plan)
{
	struct xcopy *xcopy = calloc(1, sizeof(*xcopy));

	if (!xcopy)
		return NULL;
	xcopy->buffer = aligned_alloc(BUFFER_ALIGN, COMMAND_PIECE_MAX);
	if (!xcopy->buffer) {
		free(xcopy);
		return NULL;
	}
	atomic_init(&xcopy->references, 1);
	xcopy->plan = *plan;
	xcopy->request.waiter = xcopy_disk_ref(own);
	xcopy->request.answered = xcopy_answered;
	xcopy->request.release = xcopy_release;
	return xcopy;
}

static void xcopy_refuse(struct command *waiter, const struct scsi_xcopy *plan, int error)
{
	struct scsi_result result;

	assert(error < 0 && !waiter->context);
	scsi_xcopy_end(&waiter->core->setup.lu, plan, error, &result);
	command_end(waiter, result.status, &result.sense);
}

void xcopy_begin(struct xcopy_disk *own, struct command *waiter, const struct scsi_xcopy *plan)
{
	struct core *core = waiter->core;
	struct command *command = waiter;
	struct xcopy *xcopy;
	int r;

	assert(core->ring_locked && waiter->plan.op == SCSI_PLAN_XCOPY);
	/* It holds no range, so what comes after it would not wait for all of its pieces; and
	 * nobody knows when its time is over. */
	if (waiter->late) {
		xcopy_refuse(waiter, plan, -EBUSY);
		return;
	}
	if (plan->immediate)
		command = command_get(core->pool, true);
	xcopy = command ? xcopy_new(own, plan) : NULL;
	if (!xcopy) {
		if (command && command != waiter)
			command_put(core->pool, command);
		xcopy_refuse(waiter, plan, -ENOMEM);
		return;
	}
	command->plan = waiter->plan;
	command->generation = waiter->generation;
	command->context = xcopy;
	command->cancel = xcopy_cancel;
	xcopy->waiter = command;
	if (command != waiter)
		command_end(waiter, SCSI_GOOD, NULL);
	r = xcopy_find_disks(xcopy, own);
	if (r < 0)
		xcopy_end(xcopy, r);
	else
		xcopy_continue(xcopy);
}
