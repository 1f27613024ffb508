/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that look at the data: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE; what must
 * not run beside them, and what comes out when many of them meet.
 */
#include "io-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY           0x8f
#define WRITE_AND_VERIFY 0x8e
#define ORWRITE          0x8b
#define BYTCHK_DATA      0x02
#define BYTCHK_ONE       0x06
#define CHUNK_BLOCKS     512u

static const struct rig_options defaults;

static uint8_t *at(const struct rig *rig, uint64_t lba)
{
	return backend_store(rig->backend) + lba * RIG_BLOCK;
}

/* ------- VERIFY ------- */

static void verifying_without_data_only_reads(void **state)
{
	struct rig rig;
	struct rig_command verify = rig_cdb16(VERIFY, 0, 7, CHUNK_BLOCKS + 1, NULL, 0);

	(void) state;
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &verify), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_READ), 2);
	backend_fail_at(rig.backend, TCMU_IO_READ, -EIO, 11 * RIG_BLOCK);
	rig_do(&rig, &verify);
	assert_sense(&verify, 0x03, 0x1100);
	assert_int_equal(rig_sense_info(&verify), 11);
	rig_stop(&rig);
}

static void verifying_tells_where_the_data_differs(void **state)
{
	const uint32_t blocks = CHUNK_BLOCKS + 8, length = blocks * RIG_BLOCK;
	uint8_t *out = calloc(1, length);
	struct rig rig;
	struct rig_command verify = rig_cdb16(VERIFY, BYTCHK_DATA, 7, blocks, out, length);

	(void) state;
	rig_start(&rig, &defaults);
	rig_pattern(out, length, 1);
	memcpy(at(&rig, 7), out, length);
	assert_int_equal(rig_do(&rig, &verify), SCSI_GOOD);
	at(&rig, 7)[length - 3] ^= 1;
	rig_do(&rig, &verify);
	assert_sense(&verify, 0x0e, 0x1d00);
	assert_int_equal(rig_sense_info(&verify), length - 3);
	rig_stop(&rig);
	free(out);
}

static void verifying_with_one_block_compares_each_with_it(void **state)
{
	uint8_t out[RIG_BLOCK] = {0};
	struct rig rig;
	struct rig_command verify = rig_cdb16(VERIFY, BYTCHK_ONE, 7, 600, out, RIG_BLOCK);

	(void) state;
	rig_start(&rig, &defaults);
	memset(out, 0x3c, sizeof(out));
	memset(at(&rig, 7), 0x3c, 600 * RIG_BLOCK);
	assert_int_equal(rig_do(&rig, &verify), SCSI_GOOD);
	at(&rig, 7 + 590)[100] = 0;
	rig_do(&rig, &verify);
	assert_sense(&verify, 0x0e, 0x1d00);
	assert_int_equal(rig_sense_info(&verify), 100);
	rig_stop(&rig);
}

static void what_was_written_is_read_back_and_compared(void **state)
{
	struct rig rig;
	uint8_t out[4 * RIG_BLOCK] = {0};
	struct rig_command write = rig_cdb16(WRITE_AND_VERIFY, BYTCHK_DATA, 7, 4, out, sizeof(out));
	struct rig_command plain = rig_cdb16(WRITE_AND_VERIFY, 0, 7, 4, out, sizeof(out));

	(void) state;
	rig_pattern(out, sizeof(out), 1);
	rig_start(&rig, &defaults);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_memory_equal(at(&rig, 7), out, sizeof(out));
	assert_int_equal(backend_count(rig.backend, TCMU_IO_READ), 1);

	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &write);
	assert_true(backend_wait_held(rig.backend, 1));
	at(&rig, 7)[RIG_BLOCK + 5] ^= 0xff; /* the medium has it wrong */
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&write);
	assert_sense(&write, 0x0e, 0x1d00);
	assert_int_equal(rig_sense_info(&write), RIG_BLOCK + 5);
	backend_hold(rig.backend, 0);

	assert_int_equal(rig_do(&rig, &plain), SCSI_GOOD);
	backend_fail(rig.backend, TCMU_IO_WRITE, 0, 1, -EIO);
	rig_do(&rig, &plain);
	assert_sense(&plain, 0x03, 0x0c00);
	rig_stop(&rig);
}

/* ------- COMPARE AND WRITE, ORWRITE ------- */

