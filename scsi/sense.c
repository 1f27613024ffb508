/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to commands: GOOD, a refusal with its field pointer, a unit attention, a failed I/O;
 * and the encoding of sense. It has the only table from errno to sense.
 */
#include "sense.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bytes.h"

#define FIXED_LENGTH 18u

/* ------- answers ------- */

int scsi_highest_bit(uint8_t byte)
{
	int bit = 7;

	assert(byte);
	while (!(byte & (1u << bit)))
		bit--;
	return bit;
}

static void set_sense(struct scsi_result *result, uint32_t sense)
{
	result->status = SCSI_CHECK_CONDITION;
	result->data_length = 0;
	result->sense = (struct scsi_sense){
		.key = (uint8_t) (sense >> 16),
		.asc = (uint8_t) (sense >> 8),
		.ascq = (uint8_t) sense,
	};
}

enum scsi_verdict scsi_good(struct scsi_call *call)
{
	call->result->status = SCSI_GOOD;
	return SCSI_ANSWERED;
}

enum scsi_verdict scsi_good_data(struct scsi_call *call, uint32_t length, uint32_t allocation)
{
	assert(length <= SCSI_DATA_MAX);
	call->result->status = SCSI_GOOD;
	call->result->data_length = length < allocation ? length : allocation;
	return SCSI_ANSWERED;
}

enum scsi_verdict scsi_refuse(struct scsi_call *call, uint32_t sense)
{
	assert(sense);
	set_sense(call->result, sense);
	return SCSI_ANSWERED;
}

static enum scsi_verdict refuse_field(
	struct scsi_call *call, uint32_t sense, bool in_cdb, unsigned byte, int bit)
{
	struct scsi_sense *to = &call->result->sense;

	assert(bit == NO_BIT || (bit >= 0 && bit < 8));
	set_sense(call->result, sense);
	to->field_valid = true;
	to->field_in_cdb = in_cdb;
	to->field = (uint16_t) byte;
	to->bit_valid = bit != NO_BIT;
	to->bit = bit != NO_BIT ? (uint8_t) bit : 0;
	return SCSI_ANSWERED;
}

enum scsi_verdict scsi_refuse_cdb(struct scsi_call *call, unsigned byte, int bit)
{
	return refuse_field(call, SENSE_INVALID_FIELD_IN_CDB, true, byte, bit);
}

enum scsi_verdict scsi_refuse_list(struct scsi_call *call, unsigned byte, int bit)
{
	return refuse_field(call, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, false, byte, bit);
}

enum scsi_verdict scsi_refuse_opcode(struct scsi_call *call)
{
	return refuse_field(call, SENSE_INVALID_OPERATION_CODE, true, 0, NO_BIT);
}

void scsi_plan_end(struct scsi_result *result, uint32_t sense)
{
	if (sense)
		set_sense(result, sense);
	else
		result->status = SCSI_GOOD;
}

/* ------- unit attentions ------- */

bool scsi_take_unit_attention(struct scsi_lu *lu, struct scsi_sense *sense)
{
	static const struct {
		uint32_t bit;
		uint8_t asc;
		uint8_t ascq;
	} attentions[] = {
		{SCSI_UA_RESET, 0x29, 0x00}, /* POWER ON, RESET, OR BUS DEVICE RESET OCCURRED */
		{SCSI_UA_MODE_PARAMETERS, 0x2a, 0x01}, /* MODE PARAMETERS CHANGED */
		{SCSI_UA_CAPACITY, 0x2a, 0x09},        /* CAPACITY DATA HAS CHANGED */
		{SCSI_UA_INQUIRY_DATA, 0x3f, 0x03},    /* INQUIRY DATA HAS CHANGED */
		{SCSI_UA_THIN_THRESHOLD, 0x38, 0x07}, /* THIN PROVISIONING SOFT THRESHOLD REACHED */
	};

	for (size_t i = 0; i < sizeof(attentions) / sizeof(attentions[0]); i++) {
		if (!(lu->unit_attention & attentions[i].bit))
			continue;
		lu->unit_attention &= ~attentions[i].bit;
		*sense = (struct scsi_sense){
			.key = KEY_UNIT_ATTENTION,
			.asc = attentions[i].asc,
			.ascq = attentions[i].ascq,
		};
		return true;
	}
	return false;
}

