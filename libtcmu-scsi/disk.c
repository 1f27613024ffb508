/* SPDX-License-Identifier: Apache-2.0 */
/* See disk.h and <tcmu/scsi.h>. */
#include "disk.h"

#include <assert.h>
#include <errno.h>
#include <scsi/limits.h>
#include <scsi/pieces.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcmu/configfs.h>

#include "carry-out.h"

#define MAX_BLOCKS 128u /* the kernel's hw_max_sectors, until somebody sets another one */

/* ------- the disk ------- */

static bool disk_size_can_be(uint64_t disk_size, uint32_t block_size)
{
	return disk_size && disk_size % block_size == 0 && disk_size <= INT64_MAX;
}

static bool disk_setup_can_be(
	const struct tcmu_scsi_setup *setup, const struct tcmu_scsi_store *functions)
{
	uint32_t block = setup->block_size;

	return block >= 512 && block <= 65536 && (block & (block - 1)) == 0 &&
		disk_size_can_be(setup->disk_size, block) && functions->read;
}

static void disk_set_text(char *to, size_t size, const char *text, const char *otherwise)
{
	(void) snprintf(to, size, "%s", text ? text : otherwise);
}

static void disk_fill_lu(struct tcmu_scsi *scsi, const struct tcmu_scsi_setup *setup)
{
	struct scsi_lu *lu = &scsi->lu;
	const struct scsi_backend_limits limits = {
		.max_blocks = setup->max_blocks ? setup->max_blocks : MAX_BLOCKS,
		.physical_block = setup->physical_block,
		.unmap_granularity = setup->unmap_granularity,
	};

	lu->blocks = setup->disk_size / setup->block_size;
	lu->block_size = setup->block_size;
	lu->rotational = setup->rotational;
	lu->read_only = setup->read_only || !scsi->functions.write;
	lu->unmap = scsi->functions.unmap && !lu->read_only;
	lu->thin = lu->unmap;
	lu->unmap_zeroes = lu->unmap;
	lu->has_map = scsi->functions.map;
	lu->write_cache = scsi->functions.flush;
	lu->write_cache_changeable = lu->write_cache;
	lu->lu_info_fresh = true;
	scsi_limits_set(lu, &limits);
	disk_set_text(lu->vendor, sizeof(lu->vendor), setup->vendor, "LIO-ORG");
	disk_set_text(lu->product, sizeof(lu->product), setup->product, "TCMU device");
	disk_set_text(lu->revision, sizeof(lu->revision), setup->revision, "0002");
	disk_set_text(lu->serial, sizeof(lu->serial), setup->serial, "");
	disk_set_text(lu->config, sizeof(lu->config), setup->config, "");
}

/* The caller's structure may be shorter or longer than ours: what it does not have is 0. */
static void disk_take(void *to, size_t size, const void *from, uint32_t from_size)
{
	memset(to, 0, size);
	memcpy(to, from, from_size < size ? from_size : size);
}

int tcmu_scsi_new(
	const struct tcmu_scsi_setup *setup, const struct tcmu_scsi_store *functions, void *store,
	struct tcmu_scsi **ret)
{
	struct tcmu_scsi_setup known;
	struct tcmu_scsi *scsi;

	*ret = NULL;
	disk_take(&known, sizeof(known), setup, setup->size);
	scsi = calloc(1, sizeof(*scsi));
	if (!scsi)
		return -ENOMEM;
	disk_take(&scsi->functions, sizeof(scsi->functions), functions, functions->size);
	if (!disk_setup_can_be(&known, &scsi->functions)) {
		free(scsi);
		return -EINVAL;
	}
	scsi->store = store;
	scsi->block_size = known.block_size;
	disk_fill_lu(scsi, &known);
	(void) pthread_mutex_init(&scsi->lock, NULL);
	(void) pthread_rwlock_init(&scsi->medium, NULL);
	*ret = scsi;
	return 0;
}

/* 0 for the block size of a device that is not complete. */
static int disk_read_attributes(
	const struct tcmu_name *name, uint64_t *size, uint64_t *block_size, uint64_t *max_blocks)
{
	int r = tcmu_configfs_get(name, "dev_size", size);

	if (r == 0)
		r = tcmu_configfs_get(name, "hw_block_size", block_size);
	if (r == 0)
		r = tcmu_configfs_get(name, "hw_max_sectors", max_blocks);
	return r == 0 && (*block_size > UINT32_MAX || *max_blocks > UINT32_MAX) ? -EINVAL : r;
}

int tcmu_scsi_open(
	const struct tcmu_name *name, const struct tcmu_scsi_store *functions, void *store,
	struct tcmu_scsi **ret)
{
	struct tcmu_scsi_setup setup = {.size = sizeof(setup), .config = name->config};
	uint64_t size = 0, block_size = 0, max_blocks = 0;
	int r = disk_read_attributes(name, &size, &block_size, &max_blocks);

	*ret = NULL;
	if (r < 0)
		return r;
	setup.disk_size = size;
	setup.block_size = (uint32_t) block_size;
	setup.max_blocks = (uint32_t) max_blocks;
	r = tcmu_scsi_new(&setup, functions, store, ret);
	if (r < 0)
		return r;
	(*ret)->named = true;
	(*ret)->name = *name;
	(*ret)->lu.lu_info_fresh = false;
	return 0;
}

