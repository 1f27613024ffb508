/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One iteration of the I/O thread has two halves. With the ring lock, it takes control requests,
 * completes the commands that have ended, with one doorbell for all, and fetches a batch and
 * decides each command. Without the lock, it starts the commands that are ready, lets the aio
 * engine make its system calls, and reaps.
 *
 * When an iteration found nothing to do, the thread waits (io/wait.h). Commands that end in an
 * iteration, emulated ones too, are completed at the beginning of the next: before new commands are
 * fetched, and with one doorbell.
 */
#include "io/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

#define FETCH_MAX 128 /* commands of one iteration */
#define IOV_USUAL 66  /* 256 KiB in pages, the first and the last being a part of one */

/* ------- completing ------- */

/* Completes a command that has ended and frees its slot. Returns whether the kernel gets an answer.
 */
static bool io_thread_complete(struct io_thread *thread, struct command *command, uint64_t *now)
{
	struct core *core = &thread->core;
	bool answered = !command->internal && core->ring_state == CORE_RING_ATTACHED;

	assert(command->where == COMMAND_ENDED);
	command->where = COMMAND_HELD;
	if (!command->internal)
		stats_end(
			core->setup.stats, &command->flight, now, answered, command->status,
			command->sense,
			command->has_read_len ? command->read_len : command->data_length);
	if (answered) {
		struct tcmu_completion completion;
		int r;

		if (command->answer_length && command->status == SCSI_GOOD)
			command_copy_in(command, command->bounce, command->answer_length);
		completion = (struct tcmu_completion){
			.cmd_id = command->cmd_id,
			.status = command->status,
			.has_read_len = command->has_read_len,
			.read_len = command->read_len,
			.sense = command->sense,
		};
		r = tcmu_ring_complete(&core->ring, &completion);
		if (r < 0)
			core_break_ring(core, r, "the entry at the ring's tail is corrupt");
	}
	if (command->started && command->exclusive)
		order_finish(&thread->order, command);
	if (command->finished)
		command->finished(command);
	command_put(&thread->pool, command);
	return answered;
}

/* Completes all commands that have ended, with one doorbell. Returns whether there were any. */
static bool io_thread_complete_ended(struct io_thread *thread)
{
	struct core *core = &thread->core;
	struct list_node *node;
	unsigned answered = 0;
	uint64_t now = 0;

	assert(core->ring_locked);
	if (list_is_empty(&core->ended))
		return false;
	while ((node = list_take(&core->ended)))
		answered += io_thread_complete(
			thread, container_of(node, struct command, node), &now);
	if (answered && core->ring_state == CORE_RING_ATTACHED) {
		tcmu_ring_publish(&core->ring);
		if (tcmu_uio_doorbell(&core->uio) < 0)
			core_set_unregistered(core);
	}
	return true;
}

/* ------- control requests ------- */

static void io_thread_set_lu(struct io_thread *thread, const struct control_request *request)
{
	struct scsi_lu *lu = &thread->core.lu;
	uint8_t naa[SCSI_NAA_LENGTH];

	if (request->changes & CONTROL_SIZE) {
		lu->blocks = request->size / lu->block_size;
		lu->unit_attention |= SCSI_UA_CAPACITY;
		thread->core.info = request->info;
	}
	if ((request->changes & CONTROL_WRITE_CACHE) && lu->write_cache != request->write_cache) {
		lu->write_cache = request->write_cache;
		lu->unit_attention |= SCSI_UA_MODE_PARAMETERS;
	}
	if ((request->changes & CONTROL_WRITE_CACHE) && !request->write_cache)
		core_signal(&thread->core, IO_SIGNAL_WRITE_CACHE);
	if (request->changes & CONTROL_LU_INFO) {
		scsi_set_lu_info(lu, &request->lu_info);
		if (scsi_naa(lu, naa))
			xcopy_peer_set_naa(thread->xcopy_peer, naa);
	}
}