/* ------- a medium that is busy or inaccessible ------- */

/* SBC-3 4.11, 4.30. */
bool scsi_busy_sense(const struct scsi_lu *lu, struct scsi_sense *sense)
{
	assert(lu->long_operation <= SCSI_LONG_SANITIZE);
	if (lu->not_ready) {
		*sense = (struct scsi_sense){
			.key = KEY_NOT_READY, .asc = 0x04, .ascq = lu->not_ready};
		return true;
	}
	if (lu->long_operation == SCSI_LONG_NONE && !lu->sanitize_failed && !lu->format_failed)
		return false;
	if (lu->long_operation ==
	    SCSI_LONG_NONE) /* SANITIZE COMMAND FAILED, MEDIUM FORMAT CORRUPTED */
		*sense = (struct scsi_sense){
			.key = KEY_MEDIUM_ERROR,
			.asc = 0x31,
			.ascq = lu->sanitize_failed ? 0x03 : 0x00};
	else
		*sense = (struct scsi_sense){
			.key = KEY_NOT_READY,
			.asc = 0x04,
			.ascq = lu->long_operation == SCSI_LONG_FORMAT ? 0x04 : 0x1b,
			.progress_valid = true,
			.progress = lu->progress,
		};
	return true;
}

enum scsi_verdict scsi_refuse_busy(struct scsi_call *call)
{
	bool busy;

	set_sense(call->result, 0);
	busy = scsi_busy_sense(call->lu, &call->result->sense);
	assert(busy);
	return SCSI_ANSWERED;
}

/* ------- failed I/O ------- */

enum info {
	INFO_NONE,
	INFO_LBA,
	INFO_OFFSET,
};

/* What initiators see of a failed request, in the words of docs/handler-guide.md. Sense 0: the
 * status has none. */
