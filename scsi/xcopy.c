/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY with list identifiers of one byte and of four (SPC-4 6.4, 6.5), COPY OPERATION
 * ABORT (6.3) and RECEIVE COPY (6.22, 6.24, 6.25): block to block, between logical units that are
 * identified by their NAA designators.
 *
 * Both kinds of parameter list are decoded once, into a struct scsi_xcopy. This file checks the
 * ranges on this logical unit; the caller checks those on others. A planned xcopy has a slot in
 * lu->xcopies until it ends. If the list asks for it, the slot keeps the status afterwards.
 *
 * G_SENSE is refused: the kernel passes sense to the initiator with CHECK CONDITION only.
 */
#include "xcopy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "sbc.h"
#include "sense.h"

#define HEADER_LENGTH      16u
#define LONG_HEADER_LENGTH 48u /* of a list with an identifier of four bytes */
#define CSCD_LENGTH        32u
#define SEGMENT_LENGTH     28u
#define CSCDS_MAX          (SCSI_XCOPY_CSCDS_MAX * CSCD_LENGTH)
#define SEGMENTS_MAX       (SCSI_XCOPY_SEGMENTS_MAX * SEGMENT_LENGTH)
#define LIST_MAX           (CSCDS_MAX + SEGMENTS_MAX)

#define CSCD_TYPE          0xe4 /* identification descriptor */
#define SEGMENT_TYPE       0x02 /* block device to block device */

#define USAGE_HOLD         0x00 /* LIST ID USAGE */
#define USAGE_NONE         0x18

/* COPY COMMAND STATUS (LID1), COPY OPERATION STATUS (LID4) */
#define STATUS_RUNNING       0x00
#define STATUS_GOOD          0x01
#define STATUS_FAILED        0x02
#define STATUS_IN_FOREGROUND 0x11
#define STATUS_IN_BACKGROUND 0x12
#define STATUS_TERMINATED    0x60

/* ESTIMATED STATUS UPDATE DELAY */
#define DELAY_ENDED              0xfffffffeu
#define DELAY_UNKNOWN            0xffffffffu

#define TOO_MANY_CSCDS           SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x06)
#define UNSUPPORTED_CSCD_TYPE    SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x07)
#define TOO_MANY_SEGMENTS        SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x08)
#define UNSUPPORTED_SEGMENT_TYPE SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x09)
#define INLINE_DATA_EXCEEDED     SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x0b)

/* ------- sense ------- */

static void set_copy_aborted(
	struct scsi_result *result, uint8_t asc, uint8_t ascq, unsigned segment)
{
	assert(segment <= SCSI_XCOPY_SEGMENTS_MAX);
	result->status = SCSI_CHECK_CONDITION;
	result->data_length = 0;
	result->sense = (struct scsi_sense){
		.key = KEY_COPY_ABORTED,
		.asc = asc,
		.ascq = ascq,
		.info_valid = true,
		.info = segment,
	};
}

static bool abort_segment(struct scsi_call *call, uint8_t asc, uint8_t ascq, unsigned segment)
{
	set_copy_aborted(call->result, asc, ascq, segment);
	return false;
}

static struct scsi_xcopy_status *find_status(struct scsi_lu *lu, uint32_t list_id)
{
	struct scsi_xcopy_status *found = NULL;

	assert(lu->max_xcopies <= SCSI_XCOPIES_MAX);
	for (unsigned i = 0; i < lu->max_xcopies; i++) {
		struct scsi_xcopy_status *status = &lu->xcopies[i];

		if (status->used && status->identified && status->list_id == list_id &&
		    (!found || status->number > found->number))
			found = status;
	}
	return found;
}

/* The next list with the same identifier discards the held status, even if that list is refused
 * (SPC-4 6.24, 6.25). */
static void discard_status(struct scsi_lu *lu, uint32_t list_id)
{
	struct scsi_xcopy_status *status = find_status(lu, list_id);

	if (status && !status->running)
		status->used = false;
}

/* ------- the parameter list ------- */

struct parameter_lists {
	unsigned header; /* bytes, as the next two */
	unsigned cscds;
	unsigned segments;
	unsigned cscds_field; /* offset of its length field in the list */
	unsigned segments_field;
};

