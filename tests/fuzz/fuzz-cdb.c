/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any commands, with any data-out, to a logical unit of any properties.
 *
 * An input is the logical unit (struct unit), then commands (struct record), each followed by its
 * data-out. Whatever comes, an answer has to be one that can be sent, must not depend on what the
 * buffers held before, and a plan must stay on the medium.
 */
#include "fuzz-cdb.h"

#include <errno.h>
#include <scsi/optable.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64

struct unit {
	uint8_t flags[2];
	uint8_t size; /* which of sizes[] */
	uint8_t limits;
	uint8_t attentions;
	uint8_t serial_length;
	uint8_t config_length;
	uint8_t text; /* fills serial and config */
};

struct record {
	uint8_t operation; /* 0: the CDB as it is; else the operation code and service action of an
			      entry of the table */
	uint8_t length;    /* of data-out */
	uint8_t mode;      /* bit 0: as much data-out as the CDB says, 1: one block, 2: half of it
			      missing, 3: a short CDB */
	uint8_t cdb[16];
};

struct machine {
	struct scsi_lu lu;
	struct scsi_result result;
	struct scsi_xcopy background[SCSI_XCOPIES_MAX]; /* by their slot, while they run */
	uint8_t data[SCSI_DATA_MAX + GUARD];
};

static struct machine machines[2];
static bool carried_out[FUZZ_CDB_OPERATIONS]; /* by the number of the operation in the table */

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

/* ------- checks ------- */

static void check_sense(const struct scsi_lu *lu, const struct scsi_result *result)
{
	uint8_t buffer[SCSI_SENSE_MAX + GUARD];
	struct scsi_lu other = *lu;

	memset(buffer, 0xee, sizeof(buffer));
	for (int i = 0; i < 2; i++) {
		size_t length;

		other.descriptor_sense = i;
		length = scsi_sense_encode(&other, &result->sense, buffer);
		fuzz_demand(length >= 8 && length <= SCSI_SENSE_MAX);
		for (size_t j = SCSI_SENSE_MAX; j < sizeof(buffer); j++)
			fuzz_demand(buffer[j] == 0xee);
	}
}

/* No slot is left for another copy. */
static bool xcopies_full(const struct scsi_lu *lu)
{
	bool full = true;

	for (unsigned i = 0; i < lu->max_xcopies; i++)
		full &= lu->xcopies[i].running;
	return full;
}

static void check_answer(const struct scsi_lu *lu, const struct scsi_result *result)
{
	fuzz_demand(result->data_length <= SCSI_DATA_MAX);
	for (size_t i = SCSI_DATA_MAX; i < SCSI_DATA_MAX + GUARD; i++)
		fuzz_demand(result->data[i] == result->data[SCSI_DATA_MAX]);
	if (result->status == SCSI_GOOD)
		return;
	if (result->status == SCSI_BUSY) {
		fuzz_demand(lu->max_xcopies && xcopies_full(lu) && result->data_length == 0);
		return;
	}
	fuzz_demand(result->status == SCSI_CHECK_CONDITION);
	fuzz_demand(result->sense.key != 0 && result->data_length == 0);
	check_sense(lu, result);
}

static int range_inside(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks)
{
	return lba <= lu->blocks && blocks <= lu->blocks - lba;
}

static void check_unmap(const struct scsi_lu *lu, const struct scsi_plan *plan)
{
	uint64_t total = 0;

	fuzz_demand(
		lu->unmap && plan->extent_cnt > 0 &&
		plan->extent_cnt <= SCSI_UNMAP_DESCRIPTORS_MAX);
	for (unsigned i = 0; i < plan->extent_cnt; i++) {
		fuzz_demand(plan->extents[i].blocks > 0);
		fuzz_demand(range_inside(lu, plan->extents[i].lba, plan->extents[i].blocks));
		total += plan->extents[i].blocks;
	}
	fuzz_demand(lu->max_unmap == 0 || total <= lu->max_unmap);
}

