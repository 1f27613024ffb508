/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that is being dispatched, and an entry of the table of operations: what optable.c and
 * the functions of its table share. A header alone: every module below the table includes it.
 *
 * A function of the table gets a call whose CDB is whole and has no bit set outside the entry's
 * usage mask. It ends with one of the functions of sense.h, which fill the result and return the
 * verdict.
 */
#pragma once

#include <scsi/operation.h>
#include <scsi/scsi.h>

struct scsi_entry;

struct scsi_call {
	struct scsi_lu *lu;
	const struct scsi_task *task;
	const uint8_t *cdb;
	unsigned cdb_length; /* of the operation */
	struct scsi_result *result;
	const struct scsi_entry *entry;
};

typedef enum scsi_verdict scsi_function(struct scsi_call *call);

/* Flags of a table entry */
#define ENTRY_KERNEL      (1u << 0) /* the target core answers it; listed, never carried out here */
#define ENTRY_RESERVATION (1u << 1) /* supported unless lu->no_reservations */
#define ENTRY_BEFORE_UA   (1u << 2) /* does not report a pending unit attention */
#define ENTRY_ANYTIME     (1u << 3) /* allowed while the medium is formatted or sanitized */
#define ENTRY_WRITES      (1u << 4) /* changes the medium: refused when it is write protected */
#define ENTRY_UNMAP       (1u << 5) /* supported with lu->unmap */
#define ENTRY_UNMAP_BIT   (1u << 6) /* CDB byte 1 bit 3, UNMAP, may be set with lu->unmap */
#define ENTRY_COMPARE     (1u << 7) /* supported with lu->max_compare_and_write */
#define ENTRY_ATOMIC      (1u << 8) /* supported with lu->max_atomic */
#define ENTRY_FORMAT      (1u << 9) /* allowed after a format operation has failed */
#define ENTRY_SANITIZE    (1u << 10) /* allowed after a sanitize operation has failed */
#define ENTRY_SAVE_BIT    (1u << 11) /* CDB byte 1 bit 0, SP, may be set with lu->can_save */
#define ENTRY_CLOCK       (1u << 12) /* supported with lu->has_clock */
#define ENTRY_XCOPY       (1u << 13) /* supported with lu->max_xcopies */
#define ENTRY_GROUPS      (1u << 14) /* supported with lu->has_port_groups */
#define ENTRY_EXPLICIT    (1u << 15) /* supported where initiators may change a group's state */
#define ENTRY_LU_INFO     (1u << 16) /* needs lu->lu_info_fresh */
#define ENTRY_GUARD \
	(1u << 17) /* acts without data-out: supported with lu->dataless, needs lu->guard_passed \
		    */
#define ENTRY_NDOB_BIT (1u << 18) /* CDB byte 1 bit 0, NDOB: the same for a CDB with this bit */

struct scsi_entry {
	struct scsi_operation operation;
	uint32_t flags;
	scsi_function *function; /* NULL with ENTRY_KERNEL */
};
