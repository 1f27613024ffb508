/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring is reset by somebody else (configfs action/reset_ring) while commands are in flight:
 * nothing that was fetched before completes a new command or touches its data. The kernel gives new
 * commands the numbers, the places and the pages of the old ones.
 */
#include "xcopy-pair.h"

#include <sched.h>
#include <string.h>

#include <tcmu/configfs.h>

/* When the ring is reset. */
struct reset_case {
	const char *name;
	unsigned before; /* commands that were completed before: 0: position 0 was published last */
	unsigned depth;  /* slots; 0: enough */
	unsigned held;   /* reads in flight at the reset */
	bool write;      /* the new commands are writes */
	bool by_hand;
};

#define LATE_MAX 2u

struct reset_fixture {
	struct io_fixture io;
	uint8_t late_data[LATE_MAX][FIXTURE_BLOCK];
	struct initiator_command late[LATE_MAX];
	uint8_t data[3][FIXTURE_BLOCK];
	struct initiator_command commands[3];
};

static void fill_block(struct io_fixture *io, uint64_t lba, int byte)
{
	memset(io_fixture_store_at(io, lba), byte, FIXTURE_BLOCK);
	backend_sync(io->backend);
}

/* Reads of block 0 are in flight when the ring is reset. */
static void start_and_reset(struct reset_fixture *f, const struct reset_case *c)
{
	struct io_fixture *io = &f->io;
	struct initiator_command read = cmd_read(9, 1, f->data[0]);

	io_fixture_start(
		io, &(struct io_fixture_options){.depth = c->depth, .resets_by_hand = c->by_hand});
	for (unsigned i = 0; i < 4; i++)
		fill_block(io, i, 'A' + (int) i);
	for (unsigned i = 0; i < c->before; i++)
		assert_int_equal(initiator_run(io, &read), SCSI_GOOD);
	backend_hold(io->backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < c->held; i++) {
		f->late[i] = cmd_read(0, 1, f->late_data[i]);
		initiator_send(io, &f->late[i]);
	}
	assert_true(backend_wait_held(io->backend, c->held));
	io_fixture_reset_ring(io);
	for (unsigned i = 0; i < c->held; i++)
		initiator_wait_status(&f->late[i], SCSI_BUSY); /* from the kernel */
}

static void send_new_commands(struct reset_fixture *f, bool write)
{
	for (unsigned i = 0; i < 3; i++) {
		memset(f->data[i], write ? 'W' : 0, FIXTURE_BLOCK);
		f->commands[i] = write ? cmd_write(i + 1, 1, f->data[i])
				       : cmd_read(i + 1, 1, f->data[i]);
		initiator_push(&f->io, &f->commands[i]);
	}
	initiator_notify(&f->io);
}

/* The initiator sends a command that got BUSY again. */
static void expect_right_data(struct reset_fixture *f, bool write)
{
	for (unsigned i = 0; i < 3; i++) {
		initiator_wait(&f->commands[i]);
		if (f->commands[i].status == SCSI_BUSY)
			initiator_run_while_busy(&f->io, &f->commands[i]);
		assert_int_equal(f->commands[i].status, SCSI_GOOD);
		backend_sync(f->io.backend);
		assert_int_equal(f->data[i][0], write ? 'W' : 'B' + (int) i);
		assert_int_equal(*io_fixture_store_at(&f->io, i + 1), write ? 'W' : 'B' + (int) i);
	}
}

static const struct reset_case cases[] = {
	{.name = "a read at position 0", .held = 1},
	{.name = "a write at position 0", .held = 1, .write = true},
	{.name = "a read later", .before = 5, .held = 1},
	{.name = "a write into the pages of a late read", .before = 5, .held = 1, .write = true},
	{.name = "no free slot", .depth = 2, .held = 2},
	{.name = "no free slot, later", .before = 1, .depth = 2, .held = 2},
	{.name = "no free slot, writes", .before = 1, .depth = 2, .held = 2, .write = true},
	{.name = "nothing in flight", .before = 3},
};

static void a_late_request_does_not_reach_a_new_command(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct reset_case *c = &cases[i];
		struct reset_fixture f = {0};

		print_message("%s\n", c->name);
		start_and_reset(&f, c);
		send_new_commands(&f, c->write);
		io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_RESET);
		backend_hold(f.io.backend, 0);
		assert_int_equal(backend_release(f.io.backend, LATE_MAX, BACKEND_OLDEST), c->held);
		expect_right_data(&f, c->write);
		assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_RING_RESET), 1);
		assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_RING_IDLE), 1);
		assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_ATTACHED), 2);
		io_fixture_stop(&f.io);
	}
}

