/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's thread: one turn is
 *
 *   with the gate      fetch a batch, decode, decide by the SCSI code; complete what has ended;
 *                      one doorbell for all
 *   outside of it      start what is to be started, let the engine make its system calls, reap
 *                      what has completed
 *
 * and, when a turn found nothing to do, a wait in the way that pays (io/wait-tuner.h), at last in
 * one epoll_wait over uio, the engine and the wake-up of other threads. The uio descriptor is
 * watched edge-triggered and never read: its mask is evaluated anew at each wake-up.
 */
#include "io/thread-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <tcmu/configfs.h>

#include "base/memory.h"
#include "base/thread.h"
#include "io/xcopy-peer.h"

#define FETCH_MAX        128
#define IOV_USUAL        66 /* 256 KiB in pages that do not begin with one */
#define WORKERS_PARALLEL 16

static void signal_owner(struct io_thread *thread, uint32_t bits)
{
	thread->setup.signal(thread->setup.owner, bits);
}

static void broken(struct io_thread *thread, int error, const char *what)
{
	if (thread->broken)
		return;
	thread->broken = true;
	thread->error = error;
	xcopy_peer_close(thread->peer);
	snprintf(thread->error_text, sizeof(thread->error_text), "%s", what);
	thread->mode = IO_THREAD_DRAINING;
	signal_owner(thread, IO_SIGNAL_RING_BROKEN);
}

void io_thread_unregistered(struct io_thread *thread)
{
	if (thread->unregistered)
		return;
	thread->unregistered = true;
	xcopy_peer_close(thread->peer);
	thread->mode = IO_THREAD_DRAINING;
	thread->abandoned = true;
	thread->cancel_wanted = true;
	signal_owner(thread, IO_SIGNAL_UNREGISTERED);
}

/* ------- under the gate ------- */

static void complete_ended(struct io_thread *thread)
{
	struct command *command;
	unsigned completed = 0;
	uint64_t now = 0;

	while ((command = command_list_take(&thread->ended))) {
		bool answered = !command->internal && !thread->revoked && !thread->broken &&
			!thread->stale;

		if (!command->internal)
			stats_end(
				thread->setup.stats, &command->flight, &now, answered,
				command->status, command->sense,
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
			r = tcmu_ring_complete(&thread->ring, &completion);
			if (r < 0)
				broken(thread, r, "the entry at the ring's tail is corrupt");
			completed++;
		}
		if (command->request)
			xcopy_served(command);
		command_put(&thread->pool, command);
	}
	if (!completed || thread->broken)
		return;
	tcmu_ring_publish(&thread->ring);
	if (tcmu_uio_doorbell(&thread->uio) < 0)
		io_thread_unregistered(thread);
}

/* A few milliseconds late at most, and no system call. */
static uint64_t wall_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* Whether the owner has to do something before the command goes on or ends. */
static bool needs_errand(enum scsi_verdict verdict, const struct scsi_result *result)
{
	return result->save || (verdict == SCSI_PLANNED && result->plan.op == SCSI_PLAN_SET_GROUPS);
}

/* What it is asked for is large, and few commands need it. */
static void begin_errand(
	struct command *command, enum scsi_verdict verdict, const struct scsi_result *result,
	const struct scsi_mode_values *before)
{
	struct io_thread *thread = command->thread;
	bool planned = verdict == SCSI_PLANNED;
	struct deferred_request errand = {0};

	if (result->save) {
		errand.kind = DEFERRED_SAVE;
		errand.saved = thread->lu.saved;
		memcpy(errand.serial, thread->lu.serial, sizeof(errand.serial));
	} else {
		errand.kind = DEFERRED_SET_GROUPS;
		errand.states = result->states;
		planned = false;
	}
	command->plan = result->plan;
	deferred_begin(command, &errand, before, planned);
}