static void compares_and_writes(struct rig *rig)
{
	uint8_t out[6 * RIG_BLOCK] = {0};
	struct rig_command command = rig_compare_and_write(20, 3, out);

	memset(at(rig, 20), 0x10, 3 * RIG_BLOCK);
	memset(out, 0x10, 3 * RIG_BLOCK);
	memset(out + 3 * RIG_BLOCK, 0x20, 3 * RIG_BLOCK);
	assert_int_equal(rig_do(rig, &command), SCSI_GOOD);
	assert_memory_equal(at(rig, 20), out + 3 * RIG_BLOCK, 3 * RIG_BLOCK);

	memset(out, 0x20, 3 * RIG_BLOCK);
	out[2 * RIG_BLOCK + 9] = 0x21;
	memset(out + 3 * RIG_BLOCK, 0x30, 3 * RIG_BLOCK);
	rig_do(rig, &command);
	assert_sense(&command, 0x0e, 0x1d00);
	assert_int_equal(rig_sense_info(&command), 2 * RIG_BLOCK + 9);
	assert_int_equal(*at(rig, 20), 0x20);
}

static void compares_and_writes_by_reading_and_writing(void **state)
{
	struct rig rig;

	(void) state;
	rig_start(&rig, &defaults);
	compares_and_writes(&rig);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_READ), 2);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 1);
	rig_stop(&rig);
}

static void compares_and_writes_by_the_handler_that_can(void **state)
{
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command compare = rig_compare_and_write(9, 1, out);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info.caps = RIG_ALL_CAPS});
	compares_and_writes(&rig);
	assert_int_equal(backend_count(rig.backend, 0), 2);
	assert_int_equal(backend_record(rig.backend, 0).op, TCMU_IO_COMPARE_AND_WRITE);
	assert_int_equal(backend_record(rig.backend, 0).length, 3 * RIG_BLOCK);
	assert_int_equal(backend_record(rig.backend, 0).iov_length, 6 * RIG_BLOCK);
	backend_fail(rig.backend, TCMU_IO_COMPARE_AND_WRITE, 0, 1, -EIO);
	rig_do(&rig, &compare);
	assert_sense(&compare, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&compare), 9);
	rig_stop(&rig);
}

/* What a command is made of is decided when it comes, not when its turn comes. */
static void a_handler_that_loses_an_operation_meanwhile(void **state)
{
	struct tcmu_backend_info less = {.caps = RIG_BASIC_CAPS};
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command merge = rig_cdb16(ORWRITE, 0, 0, 1, out, RIG_BLOCK);
	struct rig_command compare = rig_compare_and_write(0, 1, out);

	(void) state;
	rig_start(&rig, &(struct rig_options){.backend.info.caps = RIG_ALL_CAPS});
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &merge);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_send(&rig, &compare);
	rig_wait_idle(&rig); /* it waits for its range */
	io_thread_set_size(rig.thread, 2048 * RIG_BLOCK, &less);
	rig_wait_orders(&rig);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&compare);
	assert_int_equal(compare.status, SCSI_GOOD);
	rig_stop(&rig);
}

static void a_compare_that_cannot_read_writes_nothing(void **state)
{
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command compare = rig_compare_and_write(9, 1, out);
	struct rig_command merge = rig_cdb16(ORWRITE, 0, 10, 1, out, RIG_BLOCK);

	(void) state;
	rig_start(&rig, &defaults);
	backend_fail(rig.backend, TCMU_IO_READ, 0, 2, -EIO);
	rig_do(&rig, &compare);
	assert_sense(&compare, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&compare), 9);
	rig_do(&rig, &merge);
	assert_sense(&merge, 0x03, 0x0c00);
	assert_int_equal(rig_sense_info(&merge), 10);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 0);
	rig_stop(&rig);
}

static void ors_what_is_there(void **state)
{
	struct rig rig;
	uint8_t out[3 * RIG_BLOCK] = {0};
	struct rig_command merge = rig_cdb16(ORWRITE, 0, 5, 3, out, sizeof(out));

	(void) state;
	rig_start(&rig, &defaults);
	memset(out, 0x0f, sizeof(out));
	memset(at(&rig, 5), 0x81, sizeof(out));
	assert_int_equal(rig_do(&rig, &merge), SCSI_GOOD);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(at(&rig, 5)[i], 0x8f);
	rig_stop(&rig);
}

/* ------- what must not run side by side ------- */

