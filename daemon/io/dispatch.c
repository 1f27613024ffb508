/* SPDX-License-Identifier: Apache-2.0 */
/* See io/dispatch.h. */
#include "io/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "io/exec.h"

static const struct rate_limits lu_info_limits = {.iops = 5, .burst = 20};
static const struct rate_limits deferred_limits = {.iops = 5, .burst = 4};

void dispatch_init(
	struct dispatch *dispatch, struct core *core, struct format *format,
	struct xcopy_disk *disk)
{
	assert(core && format && disk);
	dispatch->core = core;
	dispatch->format = format;
	dispatch->xcopy_disk = disk;
	list_init(&dispatch->pending);
	rate_limit_set(&dispatch->lu_info_rate, &lu_info_limits);
	rate_limit_set(&dispatch->deferred_rate, &deferred_limits);
	pthread_mutex_init(&dispatch->lock, NULL);
}

void dispatch_destroy(struct dispatch *dispatch)
{
	assert(!dispatch->waiter);
	deferred_request_clear(&dispatch->request);
	pthread_mutex_destroy(&dispatch->lock);
}

/* ------- deferred commands ------- */

static void dispatch_cancel_deferred(struct command *command)
{
	struct dispatch *dispatch = command->context;

	assert(dispatch->waiter == command && dispatch->deferred);
	dispatch->waiter = NULL;
	command_end(command, SCSI_TASK_ABORTED, NULL);
}

static bool dispatch_is_guard(const struct dispatch *dispatch)
{
	return dispatch->request.kind == DEFERRED_GUARD ||
		dispatch->request.kind == DEFERRED_COPY_GUARD;
}

/* Half of the shortest cmd_time_out that there is. */
#define GUARD_MAX_NS (CLOCK_NS_PER_SEC / 2)

static void dispatch_note_wait(struct command *command)
{
	if (!command->seen_at)
		command->seen_at = clock_now_ns();
}

/* Whether the kernel may have given the command up while it waited, for whatever. It keeps no range
 * meanwhile, so a later write may be there already. */
static bool dispatch_is_late(const struct command *waiter)
{
	return waiter->late ||
		(waiter->seen_at && clock_since(clock_now_ns(), waiter->seen_at) > GUARD_MAX_NS);
}

/* Ends a command that was elsewhere and must not begin any more, and returns true: it is to end, or
 * the kernel may have answered it meanwhile (late). Its data-out is not there any more if the ring
 * was revoked, and may be another command's if it was reset. */
static bool dispatch_ends_instead(struct command *command, bool late)
{
	const struct core *core = command->core;

	assert(core->ring_locked);
	/* A ring that is broken is drained; commands that were in a reset one are aborted. */
	if (core->ring_state != CORE_RING_REVOKED && tcmu_ring_check(&core->ring) >= 0 &&
	    core->service == CORE_SERVING && !command->aborted && !late) {
		assert(core->ring_state == CORE_RING_ATTACHED);
		return false;
	}
	command_end(command, SCSI_BUSY, NULL);
	return true;
}

/* The guard has let a command pass: it is decided again. */
static void dispatch_pass_guard(struct dispatch *dispatch, struct command *waiter)
{
	struct core *core = dispatch->core;

	assert(!core->setup.lu.guard_passed && !core->setup.lu.lu_info_fresh);
	if (dispatch_ends_instead(waiter, dispatch_is_late(waiter)))
		return;
	core->setup.lu.guard_passed = true;
	core->setup.lu.lu_info_fresh = true;
	dispatch_command(dispatch, waiter);
	core->setup.lu.lu_info_fresh = false;
	core->setup.lu.guard_passed = false;
}

/* A plan follows the deferred work: a cache that is turned off is saved first, then flushed. */
static void dispatch_continue(struct dispatch *dispatch, struct command *waiter)
{
	assert(waiter->where == COMMAND_HELD);
	waiter->context = NULL;
	waiter->cancel = NULL;
	if (dispatch_is_guard(dispatch))
		dispatch_pass_guard(dispatch, waiter);
	else if (!dispatch->waiter_planned)
		command_end(waiter, SCSI_GOOD, NULL);
	else if (exec_prepare(waiter))
		command_ready(waiter);
}

