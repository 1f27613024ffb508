/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write cache goes off: asked for by MODE SELECT or the attribute, however the flush ends, and
 * whenever writes come, a write that is acknowledged with WCE=0 in force is stable, and so is every
 * write before.
 */
#include "io-fixture.h"

#include <errno.h>
#include <string.h>

enum way {
	MODE_SELECT,
	ATTRIBUTE,
	WAYS
};
enum flush {
	FLUSH_GOOD,
	FLUSH_BUSY,
	FLUSH_ERROR,
	FLUSH_SLOW,
	FLUSHES
};
enum write_time {
	WRITE_NONE,
	WRITE_BEFORE,
	WRITE_IN_FLIGHT,
	WRITE_MEANWHILE,
	WRITE_AFTER,
	TIMES
};

static const uint8_t no_cache[24] = {0, 0, 0, 0, 0x08, 0x12};

struct cache_fixture {
	struct io_fixture io;
	enum way way;
	bool fua;
	uint8_t out[FIXTURE_BLOCK];
	struct initiator_command select;
	struct initiator_command write;
};

static bool cache_is_on(struct cache_fixture *f)
{
	uint8_t in[64];
	struct initiator_command sense = {
		.cdb = {0x1a, 0x08, 0x08, 0, 64}, .cdb_length = 6, .length = sizeof(in), .in = in};

	if (initiator_run(&f->io, &sense) == SCSI_CHECK_CONDITION) /* a unit attention */
		initiator_run(&f->io, &sense);
	assert_int_equal(sense.status, SCSI_GOOD);
	return in[4 + 2] & 0x04;
}

static void ask(struct cache_fixture *f)
{
	io_fixture_clear_signals(&f->io);
	if (f->way == MODE_SELECT)
		initiator_send(&f->io, &f->select);
	else
		io_thread_set_write_cache(f->io.thread, false);
}

/* Whether the cache was switched off. */
static bool wait_answer(struct cache_fixture *f)
{
	if (f->way == MODE_SELECT) {
		initiator_wait(&f->select);
		return f->select.status == SCSI_GOOD;
	}
	io_fixture_wait_signal(&f->io, IO_SIGNAL_WRITE_CACHE);
	return io_thread_write_cache_result(f->io.thread) == 0;
}

/* Whether the last write of the log is stable by itself or by a flush after it. */
static bool last_write_is_stable(struct cache_fixture *f)
{
	unsigned cnt = backend_count(f->io.backend, 0);
	bool stable = true;

	for (unsigned i = 0; i < cnt; i++) {
		struct backend_record record = backend_record(f->io.backend, i);

		if (record.op == TCMU_IO_WRITE)
			stable = record.flags & TCMU_IO_FUA;
		else if (record.op == TCMU_IO_FLUSH)
			stable = true;
	}
	return stable;
}

static void write_good(struct cache_fixture *f)
{
	if (initiator_run(&f->io, &f->write) == SCSI_CHECK_CONDITION) /* a unit attention */
		initiator_run(&f->io, &f->write);
	assert_int_equal(f->write.status, SCSI_GOOD);
}

static void start(struct cache_fixture *f, enum way way, bool fua)
{
	struct io_fixture_options options = {
		.depth = 8, .backend.info = {.volatile_cache = true, .fua = fua}};

	*f = (struct cache_fixture){.way = way, .fua = fua};
	f->select = (struct initiator_command){
		.cdb = {0x15, 0x10, 0, 0, sizeof(no_cache)},
		.cdb_length = 6,
		.out = no_cache,
		.length = sizeof(no_cache)};
	f->write = cmd_write(0, 1, f->out);
	io_fixture_start(&f->io, &options);
}

static void fail_flush(struct cache_fixture *f, enum flush flush)
{
	if (flush == FLUSH_BUSY)
		backend_fail(f->io.backend, TCMU_IO_FLUSH, 0, 1, -EBUSY);
	else if (flush == FLUSH_ERROR)
		backend_fail(f->io.backend, TCMU_IO_FLUSH, 0, 1, -EIO);
}

/* While the flush is held: nothing is visible yet, but writes are stable already. */
static void check_while_flushing(struct cache_fixture *f, enum write_time time)
{
	assert_true(backend_wait_held(f->io.backend, 1));
	assert_true(cache_is_on(f));
	if (f->way == MODE_SELECT)
		assert_false(initiator_is_done(&f->select));
	else
		assert_int_equal(io_fixture_signal_count(&f->io, IO_SIGNAL_WRITE_CACHE), 0);
	if (time == WRITE_MEANWHILE && f->fua) {
		backend_forget(f->io.backend);
		write_good(f);
		assert_true(last_write_is_stable(f));
	}
	backend_hold(f->io.backend, 0);
	backend_release(f->io.backend, 1, BACKEND_OLDEST);
}

static void repeat_after_failure(struct cache_fixture *f)
{
	assert_true(cache_is_on(f));
	backend_forget(f->io.backend);
	ask(f);
	assert_true(wait_answer(f));
	assert_int_equal(backend_count(f->io.backend, TCMU_IO_FLUSH), 1);
}

