/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SCSI disk of <tcmu/scsi.h> above a store in memory: what each kind of command does to the
 * store, and how the store's errors end commands.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <scsi/optable.h>
#include <tcmu/scsi.h>

#define BLOCK  512u
#define BLOCKS 4096u
#define SIZE   (BLOCK * BLOCKS)

#define GOOD   0x00
#define CHECK  0x02
#define BUSY   0x08

struct memory {
	uint8_t data[SIZE];
	bool mapped[BLOCKS];
	int write_error;
	int error; /* of the next functions */
	unsigned reads, writes, flushes, unmaps;
	pthread_mutex_t lock;
};

static uint64_t memory_mark(struct memory *memory, uint64_t offset, uint64_t length, bool mapped)
{
	assert_true(offset % BLOCK == 0 && length % BLOCK == 0 && offset + length <= SIZE);
	for (uint64_t at = offset; at < offset + length; at += BLOCK)
		memory->mapped[at / BLOCK] = mapped;
	return length;
}

static int memory_read(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	struct memory *memory = store;

	pthread_mutex_lock(&memory->lock);
	memory->reads++;
	for (unsigned i = 0; i < iov_cnt && !memory->error; offset += iov[i++].iov_len) {
		assert_true(offset + iov[i].iov_len <= SIZE);
		memcpy(iov[i].iov_base, memory->data + offset, iov[i].iov_len);
	}
	pthread_mutex_unlock(&memory->lock);
	return memory->error;
}

static int memory_write(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	struct memory *memory = store;

	pthread_mutex_lock(&memory->lock);
	memory->writes++;
	if (memory->write_error) {
		pthread_mutex_unlock(&memory->lock);
		return memory->write_error;
	}
	for (unsigned i = 0; i < iov_cnt && !memory->error; offset += iov[i++].iov_len) {
		assert_true(offset + iov[i].iov_len <= SIZE);
		memcpy(memory->data + offset, iov[i].iov_base, iov[i].iov_len);
		for (uint64_t at = offset; at < offset + iov[i].iov_len; at++)
			memory->mapped[at / BLOCK] = true;
	}
	pthread_mutex_unlock(&memory->lock);
	return memory->error;
}

static int memory_flush(void *store)
{
	struct memory *memory = store;

	memory->flushes++;
	return memory->error;
}

static int memory_unmap(void *store, uint64_t offset, uint64_t length)
{
	struct memory *memory = store;

	memory->unmaps++;
	memset(memory->data + offset, 0, memory_mark(memory, offset, length, false));
	return memory->error;
}

static int memory_map(void *store, uint64_t offset, uint64_t length, uint64_t *run, bool *mapped)
{
	struct memory *memory = store;
	uint64_t at = offset;

	*mapped = memory->mapped[offset / BLOCK];
	while (at < offset + length && memory->mapped[at / BLOCK] == *mapped)
		at += BLOCK;
	*run = at - offset;
	return memory->error;
}

struct fixture {
	struct memory memory;
	struct tcmu_scsi *scsi;
	struct tcmu_scsi_command command; /* the last one */
	uint8_t data[SIZE];
};

static const struct tcmu_scsi_store store = {
	.size = sizeof(store),
	.read = memory_read,
	.write = memory_write,
	.flush = memory_flush,
	.unmap = memory_unmap,
	.map = memory_map,
};

static const struct tcmu_scsi_setup setup = {
	.size = sizeof(setup),
	.block_size = BLOCK,
	.disk_size = SIZE,
	.config = "mine/disk",
	.serial = "0123456789abcdef0123456789abcdef",
	.max_blocks = BLOCKS,
};

static int disk_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	pthread_mutex_init(&fixture->memory.lock, NULL);
	assert_int_equal(tcmu_scsi_new(&setup, &store, &fixture->memory, &fixture->scsi), 0);
	*state = fixture;
	return 0;
}

static int disk_teardown(void **state)
{
	struct fixture *fixture = *state;

	tcmu_scsi_free(fixture->scsi);
	free(fixture);
	return 0;
}