static bool refuse_copy(struct scsi_call *call, uint32_t sense)
{
	scsi_refuse(call, sense);
	return false;
}

static bool refuse_at(struct scsi_call *call, unsigned byte, int bit)
{
	scsi_refuse_list(call, byte, bit);
	return false;
}

/* LIST ID USAGE is in byte 1 of both kinds. */
static void take_usage(struct scsi_xcopy *xcopy, uint8_t byte, uint32_t list_id)
{
	xcopy->list_id = list_id;
	xcopy->held = (byte & 0x18) == USAGE_HOLD;
	xcopy->identified = (byte & 0x18) != USAGE_NONE;
}

/* SPC-4 6.5.2. */
static bool read_header(
	struct scsi_call *call, unsigned length, struct parameter_lists *lists,
	uint32_t *inline_data)
{
	uint8_t p[HEADER_LENGTH];

	if (length < HEADER_LENGTH || !scsi_data_out(call->task, 0, p, sizeof(p)))
		return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	take_usage(&call->result->xcopy, p[1], p[0]);
	call->result->xcopy.long_id = false;
	call->result->xcopy.immediate = false;
	*lists = (struct parameter_lists){
		.header = HEADER_LENGTH,
		.cscds = get_be16(p + 2),
		.segments = get_be32(p + 8),
		.cscds_field = 2,
		.segments_field = 8,
	};
	*inline_data = get_be32(p + 12);
	return true;
}

/* SPC-4 6.4.2. A status is held with either usage (6.24). */
static bool read_long_header(
	struct scsi_call *call, unsigned length, struct parameter_lists *lists,
	uint32_t *inline_data)
{
	struct scsi_xcopy *xcopy = &call->result->xcopy;
	uint8_t p[LONG_HEADER_LENGTH];

	if (length < LONG_HEADER_LENGTH || !scsi_data_out(call->task, 0, p, sizeof(p)))
		return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (p[0] != 0x01) /* PARAMETER LIST FORMAT */
		return refuse_at(call, 0, NO_BIT);
	if (get_be16(p + 2) != 0x0020) /* HEADER CSCD DESCRIPTOR LIST LENGTH */
		return refuse_at(call, 2, NO_BIT);
	if (p[15] & 0x02) /* G_SENSE */
		return refuse_at(call, 15, 1);
	if (p[16] != 0xff) /* HEADER CSCD DESCRIPTOR TYPE CODE */
		return refuse_at(call, 16, NO_BIT);
	take_usage(xcopy, p[1], get_be32(p + 20));
	xcopy->held = xcopy->identified;
	xcopy->long_id = true;
	xcopy->immediate = p[15] & 0x01;
	if (xcopy->immediate && !xcopy->identified)
		return refuse_at(call, 15, 0);
	*lists = (struct parameter_lists){
		.header = LONG_HEADER_LENGTH,
		.cscds = get_be16(p + 42),
		.segments = get_be16(p + 44),
		.cscds_field = 42,
		.segments_field = 44,
	};
	*inline_data = get_be16(p + 46);
	return true;
}

static bool check_lists(
	struct scsi_call *call, unsigned length, const struct parameter_lists *lists,
	uint32_t inline_data)
{
	const struct scsi_xcopy *xcopy = &call->result->xcopy;

	if (xcopy->identified)
		discard_status(call->lu, xcopy->list_id);
	if (inline_data)
		return refuse_copy(call, INLINE_DATA_EXCEEDED);
	if (lists->segments > LIST_MAX || lists->cscds > LIST_MAX - lists->segments ||
	    lists->header + lists->cscds + lists->segments > length ||
	    call->task->data_length < length)
		return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (lists->cscds % CSCD_LENGTH)
		return refuse_at(call, lists->cscds_field, NO_BIT);
	if (lists->cscds / CSCD_LENGTH > SCSI_XCOPY_CSCDS_MAX)
		return refuse_copy(call, TOO_MANY_CSCDS);
	if (lists->segments / SEGMENT_LENGTH > SCSI_XCOPY_SEGMENTS_MAX)
		return refuse_copy(call, TOO_MANY_SEGMENTS);
	return true;
}