static void check_case(enum way way, enum flush flush, enum write_time time, bool fua)
{
	struct cache_fixture f;

	print_message("way %d, flush %d, write %d, fua %d\n", way, flush, time, fua);
	start(&f, way, fua);
	if (time == WRITE_BEFORE)
		write_good(&f);
	if (time == WRITE_IN_FLIGHT)
		initiator_send_held(&f.io, &f.write, TCMU_IO_CAP(TCMU_IO_WRITE));
	backend_hold(f.io.backend, flush == FLUSH_SLOW ? TCMU_IO_CAP(TCMU_IO_FLUSH) : 0);
	fail_flush(&f, flush);
	ask(&f);
	if (flush == FLUSH_SLOW && time != WRITE_IN_FLIGHT) {
		check_while_flushing(&f, time);
	} else if (flush == FLUSH_SLOW) { /* the write stays in flight */
		assert_true(backend_wait_held(f.io.backend, 2));
		backend_release(f.io.backend, 1, BACKEND_NEWEST);
	}
	backend_hold(f.io.backend, 0);
	if (!wait_answer(&f)) {
		assert_true(flush == FLUSH_BUSY || flush == FLUSH_ERROR);
		repeat_after_failure(&f);
	} else {
		assert_true(flush == FLUSH_GOOD || flush == FLUSH_SLOW);
	}
	assert_false(cache_is_on(&f));
	if (time == WRITE_IN_FLIGHT) {
		assert_false(initiator_is_done(&f.write));
		backend_forget(f.io.backend);
		backend_release(f.io.backend, 1, BACKEND_OLDEST);
		initiator_wait_status(&f.write, SCSI_GOOD);
		assert_int_not_equal(backend_count(f.io.backend, TCMU_IO_FLUSH), 0);
	}
	assert_true(last_write_is_stable(&f));
	backend_forget(f.io.backend);
	write_good(&f);
	assert_true(last_write_is_stable(&f));
	io_fixture_stop(&f.io);
}

static void a_cache_that_is_off_has_flushed(void **state)
{
	(void) state;
	for (enum way way = 0; way < WAYS; way++)
		for (enum flush flush = 0; flush < FLUSHES; flush++)
			for (enum write_time time = 0; time < TIMES; time++)
				for (int fua = 0; fua < 2; fua++)
					check_case(way, flush, time, fua);
}

/* The flush of the attribute needs a slot, and gets the first one that is free. */
static void the_attribute_waits_for_a_slot(void **state)
{
	struct cache_fixture f;
	uint8_t in[8][FIXTURE_BLOCK];
	struct initiator_command reads[8];

	(void) state;
	start(&f, ATTRIBUTE, false);
	backend_hold(f.io.backend, TCMU_IO_CAP(TCMU_IO_READ));
	for (unsigned i = 0; i < 8; i++) {
		reads[i] = cmd_read(i, 1, in[i]);
		initiator_send(&f.io, &reads[i]);
	}
	assert_true(backend_wait_held(f.io.backend, 8));
	ask(&f);
	io_fixture_wait_control(&f.io);
	assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_WRITE_CACHE), 0);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	assert_true(wait_answer(&f));
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_FLUSH), 1);
	backend_hold(f.io.backend, 0);
	backend_release(f.io.backend, 8, BACKEND_OLDEST);
	for (unsigned i = 0; i < 8; i++)
		initiator_wait_status(&reads[i], SCSI_GOOD);
	io_fixture_stop(&f.io);
}

/* On while the flush for off is in flight: it stays on. */
static void on_replaces_an_off_that_is_not_done(void **state)
{
	struct cache_fixture f;

	(void) state;
	start(&f, ATTRIBUTE, false);
	backend_hold(f.io.backend, TCMU_IO_CAP(TCMU_IO_FLUSH));
	ask(&f);
	assert_true(backend_wait_held(f.io.backend, 1));
	io_thread_set_write_cache(f.io.thread, true);
	assert_false(wait_answer(&f));
	assert_int_equal(io_thread_write_cache_result(f.io.thread), -ECANCELED);
	backend_hold(f.io.backend, 0);
	backend_release(f.io.backend, 1, BACKEND_OLDEST);
	assert_true(cache_is_on(&f));
	io_fixture_stop(&f.io);
}

/* A daemon starts, and learns that the cache was saved as off: what the last one wrote is flushed
 * before an initiator sees that. */
static const struct scsi_lu_info saved_off = {
	.serial = "serial", .ports.reset_cancels = true, .has_saved = true};

static void a_cache_that_was_saved_as_off_is_flushed_first(void **state)
{
	struct cache_fixture f;

	(void) state;
	start(&f, MODE_SELECT, false);
	write_good(&f);
	assert_false(last_write_is_stable(&f));
	io_thread_set_lu_info(f.io.thread, &saved_off);
	while (cache_is_on(&f))
		;
	assert_true(last_write_is_stable(&f));
	io_fixture_stop(&f.io);
}

