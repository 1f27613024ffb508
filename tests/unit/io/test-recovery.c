/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O thread takes over from a daemon that was killed while a COMPARE AND WRITE was in flight.
 * An initiator that gets BUSY sends it again. However far it was: it must be carried out once, and
 * never miscompare.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcmu/configfs.h>
#include <unistd.h>

#include "temp-dir.h"

#define IOV_MAX_OF_ENTRY 64
#define LBA              3

/* The next thing that the daemon would have done. */
enum crash {
	CRASH_FETCHED,
	CRASH_NOTED,
	CRASH_TORN,
	CRASH_WRITTEN,
	CRASH_ANSWER_PUT,
	CRASH_ANSWERED,
	CRASH_PUBLISHING,
	CRASH_PUBLISHED,
	CRASH_NOTIFIED,
	CRASH_FORGOTTEN,
	CRASH_COUNT,
};

struct recovery {
	struct io_fixture fixture;
	struct tcmu_ring ring; /* the dead daemon's */
	struct notes *notes;   /* likewise */
	struct note *note;
	uint16_t cmd_id;
	uint8_t data[2 * FIXTURE_BLOCK];
	char path[64];
};

static char directory[] = "/tmp/recovery-XXXXXX";

static int group_setup(void **state)
{
	(void) state;
	temp_dir_make(directory);
	return 0;
}

static int group_teardown(void **state)
{
	(void) state;
	temp_dir_remove(directory);
	return 0;
}

static int recovery_setup(void **state)
{
	static struct recovery recovery;
	struct recovery *r = &recovery;

	memset(r, 0, sizeof(*r));
	(void) snprintf(r->path, sizeof(r->path), "%s/notes", directory);
	(void) unlink(r->path);
	assert_int_equal(notes_open(r->path, "me", &r->notes), 0);
	*state = r;
	return 0;
}

static int recovery_teardown(void **state)
{
	struct recovery *r = *state;

	if (r->notes != r->fixture.setup.notes)
		notes_close(r->notes);
	notes_close(r->fixture.setup.notes);
	return 0;
}

/* ------- the dead daemon ------- */

static void dead_begins(struct recovery *r, const struct io_fixture_options *options)
{
	struct fake_ring *fake;

	io_fixture_init(&r->fixture, options);
	fake = fake_uio_lock(r->fixture.uio);
	assert_int_equal(
		tcmu_ring_attach(&r->ring, fake_ring_base(fake), fake_ring_length(fake)), 0);
	fake_uio_unlock(r->fixture.uio);
	fill_pattern(r->data, sizeof(r->data), 1);
	memcpy(io_fixture_store_at(&r->fixture, LBA), r->data, FIXTURE_BLOCK);
}

static uint16_t dead_fetches(
	struct recovery *r, struct initiator_command *command, struct tcmu_entry *entry,
	struct iovec *iov)
{
	initiator_send(&r->fixture, command);
	assert_int_equal(tcmu_ring_next(&r->ring, entry, iov, IOV_MAX_OF_ENTRY), 1);
	assert_int_equal(entry->kind, TCMU_ENTRY_COMMAND);
	return entry->cmd_id;
}

static void dead_completes(struct recovery *r, uint16_t cmd_id)
{
	struct tcmu_completion good = {.cmd_id = cmd_id};

	assert_int_equal(tcmu_ring_complete(&r->ring, &good), 0);
}

static void dead_notifies(struct recovery *r)
{
	struct tcmu_uio uio;

	assert_int_equal(tcmu_uio_open(&uio, r->fixture.setup.minor), 0);
	assert_int_equal(tcmu_uio_doorbell(&uio), 0);
	tcmu_uio_close(&uio);
}

/* Publishes as the daemon does, or a part of it. */
static void dead_publishes(struct recovery *r, enum crash crash)
{
	assert_int_equal(tcmu_ring_mark(&r->ring), 0);
	if (r->notes->in_use)
		notes_publish(r->notes, r->ring.published, r->ring.tail);
	if (crash <= CRASH_PUBLISHING)
		return;
	assert_int_equal(tcmu_ring_publish(&r->ring), 0);
	if (crash <= CRASH_PUBLISHED)
		return;
	dead_notifies(r);
	if (crash > CRASH_NOTIFIED && r->notes->in_use)
		notes_published(r->notes, r->ring.published);
}

