/* SPDX-License-Identifier: Apache-2.0 */
/* See carry-out.h. */
#include "carry-out.h"

#include <assert.h>
#include <errno.h>
#include <scsi/pieces.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX       (UINT64_C(1) << 20) /* bytes that are held in memory at once */
#define DESCRIPTORS_MAX 64u                 /* of GET LBA STATUS */

static uint64_t carry_offset(const struct carry_out *work)
{
	return work->plan->lba * work->scsi->block_size;
}

static uint64_t carry_length(const struct carry_out *work)
{
	return work->plan->blocks * work->scsi->block_size;
}

static uint64_t carry_chunk(uint64_t left)
{
	return left < CHUNK_MAX ? left : CHUNK_MAX;
}

/* Copies the first length bytes of data-out, which has them. */
static void carry_take_out(const struct carry_out *work, void *data, uint64_t length)
{
	size_t taken = scsi_pieces_copy(
		work->command->iov, work->command->iov_cnt, 0, data, (size_t) length);

	assert(taken == length);
	(void) taken;
}

static int store_read(struct carry_out *work, void *data, uint64_t length, uint64_t offset)
{
	struct iovec piece = {.iov_base = data, .iov_len = length};

	work->lba = offset / work->scsi->block_size;
	return work->scsi->functions.read(work->scsi->store, &piece, 1, offset);
}

static int store_write(struct carry_out *work, void *data, uint64_t length, uint64_t offset)
{
	struct iovec piece = {.iov_base = data, .iov_len = length};

	work->lba = offset / work->scsi->block_size;
	return work->scsi->functions.write(work->scsi->store, &piece, 1, offset);
}

/* Makes written data stable, where that is asked for (SBC-3 4.15). */
static int carry_stable(struct carry_out *work)
{
	struct tcmu_scsi *scsi = work->scsi;

	if (!scsi->functions.flush ||
	    (!(work->plan->flags & SCSI_PLAN_FUA) && !atomic_load(&scsi->write_through)))
		return 0;
	return scsi->functions.flush(scsi->store);
}

/* ------- READ, WRITE, FLUSH, UNMAP ------- */

/* The initiator's room is not what it asks for: as much as fits. */
static int carry_read_part(struct carry_out *work, uint64_t length)
{
	const struct tcmu_scsi_command *command = work->command;
	uint64_t block = work->scsi->block_size;
	uint64_t room = (work->data_length + block - 1) / block * block;
	uint8_t *data;
	int r;

	if (length > room)
		length = room;
	data = malloc(length ? length : 1);
	if (!data)
		return -ENOMEM;
	r = length ? store_read(work, data, length, carry_offset(work)) : 0;
	if (r == 0)
		work->read_len = (uint32_t) scsi_pieces_fill(
			command->iov, command->iov_cnt, data, length);
	free(data);
	return r;
}

static int carry_read(struct carry_out *work)
{
	const struct tcmu_scsi_command *command = work->command;
	uint64_t length = carry_length(work);
	int r;

	if (length == 0)
		return 0;
	if (length != work->data_length)
		return carry_read_part(work, length);
	r = work->scsi->functions.read(
		work->scsi->store, command->iov, command->iov_cnt, carry_offset(work));
	if (r == 0)
		work->read_len = (uint32_t) length;
	return r;
}

/* The SCSI code has compared the length of data-out with the plan. */
static int carry_write_data(struct carry_out *work)
{
	const struct tcmu_scsi_command *command = work->command;

	assert(work->data_length == carry_length(work));
	return work->scsi->functions.write(
		work->scsi->store, command->iov, command->iov_cnt, carry_offset(work));
}

static int carry_write(struct carry_out *work)
{
	int r = work->plan->blocks ? carry_write_data(work) : 0;

	return r < 0 ? r : carry_stable(work);
}

