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

static void signal_owner(struct loop *loop, uint32_t bits)
{
	loop->setup.signal(loop->setup.owner, bits);
}

static void broken(struct loop *loop, int error, const char *what)
{
	if (loop->broken)
		return;
	loop->broken = true;
	loop->error = error;
	peer_close(loop->peer);
	snprintf(loop->error_text, sizeof(loop->error_text), "%s", what);
	loop->mode = LOOP_DRAINING;
	signal_owner(loop, LOOP_BROKEN);
}

void loop_unregistered(struct loop *loop)
{
	if (loop->unregistered)
		return;
	loop->unregistered = true;
	peer_close(loop->peer);
	loop->mode = LOOP_DRAINING;
	loop->abandoned = true;
	loop->cancel_wanted = true;
	signal_owner(loop, LOOP_UNREGISTERED);
}

/* ------- under the gate ------- */

static void complete_ended(struct loop *loop)
{
	struct command *command;
	unsigned completed = 0;
	uint64_t now = 0;

	while ((command = command_list_take(&loop->ended))) {
		bool answered = !command->internal && !loop->revoked && !loop->broken &&
			!loop->stale;

		if (!command->internal)
			stats_end(
				loop->setup.stats, &command->flight, &now, answered,
				command->status, command->sense,
				command->has_read_len ? command->read_len : command->data_length);
		if (answered) {
			struct tcmu_completion completion;
			int r;

			if (command->answer_length && command->status == SCSI_GOOD)
				io_copy_in(command, command->bounce, command->answer_length);
			completion = (struct tcmu_completion){
				.cmd_id = command->cmd_id,
				.status = command->status,
				.has_read_len = command->has_read_len,
				.read_len = command->read_len,
				.sense = command->sense,
			};
			r = tcmu_ring_complete(&loop->ring, &completion);
			if (r < 0)
				broken(loop, r, "the entry at the ring's tail is corrupt");
			completed++;
		}
		if (command->request)
			copy_served(command);
		command_put(&loop->pool, command);
	}
	if (!completed || loop->broken)
		return;
	tcmu_ring_publish(&loop->ring);
	if (tcmu_uio_doorbell(&loop->uio) < 0)
		loop_unregistered(loop);
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
	struct loop *loop = command->loop;
	bool planned = verdict == SCSI_PLANNED;
	struct loop_errand errand = {0};

	if (result->save) {
		errand.kind = LOOP_ERRAND_SAVE;
		errand.saved = loop->lu.saved;
		memcpy(errand.serial, loop->lu.serial, sizeof(errand.serial));
	} else {
		errand.kind = LOOP_ERRAND_SET_GROUPS;
		errand.states = result->states;
		planned = false;
	}
	command->plan = result->plan;
	errand_begin(command, &errand, before, planned);
}

static void dispatch(struct command *command)
{
	struct loop *loop = command->loop;
	struct scsi_mode_values before = loop->lu.saved;
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

	result.data = loop->data;
	result.data_length = 0;
	verdict = scsi_dispatch(&loop->lu, &task, &result);
	if (verdict != SCSI_NEEDS_IDENTITY && needs_errand(verdict, &result)) {
		begin_errand(command, verdict, &result, &before);
		return;
	}
	switch (verdict) {
	case SCSI_ANSWERED:
		if (result.status == SCSI_GOOD && command->data_length)
			io_copy_in(command, result.data, result.data_length);
		io_end(command, result.status, &result.sense);
		break;
	case SCSI_PLANNED:
		command->plan = result.plan;
		if (result.plan.op == SCSI_PLAN_COPY)
			copy_begin(command, &result.copy);
		else if (result.plan.op == SCSI_PLAN_ABORT_COPY)
			copy_abort(command);
		else if (plan_prepare(command))
			command_list_add(&loop->ready, command);
		break;
	case SCSI_NEEDS_IDENTITY:
		if (!loop->parked.first)
			signal_owner(loop, LOOP_NEEDS_IDENTITY);
		command_list_add(&loop->parked, command);
		break;
	}
}

/* A task management function: what it names is asked to end soon, and is completed as usual. Where
 * its initiator would take what was aborted for done (tcmu_scan_loopback()), it is done. */