static void others_wait_for_the_range_of_a_compare(void **state)
{
	struct rig rig;
	uint8_t out[4 * RIG_BLOCK] = {0}, in[RIG_BLOCK];
	struct rig_command compare = rig_compare_and_write(10, 2, out);
	struct rig_command inside = rig_write(11, 1, out), beside = rig_write(12, 1, out);
	struct rig_command second = rig_compare_and_write(9, 2, out), read = rig_read(10, 1, in);

	(void) state;
	memset(out + 2 * RIG_BLOCK, 1, 2 * RIG_BLOCK);
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &compare);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_send(&rig, &inside);
	rig_send(&rig, &second);
	assert_int_equal(rig_do(&rig, &beside), SCSI_GOOD);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_WRITE), 1);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_READ), 1);
	rig_send(&rig, &read); /* does not wait */
	assert_true(backend_wait_held(rig.backend, 2));
	backend_release(rig.backend, 1, BACKEND_NEWEST);
	rig_wait(&read);
	assert_false(rig_is_done(&inside));
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&second);
	/* in the order in which they came */
	assert_true(compare.order < inside.order && inside.order < second.order);
	assert_int_equal(inside.status, SCSI_GOOD);
	assert_sense(&second, 0x0e, 0x1d00); /* the first compare has changed block 10 */
	rig_stop(&rig);
}

/* Otherwise a compare could wait for ever, and what came after it would be done before it. */
static void who_waits_is_not_overtaken(void **state)
{
	struct rig rig;
	uint8_t out[4 * RIG_BLOCK] = {0};
	struct rig_command first = rig_compare_and_write(10, 2, out);
	struct rig_command second = rig_compare_and_write(11, 2, out),
			   third = rig_write(12, 1, out);

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &first);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_send(&rig, &second);
	rig_send(&rig, &third); /* overlaps with the second only */
	for (unsigned i = 0; i < 3; i++)
		rig_wait_idle(&rig);
	assert_int_equal(backend_count(rig.backend, 0), 1);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&first);
	assert_true(backend_wait_held(rig.backend, 1)); /* the second's turn */
	rig_wait_idle(&rig);
	assert_false(rig_is_done(&third));
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&third);
	assert_true(second.order < third.order);
	rig_stop(&rig);
}

static void a_compare_waits_for_writes_under_way(void **state)
{
	static const uint8_t list[] = {0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0,
				       0, 0,  0, 11, 0, 0, 0, 4, 0, 0, 0, 0};
	struct rig_options options = {
		.backend.info.caps = RIG_BASIC_CAPS | TCMU_IO_CAP(TCMU_IO_UNMAP)};
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command write = rig_write(8, 2, out), compare = rig_compare_and_write(9, 1, out);
	struct rig_command unmap = {
		.cdb = {0x42, 0, 0, 0, 0, 0, 0, 0, 24},
		.cdb_length = 10,
		.out = list,
		.length = 24};
	struct rig_command other = rig_compare_and_write(14, 1, out);

	(void) state;
	rig_start(&rig, &options);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_UNMAP));
	rig_send(&rig, &write);
	rig_send(&rig, &unmap);
	assert_true(backend_wait_held(rig.backend, 2));
	rig_send(&rig, &compare);
	rig_send(&rig, &other);
	rig_wait_idle(&rig);
	assert_int_equal(backend_count(rig.backend, TCMU_IO_READ), 0);
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&compare);
	assert_false(rig_is_done(&other));
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&other);
	assert_true(write.order < compare.order && unmap.order < other.order);
	rig_stop(&rig);
}

static void an_aborted_command_does_not_wait_for_its_range(void **state)
{
	struct rig rig;
	uint8_t out[2 * RIG_BLOCK] = {0};
	struct rig_command first = rig_compare_and_write(0, 1, out), second = first, third = first;
	uint16_t id;

	(void) state;
	rig_start(&rig, &defaults);
	backend_hold(rig.backend, TCMU_IO_CAP(TCMU_IO_READ));
	rig_send(&rig, &first);
	rig_send(&rig, &second);
	rig_send(&rig, &third);
	assert_true(backend_wait_held(rig.backend, 1));
	rig_wait_idle(&rig);
	id = second.id;
	assert_int_equal(
		fake_ring_push_tmr(fake_uio_lock(rig.uio), TCMU_TMR_TYPE_ABORT_TASK, &id, 1), 0);
	fake_uio_unlock(rig.uio);
	rig_notify(&rig);
	rig_wait(&second);
	assert_int_equal(second.status, SCSI_TASK_ABORTED);
	backend_hold(rig.backend, 0);
	backend_release(rig.backend, 1, BACKEND_OLDEST);
	rig_wait(&third);
	assert_int_equal(third.status, SCSI_GOOD);
	rig_stop(&rig);
}