/* SPC-4 6.4.5: LU ID TYPE is ignored. A null descriptor stands for a device that may be absent; no
 * segment can use it here. */
static bool read_cscd(struct scsi_call *call, unsigned at, struct scsi_xcopy_cscd *cscd)
{
	uint8_t own[SCSI_NAA_LENGTH];
	uint8_t p[CSCD_LENGTH];
	uint32_t block;

	if (!scsi_data_out(call->task, at, p, sizeof(p)))
		return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (p[0] != CSCD_TYPE)
		return refuse_copy(call, UNSUPPORTED_CSCD_TYPE);
	if (p[1] & 0x20) /* NUL */
		return abort_segment(call, 0x0d, 0x02, 0);
	if (p[1] & 0x1f) /* not a disk: INCORRECT COPY TARGET DEVICE TYPE */
		return abort_segment(call, 0x0d, 0x03, 0);
	if ((p[4] & 0x0f) != 0x01 || (p[5] & 0x3f) != 0x03 || p[7] != SCSI_NAA_LENGTH)
		return refuse_at(call, at + 4, NO_BIT);
	block = get_be24(p + 29);
	if (block && block != call->lu->block_size)
		return refuse_at(call, at + 29, NO_BIT);
	memcpy(cscd->naa, p + 8, SCSI_NAA_LENGTH);
	cscd->self = scsi_naa(call->lu, own) && memcmp(own, cscd->naa, SCSI_NAA_LENGTH) == 0;
	if (!cscd->self && !call->lu->xcopy_to_others)
		return abort_segment(call, 0x0d, 0x02, 0);
	return true;
}

/* Ranges on other logical units are checked by their own devices. */
static bool read_segment(struct scsi_call *call, unsigned at, unsigned index)
{
	struct scsi_xcopy *xcopy = &call->result->xcopy;
	struct scsi_xcopy_segment *segment = &xcopy->segments[index];
	uint8_t p[SEGMENT_LENGTH];

	assert(index < SCSI_XCOPY_SEGMENTS_MAX);
	if (!scsi_data_out(call->task, at, p, sizeof(p)))
		return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (get_be16(p + 2) != SEGMENT_LENGTH - 4)
		return refuse_at(call, at + 2, NO_BIT);
	*segment = (struct scsi_xcopy_segment){
		.source = get_be16(p + 4),
		.destination = get_be16(p + 6),
		.blocks = get_be16(p + 10),
		.source_lba = get_be64(p + 12),
		.destination_lba = get_be64(p + 20),
	};
	if (segment->source >= xcopy->cscd_cnt || segment->destination >= xcopy->cscd_cnt)
		return abort_segment(call, 0x08, 0x04, index); /* UNREACHABLE COPY TARGET */
	if (xcopy->cscds[segment->source].self &&
	    !scsi_range_ok(call->lu, segment->source_lba, segment->blocks))
		return abort_segment(call, 0, 0, index);
	if (xcopy->cscds[segment->destination].self &&
	    !scsi_range_ok(call->lu, segment->destination_lba, segment->blocks))
		return abort_segment(call, 0, 0, index);
	return true;
}