/* Executes a command with length bytes of fixture->data, in two pieces where that is possible. */
static uint8_t run(struct fixture *fixture, const uint8_t *cdb, uint8_t cdb_length, size_t length)
{
	size_t first = length / 2;
	const struct iovec iov[] = {
		{fixture->data, first}, {fixture->data + first, length - first}};

	fixture->command = (struct tcmu_scsi_command){
		.size = sizeof(fixture->command),
		.cdb = cdb,
		.cdb_length = cdb_length,
		.iov = iov,
		.iov_cnt = length ? 2 : 0,
	};
	tcmu_scsi_execute(fixture->scsi, &fixture->command);
	return fixture->command.status;
}

/* READ, WRITE, VERIFY and so on of 16 bytes. */
static uint8_t run16(
	struct fixture *fixture, uint8_t opcode, uint8_t flags, uint32_t lba, uint32_t blocks,
	size_t length)
{
	const uint8_t cdb[16] = {
		opcode,
		flags,
		0,
		0,
		0,
		0,
		(uint8_t) (lba >> 24),
		(uint8_t) (lba >> 16),
		(uint8_t) (lba >> 8),
		(uint8_t) lba,
		0,
		0,
		(uint8_t) (blocks >> 8),
		(uint8_t) blocks};

	return run(fixture, cdb, sizeof(cdb), length);
}

static void expect_sense(const struct fixture *fixture, uint8_t key, uint8_t asc, uint8_t ascq)
{
	assert_int_equal(fixture->command.status, CHECK);
	assert_int_equal(fixture->command.sense[2], key);
	assert_int_equal(fixture->command.sense[12], asc);
	assert_int_equal(fixture->command.sense[13], ascq);
}

#define READ_16           0x88
#define COMPARE_AND_WRITE 0x89
#define WRITE_16          0x8a
#define ORWRITE_16        0x8b
#define WRITE_AND_VERIFY  0x8e
#define VERIFY_16         0x8f
#define SYNCHRONIZE_CACHE 0x91
#define WRITE_SAME_16     0x93

static void what_is_written_is_read(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->data, 0x5a, 64 * BLOCK);
	assert_int_equal(run16(fixture, WRITE_16, 0, 100, 64, 64 * BLOCK), GOOD);
	assert_false(fixture->command.has_read_len);
	assert_int_equal(fixture->memory.data[100 * BLOCK], 0x5a);
	assert_int_equal(fixture->memory.data[164 * BLOCK - 1], 0x5a);
	assert_int_equal(fixture->memory.data[164 * BLOCK], 0);
	memset(fixture->data, 0, 64 * BLOCK);
	assert_int_equal(run16(fixture, READ_16, 0, 100, 64, 64 * BLOCK), GOOD);
	assert_true(fixture->command.has_read_len);
	assert_int_equal(fixture->command.read_len, 64 * BLOCK);
	assert_memory_equal(fixture->data, fixture->memory.data + 100 * BLOCK, 64 * BLOCK);
	assert_int_equal(fixture->memory.flushes, 0);
}

static void a_read_fills_the_room_that_there_is(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->memory.data, 7, SIZE);
	assert_int_equal(run16(fixture, READ_16, 0, 0, 4, 700), GOOD);
	assert_int_equal(fixture->command.read_len, 700);
	assert_int_equal(fixture->data[699], 7);
	assert_int_equal(fixture->data[700], 0);
	assert_int_equal(run16(fixture, READ_16, 0, 0, 1, 3 * BLOCK), GOOD);
	assert_int_equal(fixture->command.read_len, BLOCK);
	assert_int_equal(run16(fixture, READ_16, 0, 0, 0, 0), GOOD);
	assert_int_equal(fixture->command.read_len, 0);
}

static void a_range_beyond_the_end_is_refused_before_the_store(void **state)
{
	struct fixture *fixture = *state;

	(void) run16(fixture, READ_16, 0, BLOCKS - 1, 2, 2 * BLOCK);
	expect_sense(fixture, 0x05, 0x21, 0x00);
	(void) run16(fixture, WRITE_16, 0, BLOCKS, 1, BLOCK);
	expect_sense(fixture, 0x05, 0x21, 0x00);
	assert_int_equal(fixture->memory.reads + fixture->memory.writes, 0);
}