static void abort_tasks(struct loop *loop, const struct tcmu_entry *entry)
{
	if (entry->tmr_type != TCMU_TMR_TYPE_ABORT_TASK && tcmu_scan_loopback())
		return;
	for (uint32_t i = 0; i < entry->tmr_count; i++) {
		uint16_t id = tcmu_entry_tmr_id(entry, i);

		for (unsigned j = 0; j < loop->pool.used; j++) {
			struct command *command = command_at(&loop->pool, j);

			if (!command->in_use || command->internal || command->cmd_id != id)
				continue;
			command->aborted = true;
			loop->cancel_wanted = true;
		}
	}
}

/* Commands that waited for the identity are decided again; where nobody is told any more, they just
 * end. */
static void unpark(struct loop *loop)
{
	struct command_list parked = loop->parked;
	struct command *command;

	if (!parked.first)
		return;
	command_list_init(&loop->parked);
	loop->lu.identity_fresh = true;
	while ((command = parked.first)) {
		parked.first = command->next;
		command->next = NULL;
		if (loop->revoked || loop->stale)
			io_end(command, SCSI_BUSY, NULL);
		else
			dispatch(command);
	}
	loop->lu.identity_fresh = false;
}

/* Somebody has reset the ring behind our back (configfs). Once nothing refers to it any more, it is
 * attached anew. */
static void reset(struct loop *loop)
{
	loop->stale = true;
	loop->cancel_wanted = true;
	for (unsigned i = 0; i < loop->pool.used; i++) {
		struct command *command = command_at(&loop->pool, i);

		command->aborted = !command->internal;
	}
	unpark(loop);
}

static void attach_again(struct loop *loop)
{
	int r = tcmu_ring_attach(&loop->ring, loop->uio.base, loop->uio.length);

	if (r < 0)
		broken(loop, r, "its ring is not one that this daemon understands");
	loop->stale = false;
}

/* ------- orders ------- */

static void apply_size(struct loop *loop, const struct loop_orders *orders)
{
	loop->info = orders->info;
	loop->lu.blocks = orders->size / loop->lu.block_size;
	loop->lu.unit_attention |= SCSI_UA_CAPACITY;
}

static void apply_identity(struct loop *loop, const struct scsi_identity *identity)
{
	uint8_t naa[SCSI_NAA_LENGTH];

	scsi_set_identity(&loop->lu, identity);
	if (scsi_naa(&loop->lu, naa))
		peer_identify(loop->peer, naa);
}

/* Whoever gave orders may have done so already. */
static void leave_place(struct loop *loop)
{
	if (atomic_exchange(&loop->place, -1) >= 0)
		thread_set_place(0, -1);
}

/* Under the gate, because parked commands are decided again. */
static void take_orders(struct loop *loop)
{
	struct loop_orders orders;

	if (!atomic_load(&loop->has_orders) || !atomic_exchange(&loop->has_orders, false))
		return;
	leave_place(loop);
	pthread_mutex_lock(&loop->orders_lock);
	orders = loop->orders;
	loop->orders = (struct loop_orders){0};
	pthread_mutex_unlock(&loop->orders_lock);

	if (orders.sicken)
		loop->sick = true;
	access_take_orders(loop, &orders);
	if (orders.size_set)
		apply_size(loop, &orders);
	if (orders.write_cache_set && loop->lu.write_cache != orders.write_cache) {
		loop->lu.write_cache = orders.write_cache;
		loop->lu.unit_attention |= SCSI_UA_MODE_PARAMETERS;
	}
	if (orders.identity_set)
		apply_identity(loop, &orders.identity);
	if (orders.errand_done)
		errand_end(loop, orders.errand_error);
	if (orders.limits_set)
		throttle_set(&loop->throttle, &orders.limits);
	if (orders.drain)
		loop->mode = LOOP_DRAINING;
	if (orders.cancel) {
		loop->abandoned = true;
		loop->cancel_wanted = true;
	}
	if (orders.identity_set)
		unpark(loop);
}

/* ------- fetching ------- */

