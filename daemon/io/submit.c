/* SPDX-License-Identifier: Apache-2.0 */
/* See io/submit.h. */
#include "io/submit.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/param.h>

#include "base/iovec.h"

#define WORKERS_PARALLEL 16

int submit_init(struct submit *submit, struct core *core)
{
	const struct io_thread_setup *setup = &core->setup;
	unsigned limit;
	int r;

	assert(!submit->engine && !submit->workers);
	submit->core = core;
	submit->permission = setup->permission;
	submit->all_generation = setup->permission == IO_PERMIT_ALL ? 0 : ~0u;
	list_init(&submit->completed);
	core->submit = submit;
	core->flat = setup->handler->flags & TCMU_HANDLER_FLAT;
	core->joins = core->flat || (setup->handler->flags & TCMU_HANDLER_JOINED);
	if (setup->handler->threading == TCMU_HANDLER_ASYNC) {
		r = aio_engine_new(setup->aio, setup->depth, setup->name, &submit->engine);
		return r < 0
			? r
			: wait_watch(&core->wait, aio_engine_fd(submit->engine), WAIT_SOURCE_AIO);
	}
	limit = setup->handler->workers ? setup->handler->workers : WORKERS_PARALLEL;
	if (setup->handler->threading == TCMU_HANDLER_SERIAL)
		limit = 1;
	return workers_new(limit, setup->name, &submit->workers);
}

void submit_destroy(struct submit *submit)
{
	assert(atomic_load(&submit->in_flight) == 0);
	aio_engine_free(submit->engine);
	submit->engine = NULL;
	workers_free(submit->workers);
	submit->workers = NULL;
	/* A thread that is still within submit_complete() needs only CPU time to leave it. */
	while (atomic_load(&submit->completing))
		sched_yield();
	assert(list_is_empty(&submit->completed) && mpsc_is_empty(&submit->completed_elsewhere));
}

/* ------- one request ------- */

static void submit_on_worker(struct work *work)
{
	struct command *command = container_of(work, struct command, work);
	const struct io_thread_setup *setup = &command->core->setup;
	struct submit *submit = command->core->submit;

	assert(core_current == NULL);
	atomic_fetch_add(&submit->inside, 1);
	setup->handler->submit(setup->backend, &command->io);
	/* The command may have ended meanwhile. The backend must not be closed before this. */
	if (atomic_fetch_sub(&submit->inside, 1) == 1 && atomic_load(&submit->idle_wanted))
		wait_wake(&submit->core->wait);
}

bool submit_handler_can(const struct core *core, enum tcmu_io_op op)
{
	return core->info.caps & TCMU_IO_CAP(op);
}

/* If not, the device is asked for the lock that allows it. */
static bool submit_is_permitted(const struct command *command, enum tcmu_io_op op)
{
	const struct submit *submit = command->core->submit;
	bool reads = (op == TCMU_IO_READ || op == TCMU_IO_MAP) && !command->writes_range;
	bool current = command->generation == submit->core->permission_generation;

	assert(submit->permission <= IO_PERMIT_NONE);
	if (submit->permission == IO_PERMIT_ALL ? reads || current
						: submit->permission == IO_PERMIT_READS && reads)
		return true;
	if (current)
		core_signal(submit->core, IO_SIGNAL_WANTS_LOCK);
	return false;
}

/* Whether another request of the command may go to the handler. If not, the command has ended, or
 * step was called. */
static bool submit_may_begin(struct command *command, enum tcmu_io_op op, command_step *step)
{
	struct core *core = command->core;
	struct submit *submit = core->submit;

	assert(core_current == core && !core->ring_locked);
	assert(command->where == COMMAND_HELD && step);
	assert(atomic_load_explicit(&command->phase, memory_order_relaxed) == COMMAND_IDLE);
	if (core->service >= CORE_ABANDONED || command->aborted) {
		command_end_failed_at(command, -ECANCELED, command->plan.lba, 0);
		return false;
	}
	if (command->generation != submit->all_generation && !submit_is_permitted(command, op)) {
		step(command, -EBUSY);
		return false;
	}
	return true;
}

static void submit_begin(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, struct iovec *iov, unsigned iov_cnt, command_step *step)
{
	struct core *core = command->core;
	struct submit *submit = core->submit;

	command->step = step;
	command->io.op = op;
	command->io.flags = flags;
	command->io.offset = offset;
	command->io.length = length;
	command->io.iov = iov;
	command->io.iov_cnt = iov_cnt;
	command->io.result = offset;
	command->io.result_flags = 0;
	command->io.host = core->setup.host;
	command->io.dev = core->setup.host_device;
	command->io_error = 0;
	atomic_store_explicit(&command->phase, COMMAND_SUBMITTED, memory_order_release);
	atomic_fetch_add_explicit(&submit->in_flight, 1, memory_order_relaxed);

	if (submit->workers) {
		command->work.run = submit_on_worker;
		workers_queue(submit->workers, &command->work);
	} else {
		core->setup.handler->submit(core->setup.backend, &command->io);
	}
}

