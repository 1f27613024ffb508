/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation of the device server, as the table of operations describes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An entry of the table of operations. Dispatch, REPORT SUPPORTED OPERATION CODES, tests, the
 * fuzzer's dictionary and the manual's list use the same table. */
struct scsi_operation {
	uint8_t opcode;
	bool has_action; /* CDB byte 1, bits 4 to 0, holds a service action */
	uint8_t action;
	uint8_t cdb_length;
	bool by_target_core; /* reported as supported; the target core answers it */
	const char *name;
	uint8_t usage[16]; /* CDB USAGE DATA (SPC-4 6.35.3): opcode and service action by value,
			      else a bit mask */
};