/* 1: a command or function was fetched; 0: nothing there, or no slot is free. */
static int fetch_one(struct loop *loop, uint64_t *now)
{
	struct command *command = command_get(&loop->pool);
	struct tcmu_entry entry;
	int r;

	if (!command)
		return 0;
	r = tcmu_ring_next(&loop->ring, &entry, command->iov, command->iov_max);
	if (r == -ENOBUFS && command_grow_iov(command, entry.iov_cnt) == 0)
		r = tcmu_ring_next(&loop->ring, &entry, command->iov, command->iov_max);
	if (r <= 0 || entry.kind == TCMU_ENTRY_TMR) {
		command_put(&loop->pool, command);
		if (r == -EBADMSG)
			broken(loop, r, "the kernel's next entry is corrupt");
		else if (r == -ESTALE)
			reset(loop);
		else if (r > 0)
			abort_tasks(loop, &entry);
		return r > 0;
	}

	/* What was ordered before the command was sent is in force when it is decided. */
	take_orders(loop);
	command->cmd_id = entry.cmd_id;
	command->cdb_length = entry.cdb_length;
	memcpy(command->cdb, entry.cdb, sizeof(command->cdb));
	command->iov_cnt = entry.iov_cnt;
	command->data_length = entry.data_length;
	stats_begin(loop->setup.stats, &command->flight, now, command->cdb, command->data_length);
	if (loop->setup.tell && atomic_load_explicit(loop->setup.tell, memory_order_relaxed))
		loop->setup.told(
			loop->setup.owner, command->cdb, command->cdb_length, command->data_length);
	dispatch(command);
	return 1;
}

static unsigned fetch(struct loop *loop)
{
	unsigned cnt = 0;
	uint64_t now = 0;

	if (loop->stale && loop_is_empty(loop))
		attach_again(loop);
	while (cnt < FETCH_MAX && loop->mode == LOOP_SERVING && !loop->stale &&
	       fetch_one(loop, &now) > 0)
		cnt++;
	return cnt;
}

/* ------- the turn ------- */

/* What nobody waits for any more is asked to end soon. */
static void cancel(struct loop *loop)
{
	if (!loop->cancel_wanted)
		return;
	loop->cancel_wanted = false;
	for (unsigned i = 0; i < loop->pool.used; i++) {
		struct command *command = command_at(&loop->pool, i);

		if (command->in_use && (loop->abandoned || command->aborted))
			io_cancel(command);
	}
}

/* Returns whether there was anything to do. */
static bool turn(struct loop *loop)
{
	unsigned work = 0, fetched = 0;

	pthread_mutex_lock(&loop->gate);
	take_orders(loop);
	work += copy_serve(loop);
	if (loop->attached)
		work += fetched = fetch(loop);
	if (loop->mode == LOOP_DRAINING)
		unpark(loop);
	work += loop->ended.first != NULL;
	complete_ended(loop);
	pthread_mutex_unlock(&loop->gate);

	cancel(loop);
	io_unblock(loop);
	work += io_start_ready(loop);
	if (loop->engine)
		aio_flush(loop->engine);
	work += io_reap(loop);
	work += peer_take_answers(loop->peer);
	erase_tell(loop);
	if (work)
		loop_waited(loop, fetched);
	access_tell(loop);
	return work > 0;
}

/* ------- the beginning and the end ------- */

static int watch(struct loop *loop, int fd, enum wake_source source)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = source};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What a dead daemon had fetched is answered BUSY by the kernel; initiators send it again. */
static int recover(struct loop *loop)
{
	int r = tcmu_configfs_action(&loop->setup.device, "block_dev", 1);

	if (r >= 0)
		r = tcmu_configfs_action(&loop->setup.device, "reset_ring", 1);
	return r == -ENOENT ? 0 : r; /* a kernel before 4.19 has neither */
}

/* False: it failed, which has been signalled, or the ring was revoked before it was there. */
static bool attach_ring(struct loop *loop)
{
	const char *what = NULL;
	int r = 0;

	pthread_mutex_lock(&loop->gate);
	if (loop->revoked) {
		pthread_mutex_unlock(&loop->gate);
		return false;
	}
	if ((r = tcmu_uio_open(&loop->uio, loop->setup.minor)) < 0)
		what = "its uio device cannot be opened";
	else if ((r = tcmu_uio_map(&loop->uio)) < 0)
		what = "its ring cannot be mapped";
	else if ((r = tcmu_ring_attach(&loop->ring, loop->uio.base, loop->uio.length)) < 0)
		what = "its ring is not one that this daemon understands";
	else if ((r = watch(loop, loop->uio.fd, WAKE_UIO)) < 0)
		what = "its uio device cannot be watched";
	else
		loop->attached = true;
	pthread_mutex_unlock(&loop->gate);
	if (what)
		broken(loop, r, what);
	return !what;
}