/* ------- a request in pieces ------- */

/* The next length bytes of the buffer. The handler may change the entries that it gets, so what is
 * left of the last one is kept. Returns how many entries they are, from *iov on. */
static unsigned cut_take(struct command *command, uint64_t length, struct iovec **iov)
{
	struct command_cut *cut = &command->cut;
	unsigned cnt = 0;

	if (!cut->iov_cnt)
		return 0;
	*iov = &command->io_iov[cut->iov_at];
	**iov = cut->next;
	for (; length; cnt++) {
		struct iovec *entry = *iov + cnt;
		size_t part = MIN(entry->iov_len, length);

		assert(cut->iov_at + cnt < cut->iov_cnt);
		cut->next = (struct iovec){
			.iov_base = (char *) entry->iov_base + part,
			.iov_len = entry->iov_len - part};
		entry->iov_len = part;
		length -= part;
	}
	cut->iov_at += cut->next.iov_len ? cnt - 1 : cnt;
	if (!cut->next.iov_len && cut->iov_at < cut->iov_cnt)
		cut->next = command->io_iov[cut->iov_at];
	return cnt;
}

static void submit_piece(struct command *command, enum tcmu_io_op op, uint32_t flags);

static void submit_step_piece(struct command *command, int error)
{
	struct command_cut *cut = &command->cut;
	struct tcmu_io *io = &command->io;

	io->offset = cut->offset;
	io->length = cut->length;
	if (error || cut->done == cut->length)
		cut->step(command, error);
	else if (submit_may_begin(command, io->op, cut->step))
		submit_piece(command, io->op, io->flags);
}

/* The rest, or the most that the backend takes, in whole physical blocks. */
static uint64_t cut_length(const struct command *command, enum tcmu_io_op op)
{
	uint64_t most = core_most_at_once(command->core, op);
	const struct scsi_lu *lu = &command->core->setup.lu;
	uint64_t physical = (uint64_t) lu->block_size << lu->physical_exponent;
	uint64_t left = command->cut.length - command->cut.done;

	if (left <= most)
		return left;
	return physical <= most ? most - most % physical : most;
}

static void submit_piece(struct command *command, enum tcmu_io_op op, uint32_t flags)
{
	struct command_cut *cut = &command->cut;
	uint64_t offset = cut->offset + cut->done, length = cut_length(command, op);
	struct iovec *iov = command->io_iov;
	unsigned iov_cnt;

	iov_cnt = cut_take(command, length, &iov);
	cut->done += length;
	submit_begin(command, op, flags, offset, length, iov, iov_cnt, submit_step_piece);
}

static void submit_cut(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, unsigned iov_cnt, command_step *step)
{
	command->cut = (struct command_cut){
		.offset = offset, .length = length, .iov_cnt = iov_cnt, .step = step};
	if (iov_cnt)
		command->cut.next = command->io_iov[0];
	/* A backend has said what it writes whole, and now takes less. */
	if (flags & TCMU_IO_ATOMIC)
		step(command, -EIO);
	else
		submit_piece(command, op, flags);
}

void submit_io(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset,
	uint64_t length, unsigned iov_cnt, command_step *step)
{
	assert(iov_cnt <= command->iov_max);
	if (!submit_may_begin(command, op, step))
		return;
	if (length > command->core->most_at_once && length > core_most_at_once(command->core, op))
		submit_cut(command, op, flags, offset, length, iov_cnt, step);
	else
		submit_begin(command, op, flags, offset, length, command->io_iov, iov_cnt, step);
}

/* The pieces of data bytes of the ring, in io_iov. Returns how many. */
static inline unsigned submit_take_ring(struct command *command, uint64_t data)
{
	struct iovec *out = command->io_iov;
	unsigned cnt = 0;

	for (; cnt < command->iov_cnt && data; cnt++) {
		out[cnt] = command->iov[cnt];
		if (out[cnt].iov_len > data)
			out[cnt].iov_len = data;
		data -= out[cnt].iov_len;
	}
	return cnt;
}

static __attribute__((noinline)) void submit_ring_joined(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, command_step *step)
{
	unsigned cnt = submit_take_ring(command, data);

	assert(command->core->joins);
	submit_io(command, op, flags, offset, length, iovec_join(command->io_iov, cnt), step);
}

void submit_ring(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, uint64_t data,
	uint64_t length, command_step *step)
{
	if (command->core->joins)
		submit_ring_joined(command, op, flags, offset, data, length, step);
	else
		submit_io(
			command, op, flags, offset, length, submit_take_ring(command, data), step);
}

void submit_buffer(
	struct command *command, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length, command_step *step)
{
	assert(buffer && length);
	command->io_iov[0] = (struct iovec){.iov_base = buffer, .iov_len = length};
	submit_io(command, op, flags, offset, length, 1, step);
}