uint64_t tcmu_scsi_size(struct tcmu_scsi *scsi)
{
	uint64_t size;

	pthread_mutex_lock(&scsi->lock);
	size = scsi->lu.blocks * scsi->block_size;
	pthread_mutex_unlock(&scsi->lock);
	return size;
}

void tcmu_scsi_free(struct tcmu_scsi *scsi)
{
	if (!scsi)
		return;
	(void) pthread_mutex_destroy(&scsi->lock);
	(void) pthread_rwlock_destroy(&scsi->medium);
	free(scsi->iov);
	free(scsi);
}

int tcmu_scsi_resize(struct tcmu_scsi *scsi, uint64_t disk_size)
{
	uint64_t blocks = disk_size / scsi->block_size;

	if (!disk_size_can_be(disk_size, scsi->block_size))
		return -EINVAL;
	pthread_mutex_lock(&scsi->lock);
	if (scsi->lu.blocks != blocks)
		scsi->lu.unit_attention |= SCSI_UA_CAPACITY;
	scsi->lu.blocks = blocks;
	pthread_mutex_unlock(&scsi->lock);
	return 0;
}

/* ------- commands ------- */

void disk_answer(
	struct tcmu_scsi *scsi, struct tcmu_scsi_command *command, const struct scsi_result *result,
	const uint8_t *data, uint32_t length)
{
	command->status = result->status;
	if (result->status == SCSI_CHECK_CONDITION)
		(void) scsi_sense_encode(&scsi->lu, &result->sense, command->sense);
	if (result->status != SCSI_GOOD || !data)
		return;
	command->has_read_len = true;
	command->read_len = (uint32_t) scsi_pieces_fill(
		command->iov, command->iov_cnt, data, length);
}

/* Without lock: it may wait for the kernel. */
static void disk_ask_serial(struct tcmu_scsi *scsi)
{
	char serial[sizeof(scsi->lu.serial)] = "";
	int r = tcmu_configfs_unit_serial(&scsi->name, serial, sizeof(serial));

	pthread_mutex_lock(&scsi->lock);
	if (r == 0)
		memcpy(scsi->lu.serial, serial, sizeof(serial));
	scsi->lu.lu_info_fresh = true; /* and after an error, nothing is known */
	pthread_mutex_unlock(&scsi->lock);
}

/* With lock, which is given up and taken again. */
static enum scsi_verdict disk_dispatch(struct tcmu_scsi *scsi, const struct scsi_task *task)
{
	enum scsi_verdict verdict;

	scsi->result.data = scsi->data;
	verdict = scsi_dispatch(&scsi->lu, task, &scsi->result);
	if (verdict == SCSI_NEEDS_LU_INFO) {
		assert(scsi->named);
		pthread_mutex_unlock(&scsi->lock);
		disk_ask_serial(scsi);
		pthread_mutex_lock(&scsi->lock);
		scsi->result.data = scsi->data;
		verdict = scsi_dispatch(&scsi->lu, task, &scsi->result);
		scsi->lu.lu_info_fresh = scsi->lu.serial[0];
	}
	/* Commands of that kind are those of lu->dataless and lu->max_xcopies alone. */
	assert(verdict == SCSI_ANSWERED || verdict == SCSI_PLANNED);
	return verdict;
}

static void disk_carry_out(
	struct tcmu_scsi *scsi, struct tcmu_scsi_command *command, const struct scsi_plan *plan,
	uint64_t data_length)
{
	struct carry_out work = {
		.scsi = scsi, .plan = plan, .command = command, .data_length = data_length};
	int r = carry_out_plan(&work);

	if (r == 0) {
		command->status = SCSI_GOOD;
		command->has_read_len = plan->op == SCSI_PLAN_READ || plan->op == SCSI_PLAN_MAP;
		command->read_len = work.read_len;
		return;
	}
	pthread_mutex_lock(&scsi->lock);
	scsi_io_error(plan, r, work.lba, work.result_offset, &scsi->result);
	disk_answer(scsi, command, &scsi->result, NULL, 0);
	pthread_mutex_unlock(&scsi->lock);
}

void tcmu_scsi_execute(struct tcmu_scsi *scsi, struct tcmu_scsi_command *command)
{
	struct scsi_task task = {
		.cdb = command->cdb,
		.cdb_length = command->cdb_length,
		.iov = command->iov,
		.iov_cnt = command->iov_cnt,
		.data_length = scsi_pieces_length(command->iov, command->iov_cnt),
	};
	struct scsi_plan plan;
	bool planned;

	command->status = SCSI_GOOD;
	command->has_read_len = false;
	command->read_len = 0;
	memset(command->sense, 0, sizeof(command->sense));
	pthread_mutex_lock(&scsi->lock);
	planned = disk_dispatch(scsi, &task) == SCSI_PLANNED;
	if (planned)
		plan = scsi->result.plan;
	else
		disk_answer(
			scsi, command, &scsi->result, scsi->result.data_length ? scsi->data : NULL,
			scsi->result.data_length);
	if (scsi->lu.write_cache)
		atomic_store(&scsi->write_through, false);
	pthread_mutex_unlock(&scsi->lock);
	if (planned)
		disk_carry_out(scsi, command, &plan, task.data_length);
}
