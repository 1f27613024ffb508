/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT (SBC-3 5.3) and SANITIZE (SBC-3 5.24): commands that overwrite the whole medium and
 * take a long time.
 *
 * Both become a plan that writes the same block everywhere. The logical unit is busy from then on
 * until scsi_long_end(): every command that needs the medium is refused with the progress in the
 * sense.
 */
#include "format.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "sbc.h"
#include "sense.h"

/* The plan has one pass; the caller may set more. */
static enum scsi_verdict plan_overwrite(
	struct scsi_call *call, enum scsi_long_operation operation, uint32_t flags, bool immediate)
{
	assert(call->lu->dataless && call->lu->guard_passed);
	assert(call->lu->long_operation == SCSI_LONG_NONE);
	call->lu->long_operation = operation;
	call->lu->progress = 0;
	call->lu->sanitize_failed = false;
	call->lu->format_failed = false;
	return scsi_plan(
		call, SCSI_PLAN_WRITE_SAME,
		flags | SCSI_PLAN_LONG | (immediate ? SCSI_PLAN_IMMEDIATE : 0), 0,
		call->lu->blocks);
}

void scsi_long_end(struct scsi_lu *lu, int error, struct scsi_result *result)
{
	bool sanitize = lu->long_operation == SCSI_LONG_SANITIZE;

	assert(lu->long_operation != SCSI_LONG_NONE);
	assert(error <= 0);
	lu->long_operation = SCSI_LONG_NONE;
	result->status = SCSI_GOOD;
	result->sense = (struct scsi_sense){0};
	if (!error)
		return;
	lu->sanitize_failed = sanitize;
	lu->format_failed = !sanitize;
	result->status = SCSI_CHECK_CONDITION;
	result->sense.key = KEY_MEDIUM_ERROR;
	result->sense.asc = 0x31;
	result->sense.ascq = sanitize ? 0x03 : 0x01; /* SANITIZE or FORMAT COMMAND FAILED */
}

/* ------- FORMAT UNIT ------- */

/* CDB byte 1 */
#define LONGLIST 0x20
#define FMTDATA  0x10

/* byte 1 of the parameter list's header */
#define FOV 0x80
#define OPTIONS \
	0x70 /* DPRY, DCRT, STPF: valid with FOV, and without effect on a medium that has no \
		defects */
#define IMMED 0x02

/* All other bits must be 0: protection information, defect lists and initialization patterns are
 * not supported. */
static bool format_header(struct scsi_call *call, const uint8_t *header, unsigned size)
{
	unsigned length_at = size / 2;

	assert(size == 4 || size == 8);
	for (unsigned i = 0; i < size; i++) {
		uint8_t bad = header[i];

		if (i == 1)
			bad &= (uint8_t) ~(header[i] & FOV ? FOV | OPTIONS | IMMED : IMMED);
		if (!bad)
			continue;
		if (i >= length_at)
			scsi_refuse_list(call, length_at, NO_BIT);
		else
			scsi_refuse_list(call, i, scsi_highest_bit(bad));
		return false;
	}
	return true;
}

enum scsi_verdict scsi_format_unit(struct scsi_call *call)
{
	unsigned size = call->cdb[1] & LONGLIST ? 8 : 4;
	uint8_t header[8] = {0};

	if (call->cdb[1] & FMTDATA) {
		if (!scsi_data_out(call->task, 0, header, size))
			return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
		if (!format_header(call, header, size))
			return SCSI_ANSWERED;
	}
	return plan_overwrite(
		call, SCSI_LONG_FORMAT, SCSI_PLAN_ZEROES | SCSI_PLAN_MAY_UNMAP, header[1] & IMMED);
}

/* ------- SANITIZE ------- */

#define SANITIZE_IMMED   0x80
#define AUSE             0x20

#define OVERWRITE_HEADER 4u

static enum scsi_verdict plan_sanitize(struct scsi_call *call, uint32_t flags)
{
	call->lu->sanitize_exit = call->cdb[1] & AUSE;
	return plan_overwrite(call, SCSI_LONG_SANITIZE, flags, call->cdb[1] & SANITIZE_IMMED);
}

enum scsi_verdict scsi_sanitize_block_erase(struct scsi_call *call)
{
	return plan_sanitize(call, SCSI_PLAN_ZEROES | SCSI_PLAN_MAY_UNMAP);
}

/*
 * The list is a header and a pattern of at most one block, which is repeated to fill every block.
 * Errors in its lengths and in its count are reported with a pointer to the CDB, as the
 * conformance suites expect.
 */
enum scsi_verdict scsi_sanitize_overwrite(struct scsi_call *call)
{
	unsigned length = get_be16(call->cdb + 7), pattern, count;
	uint32_t block = call->lu->block_size;
	uint8_t header[OVERWRITE_HEADER];
	uint8_t *data = call->result->data;

	if (length <= OVERWRITE_HEADER || length - OVERWRITE_HEADER > block ||
	    block > SCSI_DATA_MAX)
		return scsi_refuse_cdb(call, 7, NO_BIT);
	if (!scsi_data_out(call->task, 0, header, sizeof(header)))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	pattern = get_be16(header + 2);
	count = header[0] & 0x1f;
	if (count == 0 || pattern == 0 || pattern > length - OVERWRITE_HEADER)
		return scsi_refuse_cdb(call, 7, NO_BIT);
	if (header[0] & 0x60) /* TEST */
		return scsi_refuse_list(call, 0, 6);
	if (header[1])
		return scsi_refuse_list(call, 1, NO_BIT);
	if (!scsi_data_out(call->task, OVERWRITE_HEADER, data, pattern))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	for (uint32_t i = pattern; i < block; i++)
		data[i] = data[i - pattern];
	plan_sanitize(call, SCSI_PLAN_DATA | (header[0] & 0x80 ? SCSI_PLAN_INVERT : 0));
	call->result->plan.passes = count;
	return SCSI_PLANNED;
}

/* If the failed operation did not set AUSE, only another operation that succeeds makes the medium
 * accessible. */
enum scsi_verdict scsi_sanitize_exit_failure(struct scsi_call *call)
{
	if (call->lu->sanitize_failed && !call->lu->sanitize_exit)
		return scsi_refuse_cdb(call, 1, 4);
	call->lu->sanitize_failed = false;
	return scsi_good(call);
}