/* How many bytes of data-out a plan is carried out with; -1: it does not say. */
static int64_t plan_data_out(const struct scsi_lu *lu, const struct scsi_plan *plan)
{
	switch (plan->op) {
	case SCSI_PLAN_WRITE:
	case SCSI_PLAN_WRITE_VERIFY:
	case SCSI_PLAN_ORWRITE:
		return (int64_t) (plan->blocks * lu->block_size);
	case SCSI_PLAN_COMPARE_AND_WRITE:
		return (int64_t) (2 * plan->blocks * lu->block_size);
	case SCSI_PLAN_WRITE_SAME:
		return plan->flags & (SCSI_PLAN_ZEROES | SCSI_PLAN_DATA) ? -1
									 : (int64_t) lu->block_size;
	case SCSI_PLAN_VERIFY:
		if (!(plan->flags & SCSI_PLAN_COMPARE))
			return -1;
		return (int64_t) (plan->flags & SCSI_PLAN_ONE_BLOCK ? 1 : plan->blocks) *
			lu->block_size;
	default:
		return -1;
	}
}

static int plan_writes(const struct scsi_plan *plan)
{
	return plan->op == SCSI_PLAN_WRITE || plan->op == SCSI_PLAN_WRITE_VERIFY ||
		plan->op == SCSI_PLAN_ORWRITE || plan->op == SCSI_PLAN_COMPARE_AND_WRITE ||
		plan->op == SCSI_PLAN_WRITE_SAME || plan->op == SCSI_PLAN_UNMAP;
}

/* Every target that a segment names is there, and ranges on this logical unit are inside of it. */
static void check_xcopy(const struct scsi_lu *lu, const struct scsi_xcopy *xcopy)
{
	fuzz_demand(xcopy->slot < lu->max_xcopies && lu->xcopies[xcopy->slot].used);
	fuzz_demand(xcopy->cscd_cnt <= SCSI_XCOPY_CSCDS_MAX);
	fuzz_demand(xcopy->segment_cnt > 0 && xcopy->segment_cnt <= SCSI_XCOPY_SEGMENTS_MAX);
	for (unsigned i = 0; i < xcopy->segment_cnt; i++) {
		const struct scsi_xcopy_segment *segment = &xcopy->segments[i];

		fuzz_demand(
			segment->source < xcopy->cscd_cnt &&
			segment->destination < xcopy->cscd_cnt);
		if (xcopy->cscds[segment->source].self)
			fuzz_demand(range_inside(lu, segment->source_lba, segment->blocks));
		if (xcopy->cscds[segment->destination].self)
			fuzz_demand(range_inside(lu, segment->destination_lba, segment->blocks));
	}
	for (unsigned i = 0; i < xcopy->cscd_cnt; i++)
		fuzz_demand(xcopy->cscds[i].self || lu->xcopy_to_others);
}

/* Every state that is asked for is one that the group can have, and that may be asked for. */
static void check_groups(const struct scsi_lu *lu, const struct scsi_group_states *states)
{
	fuzz_demand(lu->has_port_groups && states->cnt > 0 && states->cnt <= SCSI_PORT_GROUPS_MAX);
	for (unsigned i = 0; i < states->cnt; i++) {
		bool found = false;

		for (unsigned j = 0; j < lu->ports.group_cnt; j++) {
			const struct scsi_port_group *group = &lu->ports.groups[j];

			found |= group->id == states->to[i].id &&
				(group->access & SCSI_ACCESS_EXPLICIT) &&
				(group->supported >> states->to[i].state & 1);
		}
		fuzz_demand(found);
	}
}

/* An answer for each result of the backend is checked too. */
static void check_failures(const struct scsi_lu *lu, const struct scsi_plan *plan)
{
	static const int errors[] = {EIO, ENOSPC, EILSEQ, EBUSY, ECANCELED, EINVAL};
	struct scsi_result result = {0};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		scsi_io_error(plan, -errors[i], plan->lba, 1, &result);
		fuzz_demand(result.status != SCSI_GOOD);
		if (result.status == SCSI_CHECK_CONDITION)
			check_sense(lu, &result);
	}
}