/* The late request ends before the thread has noticed anything. */
static void a_late_completion_notices_the_reset(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct reset_case *c = &cases[i];
		struct reset_fixture f = {0};

		if (!c->held)
			continue;
		print_message("%s\n", c->name);
		start_and_reset(&f, c);
		backend_hold(f.io.backend, 0);
		backend_release(f.io.backend, LATE_MAX, BACKEND_OLDEST);
		io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_RESET);
		send_new_commands(&f, c->write);
		expect_right_data(&f, c->write);
		io_fixture_stop(&f.io);
	}
}

static void every_reset_of_a_series_is_noticed(void **state)
{
	struct reset_fixture f = {0};

	(void) state;
	start_and_reset(&f, &cases[0]);
	for (unsigned i = 0; i < 10; i++) {
		send_new_commands(&f, i % 2);
		io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_RESET);
		backend_hold(f.io.backend, 0);
		backend_release(f.io.backend, LATE_MAX, BACKEND_OLDEST);
		for (unsigned j = 0; j < 3; j++) {
			initiator_wait(&f.commands[j]);
			initiator_run_while_busy(&f.io, &f.commands[j]);
		}
		assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_RING_RESET), i + 1);
		backend_hold(f.io.backend, TCMU_IO_CAP(TCMU_IO_READ));
		f.late[0] = cmd_read(0, 1, f.late_data[0]);
		initiator_send(&f.io, &f.late[0]);
		assert_true(backend_wait_held(f.io.backend, 1));
		io_fixture_clear_signals(&f.io);
		io_fixture_reset_ring(&f.io);
	}
	send_new_commands(&f, false);
	backend_hold(f.io.backend, 0);
	backend_release(f.io.backend, LATE_MAX, BACKEND_OLDEST);
	for (unsigned j = 0; j < 3; j++) {
		initiator_wait(&f.commands[j]);
		initiator_run_while_busy(&f.io, &f.commands[j]);
	}
	io_fixture_stop(&f.io);
}

/* Nothing is fetched before the device has reset the ring again. */
static void a_stale_ring_waits_for_the_device(void **state)
{
	struct reset_case c = cases[2];
	struct reset_fixture f = {0};

	(void) state;
	c.by_hand = true;
	start_and_reset(&f, &c);
	send_new_commands(&f, false);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_RESET);
	assert_false(f.io.signals & IO_SIGNAL_RING_IDLE);
	io_thread_reattach(f.io.thread); /* too early: ignored */
	io_fixture_wait_control(&f.io);
	backend_hold(f.io.backend, 0);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_IDLE);
	backend_forget(f.io.backend);
	initiator_notify(&f.io);
	io_fixture_wait_asleep();
	assert_int_equal(backend_count(f.io.backend, 0), 0);
	io_fixture_clear_signals(&f.io);
	io_fixture_reset_again(&f.io);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_ATTACHED);
	for (unsigned i = 0; i < 3; i++)
		initiator_wait_status(&f.commands[i], SCSI_BUSY);
	assert_int_equal(tcmu_configfs_action(&f.io.setup.device, "block_dev", 0), 0);
	expect_right_data(&f, false);
	io_fixture_stop(&f.io);
}

/* The next daemon has to reset the ring, too. */
static void a_thread_that_ends_with_a_stale_ring_is_not_clean(void **state)
{
	struct reset_case c = cases[2];
	struct reset_fixture f = {0};

	(void) state;
	c.by_hand = true;
	start_and_reset(&f, &c);
	send_new_commands(&f, false);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_RESET);
	io_thread_drain(f.io.thread, false);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_ENDED);
	assert_false(io_thread_ended_clean(f.io.thread));
	io_fixture_wait_end(&f.io);
}

static void an_idle_ring_can_be_revoked(void **state)
{
	struct reset_case c = cases[2];
	struct reset_fixture f = {0};

	(void) state;
	c.by_hand = true;
	start_and_reset(&f, &c);
	backend_hold(f.io.backend, 0);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	io_fixture_wait_signal(&f.io, IO_SIGNAL_RING_IDLE);
	assert_int_equal(io_thread_revoke(f.io.thread), 0);
	io_thread_reattach(f.io.thread);
	io_fixture_wait_end(&f.io);
}