static void dispatch(struct command *command)
{
	struct io_thread *thread = command->thread;
	struct scsi_mode_values before = thread->lu.saved;
	enum scsi_verdict verdict;
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.iov = command->iov,
		.iov_cnt = command->iov_cnt,
		.data_length = command->data_length,
		.time_ms = wall_clock_ms(),
	};
	struct scsi_result result;

	result.data = thread->data;
	result.data_length = 0;
	verdict = scsi_dispatch(&thread->lu, &task, &result);
	if (verdict != SCSI_NEEDS_LU_INFO && needs_errand(verdict, &result)) {
		begin_errand(command, verdict, &result, &before);
		return;
	}
	switch (verdict) {
	case SCSI_ANSWERED:
		if (result.status == SCSI_GOOD && command->data_length)
			command_copy_in(command, result.data, result.data_length);
		command_end(command, result.status, &result.sense);
		break;
	case SCSI_PLANNED:
		command->plan = result.plan;
		if (result.plan.op == SCSI_PLAN_XCOPY)
			xcopy_begin(command, &result.xcopy);
		else if (result.plan.op == SCSI_PLAN_ABORT_XCOPY)
			xcopy_abort(command);
		else if (exec_prepare(command))
			command_list_add(&thread->ready, command);
		break;
	case SCSI_NEEDS_LU_INFO:
		if (!thread->pending.first)
			signal_owner(thread, IO_SIGNAL_NEEDS_LU_INFO);
		command_list_add(&thread->pending, command);
		break;
	}
}

/* A task management function: what it names is asked to end soon, and is completed as usual. Where
 * its initiator would take what was aborted for done (tcmu_scan_loopback()), it is done. */
static void abort_tasks(struct io_thread *thread, const struct tcmu_entry *entry)
{
	if (entry->tmr_type != TCMU_TMR_TYPE_ABORT_TASK && tcmu_scan_loopback())
		return;
	for (uint32_t i = 0; i < entry->tmr_count; i++) {
		uint16_t id = tcmu_entry_tmr_id(entry, i);

		for (unsigned j = 0; j < thread->pool.used; j++) {
			struct command *command = command_at(&thread->pool, j);

			if (!command->in_use || command->internal || command->cmd_id != id)
				continue;
			command->aborted = true;
			thread->cancel_wanted = true;
		}
	}
}

/* Commands that waited for the identity are decided again; where nobody is told any more, they just
 * end. */
static void resume_pending(struct io_thread *thread)
{
	struct command_list pending = thread->pending;
	struct command *command;

	if (!pending.first)
		return;
	command_list_init(&thread->pending);
	thread->lu.lu_info_fresh = true;
	while ((command = pending.first)) {
		pending.first = command->next;
		command->next = NULL;
		if (thread->revoked || thread->stale)
			command_end(command, SCSI_BUSY, NULL);
		else
			dispatch(command);
	}
	thread->lu.lu_info_fresh = false;
}

/* Somebody has reset the ring behind our back (configfs). Once nothing refers to it any more, it is
 * attached anew. */
static void reset(struct io_thread *thread)
{
	thread->stale = true;
	thread->cancel_wanted = true;
	for (unsigned i = 0; i < thread->pool.used; i++) {
		struct command *command = command_at(&thread->pool, i);

		command->aborted = !command->internal;
	}
	resume_pending(thread);
}

static void attach_again(struct io_thread *thread)
{
	int r = tcmu_ring_attach(&thread->ring, thread->uio.base, thread->uio.length);

	if (r < 0)
		broken(thread, r, "its ring is not one that this daemon understands");
	thread->stale = false;
}

/* ------- orders ------- */

static void apply_size(struct io_thread *thread, const struct control_requests *requests)
{
	thread->info = requests->info;
	thread->lu.blocks = requests->size / thread->lu.block_size;
	thread->lu.unit_attention |= SCSI_UA_CAPACITY;
}

static void apply_identity(struct io_thread *thread, const struct scsi_lu_info *identity)
{
	uint8_t naa[SCSI_NAA_LENGTH];

	scsi_set_lu_info(&thread->lu, identity);
	if (scsi_naa(&thread->lu, naa))
		xcopy_peer_set_naa(thread->peer, naa);
}

/* Whoever gave orders may have done so already. */
static void leave_cpu(struct io_thread *thread)
{
	if (atomic_exchange(&thread->cpu, -1) >= 0)
		thread_set_cpu(0, -1);
}

