/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring is reset by somebody else (configfs action/reset_ring) while commands are in flight:
 * nothing that was fetched before completes a new command or touches its data. The kernel gives new
 * commands the numbers, the places and the pages of the old ones.
 */
#include "io-fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_request_does_not_reach_a_new_command),
		cmocka_unit_test(a_late_completion_notices_the_reset),
		cmocka_unit_test(every_reset_of_a_series_is_noticed),
		cmocka_unit_test(a_stale_ring_waits_for_the_device),
		cmocka_unit_test(a_thread_that_ends_with_a_stale_ring_is_not_clean),
		cmocka_unit_test(an_idle_ring_can_be_revoked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