/* Serves a read, so that the ring's tail moves. */
static void dead_serves_read(struct recovery *r)
{
	struct iovec iov[IOV_MAX_OF_ENTRY];
	struct tcmu_entry entry;
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);

	dead_completes(r, dead_fetches(r, &read, &entry, iov));
	dead_publishes(r, CRASH_COUNT);
	initiator_wait_status(&read, SCSI_GOOD);
}

static void dead_compares_and_writes(
	struct recovery *r, struct initiator_command *command, enum crash crash)
{
	uint8_t *stored = io_fixture_store_at(&r->fixture, LBA);
	struct iovec iov[IOV_MAX_OF_ENTRY];
	struct tcmu_entry entry;

	r->cmd_id = dead_fetches(r, command, &entry, iov);
	if (crash >= CRASH_NOTED) {
		assert_int_equal(tcmu_ring_mark(&r->ring), 0);
		r->note = notes_begin(
			r->notes, r->cmd_id, LBA * FIXTURE_BLOCK, FIXTURE_BLOCK, iov, entry.iov_cnt,
			FIXTURE_BLOCK, r->ring.base, r->ring.published);
		assert_non_null(r->note);
	}
	if (crash >= CRASH_TORN)
		memcpy(stored, r->data + FIXTURE_BLOCK, FIXTURE_BLOCK / 2);
	if (crash >= CRASH_WRITTEN)
		memcpy(stored, r->data + FIXTURE_BLOCK, FIXTURE_BLOCK);
	if (crash >= CRASH_ANSWER_PUT)
		dead_completes(r, r->cmd_id);
	if (crash >= CRASH_ANSWERED)
		notes_answer(r->notes, r->note);
	if (crash >= CRASH_PUBLISHING)
		dead_publishes(r, crash);
}

/* ------- its successor ------- */

/* The device blocks the kernel, and resets the ring by itself where no note is left. */
static void successor_begins(struct recovery *r)
{
	const struct tcmu_name *name = &r->fixture.setup.device;

	notes_close(r->notes);
	r->notes = NULL;
	assert_int_equal(notes_open(r->path, "me", &r->fixture.setup.notes), 0);
	assert_int_equal(tcmu_configfs_action(name, "block_dev", 1), 0);
	if (notes_left(r->fixture.setup.notes)) {
		r->fixture.setup.start = IO_THREAD_RECOVERED;
		io_fixture_start_thread(&r->fixture);
		assert_int_equal(io_fixture_signal_count(&r->fixture, IO_SIGNAL_RING_RESET), 1);
		assert_false(notes_left(r->fixture.setup.notes));
	} else {
		assert_int_equal(tcmu_configfs_action(name, "reset_ring", 1), 0);
		io_fixture_start_thread(&r->fixture);
	}
	assert_int_equal(tcmu_configfs_action(name, "block_dev", 0), 0);
}

static void assert_stored(struct recovery *r, bool written)
{
	assert_memory_equal(
		io_fixture_store_at(&r->fixture, LBA), r->data + (written ? FIXTURE_BLOCK : 0),
		FIXTURE_BLOCK);
}

/* The answer is GOOD if it was carried out; else it is BUSY, and sending it again carries it out.
 */
static void assert_carried_out(
	struct recovery *r, struct initiator_command *command, bool by_the_dead)
{
	initiator_wait(command);
	assert_int_equal(command->status, by_the_dead ? SCSI_GOOD : SCSI_BUSY);
	assert_stored(r, by_the_dead);
	if (!by_the_dead)
		assert_int_equal(initiator_run(&r->fixture, command), SCSI_GOOD);
	assert_stored(r, true);
}

/* Its initiator must not send it again, but read the blocks. */
static void assert_unknown(struct recovery *r, struct initiator_command *command)
{
	initiator_wait_status(command, SCSI_CHECK_CONDITION);
	assert_sense(command, 0x04, 0x4400);
	assert_stored(r, false);
	assert_int_equal(initiator_run(&r->fixture, command), SCSI_GOOD);
	assert_stored(r, true);
}