/* Under the ring lock, because pending commands are decided again. */
static void io_thread_take_control(struct io_thread *thread)
{
	struct core *core = &thread->core;
	struct control_request request;

	assert(core->ring_locked);
	if (!control_take(&thread->control, &request))
		return;
	wait_leave_cpu(&core->wait);
	if (request.changes & CONTROL_FAULT)
		core->faulted = true;
	if (request.changes & CONTROL_BACKEND)
		submit_set_backend(&thread->submit, request.backend, &request.info);
	if (request.changes & CONTROL_PERMISSION)
		submit_set_permission(
			&thread->submit, request.permission, request.not_ready, request.generation);
	io_thread_set_lu(thread, &request);
	if (request.changes & CONTROL_DEFERRED_DONE)
		dispatch_deferred_done(&thread->dispatch, request.deferred_error);
	if (request.changes & CONTROL_LIMITS)
		rate_limit_set(&thread->order.rate_limit, &request.limits);
	if (request.changes & CONTROL_DRAIN)
		core_set_service(
			core, request.changes & CONTROL_CANCEL ? CORE_ABANDONED : CORE_DRAINING);
	if (request.changes & CONTROL_LU_INFO)
		dispatch_pending(&thread->dispatch);
}

/* ------- fetching ------- */

/* A task management function: the commands that it names are to end soon, and are completed as
 * usual. An initiator of tcm_loop takes an aborted command for done (tcmu_scan_loopback()): there
 * it is done. */
static void io_thread_abort_tasks(struct io_thread *thread, const struct tcmu_entry *entry)
{
	if (entry->tmr_type != TCMU_TMR_TYPE_ABORT_TASK && tcmu_scan_loopback())
		return;
	for (uint32_t i = 0; i < entry->tmr_count; i++) {
		uint16_t id = tcmu_entry_tmr_id(entry, i);

		for (unsigned j = 0; j < thread->pool.used; j++) {
			struct command *command = command_at(&thread->pool, j);

			if (command->where == COMMAND_FREE || command->internal ||
			    command->cmd_id != id)
				continue;
			command->aborted = true;
			thread->core.cancel_wanted = true;
		}
	}
}

/* The ring was reset by somebody else (configfs). Once nothing refers to it any more, it is
 * attached anew. */
static void io_thread_set_stale(struct io_thread *thread)
{
	assert(thread->core.ring_state == CORE_RING_ATTACHED);
	thread->core.ring_state = CORE_RING_STALE;
	thread->core.cancel_wanted = true;
	for (unsigned i = 0; i < thread->pool.used; i++) {
		struct command *command = command_at(&thread->pool, i);

		command->aborted = command->where != COMMAND_FREE && !command->internal;
	}
	dispatch_pending(&thread->dispatch);
}

/* Handles an entry that is no command, or an error of the ring. Returns whether there was anything.
 */
static bool io_thread_take_entry(struct io_thread *thread, const struct tcmu_entry *entry, int r)
{
	assert(r <= 0 || entry->kind == TCMU_ENTRY_TMR);
	if (r == -EBADMSG)
		core_break_ring(&thread->core, r, "the kernel's next entry is corrupt");
	else if (r == -ESTALE)
		io_thread_set_stale(thread);
	else if (r > 0)
		io_thread_abort_tasks(thread, entry);
	return r > 0;
}

/* A command or a function was fetched; false: nothing is there, or no slot is free. */
static bool io_thread_fetch_one(struct io_thread *thread, uint64_t *now)
{
	struct core *core = &thread->core;
	struct command *command = command_get(&thread->pool, false);
	struct tcmu_entry entry;
	int r;

	if (!command)
		return false;
	r = tcmu_ring_next(&core->ring, &entry, command->iov, command->iov_max);
	if (r == -ENOBUFS && command_grow_iov(command, entry.iov_cnt) == 0)
		r = tcmu_ring_next(&core->ring, &entry, command->iov, command->iov_max);
	if (r <= 0 || entry.kind == TCMU_ENTRY_TMR) {
		command_put_unused(&thread->pool, command);
		return io_thread_take_entry(thread, &entry, r);
	}
	assert(entry.iov_cnt <= command->iov_max);

	/* Control requests that were posted before the command was sent are in force when it is
	 * decided. */
	if (atomic_load(&thread->control.pending))
		io_thread_take_control(thread);
	command->cmd_id = entry.cmd_id;
	command->cdb_length = entry.cdb_length;
	memcpy(command->cdb, entry.cdb, sizeof(command->cdb));
	command->iov_cnt = entry.iov_cnt;
	command->data_length = entry.data_length;
	stats_begin(core->setup.stats, &command->flight, now, command->cdb, command->data_length);
	if (core->setup.tracing && atomic_load_explicit(core->setup.tracing, memory_order_relaxed))
		core->setup.trace(
			core->setup.userdata, command->cdb, command->cdb_length,
			command->data_length);
	dispatch_command(&thread->dispatch, command);
	return true;
}