/* Under the ring_lock, because parked commands are decided again. */
static void take_orders(struct io_thread *thread)
{
	struct control_requests requests;

	if (!atomic_load(&thread->has_control) || !atomic_exchange(&thread->has_control, false))
		return;
	leave_cpu(thread);
	pthread_mutex_lock(&thread->control_lock);
	requests = thread->control;
	thread->control = (struct control_requests){0};
	pthread_mutex_unlock(&thread->control_lock);

	if (requests.fail)
		thread->failed = true;
	permission_take_requests(thread, &requests);
	if (requests.size_set)
		apply_size(thread, &requests);
	if (requests.write_cache_set && thread->lu.write_cache != requests.write_cache) {
		thread->lu.write_cache = requests.write_cache;
		thread->lu.unit_attention |= SCSI_UA_MODE_PARAMETERS;
	}
	if (requests.lu_info_set)
		apply_identity(thread, &requests.identity);
	if (requests.deferred_done)
		deferred_end(thread, requests.deferred_error);
	if (requests.limits_set)
		rate_limit_set(&thread->rate_limit, &requests.limits);
	if (requests.drain)
		thread->mode = IO_THREAD_DRAINING;
	if (requests.cancel) {
		thread->abandoned = true;
		thread->cancel_wanted = true;
	}
	if (requests.lu_info_set)
		resume_pending(thread);
}

/* ------- fetching ------- */

/* 1: a command or function was fetched; 0: nothing there, or no slot is free. */
static int fetch_one(struct io_thread *thread, uint64_t *now)
{
	struct command *command = command_get(&thread->pool);
	struct tcmu_entry entry;
	int r;

	if (!command)
		return 0;
	r = tcmu_ring_next(&thread->ring, &entry, command->iov, command->iov_max);
	if (r == -ENOBUFS && command_grow_iov(command, entry.iov_cnt) == 0)
		r = tcmu_ring_next(&thread->ring, &entry, command->iov, command->iov_max);
	if (r <= 0 || entry.kind == TCMU_ENTRY_TMR) {
		command_put(&thread->pool, command);
		if (r == -EBADMSG)
			broken(thread, r, "the kernel's next entry is corrupt");
		else if (r == -ESTALE)
			reset(thread);
		else if (r > 0)
			abort_tasks(thread, &entry);
		return r > 0;
	}

	/* What was ordered before the command was sent is in force when it is decided. */
	take_orders(thread);
	command->cmd_id = entry.cmd_id;
	command->cdb_length = entry.cdb_length;
	memcpy(command->cdb, entry.cdb, sizeof(command->cdb));
	command->iov_cnt = entry.iov_cnt;
	command->data_length = entry.data_length;
	stats_begin(thread->setup.stats, &command->flight, now, command->cdb, command->data_length);
	if (thread->setup.tell && atomic_load_explicit(thread->setup.tell, memory_order_relaxed))
		thread->setup.told(
			thread->setup.owner, command->cdb, command->cdb_length,
			command->data_length);
	dispatch(command);
	return 1;
}

static unsigned fetch(struct io_thread *thread)
{
	unsigned cnt = 0;
	uint64_t now = 0;

	if (thread->stale && io_thread_is_empty(thread))
		attach_again(thread);
	while (cnt < FETCH_MAX && thread->mode == IO_THREAD_SERVING && !thread->stale &&
	       fetch_one(thread, &now) > 0)
		cnt++;
	return cnt;
}

/* ------- the turn ------- */

/* What nobody waits for any more is asked to end soon. */
static void cancel(struct io_thread *thread)
{
	if (!thread->cancel_wanted)
		return;
	thread->cancel_wanted = false;
	for (unsigned i = 0; i < thread->pool.used; i++) {
		struct command *command = command_at(&thread->pool, i);

		if (command->in_use && (thread->abandoned || command->aborted))
			submit_cancel(command);
	}
}

/* Returns whether there was anything to do. */
static bool turn(struct io_thread *thread)
{
	unsigned work = 0, fetched = 0;

	pthread_mutex_lock(&thread->ring_lock);
	take_orders(thread);
	work += xcopy_serve(thread);
	if (thread->attached)
		work += fetched = fetch(thread);
	if (thread->mode == IO_THREAD_DRAINING)
		resume_pending(thread);
	work += thread->ended.first != NULL;
	complete_ended(thread);
	pthread_mutex_unlock(&thread->ring_lock);

	cancel(thread);
	order_unblock(thread);
	work += order_start_ready(thread);
	if (thread->engine)
		aio_flush(thread->engine);
	work += submit_reap(thread);
	work += xcopy_peer_take_answers(thread->peer);
	format_report(thread);
	if (work)
		wait_ended(thread, fetched);
	permission_report(thread);
	return work > 0;
}

/* ------- the beginning and the end ------- */

static int watch(struct io_thread *thread, int fd, enum wake_source source)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = source};

	return epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What a dead daemon had fetched is answered BUSY by the kernel; initiators send it again. */