static const struct outcome {
	const char *word;
	uint8_t status;
	enum info info;
	uint32_t reading;
	uint32_t writing;
} outcomes[] = {
	/* INTERNAL TARGET FAILURE: initiators do not repeat the command. */
	[SCSI_OUTCOME_FAILED] =
		{"internal failure", SCSI_CHECK_CONDITION, INFO_NONE, SENSE_INTERNAL_TARGET_FAILURE,
		 SENSE_INTERNAL_TARGET_FAILURE},
	/* UNRECOVERED READ ERROR, WRITE ERROR */
	[SCSI_OUTCOME_MEDIUM_ERROR] =
		{"medium error", SCSI_CHECK_CONDITION, INFO_LBA, SENSE(KEY_MEDIUM_ERROR, 0x11, 0),
		 SENSE(KEY_MEDIUM_ERROR, 0x0c, 0)},
	/* MISCOMPARE DURING VERIFY OPERATION */
	[SCSI_OUTCOME_MISCOMPARE] =
		{"miscompare", SCSI_CHECK_CONDITION, INFO_OFFSET, SENSE(KEY_MISCOMPARE, 0x1d, 0),
		 SENSE(KEY_MISCOMPARE, 0x1d, 0)},
	/* SPACE ALLOCATION FAILED WRITE PROTECT: initiators that know thin provisioning pause
	 * instead of failing */
	[SCSI_OUTCOME_SPACE_EXHAUSTED] =
		{"space exhausted", SCSI_CHECK_CONDITION, INFO_NONE,
		 SENSE(KEY_DATA_PROTECT, 0x27, 7), SENSE(KEY_DATA_PROTECT, 0x27, 7)},
	[SCSI_OUTCOME_WRITE_PROTECTED] =
		{"write protected", SCSI_CHECK_CONDITION, INFO_NONE, SENSE_WRITE_PROTECTED,
		 SENSE_WRITE_PROTECTED},
	/* LOGICAL UNIT IS IN PROCESS OF BECOMING READY: initiators wait and repeat */
	[SCSI_OUTCOME_BECOMING_READY] =
		{"becoming ready", SCSI_CHECK_CONDITION, INFO_NONE, SENSE(KEY_NOT_READY, 0x04, 1),
		 SENSE(KEY_NOT_READY, 0x04, 1)},
	/* MEDIUM NOT PRESENT */
	[SCSI_OUTCOME_NO_MEDIUM] =
		{"no medium", SCSI_CHECK_CONDITION, INFO_NONE, SENSE(KEY_NOT_READY, 0x3a, 0),
		 SENSE(KEY_NOT_READY, 0x3a, 0)},
	[SCSI_OUTCOME_CONFLICT] = {"reservation conflict", SCSI_RESERVATION_CONFLICT},
	/* worth a retry */
	[SCSI_OUTCOME_BUSY] = {"busy", SCSI_BUSY},
	[SCSI_OUTCOME_TIMED_OUT] = {"timed out", SCSI_BUSY},
	[SCSI_OUTCOME_FENCED] = {"fenced", SCSI_BUSY}, /* the daemon reopens the backing store */
	[SCSI_OUTCOME_CANCELLED] = {"cancelled", SCSI_TASK_ABORTED},
	/* Nobody knows whether it was carried out. Initiators repeat a command that ends with
	 * MEDIUM ERROR or ABORTED COMMAND. */
	[SCSI_OUTCOME_UNKNOWN] =
		{"outcome unknown", SCSI_CHECK_CONDITION, INFO_NONE, SENSE_INTERNAL_TARGET_FAILURE,
		 SENSE_INTERNAL_TARGET_FAILURE},
};

/* Those that are not here are SCSI_OUTCOME_FAILED. */
static const struct {
	int error;
	enum scsi_outcome outcome;
} io_errors[] = {
	{EIO, SCSI_OUTCOME_MEDIUM_ERROR},
	{ENODATA, SCSI_OUTCOME_MEDIUM_ERROR},
	{EBADMSG, SCSI_OUTCOME_MEDIUM_ERROR},
	{EILSEQ, SCSI_OUTCOME_MISCOMPARE},
	{ENOSPC, SCSI_OUTCOME_SPACE_EXHAUSTED},
	{EDQUOT, SCSI_OUTCOME_SPACE_EXHAUSTED},
	{EROFS, SCSI_OUTCOME_WRITE_PROTECTED},
	{EINPROGRESS, SCSI_OUTCOME_BECOMING_READY},
	{ENOMEDIUM, SCSI_OUTCOME_NO_MEDIUM},
	{EBADE, SCSI_OUTCOME_CONFLICT},
	{EBUSY, SCSI_OUTCOME_BUSY},
	{EAGAIN, SCSI_OUTCOME_BUSY},
	{EINTR, SCSI_OUTCOME_BUSY},
	{ENOMEM, SCSI_OUTCOME_BUSY},
	{ENOBUFS, SCSI_OUTCOME_BUSY},
	{ETIMEDOUT, SCSI_OUTCOME_TIMED_OUT},
	{ESHUTDOWN, SCSI_OUTCOME_FENCED},
	{ECANCELED, SCSI_OUTCOME_CANCELLED},
	{ENOTRECOVERABLE, SCSI_OUTCOME_UNKNOWN},
};

enum scsi_outcome scsi_outcome_of(int error)
{
	assert(error < 0);
	for (size_t i = 0; i < sizeof(io_errors) / sizeof(io_errors[0]); i++)
		if (io_errors[i].error == -error)
			return io_errors[i].outcome;
	return SCSI_OUTCOME_FAILED;
}