/* Returns how many commands and functions were fetched. */
static unsigned io_thread_fetch(struct io_thread *thread)
{
	struct core *core = &thread->core;
	unsigned cnt = 0;
	uint64_t now = 0;

	if (core->ring_state == CORE_RING_STALE && thread->pool.in_use == thread->pool.internal)
		core_attach_again(core);
	while (cnt < FETCH_MAX && core->service == CORE_SERVING &&
	       core->ring_state == CORE_RING_ATTACHED && io_thread_fetch_one(thread, &now))
		cnt++;
	return cnt;
}

/* ------- the iteration ------- */

/* Asks for the end of the commands that nobody waits for any more. */
static void io_thread_cancel(struct io_thread *thread)
{
	struct core *core = &thread->core;

	assert(!core->ring_locked);
	if (!core->cancel_wanted)
		return;
	core->cancel_wanted = false;
	for (unsigned i = 0; i < thread->pool.used; i++) {
		struct command *command = command_at(&thread->pool, i);

		if (command->where == COMMAND_HELD && command->cancel &&
		    (core->service >= CORE_ABANDONED || command->aborted))
			command->cancel(command);
	}
}

/* Whether the thread may choose how it waits; else it sleeps, on any CPU. */
static bool io_thread_is_tuned(const struct io_thread *thread)
{
	return thread->core.setup.busy_poll && thread->core.service == CORE_SERVING;
}

/* Returns whether there was anything to do. */
static bool io_thread_iterate(struct io_thread *thread)
{
	struct core *core = &thread->core;
	bool serving = core->service == CORE_SERVING;
	unsigned work = 0, fetched = 0;

	core_lock_ring(core);
	if (atomic_load(&thread->control.pending))
		io_thread_take_control(thread);
	work += io_thread_complete_ended(thread);
	if (xcopy_peer_has_requests(thread->xcopy_peer))
		work += xcopy_serve(thread->xcopy_peer, core);
	work += fetched = io_thread_fetch(thread);
	if (core->service != CORE_SERVING)
		dispatch_pending(&thread->dispatch);
	core_unlock_ring(core);

	if (serving && core->service != CORE_SERVING)
		xcopy_peer_close(thread->xcopy_peer);
	io_thread_cancel(thread);
	if (!list_is_empty(&thread->order.blocked))
		order_unblock(&thread->order);
	if (!list_is_empty(&core->ready))
		work += order_start_ready(&thread->order);
	work += submit_reap(&thread->submit);
	work += xcopy_peer_take_answers(thread->xcopy_peer);
	format_report(&thread->format);
	if (work)
		wait_note_work(&core->wait, io_thread_is_tuned(thread), fetched);
	submit_report(&thread->submit);
	return work > 0;
}

static bool io_thread_ring_has_work(struct io_thread *thread)
{
	struct core *core = &thread->core;
	bool work = false;

	core_lock_ring(core);
	if (core->service != CORE_SERVING)
		work = false;
	else if (core->ring_state == CORE_RING_STALE)
		work = thread->pool.in_use == thread->pool.internal;
	else if (core->ring_state == CORE_RING_ATTACHED)
		work = command_available(&thread->pool) && tcmu_ring_pending(&core->ring);
	core_unlock_ring(core);
	return work;
}

/* As wait_has_work. */
static bool io_thread_has_work(void *userdata, bool others_only)
{
	struct io_thread *thread = userdata;

	assert(core_current == &thread->core);
	if (submit_has_completed(&thread->submit, others_only) ||
	    submit_becomes_idle(&thread->submit) || atomic_load(&thread->control.pending))
		return true;
	if (others_only)
		return false;
	return !list_is_empty(&thread->core.ended) || xcopy_peer_has_answers(thread->xcopy_peer) ||
		(command_available(&thread->pool) && xcopy_peer_has_requests(thread->xcopy_peer)) ||
		io_thread_ring_has_work(thread);
}

/* ------- the beginning and the end ------- */

static bool io_thread_goes_on(const struct io_thread *thread)
{
	return thread->core.service == CORE_SERVING || thread->pool.in_use;
}

static void io_thread_wait(struct io_thread *thread)
{
	struct core *core = &thread->core;

	if (!wait_for_work(&core->wait, io_thread_is_tuned(thread), thread->order.resume))
		return;
	core_set_unregistered(core);
	xcopy_peer_close(thread->xcopy_peer);
}

