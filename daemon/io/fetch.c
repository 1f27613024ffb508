/* SPDX-License-Identifier: Apache-2.0 */
/* See io/fetch.h. */
#include "io/fetch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/memory.h"

#define FETCH_MAX  128 /* commands of one iteration */
#define MARKS_SIZE ((UINT16_MAX + 1) * sizeof(uint64_t))

int fetch_init(
	struct fetch *fetch, struct core *core, struct dispatch *dispatch,
	void (*take_control)(struct core *core), atomic_bool *control_pending)
{
	assert(take_control && !fetch->marks);
	*fetch = (struct fetch){
		.core = core,
		.dispatch = dispatch,
		.take_control = take_control,
		.control_pending = control_pending,
		.marks = memory_map(MARKS_SIZE), /* untouched until there is a mark */
	};
	return fetch->marks ? 0 : -ENOMEM;
}

void fetch_destroy(struct fetch *fetch)
{
	assert(!fetch->core || core_current != fetch->core);
	memory_unmap(fetch->marks, MARKS_SIZE);
	fetch->marks = NULL;
}

/* ------- generations of the ring ------- */

static void fetch_set_stale(struct fetch *fetch)
{
	struct core *core = fetch->core;

	assert(core->ring_locked && core->ring_state == CORE_RING_ATTACHED);
	core->ring_state = CORE_RING_STALE;
	core->cancel_wanted = true;
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *command = command_at(core->pool, i);

		if (command->where != COMMAND_FREE && !command->internal)
			command->aborted = true;
	}
	core_signal(core, IO_SIGNAL_RING_RESET);
	dispatch_pending(fetch->dispatch);
}

bool fetch_check_ring(struct fetch *fetch)
{
	struct core *core = fetch->core;

	assert(core->ring_locked);
	if (core->ring_state != CORE_RING_ATTACHED)
		return false;
	if (tcmu_ring_check(&core->ring) == 0)
		return true;
	fetch_set_stale(fetch);
	return false;
}

/* Once no command that was fetched from the stale ring is left, nothing refers to its pages. */
static void fetch_report_idle(struct core *core)
{
	if (core->ring_state != CORE_RING_STALE || core->pool->in_use != core->pool->internal)
		return;
	core->ring_state = CORE_RING_IDLE;
	core_signal(core, IO_SIGNAL_RING_IDLE);
}

void fetch_reattach(struct fetch *fetch)
{
	struct core *core = fetch->core;

	assert(core->ring_locked);
	if (core->ring_state != CORE_RING_IDLE)
		return;
	assert(core->pool->in_use == core->pool->internal);
	fetch->position = fetch->marked_until; /* no mark holds any more */
	core_attach_again(core);
}

/* ------- task management functions ------- */

/* The distance in bytes from one position of the ring to a later one. */
static uint32_t fetch_distance(const struct tcmu_ring *ring, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : ring->cmdr_size - from + to;
}

/* Ends the command soon if it is here. False: it is not. */
static bool fetch_abort_command(struct core *core, uint16_t id)
{
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *command = command_at(core->pool, i);

		if (command->where == COMMAND_FREE || command->internal || command->cmd_id != id)
			continue;
		command->aborted = true;
		core->cancel_wanted = true;
		return true;
	}
	return false;
}

/* The function may have been read before the command that it names. */
static void fetch_mark(struct fetch *fetch, uint16_t id)
{
	const struct tcmu_ring *ring = &fetch->core->ring;
	uint32_t ahead = fetch_distance(ring, ring->next, ring->scanned);

	if (!ahead) /* it has ended already */
		return;
	fetch->marked_until = fetch->position + ahead;
	fetch->marks[id] = fetch->marked_until;
	assert(fetch->position < fetch->marked_until);
}

/* The ring was read from the position before up to its next entry. Returns whether the command that
 * was fetched, if any, is marked: whether it ends before the function that named it. */
static bool fetch_pass(struct fetch *fetch, const struct tcmu_entry *entry, int r, uint32_t before)
{
	const struct tcmu_ring *ring = &fetch->core->ring;

	assert(fetch->position < fetch->marked_until);
	fetch->position += fetch_distance(ring, before, ring->next);
	return r > 0 && entry->kind == TCMU_ENTRY_COMMAND &&
		fetch->marks[entry->cmd_id] >= fetch->position;
}

/* The commands that a task management function names are to end soon, and are completed as usual.
 * Where an initiator may take a command for done that a LUN RESET aborts, it is carried out. */
static void fetch_abort_tasks(struct fetch *fetch, const struct tcmu_entry *entry)
{
	if (entry->tmr_type != TCMU_TMR_TYPE_ABORT_TASK && !fetch->core->lu.ports.reset_cancels)
		return;
	for (uint32_t i = 0; i < entry->tmr_count; i++) {
		uint16_t id = tcmu_entry_tmr_id(entry, i);

		if (!fetch_abort_command(fetch->core, id))
			fetch_mark(fetch, id);
	}
}