static void attach(struct loop *loop)
{
	bool recovered = loop->setup.start == LOOP_RECOVERED;
	int r = recovered ? recover(loop) : 0;

	if (r < 0) {
		broken(loop, r, "what the last daemon had begun cannot be reset");
		return;
	}
	if (!attach_ring(loop))
		return;
	if (recovered && (r = tcmu_configfs_action(&loop->setup.device, "block_dev", 0)) < 0 &&
	    r != -ENOENT) {
		broken(loop, r, "the kernel cannot be told to send commands again");
		return;
	}
	signal_owner(loop, LOOP_ATTACHED);
}

/* Unmap first, then close: some kernels free on close. */
static void let_go(struct loop *loop)
{
	pthread_mutex_lock(&loop->gate);
	loop->clean = !loop->revoked && !loop->broken && !loop->unregistered;
	loop->attached = false;
	tcmu_uio_unmap(&loop->uio);
	tcmu_uio_close(&loop->uio);
	pthread_mutex_unlock(&loop->gate);
}

/* After this no function of the handler runs any more, and none of ours that it has called. */
static void leave_backend(struct loop *loop)
{
	aio_engine_free(loop->engine);
	loop->engine = NULL;
	workers_free(loop->workers);
	loop->workers = NULL;
	/* Who is still within io_complete() waits for nothing but its turn on the processor. */
	while (atomic_load(&loop->completing))
		sched_yield();
}

static void *loop_main(void *arg)
{
	struct loop *loop = arg;
	char name[16];

	snprintf(name, sizeof(name), "io-%s", loop->setup.name);
	thread_set_name(name);
	thread_set_io_flusher();
	atomic_store(&loop->tid, gettid());
	stats_thread_begins(loop->setup.stats);
	attach(loop);
	while (loop->mode == LOOP_SERVING || loop->pool.in_use)
		if (!turn(loop) && (loop->mode == LOOP_SERVING || loop->pool.in_use))
			loop_wait(loop);
	leave_place(loop);
	peer_end(loop->peer);
	let_go(loop);
	leave_backend(loop);
	stats_thread_ends(loop->setup.stats);
	signal_owner(loop, LOOP_ENDED);
	return NULL;
}

static int make_backend_side(struct loop *loop)
{
	const struct loop_setup *setup = &loop->setup;
	unsigned limit;
	int r;

	if (setup->handler->threading == TCMU_HANDLER_ASYNC) {
		r = aio_engine_new(setup->aio, setup->depth, setup->name, &loop->engine);
		return r < 0 ? r : watch(loop, aio_engine_fd(loop->engine), WAKE_ENGINE);
	}
	limit = setup->handler->workers ? setup->handler->workers : WORKERS_PARALLEL;
	if (setup->handler->threading == TCMU_HANDLER_SERIAL)
		limit = 1;
	return workers_new(limit, setup->name, &loop->workers);
}

/* How many processors the thread may be put on: none, where the handler may start threads of its
 * own from it, which would be put there, too. */
static unsigned places(const struct loop_setup *setup)
{
	if (setup->handler->threading != TCMU_HANDLER_ASYNC ||
	    !(setup->handler->flags & TCMU_HANDLER_SYSCALLS_ONLY))
		return 0;
	return thread_places();
}