static void check_plan(struct machine *machine, const struct scsi_task *task)
{
	const struct scsi_lu *lu = &machine->lu;
	struct scsi_plan plan = machine->result.plan;
	int64_t data_out = plan_data_out(lu, &plan);

	fuzz_demand(plan.op >= SCSI_PLAN_READ && plan.op <= SCSI_PLAN_SET_GROUPS);
	fuzz_demand(plan.op == SCSI_PLAN_ABORT_XCOPY || range_inside(lu, plan.lba, plan.blocks));
	fuzz_demand(!plan_writes(&plan) || !(lu->read_only || lu->software_write_protect));
	fuzz_demand(data_out < 0 || (uint64_t) data_out == task->data_length);
	if (plan.op == SCSI_PLAN_UNMAP)
		check_unmap(lu, &plan);
	else if (plan.op == SCSI_PLAN_XCOPY)
		check_xcopy(lu, &machine->result.xcopy);
	else if (plan.op == SCSI_PLAN_ABORT_XCOPY)
		fuzz_demand(plan.lba < lu->max_xcopies && lu->xcopies[plan.lba].running);
	else if (plan.op == SCSI_PLAN_SET_GROUPS)
		check_groups(lu, &machine->result.states);
	else
		fuzz_demand(
			plan.blocks > 0 || plan.op == SCSI_PLAN_FLUSH ||
			(plan.flags & SCSI_PLAN_LONG));
	fuzz_demand(plan.passes == 1 || (plan.flags & SCSI_PLAN_LONG));
	/* During a long operation no command reaches the medium; its lock holder may change. */
	if (plan.op != SCSI_PLAN_SET_GROUPS)
		fuzz_demand(
			!(plan.flags & SCSI_PLAN_LONG) == (lu->long_operation == SCSI_LONG_NONE));
	if (plan.op == SCSI_PLAN_WRITE_SAME && !(plan.flags & SCSI_PLAN_LONG))
		fuzz_demand(lu->max_write_same == 0 || plan.blocks <= lu->max_write_same);
	if (plan.op == SCSI_PLAN_COMPARE_AND_WRITE)
		fuzz_demand(plan.blocks <= lu->max_compare_and_write);
	check_failures(lu, &plan);
	if (plan.op == SCSI_PLAN_MAP) {
		struct scsi_lba_status status[2] = {
			{.lba = plan.lba, .blocks = 1, .mapped = true},
			{.lba = plan.lba + 1, .blocks = plan.blocks - 1},
		};

		scsi_answer_lba_status(task, status, 2, &machine->result);
		check_answer(lu, &machine->result);
	}
}

/* ------- one command ------- */

static enum scsi_verdict dispatch_all(
	struct machine *machine, const struct scsi_task *task, int fill)
{
	enum scsi_verdict verdict;

	memset(machine->data, fill, sizeof(machine->data));
	memset(&machine->result, fill, sizeof(machine->result));
	machine->result.data = machine->data;
	verdict = scsi_dispatch(&machine->lu, task, &machine->result);
	if (verdict == SCSI_NEEDS_LU_INFO) {
		fuzz_demand(!machine->lu.lu_info_fresh);
		machine->lu.lu_info_fresh = true;
		verdict = scsi_dispatch(&machine->lu, task, &machine->result);
		machine->lu.lu_info_fresh = false;
	}
	/* What a command without data-out could change waits for the guard. */
	if (verdict == SCSI_NEEDS_GUARD || verdict == SCSI_NEEDS_COPY_GUARD) {
		bool fresh = machine->lu.lu_info_fresh;

		fuzz_demand(
			verdict == SCSI_NEEDS_GUARD ? machine->lu.dataless
						    : machine->lu.xcopy_to_others);
		machine->lu.guard_passed = machine->lu.lu_info_fresh = true;
		verdict = scsi_dispatch(&machine->lu, task, &machine->result);
		machine->lu.guard_passed = false;
		machine->lu.lu_info_fresh = fresh;
	} else if (verdict == SCSI_PLANNED && task->data_length == 0) {
		fuzz_demand(!plan_writes(&machine->result.plan) && !machine->result.save);
	}
	fuzz_demand(verdict == SCSI_ANSWERED || verdict == SCSI_PLANNED);
	return verdict;
}

