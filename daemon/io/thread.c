/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One iteration of the I/O thread has two halves. With the ring lock, it takes control requests,
 * completes the commands that have ended, with one doorbell for all, and fetches a batch and
 * decides each command. Without the lock, it starts the commands that are ready, lets the aio
 * engine make its system calls, and reaps.
 *
 * When an iteration found nothing to do, the thread waits (wait/wait.h). Commands that end in an
 * iteration, emulated ones too, are completed at the beginning of the next: before new commands are
 * fetched, and with one doorbell.
 */
#include "io/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

#define IOV_USUAL 66 /* 256 KiB in pages, the first and the last being a part of one */

/* ------- completing ------- */

/* Completes all commands that have ended, with one doorbell, and frees their slots. *now: as
 * stats_end() takes it. Returns whether there were any. */
static bool io_thread_complete_ended(struct io_thread *thread, uint64_t *now)
{
	struct core *core = &thread->core;
	struct list_node *node;
	unsigned cnt = 0;

	assert(core->ring_locked);
	if (list_is_empty(&core->ended))
		return false;
	while ((node = list_take(&core->ended))) {
		struct command *command = container_of(node, struct command, node);
		bool answered;

		assert(command->where == COMMAND_ENDED);
		command->where = COMMAND_HELD;
		answered = fetch_answer(&thread->fetch, command);
		cnt += answered;
		if (!command->internal)
			stats_end(
				core->setup.stats, &command->flight, now, answered, command->status,
				command->sense,
				command->data_in ? command->data_in : command->data_length);
		if (command->note)
			fetch_end_note(&thread->fetch, command, answered);
		if (command->started && command->exclusive)
			order_finish(&thread->order, command);
		if (command->late)
			late_end(&thread->late, command, *now);
		if (command->finished)
			command->finished(command);
		command_put(&thread->pool, command);
	}
	if (cnt)
		fetch_publish(&thread->fetch);
	return true;
}

/* ------- control requests ------- */

static void io_thread_set_lu(struct io_thread *thread, const struct control_request *request)
{
	struct scsi_lu *lu = &thread->core.setup.lu;
	uint8_t naa[SCSI_NAA_LENGTH];

	if (request->changes & CONTROL_SIZE) {
		lu->blocks = request->size / lu->block_size;
		lu->unit_attention |= SCSI_UA_CAPACITY;
		core_set_info(&thread->core, &request->info);
	}
	if (request->changes & CONTROL_WRITE_CACHE)
		write_cache_set(&thread->write_cache, request->write_cache);
	if (request->changes & CONTROL_LU_INFO) {
		bool cache = lu->write_cache;

		scsi_set_lu_info(lu, &request->lu_info);
		write_cache_restored(&thread->write_cache, cache);
		if (scsi_naa(lu, naa))
			xcopy_disk_set_naa(thread->xcopy_disk, naa);
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
	wait_leave(&core->wait);
	if (request.changes & CONTROL_FAULT)
		core->faulted = true;
	if (request.changes & CONTROL_BACKEND)
		submit_set_backend(&thread->submit, request.backend, &request.info);
	if (request.changes & CONTROL_PERMISSION) {
		submit_set_permission(
			&thread->submit, request.permission, request.not_ready, request.generation);
		xcopy_disk_set_generation(thread->xcopy_disk, request.generation);
		late_permission_changed(&thread->late);
	}
	io_thread_set_lu(thread, &request);
	if (request.changes & CONTROL_DEFERRED_DONE)
		dispatch_deferred_done(&thread->dispatch, request.deferred_error);
	if (request.changes & CONTROL_LIMITS)
		order_set_limits(&thread->order, &request.limits);
	if (request.changes & CONTROL_DRAIN)
		core_set_service(
			core, request.changes & CONTROL_CANCEL ? CORE_ABANDONED : CORE_DRAINING);
	if (request.changes & CONTROL_LU_INFO)
		dispatch_lu_info_set(&thread->dispatch);
	if (request.changes & CONTROL_TIMEOUT)
		late_set_limit(&thread->late, request.command_timeout);
	if (request.changes & CONTROL_REATTACH)
		fetch_reattach(&thread->fetch);
}

static void io_thread_take_late_control(struct core *core)
{
	io_thread_take_control(container_of(core, struct io_thread, core));
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

		if (command->where == COMMAND_PENDING && command->aborted)
			dispatch_cancel_pending(&thread->dispatch, command);
		else if (
			command->where == COMMAND_HELD && command->cancel &&
			(core->service >= CORE_ABANDONED || command->aborted))
			command->cancel(command);
	}
}

/* Whether the thread may choose how it waits; else it sleeps, on any CPU. */
static bool io_thread_is_tuned(const struct io_thread *thread)
{
	return thread->core.setup.busy_poll && thread->core.service == CORE_SERVING;
}

/* Returns whether there may be more to do. Answers alone leave nothing behind that is not found
 * before the thread sleeps. */
