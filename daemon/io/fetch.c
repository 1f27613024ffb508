/* SPDX-License-Identifier: Apache-2.0 */
/* See io/fetch.h. */
#include "io/fetch.h"

#include <assert.h>
#include <errno.h>
#include <scsi/pieces.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "io/exec.h"

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

	assert(core->ring_locked);
	assert(core->ring_state == CORE_RING_ATTACHED || core->ring_state == CORE_RING_RECOVERED);
	core->ring_state = CORE_RING_STALE;
	core->cancel_wanted = true;
	for (unsigned i = 0; i < core->pool->used; i++) {
		struct command *command = command_at(core->pool, i);

		if (command->where == COMMAND_FREE || command->internal)
			continue;
		/* An xcopy of another device may write the blocks from now on. */
		command->aborted = true;
		command->late |= command->writes_range;
		core->late |= command->late;
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
	if (entry->tmr_type != TCMU_TMR_TYPE_ABORT_TASK &&
	    !fetch->core->setup.lu.ports.reset_cancels)
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
	if (marked || core->ring_refused)
		command_end(command, marked ? SCSI_TASK_ABORTED : SCSI_BUSY, NULL);
	else
		dispatch_command(fetch->dispatch, command);
	return true;
}

unsigned fetch_batch(struct fetch *fetch, uint64_t *now)
{
	struct core *core = fetch->core;
	uint32_t before = core->ring.next;
	unsigned cnt = 0;

	fetch_report_idle(core);
	while (cnt < FETCH_MAX && core->service == CORE_SERVING &&
	       core->ring_state == CORE_RING_ATTACHED && tcmu_ring_pending(&core->ring) &&
	       fetch_one(fetch, now))
		cnt++;
	core->ring_read += fetch_distance(&core->ring, before, core->ring.next);
	/* Later commands have not waited for a slot. */
	if (core->ring_late && cnt < FETCH_MAX && command_available(core->pool))
		core->ring_late = core->ring_refused = false;
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

/* For kernels that take no read length. */
__attribute__((noinline)) static void fetch_zero_rest(const struct command *command)
{
	assert(command->data_in < command->data_length);
	scsi_pieces_zero(command->iov, command->iov_cnt, command->data_in);
}

/* The kernel does not know which bytes of the pages a command has filled. It copies all of them to
 * an initiator that has declared data-in, whatever the operation and the status are; the rest are
 * bytes of earlier commands. A read length limits that. To the kernel the read length 0 means all
 * bytes, so one zero is sent where there are none. With CHECK CONDITION, and no read length, it
 * copies nothing. */
static void fetch_limit_data_in(
	const struct core *core, const struct command *command, struct tcmu_completion *completion)
{
	const struct iovec *iov = command->iov;

	if (completion->status == SCSI_CHECK_CONDITION)
		return;
	if (!(core->ring.features & TCMU_RING_READ_LEN)) {
		fetch_zero_rest(command);
		return;
	}
	completion->has_read_len = true;
	completion->read_len = command->data_in;
	if (command->data_in)
		return;
	while (!iov->iov_len) /* one is longer, as data_length is */
		iov++;
	*(uint8_t *) iov->iov_base = 0;
	completion->read_len = 1;
}

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
		.sense = command->sense,
	};
	if (command->data_in < command->data_length)
		fetch_limit_data_in(core, command, &completion);
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
	struct notes *notes = core->setup.notes;
	bool noted = notes && notes->in_use;

	if (core->ring_state != CORE_RING_ATTACHED && core->ring_state != CORE_RING_RECOVERED)
		return;
	if (noted && tcmu_ring_mark(&core->ring) == 0)
		notes_publish(notes, core->ring.published, core->ring.tail);
	if (tcmu_ring_publish(&core->ring) == -ESTALE)
		fetch_set_stale(fetch);
	else if (tcmu_uio_doorbell(&core->uio) < 0)
		core_set_unregistered(core);
	if (noted)
		notes_published(notes, core->ring.published);
}

/* ------- notes ------- */

/* For the log. */
static const char *fetch_label(const struct core *core, char *label, size_t size)
{
	(void) snprintf(label, size, "user_%u/%s", core->setup.device.hba, core->setup.device.name);
	return label;
}

/* Puts the answer of a noted command into the ring. It has no data-in: as in
 * fetch_limit_data_in(), the kernel returns a byte of the pages at most. */
static int fetch_answer_note(struct core *core, struct note *note)
{
	bool good = atomic_load(&note->state) == NOTE_ANSWERED;
	struct scsi_plan plan = {.op = SCSI_PLAN_COMPARE_AND_WRITE};
	struct scsi_result result = {.status = SCSI_GOOD};
	uint8_t sense[TCMU_SENSE_MAX];
	int r;

	assert(core->ring_locked && core->ring_state == CORE_RING_RECOVERED);
	if (!good)
		scsi_io_error(&plan, -ENOTRECOVERABLE, 0, 0, &result);
	scsi_sense_encode(&core->setup.lu, &result.sense, sense);
	r = tcmu_ring_complete(
		&core->ring,
		&(struct tcmu_completion){
			.cmd_id = note->cmd_id,
			.status = result.status,
			.has_read_len = true,
			.read_len = 1,
			.sense = sense});
	if (r == 0 && !good)
		notes_answer_unknown(core->setup.notes, note);
	return r;
}