int loop_new(const struct loop_setup *setup, struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r = -ENOMEM;

	if (!loop)
		return -ENOMEM;
	loop->setup = *setup;
	loop->lu = setup->lu;
	if (loop->lu.max_copies > setup->depth / 2)
		loop->lu.max_copies = setup->depth / 2;
	loop->info = setup->info;
	poll_init(&loop->poll, setup->busy_poll, places(setup));
	atomic_init(&loop->place, -1);
	throttle_set(&loop->throttle, &setup->limits);
	loop->access = setup->access;
	loop->uio = (struct tcmu_uio) TCMU_UIO_INIT;
	pthread_mutex_init(&loop->gate, NULL);
	pthread_mutex_init(&loop->orders_lock, NULL);
	command_list_init(&loop->ready);
	command_list_init(&loop->blocked);
	command_list_init(&loop->parked);
	command_list_init(&loop->ended);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->data = memory_untouched(SCSI_DATA_MAX);
	if (loop->epoll_fd < 0 || loop->wake_fd < 0)
		r = -errno;
	else if (loop->data)
		r = command_pool_init(
			&loop->pool, loop, setup->depth, IOV_USUAL, setup->handler->io_priv_size);
	if (r >= 0)
		r = peer_new(loop, setup->lu.block_size, &loop->peer);
	if (r >= 0)
		r = watch(loop, loop->wake_fd, WAKE_OTHER);
	if (r >= 0)
		r = make_backend_side(loop);
	if (r >= 0)
		r = thread_start(NULL, loop_main, loop);
	if (r < 0) {
		loop_free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	leave_backend(loop);
	command_pool_destroy(&loop->pool);
	peer_unref(loop->peer);
	memory_give_back(loop->data, SCSI_DATA_MAX);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->gate);
	pthread_mutex_destroy(&loop->orders_lock);
	free(loop);
}

/* ------- from other threads ------- */

/* The bytes that I/O may still read: the data-out of every command that has not been completed.
 * What is looked at here changes under the gate only. */
static size_t bytes_in_use(struct loop *loop, struct iovec *keep, size_t max)
{
	size_t cnt = 0;

	for (unsigned i = 0; i < loop->pool.used; i++) {
		const struct command *command = command_at(&loop->pool, i);

		if (!command->in_use || command->internal || command->plan.op == SCSI_PLAN_READ)
			continue;
		for (uint32_t j = 0; j < command->iov_cnt; j++, cnt++)
			if (cnt < max)
				keep[cnt] = command->iov[j];
	}
	return cnt;
}

/* A backend that touches memory itself would crash on memory that is not accessible. */
static int replace_mapping(struct loop *loop)
{
	struct iovec *keep;
	size_t cnt;
	int r;

	if (!loop->uio.base)
		return 0;
	if (loop->setup.handler->flags & TCMU_HANDLER_SYSCALLS_ONLY)
		return tcmu_uio_replace_inaccessible(&loop->uio);
	cnt = bytes_in_use(loop, NULL, 0);
	keep = calloc(cnt + 1, sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	bytes_in_use(loop, keep, cnt);
	r = tcmu_uio_replace_private(&loop->uio, keep, cnt);
	free(keep);
	return r;
}

int loop_revoke(struct loop *loop)
{
	int r = 0;

	pthread_mutex_lock(&loop->gate);
	if (!loop->revoked)
		r = replace_mapping(loop);
	if (r >= 0) {
		loop->revoked = true;
		loop->attached = false;
		tcmu_uio_close(&loop->uio);
	}
	pthread_mutex_unlock(&loop->gate);
	loop_drain(loop, true);
	return r;
}

unsigned loop_requests(const struct loop *loop, struct stats_request *requests, unsigned max)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < loop->pool.count && cnt < max; i++)
		cnt += stats_flight_read(&command_at(&loop->pool, i)->flight, &requests[cnt]);
	return cnt;
}

unsigned loop_oldest(const struct loop *loop, struct stats_request *oldest)
{
	struct stats_request request;
	unsigned cnt = 0;

	for (unsigned i = 0; i < loop->pool.count; i++) {
		if (!stats_flight_read(&command_at(&loop->pool, i)->flight, &request))
			continue;
		if (!cnt++ || request.begun < oldest->begun)
			*oldest = request;
	}
	return cnt;
}

unsigned loop_in_flight(struct loop *loop)
{
	return atomic_load(&loop->in_flight);
}

bool loop_ended_clean(const struct loop *loop)
{
	return loop->clean;
}

int loop_error(const struct loop *loop, const char **text)
{
	*text = loop->error_text;
	return loop->error;
}