/* Both the same way. */
static void end_xcopies(unsigned slot, int error)
{
	for (size_t i = 0; i < 2; i++) {
		const struct scsi_xcopy *xcopy = &machines[i].background[slot];
		struct scsi_result result = {0};

		fuzz_demand(xcopy->segment_cnt == machines[0].background[slot].segment_cnt);
		scsi_xcopy_progress(&machines[i].lu, xcopy, 1, UINT64_C(1) << 50, 7);
		scsi_xcopy_end(&machines[i].lu, xcopy, error, &result);
		fuzz_demand((result.status == SCSI_GOOD) == (error == 0));
		if (result.status == SCSI_CHECK_CONDITION)
			check_sense(&machines[i].lu, &result);
	}
}

/* One in the background runs until it is aborted, any other ends at once. */
static void begin_copies(void)
{
	static const int errors[] = {0, -ENODEV, -EIO, -EBUSY};
	unsigned slot = machines[0].result.xcopy.slot;

	fuzz_demand(machines[1].result.xcopy.slot == slot);
	for (size_t i = 0; i < 2; i++)
		machines[i].background[slot] = machines[i].result.xcopy;
	if (!machines[0].result.xcopy.immediate)
		end_xcopies(slot, errors[machines[0].lu.xcopy_number % 4]);
}

static void note_coverage(const struct scsi_task *task)
{
	const struct scsi_operation *operation;

	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		fuzz_demand(i < FUZZ_CDB_OPERATIONS);
		if (operation->opcode == task->cdb[0] &&
		    (!operation->has_action || operation->action == (task->cdb[1] & 0x1f)))
			carried_out[i] = true;
	}
}

bool fuzz_cdb_carried_out(unsigned i)
{
	return carried_out[i];
}

static void run_commands(const struct scsi_task *task)
{
	enum scsi_verdict verdict = dispatch_all(&machines[0], task, 0x00);
	const struct scsi_result *a = &machines[0].result, *b = &machines[1].result;

	fuzz_demand(dispatch_all(&machines[1], task, 0xff) == verdict);
	if (verdict == SCSI_PLANNED || a->status == SCSI_GOOD)
		note_coverage(task);
	if (verdict == SCSI_PLANNED) {
		fuzz_demand(a->plan.op == b->plan.op && a->plan.flags == b->plan.flags);
		fuzz_demand(a->plan.lba == b->plan.lba && a->plan.blocks == b->plan.blocks);
		fuzz_demand(a->plan.passes == b->plan.passes && a->save == b->save);
		if (a->plan.flags & SCSI_PLAN_DATA)
			fuzz_demand(memcmp(a->data, b->data, machines[0].lu.block_size) == 0);
		check_plan(&machines[0], task);
		if (a->plan.op == SCSI_PLAN_XCOPY)
			begin_copies();
		else if (a->plan.op == SCSI_PLAN_ABORT_XCOPY)
			end_xcopies((unsigned) a->plan.lba, -ECANCELED);
		return;
	}
	check_answer(&machines[0].lu, a);
	fuzz_demand(a->status == b->status && a->data_length == b->data_length);
	fuzz_demand(memcmp(a->data, b->data, a->data_length) == 0);
}

/* ------- the input ------- */

