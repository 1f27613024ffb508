/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of scsi/ share: the table's entries, a command under way, and how it is answered.
 *
 * A function of the table gets a call whose CDB is whole and has no bit set outside of the entry's
 * usage mask; it ends with one of the functions below, which fill the result and give the verdict
 * to return.
 */
#pragma once

#include <scsi/scsi.h>

#include "bytes.h"

struct scsi_entry;

struct scsi_call {
	struct scsi_lu *lu;
	const struct scsi_task *task;
	const uint8_t *cdb;
	struct scsi_result *result;
	const struct scsi_entry *entry;
};

typedef enum scsi_verdict scsi_function(struct scsi_call *call);

/* Flags of a table entry */
#define ENTRY_KERNEL      (1u << 0) /* answered by the target core; listed, never carried out here */
#define ENTRY_RESERVATION (1u << 1)  /* there unless lu->no_reservations */
#define ENTRY_BEFORE_UA   (1u << 2)  /* a pending unit attention is not told */
#define ENTRY_ANYTIME     (1u << 3)  /* while the medium is being formatted or sanitized, too */
#define ENTRY_WRITES      (1u << 4)  /* changes the medium: refused when it is write protected */
#define ENTRY_UNMAP       (1u << 5)  /* there with lu->unmap */
#define ENTRY_UNMAP_BIT   (1u << 6)  /* CDB byte 1 bit 3, UNMAP, there with lu->unmap */
#define ENTRY_COMPARE     (1u << 7)  /* there with lu->max_compare_and_write */
#define ENTRY_ATOMIC      (1u << 8)  /* there with lu->max_atomic */
#define ENTRY_FORMAT      (1u << 9)  /* there with lu->can_format */
#define ENTRY_SANITIZE    (1u << 10) /* after a sanitize operation that failed, too */
#define ENTRY_SAVE_BIT    (1u << 11) /* CDB byte 1 bit 0, SP, there with lu->can_save */
#define ENTRY_CLOCK       (1u << 12) /* there with lu->has_clock */
#define ENTRY_XCOPY       (1u << 13) /* there with lu->max_xcopies */
#define ENTRY_GROUPS      (1u << 14) /* there with lu->has_port_groups */
#define ENTRY_EXPLICIT    (1u << 15) /* there where initiators may change the state of a group */
#define ENTRY_LU_INFO     (1u << 16) /* wants lu->lu_info_fresh */

struct scsi_entry {
	struct scsi_operation operation;
	uint32_t flags;
	scsi_function *function;
};

/* ------- answers (sense.c) ------- */

#define SENSE(key, asc, ascq) ((uint32_t) (key) << 16 | (uint32_t) (asc) << 8 | (uint32_t) (ascq))

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

/* GOOD without data. */
enum scsi_verdict scsi_good(struct scsi_call *call);
/* GOOD with the first length bytes of result->data, cut to the allocation length (SPC-4 4.3.5.6).
 */
enum scsi_verdict scsi_good_data(struct scsi_call *call, uint32_t length, uint32_t allocation);
/* CHECK CONDITION with one of the SENSE codes. */
enum scsi_verdict scsi_refuse(struct scsi_call *call, uint32_t sense);
/* INVALID FIELD IN CDB and INVALID FIELD IN PARAMETER LIST with a field pointer (SPC-4 4.5.2.4.2).
 * bit: the most significant one of the field, or NO_BIT when the field is whole bytes. */
enum scsi_verdict scsi_refuse_cdb(struct scsi_call *call, unsigned byte, int bit);
enum scsi_verdict scsi_refuse_list(struct scsi_call *call, unsigned byte, int bit);

/* INVALID COMMAND OPERATION CODE; the pointer is to byte 0. */
enum scsi_verdict scsi_refuse_opcode(struct scsi_call *call);

/* NOT READY with the progress of what is going on, or MEDIUM ERROR after a sanitize operation that
 * failed. */
enum scsi_verdict scsi_refuse_busy(struct scsi_call *call);
/* The sense for it; false: the medium is free. */
bool scsi_busy_sense(const struct scsi_lu *lu, struct scsi_sense *sense);

/* The end of a plan: GOOD, or CHECK CONDITION with one of the SENSE codes, if it is not 0. */
void scsi_plan_end(struct scsi_result *result, uint32_t sense);

/* A plan without extents, to be carried out once. */
enum scsi_verdict scsi_plan(
	struct scsi_call *call, enum scsi_plan_op op, uint32_t flags, uint64_t lba,
	uint64_t blocks);