static void set_cache_by_mode_select(struct cache_fixture *f, bool on)
{
	static const uint8_t cache[24] = {0, 0, 0, 0, 0x08, 0x12, 0x04};

	f->select.out = on ? cache : no_cache;
	if (initiator_run(&f->io, &f->select) == SCSI_CHECK_CONDITION) /* a unit attention */
		initiator_run(&f->io, &f->select);
	assert_int_equal(f->select.status, SCSI_GOOD);
	assert_int_equal(cache_is_on(f), on);
}

static void wait_flush(struct cache_fixture *f)
{
	while (!backend_count(f->io.backend, TCMU_IO_FLUSH))
		(void) cache_is_on(f);
}

/* The first flush fails. Until one succeeds each write is stable; then initiators may turn the
 * cache on again, because one of them had turned it off. */
static void the_flush_of_a_cache_that_was_off_is_repeated(void **state)
{
	struct cache_fixture f;

	(void) state;
	start(&f, MODE_SELECT, true);
	write_good(&f);
	fail_flush(&f, FLUSH_ERROR);
	io_thread_set_lu_info(f.io.thread, &saved_off);
	wait_flush(&f);
	assert_true(io_thread_has_old_write_cache(f.io.thread));
	backend_forget(f.io.backend);
	write_good(&f);
	assert_true(last_write_is_stable(&f));
	wait_flush(&f);
	while (cache_is_on(&f))
		;
	assert_false(io_thread_has_old_write_cache(f.io.thread));
	set_cache_by_mode_select(&f, true);
	set_cache_by_mode_select(&f, false);
	io_fixture_stop(&f.io);
}

/* An initiator turns it on before the flush has succeeded: it stays on. */
static void on_replaces_an_off_of_before(void **state)
{
	struct cache_fixture f;

	(void) state;
	start(&f, MODE_SELECT, true);
	fail_flush(&f, FLUSH_ERROR);
	io_thread_set_lu_info(f.io.thread, &saved_off);
	wait_flush(&f);
	set_cache_by_mode_select(&f, true);
	backend_forget(f.io.backend);
	write_good(&f);
	assert_false(last_write_is_stable(&f));
	set_cache_by_mode_select(&f, false);
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&f.io);
}

/* The flush does not take the lock from another host; it follows when this one has it. */
static void the_flush_of_a_cache_that_was_off_waits_for_the_lock(void **state)
{
	struct cache_fixture f;

	(void) state;
	start(&f, MODE_SELECT, true);
	io_thread_set_permission(f.io.thread, IO_PERMIT_READS, 0);
	io_thread_set_lu_info(f.io.thread, &saved_off);
	for (unsigned i = 0; i < 10; i++)
		assert_true(cache_is_on(&f));
	assert_int_equal(io_fixture_signal_count(&f.io, IO_SIGNAL_WANTS_LOCK), 0);
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_FLUSH), 0);
	io_thread_set_permission(f.io.thread, IO_PERMIT_ALL, 0);
	while (cache_is_on(&f))
		;
	assert_int_equal(backend_count(f.io.backend, TCMU_IO_FLUSH), 1);
	io_fixture_stop(&f.io);
}

/* Whatever an initiator has saved or asks for. */
static void the_administrator_s_off_wins(void **state)
{
	static const uint8_t cache[24] = {0, 0, 0, 0, 0x08, 0x12, 0x04};
	const struct scsi_lu_info saved = {
		.serial = "1", .has_saved = true, .saved.write_cache = true};
	struct cache_fixture f;

	(void) state;
	start(&f, ATTRIBUTE, false);
	f.select.out = cache;
	ask(&f);
	assert_true(wait_answer(&f));
	assert_false(cache_is_on(&f));
	io_thread_set_lu_info(f.io.thread, &saved); /* the serial is set late */
	assert_false(cache_is_on(&f));
	assert_int_equal(initiator_run(&f.io, &f.select), SCSI_CHECK_CONDITION);
	assert_false(cache_is_on(&f));
	io_thread_set_write_cache(f.io.thread, true);
	assert_true(cache_is_on(&f));
	f.select.out = no_cache;
	assert_int_equal(initiator_run(&f.io, &f.select), SCSI_GOOD);
	assert_false(cache_is_on(&f));
	io_fixture_stop(&f.io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_that_was_saved_as_off_is_flushed_first),
		cmocka_unit_test(the_flush_of_a_cache_that_was_off_is_repeated),
		cmocka_unit_test(on_replaces_an_off_of_before),
		cmocka_unit_test(the_flush_of_a_cache_that_was_off_waits_for_the_lock),
		cmocka_unit_test(a_cache_that_is_off_has_flushed),
		cmocka_unit_test(the_attribute_waits_for_a_slot),
		cmocka_unit_test(on_replaces_an_off_that_is_not_done),
		cmocka_unit_test(the_administrator_s_off_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
