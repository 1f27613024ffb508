/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the primary command set (SPC-4) that need no table of pages: readiness, sense,
 * standard INQUIRY; and START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL for a fixed disk
 * (SBC-3).
 */
#include "spc.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "lu.h"
#include "sbc.h"
#include "sense.h"
#include "vpd.h"

enum scsi_verdict scsi_test_unit_ready(struct scsi_call *call)
{
	return scsi_good(call);
}

/* SPC-4 6.39: reports and clears a unit attention, else reports a long operation. The DESC bit
 * selects the format, not D_SENSE. */
enum scsi_verdict scsi_request_sense(struct scsi_call *call)
{
	struct scsi_sense sense = {.key = KEY_NO_SENSE};
	uint8_t buffer[SCSI_SENSE_MAX];
	size_t length;

	if (!scsi_take_unit_attention(call->lu, &sense))
		scsi_busy_sense(call->lu, &sense);
	length = scsi_sense_put(&sense, call->cdb[1] & 0x01, buffer);
	memcpy(call->result->data, buffer, length);
	return scsi_good_data(call, (uint32_t) length, call->cdb[4]);
}

/* ------- INQUIRY ------- */

#define INQUIRY_LENGTH 96u

/* A field of ASCII, left aligned and padded with blanks (SPC-4 4.3.1). */
static void put_text(uint8_t *p, size_t size, const char *text)
{
	size_t length = strnlen(text, size);

	memset(p, ' ', size);
	memcpy(p, text, length);
}

/* SPC-4 6.6. The defaults of vendor, product and revision are those that initiators' multipath
 * settings match. */
static enum scsi_verdict standard_inquiry(struct scsi_call *call)
{
	const struct scsi_lu *lu = call->lu;
	uint8_t *data = call->result->data;

	assert(lu->lu_info_fresh);
	memset(data, 0, INQUIRY_LENGTH);
	data[2] = 0x06; /* VERSION: SPC-4 */
	data[3] = 0x02; /* RESPONSE DATA FORMAT */
	data[4] = INQUIRY_LENGTH - 5;
	data[5] = (uint8_t) (scsi_lu_access(lu) << 4) |
		(lu->max_xcopies ? 0x08 : 0); /* TPGS, 3PC */
	data[7] = 0x02;                       /* CMDQUE */
	put_text(data + 8, 8, lu->vendor[0] ? lu->vendor : "LIO-ORG");
	put_text(data + 16, 16, lu->product[0] ? lu->product : "TCMU device");
	put_text(data + 32, 4, lu->revision[0] ? lu->revision : "0002");
	put_be16(data + 58, 0x00a0); /* SAM-5 */
	put_be16(data + 60, 0x0460); /* SPC-4 */
	put_be16(data + 62, 0x04c0); /* SBC-3 */
	return scsi_good_data(call, INQUIRY_LENGTH, get_be16(call->cdb + 3));
}

enum scsi_verdict scsi_inquiry(struct scsi_call *call)
{
	if (call->cdb[1] & 0x01)
		return scsi_inquiry_vpd(call);
	if (call->cdb[2])
		return scsi_refuse_cdb(call, 2, NO_BIT);
	if (!call->lu->lu_info_fresh)
		return SCSI_NEEDS_LU_INFO;
	return standard_inquiry(call);
}

/* ------- a fixed disk ------- */

/*
 * SBC-3 5.25. The disk cannot spin down, and other initiators use the same logical unit: a stop
 * only flushes the cache, unless NO_FLUSH is set. The usage mask refuses power conditions and
 * LOEJ.
 */
enum scsi_verdict scsi_start_stop_unit(struct scsi_call *call)
{
	bool start = call->cdb[4] & 0x01;
	bool no_flush = call->cdb[4] & 0x04;

	if (start || no_flush)
		return scsi_good(call);
	return scsi_plan(
		call, SCSI_PLAN_FLUSH, call->cdb[1] & 0x01 ? SCSI_PLAN_IMMEDIATE : 0, 0, 0);
}

/* SBC-3 5.10: the medium is not removable, so both values of PREVENT are accepted. */
enum scsi_verdict scsi_prevent_allow(struct scsi_call *call)
{
	return scsi_good(call);
}

/* ------- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS ------- */

/* SPC-4 6.36. The target core does ABORT TASK and LOGICAL UNIT RESET and refuses the others. */
enum scsi_verdict scsi_report_task_management(struct scsi_call *call)
{
	bool extended = call->cdb[2] & 0x80;
	uint8_t *data = call->result->data;
	uint32_t length = extended ? 16 : 4;

	memset(data, 0, length);
	data[0] = 0x88; /* ATS, LURS */
	if (extended)
		data[3] = 0x0c;
	return scsi_good_data(call, length, get_be32(call->cdb + 6));
}

/* ------- REPORT TIMESTAMP ------- */

/* SPC-4 6.38: the host's clock; SET TIMESTAMP is not supported. */
enum scsi_verdict scsi_report_timestamp(struct scsi_call *call)
{
	uint8_t *data = call->result->data;

	assert(call->lu->has_clock);
	memset(data, 0, 12);
	put_be16(data, 10);
	data[2] = 0x03; /* TIMESTAMP ORIGIN: set by other means */
	put_be16(data + 4, (uint16_t) (call->task->time_ms >> 32));
	put_be32(data + 6, (uint32_t) call->task->time_ms);
	return scsi_good_data(call, 12, get_be32(call->cdb + 6));
}

/* ------- diagnostics (SPC-4 6.31, 6.44, 7.2) ------- */

#define DIAGNOSTIC_HEADER 4u

/* The default self-test always succeeds. The only page is the list of pages. */
enum scsi_verdict scsi_send_diagnostic(struct scsi_call *call)
{
	uint8_t page[DIAGNOSTIC_HEADER];
	unsigned length = get_be16(call->cdb + 3);

	if (length == 0)
		return scsi_good(call);
	if (call->cdb[1] & 0x04) /* SELFTEST has no parameters */
		return scsi_refuse_cdb(call, 3, NO_BIT);
	if (!(call->cdb[1] & 0x10)) /* PF: without it, the page would be vendor specific */
		return scsi_refuse_cdb(call, 1, 4);
	if (length < DIAGNOSTIC_HEADER || call->task->data_length < length ||
	    !scsi_data_out(call->task, 0, page, sizeof(page)))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	for (unsigned i = 0; i < sizeof(page); i++)
		if (page[i])
			return scsi_refuse_list(call, i == 3 ? 2 : i, NO_BIT);
	return length == DIAGNOSTIC_HEADER ? scsi_good(call)
					   : scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
}

/* With or without PCV, because the list of pages is also the result of any SEND DIAGNOSTIC. */
enum scsi_verdict scsi_receive_diagnostic(struct scsi_call *call)
{
	static const uint8_t supported[] = {0x00, 0, 0, 1, 0x00};

	if (call->cdb[2])
		return scsi_refuse_cdb(call, 2, NO_BIT);
	memcpy(call->result->data, supported, sizeof(supported));
	return scsi_good_data(call, sizeof(supported), get_be16(call->cdb + 3));
}