static void make_unit(struct scsi_lu *lu, const struct unit *unit)
{
	static const uint64_t sizes[] = {
		0,
		1,
		7,
		0x100,
		0x10000,
		0x200000,
		UINT64_C(0xffffffff),
		UINT64_C(1) << 32,
		UINT64_C(1) << 40,
		UINT64_C(1) << 52};
	uint8_t f = unit->flags[0], g = unit->flags[1];

	*lu = (struct scsi_lu){
		.vendor = "VENDOR",
		.lu_info_fresh = f & 0x01,
		.blocks = sizes[unit->size % (sizeof(sizes) / sizeof(sizes[0]))],
		.block_size = f & 0x02 ? 4096 : 512,
		.physical_exponent = unit->limits & 0x0f,
		.rotational = f & 0x04,
		.read_only = f & 0x08,
		.thin = f & 0x10,
		.unmap = f & 0x20,
		.unmap_zeroes = f & 0x40,
		.has_map = f & 0x80,
		.no_reservations = g & 0x01,
		.write_cache = g & 0x02,
		.write_cache_changeable = g & 0x04,
		.descriptor_sense = g & 0x08,
		.software_write_protect = g & 0x10,
		.dataless = g & 0x20,
		.can_save = g & 0x40,
		.has_clock = g & 0x80,
		.max_xcopies = unit->limits & 0x07,
		.xcopy_to_others = f & 0x01,
		.has_port_groups = f & 0x02,
		.ports =
			{.group_cnt = unit->limits & 0x03,
			 .groups =
				 {{.id = 0,
				   .supported = 0x8f,
				   .access = 3,
				   .port_cnt = 1,
				   .ports = {1}},
				  {.id = 1,
				   .supported = unit->limits,
				   .access = f & 3,
				   .port_cnt = SCSI_GROUP_PORTS_MAX},
				  {.id = 0xffff, .state = SCSI_STANDBY, .access = g & 3}},
			 .group_known = g & 0x01,
			 .port_known = g & 0x02,
			 .lu_group_known = g & 0x04},
		.sanitize_failed = unit->attentions & 0x40,
		.sanitize_exit = unit->attentions & 0x80,
		.format_failed = unit->attentions & 0x20,
		.max_atomic = unit->limits >> 1,
		.atomic_alignment = unit->limits & 3,
		.atomic_granularity = unit->limits >> 2 & 3,
		.max_unmap = unit->limits,
		.max_write_same = unit->limits >> 1,
		.max_compare_and_write = unit->limits >> 2,
		.max_transfer = unit->limits,
		.optimal_granularity = (uint32_t) unit->limits << 10,
		.unmap_alignment = (uint32_t) unit->limits << 24,
		.unit_attention = unit->attentions,
	};
	memset(lu->serial, unit->text, unit->serial_length);
	memset(lu->config, unit->text, unit->config_length);
	memset(lu->ports.iscsi_name, unit->text,
	       unit->config_length % sizeof(lu->ports.iscsi_name));
}

static void choose_operation(uint8_t *cdb, uint8_t number)
{
	const struct scsi_operation *operation = scsi_operation_at(number - 1u);

	if (!number || !operation)
		return;
	cdb[0] = operation->opcode;
	if (operation->has_action)
		cdb[1] = (uint8_t) ((cdb[1] & 0xe0) | operation->action);
}

/* Blocks of data that is all zeros, as many as the CDB says or nearly: so that writes are found
 * right. */
static uint64_t length_of_cdb(const uint8_t *cdb, uint8_t twist)
{
	uint64_t blocks = cdb[0] < 0x20 ? cdb[4]
		: cdb[0] < 0x60         ? cdb[8]
		: cdb[0] >= 0xa0        ? cdb[9]
					: cdb[13];

	return (blocks << (twist & 1)) * machines[0].lu.block_size;
}

static void run_record(const struct record *record, const uint8_t *data_out)
{
	uint8_t cdb[16];
	unsigned half = record->length / 2;
	struct iovec iov[2] = {
		{.iov_base = (void *) (uintptr_t) data_out, .iov_len = half},
		{.iov_base = (void *) (uintptr_t) (data_out + half),
		 .iov_len = record->length - half},
	};
	struct scsi_task task = {
		.cdb = cdb,
		.iov = iov,
		.iov_cnt = record->mode & 4 ? 1 : 2,
		.data_length = record->length,
	};

	memcpy(cdb, record->cdb, sizeof(cdb));
	choose_operation(cdb, record->operation);
	task.cdb_length = record->mode & 8 ? record->mode >> 4 : 16;
	if (record->mode & 1)
		task.data_length = length_of_cdb(cdb, record->mode >> 1);
	if (record->mode & 2)
		task.data_length = machines[0].lu.block_size;
	fuzz_demand(scsi_opcode_name(cdb) != NULL);
	run_commands(&task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record record;
	struct unit unit;

	if (size < sizeof(unit))
		return 0;
	memcpy(&unit, data, sizeof(unit));
	data += sizeof(unit);
	size -= sizeof(unit);
	make_unit(&machines[0].lu, &unit);
	machines[1].lu = machines[0].lu;
	for (unsigned i = 0; i < 16 && size >= sizeof(record); i++) {
		memcpy(&record, data, sizeof(record));
		data += sizeof(record);
		size -= sizeof(record);
		if (record.length > size)
			record.length = (uint8_t) size;
		run_record(&record, data);
		data += record.length;
		size -= record.length;
	}
	return 0;
}