/* Handles an entry that is no command, or an error of the ring. Returns whether there was anything.
 */
static bool fetch_take_entry(struct fetch *fetch, const struct tcmu_entry *entry, int r)
{
	assert(r <= 0 || entry->kind == TCMU_ENTRY_TMR);
	if (r == -EBADMSG)
		core_break_ring(fetch->core, r, "the kernel's next entry is corrupt");
	else if (r == -ESTALE)
		fetch_set_stale(fetch);
	else if (r > 0)
		fetch_abort_tasks(fetch, entry);
	return r > 0;
}

/* No slot is free: commands stay in the ring, functions do not. */
static bool fetch_function(struct fetch *fetch)
{
	struct tcmu_entry entry;
	int r = tcmu_ring_next_tmr(&fetch->core->ring, &entry);

	return fetch_take_entry(fetch, &entry, r);
}

/* ------- commands ------- */

/* A command or a function was fetched; false: nothing is there, or no slot is free. */
static bool fetch_one(struct fetch *fetch, uint64_t *now)
{
	struct core *core = fetch->core;
	const struct io_thread_setup *setup = &core->setup;
	struct command *command = command_get(core->pool, false);
	uint32_t before = core->ring.next;
	struct tcmu_entry entry;
	bool marked = false;
	int r;

	if (!command)
		return fetch_function(fetch);
	r = tcmu_ring_next(&core->ring, &entry, command->iov, command->iov_max);
	if (r == -ENOBUFS && command_grow_iov(command, entry.iov_cnt) == 0)
		r = tcmu_ring_next(&core->ring, &entry, command->iov, command->iov_max);
	if (fetch->position < fetch->marked_until)
		marked = fetch_pass(fetch, &entry, r, before);
	if (r <= 0 || entry.kind == TCMU_ENTRY_TMR) {
		command_put_unused(core->pool, command);
		return fetch_take_entry(fetch, &entry, r);
	}

	/* Control requests that were posted before the command was sent are in force when it is
	 * decided. */
	if (atomic_load(fetch->control_pending))
		fetch->take_control(core);
	assert(entry.iov_cnt <= command->iov_max);
	command->cmd_id = entry.cmd_id;
	command->cdb_length = entry.cdb_length;
	memcpy(command->cdb, entry.cdb, sizeof(command->cdb));
	command->iov_cnt = entry.iov_cnt;
	command->data_length = entry.data_length;
	command->late = core->ring_late;
	command->generation = core->permission_generation;
	stats_begin(setup->stats, &command->flight, now, command->cdb, command->data_length);
	if (setup->tracing && atomic_load_explicit(setup->tracing, memory_order_relaxed))
		setup->trace(
			setup->userdata, command->cdb, command->cdb_length, command->data_length);
	if (marked)
		command_end(command, SCSI_TASK_ABORTED, NULL);
	else
		dispatch_command(fetch->dispatch, command);
	return true;
}

unsigned fetch_batch(struct fetch *fetch, uint64_t *now)
{
	struct core *core = fetch->core;
	unsigned cnt = 0;

	fetch_report_idle(core);
	while (cnt < FETCH_MAX && core->service == CORE_SERVING &&
	       core->ring_state == CORE_RING_ATTACHED && tcmu_ring_pending(&core->ring) &&
	       fetch_one(fetch, now))
		cnt++;
	/* Later commands have not waited for a slot. */
	if (core->ring_late && cnt < FETCH_MAX && command_available(core->pool))
		core->ring_late = false;
	return cnt;
}

/* A function that comes while no slot is free is notified by epoll. */
bool fetch_has_work(const struct fetch *fetch)
{
	const struct core *core = fetch->core;

	if (core->service != CORE_SERVING)
		return false;
	if (core->ring_state == CORE_RING_STALE)
		return core->pool->in_use == core->pool->internal;
	return core->ring_state == CORE_RING_ATTACHED && command_available(core->pool) &&
		tcmu_ring_pending(&core->ring);
}

/* ------- answers ------- */

bool fetch_answer(struct fetch *fetch, struct command *command)
{
	struct core *core = fetch->core;
	struct tcmu_completion completion;
	int r;

	assert(core->ring_locked && command->where == COMMAND_HELD);
	if (command->internal || core->ring_state != CORE_RING_ATTACHED)
		return false;
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
	if (r == -ESTALE)
		fetch_set_stale(fetch);
	else if (r < 0)
		core_break_ring(core, r, "the entry at the ring's tail is corrupt");
	return r >= 0;
}

void fetch_publish(struct fetch *fetch)
{
	struct core *core = fetch->core;

	if (core->ring_state != CORE_RING_ATTACHED)
		return;
	if (tcmu_ring_publish(&core->ring) == -ESTALE)
		fetch_set_stale(fetch);
	else if (tcmu_uio_doorbell(&core->uio) < 0)
		core_set_unregistered(core);
}