static void forced_writes_and_a_cache_that_is_off_flush(void **state)
{
	struct fixture *fixture = *state;
	/* MODE SELECT(6): the caching page with WCE 0 */
	static const uint8_t select[6] = {0x15, 0x10, 0, 0, 24};

	assert_int_equal(run16(fixture, WRITE_16, 0x08, 0, 1, BLOCK), GOOD);
	assert_int_equal(fixture->memory.flushes, 1);
	assert_int_equal(run16(fixture, SYNCHRONIZE_CACHE, 0, 0, 0, 0), GOOD);
	assert_int_equal(fixture->memory.flushes, 2);
	memset(fixture->data, 0, 24);
	fixture->data[4] = 0x08;
	fixture->data[5] = 0x12;
	assert_int_equal(run(fixture, select, sizeof(select), 24), GOOD);
	assert_int_equal(fixture->memory.flushes, 3);
	assert_int_equal(run16(fixture, WRITE_16, 0, 0, 1, BLOCK), GOOD);
	assert_int_equal(fixture->memory.flushes, 4);
	fixture->data[6] = 0x04; /* WCE */
	fixture->data[4] = 0x08;
	fixture->data[5] = 0x12;
	memset(fixture->data, 0, 4);
	assert_int_equal(run(fixture, select, sizeof(select), 24), GOOD);
	assert_int_equal(run16(fixture, WRITE_16, 0, 0, 1, BLOCK), GOOD);
	assert_int_equal(fixture->memory.flushes, 4);
}

static void write_same_repeats_a_block_or_gives_it_back(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->data, 0x33, BLOCK);
	assert_int_equal(run16(fixture, WRITE_SAME_16, 0, 8, BLOCKS - 16, BLOCK), GOOD);
	assert_int_equal(fixture->memory.data[8 * BLOCK - 1], 0);
	assert_int_equal(fixture->memory.data[8 * BLOCK], 0x33);
	assert_int_equal(fixture->memory.data[SIZE - 8 * BLOCK - 1], 0x33);
	assert_int_equal(fixture->memory.data[SIZE - 8 * BLOCK], 0);
	memset(fixture->data, 0, BLOCK);
	assert_int_equal(run16(fixture, WRITE_SAME_16, 0x08, 8, 100, BLOCK), GOOD);
	assert_int_equal(fixture->memory.unmaps, 1);
	assert_int_equal(fixture->memory.data[8 * BLOCK], 0);
	assert_int_equal(fixture->memory.data[108 * BLOCK], 0x33);
}

static void verify_compares(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->data, 0x44, 8 * BLOCK);
	assert_int_equal(run16(fixture, WRITE_AND_VERIFY, 0x02, 16, 8, 8 * BLOCK), GOOD);
	assert_int_equal(run16(fixture, VERIFY_16, 0x02, 16, 8, 8 * BLOCK), GOOD);
	assert_int_equal(run16(fixture, VERIFY_16, 0x06, 16, 8, BLOCK), GOOD);
	assert_int_equal(run16(fixture, VERIFY_16, 0, 16, 8, 0), GOOD);
	fixture->memory.data[19 * BLOCK + 5] = 0;
	(void) run16(fixture, VERIFY_16, 0x02, 16, 8, 8 * BLOCK);
	expect_sense(fixture, 0x0e, 0x1d, 0x00);
	(void) run16(fixture, VERIFY_16, 0x06, 16, 8, BLOCK);
	expect_sense(fixture, 0x0e, 0x1d, 0x00);
	assert_int_equal(run16(fixture, VERIFY_16, 0, 16, 8, 0), GOOD);
}