static int carry_flush(struct carry_out *work)
{
	struct tcmu_scsi *scsi = work->scsi;
	int r = scsi->functions.flush ? scsi->functions.flush(scsi->store) : 0;

	if (r < 0 || !(work->plan->flags & SCSI_PLAN_CACHE_OFF))
		return r;
	atomic_store(&scsi->write_through, true);
	pthread_mutex_lock(&scsi->lock);
	scsi->lu.write_cache = false;
	pthread_mutex_unlock(&scsi->lock);
	return 0;
}

static int carry_unmap(struct carry_out *work)
{
	struct tcmu_scsi *scsi = work->scsi;
	const struct scsi_plan *plan = work->plan;

	assert(plan->extent_cnt <= SCSI_UNMAP_DESCRIPTORS_MAX && scsi->functions.unmap);
	for (unsigned i = 0; i < plan->extent_cnt; i++) {
		const struct scsi_extent *extent = &plan->extents[i];
		int r;

		if (extent->blocks == 0)
			continue;
		work->lba = extent->lba;
		r = scsi->functions.unmap(
			scsi->store, extent->lba * scsi->block_size,
			extent->blocks * scsi->block_size);
		if (r < 0)
			return r;
	}
	return carry_stable(work);
}

/* ------- WRITE SAME ------- */

/* Whether the blocks may be given back instead (SBC-3 5.44, UNMAP=1). */
static bool carry_may_unmap(const struct carry_out *work, const uint8_t *block)
{
	return (work->plan->flags & SCSI_PLAN_MAY_UNMAP) && work->scsi->functions.unmap &&
		block[0] == 0 && memcmp(block, block + 1, work->scsi->block_size - 1) == 0;
}

static int carry_repeat(struct carry_out *work, uint8_t *chunk, uint64_t filled)
{
	uint64_t left = carry_length(work), offset = carry_offset(work);

	for (uint64_t i = work->scsi->block_size; i < filled; i += work->scsi->block_size)
		memcpy(chunk + i, chunk, work->scsi->block_size);
	while (left) {
		uint64_t length = left < filled ? left : filled;
		int r = store_write(work, chunk, length, offset);

		if (r < 0)
			return r;
		offset += length;
		left -= length;
	}
	return 0;
}

static int carry_write_same(struct carry_out *work)
{
	struct tcmu_scsi *scsi = work->scsi;
	uint64_t chunk = carry_chunk(carry_length(work));
	uint8_t *data;
	int r;

	if (chunk == 0)
		return 0;
	data = calloc(1, chunk);
	if (!data)
		return -ENOMEM;
	assert(!(work->plan->flags & (SCSI_PLAN_DATA | SCSI_PLAN_LONG)));
	if (!(work->plan->flags & SCSI_PLAN_ZEROES))
		carry_take_out(work, data, scsi->block_size);
	if (carry_may_unmap(work, data))
		r = scsi->functions.unmap(scsi->store, carry_offset(work), carry_length(work));
	else
		r = carry_repeat(work, data, chunk);
	free(data);
	return r < 0 ? r : carry_stable(work);
}

/* ------- commands that compare ------- */

/* Compares what is stored with want, of length bytes, from `done` bytes of the plan on. */
static int carry_compare(
	struct carry_out *work, const uint8_t *want, const uint8_t *got, uint64_t length,
	uint64_t done)
{
	uint64_t same = 0;

	if (memcmp(want, got, length) == 0)
		return 0;
	while (want[same] == got[same])
		same++;
	work->lba = work->plan->lba + (done + same) / work->scsi->block_size;
	work->result_offset = done + same;
	return -EILSEQ;
}

/* VERIFY with BYTCHK 3: data-out is one block, and the offset counts within it. */
static int carry_compare_one(
	struct carry_out *work, const uint8_t *want, const uint8_t *got, uint64_t length,
	uint64_t done)
{
	for (uint64_t i = 0; i < length; i += work->scsi->block_size) {
		int r = carry_compare(work, want, got + i, work->scsi->block_size, 0);

		if (r == 0)
			continue;
		work->lba = work->plan->lba + (done + i) / work->scsi->block_size;
		return r;
	}
	return 0;
}