void submit_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	struct command *command = container_of(io, struct command, io);

	assert(core_current == command->core);
	aio_queue(command->core->submit->engine, io, aio);
}

/* ------- its end ------- */

void submit_complete(struct tcmu_io *io, int error)
{
	struct command *command = container_of(io, struct command, io);
	struct submit *submit = command->core->submit;
	enum command_phase expected = COMMAND_SUBMITTED;

	/* A second completion of the same request is the handler's mistake and changes nothing. */
	if (!atomic_compare_exchange_strong(&command->phase, &expected, COMMAND_COMPLETED))
		return;
	command->io_error = error;
	if (core_current == submit->core) {
		list_append(&submit->completed, &command->node);
		return;
	}
	/* Once it is pushed the command may end, and the I/O thread with it; `completing` keeps it
	 * until this function has left it. */
	atomic_fetch_add(&submit->completing, 1);
	mpsc_push(&submit->completed_elsewhere, &command->completed_node);
	wait_wake(&submit->core->wait);
	atomic_fetch_sub(&submit->completing, 1);
}

/* One pass: a request that a step completes at once is the next iteration's, so that a long
 * operation holds nothing up. */
static unsigned submit_run_completed(struct submit *submit)
{
	struct mpsc_node *elsewhere = mpsc_take_all(&submit->completed_elsewhere);
	struct list completed;
	struct list_node *node;
	unsigned cnt = 0;

	for (; elsewhere; elsewhere = elsewhere->next)
		list_append(
			&submit->completed,
			&container_of(elsewhere, struct command, completed_node)->node);
	list_move(&submit->completed, &completed);
	for (; (node = list_take(&completed)); cnt++) {
		struct command *command = container_of(node, struct command, node);

		assert(atomic_load_explicit(&command->phase, memory_order_relaxed) ==
		       COMMAND_COMPLETED);
		assert(command->where == COMMAND_HELD);
		atomic_store_explicit(&command->phase, COMMAND_IDLE, memory_order_relaxed);
		atomic_fetch_sub_explicit(&submit->in_flight, 1, memory_order_relaxed);
		command->step(command, command->io_error);
	}
	return cnt;
}

unsigned submit_reap(struct submit *submit)
{
	unsigned cnt = 0;

	assert(core_current == submit->core && !submit->core->ring_locked);
	if (submit->engine) {
		aio_flush(submit->engine);
		cnt = aio_reap(submit->engine);
	}
	return cnt + submit_run_completed(submit);
}

bool submit_has_completed(const struct submit *submit, bool others_only)
{
	return !list_is_empty(&submit->completed) || !mpsc_is_empty(&submit->completed_elsewhere) ||
		(!others_only && submit->engine && aio_ready(submit->engine));
}

void submit_cancel(struct command *command)
{
	const struct io_thread_setup *setup = &command->core->setup;
	struct submit *submit = command->core->submit;

	assert(core_current == submit->core && !submit->core->ring_locked);
	if (atomic_load_explicit(&command->phase, memory_order_acquire) != COMMAND_SUBMITTED)
		return;
	if (submit->workers && workers_cancel(submit->workers, &command->work) == 0) {
		submit_complete(&command->io, -ECANCELED);
		return;
	}
	if (submit->engine)
		aio_cancel(submit->engine, &command->io);
	if (setup->handler->cancel)
		setup->handler->cancel(setup->backend, &command->io);
}

/* ------- permission ------- */

void submit_set_permission(
	struct submit *submit, enum io_permission permission, uint8_t not_ready,
	unsigned generation)
{
	assert(core_current == submit->core && permission <= IO_PERMIT_NONE);
	assert(generation != submit->core->permission_generation);
	submit->permission = permission;
	submit->core->permission_generation = generation;
	submit->all_generation = permission == IO_PERMIT_ALL ? generation : ~generation;
	atomic_store(&submit->idle_wanted, permission == IO_PERMIT_NONE);
	submit->core->setup.lu.not_ready = not_ready;
}

void submit_set_backend(struct submit *submit, void *backend, const struct tcmu_backend_info *info)
{
	assert(core_current == submit->core && atomic_load(&submit->in_flight) == 0);
	submit->core->setup.backend = backend;
	core_set_info(submit->core, info);
}

/* A worker enters the handler while its request is in flight, so that is read first. */
bool submit_becomes_idle(const struct submit *submit)
{
	assert(core_current == submit->core);
	return atomic_load(&submit->idle_wanted) && !atomic_load(&submit->in_flight) &&
		!atomic_load(&submit->inside);
}

void submit_report(struct submit *submit)
{
	if (!submit_becomes_idle(submit))
		return;
	assert(submit->permission == IO_PERMIT_NONE);
	atomic_store(&submit->idle_wanted, false);
	atomic_store(&submit->idle_generation, submit->core->permission_generation);
	core_signal(submit->core, IO_SIGNAL_IDLE);
}