static void compare_and_write_writes_what_compares(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->data, 0, BLOCK);
	memset(fixture->data + BLOCK, 1, BLOCK);
	assert_int_equal(run16(fixture, COMPARE_AND_WRITE, 0, 5, 0, 0), GOOD);
	fixture->memory.writes = 0;
	{
		uint8_t cdb[16] = {COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1};

		assert_int_equal(run(fixture, cdb, sizeof(cdb), 2 * BLOCK), GOOD);
		assert_int_equal(fixture->memory.data[5 * BLOCK], 1);
		fixture->memory.data[5 * BLOCK + 300] = 9;
		(void) run(fixture, cdb, sizeof(cdb), 2 * BLOCK);
		expect_sense(fixture, 0x0e, 0x1d, 0x00);
		assert_int_equal(fixture->memory.writes, 1);
	}
}

/* Initiators must not repeat one that may have been carried out. */
static void a_compare_and_write_of_unknown_outcome_is_not_repeated(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t cdb[16] = {COMPARE_AND_WRITE, 0x08, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1};

	memset(fixture->data, 0, 2 * BLOCK);
	fixture->memory.error = -ETIMEDOUT; /* also of the read: nothing was written */
	assert_int_equal(run(fixture, cdb, sizeof(cdb), 2 * BLOCK), BUSY);
	fixture->memory.error = 0;
	fixture->memory.write_error = -ETIMEDOUT;
	(void) run(fixture, cdb, sizeof(cdb), 2 * BLOCK);
	expect_sense(fixture, 0x04, 0x44, 0x00);
	fixture->memory.write_error = -EBUSY;
	assert_int_equal(run(fixture, cdb, sizeof(cdb), 2 * BLOCK), BUSY);
	fixture->memory.write_error = 0;
	assert_int_equal(run(fixture, cdb, sizeof(cdb), 2 * BLOCK), GOOD);
}

static void orwrite_sets_bits(void **state)
{
	struct fixture *fixture = *state;

	memset(fixture->memory.data, 0x0f, 2 * BLOCK);
	memset(fixture->data, 0x81, 2 * BLOCK);
	assert_int_equal(run16(fixture, ORWRITE_16, 0, 0, 2, 2 * BLOCK), GOOD);
	assert_int_equal(fixture->memory.data[2 * BLOCK - 1], 0x8f);
}

static void unmap_and_lba_status_agree(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t unmap[10] = {0x42, 0, 0, 0, 0, 0, 0, 0, 24};
	static const uint8_t status[16] = {0x9e, 0x12, [13] = 56};

	memset(fixture->data, 1, 100 * BLOCK);
	assert_int_equal(run16(fixture, WRITE_16, 0, 0, 100, 100 * BLOCK), GOOD);
	memset(fixture->data, 0, 24);
	fixture->data[1] = 22;
	fixture->data[3] = 16;
	fixture->data[15] = 10; /* LBA */
	fixture->data[19] = 20; /* blocks */
	assert_int_equal(run(fixture, unmap, sizeof(unmap), 24), GOOD);
	assert_int_equal(fixture->memory.data[10 * BLOCK - 1], 1);
	assert_int_equal(fixture->memory.data[10 * BLOCK], 0);
	assert_int_equal(fixture->memory.data[30 * BLOCK], 1);
	assert_int_equal(run(fixture, status, sizeof(status), 56), GOOD);
	assert_int_equal(fixture->command.read_len, 56);
	assert_int_equal(fixture->data[8 + 11], 10); /* blocks, mapped */
	assert_int_equal(fixture->data[8 + 12], 0);
	assert_int_equal(fixture->data[24 + 11], 20);
	assert_int_equal(fixture->data[24 + 12], 1); /* deallocated */
	assert_int_equal(fixture->data[40 + 11], 70);
}

static void errors_of_the_store_are_those_of_a_handler(void **state)
{
	struct fixture *fixture = *state;

	fixture->memory.error = -EIO;
	(void) run16(fixture, READ_16, 0, 0, 1, BLOCK);
	expect_sense(fixture, 0x03, 0x11, 0x00);
	(void) run16(fixture, WRITE_16, 0, 0, 1, BLOCK);
	expect_sense(fixture, 0x03, 0x0c, 0x00);
	(void) run16(fixture, SYNCHRONIZE_CACHE, 0, 0, 0, 0);
	expect_sense(fixture, 0x03, 0x0c, 0x00);
	fixture->memory.error = -ENOSPC;
	(void) run16(fixture, WRITE_16, 0, 0, 1, BLOCK);
	expect_sense(fixture, 0x07, 0x27, 0x07);
	fixture->memory.error = -EBUSY;
	assert_int_equal(run16(fixture, WRITE_16, 0, 0, 1, BLOCK), BUSY);
}