/* ------- EXTENDED COPY of another disk ------- */

#define WRITE_OPS \
	(TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_UNMAP) | \
	 TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES) | TCMU_IO_CAP(TCMU_IO_WRITE_SAME) | \
	 TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE))

#define OVERWRITTEN_BLOCKS 2u

struct overwrite {
	struct pair pair;
	struct initiator_command command; /* writes blocks that the xcopy writes, too */
	struct initiator_command again;   /* the same, sent again after the answer of the kernel */
	uint8_t data[2 * OVERWRITTEN_BLOCKS * FIXTURE_BLOCK];
	uint8_t unmap_list[UNMAP_LIST_LENGTH(2)];
};

/* When the thread of the overwritten disk notices the reset. */
enum notice {
	NOTICE_EARLY,   /* before there is an xcopy */
	NOTICE_REQUEST, /* when the request of the xcopy wakes it */
	NOTICE_LATE,    /* it has looked already, and takes the request then */
	NOTICE_COUNT,
};

/* Its disk is reset before the I/O thread takes requests of xcopies; NULL: none is. */
static _Atomic(struct overwrite *) reset_before_request;

static void reset_overwritten(struct overwrite *o)
{
	io_fixture_reset_ring(&o->pair.from);
	o->again = o->command;
	initiator_push(&o->pair.from, &o->again);
}

unsigned __real_xcopy_serve(struct xcopy_disk *disk, struct core *core);
unsigned __wrap_xcopy_serve(struct xcopy_disk *disk, struct core *core);

unsigned __wrap_xcopy_serve(struct xcopy_disk *disk, struct core *core)
{
	struct overwrite *o = atomic_load(&reset_before_request);

	if (o && &o->pair.from.thread->core == core) {
		atomic_store(&reset_before_request, NULL);
		reset_overwritten(o);
		/* The ring is filled as far as before: positions do not show the reset. */
		initiator_notify(&o->pair.from);
	}
	return __real_xcopy_serve(disk, core);
}