static int recover(struct io_thread *thread)
{
	int r = tcmu_configfs_action(&thread->setup.device, "block_dev", 1);

	if (r >= 0)
		r = tcmu_configfs_action(&thread->setup.device, "reset_ring", 1);
	return r == -ENOENT ? 0 : r; /* a kernel before 4.19 has neither */
}

/* False: it failed, which has been signalled, or the ring was revoked before it was there. */
static bool attach_ring(struct io_thread *thread)
{
	const char *what = NULL;
	int r = 0;

	pthread_mutex_lock(&thread->ring_lock);
	if (thread->revoked) {
		pthread_mutex_unlock(&thread->ring_lock);
		return false;
	}
	if ((r = tcmu_uio_open(&thread->uio, thread->setup.minor)) < 0)
		what = "its uio device cannot be opened";
	else if ((r = tcmu_uio_map(&thread->uio)) < 0)
		what = "its ring cannot be mapped";
	else if ((r = tcmu_ring_attach(&thread->ring, thread->uio.base, thread->uio.length)) < 0)
		what = "its ring is not one that this daemon understands";
	else if ((r = watch(thread, thread->uio.fd, WAKE_UIO)) < 0)
		what = "its uio device cannot be watched";
	else
		thread->attached = true;
	pthread_mutex_unlock(&thread->ring_lock);
	if (what)
		broken(thread, r, what);
	return !what;
}

static void attach(struct io_thread *thread)
{
	bool recovered = thread->setup.start == IO_THREAD_RECOVERED;
	int r = recovered ? recover(thread) : 0;

	if (r < 0) {
		broken(thread, r, "what the last daemon had begun cannot be reset");
		return;
	}
	if (!attach_ring(thread))
		return;
	if (recovered && (r = tcmu_configfs_action(&thread->setup.device, "block_dev", 0)) < 0 &&
	    r != -ENOENT) {
		broken(thread, r, "the kernel cannot be told to send commands again");
		return;
	}
	signal_owner(thread, IO_SIGNAL_ATTACHED);
}

/* Unmap first, then close: some kernels free on close. */
static void let_go(struct io_thread *thread)
{
	pthread_mutex_lock(&thread->ring_lock);
	thread->clean = !thread->revoked && !thread->broken && !thread->unregistered;
	thread->attached = false;
	tcmu_uio_unmap(&thread->uio);
	tcmu_uio_close(&thread->uio);
	pthread_mutex_unlock(&thread->ring_lock);
}

/* After this no function of the handler runs any more, and none of ours that it has called. */
static void leave_backend(struct io_thread *thread)
{
	aio_engine_free(thread->engine);
	thread->engine = NULL;
	workers_free(thread->workers);
	thread->workers = NULL;
	/* Who is still within submit_complete() waits for nothing but its turn on the processor. */
	while (atomic_load(&thread->completing))
		sched_yield();
}

static void *io_thread_main(void *arg)
{
	struct io_thread *thread = arg;
	char name[16];

	snprintf(name, sizeof(name), "io-%s", thread->setup.name);
	thread_set_name(name);
	thread_set_io_flusher();
	atomic_store(&thread->tid, gettid());
	stats_thread_begins(thread->setup.stats);
	attach(thread);
	while (thread->mode == IO_THREAD_SERVING || thread->pool.in_use)
		if (!turn(thread) && (thread->mode == IO_THREAD_SERVING || thread->pool.in_use))
			wait_for_work(thread);
	leave_cpu(thread);
	xcopy_peer_end(thread->peer);
	let_go(thread);
	leave_backend(thread);
	stats_thread_ends(thread->setup.stats);
	signal_owner(thread, IO_SIGNAL_ENDED);
	return NULL;
}

static int make_backend_side(struct io_thread *thread)
{
	const struct io_thread_setup *setup = &thread->setup;
	unsigned limit;
	int r;

	if (setup->handler->threading == TCMU_HANDLER_ASYNC) {
		r = aio_engine_new(setup->aio, setup->depth, setup->name, &thread->engine);
		return r < 0 ? r : watch(thread, aio_engine_fd(thread->engine), WAKE_ENGINE);
	}
	limit = setup->handler->workers ? setup->handler->workers : WORKERS_PARALLEL;
	if (setup->handler->threading == TCMU_HANDLER_SERIAL)
		limit = 1;
	return workers_new(limit, setup->name, &thread->workers);
}

/* How many processors the thread may be put on: none, where the handler may start threads of its
 * own from it, which would be put there, too. */