static void a_store_that_has_less_gives_a_disk_that_has_less(void **state)
{
	struct fixture *fixture = *state;
	struct tcmu_scsi_store less = {.size = sizeof(less), .read = memory_read};
	static const uint8_t status[16] = {0x9e, 0x12, [13] = 24};
	static const uint8_t unmap[10] = {0x42, [8] = 24};

	tcmu_scsi_free(fixture->scsi);
	assert_int_equal(tcmu_scsi_new(&setup, &less, &fixture->memory, &fixture->scsi), 0);
	(void) run16(fixture, WRITE_16, 0, 0, 1, BLOCK);
	expect_sense(fixture, 0x07, 0x27, 0x00);
	(void) run(fixture, unmap, sizeof(unmap), 24);
	expect_sense(fixture, 0x05, 0x20, 0x00);
	assert_int_equal(run(fixture, status, sizeof(status), 24), GOOD);
	assert_int_equal(run16(fixture, SYNCHRONIZE_CACHE, 0, 0, 0, 0), GOOD);
	assert_int_equal(run16(fixture, READ_16, 0, 0, 1, BLOCK), GOOD);
}

static void a_new_size_is_reported_once(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t ready[6] = {0};
	static const uint8_t capacity[16] = {0x9e, 0x10, [13] = 32};

	assert_int_equal(tcmu_scsi_resize(fixture->scsi, 0), -EINVAL);
	assert_int_equal(tcmu_scsi_resize(fixture->scsi, SIZE / 2 + 1), -EINVAL);
	assert_int_equal(tcmu_scsi_resize(fixture->scsi, SIZE / 2), 0);
	assert_int_equal(tcmu_scsi_size(fixture->scsi), SIZE / 2);
	(void) run(fixture, ready, sizeof(ready), 0);
	expect_sense(fixture, 0x06, 0x2a, 0x09);
	assert_int_equal(run(fixture, ready, sizeof(ready), 0), GOOD);
	assert_int_equal(run(fixture, capacity, sizeof(capacity), 32), GOOD);
	assert_int_equal(fixture->data[6] << 8 | fixture->data[7], BLOCKS / 2 - 1);
}

static void the_setup_is_checked_and_may_be_shorter(void **state)
{
	struct fixture *fixture = *state;
	struct tcmu_scsi *scsi;
	struct tcmu_scsi_setup other = setup;
	struct tcmu_scsi_store no_read = {.size = sizeof(no_read), .write = memory_write};

	other.block_size = 513;
	assert_int_equal(tcmu_scsi_new(&other, &store, NULL, &scsi), -EINVAL);
	assert_null(scsi);
	other.block_size = 4096;
	other.disk_size = 4097;
	assert_int_equal(tcmu_scsi_new(&other, &store, NULL, &scsi), -EINVAL);
	assert_int_equal(tcmu_scsi_new(&setup, &no_read, NULL, &scsi), -EINVAL);
	/* of a program that was built with an older header */
	other = setup;
	other.size = offsetof(struct tcmu_scsi_setup, config);
	other.config = (const char *) 1;
	other.serial = (const char *) 1;
	assert_int_equal(tcmu_scsi_new(&other, &store, &fixture->memory, &scsi), 0);
	tcmu_scsi_free(scsi);
	tcmu_scsi_free(NULL);
}

/* A byte of a CDB: within its usage mask mostly, and small mostly. */
static uint8_t random_field(uint8_t usage, unsigned n)
{
	uint8_t mask = n % 4 ? usage : 0xff;

	return (uint8_t) (random() & mask & (n % 3 ? 0x0f : 0xff));
}