static void make_write(struct overwrite *o)
{
	o->command = cmd_write(PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

static void make_write_fua(struct overwrite *o)
{
	o->command = cmd_write_fua(PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

static void make_write_and_verify(struct overwrite *o)
{
	o->command = cmd_write_and_verify(BYTCHK_NONE, PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

static void make_write_same(struct overwrite *o)
{
	o->command = cmd_write_same(0, PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

static void make_write_same_zeroes(struct overwrite *o)
{
	o->command = cmd_write_same(WRITE_SAME_NDOB, PAIR_BLOCKS, OVERWRITTEN_BLOCKS, NULL);
}

static void make_unmap(struct overwrite *o)
{
	const struct scsi_extent extents[] = {{.lba = 0, .blocks = 1}, {PAIR_BLOCKS, 1}};

	o->command = cmd_unmap(o->unmap_list, extents, 2);
}

static void make_orwrite(struct overwrite *o)
{
	o->command = cmd_orwrite(PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

static void make_compare_and_write(struct overwrite *o)
{
	memcpy(o->data, io_fixture_store_at(&o->pair.from, PAIR_BLOCKS), sizeof(o->data) / 2);
	o->command = cmd_compare_and_write(PAIR_BLOCKS, OVERWRITTEN_BLOCKS, o->data);
}

/* Every operation that writes. */
static const struct overwrite_case {
	const char *name;
	void (*make)(struct overwrite *o);
	unsigned before; /* its requests that end before the one that writes the xcopy's blocks */
} overwrites[] = {
	{"WRITE", make_write, 0},
	{"WRITE with FUA", make_write_fua, 0},
	{"WRITE AND VERIFY", make_write_and_verify, 0},
	{"WRITE SAME", make_write_same, 0},
	{"WRITE SAME of zeros", make_write_same_zeroes, 0},
	{"UNMAP", make_unmap, 1},
	{"ORWRITE", make_orwrite, 0},
	{"COMPARE AND WRITE", make_compare_and_write, 0},
};

static void start_overwritten(struct overwrite *o)
{
	struct io_fixture_options options = {
		.backend.info = {.caps = FIXTURE_ALL_CAPS, .thin = true, .unmap_zeroes = true}};

	memset(o, 0, sizeof(*o));
	pair_start(&o->pair, &options);
	pair_make_list(&o->pair, PAIR_TO, PAIR_FROM);
	memset(o->data, 'L', sizeof(o->data));
}

/* The command's request for the blocks is in flight. */
static void hold_overwrite(struct overwrite *o, const struct overwrite_case *c)
{
	struct backend *backend = o->pair.from.backend;

	c->make(o);
	initiator_send_held(&o->pair.from, &o->command, WRITE_OPS);
	for (unsigned i = 0; i < c->before; i++) {
		assert_int_equal(backend_release(backend, 1, BACKEND_OLDEST), 1);
		assert_true(backend_wait_held(backend, 1));
	}
	backend_hold(backend, 0);
	backend_forget(backend);
}

/* Waits until the disk has tried to start the request of an xcopy. */
static void wait_request(struct overwrite *o)
{
	const struct rate_limits none = {0};
	struct io_thread *thread = o->pair.from.thread;
	unsigned pieces = 0;

	while (!pieces && !initiator_is_done(&o->pair.xcopy)) {
		sched_yield();
		pthread_mutex_lock(&thread->core.ring_lock);
		pieces = thread->core.xcopy_pieces;
		pthread_mutex_unlock(&thread->core.ring_lock);
	}
	io_thread_set_limits(thread, &none); /* taken by the next iteration */
	io_fixture_wait_control(&o->pair.from);
}

/* The kernel has answered the write. So the initiator may send an EXTENDED COPY to another disk
 * that writes the same blocks, and its data stay. */
static void an_xcopy_waits_for_writes_of_the_old_ring(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(overwrites) / sizeof(overwrites[0]) * NOTICE_COUNT; i++) {
		const struct overwrite_case *c = &overwrites[i / NOTICE_COUNT];
		enum notice notice = i % NOTICE_COUNT;
		struct overwrite o;

		print_message("%s, notice %u\n", c->name, notice);
		start_overwritten(&o);
		hold_overwrite(&o, c);
		if (notice == NOTICE_LATE)
			atomic_store(&reset_before_request, &o);
		else
			reset_overwritten(&o);
		if (notice == NOTICE_EARLY) {
			initiator_notify(&o.pair.from);
			io_fixture_wait_signal(&o.pair.from, IO_SIGNAL_RING_RESET);
		}
		pair_send_xcopy(&o.pair);
		wait_request(&o);
		assert_int_equal(backend_count(o.pair.from.backend, 0), 0);
		assert_int_equal(backend_release(o.pair.from.backend, 1, BACKEND_OLDEST), 1);
		initiator_wait_status(&o.pair.xcopy, SCSI_GOOD);
		initiator_wait_status(&o.command, SCSI_BUSY); /* both from the kernel */
		initiator_wait_status(&o.again, SCSI_BUSY);
		backend_sync(o.pair.from.backend);
		assert_memory_equal(
			io_fixture_store_at(&o.pair.from, PAIR_BLOCKS),
			backend_store(o.pair.to.backend), PAIR_BLOCKS * FIXTURE_BLOCK);
		pair_stop(&o.pair);
	}
}

static void an_xcopy_does_not_wait_for_other_blocks(void **state)
{
	struct overwrite o;

	(void) state;
	start_overwritten(&o);
	o.command = cmd_write(0, OVERWRITTEN_BLOCKS, o.data);
	initiator_send_held(&o.pair.from, &o.command, WRITE_OPS);
	backend_hold(o.pair.from.backend, 0);
	io_fixture_reset_ring(&o.pair.from);
	assert_int_equal(pair_run_xcopy(&o.pair), SCSI_GOOD);
	assert_int_equal(backend_release(o.pair.from.backend, 1, BACKEND_OLDEST), 1);
	pair_stop(&o.pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_request_does_not_reach_a_new_command),
		cmocka_unit_test(a_late_completion_notices_the_reset),
		cmocka_unit_test(every_reset_of_a_series_is_noticed),
		cmocka_unit_test(a_stale_ring_waits_for_the_device),
		cmocka_unit_test(a_thread_that_ends_with_a_stale_ring_is_not_clean),
		cmocka_unit_test(an_idle_ring_can_be_revoked),
		cmocka_unit_test(an_xcopy_waits_for_writes_of_the_old_ring),
		cmocka_unit_test(an_xcopy_does_not_wait_for_other_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