static void dispatch_note_saved(struct dispatch *dispatch, int error)
{
	const struct deferred_request *request = &dispatch->request;

	assert(request->kind == DEFERRED_SAVE);
	dispatch->has_saved = !error;
	dispatch->saved = request->saved;
	memcpy(dispatch->saved_serial, request->serial, sizeof(dispatch->saved_serial));
}

void dispatch_deferred_done(struct dispatch *dispatch, int error)
{
	struct command *waiter = dispatch->waiter;
	struct scsi_result result = {.status = SCSI_GOOD};

	assert(dispatch->core->ring_locked && (!waiter || dispatch->deferred));
	if (!dispatch->deferred)
		return;
	dispatch->deferred = false;
	dispatch->waiter = NULL;
	if (dispatch->request.kind == DEFERRED_SET_GROUPS) {
		dispatch->lu_info_known = false;
		scsi_groups_end(error, &result);
	} else if (dispatch_is_guard(dispatch)) {
		scsi_guard_end(error, &result);
	} else {
		dispatch_note_saved(dispatch, error);
		if (error)
			scsi_save_failed(&dispatch->core->setup.lu, &dispatch->before, &result);
	}
	if (waiter && result.status == SCSI_GOOD)
		dispatch_continue(dispatch, waiter);
	else if (waiter)
		command_end(waiter, result.status, &result.sense);
}

int dispatch_read_deferred(struct dispatch *dispatch, struct deferred_request *request)
{
	size_t size;
	int r = 0;

	pthread_mutex_lock(&dispatch->lock);
	*request = dispatch->request;
	size = request->other_cnt * sizeof(*request->others);
	if (size) {
		request->others = malloc(size);
		if (request->others)
			memcpy(request->others, dispatch->request.others, size);
		else
			r = -ENOMEM;
	}
	pthread_mutex_unlock(&dispatch->lock);
	if (r < 0)
		request->other_cnt = 0;
	return r;
}

/* ------- decisions ------- */

static void dispatch_answer(struct command *command, const struct scsi_result *result)
{
	if (result->status == SCSI_GOOD && command->data_length)
		command_copy_in(command, result->data, result->data_length);
	command_end(command, result->status, &result->sense);
}

static void dispatch_plan(
	struct dispatch *dispatch, struct command *command, const struct scsi_result *result)
{
	const struct scsi_plan *plan = &result->plan;

	/* The extents are large, and most plans have none. */
	memcpy(&command->plan, plan, offsetof(struct scsi_plan, extents));
	if (plan->extent_cnt)
		memcpy(command->plan.extents, plan->extents,
		       plan->extent_cnt * sizeof(plan->extents[0]));
	if (plan->op == SCSI_PLAN_XCOPY) {
		command->late = dispatch_is_late(command);
		xcopy_begin(dispatch->xcopy_disk, command, &result->xcopy);
	} else if (plan->op == SCSI_PLAN_ABORT_XCOPY)
		xcopy_abort(command);
	else if (plan->flags & SCSI_PLAN_LONG)
		format_prepare(dispatch->format, command);
	else if (exec_prepare(command))
		command_ready(command);
}

/* Whether the mode parameters that are to be saved are on the disk. */
static bool dispatch_is_saved(const struct dispatch *dispatch)
{
	const struct scsi_lu *lu = &dispatch->core->setup.lu;

	assert(dispatch->core->ring_locked);
	return dispatch->has_saved && !dispatch->deferred &&
		memcmp(&dispatch->saved, &lu->saved, sizeof(dispatch->saved)) == 0 &&
		strcmp(dispatch->saved_serial, lu->serial) == 0;
}

/* Initiators may send these commands as often as they want, and each costs a thread, configfs or
 * the disk. A copy has its own limits, and its guard is one of many commands. */
static bool dispatch_may_defer(struct dispatch *dispatch, enum deferred_kind kind)
{
	if (dispatch->deferred)
		return false;
	return kind == DEFERRED_COPY_GUARD ||
		rate_limit_take(&dispatch->deferred_rate, clock_now_ns(), 1, 0) == 0;
}

/* Under dispatch->lock. False: there is no memory. */
static bool dispatch_note_others(struct dispatch *dispatch, const struct scsi_xcopy *plan)
{
	struct deferred_request *request = &dispatch->request;

	assert(request->kind == DEFERRED_COPY_GUARD && !request->others);
	request->others = calloc(SCSI_XCOPY_CSCDS_MAX, sizeof(*request->others));
	if (!request->others)
		return false;
	request->other_cnt = xcopy_list_others(plan, request->others);
	return true;
}