/* Every operation of the table, with every kind of CDB and data: each has an answer. */
static void no_command_is_left_without_an_answer(void **state)
{
	struct fixture *fixture = *state;
	const struct scsi_operation *operation;

	srandom(17);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++)
		for (unsigned n = 0; n < 400; n++) {
			uint8_t cdb[16] = {0};

			for (unsigned at = 1; at < sizeof(cdb); at++)
				cdb[at] = random_field(operation->usage[at], n);
			if (operation->has_action)
				cdb[1] = (uint8_t) ((cdb[1] & 0xe0) | operation->action);
			cdb[0] = operation->opcode;
			for (unsigned at = 0; at < 64; at++)
				fixture->data[at] = (uint8_t) random();
			fixture->memory.error = n % 7 ? 0 : -EIO;
			(void) run(
				fixture, cdb, operation->cdb_length,
				n % 5 ? (size_t) (random() % 4) * BLOCK : (size_t) random() % 256);
			assert_true(
				fixture->command.status != CHECK ||
				fixture->command.sense[0] == 0x70 ||
				fixture->command.sense[0] == 0xf0 ||
				fixture->command.sense[0] == 0x72);
		}
}

/* ------- commands at the same time ------- */

#define THREADS    4u
#define INCREMENTS 300u

struct counting {
	struct fixture *fixture;
	unsigned done;
};

/* Adds to a number in a block by COMPARE AND WRITE, as cluster file systems do. */
static void *count_up(void *argument)
{
	struct counting *counting = argument;
	static const uint8_t read_cdb[16] = {READ_16, [13] = 1};
	static const uint8_t write_cdb[16] = {COMPARE_AND_WRITE, [13] = 1};

	while (counting->done < INCREMENTS) {
		uint8_t data[2 * BLOCK];
		struct iovec iov = {data, BLOCK};
		struct tcmu_scsi_command command = {
			.size = sizeof(command),
			.cdb = read_cdb,
			.cdb_length = 16,
			.iov = &iov,
			.iov_cnt = 1};
		uint32_t number;

		tcmu_scsi_execute(counting->fixture->scsi, &command);
		memcpy(data + BLOCK, data, BLOCK);
		memcpy(&number, data, sizeof(number));
		number++;
		memcpy(data + BLOCK, &number, sizeof(number));
		iov.iov_len = 2 * BLOCK;
		command.cdb = write_cdb;
		tcmu_scsi_execute(counting->fixture->scsi, &command);
		counting->done += command.status == GOOD;
	}
	return NULL;
}

static void compare_and_write_is_atomic(void **state)
{
	struct fixture *fixture = *state;
	struct counting counting[THREADS];
	pthread_t threads[THREADS];
	uint32_t number;

	for (unsigned i = 0; i < THREADS; i++) {
		counting[i] = (struct counting){.fixture = fixture};
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counting[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	memcpy(&number, fixture->memory.data, sizeof(number));
	assert_int_equal(number, THREADS * INCREMENTS);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(what_is_written_is_read),
		DISK_TEST(a_read_fills_the_room_that_there_is),
		DISK_TEST(a_range_beyond_the_end_is_refused_before_the_store),
		DISK_TEST(forced_writes_and_a_cache_that_is_off_flush),
		DISK_TEST(write_same_repeats_a_block_or_gives_it_back),
		DISK_TEST(verify_compares),
		DISK_TEST(compare_and_write_writes_what_compares),
		DISK_TEST(a_compare_and_write_of_unknown_outcome_is_not_repeated),
		DISK_TEST(orwrite_sets_bits),
		DISK_TEST(unmap_and_lba_status_agree),
		DISK_TEST(errors_of_the_store_are_those_of_a_handler),
		DISK_TEST(a_store_that_has_less_gives_a_disk_that_has_less),
		DISK_TEST(a_new_size_is_reported_once),
		DISK_TEST(the_setup_is_checked_and_may_be_shorter),
		DISK_TEST(no_command_is_left_without_an_answer),
		DISK_TEST(compare_and_write_is_atomic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