/* All writes have ended. Where one has failed, its initiator learns that the outcome is unknown.
 * While the device ends, it learns nothing: the note stays for its next opening. Returns how many
 * stay. */
static unsigned fetch_answer_notes(struct fetch *fetch)
{
	struct core *core = fetch->core;
	struct notes *notes = core->setup.notes;
	char label[sizeof(core->setup.device.name) + 16];
	unsigned good = 0, unknown = 0, kept = 0;
	struct note *note = NULL;
	int r = 0;

	while (r == 0 && (note = notes_next(notes, note))) {
		bool written = atomic_load(&note->state) == NOTE_ANSWERED;

		if (!written && core->service != CORE_SERVING) {
			kept++;
			continue;
		}
		r = fetch_answer_note(core, note);
		good += r == 0 && written;
		unknown += r == 0 && !written;
	}
	fetch_publish(fetch); /* also what was published without a doorbell */
	if (!kept || core->ring_state != CORE_RING_RECOVERED)
		notes_drop_all(notes);
	(void) fetch_label(core, label, sizeof(label));
	if (good)
		log_dev_info(
			label, "%u COMPARE AND WRITEs that were carried out before are answered",
			good);
	if (unknown)
		log_dev_warning(
			label,
			"%u COMPARE AND WRITEs that had begun before cannot be finished: "
			"the answer is that the outcome is unknown, so initiators must read the "
			"blocks",
			unknown);
	return kept;
}

static void fetch_redo_ended(struct fetch *fetch)
{
	struct core *core = fetch->core;

	assert(fetch->redos > 0);
	if (--fetch->redos || core->ring_state != CORE_RING_RECOVERED)
		return;
	if (!fetch_answer_notes(fetch) && core->ring_state == CORE_RING_RECOVERED)
		fetch_set_stale(fetch);
}

/* What a note says fits the device and the ring. */
static bool fetch_note_fits(const struct core *core, const struct note *note)
{
	const struct tcmu_ring *ring = &core->ring;
	uint64_t data_area = (uint64_t) ring->cmdr_off + ring->cmdr_size;
	uint64_t size = core->setup.lu.blocks * core->setup.lu.block_size;
	uint64_t length = 0;

	for (unsigned i = 0; i < note->extent_cnt; i++) {
		if (note->data_offset[i] < data_area || note->data_offset[i] > ring->length ||
		    note->data_length[i] > ring->length - note->data_offset[i])
			return false;
		length += note->data_length[i];
	}
	return length == note->length && note->offset % core->setup.lu.block_size == 0 &&
		length % core->setup.lu.block_size == 0 && note->offset < size &&
		length <= size - note->offset;
}

/* Writes the data again, to stable storage. Where this is not possible, it has failed. */
static void fetch_redo(struct fetch *fetch, struct note *note)
{
	struct core *core = fetch->core;
	struct command *command;

	if (!fetch_note_fits(core, note) || !(command = command_get(core->pool, true)))
		return;
	assert(note->extent_cnt <= command->iov_max);
	command->iov_cnt = note->extent_cnt;
	command->data_length = note->length;
	for (unsigned i = 0; i < note->extent_cnt; i++)
		command->iov[i] = (struct iovec){
			.iov_base = core->ring.base + note->data_offset[i],
			.iov_len = note->data_length[i]};
	command->plan = (struct scsi_plan){
		.op = SCSI_PLAN_WRITE,
		.flags = SCSI_PLAN_FUA,
		.lba = note->offset / core->setup.lu.block_size,
		.blocks = note->length / core->setup.lu.block_size,
	};
	command->note = note;
	command->exclusive = true;
	fetch->redos++;
	if (exec_prepare(command))
		command_ready(command);
}

/* Whether the kernel waits for the command although it is not answered. */
static bool fetch_is_owed(const struct core *core)
{
	return core->ring_state == CORE_RING_BROKEN || core->ring_state == CORE_RING_REVOKED;
}

void fetch_end_note(struct fetch *fetch, struct command *command, bool answered)
{
	struct core *core = fetch->core;
	struct notes *notes = core->setup.notes;
	struct note *note = command->note;

	assert(core->ring_locked && note);
	command->note = NULL;
	if (command->internal) {
		if (command->status == SCSI_GOOD)
			notes_answer(notes, note);
		fetch_redo_ended(fetch);
	} else if (command->status == SCSI_BUSY || (!answered && !fetch_is_owed(core)))
		notes_drop(notes, note); /* refused, or the kernel has answered it */
	else if (answered && command->status == SCSI_GOOD)
		notes_answer(notes, note);
	else if (answered)
		notes_answer_unknown(notes, note);
}

void fetch_recover(struct fetch *fetch)
{
	struct core *core = fetch->core;
	struct notes *notes = core->setup.notes;
	struct note *note = NULL;

	core_lock_ring(core);
	if (core->ring_state == CORE_RING_RECOVERED) {
		fetch->redos = 1;
		notes_resume(notes);
		while ((note = notes_next(notes, note)))
			if (atomic_load(&note->state) == NOTE_WRITING)
				fetch_redo(fetch, note);
		fetch_redo_ended(fetch);
	}
	core_unlock_ring(core);
}