/* The request is large, and few commands need one. */
static void dispatch_defer(
	struct dispatch *dispatch, struct command *command, enum deferred_kind kind,
	const struct scsi_result *result, const struct scsi_mode_values *before, bool planned)
{
	struct scsi_lu *lu = &dispatch->core->setup.lu;
	bool noted = true;

	if (!dispatch_may_defer(dispatch, kind)) {
		if (result->save)
			lu->saved = *before;
		command_end(command, SCSI_BUSY, NULL);
		return;
	}
	assert(!dispatch->waiter);
	pthread_mutex_lock(&dispatch->lock);
	deferred_request_clear(&dispatch->request);
	dispatch->request = (struct deferred_request){.kind = kind};
	if (kind == DEFERRED_SAVE) {
		dispatch->request.saved = lu->saved;
		memcpy(dispatch->request.serial, lu->serial, sizeof(dispatch->request.serial));
	} else if (kind == DEFERRED_SET_GROUPS) {
		dispatch->request.states = result->states;
	} else if (kind == DEFERRED_COPY_GUARD) {
		noted = dispatch_note_others(dispatch, &result->xcopy);
	}
	pthread_mutex_unlock(&dispatch->lock);
	if (!noted) {
		command_end(command, SCSI_BUSY, NULL);
		return;
	}
	dispatch->deferred = true;
	dispatch->waiter = command;
	dispatch_note_wait(command);
	dispatch->waiter_planned = planned && kind == DEFERRED_SAVE;
	dispatch->before = *before;
	if (planned)
		command->plan = result->plan;
	command->context = dispatch;
	command->cancel = dispatch_cancel_deferred;
	core_signal(dispatch->core, IO_SIGNAL_DEFERRED);
}

/* Whether a command may use the LU info as it was last read, because it was read often just now. */
static bool dispatch_knows_lu_info(struct dispatch *dispatch)
{
	assert(!dispatch->core->setup.lu.lu_info_fresh);
	return dispatch->lu_info_known && list_is_empty(&dispatch->pending) &&
		rate_limit_take(&dispatch->lu_info_rate, clock_now_ns(), 1, 0) > 0;
}

static void dispatch_wait(struct dispatch *dispatch, struct command *command)
{
	struct core *core = dispatch->core;

	assert(command->where == COMMAND_HELD);
	if (list_is_empty(&dispatch->pending))
		core_signal(core, IO_SIGNAL_NEEDS_LU_INFO);
	dispatch_note_wait(command);
	command->where = COMMAND_PENDING;
	list_append(&dispatch->pending, &command->node);
}

void dispatch_cancel_pending(struct dispatch *dispatch, struct command *command)
{
	assert(command->where == COMMAND_PENDING && command->aborted);
	list_remove(&dispatch->pending, &command->node);
	command->where = COMMAND_HELD;
	command_end(command, SCSI_TASK_ABORTED, NULL);
}

/* ------- handlers that see commands first ------- */

/* The handler leaves the command to the SCSI code. */
static void dispatch_take_back(struct command *command)
{
	struct dispatch *dispatch = command->context;
	struct core *core = dispatch->core;

	command->context = NULL;
	command->begin = NULL;
	command->cancel = NULL;
	command->started = false;
	command->writes_range = false;
	command->shown = true;
	core_lock_ring(core);
	if (!dispatch_ends_instead(command, command->late))
		dispatch_command(dispatch, command);
	core_unlock_ring(core);
}

static void dispatch_step_shown(struct command *command, int error)
{
	const struct tcmu_io *io = &command->io;
	uint64_t in = io->result;

	assert(!command->shown && command->context);
	if (error == -EOPNOTSUPP) {
		dispatch_take_back(command);
	} else if (error) {
		command_end_failed_at(command, error, 0, 0);
	} else {
		if (in > command->data_length)
			in = command->data_length;
		command->data_in = (uint32_t) in;
		command_end(command, io->status, NULL);
	}
}

