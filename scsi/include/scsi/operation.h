/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation of the device server, as the table of operations describes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How an operation may change the medium or the state of the logical unit: blocks, saved and
 * current mode parameters, target port groups, copies of others, the state after a failed sanitize.
 * The target core checks write-protected mappings by the direction of the data alone, and Write
 * Exclusive reservations by it, too. */
enum scsi_effect {
	SCSI_EFFECT_NOTHING = 1, /* changes nothing, with or without data-out; it may flush */
	/* Changes what its data-out says, and nothing without data-out; another logical unit only
	 * after SCSI_NEEDS_COPY_GUARD. */
	SCSI_EFFECT_BY_DATA,
	SCSI_EFFECT_GUARDED, /* changes something without data-out: see SCSI_NEEDS_GUARD */
	SCSI_EFFECT_CORE,    /* the target core carries it out */
};

/* An entry of the table of operations. Dispatch, REPORT SUPPORTED OPERATION CODES, tests, the
 * fuzzer's dictionary and the manual's list use the same table. */
struct scsi_operation {
	uint8_t opcode;
	bool has_action; /* CDB byte 1, bits 4 to 0, holds a service action */
	uint8_t action;
	uint8_t cdb_length;
	bool by_target_core;     /* reported as supported; the target core answers it */
	enum scsi_effect effect; /* WRITE SAME(16) is guarded with NDOB, and else by its data */
	const char *name;
	uint8_t usage[16]; /* CDB USAGE DATA (SPC-4 6.35.3): opcode and service action by value,
			      else a bit mask */
};