const char *scsi_outcome_word(enum scsi_outcome outcome)
{
	assert((size_t) outcome < sizeof(outcomes) / sizeof(outcomes[0]));
	return outcomes[outcome].word;
}

bool scsi_error_is_busy(int error)
{
	return outcomes[scsi_outcome_of(error)].status == SCSI_BUSY;
}

static bool plan_writes(const struct scsi_plan *plan)
{
	switch (plan->op) {
	case SCSI_PLAN_READ:
	case SCSI_PLAN_VERIFY:
	case SCSI_PLAN_MAP:
	case SCSI_PLAN_PREFETCH:
		return false;
	default:
		return true;
	}
}

void scsi_io_error(
	const struct scsi_plan *plan, int error, uint64_t lba, uint64_t result_offset,
	struct scsi_result *result)
{
	const struct outcome *outcome = &outcomes[scsi_outcome_of(error)];

	set_sense(result, plan_writes(plan) ? outcome->writing : outcome->reading);
	result->status = outcome->status;
	/* A failed flush has no LBA. */
	result->sense.info_valid = outcome->info != INFO_NONE && plan->op != SCSI_PLAN_FLUSH;
	if (result->sense.info_valid)
		result->sense.info = outcome->info == INFO_LBA ? lba : result_offset;
}

/* ------- encoding ------- */

/* SPC-4 4.5.2.4: returns whether the sense has such a field. */
static bool put_key_specific(const struct scsi_sense *sense, uint8_t *p)
{
	assert(!(sense->field_valid && sense->progress_valid));
	if (sense->field_valid) {
		p[0] = 0x80 | (sense->field_in_cdb ? 0x40 : 0);
		if (sense->bit_valid)
			p[0] |= 0x08 | (sense->bit & 0x07);
		put_be16(p + 1, sense->field);
	} else if (sense->progress_valid) {
		p[0] = 0x80;
		put_be16(p + 1, sense->progress);
	}
	return sense->field_valid || sense->progress_valid;
}

/* SPC-4 4.5.3. The INFORMATION field has 32 bits: a larger value is left out. */
static size_t put_fixed(const struct scsi_sense *sense, uint8_t *buffer)
{
	buffer[0] = 0x70;
	buffer[2] = sense->key;
	if (sense->info_valid && sense->info <= UINT32_MAX) {
		buffer[0] |= 0x80;
		put_be32(buffer + 3, (uint32_t) sense->info);
	}
	buffer[7] = FIXED_LENGTH - 8;
	buffer[12] = sense->asc;
	buffer[13] = sense->ascq;
	put_key_specific(sense, buffer + 15);
	return FIXED_LENGTH;
}

/* SPC-4 4.5.2. */
static size_t put_descriptors(const struct scsi_sense *sense, uint8_t *buffer)
{
	size_t length = 8;

	buffer[0] = 0x72;
	buffer[1] = sense->key;
	buffer[2] = sense->asc;
	buffer[3] = sense->ascq;
	if (sense->info_valid) {
		buffer[length] = 0x00; /* information */
		buffer[length + 1] = 0x0a;
		buffer[length + 2] = 0x80;
		put_be64(buffer + length + 4, sense->info);
		length += 12;
	}
	if (put_key_specific(sense, buffer + length + 4)) {
		buffer[length] = 0x02; /* sense key specific */
		buffer[length + 1] = 0x06;
		length += 8;
	}
	assert(length <= SCSI_SENSE_MAX);
	buffer[7] = (uint8_t) (length - 8);
	return length;
}

size_t scsi_sense_put(const struct scsi_sense *sense, bool descriptor, uint8_t *buffer)
{
	memset(buffer, 0, SCSI_SENSE_MAX);
	return descriptor ? put_descriptors(sense, buffer) : put_fixed(sense, buffer);
}

size_t scsi_sense_encode(const struct scsi_lu *lu, const struct scsi_sense *sense, uint8_t *buffer)
{
	return scsi_sense_put(sense, lu->descriptor_sense, buffer);
}