static void dispatch_begin_shown(struct command *command)
{
	struct tcmu_io *io = &command->io;

	if (command->core->faulted) {
		command_end_failed_at(command, -EREMOTEIO, 0, 0);
		return;
	}
	memset(command->sense, 0, sizeof(command->sense));
	io->cdb = command->cdb;
	io->cdb_length = command->cdb_length;
	io->sense = command->sense;
	io->status = SCSI_GOOD;
	submit_ring(
		command, TCMU_IO_COMMAND, 0, 0, command->data_length, command->data_length,
		dispatch_step_shown);
}

/* Nothing is known of the blocks that such a command changes: a write counts as one of all. */
static void dispatch_show(struct dispatch *dispatch, struct command *command)
{
	const struct scsi_lu *lu = &dispatch->core->setup.lu;

	assert(dispatch->core->ring_locked && !command->started);
	command->plan = (struct scsi_plan){.op = SCSI_PLAN_WRITE, .blocks = lu->blocks};
	command->block_size = lu->block_size;
	command->offset = 0;
	command->length = command->data_length;
	command->writes_range = scsi_writes(command->cdb, command->cdb_length);
	command->begin = dispatch_begin_shown;
	command->cancel = submit_cancel;
	command->context = dispatch;
	command_ready(command);
}

/* ------- the SCSI code ------- */

void dispatch_command(struct dispatch *dispatch, struct command *command)
{
	struct core *core = dispatch->core;
	struct scsi_mode_values before = core->setup.lu.saved;
	enum scsi_verdict verdict;
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.iov = command->iov,
		.iov_cnt = command->iov_cnt,
		.data_length = command->data_length,
	};
	struct scsi_result result;

	assert(core->ring_locked && command->where == COMMAND_HELD);
	if ((core->info.caps & TCMU_CAP_COMMANDS) && !command->shown) {
		dispatch_show(dispatch, command);
		return;
	}
	if (command->cdb[0] == SCSI_TIME_OPCODE) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		task.time_ms = (uint64_t) now.tv_sec * 1000 +
			(uint64_t) now.tv_nsec / CLOCK_NS_PER_MS;
	}
	result.data = core->data;
	result.data_length = 0;
	verdict = scsi_dispatch(&core->setup.lu, &task, &result);
	if (verdict == SCSI_NEEDS_LU_INFO && command->cdb[0] != SCSI_STATES_OPCODE &&
	    dispatch_knows_lu_info(dispatch)) {
		core->setup.lu.lu_info_fresh = true;
		result.data_length = 0;
		verdict = scsi_dispatch(&core->setup.lu, &task, &result);
		core->setup.lu.lu_info_fresh = false;
	}
	if (verdict == SCSI_NEEDS_LU_INFO)
		dispatch_wait(dispatch, command);
	else if (verdict >= SCSI_NEEDS_GUARD)
		dispatch_defer(
			dispatch, command,
			verdict == SCSI_NEEDS_GUARD ? DEFERRED_GUARD : DEFERRED_COPY_GUARD, &result,
			&before, false);
	else if (result.save && !dispatch_is_saved(dispatch))
		dispatch_defer(
			dispatch, command, DEFERRED_SAVE, &result, &before,
			verdict == SCSI_PLANNED);
	else if (verdict == SCSI_PLANNED && result.plan.op == SCSI_PLAN_SET_GROUPS)
		dispatch_defer(dispatch, command, DEFERRED_SET_GROUPS, &result, &before, true);
	else if (verdict == SCSI_PLANNED)
		dispatch_plan(dispatch, command, &result);
	else
		dispatch_answer(command, &result);
}

void dispatch_pending(struct dispatch *dispatch)
{
	struct core *core = dispatch->core;
	struct list pending;
	struct list_node *node;

	assert(core->ring_locked);
	if (list_is_empty(&dispatch->pending))
		return;
	list_move(&dispatch->pending, &pending);
	core->setup.lu.lu_info_fresh = true;
	while ((node = list_take(&pending))) {
		struct command *command = container_of(node, struct command, node);

		assert(command->where == COMMAND_PENDING);
		command->where = COMMAND_HELD;
		if (core->ring_state != CORE_RING_ATTACHED)
			command_end(command, SCSI_BUSY, NULL);
		else
			dispatch_command(dispatch, command);
	}
	core->setup.lu.lu_info_fresh = false;
}

void dispatch_lu_info_set(struct dispatch *dispatch)
{
	assert(dispatch->core->ring_locked);
	dispatch->lu_info_known = true;
	dispatch_pending(dispatch);
}