static void *io_thread_main(void *arg)
{
	struct io_thread *thread = arg;
	struct core *core = &thread->core;
	char name[16];

	(void) snprintf(name, sizeof(name), "io-%s", core->setup.name);
	thread_set_name(name);
	thread_set_io_flusher();
	core_current = core;
	wait_begin(&core->wait);
	stats_thread_begins(core->setup.stats);
	core_attach(core);
	if (core->service != CORE_SERVING)
		xcopy_peer_close(thread->xcopy_peer);
	while (io_thread_goes_on(thread))
		if (!io_thread_iterate(thread) && io_thread_goes_on(thread))
			io_thread_wait(thread);
	assert(list_is_empty(&core->ended) && thread->order.exclusive_cnt == 0);
	wait_leave_cpu(&core->wait);
	xcopy_peer_end(thread->xcopy_peer);
	core_detach(core);
	submit_destroy(&thread->submit);
	stats_thread_ends(core->setup.stats);
	core_current = NULL;
	/* The device may free the thread from here on. */
	core->setup.signal(core->setup.userdata, IO_SIGNAL_ENDED);
	return NULL;
}

/* How many CPUs the thread may be put on. A handler may start threads from this one, which would be
 * put there, too: then none. */
static unsigned io_thread_cpus(const struct io_thread_setup *setup)
{
	if (setup->handler->threading != TCMU_HANDLER_ASYNC ||
	    !(setup->handler->flags & TCMU_HANDLER_SYSCALLS_ONLY))
		return 0;
	return thread_cpus();
}

static int io_thread_init(struct io_thread *thread, const struct io_thread_setup *setup)
{
	struct core *core = &thread->core;
	int r = core_init(core, setup);
	int waits = wait_init(
		&core->wait, setup->busy_poll, io_thread_cpus(setup), io_thread_has_work, thread);

	core->pool = &thread->pool;
	core->submit = &thread->submit;
	control_init(&thread->control, &core->wait);
	order_init(&thread->order, core);
	format_init(&thread->format, core);
	if (r >= 0)
		r = waits;
	if (r >= 0)
		r = command_pool_init(
			&thread->pool, core, setup->depth, IOV_USUAL, setup->handler->io_priv_size);
	if (r >= 0)
		r = xcopy_peer_new(&core->wait, setup->lu.block_size, &thread->xcopy_peer);
	if (r < 0)
		return r;
	dispatch_init(&thread->dispatch, core, &thread->format, thread->xcopy_peer);
	return submit_init(&thread->submit, core);
}

int io_thread_new(const struct io_thread_setup *setup, struct io_thread **ret)
{
	struct io_thread *thread = calloc(1, sizeof(*thread));
	int r;

	if (!thread)
		return -ENOMEM;
	r = io_thread_init(thread, setup);
	if (r >= 0)
		r = thread_start(NULL, io_thread_main, thread);
	if (r < 0) {
		io_thread_free(thread);
		return r;
	}
	*ret = thread;
	return 0;
}

void io_thread_free(struct io_thread *thread)
{
	if (!thread)
		return;
	submit_destroy(&thread->submit);
	if (thread->xcopy_peer)
		dispatch_destroy(&thread->dispatch);
	xcopy_peer_unref(thread->xcopy_peer);
	command_pool_destroy(&thread->pool);
	control_destroy(&thread->control);
	wait_destroy(&thread->core.wait);
	core_destroy(&thread->core);
	free(thread);
}

/* ------- from other threads: control requests ------- */

void io_thread_drain(struct io_thread *thread, bool cancel)
{
	struct control_request request = {.changes = CONTROL_DRAIN | (cancel ? CONTROL_CANCEL : 0)};

	control_post(&thread->control, &request);
	xcopy_peer_close(thread->xcopy_peer);
}

void io_thread_fail(struct io_thread *thread)
{
	control_post(&thread->control, &(struct control_request){.changes = CONTROL_FAULT});
}

void io_thread_set_lu_info(struct io_thread *thread, const struct scsi_lu_info *lu_info)
{
	struct control_request request = {.changes = CONTROL_LU_INFO, .lu_info = *lu_info};

	control_post(&thread->control, &request);
}

void io_thread_set_size(
	struct io_thread *thread, uint64_t size, const struct tcmu_backend_info *info)
{
	struct control_request request = {.changes = CONTROL_SIZE, .size = size, .info = *info};

	control_post(&thread->control, &request);
}

void io_thread_set_write_cache(struct io_thread *thread, bool on)
{
	struct control_request request = {.changes = CONTROL_WRITE_CACHE, .write_cache = on};

	control_post(&thread->control, &request);
}