static bool read_descriptors(struct scsi_call *call, const struct parameter_lists *lists)
{
	struct scsi_xcopy *xcopy = &call->result->xcopy;
	unsigned at = lists->header;

	xcopy->cscd_cnt = lists->cscds / CSCD_LENGTH;
	xcopy->segment_cnt = lists->segments / SEGMENT_LENGTH;
	assert(xcopy->cscd_cnt <= SCSI_XCOPY_CSCDS_MAX);
	for (unsigned i = 0; i < xcopy->cscd_cnt; i++, at += CSCD_LENGTH)
		if (!read_cscd(call, at, &xcopy->cscds[i]))
			return false;
	/* The length of an unsupported segment type is not known, so it ends the list. */
	for (unsigned left = lists->segments, i = 0; left; i++) {
		uint8_t type;

		if (!scsi_data_out(call->task, at + i * SEGMENT_LENGTH, &type, 1))
			return refuse_copy(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
		if (type != SEGMENT_TYPE)
			return refuse_copy(call, UNSUPPORTED_SEGMENT_TYPE);
		if (left < SEGMENT_LENGTH)
			return refuse_at(call, lists->segments_field, NO_BIT);
		if (!read_segment(call, at + i * SEGMENT_LENGTH, i))
			return false;
		left -= SEGMENT_LENGTH;
	}
	return true;
}

/* ------- copies in flight, and held status ------- */

/* A slot for another copy: a free one, or that of the oldest held status. NULL: all copies are in
 * flight. */
static struct scsi_xcopy_status *new_status(struct scsi_lu *lu)
{
	struct scsi_xcopy_status *oldest = NULL;

	assert(lu->max_xcopies > 0 && lu->max_xcopies <= SCSI_XCOPIES_MAX);
	for (unsigned i = 0; i < lu->max_xcopies; i++) {
		struct scsi_xcopy_status *status = &lu->xcopies[i];

		if (!status->used)
			return status;
		if (!status->running && (!oldest || status->number < oldest->number))
			oldest = status;
	}
	return oldest;
}

/* The target core has checked the access to this logical unit alone. */
static bool uses_others(const struct scsi_xcopy *xcopy)
{
	for (unsigned i = 0; i < xcopy->cscd_cnt; i++)
		if (!xcopy->cscds[i].self)
			return true;
	return false;
}

/* SPC-4 6.4.1, 6.5.1. */
enum scsi_verdict scsi_extended_copy(struct scsi_call *call)
{
	unsigned length = get_be32(call->cdb + 10);
	struct scsi_xcopy *xcopy = &call->result->xcopy;
	struct scsi_xcopy_status *status;
	struct parameter_lists lists;
	uint32_t inline_data;
	bool read;

	if (length == 0)
		return scsi_good(call);
	if (!call->lu->lu_info_fresh)
		return SCSI_NEEDS_LU_INFO;
	read = call->entry->operation.action == 0x01
		? read_long_header(call, length, &lists, &inline_data)
		: read_header(call, length, &lists, &inline_data);
	if (!read || !check_lists(call, length, &lists, inline_data) ||
	    !read_descriptors(call, &lists))
		return SCSI_ANSWERED;
	if (xcopy->segment_cnt == 0)
		return scsi_good(call);
	if (uses_others(xcopy) && !call->lu->guard_passed)
		return SCSI_NEEDS_COPY_GUARD;
	status = new_status(call->lu);
	if (!status) {
		call->result->status = SCSI_BUSY;
		return SCSI_ANSWERED;
	}
	*status = (struct scsi_xcopy_status){
		.used = true,
		.identified = xcopy->identified,
		.held = xcopy->held,
		.long_id = xcopy->long_id,
		.background = xcopy->immediate,
		.running = true,
		.list_id = xcopy->list_id,
		.number = ++call->lu->xcopy_number,
	};
	xcopy->slot = (unsigned) (status - call->lu->xcopies);
	return scsi_plan(call, SCSI_PLAN_XCOPY, 0, 0, 0);
}

/* SPC-4 6.3. All initiators share the list identifiers: of several copies with the same one, the
 * last is aborted. */
enum scsi_verdict scsi_copy_operation_abort(struct scsi_call *call)
{
	const struct scsi_xcopy_status *status = find_status(call->lu, get_be32(call->cdb + 2));

	if (!status || !status->running)
		return scsi_refuse_cdb(call, 2, NO_BIT);
	assert(status->used && status->identified);
	return scsi_plan(
		call, SCSI_PLAN_ABORT_XCOPY, 0, (uint64_t) (status - call->lu->xcopies), 0);
}

void scsi_xcopy_progress(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, unsigned segments, uint64_t bytes,
	uint64_t operations)
{
	struct scsi_xcopy_status *status = &lu->xcopies[xcopy->slot];

	assert(xcopy->slot < SCSI_XCOPIES_MAX && status->running);
	assert(segments <= xcopy->segment_cnt && segments >= status->segments);
	status->segments = (uint16_t) segments;
	status->bytes = bytes;
	status->operations = (uint16_t) operations;
}

static void set_end_status(int error, unsigned segment, struct scsi_result *result)
{
	static const struct scsi_plan writing = {.op = SCSI_PLAN_WRITE};

	result->status = SCSI_GOOD;
	result->sense = (struct scsi_sense){0};
	if (!error)
		return;
	scsi_io_error(&writing, error, 0, 0, result);
	if (error == -ENODEV) /* COPY TARGET DEVICE NOT REACHABLE */
		set_copy_aborted(result, 0x0d, 0x02, segment);
	else if (error == -ERANGE) /* past the end of another logical unit */
		set_copy_aborted(result, 0x00, 0x00, segment);
	else if (result->sense.key == KEY_MEDIUM_ERROR || result->sense.key == KEY_HARDWARE_ERROR)
		set_copy_aborted(result, 0x0d, 0x01, segment); /* THIRD PARTY DEVICE FAILURE */
}

void scsi_xcopy_end(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, int error, struct scsi_result *result)
{
	struct scsi_xcopy_status *status = &lu->xcopies[xcopy->slot];

	assert(xcopy->slot < SCSI_XCOPIES_MAX);
	assert(status->used && status->running && status->list_id == xcopy->list_id);
	set_end_status(error, status->segments, result);
	status->running = false;
	status->used = status->held;
	status->status = result->status;
	status->sense = result->sense;
}

/* ------- RECEIVE COPY ------- */

/* SEGMENTS PROCESSED: includes the one in flight, or the one that failed. */
static uint16_t segments_processed(const struct scsi_xcopy_status *status)
{
	return status->running || status->status != SCSI_GOOD ? status->segments + 1u
							      : status->segments;
}

static uint64_t written_kib(const struct scsi_xcopy_status *status)
{
	assert(status->used);
	return status->bytes / 1024;
}

/* SPC-4 6.25. A status is reported once, unless the copy is in flight. */
enum scsi_verdict scsi_receive_copy_status_lid1(struct scsi_call *call)
{
	struct scsi_xcopy_status *status = find_status(call->lu, call->cdb[2]);
	uint8_t *data = call->result->data;
	uint64_t kib;

	if (!status)
		return scsi_refuse_cdb(call, 2, NO_BIT);
	kib = written_kib(status);
	memset(data, 0, 12);
	put_be32(data, 8);
	data[4] = status->running             ? STATUS_RUNNING
		: status->status == SCSI_GOOD ? STATUS_GOOD
					      : STATUS_FAILED;
	put_be16(data + 5, segments_processed(status));
	data[7] = 0x01; /* TRANSFER COUNT UNITS: KiB */
	put_be32(data + 8, kib < UINT32_MAX ? (uint32_t) kib : UINT32_MAX);
	if (!status->running)
		status->used = false;
	return scsi_good_data(call, 12, get_be32(call->cdb + 10));
}

/* COPY OPERATION STATUS (SPC-4 table 249). */
static uint8_t operation_status(const struct scsi_xcopy_status *status)
{
	if (status->running)
		return status->background ? STATUS_IN_BACKGROUND : STATUS_IN_FOREGROUND;
	if (status->status == SCSI_TASK_ABORTED)
		return STATUS_TERMINATED;
	return status->status == SCSI_GOOD ? STATUS_GOOD : STATUS_FAILED;
}

/* SPC-4 6.24: for identifiers of either length; the status can be read repeatedly. */
enum scsi_verdict scsi_receive_copy_status_lid4(struct scsi_call *call)
{
	const struct scsi_xcopy_status *status = find_status(call->lu, get_be32(call->cdb + 2));
	uint8_t *data = call->result->data;
	unsigned sense = 0;

	if (!status)
		return scsi_refuse_cdb(call, 2, NO_BIT);
	memset(data, 0, 32 + SCSI_SENSE_MAX);
	if (!status->running && status->status == SCSI_CHECK_CONDITION)
		sense = (unsigned) scsi_sense_put(
			&status->sense, call->lu->descriptor_sense, data + 32);
	data[4] = status->long_id ? 0x01 : 0x00; /* RESPONSE TO SERVICE ACTION */
	data[5] = operation_status(status);
	put_be16(data + 6, status->operations);
	put_be32(data + 8, status->running ? DELAY_UNKNOWN : DELAY_ENDED);
	data[12] = status->running ? 0 : status->status;
	data[13] = (uint8_t) ((sense + 3) / 4 * 4);
	data[14] = (uint8_t) sense;
	data[15] = 0x01; /* TRANSFER COUNT UNITS: KiB */
	put_be64(data + 16, written_kib(status));
	put_be16(data + 24, segments_processed(status));
	put_be32(data, 28u + data[13]);
	return scsi_good_data(call, 32u + data[13], get_be32(call->cdb + 10));
}

static uint32_t segment_bytes_max(const struct scsi_lu *lu)
{
	return UINT16_MAX * lu->block_size;
}

static uint8_t block_exponent(const struct scsi_lu *lu)
{
	uint8_t exponent = 0;

	assert(lu->block_size);
	while ((lu->block_size >> exponent) > 1)
		exponent++;
	return exponent;
}

/* SPC-4 6.22. */
enum scsi_verdict scsi_receive_copy_parameters(struct scsi_call *call)
{
	uint8_t *data = call->result->data;

	memset(data, 0, 46);
	put_be32(data, 42);
	data[4] = 0x01; /* SNLID: list identifiers are optional */
	put_be16(data + 8, SCSI_XCOPY_CSCDS_MAX);
	put_be16(data + 10, SCSI_XCOPY_SEGMENTS_MAX);
	put_be32(data + 12, LIST_MAX);
	put_be32(data + 16, segment_bytes_max(call->lu));
	put_be16(data + 34, call->lu->max_xcopies);
	data[36] = (uint8_t) call->lu->max_xcopies;
	data[37] = block_exponent(call->lu);
	data[43] = 2;
	data[44] = SEGMENT_TYPE;
	data[45] = CSCD_TYPE;
	return scsi_good_data(call, 46, get_be32(call->cdb + 10));
}

/* ------- third-party copy (SPC-4 7.8.17) ------- */

/* Puts the header of a descriptor and clears the rest. Returns the start of the next descriptor. */
static uint8_t *put_descriptor(uint8_t *p, uint16_t type, uint16_t length)
{
	memset(p, 0, 4u + length);
	put_be16(p, type);
	put_be16(p + 2, length);
	return p + 4 + length;
}

unsigned scsi_put_third_party_copy(const struct scsi_lu *lu, uint8_t *page)
{
	static const uint8_t commands[2][12] = {
		{9, 0x83, 2, 0x00, 0x01, 0x84, 3, 0x00, 0x03, 0x05},
		{10, 0x83, 3, 0x00, 0x01, 0x1c, 0x84, 3, 0x00, 0x03, 0x05}, /* with abort */
	};
	static const uint8_t descriptors[] = {2, SEGMENT_TYPE, CSCD_TYPE, 0};
	uint8_t *p = page;
	uint8_t *next;

	assert(lu->max_xcopies);
	next = put_descriptor(p, 0x0001, sizeof(commands[0])); /* supported commands */
	memcpy(p + 4, commands[lu->dataless], sizeof(commands[0]));
	p = next;
	next = put_descriptor(p, 0x0004, 28); /* parameter data */
	put_be16(p + 8, SCSI_XCOPY_CSCDS_MAX);
	put_be16(p + 10, SCSI_XCOPY_SEGMENTS_MAX);
	put_be32(p + 12, LIST_MAX);
	p = next;
	next = put_descriptor(p, 0x0008, sizeof(descriptors)); /* supported descriptors */
	memcpy(p + 4, descriptors, sizeof(descriptors));
	p = next;
	p = put_descriptor(
		p, 0x000c, 4); /* supported CSCD descriptor ids: those of the list only */
	next = put_descriptor(p, 0x8001, 32); /* general copy operations */
	put_be32(p + 4, lu->max_xcopies);
	put_be32(p + 8, lu->max_xcopies);
	put_be32(p + 12, segment_bytes_max(lu));
	p[16] = block_exponent(lu);
	return (unsigned) (next - page);
}