/* want: data-out, or NULL: the blocks are only read. */
static int carry_verify_data(struct carry_out *work, const uint8_t *want, uint8_t *chunk)
{
	uint64_t length = carry_length(work), step;

	for (uint64_t done = 0; done < length; done += step) {
		int r;

		step = carry_chunk(length - done);
		r = store_read(work, chunk, step, carry_offset(work) + done);
		if (r == 0 && want && (work->plan->flags & SCSI_PLAN_ONE_BLOCK))
			r = carry_compare_one(work, want, chunk, step, done);
		else if (r == 0 && want)
			r = carry_compare(work, want + done, chunk, step, done);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Memory for what is read, and behind it a copy of data-out. */
static uint8_t *carry_copy(const struct carry_out *work, uint64_t room, uint64_t copy)
{
	uint8_t *memory = malloc(room + copy + 1);

	assert(copy <= work->data_length);
	if (memory && copy)
		carry_take_out(work, memory + room, copy);
	return memory;
}

static int carry_verify(struct carry_out *work)
{
	bool compares = work->plan->flags & SCSI_PLAN_COMPARE;
	bool writes = work->plan->op == SCSI_PLAN_WRITE_VERIFY;
	uint64_t room = carry_chunk(carry_length(work));
	uint8_t *memory = carry_copy(work, room, compares ? work->data_length : 0);
	int r = 0;

	if (!memory)
		return -ENOMEM;
	if (writes && work->plan->blocks)
		r = carry_write_data(work);
	if (r == 0)
		r = carry_verify_data(work, compares ? memory + room : NULL, memory);
	free(memory);
	return r < 0 || !writes ? r : carry_stable(work);
}

/* A COMPARE AND WRITE that may have been carried out must not end with a status at which initiators
 * repeat it: the repetition would miscompare. */
static int carry_outcome(int error)
{
	return error == -ETIMEDOUT || error == -ESHUTDOWN || error == -ECANCELED ? -ENOTRECOVERABLE
										 : error;
}

static int carry_compare_and_write(struct carry_out *work)
{
	uint64_t length = carry_length(work);
	uint8_t *memory;
	int r;

	if (length == 0)
		return 0;
	memory = carry_copy(work, length, 2 * length);
	if (!memory)
		return -ENOMEM;
	r = store_read(work, memory, length, carry_offset(work));
	if (r == 0)
		r = carry_compare(work, memory + length, memory, length, 0);
	if (r == 0)
		r = carry_outcome(
			store_write(work, memory + 2 * length, length, carry_offset(work)));
	if (r == 0)
		r = carry_outcome(carry_stable(work));
	free(memory);
	return r;
}

static int carry_orwrite(struct carry_out *work)
{
	uint64_t length = carry_length(work);
	uint8_t *memory = carry_copy(work, length, length);
	int r = 0;

	if (!memory)
		return -ENOMEM;
	if (length)
		r = store_read(work, memory, length, carry_offset(work));
	for (uint64_t i = 0; r == 0 && i < length; i++)
		memory[i] |= memory[length + i];
	if (r == 0 && length)
		r = store_write(work, memory, length, carry_offset(work));
	free(memory);
	return r < 0 ? r : carry_stable(work);
}

/* ------- GET LBA STATUS ------- */

/* Adds a run to the descriptors. Returns how many there are. */
static unsigned carry_add_run(
	struct scsi_lba_status *status, unsigned cnt, uint64_t lba, uint64_t blocks, bool mapped)
{
	assert(cnt < DESCRIPTORS_MAX && blocks);
	if (cnt && status[cnt - 1].mapped == mapped) {
		status[cnt - 1].blocks += blocks;
		return cnt;
	}
	status[cnt] = (struct scsi_lba_status){.lba = lba, .blocks = blocks, .mapped = mapped};
	return cnt + 1;
}

static void carry_answer_map(
	struct carry_out *work, const struct scsi_lba_status *status, unsigned cnt)
{
	struct tcmu_scsi *scsi = work->scsi;
	const struct tcmu_scsi_command *command = work->command;
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.data_length = work->data_length};

	pthread_mutex_lock(&scsi->lock);
	scsi->result.data = scsi->data;
	scsi_answer_lba_status(&task, status, cnt, &scsi->result);
	work->read_len = (uint32_t) scsi_pieces_fill(
		command->iov, command->iov_cnt, scsi->data, scsi->result.data_length);
	pthread_mutex_unlock(&scsi->lock);
}

static int carry_map(struct carry_out *work)
{
	struct tcmu_scsi *scsi = work->scsi;
	struct scsi_lba_status status[DESCRIPTORS_MAX];
	uint64_t length = carry_length(work), done = 0;
	unsigned cnt = 0;

	assert(scsi->functions.map);
	while (done < length && cnt < DESCRIPTORS_MAX) {
		uint64_t run = 0;
		bool mapped = true;
		int r = scsi->functions.map(
			scsi->store, carry_offset(work) + done, length - done, &run, &mapped);

		run -= run % scsi->block_size;
		if (r < 0 || run == 0 || run > length - done)
			return r < 0 ? r : -EIO;
		cnt = carry_add_run(
			status, cnt, work->plan->lba + done / scsi->block_size,
			run / scsi->block_size, mapped);
		done += run;
	}
	carry_answer_map(work, status, cnt);
	return 0;
}

/* ------- the plans ------- */

static int carry_nothing(struct carry_out *work)
{
	assert(work->plan->op == SCSI_PLAN_PREFETCH);
	(void) work;
	return 0;
}

enum carry_medium {
	MEDIUM_FREE,      /* reads, or a flush */
	MEDIUM_SHARED,    /* writes */
	MEDIUM_EXCLUSIVE, /* reads and writes what must not change between */
};

static const struct {
	int (*function)(struct carry_out *work); /* NULL: no disk of the library has such plans */
	enum carry_medium medium;
} carry_plans[] = {
	[SCSI_PLAN_READ] = {carry_read, MEDIUM_FREE},
	[SCSI_PLAN_WRITE] = {carry_write, MEDIUM_SHARED},
	[SCSI_PLAN_FLUSH] = {carry_flush, MEDIUM_FREE},
	[SCSI_PLAN_UNMAP] = {carry_unmap, MEDIUM_SHARED},
	[SCSI_PLAN_WRITE_SAME] = {carry_write_same, MEDIUM_SHARED},
	[SCSI_PLAN_VERIFY] = {carry_verify, MEDIUM_FREE},
	[SCSI_PLAN_WRITE_VERIFY] = {carry_verify, MEDIUM_SHARED},
	[SCSI_PLAN_COMPARE_AND_WRITE] = {carry_compare_and_write, MEDIUM_EXCLUSIVE},
	[SCSI_PLAN_ORWRITE] = {carry_orwrite, MEDIUM_EXCLUSIVE},
	[SCSI_PLAN_MAP] = {carry_map, MEDIUM_FREE},
	[SCSI_PLAN_PREFETCH] = {carry_nothing, MEDIUM_FREE},
};

int carry_out_plan(struct carry_out *work)
{
	enum scsi_plan_op op = work->plan->op;
	pthread_rwlock_t *medium = &work->scsi->medium;
	int r;

	assert(op < sizeof(carry_plans) / sizeof(carry_plans[0]) && carry_plans[op].function);
	work->lba = work->plan->lba;
	if (carry_plans[op].medium == MEDIUM_FREE)
		return carry_plans[op].function(work);
	if (carry_plans[op].medium == MEDIUM_SHARED)
		pthread_rwlock_rdlock(medium);
	else
		pthread_rwlock_wrlock(medium);
	r = carry_plans[op].function(work);
	pthread_rwlock_unlock(medium);
	return r;
}