static unsigned cpus(const struct io_thread_setup *setup)
{
	if (setup->handler->threading != TCMU_HANDLER_ASYNC ||
	    !(setup->handler->flags & TCMU_HANDLER_SYSCALLS_ONLY))
		return 0;
	return thread_cpus();
}

int io_thread_new(const struct io_thread_setup *setup, struct io_thread **ret)
{
	struct io_thread *thread = calloc(1, sizeof(*thread));
	int r = -ENOMEM;

	if (!thread)
		return -ENOMEM;
	thread->setup = *setup;
	thread->lu = setup->lu;
	if (thread->lu.max_xcopies > setup->depth / 2)
		thread->lu.max_xcopies = setup->depth / 2;
	thread->info = setup->info;
	wait_tuner_init(&thread->tuner, setup->busy_poll, cpus(setup));
	atomic_init(&thread->cpu, -1);
	rate_limit_set(&thread->rate_limit, &setup->limits);
	thread->access = setup->access;
	thread->uio = (struct tcmu_uio) TCMU_UIO_INIT;
	pthread_mutex_init(&thread->ring_lock, NULL);
	pthread_mutex_init(&thread->control_lock, NULL);
	command_list_init(&thread->ready);
	command_list_init(&thread->blocked);
	command_list_init(&thread->pending);
	command_list_init(&thread->ended);
	thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	thread->data = memory_map(SCSI_DATA_MAX);
	if (thread->epoll_fd < 0 || thread->wake_fd < 0)
		r = -errno;
	else if (thread->data)
		r = command_pool_init(
			&thread->pool, thread, setup->depth, IOV_USUAL,
			setup->handler->io_priv_size);
	if (r >= 0)
		r = xcopy_peer_new(thread, setup->lu.block_size, &thread->peer);
	if (r >= 0)
		r = watch(thread, thread->wake_fd, WAKE_OTHER);
	if (r >= 0)
		r = make_backend_side(thread);
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
	leave_backend(thread);
	command_pool_destroy(&thread->pool);
	xcopy_peer_unref(thread->peer);
	memory_unmap(thread->data, SCSI_DATA_MAX);
	if (thread->epoll_fd >= 0)
		close(thread->epoll_fd);
	if (thread->wake_fd >= 0)
		close(thread->wake_fd);
	pthread_mutex_destroy(&thread->ring_lock);
	pthread_mutex_destroy(&thread->control_lock);
	free(thread);
}

/* ------- from other threads ------- */

/* The bytes that I/O may still read: the data-out of every command that has not been completed.
 * What is looked at here changes under the gate only. */
static size_t bytes_in_use(struct io_thread *thread, struct iovec *keep, size_t max)
{
	size_t cnt = 0;

	for (unsigned i = 0; i < thread->pool.used; i++) {
		const struct command *command = command_at(&thread->pool, i);

		if (!command->in_use || command->internal || command->plan.op == SCSI_PLAN_READ)
			continue;
		for (uint32_t j = 0; j < command->iov_cnt; j++, cnt++)
			if (cnt < max)
				keep[cnt] = command->iov[j];
	}
	return cnt;
}

/* A backend that touches memory itself would crash on memory that is not accessible. */
static int replace_mapping(struct io_thread *thread)
{
	struct iovec *keep;
	size_t cnt;
	int r;

	if (!thread->uio.base)
		return 0;
	if (thread->setup.handler->flags & TCMU_HANDLER_SYSCALLS_ONLY)
		return tcmu_uio_replace_inaccessible(&thread->uio);
	cnt = bytes_in_use(thread, NULL, 0);
	keep = calloc(cnt + 1, sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	bytes_in_use(thread, keep, cnt);
	r = tcmu_uio_replace_private(&thread->uio, keep, cnt);
	free(keep);
	return r;
}

int io_thread_revoke(struct io_thread *thread)
{
	int r = 0;

	pthread_mutex_lock(&thread->ring_lock);
	if (!thread->revoked)
		r = replace_mapping(thread);
	if (r >= 0) {
		thread->revoked = true;
		thread->attached = false;
		tcmu_uio_close(&thread->uio);
	}
	pthread_mutex_unlock(&thread->ring_lock);
	io_thread_drain(thread, true);
	return r;
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
	return atomic_load(&thread->in_flight);
}

bool io_thread_ended_clean(const struct io_thread *thread)
{
	return thread->clean;
}

int io_thread_error(const struct io_thread *thread, const char **text)
{
	*text = thread->error_text;
	return thread->error;
}