/* ------- many of them ------- */

#define INITIATORS 4
#define TIMES      100

struct initiator {
	struct rig *rig;
	unsigned number;
	unsigned misses;
};

/* Adds to a counter as cluster file systems do: reads, then compares with what it has read. */
static void *count_up(void *arg)
{
	struct initiator *self = arg;
	uint8_t out[2 * RIG_BLOCK] = {0};

	for (unsigned i = 0; i < TIMES;) {
		struct rig_command read = rig_read(0, 1, out);
		struct rig_command compare = rig_compare_and_write(0, 1, out);
		uint32_t value;

		rig_do(self->rig, &read);
		memcpy(&value, out, sizeof(value));
		value++;
		memcpy(out + RIG_BLOCK, out, RIG_BLOCK);
		memcpy(out + RIG_BLOCK, &value, sizeof(value));
		if (rig_do(self->rig, &compare) == SCSI_GOOD)
			i++;
		else
			self->misses++;
	}
	return NULL;
}

/* Sets bits of its own in blocks that all use. */
static void *set_bits(void *arg)
{
	struct initiator *self = arg;
	uint8_t out[2 * RIG_BLOCK] = {0};

	for (unsigned i = 0; i < TIMES; i++) {
		struct rig_command merge = rig_cdb16(ORWRITE, 0, 8 + i % 2, 1, out, RIG_BLOCK);
		unsigned bit = self->number * TIMES + i;

		memset(out, 0, sizeof(out));
		out[bit / 8] = (uint8_t) (1u << bit % 8);
		rig_do(self->rig, &merge);
	}
	return NULL;
}

static void run_initiators(struct rig *rig, void *(*main_of)(void *) )
{
	struct initiator initiators[INITIATORS];
	pthread_t threads[INITIATORS];

	for (unsigned i = 0; i < INITIATORS; i++) {
		initiators[i] = (struct initiator){.rig = rig, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, main_of, &initiators[i]), 0);
	}
	for (unsigned i = 0; i < INITIATORS; i++)
		pthread_join(threads[i], NULL);
}

static void none_of_many_increments_is_lost(void **state)
{
	static const struct rig_options kinds[] = {
		{.backend.info.caps = RIG_BASIC_CAPS},
		{.backend = {.threading = TCMU_HANDLER_PARALLEL, .workers = 4, .syscalls = true}},
		{.backend = {.aio = true}},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct rig rig;
		uint32_t value;

		rig_start(&rig, &kinds[i]);
		if (i == 0)
			backend_later(rig.backend, 20);
		run_initiators(&rig, count_up);
		backend_sync(rig.backend);
		memcpy(&value, at(&rig, 0), sizeof(value));
		assert_int_equal(value, INITIATORS * TIMES);
		rig_stop(&rig);
	}
}

static void none_of_many_bits_is_lost(void **state)
{
	struct rig rig;

	(void) state;
	rig_start(&rig, &defaults);
	backend_later(rig.backend, 20);
	run_initiators(&rig, set_bits);
	backend_sync(rig.backend);
	for (unsigned bit = 0; bit < INITIATORS * TIMES; bit++)
		assert_true(at(&rig, 8 + bit % 2)[bit / 8] & 1u << bit % 8);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verifying_without_data_only_reads),
		cmocka_unit_test(verifying_tells_where_the_data_differs),
		cmocka_unit_test(verifying_with_one_block_compares_each_with_it),
		cmocka_unit_test(what_was_written_is_read_back_and_compared),
		cmocka_unit_test(compares_and_writes_by_reading_and_writing),
		cmocka_unit_test(compares_and_writes_by_the_handler_that_can),
		cmocka_unit_test(a_handler_that_loses_an_operation_meanwhile),
		cmocka_unit_test(a_compare_that_cannot_read_writes_nothing),
		cmocka_unit_test(ors_what_is_there),
		cmocka_unit_test(others_wait_for_the_range_of_a_compare),
		cmocka_unit_test(who_waits_is_not_overtaken),
		cmocka_unit_test(a_compare_waits_for_writes_under_way),
		cmocka_unit_test(an_aborted_command_does_not_wait_for_its_range),
		cmocka_unit_test(none_of_many_increments_is_lost),
		cmocka_unit_test(none_of_many_bits_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