static void crash_at(struct recovery *r, enum crash crash, unsigned reads_before)
{
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	for (unsigned i = 0; i < reads_before; i++)
		dead_serves_read(r);
	dead_compares_and_writes(r, &command, crash);
	successor_begins(r);
	assert_carried_out(r, &command, crash != CRASH_FETCHED);
	io_fixture_stop(&r->fixture);
}

static void a_command_is_carried_out_once_wherever_the_daemon_died(void **state)
{
	for (enum crash crash = 0; crash < CRASH_COUNT; crash++)
		for (unsigned reads = 0; reads < 3; reads++) {
			crash_at(*state, crash, reads);
			recovery_teardown(state);
			recovery_setup(state);
		}
}

/* Other commands are answered meanwhile, in the entry of the noted command too, and others wait. */
static void commands_around_it_change_nothing(void **state)
{
	for (enum crash crash = CRASH_NOTED; crash <= CRASH_ANSWERED; crash++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
		struct iovec iov[IOV_MAX_OF_ENTRY];
		struct tcmu_entry entry;
		uint8_t in[FIXTURE_BLOCK];
		struct initiator_command reads[4];
		uint16_t ids[4];

		for (unsigned i = 0; i < 4; i++)
			reads[i] = cmd_read(i, 1, in);
		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		ids[0] = dead_fetches(r, &reads[0], &entry, iov);
		dead_compares_and_writes(r, &command, crash);
		for (unsigned i = 1; i < 4; i++)
			ids[i] = dead_fetches(r, &reads[i], &entry, iov);
		if (crash < CRASH_ANSWER_PUT) {
			dead_completes(r, ids[1]);
			dead_completes(r, ids[0]);
			dead_publishes(r, CRASH_COUNT);
			dead_completes(r, ids[2]); /* not published */
		}
		successor_begins(r);
		assert_carried_out(r, &command, true);
		initiator_wait_status(&reads[3], SCSI_BUSY);
		initiator_wait_status(&reads[2], SCSI_BUSY);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

static void two_commands_are_both_answered(void **state)
{
	struct recovery *r = *state;
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
	struct initiator_command other = cmd_compare_and_write(LBA + 1, 1, r->data);
	struct iovec iov[IOV_MAX_OF_ENTRY];
	struct tcmu_entry entry;

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	memcpy(io_fixture_store_at(&r->fixture, LBA + 1), r->data, FIXTURE_BLOCK);
	(void) dead_fetches(r, &other, &entry, iov);
	assert_int_equal(tcmu_ring_mark(&r->ring), 0);
	assert_non_null(notes_begin(
		r->notes, entry.cmd_id, (LBA + 1) * FIXTURE_BLOCK, FIXTURE_BLOCK, iov,
		entry.iov_cnt, FIXTURE_BLOCK, r->ring.base, r->ring.published));
	dead_compares_and_writes(r, &command, CRASH_PUBLISHED);
	successor_begins(r);
	assert_carried_out(r, &command, true);
	initiator_wait_status(&other, SCSI_GOOD);
	assert_memory_equal(
		io_fixture_store_at(&r->fixture, LBA + 1), r->data + FIXTURE_BLOCK, FIXTURE_BLOCK);
	io_fixture_stop(&r->fixture);
}

/* ------- where the notes mean nothing ------- */

/* While nobody served: the kernel has answered the noted command, and uses its number again. */
static void a_ring_that_was_reset_meanwhile_is_not_touched(void **state)
{
	for (unsigned reads = 0; reads < 3; reads++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
		struct initiator_command again = cmd_compare_and_write(LBA, 1, r->data);

		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		for (unsigned i = 0; i < reads; i++)
			dead_serves_read(r);
		dead_compares_and_writes(r, &command, CRASH_NOTED);
		io_fixture_reset_ring(&r->fixture);
		initiator_wait_status(&command, SCSI_BUSY);
		initiator_send(&r->fixture, &again);
		successor_begins(r);
		assert_carried_out(r, &again, false);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* The kernel waits for it all the same, and nobody knows how far the dead daemon came. */
static void a_note_that_does_not_fit_has_an_unknown_outcome(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		dead_compares_and_writes(r, &command, CRASH_NOTED);
		if (i == 0)
			r->note->data_offset[0] = 0; /* not in the data area */
		else if (i == 1)
			r->note->data_length[0]--;
		else if (i == 2)
			r->note->offset = r->fixture.setup.lu.blocks * FIXTURE_BLOCK;
		else
			r->note->data_offset[0] = UINT64_MAX;
		successor_begins(r);
		assert_unknown(r, &command);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* It is not known how much was written, whatever the error says of the second write. */
static void a_write_that_fails_again_has_an_unknown_outcome(void **state)
{
	static const int errors[] = {-EIO,    -EBUSY,     -EAGAIN, -ENOMEM, -ESHUTDOWN, -ETIMEDOUT,
				     -ENOSPC, -ECANCELED, -EINVAL, -EROFS,  -ENOMEDIUM};

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		dead_compares_and_writes(r, &command, CRASH_NOTED);
		backend_fail(r->fixture.backend, TCMU_IO_WRITE, 0, 1, errors[i]);
		successor_begins(r);
		assert_unknown(r, &command);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* A daemon that puts this answer dies, too: before it is published, the next one has another try.
 */
static void an_unknown_outcome_counts_once_it_is_published(void **state)
{
	for (enum crash crash = CRASH_ANSWERED; crash < CRASH_COUNT; crash++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
		struct tcmu_completion unknown = {.status = SCSI_CHECK_CONDITION};

		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		dead_compares_and_writes(r, &command, CRASH_TORN);
		unknown.cmd_id = r->cmd_id;
		assert_int_equal(tcmu_ring_complete(&r->ring, &unknown), 0);
		notes_answer_unknown(r->notes, r->note);
		if (crash >= CRASH_PUBLISHING)
			dead_publishes(r, crash);
		successor_begins(r);
		if (crash <= CRASH_PUBLISHING)
			assert_carried_out(r, &command, true);
		else
			initiator_wait_status(&command, SCSI_CHECK_CONDITION);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* ------- a device that ends with a note ------- */

/* How the write ends that is in flight while the device ends. */
enum end {
	END_CANCELLED,
	END_FAILED,
	END_FENCED,
	END_REVOKED_FENCED,
	END_REVOKED_FAILED,
	END_REVOKED_GOOD,
	END_COUNT,
};

static void device_ends(struct recovery *r, enum end end)
{
	struct io_fixture *fixture = &r->fixture;

	if (end == END_FAILED || end == END_FENCED)
		io_thread_drain(fixture->thread, false);
	else if (end == END_CANCELLED)
		io_thread_drain(fixture->thread, true);
	else
		assert_int_equal(io_thread_revoke(fixture->thread), 0);
	io_fixture_wait_control(fixture);
	if (end != END_CANCELLED)
		assert_int_equal(backend_release(fixture->backend, 1, BACKEND_OLDEST), 1);
	io_fixture_wait_signal(fixture, IO_SIGNAL_ENDED);
	backend_hold(fixture->backend, 0);
}

static void fail_write(struct recovery *r, enum end end)
{
	int error = end == END_FENCED || end == END_REVOKED_FENCED ? -ESHUTDOWN : -EIO;

	if (end != END_CANCELLED && end != END_REVOKED_GOOD)
		backend_fail(r->fixture.backend, TCMU_IO_WRITE, 0, 1, error);
	backend_hold(r->fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
}

/* Opens the device again. */
static void device_opens_again(struct recovery *r)
{
	struct io_fixture *fixture = &r->fixture;

	assert_true(notes_left(fixture->setup.notes));
	assert_int_equal(tcmu_configfs_action(&fixture->setup.device, "block_dev", 1), 0);
	fixture->setup.start = IO_THREAD_RECOVERED;
	io_fixture_restart(fixture);
	io_fixture_wait_signal(fixture, IO_SIGNAL_ATTACHED);
	assert_int_equal(tcmu_configfs_action(&fixture->setup.device, "block_dev", 0), 0);
}

/* The second write ends with the device: neither the answer nor the note is lost. */
static void a_device_that_ends_keeps_the_notes_that_it_has_found(void **state)
{
	for (enum end end = 0; end < END_COUNT; end++)
		for (enum crash crash = CRASH_NOTED; crash <= CRASH_WRITTEN; crash++) {
			struct recovery *r = *state;
			struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
			struct io_fixture *fixture = &r->fixture;

			dead_begins(
				r,
				&(struct io_fixture_options){
					.depth = 16,
					.backend = {.can_cancel = end == END_CANCELLED}});
			dead_compares_and_writes(r, &command, crash);
			notes_close(r->notes);
			r->notes = NULL;
			assert_int_equal(notes_open(r->path, "me", &fixture->setup.notes), 0);
			assert_int_equal(
				tcmu_configfs_action(&fixture->setup.device, "block_dev", 1), 0);
			fixture->setup.start = IO_THREAD_RECOVERED;
			fail_write(r, end);
			assert_int_equal(io_thread_new(&fixture->setup, &fixture->thread), 0);
			assert_true(backend_wait_held(fixture->backend, 1));
			device_ends(r, end);
			assert_false(initiator_is_done(&command));
			device_opens_again(r);
			assert_carried_out(r, &command, true);
			assert_false(notes_left(fixture->setup.notes));
			io_fixture_stop(fixture);
			recovery_teardown(state);
			recovery_setup(state);
		}
}

/* The same for the device that has made the note. */
static void a_device_that_ends_keeps_the_notes_that_it_has_made(void **state)
{
	for (enum end end = END_REVOKED_FENCED; end < END_COUNT; end++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

		dead_begins(r, &(struct io_fixture_options){.depth = 16});
		r->fixture.setup.notes = r->notes;
		io_fixture_start_thread(&r->fixture);
		fail_write(r, end);
		initiator_send_held(&r->fixture, &command, TCMU_IO_CAP(TCMU_IO_WRITE));
		device_ends(r, end);
		assert_false(initiator_is_done(&command));
		device_opens_again(r);
		assert_carried_out(r, &command, true);
		io_fixture_stop(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* Nobody would know that it was carried out. */
static void without_the_ring_nothing_is_written(void **state)
{
	struct recovery *r = *state;
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	r->fixture.setup.notes = r->notes;
	io_fixture_start_thread(&r->fixture);
	initiator_send_held(&r->fixture, &command, TCMU_IO_CAP(TCMU_IO_READ));
	assert_int_equal(io_thread_revoke(r->fixture.thread), 0);
	assert_int_equal(backend_release(r->fixture.backend, 1, BACKEND_OLDEST), 1);
	io_fixture_wait_signal(&r->fixture, IO_SIGNAL_ENDED);
	assert_int_equal(backend_count(r->fixture.backend, TCMU_IO_WRITE), 0);
	assert_false(notes_left(r->notes));
	assert_stored(r, false);
	io_fixture_wait_end(&r->fixture);
}

/* A deleted device has its requests cancelled. TASK ABORTED would have them sent again, too. */
static void a_cancelled_write_or_flush_has_an_unknown_outcome(void **state)
{
	static const enum tcmu_io_op ops[] = {TCMU_IO_WRITE, TCMU_IO_FLUSH};

	for (unsigned i = 0; i < 4; i++) {
		struct recovery *r = *state;
		struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

		dead_begins(
			r,
			&(struct io_fixture_options){
				.depth = 16,
				.no_write_cache = true,
				.backend = {
					.can_cancel = true,
					.info =
						{.caps = FIXTURE_BASIC_CAPS,
						 .volatile_cache = true},
				}});
		if (i < 2)
			r->fixture.setup.notes = r->notes;
		io_fixture_start_thread(&r->fixture);
		initiator_send_held(&r->fixture, &command, TCMU_IO_CAP(ops[i % 2]));
		io_thread_drain(r->fixture.thread, true);
		initiator_wait_status(&command, SCSI_CHECK_CONDITION);
		assert_sense(&command, 0x04, 0x4400);
		io_fixture_wait_signal(&r->fixture, IO_SIGNAL_ENDED);
		assert_false(notes_left(r->notes));
		io_fixture_wait_end(&r->fixture);
		recovery_teardown(state);
		recovery_setup(state);
	}
}

/* ------- a daemon that lives ------- */

static void a_command_has_a_note_from_its_write_to_its_answer(void **state)
{
	struct recovery *r = *state;
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
	struct initiator_command miscompares = command;
	const struct note *note;

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	r->fixture.setup.notes = r->notes;
	io_fixture_start_thread(&r->fixture);
	initiator_send_held(&r->fixture, &command, TCMU_IO_CAP(TCMU_IO_READ));
	assert_null(notes_next(r->notes, NULL));
	backend_hold(r->fixture.backend, TCMU_IO_CAP(TCMU_IO_WRITE));
	backend_release(r->fixture.backend, 1, BACKEND_OLDEST);
	assert_true(backend_wait_held(r->fixture.backend, 1));
	note = notes_next(r->notes, NULL);
	assert_non_null(note);
	assert_int_equal(note->cmd_id, command.id);
	assert_int_equal(note->offset, LBA * FIXTURE_BLOCK);
	assert_int_equal(note->length, FIXTURE_BLOCK);
	backend_hold(r->fixture.backend, 0);
	backend_release(r->fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&command, SCSI_GOOD);
	assert_int_equal(initiator_run(&r->fixture, &miscompares), SCSI_CHECK_CONDITION);
	io_fixture_wait_idle(&r->fixture);
	assert_null(notes_next(r->notes, NULL));
	io_fixture_stop(&r->fixture);
}

static uint32_t known_tails[2], known_tail;

static void remember_tails(struct io_fixture *fixture)
{
	notes_positions(fixture->setup.notes, &known_tails[0], &known_tails[1]);
	known_tail = fixture->thread->core.ring.tail;
}

/* If the daemon died at the doorbell: the file has the tail before and the tail after. */
static void the_new_tail_is_noted_before_it_is_published(void **state)
{
	struct recovery *r = *state;
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);
	uint8_t in[FIXTURE_BLOCK];
	struct initiator_command read = cmd_read(0, 1, in);
	uint32_t published, next;

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	r->fixture.setup.notes = r->notes;
	io_fixture_start_thread(&r->fixture);
	assert_int_equal(initiator_run(&r->fixture, &read), SCSI_GOOD);
	initiator_send_held(&r->fixture, &command, TCMU_IO_CAP(TCMU_IO_WRITE));
	io_fixture_wait_asleep();
	r->fixture.completed = remember_tails;
	for (unsigned i = 0; i < 3; i++) {
		notes_positions(r->notes, &published, &next);
		assert_int_equal(published, next);
		assert_int_equal(initiator_run(&r->fixture, &read), SCSI_GOOD);
		io_fixture_wait_asleep();
		assert_int_equal(known_tails[0], published);
		assert_int_equal(known_tails[1], known_tail);
		assert_int_not_equal(known_tail, published);
	}
	r->fixture.completed = NULL;
	backend_hold(r->fixture.backend, 0);
	backend_release(r->fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&command, SCSI_GOOD);
	io_fixture_stop(&r->fixture);
}

static void a_write_that_fails_leaves_no_note(void **state)
{
	struct recovery *r = *state;
	struct initiator_command command = cmd_compare_and_write(LBA, 1, r->data);

	dead_begins(r, &(struct io_fixture_options){.depth = 16});
	r->fixture.setup.notes = r->notes;
	io_fixture_start_thread(&r->fixture);
	backend_fail(r->fixture.backend, TCMU_IO_WRITE, 0, 1, -EIO);
	assert_int_equal(initiator_run(&r->fixture, &command), SCSI_CHECK_CONDITION);
	io_fixture_wait_idle(&r->fixture);
	assert_null(notes_next(r->notes, NULL));
	io_fixture_stop(&r->fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, recovery_setup, recovery_teardown)
		TEST(a_command_is_carried_out_once_wherever_the_daemon_died),
		TEST(commands_around_it_change_nothing),
		TEST(two_commands_are_both_answered),
		TEST(a_ring_that_was_reset_meanwhile_is_not_touched),
		TEST(a_note_that_does_not_fit_has_an_unknown_outcome),
		TEST(a_write_that_fails_again_has_an_unknown_outcome),
		TEST(an_unknown_outcome_counts_once_it_is_published),
		TEST(a_device_that_ends_keeps_the_notes_that_it_has_found),
		TEST(a_device_that_ends_keeps_the_notes_that_it_has_made),
		TEST(without_the_ring_nothing_is_written),
		TEST(a_cancelled_write_or_flush_has_an_unknown_outcome),
		TEST(a_command_has_a_note_from_its_write_to_its_answer),
		TEST(the_new_tail_is_noted_before_it_is_published),
		TEST(a_write_that_fails_leaves_no_note),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