static bool io_thread_iterate(struct io_thread *thread)
{
	struct core *core = &thread->core;
	bool serving = core->service == CORE_SERVING;
	unsigned work = 0, fetched;
	bool completed;
	uint64_t completed_at = 0, now = core->wait.timed_out ? clock_now_ns() : 0;

	core->wait.timed_out = false;
	core_lock_ring(core);
	if (atomic_load(&thread->control.pending))
		io_thread_take_control(thread);
	fetch_check_ring(&thread->fetch);
	completed = io_thread_complete_ended(thread, &completed_at);
	if (write_cache_goes_off(&thread->write_cache))
		write_cache_continue(&thread->write_cache);
	if (xcopy_disk_has_requests(thread->xcopy_disk)) {
		/* The thread may have been stuck, so that commands in the ring are late. */
		if (core->ring_state == CORE_RING_ATTACHED && tcmu_ring_pending(&core->ring))
			late_check(&thread->late, clock_now_ns());
		work += xcopy_serve(thread->xcopy_disk, core);
		/* A request may have come since, which was sent after a reset. */
		fetch_check_ring(&thread->fetch);
	}
	fetched = fetch_batch(&thread->fetch, &now);
	work += fetched;
	/* Whatever wakes the thread, a scan that is due is done. */
	if (!now)
		now = completed_at;
	if (!now && thread->pool.in_use)
		now = clock_now_ns();
	if (now)
		late_check(&thread->late, now);
	if (core->service != CORE_SERVING)
		dispatch_pending(&thread->dispatch);
	core_unlock_ring(core);

	if (serving && core->service != CORE_SERVING) {
		xcopy_disk_close(thread->xcopy_disk);
		xcopy_drain(core);
	}
	io_thread_cancel(thread);
	if (order_has_work(&thread->order))
		work += order_start_ready(&thread->order);
	work += submit_reap(&thread->submit);
	work += xcopy_disk_take_answers(thread->xcopy_disk);
	format_report(&thread->format);
	if (completed || work)
		wait_note_work(
			&core->wait, io_thread_is_tuned(thread), fetched,
			now ? now : clock_now_ns());
	submit_report(&thread->submit);
	return work > 0;
}

static bool io_thread_ring_has_work(struct io_thread *thread)
{
	bool work;

	core_lock_ring(&thread->core);
	work = fetch_has_work(&thread->fetch);
	core_unlock_ring(&thread->core);
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
	return !list_is_empty(&thread->core.ended) || xcopy_disk_has_answers(thread->xcopy_disk) ||
		xcopy_can_serve(thread->xcopy_disk, &thread->core) ||
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
	uint64_t resume = thread->order.resume, retry = write_cache_retry(&thread->write_cache);

	if (retry && (!resume || retry < resume))
		resume = retry;
	if (!wait_for_work(
		    &core->wait, io_thread_is_tuned(thread), resume,
		    late_interval_ms(&thread->late)))
		return;
	core_set_unregistered(core);
	xcopy_disk_close(thread->xcopy_disk);
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
	if (core->setup.start == IO_THREAD_RECOVERED)
		fetch_recover(&thread->fetch);
	if (core->service != CORE_SERVING)
		xcopy_disk_close(thread->xcopy_disk);
	while (io_thread_goes_on(thread))
		if (!io_thread_iterate(thread) && io_thread_goes_on(thread))
			io_thread_wait(thread);
	assert(list_is_empty(&core->ended) && thread->order.exclusive_cnt == 0);
	wait_leave(&core->wait);
	xcopy_disk_end(thread->xcopy_disk);
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
	late_init(&thread->late, core, setup->command_timeout);
	write_cache_init(&thread->write_cache, core);
	if (r >= 0)
		r = waits;
	if (r >= 0)
		r = command_pool_init(
			&thread->pool, core, setup->depth, IOV_USUAL,
			setup->handler->sizes ? setup->handler->sizes->io : sizeof(struct tcmu_io),
			setup->handler->io_priv_size);
	if (r >= 0)
		r = xcopy_disk_new(
			&core->wait, &setup->device, setup->lu.block_size, &thread->xcopy_disk);
	if (r >= 0)
		r = fetch_init(
			&thread->fetch, core, &thread->dispatch, io_thread_take_late_control,
			&thread->control.pending);
	if (r < 0)
		return r;
	dispatch_init(&thread->dispatch, core, &thread->format, thread->xcopy_disk);
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
	if (thread->fetch.marks)
		dispatch_destroy(&thread->dispatch);
	xcopy_disk_unref(thread->xcopy_disk);
	fetch_destroy(&thread->fetch);
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
	xcopy_disk_close(thread->xcopy_disk);
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

void io_thread_set_command_timeout(struct io_thread *thread, uint64_t ns)
{
	struct control_request request = {.changes = CONTROL_TIMEOUT, .command_timeout = ns};

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

void io_thread_reattach(struct io_thread *thread)
{
	control_post(&thread->control, &(struct control_request){.changes = CONTROL_REATTACH});
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

		/* A noted COMPARE AND WRITE that is done again has its data in the ring. */
		if ((command->internal && !command->note) || command->plan.op == SCSI_PLAN_READ)
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

int io_thread_deferred(struct io_thread *thread, struct deferred_request *request)
{
	return dispatch_read_deferred(&thread->dispatch, request);
}

int io_thread_write_cache_result(const struct io_thread *thread)
{
	return write_cache_result(&thread->write_cache);
}

bool io_thread_has_old_write_cache(const struct io_thread *thread)
{
	return write_cache_is_old(&thread->write_cache);
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
