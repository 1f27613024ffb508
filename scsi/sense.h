/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a command is answered: GOOD or a refusal, and the sense codes for it. Every function that
 * returns a verdict has filled call->result.
 */
#pragma once

#include "call.h"

#define SENSE(key, asc, ascq) ((uint32_t) (key) << 16 | (uint32_t) (asc) << 8 | (uint32_t) (ascq))

/* Sense keys (SPC-4 4.5.6). */
enum {
	KEY_NO_SENSE = 0x0,
	KEY_RECOVERED_ERROR = 0x1,
	KEY_NOT_READY = 0x2,
	KEY_MEDIUM_ERROR = 0x3,
	KEY_HARDWARE_ERROR = 0x4,
	KEY_ILLEGAL_REQUEST = 0x5,
	KEY_UNIT_ATTENTION = 0x6,
	KEY_DATA_PROTECT = 0x7,
	KEY_COPY_ABORTED = 0xa,
	KEY_MISCOMPARE = 0xe,
};

#define SENSE_INVALID_FIELD_IN_COMMAND_IU     SENSE(KEY_ILLEGAL_REQUEST, 0x0e, 0x03)
#define SENSE_PARAMETER_LIST_LENGTH_ERROR     SENSE(KEY_ILLEGAL_REQUEST, 0x1a, 0x00)
#define SENSE_INVALID_OPERATION_CODE          SENSE(KEY_ILLEGAL_REQUEST, 0x20, 0x00)
#define SENSE_LBA_OUT_OF_RANGE                SENSE(KEY_ILLEGAL_REQUEST, 0x21, 0x00)
#define SENSE_INVALID_FIELD_IN_CDB            SENSE(KEY_ILLEGAL_REQUEST, 0x24, 0x00)
#define SENSE_INVALID_FIELD_IN_PARAMETER_LIST SENSE(KEY_ILLEGAL_REQUEST, 0x26, 0x00)
#define SENSE_SAVING_PARAMETERS_NOT_SUPPORTED SENSE(KEY_ILLEGAL_REQUEST, 0x39, 0x00)
#define SENSE_INTERNAL_TARGET_FAILURE         SENSE(KEY_HARDWARE_ERROR, 0x44, 0x00)
#define SENSE_SET_PORT_GROUPS_FAILED          SENSE(KEY_HARDWARE_ERROR, 0x67, 0x0a)
#define SENSE_WRITE_PROTECTED                 SENSE(KEY_DATA_PROTECT, 0x27, 0x00)
#define SENSE_SOFTWARE_WRITE_PROTECTED        SENSE(KEY_DATA_PROTECT, 0x27, 0x02)

#define NO_BIT                                (-1)

/* The most significant bit that is set. byte: not 0. */
int scsi_highest_bit(uint8_t byte);

/* GOOD without data. */
enum scsi_verdict scsi_good(struct scsi_call *call);

/* GOOD with the first length bytes of result->data, cut to the allocation length (SPC-4 4.3.5.6).
 * length: at most SCSI_DATA_MAX. */
enum scsi_verdict scsi_good_data(struct scsi_call *call, uint32_t length, uint32_t allocation);

/* CHECK CONDITION with one of the SENSE codes. */
enum scsi_verdict scsi_refuse(struct scsi_call *call, uint32_t sense);

/* INVALID FIELD IN CDB or INVALID FIELD IN PARAMETER LIST, with a field pointer (SPC-4
 * 4.5.2.4.2). byte: the first one of the field. bit: its most significant one, or NO_BIT when the
 * field is whole bytes. */
enum scsi_verdict scsi_refuse_cdb(struct scsi_call *call, unsigned byte, int bit);
enum scsi_verdict scsi_refuse_list(struct scsi_call *call, unsigned byte, int bit);

/* INVALID COMMAND OPERATION CODE; the pointer is to byte 0. */
enum scsi_verdict scsi_refuse_opcode(struct scsi_call *call);

/* Refuses a command because scsi_busy_sense() has a sense. */
enum scsi_verdict scsi_refuse_busy(struct scsi_call *call);

/* Why the medium cannot be used now: NOT READY with the progress of a long operation, or MEDIUM
 * ERROR after one that failed (SBC-3 4.11, 4.30). False: it can be used; sense is unchanged. */
bool scsi_busy_sense(const struct scsi_lu *lu, struct scsi_sense *sense);

/* Ends a plan: GOOD with sense 0, else CHECK CONDITION with one of the SENSE codes. */
void scsi_plan_end(struct scsi_result *result, uint32_t sense);

/* Takes the pending unit attention of the highest precedence and clears it. False: none is
 * pending. */
bool scsi_take_unit_attention(struct scsi_lu *lu, struct scsi_sense *sense);

/* scsi_sense_encode() for a format given by the caller. */
size_t scsi_sense_put(const struct scsi_sense *sense, bool descriptor, uint8_t *buffer);