void io_thread_set_limits(struct io_thread *thread, const struct rate_limits *limits)
{
	struct control_request request = {.changes = CONTROL_LIMITS, .limits = *limits};

	control_post(&thread->control, &request);
}

void io_thread_set_permission(
	struct io_thread *thread, enum io_permission permission, uint8_t not_ready)
{
	struct control_request request = {
		.changes = CONTROL_PERMISSION, .permission = permission, .not_ready = not_ready};

	assert(permission <= IO_PERMIT_NONE);
	control_post(&thread->control, &request);
}

void io_thread_set_backend(
	struct io_thread *thread, void *backend, const struct tcmu_backend_info *info)
{
	struct control_request request = {
		.changes = CONTROL_BACKEND, .backend = backend, .info = *info};

	control_post(&thread->control, &request);
}

void io_thread_deferred_done(struct io_thread *thread, int error)
{
	struct control_request request = {
		.changes = CONTROL_DEFERRED_DONE, .deferred_error = error};

	assert(error <= 0);
	control_post(&thread->control, &request);
}

/* ------- from other threads: the ring ------- */

/* The memory that I/O may still read: the data-out of every command that has not been completed;
 * free slots have no iovecs. The members of slots that are read here change under the ring lock
 * only. */
static size_t io_thread_data_out(const struct io_thread *thread, struct iovec *keep, size_t max)
{
	size_t cnt = 0;

	for (unsigned i = 0; i < thread->pool.used; i++) {
		const struct command *command = command_at(&thread->pool, i);

		if (command->internal || command->plan.op == SCSI_PLAN_READ)
			continue;
		for (uint32_t j = 0; j < command->iov_cnt; j++, cnt++)
			if (cnt < max)
				keep[cnt] = command->iov[j];
	}
	return cnt;
}

int io_thread_revoke(struct io_thread *thread)
{
	bool keeps = !(thread->core.setup.handler->flags & TCMU_HANDLER_SYSCALLS_ONLY);
	struct iovec *keep = NULL;
	size_t cnt = 0;
	int r = -ENOMEM;

	assert(core_current != &thread->core);
	pthread_mutex_lock(&thread->core.ring_lock);
	if (keeps) {
		cnt = io_thread_data_out(thread, NULL, 0);
		keep = calloc(cnt + 1, sizeof(*keep));
	}
	if (keep)
		io_thread_data_out(thread, keep, cnt);
	if (keep || !keeps)
		r = core_revoke_ring(&thread->core, keep, cnt);
	pthread_mutex_unlock(&thread->core.ring_lock);
	free(keep);
	io_thread_drain(thread, true);
	return r;
}

/* ------- from other threads: questions ------- */

bool io_thread_is_idle(struct io_thread *thread)
{
	return control_permission_generation(&thread->control) ==
		atomic_load(&thread->submit.idle_generation);
}

void io_thread_reattach(struct io_thread *thread)
{
	(void) thread; /* IO_SIGNAL_RING_IDLE is not signalled yet */
}

void io_thread_deferred(struct io_thread *thread, struct deferred_request *request)
{
	dispatch_read_deferred(&thread->dispatch, request);
}

unsigned io_thread_format_state(const struct io_thread *thread)
{
	return atomic_load(&thread->format.state);
}

unsigned io_thread_requests(
	const struct io_thread *thread, struct stats_request *requests, unsigned max)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < thread->pool.count && cnt < max; i++)
		cnt += stats_flight_read(&command_at(&thread->pool, i)->flight, &requests[cnt]);
	return cnt;
}

unsigned io_thread_oldest_request(const struct io_thread *thread, struct stats_request *oldest)
{
	struct stats_request request;
	unsigned cnt = 0;

	for (unsigned i = 0; i < thread->pool.count; i++) {
		if (!stats_flight_read(&command_at(&thread->pool, i)->flight, &request))
			continue;
		if (!cnt++ || request.begun < oldest->begun)
			*oldest = request;
	}
	return cnt;
}

unsigned io_thread_in_flight(struct io_thread *thread)
{
	return atomic_load(&thread->submit.in_flight);
}

bool io_thread_ended_clean(const struct io_thread *thread)
{
	return thread->core.clean;
}

int io_thread_error(const struct io_thread *thread, const char **text)
{
	assert(thread->core.error);
	*text = thread->core.error_text;
	return thread->core.error;
}