/* Takes the unit attention that is to be told first. False: there is none. */
bool scsi_take_unit_attention(struct scsi_lu *lu, struct scsi_sense *sense);

/* Encodes sense; the public function without the logical unit. */
size_t scsi_sense_put(const struct scsi_sense *sense, bool descriptor, uint8_t *buffer);

/* ------- fields and data-out (cdb.c) ------- */

/* The most significant bit that is set, of which there has to be one. */
static inline int scsi_highest_bit(uint8_t byte)
{
	int bit = 7;

	while (!(byte & (1u << bit)))
		bit--;
	return bit;
}

/* The LOGICAL BLOCK ADDRESS and the length field of a READ-like CDB of 6, 10, 12 or 16 bytes, and
 * the byte at which the length field begins. A length of 0 in a CDB of 6 bytes is 256. */
struct scsi_range {
	uint64_t lba;
	uint64_t blocks;
	unsigned length_byte;
};
struct scsi_range scsi_cdb_range(const uint8_t *cdb, unsigned cdb_length);

/* Whether blocks lba to lba + blocks - 1 are on the medium; of no blocks, whether lba is or is the
 * end. */
bool scsi_range_ok(const struct scsi_lu *lu, uint64_t lba, uint64_t blocks);

/* Copies length bytes of data-out from offset on. False: there are fewer. */
bool scsi_data_out(const struct scsi_task *task, uint64_t offset, void *buffer, size_t length);

/* ------- properties of the logical unit ------- */

/* LBPME: logical blocks may be unmapped, by commands or by not having been written yet. */
static inline bool scsi_lu_provisioned(const struct scsi_lu *lu)
{
	return lu->thin || lu->unmap;
}

static inline bool scsi_lu_write_protected(const struct scsi_lu *lu)
{
	return lu->read_only || lu->software_write_protect;
}

/* MAXIMUM UNMAP LBA COUNT; all ones say that there is no limit. */
static inline uint32_t scsi_lu_max_unmap(const struct scsi_lu *lu)
{
	return lu->max_unmap ? lu->max_unmap : UINT32_MAX;
}

static inline uint64_t scsi_lu_last_lba(const struct scsi_lu *lu)
{
	return lu->blocks ? lu->blocks - 1 : 0;
}

/* SCSI_ACCESS_ bits of all groups; 0 where no states are told (alua.c). */
uint8_t scsi_lu_access(const struct scsi_lu *lu);

/* Mode parameters become the saved ones; NULL: there are none, what is saved are the defaults
 * (mode.c). */
void scsi_mode_set_saved(struct scsi_lu *lu, const struct scsi_mode_values *saved);

/* ------- functions of the table ------- */

scsi_function scsi_test_unit_ready, scsi_request_sense, scsi_inquiry, scsi_start_stop_unit,
	scsi_prevent_allow, scsi_report_operation_codes, scsi_report_task_management,
	scsi_report_timestamp, scsi_send_diagnostic, scsi_receive_diagnostic;
scsi_function scsi_log_sense, scsi_mode_sense, scsi_mode_select;
scsi_function scsi_read_capacity_10, scsi_read_capacity_16, scsi_read, scsi_write, scsi_write_same,
	scsi_unmap, scsi_synchronize_cache, scsi_verify, scsi_write_and_verify,
	scsi_compare_and_write, scsi_orwrite, scsi_prefetch, scsi_get_lba_status, scsi_write_atomic,
	scsi_read_defect_data;
scsi_function scsi_format_unit, scsi_sanitize_overwrite, scsi_sanitize_block_erase,
	scsi_sanitize_exit_failure;

scsi_function scsi_report_port_groups, scsi_set_port_groups;
scsi_function scsi_extended_copy, scsi_copy_operation_abort, scsi_receive_copy_status_lid1,
	scsi_receive_copy_status_lid4, scsi_receive_copy_parameters;

/* What follows the header of VPD 8Fh (xcopy.c). Returns its length. */
unsigned scsi_put_third_party_copy(const struct scsi_lu *lu, uint8_t *page);

/* INQUIRY with EVPD (vpd.c). */
enum scsi_verdict scsi_inquiry_vpd(struct scsi_call *call);

/* The bits of CDB byte i that may be set on this logical unit (optable.c). */
uint8_t scsi_entry_usage(const struct scsi_lu *lu, const struct scsi_entry *entry, unsigned i);
